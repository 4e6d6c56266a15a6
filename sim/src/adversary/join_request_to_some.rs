//! Join request to some: its request goes to one member only, chosen, and to no other.
//!
//! It tries to split the members over who is to be taken in, so that a change begins at some of them
//! only. It must fail: a recommendation carries the request, so all judge the same one.
//!
//! Verdict: harmless; it may well join.

use phalanx_core::PeerId;
use phalanx_core::wire::stranger::Stranger;

use super::act::{Act, Stage};

/// The strategy.
#[derive(Debug)]
pub(super) struct JoinRequestToSome;

impl Act for JoinRequestToSome {
    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        let chosen = stage.puppet.first_victim();
        let is_chosen = stage.puppet.rank_of(to).is_some_and(|rank| Some(rank) == chosen);
        if matches!(message, Stranger::Join(_)) && !is_chosen {
            stage.fire();
            return;
        }
        stage.call(to, &message);
    }

    fn outlives_views(&self) -> bool {
        true
    }
}
