//! Sends what is longer than a frame of the network, piece by piece, until each has been
//! acknowledged (protocol.md section 3).
//!
//! Promises: pieces go out within a window and are sent again one by one, later and later while
//! nothing new is acknowledged; memory stays under `queue_bytes_max` plus the window; nothing is
//! copied before a piece is cut. A message can be lost (queue full, or given up): the layers above
//! repair that.
//!
//! What a faulty peer can try: never acknowledging costs it the messages and us at most `tries`
//! resends of a window for each; acknowledging what was not sent has no effect.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fragment::{ACK_BITS_MAX, Ack, FIELDS, Fields};
use crate::time::{Time, earliest};

/// Doublings of the pause before a piece is sent once more.
const DOUBLINGS_MAX: u32 = 5;

/// The limits of one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplitLimits {
    /// Bytes of each piece but the last, at least [`super::fragment::PIECE_MIN`].
    pub(crate) piece_max: usize,
    /// Pieces sent and not acknowledged, at least 1.
    pub(crate) in_flight_max: usize,
    /// Messages begun and not finished; what the peer keeps of partial messages, at least 1.
    pub(crate) begun_max: usize,
    /// Bytes of messages held, with their book-keeping.
    pub(crate) queue_bytes_max: usize,
    /// First pause before a piece is sent again, in microseconds.
    pub(crate) retransmit_us: u64,
    /// Times that one piece is sent again while no other of its message is acknowledged.
    pub(crate) tries: u32,
}

/// One fragment to seal and send: its content is `fields` and then `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which piece it is, as it stands in the fragment.
    pub(crate) fields: [u8; FIELDS],
    /// The piece.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
struct Flight {
    index: u16,
    due: Time,
    resends: u32,
}

#[derive(Debug)]
struct Message {
    number: u64,
    head: Vec<u8>,
    body: Arc<[u8]>,
    count: u16,
    /// The first piece not sent yet.
    next: u16,
    /// Sent and not acknowledged, ascending.
    flights: Vec<Flight>,
}

impl Message {
    fn len(&self) -> usize {
        self.head.len().saturating_add(self.body.len())
    }

    fn cost(&self) -> usize {
        cost(self.len())
    }

    fn is_begun(&self) -> bool {
        self.next > 0
    }

    fn is_finished(&self) -> bool {
        self.next == self.count && self.flights.is_empty()
    }

    /// Whether the next piece stays within what one acknowledgement can tell.
    fn may_send(&self, in_flight_max: usize) -> bool {
        let lowest = self.flights.first().map_or(self.next, |flight| flight.index);
        let span = usize::from(self.next.saturating_sub(lowest));
        self.next < self.count && span < in_flight_max.min(usize::from(ACK_BITS_MAX))
    }

    fn cut(&self, index: u16, piece_max: usize) -> Piece {
        let start = usize::from(index).saturating_mul(piece_max);
        let end = start.saturating_add(piece_max).min(self.len());
        let mut bytes = Vec::with_capacity(end.saturating_sub(start));
        let split = self.head.len();
        let head = self.head.get(start.min(split)..end.min(split));
        let body = self.body.get(start.saturating_sub(split)..end.saturating_sub(split));
        bytes.extend_from_slice(head.unwrap_or_default());
        bytes.extend_from_slice(body.unwrap_or_default());
        let total = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let fields = Fields { message: self.number, index, count: self.count, total };
        Piece { fields: fields.to_bytes(), bytes }
    }
}

const fn cost(len: usize) -> usize {
    len.saturating_add(size_of::<Message>())
}

/// The sending half of one link.
#[derive(Debug)]
pub(crate) struct Splitter {
    limits: SplitLimits,
    /// Those begun first, each part in the order of their numbers.
    queue: VecDeque<Message>,
    last_number: u64,
    in_flight: usize,
    queued_bytes: usize,
    lost: u64,
}

impl Splitter {
    /// A link at rest.
    pub(crate) const fn new(limits: SplitLimits) -> Self {
        Self {
            limits,
            queue: VecDeque::new(),
            last_number: 0,
            in_flight: 0,
            queued_bytes: 0,
            lost: 0,
        }
    }

    /// Numbers go on after this one.
    pub(crate) const fn go_on_from(&mut self, last_number: u64) {
        self.last_number = last_number;
    }

    /// So many bytes of messages may be held from now on.
    pub(crate) const fn resize(&mut self, queue_bytes_max: usize) {
        self.limits.queue_bytes_max = queue_bytes_max;
    }

    /// The number of the last message queued.
    pub(crate) const fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Queues a message: `head` and then `body`. When there is no room the oldest messages not yet
    /// begun are dropped for it; what is begun is finished, or else a link that is slower than its
    /// senders would never finish anything. What has a body that is on its way already is not queued
    /// once more: on a link so slow that the peer asks again meanwhile, copies would leave room for
    /// nothing else. `false` if there is no room even so.
    pub(crate) fn push(&mut self, head: Vec<u8>, body: Arc<[u8]>) -> bool {
        let is_same = |message: &Message| Arc::ptr_eq(&message.body, &body);
        if !body.is_empty() && self.queue.iter().any(is_same) {
            return true;
        }
        let len = head.len().saturating_add(body.len());
        let is_possible = len > 0 && u32::try_from(len).is_ok();
        let count = u16::try_from(len.div_ceil(self.limits.piece_max.max(1))).ok();
        let (Some(count), true) = (count, is_possible && self.make_room(cost(len))) else {
            self.lost = self.lost.saturating_add(1);
            return false;
        };
        self.last_number = self.last_number.saturating_add(1);
        let number = self.last_number;
        self.queued_bytes = self.queued_bytes.saturating_add(cost(len));
        self.queue.push_back(Message { number, head, body, count, next: 0, flights: Vec::new() });
        true
    }

    fn make_room(&mut self, cost: usize) -> bool {
        let max = self.limits.queue_bytes_max;
        let begun: usize = self.queue.iter().filter(|m| m.is_begun()).map(Message::cost).sum();
        if begun.saturating_add(cost) > max {
            return false;
        }
        while self.queued_bytes.saturating_add(cost) > max {
            let Some(oldest) = self.queue.iter().position(|message| !message.is_begun()) else {
                return false;
            };
            self.remove(oldest);
            self.lost = self.lost.saturating_add(1);
        }
        true
    }

    fn remove(&mut self, at: usize) {
        if let Some(message) = self.queue.remove(at) {
            self.queued_bytes = self.queued_bytes.saturating_sub(message.cost());
            self.in_flight = self.in_flight.saturating_sub(message.flights.len());
        }
    }

    /// Takes in what arrived at the peer.
    pub(crate) fn on_ack(&mut self, ack: &Ack) {
        let Some(at) = self.queue.iter().position(|message| message.number == ack.message) else {
            return;
        };
        let Some(message) = self.queue.get_mut(at) else { return };
        let before = message.flights.len();
        message.flights.retain(|flight| !ack.has(flight.index));
        let arrived = before.saturating_sub(message.flights.len());
        self.in_flight = self.in_flight.saturating_sub(arrived);
        if arrived > 0 {
            message.flights.iter_mut().for_each(|flight| flight.resends = 0);
        }
        if message.is_finished() {
            self.remove(at);
        }
    }

    /// Appends to `out` what is to be sent now: what is due again, then new pieces as far as the
    /// window goes. A message of which one piece was sent again `tries` times without any
    /// acknowledgement is given up.
    pub(crate) fn poll(&mut self, now: Time, out: &mut Vec<Piece>) {
        let SplitLimits { piece_max, in_flight_max, begun_max, tries, .. } = self.limits;
        let mut at = 0;
        while let Some(message) = self.queue.get(at) {
            let is_hopeless = |flight: &Flight| flight.due <= now && flight.resends >= tries;
            if message.flights.iter().any(is_hopeless) {
                self.remove(at);
                self.lost = self.lost.saturating_add(1);
            } else {
                at = at.saturating_add(1);
            }
        }
        let retransmit_us = self.limits.retransmit_us.max(1);
        for message in &mut self.queue {
            let mut again = Vec::new();
            for flight in message.flights.iter_mut().filter(|flight| flight.due <= now) {
                flight.resends = flight.resends.saturating_add(1);
                let doubled = 1_u64.rotate_left(flight.resends.min(DOUBLINGS_MAX));
                flight.due = now.plus(retransmit_us.saturating_mul(doubled));
                again.push(flight.index);
            }
            out.extend(again.into_iter().map(|index| message.cut(index, piece_max)));
        }
        for message in self.queue.iter_mut().take(begun_max.max(1)) {
            while self.in_flight < in_flight_max.max(1) && message.may_send(in_flight_max.max(1)) {
                let index = message.next;
                out.push(message.cut(index, piece_max));
                let due = now.plus(retransmit_us);
                message.flights.push(Flight { index, due, resends: 0 });
                message.next = message.next.saturating_add(1);
                self.in_flight = self.in_flight.saturating_add(1);
            }
        }
    }

    /// When [`Splitter::poll`] is owed: at once ([`Time::ZERO`]) if the window has room.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let SplitLimits { in_flight_max, begun_max, .. } = self.limits;
        let mut first = self.queue.iter().take(begun_max.max(1));
        let has_new = self.in_flight < in_flight_max.max(1)
            && first.any(|message| message.may_send(in_flight_max.max(1)));
        let dues = self.queue.iter().flat_map(|message| &message.flights);
        let again = dues.fold(None, |first, flight| earliest(first, Some(flight.due)));
        if has_new { Some(Time::ZERO) } else { again }
    }

    /// Messages that were dropped or given up.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Bytes held: at most [`Splitter::bound`].
    pub(crate) fn held_bytes(&self) -> usize {
        self.queued_bytes.saturating_add(self.in_flight.saturating_mul(size_of::<Flight>()))
    }

    /// The most bytes a link with these limits holds: the queue and the window.
    pub(crate) const fn bound(limits: &SplitLimits) -> usize {
        let window = limits.in_flight_max.saturating_mul(size_of::<Flight>());
        limits.queue_bytes_max.saturating_add(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SplitLimits = SplitLimits {
        piece_max: 200,
        in_flight_max: 4,
        begun_max: 2,
        queue_bytes_max: 10_000,
        retransmit_us: 10,
        tries: 3,
    };

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    fn poll(splitter: &mut Splitter, now: u64) -> Vec<(u64, u16)> {
        let mut out = Vec::new();
        splitter.poll(at(now), &mut out);
        out.iter()
            .map(|piece| {
                let content = [&piece.fields[..], &piece.bytes].concat();
                let (fields, _) = Fields::parse(&content).expect("a piece must parse");
                (fields.message, fields.index)
            })
            .collect()
    }

    fn message(len: usize) -> (Vec<u8>, Arc<[u8]>) {
        (alloc::vec![1; len / 3], alloc::vec![2; len - len / 3].into())
    }

    fn push(splitter: &mut Splitter, len: usize) -> bool {
        let (head, body) = message(len);
        splitter.push(head, body)
    }

    #[test]
    fn pieces_go_out_within_the_window_and_again_one_by_one() {
        let mut splitter = Splitter::new(LIMITS);
        assert!(push(&mut splitter, 1_001));
        assert_eq!(splitter.deadline(), Some(Time::ZERO));
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1), (1, 2), (1, 3)]);
        assert_eq!(poll(&mut splitter, 9), []);
        assert_eq!(splitter.deadline(), Some(at(10)));
        splitter.on_ack(&Ack { message: 1, base: 0, bits: alloc::vec![0b1010] });
        assert_eq!(splitter.deadline(), Some(at(10)), "the window is a span: piece 0 is missing");
        assert_eq!(poll(&mut splitter, 10), [(1, 0), (1, 2)]);
        splitter.on_ack(&Ack { message: 1, base: 4, bits: Vec::new() });
        assert_eq!(poll(&mut splitter, 10), [(1, 4), (1, 5)]);
        splitter.on_ack(&Ack { message: 1, base: 6, bits: Vec::new() });
        assert_eq!((splitter.deadline(), splitter.held_bytes(), splitter.lost()), (None, 0, 0));
    }

    #[test]
    fn a_body_on_its_way_is_not_queued_once_more() {
        let mut splitter = Splitter::new(LIMITS);
        let (head, body) = message(300);
        assert!(splitter.push(head.clone(), Arc::clone(&body)));
        assert!(splitter.push(alloc::vec![7; 50], Arc::clone(&body)));
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1)]);
        assert!(splitter.push(head.clone(), Arc::clone(&body)));
        // Neither one with the same bytes nor one without a body is the same.
        assert!(push(&mut splitter, 300));
        assert!(splitter.push(head.clone(), [].into()) && splitter.push(head.clone(), [].into()));
        assert_eq!(splitter.last_number(), 4);
        splitter.on_ack(&Ack { message: 1, base: 2, bits: Vec::new() });
        assert!(splitter.push(head, body));
        assert_eq!(splitter.last_number(), 5, "it arrived: whoever asks again wants it again");
    }

    #[test]
    fn a_peer_that_never_acknowledges_costs_a_bounded_number_of_resends() {
        let mut splitter = Splitter::new(LIMITS);
        assert!(push(&mut splitter, 500));
        assert!(push(&mut splitter, 500));
        assert!(push(&mut splitter, 500));
        let mut sent = 0;
        let mut polls = 0;
        while let Some(due) = splitter.deadline() {
            let now = due.as_micros();
            sent += poll(&mut splitter, now).len();
            polls += 1;
            assert!(polls < 100, "it must give up");
        }
        assert_eq!(splitter.lost(), 3);
        assert_eq!(splitter.held_bytes(), 0);
        assert!(sent <= 9 * (1 + LIMITS.tries as usize), "sent {sent}");
    }

    #[test]
    fn an_acknowledgement_of_what_was_not_sent_has_no_effect() {
        let mut splitter = Splitter::new(LIMITS);
        assert!(push(&mut splitter, 2_000));
        splitter.on_ack(&Ack { message: 1, base: 10, bits: Vec::new() });
        splitter.on_ack(&Ack { message: 2, base: 10, bits: Vec::new() });
        assert_eq!(poll(&mut splitter, 0).len(), 4);
        splitter.on_ack(&Ack { message: 1, base: 0, bits: alloc::vec![0, 0xff] });
        assert_eq!(poll(&mut splitter, 10).len(), 4, "none of the four arrived");
    }

    #[test]
    fn no_more_messages_are_begun_than_the_peer_keeps() {
        let mut splitter = Splitter::new(SplitLimits { in_flight_max: 100, ..LIMITS });
        for _ in 0..3 {
            assert!(push(&mut splitter, 400));
        }
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1), (2, 0), (2, 1)]);
        splitter.on_ack(&Ack { message: 2, base: 2, bits: Vec::new() });
        assert_eq!(poll(&mut splitter, 1), [(3, 0), (3, 1)]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_not_begun_and_stays_within_its_bound() {
        let mut splitter = Splitter::new(LIMITS);
        assert!(push(&mut splitter, 3_000));
        assert_eq!(poll(&mut splitter, 0).len(), 4);
        assert!(push(&mut splitter, 3_000));
        assert!(push(&mut splitter, 3_000));
        assert_eq!(splitter.lost(), 0);
        assert!(splitter.held_bytes() > 9_000);
        assert!(push(&mut splitter, 3_000));
        assert_eq!(splitter.lost(), 1);
        let numbers: Vec<_> = splitter.queue.iter().map(|message| message.number).collect();
        assert_eq!(numbers, [1, 3, 4], "the one begun stays");
        assert!(!push(&mut splitter, 7_000), "no room beside the one begun");
        assert!(!push(&mut splitter, 20_000), "longer than the queue");
        assert_eq!(splitter.queue.len(), 3, "what was refused drops nothing");
        assert!(splitter.held_bytes() <= Splitter::bound(&LIMITS));
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let limits = SplitLimits { piece_max: 1, queue_bytes_max: usize::MAX, ..LIMITS };
        let mut splitter = Splitter::new(limits);
        assert!(!push(&mut splitter, 0));
        assert!(!push(&mut splitter, 65_536));
        assert!(push(&mut splitter, 65_535));
        assert_eq!(splitter.lost(), 2);
    }
}
