//! What exploring found, and reading for it: each by its shortest schedule.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::super::super::{Group, In, Out};
use super::FOUR;
use super::world::{Setting, World};
use crate::seq::Attempt;
use crate::wire::change::{Grounds, NeedsMore, Proposed};

const LIAR: usize = 3;

fn world() -> World {
    World::new(Setting { liar: LIAR, last: 2, ..FOUR })
}

/// The leader of the first attempt proposes.
fn proposal(world: &mut World) -> Arc<Proposed> {
    let mut leader = world.flushed[0].clone();
    for rank in [1, 2] {
        let flush = world.flushes[rank].clone();
        world.run(&mut leader, In::Flush(Box::new(flush)));
    }
    leader.own.proposed.clone().expect("a quorum flushed")
}

fn hear(world: &mut World, machine: &mut Group, proposed: Proposed) -> alloc::vec::Vec<Out> {
    world.step(machine, In::NewView(Box::new(proposed)))
}

#[test]
fn a_leader_that_locks_again_still_counts_its_own_report() {
    let mut world = world();
    let proposed = proposal(&mut world);
    let value = world.value(&proposed.signed.statement.next);
    let mut leader = world.flushed[2].clone();
    world.run(&mut leader, In::NewView(Box::new(proposed.as_ref().clone())));
    let signers = [0b1101, 0b1011];
    for ack in world.acks((0, value), signers[0]).iter() {
        world.run(&mut leader, In::Ack(ack.clone()));
    }
    // It says NeedMoreChange(2) with its lock of attempt 0, and then hears of one of attempt 1.
    world.give_up(&mut leader, 2);
    for ack in world.acks((1, value), signers[1]).iter() {
        world.run(&mut leader, In::Ack(ack.clone()));
    }
    assert_eq!(leader.lock.as_ref().map(|lock| lock.on), Some(world.locked((1, value))));
    for rank in [0, 1] {
        let signed = world.more(rank, 2, None).signed().as_ref().clone();
        let message = NeedsMore { signed, lock: None, grounds: Grounds::default() };
        world.run(&mut leader, In::NeedMoreChange(Box::new(message)));
    }
    let proposed = leader.own.proposed.as_ref().expect("a quorum goes on with it");
    assert_eq!(proposed.signed.statement.attempt, Attempt::new(2));
}

#[test]
fn a_proposal_that_was_changed_on_its_way_blames_the_relay() {
    let mut world = world();
    let proposed = proposal(&mut world);
    let other = world.values.iter().find(|value| *value.view != proposed.view).unwrap();
    let forged = Proposed { view: other.view.as_ref().clone(), ..proposed.as_ref().clone() };
    let mut member = world.flushed[1].clone();
    let out = hear(&mut world, &mut member, forged);
    assert!(matches!(out[..], [Out::Misbehaved(_)]), "{out:?}");
    hear(&mut world, &mut member, proposed.as_ref().clone());
    assert_eq!(member.acked, Some(Attempt::FIRST), "the real one is acknowledged all the same");
}
