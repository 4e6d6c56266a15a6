//! Burst pace: for 30 ms in each 4 s it answers at once; in between everything it says leaves at 0.95
//! of the time-out with which others wait for it.
//!
//! It tries to have senders measure a quick delivery and forget the slow ones, so that they count each
//! delivery in between as a queue of their own and send next to nothing. It must fail: what a sender
//! has on its way follows what the quorum without it needs.
//!
//! Verdict: depends on how much waits upon it.

use super::act::{Act, Stage};
use super::hover::patience_us;
use super::puppet::Letter;

/// The time between two bursts, and the duration of one.
const EVERY_US: u64 = 4_000_000;
const BURST_US: u64 = 30_000;

/// The strategy.
#[derive(Debug)]
pub(super) struct BurstPace;

impl Act for BurstPace {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        let at_us = stage.now.as_micros() % EVERY_US;
        if at_us < BURST_US {
            stage.post(&letter);
            return;
        }
        stage.fire();
        let wait_us = patience_us(&letter, &stage.puppet.timeouts) / 100 * 95;
        let next_us = EVERY_US - at_us;
        stage.hold(stage.now.plus(wait_us.min(next_us)), letter);
    }
}
