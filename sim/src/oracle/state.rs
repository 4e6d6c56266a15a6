//! State transfer (protocol.md section 10): the applications of all correct members are equal where
//! a view begins; what a process loads is just that; and until it has loaded it, nothing is
//! delivered to it. In the end all that are Active are equal again.
//!
//! A process that loads may be in later views already: which view its application has come to, its
//! place, is kept here for all others to judge its deliveries by.
//!
//! Liveness: a state is owed to an Active process as long as enough correct members keep it that
//! weak of them can sign it, or, once the first piece came, as long as one does. A process that was
//! cut off for longer than `retain_us`, and was not even silenced for it, is told that it stands
//! still, and gets a newer one once it was Silenced and is Active again.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::Hash32;

use super::quorums;
use super::views::Views;

/// Whether a process has the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has.
    Whole,
    /// It loads the one with which the view at this place begins.
    Loads {
        of: usize,
        /// Whether a piece of it came.
        has_begun: bool,
    },
    /// It has lost it, and votes on.
    Lost,
}

/// Where a process stands.
#[derive(Clone, Debug)]
struct Stand {
    phase: Phase,
    /// The place of the view that its application has come to.
    at: usize,
    /// The places of the views that it installed, by number.
    installed: BTreeMap<u64, usize>,
}

/// The states of all processes.
#[derive(Debug)]
pub struct State {
    stands: Vec<Stand>,
    /// By place of a view: the state with which it begins, and who came there first.
    begins: BTreeMap<usize, (Hash32, usize)>,
    /// By place of a view: all that came there with the state, and keep it.
    donors: BTreeMap<usize, BTreeSet<usize>>,
}

impl State {
    /// For `n` processes that have the state of the genesis view.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let installed = BTreeMap::from([(0, 0)]);
        let stand = Stand { phase: Phase::Whole, at: 0, installed };
        Self { stands: vec![stand; n], begins: BTreeMap::new(), donors: BTreeMap::new() }
    }

    /// `by` installs the view of this number at this place.
    pub fn installed(&mut self, by: usize, number: u64, place: usize) {
        let stand = &mut self.stands[by];
        stand.installed.insert(number, place);
        if stand.phase == Phase::Lost {
            stand.at = place;
        }
    }

    /// `by` has to load the state with which the view at this place begins.
    pub fn loads(&mut self, by: usize, place: usize) {
        let stand = &mut self.stands[by];
        stand.phase = Phase::Loads { of: place, has_begun: false };
        stand.at = place;
    }

    /// `by` has lost its state.
    pub fn lost(&mut self, by: usize) {
        self.stands[by].phase = Phase::Lost;
    }

    /// Whether `by` has its state.
    #[must_use]
    pub fn is_whole(&self, by: usize) -> bool {
        self.stands[by].phase == Phase::Whole
    }

    /// Whether `by` has lost it.
    #[must_use]
    pub fn is_lost(&self, by: usize) -> bool {
        self.stands[by].phase == Phase::Lost
    }

    /// Whether `by` loads that of a view other than the one at this place.
    #[must_use]
    pub fn is_loading_before(&self, by: usize, place: usize) -> bool {
        matches!(self.stands[by].phase, Phase::Loads { of, .. } if of != place)
    }

    /// Whether `by` loads it.
    #[must_use]
    pub fn is_loading(&self, by: usize) -> bool {
        matches!(self.stands[by].phase, Phase::Loads { .. })
    }

    /// The place of the view that the application of `by` has come to.
    #[must_use]
    pub fn at(&self, by: usize) -> usize {
        self.stands[by].at
    }

    /// The place of the view with this number that `by` installed.
    #[must_use]
    pub fn place(&self, by: usize, number: u64) -> Option<usize> {
        self.stands[by].installed.get(&number).copied()
    }

    /// The application of `by` goes on from the view of number `from` to the next one that `by`
    /// installed, if that is no later than `to`: its place.
    pub fn goes_on(&mut self, by: usize, from: u64, to: u64) -> Option<usize> {
        let stand = &mut self.stands[by];
        if to <= from {
            return None;
        }
        let next = stand.installed.range(from + 1..=to).next().map(|(_, place)| *place)?;
        stand.at = next;
        Some(next)
    }

    /// A piece of a state came to `by`.
    pub fn piece(&mut self, by: usize) {
        if let Phase::Loads { has_begun, .. } = &mut self.stands[by].phase {
            *has_begun = true;
        }
    }

    /// `by` has loaded the state with which the view at `place` begins; says whether that is not the
    /// view that it is in.
    ///
    /// # Errors
    /// If it was to load another, or none.
    pub fn loaded(&mut self, by: usize, place: Option<usize>) -> Result<bool, String> {
        let stand = &mut self.stands[by];
        let of = match stand.phase {
            Phase::Loads { of, .. } => Some(of),
            Phase::Whole | Phase::Lost => None,
        };
        if of.is_none() || of != place {
            return Err(format!("process {by} has loaded a state that it was not to load"));
        }
        stand.phase = Phase::Whole;
        Ok(stand.installed.values().max() > of.as_ref())
    }

    /// The application of `by` is where the view at `place` begins, with this state.
    ///
    /// # Errors
    /// If another was there with another state.
    pub fn begins(&mut self, by: usize, place: usize, state: Hash32) -> Result<(), String> {
        let (first, who) = *self.begins.entry(place).or_insert((state, by));
        self.donors.entry(place).or_default().insert(by);
        if first == state {
            return Ok(());
        }
        Err(format!("process {by} begins view {place} with another state than process {who}"))
    }

    /// `by` keeps the state with which the view of this number began no longer.
    pub fn released(&mut self, by: usize, number: u64) {
        let place = self.place(by, number);
        if let Some(donors) = place.and_then(|place| self.donors.get_mut(&place)) {
            donors.remove(&by);
        }
    }

    /// `by` has loaded this state of the view at `place`.
    ///
    /// # Errors
    /// If no correct member began that view with it.
    pub fn is_right(&self, by: usize, place: usize, state: Hash32) -> Result<(), String> {
        match self.begins.get(&place) {
            Some((known, _)) if *known == state => Ok(()),
            Some((_, who)) => {
                Err(format!("process {by} loaded another state than that of process {who}"))
            }
            None => Err(format!("process {by} loaded a state that nobody had")),
        }
    }

    /// Who of the Active members `here` waits for a state that is owed to it, if anyone; `present`
    /// are the correct members that are still there.
    #[must_use]
    pub fn missing(&self, views: &Views, here: &[usize], present: &[usize]) -> Option<String> {
        here.iter().copied().find_map(|process| {
            let Phase::Loads { of, has_begun } = self.stands[process].phase else { return None };
            let newest = views.newest().1;
            let can = |donor: &&usize| {
                **donor != process && present.contains(*donor) && newest.lists(**donor)
            };
            let donors = self.donors.get(&of).map_or(0, |donors| donors.iter().filter(can).count());
            let voters = u16::try_from(views.at(of).view.cut.len()).unwrap_or(u16::MAX);
            let least = if has_begun { 1 } else { quorums::faulty(voters) + 1 };
            (donors >= least).then(|| {
                format!("process {process} waits for a state that {donors} correct members have")
            })
        })
    }
}

/// Whose state is not that of the others, if anyone's is not.
///
/// # Errors
/// Who.
pub fn equal(states: &[(usize, Hash32)]) -> Result<(), String> {
    let Some((first, state)) = states.first() else { return Ok(()) };
    let other = states.iter().find(|(_, other)| other != state);
    other.map_or(Ok(()), |(other, _)| {
        Err(format!("process {other} ends with another state than process {first}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{all_correct, genesis, with};
    use super::*;
    use phalanx_core::LogEnd;
    use phalanx_core::wire::List;

    const A: Hash32 = Hash32([1; 32]);
    const B: Hash32 = Hash32([2; 32]);

    #[test]
    fn two_states_where_a_view_begins_are_seen() {
        let mut oracle = State::new(5);
        assert_eq!(oracle.begins(0, 1, A), Ok(()));
        assert_eq!(oracle.begins(1, 1, A), Ok(()));
        assert!(oracle.begins(2, 1, B).unwrap_err().contains("process 0"));
        assert_eq!(oracle.begins(2, 2, B), Ok(()));
        assert!(equal(&[(0, A), (1, A)]).is_ok() && equal(&[]).is_ok());
        assert!(equal(&[(0, A), (1, B)]).unwrap_err().contains("process 1"));
    }

    #[test]
    fn only_the_state_of_its_own_first_view_may_be_loaded() {
        let mut oracle = State::new(5);
        assert_eq!(oracle.begins(0, 1, A), Ok(()));
        oracle.installed(4, 7, 1);
        oracle.loads(4, 1);
        assert!(oracle.is_loading(4) && !oracle.is_whole(4));
        oracle.installed(4, 8, 2);
        assert_eq!((oracle.place(4, 8), oracle.place(4, 6), oracle.at(4)), (Some(2), None, 1));
        assert!(oracle.loaded(4, Some(2)).is_err() && oracle.loaded(4, None).is_err());
        assert_eq!(oracle.loaded(4, Some(1)), Ok(true), "it is in a later view");
        assert!(oracle.loaded(4, Some(1)).is_err(), "twice");
        assert_eq!(oracle.is_right(4, 1, A), Ok(()));
        assert!(oracle.is_right(4, 1, B).is_err() && oracle.is_right(4, 2, A).is_err());
        assert_eq!(oracle.goes_on(4, 7, 7), None);
        assert_eq!((oracle.goes_on(4, 7, 8), oracle.at(4)), (Some(2), 2));
    }

    #[test]
    fn a_state_is_owed_as_long_as_enough_have_it() {
        let first = genesis(4);
        let mut views = all_correct(&first);
        let mut second = with(&first, 4, 0);
        second.cut = List::from(vec![LogEnd::EMPTY; 4]);
        let key = second.members[4].key;
        let life = super::super::views::Life { host: 4, key, incarnation: 0, is_liar: false };
        views.started(life);
        let (place, _) = views.installed(4, &second);
        let mut oracle = State::new(5);
        oracle.installed(4, 1, place);
        oracle.loads(4, place);
        let missing = |oracle: &State, present: &[usize]| oracle.missing(&views, &[4], present);
        assert_eq!(missing(&oracle, &[0, 1, 4]), None, "nobody is there yet");
        assert!((0..3).all(|by| oracle.begins(by, place, A).is_ok()));
        assert!(missing(&oracle, &[0, 1, 4]).unwrap().contains("process 4"));
        assert_eq!(missing(&oracle, &[0, 4]), None, "one cannot make it agree on a state");
        oracle.piece(4);
        assert!(missing(&oracle, &[0, 4]).is_some(), "it has, so one is enough");
        assert_eq!(missing(&oracle, &[4]), None);
        oracle.installed(0, 1, place);
        oracle.released(0, 1);
        assert_eq!(missing(&oracle, &[0, 4]), None, "it keeps it no longer");
    }
}
