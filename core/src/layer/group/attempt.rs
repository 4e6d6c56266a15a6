//! The rules of an attempt: R0 to R2 and R6 to R9 of protocol.md section 9.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::justify::{fresh, judge};
use super::{FlushRecord, Group, Lock, Out, Phase, Proposal};
use crate::crypto::{
    AckNewView, Certificate, Flush, Locked, NeedMoreChange, NewView, Reason, Verified,
};
use crate::layer::Context;
use crate::member::Rank;
use crate::plan::keeps;
use crate::seq::{Attempt, LogEnd};
use crate::time::Time;
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::{Certificates, Flushed, Justification, NeedsMore, Proposed};

impl Group {
    /// Applies the first rule that applies; returns whether there may be more.
    pub(super) fn applies(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        match self.phase {
            Phase::Freezing | Phase::Decided => false,
            Phase::Normal => self.decides(cx.now, out) || self.starts(out),
            Phase::Flushing => {
                self.decides(cx.now, out)
                    || self.locks(cx, out)
                    || self.is_ready(cx, out)
                    || self.catches_up(cx, out)
                    || self.follows(cx, out)
                    || self.wants_more(cx, out)
                    || self.skips(cx, out)
                    || self.proposes(cx, out)
            }
        }
    }

    /// R0: there is something to change, or others have begun.
    fn starts(&mut self, out: &mut Vec<Out>) -> bool {
        let begun = |(rank, flush): (Rank, &Option<FlushRecord>)| {
            flush.is_some() || self.more.highest().any(|(signer, _)| signer == rank)
        };
        let others = self.flushes.iter().filter(|entry| begun(*entry)).count();
        let view = Arc::clone(&self.view);
        if others < self.quorum().weak() && !self.plan().is_change(&view) {
            return false;
        }
        self.phase = Phase::Freezing;
        out.push(Out::Freeze);
        true
    }

    /// R0: the one Flush of this view.
    pub(super) fn on_frozen(
        &mut self,
        cx: &mut Context<'_>,
        ends: Vec<(LogEnd, Option<Certificate>)>,
        out: &mut Vec<Out>,
    ) {
        if self.phase != Phase::Freezing {
            return;
        }
        let certificates: Vec<Certificate> =
            ends.iter().filter_map(|(_, certificate)| certificate.clone()).collect();
        #[cfg(test)]
        let certificates = self.with_junk(certificates);
        let plan = self.plan();
        let changes = self.evidence.facts().supported(&self.view, None).listed(&plan);
        let statement =
            Flush { ends: ends.iter().map(|(end, _)| *end).collect(), changes: changes.into() };
        let flush = cx.door.sign(cx.roster, self.me, statement);
        let certificates = Certificates::pack(&certificates);
        let message = Flushed {
            signed: flush.signed().as_ref().clone(),
            certificates: certificates.clone(),
            grounds: self.evidence.grounds(),
        };
        self.post(Part::Flush(Box::new(message.clone())), out);
        let record = FlushRecord { flush, certificates: Some(Arc::new(certificates)) };
        *self.flushes.at_mut(self.me) = Some(record);
        self.own.flush = Some(Arc::new(message));
        self.phase = Phase::Flushing;
        self.resend.restart(cx.now);
    }

    /// Goes on to a later attempt, and says so before anything is done in it.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, to: Attempt, out: &mut Vec<Out>) {
        self.clock.restart();
        if to <= self.attempt {
            // The last attempt has none after it; only more than `f` liars lead there.
            return;
        }
        self.attempt = to;
        let lock = self.reported_lock();
        let statement = NeedMoreChange { attempt: to, lock: lock.map(|lock| lock.on) };
        let said = cx.door.sign(cx.roster, self.me, statement);
        let message = NeedsMore {
            signed: said.signed().as_ref().clone(),
            lock: lock.map(Lock::proof),
            grounds: self.evidence.grounds(),
        };
        let _: super::votes::Put<_> = self.more.put(&said);
        self.post(Part::NeedMoreChange(Box::new(message.clone())), out);
        self.own.more = Some(Arc::new(message));
        out.push(Out::Abandoned(to));
        self.resend.restart(cx.now);
    }

    /// R7: weak many are further on.
    fn catches_up(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        let mut attempts: Vec<Attempt> = self.more.highest().map(|(_, attempt)| attempt).collect();
        attempts.sort_unstable_by(|a, b| b.cmp(a));
        let reached = attempts.get(self.quorum().f()).copied();
        let Some(reached) = reached.filter(|reached| *reached > self.attempt) else { return false };
        self.advance(cx, reached, out);
        true
    }

    /// R2: the proposal of this or a later attempt is acknowledged, unless R8 speaks against it.
    fn follows(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        let newest = self.proposals.iter().next_back();
        let Some((attempt, proposal)) = newest.map(|(attempt, found)| (*attempt, found.clone()))
        else {
            return false;
        };
        if attempt > self.attempt {
            self.advance(cx, attempt, out);
            return true;
        }
        if attempt < self.attempt || self.acked >= Some(attempt) || self.is_stale(&proposal) {
            return false;
        }
        self.acked = Some(attempt);
        let next = proposal.message.signed.statement.next;
        let ack = cx.door.sign(cx.roster, self.me, AckNewView { attempt, next });
        let _: super::votes::Put<_> = self.acks.put(&ack);
        self.post(Part::Ack(ack.signed().as_ref().clone()), out);
        self.own.ack = Some(ack);
        self.resend.restart(cx.now);
        true
    }

    /// R8: a fresh proposal of this attempt keeps someone whom all the evidence here would not.
    fn is_stale(&mut self, proposal: &Proposal) -> bool {
        if !proposal.is_fresh || self.lock.is_some() || self.aborts >= self.n().saturating_mul(2) {
            return false;
        }
        let plan = self.plan();
        let (now, next) = (&self.view.members, &proposal.message.view);
        now.iter().any(|member| keeps(member, &next.members) && !keeps(member, &plan.members))
    }

    /// R8, also after an Ack.
    fn wants_more(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        let Some(proposal) = self.proposals.get(&self.attempt).cloned() else { return false };
        if !self.is_stale(&proposal) {
            return false;
        }
        self.aborts = self.aborts.saturating_add(1);
        self.advance(cx, self.attempt.next(), out);
        true
    }

    /// R9: in the first cycle a leader that is suspected is passed over, if a later one is not. So is
    /// one whose next life asks to join: this one is gone; and one that has gone on to a later attempt
    /// itself, for it proposes nothing any more: it may have known less when it passed itself over.
    fn skips(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        let n = self.n();
        let leader = self.view.leader(self.attempt);
        let weak = self.quorum().weak();
        let is_out = |rank: Rank| {
            let member = self.view.member(rank);
            self.evidence.is_suspected(rank, weak)
                || member.is_some_and(|member| self.evidence.is_replaced(member))
        };
        let cycle = u32::try_from(n).unwrap_or(u32::MAX);
        let is_first_cycle = self.attempt.value() < cycle;
        let later = self.attempt.next().value()..cycle;
        let mut later = later.map(|attempt| self.view.leader(Attempt::new(attempt)));
        let has_gone_on = !self.proposals.contains_key(&self.attempt)
            && self.more.highest().any(|(rank, at)| rank == leader && at > self.attempt);
        let applies = is_first_cycle
            && self.lock.as_ref().is_none_or(|lock| lock.on.attempt < self.attempt)
            && (has_gone_on || (is_out(leader) && later.any(|rank| !is_out(rank))));
        if applies {
            self.advance(cx, self.attempt.next(), out);
        }
        applies
    }

    /// R1: the leader proposes, once.
    fn proposes(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) -> bool {
        if self.view.leader(self.attempt) != self.me || self.seen(self.attempt).is_some() {
            return false;
        }
        let Some((view, justification)) = self.proposal(cx.now) else { return false };
        let is_fresh = matches!(justification, Justification::Fresh { .. });
        let next = view.id();
        let statement =
            NewView { attempt: self.attempt, next, justification: justification.hash() };
        let said = cx.door.sign(cx.roster, self.me, statement);
        let signed = said.signed().as_ref().clone();
        let message = Arc::new(Proposed { signed, view, justification });
        let _: super::votes::Put<_> = self.new_views.put(&said);
        // What the others would convict for is not let out.
        let is_valid =
            message.is_legal(self.n()) && matches!(judge(cx, self.basis(), &message), Ok(Some(_)));
        debug_assert!(is_valid, "what was checked when it came in justifies no proposal");
        if !is_valid {
            return false;
        }
        self.post(Part::NewView(Box::new(message.as_ref().clone())), out);
        self.remember_view(next, Arc::new(message.view.clone()));
        self.own.proposed = Some(Arc::clone(&message));
        self.proposals.insert(self.attempt, Proposal { message, is_fresh });
        self.resend.restart(cx.now);
        true
    }

    /// What may be proposed in the present attempt, if enough is here.
    fn proposal(&mut self, now: Time) -> Option<(View, Justification)> {
        let quorum = self.quorum().q();
        let more = self.quorum_of_more()?;
        let highest = more.iter().filter_map(|more| more.lock).max_by_key(|lock| lock.attempt);
        if let Some(on) = highest {
            let view = self.views.get(&on.next)?.as_ref().clone();
            let acks = self.acks_of(&on)?;
            let more = more.iter().map(|more| more.signed().as_ref().clone()).collect();
            return Some((view, Justification::Relock { more, acks }));
        }
        let (plan, facts) = (self.plan(), self.evidence.facts());
        let supported = facts.supported(&self.view, Some(&plan));
        let is_justified = |flush: &Flush| flush.changes.iter().all(|listed| supported.has(listed));
        let flushes: Vec<(Verified<Flush>, Arc<Certificates>)> = self
            .flushes
            .values()
            .flatten()
            // It may have stood in a proposal, and what it lists is not known here yet.
            .filter(|record| is_justified(&record.flush))
            .filter_map(|record| Some((record.flush.clone(), record.certificates.clone()?)))
            .collect();
        if flushes.len() < quorum {
            return None;
        }
        // A moment for those that nobody is about to remove: what they hold need not be cast again.
        let flushed = *self.clock.flushed.get_or_insert(now);
        let grace_over = flushed.plus(self.clock.grace_us);
        if now < grace_over && self.awaits_flushes() {
            self.clock.grace_due = Some(grace_over);
            return None;
        }
        self.clock.grace_due = None;
        Some(fresh(self.basis(), &flushes, &self.evidence, &more))
    }

    fn awaits_flushes(&mut self) -> bool {
        let plan = self.plan();
        let members = self.view.members.iter().zip(self.flushes.values());
        let mut kept = members.filter(|(member, _)| keeps(member, &plan.members));
        kept.any(|(_, flush)| flush.as_ref().is_none_or(|record| record.certificates.is_none()))
    }

    /// A quorum that goes on to the present attempt, the highest lock among them; what a lock is on
    /// must be proven here. Nobody has to for the first attempt.
    fn quorum_of_more(&self) -> Option<Vec<Verified<NeedMoreChange>>> {
        if self.attempt == Attempt::FIRST {
            return Some(Vec::new());
        }
        let is_proven = |more: &&Verified<NeedMoreChange>| {
            more.lock
                .is_none_or(|on| self.acks_of(&on).is_some() && self.views.contains_key(&on.next))
        };
        let mut more: Vec<Verified<NeedMoreChange>> =
            self.more.at(self.attempt).filter(is_proven).cloned().collect();
        more.sort_by_key(|more| core::cmp::Reverse(more.lock.map(|lock| lock.attempt)));
        more.truncate(self.quorum().q());
        more.sort_by_key(Verified::signer);
        (more.len() == self.quorum().q()).then_some(more)
    }

    /// R6, and the moment for the Flushes of all.
    pub(super) fn on_tick(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) {
        if self.phase != Phase::Flushing {
            return;
        }
        if self.clock.grace_due.is_some_and(|due| due <= cx.now) {
            self.clock.grace_due = None;
        }
        self.on_resend(cx.now, out);
        let Some(started) = self.clock.started else { return };
        let has_proposal = self.proposals.contains_key(&self.attempt);
        let pause_us = self.clock.pause_us;
        if !self.clock.has_asked && cx.now >= started.plus(pause_us / 2) {
            self.clock.has_asked = true;
            if !has_proposal {
                self.post(Part::AskNewView(self.attempt), out);
            }
        }
        if cx.now < started.plus(pause_us) {
            return;
        }
        let leader = self.view.leader(self.attempt);
        let is_complete = self.clock.complete.is_some_and(|at| cx.now.since(at) >= pause_us);
        if is_complete && leader != self.me {
            if !has_proposal {
                out.push(Out::Opinion(leader, Reason::NewViewOverdue));
            } else if self.is_commit_overdue() {
                out.push(Out::Opinion(leader, Reason::CommitOverdue));
            }
        }
        self.clock.on_expiry();
        self.advance(cx, self.attempt.next(), out);
    }

    /// Starts what waits for time: the attempt timer runs only while a quorum shares the attempt.
    pub(super) fn set_clock(&mut self, now: Time) {
        if self.phase != Phase::Flushing {
            return;
        }
        let quorum = self.quorum().q();
        let flushed = self.flushes.values().flatten().count();
        let is_first = self.attempt == Attempt::FIRST;
        let here = match is_first {
            true => flushed,
            false => self.more.highest().filter(|(_, at)| *at >= self.attempt).count(),
        };
        if here >= quorum && self.clock.started.is_none() {
            self.clock.begin(self.attempt, now);
        }
        let is_complete =
            flushed >= quorum && (is_first || self.more.at(self.attempt).count() >= quorum);
        if is_complete && self.clock.complete.is_none() {
            self.clock.complete = Some(now);
        }
    }
}

impl Lock {
    /// As it is reported.
    fn proof(&self) -> crate::wire::change::LockProof {
        let view = self.view.as_ref().clone();
        crate::wire::change::LockProof { view, acks: self.acks.clone() }
    }
}

impl Group {
    /// What is said about the own lock.
    fn reported_lock(&self) -> Option<&Lock> {
        #[cfg(test)]
        if self.omitted == super::Omitted::LockInNeedMoreChange {
            return None;
        }
        self.lock.as_ref()
    }

    /// The proof that a quorum acknowledged what a lock is on.
    fn acks_of(&self, on: &Locked) -> Option<crate::wire::change::Acks> {
        self.locks.get(&(on.attempt, on.next)).cloned()
    }
}
