//! Max-size flood: casts of the largest size, as many as the window takes, and messages to single
//! members that leave a hole in front, so that they must be kept.
//!
//! It tries to fill members' memory. It must fail: windows, queues and credits are bounded, and
//! what is above them is dropped (RM8, P10).
//!
//! Verdict: harmless.

use phalanx_core::Time;
use phalanx_core::wire::{Blob, Part, Pt2ptPart, SEND_MAX};

use super::act::{Act, Pulse, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct MaxSizeFlood {
    casts: Pulse,
    messages: Pulse,
    is_third: bool,
}

impl MaxSizeFlood {
    pub(super) fn new() -> Self {
        Self { casts: Pulse::new(100_000), messages: Pulse::new(100_000), is_third: false }
    }
}

impl Act for MaxSizeFlood {
    fn casts(&mut self, stage: &mut Stage<'_>) -> Option<Vec<u8>> {
        if !self.casts.strikes(stage.now) {
            return None;
        }
        stage.fire();
        Some(vec![0xA5; stage.puppet.limits.cast_max as usize])
    }

    fn is_listening(&self) -> bool {
        true
    }

    /// The body double never sent those messages: it must not hear that they arrived.
    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        letter.drop_parts(|part| matches!(part, Part::Pt2pt(Pt2ptPart::Ack { .. }))) > 0
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.messages.strikes(stage.now) {
            return;
        }
        // Message 1 never comes; two of these are what a window takes.
        self.is_third = !self.is_third;
        let number = if self.is_third { 3 } else { 2 };
        let payload = Blob(vec![0x5A; SEND_MAX]);
        stage.fire();
        stage.post_to_all(&[Part::Pt2pt(Pt2ptPart::Data { number, payload })]);
    }

    fn deadline(&self) -> Option<Time> {
        self.casts.due().min(self.messages.due())
    }
}
