//! Impede Total Ordering (the paper's fault): sends none of its own bodies, so its slots of the
//! total order stay open, but replies, reports and relays like a correct member.
//!
//! It tries to stop Total deliveries for ever. It must fail: members that wait for the slot ask
//! all and then suspect it (TO3); Fifo casts of others flow all the while.
//!
//! Verdict: suspected, where a Total cast waits for it.

use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct ImpedeTotalOrdering;

impl Act for ImpedeTotalOrdering {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        if letter.drop_parts(|part| matches!(part, Part::Body(body) if body.sender == me)) > 0 {
            stage.fire();
        }
        stage.puppet.rewrite_heads(&mut letter, |entries| {
            entries.retain(|head| head.sender != me);
        });
        stage.post(&letter);
    }
}
