//! P6 View agreement: a view has at most one successor; there is one chain of views, no fork.
//!
//! Whole records are compared, and each must name the one before it by id.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::{Hash32, View};

/// Every view that correct members installed, by what it follows.
#[derive(Debug)]
pub struct Succession {
    genesis: View,
    /// By the id of the view before: the view and who installed it first.
    successor: BTreeMap<Hash32, (View, usize)>,
    /// Of each process: number and id of the view it is in; `None` before its first.
    present: Vec<Option<(u64, Hash32)>>,
    /// Processes that begin later than with the genesis view.
    joiners: BTreeSet<usize>,
}

impl Succession {
    /// For `n` processes that begin with this view.
    #[must_use]
    pub fn new(genesis: View, n: usize) -> Self {
        let (successor, joiners) = (BTreeMap::new(), BTreeSet::new());
        Self { genesis, successor, present: vec![None; n], joiners }
    }

    /// `by` is a process that joins: its first view is any successor of a view that others were in.
    pub fn joins(&mut self, by: usize) {
        self.joiners.insert(by);
    }

    fn follows(&self, view: &View) -> bool {
        let is_known = |known: &View| known.id() == view.prev && known.number + 1 == view.number;
        is_known(&self.genesis) || self.successor.values().any(|(known, _)| is_known(known))
    }

    /// Checks that correct member `by` may install `view` next.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn installed(&mut self, by: usize, view: &View) -> Result<(), String> {
        let before = self.present[by].replace((view.number, view.id()));
        let (number, id) = match before {
            Some(before) => before,
            None if self.joiners.contains(&by) => {
                if !self.follows(view) {
                    return Err(format!("member {by} begins with a view that follows none"));
                }
                (view.number.saturating_sub(1), view.prev)
            }
            None if *view == self.genesis => return Ok(()),
            None => {
                return Err(format!("member {by} begins with a view that is not the genesis view"));
            }
        };
        if view.number != number + 1 {
            return Err(format!("member {by} installed view {} after {number}", view.number));
        }
        if view.prev != id {
            return Err(format!(
                "member {by} installed a view {} that does not follow its view {number}",
                view.number
            ));
        }
        if view.group != self.genesis.group || view.rule != self.genesis.rule {
            return Err(format!("view {} of member {by} is of another group", view.number));
        }
        match self.successor.get(&view.prev) {
            None => {
                self.successor.insert(view.prev, (view.clone(), by));
                Ok(())
            }
            Some((other, _)) if other == view => Ok(()),
            Some((_, first)) => Err(format!(
                "view {number} has two successors: one at member {first}, another at member {by}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{genesis, next};
    use super::*;
    use phalanx_core::Departure;

    fn rig() -> (Succession, View) {
        let first = genesis(5);
        let mut oracle = Succession::new(first.clone(), 5);
        assert!((0..5).all(|by| oracle.installed(by, &first) == Ok(())));
        (oracle, first)
    }

    #[test]
    fn one_chain_is_good() {
        let (mut oracle, first) = rig();
        let second = next(&first, &[(4, Departure::Opinion)], &[]);
        let third = next(&second, &[], &[1]);
        for by in 0..4 {
            assert_eq!(oracle.installed(by, &second), Ok(()));
            assert_eq!(oracle.installed(by, &third), Ok(()));
        }
    }

    #[test]
    fn two_successors_are_seen_whatever_differs() {
        let changes: [fn(&View) -> View; 4] = [
            |view| next(view, &[(3, Departure::Opinion)], &[]),
            |view| next(view, &[(4, Departure::Proof)], &[]),
            |view| next(view, &[(4, Departure::Opinion)], &[1]),
            |view| View { pledge: 0, ..next(view, &[(4, Departure::Opinion)], &[]) },
        ];
        for change in changes {
            let (mut oracle, first) = rig();
            let second = next(&first, &[(4, Departure::Opinion)], &[]);
            assert_eq!(oracle.installed(0, &second), Ok(()));
            let forked = oracle.installed(1, &change(&first));
            assert!(forked.unwrap_err().contains("two successors"));
        }
    }

    #[test]
    fn leaps_and_other_pasts_are_seen() {
        let (mut oracle, first) = rig();
        let second = next(&first, &[], &[]);
        let third = next(&second, &[], &[]);
        assert!(oracle.installed(0, &third).unwrap_err().contains("after 0"));
        let stranger = View { prev: second.id(), ..second.clone() };
        assert!(oracle.installed(1, &stranger).unwrap_err().contains("does not follow"));
        let foreign = View { group: second.id(), ..second };
        assert!(oracle.installed(2, &foreign).unwrap_err().contains("another group"));
        let mut late = Succession::new(first, 1);
        assert!(late.installed(0, &third).unwrap_err().contains("begins"));
    }
    #[test]
    fn who_joins_begins_with_a_successor() {
        let (mut oracle, first) = rig();
        let second = next(&first, &[(4, Departure::Opinion)], &[]);
        let third = next(&second, &[], &[]);
        let mut later = Succession::new(first.clone(), 9);
        (6..9).for_each(|joiner| later.joins(joiner));
        assert!(later.installed(6, &third).unwrap_err().contains("follows none"));
        assert_eq!(later.installed(7, &second), Ok(()));
        assert_eq!(later.installed(7, &third), Ok(()));
        let other = next(&second, &[], &[1]);
        assert!(later.installed(8, &other).unwrap_err().contains("two successors"));
        assert!(oracle.installed(0, &second).is_ok());
    }
}
