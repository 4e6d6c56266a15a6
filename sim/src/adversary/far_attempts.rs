//! Far attempts: goes on to attempts far above all others, towards everybody, and to each next
//! attempt early, towards one correct member only.
//!
//! It tries to fill memories, to draw the others after it, and to have one member's timer run alone
//! so that attempts never meet (D17, D18). It must fail: weak members must be further on before
//! anyone follows (R7), few attempts per signer are kept, timers run only with a quorum.
//!
//! Verdict: harmless, but what it leaves unsaid later may be missed.

use phalanx_core::crypto::NeedMoreChange;
use phalanx_core::wire::Part;
use phalanx_core::wire::change::{Grounds, NeedsMore};
use phalanx_core::{Attempt, Time};

use super::act::{Act, Pulse, Stage};

/// The strategy.
#[derive(Debug)]
pub(super) struct FarAttempts {
    pulse: Pulse,
    strokes: u32,
}

impl FarAttempts {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(50_000), strokes: 0 }
    }
}

/// Far above everything.
const FAR: u32 = u32::MAX / 2;

impl Act for FarAttempts {
    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        self.strokes = self.strokes.saturating_add(1);
        let me = stage.puppet.me;
        let mut say = |attempt: u32| {
            let attempt = Attempt::new(attempt);
            let signed = stage.puppet.sign(me, NeedMoreChange { attempt, lock: None })?;
            let more = NeedsMore { signed, lock: None, grounds: Grounds::default() };
            Some(Part::NeedMoreChange(Box::new(more)))
        };
        let (early, far) = (say(self.strokes), say(FAR.saturating_add(self.strokes)));
        let victim = stage.puppet.first_victim();
        for to in stage.puppet.others().collect::<Vec<_>>() {
            let early = early.clone().filter(|_| Some(to) == victim);
            let parts: Vec<Part> = early.into_iter().chain(far.clone()).collect();
            let letter = stage.puppet.letter(to, parts, &[]);
            stage.post(&letter);
        }
        stage.fire();
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
