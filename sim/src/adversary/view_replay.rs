//! View replay: says in a view what it and others said in the views before, as it was said then and
//! as if it were said now, and as frames of another group.
//!
//! It tries to have votes, rows and heads of the past count again. It must fail: every statement
//! names its group and view, and so does every packet; frames of other groups are nobody's.
//!
//! Verdict: depends; old statements passed off as new ones are bad bytes on its link.

use phalanx_core::Time;

use super::act::{Act, Pulse, Stage};
use super::puppet::Letter;

/// Letters kept.
const KEPT: usize = 128;

/// Where a frame names its group.
const GROUP_AT: usize = 2;

/// The strategy.
#[derive(Debug)]
pub(super) struct ViewReplay {
    pulse: Pulse,
    old: Vec<Letter>,
    turn: usize,
}

impl ViewReplay {
    pub(super) const fn new() -> Self {
        Self { pulse: Pulse::new(30_000), old: Vec::new(), turn: 0 }
    }

    fn keep(&mut self, letter: &Letter) {
        if self.old.len() < KEPT {
            self.old.push(letter.clone());
        }
    }
}

impl Act for ViewReplay {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        self.keep(&letter);
        stage.post(&letter);
    }

    fn is_listening(&self) -> bool {
        self.old.len() < KEPT
    }

    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.keep(letter);
        false
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        let present = *stage.puppet.roster.view();
        if !self.pulse.strikes(stage.now) {
            return;
        }
        let old: Vec<&Letter> = self.old.iter().filter(|old| old.packet.view != present).collect();
        let at = self.turn.checked_rem(old.len()).unwrap_or(0);
        let Some(letter) = old.get(at).map(|letter| (*letter).clone()) else { return };
        self.turn = self.turn.saturating_add(1);
        stage.fire();
        for to in stage.puppet.others() {
            let mut again = Letter { peer: to, ..letter.clone() };
            stage.post(&again);
            if let Some(mut frame) = stage.puppet.seal(&again) {
                frame.iter_mut().skip(GROUP_AT).take(8).for_each(|byte| *byte ^= 1);
                stage.post_frame(to, frame);
            }
            if self.turn.is_multiple_of(8) {
                again.packet.view = present;
                stage.post(&again);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
