//! The pairs of statements of a view change that are a proof (protocol.md section 2).

use serde::{Deserialize, Serialize};

use super::FaultKind;
use crate::crypto::{
    AckNewView, Commit, Flush, NeedMoreChange, NewView, ReadyToSwitch, Roster, Signed, Snapshot,
    Statement,
};
use crate::member::Rank;

/// Two statements of one member about one change that no correct member makes both of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TwoFaced {
    /// Two Flushes with different ends.
    Flushes(Signed<Flush>, Signed<Flush>),
    /// Two `NeedMoreChange` of one attempt with different locks.
    NeedMoreChanges(Signed<NeedMoreChange>, Signed<NeedMoreChange>),
    /// Two proposals of one attempt, or one with two justifications.
    NewViews(Signed<NewView>, Signed<NewView>),
    /// Acks of two views in one attempt.
    Acks(Signed<AckNewView>, Signed<AckNewView>),
    /// Commits of two views in one attempt.
    Commits(Signed<Commit>, Signed<Commit>),
    /// Ready for two views in one attempt.
    Readys(Signed<ReadyToSwitch>, Signed<ReadyToSwitch>),
    /// Ready in one attempt, and no word of that lock when going on to a later one.
    ForgottenLock(Signed<ReadyToSwitch>, Signed<NeedMoreChange>),
    /// Two states for one joiner.
    Snapshots(Signed<Snapshot>, Signed<Snapshot>),
}

impl TwoFaced {
    /// Who signed both.
    #[must_use]
    pub const fn culprit(&self) -> Rank {
        match self {
            Self::Flushes(first, _) => first.signer,
            Self::NeedMoreChanges(first, _) => first.signer,
            Self::NewViews(first, _) => first.signer,
            Self::Acks(first, _) => first.signer,
            Self::Commits(first, _) => first.signer,
            Self::Readys(first, _) | Self::ForgottenLock(first, _) => first.signer,
            Self::Snapshots(first, _) => first.signer,
        }
    }

    pub(super) const fn kind(&self) -> FaultKind {
        match self {
            Self::Flushes(..) => FaultKind::TwoFlushes,
            Self::NeedMoreChanges(..) => FaultKind::TwoNeedMoreChanges,
            Self::NewViews(..) => FaultKind::TwoNewViews,
            Self::Acks(..) => FaultKind::TwoAcks,
            Self::Commits(..) => FaultKind::TwoCommits,
            Self::Readys(..) => FaultKind::TwoReadys,
            Self::ForgottenLock(..) => FaultKind::ForgottenLock,
            Self::Snapshots(..) => FaultKind::TwoSnapshots,
        }
    }

    pub(super) fn is_legal(&self, n: usize) -> bool {
        let fits = |signed: &Signed<Flush>| signed.statement.ends.len() == n;
        self.culprit().index() < n
            && match self {
                Self::Flushes(first, second) => fits(first) && fits(second),
                Self::NeedMoreChanges(..)
                | Self::NewViews(..)
                | Self::Acks(..)
                | Self::Commits(..)
                | Self::Readys(..)
                | Self::ForgottenLock(..)
                | Self::Snapshots(..) => true,
            }
    }

    /// Whether one correct member cannot have signed both.
    pub(super) fn contradicts(&self) -> bool {
        match self {
            Self::Flushes(a, b) => by_one(a, b) && a.statement.ends != b.statement.ends,
            Self::NeedMoreChanges(a, b) => {
                let (first, second) = (&a.statement, &b.statement);
                by_one(a, b) && first.attempt == second.attempt && first.lock != second.lock
            }
            Self::NewViews(a, b) => {
                let (first, second) = (&a.statement, &b.statement);
                by_one(a, b) && first.attempt == second.attempt && first != second
            }
            Self::Acks(a, b) => {
                let (first, second) = (&a.statement, &b.statement);
                by_one(a, b) && first.attempt == second.attempt && first.next != second.next
            }
            Self::Commits(a, b) => {
                let (first, second) = (&a.statement, &b.statement);
                by_one(a, b) && first.attempt == second.attempt && first.next != second.next
            }
            Self::Readys(a, b) => {
                let (first, second) = (&a.statement, &b.statement);
                by_one(a, b) && first.attempt == second.attempt && first.next != second.next
            }
            Self::ForgottenLock(ready, more) => {
                by_one(ready, more) && forgets(&ready.statement, &more.statement)
            }
            Self::Snapshots(a, b) => {
                let (first, second) = (&a.statement, &b.statement);
                by_one(a, b) && first.joiner == second.joiner && first != second
            }
        }
    }

    pub(super) fn is_signed(&self, roster: &Roster) -> bool {
        match self {
            Self::Flushes(a, b) => both(roster, a, b),
            Self::NeedMoreChanges(a, b) => both(roster, a, b),
            Self::NewViews(a, b) => both(roster, a, b),
            Self::Acks(a, b) => both(roster, a, b),
            Self::Commits(a, b) => both(roster, a, b),
            Self::Readys(a, b) => both(roster, a, b),
            Self::ForgottenLock(a, b) => both(roster, a, b),
            Self::Snapshots(a, b) => both(roster, a, b),
        }
    }
}

/// Whether a member that was ready goes on to a later attempt without the lock that it was ready
/// with, or a later one.
pub(crate) fn forgets(ready: &ReadyToSwitch, more: &NeedMoreChange) -> bool {
    more.attempt > ready.attempt
        && more.lock.is_none_or(|lock| {
            lock.attempt < ready.attempt
                || (lock.attempt == ready.attempt && lock.next != ready.next)
        })
}

fn by_one<A, B>(first: &Signed<A>, second: &Signed<B>) -> bool {
    first.signer == second.signer
}

fn both<A: Statement, B: Statement>(roster: &Roster, a: &Signed<A>, b: &Signed<B>) -> bool {
    roster.verifies(a) && roster.verifies(b)
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::*;
    use crate::crypto::{Hash32, Locked, PublicKey};
    use crate::fault::{Evidence, NotAProof, Proof};
    use crate::rig::{Rig, some_hash};
    use crate::seq::{Attempt, LogEnd, Number};

    const A: Hash32 = some_hash(1);
    const B: Hash32 = some_hash(2);

    fn sign<S: Statement + Clone>(rig: &mut Rig, signer: u16, statement: S) -> Signed<S> {
        let door = &mut rig.doors[usize::from(signer)];
        Signed::clone(door.sign(&rig.roster, Rank::new(signer), statement).signed())
    }

    fn at(attempt: u32) -> Attempt {
        Attempt::new(attempt)
    }

    fn more(attempt: u32, lock: Option<(u32, Hash32)>) -> NeedMoreChange {
        let lock = lock.map(|(attempt, next)| Locked { attempt: at(attempt), next });
        NeedMoreChange { attempt: at(attempt), lock }
    }

    fn flush(numbers: &[u64]) -> Flush {
        let end = |number: &u64| LogEnd { number: Number::new(*number), hash: A };
        Flush { ends: numbers.iter().map(end).collect(), changes: crate::wire::List::new() }
    }

    fn ready(attempt: u32, next: Hash32) -> ReadyToSwitch {
        ReadyToSwitch { attempt: at(attempt), next }
    }

    fn ack(attempt: u32, next: Hash32) -> AckNewView {
        AckNewView { attempt: at(attempt), next }
    }

    fn commit(next: Hash32, acks: Hash32) -> Commit {
        Commit { attempt: at(1), next, acks }
    }

    fn new_view(attempt: u32, next: Hash32, justification: Hash32) -> NewView {
        NewView { attempt: at(attempt), next, justification }
    }

    fn snapshot(joiner: u8, length: u64) -> Snapshot {
        Snapshot { joiner: PublicKey([joiner; 32]), root: A, length }
    }

    /// Pairs by `first` and `second`: the guilty ones, and those that a correct member may sign.
    fn pairs(rig: &mut Rig, first: u16, second: u16) -> (Vec<TwoFaced>, Vec<TwoFaced>) {
        macro_rules! pair {
            ($kind:ident, $a:expr, $b:expr) => {
                TwoFaced::$kind(sign(rig, first, $a), sign(rig, second, $b))
            };
        }
        let guilty = alloc::vec![
            pair!(Flushes, flush(&[1, 1, 1, 1]), flush(&[1, 1, 1, 2])),
            pair!(NeedMoreChanges, more(3, None), more(3, Some((1, A)))),
            pair!(NewViews, new_view(1, A, A), new_view(1, B, A)),
            pair!(NewViews, new_view(1, A, A), new_view(1, A, B)),
            pair!(Acks, ack(1, A), ack(1, B)),
            pair!(Commits, commit(A, A), commit(B, A)),
            pair!(Readys, ready(1, A), ready(1, B)),
            pair!(ForgottenLock, ready(1, A), more(2, None)),
            pair!(ForgottenLock, ready(1, A), more(3, Some((0, A)))),
            pair!(ForgottenLock, ready(1, A), more(3, Some((1, B)))),
            pair!(Snapshots, snapshot(1, 1), snapshot(1, 2)),
        ];
        let innocent = alloc::vec![
            pair!(Flushes, flush(&[1, 1, 1, 1]), flush(&[1, 1, 1, 1])),
            pair!(NeedMoreChanges, more(3, None), more(4, Some((3, A)))),
            pair!(NewViews, new_view(1, A, A), new_view(2, B, A)),
            pair!(Acks, ack(1, A), ack(2, B)),
            pair!(Commits, commit(A, A), commit(A, B)),
            pair!(Readys, ready(1, A), ready(2, B)),
            pair!(ForgottenLock, ready(1, A), more(1, None)),
            pair!(ForgottenLock, ready(1, A), more(2, Some((1, A)))),
            pair!(ForgottenLock, ready(1, A), more(3, Some((2, B)))),
            pair!(Snapshots, snapshot(1, 1), snapshot(2, 2)),
        ];
        (guilty, innocent)
    }

    fn verdict(rig: &Rig, two: TwoFaced) -> Result<(), NotAProof> {
        let evidence = Evidence::TwoFaced(Box::new(two));
        let proof = Proof { view: *rig.roster.view(), evidence };
        assert_eq!(Proof::from_bytes(&proof.to_bytes()).as_ref(), Some(&proof));
        proof.verify_pair(&rig.roster)
    }

    #[test]
    fn the_pairs_of_section_2_are_proofs_and_no_others() {
        let mut rig = Rig::new(4);
        let (guilty, innocent) = pairs(&mut rig, 2, 2);
        for two in guilty {
            assert_eq!(two.culprit(), Rank::new(2));
            assert_eq!(verdict(&rig, two.clone()), Ok(()), "{two:?}");
        }
        for two in innocent {
            assert_eq!(verdict(&rig, two.clone()), Err(NotAProof::NoContradiction), "{two:?}");
        }
    }

    #[test]
    fn two_signers_or_a_borrowed_name_prove_nothing() {
        let mut rig = Rig::new(4);
        let (by_two, _) = pairs(&mut rig, 1, 2);
        for two in by_two {
            assert_eq!(verdict(&rig, two), Err(NotAProof::NoContradiction));
        }
        let first = sign(&mut rig, 1, ack(1, A));
        let mut second = sign(&mut rig, 2, ack(1, B));
        second.signer = Rank::new(1);
        assert_eq!(verdict(&rig, TwoFaced::Acks(first, second)), Err(NotAProof::BadSignature));
    }
}
