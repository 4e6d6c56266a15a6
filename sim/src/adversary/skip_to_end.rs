//! Skip to the end: from some body on, its slot or its number leaps to the end of the space, or
//! just out of the window, for everybody alike.
//!
//! It tries to use up the numbers, so that nobody can cast any more, or to have all rounds in
//! between settled by one body (D42). It must fail: slots rise by at most slot_window, judged on
//! the chain alone, and bodies above the overflow threshold are ignored (RM1); its own slots stay
//! open and it is suspected (TO3).
//!
//! Verdict: suspected, where a Total cast waits for it.

use phalanx_core::Number;

use super::act::{Act, Stage};
use super::fork::{Change, Fork};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct SkipToEnd {
    fork: Fork,
}

impl SkipToEnd {
    pub(super) fn new(puppet: &mut Puppet) -> Self {
        let first = Number::new(puppet.dice.below(4).saturating_add(1));
        let over = puppet.limits.slot_window.saturating_add(1);
        let change = match puppet.dice.below(4) {
            0 => Change::Number(u64::MAX),
            1 => Change::Number(first.value().saturating_add(over)),
            2 => Change::Slot(u64::MAX),
            _ => Change::Slot(1 << 63),
        };
        Self { fork: Fork::new(puppet.me, first, change) }
    }
}

impl Act for SkipToEnd {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.fork.learn(stage.puppet, &letter);
        if self.fork.branch_off(stage.puppet, &mut letter) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
