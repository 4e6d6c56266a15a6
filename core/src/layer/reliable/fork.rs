//! Senders that write two branches of their log (RM7 of protocol.md sections 2 and 4): two Heads at
//! one number, or two Heads at different numbers whose chains part. A member that only replied is
//! never blamed for the second.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Out, Reliable};
use crate::crypto::Heads;
use crate::crypto::{Head, Link, Verified};
use crate::fault::{Evidence, Proof};
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::wire::{BodyHead, List, Part};

impl Reliable {
    pub(super) fn two_heads(&self, sender: Rank, a: &Verified<Heads>, b: &Verified<Heads>) -> Out {
        let (first, second) = (a.signed().as_ref().clone(), b.signed().as_ref().clone());
        let evidence = Evidence::TwoHeads { sender, first, second };
        Out::Proof(Box::new(Proof { view: self.view, evidence }))
    }

    /// The sender wrote two branches: show all what it signed on the one kept here, so that the
    /// two halves of its equivocation meet (RM7).
    pub(super) fn tell_fork(&mut self, sender: Rank, out: &mut Vec<Out>) {
        if *self.has_told_fork.at(sender) {
            return;
        }
        if let Some(heads) = self.logs.at_mut(sender).parted.take() {
            *self.has_told_fork.at_mut(sender) = true;
            out.push(Out::Post(Post::part(To::All, Part::Heads(heads.signed().as_ref().clone()))));
        }
    }

    /// Whether a body that is held in another version may show that its sender forked: its newest
    /// head is not on the branch that is kept.
    pub(super) fn may_prove_fork(&self, body: &BodyHead) -> bool {
        let log = self.logs.at(body.sender);
        let newest = log.votes.newest(body.sender).map(|vote| vote.head);
        !*self.has_proven_fork.at(body.sender)
            && log.body(body.number).is_some()
            && newest.is_some_and(|newest| !log.is_linked(&newest))
    }

    /// A body was refused because another branch is kept. If it is the first that parts from it, and
    /// the sender signed both ends, that is proof.
    pub(super) fn on_other_branch(
        &mut self,
        cx: &Context<'_>,
        body: &BodyHead,
        link: Link,
        out: &mut Vec<Out>,
    ) {
        let sender = body.sender;
        if *self.has_proven_fork.at(sender) {
            return;
        }
        if let Some(proof) = self.forked(body, link)
            && proof.verify_pair(cx.roster).is_ok()
        {
            *self.has_proven_fork.at_mut(sender) = true;
            out.push(Out::Proof(Box::new(proof)));
        }
    }

    /// The evidence, to be verified: both chains from the body before this one to a head that the
    /// sender signed.
    fn forked(&self, body: &BodyHead, link: Link) -> Option<Proof> {
        let log = self.logs.at(body.sender);
        let base = Head { sender: body.sender, number: body.number.prev(), hash: body.prev };
        if !log.is_linked(&base) {
            return None;
        }
        let mut number = body.number;
        while log.own_heads(number).is_none() {
            log.body(number)?;
            number = number.next();
        }
        let first = log.own_heads(number)?.signed().as_ref().clone();
        let first_links = List::from(log.links(base.number, number)?);
        let second = log.votes.newest(body.sender)?.heads.signed().as_ref().clone();
        let mut second_links = alloc::vec![link];
        second_links.extend(body.links.iter().copied());
        let evidence = Evidence::ForkedLog {
            base: base.number,
            base_hash: base.hash,
            first,
            first_links,
            second,
            second_links: List::from(second_links),
        };
        Some(Proof { view: self.view, evidence })
    }
}
