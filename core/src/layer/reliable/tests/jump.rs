//! A Silenced member that lacks what is stable and gone, one sentence after the other.

use alloc::vec;

use super::rig::{Branch, Solo, at, delivered, fifo, is_alarm, total, vouched};
use crate::layer::reliable::{In, Out};
use crate::member::Rank;
use crate::seq::{Round, SlotMark};

fn is_overtaken(outs: &[Out]) -> bool {
    outs.iter().any(|out| matches!(out, Out::Overtaken))
}

/// The others hold the log of member 0 up to `r`; this member of four knows that it is stable up to
/// `stable`, and time passes. Returns whether it jumped.
fn leave_behind(solo: &mut Solo, r: u64, stable: u64) -> bool {
    (0..3).for_each(|from| drop(solo.claim(from, 0, r)));
    solo.step(In::Threshold(Rank::new(0), at(stable)));
    is_overtaken(&solo.run(5_000_000))
}

/// A Silenced member of four that holds two bodies, certified, and the log of member 0.
fn silenced(log: u64) -> (Solo, Branch) {
    let mut solo = Solo::at(4, 3, Some(3), |_| {});
    let b = solo.branch(0).grow("b", log);
    solo.announce(&b, 1, 2);
    solo.hear(1, b.head(2));
    solo.tick();
    assert_eq!(solo.have(0), 2);
    (solo, b)
}

#[test]
fn section_8_what_is_stable_counts_as_held_once_its_hash_is_certified() {
    let (mut solo, b) = silenced(12);
    assert!(leave_behind(&mut solo, 10, 10));
    assert_eq!(solo.have(0), 2, "the hash there is not known yet");
    solo.certify(&b, 10, &[0, 1, 2]);
    assert_eq!(
        (solo.have(0), solo.machine.haves()[0], solo.machine.rows()[0]),
        (10, at(10), at(10))
    );
    // Its reply and its have count as before.
    solo.announce(&b, 11, 11);
    assert_eq!(vouched(&solo.tick()), [b.head(11)]);
    solo.hear(1, b.head(11));
    solo.tick();
    assert_eq!(solo.machine.haves()[0], at(11));
    (0..3).for_each(|from| {
        assert_eq!(delivered(&solo.claim(from, 0, 11)), [], "it delivers nothing")
    });
    assert_eq!(solo.machine.rows()[0], at(11), "and holds no window back");
}

#[test]
fn section_8_a_certified_body_above_names_the_hash() {
    let (mut solo, b) = silenced(12);
    assert!(leave_behind(&mut solo, 12, 10));
    solo.certify(&b, 12, &[0, 1, 2]);
    assert_eq!(solo.have(0), 2);
    solo.give(&b, 12, 12);
    solo.give(&b, 11, 12);
    assert_eq!(solo.have(0), 12);
    let (end, certificate) = solo.machine.freeze().swap_remove(0);
    assert_eq!((end.number, end.hash), (at(12), b.head(12).hash));
    assert!(solo.is_good(&certificate.expect("the cut is covered")));
}

#[test]
fn section_8_what_its_sender_alone_says_tells_no_hash() {
    let (mut solo, b) = silenced(12);
    let other = b.fork(9).grow("other", 3);
    assert!(leave_behind(&mut solo, 10, 10));
    solo.announce(&other, 11, 11);
    assert_eq!((vouched(&solo.run(1_000_000)), solo.have(0)), (vec![], 2));
    solo.certify(&b, 12, &[0, 1, 2]);
    solo.give(&b, 11, 12);
    solo.give(&b, 12, 12);
    assert_eq!(solo.have(0), 12, "the certified branch displaces it");
}

#[test]
fn section_8_who_is_active_or_can_still_get_it_does_not_jump() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 12);
    solo.announce(&b, 1, 2);
    assert!(!leave_behind(&mut solo, 10, 2), "everybody waits for an Active member");

    let (mut solo, b) = silenced(12);
    assert!(!leave_behind(&mut solo, 10, 2), "what is not stable is held by somebody");
    solo.certify(&b, 10, &[0, 1, 2]);
    solo.step(In::Threshold(Rank::new(0), at(10)));
    for r in 3..=10 {
        solo.give(&b, r, 10);
        assert!(!is_overtaken(&solo.run(150_000)), "as long as something comes");
    }
    assert!(!is_overtaken(&solo.run(5_000_000)));
    assert_eq!(solo.have(0), 10);
}

#[test]
fn section_8_a_jump_costs_nothing_however_far_and_there_may_be_another() {
    let (mut solo, b) = silenced(2);
    solo.announce(&b.fork(0).grow("junk", 60), 3, 60);
    let far = 1 << 40;
    assert!(leave_behind(&mut solo, far, far));
    assert_eq!(solo.machine.held_bytes(), 0);
    assert!(leave_behind(&mut solo, 2 * far, 2 * far), "before it knew where it was");
    assert_eq!((solo.have(0), solo.machine.haves()[0]), (2, at(2)));
}

#[test]
fn section_8_the_first_slot_above_is_taken_as_it_stands_and_those_after_it_are_judged() {
    let (mut solo, mut b) = silenced(10);
    b.write(SlotMark::Value(Round::new(5_000)), total(b"far"));
    b.write(SlotMark::None, fifo(b"any"));
    b.write(SlotMark::Value(Round::new(5_000)), total(b"again"));
    assert!(leave_behind(&mut solo, 10, 10));
    solo.certify(&b, 10, &[0, 1, 2]);
    solo.announce(&b, 11, 12);
    assert_eq!(vouched(&solo.tick()), [b.head(12)]);
    let outs = solo.announce(&b, 13, 13);
    assert!(outs.iter().any(|out| matches!(out, Out::Illegal(_))));
    assert_eq!(vouched(&solo.tick()), []);
}

#[test]
fn section_8_a_reply_on_a_branch_that_lost_gives_way() {
    let (mut solo, b) = silenced(12);
    let other = b.fork(2).grow("other", 2);
    solo.announce(&other, 3, 4);
    assert_eq!(vouched(&solo.tick()), [other.head(4)]);
    assert!(leave_behind(&mut solo, 10, 10));
    let outs = solo.certify(&b, 10, &[0, 1, 2]);
    assert!(!is_alarm(&outs) && solo.have(0) == 10);
    solo.announce(&b, 11, 11);
    assert_eq!(vouched(&solo.tick()), [b.head(11)]);
}

#[test]
fn section_8_the_cut_is_collected_and_closed_though_its_beginning_is_gone() {
    let (mut solo, b) = silenced(12);
    solo.machine.freeze();
    solo.collect(&[(&b, 12)]);
    assert!(leave_behind(&mut solo, 12, 10));
    assert!(!solo.machine.is_collected());
    solo.give(&b, 12, 12);
    solo.give(&b, 11, 12);
    assert!(solo.machine.is_collected());
    assert_eq!(solo.machine.haves()[0], at(2), "what was told stays");
    assert_eq!(solo.close(), [], "for its votes, not for its deliveries");
}

#[test]
fn section_8_what_was_jumped_over_is_not_taken_even_before_the_hash_is_known() {
    let (mut solo, b) = silenced(12);
    assert!(leave_behind(&mut solo, 12, 10));
    solo.certify(&b, 12, &[0, 1, 2]);
    let wants = |solo: &Solo, r| solo.machine.logs.at(Rank::new(0)).wants_body(at(r), at(20));
    let wanted = [3, 9, 10, 11, 12].map(|r| wants(&solo, r));
    assert_eq!(wanted, [false, false, false, true, true], "it would take the place of those above");
}
