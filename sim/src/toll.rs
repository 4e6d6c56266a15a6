//! What a strategy costs the others: the casts of correct members that correct members deliver, as a
//! share of the same run in which the liar is correct; while the attack is young, and later, when it
//! should have been found.

use crate::adversary::Strategy;
use crate::run::{self, Outcome, RunError};
use crate::scenario::{CostPreset, Join, Liars, Membership, Scenario, Workload};

/// The first span, and the end of the second.
const SPANS_US: [u64; 2] = [15_000_000, 60_000_000];

/// The rank that lies: it leads first.
const LIAR: u16 = 0;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Toll {
    /// The strategy.
    pub strategy: Strategy,
    /// How often it lied.
    pub fired: u64,
    /// The share in the first span, in thousandths.
    pub early_permille: u64,
    /// The share afterwards.
    pub late_permille: u64,
    /// Processes that are excluded, and that were silenced.
    pub gone: (Vec<usize>, Vec<usize>),
    /// How the long run ended, if a promise other than liveness was broken: it never ends by itself.
    pub broken: Option<String>,
}

/// The head of the table.
pub const HEAD: &str =
    "strategy                         lies    to 15 s  to 60 s  excluded   silenced";

impl Toll {
    /// A line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        format!(
            "{:<28} {:>8} {:>10} {:>8}  {:<10} {:<10} {}",
            self.strategy.name(),
            self.fired,
            percent(self.early_permille),
            percent(self.late_permille),
            format!("{:?}", self.gone.0),
            format!("{:?}", self.gone.1),
            self.broken.as_deref().unwrap_or_default()
        )
    }
}

/// A group that is busy for this long, and has its views changed now and then.
fn scenario(strategy: Strategy, span_us: u64, has_changes: bool) -> Scenario {
    let mut scenario = Scenario::calm("toll", 4, 1);
    scenario.membership = Membership::Managed;
    scenario.cost = CostPreset::Ed25519;
    (scenario.least_us, scenario.bound_us) = (span_us, span_us);
    scenario.workload = Workload {
        casts: u32::MAX,
        burst_max: 4,
        pause_us: 30_000,
        silent: LIAR + 1,
        ..Workload::default()
    };
    for nth in 0..if has_changes { 12 } else { 0 } {
        let at_us = 2_000_000 + 4_000_000 * nth;
        let casts = Some(0);
        scenario.joins.push(Join { stay_us: Some(500_000), casts, ..Join::at(at_us) });
    }
    let strategy = strategy.name().to_owned();
    scenario.liars = Some(Liars { ranks: vec![LIAR], strategy, ..Liars::default() });
    scenario
}

/// Casts delivered and virtual time of a run.
fn work(outcome: &Outcome) -> (u64, u64) {
    (outcome.delivered, outcome.end_us)
}

/// Casts per second of virtual time, in thousandths, between two runs of which one is the beginning of
/// the other.
fn rate(from: (u64, u64), to: (u64, u64)) -> u64 {
    let (casts, us) = (to.0.saturating_sub(from.0), to.1.saturating_sub(from.1));
    u64::try_from(u128::from(casts) * 1_000_000_000 / u128::from(us.max(1))).unwrap_or(u64::MAX)
}

/// Measures a strategy of members.
///
/// # Errors
/// If a run cannot be played.
pub fn measure(strategy: Strategy) -> Result<Toll, RunError> {
    let in_any = Strategy::ALL.into_iter().chain(Strategy::STAYING);
    let has_changes = !in_any.into_iter().any(|known| known == strategy);
    let play = |strategy| -> Result<[Outcome; 2], RunError> {
        let [first, second] =
            SPANS_US.map(|span_us| run::run(&scenario(strategy, span_us, has_changes), None));
        Ok([first?, second?])
    };
    let (with, without) = (play(strategy)?, play(Strategy::Scripted)?);
    let rates = |[first, second]: &[Outcome; 2]| {
        [rate((0, 0), work(first)), rate(work(first), work(second))]
    };
    let ([early, late], [early_well, late_well]) = (rates(&with), rates(&without));
    let share = |rate: u64, well: u64| rate.saturating_mul(1_000) / well.max(1);
    let [_, long] = &with;
    let broken = match &long.verdict {
        crate::Verdict::Safety(_) | crate::Verdict::Crash(_) => Some(long.verdict.to_string()),
        _ => None,
    };
    Ok(Toll {
        strategy,
        fired: long.fired,
        early_permille: share(early, early_well),
        late_permille: share(late, late_well),
        gone: (long.history.excluded(), long.history.silenced()),
        broken,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correct_member_costs_nothing() {
        let toll = measure(Strategy::Scripted).unwrap();
        assert_eq!((toll.early_permille, toll.late_permille, toll.fired), (1_000, 1_000, 0));
        assert!(toll.broken.is_none() && toll.gone.0.is_empty(), "{}", toll.line());
    }
}
