//! Acks everything: acknowledges every proposal of every attempt, is ready for each of them at once,
//! and as leader proposes one next view to its victims and another to the others.
//!
//! It tries to have two views certified (F4, D10). It must fail: correct members acknowledge once
//! per attempt, so two quorums of Acks in one attempt would share a correct member.
//!
//! Verdict: may be proven, by two Acks or two proposals of one attempt.

use std::collections::BTreeSet;

use phalanx_core::Attempt;
use phalanx_core::crypto::{AckNewView, Hash32, ReadyToSwitch};
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;
use super::two_new_views::TwoNewViews;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct AcksEverything {
    seen: BTreeSet<(Attempt, Hash32)>,
}

impl AcksEverything {
    fn vote(&mut self, stage: &mut Stage<'_>, letter: &Letter) {
        for part in letter.packet.parts.iter() {
            let Part::NewView(proposed) = part else { continue };
            let (attempt, next) =
                (proposed.signed.statement.attempt, proposed.signed.statement.next);
            if !self.seen.insert((attempt, next)) {
                continue;
            }
            let me = stage.puppet.me;
            let ack = stage.puppet.sign(me, AckNewView { attempt, next }).map(Part::Ack);
            let ready = stage.puppet.sign(me, ReadyToSwitch { attempt, next }).map(Part::Ready);
            let votes: Vec<Part> = ack.into_iter().chain(ready).collect();
            stage.post_to_all(&votes);
            stage.fire();
        }
    }
}

impl Act for AcksEverything {
    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, letter: Letter) {
        self.vote(stage, &letter);
        TwoNewViews.outgoing(stage, double, letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.vote(stage, letter);
        false
    }
}
