//! Many seeds on several threads: the same result whatever their number.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::adversary::Strategy;
use crate::fairness;
use crate::marks::Marks;
use crate::run::{self, Outcome};
use crate::scenario::{Crypto, Scenario};
use crate::swarm;
use crate::trace::to_hex;
use crate::verdict::{self, Verdict};

/// Seeds for each strategy from which on a sweep is a campaign: every strategy must fire and every
/// mark be met, or it is red.
const CAMPAIGN_SEEDS_PER_STRATEGY: u64 = 50;

/// How liars with two strategies stand in the table: both at once, or one at a time.
const COMBINED: &str = "combined";
const ADAPTIVE: &str = "adaptive";

/// A sweep to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// On how many threads.
    pub jobs: usize,
    /// Signatures, if not as drawn.
    pub crypto: Option<Crypto>,
    /// In every so manieth seed a pair of runs is played, too, with and without a liar.
    pub fair: Option<u64>,
}

/// What is kept of a seed.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// Which.
    pub seed: u64,
    /// Members of its group.
    pub members: u16,
    /// Whether its views change.
    pub is_managed: bool,
    /// What its liars did.
    pub strategy: Option<Strategy>,
    /// What they did besides, and whether one at a time.
    pub with: Option<(Strategy, bool)>,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a strategy fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fared {
    /// Seeds in which it ran.
    pub seeds: u64,
    /// Seeds in which it changed what a correct member got.
    pub fired: u64,
    /// How often in all.
    pub times: u64,
}

/// What came of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Seeds played.
    pub seeds: u64,
    /// Seeds worth counting: at least 200 casts per correct sender and a second of virtual time.
    pub counted: u64,
    /// Seeds in which nothing was owed.
    pub unowed: u64,
    /// Seeds of groups whose views change.
    pub managed: u64,
    /// Hash over the hashes of all seeds, in order.
    pub hash: String,
    /// By group size.
    pub sizes: BTreeMap<u16, u64>,
    /// By strategy.
    pub strategies: BTreeMap<&'static str, Fared>,
    /// Marks met.
    pub marks: Vec<&'static str>,
    /// Marks missed.
    pub missed: Vec<&'static str>,
    /// Strategies that never fired.
    pub idle: Vec<&'static str>,
    /// Casts delivered in all.
    pub delivered: u64,
    /// The highest share of its memory bound that a member held, in thousandths.
    pub memory_permille: u64,
    /// Seeds that failed, with what is to be seen.
    pub failures: Vec<(u64, String)>,
    /// The exit code.
    pub code: u8,
}

/// The scenario of a seed, with the crypto asked for.
#[must_use]
pub fn scenario(seed: u64, crypto: Option<Crypto>) -> Scenario {
    let mut scenario = swarm::draw(seed);
    if let Some(crypto) = crypto {
        scenario.crypto = crypto;
    }
    scenario
}

fn play(seed: u64, plan: &Plan) -> Seeded {
    let scenario = scenario(seed, plan.crypto);
    let mut outcome = run::run(&scenario, None)
        .unwrap_or_else(|error| Outcome::crashed(format!("could not be played: {error}")));
    if outcome.verdict.is_good()
        && let Some(text) = plan.fair.and_then(|share| unfair(seed, share))
    {
        outcome.verdict = Verdict::Liveness(text);
    }
    let (members, strategy) = (scenario.members, scenario.strategy());
    let is_managed = !scenario.membership.is_fixed();
    let adapts = scenario.liars.as_ref().is_some_and(|liars| liars.adapts);
    let with = scenario.second_strategy().map(|second| (second, adapts));
    Seeded { seed, members, is_managed, strategy, with, outcome }
}

/// What a liar does to the others in the pair of this seed, if it has one and that is too much.
fn unfair(seed: u64, share: u64) -> Option<String> {
    let nth = seed.checked_div(share).filter(|_| seed.is_multiple_of(share))?;
    match fairness::pair(fairness::strategy(nth)?, seed) {
        Ok(pair) => pair.unfair(),
        Err(error) => Some(error.to_string()),
    }
}

/// Plays all seeds; `progress` is told after each, from any thread, how many are done.
pub fn sweep(plan: &Plan, progress: &(dyn Fn(u64, &Seeded) + Sync)) -> Vec<Seeded> {
    let next = AtomicU64::new(plan.seeds.start);
    let done = AtomicU64::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= plan.seeds.end {
                        return;
                    }
                    let seeded = play(seed, plan);
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, &seeded);
                    if let Ok(mut results) = results.lock() {
                        results.push(seeded);
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|seeded| seeded.seed);
    results
}

/// Sums up the results of a sweep, in the order of their seeds.
#[must_use]
pub fn summarize(results: &[Seeded]) -> Summary {
    let mut state = Sha256::new();
    let mut sizes = BTreeMap::new();
    let mut strategies: BTreeMap<&'static str, Fared> =
        Strategy::every().map(|strategy| (strategy.name(), Fared::default())).collect();
    strategies.extend([COMBINED, ADAPTIVE].map(|name| (name, Fared::default())));
    let mut marks = Marks::default();
    let mut failures = Vec::new();
    let mut code = verdict::HELD;
    let (mut counted, mut unowed, mut managed, mut delivered, mut memory_permille) =
        (0, 0, 0, 0, 0);
    for Seeded { seed, members, is_managed, strategy, with, outcome } in results {
        state.update(seed.to_le_bytes());
        state.update(outcome.hash.as_bytes());
        *sizes.entry(*members).or_default() += 1;
        if let Some(strategy) = strategy {
            let name = match with {
                Some((_, true)) => ADAPTIVE,
                Some((_, false)) => COMBINED,
                None => strategy.name(),
            };
            let fared = strategies.entry(name).or_default();
            fared.seeds += 1;
            fared.fired += u64::from(outcome.fired > 0);
            fared.times += outcome.fired;
        }
        marks = marks.and(outcome.marks);
        let is_unowed = matches!(outcome.verdict, Verdict::NothingOwed(_));
        counted += u64::from(outcome.is_counted && !is_unowed);
        unowed += u64::from(is_unowed);
        managed += u64::from(*is_managed);
        delivered += outcome.delivered;
        memory_permille = memory_permille.max(outcome.memory_permille);
        if !outcome.verdict.is_good() && !is_unowed {
            failures.push((*seed, outcome.verdict.to_string()));
            code = worse(code, outcome.verdict.code());
        }
    }
    let seeds = results.len() as u64;
    let named = |marks: &mut dyn Iterator<Item = crate::marks::Mark>| {
        marks.map(crate::marks::Mark::name).collect::<Vec<_>>()
    };
    let (met, missed) = (named(&mut marks.iter()), named(&mut marks.missed()));
    let idle = strategies.iter().filter(|(_, fared)| fared.fired == 0);
    let idle: Vec<&'static str> = idle.map(|(name, _)| *name).collect();
    let is_campaign = seeds >= CAMPAIGN_SEEDS_PER_STRATEGY * Strategy::every().count() as u64;
    if is_campaign && code == verdict::HELD && !(missed.is_empty() && idle.is_empty()) {
        code = verdict::OWN_ERROR;
    }
    Summary {
        seeds,
        counted,
        unowed,
        managed,
        hash: to_hex(&state.finalize()),
        sizes,
        strategies,
        marks: met,
        missed,
        idle,
        delivered,
        memory_permille,
        failures,
        code,
    }
}

/// The exit code that tells more: a crash, then safety, then a livelock, then liveness, then anything
/// else.
fn worse(a: u8, b: u8) -> u8 {
    const ORDER: [u8; 5] =
        [verdict::CRASH, verdict::SAFETY, verdict::LIVELOCK, verdict::LIVENESS, verdict::OWN_ERROR];
    ORDER.into_iter().find(|code| a == *code || b == *code).unwrap_or(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let hash = |jobs| {
            let plan = Plan { seeds: 0..6, jobs, crypto: None, fair: Some(6) };
            let results = sweep(&plan, &|_, _| {});
            assert_eq!(results.len(), 6);
            summarize(&results).hash
        };
        assert_eq!(hash(1), hash(3));
    }

    #[test]
    fn the_worst_code_wins() {
        assert_eq!(worse(verdict::HELD, verdict::LIVENESS), verdict::LIVENESS);
        assert_eq!(worse(verdict::LIVENESS, verdict::SAFETY), verdict::SAFETY);
        assert_eq!(worse(verdict::CRASH, verdict::SAFETY), verdict::CRASH);
    }
}
