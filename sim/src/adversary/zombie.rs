//! Zombie: contradicts its own rows until it is expelled, then keeps talking, and asks to be taken in
//! again with later lives of its key.
//!
//! It tries to count on in the view that it is out of, to have its old frames count in later ones,
//! and to come back. It must fail: its key is among those expelled for ever, its link is gone, and
//! statements are good for one view.
//!
//! Verdict: proven.

use phalanx_core::Time;

use super::act::{Act, Pulse, Stage, Wish};
use super::puppet::Letter;
use super::two_rows::TwoRows;

/// Letters kept, to be said again for ever.
const KEPT: usize = 256;

/// Lives that it tries.
const LIVES: u64 = 4;

/// The strategy.
#[derive(Debug)]
pub(super) struct Zombie {
    alive: TwoRows,
    pulse: Pulse,
    said: Vec<Letter>,
    is_out: bool,
    life: u64,
}

impl Zombie {
    pub(super) const fn new() -> Self {
        let pulse = Pulse::new(50_000);
        Self { alive: TwoRows, pulse, said: Vec::new(), is_out: false, life: 0 }
    }
}

impl Act for Zombie {
    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, letter: Letter) {
        if self.said.len() < KEPT {
            self.said.push(letter.clone());
        }
        self.alive.outgoing(stage, double, letter);
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn excluded(&mut self, _stage: &mut Stage<'_>) {
        self.is_out = true;
    }

    fn wish(&mut self, stage: &mut Stage<'_>) -> Option<Wish> {
        if !self.is_out || !self.pulse.strikes(stage.now) {
            return None;
        }
        stage.fire();
        self.said.iter().for_each(|letter| stage.post(letter));
        if self.life >= LIVES {
            return None;
        }
        self.life = self.life.saturating_add(1);
        Some(Wish::Return(self.life))
    }

    fn deadline(&self) -> Option<Time> {
        if self.is_out { self.pulse.due() } else { None }
    }
}
