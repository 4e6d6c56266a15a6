//! What members sign, and exactly which bytes.
//!
//! `"phalanx/1" | kind | group | view id | fields`, little-endian and of fixed layout, so that a
//! signature made for one kind, group, view or signer is refused as any other (protocol.md
//! section 2). The signer is bound by its key: no key stands twice in a view.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;
use serde::{Deserialize, Serialize};

use super::types::{Hash32, Signature};
use crate::member::Rank;
use crate::seq::Number;
use crate::wire::List;

/// The most members a view can be configured for.
pub const MEMBERS_MAX: usize = 64;

/// The kinds of statements, as they stand in the signed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`Heads`].
    Heads = 1,
    /// [`Stable`].
    Stable = 2,
    /// [`Suspect`].
    Suspect = 3,
    /// [`super::Recommend`].
    Recommend = 4,
    /// [`super::Leave`].
    Leave = 5,
    /// [`super::Flush`].
    Flush = 6,
    /// [`super::NeedMoreChange`].
    NeedMoreChange = 7,
    /// [`super::NewView`].
    NewView = 8,
    /// [`super::AckNewView`].
    AckNewView = 9,
    /// [`super::Commit`].
    Commit = 10,
    /// [`super::ReadyToSwitch`].
    ReadyToSwitch = 11,
    /// [`super::Installed`].
    Installed = 12,
    /// [`super::JoinRequest`].
    JoinRequest = 13,
    /// [`super::Snapshot`].
    Snapshot = 14,
    /// [`super::Newest`].
    Newest = 15,
}

/// Something a member signs.
pub trait Statement {
    /// Which kind it is.
    const KIND: Kind;

    /// Appends its fields in their canonical layout.
    fn fields(&self, out: &mut Vec<u8>);
}

/// A head of a log: the hash `H_r` of its chain up to body `r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose log.
    pub sender: Rank,
    /// `r`, at least 1.
    pub number: Number,
    /// `H_r`.
    pub hash: Hash32,
}

/// All a member has to say at one tick: the heads it vouches for, senders strictly ascending. The
/// entry of its own log is the paper's digest, any other is its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// At least one entry, at most one per sender.
    pub entries: List<Head, MEMBERS_MAX>,
}

impl Heads {
    /// The entry for the log of `sender`.
    #[must_use]
    pub fn entry(&self, sender: Rank) -> Option<&Head> {
        let index = self.entries.binary_search_by_key(&sender, |head| head.sender).ok()?;
        self.entries.get(index)
    }
}

impl Statement for Heads {
    const KIND: Kind = Kind::Heads;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend((self.entries.len() as u64).to_le_bytes());
        for head in self.entries.iter() {
            out.extend(head.sender.value().to_le_bytes());
            out.extend(head.number.value().to_le_bytes());
            out.extend(head.hash.as_bytes());
        }
    }
}

/// A row of the stability matrix: how far its signer holds every log, certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stable {
    /// Rises with every row.
    pub counter: u64,
    /// By rank of the log; never falls.
    pub have: List<Number, MEMBERS_MAX>,
}

impl Statement for Stable {
    const KIND: Kind = Kind::Stable;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.counter.to_le_bytes());
        out.extend((self.have.len() as u64).to_le_bytes());
        for number in self.have.iter() {
            out.extend(number.value().to_le_bytes());
        }
    }
}

/// Why a member suspects another (protocol.md section 7). A late or missing thing is an opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// A [`crate::Proof`] is held against it.
    Proof = 0,
    /// No fresh Stable row of it is to be had from anyone.
    Mute = 1,
    /// Its Stable row stands still and holds a window back.
    Lagging = 2,
    /// It does not settle its slots of the total order.
    ImpedingOrder = 3,
    /// Malformed or mis-signed content on its authenticated link, or a signed body that no correct
    /// member writes.
    BadBytes = 4,
    /// The application says so.
    Application = 5,
    /// The leader of an attempt of the view change proposes nothing.
    NewViewOverdue = 6,
    /// The leader of an attempt does not announce the quorum of Acks (pattern Paper).
    CommitOverdue = 7,
    /// It has not said that it installed the view.
    NotInstalled = 8,
    /// It says that it has what it does not hand over.
    Withholding = 9,
    /// Its rows or its slots come so much later than those of a quorum that all others are slowed.
    Slow = 10,
    /// It makes others check far more signatures in vain than any correct member does.
    Flooding = 11,
}

/// `signer` suspects `subject`: at most once as an opinion and then once by proof, per view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// The suspected member.
    pub subject: Rank,
    /// Why; [`Reason::Proof`] makes it a suspicion by proof, anything else is an opinion.
    pub reason: Reason,
    /// Hash of the proof, [`Hash32::ZERO`] for an opinion.
    pub proof: Hash32,
}

impl Statement for Suspect {
    const KIND: Kind = Kind::Suspect;

    fn fields(&self, out: &mut Vec<u8>) {
        out.extend(self.subject.value().to_le_bytes());
        out.push(self.reason as u8);
        out.extend(self.proof.as_bytes());
    }
}

impl Reason {
    /// Whether it is a suspicion by proof; any other is an opinion.
    #[must_use]
    pub const fn is_proof(self) -> bool {
        match self {
            Self::Proof => true,
            Self::Mute
            | Self::Lagging
            | Self::ImpedingOrder
            | Self::BadBytes
            | Self::Application
            | Self::NewViewOverdue
            | Self::CommitOverdue
            | Self::NotInstalled
            | Self::Withholding
            | Self::Slow
            | Self::Flooding => false,
        }
    }
}

/// A statement with its signature, not (yet) checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed<S> {
    /// Rank of the signer in the view.
    pub signer: Rank,
    /// What it signed.
    pub statement: S,
    /// Its signature.
    pub signature: Signature,
}

impl<S: Statement> Signed<S> {
    /// Writes the signed bytes into `out`, in place of what it held.
    pub(super) fn message(statement: &S, group: &Hash32, view: &Hash32, out: &mut Vec<u8>) {
        out.clear();
        out.extend(b"phalanx/1");
        out.push(S::KIND as u8);
        out.extend(group.as_bytes());
        out.extend(view.as_bytes());
        statement.fields(out);
    }
}

/// A statement whose signature was checked, or made, in this process. Only [`super::Door`] builds
/// one; cheap to clone.
#[derive(Debug)]
pub struct Verified<S>(Arc<Signed<S>>);

impl<S> Verified<S> {
    pub(super) fn vouch(signed: Signed<S>) -> Self {
        Self(Arc::new(signed))
    }

    /// Rank of the signer.
    #[must_use]
    pub fn signer(&self) -> Rank {
        self.0.signer
    }

    /// The statement with its signature, to pass on.
    #[must_use]
    pub fn signed(&self) -> &Arc<Signed<S>> {
        &self.0
    }
}

impl<S> Clone for Verified<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Deref for Verified<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.statement
    }
}
