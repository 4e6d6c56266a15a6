//! Churning joiner: it may join, and does: it comes, starts anew or leaves, and comes again, without
//! end.
//!
//! It tries to keep the group in view changes. It must fail: a key that comes again waits longer each
//! time before anybody recommends it.
//!
//! Verdict: depends; it may be suspected for having gone.

use phalanx_core::Time;

use super::act::{Act, Pulse, Stage, Wish};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct ChurningJoiner {
    pulse: Pulse,
    life: u64,
    /// It is a member, and has said something.
    is_in: bool,
    is_out: bool,
}

impl ChurningJoiner {
    pub(super) const fn new() -> Self {
        Self { pulse: Pulse::new(120_000), life: 0, is_in: false, is_out: false }
    }
}

impl Act for ChurningJoiner {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        self.is_in = true;
        stage.post(&letter);
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn excluded(&mut self, _stage: &mut Stage<'_>) {
        self.is_out = true;
    }

    fn wish(&mut self, stage: &mut Stage<'_>) -> Option<Wish> {
        if !self.pulse.strikes(stage.now) || !(self.is_in || self.is_out) {
            return None;
        }
        stage.fire();
        let is_out = core::mem::replace(&mut self.is_out, false);
        if self.is_in && !is_out && self.life % 2 == 1 {
            return Some(Wish::Leave);
        }
        self.is_in = false;
        self.life = self.life.saturating_add(1);
        Some(Wish::Return(self.life))
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
