//! A message on its way in pieces, and which of them have arrived.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fragment::{ACK_BITS_MAX, Ack, FIELDS, Fields};
use crate::time::Time;

/// Doublings of the pause before a piece is sent once more.
const DOUBLINGS_MAX: u32 = 5;

/// One fragment to seal and send: its content is `fields` and then `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which piece it is, as it stands in the fragment.
    pub(crate) fields: [u8; FIELDS],
    /// The piece.
    pub(crate) bytes: Vec<u8>,
}

/// A piece that was sent and not acknowledged.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) index: u16,
    pub(super) first: Time,
    pub(super) sent: Time,
    /// How often it was sent again since anything of its message arrived.
    pub(super) resends: u32,
}

impl InFlight {
    /// When it is to be sent again, if an answer takes `pause_us`: later and later.
    pub(super) fn due(&self, pause_us: u64) -> Time {
        let doubled = 1_u64.rotate_left(self.resends.min(DOUBLINGS_MAX));
        self.sent.plus(pause_us.saturating_mul(doubled))
    }

    /// It is sent again.
    pub(super) const fn resend(&mut self, now: Time) {
        self.sent = now;
        self.resends = self.resends.saturating_add(1);
    }
}

/// The message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) number: u64,
    head: Vec<u8>,
    pub(super) body: Arc<[u8]>,
    count: u16,
    /// Bytes of each piece but the last.
    pub(super) piece_max: usize,
    /// The first piece not sent yet.
    next: u16,
    /// Sent and not acknowledged, ascending.
    pub(super) flights: Vec<InFlight>,
    /// How many pieces were sent again in all.
    pub(super) resends: u32,
}

impl Message {
    /// `head` and then `body`, in pieces of so many bytes; `None` if these are too many, or none.
    pub(super) fn new(
        number: u64,
        head: Vec<u8>,
        body: Arc<[u8]>,
        piece_max: usize,
    ) -> Option<Self> {
        let flights = Vec::new();
        let mut message =
            Self { number, head, body, count: 0, piece_max, next: 0, flights, resends: 0 };
        let len = u32::try_from(message.len()).ok().filter(|len| *len > 0)?;
        let pieces = usize::try_from(len).ok()?.div_ceil(piece_max.max(1));
        message.count = u16::try_from(pieces).ok()?;
        Some(message)
    }

    /// The same message under another number, in other pieces.
    pub(super) fn cut_anew(self, number: u64, piece_max: usize) -> Option<Self> {
        Self::new(number, self.head, self.body, piece_max)
    }

    pub(super) fn len(&self) -> usize {
        self.head.len().saturating_add(self.body.len())
    }

    pub(super) const fn is_begun(&self) -> bool {
        self.next > 0
    }

    /// Whether all pieces have arrived.
    pub(super) const fn is_finished(&self) -> bool {
        self.next == self.count && self.flights.is_empty()
    }

    /// Whether there is a next piece, and it stays within what one acknowledgement can tell.
    pub(super) fn may_send(&self) -> bool {
        let lowest = self.flights.first().map_or(self.next, |flight| flight.index);
        let span = self.next.saturating_sub(lowest);
        self.next < self.count && span < ACK_BITS_MAX
    }

    /// The next piece goes out: which one.
    pub(super) fn send(&mut self, now: Time) -> u16 {
        let index = self.next;
        self.flights.push(InFlight { index, first: now, sent: now, resends: 0 });
        self.next = self.next.saturating_add(1);
        index
    }

    /// Takes in what arrived; returns how many pieces that were on their way, and the bytes of the
    /// longest.
    pub(super) fn on_ack(&mut self, ack: &Ack) -> (usize, usize) {
        let before = self.flights.len();
        let arrived = self.flights.iter().filter(|flight| ack.has(flight.index));
        let longest = arrived.map(|flight| self.piece_len(flight.index)).max().unwrap_or(0);
        self.flights.retain(|flight| !ack.has(flight.index));
        let arrived = before.saturating_sub(self.flights.len());
        if arrived > 0 {
            self.flights.iter_mut().for_each(|flight| flight.resends = 0);
        }
        (arrived, longest)
    }

    /// Bytes of one piece.
    pub(super) fn piece_len(&self, index: u16) -> usize {
        let start = usize::from(index).saturating_mul(self.piece_max);
        self.len().saturating_sub(start).min(self.piece_max)
    }

    /// Whether a piece was sent again `tries` times with nothing arriving meanwhile, or all of them
    /// as often on average: a peer that acknowledges now and then does not have them for ever.
    pub(super) fn is_hopeless(&self, now: Time, pause_us: u64, tries: u32) -> bool {
        let is_over = |flight: &InFlight| flight.resends >= tries && flight.due(pause_us) <= now;
        self.resends >= tries.saturating_mul(u32::from(self.count))
            || self.flights.iter().any(is_over)
    }

    pub(super) fn cut(&self, index: u16, stamp: u32) -> Piece {
        let start = usize::from(index).saturating_mul(self.piece_max);
        let end = start.saturating_add(self.piece_len(index));
        let mut bytes = Vec::with_capacity(end.saturating_sub(start));
        let split = self.head.len();
        let head = self.head.get(start.min(split)..end.min(split));
        let body = self.body.get(start.saturating_sub(split)..end.saturating_sub(split));
        bytes.extend_from_slice(head.unwrap_or_default());
        bytes.extend_from_slice(body.unwrap_or_default());
        let total = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let fields = Fields { message: self.number, index, count: self.count, total, stamp };
        Piece { fields: fields.to_bytes(), bytes }
    }
}
