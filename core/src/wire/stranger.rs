//! What passes between a group and a process that is no member (yet): frames without a MAC, for the
//! two have no link (protocol.md section 10, "Joining").
//!
//! Nothing here is believed for where it came from: a request is signed by the joiner, a decision
//! proves itself to whoever knows the view before it, and a refusal is advice. Whoever receives
//! strangers' frames limits how many it looks at; one that it looks at is decoded at one door,
//! [`decode`], with the same care as a packet: length first, then every list by its limit, nothing
//! left over, the encoding canonical.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::change::Decision;
use super::{List, Malformed};
use crate::crypto::{Hash32, JoinRequest, MEMBERS_MAX};

/// The longest frame of a stranger, in bytes: it is never cut into fragments, fits a datagram, and
/// holds the longest decision.
pub const STRANGER_MAX: usize = 60 * 1024;

/// The most decisions in one frame.
pub const CHAIN_MAX: usize = 64;

/// What is said without a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stranger {
    /// Asks for the decisions that lead on from the view with this number, the newest known.
    AskChain {
        /// That number.
        from: u64,
    },
    /// The decisions after some view, each that of the view before it; empty if there are none.
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
    /// Another member has this address.
    #[error("its address is that of another member")]
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
            Self::AskChain { .. } | Self::Join(_) | Self::Refused { .. } => true,
        }
    }
}
