//! Reliable, FIFO and total order through whole nodes.

use phalanx_core::{Event, Order};
use phalanx_sim::group::{Crypto, Delivered, Group, all};

fn totals(delivered: &[Delivered]) -> Vec<&[u8]> {
    let is_total = |d: &&Delivered| d.1 == Order::Total;
    delivered.iter().filter(is_total).map(|d| d.2.as_slice()).collect()
}

#[test]
fn a_lone_cast_is_delivered_by_all_at_every_size() {
    for n in 1..=13 {
        for order in [Order::Fifo, Order::Total] {
            let mut group = Group::new(Crypto::Ideal, n);
            group.cast(n - 1, order, b"hello");
            group.settle(all);
            for delivered in &group.delivered {
                let sender = u16::try_from(n - 1).unwrap();
                assert_eq!(delivered, &[(sender, order, b"hello".to_vec())], "n = {n} {order:?}");
            }
        }
    }
}

#[test]
fn total_order_is_the_same_everywhere_when_all_cast() {
    let mut group = Group::new(Crypto::Real, 4);
    for round in 0..50_u32 {
        for member in 0..4_usize {
            if !(round as usize + member).is_multiple_of(3) {
                let order = if round % 5 == 0 { Order::Fifo } else { Order::Total };
                group.cast(member, order, format!("{member}:{round}").as_bytes());
            }
        }
        group.run(1_000, all);
    }
    group.run(1_000_000, all);
    let first = totals(&group.delivered[0]);
    assert!(first.len() > 100, "{}", first.len());
    for delivered in &group.delivered {
        assert_eq!(totals(delivered), first);
        assert_eq!(delivered.len(), group.delivered[0].len());
    }
    assert!(group.faults.iter().all(Vec::is_empty));
    let suspected = |event: &Event| matches!(event, Event::Suspected { .. });
    assert!(!group.events.iter().flatten().any(suspected));
}

#[test]
fn a_member_that_was_deaf_catches_up() {
    let mut group = Group::new(Crypto::Ideal, 4);
    let deaf = |_: usize, to: usize| to != 2;
    for round in 0..40_u32 {
        group.cast(0, Order::Fifo, &round.to_le_bytes());
        group.run(2_000, deaf);
    }
    assert!(group.delivered[2].is_empty());
    assert_eq!(group.delivered[1].len(), 40, "three of four are a quorum");
    group.run(10_000_000, all);
    assert_eq!(group.delivered[2], group.delivered[1]);
}

#[test]
fn a_full_queue_refuses_and_becomes_writable_again() {
    let mut group = Group::new(Crypto::Ideal, 4);
    let payload = vec![1; 100_000];
    for _ in 0..200 {
        group.cast(0, Order::Fifo, &payload);
    }
    let refused = |event: &&Event| matches!(event, Event::Refused(..));
    let refusals = group.events[0].iter().filter(refused).count();
    assert!(refusals > 0);
    group.run(5_000_000, all);
    assert!(group.events[0].contains(&Event::Writable));
    for delivered in &group.delivered {
        assert_eq!(delivered.len(), 200 - refusals);
    }
}

/// F17 of the design's flaws: a member that is silent towards two others keeps its Stable rows and
/// bodies from them. They get both from the rest, long before their windows fill or anybody is
/// suspected.
#[test]
fn a_member_silent_towards_two_holds_nobody_up() {
    let mut group = Group::new(Crypto::Ideal, 9);
    let hears = |from: usize, to: usize| !(from == 1 && (to == 6 || to == 8));
    for round in 0..300_usize {
        for member in (0..9).filter(|member| (round + member).is_multiple_of(3)) {
            let is_total = (round + member).is_multiple_of(10);
            let order = if is_total { Order::Total } else { Order::Fifo };
            group.cast(member, order, format!("{member}:{round}").as_bytes());
        }
        group.run(10_000, hears);
        let least = group.delivered.iter().map(Vec::len).min().unwrap();
        assert!(least + 60 >= 3 * round, "200 ms behind after {round} rounds: {least}");
    }
    group.run(1_000_000, hears);
    assert!(group.delivered.iter().all(|delivered| delivered.len() == 900));
    let suspected = |event: &Event| matches!(event, Event::Suspected { .. });
    assert!(!group.events.iter().flatten().any(suspected));
}
