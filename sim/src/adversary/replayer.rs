//! Replayer: says again, again and again, what it heard others sign: their votes of earlier
//! attempts in later ones, their suspicions and votes of earlier views in later ones.
//!
//! It tries to have old votes complete new quorums, and an old suspicion remove somebody (F18,
//! D30). It must fail: what is signed names the group, the view and the attempt.
//!
//! Verdict: harmless within a view, where it only repeats the truth; suspected for bad bytes once
//! it repeats what was said in another.

use phalanx_core::Time;
use phalanx_core::wire::{PARTS_MAX, Part};

use super::act::{Act, Pulse, Stage};
use super::puppet::Letter;

/// The most parts that are remembered.
const OLD_PARTS: usize = 128;

/// The strategy.
#[derive(Debug)]
pub(super) struct Replayer {
    pulse: Pulse,
    old: Vec<Part>,
}

impl Replayer {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(100_000), old: Vec::new() }
    }
}

impl Act for Replayer {
    fn outlives_views(&self) -> bool {
        true
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        for part in letter.packet.parts.iter() {
            let is_vote = matches!(
                part,
                Part::Suspect(_)
                    | Part::Flush(_)
                    | Part::NeedMoreChange(_)
                    | Part::Ack(_)
                    | Part::Commit(_)
                    | Part::Ready(_)
                    | Part::Installed(_)
            );
            if is_vote && self.old.len() < OLD_PARTS && !self.old.contains(part) {
                self.old.push(part.clone());
            }
        }
        false
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if self.old.is_empty() || !self.pulse.strikes(stage.now) {
            return;
        }
        stage.fire();
        for some in self.old.chunks(PARTS_MAX) {
            stage.post_to_all(some);
        }
    }

    fn deadline(&self) -> Option<Time> {
        if self.old.is_empty() { None } else { self.pulse.due() }
    }
}
