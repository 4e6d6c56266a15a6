//! Adversaries and faults that last: strategies that stay in the group, two of them in one liar,
//! partitions of minutes, links that stay slow, restarts in bursts, newcomers that crash. They have a
//! stream of their own, so that what a seed draws otherwise stays the same.

use phalanx_core::Limits;

use crate::adversary::Strategy;
use crate::oracle::quorums;
use crate::rng::{Seed, Stream};
use crate::scenario::{Crash, Join, Partition, Restart, Scenario, SlowLink};

/// A class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foe {
    /// A liar follows two strategies at once.
    Combined,
    /// A liar changes between two strategies by what it sees.
    Adaptive,
    /// Some are cut off for half a minute to three minutes.
    LongPartition,
    /// Processes crash just after they asked to join.
    NewcomersCrash,
    /// Several members restart at once and again.
    RestartBurst,
    /// All links are slow for good.
    SlowNetwork,
    /// The links of one member are slow for good.
    SlowMember,
}

impl Foe {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Combined,
        Self::Adaptive,
        Self::LongPartition,
        Self::NewcomersCrash,
        Self::RestartBurst,
        Self::SlowNetwork,
        Self::SlowMember,
    ];
}

/// How much longer than usual what is owed may take, after minutes apart or over slow links.
const PATIENCE_US: u64 = 240_000_000;

/// Draws them for some of the runs.
pub(super) fn draw(scenario: &mut Scenario) {
    let mut stream = Seed(scenario.seed).stream("swarm foes", 0);
    draw_staying(scenario, &mut stream);
    draw_second(scenario, &mut stream);
    let mut stream = Seed(scenario.seed).stream("swarm lasting", 0);
    draw_lasting(scenario, &mut stream);
}

/// Some liars try to stay.
fn draw_staying(scenario: &mut Scenario, stream: &mut Stream) {
    let (in_any, in_change) =
        (stream.pick(&Strategy::STAYING), stream.pick(&Strategy::STAYING_IN_CHANGES));
    let (is_drawn, is_change) = (stream.permille(250), stream.permille(350));
    let is_member = scenario.strategy().is_some_and(|strategy| !strategy.is_joiner());
    let is_change = is_change && !scenario.membership.is_fixed();
    let strategy = if is_change { in_change } else { in_any };
    let at_us = super::LEAST_US;
    if !is_drawn || !is_member {
        return;
    }
    if let Some(liars) = &mut scenario.liars {
        strategy.name().clone_into(&mut liars.strategy);
    }
    if strategy == Strategy::EmptyCasts {
        make_narrow(&mut scenario.limits);
    }
    if is_change && scenario.suspects.is_empty() {
        super::draw_suspicions(scenario, stream, at_us);
    }
}

/// Some liars follow two strategies.
fn draw_second(scenario: &mut Scenario, stream: &mut Stream) {
    let is_managed = !scenario.membership.is_fixed();
    let group = Strategy::GROUP.into_iter().chain(Strategy::STAYING_IN_CHANGES);
    let group = group.filter(|_| is_managed);
    let all = Strategy::ALL.into_iter().chain(Strategy::STAYING).chain(group);
    let all: Vec<Strategy> = all.filter(|strategy| strategy.goes_with_others()).collect();
    let (second, is_drawn) = (stream.pick(&all), stream.permille(120));
    let adapts = stream.permille(500);
    let is_possible = scenario.strategy().is_some_and(Strategy::goes_with_others);
    if !is_drawn || !is_possible {
        return;
    }
    if second == Strategy::EmptyCasts {
        make_narrow(&mut scenario.limits);
    }
    if let Some(liars) = &mut scenario.liars {
        (liars.with, liars.adapts) = (Some(second.name().to_owned()), adapts);
    }
}

/// In some managed groups something goes on for long.
fn draw_lasting(scenario: &mut Scenario, stream: &mut Stream) {
    if scenario.membership.is_fixed() || scenario.members < 4 {
        return;
    }
    let foe = stream.pick(&Foe::ALL);
    if !stream.permille(250) {
        return;
    }
    match foe {
        Foe::Combined | Foe::Adaptive => {}
        Foe::LongPartition => draw_long_partition(scenario, stream),
        Foe::NewcomersCrash => draw_newcomers(scenario, stream),
        Foe::RestartBurst => draw_burst(scenario, stream),
        Foe::SlowNetwork => {
            make_small(scenario);
            scenario.network.bytes_per_second = stream.pick(&[30_000, 100_000]);
        }
        Foe::SlowMember => {
            make_small(scenario);
            let slow = stream.distinct(scenario.members, 1);
            let others = (0..scenario.members).filter(|rank| !slow.contains(rank)).collect();
            let bytes_per_second = stream.pick(&[10_000, 30_000, 100_000]);
            scenario.slow_links.push(SlowLink {
                from: slow,
                to: others,
                both: true,
                bytes_per_second,
            });
        }
    }
}

/// A window full of casts of no length holds so many that a run takes seconds: a small one shows the
/// same.
fn make_narrow(limits: &mut Limits) {
    limits.cast_max = limits.cast_max.min(64 * 1024);
    limits.body_max = limits.body_max.min(64 * 1024);
    limits.window_bytes = limits.window_bytes.min(256 * 1024);
}

/// Slow links carry little, and that takes long.
fn make_small(scenario: &mut Scenario) {
    let workload = &mut scenario.workload;
    workload.payload_max = workload.payload_max.min(64);
    workload.pause_us = workload.pause_us.max(100_000);
    scenario.bound_us += PATIENCE_US;
}

/// So few are away that the others are a quorum, with liars and crashes among them.
fn draw_long_partition(scenario: &mut Scenario, stream: &mut Stream) {
    let n = scenario.members;
    let spare = usize::from(n) - quorums::quorum(n, false);
    let count = 1 + stream.index(spare.max(1));
    let away = stream.distinct(n, count.min(spare.max(1)));
    let others = (0..n).filter(|rank| !away.contains(rank)).collect();
    let (from_us, for_us) =
        (stream.between(1, super::LEAST_US), stream.between(30_000_000, 180_000_000));
    let until_us = from_us + for_us;
    scenario.partitions.push(Partition { from: away, to: others, both: true, from_us, until_us });
    scenario.heal_at_us = scenario.heal_at_us.max(until_us);
    scenario.rejoin = true;
    scenario.bound_us += PATIENCE_US;
}

/// As many as the group bears crash within two seconds after they began to join.
fn draw_newcomers(scenario: &mut Scenario, stream: &mut Stream) {
    let culprits = scenario.liar_ranks().len() + scenario.crashes.len();
    let spare = quorums::faulty(scenario.members).saturating_sub(culprits);
    let at_us = stream.between(1, super::LEAST_US);
    for _ in 0..stream.between(1, 2).min(spare as u64) {
        let rank = scenario.hosts();
        scenario.joins.push(Join::at(at_us));
        let crash_us = at_us + stream.between(1_000, 2_000_000);
        scenario.crashes.push(Crash { rank, at_us: Some(crash_us), ..Crash::default() });
    }
    scenario.limits.max_members = scenario.limits.max_members.min(quorums::MEMBERS_MAX);
    scenario.bound_us += scenario.timeouts.retain_us;
}

/// As many as the others can do without restart at once, and then again.
fn draw_burst(scenario: &mut Scenario, stream: &mut Stream) {
    let n = scenario.members;
    let is_culprit = |rank: &u16| {
        scenario.liar_ranks().contains(rank)
            || scenario.crashes.iter().any(|crash| crash.rank == *rank)
    };
    let well: Vec<u16> = (0..n).filter(|rank| !is_culprit(rank)).collect();
    let spare = usize::from(n) - quorums::quorum(n, false);
    let culprits = usize::from(n) - well.len();
    let count = spare.saturating_sub(culprits + scenario.restarts.len());
    let (at_us, every_us) = (stream.between(1, super::LEAST_US), stream.between(1, 3_000_000));
    let times = stream.between(2, 4);
    let chosen = stream.distinct(u16::try_from(well.len()).unwrap_or(0), count);
    let ranks = chosen.into_iter().filter_map(|at| well.get(usize::from(at)).copied());
    for rank in ranks.collect::<Vec<_>>() {
        for nth in 0..times {
            let at_us = at_us + nth * every_us;
            scenario.restarts.push(Restart { rank, at_us, down_us: 50_000 });
        }
    }
    scenario.rejoin = true;
    scenario.bound_us += PATIENCE_US;
}
