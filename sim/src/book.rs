//! The attack book: every named scenario with the flaw that it stands for, and what came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::library;
use crate::run::{self, Outcome, RunError};
use crate::scenario::Scenario;
use crate::verdict::{self, Verdict};

/// The head of the table.
pub const HEAD: &str = "flaw      scenario                                           views attempts   virtual us verdict";

/// A scenario that was played.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was played.
    pub scenario: Scenario,
    /// What came of it.
    pub outcome: Outcome,
}

/// Plays a scenario.
///
/// # Errors
/// If it cannot be played.
pub fn play(scenario: Scenario) -> Result<Entry, RunError> {
    let outcome = run::run(&scenario, None)?;
    Ok(Entry { scenario, outcome })
}

/// Plays scenarios on several threads; the entries are in their order.
///
/// # Errors
/// If one cannot be played.
pub fn play_all(scenarios: Vec<Scenario>, jobs: usize) -> Result<Vec<Entry>, RunError> {
    let next = Mutex::new(scenarios.into_iter().enumerate());
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((place, scenario)) = locked(&next).next() else { return };
                    let entry = play(scenario);
                    locked(&played).push((place, entry));
                }
            });
        }
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|(place, _)| *place);
    played.into_iter().map(|(_, entry)| entry).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All named scenarios, those of the flaws first, in the order of their numbers.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let mut all = library::all();
    let is_other = |scenario: &Scenario| !scenario.name.starts_with(FOLDER);
    all.sort_by_key(|scenario| (is_other(scenario), scenario.name.clone()));
    all
}

/// Where the schedules of the flaws are.
const FOLDER: &str = "flaws/";

/// The flaw that a scenario stands for: `D45a` for `flaws/d45a_...`, the ids in brackets at the end
/// of its story for any other, or nothing.
#[must_use]
pub fn flaw(scenario: &Scenario) -> String {
    if let Some(name) = scenario.name.strip_prefix(FOLDER) {
        let id = name.split('_').next().unwrap_or_default();
        let (letter, number) = id.split_at(id.len().min(1));
        return format!("{}{}", letter.to_uppercase(), number.trim_start_matches('0'));
    }
    let brackets = scenario.about.split('(').skip(1).filter_map(|rest| rest.split(')').next());
    let is_id = |text: &&str| {
        let mut letters = text.chars();
        matches!(letters.next(), Some('F' | 'D'))
            && letters.next().is_some_and(|letter| letter.is_ascii_digit())
    };
    brackets.filter(is_id).collect::<Vec<_>>().join(", ")
}

impl Entry {
    /// Whether it ended as it says.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.outcome.verdict.is_as_expected(&self.scenario.expect)
    }

    /// The exit code that it stands for.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.is_as_expected() { verdict::HELD } else { self.outcome.verdict.code() }
    }

    /// Two lines of the table: the figures, and the story below them.
    #[must_use]
    pub fn lines(&self) -> String {
        let is_good = self.is_as_expected();
        let verdict = match &self.outcome.verdict {
            Verdict::Held => "held".to_owned(),
            Verdict::Expected(violations) => {
                let names = violations.iter().map(|violation| violation.promise.name());
                format!("broken as expected: {}", names.collect::<Vec<_>>().join(", "))
            }
            other if is_good => format!("as expected, {other}"),
            other => format!("NOT AS EXPECTED: {other}"),
        };
        let history = &self.outcome.history;
        format!(
            "{:<9} {:<50} {:>5} {:>8} {:>12} {verdict}\n          {}",
            flaw(&self.scenario),
            self.scenario.name,
            history.views.len() + 1,
            history.transitional() + 1,
            self.outcome.end_us,
            self.scenario.about,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_come_from_names_and_stories() {
        let mut scenario = Scenario::calm("flaws/d45a_evidence", 4, 1);
        assert_eq!(flaw(&scenario), "D45a");
        scenario.name = "flaws/f02_leader_change".to_owned();
        assert_eq!(flaw(&scenario), "F2");
        scenario.name = "two_new_views".to_owned();
        scenario.about = "it proposes (as leader) two views (F4)".to_owned();
        assert_eq!(flaw(&scenario), "F4");
        scenario.about = "nothing happens".to_owned();
        assert_eq!(flaw(&scenario), "");
    }

    #[test]
    fn every_flaw_is_played() {
        let played: BTreeSet<String> = scenarios().iter().map(flaw).collect();
        let ids = (1..=24).map(|id| format!("F{id}")).chain((1..=48).map(|id| format!("D{id}")));
        for id in ids.chain(["D45a".to_owned()]) {
            assert!(played.contains(&id), "{id}");
        }
    }
}
