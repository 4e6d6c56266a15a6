//! Unauthorised joiner: asks for membership as a correct process would, again and again, and nobody
//! said that it may.
//!
//! It tries to come in anyway, or to keep the members busy with checking its signatures. It must
//! fail: no correct member recommends it, `weak` recommendations are more than liars have, and a
//! token pays for each frame of a stranger.
//!
//! Verdict: harmless; it is no member, so nobody suspects it.

use phalanx_core::PeerId;
use phalanx_core::wire::stranger::Stranger;

use super::act::{Act, Stage};

/// How often it says everything.
const TIMES: usize = 8;

/// The strategy.
#[derive(Debug)]
pub(super) struct UnauthorisedJoiner;

impl Act for UnauthorisedJoiner {
    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        for _ in 0..TIMES {
            stage.fire();
            stage.call(to, &message);
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }
}
