//! What the oracles make of processes that load the state of the application: such a one is told at
//! once which view it is in, and what was cast in the views before comes once it has the state. So
//! it is judged by the place that its application has come to; see [`super::state`].

use phalanx_core::Hash32;

use super::{Oracles, state};
use crate::application::Moment;
use crate::marks::Mark;
use crate::verdict::Promise;

impl Oracles {
    /// The place of the view in which `by` delivers a cast that names the view of this number, and
    /// whether it may.
    pub(super) fn delivers_in(&mut self, now_us: u64, by: usize, number: u64) -> (usize, bool) {
        if !self.hands_over {
            return (self.views.place(by), number == self.views.present(by).view.number);
        }
        if self.changes.state.is_whole(by) {
            self.advances(now_us, by, number);
        } else {
            let text = format!("process {by} delivers in view {number} without its state");
            self.judge(now_us, Promise::State, Err(text));
        }
        let at = self.changes.state.at(by);
        (at, number == self.views.at(at).view.number)
    }

    /// The application of `by` comes to the view of this number, if it is one of its own: it has
    /// completed all before.
    fn advances(&mut self, now_us: u64, by: usize, number: u64) {
        loop {
            let at = self.changes.state.at(by);
            let view = self.views.at(at).view.clone();
            if self.changes.state.goes_on(by, view.number, number).is_none() {
                return;
            }
            self.completed(now_us, by, at, &view);
        }
    }

    /// Correct process `by` was given everything that one step brought.
    pub fn settled(&mut self, now_us: u64, by: usize) {
        if self.hands_over && self.changes.state.is_whole(by) {
            let number = self.views.present(by).view.number;
            self.advances(now_us, by, number);
        }
    }

    /// `by` installed the view at place `at` for the first time that it is in one at all; `before` is
    /// the place of the view before.
    pub(super) fn enters(&mut self, by: usize, before: usize, at: usize) {
        if self.hands_over {
            self.changes.state.loads(by, at);
        } else {
            self.fifo.joins(by, before);
        }
    }

    /// `by` installed the view at place `at` after the one at `was_at`.
    pub(super) fn moves(&mut self, now_us: u64, by: usize, was_at: usize, at: usize) {
        let was = self.views.at(was_at).view.clone();
        if !self.hands_over {
            return self.completed(now_us, by, was_at, &was);
        }
        if self.changes.state.is_whole(by) {
            self.advances(now_us, by, self.views.at(at).view.number);
            if self.changes.is_stateless(by) {
                self.changes.state.lost(by);
            }
        }
        let is_back = !self.views.at(was_at).is_active(by) && self.views.at(at).is_active(by);
        if self.changes.state.is_lost(by) && is_back {
            self.changes.state.loads(by, at);
        }
    }

    /// Whether `by` may lose its state in the view that it is in: it is Silenced there; or it loads,
    /// and has to begin anew; or others have gone on from there without it.
    pub(super) fn may_lose(&self, by: usize) -> bool {
        let present = self.views.present(by);
        !present.is_active(by)
            || (self.hands_over && self.changes.state.is_loading(by))
            || (!self.is_calm && self.views.newest().1.view.number > present.view.number)
    }

    /// `by` lost its state. It loads one with the view that it is in if it is Active there again, and
    /// was loading that of an earlier one.
    pub(super) fn loses(&mut self, by: usize) {
        let present = self.views.present(by);
        let before = self.views.by_id(&present.view.prev).map(|(_, record)| record);
        let was_silent = before.is_some_and(|before| before.lists(by) && !before.is_active(by));
        let is_back = present.is_active(by) && was_silent;
        if is_back && self.changes.state.is_loading_before(by, self.views.place(by)) {
            self.changes.state.loads(by, self.views.place(by));
        } else {
            self.changes.state.lost(by);
        }
    }

    /// `by` says that it has loaded the state with which the view of this number began.
    pub(super) fn state_loaded(&mut self, now_us: u64, by: usize, number: u64) {
        let place = self.changes.state.place(by, number);
        self.marks.hit(Mark::StateLoaded);
        match self.changes.state.loaded(by, place) {
            Err(text) => self.judge(now_us, Promise::State, Err(text)),
            Ok(is_overtaken) => {
                if is_overtaken {
                    self.marks.hit(Mark::OvertakenWhileLoading);
                }
                if self.changes.is_stateless(by) {
                    self.marks.hit(Mark::StateLoadedAgain);
                }
                self.changes.regains(by);
                let place = place.unwrap_or(0);
                let before = self.views.by_id(&self.views.at(place).view.prev);
                self.fifo.joins(by, before.map_or(0, |(before, _)| before));
            }
        }
    }

    /// The application of correct process `by` has come to a place that all others come to.
    pub fn moment(&mut self, now_us: u64, by: usize, moment: Moment) {
        let result = match moment {
            Moment::Wrong(text) => Err(format!("process {by} is told, or asked for, {text}")),
            Moment::Begins { view, state } => {
                self.advances(now_us, by, view);
                let at = self.changes.state.at(by);
                if self.views.at(at).view.number == view {
                    self.changes.state.begins(by, at, state)
                } else {
                    Err(format!("process {by} is asked for the state of view {view} elsewhere"))
                }
            }
            Moment::Loaded { view, state } => match self.changes.state.place(by, view) {
                Some(place) => self.changes.state.is_right(by, place, state),
                None => Err(format!("process {by} loaded the state of a view it was never in")),
            },
        };
        self.judge(now_us, Promise::State, result);
    }

    /// The run is over, everything owed is there, and these are the states of all correct processes
    /// that hold one. Where so many are gone that nothing is owed, some may not have come to the
    /// newest view.
    pub fn ended(&mut self, now_us: u64, states: &[(usize, Hash32)]) {
        if !self.is_owed() {
            return;
        }
        let is_here = |process: &usize| {
            self.views.newest().1.is_active(*process) && self.present().contains(process)
        };
        let here: Vec<_> = states.iter().copied().filter(|(by, _)| is_here(by)).collect();
        self.judge(now_us, Promise::State, state::equal(&here));
    }
}
