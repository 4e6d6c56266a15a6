//! What a member hands out that is asked for bodies (RM1, RM6 of protocol.md section 4). Every packet
//! of an answer proves itself: it carries the Heads or the certificate that covers its body, and the
//! links that lead there. So none depends on another one to have come first: the network may lose
//! some of them, or turn them round.
//!
//! The best certificate goes with the first body only, where the sender itself signed a head above
//! it: that statement covers the others, is a fraction of the size, and fits a datagram together
//! with a small body. Whoever has checked it once does not check it again.
//!
//! What a faulty member can try: ask again and again. Each answer is charged to a budget per peer,
//! with what covers it.

use alloc::vec::Vec;

use super::{Out, Reliable};
use crate::crypto::{Heads, Link, Signed};
use crate::layer::{Post, To};
use crate::member::Rank;
use crate::seq::Number;
use crate::time::Time;
use crate::wire::Part;

/// Fewer bodies are handed out without a certificate if their sender signed a head above them: what
/// is lost now and then is repaired with no more bytes than were lost.
const FEW_BODIES: u64 = 4;

/// What an answer costs beyond its casts and what covers them.
const ANSWER_COST: usize = 256;

/// What covers a body: at most one statement, none if only who knows the head can tell, and the
/// steps from the body to the head.
#[derive(Debug, Default)]
struct Cover {
    part: Option<Part>,
    links: Vec<Link>,
}

impl Cover {
    const fn is_certificate(&self) -> bool {
        matches!(self.part, Some(Part::Certificate(_)))
    }

    /// About how many bytes it takes.
    fn bytes(&self, certificate: usize) -> usize {
        let part = match &self.part {
            None => 0,
            Some(Part::Heads(heads)) => heads_bytes(heads),
            Some(_) => certificate,
        };
        self.links.len().saturating_mul(48).saturating_add(part)
    }
}

fn heads_bytes(heads: &Signed<Heads>) -> usize {
    heads.statement.entries.len().saturating_mul(48).saturating_add(128)
}

impl Reliable {
    /// Hands out bodies `from..=to` of a log as far as they are here and the budget goes.
    pub(super) fn on_fetch(
        &mut self,
        now: Time,
        (peer, sender): (Rank, Rank),
        (from, to): (Number, Number),
        and_heads: bool,
        out: &mut Vec<Out>,
    ) {
        let top = self.logs.at(sender).top().number;
        if self.phase.is_open() && !and_heads && from <= to && to > top {
            self.repair.order(peer, sender, top, to);
            if from > top {
                return;
            }
        }
        // Every request is charged for what it may make this member build.
        let certificate_bytes = self.repair.cover_bytes;
        let asks_certificate = and_heads || from > to || to.past(from) >= FEW_BODIES;
        // A question for haves alone makes it build none.
        let builds = asks_certificate && to > Number::ZERO;
        let built = if builds { certificate_bytes } else { 0 };
        if !self.repair.allows(now, peer, built.saturating_add(ANSWER_COST)) {
            return;
        }
        let certified = self.logs.at(sender).have().min(to);
        // Even if it lies below `from`: the asker may be on another branch.
        let certificate = asks_certificate.then(|| self.certificate_part(sender, certified));
        let mut parts: Vec<Part> = certificate.flatten().into_iter().collect();
        let has_certificate = !parts.is_empty();
        if and_heads && let Some(heads) = self.mine.at(sender) {
            parts.push(Part::Heads(heads.signed().as_ref().clone()));
        }
        let mut number = from;
        while number <= to {
            let Some(body) = self.logs.at(sender).body(number).cloned() else { break };
            let mut cover = match has_certificate && number == from && number <= certified {
                true => self.cover_by_certificate(sender, number, certified),
                false => self.cover_of(sender, number, certified, has_certificate),
            };
            if has_certificate && number == from && cover.is_certificate() {
                // It is among the parts already.
                cover.part = None;
            }
            let bytes = cover.bytes(certificate_bytes).saturating_add(ANSWER_COST);
            if !self.repair.allows(now, peer, body.casts.len().saturating_add(bytes)) {
                break;
            }
            let mut all = core::mem::take(&mut parts);
            all.extend(cover.part);
            all.push(Part::Body(body.head(cover.links)));
            let casts = Some(body.cargo());
            out.push(Out::Post(Post { to: To::One(peer), parts: all, casts }));
            number = number.next();
        }
        if !self.phase.is_open() && from <= to && self.logs.at(sender).body(from).is_none() {
            // Nothing more comes in here for anybody to wait for.
            parts.push(Part::Lacks { sender, number: from });
        }
        if number == from && to > Number::ZERO {
            // Nothing to hand over but what is known about the log.
            let own = self.logs.at(sender).votes.linked(sender);
            let own = own.filter(|own| own.head.number >= from);
            parts.extend(own.map(|own| Part::Heads(own.heads.signed().as_ref().clone())));
        }
        if !parts.is_empty() || to == Number::ZERO {
            out.push(Out::Post(Post { to: To::One(peer), parts, casts: None }));
        }
    }

    /// Hands out the bodies above `from` that others ordered, unless they show that they hold them.
    pub(super) fn hand_out_orders(
        &mut self,
        now: Time,
        sender: Rank,
        from: Number,
        out: &mut Vec<Out>,
    ) {
        for (peer, to) in self.repair.orders(sender, from) {
            let log = self.logs.at(sender);
            let voted = log.votes.newest(peer).map_or(Number::ZERO, |vote| vote.head.number);
            let (last, have) = (log.top().number.min(to), log.have());
            let mut number = from.max(voted).max(*log.haves.at(peer));
            while number < last {
                number = number.next();
                let cover = self.cover_of(sender, number, have.min(number), false);
                let Some(body) = self.logs.at(sender).body(number).cloned() else { break };
                let bytes = cover.bytes(self.repair.cover_bytes).saturating_add(ANSWER_COST);
                if !self.repair.allows(now, peer, body.casts.len().saturating_add(bytes)) {
                    break;
                }
                let mut parts: Vec<Part> = cover.part.into_iter().collect();
                parts.push(Part::Body(body.head(cover.links)));
                let casts = Some(body.cargo());
                out.push(Out::Post(Post { to: To::One(peer), parts, casts }));
            }
        }
    }

    /// Bytes handed out so far, with what covers the bodies.
    pub(crate) const fn charged(&self) -> u64 {
        self.repair.charged()
    }

    /// What covers the body `number` of a log, where `certified` is the highest certified head that
    /// the answer is about: what the sender signed, if its head is not below that one, so that the
    /// links pass through what is certified, which the asker may know by itself; or the certificate.
    fn cover_of(
        &self,
        sender: Rank,
        number: Number,
        certified: Number,
        has_certificate: bool,
    ) -> Cover {
        let log = self.logs.at(sender);
        let least = number.max(certified);
        // Few bodies go with what needs the fewest links, many with the statement that covers all.
        if let Some((heads, at)) = log.own_heads_from(least).filter(|_| !has_certificate)
            && let Some(links) = log.links(number, at)
        {
            let part = Some(Part::Heads(heads.signed().as_ref().clone()));
            return Cover { part, links };
        }
        let votes = [log.votes.linked(sender), log.votes.newest(sender)].into_iter().flatten();
        let mut fitting = votes
            .filter(|vote| vote.head.number >= least && log.is_on_chain(&vote.head))
            .filter_map(|vote| Some((vote, log.links(number, vote.head.number)?)));
        match fitting.next() {
            Some((vote, links)) => {
                let part = Some(Part::Heads(vote.heads.signed().as_ref().clone()));
                Cover { part, links }
            }
            None => self.cover_by_certificate(sender, number, certified),
        }
    }

    fn cover_by_certificate(&self, sender: Rank, number: Number, certified: Number) -> Cover {
        if number > certified {
            return Cover::default();
        }
        let links = self.logs.at(sender).links(number, certified).unwrap_or_default();
        Cover { part: self.certificate_part(sender, certified), links }
    }

    fn certificate_part(&self, sender: Rank, number: Number) -> Option<Part> {
        let is_some = number > Number::ZERO;
        is_some.then(|| self.certificate(sender, number))?.map(Part::Certificate)
    }
}
