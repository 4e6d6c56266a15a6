//! Corrupt rounds: messages of the rounds that the scenario names, towards the receivers that it names,
//! have one field changed and are signed anew. All else is what a correct member says.
//!
//! This is the process half of ByzzFuzz (Winter et al., 2023): faults by rounds of the protocol, not by
//! time, so that a few of them reach deep. It must fail at everything: no promise takes a single
//! member's word.
//!
//! Verdict: depends on the rounds.

use std::collections::BTreeMap;

use phalanx_core::Rank;
use phalanx_core::crypto::Hash32;
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::dice::Dice;
use super::mutation::Mutation;
use super::puppet::{Letter, Puppet};
use crate::scenario::{Corrupt, Kind};

/// Earlier hashes kept for each log.
const KEPT: usize = 8;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct CorruptRounds {
    /// Hashes seen in its own letters, by log.
    earlier: BTreeMap<Rank, Vec<Hash32>>,
}

impl CorruptRounds {
    fn remember(&mut self, letter: &Letter) {
        for part in letter.packet.parts.iter() {
            let Part::Heads(heads) = part else { continue };
            for head in heads.statement.entries.iter() {
                let kept = self.earlier.entry(head.sender).or_default();
                if kept.len() < KEPT {
                    kept.push(head.hash);
                }
            }
        }
    }
}

/// Whether a part towards a host belongs to a round that is corrupted.
fn means(corrupt: &Corrupt, view: u64, host: Option<u16>, part: &Part) -> bool {
    corrupt.kinds.contains(&Kind::of(part))
        && corrupt.view.is_none_or(|wanted| wanted == view)
        && corrupt.attempt.is_none_or(|wanted| Kind::attempt(part) == Some(wanted))
        && corrupt.step.is_none_or(|wanted| Kind::step(part) == Some(wanted))
        && (corrupt.to.is_empty() || host.is_some_and(|host| corrupt.to.contains(&host)))
}

/// Changes a part as an entry says; returns whether that changed it.
fn corrupt(puppet: &mut Puppet, entry: &Corrupt, earlier: &[Hash32], part: &mut Part) -> bool {
    let before = part.clone();
    // The same draws for all receivers of one message.
    let dice = core::mem::replace(&mut puppet.dice, Dice::own(entry.seed, 0));
    let scope = entry.scope;
    Mutation { puppet, scope, earlier }.part(part);
    puppet.dice = dice;
    *part != before
}

impl Act for CorruptRounds {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.remember(&letter);
        let view = stage.puppet.view.number;
        let host = stage.puppet.host(letter.peer);
        let is_correct = !stage.puppet.liars.contains(&letter.peer);
        let plan = std::sync::Arc::clone(&stage.puppet.plan);
        let mut parts = core::mem::take(letter.parts_mut());
        for part in &mut parts {
            let Some(entry) = plan.corrupt.iter().find(|entry| means(entry, view, host, part))
            else {
                continue;
            };
            let kind = Kind::of(part);
            let log = Kind::log(part).map(Rank::new);
            let kept = log.and_then(|log| self.earlier.get(&log)).or(self.earlier.values().next());
            let kept = kept.map_or(&[][..], Vec::as_slice);
            if corrupt(stage.puppet, entry, kept, part) && is_correct {
                stage.fire_on(kind);
            }
        }
        *letter.parts_mut() = parts;
        stage.post(&letter);
    }
}
