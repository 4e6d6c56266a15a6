//! Twins (Bano et al., "Twins: BFT Systems Made Robust", 2020), exhaustive at n = 4 over three rounds: one
//! member runs twice with one identity, and in each round the five processes are divided in two.
//!
//! Rounds are the first three attempts of the first view change. Who leads an attempt is not free in this
//! protocol (rank a mod n), so the leaders of the rounds are chosen by which rank is twinned: the leader
//! of the first, second or third round, or of none. Each of the 16 divisions of five processes in at most
//! two parts is played in each round: 4 * 16 * 16 * 16 schedules. After that all talk with all, and the
//! group must go on.

use crate::adversary::Strategy;
use crate::book;
use crate::byzzfuzz::Report;
use crate::run::RunError;
use crate::scenario::{Liars, Membership, Network, Rule, Scenario, Suspect, TwinRound};

/// Members of the group.
pub const MEMBERS: u16 = 4;

/// Rounds that are divided.
pub const ROUNDS: u32 = 3;

/// Divisions of a round: bit 0 says whether the second twin is apart from the first, the others say so of
/// the other members in rank order.
pub const DIVISIONS: u64 = 1 << MEMBERS;

/// Divisions end then: three attempts have taken seven seconds at most.
const HEAL_US: u64 = 8_000_000;

/// When the first view change begins.
const BEGIN_US: u64 = 120_000;

/// How many schedules there are.
#[must_use]
pub const fn count() -> u64 {
    MEMBERS as u64 * DIVISIONS.pow(ROUNDS)
}

/// The members that a division puts beside the first twin, and those that it puts apart.
fn sides(twinned: u16, division: u64) -> (Vec<u16>, Vec<u16>) {
    let others = (0..MEMBERS).filter(|rank| *rank != twinned);
    let is_apart = |nth: u16| division >> (nth + 1) & 1 == 1;
    let (apart, beside): (Vec<_>, Vec<_>) = (0..).zip(others).partition(|(nth, _)| is_apart(*nth));
    let ranks = |all: Vec<(u16, u16)>| all.into_iter().map(|(_, rank)| rank).collect();
    (ranks(beside), ranks(apart))
}

/// The schedule with this number.
#[must_use]
pub fn scenario(number: u64) -> Scenario {
    let twinned = u16::try_from(number / DIVISIONS.pow(ROUNDS) % u64::from(MEMBERS)).unwrap_or(0);
    let divisions: Vec<u64> =
        (0..ROUNDS).map(|round| number / DIVISIONS.pow(round) % DIVISIONS).collect();
    let name = format!("twins {number}: member {twinned} twinned, divisions {divisions:?}");
    let mut scenario = Scenario::calm(&name, MEMBERS, number);
    scenario.membership = Membership::Managed;
    scenario.frame_max = phalanx_core::Config::FRAME_MAX;
    scenario.network = Network { min_us: 300, max_us: 900, ..Network::default() };
    scenario.workload.casts = 12;
    scenario.workload.pause_us = 20_000;
    scenario.heal_at_us = HEAL_US;
    // Somebody who leads none of the rounds, so that none is skipped, is suspected by the correct.
    let whom = if twinned == MEMBERS - 1 { MEMBERS - 2 } else { MEMBERS - 1 };
    let by = (0..MEMBERS).filter(|rank| *rank != twinned && *rank != whom).collect();
    scenario.suspects = vec![Suspect { by, of: vec![whom], at_us: Some(BEGIN_US), after: None }];
    let mut twins = Vec::new();
    for (attempt, division) in (0..).zip(divisions) {
        let (beside, apart) = sides(twinned, division);
        let is_twin_apart = division & 1 == 1;
        let second = if is_twin_apart { apart.clone() } else { beside.clone() };
        twins.push(TwinRound { first: beside.clone(), second });
        for (from, to) in [(beside.clone(), apart.clone()), (apart, beside)] {
            if from.is_empty() || to.is_empty() {
                continue;
            }
            let (view, attempt) = (Some(0), Some(attempt));
            let until_us = Some(HEAL_US);
            let cut = Rule { view, attempt, from, to, until_us, may_miss: true, ..Rule::default() };
            scenario.rules.push(cut);
        }
    }
    let strategy = Strategy::TwinRounds.name().to_owned();
    scenario.liars = Some(Liars { ranks: vec![twinned], strategy, twins, ..Liars::default() });
    scenario
}

/// Schedules played at a time, so that not all of their histories are held at once.
const BATCH: usize = 512;

/// Plays each `every`th schedule (all for 1) on several threads; `progress` is told how many are done.
///
/// # Errors
/// If one cannot be played.
pub fn play(every: usize, jobs: usize, progress: &dyn Fn(u64)) -> Result<Report, RunError> {
    let numbers: Vec<u64> = (0..count()).step_by(every.max(1)).collect();
    let mut all: Option<Report> = None;
    for batch in numbers.chunks(BATCH) {
        let scenarios = batch.iter().copied().map(scenario).collect();
        let report = Report::of(&book::play_all(scenarios, jobs)?);
        let sum = match all {
            Some(sum) => sum.and(&report),
            None => report,
        };
        progress(sum.runs);
        all = Some(sum);
    }
    Ok(all.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict;
    use std::collections::BTreeSet;

    #[test]
    fn every_schedule_is_another_and_valid() {
        let mut seen = BTreeSet::new();
        for number in 0..count() {
            let Scenario { liars, .. } = scenario(number);
            let liars = liars.unwrap();
            let rounds: Vec<_> =
                liars.twins.iter().map(|round| (&round.first, &round.second)).collect();
            // Where nobody is beside either twin, two divisions are one.
            seen.insert(format!("{:?} {rounds:?} {number}", liars.ranks));
        }
        assert_eq!(seen.len() as u64, count());
        for number in (0..count()).step_by(997) {
            let drawn = scenario(number);
            assert_eq!(Scenario::parse("drawn", &drawn.to_toml()).unwrap(), drawn);
        }
    }

    #[test]
    fn a_sample_of_the_schedules_holds() {
        let report = play(499, 2, &|_| {}).unwrap();
        assert_eq!(report.code(), verdict::HELD, "{}", report.figures().join("\n"));
        assert!(report.corrupting * 2 > report.runs, "{}", report.figures().join("\n"));
        assert!(report.attempts > 0, "{}", report.figures().join("\n"));
    }
}
