//! Mutant message (the paper's fault): one receiver gets bodies and digests that differ from
//! everybody else's.
//!
//! It tries to make one member deliver other contents. It must fail: the second branch finds no
//! quorum of replies (RM3), so its victim cannot deliver it, and takes over the certified branch
//! (RM2); the two signed digests for one body are a Proof (RM7).
//!
//! Verdict: proven.

use phalanx_core::Rank;

use super::act::{Act, Stage};
use super::fork::{Change, Fork};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct MutantMessage {
    fork: Fork,
    victim: Option<Rank>,
}

impl MutantMessage {
    pub(super) fn new(puppet: &mut Puppet) -> Self {
        // A few good bodies first, so that the fork is not always at the root.
        let first = puppet.newest.plus(puppet.dice.below(4).saturating_add(1));
        Self { fork: Fork::new(puppet.me, first, Change::Casts), victim: puppet.first_victim() }
    }
}

impl Act for MutantMessage {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.fork.learn(stage.puppet, &letter);
        if Some(letter.peer) == self.victim && self.fork.branch_off(stage.puppet, &mut letter) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
