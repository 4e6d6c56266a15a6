//! Freeze, collect, close and legacy, one sentence after the other.

use alloc::vec;
use alloc::vec::Vec;

use super::rig::{Branch, Solo, at, bodies, delivered, fifo, is_alarm, parts, total, vouched};
use crate::input::{Order, Ticket};
use crate::layer::To;
use crate::layer::reliable::{In, Out};
use crate::member::Rank;
use crate::output::Refusal;
use crate::seq::{LogEnd, Round, SlotMark};
use crate::wire::Part;

/// Whom bodies of a log are asked from, and which.
fn asked(outs: &[Out]) -> Vec<(u16, u64, u64)> {
    let ask = |(to, part): (To, &Part)| match (to, part) {
        (To::One(peer), Part::Fetch { from, to, .. }) if from <= to => {
            Some((peer.value(), from.value(), to.value()))
        }
        _ => None,
    };
    parts(outs).into_iter().filter_map(ask).collect()
}

/// A member of four that holds `held` bodies of member 0, certified.
fn holder(b: &Branch, held: u64) -> Solo {
    let mut solo = Solo::new(4);
    solo.announce(b, 1, held);
    solo.hear(1, b.head(held));
    solo.tick();
    assert_eq!(solo.have(0), held);
    solo
}

fn log(count: u64) -> Branch {
    Solo::new(4).branch(0).grow("b", count)
}

#[test]
fn rm1_nothing_of_a_silenced_member_is_taken_but_its_votes_count() {
    let mut solo = Solo::at(4, 3, Some(1), |_| {});
    let (b, own) = (solo.branch(0).grow("b", 2), solo.branch(1).grow("s", 2));
    let said = solo.say(1, &[own.head(2)]);
    assert!(!solo.machine.wants(said.signed()));
    solo.announce(&own, 1, 2);
    let certificate = solo.certificate(&own, 2, &[0, 1, 2]);
    assert!(!solo.machine.wants_certificate(&certificate.head));
    (0..3).for_each(|from| drop(solo.claim(from, 1, 2)));
    assert!(!solo.holds(&own, 1) && solo.have(1) == 0);
    assert_eq!(solo.machine.deadline(), None, "nothing is fetched, nothing is said");
    solo.announce(&b, 1, 2);
    solo.hear(1, b.head(2));
    solo.tick();
    assert_eq!(solo.have(0), 2, "certified by the sender, the silenced member and this one");
    solo.claim(0, 0, 2);
    assert_eq!(delivered(&solo.claim(1, 0, 2)), [1, 2]);
}

#[test]
fn rm1_a_silenced_member_votes_but_its_casts_wait() {
    let mut solo = Solo::at(4, 3, Some(3), |config| config.cast_queue_bytes = 4 << 20);
    solo.machine.cast(Ticket(0), Order::Total, &[0; 100]).unwrap();
    solo.step(In::Owe(Round::new(3)));
    assert_eq!(solo.machine.deadline(), None, "it owns no slots");
    let b = solo.branch(0).grow("b", 1);
    solo.announce(&b, 1, 1);
    let outs = solo.tick();
    assert_eq!((vouched(&outs), bodies(&outs)), (vec![b.head(1)], vec![]));
    let results = (1..8).map(|n| solo.machine.cast(Ticket(n), Order::Fifo, &[0; 900_000]));
    assert!(results.collect::<Vec<_>>().contains(&Err(Refusal::Full)));
    assert_eq!(solo.machine.bodies(), 0);
}

#[test]
fn r0_after_the_freeze_nothing_new_is_said() {
    let b = log(4);
    let mut solo = holder(&b, 2);
    solo.machine.cast(Ticket(0), Order::Fifo, b"waits").unwrap();
    let ends = solo.machine.freeze();
    let (end, certificate) = &ends[0];
    assert_eq!((end.number, end.hash), (at(2), b.head(2).hash));
    let certificate = certificate.clone().expect("a certificate");
    assert!(certificate.head == b.head(2) && solo.is_good(&certificate));
    assert_eq!(ends[1..], vec![(LogEnd::EMPTY, None); 3]);
    solo.announce(&b, 3, 4);
    solo.certify(&b, 4, &[0, 1, 2]);
    assert_eq!(solo.have(0), 4, "bodies and certificates are taken");
    assert_eq!(solo.machine.haves()[0], at(2), "but what is told stays");
    assert_eq!(solo.machine.rows()[0], at(2));
    let outs = solo.run(10_000_000);
    assert!(outs.is_empty(), "no reply, no body, no have: {outs:?}");
    assert_eq!(solo.machine.deadline(), None);
    solo.machine.cast(Ticket(1), Order::Fifo, b"waits too").unwrap();
}

/// Haves of others that come later still count: a correct one among any quorum of them flushed
/// after it said so, and so what they cover is inside every valid cut. The own have does not grow.
#[test]
fn r0_haves_of_others_deliver_after_the_freeze_and_the_own_one_counts_as_it_was() {
    let b = log(4);
    let mut solo = holder(&b, 2);
    solo.machine.freeze();
    solo.certify(&b, 4, &[0, 1, 2]);
    solo.give(&b, 3, 4);
    solo.give(&b, 4, 4);
    solo.claim(0, 0, 4);
    assert_eq!(delivered(&solo.claim(1, 0, 4)), [1, 2], "two haves and the own one up to 2");
    assert_eq!(delivered(&solo.step(In::Haves(solo.me, &[at(4); 4]))), []);
    assert_eq!(delivered(&solo.claim(2, 0, 3)), [3], "a quorum without this member");
}

/// The certificate that is known is of a higher head, with bodies missing below it.
#[test]
fn r0_what_was_told_is_covered_also_if_it_cannot_be_certified_exactly() {
    let mut solo = Solo::new(7);
    let b = solo.branch(0).grow("b", 9);
    solo.certify(&b, 2, &[1, 2, 3, 4, 5]);
    solo.certify(&b, 9, &[1, 2, 3, 4, 5]);
    solo.give(&b, 1, 2);
    solo.give(&b, 2, 2);
    assert_eq!(solo.machine.haves()[0], at(2));
    let (end, certificate) = solo.machine.freeze().swap_remove(0);
    assert!(end.number >= at(2));
    let certificate = certificate.expect("a certificate");
    assert_eq!((certificate.head.number, certificate.head.hash), (end.number, end.hash));
    assert!(solo.is_good(&certificate));
}

#[test]
fn r4_what_is_missing_is_asked_for_at_once_and_then_of_all_others_in_turn() {
    let b = log(3);
    let mut solo = Solo::new(4);
    solo.machine.freeze();
    assert!(!solo.machine.is_collected());
    let mut all = asked(&solo.collect(&[(&b, 3)]));
    assert_eq!(all.len(), 1, "at once");
    all.extend(asked(&solo.run(1_000_000)));
    assert!(all.len() > 5 && all.iter().all(|ask| (ask.1, ask.2) == (1, 3)), "{all:?}");
    for (index, ask) in all.iter().enumerate() {
        assert_eq!(ask.0, [1, 2, 0][index % 3], "the sender last");
    }
    let mut other = holder(&b, 3);
    let answer = other.fetch(3, 0, 1, 3);
    solo.take_posts(&answer);
    assert!(solo.machine.is_collected());
    assert!(solo.tick().is_empty() && solo.machine.deadline().is_none());
    assert_eq!(solo.machine.haves()[0], at(0));
}

/// The one who answers knows a higher certificate only, and not all that lies below it.
#[test]
fn r4_an_answer_needs_no_certificate_for_who_knows_the_cut() {
    let mut other = Solo::new(7);
    let b = other.branch(0).grow("b", 9);
    other.certify(&b, 3, &[1, 2, 3, 4, 5]);
    other.certify(&b, 9, &[1, 2, 3, 4, 5]);
    (1..=3).for_each(|r| drop(other.give(&b, r, 3)));
    other.machine.freeze();
    let answer = other.fetch(6, 0, 1, 3);
    let mut solo = Solo::new(7);
    solo.machine.freeze();
    solo.collect(&[(&b, 3)]);
    solo.take_posts(&answer);
    assert!(solo.machine.is_collected());
}

#[test]
fn r4_numbers_above_the_overflow_are_taken_up_to_the_cut() {
    let mut solo = Solo::with(4, |config| config.genesis.limits.window_bodies = 4);
    let b = solo.branch(0).grow("b", 9);
    solo.announce(&b, 1, 9);
    assert!(!solo.holds(&b, 5), "above the overflow");
    solo.machine.freeze();
    solo.collect(&[(&b, 7)]);
    solo.announce(&b, 5, 9);
    assert!(solo.holds(&b, 7) && !solo.holds(&b, 8) && solo.machine.is_collected());
    assert_eq!(solo.close(), (1..=7).map(|r| (0, r)).collect::<Vec<_>>());
}

/// Two windows of bytes are the most there can be; the rig checks the bound at each step.
#[test]
fn r4_a_cut_of_two_full_windows_fits_and_no_cut_takes_more() {
    let change = |config: &mut crate::config::Config| {
        let limits = &mut config.genesis.limits;
        (limits.window_bodies, limits.cast_max) = (4, 1024);
        (limits.body_max, limits.window_bytes) = (1024, 4096);
        config.cast_queue_bytes = 2048;
    };
    let mut solo = Solo::with(4, change);
    let mut b = solo.branch(0);
    (0..100_u8).for_each(|index| b.write(SlotMark::None, fifo(&[index; 956])));
    solo.machine.freeze();
    solo.collect(&[(&b, 8)]);
    (1..=8).rev().for_each(|r| drop(solo.give(&b, r, 8)));
    assert!(solo.machine.is_collected());
    solo.collect(&[(&b, 100)]);
    solo.announce(&b, 1, 100);
    assert!(!solo.machine.is_collected(), "nobody correct was ever so far ahead of this one");
}

#[test]
fn r4_a_second_cut_replaces_the_first() {
    let b = log(5);
    let mut solo = holder(&b, 2);
    solo.machine.freeze();
    solo.collect(&[(&b, 5)]);
    assert!(!solo.machine.is_collected());
    assert!(solo.collect(&[(&b, 5)]).is_empty(), "the same again is no news");
    solo.collect(&[(&b, 2)]);
    assert!(solo.machine.is_collected());
    solo.collect(&[(&b, 4)]);
    assert!(!solo.machine.is_collected());
    solo.announce(&b, 3, 5);
    assert!(solo.machine.is_collected());
    assert_eq!(solo.close(), [(0, 1), (0, 2), (0, 3), (0, 4)]);
}

/// A branch that is merely signed makes way for the cut.
#[test]
fn r4_the_cut_displaces_another_branch() {
    let (a, b) = (log(5), Solo::new(4).branch(0).grow("a", 3));
    let mut solo = Solo::new(4);
    solo.announce(&a, 1, 5);
    solo.machine.freeze();
    let outs = solo.collect(&[(&b, 3)]);
    assert!(!is_alarm(&outs) && !solo.machine.is_collected());
    (1..=3).for_each(|r| drop(solo.give(&b, r, 3)));
    assert!(solo.machine.is_collected());
}

/// Liars certify more once all have flushed. It lies beyond the cut, here as everywhere.
#[test]
fn s10_what_is_certified_above_the_cut_is_not_delivered() {
    let b = log(6);
    let mut solo = holder(&b, 2);
    solo.machine.freeze();
    solo.collect(&[(&b, 2)]);
    solo.certify(&b, 6, &[0, 1, 2]);
    solo.announce(&b, 3, 6);
    assert_eq!(solo.have(0), 6);
    assert!(solo.machine.is_collected());
    assert_eq!(solo.close(), [(0, 1), (0, 2)]);
    let outs: Vec<Out> = (0..3).flat_map(|from| solo.claim(from, 0, 6)).collect();
    assert!(outs.is_empty(), "nothing follows the close: {outs:?}");
}

#[test]
fn s10_the_remainder_goes_by_rank_and_number_without_what_was_delivered() {
    let mut solo = Solo::new(4);
    let (a, b) = (solo.branch(0).grow("a", 3), solo.branch(2).grow("b", 2));
    solo.announce(&b, 1, 2);
    solo.announce(&a, 1, 3);
    solo.certify(&a, 1, &[0, 1, 2]);
    solo.claim(0, 0, 1);
    assert_eq!(delivered(&solo.claim(1, 0, 1)), [1]);
    solo.machine.freeze();
    solo.collect(&[(&a, 3), (&b, 2)]);
    assert_eq!(solo.close(), [(0, 2), (0, 3), (2, 1), (2, 2)]);
}

#[test]
fn a_cut_below_what_was_delivered_is_an_alarm_and_halts() {
    let b = log(3);
    let mut solo = holder(&b, 2);
    solo.claim(0, 0, 2);
    assert_eq!(delivered(&solo.claim(1, 0, 2)), [1, 2]);
    solo.machine.freeze();
    assert!(is_alarm(&solo.collect(&[(&b, 1)])));
    assert!(!solo.machine.is_collected());
    solo.collect(&[(&b, 2)]);
    assert!(!solo.machine.is_collected(), "it does not pass");
}

#[test]
fn haves_of_a_quorum_beyond_the_cut_are_an_alarm() {
    let b = log(3);
    let mut solo = holder(&b, 3);
    solo.machine.freeze();
    solo.collect(&[(&b, 2)]);
    solo.claim(0, 0, 3);
    let outs = solo.claim(1, 0, 3);
    assert!(is_alarm(&outs) && delivered(&outs).is_empty());
}

#[test]
fn cuts_that_conflict_with_what_is_certain_are_an_alarm() {
    let (b, other) = (log(3), Solo::new(4).branch(0).grow("x", 3));
    let mut solo = holder(&b, 3);
    solo.machine.freeze();
    assert!(is_alarm(&solo.collect(&[(&other, 2)])));
    let mut solo = Solo::new(4);
    let own = solo.branch(3).grow("stolen", 2);
    solo.machine.cast(Ticket(0), Order::Fifo, b"mine").unwrap();
    solo.tick();
    solo.machine.freeze();
    assert!(is_alarm(&solo.collect(&[(&own, 2)])), "the own log holds no such thing");
    let mut solo = Solo::at(4, 3, Some(0), |_| {});
    solo.machine.freeze();
    assert!(is_alarm(&solo.collect(&[(&b, 1)])), "a Silenced member has no log");
}

#[test]
fn what_is_collected_is_handed_out_before_and_after_the_close() {
    let b = log(3);
    let mut solo = Solo::new(4);
    solo.machine.freeze();
    solo.collect(&[(&b, 3)]);
    (1..=3).for_each(|r| drop(solo.give(&b, r, 3)));
    for _ in 0..2 {
        solo.now = solo.now.plus(1_000_000);
        let answer = solo.fetch(2, 0, 1, 3);
        assert_eq!(bodies(&answer), [1, 2, 3]);
        let mut asker = Solo::new(4);
        asker.machine.freeze();
        asker.collect(&[(&b, 3)]);
        asker.take_posts(&answer);
        assert!(asker.machine.is_collected());
        if solo.machine.is_collected() && !solo.machine.phase.is_closed() {
            solo.close();
        }
    }
    assert_eq!(solo.machine.deadline(), None);
}

/// A member with own bodies 1, 2 and 3, of which the first is certified, and a cast that waits.
fn sender() -> (Solo, Vec<crate::crypto::Head>) {
    let mut solo = Solo::with(4, |config| {
        let limits = &mut config.genesis.limits;
        (limits.cast_max, limits.body_max, limits.window_bytes) = (1024, 1024, 2048);
        config.cast_queue_bytes = 3000;
    });
    let mut heads = Vec::new();
    for ticket in 0..4_u8 {
        let order = if ticket == 1 { Order::Total } else { Order::Fifo };
        solo.machine.cast(Ticket(ticket.into()), order, &[ticket; 600]).unwrap();
    }
    for _ in 0..3 {
        heads.extend(vouched(&solo.tick()));
    }
    (solo, heads)
}

#[test]
fn own_casts_beyond_the_cut_come_first_in_the_next_view_with_ticket_and_order() {
    let (mut solo, heads) = sender();
    let top = solo.machine.logs.at(solo.me).top();
    assert!(top.number >= at(2) && !heads.is_empty());
    solo.machine.freeze();
    assert!(solo.machine.cast(Ticket(4), Order::Fifo, &[4; 600]).is_ok());
    let hash = solo.machine.logs.at(solo.me).hash_at(at(1)).unwrap();
    let legacy = solo.machine.legacy(LogEnd { number: at(1), hash });
    assert_eq!(legacy.tickets().map(|ticket| ticket.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(solo.machine.legacy(LogEnd { number: top.number, hash: top.hash }).bytes(), 0);

    let (mut next, _) = sender();
    next.machine = Solo::new(4).machine;
    next.machine.cast(Ticket(9), Order::Fifo, b"later").unwrap();
    next.machine.requeue(legacy);
    let outs = next.tick();
    let first = outs.iter().find_map(|out| match out {
        Out::Post(post) => post.casts.clone(),
        _ => None,
    });
    assert_eq!(first.unwrap().bytes.to_vec(), total(&[1; 600]), "alone, and Total as before");
    let slots = parts(&outs).into_iter().find_map(|(_, part)| match part {
        Part::Body(body) => Some(body.slot),
        _ => None,
    });
    assert_eq!(slots, Some(SlotMark::Value(Round::ZERO)));
    assert!(!outs.iter().any(|out| matches!(out, Out::Writable)));
}

#[test]
fn a_queue_over_its_limit_takes_nothing_new_and_tells_when_it_does_again() {
    let (mut solo, _) = sender();
    solo.machine.freeze();
    let mut ticket = 10;
    while solo.machine.cast(Ticket(ticket), Order::Fifo, &[0; 600]).is_ok() {
        ticket += 1;
    }
    let legacy = solo.machine.legacy(LogEnd::EMPTY);
    let count = legacy.tickets().count();
    let mut fresh = Solo::with(4, |config| {
        let limits = &mut config.genesis.limits;
        (limits.cast_max, limits.body_max, limits.window_bytes) = (1024, 1024, 2048);
        config.cast_queue_bytes = 3000;
    });
    fresh.machine.requeue(legacy);
    assert!(fresh.machine.held_bytes() > 3000, "over its limit");
    assert_eq!(fresh.machine.cast(Ticket(99), Order::Fifo, b"x"), Err(Refusal::Full));
    let (mut sent, mut is_told) = (0, false);
    for _ in 0..20 {
        let outs = fresh.tick();
        is_told |= outs.iter().any(|out| matches!(out, Out::Writable));
        for head in vouched(&outs) {
            sent = head.number.value();
            for peer in [0, 1] {
                fresh.hear(peer, head);
                fresh.claim(peer, 3, sent);
            }
            fresh.step(In::Threshold(Rank::new(3), head.number));
        }
    }
    assert_eq!((sent, is_told), (count as u64, true));
}
