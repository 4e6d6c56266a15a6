//! Split rows: two ladders of rows. Its victim gets rows with low counters that never move for the
//! victim's own log, all others get the true rows with counters far above. No two rows contradict each
//! other: the higher one says more.
//!
//! It tries to have an innocent member suspected: the victim's window stands still, so it settles no
//! slot, and the others see no full window. It must fail: rows are compared and passed on, so that
//! whoever is short of a newer one gets it, and two ladders come to light.
//!
//! Verdict: depends on whether the two ladders count as a Proof and whether a window fills.

use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank, Status};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The distance between the two ladders.
const HIGH: u64 = 1_000_000;

/// The strategy.
#[derive(Debug)]
pub(super) struct SplitRows {
    victim: Option<Rank>,
    low: u64,
    /// Its first row: no row of the low ladder says more, or the two would contradict each other.
    floor: Vec<Number>,
}

impl SplitRows {
    pub(super) fn new(puppet: &Puppet) -> Self {
        let is_active = |rank: &Rank| {
            puppet.view.member(*rank).is_some_and(|member| member.status == Status::Active)
        };
        let named = puppet.first_victim().filter(is_active);
        let victim = named.or_else(|| puppet.correct().into_iter().find(is_active));
        Self { victim, low: 0, floor: Vec::new() }
    }
}

impl Act for SplitRows {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        let is_own = |part: &Part| matches!(part, Part::Stable(row) if row.signer == me);
        let Some(victim) = self.victim.filter(|_| letter.packet.parts.iter().any(is_own)) else {
            stage.post(&letter);
            return;
        };
        let is_victims = letter.peer == victim;
        self.low = self.low.saturating_add(u64::from(is_victims));
        let low = self.low;
        stage.puppet.rewrite_rows(&mut letter, |row| {
            if self.floor.is_empty() {
                self.floor = row.have.to_vec();
            }
            if is_victims {
                row.counter = low;
                row.have = self.floor.clone().into();
                let mut have = row.have.as_mut_vec().get_mut(victim.index());
                have.iter_mut().for_each(|have| **have = Number::ZERO);
            } else {
                row.counter = row.counter.saturating_add(HIGH);
            }
        });
        if is_victims {
            stage.fire();
        }
        stage.post(&letter);
    }
}
