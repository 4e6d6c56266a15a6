//! Hover: everything it says leaves at 0.95 of the time-out that others wait for it with.
//!
//! It tries to be as slow as can be without being found, in every phase. It must fail to do more than
//! that: each wait is bounded, whoever supplies what it holds back ends it, and what takes too long
//! all the same makes it suspected.
//!
//! Verdict: depends on how much waits upon what.

use phalanx_core::Timeouts;
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct Hover;

/// How long others wait for the part that is due first.
pub(super) fn patience_us(letter: &Letter, timeouts: &Timeouts) -> u64 {
    let of = |part: &Part| match part {
        Part::Stable(_) => timeouts.mute_us.min(timeouts.lag_us),
        Part::Body(_) | Part::Heads(_) | Part::Certificate(_) => timeouts.slot_us,
        Part::Flush(_)
        | Part::NeedMoreChange(_)
        | Part::NewView(_)
        | Part::Ack(_)
        | Part::Commit(_)
        | Part::Ready(_) => timeouts.attempt_us,
        Part::Installed(_) => timeouts.installed_us,
        _ => timeouts.fetch_us,
    };
    letter.packet.parts.iter().map(of).min().unwrap_or(timeouts.fetch_us)
}

impl Act for Hover {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        let wait_us = patience_us(&letter, &stage.puppet.timeouts) / 100 * 95;
        stage.fire();
        stage.hold(stage.now.plus(wait_us), letter);
    }
}
