//! Stalling joiner: it joins, and is never heard of again.
//!
//! It tries to hold the view up that it was taken into: windows wait for its rows, the total order
//! for its slots, and the others to hear that it installed the view. It must fail: it is suspected,
//! and removed or silenced.
//!
//! Verdict: depends; its silence ends with the view that it was taken into.

use phalanx_core::Rank;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct StallingJoiner;

impl Act for StallingJoiner {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, _letter: Letter) {
        stage.fire();
    }

    fn lets_ack_pass(&self, _puppet: &Puppet, _double: usize, _to: Rank) -> bool {
        false
    }

    fn outlives_views(&self) -> bool {
        true
    }
}
