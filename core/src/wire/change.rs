//! What members tell each other to change the view (protocol.md section 9), besides the statements
//! themselves: what justifies them, so that each message proves itself.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::{List, ascend, heads_are_legal};
use crate::crypto::{
    AckNewView, Certificate, Change, Commit, Flush, Hash32, Head, Heads, JoinRequest, LINKS_MAX,
    Leave, Link, MEMBERS_MAX, NeedMoreChange, NewView, PublicKey, ReadyToSwitch, Recommend, Roster,
    Signed, Suspect, hash,
};
use crate::member::Rank;
use crate::quorum::{Quorum, QuorumRule};
use crate::seq::{LogEnd, Number};
use crate::view::View;

/// The most Suspects in one message: of each kind everybody's against everybody else, as after a
/// partition.
pub const SUSPECTS_MAX: usize = 2 * (MEMBERS_MAX - 1) * MEMBERS_MAX;

/// The most joiners that one change may be configured to take in.
pub const JOINS_PER_CHANGE_MAX: usize = 16;

/// The most processes outside the view that a member has evidence for: so many more than one change
/// takes in that it never lacks some that can be.
pub const JOINS_MAX: usize = 4 * JOINS_PER_CHANGE_MAX;

/// The most join requests in one message: one for each such process and for each member.
const REQUESTS_MAX: usize = JOINS_MAX + MEMBERS_MAX;

/// The most Heads in one table of certificates.
pub const HEADS_MAX: usize = MEMBERS_MAX * MEMBERS_MAX;

/// Evidence for changes (the `E` of protocol.md section 7), judged against the view alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grounds {
    /// By subject, signer, kind; each once.
    pub suspects: List<Signed<Suspect>, SUSPECTS_MAX>,
    /// By signer; each once.
    pub leaves: List<Signed<Leave>, MEMBERS_MAX>,
    /// By key; one request of each.
    pub joins: List<Sponsored, REQUESTS_MAX>,
}

/// A request to join with the members that are for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sponsored {
    /// What the joiner signed.
    pub request: JoinRequest,
    /// By signer; each once.
    pub recommends: List<Signed<Recommend>, MEMBERS_MAX>,
}

/// Certificates of several logs. One statement vouches for many of them, so each stands once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// The statements.
    pub heads: List<Signed<Heads>, HEADS_MAX>,
    /// What they certify, senders ascending.
    pub covered: List<Covered, MEMBERS_MAX>,
}

/// One certificate, its statements by their places in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// The certified head.
    pub head: Head,
    /// Places of a quorum of statements.
    pub places: List<u16, MEMBERS_MAX>,
    /// The steps of the chain above the head, see [`Certificate`].
    pub links: List<Link, LINKS_MAX>,
}

impl Certificates {
    /// The table of these certificates, senders ascending.
    #[must_use]
    pub fn pack(certificates: &[Certificate]) -> Self {
        let mut heads: Vec<Signed<Heads>> = Vec::new();
        let mut covered = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            let mut places = Vec::with_capacity(certificate.heads.len());
            for statement in certificate.heads.iter() {
                let known = heads.iter().position(|known| known == statement);
                let place = known.unwrap_or_else(|| {
                    heads.push(statement.clone());
                    heads.len().saturating_sub(1)
                });
                places.push(u16::try_from(place).unwrap_or(u16::MAX));
            }
            covered.push(Covered {
                head: certificate.head,
                places: places.into(),
                links: certificate.links.clone(),
            });
        }
        Self { heads: heads.into(), covered: covered.into() }
    }

    /// Whether it is what [`Certificates::pack`] makes: each statement stands once, in the order in
    /// which it is first used, and none is unneeded.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        let mut used = 0_usize;
        for place in self.covered.iter().flat_map(|covered| covered.places.iter()) {
            match usize::from(*place) {
                place if place > used => return false,
                place if place == used => used = used.saturating_add(1),
                _ => {}
            }
        }
        let mut statements: Vec<_> =
            self.heads.iter().map(|heads| (heads.signer, heads.signature.0)).collect();
        statements.sort_unstable();
        used == self.heads.len() && ascend(&statements)
    }

    /// The certificates, not checked; `None` if a place has no statement.
    #[must_use]
    pub fn unpack(&self) -> Option<Vec<Certificate>> {
        let one = |covered: &Covered| {
            let heads = covered.places.iter().map(|place| self.heads.get(usize::from(*place)));
            let heads = heads.map(|heads| heads.cloned()).collect::<Option<Vec<_>>>()?;
            let (head, links) = (covered.head, covered.links.clone());
            Some(Certificate { head, heads: heads.into(), links })
        };
        self.covered.iter().map(one).collect()
    }
}

/// A Flush with what certifies its heads, and evidence for the changes that it lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    /// The statement.
    pub signed: Signed<Flush>,
    /// One for each log that is not empty.
    pub certificates: Certificates,
    /// For the listed changes.
    pub grounds: Grounds,
}

/// A `NeedMoreChange` with the proof of its lock, and news of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedsMore {
    /// The statement.
    pub signed: Signed<NeedMoreChange>,
    /// Present if it reports a lock.
    pub lock: Option<LockProof>,
    /// What its signer knows.
    pub grounds: Grounds,
}

/// A quorum acknowledged this view in one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockProof {
    /// The next view.
    pub view: View,
    /// Of exactly a quorum, for one attempt and this view.
    pub acks: Acks,
}

/// Acks of distinct members.
pub type Acks = List<Signed<AckNewView>, MEMBERS_MAX>;

/// A proposal with what justifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The statement.
    pub signed: Signed<NewView>,
    /// The next view.
    pub view: View,
    /// Why it may be that.
    pub justification: Justification,
}

/// Why a next view may be proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Justification {
    /// Nothing can have been decided before: computed from what a quorum flushed.
    Fresh {
        /// Of at least a quorum of distinct members.
        flushes: List<Signed<Flush>, MEMBERS_MAX>,
        /// Of the heads of the cut.
        certificates: Certificates,
        /// For every change that a Flush lists, at least.
        grounds: Grounds,
        /// Of exactly a quorum for this attempt, none with a lock; empty in the first.
        more: List<Signed<NeedMoreChange>, MEMBERS_MAX>,
    },
    /// The lock of the highest attempt that a quorum reports may have been decided.
    Relock {
        /// Of exactly a quorum for this attempt.
        more: List<Signed<NeedMoreChange>, MEMBERS_MAX>,
        /// The proof of that lock.
        acks: Acks,
    },
}

impl Justification {
    /// What the proposal signs.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        hash("justification", &[&postcard::to_allocvec(self).unwrap_or_default()])
    }
}

/// A Commit with the Acks that it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The statement.
    pub signed: Signed<Commit>,
    /// Of exactly a quorum.
    pub acks: Acks,
}

/// The hash of Acks that a Commit signs.
#[must_use]
pub fn acks_hash(acks: &Acks) -> Hash32 {
    hash("acks", &[&postcard::to_allocvec(acks).unwrap_or_default()])
}

/// The next view, decided: proves itself to anyone who knows the view before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The next view.
    pub view: View,
    /// Of exactly a quorum of the view before, in one attempt.
    pub readys: List<Signed<ReadyToSwitch>, MEMBERS_MAX>,
}

/// Why a decision proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADecision {
    /// Its view is not a possible successor of the view before.
    #[error("the view cannot follow the one before it")]
    DoesNotFollow,
    /// Its Readys are not of exactly a quorum, for one attempt and this view.
    #[error("the view is not what a quorum was ready for in one attempt")]
    NotAQuorum,
    /// A signature that does not verify.
    #[error("a signature does not verify")]
    BadSignature,
}

impl Decision {
    /// Its canonical bytes, for a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// The decision in these bytes, to be verified; `None` if they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (decision, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && decision.to_bytes() == bytes).then_some(decision)
    }

    /// Checks it against the view before it, whose keys are `roster`: anybody can do that offline,
    /// link by link from the genesis view (protocol.md section 10).
    ///
    /// # Errors
    /// See [`NotADecision`].
    pub fn verify(&self, before: &View, roster: &Roster) -> Result<(), NotADecision> {
        if !follows(before, roster.view(), &self.view) || !self.is_legal(before.members.len()) {
            return Err(NotADecision::DoesNotFollow);
        }
        if !self.is_of_a_quorum(roster.quorum().q()) {
            return Err(NotADecision::NotAQuorum);
        }
        let is_signed = self.readys.iter().all(|ready| roster.verifies(ready));
        if is_signed { Ok(()) } else { Err(NotADecision::BadSignature) }
    }

    /// Whether exactly `quorum` members are ready for this view in one attempt.
    pub(crate) fn is_of_a_quorum(&self, quorum: usize) -> bool {
        let id = self.view.id();
        let first = self.readys.first().map(|ready| ready.statement.attempt);
        let fits = |ready: &Signed<ReadyToSwitch>| {
            Some(ready.statement.attempt) == first && ready.statement.next == id
        };
        self.readys.len() == quorum && self.readys.iter().all(fits)
    }
}

/// Whether `next` can be the successor of `view`, whose id is `id`, for all that is known without
/// evidence.
pub(crate) fn follows(view: &View, id: &Hash32, next: &View) -> bool {
    next.number == view.number.saturating_add(1)
        && next.prev == *id
        && next.group == view.group
        && next.cut.len() == view.members.len()
}

/// A recommendation with what is recommended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommended {
    /// The statement.
    pub signed: Signed<Recommend>,
    /// What the joiner signed.
    pub request: JoinRequest,
}

/// Signers strictly ascend and are members.
fn signers_ascend<S>(all: &[Signed<S>], n: usize) -> bool {
    all.iter().all(|signed| signed.signer.index() < n)
        && all.iter().zip(all.iter().skip(1)).all(|(a, b)| a.signer < b.signer)
}

impl Grounds {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.suspects.is_empty() && self.leaves.is_empty() && self.joins.is_empty()
    }

    pub(super) fn is_legal(&self, n: usize) -> bool {
        let key = |suspect: &Signed<Suspect>| {
            let said = &suspect.statement;
            (said.subject, suspect.signer, said.reason.is_proof())
        };
        let keys: Vec<(Rank, Rank, bool)> = self.suspects.iter().map(key).collect();
        keys.iter().all(|(subject, signer, _)| subject.index() < n && signer.index() < n)
            && ascend(&keys)
            && signers_ascend(&self.leaves, n)
            && self.joins.len() <= JOINS_MAX.saturating_add(n)
            && self.joins.iter().zip(self.joins.iter().skip(1)).all(|(a, b)| a.key() < b.key())
            && self.joins.iter().all(|join| signers_ascend(&join.recommends, n))
    }
}

impl Sponsored {
    const fn key(&self) -> &PublicKey {
        &self.request.key
    }
}

impl Certificates {
    pub(super) fn is_legal(&self, n: usize) -> bool {
        let quorum = Quorum::of(u16::try_from(n).unwrap_or(u16::MAX), QuorumRule::Sound).q();
        let senders: Vec<Rank> = self.covered.iter().map(|covered| covered.head.sender).collect();
        let fits = |covered: &Covered| {
            let places = covered.places.iter();
            covered.head.sender.index() < n
                && covered.head.number > Number::ZERO
                && covered.places.len() <= n
                && places.clone().all(|place| usize::from(*place) < self.heads.len())
        };
        self.heads.len() <= n.saturating_mul(quorum)
            && self.heads.iter().all(|heads| heads_are_legal(heads, n))
            && self.covered.iter().all(fits)
            && ascend(&senders)
    }
}

fn flush_is_legal(flush: &Signed<Flush>, n: usize) -> bool {
    let is_join = |change: &&Change| matches!(change, Change::Joins(..));
    let joins = flush.statement.changes.iter().filter(is_join).count();
    flush.signer.index() < n
        && flush.statement.changes.iter().all(|change| change.rank().is_none_or(|z| z.index() < n))
        && joins <= JOINS_PER_CHANGE_MAX.saturating_add(n)
        && flush.statement.ends.len() == n
        && flush.statement.ends.iter().all(|end| end.number > Number::ZERO || *end == LogEnd::EMPTY)
        && ascend(&flush.statement.changes)
}

impl Flushed {
    pub(super) fn is_legal(&self, n: usize) -> bool {
        flush_is_legal(&self.signed, n) && self.certificates.is_legal(n) && self.grounds.is_legal(n)
    }
}

fn more_is_legal(more: &Signed<NeedMoreChange>, n: usize) -> bool {
    let NeedMoreChange { attempt, lock } = &more.statement;
    more.signer.index() < n
        && attempt.value() > 0
        && lock.is_none_or(|lock| lock.attempt < *attempt)
}

impl LockProof {
    fn is_legal(&self, n: usize) -> bool {
        self.view.is_legal() && signers_ascend(&self.acks, n)
    }
}

impl NeedsMore {
    pub(super) fn is_legal(&self, n: usize) -> bool {
        more_is_legal(&self.signed, n)
            && self.signed.statement.lock.is_some() == self.lock.is_some()
            && self.lock.as_ref().is_none_or(|lock| lock.is_legal(n))
            && self.grounds.is_legal(n)
    }
}

impl Proposed {
    pub(crate) fn is_legal(&self, n: usize) -> bool {
        let justified = match &self.justification {
            Justification::Fresh { flushes, certificates, grounds, more } => {
                signers_ascend(flushes, n)
                    && flushes.iter().all(|flush| flush_is_legal(flush, n))
                    && certificates.is_legal(n)
                    && grounds.is_legal(n)
                    && signers_ascend(more, n)
                    && more.iter().all(|more| more_is_legal(more, n))
            }
            Justification::Relock { more, acks } => {
                signers_ascend(more, n)
                    && more.iter().all(|more| more_is_legal(more, n))
                    && signers_ascend(acks, n)
            }
        };
        justified && self.signed.signer.index() < n && self.view.is_legal()
    }
}

impl Committed {
    pub(crate) fn is_legal(&self, n: usize) -> bool {
        self.signed.signer.index() < n && signers_ascend(&self.acks, n)
    }
}

impl Decision {
    pub(super) fn is_legal(&self, n: usize) -> bool {
        self.view.is_legal() && signers_ascend(&self.readys, n)
    }
}
