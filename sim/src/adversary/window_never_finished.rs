//! Window never finished: signs digests up to the end of its window and hands out none of the
//! bodies, to nobody, ever (F16).
//!
//! It tries to have members certify what nobody has, and then wait for it. It must fail: nobody
//! replies to a body that it does not hold (RM2), and whoever claims to hold one and does not hand
//! it over is suspected.
//!
//! Verdict: suspected.

use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct WindowNeverFinished;

impl Act for WindowNeverFinished {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        if letter.drop_parts(|part| matches!(part, Part::Body(body) if body.sender == me)) > 0 {
            stage.fire();
        }
        stage.post(&letter);
    }
}
