//! How many bytes of own casts may be on their way. A window holds far more than a slow network
//! carries in the time in which a slot is due: bodies would wait for each other on the links, and
//! the null that everybody waits for behind them. So a sender opens no more than is delivered
//! shortly, as it measures it. That is its own affair: no other member counts on it.
//!
//! What a faulty member can try: say late what it has. The others are a quorum, so that changes how
//! much is sent only where they alone take much longer than with it.

use alloc::collections::VecDeque;

use crate::config::{Limits, Timeouts};
use crate::seq::Number;
use crate::time::Time;

/// What may be on its way before anything is known.
const START_BYTES: usize = 32 * 1024;

/// What always may.
const LEAST_BYTES: usize = 8 * 1024;

/// So many bodies at least share the flight, so that one travels while another is replied to.
const BODIES: usize = 4;

/// The part of `slot_us` that bodies may wait for each other.
const SLOT_PART: u64 = 4;

/// A body on its way.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: Number,
    at: Time,
    bytes: usize,
    /// All that was on its way then, itself included.
    flying: usize,
}

/// The measure of one view.
#[derive(Debug)]
pub(super) struct Flight {
    body_max: usize,
    most: usize,
    allowed: usize,
    /// How long bodies may wait for each other.
    wait_us: u64,
    /// The quickest delivery of this view, slowly forgotten: what it takes when nothing waits.
    quickest_us: u64,
    open: VecDeque<Open>,
    flying: usize,
}

impl Flight {
    pub(super) const fn new(limits: &Limits, timeouts: &Timeouts) -> Self {
        let most = limits.casts_in_flight();
        Self {
            body_max: limits.body_max as usize,
            most,
            allowed: if START_BYTES < most { START_BYTES } else { most },
            wait_us: (timeouts.slot_us / SLOT_PART)
                .saturating_add(timeouts.heads_delay_us.saturating_mul(SLOT_PART)),
            quickest_us: u64::MAX,
            open: VecDeque::new(),
            flying: 0,
        }
    }

    /// Whether `bytes` more may leave: nulls, and a body that flies alone, always may.
    pub(super) const fn fits(&self, bytes: usize) -> bool {
        bytes == 0 || self.flying == 0 || self.flying.saturating_add(bytes) <= self.allowed
    }

    /// How long bodies should be, unless one cast is longer: not longer than `body_max`, nor than their
    /// part of the flight.
    pub(super) fn body_bytes(&self) -> usize {
        (self.allowed / BODIES).min(self.body_max)
    }

    /// An own body left.
    pub(super) fn opened(&mut self, now: Time, number: Number, bytes: usize) {
        self.flying = self.flying.saturating_add(bytes);
        self.open.push_back(Open { number, at: now, bytes, flying: self.flying });
    }

    /// A quorum holds the own log up to `number`.
    pub(super) fn delivered(&mut self, now: Time, number: Number) {
        let mut last = None;
        while let Some(open) = self.open.front().copied().filter(|open| open.number <= number) {
            self.open.pop_front();
            self.flying = self.flying.saturating_sub(open.bytes);
            last = Some(open);
        }
        let Some(Open { at, flying, .. }) = last else { return };
        let age = now.since(at);
        self.quickest_us = self.quickest_us.min(age);
        if flying == 0 {
            // A null alone.
            return;
        }
        let waited = age.saturating_sub(self.quickest_us);
        let twice = flying.saturating_mul(2);
        // What is delivered while bodies wait for each other as long as they may.
        let due = u128::from(self.quickest_us.saturating_add(self.wait_us));
        let share = (flying as u128).saturating_mul(due).checked_div(u128::from(age.max(1)));
        let share = usize::try_from(share.unwrap_or_default()).unwrap_or(usize::MAX);
        let allowed = if waited > self.wait_us {
            // A single body that is late, because it was lost perhaps, tells little.
            self.allowed.min(share.max(self.allowed / 2))
        } else if waited <= self.wait_us / 8 {
            self.allowed.max(twice)
        } else if waited <= self.wait_us / 2 {
            self.allowed.max(share.min(twice))
        } else {
            self.allowed
        };
        if allowed <= LEAST_BYTES {
            // So little does not wait for itself: the way has become longer.
            self.quickest_us = self.quickest_us.saturating_add(waited / 16);
        }
        self.allowed = allowed.max(LEAST_BYTES).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT_US: u64 = 1_000_000;

    fn flight() -> Flight {
        let limits = Limits { window_bytes: 4 * 1024 * 1024, ..Limits::default() };
        Flight::new(&limits, &Timeouts { slot_us: SLOT_US, ..Timeouts::default() })
    }

    /// Sends as much as it may for `span_us`, over links of so many bytes in a millisecond with
    /// `way_us` to a delivery besides; returns the bytes delivered, and how long the last body took.
    fn play(flight: &mut Flight, bytes_per_ms: u64, way_us: u64, span_us: u64) -> (u64, u64) {
        let (mut now, mut free, mut number) = (0, 0, 0);
        let mut due: VecDeque<(u64, u64, u64, u64)> = VecDeque::new();
        let (mut delivered, mut took) = (0, 0);
        while now < span_us {
            let bytes = flight.body_bytes();
            while flight.fits(bytes) {
                number += 1;
                flight.opened(Time::from_micros(now), Number::new(number), bytes);
                free = now.max(free) + bytes as u64 * 1_000 / bytes_per_ms;
                due.push_back((free + way_us, number, bytes as u64, now));
            }
            let (at, number, bytes, since) = due.pop_front().expect("one may always fly");
            (now, took, delivered) = (at, at - since, delivered + bytes);
            flight.delivered(Time::from_micros(now), Number::new(number));
        }
        flight.delivered(Time::from_micros(free + way_us), Number::new(number));
        (delivered, took)
    }

    #[test]
    fn a_quick_network_is_used_as_far_as_the_window_goes() {
        let mut flight = flight();
        play(&mut flight, 100_000, 1_000, SLOT_US);
        assert_eq!((flight.allowed, flight.body_bytes()), (flight.most, flight.body_max));
    }

    #[test]
    fn a_slow_network_is_full_and_bodies_do_not_wait_longer_than_a_part_of_a_slot() {
        for (bytes_per_ms, way_us) in [(50, 1_000), (100, 1_000), (1_000, 1_000), (1_000, 200_000)]
        {
            let mut flight = flight();
            let span_us = 60 * SLOT_US;
            let (delivered, took) = play(&mut flight, bytes_per_ms, way_us, span_us);
            let could = bytes_per_ms * span_us / 1_000;
            assert!(delivered * 10 > could * 4, "{bytes_per_ms}, {way_us}: {delivered} of {could}");
            let wait_us = took - way_us;
            assert!(wait_us < SLOT_US / 2, "{bytes_per_ms}, {way_us}: {wait_us} us");
        }
    }

    #[test]
    fn a_network_that_becomes_slow_is_noticed_and_one_that_recovers_too() {
        let mut flight = flight();
        play(&mut flight, 100_000, 1_000, SLOT_US);
        let (_, took) = play(&mut flight, 50, 1_000, 600 * SLOT_US);
        assert!(took < SLOT_US / 2, "{took}");
        play(&mut flight, 100_000, 1_000, SLOT_US);
        assert_eq!(flight.allowed, flight.most);
    }

    #[test]
    fn a_way_that_is_longer_for_good_is_no_queue_for_ever() {
        let mut flight = flight();
        play(&mut flight, 100_000, 1_000, SLOT_US);
        play(&mut flight, 100_000, 300_000, 60 * SLOT_US);
        assert_eq!(flight.allowed, flight.most);
    }

    #[test]
    fn whoever_was_frozen_goes_on_with_little_and_nulls_always_leave() {
        let mut flight = flight();
        for number in 1..=4 {
            flight.opened(Time::ZERO, Number::new(number), 8 * 1024);
        }
        assert!(!flight.fits(1) && flight.fits(0));
        flight.delivered(Time::from_micros(10), Number::new(1));
        flight.delivered(Time::from_micros(100 * SLOT_US), Number::new(4));
        assert_eq!((flight.flying, flight.allowed), (0, START_BYTES / 2));
        assert!(flight.fits(usize::MAX), "one body always may");
    }
}
