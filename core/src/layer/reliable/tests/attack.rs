//! Schedules of lying senders and unlucky networks, each found by looking for it.

use alloc::vec;
use alloc::vec::Vec;

use super::rig::{Solo, at, bodies, delivered, fifo, is_alarm, parts, total, vouched};
use crate::input::{Order, Ticket};
use crate::layer::To;
use crate::layer::reliable::{In, Out};
use crate::member::Rank;
use crate::seq::{Round, SlotMark};
use crate::view::Pattern;
use crate::wire::Part;

/// A sender signs (5, A) and (7, B) and nothing of 6: votes for B are none for A.
#[test]
fn votes_across_a_gap_certify_nothing() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 5);
    let b = solo.branch(0).grow("b", 7);
    solo.announce(&a, 1, 5);
    assert_eq!(vouched(&solo.tick()), [a.head(5)]);
    solo.hear(0, b.head(7));
    let outs = solo.hear(1, b.head(7));
    assert_eq!((solo.have(0), delivered(&outs)), (0, vec![]));
    solo.hear(2, b.head(7));
    assert_eq!(solo.have(0), 0);
}

/// What the sender signed last is on a branch that another certificate rules out.
#[test]
fn a_head_that_is_merely_signed_displaces_nothing_certified() {
    let mut solo = Solo::new(7);
    let a = solo.branch(0).grow("a", 5);
    let b = solo.branch(0).grow("b", 7);
    solo.hear(0, a.head(5));
    solo.certify(&b, 7, &[1, 2, 3, 4, 5]);
    solo.give(&b, 7, 7);
    solo.give(&b, 6, 7);
    assert!(solo.holds(&b, 6));
    solo.give(&a, 5, 5);
    assert!(solo.holds(&b, 6) && !solo.holds(&a, 5));
    for r in 1..=5 {
        solo.give(&b, r, 7);
    }
    assert_eq!(solo.have(0), 7);
}

/// A correct member never replies off the chain that it replied to, but by a certificate.
#[test]
fn a_fork_below_a_certificate_gets_no_second_reply() {
    let mut solo = Solo::new(7);
    let a = solo.branch(0).grow("a", 5);
    let b = solo.branch(0).grow("b", 7);
    solo.announce(&b, 1, 4);
    assert_eq!(vouched(&solo.tick()), [b.head(4)]);
    solo.certify(&b, 7, &[1, 2, 3, 4, 5]);
    solo.announce(&a, 1, 5);
    assert_eq!(vouched(&solo.tick()), []);
    for r in 5..=7 {
        solo.give(&b, r, 7);
    }
    assert_eq!((solo.have(0), vouched(&solo.tick())), (7, vec![]), "certified: no reply needed");
}

/// A certificate drops what is in doubt, the replied chain with it: that chain stays the one replied to.
#[test]
fn what_was_replied_to_is_not_forgotten_with_its_cells() {
    let mut solo = Solo::new(7);
    let a = solo.branch(0).grow("a", 7);
    let x = solo.branch(0).grow("x", 6);
    let c = solo.branch(0).grow("c", 5);
    solo.announce(&a, 1, 4);
    assert_eq!(vouched(&solo.tick()), [a.head(4)]);
    solo.hear(0, x.head(6));
    solo.certify(&a, 6, &[1, 2, 3, 4, 5]);
    solo.hear(0, c.head(5));
    solo.announce(&c, 1, 5);
    assert_eq!(vouched(&solo.tick()), []);
    for r in 1..=6 {
        solo.give(&a, r, 6);
    }
    assert_eq!((solo.have(0), vouched(&solo.tick())), (6, vec![]));
}

/// One liar must not be able to make a correct member believe that more than `f` lie.
#[test]
fn a_signed_body_in_the_gap_below_a_certificate_is_no_alarm() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 9);
    let a = solo.branch(0).grow("a", 6);
    solo.announce(&b, 1, 5);
    solo.hear(1, b.head(5));
    solo.tick();
    assert_eq!(solo.have(0), 5);
    solo.certify(&b, 9, &[0, 1, 2]);
    let mut outs = solo.hear(0, a.head(6));
    outs.extend(solo.give(&a, 6, 6));
    assert!(!is_alarm(&outs));
    for r in 6..=9 {
        solo.give(&b, r, 9);
    }
    assert_eq!(solo.have(0), 9);
}

/// Two certificates that conflict are an alarm, whichever way the second one shows.
#[test]
fn conflicting_certificates_are_an_alarm_also_across_a_gap() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 3);
    let b = solo.branch(0).grow("b", 5);
    solo.certify(&a, 3, &[0, 1, 2]);
    let mut outs = solo.certify(&b, 5, &[0, 1, 2]);
    assert!(!is_alarm(&outs), "heads at different numbers may well be on one chain");
    for r in (3..=5).rev() {
        outs.extend(solo.give(&b, r, 5));
    }
    assert!(is_alarm(&outs));
    outs.extend(solo.claim(1, 0, 5));
    assert_eq!(delivered(&outs), [] as [u64; 0], "nothing is delivered any more");
}

/// The asker is on a longer branch that is not certified: it asks past what is.
#[test]
fn a_shorter_certificate_is_handed_to_who_asks_past_it() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 3);
    solo.announce(&b, 1, 3);
    solo.hear(1, b.head(3));
    solo.tick();
    assert_eq!(solo.have(0), 3);
    let outs = solo.fetch(1, 0, 6, 5);
    let posted = parts(&outs);
    let [(To::One(peer), Part::Certificate(certificate))] = posted[..] else {
        panic!("{posted:?}");
    };
    assert_eq!((peer, certificate.head), (Rank::new(1), b.head(3)));
    assert!(solo.is_good(&certificate.clone()));
}

/// A member holds a long branch to itself and is cured by a short certificate.
#[test]
fn a_short_certificate_replaces_a_longer_branch() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 5);
    let b = solo.branch(0).grow("b", 3);
    solo.announce(&a, 1, 5);
    solo.tick();
    solo.certify(&b, 3, &[0, 1, 2]);
    for r in 1..=3 {
        solo.give(&b, r, 3);
    }
    assert_eq!(solo.have(0), 3);
    let outs: Vec<Out> =
        [1, 2, 3].map(|from| solo.claim(from, 0, 3)).into_iter().flatten().collect();
    assert_eq!(delivered(&outs), [1, 2, 3]);
    assert_eq!(vouched(&solo.tick()), [], "there are own entries up to 5 already");
}

/// Bodies above the last certificate are covered by what their sender signed.
#[test]
fn an_uncertified_hole_is_filled_by_one_answer() {
    let mut holder = Solo::new(4);
    let b = holder.branch(0).grow("b", 6);
    holder.announce(&b, 1, 2);
    holder.hear(1, b.head(2));
    holder.tick();
    holder.announce(&b, 3, 6);
    let outs = holder.fetch(1, 0, 3, 6);
    assert_eq!(bodies(&outs), [3, 4, 5, 6]);
    let posted = parts(&outs);
    let covers =
        |part: &Part| matches!(part, Part::Heads(heads) if heads.statement.entries[0] == b.head(6));
    assert!(posted.iter().any(|(_, part)| covers(part)), "{posted:?}");
    let first = posted.iter().find_map(|(_, part)| match part {
        Part::Body(body) => Some(body.links.to_vec()),
        _ => None,
    });
    assert_eq!(first, Some(b.links(3, 6)));
}

/// The window of bytes is full of bodies above the one that is missing.
#[test]
fn a_lower_body_displaces_higher_ones_when_bytes_run_out() {
    let mut solo = Solo::with(4, |config| {
        let limits = &mut config.genesis.limits;
        (limits.cast_max, limits.body_max, limits.window_bytes) = (1024, 1024, 2048);
    });
    let mut b = solo.branch(0);
    (0..4_u8).for_each(|index| b.write(SlotMark::None, fifo(&[index; 900])));
    solo.hear(0, b.head(4));
    for r in [4, 3, 1, 2] {
        solo.give(&b, r, 4);
    }
    assert!(solo.holds(&b, 1) && solo.holds(&b, 2));
    assert!(solo.machine.held_bytes() <= 2048);
    assert_eq!(vouched(&solo.tick()), [b.head(2)]);
}

/// The sender may always write a null; whoever follows it must be able to take it.
#[test]
fn an_empty_body_fits_beside_one_that_is_larger_than_the_window() {
    let mut solo = Solo::with(4, |config| {
        let limits = &mut config.genesis.limits;
        (limits.cast_max, limits.body_max, limits.window_bytes) = (4096, 1024, 1024);
    });
    let mut b = solo.branch(0);
    b.write(SlotMark::Value(Round::ZERO), total(&[1; 4000]));
    b.write(SlotMark::Null(Round::new(1)), Vec::new());
    solo.announce(&b, 1, 2);
    assert!(solo.holds(&b, 2));
}

/// One body was lost while everybody else is busy.
#[test]
fn progress_of_others_does_not_silence_what_is_owed() {
    let mut solo = Solo::new(4);
    solo.machine.cast(Ticket(1), Order::Fifo, b"lost").unwrap();
    assert_eq!(bodies(&solo.tick()), [1]);
    let busy = solo.branch(1).grow("b", 60);
    let mut again = 0;
    for r in 1..=60 {
        solo.announce(&busy, r, r);
        solo.hear(0, busy.head(r));
        let mut outs = solo.run(10_000);
        outs.extend(solo.claim(0, 1, r));
        outs.extend(solo.claim(1, 1, r));
        assert_eq!(delivered(&outs), [r]);
        solo.step(In::Threshold(Rank::new(1), at(r)));
        again += bodies(&outs).len();
    }
    assert!(again >= 3, "the body goes out again to each of the others");
}

/// Bodies come over a slow link; the votes of others for later ones are always here first.
#[test]
fn votes_that_run_ahead_of_their_bodies_still_certify() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 20);
    for r in 1..=15 {
        solo.hear(1, b.head(r + 3));
        solo.hear(2, b.head(r + 3));
        solo.announce(&b, r, r);
        solo.tick();
    }
    assert!(solo.have(0) >= 8, "{}", solo.have(0));
}

/// The certificate here is further than what the one who answers knows.
#[test]
fn a_lower_certificate_covers_bodies_too() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 9);
    solo.certify(&b, 9, &[0, 1, 2]);
    solo.certify(&b, 7, &[0, 1, 2]);
    for r in 1..=7 {
        solo.give(&b, r, 7);
    }
    assert!((1..=7).all(|r| solo.holds(&b, r)));
    solo.give(&b, 8, 9);
    solo.give(&b, 9, 9);
    assert_eq!(solo.have(0), 9);
}

/// Empty bodies and certificates cost their receiver nothing to ask for.
#[test]
fn what_one_peer_is_handed_is_bounded_also_if_it_is_empty() {
    let mut solo = Solo::new(4);
    let mut b = solo.branch(0);
    (0..60).for_each(|round| b.write(SlotMark::Null(Round::new(round)), Vec::new()));
    solo.announce(&b, 1, 60);
    solo.hear(1, b.head(60));
    solo.tick();
    assert_eq!(solo.have(0), 60);
    let mut posts = 0;
    for _ in 0..1_000 {
        posts += solo.fetch(1, 0, 1, 60).len();
    }
    assert!((60..6_000).contains(&posts), "{posts}");
    assert!(!solo.fetch(2, 0, 1, 60).is_empty(), "another peer has its own budget");
    let asked: usize = (0..10_000).map(|_| solo.fetch(2, 0, 61, 60).len()).sum();
    assert!(asked < 6_000, "{asked}");
}

/// More than `f` liars certify what this member never wrote: its own numbers are not used again.
#[test]
fn a_certificate_off_the_own_log_is_an_alarm_and_changes_nothing() {
    let mut solo = Solo::new(4);
    solo.machine.cast(Ticket(1), Order::Fifo, b"mine").unwrap();
    let mine = vouched(&solo.tick())[0];
    let forged = solo.branch(3).grow("x", 2);
    let outs = solo.certify(&forged, 2, &[0, 1, 2]);
    assert!(is_alarm(&outs));
    assert_eq!(solo.machine.logs.at(solo.me).top(), mine);
    solo.machine.cast(Ticket(2), Order::Fifo, b"more").unwrap();
    assert!(
        vouched(&solo.run(10_000_000)).iter().all(|head| head.number != at(1) || *head == mine)
    );
}

/// Replies of pattern Paper go to one member, haves must go to all.
#[test]
fn haves_reach_all_in_pattern_paper_also_when_a_reply_goes_out() {
    let mut solo = Solo::with(4, |config| config.genesis.pattern = Pattern::Paper);
    let b = solo.branch(0).grow("b", 2);
    solo.announce(&b, 1, 1);
    solo.tick();
    solo.certify(&b, 1, &[0, 1, 2]);
    solo.announce(&b, 2, 2);
    let outs = solo.tick();
    assert_eq!(vouched(&outs), [b.head(2)]);
    assert!(outs.iter().any(|out| matches!(out, Out::TellHaves)));
}
