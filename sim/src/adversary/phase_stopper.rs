//! Phase stopper: correct until it would say the first word of a phase of the view change, then
//! silent for ever: in the views before, too, and towards strangers.
//!
//! The last phase is that of the decision. A Decision goes only to who still speaks in the old view
//! (R10); the first that anybody hears of it is Installed, said to all in the next view, which shows
//! who is behind that there is something to ask for. So one that stops there takes part in the whole
//! change, and goes over to the next view, and nobody is told.
//!
//! It tries every moment at which a member can fail (F2, F3). It must fail at each: no phase needs
//! more than a quorum, and attempts led by the silent one end by their timer (R6).
//!
//! Verdict: suspected, for silence.

use phalanx_core::wire::Part;
use phalanx_core::wire::stranger::Stranger;
use phalanx_core::{PeerId, Rank};

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
    /// The decision: Installed in the next view, or what who is behind is told.
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
                | (Self::Decision, Part::Installed(_) | Part::Decision(_))
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

    fn say(&mut self, stage: &mut Stage<'_>, letter: &Letter) {
        self.is_silent |= letter.packet.parts.iter().any(|part| self.phase.begins_with(part));
        if self.is_silent {
            stage.fire();
        } else {
            stage.post(letter);
        }
    }
}

impl Act for PhaseStopper {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        self.say(stage, &letter);
    }

    fn outgoing_elsewhere(&mut self, stage: &mut Stage<'_>, letter: Letter) {
        self.say(stage, &letter);
    }

    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        if self.is_silent {
            stage.fire();
        } else {
            stage.call(to, &message);
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn lets_ack_pass(&self, _puppet: &Puppet, _double: usize, _to: Rank) -> bool {
        !self.is_silent
    }
}
