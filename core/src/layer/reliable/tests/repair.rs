//! Repair keeps the pace of answers, not that of suspicion (RM6).

use alloc::vec::Vec;

use super::rig::{Branch, Solo, at, parts, vouched};
use crate::input::{Order, Ticket};
use crate::layer::To;
use crate::layer::reliable::{In, Out};
use crate::member::Rank;
use crate::wire::Part;

/// What is asked of whom, without questions for certificates alone.
fn asked(outs: &[Out]) -> Vec<(u16, u64, u64)> {
    let ask = |(to, part): (To, &Part)| match (to, part) {
        (To::One(peer), Part::Fetch { from, to, .. }) if from <= to => {
            Some((peer.value(), from.value(), to.value()))
        }
        _ => None,
    };
    parts(outs).into_iter().filter_map(ask).collect()
}

/// A member of four to whose own bodies the others reply within a millisecond.
fn quick() -> Solo {
    let mut solo = Solo::new(4);
    for number in 1..=8 {
        solo.machine.cast(Ticket(0), Order::Fifo, b"own").expect("there is room");
        let head = vouched(&solo.tick())[0];
        solo.run(1_000);
        (0..3).for_each(|peer| drop(solo.hear(peer, head)));
        (0..3).for_each(|peer| drop(solo.claim(peer, 3, number)));
    }
    solo
}

/// The log of member 0, of which body `lost` is lost to this member.
fn with_hole(solo: &mut Solo, lost: u64) -> Branch {
    let b = solo.branch(0).grow("b", lost + 1);
    (1..lost).for_each(|r| drop(solo.announce(&b, r, r)));
    solo.tick();
    solo.announce(&b, lost + 1, lost + 1);
    b
}

#[test]
fn rm6_a_hole_is_asked_for_after_an_answers_time_and_again_of_another() {
    let mut solo = quick();
    let b = with_hole(&mut solo, 3);
    solo.hear(1, b.head(4));
    solo.hear(2, b.head(4));
    let began = solo.now;
    let mut all = Vec::new();
    while all.len() < 2 {
        all.extend(asked(&solo.run(500)));
        assert!(solo.now.since(began) < 10_000, "{all:?}");
    }
    assert!(all.iter().all(|(_, from, to)| (*from, *to) == (3, 3)), "the hole alone: {all:?}");
    assert_ne!(all[0].0, all[1].0);
    solo.give(&b, 3, 4);
    assert_eq!(asked(&solo.run(1_000_000)), []);
}

#[test]
fn rm6_what_one_member_claims_alone_is_asked_for_slowly() {
    let mut solo = quick();
    solo.claim(1, 0, 60);
    assert_eq!(asked(&solo.run(140_000)), []);
    assert_eq!(asked(&solo.run(20_000)), [(1, 1, 60)]);
    let rest = asked(&solo.run(10_000_000)).len();
    assert!(rest < 40, "{rest} questions in vain");
}

#[test]
fn rm6_after_three_bodies_from_others_the_next_ones_are_ordered() {
    let mut solo = quick();
    let b = solo.branch(0).grow("b", 9);
    let mut ordered = Vec::new();
    for r in 1..=9 {
        solo.hear(0, b.head(r));
        let outs = solo.relay(1, &b, r);
        ordered.extend(asked(&outs).into_iter().filter(|(_, from, _)| *from > r));
    }
    assert_eq!(ordered, [(1, 4, 19)]);
    assert_eq!(solo.machine.haves().len(), 4);
}

#[test]
fn rm5_whoever_lacks_the_haves_of_others_asks_for_them_and_is_answered() {
    let mut solo = quick();
    let b = solo.branch(0).grow("b", 1);
    solo.announce(&b, 1, 1);
    solo.hear(1, b.head(1));
    solo.tick();
    let asks = |(to, part): (To, &Part)| {
        let is_empty = matches!(part, Part::Fetch { to, .. } if *to == at(0));
        is_empty && to == To::All
    };
    let outs = solo.run(10_000);
    assert!(parts(&outs).into_iter().any(asks), "{:?}", parts(&outs));
    let peer = Rank::new(2);
    let answer =
        solo.step(In::Fetch { peer, sender: peer, from: at(1), to: at(0), and_heads: false });
    let [Out::Post(post)] = &answer[..] else { panic!("{answer:?}") };
    assert!(post.to == To::One(peer) && post.parts.is_empty(), "haves are in every frame");
}
