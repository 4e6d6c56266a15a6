//! A liar shows its victim rows with low counters that say little, and all others rows with high
//! counters that are true. The victim is fed rows that look fresh, and its window stands still.

use std::cell::Cell;
use std::rc::Rc;

use phalanx_core::wire::Part;
use phalanx_core::{Limits, Order, Status};

use crate::net::{Hook, Net, identity};

/// What the victim is told in its own entry, or in all.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    /// That its log is not held at all; the rest is true.
    NothingOfTheVictim,
    /// The first row again and again.
    TheSame,
}

/// The victim is the lowest rank that is Active and not the liar.
fn split_rows(is_on: Rc<Cell<bool>>, shows: Shows) -> Hook {
    let (mut low, mut view, mut first) = (0_u64, None, None);
    Box::new(move |liar, _, to, mut packet, casts| {
        if view != Some(packet.view) {
            (view, low, first) = (Some(packet.view), 0, None);
        }
        let me = liar.me.index();
        let is_victim = |(index, status)| index != me && status == Status::Active;
        let mut members = liar.view.members.iter().map(|member| member.status).enumerate();
        let victim = members.position(is_victim).filter(|_| is_on.get());
        let Some(victim) = victim else { return vec![(0, packet, casts)] };
        let is_to_victim = liar.view.members[victim].key == *identity(to).public_key();
        for part in packet.parts.as_mut_vec() {
            let Part::Stable(row) = part else { continue };
            if row.signer.index() != me {
                continue;
            }
            let mut have: Vec<u64> = row.statement.have.iter().map(|n| n.value()).collect();
            *part = if is_to_victim {
                low += 1;
                have[victim] = 0;
                if shows == Shows::TheSame {
                    have = first.get_or_insert(have).clone();
                }
                liar.row(low, have)
            } else {
                liar.row(row.statement.counter + 1_000_000, have)
            };
        }
        vec![(0, packet, casts)]
    })
}

/// The liar casts 100 short Total casts in half a second, and all others answer with nulls.
#[test]
fn nobody_suspects_a_member_that_is_shown_other_rows() {
    for (n, shows) in
        [4, 5, 7].into_iter().flat_map(|n| [(n, Shows::NothingOfTheVictim), (n, Shows::TheSame)])
    {
        let liar = n - 1;
        let is_on = Rc::new(Cell::new(true));
        let mut net = Net::new(n, 500, Limits::default());
        net = net.with_liar(liar, split_rows(Rc::clone(&is_on), shows));
        net.run(300_000);
        for number in 0..100_u64 {
            net.cast(liar, Order::Total, &number.to_le_bytes());
            net.run(5_000);
        }
        net.run(5_000_000);
        for witness in 1..liar {
            let of_victim = net.suspicions(witness).into_iter().any(|(subject, ..)| subject == 0);
            assert!(!of_victim, "n = {n}, {shows:?}: {:?}", net.suspicions(witness));
            assert!(net.is_active(0, witness));
        }
    }
}

/// The same again and again, for a minute, on every correct member that is Active.
#[test]
fn the_correct_members_stay_active_and_their_casts_are_delivered() {
    for shows in [Shows::NothingOfTheVictim, Shows::TheSame] {
        let mut net = Net::new(4, 500, Limits::default());
        net = net.with_liar(3, split_rows(Rc::new(Cell::new(true)), shows));
        let mut sent = 0;
        for step in 0..12_000 {
            if step % 20 == 0 {
                for index in 0..3 {
                    assert!(net.cast(index, Order::Total, b"from a correct member"));
                    sent += 1;
                }
            }
            net.cast(3, Order::Total, b"x");
            net.run(5_000);
            assert!((0..3).all(|index| net.is_active(index, 1)), "{:?}", net.suspicions(1));
        }
        net.run(1_000_000);
        let of_correct = net.casts[1].iter().filter(|(.., payload)| payload != b"x");
        assert_eq!(of_correct.count(), sent, "{shows:?}");
    }
}
