//! How many bytes of own casts may be on their way. A window holds far more than a slow network
//! carries in the time in which a slot is due: bodies would wait for each other on the links, and
//! the null that everybody waits for behind them. So a sender opens no more than is delivered
//! shortly, as it measures it. That is its own affair: no other member counts on it.
//!
//! How long bodies wait on the way is measured for each member by itself, against the quickest answer
//! of that member: what the members of a quorum wait, the slowest of them, is what counts.
//!
//! What a faulty member can try: say late what it has, or soon what it has not, or both in turn. Among
//! as many of the others as a quorum needs besides this member, the slowest is always between two
//! correct ones, whatever up to `f` liars say: so they cannot make it less than what a correct member
//! waits, nor more.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::{Limits, Timeouts};
use crate::member::{PerRank, Rank};
use crate::quorum::Quorum;
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

/// How one member answers.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// It says that it holds the own log up to here.
    held: Number,
    /// Its quickest answer of this view, slowly forgotten: what it takes when nothing waits.
    quickest_us: u64,
    /// How much longer its last answer took.
    waited_us: u64,
}

/// The measure of one view.
#[derive(Debug)]
pub(super) struct Flight {
    body_max: usize,
    most: usize,
    allowed: usize,
    /// How long bodies may wait for each other.
    wait_us: u64,
    me: Rank,
    /// Answers of so many other members make a delivery.
    needed: usize,
    peers: PerRank<Peer>,
    /// Bodies that some member has not answered for, as many as a window holds.
    open: VecDeque<Open>,
    open_max: usize,
    /// The own log is delivered up to here.
    delivered: Number,
    flying: usize,
}

impl Flight {
    /// The measure of member `me` of a view of `quorum`.
    pub(super) fn new(limits: &Limits, timeouts: &Timeouts, (quorum, me): (Quorum, Rank)) -> Self {
        let most = limits.casts_in_flight();
        let peer = Peer { held: Number::ZERO, quickest_us: u64::MAX, waited_us: 0 };
        Self {
            body_max: limits.body_max as usize,
            most,
            allowed: if START_BYTES < most { START_BYTES } else { most },
            wait_us: (timeouts.slot_us / SLOT_PART)
                .saturating_add(timeouts.heads_delay_us.saturating_mul(SLOT_PART)),
            me,
            needed: quorum.q().saturating_sub(1),
            peers: PerRank::from_fn(quorum.n(), |_| peer),
            open: VecDeque::new(),
            open_max: limits.window_bodies as usize,
            delivered: Number::ZERO,
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
        while self.open.len() > self.open_max {
            self.open.pop_front();
        }
    }

    /// The open body of this number, if it is known when it left.
    fn find(&self, number: Number) -> Option<Open> {
        let first = self.open.front()?.number;
        let index = usize::try_from(number.past(first)).ok()?;
        self.open.get(index).copied().filter(|open| open.number == number)
    }

    /// When an own body left, if that is known.
    pub(super) fn left_at(&self, number: Number) -> Option<Time> {
        self.find(number).map(|open| open.at)
    }

    /// A member says that it holds the own log up to `number`.
    pub(super) fn held(&mut self, now: Time, peer: Rank, number: Number) {
        let last = self.open.back().map_or(Number::ZERO, |last| last.number);
        let number = number.min(last);
        let open = self.find(number);
        let Some(peer) = self.peers.get_mut(peer).filter(|peer| number > peer.held) else { return };
        peer.held = number;
        if let Some(open) = open {
            let took_us = now.since(open.at);
            peer.quickest_us = peer.quickest_us.min(took_us);
            peer.waited_us = took_us.saturating_sub(peer.quickest_us);
        }
    }

    /// Of the other members that a delivery needs, how long the slowest takes when nothing waits, and
    /// how much longer it takes now for a body that left at `at`.
    fn measure(&self, now: Time, open: &Open) -> (u64, u64) {
        let took_us = now.since(open.at);
        let slowest = |mut all: Vec<u64>| {
            all.sort_unstable();
            self.needed.checked_sub(1).and_then(|last| all.get(last).copied()).unwrap_or(0)
        };
        let others = || self.peers.iter().filter(|(peer, _)| *peer != self.me);
        let quickest = others().map(|(_, peer)| peer.quickest_us.min(took_us));
        let waited = others().map(|(_, peer)| match peer.held >= open.number {
            true => peer.waited_us,
            // Nothing is known of a member that never answered.
            false if peer.quickest_us == u64::MAX => took_us,
            false => took_us.saturating_sub(peer.quickest_us),
        });
        (slowest(quickest.collect()), slowest(waited.collect()))
    }

    /// A quorum holds the own log up to `number`.
    pub(super) fn delivered(&mut self, now: Time, number: Number) {
        let newly = self.open.iter().filter(|open| open.number > self.delivered);
        let newly = newly.filter(|open| open.number <= number);
        let bytes = newly.fold(0_usize, |sum, open| sum.saturating_add(open.bytes));
        self.flying = self.flying.saturating_sub(bytes);
        let last = self.find(number).filter(|_| number > self.delivered);
        self.delivered = self.delivered.max(number);
        let Some(open) = last.filter(|open| open.flying > 0) else { return };
        let flying = open.flying;
        let (quickest_us, waited) = self.measure(now, &open);
        let twice = flying.saturating_mul(2);
        // What is delivered while bodies wait for each other as long as they may.
        let due = u128::from(quickest_us.saturating_add(self.wait_us));
        let age = u128::from(quickest_us.saturating_add(waited).max(1));
        let share = (flying as u128).saturating_mul(due).checked_div(age);
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
            for peer in self.peers.values_mut() {
                peer.quickest_us = peer.quickest_us.saturating_add(peer.waited_us / 16);
            }
        }
        self.allowed = allowed.max(LEAST_BYTES).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::QuorumRule;

    const SLOT_US: u64 = 1_000_000;

    /// Of rank 0 of four.
    fn flight() -> Flight {
        let limits = Limits { window_bytes: 4 * 1024 * 1024, ..Limits::default() };
        let timeouts = Timeouts { slot_us: SLOT_US, ..Timeouts::default() };
        Flight::new(&limits, &timeouts, (Quorum::of(4, QuorumRule::Sound), Rank::new(0)))
    }

    impl Flight {
        /// Two of the three others hold the own log up to `number`, and so it is delivered.
        fn answered(&mut self, now: Time, number: Number) {
            self.held(now, Rank::new(1), number);
            self.held(now, Rank::new(2), number);
            self.delivered(now, number);
        }
    }

    /// What happens to a flight besides answers of correct members.
    type Liar = fn(&mut Flight, u64, Number);

    fn nobody(_: &mut Flight, _: u64, _: Number) {}

    /// Sends as much as it may for `span_us`, over links of so many bytes in a millisecond with
    /// `way_us` to a delivery besides; returns the bytes delivered, and how long the last body took.
    fn play(flight: &mut Flight, (bytes_per_ms, way_us): (u64, u64), span_us: u64) -> (u64, u64) {
        play_with(flight, (bytes_per_ms, way_us), span_us, nobody)
    }

    fn play_with(
        flight: &mut Flight,
        (bytes_per_ms, way_us): (u64, u64),
        span_us: u64,
        liar: Liar,
    ) -> (u64, u64) {
        let (mut now, mut free) = (0, 0);
        let mut number = flight.delivered.value();
        let mut due: VecDeque<(u64, u64, u64, u64)> = VecDeque::new();
        let (mut delivered, mut took) = (0, 0);
        while now < span_us {
            let bytes = flight.body_bytes();
            while flight.fits(bytes) {
                number += 1;
                flight.opened(Time::from_micros(now), Number::new(number), bytes);
                liar(flight, now, Number::new(number));
                free = now.max(free) + bytes as u64 * 1_000 / bytes_per_ms;
                due.push_back((free + way_us, number, bytes as u64, now));
            }
            let (at, number, bytes, since) = due.pop_front().expect("one may always fly");
            (now, took, delivered) = (at, at - since, delivered + bytes);
            flight.answered(Time::from_micros(now), Number::new(number));
        }
        flight.answered(Time::from_micros(free + way_us), Number::new(number));
        (delivered, took)
    }

    #[test]
    fn a_quick_network_is_used_as_far_as_the_window_goes() {
        let mut flight = flight();
        play(&mut flight, (100_000, 1_000), SLOT_US);
        assert_eq!((flight.allowed, flight.body_bytes()), (flight.most, flight.body_max));
    }

    #[test]
    fn a_slow_network_is_full_and_bodies_do_not_wait_longer_than_a_part_of_a_slot() {
        for (bytes_per_ms, way_us) in [(50, 1_000), (100, 1_000), (1_000, 1_000), (1_000, 200_000)]
        {
            let mut flight = flight();
            let span_us = 60 * SLOT_US;
            let (delivered, took) = play(&mut flight, (bytes_per_ms, way_us), span_us);
            let could = bytes_per_ms * span_us / 1_000;
            assert!(delivered * 10 > could * 4, "{bytes_per_ms}, {way_us}: {delivered} of {could}");
            let wait_us = took - way_us;
            assert!(wait_us < SLOT_US / 2, "{bytes_per_ms}, {way_us}: {wait_us} us");
        }
    }

    /// Quick for 30 ms in each 4 s, or always: it answers when a body leaves.
    #[test]
    fn a_liar_that_is_quick_now_and_then_leaves_the_pace_as_it_is() {
        let now_and_then: Liar = |flight, now, number| {
            if now % 4_000_000 < 30_000 {
                flight.held(Time::from_micros(now), Rank::new(3), number);
            }
        };
        let always: Liar = |flight, now, number| {
            flight.held(Time::from_micros(now), Rank::new(3), number);
        };
        for way in [(1_000, 1_000), (1_000, 300_000), (5_000, 600_000)] {
            let without = play(&mut flight(), way, 60 * SLOT_US).0;
            for liar in [now_and_then, always] {
                let with = play_with(&mut flight(), way, 60 * SLOT_US, liar).0;
                assert!(with * 100 > without * 90, "{way:?}: {with} of {without}");
            }
        }
    }

    #[test]
    fn a_network_that_becomes_slow_is_noticed_and_one_that_recovers_too() {
        let mut flight = flight();
        play(&mut flight, (100_000, 1_000), SLOT_US);
        let (_, took) = play(&mut flight, (50, 1_000), 600 * SLOT_US);
        assert!(took < SLOT_US / 2, "{took}");
        play(&mut flight, (100_000, 1_000), SLOT_US);
        assert_eq!(flight.allowed, flight.most);
    }

    #[test]
    fn a_way_that_is_longer_for_good_is_no_queue_for_ever() {
        let mut flight = flight();
        play(&mut flight, (100_000, 1_000), SLOT_US);
        play(&mut flight, (100_000, 300_000), 60 * SLOT_US);
        assert_eq!(flight.allowed, flight.most);
    }

    #[test]
    fn whoever_was_frozen_goes_on_with_little_and_nulls_always_leave() {
        let mut flight = flight();
        for number in 1..=4 {
            flight.opened(Time::ZERO, Number::new(number), 8 * 1024);
        }
        assert!(!flight.fits(1) && flight.fits(0));
        flight.answered(Time::from_micros(10), Number::new(1));
        flight.answered(Time::from_micros(100 * SLOT_US), Number::new(4));
        assert_eq!((flight.flying, flight.allowed), (0, START_BYTES / 2));
        assert!(flight.fits(usize::MAX), "one body always may");
    }

    #[test]
    fn claims_to_hold_what_was_not_written_change_nothing() {
        let mut flight = flight();
        flight.held(Time::ZERO, Rank::new(3), Number::new(u64::MAX));
        flight.held(Time::ZERO, Rank::new(9), Number::new(1));
        flight.opened(Time::ZERO, Number::new(1), 1024);
        assert_eq!(flight.peers.at(Rank::new(3)).held, Number::ZERO);
        for number in 2..3_000 {
            flight.opened(Time::ZERO, Number::new(number), 0);
        }
        assert!(flight.open.len() <= flight.open_max);
    }
}
