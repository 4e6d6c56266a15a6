//! The casts of a body as they stand in a frame: for each a little-endian `u32`, its length times
//! two plus one if it is a Total cast, and then its payload. Fixed, so that a body can be hashed
//! and handed on without being taken apart.

use alloc::vec::Vec;
use core::ops::Range;

use super::Malformed;
use crate::seq::SlotMark;

/// Bytes before each payload.
pub const PREFIX: usize = 4;

/// What a cast counts for besides its bytes, wherever casts are counted: in a body, in a window, in a
/// queue and while it waits for the application. So casts of no length are not free.
pub const CAST_COST: usize = 64;

/// The longest payload that the layout can express.
pub const PAYLOAD_MAX: usize = (u32::MAX / 2) as usize;

/// How a cast is ordered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Order {
    /// In the order in which its sender cast it.
    Fifo,
    /// In one order for the whole group.
    Total,
}

/// Appends a cast. Returns `false`, with nothing appended, if the payload is too long.
#[must_use]
pub fn push(out: &mut Vec<u8>, order: Order, payload: &[u8]) -> bool {
    let Ok(len) = u32::try_from(payload.len()) else { return false };
    let Some(double) = len.checked_mul(2) else { return false };
    let prefix = double | u32::from(order == Order::Total);
    out.extend_from_slice(&prefix.to_le_bytes());
    out.extend_from_slice(payload);
    true
}

/// The casts in `bytes`, front to back; ends early at the first that does not parse.
#[derive(Clone, Debug)]
pub struct Casts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Casts<'a> {
    /// The casts in `bytes` from offset `at` on, which must be where one begins.
    #[must_use]
    pub const fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where the next one begins.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }
}

impl Iterator for Casts<'_> {
    type Item = (Order, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at.checked_add(PREFIX)?;
        let prefix = self.bytes.get(self.at..start)?;
        let prefix = u32::from_le_bytes(prefix.try_into().ok()?);
        let end = start.checked_add(usize::try_from(prefix / 2).ok()?)?;
        if end > self.bytes.len() {
            return None;
        }
        self.at = end;
        let order = if prefix & 1 == 1 { Order::Total } else { Order::Fifo };
        Some((order, start..end))
    }
}

/// How many casts of each order a body holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Fifo casts.
    pub fifo: usize,
    /// Total casts.
    pub total: usize,
}

impl Count {
    /// Of both orders.
    #[must_use]
    pub const fn all(&self) -> usize {
        self.fifo.saturating_add(self.total)
    }

    /// What so many casts count for that are `bytes` long together.
    #[must_use]
    pub const fn cost(&self, bytes: usize) -> usize {
        bytes.saturating_add(self.all().saturating_mul(CAST_COST))
    }

    /// One more.
    pub(crate) const fn add(&mut self, order: Order) {
        match order {
            Order::Fifo => self.fifo = self.fifo.saturating_add(1),
            Order::Total => self.total = self.total.saturating_add(1),
        }
    }
}

/// Checks that `bytes` parse to the end, that Total casts stand exactly in Value bodies, and that a
/// body that settles no slot carries something.
///
/// # Errors
/// [`Malformed::Casts`] otherwise.
pub fn check(bytes: &[u8], slot: SlotMark) -> Result<Count, Malformed> {
    let mut casts = Casts::from(bytes, 0);
    let mut count = Count::default();
    for (order, _) in casts.by_ref() {
        count.add(order);
    }
    let is_legal = casts.offset() == bytes.len()
        && match slot {
            SlotMark::Value(_) => count.total > 0,
            SlotMark::Null(_) => count.total == 0,
            SlotMark::None => count.total == 0 && count.fifo > 0,
        };
    if is_legal { Ok(count) } else { Err(Malformed::Casts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::Round;

    #[test]
    fn what_was_pushed_comes_back_in_order() {
        let mut bytes = Vec::new();
        assert!(push(&mut bytes, Order::Fifo, b"one"));
        assert!(push(&mut bytes, Order::Total, b""));
        let all: Vec<_> = Casts::from(&bytes, 0).map(|(o, r)| (o, bytes[r].to_vec())).collect();
        assert_eq!(all, [(Order::Fifo, b"one".to_vec()), (Order::Total, Vec::new())]);
        let value = SlotMark::Value(Round::ZERO);
        assert_eq!(check(&bytes, value), Ok(Count { fifo: 1, total: 1 }));
        assert_eq!(check(&bytes, SlotMark::Null(Round::ZERO)), Err(Malformed::Casts));
        assert_eq!(check(&bytes, SlotMark::None), Err(Malformed::Casts));
        for cut in 1..bytes.len() {
            let whole_first = cut == PREFIX + 3;
            assert_eq!(check(&bytes[..cut], SlotMark::None).is_ok(), whole_first, "cut at {cut}");
        }
    }

    #[test]
    fn empty_bodies_only_settle_slots() {
        assert!(check(&[], SlotMark::Null(Round::ZERO)).is_ok());
        assert!(check(&[], SlotMark::None).is_err());
        assert!(check(&[], SlotMark::Value(Round::ZERO)).is_err());
    }
}
