//! A log of the liar's own making in place of that of its body double: bodies of equal casts and
//! without a slot, on one good chain.

use std::sync::Arc;

use phalanx_core::crypto::{Head, Link, body_hash, log_root, sha256};
use phalanx_core::wire::{BodyHead, List, Part};
use phalanx_core::{Number, SlotMark};

use super::puppet::Puppet;

/// The log.
#[derive(Debug)]
pub(super) struct OwnLog {
    casts: Arc<[u8]>,
    link: Link,
    /// By number; the first is the root.
    heads: Vec<Head>,
}

impl OwnLog {
    /// Creates an empty log whose bodies all carry these casts.
    pub(super) fn new(puppet: &Puppet, casts: &[u8]) -> Self {
        let hash = log_root(puppet.roster.view(), puppet.me);
        let root = Head { sender: puppet.me, number: Number::ZERO, hash };
        let link = Link { slot: SlotMark::None, casts: sha256(casts) };
        Self { casts: casts.into(), link, heads: vec![root] }
    }

    /// Returns the casts of every body.
    pub(super) fn casts(&self) -> Arc<[u8]> {
        Arc::clone(&self.casts)
    }

    /// Returns the newest body's number.
    fn last(&self) -> u64 {
        (self.heads.len() as u64).saturating_sub(1)
    }

    /// Writes the log up to this number.
    fn grow(&mut self, puppet: &Puppet, number: u64) {
        while self.last() < number {
            let Some(prev) = self.heads.last().copied() else { return };
            let number = prev.number.next();
            let view = puppet.roster.view();
            let hash = body_hash(view, prev.sender, number, &prev.hash, &self.link);
            self.heads.push(Head { sender: prev.sender, number, hash });
        }
    }

    /// Returns the signed head `top` and body `number` below it, with the links between them.
    pub(super) fn parts(&mut self, puppet: &mut Puppet, number: u64, top: u64) -> Vec<Part> {
        self.grow(puppet, top.max(number));
        let at = |number: u64| self.heads.get(usize::try_from(number).ok()?).copied();
        let (Some(head), Some(prev)) = (at(top), at(number.saturating_sub(1))) else {
            return Vec::new();
        };
        let above = usize::try_from(top.saturating_sub(number)).unwrap_or(0);
        let body = BodyHead {
            sender: head.sender,
            number: Number::new(number),
            prev: prev.hash,
            slot: self.link.slot,
            links: List::from(vec![self.link; above]),
        };
        let said = puppet.sign_heads(head.sender, vec![head]);
        said.map(Part::Heads).into_iter().chain([Part::Body(body)]).collect()
    }
}
