//! Layers Pt2pt and Pt2ptW: reliable messages, in order, between two members (protocol.md
//! section 3; the paper's point-to-point layer and its window).
//!
//! Promises: what is accepted is delivered once and in order, or reported as failed with its
//! ticket; memory stays under [`bound`]. Needs from below: authenticated links that may lose,
//! repeat and reorder. A message that failed may have arrived all the same: only its
//! acknowledgement is missing.
//!
//! What a faulty member can try: never to acknowledge (`send_tries` resends, then the queue to it
//! fails and one small Skip is tried instead), to ask for everything again for ever (resends are
//! counted all the same), to acknowledge what was not sent or to send beyond its credit (shown as
//! [`Out::Misbehaved`]). None of it touches the queues of other members.

mod inbox;
mod outbox;

use alloc::vec::Vec;

use self::inbox::Inbox;
use self::outbox::Outbox;
use crate::config::Config;
use crate::input::Ticket;
use crate::member::{PerRank, Rank};
use crate::output::Refusal;
use crate::time::{Time, earliest};
use crate::wire::{Pt2ptPart, SEND_COST, SEND_MAX};

/// What the messages on their way to one member may cost together. At least one of the longest
/// must fit, or it could never be sent.
pub(crate) const WINDOW: usize = 2 * (SEND_MAX + SEND_COST);

/// What happens to the machine.
#[derive(Clone, Debug)]
pub(crate) enum In<'a> {
    /// The application wants a message sent.
    Send {
        /// To whom.
        to: Rank,
        /// Names the request.
        ticket: Ticket,
        /// What to send.
        payload: &'a [u8],
    },
    /// A part came over the link of a member.
    Part {
        /// Whose link.
        from: Rank,
        /// What it says.
        part: Pt2ptPart,
    },
    /// Time passed, or everything at hand was read.
    Tick,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// A part for the link to a member.
    Part {
        /// To whom.
        to: Rank,
        /// What to say.
        part: Pt2ptPart,
    },
    /// A message from a member.
    Deliver {
        /// From whom.
        from: Rank,
        /// What it sent.
        payload: Vec<u8>,
    },
    /// The message was taken.
    Accepted(Ticket),
    /// The message was not taken.
    Refused(Ticket, Refusal),
    /// The message was given up.
    Failed {
        /// To whom it was.
        to: Rank,
        /// The ticket of the request.
        ticket: Ticket,
    },
    /// After a [`Refusal::Full`]: half of that member's queue is free again.
    Writable,
    /// The member did what no correct member does.
    Misbehaved {
        /// Who.
        from: Rank,
    },
}

/// A part that no correct peer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Misbehaviour;

/// What a message of this length costs.
const fn cost(len: usize) -> usize {
    len.saturating_add(SEND_COST)
}

/// The messages between two members, both ways.
#[derive(Debug)]
pub(crate) struct Peer {
    outbox: Outbox,
    inbox: Inbox,
}

/// The messages between this member and all others, in one view.
#[derive(Debug)]
pub(crate) struct Pt2pt {
    me: Rank,
    peers: PerRank<Peer>,
}

impl Pt2pt {
    /// Member `me` of a view of `n`.
    pub(crate) fn new(n: usize, me: Rank, config: &Config) -> Self {
        let peer = |_| Peer { outbox: Outbox::new(config), inbox: Inbox::new() };
        Self { me, peers: PerRank::from_fn(n, peer) }
    }

    /// Messages to and from a member of the view before go on in this one, with their numbers.
    pub(crate) fn go_on(&mut self, member: Rank, mut messages: Peer, now: Time) {
        messages.outbox.hurry(now);
        if let Some(peer) = self.peers.get_mut(member) {
            *peer = messages;
        }
    }

    /// The view is over: what there is with each member, by rank.
    pub(crate) fn leave(self) -> alloc::vec::IntoIter<Peer> {
        self.peers.into_values()
    }

    /// Takes one input.
    pub(crate) fn step(&mut self, now: Time, input: In<'_>) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Send { to, ticket, payload } => {
                let is_other = to != self.me;
                match self.peers.get_mut(to).filter(|_| is_other) {
                    Some(peer) => peer.outbox.send(now, to, ticket, payload, &mut out),
                    None => out.push(Out::Refused(ticket, Refusal::NotMember)),
                }
            }
            In::Part { from, part } => {
                if let Some(peer) = self.peers.get_mut(from)
                    && peer.on_part(now, from, part, &mut out).is_err()
                {
                    out.push(Out::Misbehaved { from });
                }
            }
            In::Tick => {
                for (to, peer) in self.peers.iter_mut() {
                    let ack = peer.inbox.take_ack();
                    out.extend(ack.map(|part| Out::Part { to, part }));
                    peer.outbox.tick(now, to, &mut out);
                }
            }
        }
        out
    }

    /// When a [`In::Tick`] is owed; [`Time::ZERO`] for at once.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.peers.values().fold(None, |first, peer| {
            let ack = peer.inbox.owes_ack().then_some(Time::ZERO);
            earliest(first, earliest(ack, peer.outbox.deadline()))
        })
    }

    /// Bytes held: at most [`bound`].
    pub(crate) fn held_bytes(&self) -> usize {
        self.peers.values().fold(0, |sum, peer| {
            let both = peer.outbox.held().saturating_add(peer.inbox.held());
            sum.saturating_add(both)
        })
    }
}

impl Peer {
    /// The member is gone: its messages are given up.
    pub(crate) fn give_up(mut self, to: Rank) -> Vec<Out> {
        let mut out = Vec::new();
        self.outbox.give_up(to, &mut out);
        self.outbox.make_known(&mut out);
        out
    }

    fn on_part(
        &mut self,
        now: Time,
        from: Rank,
        part: Pt2ptPart,
        out: &mut Vec<Out>,
    ) -> Result<(), Misbehaviour> {
        let mut deliver = |payload| out.push(Out::Deliver { from, payload });
        match part {
            Pt2ptPart::Data { number, payload } => {
                self.inbox.on_data(number, payload.0, &mut deliver)
            }
            Pt2ptPart::Skip { below } => self.inbox.on_skip(below, &mut deliver),
            Pt2ptPart::Ack { next, missing, credit } => {
                self.outbox.on_ack(now, next, &missing, credit)?;
                self.outbox.pump(now, from, out);
                Ok(())
            }
        }
    }
}

/// The most bytes held in a view of `n`: for each other member the queue to it, and a window of
/// what came from it out of order.
pub(crate) const fn bound(config: &Config, n: usize) -> usize {
    config.send_queue_bytes.saturating_add(WINDOW).saturating_mul(n.saturating_sub(1))
}

#[cfg(test)]
mod tests;
