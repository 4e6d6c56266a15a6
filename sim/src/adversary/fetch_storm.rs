//! Fetch storm: asks for bodies, rows and slots as fast as it can.
//!
//! It tries to keep members busy answering, and to have a small question cause a large answer. It
//! must fail: answers are limited per peer and step, so the others' work goes on (P10).
//!
//! Verdict: harmless.

use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank, Round, Time};

use super::act::{Act, Pulse, Stage};
use super::puppet::{Letter, Puppet};

/// Questions in one packet.
const QUESTIONS: usize = 8;

/// The strategy.
#[derive(Debug)]
pub(super) struct FetchStorm {
    pulse: Pulse,
    newest: Number,
}

impl FetchStorm {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(5_000), newest: Number::ZERO }
    }

    fn question(&self, puppet: &mut Puppet, sender: Rank) -> Part {
        let from = Number::new(puppet.dice.below(self.newest.value()).saturating_add(1));
        match puppet.dice.below(4) {
            0 => Part::AskRow { member: sender, above: 0 },
            1 => Part::AskSlot { sender, round: Round::new(from.value()), from },
            2 => Part::Fetch { sender, from, to: Number::new(u64::MAX) },
            _ => Part::Fetch { sender, from, to: from },
        }
    }
}

impl Act for FetchStorm {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        let haves = letter.packet.haves.iter().copied();
        self.newest = haves.max().unwrap_or_default().max(self.newest);
        stage.post(&letter);
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        let n = stage.puppet.n();
        let senders: Vec<Rank> = Rank::all(n).cycle().take(QUESTIONS.max(n)).collect();
        let parts: Vec<Part> =
            senders.into_iter().map(|sender| self.question(stage.puppet, sender)).collect();
        stage.fire();
        stage.post_to_all(&parts);
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
