//! Certificate to a chosen subset: what completes the agreement on a body goes to 1, f, f + 1 or
//! q - 1 of the correct members only. In the Paper pattern that is the final phase, in Swift the
//! liar's replies and haves.
//!
//! It tries to have a few members deliver what the others never can (F6, D3). It must fail: a
//! delivery needs the haves of q members (RM5), so the others can fetch it (RM6); without the liar
//! the correct members are a quorum by themselves (Q2).
//!
//! Verdict: harmless.

use phalanx_core::Rank;
use phalanx_core::wire::{List, Part};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct CertificateToSubset {
    left_out: Vec<Rank>,
}

impl CertificateToSubset {
    pub(super) fn new(puppet: &mut Puppet) -> Self {
        let quorum = puppet.roster.quorum();
        let sizes = [1, quorum.f(), quorum.weak(), quorum.q().saturating_sub(1)];
        let size = sizes.get(puppet.dice.index(sizes.len())).copied().unwrap_or(1);
        let mut left_out = puppet.correct();
        for _ in 0..size {
            if left_out.len() > 1 {
                let at = puppet.dice.index(left_out.len());
                left_out.swap_remove(at);
            }
        }
        Self { left_out }
    }
}

impl Act for CertificateToSubset {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        if self.left_out.contains(&letter.peer) {
            let me = stage.puppet.me;
            let finals = letter.drop_parts(|part| matches!(part, Part::Certificate(_)));
            let is_silent = stage.puppet.rewrite_heads(&mut letter, |entries| {
                entries.retain(|head| head.sender == me);
            });
            letter.packet.haves = List::new();
            if finals > 0 || is_silent {
                stage.fire();
            }
        }
        stage.post(&letter);
    }
}
