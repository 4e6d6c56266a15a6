//! Sends what is longer than a frame of the network, piece by piece, until each has been
//! acknowledged (protocol.md section 3).
//!
//! Promises: pieces go out within a window and are sent again one by one, at the [`Pace`] of the
//! link, later and later while nothing new is acknowledged; what a view change needs overtakes
//! bodies that were not begun, and nothing is overtaken for ever; memory stays under
//! `queue_bytes_max` plus the window; nothing is copied before a piece is cut. A message can be lost
//! (queue full, or given up): the layers above repair that.
//!
//! What a faulty peer can try: acknowledging nothing costs it the messages and us `tries` pieces for
//! each; acknowledging little by little, `tries` times the message; acknowledging what was not sent
//! has no effect.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fragment::{Ack, stamp};
pub(crate) use super::outgoing::Piece;
use super::outgoing::{InFlight, Message};
use super::pace::{Pace, WINDOW_MAX};
use super::path::PathSize;
use crate::time::{Time, earliest};

/// A peer of which nothing at all was heard for so many of the shortest pauses was gone.
const GONE: u64 = 10;

/// How many messages may overtake one that waits.
const OVERTAKES_MAX: u64 = 64;

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

const fn cost(len: usize) -> usize {
    len.saturating_add(size_of::<Message>())
}

/// What goes first over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// What a view change or a repair asks for.
    Urgent,
    /// Bodies, and what else there may be any amount of.
    Bulk,
}

/// The messages of one class, those that are begun first; they are begun in this order.
#[derive(Debug, Default)]
struct Queue(VecDeque<Message>);

impl Queue {
    fn begun(&self) -> impl Iterator<Item = &Message> {
        self.0.iter().take_while(|message| message.is_begun())
    }

    fn begun_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.0.iter_mut().take_while(|message| message.is_begun())
    }

    /// The first that is not begun.
    fn waiting(&self) -> Option<&Message> {
        self.0.iter().find(|message| !message.is_begun())
    }

    /// Whether it has a message with pieces left, and this is how old that is.
    fn oldest(&self) -> Option<u64> {
        self.0.iter().find(|message| message.may_send()).map(|message| message.number)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Message> {
        self.0.iter_mut().find(|message| message.number == number)
    }

    fn take(&mut self, number: u64) -> Option<Message> {
        let at = self.0.iter().position(|message| message.number == number)?;
        self.0.remove(at)
    }
}

/// The sending half of one link.
#[derive(Debug)]
pub(crate) struct Splitter {
    limits: SplitLimits,
    urgent: Queue,
    bulk: Queue,
    last_number: u64,
    in_flight: usize,
    queued_bytes: usize,
    lost: u64,
    pace: Pace,
    path: PathSize,
    /// The peer is silent: when it may be asked for an answer again.
    asking: Option<Time>,
    /// When anything came from the peer.
    seen: Time,
}

impl Splitter {
    /// A link at rest.
    pub(crate) const fn new(limits: SplitLimits) -> Self {
        Self {
            limits,
            urgent: Queue(VecDeque::new()),
            bulk: Queue(VecDeque::new()),
            last_number: 0,
            in_flight: 0,
            queued_bytes: 0,
            lost: 0,
            pace: Pace::new(limits.retransmit_us),
            path: PathSize::new(limits.piece_max),
            asking: None,
            seen: Time::ZERO,
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
    pub(crate) fn push(&mut self, now: Time, class: Class, head: Vec<u8>, body: Arc<[u8]>) -> bool {
        let is_same = |message: &Message| Arc::ptr_eq(&message.body, &body);
        if !body.is_empty() && self.bulk.0.iter().any(is_same) {
            return true;
        }
        let len = head.len().saturating_add(body.len());
        let number = self.last_number.saturating_add(1);
        let piece_max = match class {
            Class::Urgent => self.path.piece_max(),
            Class::Bulk => self.path.piece_max_of(now, number, len),
        };
        let message = Message::new(number, head, body, piece_max);
        let Some(message) = message.filter(|_| self.make_room(cost(len))) else {
            self.lost = self.lost.saturating_add(1);
            return false;
        };
        self.last_number = number;
        self.queued_bytes = self.queued_bytes.saturating_add(cost(len));
        match class {
            Class::Urgent => self.urgent.0.push_back(message),
            Class::Bulk => self.bulk.0.push_back(message),
        }
        true
    }

    /// The longest frame that may go out whole: a longer one is to be pushed.
    pub(crate) fn whole_max(&self, now: Time) -> usize {
        self.path.whole_max(now)
    }

    /// Messages of which something was sent and something is missing.
    fn begun(&self) -> impl Iterator<Item = &Message> {
        self.urgent.begun().chain(self.bulk.begun())
    }

    fn make_room(&mut self, cost: usize) -> bool {
        let max = self.limits.queue_bytes_max;
        let begun = self.begun().map(Message::len).map(self::cost).fold(0, usize::saturating_add);
        if begun.saturating_add(cost) > max {
            return false;
        }
        while self.queued_bytes.saturating_add(cost) > max {
            let waiting = [&self.urgent, &self.bulk].into_iter().filter_map(Queue::waiting);
            let Some(oldest) = waiting.map(|message| message.number).min() else { return false };
            self.remove(oldest);
            self.lost = self.lost.saturating_add(1);
        }
        true
    }

    fn remove(&mut self, number: u64) {
        let found = self.urgent.take(number).or_else(|| self.bulk.take(number));
        if let Some(message) = found {
            self.queued_bytes = self.queued_bytes.saturating_sub(cost(message.len()));
            self.in_flight = self.in_flight.saturating_sub(message.flights.len());
        }
    }

    /// Something came from the peer. If that was gone, it is asked for an answer at once, as if for
    /// the first time.
    pub(crate) fn on_heard(&mut self, now: Time) {
        let gone_us = self.limits.retransmit_us.saturating_mul(GONE);
        let is_back = now > self.seen.plus(gone_us);
        self.seen = now;
        if is_back && self.asking.is_some() {
            self.asking = Some(now);
            let begun = self.urgent.begun_mut().chain(self.bulk.begun_mut());
            begun.flat_map(|message| &mut message.flights).for_each(|flight| flight.resends = 0);
        }
    }

    /// Takes in what arrived at the peer.
    pub(crate) fn on_ack(&mut self, now: Time, ack: &Ack) {
        self.pace.on_echo(now, ack.echo);
        self.asking = None;
        let mut begun = self.urgent.begun_mut().chain(self.bulk.begun_mut());
        let Some(message) = begun.find(|message| message.number == ack.message) else { return };
        let (arrived, longest) = message.on_ack(ack);
        let is_finished = message.is_finished();
        drop(begun);
        if arrived > 0 {
            self.path.on_arrived(now, ack.message, longest);
        }
        self.in_flight = self.in_flight.saturating_sub(arrived);
        if is_finished {
            self.remove(ack.message);
        }
    }

    /// Appends to `out` what is to be sent now: what is due again, then new pieces as far as the
    /// window goes. A message of which one piece was sent again `tries` times without any
    /// acknowledgement is given up.
    pub(crate) fn poll(&mut self, now: Time, out: &mut Vec<Piece>) {
        if self.is_idle() {
            return;
        }
        self.find_path(now);
        self.give_up(now);
        if now >= self.pace.silent_at() {
            self.ask(now, out);
        } else {
            self.resend(now, out);
        }
        while let Some(number) = self.next_to_send() {
            if self.in_flight >= self.pace.window() {
                self.pace.note_full();
                break;
            }
            let found = self.urgent.get_mut(number).or_else(|| self.bulk.get_mut(number));
            let Some(message) = found else { break };
            let index = message.send(now);
            out.push(message.cut(index, stamp(now)));
            self.in_flight = self.in_flight.saturating_add(1);
        }
    }

    /// Tells whether nothing is queued and nothing is on its way.
    fn is_idle(&self) -> bool {
        self.urgent.0.is_empty() && self.bulk.0.is_empty()
    }

    /// Finds out whether pieces do not arrive because they are too long for the path, and cuts what
    /// is on its way anew if so.
    fn find_path(&mut self, now: Time) {
        let (pause_us, heard) = (self.pace.pause_us(), self.seen);
        let too_long = self.begun().find_map(|message| {
            let is_too_long = |flight: &&InFlight| {
                let piece = (message.number, message.piece_len(flight.index), flight.resends);
                flight.due(pause_us) <= now && self.path.is_too_long(piece, (flight.first, heard))
            };
            let flight = message.flights.iter().find(is_too_long)?;
            Some((message.number, message.piece_len(flight.index)))
        });
        let Some((number, piece)) = too_long else { return };
        self.path.shrink(now, number, piece);
        let piece_max = self.path.piece_max();
        for queue in [&mut self.urgent, &mut self.bulk] {
            let all = core::mem::take(&mut queue.0).into_iter();
            let (long, short): (VecDeque<_>, _) =
                all.partition(|message| message.piece_max > piece_max);
            queue.0 = short;
            let begun = queue.begun().count();
            for (place, message) in (begun..).zip(long) {
                let len = message.len();
                self.in_flight = self.in_flight.saturating_sub(message.flights.len());
                self.last_number = self.last_number.saturating_add(1);
                match message.cut_anew(self.last_number, piece_max) {
                    Some(message) => queue.0.insert(place, message),
                    None => self.queued_bytes = self.queued_bytes.saturating_sub(cost(len)),
                }
            }
        }
        self.asking = None;
    }

    fn give_up(&mut self, now: Time) {
        let (pause_us, tries) = (self.pace.pause_us(), self.limits.tries);
        let is_hopeless = |message: &&Message| message.is_hopeless(now, pause_us, tries);
        let hopeless: Vec<u64> =
            self.begun().filter(is_hopeless).map(|message| message.number).collect();
        for number in hopeless {
            self.remove(number);
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// All that is due goes out again.
    fn resend(&mut self, now: Time, out: &mut Vec<Piece>) {
        let Self { pace, urgent, bulk, .. } = self;
        let lost_us = pace.lost_us();
        for message in urgent.begun_mut().chain(bulk.begun_mut()) {
            let mut again = Vec::new();
            for flight in &mut message.flights {
                if pace.is_overtaken(flight.sent) && flight.due(lost_us) <= now {
                    flight.resend(now);
                    again.push(flight.index);
                    pace.note_lost();
                }
            }
            let count = u32::try_from(again.len()).unwrap_or(u32::MAX);
            message.resends = message.resends.saturating_add(count);
            let cut = |index| message.cut(index, stamp(now));
            out.extend(again.into_iter().map(cut));
        }
    }

    /// Of a peer that is silent one piece asks for an answer, later and later: to send everything
    /// again would fill a link that is slow, or not there.
    fn ask(&mut self, now: Time, out: &mut Vec<Piece>) {
        let pause_us = self.pace.pause_us();
        let dues = self.begun().flat_map(|message| &message.flights);
        let due = dues.fold(None, |first, flight| earliest(first, Some(self.due(flight))));
        if due.is_none_or(|due| due.max(self.asking.unwrap_or(due)) > now) {
            return;
        }
        let mut begun = self.urgent.begun_mut().chain(self.bulk.begun_mut());
        let Some(message) = begun.find(|message| !message.flights.is_empty()) else { return };
        let Some(flight) = message.flights.first_mut() else { return };
        flight.resend(now);
        let (index, next) = (flight.index, flight.due(pause_us));
        message.resends = message.resends.saturating_add(1);
        out.push(message.cut(index, stamp(now)));
        drop(begun);
        self.pace.note_lost();
        self.asking = Some(next);
    }

    /// The number of the message of which the next new piece is sent, whatever the window. No more
    /// messages are begun than the peer keeps, but one always may be. What there is no room for
    /// waits, and nothing else is begun meanwhile: so its turn comes.
    fn next_to_send(&self) -> Option<u64> {
        let SplitLimits { begun_max, begun_bytes_max, .. } = self.limits;
        let begun = self.begun().count();
        let bytes = self.begun().map(Message::len).fold(0, usize::saturating_add);
        let may_begin = |message: &Message| {
            let fits = bytes.saturating_add(message.len()) <= begun_bytes_max;
            begun == 0 || (begun < begun_max && fits)
        };
        let is_overtaken = |bulk: u64| {
            let urgent = self.urgent.oldest();
            urgent.is_some_and(|urgent| bulk.saturating_add(OVERTAKES_MAX) < urgent)
        };
        let order = match self.bulk.oldest().is_some_and(is_overtaken) {
            true => [&self.bulk, &self.urgent],
            false => [&self.urgent, &self.bulk],
        };
        let mut has_blocked = false;
        for queue in order {
            if let Some(message) = queue.begun().find(|message| message.may_send()) {
                return Some(message.number);
            }
            if let Some(message) = queue.waiting().filter(|_| !has_blocked) {
                if may_begin(message) {
                    return Some(message.number);
                }
                has_blocked = true;
            }
        }
        None
    }

    /// When a piece is to be sent again: sooner if something that was sent later was answered.
    fn due(&self, flight: &InFlight) -> Time {
        let is_overtaken = self.pace.is_overtaken(flight.sent);
        flight.due(if is_overtaken { self.pace.lost_us() } else { self.pace.pause_us() })
    }

    /// When [`Splitter::poll`] is owed: at once ([`Time::ZERO`]) if the window has room.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.is_idle() {
            return None;
        }
        if self.in_flight < self.pace.window() && self.next_to_send().is_some() {
            return Some(Time::ZERO);
        }
        let silent_at = self.pace.silent_at();
        let due = |flight: &InFlight| match self.pace.is_overtaken(flight.sent) {
            true => self.due(flight),
            false => self.due(flight).max(silent_at),
        };
        let dues = self.begun().flat_map(|message| &message.flights);
        let due = dues.fold(None, |first, flight| earliest(first, Some(due(flight))))?;
        Some(self.asking.map_or(due, |asking| asking.max(due)))
    }

    /// Messages that were dropped or given up.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Bytes held: at most [`Splitter::bound`].
    pub(crate) fn held_bytes(&self) -> usize {
        self.queued_bytes.saturating_add(self.in_flight.saturating_mul(size_of::<InFlight>()))
    }

    /// The most bytes a link with these limits holds: the queue and the window.
    pub(crate) const fn bound(limits: &SplitLimits) -> usize {
        let window = WINDOW_MAX.saturating_mul(size_of::<InFlight>());
        limits.queue_bytes_max.saturating_add(window)
    }
}

#[cfg(test)]
mod tests {
    use super::super::assemble::Assembler;
    use super::super::fragment::{Echo, Fields};
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

    fn echo(sent: u32) -> Echo {
        Echo { sent, arrived: sent }
    }

    fn message(len: usize) -> (Vec<u8>, Arc<[u8]>) {
        (alloc::vec![1; len / 3], alloc::vec![2; len - len / 3].into())
    }

    fn push(splitter: &mut Splitter, len: usize) -> bool {
        let (head, body) = message(len);
        splitter.push(at(0), Class::Bulk, head, body)
    }

    fn ack(message: u64, base: u16, bits: &[u8]) -> Ack {
        Ack { message, echo: Echo::default(), base, bits: bits.to_vec() }
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
        assert_eq!(splitter.deadline(), Some(at(11)));
        splitter.on_ack(at(9), &ack(1, 62, &[]));
        assert_eq!(splitter.deadline(), Some(Time::ZERO));
        assert_eq!(poll(&mut splitter, 10), pieces(64..126));
        // What was answered was not sent later than what is missing: that may be on its way, until
        // no more answers come.
        assert_eq!(splitter.deadline(), Some(at(9 + 9 + 16 + 1)));
        splitter.on_ack(at(20), &Ack { echo: echo(10), ..ack(1, 62, &[0b1000]) });
        // The window grows, for nothing was lost and nothing queues.
        assert_eq!(poll(&mut splitter, 20), pieces(126..191));
        // Now 62 and 63 are lost.
        let due = splitter.deadline().unwrap().as_micros();
        assert_eq!(poll(&mut splitter, due), [(1, 62), (1, 63)]);
        let due = splitter.deadline().unwrap().as_micros();
        assert_eq!(poll(&mut splitter, due), [(1, 62)], "the peer is silent: one piece asks");
        assert!(splitter.deadline().unwrap().as_micros() > due);
        splitter.on_ack(at(due + 1), &ack(1, 200, &[]));
        assert_eq!(poll(&mut splitter, due + 1), pieces(191..200));
        splitter.on_ack(at(due + 1), &ack(1, 200, &[]));
        assert_eq!((splitter.deadline(), splitter.held_bytes(), splitter.lost()), (None, 0, 0));
    }

    #[test]
    fn a_peer_that_comes_back_is_asked_at_once() {
        let mut splitter = Splitter::new(SplitLimits { tries: 10, ..LIMITS });
        assert!(push(&mut splitter, 600));
        assert_eq!(poll(&mut splitter, 0).len(), 3);
        splitter.on_heard(at(1));
        let mut now = 0;
        for _ in 0..4 {
            now = splitter.deadline().unwrap().as_micros();
            assert_eq!(poll(&mut splitter, now), [(1, 0)]);
        }
        splitter.on_heard(at(now + 1));
        splitter.on_heard(at(now + 2));
        assert_eq!(poll(&mut splitter, now + 2), [(1, 0)], "{now}");
        assert_eq!(splitter.deadline(), Some(at(now + 2 + 2 * 10)), "and again soon");
        splitter.on_heard(at(now + 3));
        assert_eq!(poll(&mut splitter, now + 3), [], "once for each time that it was gone");
    }

    #[test]
    fn what_is_urgent_does_not_wait_behind_bodies() {
        let limits = SplitLimits { begun_max: 8, begun_bytes_max: 20_000, ..LIMITS };
        let mut splitter = wide(SplitLimits { queue_bytes_max: 100_000, ..limits });
        assert!(push(&mut splitter, 70 * 200));
        assert!(push(&mut splitter, 20 * 200));
        assert!(push(&mut splitter, 20 * 200));
        assert_eq!(poll(&mut splitter, 0).len(), 64);
        assert!(splitter.push(at(0), Class::Urgent, alloc::vec![3; 300], [].into()));
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
                let echo = echo(fields.stamp);
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
                messages +=
                    usize::from(assembler.on_fragment(at(now), &content).unwrap().is_some());
                let acks = assembler.take_acks().into_iter();
                answers.extend(acks.map(|ack| (now + 500, ack)));
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
            // Some pieces are always on their way, and now and then it is tried whether there may be
            // more.
            let long = (36 * 1_320 * 1_000 / bytes_per_ms).max(200_000);
            assert!(longest <= long, "{bytes_per_ms} bytes a ms: {longest} us");
            assert!(last <= long, "{bytes_per_ms} bytes a ms: {last} us");
        }
    }

    #[test]
    fn a_body_on_its_way_is_not_queued_once_more() {
        let mut splitter = Splitter::new(LIMITS);
        let (head, body) = message(300);
        assert!(splitter.push(at(0), Class::Bulk, head.clone(), Arc::clone(&body)));
        assert!(splitter.push(at(0), Class::Bulk, alloc::vec![7; 50], Arc::clone(&body)));
        assert_eq!(poll(&mut splitter, 0), [(1, 0), (1, 1)]);
        assert!(splitter.push(at(0), Class::Bulk, head.clone(), Arc::clone(&body)));
        // Neither one with the same bytes nor one without a body is the same.
        assert!(push(&mut splitter, 300));
        assert!(
            splitter.push(at(0), Class::Bulk, head.clone(), [].into())
                && splitter.push(at(0), Class::Bulk, head.clone(), [].into())
        );
        assert_eq!(splitter.last_number(), 4);
        splitter.on_ack(at(1), &ack(1, 2, &[]));
        assert!(splitter.push(at(0), Class::Bulk, head, body));
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
        splitter
            .on_ack(at(1), &Ack { echo: echo(1), ..ack(1, 0, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff]) });
        assert_eq!(splitter.begun().map(|message| message.flights.len()).sum::<usize>(), 10);
        assert_eq!(poll(&mut splitter, 11).len(), 10, "none of the ten arrived");
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
        let numbers: Vec<_> = splitter.bulk.0.iter().map(|message| message.number).collect();
        assert_eq!(numbers, [1, 3, 4], "the one begun stays");
        assert!(!push(&mut splitter, 7_000), "no room beside the one begun");
        assert!(!push(&mut splitter, 20_000), "longer than the queue");
        assert_eq!(splitter.bulk.0.len(), 3, "what was refused drops nothing");
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
