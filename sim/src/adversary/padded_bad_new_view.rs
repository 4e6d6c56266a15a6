//! Padded bad New-View: as leader it proposes a next view whose cut ends a body early, with
//! certificates so long that the proposal no longer fits into a Proof.
//!
//! It tries to lie at no risk: what convicts it cannot be handed on. It must fail: whatever a receiver
//! judges as a proposal it can also hand on as a Proof.
//!
//! Verdict: proven, if it leads.

use phalanx_core::wire::change::Justification;

use super::act::{Act, Stage};
use super::puppet::Letter;
use super::{bad_new_view, padding, proposal};

/// The strategy.
#[derive(Debug)]
pub(super) struct PaddedBadNewView;

impl Act for PaddedBadNewView {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let limits = stage.puppet.limits;
        let is_changed = proposal::rewrite(stage.puppet, &mut letter, |view, justification| {
            bad_new_view::shorten(view);
            if let Justification::Fresh { certificates, .. } = justification {
                padding::pad(certificates, &limits);
            }
        });
        if is_changed {
            stage.fire();
        }
        stage.post(&letter);
    }
}
