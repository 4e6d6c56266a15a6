//! What an agreement on the next view waits for: the moment for the Flushes of all, and the attempt
//! timer (protocol.md section 9, R1 and R6).
//!
//! Promises: an attempt is given more and more time, so that one comes that lasts long enough
//! whatever the delays are. How long that was outlives the view, see [`Clock::pace_us`]: otherwise
//! each change of a slow group would begin with attempts that are too short, and with opinions
//! against the leaders of them.
//!
//! What a faulty member can try: being a slow leader. The pace only grows where an attempt failed,
//! and only up to what the one that did not fail took, so a silent leader changes nothing, and the
//! first change that goes well takes it back. A leader that is just too late, or one after a silent
//! one that is just in time, can double it once a change, up to `attempt_max_us`: nothing tells it
//! from a slow network.

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
    /// How long the attempt took that was decided, if that was the one that this member was in, and
    /// it saw its beginning.
    took_us: Option<u64>,
}

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
            took_us: None,
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

    /// The next view is decided in attempt `decided`, seen from attempt `present`.
    pub(super) fn on_decided(&mut self, now: Time, decided: Option<Attempt>, present: Attempt) {
        let started = self.started.filter(|_| decided == Some(present));
        self.took_us = started.map(|started| now.since(started));
    }

    /// How long the first attempt of the next change is to be given: twice what this one took in the
    /// end, not more than its timer had come to; the latter if that is not known. The caller sees
    /// to it that it is not less than what is configured.
    pub(super) fn pace_us(&self) -> u64 {
        let took = self.took_us.map(|took_us| took_us.saturating_mul(2));
        took.map_or(self.pause_us, |took_us| took_us.min(self.pause_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace_us(expiries: u32, took_us: Option<u64>) -> u64 {
        let mut clock = Clock::new(&Timeouts::default());
        (0..expiries).for_each(|_| clock.on_expiry());
        let attempt = Attempt::FIRST;
        if let Some(took_us) = took_us {
            clock.started = Some(Time::ZERO);
            clock.on_decided(Time::from_micros(took_us), Some(attempt), attempt);
        } else {
            clock.started = Some(Time::ZERO);
            clock.on_decided(Time::from_micros(9), Some(attempt), attempt.next());
        }
        clock.pace_us()
    }

    #[test]
    fn the_pace_grows_only_where_an_attempt_failed_and_the_next_was_slow() {
        assert_eq!(pace_us(0, Some(4_000)), 8_000, "it went quickly");
        assert_eq!(pace_us(0, Some(900_000)), 1_000_000, "who is just in time changes nothing");
        assert_eq!(pace_us(1, Some(4_000)), 8_000, "nor does one that is silent");
        assert_eq!(pace_us(4, Some(9_000_000)), 16_000_000);
        assert_eq!(pace_us(4, Some(6_000_000)), 12_000_000);
        assert_eq!(pace_us(2, None), 4_000_000, "it came while this member was elsewhere");
        assert_eq!(pace_us(60, Some(u64::MAX)), Timeouts::default().attempt_max_us);
    }
}
