//! Trickling rows: its rows rise by one body of each log per interval, which is a part of the lag
//! time-out: just below it, half of it, or a tenth.
//!
//! It tries to slow all senders down to the pace of its rows: a window waits for all Active members,
//! and a row that moves is not lagging. It must fail: there is a floor below which a member counts as
//! lagging although its row moves.
//!
//! Verdict: suspected where windows fill, which depends on the load.

use phalanx_core::{Number, Time};

use super::act::{Act, Stage};
use super::puppet::Letter;

/// How often its rows rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trickle {
    /// Once in 0.95 of the lag time-out.
    Edge,
    /// Twice in the lag time-out.
    Half,
    /// Ten times in it.
    Tenth,
}

impl Trickle {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Edge => "trickle_rows",
            Self::Half => "trickle_rows_half",
            Self::Tenth => "trickle_rows_tenth",
        }
    }

    const fn percent(self) -> u64 {
        match self {
            Self::Edge => 95,
            Self::Half => 50,
            Self::Tenth => 10,
        }
    }
}

/// The strategy.
#[derive(Debug)]
pub(super) struct TrickleRows {
    trickle: Trickle,
    shown: Vec<Number>,
    /// The highest counter of a row that was sent: rows of one counter say the same.
    seen: u64,
    moved: Time,
}

impl TrickleRows {
    pub(super) const fn new(trickle: Trickle) -> Self {
        Self { trickle, shown: Vec::new(), seen: 0, moved: Time::ZERO }
    }
}

impl Act for TrickleRows {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let now = stage.now;
        let every_us = stage.puppet.timeouts.lag_us / 100 * self.trickle.percent();
        let is_changed = stage.puppet.rewrite_rows(&mut letter, |row| {
            self.shown.resize(row.have.len(), Number::ZERO);
            if row.counter > self.seen && now.since(self.moved) >= every_us {
                self.moved = now;
                let steps = self.shown.iter_mut().zip(row.have.iter());
                steps.for_each(|(shown, have)| *shown = shown.next().min(*have));
            }
            self.seen = self.seen.max(row.counter);
            row.have = self.shown.clone().into();
        });
        if is_changed {
            stage.fire();
        }
        stage.post(&letter);
    }
}
