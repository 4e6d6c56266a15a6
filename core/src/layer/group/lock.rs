//! From a quorum of Acks to the decision: R3 to R5 of protocol.md section 9.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Group, Lock, Out, Phase};
use crate::crypto::{Commit, Hash32, Locked, ReadyToSwitch};
use crate::layer::Context;
use crate::seq::Attempt;
use crate::time::Time;
use crate::view::Pattern;
use crate::wire::Part;
use crate::wire::change::{Acks, Committed, Decision, acks_hash};

impl Group {
    /// R3: a quorum acknowledged one view in an attempt above that of the own lock.
    pub(super) fn locks(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        let Some((on, acks)) = self.lockable() else { return false };
        let Some(view) = self.views.get(&on.next).map(Arc::clone) else {
            // R11 asks again.
            return false;
        };
        if on.attempt > self.attempt {
            // The lock so far is reported.
            self.advance(cx, on.attempt, out);
        }
        let cut = view.cut.to_vec();
        // A lock that was reported must stay provable when a higher one takes its place: the leader
        // of an attempt counts its own report, too.
        self.remember_proof(&on, acks.clone());
        self.lock = Some(Lock { on, view, acks: acks.clone() });
        if self.view.leader(on.attempt) == self.me && self.own.commit_attempt() < Some(on.attempt) {
            let statement = Commit { attempt: on.attempt, next: on.next, acks: acks_hash(&acks) };
            let signed = cx.door.sign(cx.roster, self.me, statement).signed().as_ref().clone();
            let message = Committed { signed, acks };
            self.post(Part::Commit(Box::new(message.clone())), out);
            self.own.commit = Some(Arc::new(message));
        }
        if self.collected != Some(on.next) {
            out.push(Out::Collect(on.next, cut));
        }
        true
    }

    /// The highest attempt above that of the own lock for which a quorum of Acks is here: their
    /// own, or announced by its leader. Pattern Paper waits for the announcement.
    fn lockable(&self) -> Option<(Locked, Acks)> {
        let above = self.lock.as_ref().map(|lock| lock.on.attempt);
        let committed = self
            .commits
            .iter()
            .next_back()
            .filter(|(attempt, _)| above.is_none_or(|above| **attempt > above))
            .map(|(attempt, commit)| {
                let on = Locked { attempt: *attempt, next: commit.signed.statement.next };
                (on, commit.acks.clone())
            });
        let counted = self.acks.agreed(above, self.quorum().q()).map(|(attempt, next, acks)| {
            let acks: Acks = acks.iter().map(|ack| ack.signed().as_ref().clone()).collect();
            (Locked { attempt, next }, acks)
        });
        let counted = counted.filter(|(on, _)| {
            self.genesis.pattern == Pattern::Swift || self.view.leader(on.attempt) == self.me
        });
        match (committed, counted) {
            (Some(a), Some(b)) => Some(if b.0.attempt > a.0.attempt { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    /// Whether the leader should have announced the quorum of Acks that is here.
    pub(super) fn is_commit_overdue(&self) -> bool {
        let agreed = self.acks.agreed(None, self.quorum().q());
        self.genesis.pattern == Pattern::Paper
            && agreed.is_some_and(|(attempt, ..)| attempt == self.attempt)
            && !self.commits.contains_key(&self.attempt)
    }

    /// R4: locked in the present attempt, and every body of the cut is held.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        let Some(Locked { attempt, next }) = self.lock.as_ref().map(|lock| lock.on) else {
            return false;
        };
        if !self.may_be_ready_at(attempt)
            || self.readied >= Some(attempt)
            || self.collected != Some(next)
        {
            return false;
        }
        self.readied = Some(attempt);
        let ready = cx.door.sign(cx.roster, self.me, ReadyToSwitch { attempt, next });
        let _: super::votes::Put<_> = self.readys.put(&ready);
        self.post(Part::Ready(ready.signed().as_ref().clone()), out);
        self.own.ready = Some(ready);
        self.resend.restart(cx.now);
        true
    }

    fn may_be_ready_at(&self, attempt: Attempt) -> bool {
        #[cfg(test)]
        if self.omitted == super::Omitted::ReadyOnlyAtOwnAttempt {
            return true;
        }
        attempt == self.attempt
    }

    /// R5: a quorum is ready for one view in one attempt.
    pub(super) fn decides(&mut self, now: Time, out: &mut Vec<Out>) -> bool {
        let agreed = self.readys.agreed(None, self.quorum().q());
        let Some((_, next, readys)) = agreed else { return false };
        let Some(view) = self.views.get(&next) else { return false };
        let readys = readys.iter().map(|ready| ready.signed().as_ref().clone()).collect();
        let decision = Decision { view: view.as_ref().clone(), readys };
        self.decide(now, Box::new(decision), out);
        true
    }

    pub(super) fn decide(&mut self, now: Time, decision: Box<Decision>, out: &mut Vec<Out>) {
        self.phase = Phase::Decided;
        let decided = decision.readys.first().map(|ready| ready.statement.attempt);
        let leader = decided.and_then(|attempt| self.view.member(self.view.leader(attempt)));
        self.pace.note(leader.map(|leader| leader.key), self.clock.pace_us(now, decided));
        out.push(Out::Decided(decision));
    }

    /// Votes are here for a view that nobody has shown: whose attempt it is.
    pub(super) fn unknown_view(&self) -> Option<Attempt> {
        let is_unknown = |next: &Hash32| !self.views.contains_key(next);
        self.agreed_views().find(|(_, next)| is_unknown(next)).map(|(attempt, _)| attempt)
    }

    /// What a quorum voted for that is to be locked on or decided.
    pub(super) fn agreed_views(&self) -> impl Iterator<Item = (Attempt, Hash32)> + use<> {
        let locked = self.lockable().map(|(on, _)| (on.attempt, on.next));
        let ready = self.readys.agreed(None, self.quorum().q());
        let ready = ready.map(|(attempt, next, _)| (attempt, next));
        [locked, ready].into_iter().flatten()
    }
}
