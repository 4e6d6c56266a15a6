//! The tick: everything this member has to say about heads goes into one signed statement, with
//! its next bodies (protocol.md section 4, "one signature per tick"). Pattern Paper signs one
//! entry at a time, as the paper does, so that the two can be compared.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::sender::{Batch, Room};
use super::{Body, Out, Reliable, Vote};
use crate::crypto::{Certificate, Head, Heads, Link, Verified};
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::seq::{Number, SlotMark};
use crate::view::Pattern;
use crate::wire::{List, Part};

impl Reliable {
    pub(super) fn on_tick(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) {
        if self.phase.is_open() && cx.now >= self.next_sign {
            self.speak(cx, out);
        }
        if self.sender.is_writable_again() {
            out.push(Out::Writable);
        }
        self.on_repeat(cx.now, out);
        self.on_fetch_timers(cx.now, out);
    }

    /// Replies, new bodies and haves.
    fn speak(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) {
        self.is_due = false;
        let me = self.me;
        let replies: Vec<Head> = self
            .logs
            .iter_mut()
            .filter(|(sender, _)| *sender != me)
            .filter_map(|(_, log)| log.may_reply().then(|| log.top()))
            .collect();
        let first = self.logs.at(me).top().number.next();
        if !self.logs.at(me).is_own_intact() {
            // Somebody else signs with this key: nothing that is said here can be made good.
            self.alarm(me, first, out);
            return;
        }
        // The casts of a Silenced member wait until it is Active again.
        while self.is_active(me)
            && let Some((slot, batch)) = self.sender.seal(self.room(), !replies.is_empty())
        {
            self.open(cx, slot, batch);
            out.push(Out::Sighted(me, slot));
        }
        let bodies: Vec<Arc<Body>> = self.own_bodies(first);
        let has_news = !replies.is_empty() || !bodies.is_empty();
        if has_news {
            self.next_sign = cx.now.plus(self.timeouts.heads_delay_us);
            match self.pattern {
                Pattern::Swift => self.speak_swift(cx, replies, &bodies, out),
                Pattern::Paper => self.speak_paper(cx, &replies, &bodies, out),
            }
        }
        if self.pattern == Pattern::Paper {
            self.finalise(out);
        }
        // Haves travel with everything, but a reply of pattern Paper goes to one member only.
        let tells_all = !bodies.is_empty() || (has_news && self.pattern == Pattern::Swift);
        if core::mem::replace(&mut self.haves_changed, false) && !tells_all {
            self.next_sign = cx.now.plus(self.timeouts.heads_delay_us);
            out.push(Out::TellHaves);
        }
    }

    /// What the own log has room for.
    pub(super) fn room(&self) -> Room {
        let log = self.logs.at(self.me);
        let top = log.top().number;
        Room {
            next: top.next(),
            threshold: log.threshold(),
            bytes: log.window_bytes(),
            in_flight: top.past(log.deliverable),
            next_round: log.next_round(),
        }
    }

    /// Writes the next body of the own log.
    fn open(&mut self, cx: &mut Context<'_>, slot: SlotMark, batch: Batch) {
        let me = self.me;
        let top = self.logs.at(me).top();
        let number = top.number.next();
        let link = Link { slot, casts: cx.door.casts_hash(&batch.casts) };
        let hash = cx.door.body_hash(&self.view, me, number, &top.hash, &link);
        let body = Arc::new(Body {
            sender: me,
            number,
            prev: top.hash,
            hash,
            link,
            casts: Arc::from(batch.casts),
            count: batch.count,
            tickets: batch.tickets,
        });
        let limit = self.limit(me);
        let log = self.logs.at_mut(me);
        let is_open = log.write(&body, limit, self.limits.slot_window);
        assert!(is_open, "a body of the own log fits its own window and slots");
        self.sender.opened(cx.now, number, body.casts.len());
    }

    fn own_bodies(&self, first: Number) -> Vec<Arc<Body>> {
        let log = self.logs.at(self.me);
        let mut bodies = Vec::new();
        let mut number = first;
        while let Some(body) = log.body(number) {
            bodies.push(Arc::clone(body));
            number = number.next();
        }
        bodies
    }

    /// One statement for everything, to all.
    fn speak_swift(
        &mut self,
        cx: &mut Context<'_>,
        mut entries: Vec<Head>,
        bodies: &[Arc<Body>],
        out: &mut Vec<Out>,
    ) {
        if !bodies.is_empty() {
            entries.push(self.logs.at(self.me).top());
            entries.sort_by_key(|head| head.sender);
        }
        let heads = self.vouch(cx, entries, out);
        let heads = Part::Heads(heads.signed().as_ref().clone());
        if bodies.is_empty() {
            out.push(Out::Post(Post::part(To::All, heads)));
            return;
        }
        let links: Vec<Link> = bodies.iter().map(|body| body.link).collect();
        for (index, body) in bodies.iter().enumerate() {
            let above = links.iter().skip(index).skip(1).copied().collect();
            let parts = alloc::vec![heads.clone(), Part::Body(body.head(above))];
            let casts = Some(body.cargo());
            out.push(Out::Post(Post { to: To::All, parts, casts }));
        }
    }

    /// The paper's phases: a digest for each body to all, a reply for each log to its sender.
    fn speak_paper(
        &mut self,
        cx: &mut Context<'_>,
        replies: &[Head],
        bodies: &[Arc<Body>],
        out: &mut Vec<Out>,
    ) {
        for body in bodies {
            let head = Head { sender: self.me, number: body.number, hash: body.hash };
            let heads = self.vouch(cx, alloc::vec![head], out);
            let heads = Part::Heads(heads.signed().as_ref().clone());
            let parts = alloc::vec![heads, Part::Body(body.head(Vec::new()))];
            let casts = Some(body.cargo());
            out.push(Out::Post(Post { to: To::All, parts, casts }));
        }
        for head in replies {
            let heads = self.vouch(cx, alloc::vec![*head], out);
            let part = Part::Heads(heads.signed().as_ref().clone());
            out.push(Out::Post(Post::part(To::One(head.sender), part)));
        }
    }

    /// The paper's final phase: the certificate of the own log to all.
    fn finalise(&mut self, out: &mut Vec<Out>) {
        let head = self.logs.at(self.me).certified();
        if head.number <= self.finalised {
            return;
        }
        if let Some(certificate) = self.certificate(self.me, head.number) {
            self.finalised = head.number;
            out.push(Out::Post(Post::part(To::All, Part::Certificate(certificate))));
        }
    }

    /// Signs these entries and counts them as this member's votes.
    fn vouch(
        &mut self,
        cx: &mut Context<'_>,
        entries: Vec<Head>,
        out: &mut Vec<Out>,
    ) -> Verified<Heads> {
        let statement = Heads { entries: List::from(entries) };
        let heads = cx.door.sign(cx.roster, self.me, statement);
        for head in heads.entries.iter() {
            let limit = self.limit(head.sender);
            let log = self.logs.at_mut(head.sender);
            log.replied = *head;
            log.last_entry = log.last_entry.max(head.number);
            if head.sender == self.me {
                let _: super::Anchored = log.anchor(head, Some(&heads), limit);
            }
            log.votes.record(Vote { head: *head, heads: heads.clone() }, true);
            *self.mine.at_mut(head.sender) = Some(heads.clone());
        }
        for head in heads.entries.iter() {
            self.refresh(cx, head.sender, out);
        }
        heads
    }

    /// The shortest certificate of the head `number` of a log, which is certified and held; `None`
    /// if none within the window can be put together here.
    pub(super) fn certificate(&self, sender: Rank, number: Number) -> Option<Certificate> {
        let log = self.logs.at(sender);
        let head = Head { sender, number, hash: log.hash_at(number)? };
        let found = [self.stored_certificate(head), self.counted_certificate(head)];
        let fits = |found: &Certificate| found.links.len() <= self.limits.links_max();
        found.into_iter().flatten().filter(fits).min_by_key(|found| found.links.len())
    }

    /// From one that came whole, of that head or a higher one.
    fn stored_certificate(&self, head: Head) -> Option<Certificate> {
        let log = self.logs.at(head.sender);
        let stored = log.certificate.as_ref()?;
        if stored.head.number < head.number {
            return None;
        }
        let mut links = log.links(head.number, stored.head.number)?;
        links.extend(stored.links.iter().copied());
        Some(Certificate { head, heads: stored.heads.clone(), links: List::from(links) })
    }

    /// From votes that were counted here.
    fn counted_certificate(&self, head: Head) -> Option<Certificate> {
        let log = self.logs.at(head.sender);
        let mut votes = log.votes.certify(head.number, self.quorum)?;
        let last = votes.last()?.head.number;
        let links = log.links(head.number, last)?;
        votes.sort_by_key(|vote| vote.heads.signer());
        let heads = votes.iter().map(|vote| vote.heads.signed().as_ref().clone()).collect();
        Some(Certificate { head, heads, links: List::from(links) })
    }
}
