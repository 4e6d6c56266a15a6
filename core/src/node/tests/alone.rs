//! What the arithmetic forbids is said; and who was alone may begin again.

use alloc::vec::Vec;

use super::LAGGARD;
use super::answers::{question, said};
use super::rig::{Group, casts};
use super::world::{FIRST, World};
use crate::config::Boot;
use crate::crypto::Hash32;
use crate::input::Input;
use crate::member::Rank;
use crate::node::Node;
use crate::output::{Event, Output};
use crate::rig::quick_identity;
use crate::wire::frame;
use crate::wire::stranger::{JoinRefusal, Question, Stranger, answer_max, encode};

/// What a process was told last, why it is not taken in.
fn is_told(world: &World, index: usize, why: JoinRefusal) -> bool {
    let last = world.events[index].iter().rev().find_map(|event| match event {
        Event::Joining { refusals, .. } => Some(refusals.iter().any(|(_, other)| *other == why)),
        _ => None,
    });
    last.unwrap_or_default()
}

fn is_beyond_repair(world: &World, index: usize, ranks: &[u16]) -> bool {
    let ended = |event: &Event| match event {
        Event::BeyondRepair { gone, .. } => {
            *gone == ranks.iter().copied().map(Rank::new).collect::<Vec<_>>()
        }
        _ => false,
    };
    world.events[index].iter().any(ended)
}

/// Two are a quorum of two: without the vote that the second has lost nothing is decided any more.
#[test]
fn a_restart_of_one_of_two_ends_the_group_and_both_are_told() {
    let mut world = World::new(1, 1, |_| {});
    world.run(300);
    world.join(1, FIRST, &[0]);
    world.settle(10, &[0, 1]);
    world.nodes[1] = None;
    world.run(3_000);
    world.join(1, FIRST + 1, &[0]);
    world.run(10_000);
    assert_eq!(world.node(0).view().number, 1);
    assert!(is_beyond_repair(&world, 0, &[1]));
    assert!(is_told(&world, 1, JoinRefusal::BeyondRepair));
}

#[test]
fn more_restarts_at_once_than_a_quorum_spares_end_the_group_and_all_are_told() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    (2..4).for_each(|index| world.nodes[index] = None);
    (2..4).for_each(|index| world.join(index, FIRST, &[0, 1]));
    world.run(10_000);
    for index in [0, 1] {
        assert!(is_beyond_repair(&world, index, &[2, 3]));
        assert_eq!(world.node(index).view().number, 0);
    }
    for index in [2, 3] {
        assert!(is_told(&world, index, JoinRefusal::BeyondRepair));
    }
}

/// One is cut off and another has begun anew: that heals.
#[test]
fn who_waits_for_a_quorum_is_told_so() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    world.away = [2].to_vec();
    world.nodes[3] = None;
    world.run(5_000);
    world.join(3, FIRST, &[0, 1]);
    world.run(5_000);
    assert!(is_told(&world, 3, JoinRefusal::NoQuorum));
    assert!(!is_beyond_repair(&world, 0, &[3]));
    world.away.clear();
    world.settle(60, &[0, 1, 2, 3]);
}

/// The first start of one of two finds nobody, and another start is as good.
#[test]
fn who_has_heard_nobody_may_begin_again_as_the_same_life() {
    let mut world = World::new(2, 0, |_| {});
    let start = |world: &World, index: u8| {
        let config = world.config.clone();
        Node::new(config, quick_identity(index), Boot { incarnation: 0 }, world.now).unwrap()
    };
    world.nodes[1] = None;
    for _ in 0..3 {
        world.run(5_000);
        assert!(!world.node(0).is_bound());
        assert_eq!(world.node(0).counters().crypto.signatures, 1, "one row, again and again");
        world.nodes[0] = Some(start(&world, 0));
    }
    world.nodes[1] = Some(start(&world, 1));
    world.run(500);
    assert!((0..2).all(|index| world.node(index).is_bound()));
    world.cast(0, b"hello");
    world.run(1_000);
    assert!((0..2).all(|index| world.delivered(index) == [b"hello"]));
}

/// What it is asked for it may have told somebody.
#[test]
fn who_was_asked_for_something_is_bound() {
    let mut world = World::new(1, 0, |_| {});
    world.run(5_000);
    assert!(!world.node(0).is_bound());
    world.cast(0, b"alone");
    assert!(world.node(0).is_bound());
    world.run(1_000);
    assert_eq!(world.delivered(0), [b"alone"]);
}

/// Its frames arrived, and it heard nothing: the others know its first row. What it says in its
/// second start contradicts nothing, and comes through once as many frames have passed.
#[test]
fn who_was_heard_and_heard_nobody_may_begin_again_as_the_same_life() {
    let mut group = Group::new(4);
    group.run(1_000_000, |_, to| to != LAGGARD);
    assert!(!group.nodes[LAGGARD].is_bound() && group.nodes[0].is_bound());
    group.flights.clear();
    let (config, boot) = (group.config.clone(), Boot { incarnation: 0 });
    group.nodes[LAGGARD] = Node::new(config, quick_identity(3), boot, group.now).unwrap();
    group.run(1_500_000, |_, _| true);
    group.cast(LAGGARD, b"here");
    group.run(1_000_000, |_, _| true);
    for index in 0..4 {
        assert_eq!(casts(&group.events[index]), [(0, 3, &b"here"[..])]);
        assert_eq!(group.nodes[index].view().number, 0, "nobody was suspected");
    }
}

/// Nothing proves who asks.
#[test]
fn a_question_in_the_name_of_a_member_means_nothing_while_it_or_a_quorum_is_heard() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    let ask = |world: &mut World, index: u8| {
        let key = *quick_identity(index).public_key();
        let newest = world.node(0).view().number;
        let asks = encode(&Stranger::AskChain(Question::padded(newest, key, Hash32::ZERO, 0)));
        let name = world.name(usize::from(index));
        let frame = frame::stranger(world.genesis.group().prefix(), name, &asks);
        world.step(0, Input::Frame(&frame));
    };
    let is_over = |world: &World| {
        world.events[0].iter().any(|event| matches!(event, Event::BeyondRepair { .. }))
    };
    (1..4).for_each(|index| ask(&mut world, index));
    // A quorum is heard without the last, and then the third is heard without a quorum.
    world.nodes[3] = None;
    world.run(3_000);
    (1..4).for_each(|index| ask(&mut world, index));
    world.nodes[1] = None;
    world.run(4_000);
    (2..4).for_each(|index| ask(&mut world, index));
    assert!(!is_over(&world));
    ask(&mut world, 1);
    assert!(is_beyond_repair(&world, 0, &[1, 3]));
}

#[test]
fn who_hears_no_quorum_answers_no_longer_than_it_may() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    (2..4).for_each(|index| world.nodes[index] = None);
    world.run(5_000);
    for bytes in [0, 150, 200, 300, 400, 1_200] {
        world.run(1_000);
        let asks = question(&world.genesis, 0, bytes);
        let now = world.now;
        let node = world.nodes[0].as_mut().unwrap();
        let outs: Vec<Output> = node.step(now, Input::Frame(&asks)).collect();
        let answers = outs.iter().map(|out| match out {
            Output::Transmit(frame) if frame.is_stranger() => frame.len(),
            _ => 0,
        });
        assert!(answers.sum::<usize>() <= answer_max(asks.len()), "{bytes}");
        let (request, why) = (Hash32::ZERO, JoinRefusal::NoQuorum);
        assert!(said(&outs).contains(&Stranger::Refused { request, why }), "{bytes}");
    }
}
