//! Fragments and messages between two members, through whole nodes over a bad network.

use std::cell::Cell;
use std::collections::BTreeMap;

use phalanx_core::{Config, Event, Input, Node, Order, Rank, Request, Ticket, Time};
use phalanx_sim::group::{Crypto, Group, all, genesis};

/// Loses 30 percent of all frames, always the same ones.
fn lossy(state: &Cell<u64>) -> impl Fn(usize, usize) -> bool + Copy {
    move |_, _| {
        let next = state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        state.set(next);
        (next >> 33) % 10 >= 3
    }
}

fn datagrams(n: usize) -> Group {
    Group::with(Crypto::Ideal, Config::new(genesis(Crypto::Ideal, n)))
}

fn is_opinion(event: &Event) -> bool {
    matches!(event, Event::Suspected { .. } | Event::LinkClosed { .. })
}

#[test]
fn a_body_of_190_fragments_arrives_at_thirty_percent_loss() {
    for seed in 0..5 {
        let state = Cell::new(seed);
        let mut group = datagrams(4);
        let payload: Vec<u8> = (0..190 * 1_342_u32).map(|i| (i % 251) as u8).collect();
        group.cast(0, Order::Fifo, &payload);
        group.cast(0, Order::Total, b"and a small one");
        group.run(5_000_000, lossy(&state));
        for (rank, delivered) in group.delivered.iter().enumerate() {
            assert_eq!(delivered.len(), 2, "seed {seed}, rank {rank}");
            assert!(delivered[0].2 == payload, "seed {seed}, rank {rank}");
        }
        assert!(!group.events.iter().flatten().any(is_opinion), "seed {seed}");
    }
}

#[test]
fn no_frame_is_longer_than_the_network_takes() {
    let mut group = datagrams(4);
    for member in 0..4 {
        group.cast(member, Order::Total, &[7; 100_000]);
        group.cast(member, Order::Fifo, b"x");
    }
    let mut longest = 0;
    for _ in 0..2_000 {
        longest =
            group.inboxes.iter().flatten().map(|(_, frame)| frame.len()).fold(longest, usize::max);
        group.deliver(all);
        group.tick();
        group.now = group.now.plus(500);
    }
    assert!(group.delivered.iter().all(|delivered| delivered.len() == 8));
    assert_eq!(longest, 1_400, "full, and no longer");
}

#[test]
fn messages_between_two_members_arrive_in_order_at_thirty_percent_loss() {
    let state = Cell::new(1);
    let mut group = datagrams(4);
    for i in 0..50_u64 {
        for (from, to) in [(0, 1), (1, 0), (3, 1)] {
            let payload =
                [i.to_le_bytes().as_slice(), &[9; 5_000][..100 * usize::try_from(i).unwrap()]]
                    .concat();
            let request = Request::Send { to: Rank::new(to), payload: &payload };
            group.step(from, Input::Request(Ticket(i), request));
        }
        group.run(5_000, lossy(&state));
    }
    group.run(10_000_000, lossy(&state));
    let heard = |rank: usize, from: u16| -> Vec<u64> {
        let events = group.events[rank].iter();
        let payloads = events.filter_map(|event| match event {
            Event::Send { sender, payload } if *sender == Rank::new(from) => Some(payload),
            _ => None,
        });
        payloads.map(|payload| u64::from_le_bytes(payload[..8].try_into().unwrap())).collect()
    };
    let all: Vec<u64> = (0..50).collect();
    assert_eq!(heard(1, 0), all);
    assert_eq!(heard(0, 1), all);
    assert_eq!(heard(1, 3), all);
    assert!(!group.events.iter().flatten().any(is_opinion));
}

#[test]
fn messages_to_a_deaf_member_fail_and_later_ones_arrive() {
    let mut group = datagrams(4);
    let send = |group: &mut Group, ticket, payload: &[u8]| {
        let request = Request::Send { to: Rank::new(2), payload };
        group.step(0, Input::Request(Ticket(ticket), request));
    };
    send(&mut group, 1, b"one");
    send(&mut group, 2, b"two");
    group.run(60_000_000, |from, to| from != 0 || to != 2);
    for ticket in [Ticket(1), Ticket(2)] {
        let failed = Event::SendFailed { to: Rank::new(2), ticket };
        assert!(group.events[0].contains(&failed), "{ticket:?}");
    }
    send(&mut group, 3, b"three");
    group.run(1_000_000, all);
    let payload = b"three".to_vec();
    assert!(group.events[2].contains(&Event::Send { sender: Rank::new(0), payload }));
}

/// All members cast as fast as they are let, so that whole windows of large bodies leave at once in
/// fragments; frames take 50 to 150 microseconds.
#[test]
fn full_windows_flow_over_datagrams() {
    let mut group = Group::with(Crypto::Ideal, Config::new(genesis(Crypto::Ideal, 4)));
    group.keep_nothing();
    let payload = [7; 1024];
    let mut flights: BTreeMap<(u64, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let (mut state, mut count) = (1_u64, 0_u64);
    while group.now < Time::from_micros(150_000) {
        for member in 0..4 {
            while !group.events[member].iter().any(|e| matches!(e, Event::Refused(..))) {
                group.cast(member, Order::Total, &payload);
            }
            if group.events[member].contains(&Event::Writable) {
                group.events[member].clear();
            }
            for (_, frame) in std::mem::take(&mut group.inboxes[member]) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                count += 1;
                let due = group.now.as_micros() + 50 + (state >> 33) % 100;
                flights.insert((due, count), (member, frame));
            }
        }
        let tick = group.nodes.iter().filter_map(Node::deadline).min().unwrap().max(group.now);
        match flights.first_entry() {
            Some(flight) if flight.key().0 <= tick.as_micros() => {
                group.now = Time::from_micros(flight.key().0);
                let (member, frame) = flight.remove();
                group.step(member, Input::Frame(&frame));
            }
            Some(_) | None => {
                group.now = tick;
                group.tick();
            }
        }
    }
    assert!(group.casts > 4 * 12_000, "{} casts delivered at all together", group.casts);
    assert!(group.nodes.iter().all(|node| node.counters().fragmented_lost == 0));
}

#[test]
fn thirteen_members_with_defaults_stay_under_192_mib() {
    let group = Group::with(Crypto::Ideal, Config::new(genesis(Crypto::Ideal, 13)));
    let (_, bound) = group.nodes[0].memory();
    assert!(bound <= 192 * 1024 * 1024, "{bound}");
}
