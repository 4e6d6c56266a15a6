//! Slow slots: every slot of its own is settled at 0.95 of the slot time-out. Bodies with a slot, the
//! heads that announce them and answers with them leave that late; everything else leaves at once.
//!
//! It tries to make every Total cast of everybody nearly a slot time-out late, and never be found. It
//! must fail: its turn-around is compared with what the others need, and one that stays beyond a stated
//! multiple loses its slots.
//!
//! Verdict: depends on whether a Total cast waits often enough.

use std::collections::VecDeque;

use phalanx_core::wire::Part;
use phalanx_core::{Number, SlotMark, Time};

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct SlowSlots {
    /// Own bodies held back, with the time at which they leave.
    held: VecDeque<(Number, Time)>,
    /// The newest that has left.
    left: Number,
}

impl Act for SlowSlots {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let (me, now) = (stage.puppet.me, stage.now);
        while let Some((number, _)) = self.held.front().copied().filter(|(_, due)| *due <= now) {
            self.left = self.left.max(number);
            self.held.pop_front();
        }
        let slot = match letter.packet.parts.last() {
            Some(Part::Body(body)) if body.sender == me && body.slot != SlotMark::None => {
                Some(body.number).filter(|number| *number > self.left)
            }
            _ => None,
        };
        if let Some(number) = slot {
            let due = now.plus(stage.puppet.timeouts.slot_us / 100 * 95);
            let known = self.held.iter().find(|(held, _)| *held == number).map(|(_, due)| *due);
            if known.is_none() {
                self.held.push_back((number, due));
                stage.fire();
            }
            stage.hold(known.unwrap_or(due), letter);
            return;
        }
        let (left, is_none_held) = (self.left, self.held.is_empty());
        stage.puppet.rewrite_heads(&mut letter, |entries| {
            entries.retain(|head| head.sender != me || is_none_held || head.number <= left);
        });
        stage.post(&letter);
    }
}
