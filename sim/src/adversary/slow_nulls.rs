//! Slow nulls: every Null of its own leaves after 0.95 of the slot time-out.
//!
//! It tries to slow the total order down as far as it can without being suspected of impeding it
//! (D29). It cannot for long: it is found slow once it has been late for more casts than not (TO4).
//!
//! Verdict: suspected of being slow, if there are casts enough.

use phalanx_core::SlotMark;
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct SlowNulls;

impl Act for SlowNulls {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        let me = stage.puppet.me;
        let is_null = matches!(
            letter.packet.parts.last(),
            Some(Part::Body(body)) if body.sender == me && matches!(body.slot, SlotMark::Null(_))
        );
        if is_null {
            stage.fire();
            let due = stage.now.plus(stage.puppet.timeouts.slot_us / 20 * 19);
            stage.hold(due, letter);
        } else {
            stage.post(&letter);
        }
    }
}
