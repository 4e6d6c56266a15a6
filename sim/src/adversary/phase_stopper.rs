//! Phase stopper: correct until it would say the first word of a phase of the view change, then
//! silent for ever.
//!
//! It tries every moment at which a member can fail (F2, F3). It must fail at each: no phase needs
//! more than a quorum, and attempts led by the silent one end by their timer (R6).
//!
//! Verdict: suspected, for silence.

use phalanx_core::Rank;
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The phases of a view change, by their first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Flush.
    Flush,
    /// New-View, of a leader.
    NewView,
    /// Ack.
    Ack,
    /// Commit, of a leader.
    Commit,
    /// Ready-to-Switch.
    Ready,
    /// The decision.
    Decision,
}

impl Phase {
    const fn begins_with(self, part: &Part) -> bool {
        matches!(
            (self, part),
            (Self::Flush, Part::Flush(_))
                | (Self::NewView, Part::NewView(_))
                | (Self::Ack, Part::Ack(_))
                | (Self::Commit, Part::Commit(_))
                | (Self::Ready, Part::Ready(_))
                | (Self::Decision, Part::Decision(_))
        )
    }
}

/// The strategy.
#[derive(Debug)]
pub(super) struct PhaseStopper {
    phase: Phase,
    is_silent: bool,
}

impl PhaseStopper {
    pub(super) const fn new(phase: Phase) -> Self {
        Self { phase, is_silent: false }
    }
}

impl Act for PhaseStopper {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        self.is_silent |= letter.packet.parts.iter().any(|part| self.phase.begins_with(part));
        if self.is_silent {
            stage.fire();
        } else {
            stage.post(&letter);
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn lets_ack_pass(&self, _puppet: &Puppet, _double: usize, _to: Rank) -> bool {
        !self.is_silent
    }
}
