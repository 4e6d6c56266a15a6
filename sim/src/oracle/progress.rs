//! L3: once a quorum of correct members of the view can talk, the group makes progress: all of them
//! come to its newest view, no change of it stands still, and views come to rest.

use super::quorums;
use super::views::Views;

/// Where each member stands, and how many views there were since the network is well.
#[derive(Debug)]
pub struct Progress {
    blocked: Vec<bool>,
    views_since: usize,
}

impl Progress {
    /// For `n` processes.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { blocked: vec![false; n], views_since: 0 }
    }

    /// `by` is, or is no longer, in the middle of a view change.
    pub fn blocked(&mut self, by: usize, is_blocked: bool) {
        self.blocked[by] = is_blocked;
    }

    /// A view was installed for the first time, after the network was well.
    pub const fn grew(&mut self) {
        self.views_since += 1;
    }

    /// Whether the correct members that are still there are a quorum of the newest view.
    #[must_use]
    pub fn is_owed(views: &Views, present: &[usize], is_paper: bool) -> bool {
        let (_, newest) = views.newest();
        let here = present.iter().filter(|process| newest.lists(**process)).count();
        here >= quorums::quorum(newest.size(), is_paper)
    }

    /// Who of the correct members that are still there has not come along, if anyone. Nothing is
    /// owed to those that the newest view does not list.
    #[must_use]
    pub fn missing(&self, views: &Views, present: &[usize]) -> Option<String> {
        let (at, newest) = views.newest();
        let mut here = present.iter().filter(|process| newest.lists(**process));
        here.find_map(|process| {
            if views.place(*process) != at {
                let (old, new) = (views.present(*process).view.number, newest.view.number);
                return Some(format!("member {process} is in view {old}, others in view {new}"));
            }
            self.blocked[*process].then(|| format!("member {process} stands in a view change"))
        })
    }

    /// Whether there were more views since the network is well than `most`.
    #[must_use]
    pub fn restless(&self, most: usize) -> Option<String> {
        (self.views_since > most).then(|| {
            format!("{} views since the network is well, at most {most} are due", self.views_since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{all_correct, genesis, next};
    use super::*;
    use phalanx_core::Departure;

    #[test]
    fn laggards_and_unfinished_changes_are_seen() {
        let first = genesis(5);
        let second = next(&first, &[(4, Departure::Opinion)], &[]);
        let mut views = all_correct(&first);
        let mut oracle = Progress::new(5);
        assert_eq!(oracle.missing(&views, &[0, 1, 4]), None);
        views.installed(0, &second);
        assert!(oracle.missing(&views, &[0, 1, 4]).unwrap().contains("member 1 is in view 0"));
        views.installed(1, &second);
        assert_eq!(oracle.missing(&views, &[0, 1, 4]), None, "4 is not listed");
        oracle.blocked(1, true);
        assert!(oracle.missing(&views, &[0, 1]).unwrap().contains("view change"));
        oracle.blocked(1, false);
        assert_eq!(oracle.missing(&views, &[0, 1]), None);
    }

    #[test]
    fn without_a_quorum_nothing_is_owed() {
        let views = all_correct(&genesis(5));
        assert!(Progress::is_owed(&views, &[0, 1, 2, 4], false));
        assert!(!Progress::is_owed(&views, &[0, 1, 2], false));
        assert!(Progress::is_owed(&views, &[0, 1, 2], true));
    }

    #[test]
    fn views_without_end_are_seen() {
        let mut oracle = Progress::new(5);
        (0..3).for_each(|_| oracle.grew());
        assert_eq!(oracle.restless(3), None);
        assert!(oracle.restless(2).is_some());
    }
}
