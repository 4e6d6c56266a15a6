//! Two and three faults in one view change: each of a crash and of members that fall silent at a
//! phase of the change that the crash begins, at its leader, its deputy and another member. Each once
//! with the default pledge, where who cannot be spared is silenced, and once with pledge 0, where
//! culprits are excluded as in the paper.
//!
//! Times are virtual: with a constant delay and no cost of work, a table says how many time-outs and
//! message delays a combination takes, on any machine.

use crate::adversary::{Phase, Strategy};
use crate::run::{self, RunError};
use crate::scenario::{Crash, Liars, Membership, Network, Scenario};
use crate::verdict::Verdict;

/// The phases at which the second and third faults happen.
const PHASES: [Phase; 6] =
    [Phase::Flush, Phase::NewView, Phase::Ack, Phase::Commit, Phase::Ready, Phase::Decision];

/// The delay of every frame.
const DELAY_US: u64 = 500;

/// When the first member stops.
const CRASH_US: u64 = 150_000;

/// How long a run lasts at least: until whoever is silent has been found.
const LEAST_US: u64 = 8_000_000;

/// Which member of a group fails: its duty in the first attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Leader,
    Deputy,
    Other,
}

impl Duty {
    const ALL: [Self; 3] = [Self::Leader, Self::Deputy, Self::Other];

    /// Its rank; `nth` tells others apart.
    const fn rank(self, nth: u16) -> u16 {
        match self {
            Self::Leader => 0,
            Self::Deputy => 1,
            Self::Other => 2 + nth,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Deputy => "deputy",
            Self::Other => "other",
        }
    }
}

/// A combination of faults.
#[derive(Clone, Debug)]
pub struct Cell {
    /// In words.
    pub faults: String,
    /// As a run.
    pub scenario: Scenario,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its faults in words.
    pub faults: String,
    /// Members of the group.
    pub members: u16,
    /// The limit of its pledge, if any.
    pub pledge: Option<u16>,
    /// The phase of the second and third fault.
    pub phase: String,
    /// Who is excluded, and who is silenced.
    pub gone: (Vec<usize>, Vec<usize>),
    /// Attempts given up.
    pub transitional: usize,
    /// Views installed.
    pub views: usize,
    /// From the first fault to the last installation.
    pub took_us: u64,
    /// How the run ended.
    pub verdict: Verdict,
}

/// All combinations, doubles of 7 and 10 members and triples of 10, in a fixed order: first with the
/// default pledge, then with none.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let with = |pledge| {
        combinations().into_iter().map(move |mut cell| {
            cell.scenario.pledge = pledge;
            cell
        })
    };
    with(None).chain(with(Some(0))).collect()
}

fn combinations() -> Vec<Cell> {
    let mut cells = Vec::new();
    for members in [7, 10] {
        for first in Duty::ALL {
            for phase in PHASES {
                for second in Duty::ALL {
                    if second == first && second != Duty::Other {
                        continue;
                    }
                    cells.push(cell(members, phase, first, &[second]));
                    let third =
                        Duty::ALL.into_iter().find(|duty| *duty != first && *duty != second);
                    if let Some(third) = third.filter(|_| members == 10) {
                        cells.push(cell(members, phase, first, &[second, third]));
                    }
                }
            }
        }
    }
    cells
}

fn cell(members: u16, phase: Phase, first: Duty, silent: &[Duty]) -> Cell {
    let strategy = Strategy::PhaseStopper(phase);
    let mut faults = format!("crash {}", first.name());
    let mut ranks = Vec::new();
    for (nth, duty) in (1..).zip(silent) {
        faults.push_str(&format!(", silent {}", duty.name()));
        ranks.push(duty.rank(nth));
    }
    let mut scenario = Scenario::calm(&faults, members, 1);
    scenario.membership = Membership::Managed;
    scenario.network = Network { min_us: DELAY_US, max_us: DELAY_US, ..Network::default() };
    scenario.crashes =
        vec![Crash { rank: first.rank(0), at_us: Some(CRASH_US), ..Crash::default() }];
    let strategy = strategy.name().to_owned();
    scenario.liars = Some(Liars { ranks, strategy, ..Liars::default() });
    scenario.workload.casts = 50;
    scenario.least_us = LEAST_US;
    scenario.expect.views = 2;
    Cell { faults, scenario }
}

/// Plays one combination.
///
/// # Errors
/// If it cannot be played.
pub fn play(cell: &Cell) -> Result<Row, RunError> {
    let outcome = run::run(&cell.scenario, None)?;
    let history = &outcome.history;
    let phase = cell.scenario.strategy().map_or("", Strategy::name);
    Ok(Row {
        faults: cell.faults.clone(),
        members: cell.scenario.members,
        pledge: cell.scenario.pledge,
        phase: phase.trim_start_matches("phase_stopper_").to_owned(),
        gone: (history.excluded(), history.silenced()),
        transitional: history.transitional(),
        views: history.views.len(),
        took_us: history.took_us().unwrap_or(0),
        verdict: outcome.verdict,
    })
}

/// The head of the table.
pub const HEAD: &str = "members pledge faults                             phase     excluded   silenced   \
                        transitional views  virtual us verdict";

impl Row {
    /// A line of the table.
    #[must_use]
    pub fn line(&self) -> String {
        let list = |ranks: &[usize]| {
            let ranks: Vec<String> = ranks.iter().map(ToString::to_string).collect();
            if ranks.is_empty() { "-".to_owned() } else { ranks.join(",") }
        };
        format!(
            "{:>7} {:>6} {:<34} {:<9} {:<10} {:<10} {:>12} {:>5} {:>11} {}",
            self.members,
            self.pledge.map_or_else(|| "-".to_owned(), |pledge| pledge.to_string()),
            self.faults,
            self.phase,
            list(&self.gone.0),
            list(&self.gone.1),
            self.transitional,
            self.views,
            self.took_us,
            self.verdict
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::quorums;

    #[test]
    fn no_combination_is_beyond_what_its_group_bears() {
        let cells = cells();
        assert!(cells.len() > 90, "{}", cells.len());
        for cell in &cells {
            let scenario = &cell.scenario;
            let faults = scenario.liar_ranks().len() + scenario.crashes.len();
            assert!(faults <= quorums::faulty(scenario.members), "{}", cell.faults);
            let crashed = scenario.crashes.first().map(|crash| crash.rank);
            assert!(!crashed.is_some_and(|rank| scenario.liar_ranks().contains(&rank)));
        }
    }

    #[test]
    fn every_seventh_combination_holds() {
        for cell in cells().iter().step_by(7) {
            let row = play(cell).expect("a good scenario");
            assert_eq!(row.verdict, Verdict::Held, "{}", row.line());
            assert!(row.views > 0 && row.took_us > 0, "{}", row.line());
        }
    }
}
