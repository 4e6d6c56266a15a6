//! Liars that are just quick enough not to be found: the floor under throughput and latency that
//! protocol.md sections 5 and 6 state.

use std::collections::BTreeMap;

use phalanx_core::wire::{Packet, Part};
use phalanx_core::{Limits, Order};

use crate::net::{Hook, Net};

/// From one member to another.
const DELAY_US: u64 = 20_000;

/// Measured from here on.
const BEGIN_US: u64 = 10_000_000;
const END_US: u64 = 30_000_000;

/// Bodies with one cast each, so that windows fill with few bytes.
fn limits() -> Limits {
    Limits { body_max: 1024, cast_max: 1024, window_bytes: 1024 * 1024, ..Limits::default() }
}

/// How many casts of correct members were delivered by member 0 after the first seconds, all of them
/// casting as fast as they may.
fn throughput(liar: Option<Hook>) -> (usize, Vec<(usize, usize, phalanx_core::Reason)>) {
    let mut net = Net::new(4, DELAY_US, limits());
    if let Some(hook) = liar {
        net = net.with_liar(3, hook);
    }
    while net.now.as_micros() < END_US {
        for index in 0..3 {
            let mut more = 0;
            while more < 64 && net.cast(index, Order::Fifo, &[7; 1000]) {
                more += 1;
            }
        }
        net.run(10_000);
    }
    let late = net.casts[0].iter().filter(|(at, ..)| at.as_micros() >= BEGIN_US);
    let suspicions = net.suspicions(0);
    assert!(suspicions.iter().all(|(subject, ..)| *subject == 3), "innocents: {suspicions:?}");
    (late.filter(|(_, _, sender, _)| sender.index() < 3).count(), suspicions)
}

/// Its rows stand still for `holds_us` of each `period_us`, for these logs, and then rise by `by`
/// bodies at the most.
fn creeping_rows(logs: &'static [usize], (holds_us, period_us): (u64, u64), by: u64) -> Hook {
    let mut shown: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut last: Vec<u64> = vec![0; 4];
    Box::new(move |liar, now, _, mut packet: Packet, casts| {
        let holds = now.as_micros() % period_us < holds_us;
        for part in packet.parts.as_mut_vec() {
            let Part::Stable(row) = part else { continue };
            // All four are there: the liar is silenced, and not removed.
            if row.signer != liar.me {
                continue;
            }
            let counter = row.statement.counter;
            let have: Vec<u64> = row.statement.have.iter().map(|n| n.value()).collect();
            let have = shown.entry(counter).or_insert_with(|| {
                let mut lied = have.clone();
                for log in logs.iter().copied() {
                    let most = if holds { last[log] } else { last[log].saturating_add(by) };
                    lied[log] = lied[log].min(most).max(last[log]);
                }
                last = lied.clone();
                lied
            });
            *part = liar.row(counter, have.clone());
        }
        vec![(0, packet, casts)]
    })
}

#[test]
fn rows_that_creep_leave_three_quarters_of_the_throughput() {
    let (without, suspicions) = throughput(None);
    assert_eq!(suspicions, [], "honest members at full load");
    let all: &[usize] = &[0, 1, 2];
    let plans: [(&'static [usize], (u64, u64), u64); 7] = [
        (all, (1_900_000, 1_950_000), 48),
        (all, (1_900_000, 1_950_000), 1),
        (all, (200_000, 1_000_000), u64::MAX),
        (all, (240_000, 1_000_000), u64::MAX),
        (all, (500_000, 1_000_000), u64::MAX),
        (all, (0, 1_000_000), 4),
        (&[0, 1], (1_900_000, 1_950_000), 8),
    ];
    for (logs, holds, by) in plans {
        let (with, suspicions) = throughput(Some(creeping_rows(logs, holds, by)));
        let share = with * 100 / without;
        println!("{logs:?} {holds:?} by {by}: {share} % of {without}; {suspicions:?}");
        assert!(share >= 75, "{logs:?}, {holds:?}, {by}: {share} %, {suspicions:?}");
    }
}

/// The median latency of Total casts of correct members at member 0, one of each member in 100 ms,
/// after the first seconds. What the liar opens is `late_us` late.
fn latency_us(late_us: u64) -> (u64, Vec<(usize, usize, phalanx_core::Reason)>) {
    let hook: Hook = Box::new(move |_, _, _, packet, casts| {
        let has_body = packet.parts.iter().any(|part| matches!(part, Part::Body(_)));
        vec![(if has_body { late_us } else { 0 }, packet, casts)]
    });
    let mut net = Net::new(4, DELAY_US, Limits::default()).with_liar(3, hook);
    while net.now.as_micros() < END_US {
        for index in 0..3 {
            let now = net.now.as_micros();
            assert!(net.cast(index, Order::Total, &now.to_le_bytes()));
            net.run(33_333);
        }
    }
    net.run(5_000_000);
    let mut took: Vec<u64> = Vec::new();
    for (at, _, _, payload) in &net.casts[0] {
        let since = u64::from_le_bytes(payload[..8].try_into().unwrap());
        if since >= BEGIN_US {
            took.push(at.as_micros() - since);
        }
    }
    took.sort_unstable();
    let suspicions = net.suspicions(0);
    assert!(suspicions.iter().all(|(subject, ..)| *subject == 3), "innocents: {suspicions:?}");
    (took[took.len() / 2], suspicions)
}

#[test]
fn slots_that_are_late_lengthen_the_median_cast_five_times_at_the_most() {
    let (without, suspicions) = latency_us(0);
    assert_eq!(suspicions, []);
    for late_us in [40_000, 80_000, 160_000, 240_000, 400_000, 700_000, 950_000, 1_300_000] {
        let (with, suspicions) = latency_us(late_us);
        println!("{late_us} us late: {with} us, {without} us without; {suspicions:?}");
        assert!(with <= 5 * without, "{late_us} us late: {with} us, {without} us without");
    }
}

/// Members that are slower than the others, but not by far, stay.
#[test]
fn a_member_twice_as_slow_as_the_others_is_not_found() {
    for late_us in [20_000, 40_000] {
        assert_eq!(latency_us(late_us).1, [], "{late_us} us later than the others");
    }
}
