//! Junk behind the links of certificates: beyond the last entry that is used, where nobody looks.

use phalanx_core::crypto::{Hash32, LINKS_MAX, Link};
use phalanx_core::wire::change::Certificates;
use phalanx_core::{Limits, Round, SlotMark};

/// The longest encoding of a link.
const LINK_BYTES: usize = 44;

/// What a message of a view change may be longer than the casts of the longest body.
const CHANGE_BYTES: usize = 640 * 1024;

/// What is left free, so that the liar's own message is still assembled.
const FREE_BYTES: usize = 5_000;

/// Pads every certificate of a table as far as a message takes, and returns how many links came on
/// top.
pub(super) fn pad(certificates: &mut Certificates, limits: &Limits) -> usize {
    let junk = Link { slot: SlotMark::Value(Round::new(u64::MAX)), casts: Hash32([9; 32]) };
    let bytes = limits.casts_max().saturating_add(CHANGE_BYTES - FREE_BYTES);
    let mut budget = bytes / LINK_BYTES;
    let mut padded = 0_usize;
    for covered in certificates.covered.as_mut_vec() {
        let room = LINKS_MAX.saturating_sub(covered.links.len()).min(budget);
        budget = budget.saturating_sub(room);
        padded = padded.saturating_add(room);
        covered.links.as_mut_vec().extend(vec![junk; room]);
    }
    padded
}
