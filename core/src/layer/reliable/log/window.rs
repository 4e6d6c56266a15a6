//! The window of a log: what is held above the stability threshold, what room there is for more, and
//! what is dropped below (RM8 of protocol.md section 4).

use super::{Log, Space};
use crate::config::Limits;
use crate::crypto::Head;
use crate::seq::Number;

impl Log {
    /// All Active members and a quorum hold everything up to here (RM8).
    pub(in super::super) const fn threshold(&self) -> Number {
        self.threshold
    }

    /// Bytes of casts held above the stability threshold.
    pub(in super::super) const fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// How much of what may be in flight lies above `from`, in bodies or bytes, whichever is more, in
    /// parts of a thousand.
    pub(in super::super) fn in_flight(&self, from: Number, limits: &Limits) -> u64 {
        let share = |held: u64, most: u64| {
            held.saturating_mul(1000).checked_div(most.max(1)).unwrap_or(u64::MAX)
        };
        let bodies = share(self.top.number.past(from), limits.bodies_in_flight());
        let first = self.index(from.next()).unwrap_or(0);
        let bytes = match from <= self.threshold {
            // All above the threshold, and what is below it does not count.
            true => self.window_bytes,
            false => {
                let above = self.cells.iter().skip(first).flat_map(|cell| &cell.body);
                above.fold(0_usize, |sum, body| sum.saturating_add(body.casts.len()))
            }
        };
        bodies.max(share(bytes as u64, limits.casts_in_flight() as u64))
    }

    /// The stability threshold rose.
    pub(in super::super) fn raise_threshold(&mut self, number: Number) {
        while self.threshold < number {
            self.threshold = self.threshold.next();
            let len = self.body(self.threshold).map_or(0, |body| body.charge());
            self.window_bytes = self.window_bytes.saturating_sub(len);
            if self.threshold >= self.horizon() {
                // Nothing is held above: the rest is a jump.
                self.threshold = self.threshold.max(number);
            }
        }
    }

    /// How far this member's Stable row may go: what is certified and held, but no further than a
    /// window above what was delivered. So a sender that never settles its slots cannot make
    /// others pile up casts that are stable and wait for the merge.
    pub(in super::super) fn row(&self, limits: &Limits) -> Number {
        let finished = self.finished();
        let last = self.sure.min(finished.plus(u64::from(limits.window_bodies)));
        let (mut number, mut bytes) = (finished, 0_usize);
        while number < last {
            let next = number.next();
            let len = self.body(next).map_or(0, |body| body.charge());
            bytes = bytes.saturating_add(len);
            if bytes > limits.casts_in_flight() {
                break;
            }
            number = next;
        }
        number.max(self.threshold.min(self.sure))
    }

    /// Makes room for a body of `len` bytes. One body always has room in the window, and an empty
    /// one needs none. A lower body displaces higher ones: the lowest one missing always finds
    /// room, whatever else a lying sender had this member take before.
    pub(in super::super) fn make_room(&mut self, number: Number, len: usize, space: Space) -> bool {
        let needs = |window: usize, held: usize| {
            let is_over = window > 0 && window.saturating_add(len) > space.window;
            len > 0 && (is_over || held.saturating_add(len) > space.held)
        };
        let first = self.index(number).map_or(0, |index| index.saturating_add(1));
        let above = self.cells.iter().skip(first).flat_map(|cell| &cell.body);
        let above = above.fold(0_usize, |sum, body| sum.saturating_add(body.charge()));
        let below =
            (self.window_bytes.saturating_sub(above), self.held_bytes.saturating_sub(above));
        if self.body(number).is_some() || needs(below.0, below.1) {
            return false;
        }
        let mut index = self.cells.len();
        while needs(self.window_bytes, self.held_bytes) && index > first {
            index = index.saturating_sub(1);
            let freed = self.cells.get_mut(index).and_then(|cell| cell.body.take());
            self.release(freed);
        }
        true
    }

    /// Drops bodies that are stable here and everywhere and whose casts were delivered.
    pub(in super::super) fn discard(&mut self) {
        let last = self.threshold.min(self.finished());
        while self.base.number < last {
            let Some(cell) = self.cells.pop_front() else { break };
            let number = self.base.number.next();
            let hash = cell.hash.unwrap_or(self.base.hash);
            if let Some(round) = cell.body.as_ref().and_then(|body| body.link.slot.round()) {
                self.base_round = Some(round.next());
            }
            self.base = Head { sender: self.sender, number, hash };
            self.release(cell.body);
        }
    }
}
