//! Under-exclusion: as leader it proposes a next view that keeps everybody, although there is
//! evidence against some.
//!
//! It tries to shield a fellow. It must fail: the next view must be what the plan makes of the
//! evidence in the proposal, and of all that the Flushes in it list (R2, R8).
//!
//! Verdict: proven, if it leads: the proposal is invalid by itself.

use phalanx_core::View;

use super::act::{Act, Stage};
use super::proposal;
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct UnderExclusion;

/// Makes `next` have the members of `present`.
fn keep(next: &mut View, present: &View) {
    next.members.clone_from(&present.members);
    next.expelled.clone_from(&present.expelled);
    next.pledge = present.pledge;
    next.departed.as_mut_vec().clear();
    next.silenced.as_mut_vec().clear();
}

impl Act for UnderExclusion {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let present = stage.puppet.view.clone();
        if proposal::rewrite(stage.puppet, &mut letter, |next, _| keep(next, &present)) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
