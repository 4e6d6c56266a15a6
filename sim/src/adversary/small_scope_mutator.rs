//! Small-scope mutator: now and then one field of what it says is off by one, or has an earlier
//! value, with a good signature over it. Such near misses find more than random bytes do.
//!
//! It tries every rule at its edge: chains, windows, counters, ranks, slots. It must fail as each
//! rule says; nothing a single member says is taken on trust.
//!
//! Verdict: depends on which fields are hit.

use std::collections::BTreeMap;

use phalanx_core::crypto::{Hash32, Head};
use phalanx_core::wire::{BodyHead, Part, Pt2ptPart};
use phalanx_core::{Number, Rank, Round, SlotMark};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// One letter in this many is mutated.
const RARITY: u64 = 6;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct SmallScopeMutator {
    /// Hashes seen in its own letters, by log.
    earlier: BTreeMap<Rank, Vec<Hash32>>,
}

/// Earlier hashes kept for each log.
const KEPT: usize = 8;

impl SmallScopeMutator {
    fn remember(&mut self, letter: &Letter) {
        for part in letter.packet.parts.iter() {
            if let Part::Heads(heads) = part {
                for head in heads.statement.entries.iter() {
                    let kept = self.earlier.entry(head.sender).or_default();
                    if kept.len() < KEPT {
                        kept.push(head.hash);
                    }
                }
            }
        }
    }

    fn earlier(&self, puppet: &mut Puppet, sender: Rank) -> Hash32 {
        let kept = self.earlier.get(&sender).map_or(&[][..], Vec::as_slice);
        kept.get(puppet.dice.index(kept.len())).copied().unwrap_or(Hash32::ZERO)
    }

    fn mutate(&self, puppet: &mut Puppet, letter: &mut Letter) -> bool {
        let count = letter.packet.parts.len();
        let at = puppet.dice.index(count.saturating_add(1));
        if at == count {
            let haves = letter.packet.haves.as_mut_vec();
            let which = puppet.dice.index(haves.len());
            let Some(have) = haves.get_mut(which) else { return false };
            *have = near(puppet, *have);
            return true;
        }
        let Some(mut part) = letter.packet.parts.get(at).cloned() else { return false };
        let before = part.clone();
        self.mutate_part(puppet, &mut part);
        let is_changed = part != before;
        letter.parts_mut().get_mut(at).into_iter().for_each(|old| *old = part.clone());
        is_changed
    }

    fn mutate_part(&self, puppet: &mut Puppet, part: &mut Part) {
        let me = puppet.me;
        match part {
            Part::Heads(heads) if heads.signer == me => {
                let mut entries = heads.statement.entries.to_vec();
                self.mutate_head(puppet, &mut entries);
                puppet.sign_heads(me, entries).into_iter().for_each(|signed| *heads = signed);
            }
            Part::Stable(row) if row.signer == me => {
                let mut statement = row.statement.clone();
                let have = statement.have.as_mut_vec();
                let which = puppet.dice.index(have.len().saturating_add(1));
                match have.get_mut(which) {
                    Some(have) => *have = near(puppet, *have),
                    None => statement.counter = off_by_one(puppet, statement.counter),
                }
                puppet.sign(me, statement).into_iter().for_each(|signed| *row = signed);
            }
            Part::Suspect(suspect) if suspect.signer == me => {
                let mut statement = suspect.statement.clone();
                statement.subject = neighbour(puppet, statement.subject);
                puppet.sign(me, statement).into_iter().for_each(|signed| *suspect = signed);
            }
            Part::Body(body) => self.mutate_body(puppet, body),
            Part::Certificate(certificate) => {
                certificate.head.number = near(puppet, certificate.head.number);
            }
            Part::Fetch { from, to, .. } => {
                let which = if puppet.dice.once_in(2) { from } else { to };
                *which = near(puppet, *which);
            }
            Part::AskRow { above, .. } => *above = off_by_one(puppet, *above),
            Part::AskSlot { round, .. } => {
                *round = Round::new(off_by_one(puppet, round.value()));
            }
            Part::Pt2pt(Pt2ptPart::Data { number, .. }) => *number = off_by_one(puppet, *number),
            Part::Pt2pt(Pt2ptPart::Skip { below }) => *below = off_by_one(puppet, *below),
            Part::Pt2pt(Pt2ptPart::Ack { next, .. }) => *next = off_by_one(puppet, *next),
            // Signed by others: those signatures are not ours to make.
            Part::Heads(_) | Part::Stable(_) | Part::Suspect(_) | Part::Proof(_) => {}
            _ => {}
        }
    }

    fn mutate_head(&self, puppet: &mut Puppet, entries: &mut Vec<Head>) {
        let which = puppet.dice.index(entries.len());
        let choice = puppet.dice.below(4);
        if choice == 0 && entries.len() > 1 {
            entries.remove(which);
            return;
        }
        let Some(head) = entries.get_mut(which) else { return };
        match choice {
            1 => head.hash = self.earlier(puppet, head.sender),
            2 => head.sender = neighbour(puppet, head.sender),
            _ => head.number = near(puppet, head.number),
        }
    }

    fn mutate_body(&self, puppet: &mut Puppet, body: &mut BodyHead) {
        match puppet.dice.below(4) {
            0 => body.number = near(puppet, body.number),
            1 => body.prev = self.earlier(puppet, body.sender),
            2 => body.sender = neighbour(puppet, body.sender),
            _ => {
                body.slot = match body.slot {
                    SlotMark::None => SlotMark::Null(Round::ZERO),
                    SlotMark::Value(r) => {
                        SlotMark::Value(Round::new(off_by_one(puppet, r.value())))
                    }
                    SlotMark::Null(r) => SlotMark::Null(Round::new(off_by_one(puppet, r.value()))),
                };
            }
        }
    }
}

fn off_by_one(puppet: &mut Puppet, value: u64) -> u64 {
    if puppet.dice.once_in(2) { value.saturating_add(1) } else { value.saturating_sub(1) }
}

fn near(puppet: &mut Puppet, number: Number) -> Number {
    Number::new(off_by_one(puppet, number.value()))
}

/// The member after this one.
fn neighbour(puppet: &Puppet, rank: Rank) -> Rank {
    let mut after = Rank::all(puppet.n()).skip_while(|other| *other <= rank);
    after.next().unwrap_or_default()
}

impl Act for SmallScopeMutator {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.remember(&letter);
        if stage.puppet.dice.once_in(RARITY) && self.mutate(stage.puppet, &mut letter) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
