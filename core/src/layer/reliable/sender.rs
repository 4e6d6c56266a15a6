//! The sending side: casts gather in batches, batches become bodies of this member's own log.
//!
//! A cast goes out at once when nothing is in flight; otherwise casts gather up to `body_max`, and
//! a partial batch leaves only when the tick signs anyway and few bodies are in flight, or when a
//! slot is owed (protocol.md section 4, last paragraph, and TO2). On a slow network batches are
//! shorter, and fewer bytes are in flight (`flight`).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Body;
use super::flight::Flight;
use crate::config::{Limits, Timeouts};
use crate::input::{Order, Ticket};
use crate::member::Rank;
use crate::output::Refusal;
use crate::quorum::Quorum;
use crate::seq::{Number, Round, SlotMark};
use crate::time::Time;
use crate::wire::casts;

/// Partial batches leave while fewer own bodies than this are on their way. Three delays pass
/// between a body and its delivery, so three keep the pipe full in lock step; the rest is slack
/// for jitter.
const PARTIAL_IN_FLIGHT: u64 = 8;

/// So long a batch may become in any case; one that is much longer than bodies are on a slow network
/// would have to be cut many times.
const BATCH_BYTES: usize = 64 * 1024;

/// Casts that will be one body, or several.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) casts: Vec<u8>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) count: casts::Count,
}

impl Batch {
    fn len(&self) -> usize {
        self.casts.len()
    }

    /// What its casts count for in the queue and the window.
    fn cost(&self) -> usize {
        self.count.cost(self.len())
    }

    /// Keeps the first casts, as many as fit into `bytes` but one at least; returns the others.
    fn split(&mut self, bytes: usize) -> Option<Self> {
        if self.len() <= bytes {
            return None;
        }
        let (mut end, mut count) = (0, casts::Count::default());
        for (order, cast) in casts::Casts::from(&self.casts, 0) {
            if end > 0 && cast.end > bytes {
                break;
            }
            end = cast.end;
            count.add(order);
        }
        if end == self.len() {
            return None;
        }
        let at = count.fifo.saturating_add(count.total).min(self.tickets.len());
        let fifo = self.count.fifo.saturating_sub(count.fifo);
        let total = self.count.total.saturating_sub(count.total);
        self.count = count;
        let (casts, tickets) = (self.casts.split_off(end), self.tickets.split_off(at));
        // A body keeps them.
        self.tickets.shrink_to_fit();
        Some(Self { casts, tickets, count: casts::Count { fifo, total } })
    }
}

impl From<&Body> for Batch {
    /// The casts of an own body, to be cast again.
    fn from(body: &Body) -> Self {
        Self { casts: body.casts.to_vec(), tickets: body.tickets.clone(), count: body.count }
    }
}

/// Own casts that one view leaves to the next: they were accepted, and the cut does not hold them.
#[derive(Debug)]
pub(crate) struct Requeue {
    batches: VecDeque<Batch>,
    was_refused: bool,
}

impl Requeue {
    /// The same behind these.
    pub(super) fn behind(mut self, first: Vec<Batch>) -> Self {
        first.into_iter().rev().for_each(|batch| self.batches.push_front(batch));
        self
    }

    /// Their requests, in order.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.batches.iter().flat_map(|batch| batch.tickets.iter().copied())
    }

    /// What they cost.
    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().fold(0, |sum, batch| sum.saturating_add(batch.cost()))
    }
}

/// What the state of the own log allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// The number that the next body will have.
    pub(super) next: Number,
    /// The own stability threshold.
    pub(super) threshold: Number,
    /// Bytes of own bodies above it.
    pub(super) bytes: usize,
    /// Own bodies not yet delivered.
    pub(super) in_flight: u64,
    /// The first round that the next body may settle.
    pub(super) next_round: Round,
}

/// Casts on their way into the own log.
#[derive(Debug)]
pub(super) struct Sender {
    limits: Limits,
    flight: Flight,
    queue: VecDeque<Batch>,
    queue_bytes: usize,
    queue_max: usize,
    /// Length of the last batch that left: the next one is likely to be as long.
    usual: usize,
    was_refused: bool,
    /// The highest round of another sender's Value that was seen (TO2).
    owed: Option<Round>,
}

impl Sender {
    pub(super) fn new(
        limits: Limits,
        timeouts: &Timeouts,
        of: (Quorum, Rank),
        queue_max: usize,
    ) -> Self {
        Self {
            limits,
            flight: Flight::new(&limits, timeouts, of),
            queue: VecDeque::new(),
            queue_bytes: 0,
            queue_max,
            usual: 0,
            was_refused: false,
            owed: None,
        }
    }

    /// Bytes of casts that wait.
    pub(super) const fn queue_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// Whether a body should leave though nothing else is signed.
    pub(super) fn is_ready(&self, room: Room) -> bool {
        if self.owes(room.next_round) {
            return self.has_room(room, 0, true);
        }
        let is_pressing = self.queue.len() > 1 || room.in_flight == 0;
        let fits = |front: &Batch| self.has_room_for(room, front);
        is_pressing && self.queue.front().is_some_and(fits)
    }

    /// Takes a cast, or refuses it and leaves everything as it was.
    pub(super) fn cast(
        &mut self,
        ticket: Ticket,
        order: Order,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        if payload.len() > self.limits.cast_max as usize {
            return Err(Refusal::TooLarge);
        }
        let bytes = payload.len().saturating_add(casts::PREFIX);
        let cost = bytes.saturating_add(casts::CAST_COST);
        if self.queue_bytes.saturating_add(cost) > self.queue_max {
            self.was_refused = true;
            return Err(Refusal::Full);
        }
        let batch_max = self.flight.body_bytes().saturating_mul(4).max(BATCH_BYTES);
        let body_max = self.limits.body_max as usize;
        let fits = self.queue.back().is_some_and(|last| {
            last.len().saturating_add(bytes) <= batch_max
                && last.cost().saturating_add(cost) <= body_max
        });
        if !fits {
            let casts = Vec::with_capacity(self.usual.max(bytes));
            self.queue.push_back(Batch { casts, ..Batch::default() });
        }
        let Some(batch) = self.queue.back_mut() else { return Err(Refusal::Full) };
        if !casts::push(&mut batch.casts, order, payload) {
            return Err(Refusal::TooLarge);
        }
        batch.tickets.push(ticket);
        batch.count.add(order);
        self.queue_bytes = self.queue_bytes.saturating_add(cost);
        self.trim();
        Ok(())
    }

    /// Takes out all casts that wait.
    pub(super) fn drain(&mut self) -> Requeue {
        self.queue_bytes = 0;
        Requeue {
            batches: core::mem::take(&mut self.queue),
            was_refused: core::mem::take(&mut self.was_refused),
        }
    }

    /// Puts these casts in front of all that wait. The queue may be over its limit then; nothing
    /// is refused, for all of this was taken once.
    pub(super) fn requeue(&mut self, mut legacy: Requeue) {
        self.queue_bytes = self.queue_bytes.saturating_add(legacy.bytes());
        legacy.batches.append(&mut self.queue);
        self.queue = legacy.batches;
        self.was_refused |= legacy.was_refused;
        self.trim();
    }

    /// The own body `number` left, with so many bytes of casts.
    pub(super) fn opened(&mut self, now: Time, number: Number, bytes: usize) {
        self.flight.opened(now, number, bytes);
    }

    /// When an own body left, if that is known.
    pub(super) fn left_at(&self, number: Number) -> Option<Time> {
        self.flight.left_at(number)
    }

    /// A member says that it holds the own log up to `number`.
    pub(super) fn held(&mut self, now: Time, peer: Rank, number: Number) {
        self.flight.held(now, peer, number);
    }

    /// The own log is delivered up to `number`.
    pub(super) fn delivered(&mut self, now: Time, number: Number) {
        self.flight.delivered(now, number);
        self.trim();
    }

    /// The batch that is next is no longer than a body should be now.
    fn trim(&mut self) {
        let bytes = self.flight.body_bytes();
        if let Some(rest) = self.queue.front_mut().and_then(|front| front.split(bytes)) {
            self.queue.insert(1, rest);
        }
    }

    /// A Value of another sender in `round` was seen: the own slots up to it are owed.
    pub(super) fn owe(&mut self, round: Round) {
        self.owed = Some(self.owed.map_or(round, |owed| owed.max(round)));
    }

    /// Whether a slot is owed beyond `next_round`.
    pub(super) fn owes(&self, next_round: Round) -> bool {
        self.owed.is_some_and(|owed| owed >= next_round)
    }

    /// Whether, after a refusal, half of the queue is free again: then says so once.
    pub(super) fn is_writable_again(&mut self) -> bool {
        let is_again = self.was_refused && self.queue_bytes <= self.queue_max / 2;
        if is_again {
            self.was_refused = false;
        }
        is_again
    }

    /// The next body to write, if one should leave now. `is_signing` says that this tick signs
    /// whether or not there is a body.
    pub(super) fn seal(&mut self, room: Room, is_signing: bool) -> Option<(SlotMark, Batch)> {
        if self.owes(room.next_round) {
            return self.settle(room);
        }
        let front = self.queue.front()?;
        let is_full = self.queue.len() > 1;
        let is_few = room.in_flight == 0 || (is_signing && room.in_flight < PARTIAL_IN_FLIGHT);
        if !(is_full || is_few) || !self.has_room_for(room, front) {
            return None;
        }
        let slot =
            if front.count.total > 0 { SlotMark::Value(room.next_round) } else { SlotMark::None };
        Some((slot, self.take()?))
    }

    /// A body that settles what is owed: with the Total casts that wait, or null (TO2).
    fn settle(&mut self, room: Room) -> Option<(SlotMark, Batch)> {
        let owed = self.owed?;
        let reach = room.next_round.plus(self.limits.slot_window.saturating_sub(1));
        let front = self.queue.front().filter(|front| self.has_room_for(room, front));
        match front {
            Some(front) if owed <= reach && front.count.total > 0 => {
                let slot = SlotMark::Value(owed.max(room.next_round));
                Some((slot, self.take()?))
            }
            Some(front) if front.count.total == 0 => {
                Some((SlotMark::Null(owed.min(reach)), self.take()?))
            }
            Some(_) | None if self.has_room(room, 0, true) => {
                Some((SlotMark::Null(owed.min(reach)), Batch::default()))
            }
            Some(_) | None => None,
        }
    }

    fn take(&mut self) -> Option<Batch> {
        let batch = self.queue.pop_front()?;
        self.queue_bytes = self.queue_bytes.saturating_sub(batch.cost());
        self.usual = batch.len();
        self.trim();
        Some(batch)
    }

    /// Whether window and network have room for this batch.
    fn has_room_for(&self, room: Room, batch: &Batch) -> bool {
        self.has_room(room, batch.cost(), false) && self.flight.fits(batch.len())
    }

    /// Whether the window has room for a body that costs so much. Casts use three quarters of it: others
    /// may not have seen yet how far the threshold rose, and what lies above it as they know it is
    /// ignored. The rest, and so the last place, is kept for nulls (TO2).
    fn has_room(&self, room: Room, cost: usize, is_null: bool) -> bool {
        let places = match is_null {
            true => u64::from(self.limits.window_bodies),
            false => self.limits.bodies_in_flight(),
        };
        let used = room.bytes.saturating_add(cost);
        let fits = cost == 0 || room.bytes == 0 || used <= self.limits.casts_in_flight();
        room.next.past(room.threshold) <= places && fits
    }
}
