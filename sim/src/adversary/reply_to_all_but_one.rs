//! Reply to all but one: one member gets neither its replies nor its haves.
//!
//! It tries to have one member fall behind, which nobody else can see (F10, F17). It must fail: the
//! correct members are a quorum without the liar (Q2).
//!
//! Verdict: harmless.

use phalanx_core::Rank;
use phalanx_core::wire::List;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct ReplyToAllButOne {
    victim: Option<Rank>,
}

impl ReplyToAllButOne {
    pub(super) fn new(puppet: &Puppet) -> Self {
        Self { victim: puppet.first_victim() }
    }
}

impl Act for ReplyToAllButOne {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        if Some(letter.peer) == self.victim {
            let me = stage.puppet.me;
            let is_changed = stage.puppet.rewrite_heads(&mut letter, |entries| {
                entries.retain(|head| head.sender == me);
            });
            if is_changed || !letter.packet.haves.is_empty() {
                stage.fire();
            }
            letter.packet.haves = List::new();
        }
        stage.post(&letter);
    }
}
