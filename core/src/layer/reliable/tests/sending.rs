//! The sending side: batches, windows, back-pressure, and the messages of both patterns.

use alloc::vec;
use alloc::vec::Vec;

use super::rig::{Solo, at, bodies, parts, vouched};
use crate::config::Config;
use crate::input::{Order, Ticket};
use crate::layer::To;
use crate::layer::reliable::{In, Out};
use crate::member::Rank;
use crate::output::Refusal;
use crate::seq::{Round, SlotMark};
use crate::view::Pattern;
use crate::wire::{Part, casts};

fn cast(solo: &mut Solo, order: Order, payload: &[u8]) -> Result<(), Refusal> {
    solo.machine.cast(Ticket(0), order, payload)
}

/// The slots of the bodies posted.
fn slots(outs: &[Out]) -> Vec<SlotMark> {
    let slot = |(_, part): (To, &Part)| match part {
        Part::Body(body) => Some(body.slot),
        _ => None,
    };
    parts(outs).into_iter().filter_map(slot).collect()
}

fn small_window(config: &mut Config) {
    let limits = &mut config.genesis.limits;
    (limits.window_bodies, limits.body_max, limits.window_bytes) = (8, 1024, 8 * 1024);
    limits.cast_max = 1024;
    config.cast_queue_bytes = 16 * 1024;
}

#[test]
fn a_cast_leaves_at_once_with_its_digest_when_nothing_is_in_flight() {
    let mut solo = Solo::new(4);
    assert_eq!(solo.machine.deadline(), None);
    cast(&mut solo, Order::Fifo, b"now").unwrap();
    assert_eq!(solo.machine.deadline(), Some(solo.now));
    let outs = solo.tick();
    let posted = parts(&outs);
    let [(To::All, Part::Heads(heads)), (To::All, Part::Body(body))] = posted[..] else {
        panic!("{posted:?}");
    };
    assert_eq!((heads.signer, heads.statement.entries[0].number), (solo.me, at(1)));
    assert_eq!((body.number, body.slot, body.links.len()), (at(1), SlotMark::None, 0));
}

#[test]
fn casts_gather_while_one_is_in_flight_and_leave_together() {
    let mut solo = Solo::new(4);
    cast(&mut solo, Order::Fifo, b"first").unwrap();
    let head = vouched(&solo.tick())[0];
    for _ in 0..10 {
        cast(&mut solo, Order::Fifo, b"more").unwrap();
        assert_eq!(bodies(&solo.tick()), []);
    }
    solo.hear(0, head);
    solo.hear(1, head);
    solo.claim(0, 3, 1);
    solo.claim(1, 3, 1);
    let outs = solo.tick();
    assert_eq!(bodies(&outs), [2], "ten casts in one body");
    let casts = outs.iter().find_map(|out| match out {
        Out::Post(post) => post.casts.as_ref().map(|casts| casts.bytes.len()),
        _ => None,
    });
    assert_eq!(casts, Some(10 * (4 + 4)));
}

#[test]
fn waiting_casts_leave_with_a_signature_that_is_made_anyway() {
    let mut solo = Solo::new(4);
    cast(&mut solo, Order::Fifo, b"first").unwrap();
    solo.tick();
    cast(&mut solo, Order::Fifo, b"second").unwrap();
    let b = solo.branch(0).grow("b", 1);
    solo.announce(&b, 1, 1);
    let outs = solo.tick();
    assert_eq!(bodies(&outs), [2]);
    let heads = vouched(&outs);
    assert_eq!((heads[0], heads[1].sender, heads[1].number), (b.head(1), solo.me, at(2)));
}

#[test]
fn the_window_fills_and_opens_again_with_the_threshold() {
    let mut solo = Solo::with(4, small_window);
    for _ in 0..16 {
        cast(&mut solo, Order::Fifo, &[1; 900]).unwrap();
    }
    let first = bodies(&solo.tick());
    assert!((4..8).contains(&first.len()), "the last place at least is kept: {first:?}");
    let full = first.len() as u64;
    assert_eq!(bodies(&solo.tick()), []);
    assert!(solo.machine.deadline() > Some(solo.now), "a full window is no reason to hurry");
    let head = solo.machine.logs.at(solo.me).top();
    for peer in [0, 1] {
        solo.hear(peer, head);
        solo.claim(peer, 3, 2);
    }
    assert_eq!(bodies(&solo.tick()), [], "two are delivered, but not stable");
    solo.step(In::Threshold(solo.me, at(2)));
    assert_eq!(bodies(&solo.tick()), [full + 1, full + 2]);
}

#[test]
fn a_null_finds_room_in_a_full_window() {
    let mut solo = Solo::with(4, small_window);
    for _ in 0..16 {
        cast(&mut solo, Order::Fifo, &[1; 900]).unwrap();
    }
    solo.tick();
    solo.step(In::Owe(Round::new(5)));
    let outs = solo.tick();
    assert_eq!(slots(&outs), [SlotMark::Null(Round::new(5))]);
}

#[test]
fn to2_casts_that_wait_take_the_round_that_is_owed() {
    let mut solo = Solo::new(4);
    solo.step(In::Owe(Round::new(5)));
    assert_eq!(slots(&solo.tick()), [SlotMark::Null(Round::new(5))]);
    solo.step(In::Owe(Round::new(5)));
    assert_eq!(solo.machine.deadline().filter(|due| *due <= solo.now), None, "settled already");
    cast(&mut solo, Order::Total, b"mine").unwrap();
    solo.step(In::Owe(Round::new(9)));
    assert_eq!(slots(&solo.tick()), [SlotMark::Value(Round::new(9))]);
    solo.step(In::Owe(Round::new(8)));
    cast(&mut solo, Order::Total, b"mine").unwrap();
    solo.run(0);
    solo.step(In::Owe(Round::new(10)));
    assert_eq!(slots(&solo.tick()), [SlotMark::Value(Round::new(10))]);
}

#[test]
fn to2_a_round_far_ahead_is_reached_in_steps_of_the_slot_window() {
    let mut solo = Solo::with(4, |config| config.genesis.limits.slot_window = 10);
    solo.step(In::Owe(Round::new(25)));
    let nulls = [9, 19, 25].map(|round| SlotMark::Null(Round::new(round)));
    assert_eq!(slots(&solo.tick()), nulls);
    cast(&mut solo, Order::Total, b"mine").unwrap();
    solo.step(In::Owe(Round::new(40)));
    let outs = solo.tick();
    let rounds = [SlotMark::Null(Round::new(35)), SlotMark::Value(Round::new(40))];
    assert_eq!(slots(&outs), rounds);
}

#[test]
fn a_refusal_leaves_everything_as_it_was() {
    let mut solo = Solo::with(4, small_window);
    assert_eq!(cast(&mut solo, Order::Fifo, &[1; 1025]), Err(Refusal::TooLarge));
    assert_eq!((solo.machine.held_bytes(), solo.machine.deadline()), (0, None));
    while cast(&mut solo, Order::Fifo, &[1; 1000]).is_ok() {}
    let held = solo.machine.held_bytes();
    assert!((15 * 1024..=16 * 1024).contains(&held), "{held}");
    assert_eq!(cast(&mut solo, Order::Total, &[1; 1000]), Err(Refusal::Full));
    assert_eq!(solo.machine.held_bytes(), held);
    assert!(cast(&mut solo, Order::Fifo, &[]).is_ok(), "a smaller one may still fit");
}

#[test]
fn writable_comes_once_when_half_of_a_refused_queue_is_free() {
    let mut solo = Solo::with(4, small_window);
    while cast(&mut solo, Order::Fifo, &[1; 1000]).is_ok() {}
    let mut writable = 0;
    let mut threshold = 0;
    while solo.machine.held_bytes() > 0 && threshold < 40 {
        let outs = solo.tick();
        writable += outs.iter().filter(|out| matches!(out, Out::Writable)).count();
        let before = threshold;
        threshold += bodies(&outs).len() as u64;
        assert!(threshold > before || solo.machine.held_bytes() < 8 * 1024);
        solo.step(In::Threshold(solo.me, at(threshold)));
        let head = solo.machine.logs.at(solo.me).top();
        for peer in [0, 1] {
            solo.hear(peer, head);
            solo.claim(peer, 3, threshold);
        }
    }
    assert_eq!(writable, 1);
    cast(&mut solo, Order::Fifo, b"one").unwrap();
    assert!(!solo.tick().iter().any(|out| matches!(out, Out::Writable)), "nothing was refused");
}

#[test]
fn signatures_wait_for_company_if_told_to() {
    let mut solo = Solo::with(4, |config| config.timeouts.heads_delay_us = 500);
    let b = solo.branch(0).grow("b", 3);
    solo.announce(&b, 1, 1);
    assert_eq!(vouched(&solo.tick()), [b.head(1)], "the first does not wait");
    solo.announce(&b, 2, 2);
    assert_eq!(vouched(&solo.tick()), []);
    solo.announce(&b, 3, 3);
    assert_eq!(solo.machine.deadline(), Some(solo.now.plus(500)));
    assert_eq!(vouched(&solo.run(500)), [b.head(3)], "one signature for both");
}

#[test]
fn pattern_paper_signs_one_entry_for_each_message_and_replies_to_the_sender() {
    let mut solo = Solo::with(4, |config| config.genesis.pattern = Pattern::Paper);
    let logs = [0, 1].map(|sender| solo.branch(sender).grow("b", 1));
    logs.iter().for_each(|b| drop(solo.announce(b, 1, 1)));
    cast(&mut solo, Order::Fifo, b"mine").unwrap();
    let outs = solo.tick();
    let mut to = Vec::new();
    for (whom, part) in parts(&outs) {
        if let Part::Heads(heads) = part {
            assert_eq!(heads.statement.entries.len(), 1);
            to.push((whom, heads.statement.entries[0].sender.value()));
        }
    }
    let one = |rank| To::One(Rank::new(rank));
    assert_eq!(to, [(To::All, 3), (one(0), 0), (one(1), 1)]);
}

#[test]
fn pattern_paper_sends_the_certificate_of_its_own_log_to_all_once() {
    let mut solo = Solo::with(4, |config| config.genesis.pattern = Pattern::Paper);
    cast(&mut solo, Order::Fifo, b"mine").unwrap();
    let head = vouched(&solo.tick())[0];
    solo.hear(0, head);
    assert_eq!(parts(&solo.tick()), vec![]);
    solo.hear(1, head);
    let outs = solo.tick();
    let posted = parts(&outs);
    let [(To::All, Part::Certificate(certificate))] = posted[..] else { panic!("{posted:?}") };
    assert_eq!((certificate.head, certificate.heads.len()), (head, 3));
    assert!(solo.is_good(&certificate.clone()));
    assert_eq!(parts(&solo.tick()), vec![]);
    let again = solo.run(1_000_000);
    let finals = parts(&again).into_iter().filter(|(_, part)| matches!(part, Part::Certificate(_)));
    assert!(finals.count() >= 2, "until a quorum holds it");
}

/// The casts of the bodies posted.
fn cargo(outs: &[Out]) -> Vec<Vec<u8>> {
    let casts = |out: &Out| match out {
        Out::Post(post) => post.casts.as_ref().map(|casts| casts.bytes.to_vec()),
        _ => None,
    };
    outs.iter().filter_map(casts).collect()
}

#[test]
fn on_a_slow_network_bodies_are_short_and_few_and_hold_every_cast_once() {
    let mut solo = Solo::with(4, |config| config.cast_queue_bytes = 1024 * 1024);
    let orders = [Order::Fifo, Order::Total, Order::Fifo];
    let wanted: Vec<(Order, Vec<u8>)> = (0..300_u32)
        .map(|i| (orders[i as usize % 3], vec![i as u8; 10 + i as usize * 7]))
        .collect();
    for (index, (order, payload)) in wanted.iter().enumerate() {
        solo.machine.cast(Ticket(index as u64), *order, payload).unwrap();
    }
    let (mut arrived, mut number, mut longest) = (Vec::new(), 0, 0);
    while arrived.len() < wanted.len() {
        let outs = solo.tick();
        let left = cargo(&outs);
        assert!(!left.is_empty(), "{} of {} have left", arrived.len(), wanted.len());
        // The first are sent before anything is known.
        let total: usize = left.iter().map(Vec::len).sum();
        longest = if number == 0 { 0 } else { longest.max(total) };
        let head = solo.machine.logs.at(solo.me).top();
        [0, 1].into_iter().for_each(|peer| drop(solo.hear(peer, head)));
        for bytes in left {
            number += 1;
            let all = casts::Casts::from(&bytes, 0);
            arrived.extend(all.map(|(order, range)| (order, bytes[range].to_vec())));
            let body = solo.machine.logs.at(solo.me).body(at(number)).unwrap();
            assert_eq!(body.tickets.len(), body.count.fifo + body.count.total);
            let room = body.tickets.capacity();
            assert!(room <= 2 * body.tickets.len() + 4, "room for {room} tickets is kept");
            // Thirty bytes a millisecond.
            solo.now = solo.now.plus(bytes.len() as u64 * 1_000 / 30);
            [0, 1].into_iter().for_each(|peer| drop(solo.claim(peer, 3, number)));
            solo.step(In::Merged(solo.me, at(number)));
            solo.step(In::Threshold(solo.me, at(number)));
        }
    }
    assert!(arrived == wanted, "in the order in which they were cast");
    assert!(longest <= 16 * 1024, "{longest} bytes at once");
    assert!(number > 30, "{number} bodies");
}
