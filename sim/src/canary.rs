//! The canary: one liar too many against unmodified correct members must turn the safety oracles
//! red. A checker that cannot fail is a defect.

use crate::adversary::Strategy;
use crate::oracle::quorums;
use crate::run::{self, RunError};
use crate::scenario::{Liars, Scenario};
use crate::verdict::{Promise, Verdict, Violation};

/// Seeds tried with each strategy.
const SEEDS: u64 = 10;

/// Where an oracle turned red.
#[derive(Clone, Debug)]
pub struct Red {
    /// What the liars did.
    pub strategy: Strategy,
    /// In which seed.
    pub seed: u64,
    /// What was broken.
    pub violations: Vec<Violation>,
}

/// The run of one seed: four members, two of them liars.
#[must_use]
pub fn scenario(strategy: Strategy, seed: u64) -> Scenario {
    let mut scenario = Scenario::calm("canary", 4, seed);
    let too_many = u16::try_from(quorums::faulty(scenario.members) + 1).unwrap_or(u16::MAX);
    let first = scenario.members - too_many;
    scenario.liars = Some(Liars {
        ranks: (first..scenario.members).collect(),
        strategy: strategy.name().to_owned(),
        ..Liars::default()
    });
    scenario.workload.casts = 50;
    scenario.bound_us = 10_000_000;
    scenario
}

/// Tries all strategies; the first red of each that turns P3 or P4 red.
///
/// # Errors
/// If a run could not be played.
pub fn canary() -> Result<Vec<Red>, RunError> {
    let mut reds = Vec::new();
    for strategy in Strategy::ALL {
        for seed in 0..SEEDS {
            let outcome = run::run(&scenario(strategy, seed), None)?;
            if let Verdict::Safety(violations) = outcome.verdict
                && violations.iter().any(|v| matches!(v.promise, Promise::P3 | Promise::P4))
            {
                reds.push(Red { strategy, seed, violations });
                break;
            }
        }
    }
    Ok(reds)
}
