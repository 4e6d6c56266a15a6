//! Slander: suspects every correct member, for every reason in turn, again and again.
//!
//! It tries to have correct members suspected or proven guilty by others. It must fail: a Suspect
//! of fewer than weak members has no effect, counts once per signer and subject, and a Suspect by
//! proof is nothing without the Proof, which verifies by itself (P9).
//!
//! Verdict: harmless.

use phalanx_core::crypto::{Hash32, Suspect};
use phalanx_core::wire::Part;
use phalanx_core::{Reason, Time};

use super::act::{Act, Pulse, Stage};

/// The reasons given, in this order.
const REASONS: [Reason; 4] =
    [Reason::Mute, Reason::ImpedingOrder, Reason::Application, Reason::Proof];

/// The strategy.
#[derive(Debug)]
pub(super) struct Slander {
    pulse: Pulse,
    said: usize,
}

impl Slander {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(30_000), said: 0 }
    }
}

impl Act for Slander {
    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        let reason = REASONS.get(self.said % REASONS.len()).copied().unwrap_or(Reason::Mute);
        self.said = self.said.wrapping_add(1);
        let proof = if reason == Reason::Proof { stage.puppet.any_hash() } else { Hash32::ZERO };
        let me = stage.puppet.me;
        let mut parts = Vec::new();
        for subject in stage.puppet.correct() {
            let suspect = Suspect { subject, reason, proof };
            parts.extend(stage.puppet.sign(me, suspect).map(Part::Suspect));
        }
        stage.fire();
        stage.post_to_all(&parts);
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
