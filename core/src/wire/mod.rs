//! What stands in a frame between two members: one packet, of one view, made of parts.
//!
//! A packet is encoded with postcard and decoded at one door, [`decode`]: length limits first, then
//! decoding, nothing left over, the re-encoding equal to the input (postcard alone accepts
//! over-long integers), every rank and number checked against the view. The casts of a body are
//! not part of the encoding: they follow the packet in the frame, raw (see [`casts`]), and are
//! bound to it by their hash.

pub mod bounds;
pub mod casts;
pub mod change;
pub mod frame;
mod list;
pub mod stranger;
pub mod transfer;

pub use list::{Blob, List};

use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use change::{Committed, Decision, Flushed, NeedsMore, Proposed, Recommended};
use transfer::TransferPart;

use crate::crypto::{
    AckNewView, Certificate, Hash32, Heads, Installed, JoinRequest, LINKS_MAX, Leave, Link,
    MEMBERS_MAX, ReadyToSwitch, Signed, Stable, Suspect,
};
use crate::fault::Proof;
use crate::member::Rank;
use crate::seq::{Attempt, Number, Round, SlotMark};

/// The version of everything on the wire; golden bytes pin it.
pub const VERSION: u8 = 6;

/// The most parts in one packet.
pub const PARTS_MAX: usize = 256;

/// The longest message of `send`, in bytes.
pub const SEND_MAX: usize = 256 * 1024;

/// What a message of `send` costs beyond its bytes, so that empty ones are not free.
pub const SEND_COST: usize = 64;

/// The most message numbers in one [`Pt2ptPart::Ack`].
pub const NAKS_MAX: usize = 64;

/// What one member tells another in one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// The id of the view it belongs to.
    pub view: Hash32,
    /// How far the sender of the frame holds every log, certified; empty when it has nothing to
    /// tell. Not signed: it speaks for that member only (RM4).
    pub haves: List<Number, MEMBERS_MAX>,
    /// What else it says, in the order in which it is to be taken in.
    pub parts: List<Part, PARTS_MAX>,
}

/// One thing a member says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Digest and replies of one tick.
    Heads(Signed<Heads>),
    /// The paper's final phase; in pattern Swift only on request.
    Certificate(Certificate),
    /// A body; its casts are the rest of the frame. At most one, and the last part.
    Body(BodyHead),
    /// A row of the stability matrix, of its signer or relayed.
    Stable(Signed<Stable>),
    /// A suspicion.
    Suspect(Signed<Suspect>),
    /// Evidence that holds by itself.
    Proof(Box<Proof>),
    /// Asks for the bodies `from..=to` of a log and what certifies them; with `from` just above
    /// `to` for the latter alone.
    Fetch {
        /// Whose log.
        sender: Rank,
        /// The first body wanted.
        from: Number,
        /// The last body wanted.
        to: Number,
    },
    /// Asks everybody for a row of `member` with a higher counter.
    AskRow {
        /// Whose row.
        member: Rank,
        /// The counter of the newest row that the asker has.
        above: u64,
    },
    /// Asks everybody for a body of `sender` that settles `round`; who answers adds its own newest
    /// Heads for that log.
    AskSlot {
        /// Whose slot is missing.
        sender: Rank,
        /// The missing round.
        round: Round,
        /// The first body that the asker does not hold, certified.
        from: Number,
    },
    /// Messages between two members.
    Pt2pt(Pt2ptPart),
    /// Wants to leave the group.
    Leave(Signed<Leave>),
    /// Is for taking a process in.
    Recommend(Box<Recommended>),
    /// Flushes the view.
    Flush(Box<Flushed>),
    /// Goes on to a later attempt.
    NeedMoreChange(Box<NeedsMore>),
    /// Proposes the next view.
    NewView(Box<Proposed>),
    /// Acknowledges a proposal.
    Ack(Signed<AckNewView>),
    /// Announces a quorum of Acks.
    Commit(Box<Committed>),
    /// Is ready to switch to the next view.
    Ready(Signed<ReadyToSwitch>),
    /// The next view is decided.
    Decision(Box<Decision>),
    /// Asks for the proposal of an attempt, of whoever has it.
    AskNewView(Attempt),
    /// Has installed this view.
    Installed(Signed<Installed>),
    /// Asks for the Installed of a member.
    AskInstalled(Rank),
    /// A Silenced member asks to be Active again, or an Active one that lost its state to be Silenced.
    Join(Box<JoinRequest>),
    /// The state of the application on its way to a joiner.
    Transfer(TransferPart),
    /// The counter of the newest row that the sender of the frame holds of each member, by rank; 0
    /// for none. Not signed: a member that lacks one of them asks for it, and takes nothing else
    /// from this.
    RowCounters(List<u64, MEMBERS_MAX>),
    /// Does not hold a body that it was asked for, in a view that is over for it.
    Lacks {
        /// Whose log.
        sender: Rank,
        /// The first body that was wanted.
        number: Number,
    },
}

/// A body without its casts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyHead {
    /// Whose log.
    pub sender: Rank,
    /// `r`, at least 1.
    pub number: Number,
    /// `H_{r-1}`.
    pub prev: Hash32,
    /// What it says about its sender's slots.
    pub slot: SlotMark,
    /// The steps of the chain above it, up to a head in the same packet that covers it; empty when
    /// that head is its own.
    pub links: List<Link, LINKS_MAX>,
}

/// Reliable messages between two members (layers Pt2pt and Pt2ptW).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pt2ptPart {
    /// Message `number`, counted from 1.
    Data {
        /// Its number.
        number: u64,
        /// What the application sent.
        payload: Blob<SEND_MAX>,
    },
    /// All messages below `next` arrived or were skipped, those in `missing` did not.
    Ack {
        /// The first message not yet delivered.
        next: u64,
        /// Messages at or above `next` that are missing below one that arrived, ascending.
        missing: List<u64, NAKS_MAX>,
        /// How much the messages sent from `next` on may cost together: each its length and
        /// [`SEND_COST`].
        credit: u64,
    },
    /// The sender has given up the messages below `below`: they are not to be waited for.
    Skip {
        /// The first message that is still to come.
        below: u64,
    },
}

/// Why bytes are no packet. The peer that sent them over its authenticated link is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Cut short, or a value that cannot be.
    #[error("the packet does not decode")]
    Undecodable,
    /// Bytes after the end.
    #[error("the packet has bytes left over")]
    LeftOver,
    /// A second encoding of the same packet.
    #[error("the packet is not encoded canonically")]
    NotCanonical,
    /// A rank outside the view, a list of the wrong length or order, a number out of bounds.
    #[error("the packet says something that no view of {0} members allows")]
    Illegal(usize),
    /// Casts that do not parse, or that do not go with the slot of their body.
    #[error("the casts of the body are malformed")]
    Casts,
    /// A fragment that contradicts another, an acknowledgement or an assembled frame that does not
    /// parse.
    #[error("the fragments of the frame do not fit together")]
    Fragment,
}

/// Encodes a packet.
#[must_use]
pub fn encode(packet: &Packet) -> Vec<u8> {
    // Writing into a growing vector cannot fail; an empty packet is refused by every receiver.
    postcard::to_allocvec(packet).unwrap_or_default()
}

/// Decodes a packet sent in a view of `n` members; `has_casts` says whether casts follow it.
///
/// # Errors
/// See [`Malformed`].
pub fn decode(bytes: &[u8], n: usize, has_casts: bool) -> Result<Packet, Malformed> {
    let (packet, rest) =
        postcard::take_from_bytes::<Packet>(bytes).map_err(|_| Malformed::Undecodable)?;
    if !rest.is_empty() {
        return Err(Malformed::LeftOver);
    }
    if encode(&packet) != bytes {
        return Err(Malformed::NotCanonical);
    }
    if !packet.is_legal(n, has_casts) {
        return Err(Malformed::Illegal(n));
    }
    Ok(packet)
}

impl Packet {
    fn is_legal(&self, n: usize, has_casts: bool) -> bool {
        let bodies = self.parts.iter().filter(|part| matches!(part, Part::Body(_))).count();
        let body_is_last = matches!(self.parts.last(), Some(Part::Body(_)));
        (self.haves.is_empty() || self.haves.len() == n)
            && (bodies == 0 || (bodies == 1 && body_is_last))
            && (bodies == 1 || !has_casts)
            && self.parts.iter().all(|part| part.is_legal(n))
    }
}

impl Part {
    fn is_legal(&self, n: usize) -> bool {
        let is_member = |rank: Rank| rank.index() < n;
        match self {
            Self::Heads(heads) => heads_are_legal(heads, n),
            Self::Certificate(certificate) => {
                is_member(certificate.head.sender)
                    && certificate.head.number > Number::ZERO
                    && certificate.heads.iter().all(|heads| heads_are_legal(heads, n))
            }
            Self::Body(body) => is_member(body.sender) && body.number > Number::ZERO,
            Self::Stable(row) => is_member(row.signer) && row.statement.have.len() == n,
            Self::Suspect(suspect) => {
                is_member(suspect.signer) && is_member(suspect.statement.subject)
            }
            Self::Proof(proof) => proof.is_legal(n),
            Self::Fetch { sender, from, to } => {
                is_member(*sender) && *from > Number::ZERO && *from <= to.next()
            }
            Self::AskRow { member, .. } | Self::AskInstalled(member) => is_member(*member),
            Self::Leave(leave) => is_member(leave.signer),
            Self::Recommend(recommended) => is_member(recommended.signed.signer),
            Self::Flush(flushed) => flushed.is_legal(n),
            Self::NeedMoreChange(more) => more.is_legal(n),
            Self::NewView(proposed) => proposed.is_legal(n),
            Self::Ack(ack) => is_member(ack.signer),
            Self::Commit(committed) => committed.is_legal(n),
            Self::Ready(ready) => is_member(ready.signer),
            Self::Decision(decision) => decision.is_legal(n),
            Self::AskNewView(_) | Self::Join(_) => true,
            Self::Installed(installed) => is_member(installed.signer),
            Self::Transfer(part) => part.is_legal(),
            Self::RowCounters(counters) => counters.len() == n,
            Self::AskSlot { sender, from: number, .. } | Self::Lacks { sender, number } => {
                is_member(*sender) && *number > Number::ZERO
            }
            Self::Pt2pt(Pt2ptPart::Data { number, .. } | Pt2ptPart::Skip { below: number }) => {
                *number > 0
            }
            Self::Pt2pt(Pt2ptPart::Ack { next, missing, .. }) => {
                *next > 0 && missing.first().is_none_or(|first| first >= next) && ascend(missing)
            }
        }
    }
}

/// Whether each value is above the one before it.
fn ascend<T: PartialOrd>(values: &[T]) -> bool {
    values.iter().zip(values.iter().skip(1)).all(|(a, b)| a < b)
}

/// Senders strictly ascend, are members, and no entry is for body 0 (RM3).
pub(crate) fn heads_are_legal(heads: &Signed<Heads>, n: usize) -> bool {
    let entries = &heads.statement.entries;
    heads.signer.index() < n
        && !entries.is_empty()
        && entries.iter().all(|head| head.sender.index() < n && head.number > Number::ZERO)
        && entries.iter().zip(entries.iter().skip(1)).all(|(a, b)| a.sender < b.sender)
}

#[cfg(test)]
pub(crate) mod tests;
