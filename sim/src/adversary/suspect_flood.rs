//! Suspect flood: suspects everybody for every reason at once, again and again, its fellows and
//! itself included.
//!
//! It tries to fill memories, to have Suspects counted more than once, and to abort one attempt of a
//! view change after the other (D20). It must fail: one opinion and one suspicion by proof count per
//! signer and subject, and attempts are given up only for changes that weak members want.
//!
//! Verdict: harmless.

use phalanx_core::crypto::{Hash32, Suspect};
use phalanx_core::wire::{PARTS_MAX, Part};
use phalanx_core::{Rank, Reason, Time};

use super::act::{Act, Pulse, Stage};

const REASONS: [Reason; 12] = [
    Reason::Proof,
    Reason::Mute,
    Reason::Lagging,
    Reason::ImpedingOrder,
    Reason::BadBytes,
    Reason::Application,
    Reason::NewViewOverdue,
    Reason::CommitOverdue,
    Reason::NotInstalled,
    Reason::Withholding,
    Reason::Slow,
    Reason::Flooding,
];

/// The strategy.
#[derive(Debug)]
pub(super) struct SuspectFlood {
    pulse: Pulse,
}

impl SuspectFlood {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(20_000) }
    }
}

impl Act for SuspectFlood {
    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        let me = stage.puppet.me;
        let mut parts = Vec::new();
        for subject in Rank::all(stage.puppet.n()) {
            for reason in REASONS {
                let proof = if reason.is_proof() { stage.puppet.any_hash() } else { Hash32::ZERO };
                let suspect = Suspect { subject, reason, proof };
                parts.extend(stage.puppet.sign(me, suspect).map(Part::Suspect));
            }
        }
        stage.fire();
        for some in parts.chunks(PARTS_MAX) {
            stage.post_to_all(some);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
