//! What the members cast, and when: seeded, in bursts and pauses, never past a refusal.
//!
//! A payload says which cast of which member it is and is determined by that down to the last
//! byte, so that the oracles can tell every cast from every other.

use phalanx_core::Order;

use crate::rng::Stream;
use crate::scenario::Workload as Plan;

/// Bytes of a payload that say which cast it is.
pub const IDENTIFICATION: usize = 8;

/// Which cast a payload claims to be: its sender and index; `None` if it is none of ours.
#[must_use]
pub fn identify(payload: &[u8]) -> Option<(u16, u32)> {
    let [a, b, c, d, e, f, ..] = *payload.get(..IDENTIFICATION)? else { return None };
    Some((u16::from_le_bytes([a, b]), u32::from_le_bytes([c, d, e, f])))
}

/// Writes the payload of cast `index` of `sender` into `out`, in place of what it held. It is
/// `len` bytes long, but never shorter than its identification.
pub fn payload(sender: u16, index: u32, order: Order, len: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend(sender.to_le_bytes());
    out.extend(index.to_le_bytes());
    out.push(u8::from(order == Order::Total));
    out.push(0xA5);
    let [low, high, ..] = index.to_le_bytes();
    let mut filler = low ^ high.rotate_left(3);
    while out.len() < len {
        filler = filler.wrapping_mul(5).wrapping_add(113);
        out.push(filler);
    }
}

/// The casts of one member.
#[derive(Debug)]
pub struct Source {
    sender: u16,
    plan: Plan,
    stream: Stream,
    index: u32,
    due_us: u64,
    left_in_burst: u64,
    next: (Order, usize),
    is_blocked: bool,
}

impl Source {
    /// The casts of `sender`.
    #[must_use]
    pub fn new(sender: u16, plan: Plan, mut stream: Stream) -> Self {
        let due_us = stream.between(0, plan.pause_us);
        let mut source = Self {
            sender,
            plan,
            stream,
            index: 0,
            due_us,
            left_in_burst: 0,
            next: (Order::Fifo, 0),
            is_blocked: false,
        };
        source.left_in_burst = source.draw_burst();
        source.next = source.draw_cast();
        source
    }

    fn draw_burst(&mut self) -> u64 {
        self.stream.between(1, u64::from(self.plan.burst_max))
    }

    fn draw_cast(&mut self) -> (Order, usize) {
        let is_total = self.stream.permille(self.plan.total_permille);
        let order = if is_total { Order::Total } else { Order::Fifo };
        let (low, high) = (u64::from(self.plan.payload_min), u64::from(self.plan.payload_max));
        let len = usize::try_from(self.stream.between(low, high)).unwrap_or(0);
        (order, len)
    }

    /// The first cast is not due before `now_us` and the pause drawn for it.
    pub const fn begin(&mut self, now_us: u64) {
        self.due_us = self.due_us.saturating_add(now_us);
    }

    /// When the next cast is due; `None` if there is none or the last one was refused.
    #[must_use]
    pub fn due_us(&self) -> Option<u64> {
        (!self.is_done() && !self.is_blocked).then_some(self.due_us)
    }

    /// Whether all casts were accepted, or their time is over.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        let until_us = self.plan.until_us;
        self.index >= self.plan.casts || (until_us > 0 && self.due_us >= until_us)
    }

    /// How many casts were accepted.
    #[must_use]
    pub const fn made(&self) -> u32 {
        self.index
    }

    /// Whether it casts nothing at all.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.plan.casts == 0
    }

    /// Whether it waits for room.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// The next cast: its index and order; its payload is written into `out`.
    pub fn next(&self, out: &mut Vec<u8>) -> (u32, Order) {
        let (order, len) = self.next;
        payload(self.sender, self.index, order, len, out);
        (self.index, order)
    }

    /// The cast was taken: on to the one after it.
    pub fn accepted(&mut self, now_us: u64) {
        self.index += 1;
        self.left_in_burst -= 1;
        if self.left_in_burst == 0 {
            self.left_in_burst = self.draw_burst();
            self.due_us = now_us + self.stream.between(1, self.plan.pause_us.max(1));
        }
        self.next = self.draw_cast();
    }

    /// The cast was refused: nothing more until there is room.
    pub const fn refused(&mut self) {
        self.is_blocked = true;
    }

    /// There is room again.
    pub const fn writable(&mut self) {
        self.is_blocked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn payloads_say_which_cast_they_are() {
        let mut out = Vec::new();
        payload(3, 70_000, Order::Total, 40, &mut out);
        assert_eq!((out.len(), identify(&out)), (40, Some((3, 70_000))));
        let mut other = Vec::new();
        payload(3, 70_000, Order::Fifo, 0, &mut other);
        assert_eq!((other.len(), identify(&other)), (IDENTIFICATION, Some((3, 70_000))));
        assert_eq!(identify(&out[..7]), None);
    }

    #[test]
    fn a_refused_cast_is_the_next_one_again() {
        let mut source = Source::new(1, Plan::default(), Seed(1).stream("workload", 1));
        let (mut first, mut again) = (Vec::new(), Vec::new());
        source.next(&mut first);
        source.refused();
        assert!(source.due_us().is_none() && source.is_blocked());
        source.writable();
        source.next(&mut again);
        assert!(first == again && source.due_us().is_some());
        let mut now = 0;
        while let Some(due) = source.due_us() {
            now = now.max(due);
            source.accepted(now);
        }
        assert!(source.is_done());
    }
}
