//! Slow nulls: every Null of its own leaves after 0.95 of the slot time-out.
//!
//! It tries to slow the total order down as far as it can without being suspected (D29). It cannot
//! do more than that: deliveries go on, later, and Fifo casts do not wait (TO3).
//!
//! Verdict: harmless to every promise; throughput suffers.

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
