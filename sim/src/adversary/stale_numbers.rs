//! Stale numbers: repeats what it said long ago, and asks for what everybody is done with.
//!
//! It tries to move members back, to have old rows or haves count again, or to make work out of
//! nothing. It must fail: what members know only rises (RM4, RM8, Stable counters), what lies below
//! the stability threshold is ignored, and answers are limited per peer.
//!
//! Verdict: harmless.

use std::collections::BTreeMap;

use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank, Round, Time};

use super::act::{Act, Pulse, Stage};
use super::puppet::Letter;

/// Letters kept for each member.
const KEPT: usize = 24;

/// The strategy.
#[derive(Debug)]
pub(super) struct StaleNumbers {
    pulse: Pulse,
    old: BTreeMap<Rank, Vec<Letter>>,
}

impl StaleNumbers {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(20_000), old: BTreeMap::new() }
    }
}

impl Act for StaleNumbers {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        stage.post(&letter);
        let old = self.old.entry(letter.peer).or_default();
        if old.len() < KEPT {
            old.push(letter);
        }
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        stage.fire();
        for old in self.old.values() {
            if let Some(letter) = old.get(stage.puppet.dice.index(old.len())) {
                stage.post(letter);
            }
        }
        let n = stage.puppet.n();
        let Some(sender) = Rank::all(n).nth(stage.puppet.dice.index(n)) else { return };
        let first = Number::ZERO.next();
        stage.post_to_all(&[
            Part::Fetch { sender, from: first, to: first },
            Part::AskRow { member: sender, above: 0 },
            Part::AskSlot { sender, round: Round::ZERO, from: first },
        ]);
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
