//! What a liar costs the others: a run is played twice, once with a liar and once with a correct
//! member in its place, with the same network and the same casts. What the other members get done
//! among themselves is compared, while the liar is inside and nobody suspects it, and after it is out.
//!
//! All members cast about two thirds of what the windows let through, at moments that do not depend
//! on how quickly that is delivered. So without a liar everything is delivered at once, and a liar that
//! takes more than a third away shows. Closer to what a group can do, how much it does depends on
//! chance. The links are slow and the windows small, so that all this is not much. Strategies that show
//! in a view change get one: a member crashes, in both runs.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::adversary::Strategy;
use crate::oracle::quorums;
use crate::rates::{Rates, SLOT_US};
use crate::rng::Seed;
use crate::run::{self, Outcome, RunError};
use crate::scenario::{Crash, Liars, Membership, Network, Scenario, Workload};

/// The least share of what they get done without it that the others get done with a liar inside whom
/// nobody suspects yet, in thousandths.
pub const INSIDE_PERMILLE: u64 = 750;

/// The same once it is out.
pub const AFTER_PERMILLE: u64 = 970;

/// The most that half of the Total casts may take with such a liar, in thousandths of what they take
/// without.
pub const LATENCY_PERMILLE: u64 = 5_000;

/// What is measured begins then, when the windows are full, ...
const BEGIN_US: u64 = 1_000_000;

/// ... and ends when no more is cast.
const END_US: u64 = 9_000_000;

/// After a view without liars what waited is made up for first.
const SETTLES_US: u64 = 1_000_000;

/// Less time than this is not compared.
const LEAST_US: u64 = 500_000;

/// Group sizes.
const SIZES: [u16; 3] = [4, 5, 7];

/// That of groups in which a member crashes, too.
const WITH_CRASH: u16 = 7;

/// When it does.
const CRASH_US: u64 = 2_000_000;

/// What came of a run with a liar, next to the same without.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What the liar did.
    pub strategy: Strategy,
    /// In which seed.
    pub seed: u64,
    /// While it was inside and not suspected: deliveries with it and without.
    pub inside: Option<(u64, u64)>,
    /// After it was out.
    pub after: Option<(u64, u64)>,
    /// How long half of the Total casts took while it was inside, with it and without.
    pub median_us: Option<(u64, u64)>,
    /// Whether the liar lied.
    pub fired: bool,
    /// Why one of the runs is broken, if it is.
    pub broken: Option<String>,
}

/// A run of this seed with such a liar.
#[must_use]
pub fn scenario(strategy: Strategy, seed: u64) -> Scenario {
    let mut stream = Seed(seed).stream("fairness", 0);
    let drawn = stream.pick(&SIZES);
    let is_in_change =
        Strategy::GROUP.contains(&strategy) || Strategy::NEED_FAILURE.contains(&strategy);
    let n = if is_in_change { WITH_CRASH } else { drawn };
    let mut scenario = Scenario::calm(&format!("fairness of {}", strategy.name()), n, seed);
    scenario.membership = Membership::Managed;
    scenario.network = Network { min_us: 2_000, max_us: 4_000, ..Network::default() };
    scenario.limits.window_bodies = 8;
    scenario.limits.cast_max = 1_024;
    scenario.limits.body_max = 1_024;
    scenario.limits.window_bytes = 16 * 1_024;
    scenario.cast_queue_bytes = 64 * 1_024;
    scenario.workload = Workload {
        casts: u32::MAX,
        payload_min: 300,
        payload_max: 500,
        burst_max: 8,
        pause_us: 45_000,
        until_us: END_US,
        ..Workload::default()
    };
    scenario.least_us = END_US;
    scenario.bound_us = 2 * END_US;
    let rank = u16::try_from(stream.below(u64::from(n))).unwrap_or(0);
    if is_in_change {
        let next = (rank + 1) % n;
        scenario.crashes.push(Crash { rank: next, at_us: Some(CRASH_US), ..Crash::default() });
    }
    let (ranks, strategy) = (vec![rank], strategy.name().to_owned());
    scenario.liars = Some(Liars { ranks, strategy, ..Liars::default() });
    scenario
}

/// The strategy that is tried with a seed in a sweep: each in turn.
#[must_use]
pub fn strategy(seed: u64) -> Option<Strategy> {
    let all: Vec<Strategy> = members().collect();
    let at = usize::try_from(seed).unwrap_or(0).checked_rem(all.len())?;
    all.get(at).copied()
}

/// The strategies of members: those that want to be members slow nobody down by themselves.
pub fn members() -> impl Iterator<Item = Strategy> {
    Strategy::every().filter(|strategy| !strategy.is_joiner())
}

/// Plays a pair.
///
/// # Errors
/// If a run cannot be played.
pub fn pair(strategy: Strategy, seed: u64) -> Result<Pair, RunError> {
    let with = scenario(strategy, seed);
    let mut without = with.clone();
    without.liars = None;
    let (with_liar, fair) = (run::measured(&with)?, run::measured(&without)?);
    let liars: BTreeSet<u16> = with.liar_ranks().iter().copied().collect();
    let stays =
        |rank: &u16| !liars.contains(rank) && !with.crashes.iter().any(|crash| crash.rank == *rank);
    let others = (0..with.members).filter(stays).map(usize::from);
    Ok(compare((strategy, seed), &others.collect(), &with_liar, &fair))
}

/// Plays the pairs of a strategy on several threads; they are in the order of their seeds.
///
/// # Errors
/// If a run cannot be played.
pub fn pairs(strategy: Strategy, seeds: Range<u64>, jobs: usize) -> Result<Vec<Pair>, RunError> {
    let next = AtomicU64::new(seeds.start);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let pair = pair(strategy, seed);
                    played.lock().unwrap_or_else(PoisonError::into_inner).push((seed, pair));
                }
            });
        }
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|(seed, _)| *seed);
    played.into_iter().map(|(_, pair)| pair).collect()
}

fn compare(
    (strategy, seed): (Strategy, u64),
    others: &BTreeSet<usize>,
    with: &Outcome,
    without: &Outcome,
) -> Pair {
    let none = Rates::default();
    let rates = with.rates.as_ref().unwrap_or(&none);
    let fair = without.rates.as_ref().unwrap_or(&none);
    let counts = |slots: &Range<usize>| (rates.count(others, slots), fair.count(others, slots));
    let (inside, after) = (inside(rates), after(rates));
    let medians = |slots: &Range<usize>| {
        // With a liar nothing may have been delivered at all: that is the longest of all times.
        let us = rates.median_us(others, slots).unwrap_or(END_US);
        fair.median_us(others, slots).map(|fair_us| (us, fair_us))
    };
    let broken = [with, without].into_iter().find(|run| run.verdict.is_broken());
    Pair {
        strategy,
        seed,
        inside: inside.as_ref().map(counts),
        after: after.as_ref().map(counts),
        median_us: inside.as_ref().and_then(medians),
        fired: with.fired > 0,
        broken: broken.map(|run| run.verdict.to_string()),
    }
}

/// The slots of time from one moment to another, if that is long enough.
fn slots(from_us: u64, until_us: u64) -> Option<Range<usize>> {
    let slot = |us: u64| usize::try_from(us / SLOT_US).unwrap_or(usize::MAX);
    let is_long = until_us.saturating_sub(from_us) >= LEAST_US;
    is_long.then(|| slot(from_us)..slot(until_us))
}

fn inside(rates: &Rates) -> Option<Range<usize>> {
    slots(BEGIN_US, rates.blamed_us.unwrap_or(END_US).min(END_US))
}

fn after(rates: &Rates) -> Option<Range<usize>> {
    let out_us = rates.out_us?.saturating_add(SETTLES_US);
    slots(out_us.max(BEGIN_US), END_US)
}

/// A share in thousandths.
#[must_use]
pub fn permille((part, whole): (u64, u64)) -> u64 {
    part.saturating_mul(1_000) / whole.max(1)
}

impl Pair {
    /// What is not as it should be, if anything.
    #[must_use]
    pub fn unfair(&self) -> Option<String> {
        let low = |name: &str, share: Option<(u64, u64)>, least: u64| {
            let share = permille(share?);
            (share < least).then(|| format!("{name} {share} permille, at least {least} are due"))
        };
        let late = || {
            let ratio = permille(self.median_us?);
            (ratio > LATENCY_PERMILLE)
                .then(|| format!("latency {ratio} permille, at most {LATENCY_PERMILLE} are due"))
        };
        low("share while inside", self.inside, INSIDE_PERMILLE)
            .or_else(|| low("share after it is out", self.after, AFTER_PERMILLE))
            .or_else(late)
            .or_else(|| self.broken.clone())
            .map(|text| format!("fairness of {}, seed {}: {text}", self.strategy.name(), self.seed))
    }
}

/// What all pairs of a strategy came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub strategy: Strategy,
    pairs: Vec<Pair>,
}

/// The head of the table: of shares those of all pairs together and of the worst, of ratios the worst.
pub const HEAD: &str = "strategy                         pairs fired  inside  worst    after  worst   out   latency  unfair";

impl Row {
    /// Of these pairs of a strategy.
    #[must_use]
    pub const fn new(strategy: Strategy, pairs: Vec<Pair>) -> Self {
        Self { strategy, pairs }
    }

    /// How many of them are unfair.
    #[must_use]
    pub fn unfair(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.unfair().is_some()).count()
    }

    /// The first that is, in words.
    #[must_use]
    pub fn first(&self) -> Option<String> {
        self.pairs.iter().find_map(Pair::unfair)
    }

    /// A line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let text = |share: Option<u64>| {
            share.map_or_else(|| "-".to_owned(), |s| format!("{}.{}%", s / 10, s % 10))
        };
        let both = |of: &dyn Fn(&Pair) -> Option<(u64, u64)>| {
            let all: Vec<(u64, u64)> = self.pairs.iter().filter_map(of).collect();
            let sum = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let worst = all.iter().copied().map(permille).min();
            (worst.map(|_| permille(sum)), worst)
        };
        let (inside, after) = (both(&|pair| pair.inside), both(&|pair| pair.after));
        let latency = self.pairs.iter().filter_map(|pair| pair.median_us).map(permille).max();
        let ratio = latency.map_or_else(
            || "-".to_owned(),
            |ratio| format!("{}.{:02}", ratio / 1_000, ratio % 1_000 / 10),
        );
        format!(
            "{:<32} {:>5} {:>5} {:>7} {:>6} {:>8} {:>6} {:>5} {:>9} {:>7}",
            self.strategy.name(),
            self.pairs.len(),
            self.pairs.iter().filter(|pair| pair.fired).count(),
            text(inside.0),
            text(inside.1),
            text(after.0),
            text(after.1),
            self.pairs.iter().filter(|pair| pair.after.is_some()).count(),
            ratio,
            self.unfair()
        )
    }
}

/// The most liars that a pair has are one, which every size bears.
const _: () = assert!(quorums::faulty(SIZES[0]) >= 1);

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::Order;

    /// Rates of two correct members that deliver one cast each tenth of a second, if `is_on` then.
    fn steady(is_on: impl Fn(u64) -> bool, takes_us: u64) -> Rates {
        let mut rates = Rates::default();
        for (index, slot) in (0..90).filter(|slot| is_on(*slot)).enumerate() {
            rates.asked(slot * SLOT_US, 0, index);
            rates.delivered(slot * SLOT_US + takes_us, (0, index), 1, Order::Total);
        }
        rates
    }

    fn pair_of(with: Rates) -> Pair {
        let outcome = |rates| Outcome { rates: Some(rates), ..Outcome::crashed(String::new()) };
        let good = |outcome| Outcome { verdict: crate::Verdict::Held, ..outcome };
        let (with, without) = (good(outcome(with)), good(outcome(steady(|_| true, 10))));
        compare((Strategy::SlowNulls, 1), &BTreeSet::from([0, 1]), &with, &without)
    }

    #[test]
    fn a_liar_that_slows_the_others_is_seen() {
        let same = pair_of(steady(|_| true, 10));
        assert_eq!((same.unfair(), same.inside, same.after), (None, Some((80, 80)), None));
        let text = pair_of(steady(|slot| slot % 3 > 0, 10)).unfair().unwrap();
        assert!(text.contains("while inside 675 permille"), "{text}");
        let text = pair_of(steady(|_| true, 51)).unfair().unwrap();
        assert!(text.contains("latency 5100 permille"), "{text}");
        let text = pair_of(Rates::default()).unfair().unwrap();
        assert!(text.contains("while inside 0 permille"), "{text}");
    }

    #[test]
    fn what_is_lost_after_it_is_out_is_seen_and_between_nothing_is_compared() {
        let found = |is_on: fn(u64) -> bool| {
            let mut rates = steady(is_on, 10);
            (rates.blamed_us, rates.out_us) = (Some(2_000_000), Some(4_000_000));
            pair_of(rates)
        };
        let hurt = found(|slot| !(20..50).contains(&slot));
        assert_eq!(
            (hurt.unfair(), hurt.inside, hurt.after),
            (None, Some((10, 10)), Some((40, 40)))
        );
        let lame = found(|slot| slot < 20 || slot % 10 > 0);
        assert!(lame.unfair().unwrap().contains("after it is out 900 permille"));
        let mut crashed = found(|_| true);
        crashed.broken = Some("crash".to_owned());
        assert!(crashed.unfair().unwrap().ends_with("crash"));
    }

    #[test]
    fn a_table_shows_all_pairs_and_the_worst() {
        let pairs = vec![pair_of(steady(|_| true, 10)), pair_of(steady(|slot| slot % 2 > 0, 20))];
        let row = Row::new(Strategy::SlowNulls, pairs);
        assert_eq!(row.unfair(), 1);
        assert!(row.first().unwrap().contains("seed 1"));
        let line = row.line();
        for figure in ["75.0%", "50.0%", "2.00"] {
            assert!(line.contains(figure), "{line}");
        }
    }
}
