//! Whether a run shows anything. A view bears its liars if they are at most `f`, and goes on if its
//! correct members that stay are a quorum. A run in which no view that matters does both promises
//! nothing that could be seen to hold; those matter in which something was delivered, and the newest.

use super::quorums;
use super::views::{Record, Views};

/// Where something was delivered, and where processes stopped.
#[derive(Debug)]
pub struct Shown {
    /// By process: the number of the newest view when it stopped.
    stopped: Vec<Option<u64>>,
    /// By place of a view: whether a correct member delivered something there.
    delivered: Vec<bool>,
}

impl Shown {
    /// For `n` processes.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { stopped: vec![None; n], delivered: Vec::new() }
    }

    /// A correct member delivers in the view at this place.
    pub fn delivered(&mut self, view: usize) {
        if self.delivered.len() <= view {
            self.delivered.resize(view + 1, false);
        }
        self.delivered[view] = true;
    }

    /// `process` stops for ever while the view of this number is the newest.
    pub fn stopped(&mut self, process: usize, number: u64) {
        self.stopped[process].get_or_insert(number);
    }

    /// Why the run shows nothing, if so; `liars` tells who lies.
    #[must_use]
    pub fn nothing(&self, views: &Views, liars: &[bool], is_paper: bool) -> Option<String> {
        if views.count() == 1 && !self.delivered.contains(&true) {
            return Some("nothing was delivered and no view changed".to_owned());
        }
        self.unowed(views, liars, is_paper)
    }

    /// Why nothing is owed, if so, apart from whether anything was delivered.
    #[must_use]
    pub fn unowed(&self, views: &Views, liars: &[bool], is_paper: bool) -> Option<String> {
        let (newest, _) = views.newest();
        let matters = |place: &usize| {
            *place == newest || self.delivered.get(*place).copied().unwrap_or_default()
        };
        let mut first = None;
        for place in (0..views.count()).filter(matters) {
            let why = self.lacks(views.at(place), liars, is_paper)?;
            first.get_or_insert(why);
        }
        first
    }

    /// Whether anything is owed in a view.
    #[must_use]
    pub fn is_owed(&self, record: &Record, liars: &[bool], is_paper: bool) -> bool {
        self.lacks(record, liars, is_paper).is_none()
    }

    /// Why nothing is owed in a view, if so.
    fn lacks(&self, record: &Record, liars: &[bool], is_paper: bool) -> Option<String> {
        let number = record.view.number;
        let is_liar = |process: &Option<usize>| {
            process.is_none_or(|process| liars.get(process).copied().unwrap_or_default())
        };
        let has_stopped = |process: &Option<usize>| {
            let stopped = process.and_then(|process| *self.stopped.get(process)?);
            stopped.is_some_and(|at| at <= number)
        };
        let all = record.processes.iter();
        let lying = all.clone().filter(|process| is_liar(process)).count();
        let stay = all.filter(|process| !is_liar(process) && !has_stopped(process)).count();
        let (size, least) = (record.size(), quorums::quorum(record.size(), is_paper));
        let bears = quorums::faulty(size);
        (lying > bears || stay < least).then(|| {
            format!(
                "of {size} members of view {number} {lying} lie and {stay} are correct and stay; it \
                 bears {bears} liars and needs {least}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{all_correct, genesis, next};
    use super::*;
    use phalanx_core::Departure;

    #[test]
    fn a_run_without_deliveries_shows_nothing() {
        let first = genesis(4);
        let mut views = all_correct(&first);
        let mut shown = Shown::new(4);
        let nothing = |shown: &Shown, views: &Views| shown.nothing(views, &[false; 4], false);
        assert!(nothing(&shown, &views).unwrap().contains("nothing was delivered"));
        shown.delivered(0);
        assert_eq!(nothing(&shown, &views), None);
        let shown = Shown::new(4);
        views.installed(0, &next(&first, &[(3, Departure::Opinion)], &[]));
        assert_eq!(nothing(&shown, &views), None, "a view changed");
    }

    #[test]
    fn too_many_liars_or_crashes_in_every_view_that_matters() {
        let first = genesis(4);
        let mut views = all_correct(&first);
        let mut shown = Shown::new(4);
        shown.delivered(0);
        let unowed =
            |shown: &Shown, views: &Views, liars: [bool; 4]| shown.unowed(views, &liars, false);
        let two = [false, false, true, true];
        assert!(unowed(&shown, &views, two).unwrap().contains("2 lie"));
        assert_eq!(unowed(&shown, &views, [false, false, false, true]), None);
        shown.stopped(0, 0);
        assert!(unowed(&shown, &views, [false, false, false, true]).unwrap().contains("2 are"));
        assert_eq!(unowed(&shown, &views, [false; 4]), None, "three of four are a quorum");
        // The next view has three members, of which two lie; in the first one there was one.
        let mut shown = Shown::new(4);
        views.installed(0, &next(&first, &[(0, Departure::Opinion)], &[]));
        assert!(unowed(&shown, &views, two).is_some(), "nothing was delivered in the first");
        shown.delivered(0);
        shown.stopped(1, 1);
        let one = [false, false, false, true];
        assert_eq!(unowed(&shown, &views, one), None, "it was well in the first view");
    }
}
