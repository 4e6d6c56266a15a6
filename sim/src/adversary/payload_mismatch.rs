//! Payload mismatch: casts that are not those of the signed digest, under a good MAC.
//!
//! It tries to have members deliver what the digest does not name, or reply to a digest whose
//! payload they do not have. It must fail: a body counts only if its hash, casts included, lies
//! under a signed or certified head (RM1), and a reply needs the payload (RM2).
//!
//! Verdict: depends on the schedule: whoever gets the true body first from another does not care.

use super::act::{Act, Stage};
use super::fork::changed;
use super::puppet::Letter;
use phalanx_core::wire::Part;

/// The strategy. Victims get the wrong casts.
#[derive(Debug)]
pub(super) struct PayloadMismatch;

impl Act for PayloadMismatch {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let has_body = matches!(letter.packet.parts.last(), Some(Part::Body(_)));
        if has_body && stage.puppet.is_victim(letter.peer) {
            letter.casts = changed(&letter.casts);
            stage.fire();
        }
        stage.post(&letter);
    }
}
