//! Ready-to-Switch time-out (the paper's fault), and Ready to a subset: it is ready for no next view,
//! or says so to its victims only, and passes on no decision.
//!
//! They try to stop the view change, or to have some decide and others not (F2, F3, F10, D13). They
//! must fail: the correct members are a quorum of Readys by themselves, and whoever decided answers
//! everybody who has not (R10).
//!
//! Verdict: harmless.

use phalanx_core::Rank;
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// Both strategies.
#[derive(Debug)]
pub(super) struct ReadyToSwitchTimeout {
    /// Who gets the Ready nevertheless.
    subset: Vec<Rank>,
}

impl ReadyToSwitchTimeout {
    /// To nobody.
    pub(super) const fn new() -> Self {
        Self { subset: Vec::new() }
    }

    /// To the victims.
    pub(super) fn to_subset(puppet: &Puppet) -> Self {
        Self { subset: puppet.victims() }
    }
}

impl Act for ReadyToSwitchTimeout {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        let is_out = |part: &Part| match part {
            Part::Ready(ready) => ready.signer == me,
            Part::Decision(_) => true,
            _ => false,
        };
        if letter.keep_for(&self.subset, is_out) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
