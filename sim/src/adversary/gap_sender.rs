//! Gap sender: every third of its bodies is not sent to anybody at first; it hands them over only
//! when it is asked or repeats itself.
//!
//! It tries to keep members busy with holes, and to have them deliver across one. It must fail:
//! replies and haves never jump a hole (RM2, RM4), and members fetch what is missing (RM6).
//!
//! Verdict: harmless.

use std::collections::BTreeSet;

use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank};

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct GapSender {
    withheld: BTreeSet<(Rank, Number)>,
}

impl Act for GapSender {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        if let Some(Part::Body(body)) = letter.packet.parts.last()
            && body.sender == me
            && body.number.value() % 3 == 0
            && self.withheld.insert((letter.peer, body.number))
        {
            letter.drop_parts(|part| matches!(part, Part::Body(_)));
            stage.fire();
        }
        stage.post(&letter);
    }
}
