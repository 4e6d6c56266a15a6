//! What comes in: checked, and put into the store. Nothing is concluded here.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::evidence::request_hash;
use super::faults::{accuse, convicted, count, signed};
use super::justify::{acks_prove, is_bound, is_commit_bound, judge, judge_commit, verify_all};
use super::{FlushRecord, Group, In, Out, Phase, Proposal};
use crate::crypto::{Certificate, Flush, Hash32, Head, Locked, MEMBERS_MAX, NewView, Verified};
use crate::fault::{Invalid, LinkFault, TwoFaced};
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::seq::{Attempt, Number};
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::{
    Acks, Certificates, Committed, Decision, Flushed, Grounds, NeedsMore, Proposed, Recommended,
    follows,
};

/// How many proposals, next views and locks are remembered: the newest.
pub(super) const KEPT_MAX: usize = MEMBERS_MAX;

impl Group {
    /// Takes one input into the store.
    pub(super) fn take(
        &mut self,
        cx: &mut Context<'_>,
        input: In,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        if self.phase == Phase::Decided {
            return Ok(());
        }
        match input {
            In::Suspect(said) => {
                if self.evidence.suspect(&said) {
                    self.plan = None;
                }
            }
            In::Leave(said) => {
                if !self.evidence.knows_leave(said.signer) {
                    let said = cx.door.verify(cx.roster, said)?;
                    self.evidence.leave(said);
                    self.plan = None;
                }
            }
            In::Recommend(message) => self.on_recommend(cx, *message)?,
            In::Flush(message) => self.on_flush(cx, *message, out)?,
            In::NeedMoreChange(message) => self.on_more(cx, *message, out)?,
            In::NewView(message) => self.on_new_view(cx, *message, out)?,
            In::Ack(ack) => {
                if !self.acks.has(ack.signer, &ack.statement) {
                    let ack = cx.door.verify(cx.roster, ack)?;
                    if count(cx, &mut self.acks, &ack, out) {
                        self.ask_for_other(ack.attempt, Some(ack.signer()), out);
                    }
                }
            }
            In::Commit(message) => self.on_commit(cx, *message, out)?,
            In::Ready(ready) => {
                if !self.readys.has(ready.signer, &ready.statement) {
                    let ready = cx.door.verify(cx.roster, ready)?;
                    count(cx, &mut self.readys, &ready, out);
                    self.judge_ready(cx, &ready, out);
                }
            }
            In::Decision(decision) => self.on_decision(cx, decision, out)?,
            In::AskNewView(peer, attempt) => self.on_ask(cx, peer, attempt, out),
            In::Frozen(ends) => self.on_frozen(cx, ends, out),
            In::Collected(next) => {
                // The cut of a lock that was replaced meanwhile may come in late.
                if self.lock.as_ref().is_some_and(|lock| lock.on.next == next) {
                    self.collected = Some(next);
                }
            }
            In::Tick => self.on_tick(cx, out),
        }
        Ok(())
    }

    fn on_recommend(
        &mut self,
        cx: &mut Context<'_>,
        message: Recommended,
    ) -> Result<(), LinkFault> {
        if self.evidence.knows_recommend(&message.signed, &message.request) {
            return Ok(());
        }
        if !cx.door.verifies_join(cx.roster, &message.request) {
            return Err(LinkFault::JoinRequest);
        }
        if message.signed.statement.request != request_hash(&message.request) {
            return Err(LinkFault::Unjustified);
        }
        let said = cx.door.verify(cx.roster, message.signed)?;
        if self.evidence.recommend(said, &message.request) {
            self.plan = None;
        }
        Ok(())
    }

    /// Evidence that came with something else.
    fn take_grounds(
        &mut self,
        cx: &mut Context<'_>,
        grounds: &Grounds,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let (suspects, is_news) = self.evidence.take(cx, grounds)?;
        if is_news {
            self.plan = None;
        }
        out.extend(suspects.into_iter().map(Out::Learned));
        Ok(())
    }

    fn on_flush(
        &mut self,
        cx: &mut Context<'_>,
        message: Flushed,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let signer = message.signed.signer;
        let Some(known) = self.flushes.get(signer) else { return Ok(()) };
        if let Some(known) = known {
            if known.flush.ends != message.signed.statement.ends {
                let first = signed(&known.flush);
                let second = signed(&cx.door.verify(cx.roster, message.signed)?);
                out.push(convicted(cx, TwoFaced::Flushes(first, second)));
                return Ok(());
            }
            if known.certificates.is_some() || *known.flush != message.signed.statement {
                return Ok(());
            }
        }
        self.take_grounds(cx, &message.grounds, out)?;
        let flush = cx.door.verify(cx.roster, message.signed)?;
        let Some(certificates) = certificates_of(&flush, &message.certificates) else {
            return Err(LinkFault::Unjustified);
        };
        for certificate in certificates {
            let certified = cx.certify(&self.genesis.limits, certificate.clone())?;
            out.push(Out::Certified(certificate, certified));
        }
        let mut evidence = super::Evidence::new(&self.view);
        evidence.take(cx, &message.grounds)?;
        let facts = evidence.facts();
        let supported = facts.supported(&self.view, None);
        if !flush.changes.iter().all(|listed| supported.has(listed)) {
            return Err(LinkFault::Unjustified);
        }
        let record = FlushRecord { flush, certificates: Some(Arc::new(message.certificates)) };
        *self.flushes.at_mut(signer) = Some(record);
        Ok(())
    }

    /// A Flush that stood in a proposal, without its certificates: it counts, and cannot be proposed
    /// from until its author has sent the rest.
    fn on_bare_flush(&mut self, cx: &Context<'_>, flush: Verified<Flush>, out: &mut Vec<Out>) {
        match self.flushes.at_mut(flush.signer()) {
            Some(known) if known.flush.ends != flush.ends => {
                let two = TwoFaced::Flushes(signed(&known.flush), signed(&flush));
                out.push(convicted(cx, two));
            }
            Some(_) => {}
            unknown => *unknown = Some(FlushRecord { flush, certificates: None }),
        }
    }

    fn on_more(
        &mut self,
        cx: &mut Context<'_>,
        message: NeedsMore,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        if self.more.has(message.signed.signer, &message.signed.statement) {
            return Ok(());
        }
        let said = cx.door.verify(cx.roster, message.signed)?;
        if let (Some(on), Some(proof)) = (said.lock, message.lock) {
            let fits =
                proof.view.id() == on.next && follows(&self.view, cx.roster.view(), &proof.view);
            if !fits || !acks_prove(cx, &proof.acks, &on)? {
                return Err(LinkFault::Unjustified);
            }
            self.remember_view(on.next, Arc::new(proof.view));
            self.remember_proof(&on, proof.acks);
        }
        self.take_grounds(cx, &message.grounds, out)?;
        count(cx, &mut self.more, &said, out);
        self.judge_more(cx, &said, out);
        Ok(())
    }

    pub(super) fn remember_view(&mut self, id: Hash32, view: Arc<View>) {
        self.views.insert(id, view);
        if self.views.len() <= KEPT_MAX {
            return;
        }
        let mut wanted: Vec<Hash32> = self.agreed_views().map(|(_, next)| next).collect();
        wanted.push(id);
        wanted.extend(self.lock.as_ref().map(|lock| lock.on.next));
        wanted.extend(self.locks.keys().map(|(_, next)| *next));
        wanted.extend(self.proposals.values().map(|found| found.message.signed.statement.next));
        self.views.retain(|known, _| wanted.contains(known));
    }

    pub(super) fn remember_proof(&mut self, on: &Locked, acks: Acks) {
        self.locks.insert((on.attempt, on.next), acks);
        while self.locks.len() > KEPT_MAX {
            self.locks.pop_first();
        }
    }

    pub(super) fn on_new_view(
        &mut self,
        cx: &mut Context<'_>,
        message: Proposed,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let attempt = message.signed.statement.attempt;
        if self.new_views.has(message.signed.signer, &message.signed.statement) {
            return Ok(());
        }
        if !is_bound(&message) {
            return Err(LinkFault::Unjustified);
        }
        let said = cx.door.verify(cx.roster, message.signed.clone())?;
        if said.signer() != self.view.leader(attempt) {
            accuse(cx, Invalid::NewView(Box::new(message)), out);
            return Err(LinkFault::Unjustified);
        }
        if !count(cx, &mut self.new_views, &said, out) {
            // At most one proposal of an attempt is acknowledged here. If another got a quorum
            // elsewhere, its view was asked for; a leader that lies has many more.
            let is_wanted = self.agreed_views().any(|(_, next)| next == said.next);
            if is_wanted && judge(cx, self.basis(), &message)?.is_some() {
                self.remember_view(said.next, Arc::new(message.view));
            }
            return Ok(());
        }
        self.ask_for_other(attempt, None, out);
        let judged = match judge(cx, self.basis(), &message) {
            Ok(Some(judged)) => judged,
            bad => {
                accuse(cx, Invalid::NewView(Box::new(message)), out);
                return bad.map(|_| ());
            }
        };
        for more in judged.more {
            count(cx, &mut self.more, &more, out);
            self.judge_more(cx, &more, out);
        }
        for flush in judged.flushes {
            self.on_bare_flush(cx, flush, out);
        }
        out.extend(judged.certified.into_iter().map(|(bytes, proof)| Out::Certified(bytes, proof)));
        let mut is_fresh = false;
        if let crate::wire::change::Justification::Fresh { grounds, .. } = &message.justification {
            is_fresh = true;
            self.take_grounds(cx, grounds, out)?;
        }
        self.remember_view(said.next, Arc::new(message.view.clone()));
        self.proposals.insert(attempt, Proposal { message: Arc::new(message), is_fresh });
        while self.has_too_many_proposals() {
            self.proposals.pop_first();
        }
        Ok(())
    }

    fn on_commit(
        &mut self,
        cx: &mut Context<'_>,
        message: Committed,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        let said = message.signed.statement.clone();
        let known = self.commits.get(&said.attempt);
        if known.is_some_and(|known| known.signed.statement.next == said.next) {
            return Ok(());
        }
        cx.door.verify(cx.roster, message.signed.clone())?;
        if let Some(known) = known
            && known.signed.signer == message.signed.signer
        {
            let two = TwoFaced::Commits(known.signed.clone(), message.signed);
            out.push(convicted(cx, two));
            return Ok(());
        }
        if !is_commit_bound(&message) {
            return Err(LinkFault::Unjustified);
        }
        let verdict = judge_commit(cx, self.basis(), &message);
        if !matches!(verdict, Ok(true)) {
            accuse(cx, Invalid::Commit(Box::new(message)), out);
            return verdict.and(Err(LinkFault::Unjustified));
        }
        self.commits.insert(said.attempt, Arc::new(message));
        while self.commits.len() > KEPT_MAX {
            self.commits.pop_first();
        }
        Ok(())
    }

    fn on_decision(
        &mut self,
        cx: &mut Context<'_>,
        decision: Box<Decision>,
        out: &mut Vec<Out>,
    ) -> Result<(), LinkFault> {
        if !is_decided(cx, &self.view, &decision)? {
            return Err(LinkFault::Unjustified);
        }
        self.decide(cx.now, decision, out);
        Ok(())
    }

    fn on_ask(&mut self, cx: &Context<'_>, peer: Rank, attempt: Attempt, out: &mut Vec<Out>) {
        let Some(proposal) = self.proposals.get(&attempt) else { return };
        let Some(pause) = self.served.get_mut(peer) else { return };
        if pause.due().is_none() {
            pause.at_once(cx.now);
        }
        if pause.fires(cx.now) {
            let part = Part::NewView(Box::new(proposal.message.as_ref().clone()));
            out.push(Out::Post(Post::part(To::One(peer), part)));
        }
    }

    /// Who acknowledged another proposal of an attempt than the one that is here has that: it is
    /// asked for it, for two of one leader convict it. `None` stands for everybody.
    fn ask_for_other(&self, attempt: Attempt, by: Option<Rank>, out: &mut Vec<Out>) {
        let Some(seen) = self.seen(attempt).filter(|seen| seen.signer() != self.me) else { return };
        let others = self.acks.at(attempt).filter(|ack| {
            ack.next != seen.next
                && ack.signer() != seen.signer()
                && by.is_none_or(|by| ack.signer() == by)
        });
        let ask = |peer| Out::Post(Post::part(To::One(peer), Part::AskNewView(attempt)));
        out.extend(others.map(|ack| ask(ack.signer())));
    }

    /// The statement of a proposal, if one of this attempt was seen.
    pub(super) fn seen(&self, attempt: Attempt) -> Option<&Verified<NewView>> {
        self.new_views.of(self.view.leader(attempt), attempt)
    }
}

/// The certificates of exactly the ends of a Flush, by rank; `None` if they are others.
fn certificates_of(flush: &Flush, table: &Certificates) -> Option<Vec<Certificate>> {
    let certificates = table.unpack().filter(|_| table.is_canonical())?;
    let mut of = certificates.iter();
    for (sender, end) in Rank::all(flush.ends.len()).zip(flush.ends.iter()) {
        if end.number > Number::ZERO {
            let head = Head { sender, number: end.number, hash: end.hash };
            of.next().filter(|certificate| certificate.head == head)?;
        }
    }
    of.next().is_none().then_some(certificates)
}

/// Whether a quorum of `view` decided on its successor in `decision`.
pub(crate) fn is_decided(
    cx: &mut Context<'_>,
    view: &View,
    decision: &Decision,
) -> Result<bool, LinkFault> {
    if !follows(view, cx.roster.view(), &decision.view)
        || !decision.is_of_a_quorum(cx.roster.quorum().q())
    {
        return Ok(false);
    }
    verify_all(cx, &decision.readys)?;
    Ok(true)
}
