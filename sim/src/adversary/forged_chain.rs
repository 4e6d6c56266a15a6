//! Forged chain: a member that shows those who join a history of its own, in which a decision has a
//! signature too few, and tells them that they are expelled.
//!
//! It tries to lead a process that joins into a view that nobody decided, or to keep it out. It must
//! fail: each decision is verified against the view before it, the first bad one ends the look at
//! the chain, and other members are asked in turn.
//!
//! Verdict: harmless; what is said without a link blames nobody.

use phalanx_core::PeerId;
use phalanx_core::wire::stranger::{JoinRefusal, Stranger};

use super::act::{Act, Stage};

/// The strategy.
#[derive(Debug)]
pub(super) struct ForgedChain;

impl Act for ForgedChain {
    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        stage.fire();
        match message {
            Stranger::Chain { mut decisions } => {
                let mut short = decisions.clone();
                for decision in short.as_mut_vec() {
                    decision.readys.as_mut_vec().pop();
                }
                stage.call(to, &Stranger::Chain { decisions: short });
                for decision in decisions.as_mut_vec() {
                    decision.view.pledge = decision.view.pledge.saturating_add(1);
                }
                stage.call(to, &Stranger::Chain { decisions });
            }
            Stranger::Refused { request, .. } => {
                stage.call(to, &Stranger::Refused { request, why: JoinRefusal::Expelled });
            }
            other => stage.call(to, &other),
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }
}

/// Old chain: a member that shows those who join how the group came to be, but not how it went on.
///
/// It tries to have a process ask for membership in a view that is over, for ever. It must fail: the
/// request goes to all members of that view, and those that went on answer with the decisions.
///
/// Verdict: harmless; what it says is true.
#[derive(Debug)]
pub(super) struct OldChain;

impl Act for OldChain {
    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        match message {
            Stranger::Chain { mut decisions } => {
                stage.fire();
                let known = decisions.len() / 2;
                decisions.as_mut_vec().truncate(known);
                stage.call(to, &Stranger::Chain { decisions });
            }
            other => stage.call(to, &other),
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }
}
