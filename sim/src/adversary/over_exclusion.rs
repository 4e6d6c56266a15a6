//! Over-exclusion: as leader it proposes a next view without a correct member that nobody, or too
//! few, suspect.
//!
//! It tries to gain weight by removing others (F8, F12). It must fail: the next view must be what
//! the plan makes of the evidence in the proposal (R2), and removals are capped.
//!
//! Verdict: proven, if it leads: the proposal is invalid by itself.

use phalanx_core::{Departure, PublicKey, Rank, View};

use super::act::{Act, Stage};
use super::proposal;
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct OverExclusion;

/// Removes a member of the present view from the next one, if somebody is left.
fn remove(next: &mut View, victim: Rank, key: &PublicKey) {
    let Some(at) = next.rank_of(key).filter(|_| next.members.len() > 1) else { return };
    next.members.remove(at.index());
    let departed = next.departed.as_mut_vec();
    departed.push((victim, Departure::Opinion));
    departed.sort_unstable();
}

impl Act for OverExclusion {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let victim = stage.puppet.first_victim();
        let key = victim.and_then(|victim| stage.puppet.key(victim));
        if let (Some(victim), Some(key)) = (victim, key)
            && proposal::rewrite(stage.puppet, &mut letter, |next, _| remove(next, victim, &key))
        {
            stage.fire();
        }
        stage.post(&letter);
    }
}
