//! Sends what is longer than a frame of the network, piece by piece, until each has been
//! acknowledged (protocol.md section 3).
//!
//! Promises: pieces go out within a window and are sent again one by one, at the [`Pace`] of the
//! link, later and later while nothing new is acknowledged; what a view change or a repair needs
//! does not wait behind bodies; memory stays under `queue_bytes_max` plus the window; nothing is
//! copied before a piece is cut. A message can be lost (queue full, or given up): the layers above
//! repair that.
//!
//! What a faulty peer can try: never acknowledging costs it the messages and us at most `tries`
//! resends of a window for each; acknowledging what was not sent has no effect.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fragment::{ACK_BITS_MAX, Ack, FIELDS, Fields};
use super::pace::{Pace, WINDOW_MAX};
use crate::time::{Time, earliest};

/// Doublings of the pause before a piece is sent once more.
const DOUBLINGS_MAX: u32 = 5;

/// The limits of one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SplitLimits {
    /// Bytes of each piece but the last, at least [`super::fragment::PIECE_MIN`].
    pub(crate) piece_max: usize,
    /// Messages begun and not finished; what the peer keeps of partial messages, at least 1.
    pub(crate) begun_max: usize,
    /// Bytes of messages begun, unless it is one: what the peer keeps of them.
    pub(crate) begun_bytes_max: usize,
    /// Bytes of messages held, with their book-keeping.
    pub(crate) queue_bytes_max: usize,
    /// The shortest pause before a piece is sent again, in microseconds.
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
    fn may_send(&self) -> bool {
        let lowest = self.flights.first().map_or(self.next, |flight| flight.index);
        let span = self.next.saturating_sub(lowest);
        self.next < self.count && span < ACK_BITS_MAX
    }

    fn cut(&self, index: u16, piece_max: usize, stamp: u32) -> Piece {
        let start = usize::from(index).saturating_mul(piece_max);
        let end = start.saturating_add(piece_max).min(self.len());
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

const fn cost(len: usize) -> usize {
    len.saturating_add(size_of::<Message>())
}

/// What goes first over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What a view change or a repair needs: it does not wait behind bodies.
    Urgent,
    /// Everything else.
    Bulk,
}

/// The sending half of one link.
#[derive(Debug)]
pub(crate) struct Splitter {
    limits: SplitLimits,
    /// Of each class in the order of their numbers; they are begun in this order, too.
    urgent: VecDeque<Message>,
    bulk: VecDeque<Message>,
    last_number: u64,
    in_flight: usize,
    queued_bytes: usize,
    lost: u64,
    pace: Pace,
}

impl Splitter {
    /// A link at rest.
    pub(crate) const fn new(limits: SplitLimits) -> Self {
        Self {
            limits,
            urgent: VecDeque::new(),
            bulk: VecDeque::new(),
            last_number: 0,
            in_flight: 0,
            queued_bytes: 0,
            lost: 0,
            pace: Pace::new(limits.retransmit_us),
        }
    }

    /// Numbers go on after this one.
    pub(crate) const fn go_on_from(&mut self, last_number: u64) {
        self.last_number = last_number;
    }

    /// So many bytes of messages may be held, and be begun, from now on.
    pub(crate) const fn resize(&mut self, limits: &SplitLimits) {
        self.limits.queue_bytes_max = limits.queue_bytes_max;
        self.limits.begun_bytes_max = limits.begun_bytes_max;
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
    pub(crate) fn push(&mut self, class: Class, head: Vec<u8>, body: Arc<[u8]>) -> bool {
        let is_same = |message: &Message| Arc::ptr_eq(&message.body, &body);
        if !body.is_empty() && self.bulk.iter().any(is_same) {
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
        let message = Message { number, head, body, count, next: 0, flights: Vec::new() };
        self.queue(class).push_back(message);
        true
    }

    const fn queue(&mut self, class: Class) -> &mut VecDeque<Message> {
        match class {
            Class::Urgent => &mut self.urgent,
            Class::Bulk => &mut self.bulk,
        }
    }

    /// Messages of which something was sent and something is missing.
    fn begun(&self) -> impl Iterator<Item = &Message> {
        let urgent = self.urgent.iter().take_while(|message| message.is_begun());
        urgent.chain(self.bulk.iter().take_while(|message| message.is_begun()))
    }

    fn make_room(&mut self, cost: usize) -> bool {
        let max = self.limits.queue_bytes_max;
        let begun: usize = self.begun().map(Message::cost).sum();
        if begun.saturating_add(cost) > max {
            return false;
        }
        while self.queued_bytes.saturating_add(cost) > max {
            let waits = |message: &Message| !message.is_begun();
            let oldest = [Class::Urgent, Class::Bulk].into_iter().filter_map(|class| {
                let queue = self.queue(class);
                let at = queue.iter().position(waits)?;
                Some((queue.get(at)?.number, class, at))
            });
            let Some((_, class, at)) = oldest.min_by_key(|(number, ..)| *number) else {
                return false;
            };
            self.remove(class, at);
            self.lost = self.lost.saturating_add(1);
        }
        true
    }

    fn remove(&mut self, class: Class, at: usize) {
        if let Some(message) = self.queue(class).remove(at) {
            self.queued_bytes = self.queued_bytes.saturating_sub(message.cost());
            self.in_flight = self.in_flight.saturating_sub(message.flights.len());
        }
    }

    /// Takes in what arrived at the peer.
    pub(crate) fn on_ack(&mut self, now: Time, ack: &Ack) {
        self.pace.on_echo(now, ack.echo);
        for class in [Class::Urgent, Class::Bulk] {
            let queue = self.queue(class);
            let mut begun = queue.iter_mut().take_while(|message| message.is_begun());
            let Some(at) = begun.position(|message| message.number == ack.message) else {
                continue;
            };
            let Some(message) = queue.get_mut(at) else { return };
            let before = message.flights.len();
            message.flights.retain(|flight| !ack.has(flight.index));
            let arrived = before.saturating_sub(message.flights.len());
            if arrived > 0 {
                message.flights.iter_mut().for_each(|flight| flight.resends = 0);
            }
            let is_finished = message.is_finished();
            self.in_flight = self.in_flight.saturating_sub(arrived);
            if is_finished {
                self.remove(class, at);
            }
            return;
        }
    }

    /// Appends to `out` what is to be sent now: what is due again, then new pieces as far as the
    /// window goes. A message of which one piece was sent again `tries` times without any
    /// acknowledgement is given up.
    pub(crate) fn poll(&mut self, now: Time, out: &mut Vec<Piece>) {
        self.give_up(now);
        let (piece_max, stamp) = (self.limits.piece_max, Pace::stamp(now));
        let pause_us = self.pace.pause_us();
        let urgent = self.urgent.iter_mut().take_while(|message| message.is_begun());
        let bulk = self.bulk.iter_mut().take_while(|message| message.is_begun());
        let mut asks = self.pace.is_silent(now).then_some(true);
        for message in urgent.chain(bulk) {
            let mut again = Vec::new();
            for flight in message.flights.iter_mut().filter(|flight| flight.due <= now) {
                // Of a peer that is silent one piece is enough to ask for an answer.
                if asks != Some(false) {
                    flight.resends = flight.resends.saturating_add(1);
                    again.push(flight.index);
                    self.pace.note_lost();
                }
                asks = asks.map(|_| false);
                let doubled = 1_u64.rotate_left(flight.resends.min(DOUBLINGS_MAX));
                flight.due = now.plus(pause_us.saturating_mul(doubled));
            }
            out.extend(again.into_iter().map(|index| message.cut(index, piece_max, stamp)));
        }
        while let Some((class, at)) = self.next_to_send() {
            if self.in_flight >= self.pace.window() {
                self.pace.note_full();
                break;
            }
            let Some(message) = self.queue(class).get_mut(at) else { break };
            let index = message.next;
            out.push(message.cut(index, piece_max, stamp));
            message.flights.push(Flight { index, due: now.plus(pause_us), resends: 0 });
            message.next = message.next.saturating_add(1);
            self.in_flight = self.in_flight.saturating_add(1);
        }
    }

    fn give_up(&mut self, now: Time) {
        let tries = self.limits.tries;
        let is_hopeless = |message: &Message| {
            message.flights.iter().any(|flight| flight.due <= now && flight.resends >= tries)
        };
        for class in [Class::Urgent, Class::Bulk] {
            while let Some(at) = self.queue(class).iter().position(is_hopeless) {
                self.remove(class, at);
                self.lost = self.lost.saturating_add(1);
            }
        }
    }

    /// The message of which the next new piece is sent, whatever the window. No more messages are
    /// begun than the peer keeps, but one always may be.
    fn next_to_send(&self) -> Option<(Class, usize)> {
        let SplitLimits { begun_max, begun_bytes_max, .. } = self.limits;
        let begun = self.begun().count();
        let bytes = self.begun().map(Message::len).fold(0, usize::saturating_add);
        let is_next = |message: &Message| {
            let fits = bytes.saturating_add(message.len()) <= begun_bytes_max;
            let may_begin = begun == 0 || (begun < begun_max && fits);
            message.may_send() && (message.is_begun() || may_begin)
        };
        [(Class::Urgent, &self.urgent), (Class::Bulk, &self.bulk)].into_iter().find_map(
            |(class, queue)| {
                // Those begun, and the first that is not.
                let first = queue.iter().take(begun.saturating_add(1));
                Some((class, first.into_iter().position(is_next)?))
            },
        )
    }

    /// When [`Splitter::poll`] is owed: at once ([`Time::ZERO`]) if the window has room.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.in_flight < self.pace.window() && self.next_to_send().is_some() {
            return Some(Time::ZERO);
        }
        let dues = self.begun().flat_map(|message| &message.flights);
        dues.fold(None, |first, flight| earliest(first, Some(flight.due)))
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
        let window = WINDOW_MAX.saturating_mul(size_of::<Flight>());
        limits.queue_bytes_max.saturating_add(window)
    }
}

#[cfg(test)]
mod tests {
    use super::super::assemble::Assembler;
    use super::*;

    const LIMITS: SplitLimits = SplitLimits {
        piece_max: 200,
        begun_max: 2,
        begun_bytes_max: 100_000,
        queue_bytes_max: 10_000,
        retransmit_us: 10,
        tries: 3,
    };

    /// A link on which 64 pieces may be on their way.
    fn wide(limits: SplitLimits) -> Splitter {
        let pace = Pace::new(limits.retransmit_us).with_window(64);
        Splitter { pace, ..Splitter::new(limits) }
    }

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
        splitter.push(Class::Bulk, head, body)
    }

    fn ack(message: u64, base: u16, bits: &[u8]) -> Ack {
        Ack { message, echo: 0, base, bits: bits.to_vec() }
    }

    #[test]
    fn pieces_go_out_within_the_window_and_again_one_by_one() {
        let limits = SplitLimits { queue_bytes_max: 100_000, retransmit_us: 10, ..LIMITS };
        let mut splitter = wide(limits);
        let pieces = |range: core::ops::Range<u16>| range.map(|i| (1, i)).collect::<Vec<_>>();
        assert!(push(&mut splitter, 200 * 200));
        assert_eq!(splitter.deadline(), Some(Time::ZERO));
        assert_eq!(poll(&mut splitter, 0), pieces(0..64));
        assert_eq!(poll(&mut splitter, 9), []);
        assert_eq!(splitter.deadline(), Some(at(10)));
        // The window grows, for nothing was lost and nothing queues.
        splitter.on_ack(at(9), &ack(1, 62, &[]));
        assert_eq!(splitter.deadline(), Some(Time::ZERO));
        assert_eq!(poll(&mut splitter, 10), [pieces(62..64), pieces(64..190)].concat());
        // From the first answer on it is known how long one takes: 9 us, give or take 16.
        assert_eq!(splitter.deadline(), Some(at(10 + 25)));
        splitter.on_ack(at(20), &Ack { echo: 11, ..ack(1, 64, &[0b101]) });
        let again = poll(&mut splitter, 37);
        assert_eq!(again[..3], [(1, 65), (1, 67), (1, 68)]);
        splitter.on_ack(at(40), &ack(1, 200, &[]));
        assert_eq!(poll(&mut splitter, 40).last(), Some(&(1, 199)));
        splitter.on_ack(at(41), &ack(1, 200, &[]));
        assert_eq!((splitter.deadline(), splitter.held_bytes(), splitter.lost()), (None, 0, 0));
    }

    #[test]
    fn what_is_urgent_does_not_wait_behind_bodies() {
        let limits = SplitLimits { begun_max: 8, begun_bytes_max: 20_000, ..LIMITS };
        let mut splitter = wide(SplitLimits { queue_bytes_max: 100_000, ..limits });
        assert!(push(&mut splitter, 70 * 200));
        assert!(push(&mut splitter, 20 * 200));
        assert!(push(&mut splitter, 20 * 200));
        assert_eq!(poll(&mut splitter, 0).len(), 64);
        assert!(splitter.push(Class::Urgent, alloc::vec![3; 300], [].into()));
        splitter.on_ack(at(1), &ack(1, 60, &[]));
        let sent = poll(&mut splitter, 1);
        let numbers: Vec<u64> = sent.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers[..9], [4, 4, 1, 1, 1, 1, 1, 1, 2], "then what was begun, then the rest");
        assert!(!numbers.contains(&3), "the peer keeps no more than 20,000 bytes: {numbers:?}");
    }

    #[test]
    fn a_message_longer_than_what_may_be_begun_goes_alone() {
        let limits = SplitLimits { begun_bytes_max: 500, ..LIMITS };
        let mut splitter = Splitter::new(limits);
        assert!(push(&mut splitter, 600) && push(&mut splitter, 100) && push(&mut splitter, 100));
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1), (1, 2)]);
        splitter.on_ack(at(1), &ack(1, 3, &[]));
        assert_eq!(poll(&mut splitter, 1), [(2, 0), (3, 0)]);
    }

    #[test]
    fn nothing_is_sent_twice_on_a_link_that_is_slow_and_loses_nothing() {
        let limits = SplitLimits { retransmit_us: 50, begun_max: 32, tries: 10, ..LIMITS };
        let mut splitter = wide(SplitLimits { queue_bytes_max: 1_000_000, ..limits });
        let trip_us = 3_000;
        let (mut now, mut sent, mut wanted) = (0, 0, 0);
        let mut answers: VecDeque<(u64, Ack)> = VecDeque::new();
        for round in 0..400 {
            if round % 4 == 0 && round < 200 {
                assert!(push(&mut splitter, 1_000));
                wanted += 5;
            }
            let mut out = Vec::new();
            splitter.poll(at(now), &mut out);
            sent += if round < 100 { 0 } else { out.len() };
            wanted = if round < 100 { 0 } else { wanted };
            for piece in &out {
                let content = [&piece.fields[..], &piece.bytes].concat();
                let (fields, _) = Fields::parse(&content).unwrap();
                let echo = fields.stamp;
                // One for all is enough: it comes for the last.
                if fields.index + 1 == fields.count {
                    answers.push_back((now + trip_us, Ack { echo, ..ack(fields.message, 5, &[]) }));
                }
            }
            now += 100;
            while answers.front().is_some_and(|(due, _)| *due <= now) {
                splitter.on_ack(at(now), &answers.pop_front().unwrap().1);
            }
        }
        assert_eq!((splitter.held_bytes(), splitter.lost()), (0, 0));
        assert_eq!(sent, wanted, "after the first answers each piece goes out once");
    }

    /// What a link of so many bytes a millisecond makes of ten long messages: bytes that arrive
    /// twice, in percent, and the longest and the last queue on it, in microseconds.
    fn narrow(bytes_per_ms: u64) -> (u64, u64, u64) {
        let limits =
            SplitLimits { piece_max: 1_300, retransmit_us: 50_000, begun_max: 8, ..LIMITS };
        let limits = SplitLimits { begun_bytes_max: 800_000, tries: 10, ..limits };
        let mut splitter = Splitter::new(SplitLimits { queue_bytes_max: 5_000_000, ..limits });
        let mut assembler = Assembler::new(8, 1_600_000);
        for _ in 0..10 {
            assert!(push(&mut splitter, 250_000));
        }
        let (mut now, mut free, mut longest, mut queue) = (0, 0, 0, 0);
        let (mut arrived, mut twice, mut messages) = (0, 0, 0);
        let mut pieces: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut answers: VecDeque<(u64, Ack)> = VecDeque::new();
        let mut known = alloc::collections::BTreeSet::new();
        while messages < 10 {
            let mut out = Vec::new();
            splitter.poll(at(now), &mut out);
            for piece in out {
                let content = [&piece.fields[..], &piece.bytes].concat();
                free = now.max(free) + content.len() as u64 * 1_000 / bytes_per_ms;
                queue = free - now;
                longest = longest.max(queue);
                pieces.push_back((free + 500, content));
            }
            let dues = [pieces.front().map(|(due, _)| *due), answers.front().map(|(due, _)| *due)];
            let dues = dues.into_iter().chain([splitter.deadline().map(Time::as_micros)]);
            now = dues.flatten().min().unwrap().max(now);
            while pieces.front().is_some_and(|(due, _)| *due <= now) {
                let (_, content) = pieces.pop_front().unwrap();
                let (fields, _) = Fields::parse(&content).unwrap();
                arrived += 1;
                twice += u64::from(!known.insert((fields.message, fields.index)));
                messages += usize::from(assembler.on_fragment(&content).unwrap().is_some());
                let acks = assembler.take_acks().into_iter();
                answers.extend(acks.map(|ack| (now + 500 + queue, ack)));
            }
            while answers.front().is_some_and(|(due, _)| *due <= now) {
                splitter.on_ack(at(now), &answers.pop_front().unwrap().1);
            }
        }
        (100 * twice / arrived, longest, queue)
    }

    #[test]
    fn a_narrow_link_is_not_filled_with_what_was_sent_before() {
        for bytes_per_ms in [20, 100, 1_000, 10_000, 100_000] {
            let (twice, longest, last) = narrow(bytes_per_ms);
            assert!(twice <= 5, "{bytes_per_ms} bytes a ms: {twice} % arrive twice");
            // At first nothing is known of the link: then the window follows it.
            let first = 18 * 1_320 * 1_000 / bytes_per_ms;
            let long = first.max(100_000);
            assert!(longest <= long, "{bytes_per_ms} bytes a ms: {longest} us");
            assert!(last <= 100_000, "{bytes_per_ms} bytes a ms: {last} us");
        }
    }

    #[test]
    fn a_body_on_its_way_is_not_queued_once_more() {
        let mut splitter = Splitter::new(LIMITS);
        let (head, body) = message(300);
        assert!(splitter.push(Class::Bulk, head.clone(), Arc::clone(&body)));
        assert!(splitter.push(Class::Bulk, alloc::vec![7; 50], Arc::clone(&body)));
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1)]);
        assert!(splitter.push(Class::Bulk, head.clone(), Arc::clone(&body)));
        // Neither one with the same bytes nor one without a body is the same.
        assert!(push(&mut splitter, 300));
        assert!(
            splitter.push(Class::Bulk, head.clone(), [].into())
                && splitter.push(Class::Bulk, head.clone(), [].into())
        );
        assert_eq!(splitter.last_number(), 4);
        splitter.on_ack(at(1), &ack(1, 2, &[]));
        assert!(splitter.push(Class::Bulk, head, body));
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
        let mut splitter = wide(LIMITS);
        assert!(push(&mut splitter, 2_000));
        splitter.on_ack(at(0), &ack(1, 10, &[]));
        splitter.on_ack(at(0), &ack(2, 10, &[]));
        assert_eq!(poll(&mut splitter, 0).len(), 10);
        splitter.on_ack(at(1), &ack(1, 0, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff]));
        assert_eq!(poll(&mut splitter, 10).len(), 10, "none of the ten arrived");
    }

    #[test]
    fn no_more_messages_are_begun_than_the_peer_keeps() {
        let mut splitter = Splitter::new(LIMITS);
        for _ in 0..3 {
            assert!(push(&mut splitter, 400));
        }
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1), (2, 0), (2, 1)]);
        splitter.on_ack(at(1), &ack(2, 2, &[]));
        assert_eq!(poll(&mut splitter, 1), [(3, 0), (3, 1)]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_not_begun_and_stays_within_its_bound() {
        let mut splitter = wide(LIMITS);
        assert!(push(&mut splitter, 3_000));
        assert_eq!(poll(&mut splitter, 0).len(), 15);
        assert!(push(&mut splitter, 3_000));
        assert!(push(&mut splitter, 3_000));
        assert_eq!(splitter.lost(), 0);
        assert!(splitter.held_bytes() > 9_000);
        assert!(push(&mut splitter, 3_000));
        assert_eq!(splitter.lost(), 1);
        let numbers: Vec<_> = splitter.bulk.iter().map(|message| message.number).collect();
        assert_eq!(numbers, [1, 3, 4], "the one begun stays");
        assert!(!push(&mut splitter, 7_000), "no room beside the one begun");
        assert!(!push(&mut splitter, 20_000), "longer than the queue");
        assert_eq!(splitter.bulk.len(), 3, "what was refused drops nothing");
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
