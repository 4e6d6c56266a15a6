//! No correct member signs two statements about one view change that conflict (protocol.md section
//! 2): one Flush; one NewView, Ack, Commit, Ready and NeedMoreChange for each attempt; and after a
//! NeedMoreChange no Ready below it, except one that its lock reports. And one state for each process
//! that joins.
//!
//! Looks at what correct members send, so also at statements of others that they pass on.

use std::collections::BTreeMap;

use phalanx_core::crypto::{
    AckNewView, Commit, Flush, Hash32, NeedMoreChange, NewView, PublicKey, ReadyToSwitch, Signed,
    Snapshot, Statement, sha256,
};
use phalanx_core::{Attempt, Rank};

/// What one statement of a kind there may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Vow {
    Flush,
    NeedMoreChange(Attempt),
    NewView(Attempt),
    Ack(Attempt),
    Commit(Attempt),
    Ready(Attempt),
    Snapshot(PublicKey),
}

/// Everything that correct members of one view were seen to sign about its change.
#[derive(Debug, Default)]
pub struct Vows {
    said: BTreeMap<(Rank, Vow), Hash32>,
    /// By signer: attempts gone on to, and the lock taken along.
    more: BTreeMap<Rank, Vec<NeedMoreChange>>,
    /// By signer.
    ready: BTreeMap<Rank, Vec<ReadyToSwitch>>,
}

impl Vows {
    fn once<S: Statement>(&mut self, signed: &Signed<S>, vow: Vow) -> Result<(), String> {
        let mut fields = Vec::new();
        signed.statement.fields(&mut fields);
        let hash = sha256(&fields);
        let said = *self.said.entry((signed.signer, vow)).or_insert(hash);
        if said == hash {
            return Ok(());
        }
        Err(format!("correct rank {} signed two different {vow:?}", signed.signer))
    }

    /// Takes in a Flush of a correct signer.
    ///
    /// # Errors
    /// If it signed another.
    pub fn flush(&mut self, signed: &Signed<Flush>) -> Result<(), String> {
        self.once(signed, Vow::Flush)
    }

    /// Takes in a `NewView` of a correct signer.
    ///
    /// # Errors
    /// If it signed another for this attempt.
    pub fn new_view(&mut self, signed: &Signed<NewView>) -> Result<(), String> {
        self.once(signed, Vow::NewView(signed.statement.attempt))
    }

    /// Takes in an Ack of a correct signer.
    ///
    /// # Errors
    /// If it signed another for this attempt.
    pub fn ack(&mut self, signed: &Signed<AckNewView>) -> Result<(), String> {
        self.once(signed, Vow::Ack(signed.statement.attempt))
    }

    /// Takes in a Commit of a correct signer.
    ///
    /// # Errors
    /// If it signed one for another view in this attempt.
    pub fn commit(&mut self, signed: &Signed<Commit>) -> Result<(), String> {
        self.once(signed, Vow::Commit(signed.statement.attempt))
    }

    /// Takes in a Ready of a correct signer.
    ///
    /// # Errors
    /// If it signed another for this attempt, or went on without it.
    pub fn ready(&mut self, signed: &Signed<ReadyToSwitch>) -> Result<(), String> {
        self.once(signed, Vow::Ready(signed.statement.attempt))?;
        self.ready.entry(signed.signer).or_default().push(signed.statement.clone());
        self.bound(signed.signer)
    }

    /// Takes in a Snapshot of a correct signer.
    ///
    /// # Errors
    /// If it signed another for this process.
    pub fn snapshot(&mut self, signed: &Signed<Snapshot>) -> Result<(), String> {
        self.once(signed, Vow::Snapshot(signed.statement.joiner))
    }

    /// Takes in a `NeedMoreChange` of a correct signer.
    ///
    /// # Errors
    /// If it signed another for this attempt, or left behind what it was ready for.
    pub fn more(&mut self, signed: &Signed<NeedMoreChange>) -> Result<(), String> {
        self.once(signed, Vow::NeedMoreChange(signed.statement.attempt))?;
        self.more.entry(signed.signer).or_default().push(signed.statement.clone());
        self.bound(signed.signer)
    }

    /// Whoever was ready at an attempt takes a lock at least as late along ever after.
    fn bound(&self, signer: Rank) -> Result<(), String> {
        let readys = self.ready.get(&signer).into_iter().flatten();
        for ready in readys {
            let above = |more: &&NeedMoreChange| more.attempt > ready.attempt;
            let forgets = |more: &NeedMoreChange| {
                more.lock.is_none_or(|lock| {
                    lock.attempt < ready.attempt
                        || (lock.attempt == ready.attempt && lock.next != ready.next)
                })
            };
            let mores = self.more.get(&signer).into_iter().flatten();
            if let Some(more) = mores.filter(above).find(|more| forgets(more)) {
                return Err(format!(
                    "correct rank {signer} was ready at {:?} and goes on to {:?} without it",
                    ready.attempt, more.attempt
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::crypto::{Locked, Signature};
    use phalanx_core::wire::List;

    fn signed<S>(statement: S) -> Signed<S> {
        Signed { signer: Rank::new(1), statement, signature: Signature([0; 64]) }
    }

    fn ready(attempt: u32, next: &[u8]) -> Signed<ReadyToSwitch> {
        let next = sha256(next);
        signed(ReadyToSwitch { attempt: Attempt::new(attempt), next })
    }

    fn more(attempt: u32, lock: Option<(u32, &[u8])>) -> Signed<NeedMoreChange> {
        let lock = lock.map(|(attempt, next)| {
            let attempt = Attempt::new(attempt);
            Locked { attempt, next: sha256(next) }
        });
        signed(NeedMoreChange { attempt: Attempt::new(attempt), lock })
    }

    #[test]
    fn two_of_one_kind_in_one_attempt_are_seen() {
        let attempt = Attempt::FIRST;
        let (a, b) = (sha256(b"a"), sha256(b"b"));
        let mut vows = Vows::default();
        for (next, is_good) in [(a, true), (a, true), (b, false)] {
            let ack = signed(AckNewView { attempt, next });
            assert_eq!(vows.ack(&ack).is_ok(), is_good);
            let view = signed(NewView { attempt, next, justification: a });
            assert_eq!(vows.new_view(&view).is_ok(), is_good);
            let commit = signed(Commit { attempt, next, acks: a });
            assert_eq!(vows.commit(&commit).is_ok(), is_good);
        }
        let state = |root| signed(Snapshot { joiner: PublicKey([1; 32]), root, length: 1 });
        assert!(vows.snapshot(&state(a)).is_ok() && vows.snapshot(&state(b)).is_err());
        let other = signed(AckNewView { attempt: Attempt::new(1), next: b });
        assert!(vows.ack(&other).is_ok(), "another attempt");
        let flush = |ends| signed(Flush { ends, changes: List::new() });
        assert!(vows.flush(&flush(List::new())).is_ok());
        let end = phalanx_core::LogEnd::EMPTY;
        assert!(vows.flush(&flush(List::from(vec![end]))).is_err());
        assert!(vows.ready(&ready(0, b"a")).is_ok() && vows.ready(&ready(0, b"b")).is_err());
        assert!(vows.more(&more(1, Some((0, b"a")))).is_ok());
        assert!(vows.more(&more(1, None)).is_err());
    }

    #[test]
    fn who_was_ready_takes_its_lock_along() {
        for (lock, is_good) in [
            (None, false),
            (Some((0, &b"a"[..])), false),
            (Some((1, b"b")), false),
            (Some((1, b"a")), true),
            (Some((2, b"a")), true),
        ] {
            for ready_first in [true, false] {
                let mut vows = Vows::default();
                let (one, two) = if ready_first {
                    (vows.ready(&ready(1, b"a")), vows.more(&more(3, lock)))
                } else {
                    (vows.more(&more(3, lock)), vows.ready(&ready(1, b"a")))
                };
                assert_eq!((one.is_ok(), two.is_ok()), (true, is_good), "{lock:?}");
            }
        }
    }
}
