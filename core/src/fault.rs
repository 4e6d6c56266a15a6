//! What a peer did wrong, and the bytes that show it.
//!
//! A [`Proof`] convinces anybody who knows the view, offline and for ever. Lateness, silence and
//! bad bytes on a link convince only their witness: they are opinions ([`crate::Event::Suspected`])
//! and never become a Proof. The pairs that are a Proof stand in protocol.md section 2, and the two
//! statements that are one alone.

mod change;
mod invalid;

pub use change::TwoFaced;
pub(crate) use change::forgets;
pub use invalid::Invalid;

use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

use crate::crypto::{
    BadSignature, CertificateError, Door, Hash32, Head, Heads, LINKS_MAX, Link, Roster, Signed,
    Stable, body_hash, hash,
};
use crate::layer::Context;
use crate::layer::group::Basis;
use crate::member::Rank;
use crate::seq::Number;
use crate::time::Time;
use crate::view::{Genesis, View};
use crate::wire::{List, Malformed, heads_are_legal};

/// The kinds of misbehaviour that leave a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FaultKind {
    /// Two digests for one body of its own log, or two branches of it: the paper's mutant message.
    MutantMessage,
    /// Two replies for one body of another's log.
    TwoReplies,
    /// Two Stable rows that contradict each other.
    TwoRows,
    /// Two Flushes with different ends.
    TwoFlushes,
    /// Two `NeedMoreChange` of one attempt with different locks.
    TwoNeedMoreChanges,
    /// Two proposals of one attempt.
    TwoNewViews,
    /// Acks of two views in one attempt.
    TwoAcks,
    /// Commits of two views in one attempt.
    TwoCommits,
    /// Ready for two views in one attempt.
    TwoReadys,
    /// Ready in one attempt, and no word of that lock when going on to a later one.
    ForgottenLock,
    /// Two states for one joiner.
    TwoSnapshots,
    /// A proposal that nothing justifies: the paper's bad New-View.
    InvalidNewView,
    /// A Commit of what no quorum acknowledged: the paper's bad Commit.
    InvalidCommit,
}

/// What a peer did wrong on its authenticated link: it convinces only this end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// Bytes that are no packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A signature that does not verify; who passes a statement on must have checked it.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// A certificate that proves nothing.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Evidence that proves nothing.
    #[error(transparent)]
    Proof(#[from] NotAProof),
    /// A request to join that its key did not sign for this view.
    #[error("a join request is not signed by the key that it names, for this view")]
    JoinRequest,
    /// A message of the view change without what justifies it.
    #[error("a message of the view change is not justified by what it carries")]
    Unjustified,
    /// Messages to this member beyond what it may send, or acknowledged before they were sent.
    #[error("the messages between two members break their window")]
    Window,
}

/// Signed statements of one member that no correct member makes: two that contradict each other,
/// or one that is invalid by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The view in which they were signed.
    pub view: Hash32,
    /// The statements.
    pub evidence: Evidence,
}

/// The statements of a [`Proof`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// Two Heads of one signer with different hashes for one body of `sender`.
    TwoHeads {
        /// Whose log.
        sender: Rank,
        /// One statement.
        first: Signed<Heads>,
        /// The other.
        second: Signed<Heads>,
    },
    /// Two Heads of one signer about its own log that lie on two branches.
    ForkedLog {
        /// The last body that both branches share, at most one below the lower head.
        base: Number,
        /// Its head.
        base_hash: Hash32,
        /// One statement.
        first: Signed<Heads>,
        /// The steps from the base to its entry.
        first_links: List<Link, LINKS_MAX>,
        /// The other statement.
        second: Signed<Heads>,
        /// The steps from the base to its entry.
        second_links: List<Link, LINKS_MAX>,
    },
    /// Two Stable rows with one counter and different contents, or a later one that falls.
    TwoRows {
        /// The row with the lower counter, or one of two equal.
        first: Signed<Stable>,
        /// The other.
        second: Signed<Stable>,
    },
    /// Two statements about one view change.
    TwoFaced(Box<TwoFaced>),
    /// One that is invalid by itself.
    Invalid(Invalid),
}

/// Why something is not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAProof {
    /// It is about another view.
    #[error("the evidence is about another view")]
    OtherView,
    /// Ranks or lists that the view does not allow.
    #[error("the evidence is malformed for this view")]
    Illegal,
    /// A signature that does not verify.
    #[error("a signature in the evidence does not verify")]
    BadSignature,
    /// Statements that one correct member may well make.
    #[error("the statements do not contradict each other")]
    NoContradiction,
    /// What is attached to a statement is not what it names.
    #[error("the statement does not name what is attached to it")]
    NotBound,
    /// One that a correct member may well make.
    #[error("the statement is valid")]
    Valid,
}

impl Proof {
    /// Who is proven guilty; holds only once [`Proof::verify`] says so.
    #[must_use]
    pub fn culprit(&self) -> Rank {
        match &self.evidence {
            Evidence::TwoHeads { first, .. } | Evidence::ForkedLog { first, .. } => first.signer,
            Evidence::TwoRows { first, .. } => first.signer,
            Evidence::TwoFaced(two) => two.culprit(),
            Evidence::Invalid(invalid) => invalid.culprit(),
        }
    }

    /// What it did.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match &self.evidence {
            Evidence::TwoHeads { sender, first, .. } if first.signer == *sender => {
                FaultKind::MutantMessage
            }
            Evidence::TwoHeads { .. } => FaultKind::TwoReplies,
            Evidence::ForkedLog { .. } => FaultKind::MutantMessage,
            Evidence::TwoRows { .. } => FaultKind::TwoRows,
            Evidence::TwoFaced(two) => two.kind(),
            Evidence::Invalid(invalid) => invalid.kind(),
        }
    }

    /// Its canonical bytes, for a file.
    #[must_use]
    pub fn to_bytes(&self) -> alloc::vec::Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// The proof in these bytes, to be verified; `None` if they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (proof, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && proof.to_bytes() == bytes).then_some(proof)
    }

    /// Hash of its canonical bytes, as a Suspect names it.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        hash("proof", &[&self.to_bytes()])
    }

    /// Checks it against the view in which the statements were made, `roster` being its keys, and
    /// the record of the group alone: the verdict is everybody's.
    ///
    /// # Errors
    /// See [`NotAProof`].
    pub fn verify(&self, genesis: &Genesis, view: &View, roster: &Roster) -> Result<(), NotAProof> {
        if view.id() != *roster.view() || genesis.group() != *roster.group() {
            return Err(NotAProof::OtherView);
        }
        let mut door = Door::offline(roster);
        let mut cx = Context { now: Time::ZERO, door: &mut door, roster };
        self.judge(&mut cx, Basis { view, genesis })
    }

    /// The same for who has checked that these belong together.
    pub(crate) fn judge(&self, cx: &mut Context<'_>, basis: Basis<'_>) -> Result<(), NotAProof> {
        let Evidence::Invalid(invalid) = &self.evidence else {
            return self.verify_pair(cx.roster);
        };
        if self.view != *cx.roster.view() {
            return Err(NotAProof::OtherView);
        }
        if !self.is_legal(cx.roster.quorum().n()) {
            return Err(NotAProof::Illegal);
        }
        invalid.judge(cx, basis)
    }

    /// Whether it is so long that it should not be sent to who may have it already.
    pub(crate) fn is_long(&self) -> bool {
        match &self.evidence {
            Evidence::Invalid(invalid) => matches!(invalid, Invalid::NewView(_)),
            Evidence::TwoHeads { .. }
            | Evidence::ForkedLog { .. }
            | Evidence::TwoRows { .. }
            | Evidence::TwoFaced(_) => false,
        }
    }

    /// Checks two statements, for which the keys of the view are enough.
    pub(crate) fn verify_pair(&self, roster: &Roster) -> Result<(), NotAProof> {
        if self.view != *roster.view() {
            return Err(NotAProof::OtherView);
        }
        if !self.is_legal(roster.quorum().n()) {
            return Err(NotAProof::Illegal);
        }
        if !self.contradicts() {
            return Err(NotAProof::NoContradiction);
        }
        let is_signed = match &self.evidence {
            Evidence::TwoHeads { first, second, .. }
            | Evidence::ForkedLog { first, second, .. } => {
                roster.verifies(first) && roster.verifies(second)
            }
            Evidence::TwoRows { first, second } => {
                roster.verifies(first) && roster.verifies(second)
            }
            Evidence::TwoFaced(two) => two.is_signed(roster),
            Evidence::Invalid(_) => false,
        };
        if is_signed { Ok(()) } else { Err(NotAProof::BadSignature) }
    }

    pub(crate) fn is_legal(&self, n: usize) -> bool {
        match &self.evidence {
            Evidence::TwoHeads { sender, first, second } => {
                sender.index() < n && heads_are_legal(first, n) && heads_are_legal(second, n)
            }
            Evidence::ForkedLog { first, second, .. } => {
                heads_are_legal(first, n) && heads_are_legal(second, n)
            }
            Evidence::TwoRows { first, second } => {
                let fits =
                    |row: &Signed<Stable>| row.signer.index() < n && row.statement.have.len() == n;
                fits(first) && fits(second)
            }
            Evidence::TwoFaced(two) => two.is_legal(n),
            Evidence::Invalid(invalid) => invalid.is_legal(n),
        }
    }

    /// Whether one correct member can have signed both.
    fn contradicts(&self) -> bool {
        match &self.evidence {
            Evidence::TwoHeads { sender, first, second } => {
                first.signer == second.signer
                    && match (first.statement.entry(*sender), second.statement.entry(*sender)) {
                        (Some(a), Some(b)) => a.number == b.number && a.hash != b.hash,
                        (Some(_) | None, None) | (None, Some(_)) => false,
                    }
            }
            Evidence::ForkedLog { base, base_hash, first, first_links, second, second_links } => {
                let start = Head { sender: first.signer, number: *base, hash: *base_hash };
                let parts = first_links.iter().zip(second_links.iter()).any(|(a, b)| a != b);
                first.signer == second.signer
                    && parts
                    && first.statement.entry(first.signer)
                        == Some(&climb(&self.view, start, first_links))
                    && second.statement.entry(first.signer)
                        == Some(&climb(&self.view, start, second_links))
            }
            Evidence::TwoRows { first, second } => {
                first.signer == second.signer
                    && rows_contradict(&first.statement, &second.statement)
            }
            Evidence::TwoFaced(two) => two.contradicts(),
            // One alone.
            Evidence::Invalid(_) => false,
        }
    }
}

/// The head that `links` lead to from `start`.
pub(crate) fn climb(view: &Hash32, start: Head, links: &[Link]) -> Head {
    links.iter().fold(start, |tip, link| {
        let number = tip.number.next();
        let hash = body_hash(view, tip.sender, number, &tip.hash, link);
        Head { number, hash, ..tip }
    })
}

/// Whether no correct member signs both rows, `first` having the lower counter if they differ.
pub(crate) fn rows_contradict(first: &Stable, second: &Stable) -> bool {
    match first.counter.cmp(&second.counter) {
        core::cmp::Ordering::Equal => first.have != second.have,
        core::cmp::Ordering::Less => {
            first.have.iter().zip(second.have.iter()).any(|(early, late)| late < early)
        }
        core::cmp::Ordering::Greater => false,
    }
}

#[cfg(test)]
mod tests;
