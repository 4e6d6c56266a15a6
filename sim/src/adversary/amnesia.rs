//! Amnesia: a member that stops, and comes back in the same life without memory of what it signed.
//!
//! It tries nothing: its operator let it start again without a new incarnation. It contradicts itself
//! all the same: another body of a number, counters that begin again, a second Flush. It must be
//! taken for what it is: a liar, as soon as it says two things that conflict.
//!
//! Verdict: may be proven.

use phalanx_core::Time;

use super::act::{Act, Pulse, Stage, Wish};

/// The strategy.
#[derive(Debug)]
pub(super) struct Amnesia {
    pulse: Pulse,
    has_begun: bool,
}

impl Amnesia {
    pub(super) const fn new() -> Self {
        Self { pulse: Pulse::new(400_000), has_begun: false }
    }
}

impl Act for Amnesia {
    fn outlives_views(&self) -> bool {
        true
    }

    fn wish(&mut self, stage: &mut Stage<'_>) -> Option<Wish> {
        let is_time = self.pulse.strikes(stage.now);
        if !is_time || !core::mem::replace(&mut self.has_begun, true) {
            return None;
        }
        stage.fire();
        Some(Wish::Forget)
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
