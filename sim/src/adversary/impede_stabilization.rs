//! Impede Stabilization (the paper's fault): it reports in its Flush how far it holds all logs, and
//! hands out no body from then on, its own least of all.
//!
//! It tries to have everybody wait for bodies of the cut (F16, D21). It must fail: whatever is
//! certified is held by weak correct members (RM3), which answer fetches as well (R4).
//!
//! Verdict: harmless.

use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct ImpedeStabilization {
    has_flushed: bool,
}

impl Act for ImpedeStabilization {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.has_flushed |= letter.packet.parts.iter().any(|part| matches!(part, Part::Flush(_)));
        if self.has_flushed && letter.drop_parts(|part| matches!(part, Part::Body(_))) > 0 {
            stage.fire();
        }
        stage.post(&letter);
    }
}
