//! What is handed out to who asks for bodies: every packet of an answer stands by itself.

use alloc::vec::Vec;

use super::rig::{Branch, Solo, bodies};
use crate::layer::reliable::Out;

/// A member of four that holds six bodies of member 0, the first three certified.
fn holder(knows_the_sender: bool) -> (Solo, Branch) {
    let mut holder = Solo::new(4);
    let b = holder.branch(0).grow("b", 6);
    if knows_the_sender {
        holder.announce(&b, 1, 3);
        holder.hear(1, b.head(3));
        holder.tick();
        holder.announce(&b, 4, 6);
        assert_eq!(holder.have(0), 3);
    } else {
        holder.certify(&b, 6, &[1, 2, 3]);
        (1..=6).for_each(|r| drop(holder.give(&b, r, 6)));
        assert_eq!(holder.have(0), 6);
    }
    (holder, b)
}

fn packets(answer: Vec<Out>) -> Vec<Vec<Out>> {
    answer.into_iter().map(|out| Vec::from([out])).collect()
}

/// The network turns the packets of an answer round: nothing has to be asked for again.
#[test]
fn rm1_an_answer_may_come_in_any_order() {
    for knows_the_sender in [true, false] {
        let (mut holder, b) = holder(knows_the_sender);
        let answer = holder.fetch(2, 0, 1, 6);
        assert_eq!(bodies(&answer), [1, 2, 3, 4, 5, 6]);
        let mut asker = Solo::new(4);
        for packet in packets(answer).into_iter().rev() {
            asker.take_posts(&packet);
        }
        assert!((1..=6).all(|r| asker.holds(&b, r)));
        assert_eq!(asker.have(0), holder.have(0), "and what is certified is known to be");
    }
}

/// All other packets of an answer are lost.
#[test]
fn rm1_every_packet_of_an_answer_covers_its_body() {
    for (knows_the_sender, from) in [(true, 1), (true, 2), (true, 5), (false, 1), (false, 4)] {
        let (mut holder, b) = holder(knows_the_sender);
        for (packet, r) in packets(holder.fetch(2, 0, from, 6)).into_iter().zip(from..) {
            let mut asker = Solo::new(4);
            asker.take_posts(&packet);
            assert!(asker.holds(&b, r), "body {r} of an answer from {from} on");
        }
    }
}

/// What covers the bodies of an answer is the same statement in all packets: it is checked once.
#[test]
fn rm1_what_covers_an_answer_is_checked_once() {
    let (mut holder, _) = holder(true);
    let answer = holder.fetch(2, 0, 1, 6);
    let mut asker = Solo::new(4);
    let before = asker.verifications();
    asker.take_posts(&answer);
    // The certificate's, of which what the sender signed for the bodies above it is one.
    assert_eq!(asker.verifications() - before, asker.quorum() as u64);
}

/// Whoever gets nothing from the sender of a log orders what follows: it need not ask for each body.
#[test]
fn rm6_bodies_that_were_ordered_are_handed_over_as_soon_as_they_are_here() {
    let mut holder = Solo::new(4);
    let b = holder.branch(0).grow("b", 60);
    holder.announce(&b, 1, 2);
    assert_eq!(bodies(&holder.fetch(2, 0, 3, 1_000)), []);
    assert_eq!(bodies(&holder.announce(&b, 3, 4)), [3, 4]);
    holder.hear(2, b.head(6));
    let outs = holder.announce(&b, 5, 60);
    assert_eq!(
        bodies(&outs),
        (7..=34).collect::<Vec<_>>(),
        "no more than two orders, none in vain"
    );
}
