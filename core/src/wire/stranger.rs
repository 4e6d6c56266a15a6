//! What passes between a group and a process that is no member (yet): frames without a MAC, for the
//! two have no link (protocol.md section 10, "Joining").
//!
//! Nothing here is believed for where it came from: a request is signed by the joiner, a decision
//! proves itself to whoever knows the view before it, that there is none is signed by those who say
//! so, and a refusal is advice. Nobody gets more out of a member than it puts in, by much: an answer
//! goes wherever a question seems to come from, so a question is padded and draws at most
//! [`answer_max`] bytes. Whoever receives
//! strangers' frames limits how many it looks at; one that it looks at is decoded at one door,
//! [`decode`], with the same care as a packet: length first, then every list by its limit, nothing
//! left over, the encoding canonical.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::change::Decision;
use super::frame::HEADER;
use super::{Blob, List, Malformed};
use crate::crypto::{Hash32, JoinRequest, MEMBERS_MAX, Newest, PublicKey, Signed};

/// The longest frame of a stranger, in bytes: it is never cut into fragments, fits a datagram, and
/// holds the longest decision.
pub const STRANGER_MAX: usize = 60 * 1024;

/// The most decisions in one frame.
pub const CHAIN_MAX: usize = 64;

/// The usual length of a frame with a question: it fits a datagram.
pub const QUESTION_BYTES: usize = 1_200;

/// Bytes of a question's frame without its padding: these at least, and eleven more at the most.
const BARE_BYTES: usize = HEADER + 1 + 1 + 33 + 33 + 1;

/// How many bytes of frames answer a question whose frame has so many: they go to an address that the
/// question may have forged.
#[must_use]
pub const fn answer_max(question: usize) -> usize {
    question.saturating_add(question / 2)
}

/// How long a question has to be to be answered with so many bytes.
#[must_use]
pub const fn question_min(answer: usize) -> usize {
    answer.saturating_sub(answer / 3).saturating_add(1)
}

/// Asks for the decisions that lead on from the view with a number, the newest known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// That number.
    pub from: u64,
    /// The key of the process that asks; nothing proves it.
    pub key: PublicKey,
    /// Tells the answers to it from those to an earlier life of the process.
    pub nonce: Hash32,
    /// Bytes that mean nothing.
    pub padding: Blob<STRANGER_MAX>,
}

impl Question {
    /// A question whose frame has at least so many bytes, as far as a frame may.
    #[must_use]
    pub fn padded(from: u64, key: PublicKey, nonce: Hash32, bytes: usize) -> Self {
        let longest = STRANGER_MAX.saturating_sub(96);
        let padding = bytes.max(QUESTION_BYTES).saturating_sub(BARE_BYTES).min(longest);
        Self { from, key, nonce, padding: Blob(alloc::vec![0; padding]) }
    }
}

/// What is said without a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stranger {
    /// Asks how the group went on.
    AskChain(Question),
    /// The decisions after some view, each that of the view before it.
    Chain {
        /// Oldest first.
        decisions: List<Decision, CHAIN_MAX>,
    },
    /// Asks to be a member.
    Join(JoinRequest),
    /// A member is not for a request, for now; or has no chain to give.
    Refused {
        /// Hash of the request; [`Hash32::ZERO`] if it was for the chain.
        request: Hash32,
        /// Why.
        why: JoinRefusal,
    },
    /// There is no decision after the view of a question, as far as its signer knows.
    Newest(Signed<Newest>),
    /// The next decision is longer than such a question is answered with.
    Longer {
        /// How long the frame of a question has to be.
        bytes: u32,
    },
}

/// Why a member does not recommend a process. It is advice to people, not authenticated.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error, Serialize, Deserialize,
)]
pub enum JoinRefusal {
    /// Its key was expelled: for ever.
    #[error("its key was expelled from the group")]
    Expelled,
    /// Its key was in a view in this life or a later one: the highest was this.
    #[error("its incarnation is not above {0}, which was in a view")]
    Incarnation(u64),
    /// Frames cannot tell it from another member; it needs another key.
    #[error("its key has the peer id of another member; it needs another key")]
    PeerIdClash,
    /// A member that answers has this address; a dead one keeps it from nobody.
    #[error("its address is that of another member, which answers there")]
    AddressTaken,
    /// The group has `max_members`.
    #[error("the group is full")]
    Full,
    /// It comes and goes too often; it may ask again later.
    #[error("it comes and goes too often, and has to wait")]
    CoolDown,
    /// A proof of misbehaviour is held against its key.
    #[error("a proof of misbehaviour is held against its key")]
    Proven,
    /// The request is not signed for the present view; it may have been for an older one.
    #[error("the request is not signed for the present view")]
    OtherView,
    /// Nobody said that it may.
    #[error("it is not authorised to join")]
    NotAuthorised,
    /// The application was asked whether it may.
    #[error("the application is being asked")]
    Undecided,
    /// The decisions since the view it knows are not kept any more: it needs a later anchor.
    #[error("the decisions since the view that it knows are not kept any more")]
    Forgotten,
    /// It is recommended, but fewer members than a quorum answer: it is decided once more do.
    #[error("it is welcome, but too few members answer to decide: it has to wait for others")]
    NoQuorum,
    /// It is recommended, but so many members have begun a new life that the view decides nothing any
    /// more.
    #[error(
        "so many members have lost what they signed and begun anew that the others are no quorum: the \
         group cannot go on, and a new one is needed"
    )]
    BeyondRepair,
}

/// Encodes what is said to or by a stranger.
#[must_use]
pub fn encode(message: &Stranger) -> Vec<u8> {
    postcard::to_allocvec(message).unwrap_or_default()
}

/// Decodes the content of a stranger's frame.
///
/// # Errors
/// See [`Malformed`]; nobody is to blame, for anybody may have sent it.
pub fn decode(bytes: &[u8]) -> Result<Stranger, Malformed> {
    if bytes.len() > STRANGER_MAX {
        return Err(Malformed::Undecodable);
    }
    let (message, rest) =
        postcard::take_from_bytes::<Stranger>(bytes).map_err(|_| Malformed::Undecodable)?;
    if !rest.is_empty() {
        return Err(Malformed::LeftOver);
    }
    if encode(&message) != bytes {
        return Err(Malformed::NotCanonical);
    }
    if !message.is_legal() {
        return Err(Malformed::Illegal(MEMBERS_MAX));
    }
    Ok(message)
}

impl Stranger {
    fn is_legal(&self) -> bool {
        match self {
            Self::Chain { decisions } => {
                let follows = |(a, b): (&Decision, &Decision)| {
                    a.view.number.checked_add(1) == Some(b.view.number)
                };
                decisions.iter().all(|decision| decision.is_legal(MEMBERS_MAX))
                    && decisions.iter().zip(decisions.iter().skip(1)).all(follows)
            }
            Self::Newest(said) => said.signer.index() < MEMBERS_MAX,
            Self::AskChain(_) | Self::Join(_) | Self::Refused { .. } | Self::Longer { .. } => true,
        }
    }
}
