//! Statements about membership (protocol.md sections 2, 7, 9 and 10), and what a joiner signs.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::statement::{Kind, MEMBERS_MAX, Statement};
use super::types::{Hash32, PublicKey, Signature};
use crate::member::{ADDR_MAX, Rank};
use crate::seq::{Attempt, LogEnd};
use crate::wire::change::JOINS_PER_CHANGE_MAX;
use crate::wire::{Blob, List};

/// The most changes that one Flush lists: a suspicion of both kinds, a departure and a return for each
/// member, and the joiners that one change takes in.
pub const CHANGES_MAX: usize = 4 * MEMBERS_MAX + JOINS_PER_CHANGE_MAX;

/// A change of the membership for which there is evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Change {
    /// Enough members hold proofs against it.
    Proven(Rank),
    /// Enough members suspect it.
    Suspected(Rank),
    /// It wants to leave.
    Leaves(Rank),
    /// The process with this key asks to be a member in this life, and is recommended; so is it if it
    /// asks for a later one.
    Joins(PublicKey, u64),
}

impl Change {
    /// The member that it is about, unless it is about a process that joins.
    #[must_use]
    pub const fn rank(&self) -> Option<Rank> {
        match self {
            Self::Proven(rank) | Self::Suspected(rank) | Self::Leaves(rank) => Some(*rank),
            Self::Joins(..) => None,
        }
    }

    fn fields(self, out: &mut Vec<u8>) {
        let (tag, rank) = match self {
            Self::Proven(rank) => (0, rank),
            Self::Suspected(rank) => (1, rank),
            Self::Leaves(rank) => (2, rank),
            Self::Joins(key, incarnation) => {
                out.push(3);
                out.extend(key.0);
                out.extend(incarnation.to_le_bytes());
                return;
            }
        };
        out.push(tag);
        out.extend(rank.value().to_le_bytes());
    }
}

/// Nothing more is said in this view: how far its signer holds every log, certified, and which
/// changes it knows evidence for. Once per view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flush {
    /// By rank of the log.
    pub ends: List<LogEnd, MEMBERS_MAX>,
    /// Ascending.
    pub changes: List<Change, CHANGES_MAX>,
}

impl Statement for Flush {
    const KIND: Kind = Kind::Flush;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend((self.ends.len() as u64).to_le_bytes());
        for end in self.ends.iter() {
            out.extend(end.number.value().to_le_bytes());
            out.extend(end.hash.as_bytes());
        }
        out.extend((self.changes.len() as u64).to_le_bytes());
        for change in self.changes.iter() {
            change.fields(out);
        }
    }
}

/// What a member is locked on: an attempt and the next view it may have decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// The attempt of the lock.
    pub attempt: Attempt,
    /// The id of the next view.
    pub next: Hash32,
}

/// Its signer goes on to a later attempt, and takes along what it is locked on. Once per attempt,
/// attempts rising.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedMoreChange {
    /// The attempt gone on to; never the first.
    pub attempt: Attempt,
    /// Of a lower attempt.
    pub lock: Option<Locked>,
}

impl Statement for NeedMoreChange {
    const KIND: Kind = Kind::NeedMoreChange;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.attempt.value().to_le_bytes());
        match &self.lock {
            None => out.push(0),
            Some(lock) => {
                out.push(1);
                out.extend(lock.attempt.value().to_le_bytes());
                out.extend(lock.next.as_bytes());
            }
        }
    }
}

/// The leader of an attempt proposes the next view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewView {
    /// Which attempt.
    pub attempt: Attempt,
    /// The id of the next view.
    pub next: Hash32,
    /// Hash of what justifies it.
    pub justification: Hash32,
}

impl Statement for NewView {
    const KIND: Kind = Kind::NewView;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.attempt.value().to_le_bytes());
        out.extend(self.next.as_bytes());
        out.extend(self.justification.as_bytes());
    }
}

/// The proposal of this attempt is justified. Once per attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckNewView {
    /// Which attempt.
    pub attempt: Attempt,
    /// The id of the next view.
    pub next: Hash32,
}

impl Statement for AckNewView {
    const KIND: Kind = Kind::AckNewView;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.attempt.value().to_le_bytes());
        out.extend(self.next.as_bytes());
    }
}

/// The leader has a quorum of Acks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Which attempt.
    pub attempt: Attempt,
    /// The id of the next view.
    pub next: Hash32,
    /// Hash of the Acks.
    pub acks: Hash32,
}

impl Statement for Commit {
    const KIND: Kind = Kind::Commit;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.attempt.value().to_le_bytes());
        out.extend(self.next.as_bytes());
        out.extend(self.acks.as_bytes());
    }
}

/// Its signer is locked on this view in this attempt and holds every body of its cut. Once per
/// attempt, and never after a [`NeedMoreChange`] for a higher one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyToSwitch {
    /// Which attempt.
    pub attempt: Attempt,
    /// The id of the next view.
    pub next: Hash32,
}

impl Statement for ReadyToSwitch {
    const KIND: Kind = Kind::ReadyToSwitch;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.attempt.value().to_le_bytes());
        out.extend(self.next.as_bytes());
    }
}

/// Signed in the new view: its signer has installed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The id of the view before.
    pub prev: Hash32,
}

impl Statement for Installed {
    const KIND: Kind = Kind::Installed;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.prev.as_bytes());
    }
}

/// Its signer wants to leave the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave;

impl Statement for Leave {
    const KIND: Kind = Kind::Leave;

    fn fields(&self, _: &mut Vec<u8>) {}
}

/// Its signer is for taking in the process of a join request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommend {
    /// Hash of the request.
    pub request: Hash32,
}

impl Statement for Recommend {
    const KIND: Kind = Kind::Recommend;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.request.as_bytes());
    }
}

/// The state that its signer hands to a joiner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// For whom.
    pub joiner: PublicKey,
    /// Hash over the hashes of its chunks.
    pub root: Hash32,
    /// Bytes.
    pub length: u64,
}

impl Statement for Snapshot {
    const KIND: Kind = Kind::Snapshot;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.joiner.as_bytes());
        out.extend(self.root.as_bytes());
        out.extend(self.length.to_le_bytes());
    }
}

/// The answer to a process that wants to join: the view in which this is signed is the newest that
/// its signer knows, and the signer has not said that it is ready for a next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Of the question: drawn by the process that asks, once in each of its lives.
    pub nonce: Hash32,
    /// The key of that process, as the question named it.
    pub key: PublicKey,
    /// The highest incarnation of this key that was in a view, as far as the signer remembers.
    pub highest: Option<u64>,
}

impl Statement for Newest {
    const KIND: Kind = Kind::Newest;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.nonce.as_bytes());
        out.extend(self.key.as_bytes());
        out.push(u8::from(self.highest.is_some()));
        out.extend(self.highest.unwrap_or_default().to_le_bytes());
    }
}

/// A process that is no member, or is silenced, asks to be (again) an Active member. Signed by the
/// key it names, for one view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Its key.
    pub key: PublicKey,
    /// Its incarnation.
    pub incarnation: u64,
    /// Where it is to be found.
    pub addr: Blob<ADDR_MAX>,
    /// By that key.
    pub signature: Signature,
}

/// What a [`JoinRequest`] signs.
pub(super) struct JoinFields<'a>(pub(super) &'a JoinRequest);

impl Statement for JoinFields<'_> {
    const KIND: Kind = Kind::JoinRequest;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.0.key.as_bytes());
        out.extend(self.0.incarnation.to_le_bytes());
        out.extend((self.0.addr.0.len() as u64).to_le_bytes());
        out.extend(&self.0.addr.0);
    }
}
