//! L1: a member suspected by weak correct members of the view is removed, or silenced, eventually.

use std::collections::{BTreeMap, BTreeSet};

use super::quorums;
use super::views::Record;

/// Who suspects whom, in each view.
#[derive(Debug, Default)]
pub struct Removal {
    /// By view and subject: the correct members that suspect it.
    suspecters: BTreeMap<(usize, usize), BTreeSet<usize>>,
}

impl Removal {
    /// In the view at this place, correct member `by` suspects `subject`.
    pub fn suspected(&mut self, view: usize, by: usize, subject: usize) {
        self.suspecters.entry((view, subject)).or_default().insert(by);
    }

    /// Which Active member of the newest view should not be one, if any; `present` are the correct
    /// members that are still there.
    #[must_use]
    pub fn missing(&self, view: usize, record: &Record, present: &[usize]) -> Option<String> {
        let weak = quorums::faulty(record.size()) + 1;
        let active =
            record.processes.iter().flatten().filter(|process| record.is_active(**process));
        let active: Vec<usize> = active.copied().collect();
        if active.len() < 2 {
            return None;
        }
        active.into_iter().find_map(|subject| {
            let suspecters = self.suspecters.get(&(view, subject))?;
            let count = suspecters.iter().filter(|by| present.contains(by)).count();
            (count >= weak).then(|| {
                format!("member {subject} is Active although {count} correct members suspect it")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{all_correct, genesis, next};
    use super::*;
    use phalanx_core::Departure;

    #[test]
    fn whom_weak_suspect_must_go() {
        let first = genesis(5);
        let mut views = all_correct(&first);
        let mut oracle = Removal::default();
        oracle.suspected(0, 1, 4);
        assert_eq!(oracle.missing(0, views.at(0), &[0, 1, 2]), None, "one is not weak");
        oracle.suspected(0, 3, 4);
        assert_eq!(oracle.missing(0, views.at(0), &[0, 1, 2]), None, "the other is gone");
        oracle.suspected(0, 2, 4);
        assert!(oracle.missing(0, views.at(0), &[0, 1, 2]).is_some());
        let (removed, _) = views.installed(0, &next(&first, &[(4, Departure::Opinion)], &[]));
        assert_eq!(oracle.missing(removed, views.at(removed), &[0, 1, 2]), None);
        let (silenced, _) = views.installed(0, &next(&first, &[], &[4]));
        oracle.suspected(silenced, 1, 4);
        oracle.suspected(silenced, 2, 4);
        assert_eq!(oracle.missing(silenced, views.at(silenced), &[0, 1, 2]), None);
    }

    #[test]
    fn the_last_active_member_stays() {
        let first = genesis(3);
        let mut views = all_correct(&first);
        let (last, _) = views.installed(0, &next(&first, &[], &[1, 2]));
        let mut oracle = Removal::default();
        oracle.suspected(last, 1, 0);
        assert_eq!(oracle.missing(last, views.at(last), &[0, 1, 2]), None);
    }
}
