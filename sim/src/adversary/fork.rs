//! A second branch of a liar's own log: the raw material of mutants and split digests.
//!
//! The body double writes the first branch. The fork learns its bodies as they leave and chains a
//! changed copy of each, from body `first` on, so that the second branch is as good as the first:
//! hashes, links and signatures are right, and certificates follow once a quorum replied to it.
//! What is changed may also be a slot or a number; then the second branch is illegal by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use phalanx_core::crypto::{Certificate, Head, Heads, Link, Signed, body_hash, sha256};
use phalanx_core::wire::casts::{self, Casts};
use phalanx_core::wire::{BodyHead, List, Part};
use phalanx_core::{Number, Order, Rank, Round, SlotMark};

use super::puppet::{Letter, Puppet};

/// A body of the second branch.
#[derive(Clone, Debug)]
struct Twin {
    head: Head,
    link: Link,
    casts: Arc<[u8]>,
}

/// How the second branch differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Every body carries other casts.
    Casts,
    /// Every body with a slot names this round.
    Slot(u64),
    /// The first body has this number; there are no others.
    Number(u64),
}

/// The second branch.
#[derive(Debug)]
pub(super) struct Fork {
    me: Rank,
    change: Change,
    first: Number,
    bodies: BTreeMap<Number, Twin>,
    replies: BTreeMap<Rank, Signed<Heads>>,
}

impl Fork {
    /// A branch that leaves the log of `me` at body `first`.
    pub(super) fn new(me: Rank, first: Number, change: Change) -> Self {
        Self { me, change, first, bodies: BTreeMap::new(), replies: BTreeMap::new() }
    }

    /// The newest head of the second branch.
    pub(super) fn newest(&self) -> Option<Head> {
        self.bodies.last_key_value().map(|(_, twin)| twin.head)
    }

    /// Learns from a letter of the body double, whomever it is for. Must see all of them.
    pub(super) fn learn(&mut self, puppet: &Puppet, letter: &Letter) {
        let Some(Part::Body(body)) = letter.packet.parts.last() else { return };
        if body.sender != self.me || body.number < self.first || self.knows(body.number) {
            return;
        }
        let prev = if body.number == self.first {
            Head { sender: self.me, number: body.number.prev(), hash: body.prev }
        } else {
            let Some(before) = self.bodies.get(&body.number.prev()) else { return };
            before.head
        };
        let original = Link { slot: body.slot, casts: sha256(&letter.casts) };
        let casts = Arc::clone(&letter.casts);
        let (number, link, casts) = match self.change {
            Change::Casts => {
                let casts = changed(&letter.casts);
                (body.number, Link { casts: sha256(&casts), ..original }, casts)
            }
            Change::Slot(round) => {
                let round = Round::new(round);
                let slot = match body.slot {
                    SlotMark::None => SlotMark::None,
                    SlotMark::Value(_) => SlotMark::Value(round),
                    SlotMark::Null(_) => SlotMark::Null(round),
                };
                (body.number, Link { slot, ..original }, casts)
            }
            Change::Number(_) if body.number > self.first => return,
            Change::Number(number) => (Number::new(number), original, casts),
        };
        let hash = body_hash(puppet.roster.view(), self.me, number, &prev.hash, &link);
        let head = Head { sender: self.me, number, hash };
        self.bodies.insert(body.number, Twin { head, link, casts });
    }

    fn knows(&self, number: Number) -> bool {
        self.bodies.contains_key(&number)
    }

    /// Moves a letter to the second branch; says whether that changed it. What has no counterpart
    /// there is left out.
    pub(super) fn branch_off(&mut self, puppet: &mut Puppet, letter: &mut Letter) -> bool {
        let mut casts = Arc::clone(&letter.casts);
        let mut is_changed = false;
        let parts = core::mem::take(letter.parts_mut());
        for part in parts {
            let kept = match part {
                Part::Body(body) if self.is_ours(body.sender, body.number) => {
                    is_changed = true;
                    self.twin_of(&body).map(|(body, other)| {
                        casts = other;
                        Part::Body(body)
                    })
                }
                Part::Heads(heads) if heads.signer == self.me => {
                    match self.retell(puppet, &heads) {
                        Some(changed) => {
                            is_changed = true;
                            changed.map(Part::Heads)
                        }
                        None => Some(Part::Heads(heads)),
                    }
                }
                Part::Certificate(old) if self.is_ours(old.head.sender, old.head.number) => {
                    is_changed = true;
                    self.certificate(puppet).map(Part::Certificate)
                }
                other => Some(other),
            };
            letter.parts_mut().extend(kept);
        }
        if matches!(letter.packet.parts.last(), Some(Part::Body(_))) {
            letter.casts = casts;
        } else {
            letter.casts = Arc::from([]);
        }
        is_changed
    }

    fn is_ours(&self, sender: Rank, number: Number) -> bool {
        sender == self.me && number >= self.first
    }

    fn twin_of(&self, body: &BodyHead) -> Option<(BodyHead, Arc<[u8]>)> {
        let twin = self.bodies.get(&body.number)?;
        let prev = self.bodies.get(&body.number.prev()).map_or(body.prev, |twin| twin.head.hash);
        let links = self.links(body.number, body.links.len() as u64);
        let links = List::from(links);
        let (number, slot) = (twin.head.number, twin.link.slot);
        let body = BodyHead { sender: self.me, number, prev, slot, links };
        Some((body, Arc::clone(&twin.casts)))
    }

    /// The steps above body `number`, `count` of them as far as they are known.
    fn links(&self, number: Number, count: u64) -> Vec<Link> {
        let above = number.next()..=number.plus(count);
        if above.is_empty() {
            return Vec::new();
        }
        self.bodies.range(above).map(|(_, twin)| twin.link).collect()
    }

    /// The liar's own Heads with its digest moved to the second branch. `None`: nothing to move;
    /// `Some(None)`: nothing left to say.
    fn retell(
        &mut self,
        puppet: &mut Puppet,
        heads: &Signed<Heads>,
    ) -> Option<Option<Signed<Heads>>> {
        let own = heads.statement.entry(self.me)?;
        if own.number < self.first {
            return None;
        }
        let twin = self.bodies.get(&own.number).map(|twin| twin.head);
        let others = heads.statement.entries.iter().filter(|head| head.sender != self.me);
        let entries = others.copied().chain(twin).collect();
        let signed = puppet.sign_heads(self.me, entries);
        if let (Some(_), Some(signed)) = (twin, &signed) {
            self.replies.insert(self.me, signed.clone());
        }
        Some(signed)
    }

    /// Notes the replies to the second branch in a letter that came in.
    pub(super) fn listen(&mut self, letter: &Letter) {
        for part in letter.packet.parts.iter() {
            let Part::Heads(heads) = part else { continue };
            let Some(entry) = heads.statement.entry(self.me) else { continue };
            let is_on_branch =
                self.bodies.get(&entry.number).is_some_and(|twin| twin.head == *entry);
            let is_newer = self
                .replies
                .get(&heads.signer)
                .and_then(|old| old.statement.entry(self.me))
                .is_none_or(|old| old.number < entry.number);
            if is_on_branch && is_newer {
                self.replies.insert(heads.signer, heads.clone());
            }
        }
    }

    /// A certificate of the second branch, once the replies to it and the liars' own signatures
    /// are a quorum.
    pub(super) fn certificate(&self, puppet: &mut Puppet) -> Option<Certificate> {
        let newest = self.newest()?;
        let mut replies = self.replies.clone();
        for liar in puppet.liars.clone() {
            if let Some(heads) = puppet.sign_heads(liar, vec![newest]) {
                replies.insert(liar, heads);
            }
        }
        let number_of = |heads: &Signed<Heads>| {
            heads.statement.entry(self.me).map_or(Number::ZERO, |entry| entry.number)
        };
        let mut heads: Vec<Signed<Heads>> = replies.into_values().collect();
        heads.sort_by_key(|signed| (core::cmp::Reverse(number_of(signed)), signed.signer));
        heads.truncate(puppet.roster.quorum().q());
        if heads.len() < puppet.roster.quorum().q() {
            return None;
        }
        let lowest = heads.last().map(number_of)?;
        let highest = heads.first().map(number_of)?;
        let head = self.bodies.get(&lowest)?.head;
        let links = List::from(self.links(lowest, highest.past(lowest)));
        heads.sort_by_key(|signed| signed.signer);
        Some(Certificate { head, heads: List::from(heads), links })
    }
}

/// Casts that differ from `original` and are as legal: the last byte of the last payload flipped,
/// or one more Fifo cast where no payload has a byte.
pub(super) fn changed(original: &[u8]) -> Arc<[u8]> {
    let last = Casts::from(original, 0).filter(|(_, range)| !range.is_empty()).last();
    let mut bytes = original.to_vec();
    if let Some(byte) = last.and_then(|(_, range)| bytes.get_mut(range.end.saturating_sub(1))) {
        *byte ^= 1;
    } else if !casts::push(&mut bytes, Order::Fifo, b"mutant") {
        bytes.clear();
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_casts_differ_and_stay_legal() {
        let mut bytes = Vec::new();
        assert!(casts::push(&mut bytes, Order::Total, b"pay"));
        assert!(casts::push(&mut bytes, Order::Fifo, b""));
        let value = SlotMark::Value(Round::ZERO);
        for (original, slot) in [(bytes.as_slice(), value), (&[][..], SlotMark::Null(Round::ZERO))]
        {
            let changed = changed(original);
            assert_ne!(&*changed, original);
            assert!(casts::check(&changed, slot).is_ok());
        }
    }
}
