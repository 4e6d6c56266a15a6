//! What comes in from other members: votes, certificates, bodies and haves (RM1, RM3, RM4, RM7 of
//! protocol.md section 4). Everything was checked below: signatures, and that casts parse.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::log::{Accepted, Anchored, Pinned, Space};
use super::votes::Vote;
use super::{Body, Out, Payload, Reliable, log_bytes_max};
use crate::crypto::{Certificate, Certified, Head, Heads, Link, Verified};
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::seq::Number;
use crate::time::Time;
use crate::wire::{BodyHead, Part};

impl Reliable {
    pub(super) fn on_heads(
        &mut self,
        cx: &mut Context<'_>,
        heads: &Verified<Heads>,
        out: &mut Vec<Out>,
    ) {
        for head in heads.entries.iter() {
            if !self.is_active(head.sender) {
                continue;
            }
            self.note_reply(cx.now, head, heads.signer());
            self.on_vote(head, heads, out);
            self.refresh(cx, head.sender, out);
        }
    }

    /// A reply to an own body tells how long an answer takes.
    fn note_reply(&mut self, now: Time, head: &Head, signer: Rank) {
        let newest = self.logs.at(self.me).votes.newest(signer);
        let is_reply = head.sender == self.me && signer != self.me;
        if is_reply
            && newest.is_none_or(|newest| newest.head.number < head.number)
            && let Some(left) = self.sender.left_at(head.number)
        {
            self.repair.replied(signer, now.since(left));
        }
    }

    /// One entry of a member's statement.
    fn on_vote(&mut self, head: &Head, heads: &Verified<Heads>, out: &mut Vec<Out>) {
        let limit = self.limit(head.sender);
        let log = self.logs.at_mut(head.sender);
        let signer = heads.signer();
        if signer == head.sender && signer != self.me {
            let conflicting = log.own_heads(head.number).cloned();
            if log.anchor(head, Some(heads), limit) == Anchored::Conflict
                && let Some(first) = conflicting
            {
                out.push(self.two_heads(head.sender, &first, heads));
                return;
            }
        }
        let log = self.logs.at_mut(head.sender);
        if let Some(first) = log.votes.contradicted(signer, head).cloned() {
            out.push(self.two_heads(head.sender, &first, heads));
            return;
        }
        let known = log.hash_at(head.number);
        let is_linked = log.is_linked(head);
        log.votes.record(Vote { head: *head, heads: heads.clone() }, is_linked);
        if known.is_some_and(|known| known != head.hash) {
            log.note_fork(head.number);
            self.tell_fork(head.sender, out);
        }
    }

    /// The window moved: the sender's newest head may lie inside it now.
    pub(super) fn anchor_newest(&mut self, sender: Rank) {
        let limit = self.limit(sender);
        let log = self.logs.at_mut(sender);
        log.enter_certified(limit);
        if let Some(vote) = log.votes.newest(sender).cloned() {
            // A conflict was reported when the statement came.
            let _: Anchored = log.anchor(&vote.head, Some(&vote.heads), limit);
        }
    }

    pub(super) fn on_certificate(
        &mut self,
        cx: &mut Context<'_>,
        certificate: Certificate,
        certified: &Certified,
        out: &mut Vec<Out>,
    ) {
        let head = certified.head();
        if !self.is_active(head.sender) {
            return;
        }
        let limit = self.limit(head.sender);
        let log = self.logs.at_mut(head.sender);
        if head.sender == self.me && head.number > log.have() && !log.is_on_chain(&head) {
            // More than `f` members lie. The own log stands, lest its numbers be used twice.
            return self.alarm(head.sender, head.number, out);
        }
        match log.pin(head, limit) {
            Pinned::News | Pinned::Known if log.certified() == head => {
                log.certificate = Some(certificate);
            }
            Pinned::News | Pinned::Known => {}
            Pinned::Alarm => self.alarm(head.sender, head.number, out),
        }
        for heads in certified.heads() {
            if let Some(entry) = heads.entry(head.sender).copied() {
                self.on_vote(&entry, heads, out);
            }
        }
        self.tell_fork(head.sender, out);
        self.refresh(cx, head.sender, out);
    }

    pub(super) fn alarm(&mut self, sender: Rank, number: Number, out: &mut Vec<Out>) {
        if !core::mem::replace(&mut self.is_halted, true) {
            out.push(Out::Alarm(sender, number));
        }
    }

    /// RM1: a body at or under a head that its sender signed or that is certified.
    pub(super) fn on_body(
        &mut self,
        cx: &mut Context<'_>,
        from: Rank,
        head: BodyHead,
        payload: Payload<'_>,
        out: &mut Vec<Out>,
    ) {
        let Payload { bytes, hash, count } = payload;
        let sender = head.sender;
        let limit = self.limit(sender);
        let log = self.logs.at(sender);
        if from == sender {
            self.repair.came(cx.now, sender, head.number, log.top().number);
        }
        let is_wanted = sender != self.me
            && self.is_active(sender)
            && (log.wants_body(head.number, limit) || self.may_prove_fork(&head));
        if !is_wanted || !self.limits.takes(bytes.len(), &count) {
            return;
        }
        let link = Link { slot: head.slot, casts: hash };
        let hash = cx.door.body_hash(&self.view, sender, head.number, &head.prev, &link);
        let covered = self.cover(cx, Head { sender, number: head.number, hash }, &head.links);
        let space = self.space(sender, head.number);
        let log = self.logs.at_mut(sender);
        if covered != Accepted::Yes || !log.make_room(head.number, count.cost(bytes.len()), space) {
            match covered {
                Accepted::Alarm => self.alarm(sender, head.number, out),
                Accepted::No => self.on_other_branch(cx, &head, link, out),
                Accepted::Yes => {}
            }
            return self.tell_fork(sender, out);
        }
        let body = Arc::new(Body {
            sender,
            number: head.number,
            prev: head.prev,
            hash,
            link,
            casts: Arc::from(bytes),
            count,
            tickets: Vec::new(),
        });
        match self.logs.at_mut(sender).accept(&body, limit) {
            Accepted::Yes => {
                if let Some((first, to)) = self.repair.handed(from, sender, head.number) {
                    let part = Part::Fetch { sender, from: first, to };
                    out.push(Out::Post(Post::part(To::One(from), part)));
                }
                self.refresh(cx, sender, out);
            }
            Accepted::No => {}
            Accepted::Alarm => self.alarm(sender, head.number, out),
        }
        self.tell_fork(sender, out);
    }

    /// What a body of this number may take up. Of the cut there can be two windows above the
    /// stability threshold: one that is told in the own row and one that others took above it.
    fn space(&self, sender: Rank, number: Number) -> Space {
        let is_of_cut = self.phase.end(sender).is_some_and(|end| number <= end.number);
        let window = match is_of_cut {
            true => self.limits.window_bytes_max().saturating_mul(2),
            false => self.limits.window_bytes as usize,
        };
        Space { window, held: log_bytes_max(&self.limits) }
    }

    /// Whether `links` lead from `head` to a head that its sender signed or that is certified; if
    /// so, all the heads on the way are entered.
    fn cover(&mut self, cx: &mut Context<'_>, head: Head, links: &[Link]) -> Accepted {
        let limit = self.limit(head.sender);
        let mut way = Vec::with_capacity(links.len().saturating_add(1));
        way.push(head);
        let mut tip = head;
        for link in links {
            let number = tip.number.next();
            let hash = cx.door.body_hash(&self.view, head.sender, number, &tip.hash, link);
            tip = Head { sender: head.sender, number, hash };
            way.push(tip);
        }
        let log = self.logs.at_mut(head.sender);
        let is_signed = log.votes.newest(head.sender).is_some_and(|vote| vote.head == tip);
        log.enter(&way, is_signed, limit)
    }

    pub(super) fn on_haves(
        &mut self,
        cx: &mut Context<'_>,
        from: Rank,
        haves: &[Number],
        out: &mut Vec<Out>,
    ) {
        // How far this member holds a log it knows itself, and it may have stopped counting.
        if from == self.me {
            return;
        }
        for (sender, have) in Rank::all(self.logs.len()).zip(haves) {
            if !self.is_active(sender) {
                continue;
            }
            let known = self.logs.at_mut(sender).haves.at_mut(from);
            if *have > *known {
                *known = *have;
                if sender == self.me {
                    self.sender.held(cx.now, from, *have);
                }
                self.note_vouched(cx.now, sender, *have);
                self.watch(cx.now, sender);
                self.deliver(cx.now, sender, out);
            }
        }
    }

    /// Somebody else says that it holds a log up to `have`, which may be more than is held here.
    fn note_vouched(&mut self, now: Time, sender: Rank, have: Number) {
        let (me, weak) = (self.me, self.quorum.weak());
        let log = self.logs.at_mut(sender);
        if have <= log.have() {
            return;
        }
        let others = log.haves.iter().filter(|(member, _)| *member != me).map(|(_, have)| *have);
        let mut others: smallvec::SmallVec<[Number; 16]> = others.collect();
        let Some(last) = weak.checked_sub(1).filter(|last| *last < others.len()) else { return };
        let (_, vouched, _) = others.select_nth_unstable_by(last, |a, b| b.cmp(a));
        if *vouched > log.have() {
            log.vouched.rose(now, *vouched);
        }
    }
}
