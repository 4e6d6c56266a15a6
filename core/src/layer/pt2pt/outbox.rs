//! Messages to one member: queued, sent within its credit, sent again, given up.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Misbehaviour, Out, WINDOW, cost};
use crate::config::Config;
use crate::input::Ticket;
use crate::member::Rank;
use crate::output::Refusal;
use crate::time::{Time, earliest};
use crate::wire::{Blob, Pt2ptPart, SEND_MAX};

/// Doublings of the pause before a message is sent once more.
const DOUBLINGS_MAX: u32 = 6;

/// When something was sent and is to be sent again.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    due: Time,
    resends: u32,
}

impl Attempt {
    const fn first(now: Time, retransmit_us: u64) -> Self {
        Self { due: now.plus(retransmit_us), resends: 0 }
    }

    const fn again(self, now: Time, retransmit_us: u64) -> Self {
        let resends = self.resends.saturating_add(1);
        let doublings = if resends < DOUBLINGS_MAX { resends } else { DOUBLINGS_MAX };
        let pause_us = retransmit_us.saturating_mul(1_u64.rotate_left(doublings));
        Self { due: now.plus(pause_us), resends }
    }
}

#[derive(Debug)]
struct Message {
    ticket: Ticket,
    payload: Vec<u8>,
    sent: Option<Attempt>,
    /// The peer says that it is missing.
    is_wanted: bool,
}

/// What the book-keeping of one message takes.
#[cfg(test)]
pub(super) const MESSAGE_SIZE: usize = size_of::<Message>();

impl Message {
    fn cost(&self) -> usize {
        cost(self.payload.len())
    }
}

#[derive(Debug)]
pub(super) struct Outbox {
    queue_bytes_max: usize,
    retransmit_us: u64,
    tries: u32,
    /// Not acknowledged: those sent, then those that wait for credit.
    queue: VecDeque<Message>,
    /// Number of the first in the queue.
    first: u64,
    held: usize,
    in_flight: usize,
    credit: usize,
    /// Messages below `first` were given up and the peer may wait for them: nothing is sent
    /// before it has heard of it. At rest (`None`) while there is nothing to send.
    skip: Option<Option<Attempt>>,
    was_full: bool,
}

impl Outbox {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            queue_bytes_max: config.send_queue_bytes,
            retransmit_us: config.timeouts.retransmit_us.max(1),
            tries: config.send_tries,
            queue: VecDeque::new(),
            first: 1,
            held: 0,
            in_flight: 0,
            credit: WINDOW,
            skip: None,
            was_full: false,
        }
    }

    pub(super) fn send(
        &mut self,
        now: Time,
        to: Rank,
        ticket: Ticket,
        payload: &[u8],
        out: &mut Vec<Out>,
    ) {
        let cost = cost(payload.len());
        if payload.len() > SEND_MAX || cost > self.queue_bytes_max {
            out.push(Out::Refused(ticket, Refusal::TooLarge));
            return;
        }
        let held = self.held.saturating_add(cost);
        if held > self.queue_bytes_max {
            self.was_full = true;
            out.push(Out::Refused(ticket, Refusal::Full));
            return;
        }
        self.held = held;
        let payload = payload.to_vec();
        self.queue.push_back(Message { ticket, payload, sent: None, is_wanted: false });
        out.push(Out::Accepted(ticket));
        self.pump(now, to, out);
    }

    /// Sends what the credit allows.
    pub(super) fn pump(&mut self, now: Time, to: Rank, out: &mut Vec<Out>) {
        self.make_known(out);
        if let Some(attempt) = &mut self.skip {
            if attempt.is_none() && !self.queue.is_empty() {
                *attempt = Some(Attempt::first(now, self.retransmit_us));
                out.push(Out::Part { to, part: Pt2ptPart::Skip { below: self.first } });
            }
            return;
        }
        let unsent = self.queue.partition_point(|message| message.sent.is_some());
        let numbers = self.first..u64::MAX;
        for (number, message) in numbers.zip(&mut self.queue).skip(unsent) {
            let in_flight = self.in_flight.saturating_add(message.cost());
            if in_flight > self.credit {
                break;
            }
            self.in_flight = in_flight;
            message.sent = Some(Attempt::first(now, self.retransmit_us));
            out.push(data(to, number, message));
        }
    }

    /// Tells the application when there is room again.
    pub(super) fn make_known(&mut self, out: &mut Vec<Out>) {
        if self.was_full && self.held <= self.queue_bytes_max / 2 {
            self.was_full = false;
            out.push(Out::Writable);
        }
    }

    /// A new view began: what was sent in the one before may be lost, and the pauses that grew
    /// there say nothing any more.
    pub(super) fn hurry(&mut self, now: Time) {
        let sent = self.queue.iter_mut().filter_map(|message| message.sent.as_mut());
        for attempt in sent.chain(self.skip.iter_mut().flatten()) {
            *attempt = Attempt { due: now, resends: 0 };
        }
    }

    /// Takes in what arrived. An acknowledgement older than one already seen says nothing new.
    pub(super) fn on_ack(
        &mut self,
        now: Time,
        next: u64,
        missing: &[u64],
        credit: u64,
    ) -> Result<(), Misbehaviour> {
        let Some(arrived) = next.checked_sub(self.first) else { return Ok(()) };
        let sent = self.queue.partition_point(|message| message.sent.is_some()) as u64;
        let end = self.first.saturating_add(sent);
        let credit = usize::try_from(credit).unwrap_or(usize::MAX);
        if arrived > sent
            || missing.last().is_some_and(|last| *last >= end)
            || credit < cost(SEND_MAX)
        {
            return Err(Misbehaviour);
        }
        self.credit = credit;
        self.skip = None;
        for _ in 0..arrived {
            if let Some(message) = self.queue.pop_front() {
                self.held = self.held.saturating_sub(message.cost());
                self.in_flight = self.in_flight.saturating_sub(message.cost());
            }
        }
        self.first = next;
        if arrived > 0
            && let Some(attempt) = self.queue.front_mut().and_then(|front| front.sent.as_mut())
        {
            attempt.due = attempt.due.max(now.plus(self.retransmit_us));
        }
        for number in missing {
            let at = usize::try_from(number.saturating_sub(self.first)).ok();
            if let Some(message) = at.and_then(|at| self.queue.get_mut(at)) {
                message.is_wanted = true;
            }
        }
        Ok(())
    }

    /// Sends again what is due: the first message, and those the peer misses. Each is sent again
    /// at most `tries` times; when that is used up for the first one, all are given up.
    pub(super) fn tick(&mut self, now: Time, to: Rank, out: &mut Vec<Out>) {
        let front = self.queue.front().and_then(|front| front.sent);
        let oldest = self.skip.flatten().or(front);
        if oldest.is_some_and(|attempt| attempt.due <= now && attempt.resends >= self.tries) {
            self.give_up(to, out);
        }
        if let Some(Some(attempt)) = &mut self.skip
            && attempt.due <= now
        {
            *attempt = attempt.again(now, self.retransmit_us);
            out.push(Out::Part { to, part: Pt2ptPart::Skip { below: self.first } });
        }
        let numbers = self.first..u64::MAX;
        for (at, (number, message)) in numbers.zip(&mut self.queue).enumerate() {
            let Some(attempt) = message.sent else { break };
            if attempt.due <= now && is_repeated(at, message, self.tries) {
                message.sent = Some(attempt.again(now, self.retransmit_us));
                message.is_wanted = false;
                out.push(data(to, number, message));
            }
        }
        self.pump(now, to, out);
    }

    /// Reports all messages as failed.
    pub(super) fn give_up(&mut self, to: Rank, out: &mut Vec<Out>) {
        let sent = self.queue.partition_point(|message| message.sent.is_some()) as u64;
        self.first = self.first.saturating_add(sent);
        out.extend(self.queue.drain(..).map(|Message { ticket, .. }| Out::Failed { to, ticket }));
        self.skip = Some(None);
        self.held = 0;
        self.in_flight = 0;
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let skip = self.skip.flatten().map(|attempt| attempt.due);
        let dues = self.queue.iter().enumerate().map_while(|(at, message)| {
            let attempt = message.sent?;
            Some((at == 0 || is_repeated(at, message, self.tries)).then_some(attempt.due))
        });
        dues.fold(skip, earliest)
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }
}

/// Whether a message that was sent is to be sent again when it is due.
fn is_repeated(at: usize, message: &Message, tries: u32) -> bool {
    let resends = message.sent.map_or(0, |attempt| attempt.resends);
    (at == 0 || message.is_wanted) && resends < tries
}

fn data(to: Rank, number: u64, message: &Message) -> Out {
    let payload = Blob(message.payload.clone());
    Out::Part { to, part: Pt2ptPart::Data { number, payload } }
}
