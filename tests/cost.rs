//! The counted cost of protocol.md section 16, taken at the one door to cryptography. Stable rows
//! are apart: none is due while these tests count.

use std::collections::BTreeMap;

use phalanx_core::crypto::CryptoCounters;
use phalanx_core::{Config, Input, Order, Pattern};
use phalanx_sim::group::{Crypto, Group, all, genesis};

/// A group whose next Stable row is far away, the first rows exchanged.
fn quiet(n: usize, pattern: Pattern, heads_delay_us: u64) -> Group {
    let mut genesis = genesis(Crypto::Ideal, n);
    genesis.pattern = pattern;
    genesis.limits.window_bodies = 1024;
    let mut config = Config { frame_max: Config::FRAME_MAX, ..Config::new(genesis) };
    config.timeouts.stable_us = 1_000_000_000_000;
    config.timeouts.mute_us = 3_000_000_000_000;
    config.timeouts.mute_max_us = 3_000_000_000_000;
    config.timeouts.resend_us = 1_000_000_000;
    config.timeouts.resend_max_us = 1_000_000_000;
    config.timeouts.heads_delay_us = heads_delay_us;
    let mut group = Group::with(Crypto::Ideal, config);
    group.settle(all);
    group
}

fn signed_and_verified(group: &Group) -> (u64, u64) {
    let all = group.nodes.iter().map(|node| node.counters().crypto);
    all.fold((0, 0), |(signed, verified), crypto: CryptoCounters| {
        (signed + crypto.signatures, verified + crypto.verifications)
    })
}

/// Lock step: everybody casts one body, everything is delivered, everybody ticks. Returns
/// signatures and verifications of the group in thousandths per body.
fn lock_step(n: usize, pattern: Pattern) -> (u64, u64) {
    let mut group = quiet(n, pattern, 0);
    let round = |group: &mut Group| {
        for member in 0..n {
            group.cast(member, Order::Total, b"payload");
        }
        group.deliver(all);
        group.tick();
    };
    (0..10).for_each(|_| round(&mut group));
    let before = signed_and_verified(&group);
    let delivered = group.casts;
    (0..100).for_each(|_| round(&mut group));
    let after = signed_and_verified(&group);
    assert_eq!(group.casts - delivered, 100 * (n * n) as u64, "the pipe is full");
    let bodies = 100 * n as u64;
    ((after.0 - before.0) * 1000 / bodies, (after.1 - before.1) * 1000 / bodies)
}

#[test]
fn swift_in_lock_step_signs_once_and_verifies_n_minus_1_times_per_body() {
    for n in [2, 4, 5, 7, 10, 13] {
        let (signed, verified) = lock_step(n, Pattern::Swift);
        assert!(signed <= 1050, "n = {n}: {signed} thousandths");
        assert!(verified <= 1050 * (n as u64 - 1), "n = {n}: {verified} thousandths");
    }
}

#[test]
fn paper_costs_exactly_its_formula() {
    let quorums = [(4, 3), (5, 4), (7, 5), (10, 7), (13, 9)];
    for (n, q) in quorums {
        let (signed, verified) = lock_step(n, Pattern::Paper);
        assert_eq!(signed, 1000 * n as u64, "n signatures per body, n = {n}");
        assert_eq!(verified, 1000 * q * (n as u64 - 1), "q(n-1) verifications per body, n = {n}");
    }
}

#[test]
fn a_lone_cast_in_an_idle_group_costs_n_signatures_or_twice_that() {
    for n in [4, 7, 10] {
        for (order, factor) in [(Order::Fifo, 1), (Order::Total, 2)] {
            let mut group = quiet(n, Pattern::Swift, 0);
            let before = signed_and_verified(&group);
            group.cast(1, order, b"alone");
            group.settle(all);
            assert_eq!(group.casts, n as u64);
            let after = signed_and_verified(&group);
            let n = n as u64;
            assert!(after.0 - before.0 <= factor * n, "n = {n}: {}", after.0 - before.0);
            assert!(after.1 - before.1 <= factor * n * (n - 1), "n = {n}: {}", after.1 - before.1);
        }
    }
}

/// Frames take 500 to 1,500 microseconds, each its own time; every member always has a cast to
/// send, and ticks as soon as it may. Returns signatures of the group in thousandths per body.
fn jittered(n: usize, heads_delay_us: u64) -> u64 {
    let mut group = quiet(n, Pattern::Swift, heads_delay_us);
    let mut flights: BTreeMap<(u64, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let (mut state, mut count) = (1_u64, 0);
    let mut bodies_before = 0;
    let mut before = 0;
    for step in 0..20_000_u32 {
        if step == 5_000 {
            before = signed_and_verified(&group).0;
            bodies_before = bodies(&group);
        }
        for member in 0..n {
            // The queue is filled again as soon as it was emptied into a body.
            if group.events[member].is_empty() {
                group.cast(member, Order::Total, b"payload");
            }
            for (_, frame) in std::mem::take(&mut group.inboxes[member]) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                count += 1;
                let due = group.now.as_micros() + 500 + (state >> 33) % 1_000;
                flights.insert((due, count), (member, frame));
            }
        }
        let frame = flights.first_key_value().map(|((due, _), _)| *due);
        let tick = group.nodes.iter().filter_map(|node| node.deadline()).min();
        let tick = tick.map_or(u64::MAX, |tick| tick.as_micros()).max(group.now.as_micros());
        if frame.is_some_and(|due| due <= tick) {
            let ((due, _), (member, frame)) = flights.pop_first().unwrap();
            group.now = phalanx_core::Time::from_micros(due);
            group.step(member, Input::Frame(&frame));
        } else {
            group.now = phalanx_core::Time::from_micros(tick);
            group.tick();
            group.events.iter_mut().for_each(Vec::clear);
        }
    }
    let after = signed_and_verified(&group).0;
    (after - before) * 1000 / (bodies(&group) - bodies_before)
}

/// Bodies written by the whole group.
fn bodies(group: &Group) -> u64 {
    group.nodes.iter().map(|node| node.counters().bodies).sum()
}

#[test]
fn jittered_arrivals_cost_at_most_two_and_a_half_signatures_per_body() {
    for n in [4, 7, 10] {
        // A fifth of the mean delay is enough; half of it brings it down to one.
        for (heads_delay_us, limit) in [(200, 2_500), (500, 1_050)] {
            let signed = jittered(n, heads_delay_us);
            assert!(signed <= limit, "n = {n}, {heads_delay_us} us: {signed} thousandths");
        }
    }
}
