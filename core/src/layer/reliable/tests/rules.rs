//! RM1 to RM8 of protocol.md section 4, one after the other.

use alloc::vec;
use alloc::vec::Vec;

use super::rig::{Solo, at, bodies, delivered, is_alarm, parts, proofs, total, vouched};
use crate::config::Timeouts;
use crate::fault::FaultKind;
use crate::layer::To;
use crate::layer::reliable::{In, Out};
use crate::member::Rank;
use crate::seq::{Round, SlotMark};
use crate::view::Pattern;
use crate::wire::Part;

#[test]
fn rm1_a_body_is_taken_only_under_a_head_that_is_signed_or_certified() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 3);
    solo.give(&b, 1, 1);
    solo.give(&b, 1, 3);
    assert!(!solo.holds(&b, 1), "nobody vouches for it");
    solo.hear(1, b.head(3));
    solo.give(&b, 1, 3);
    assert!(!solo.holds(&b, 1), "only another member's reply vouches for it");
    solo.hear(0, b.head(3));
    solo.give(&b, 1, 3);
    assert!(solo.holds(&b, 1));
    solo.give(&b, 2, 2);
    assert!(solo.holds(&b, 2), "its hash is known from the links of the first");

    let mut solo = Solo::new(4);
    solo.certify(&b, 2, &[0, 1, 2]);
    solo.give(&b, 1, 2);
    assert!(solo.holds(&b, 1));
}

#[test]
fn rm1_one_branch_is_kept_until_another_is_certified() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 3);
    let b = a.fork(1).grow("b", 3);
    solo.announce(&a, 1, 3);
    solo.announce(&b, 2, 4);
    assert!(solo.holds(&a, 2) && !solo.holds(&b, 2));
    solo.certify(&b, 4, &[0, 1, 2]);
    (1..=4).for_each(|r| drop(solo.give(&b, r, 4)));
    assert!(solo.holds(&b, 2) && solo.holds(&b, 4));
    assert_eq!(solo.have(0), 4);
}

#[test]
fn rm1_slots_that_fall_or_jump_too_far_are_illegal_and_get_no_reply() {
    let window = crate::Limits::default().slot_window;
    let value = |round| SlotMark::Value(Round::new(round));
    // Rounds count from 0, and -1 comes before the first.
    for (first, second) in [(0, 0), (5, 4), (0, window + 1), (window, 0)] {
        let mut solo = Solo::new(4);
        let mut b = solo.branch(0);
        b.write(value(first), total(b"first"));
        b.write(value(second), total(b"second"));
        let outs = solo.announce(&b, 1, 2);
        let illegal = outs.iter().filter(|out| matches!(out, Out::Illegal(_)));
        assert_eq!(illegal.count(), 1, "{first} {second}");
        let legal = u64::from(first < window);
        let replies = vouched(&solo.tick());
        assert_eq!(replies.len() as u64, legal, "{first} {second}: the legal part gets its reply");
    }
    let mut solo = Solo::new(4);
    let mut b = solo.branch(0);
    b.write(value(window - 1), total(b"first"));
    b.write(value(2 * window - 1), total(b"second"));
    solo.announce(&b, 1, 2);
    assert_eq!(vouched(&solo.tick()), [b.head(2)], "each as far as may be");
}

#[test]
fn rm2_a_reply_needs_every_payload_below() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 3);
    solo.hear(0, b.head(3));
    solo.give(&b, 1, 3);
    solo.give(&b, 3, 3);
    assert_eq!(vouched(&solo.tick()), [b.head(1)]);
    solo.give(&b, 2, 3);
    assert_eq!(vouched(&solo.tick()), [b.head(3)], "one reply covers the prefix");
    assert_eq!(vouched(&solo.tick()), []);
}

#[test]
fn rm2_replies_to_all_senders_go_into_one_statement_to_all() {
    let mut solo = Solo::new(4);
    let logs = [0, 1, 2].map(|sender| solo.branch(sender).grow("b", 2));
    for b in &logs {
        solo.announce(b, 1, 2);
    }
    let outs = solo.tick();
    assert_eq!(vouched(&outs), logs.clone().map(|b| b.head(2)));
    assert!(matches!(parts(&outs)[..], [(To::All, Part::Heads(_))]), "{outs:?}");
}

#[test]
fn rm2_nothing_is_ever_said_twice_at_one_number() {
    let mut solo = Solo::new(7);
    let a = solo.branch(0).grow("a", 5);
    let b = solo.branch(0).grow("b", 8);
    let mut said = Vec::new();
    solo.announce(&a, 1, 5);
    said.extend(vouched(&solo.tick()));
    solo.certify(&b, 3, &[1, 2, 3, 4, 5]);
    for r in 1..=8 {
        solo.hear(0, b.head(r));
        solo.give(&b, r, r.max(3));
        said.extend(vouched(&solo.tick()));
    }
    assert_eq!(
        said,
        [a.head(5), b.head(6), b.head(7), b.head(8)],
        "4 and 5 are below an own entry"
    );
}

#[test]
fn rm2_what_is_not_quorum_held_is_repeated_with_back_off_and_then_no_more() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 1);
    solo.announce(&b, 1, 1);
    solo.tick();
    let again = |outs: &[Out]| vouched(outs).len();
    let (first, later) = (solo.run(1_000_000), solo.run(10_000_000));
    assert!(first.iter().chain(&later).all(|out| !matches!(out, Out::Deliver(..))));
    assert!((2..=4).contains(&again(&first)), "{}", again(&first));
    assert!((4..=8).contains(&again(&later)), "{}", again(&later));
    solo.hear(0, b.head(1));
    solo.hear(1, b.head(1));
    solo.claim(0, 0, 1);
    assert_eq!(delivered(&solo.claim(1, 0, 1)), [1]);
    assert_eq!(again(&solo.run(10_000_000)), 0);
    assert_eq!(solo.machine.deadline(), None, "nothing is owed");
}

#[test]
fn rm3_a_quorum_certifies_and_less_does_not() {
    for n in 2..=13_u8 {
        let mut solo = Solo::new(n);
        let q = solo.quorum();
        let b = solo.branch(0).grow("b", 2);
        solo.announce(&b, 1, 2);
        solo.tick();
        // The sender and this member have spoken.
        for signer in 1..q.saturating_sub(2) {
            assert_eq!(solo.have(0), 0, "n = {n}");
            solo.hear(u16::try_from(signer).unwrap(), b.head(2));
        }
        let last = u16::try_from(q - 2).unwrap();
        if q > 2 {
            assert_eq!(solo.have(0), 0, "n = {n}");
            solo.hear(last, b.head(2));
        }
        assert_eq!(solo.have(0), 2, "n = {n}");
        (1..u16::from(n) - 1).for_each(|signer| drop(solo.hear(signer, b.head(2))));
        let certificate = solo.machine.certificate(Rank::new(0), at(2)).expect("a certificate");
        assert_eq!(certificate.heads.len(), q, "all have spoken, but no more is needed");
        assert!(solo.is_good(&certificate), "n = {n}");
    }
}

#[test]
fn rm3_votes_above_certify_what_is_below_them() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 5);
    solo.announce(&b, 1, 5);
    solo.hear(1, b.head(3));
    solo.hear(2, b.head(4));
    assert_eq!(solo.have(0), 3, "by the sender at 5 and two others");
    let certificate = solo.machine.certificate(Rank::new(0), at(3)).expect("a certificate");
    assert_eq!(certificate.links.to_vec(), b.links(3, 5));
    assert!(solo.is_good(&certificate));
    solo.tick();
    assert_eq!(solo.have(0), 4);
}

#[test]
fn rm4_have_never_jumps_a_hole_and_never_falls() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 5);
    solo.certify(&b, 5, &[0, 1, 2]);
    for (r, have) in [(5, 0), (4, 0), (1, 1), (3, 1), (2, 5)] {
        solo.give(&b, r, 5);
        assert_eq!(solo.have(0), have, "after body {r}");
    }
    let a = solo.branch(0).grow("a", 5);
    solo.announce(&a, 1, 5);
    assert_eq!(solo.have(0), 5);
}

#[test]
fn rm4_haves_are_told_at_once_when_idle() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 1);
    solo.announce(&b, 1, 1);
    solo.tick();
    solo.hear(1, b.head(1));
    assert_eq!(solo.machine.deadline(), Some(solo.now));
    let outs = solo.tick();
    assert!(matches!(outs[..], [Out::TellHaves]), "{outs:?}");
}

#[test]
fn rm5_a_body_is_delivered_once_a_quorum_holds_it() {
    let mut solo = Solo::new(4);
    let b = solo.branch(0).grow("b", 3);
    assert_eq!(delivered(&solo.claim(0, 0, 9)), []);
    assert_eq!(delivered(&solo.claim(1, 0, 2)), [], "what is not here is not delivered");
    solo.announce(&b, 1, 3);
    solo.hear(1, b.head(3));
    let outs = solo.tick();
    assert_eq!((solo.have(0), delivered(&outs)), (3, vec![1, 2]), "0, 1 and this member hold 2");
    assert_eq!(delivered(&solo.claim(1, 0, 2)), []);
    assert_eq!(delivered(&solo.claim(1, 0, 1)), [], "haves never fall");
    assert_eq!(delivered(&solo.claim(2, 0, 3)), [3]);
}

#[test]
fn rm5_claims_of_liars_alone_deliver_nothing() {
    let mut solo = Solo::new(7);
    let b = solo.branch(0).grow("b", 1);
    solo.announce(&b, 1, 1);
    solo.certify(&b, 1, &[1, 2, 3, 4, 5]);
    let outs: Vec<Out> = [0, 1].map(|liar| solo.claim(liar, 0, 1)).into_iter().flatten().collect();
    assert_eq!(delivered(&outs), [], "two of seven may lie: q = 5 holders are needed");
    solo.claim(2, 0, 1);
    assert_eq!(delivered(&solo.claim(3, 0, 1)), [1]);
}

#[test]
fn rm6_what_is_missing_is_fetched_round_robin_from_who_says_to_hold_it() {
    let mut solo = Solo::new(7);
    let b = solo.branch(0).grow("b", 2);
    solo.claim(2, 0, 2);
    solo.claim(4, 0, 2);
    solo.tick();
    let mut asked = Vec::new();
    for (to, part) in parts(&solo.run(5_000_000)) {
        let Part::Fetch { sender, from, to: last } = part else { panic!("{part:?}") };
        if from > last {
            continue; // The certificate, too: what is held may be on another branch.
        }
        assert_eq!((*sender, *from, *last), (Rank::new(0), at(1), at(2)));
        let To::One(peer) = to else { panic!("one at a time") };
        asked.push(peer.value());
    }
    assert!(asked.len() >= 4, "{asked:?}");
    for (index, peer) in asked.iter().enumerate() {
        assert_eq!(*peer, asked[index % 3], "{asked:?}");
    }
    let mut three = asked[..3].to_vec();
    three.sort_unstable();
    assert_eq!(three, [0, 2, 4], "the sender itself may always have it");
    solo.certify(&b, 2, &[1, 2, 3, 4, 5]);
    solo.give(&b, 1, 2);
    solo.give(&b, 2, 2);
    assert!(
        !parts(&solo.run(5_000_000)).iter().any(|(_, part)| matches!(part, Part::Fetch { .. }))
    );
}

#[test]
fn rm6_others_are_not_asked_for_what_its_sender_brings_for_half_a_slot_at_most() {
    let timeouts = Timeouts::default();
    let is_fetch = |(_, part): &(To, &Part)| matches!(part, Part::Fetch { .. });
    for brings in [false, true] {
        let mut solo = Solo::new(7);
        solo.claim(2, 0, 2);
        solo.tick();
        let began = solo.now;
        while !parts(&solo.run(10_000)).iter().any(is_fetch) {
            assert!(solo.now.since(began) < timeouts.slot_us, "it is asked for in the end");
            if brings {
                solo.machine.on_piece(solo.now, Rank::new(0));
            }
            solo.machine.on_piece(solo.now, Rank::new(1));
        }
        let waited = solo.now.since(began);
        let (least, most) = match brings {
            false => (timeouts.fetch_us, timeouts.fetch_us + 20_000),
            true => (timeouts.slot_us / 2, timeouts.slot_us / 2 + timeouts.fetch_us + 20_000),
        };
        assert!((least..most).contains(&waited), "{brings}: {waited} us");
    }
}

#[test]
fn rm6_an_answer_proves_itself_to_who_knows_nothing() {
    let mut holder = Solo::new(4);
    let b = holder.branch(0).grow("b", 5);
    holder.announce(&b, 1, 5);
    holder.hear(1, b.head(5));
    holder.tick();
    assert_eq!(holder.have(0), 5);
    let mut asker = Solo::new(4);
    let answer = holder.fetch(2, 0, 1, 5);
    assert_eq!(bodies(&answer), [1, 2, 3, 4, 5]);
    asker.take_posts(&answer);
    assert_eq!(asker.have(0), 5);
}

#[test]
fn rm6_answers_are_bounded_in_bytes_and_go_on_later() {
    let mut solo = Solo::new(4);
    let mut b = solo.branch(0);
    (0..8_u8).for_each(|index| b.write(SlotMark::None, super::rig::fifo(&[index; 250_000])));
    solo.announce(&b, 1, 8);
    let all = bodies(&solo.fetch(1, 0, 1, 8));
    assert_eq!(all.len(), 8);
    // A window of 4 MiB in all.
    let more: usize = (0..4).map(|_| bodies(&solo.fetch(1, 0, 1, 8)).len()).sum();
    assert!((7..=9).contains(&more), "{more}");
    assert_eq!(bodies(&solo.fetch(1, 0, 1, 8)), []);
    solo.run(150_000);
    assert_eq!(bodies(&solo.fetch(1, 0, 1, 8)), all);
}

#[test]
fn rm7_two_heads_at_one_number_are_a_proof_of_sender_or_replier() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 2);
    let b = solo.branch(0).grow("b", 2);
    solo.hear(0, a.head(2));
    let outs = solo.hear(0, b.head(2));
    let found = proofs(&solo, &outs);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].culprit(), found[0].kind()), (Rank::new(0), FaultKind::MutantMessage));
    solo.hear(1, a.head(2));
    let outs = solo.hear(1, b.head(2));
    let found = proofs(&solo, &outs);
    assert_eq!((found[0].culprit(), found[0].kind()), (Rank::new(1), FaultKind::TwoReplies));
}

#[test]
fn rm7_two_signed_branches_that_part_are_a_proof_though_their_numbers_differ() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 5);
    let b = a.fork(2).grow("b", 5);
    solo.announce(&a, 1, 5);
    let outs = solo.announce(&b, 1, 7);
    let found = proofs(&solo, &outs);
    assert_eq!(found.len(), 1, "said once");
    assert_eq!((found[0].culprit(), found[0].kind()), (Rank::new(0), FaultKind::MutantMessage));
    let outs = solo.announce_again(&b);
    assert_eq!(proofs(&solo, &outs), []);
}

#[test]
fn rm7_replies_on_two_branches_at_different_numbers_are_no_proof() {
    let mut solo = Solo::new(4);
    let a = solo.branch(0).grow("a", 5);
    let b = solo.branch(0).grow("b", 7);
    let mut outs = solo.announce(&a, 1, 5);
    outs.extend(solo.hear(1, a.head(4)));
    outs.extend(solo.hear(1, b.head(6)));
    outs.extend(solo.hear(2, b.head(3)));
    assert!(proofs(&solo, &outs).is_empty());
}

#[test]
fn rm7_the_halves_of_an_equivocation_meet() {
    for pattern in [Pattern::Swift, Pattern::Paper] {
        let mut solo = Solo::with(4, |config| config.genesis.pattern = pattern);
        let a = solo.branch(0).grow("a", 1);
        let b = solo.branch(0).grow("b", 1);
        solo.announce(&a, 1, 1);
        let outs = solo.hear(1, b.head(1));
        assert!(proofs(&solo, &outs).is_empty(), "member 1 may well have been lied to");
        let posted = parts(&outs);
        let [(To::All, Part::Heads(shown))] = posted[..] else { panic!("{posted:?}") };
        assert_eq!((shown.signer, shown.statement.entries[0]), (Rank::new(0), a.head(1)));
        assert_eq!(parts(&solo.hear(2, b.head(1))), [], "once is enough");
    }
}

#[test]
fn rm8_nothing_above_the_overflow_is_taken() {
    let mut solo = Solo::with(4, |config| config.genesis.limits.window_bodies = 4);
    let b = solo.branch(0).grow("b", 6);
    assert_eq!(solo.machine.overflow(Rank::new(0)), at(4));
    solo.announce(&b, 1, 6);
    assert!(solo.holds(&b, 4) && !solo.holds(&b, 5), "the head above covers what is inside");
    solo.step(In::Threshold(Rank::new(0), at(1)));
    solo.give(&b, 5, 6);
    solo.give(&b, 6, 6);
    assert!(solo.holds(&b, 5) && !solo.holds(&b, 6));
}

#[test]
fn rm8_bodies_are_discarded_once_stable_and_delivered_with_all_their_casts() {
    let mut solo = Solo::new(4);
    let mut b = solo.branch(0).grow("b", 2);
    b.write(SlotMark::Value(Round::ZERO), total(b"total"));
    b = b.grow("b", 1);
    solo.announce(&b, 1, 4);
    solo.hear(1, b.head(4));
    solo.tick();
    solo.claim(0, 0, 4);
    assert_eq!(delivered(&solo.claim(1, 0, 4)), [1, 2, 3, 4]);
    let sender = Rank::new(0);
    let held = solo.machine.held_bytes();
    solo.step(In::Threshold(sender, at(4)));
    assert!(!solo.holds(&b, 2) && solo.holds(&b, 3), "its Total cast waits for its slot");
    solo.step(In::Merged(sender, at(3)));
    assert!(!solo.holds(&b, 3) && !solo.holds(&b, 4));
    assert!(held > 0 && solo.machine.held_bytes() == 0);
    assert_eq!(delivered(&solo.claim(2, 0, 4)), []);
    assert!(!is_alarm(&solo.certify(&b, 4, &[0, 1, 2])));
}

#[test]
fn rm8_a_row_goes_no_further_than_a_window_above_what_was_delivered() {
    let mut solo = Solo::with(4, |config| config.genesis.limits.window_bodies = 4);
    let mut b = solo.branch(0);
    (0..9).for_each(|round| b.write(SlotMark::Value(Round::new(round)), total(b"total")));
    solo.announce(&b, 1, 4);
    solo.hear(1, b.head(4));
    solo.tick();
    solo.claim(0, 0, 4);
    solo.claim(1, 0, 4);
    assert_eq!(solo.machine.rows()[0], at(4));
    solo.step(In::Threshold(Rank::new(0), at(4)));
    solo.announce(&b, 5, 8);
    solo.hear(1, b.head(8));
    solo.tick();
    assert_eq!((solo.have(0), solo.machine.rows()[0]), (8, at(4)), "nothing was merged");
    solo.step(In::Merged(Rank::new(0), at(2)));
    assert_eq!(solo.machine.rows()[0], at(6));
}
