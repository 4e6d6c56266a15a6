//! Bad New-View (the paper's fault): as leader it proposes a next view whose cut ends one log a body
//! earlier than the Flushes say.
//!
//! It tries to have a message dropped that somebody delivered (F7, D9). It must fail: followers
//! compute the cut from the Flushes in the proposal, and do not acknowledge another (R2).
//!
//! Verdict: proven, if it leads: the proposal is invalid by itself.

use phalanx_core::{Number, View};

use super::act::{Act, Stage};
use super::proposal;
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct BadNewView;

/// Ends the first log that is not empty a body earlier.
pub(super) fn shorten(view: &mut View) {
    let mut ends = view.cut.as_mut_vec().iter_mut();
    if let Some(end) = ends.find(|end| end.number > Number::ZERO) {
        end.number = end.number.prev();
    }
}

impl Act for BadNewView {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        if proposal::rewrite(stage.puppet, &mut letter, |view, _| shorten(view)) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
