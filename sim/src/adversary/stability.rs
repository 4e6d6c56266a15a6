//! Lies about stability: rows that never move, or rows that say more than is true.
//!
//! Frozen rows try to stop every window: overflow is counted from what all Active members report
//! (RM8). Members suspect whoever's row holds a window back (lagging). Overstated rows try to have
//! bodies thrown away that somebody still needs: they fail, because the threshold is the least of
//! all rows, those of correct members included.
//!
//! Verdicts: frozen: suspected once a window is full; overstated: harmless.

use phalanx_core::Number;
use phalanx_core::wire::List;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// Rows that never move.
#[derive(Debug, Default)]
pub(super) struct StabilityFrozen {
    first: Option<Vec<Number>>,
}

impl Act for StabilityFrozen {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let first = &mut self.first;
        let is_changed = stage.puppet.rewrite_rows(&mut letter, |row| {
            let first = first.get_or_insert_with(|| row.have.to_vec());
            row.have = List::from(first.clone());
        });
        if is_changed {
            stage.fire();
        }
        stage.post(&letter);
    }
}

/// Rows that say more than is true.
#[derive(Debug)]
pub(super) struct StabilityOverstated;

impl Act for StabilityOverstated {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let ahead = u64::from(stage.puppet.limits.window_bodies) / 2;
        let is_changed = stage.puppet.rewrite_rows(&mut letter, |row| {
            row.have.as_mut_vec().iter_mut().for_each(|have| *have = have.plus(ahead));
        });
        if is_changed {
            stage.fire();
        }
        stage.post(&letter);
    }
}
