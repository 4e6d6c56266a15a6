//! Commit time-out (the paper's fault), and Commit to a subset: as leader it announces the quorum of
//! Acks to nobody, or to its victims only.
//!
//! They try to stop the view change, or to have a few members locked (D11, D14). They must fail:
//! Acks go to all, so nobody waits for the Commit in the Swift pattern; in the Paper pattern the
//! attempt's timer ends, and a hidden lock binds nobody else.
//!
//! Verdict: harmless in the Swift pattern; suspected in the Paper pattern if the attempt takes its
//! whole time.

use phalanx_core::Rank;
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// Both strategies.
#[derive(Debug)]
pub(super) struct CommitTimeout {
    /// Who gets the Commit nevertheless.
    subset: Vec<Rank>,
}

impl CommitTimeout {
    /// To nobody.
    pub(super) const fn new() -> Self {
        Self { subset: Vec::new() }
    }

    /// To the victims.
    pub(super) fn to_subset(puppet: &Puppet) -> Self {
        Self { subset: puppet.victims() }
    }
}

impl Act for CommitTimeout {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        let is_own = |part: &Part| matches!(part, Part::Commit(c) if c.signed.signer == me);
        if letter.keep_for(&self.subset, is_own) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
