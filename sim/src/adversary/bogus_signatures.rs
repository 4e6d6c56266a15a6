//! Bogus signatures: a flood of Heads, rows and Suspects of all members whose signatures are
//! random bytes.
//!
//! It tries to keep members busy verifying (D47). It must fail: mis-signed content on an
//! authenticated link is its sender's fault, and the link is dropped unread from then on.
//!
//! Verdict: suspected.

use phalanx_core::crypto::{Head, Heads, Signature, Signed, Stable};
use phalanx_core::wire::{List, Part};
use phalanx_core::{Number, Rank, Time};

use super::act::{Act, Pulse, Stage};
use super::puppet::Puppet;

/// Statements in one packet.
const STATEMENTS: usize = 8;

/// The strategy.
#[derive(Debug)]
pub(super) struct BogusSignatures {
    pulse: Pulse,
    counter: u64,
}

impl BogusSignatures {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(10_000), counter: 0 }
    }

    fn part(&mut self, puppet: &mut Puppet, signer: Rank) -> Part {
        let mut signature = [0; 64];
        puppet.dice.fill(&mut signature);
        let signature = Signature(signature);
        self.counter = self.counter.saturating_add(1);
        let number = Number::new(self.counter);
        if puppet.dice.once_in(2) {
            let head = Head { sender: signer, number, hash: puppet.any_hash() };
            let statement = Heads { entries: List::from(vec![head]) };
            Part::Heads(Signed { signer, statement, signature })
        } else {
            let have = List::from(vec![number; puppet.n()]);
            // Above every honest counter, so that it is worth a look.
            let counter = self.counter.saturating_add(1 << 40);
            Part::Stable(Signed { signer, statement: Stable { counter, have }, signature })
        }
    }
}

impl Act for BogusSignatures {
    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        let signers: Vec<Rank> = Rank::all(stage.puppet.n()).cycle().take(STATEMENTS).collect();
        let parts: Vec<Part> =
            signers.into_iter().map(|signer| self.part(stage.puppet, signer)).collect();
        stage.fire();
        stage.post_to_all(&parts);
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
