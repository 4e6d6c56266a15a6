//! Those that may hand the state to this process: what each has signed, and how it behaves.

use crate::crypto::{PublicKey, Signed, Snapshot};
use crate::member::Rank;
use crate::time::Time;

/// Pauses in a row that a source may let pass without any answer before that is held against it:
/// some ten seconds with the default time-outs.
pub(super) const STRIKES_MAX: u32 = 8;

/// Whether a source can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing speaks against it.
    Good,
    /// It says that it has no such state, or not any more.
    Gone,
    /// It sent what is wrong, or signed two states.
    Bad,
}

/// A member of the view before the joiner's first.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) key: PublicKey,
    /// Its rank in the present view.
    pub(super) rank: Option<Rank>,
    pub(super) said: Option<Signed<Snapshot>>,
    pub(super) trust: Trust,
    /// Asks that wait for its answer.
    pub(super) in_flight: usize,
    /// How long it has for an answer.
    pub(super) pause_us: u64,
    /// Not asked before.
    pub(super) rest_until: Time,
    /// Pauses without any answer.
    strikes: u32,
    first_us: u64,
    cap_us: u64,
}

impl Source {
    /// A source that has `first_us` for an answer, later up to `cap_us`.
    pub(super) const fn new(key: PublicKey, first_us: u64, cap_us: u64) -> Self {
        Self {
            key,
            rank: None,
            said: None,
            trust: Trust::Good,
            in_flight: 0,
            pause_us: first_us,
            rest_until: Time::ZERO,
            strikes: 0,
            first_us,
            cap_us,
        }
    }

    /// Where it is to be asked, if it has this state.
    pub(super) fn holds(&self, state: &Snapshot) -> Option<Rank> {
        let says_so = self.said.as_ref().is_some_and(|said| said.statement == *state);
        self.rank.filter(|_| says_so && self.trust == Trust::Good)
    }

    /// An ask was not answered in time: it rests, longer and longer. Says whether that is to be
    /// held against it.
    pub(super) fn on_late(&mut self, now: Time) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.rest_until > now {
            // Asked before it began to rest.
            return false;
        }
        self.pause_us = self.pause_us.saturating_mul(2).min(self.cap_us).max(self.first_us);
        self.rest_until = now.plus(self.pause_us);
        self.strikes = self.strikes.saturating_add(1);
        self.strikes == STRIKES_MAX
    }

    /// It answered: in time, and then it is asked again at once, or late.
    pub(super) fn on_answer(&mut self, in_time: bool) {
        self.strikes = 0;
        if in_time {
            self.in_flight = self.in_flight.saturating_sub(1);
            self.rest_until = Time::ZERO;
            self.pause_us = self.pause_us.saturating_sub(self.pause_us / 16).max(self.first_us);
        }
    }
}
