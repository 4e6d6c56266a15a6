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
        let parts = core::mem::take(letter.parts_mut());
        for part in parts {
            let kept = match part {
                Part::Body(body) if body.sender == me => {
                    stage.fire();
                    letter.casts = [].into();
                    None
                }
                Part::Heads(heads) if heads.signer == me => {
                    let entries = heads.statement.entries.iter();
                    let others = entries.filter(|head| head.sender != me).copied().collect();
                    stage.puppet.sign_heads(me, others).map(Part::Heads)
                }
                other => Some(other),
            };
            letter.parts_mut().extend(kept);
        }
        stage.post(&letter);
    }
}
