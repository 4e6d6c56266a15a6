//! Draws a run from a seed. Every seed switches whole classes of faults on or off, so that each is
//! met alone and together with every other; at most `f` members crash or lie.

mod foes;
mod rules;

pub use foes::Foe;

use phalanx_core::Config;

use crate::adversary::Strategy;
use crate::oracle::quorums;
use crate::rng::{Seed, Stream};
use crate::scenario::{
    CostPreset, Crash, Join, Leave, Liars, Membership, Network, Partition, Pattern, Pause, Restart,
    Scenario, Suspect, Workload,
};

/// Group sizes; those that are no `3f + 1`, where thresholds are easily got wrong, stand twice.
const SIZES: [u16; 20] = [1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 12, 13];

/// Casts of every member: enough for a seed to count.
pub const CASTS: u32 = 200;

/// Virtual time that every run lasts at least: enough for a seed to count.
pub const LEAST_US: u64 = 1_000_000;

/// The run that `seed` stands for.
#[must_use]
pub fn draw(seed: u64) -> Scenario {
    let mut scenario = draw_fixed(seed);
    draw_membership(&mut scenario, &mut Seed(seed).stream("swarm membership", 0));
    rules::draw(&mut scenario);
    draw_comings(&mut scenario, &mut Seed(seed).stream("swarm comings", 0));
    draw_state(&mut scenario, &mut Seed(seed).stream("swarm state", 0));
    foes::draw(&mut scenario);
    scenario
}

/// The same before it is drawn whether views change: what every seed stood for once.
#[must_use]
pub fn draw_fixed(seed: u64) -> Scenario {
    let mut topology = Seed(seed).stream("topology", 0);
    let n = topology.pick(&SIZES);
    let mut scenario = Scenario::calm(&format!("seed {seed}"), n, seed);
    scenario.least_us = if topology.permille(100) { 3 * LEAST_US } else { LEAST_US };
    if topology.permille(150) {
        scenario.pattern = Pattern::Paper;
    }
    draw_sizes(&mut scenario, &mut topology);
    draw_culprits(&mut scenario, &mut topology);
    let mut stream = Seed(seed).stream("swarm network", 0);
    draw_network(&mut scenario, &mut stream);
    draw_workload(&mut scenario, &mut Seed(seed).stream("swarm workload", 0));
    scenario
}

fn draw_sizes(scenario: &mut Scenario, topology: &mut Stream) {
    if topology.permille(400) {
        scenario.frame_max = Config::FRAME_MAX;
    }
    if topology.permille(200) {
        scenario.limits.window_bodies = topology.pick(&[4, 8, 16]);
    }
    if topology.permille(100) {
        scenario.limits.slot_window = topology.pick(&[1, 4, 32]);
    }
    if topology.permille(200) {
        scenario.cost = CostPreset::Ed25519;
    }
    if topology.permille(200) {
        scenario.timeouts.heads_delay_us = topology.pick(&[50, 200, 1_000]);
    }
    if topology.permille(300) {
        scenario.clocks.offset_us = 3_600_000_000;
        scenario.clocks.drift_ppm = 200;
    }
}

/// Liars and crashes, together at most `f`. Which strategy is not drawn but goes round with the
/// seed, so that a range of seeds meets all of them equally often.
fn draw_culprits(scenario: &mut Scenario, topology: &mut Stream) {
    let f = quorums::faulty(scenario.members);
    if f == 0 {
        return;
    }
    let has_liars = topology.permille(650);
    let has_crashes = topology.permille(250);
    let most = if has_liars { f } else { 0 };
    let liars = usize::try_from(topology.between(1, f as u64)).unwrap_or(1).min(most);
    let mut culprits = topology.distinct(scenario.members, f);
    let rest = culprits.split_off(liars.min(culprits.len()));
    let strategy = usize::try_from(scenario.seed).unwrap_or(0) % Strategy::ALL.len();
    if has_liars {
        scenario.liars = Some(Liars {
            ranks: culprits,
            strategy: Strategy::ALL[strategy].name().to_owned(),
            ..Liars::default()
        });
    }
    if has_crashes {
        let count = topology.index(rest.len() + 1);
        for rank in rest.into_iter().take(count) {
            let casts = topology.between(1, u64::from(CASTS) * u64::from(scenario.members));
            let at_us = topology.between(1, 1_000_000);
            let is_timed = topology.permille(500);
            scenario.crashes.push(Crash {
                rank,
                at_us: is_timed.then_some(at_us),
                at_casts: (!is_timed).then_some(casts),
                after: None,
            });
        }
    }
}

/// Half of the groups change their views. There liars may lie in the change, a member more may crash
/// at any time, and applications suspect members at any time, rightly or not.
fn draw_membership(scenario: &mut Scenario, stream: &mut Stream) {
    if !stream.permille(500) {
        return;
    }
    scenario.membership = Membership::Managed;
    scenario.pledge = stream.pick(&[None, None, None, Some(0), Some(1)]);
    let strategy = stream.pick(&Strategy::GROUP);
    let mut needs_change = false;
    if let Some(liars) = scenario.liars.as_mut().filter(|_| stream.permille(600)) {
        strategy.name().clone_into(&mut liars.strategy);
        needs_change = true;
    }
    let end_us = scenario.heal_at_us.max(LEAST_US) + LEAST_US;
    let (rank, at_us) = (stream.below(u64::from(scenario.members)), stream.between(1, end_us));
    let rank = u16::try_from(rank).unwrap_or(0);
    let is_culprit = scenario.liar_ranks().contains(&rank)
        || scenario.crashes.iter().any(|crash| crash.rank == rank);
    let culprits = scenario.liar_ranks().len() + scenario.crashes.len();
    let has_crash = stream.permille(400);
    if has_crash && !is_culprit && culprits < quorums::faulty(scenario.members) {
        scenario.crashes.push(Crash { rank, at_us: Some(at_us), ..Crash::default() });
    }
    let has_suspicion = stream.permille(350);
    if has_suspicion || (needs_change && scenario.crashes.is_empty()) {
        draw_suspicions(scenario, stream, end_us);
    }
}

/// Once to three times all applications, or some, suspect a member, or several at once.
fn draw_suspicions(scenario: &mut Scenario, stream: &mut Stream, end_us: u64) {
    let n = scenario.members;
    for _ in 0..stream.between(1, 3) {
        let at_us = stream.between(1, end_us);
        let by =
            if stream.permille(600) { usize::from(n) } else { stream.index(usize::from(n)) + 1 };
        let by = stream.distinct(n, by);
        let of = if stream.permille(700) { 1 } else { stream.index(usize::from(n)) + 1 };
        let of = stream.distinct(n, of);
        scenario.suspects.push(Suspect { by, of, at_us: Some(at_us), after: None });
    }
}

/// In two thirds of those groups processes join, leave, stop and come back, at any time.
fn draw_comings(scenario: &mut Scenario, stream: &mut Stream) {
    if scenario.membership.is_fixed() || !stream.permille(660) {
        return;
    }
    let n = scenario.members;
    let end_us = scenario.heal_at_us.max(LEAST_US) + LEAST_US;
    scenario.rejoin = stream.permille(600);
    // Who cannot follow any more waits for `retain_us` before it knows.
    scenario.bound_us += scenario.timeouts.retain_us;
    for _ in 0..stream.below(4) {
        scenario.joins.push(Join {
            count: stream.pick(&[1, 1, 2, 5]),
            every_us: stream.pick(&[0, 1_000, 300_000]),
            stay_us: stream.permille(300).then(|| stream.between(1, LEAST_US)),
            is_authorised: stream.permille(900),
            ..Join::at(stream.between(1, end_us))
        });
    }
    scenario.limits.max_members = scenario.limits.max_members.min(quorums::MEMBERS_MAX);
    for _ in 0..stream.below(3) {
        let rank = u16::try_from(stream.below(u64::from(scenario.hosts()))).unwrap_or(0);
        scenario.leaves.push(Leave { rank, at_us: stream.between(1, end_us) });
    }
    draw_coming_liar(scenario, stream);
    let is_culprit = |rank: u16| {
        scenario.liar_ranks().contains(&rank)
            || scenario.crashes.iter().any(|crash| crash.rank == rank)
    };
    let well: Vec<u16> = (0..n).filter(|rank| !is_culprit(*rank)).collect();
    // No more at once than the others can do without.
    let culprits = scenario.liar_ranks().len() + scenario.crashes.len();
    let spare = usize::from(n) - quorums::quorum(n, false);
    let most = stream.index(3).min(spare.saturating_sub(culprits));
    for _ in 0..most {
        let (rank, at_us) = (stream.index(well.len().max(1)), stream.between(1, end_us));
        let down_us = stream.pick(&[0, 50_000, 1_000_000, 4_000_000]);
        if let Some(rank) = well.get(rank).copied().filter(|_| scenario.hosts() > 1) {
            scenario.restarts.push(Restart { rank, at_us, down_us });
        }
    }
}

/// Some of the liars lie about that, and where there are none one may come.
fn draw_coming_liar(scenario: &mut Scenario, stream: &mut Stream) {
    let (member, joiner) = (stream.pick(&Strategy::COMING), stream.pick(&Strategy::JOINERS));
    let (is_drawn, at_us) = (stream.permille(400), stream.between(1, LEAST_US));
    if let Some(liars) = scenario.liars.as_mut().filter(|_| is_drawn) {
        member.name().clone_into(&mut liars.strategy);
        return;
    }
    let culprits = scenario.liar_ranks().len() + scenario.crashes.len();
    if is_drawn && culprits < quorums::faulty(scenario.members) {
        let ranks = vec![scenario.hosts()];
        let is_authorised = !matches!(joiner, Strategy::UnauthorisedJoiner | Strategy::Impostor);
        scenario.joins.push(Join { is_authorised, ..Join::at(at_us) });
        let strategy = joiner.name().to_owned();
        scenario.liars = Some(Liars { ranks, strategy, ..Liars::default() });
    }
}

/// In some of the groups whose views change members hand over a state; then liars among them may lie
/// about that.
fn draw_state(scenario: &mut Scenario, stream: &mut Stream) {
    if scenario.membership.is_fixed() || !stream.permille(300) {
        return;
    }
    scenario.state_transfer = true;
    scenario.state_bytes = stream.pick(&[0, 1_000, 70_000, 200_000, 500_000]);
    scenario.state_delay_us = stream.pick(&[0, 1_000, 30_000]);
    scenario.join_buffer = stream.pick(&[None, None, None, Some(64 * 1024)]);
    if scenario.joins.is_empty() && stream.permille(500) {
        scenario.joins.push(Join::at(stream.between(1, LEAST_US)));
        scenario.limits.max_members = scenario.limits.max_members.min(quorums::MEMBERS_MAX);
    }
    let (strategy, is_drawn) = (stream.pick(&Strategy::HANDING), stream.permille(500));
    let is_joiner = scenario.strategy().is_some_and(Strategy::is_joiner);
    if let Some(liars) = scenario.liars.as_mut().filter(|_| is_drawn && !is_joiner) {
        strategy.name().clone_into(&mut liars.strategy);
    }
}

fn draw_network(scenario: &mut Scenario, stream: &mut Stream) {
    let (min_us, spread_us) = (stream.between(10, 500), stream.between(0, 2_000));
    let mut network = Network { min_us, max_us: min_us + spread_us, ..Network::default() };
    if stream.permille(350) {
        scenario.network = network;
        return;
    }
    let heal_at_us = stream.between(300_000, 1_200_000);
    scenario.heal_at_us = heal_at_us;
    if stream.permille(400) {
        network.loss_permille = stream.pick(&[5, 20, 100, 300]);
    }
    if stream.permille(400) {
        network.duplicate_permille = stream.pick(&[10, 100, 300]);
    }
    if stream.permille(400) {
        network.replay_permille = stream.pick(&[10, 100, 300]);
    }
    if stream.permille(300) {
        network.corrupt_permille = stream.pick(&[5, 50]);
    }
    if stream.permille(300) {
        network.spike_permille = stream.pick(&[5, 50]);
        network.spike_us = stream.pick(&[10_000, 100_000, 1_000_000]);
    }
    if stream.permille(100) {
        network.bytes_per_second = stream.pick(&[1_000_000, 10_000_000]);
    }
    scenario.network = network;
    if stream.permille(250) {
        draw_partition(scenario, stream);
    }
    if stream.permille(250) {
        let rank = u16::try_from(stream.below(u64::from(scenario.members))).unwrap_or(0);
        let at_us = stream.between(0, heal_at_us);
        let for_us = stream.between(0, heal_at_us - at_us);
        scenario.pauses.push(Pause { rank, at_us, for_us });
    }
}

/// A cut in two, one way or both, or a member that is deaf.
fn draw_partition(scenario: &mut Scenario, stream: &mut Stream) {
    let n = scenario.members;
    let count = if stream.permille(400) { 1 } else { stream.index(usize::from(n) + 1) };
    let to = stream.distinct(n, count);
    let from = (0..n).filter(|rank| !to.contains(rank)).collect();
    let from_us = stream.between(0, scenario.heal_at_us);
    let until_us = stream.between(from_us, scenario.heal_at_us);
    let both = stream.permille(500);
    scenario.partitions.push(Partition { from, to, both, from_us, until_us });
}

fn draw_workload(scenario: &mut Scenario, stream: &mut Stream) {
    let mut workload = Workload { casts: CASTS, ..Workload::default() };
    workload.total_permille = stream.pick(&[0, 100, 500, 500, 1000]);
    workload.payload_max = stream.pick(&[8, 64, 64, 256, 1_500, 6_000]);
    workload.burst_max = stream.pick(&[1, 4, 16, 64]);
    workload.pause_us = stream.pick(&[1_000, 5_000, 20_000]);
    if workload.burst_max == 1 {
        workload.pause_us = workload.pause_us.min(5_000);
    }
    if scenario.liars.is_some() {
        // Many strategies show in the total order only.
        workload.total_permille = workload.total_permille.max(100);
    }
    if stream.permille(200) {
        workload.silent =
            u16::try_from(stream.below(u64::from(scenario.members))).unwrap_or_default();
    }
    if stream.permille(150) {
        scenario.limits.cast_max = 8_192;
        scenario.limits.body_max = 2_048;
        scenario.limits.window_bytes = 16_384;
        scenario.cast_queue_bytes = 16_384;
    }
    scenario.workload = workload;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_always_draws_the_same_valid_run() {
        for seed in 0..500 {
            let scenario = draw(seed);
            assert_eq!(scenario, draw(seed));
            let text = scenario.to_toml();
            assert_eq!(Scenario::parse("drawn", &text).unwrap(), scenario, "{text}");
            let culprits = scenario.liar_ranks().len() + scenario.crashes.len();
            assert!(culprits <= quorums::faulty(scenario.members), "seed {seed}");
        }
    }

    #[test]
    fn managed_groups_are_drawn_beside_all_else() {
        let mut crashes = 0;
        let mut strategies = BTreeSet::new();
        let mut classes = [0; 11];
        for seed in 0..2_000 {
            let (fixed, scenario) = (draw_fixed(seed), draw(seed));
            let text = scenario.to_toml();
            assert_eq!(Scenario::parse("drawn", &text).unwrap(), scenario, "{text}");
            let culprits = scenario.liar_ranks().len() + scenario.crashes.len();
            assert!(culprits <= quorums::faulty(scenario.members), "seed {seed}");
            if scenario.membership.is_fixed() {
                // A strategy may want a smaller window.
                let (liars, limits) = (fixed.liars.clone(), fixed.limits);
                assert_eq!(Scenario { liars, limits, ..scenario }, fixed);
                classes[0] += 1;
                continue;
            }
            crashes += scenario.crashes.len() - fixed.crashes.len();
            strategies.extend(scenario.strategy().filter(|s| !Strategy::ALL.contains(s)));
            classes[1] += usize::from(scenario.pledge == Some(0));
            classes[2] += usize::from(!scenario.suspects.is_empty());
            classes[3] += usize::from(scenario.liars.is_none());
            classes[4] += usize::from(scenario.pledge == Some(1));
            classes[5] += usize::from(!scenario.joins.is_empty());
            classes[6] += usize::from(!scenario.leaves.is_empty());
            classes[7] += usize::from(!scenario.restarts.is_empty());
            classes[8] += usize::from(scenario.rejoin);
            classes[9] += usize::from(!scenario.rules.is_empty());
            classes[10] += usize::from(scenario.state_transfer);
        }
        assert!(classes.iter().all(|count| *count > 100) && crashes > 30, "{classes:?} {crashes}");
        let drawn = Strategy::every().filter(|strategy| !Strategy::ALL.contains(strategy));
        assert_eq!(strategies.len(), drawn.count());
    }

    #[test]
    fn seeds_cover_sizes_strategies_and_fault_classes() {
        let all: Vec<Scenario> = (0..2_000).map(draw_fixed).collect();
        let sizes: BTreeSet<u16> = all.iter().map(|scenario| scenario.members).collect();
        assert_eq!(sizes.len(), 13);
        let strategies: BTreeSet<_> = all.iter().filter_map(Scenario::strategy).collect();
        assert_eq!(strategies.len(), Strategy::ALL.len());
        let classes: [fn(&Scenario) -> bool; 8] = [
            |s| s.is_calm(),
            |s| s.network.loss_permille > 0,
            |s| s.network.replay_permille > 0,
            |s| s.network.corrupt_permille > 0,
            |s| !s.partitions.is_empty(),
            |s| !s.pauses.is_empty(),
            |s| !s.crashes.is_empty(),
            |s| s.liars.is_none(),
        ];
        for (index, class) in classes.iter().enumerate() {
            let count = all.iter().filter(|scenario| class(scenario)).count();
            assert!((50..1_950).contains(&count), "class {index}: {count}");
        }
    }
}
