//! Silent towards some: sends nothing at all to at most f of the correct members.
//!
//! It tries to have them fall behind, or to have them suspect it alone and be suspected for it
//! (F17, D24, D25). It must fail: rows are relayed, bodies are fetched from anybody, and members
//! ask all before they suspect.
//!
//! Verdict: harmless.

use phalanx_core::Rank;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct SilentTowardsSome {
    victims: Vec<Rank>,
}

impl SilentTowardsSome {
    pub(super) fn new(puppet: &Puppet) -> Self {
        Self { victims: puppet.few_victims() }
    }
}

impl Act for SilentTowardsSome {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        if self.victims.contains(&letter.peer) {
            stage.fire();
        } else {
            stage.post(&letter);
        }
    }

    fn lets_ack_pass(&self, _puppet: &Puppet, _double: usize, to: Rank) -> bool {
        !self.victims.contains(&to)
    }
}
