//! What an agreement on the next view waits for: the moment for the Flushes of all, and the attempt
//! timer (protocol.md section 9, R1 and R6).
//!
//! Promises: an attempt is given more and more time, so that one comes that lasts long enough
//! whatever the delays are. How long that was outlives the view, see [`super::pace`].
//!
//! What a faulty member can try: being a slow leader. The pace only grows where an attempt failed,
//! and never beyond what the timer of the attempt that did not fail had come to: a silent leader
//! changes nothing, nor does one that is just in time, or so late that the others have gone on when
//! its attempt is decided. Only one after a silent one that is just in time can double it, until the
//! next change.

use alloc::vec::Vec;

use crate::config::Timeouts;
use crate::seq::Attempt;
use crate::time::{Time, earliest};

/// The machine, for one view.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// The attempt timer, while it runs: when it was started.
    pub(super) started: Option<Time>,
    /// How long it takes.
    pub(super) pause_us: u64,
    cap_us: u64,
    /// Since when everything that the leader of the attempt needs is here.
    pub(super) complete: Option<Time>,
    /// All were asked for the proposal of the attempt.
    pub(super) has_asked: bool,
    /// Since when a quorum of Flushes is here to propose from.
    pub(super) flushed: Option<Time>,
    pub(super) grace_us: u64,
    pub(super) grace_due: Option<Time>,
    /// The last attempts whose timers were started: when, and how long they were given.
    begun: Vec<(Attempt, Time, u64)>,
}

/// How many of them are remembered.
const BEGUN_MAX: usize = 16;

impl Clock {
    pub(super) const fn new(timeouts: &Timeouts) -> Self {
        Self {
            started: None,
            pause_us: timeouts.attempt_us,
            cap_us: timeouts.attempt_max_us,
            complete: None,
            has_asked: false,
            flushed: None,
            grace_us: timeouts.grace_us,
            grace_due: None,
            begun: Vec::new(),
        }
    }

    /// When a Tick is owed.
    pub(super) fn due(&self) -> Option<Time> {
        let wait_us = if self.has_asked { self.pause_us } else { self.pause_us / 2 };
        earliest(self.started.map(|at| at.plus(wait_us)), self.grace_due)
    }

    /// Another attempt begins.
    pub(super) const fn restart(&mut self) {
        (self.started, self.complete, self.has_asked) = (None, None, false);
    }

    /// The attempt timer ran out.
    pub(super) fn on_expiry(&mut self) {
        self.pause_us = self.pause_us.saturating_mul(2).min(self.cap_us);
    }

    /// A quorum shares the attempt: its timer is started.
    pub(super) fn begin(&mut self, attempt: Attempt, now: Time) {
        self.started = Some(now);
        if self.begun.len() >= BEGUN_MAX {
            self.begun.remove(0);
        }
        self.begun.push((attempt, now, self.pause_us));
    }

    /// The next view is decided in attempt `decided`. How long the first attempt of the next change is
    /// to be given: twice what this one took in the end, not more than its timer was given; what the
    /// timer has come to if that is not known. The caller sees to it that it is not less than what is
    /// configured.
    pub(super) fn pace_us(&self, now: Time, decided: Option<Attempt>) -> u64 {
        let mut begun = self.begun.iter();
        let known = begun.find(|(attempt, ..)| Some(*attempt) == decided);
        known.map_or(self.pause_us, |(_, started, given_us)| {
            now.since(*started).saturating_mul(2).min(*given_us)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many expiries the attempt begins; it took so long when it, or the one `before` that
    /// one, is decided.
    fn pace_us(expiries: u32, took_us: u64, before: u32) -> u64 {
        let mut clock = Clock::new(&Timeouts::default());
        for attempt in 0..expiries {
            clock.begin(Attempt::new(attempt), Time::ZERO);
            clock.on_expiry();
            clock.restart();
        }
        clock.begin(Attempt::new(expiries), Time::ZERO);
        clock.pace_us(Time::from_micros(took_us), Some(Attempt::new(expiries - before)))
    }

    #[test]
    fn the_pace_grows_only_where_an_attempt_failed_and_the_next_was_slow() {
        assert_eq!(pace_us(0, 4_000, 0), 8_000, "it went quickly");
        assert_eq!(pace_us(0, 900_000, 0), 1_000_000, "who is just in time changes nothing");
        assert_eq!(pace_us(1, 4_000, 0), 8_000, "nor does one that is silent");
        assert_eq!(pace_us(1, 1_100_000, 1), 1_000_000, "nor one that is a little late");
        assert_eq!(pace_us(4, 9_000_000, 0), 16_000_000);
        assert_eq!(pace_us(4, 6_000_000, 0), 12_000_000);
        assert_eq!(pace_us(60, u64::MAX, 0), Timeouts::default().attempt_max_us);
        let mut clock = Clock::new(&Timeouts::default());
        clock.on_expiry();
        let elsewhere = clock.pace_us(Time::from_micros(9), Some(Attempt::new(5)));
        assert_eq!(elsewhere, 2_000_000, "it came while this member was elsewhere");
    }
}
