//! How much a question of anybody draws, wherever the answer goes.

use alloc::vec::Vec;

use super::world::{FIRST, World, addr};
use crate::config::Joiners;
use crate::crypto::{Door, Hash32, ReadyToSwitch, Signed};
use crate::input::Input;
use crate::member::{Member, Rank, Status};
use crate::output::Output;
use crate::rig::quick_identity;
use crate::seq::{Attempt, LogEnd};
use crate::view::Genesis;
use crate::wire::change::Decision;
use crate::wire::frame;
use crate::wire::stranger::{Question, Stranger, decode, encode};

/// The frame of a question of about so many bytes, or as few as there may be.
pub(super) fn question(genesis: &Genesis, from: u64, bytes: usize) -> Vec<u8> {
    let key = *quick_identity(77).public_key();
    let mut asks = Question::padded(from, key, Hash32::ZERO, bytes);
    if bytes == 0 {
        asks.padding.0.clear();
    }
    let content = encode(&Stranger::AskChain(asks));
    frame::stranger(genesis.group().prefix(), crate::crypto::peer_id(&key), &content)
}

/// What is said to strangers.
pub(super) fn said(outs: &[Output]) -> Vec<Stranger> {
    let frames = outs.iter().filter_map(|out| match out {
        Output::Transmit(frame) if frame.is_stranger() => {
            let mut bytes = Vec::new();
            frame.append_to(&mut bytes);
            decode(frame::parse(&bytes).unwrap().content()).ok()
        }
        _ => None,
    });
    frames.collect()
}

/// A group that has changed often; its views have so many members with addresses.
fn aged(world: &mut World, changes: u64, members: u8) {
    let node = world.nodes[0].as_mut().unwrap();
    let mut view = node.view().clone();
    for change in 0..changes {
        let roster = view.roster(quick_identity(0).suite()).unwrap();
        let mut next = view.clone();
        next.number += 1;
        next.prev = view.id();
        next.cut = view.members.iter().map(|_| LogEnd::EMPTY).collect();
        if change == 0 {
            let member = |index: u8| Member {
                key: *quick_identity(index).public_key(),
                incarnation: 1,
                addr: addr(usize::from(index)),
                status: Status::Active,
            };
            next.members.extend((100..100 + members - 4).map(member));
        }
        let ready = |rank: u8| {
            let ready = ReadyToSwitch { attempt: Attempt::FIRST, next: next.id() };
            let mut door = Door::new(quick_identity(rank));
            Signed::clone(door.sign(&roster, Rank::new(u16::from(rank)), ready).signed())
        };
        let readys = (0..3).map(ready).collect();
        node.chain.push(Decision { view: next.clone(), readys });
        view = next;
    }
}

/// What is for a stranger goes to two addresses at the most, and to both together three times what
/// came.
#[test]
fn one_question_of_a_stranger_is_not_answered_with_a_thousand_times_its_bytes() {
    for (members, frame_max) in [(4, 1_400), (4, 60_000), (40, 1_400), (40, 60_000)] {
        let mut world = World::new(4, 1, |_| {});
        world.run(300);
        aged(&mut world, 300, members);
        let (mut asked, mut answered) = (0, 0);
        for (round, bytes) in [0, 0, 1_200, 1_300, 5_000, 20_000, 40_000].into_iter().enumerate() {
            let bytes = question(&world.genesis, 1, bytes);
            let node = world.nodes[0].as_mut().unwrap();
            node.config.frame_max = frame_max;
            let now = world.now.plus(3_000_000 * (round as u64 + 1));
            let outs: Vec<Output> = node.step(now, Input::Frame(&bytes)).collect();
            let sizes = outs.iter().filter_map(|out| match out {
                Output::Transmit(frame) if frame.is_stranger() => Some(frame.len()),
                _ => None,
            });
            let sum: usize = sizes.sum();
            assert!(2 * sum <= 3 * bytes.len(), "{sum} bytes for {}", bytes.len());
            let is_told = said(&outs)
                .iter()
                .any(|said| matches!(said, Stranger::Chain { .. } | Stranger::Longer { .. }));
            assert!(is_told, "and something is said");
            (asked, answered) = (asked + bytes.len(), answered + sum);
        }
        assert!(answered > asked / 4, "{answered} bytes for {asked}: it is of use");
    }
}

/// Whatever else anybody may say draws less than it.
#[test]
fn no_frame_of_a_stranger_draws_more_than_it() {
    let mut world = World::new(4, 1, |config| config.joiners = Joiners::Application);
    world.run(300);
    let group = world.genesis.group().prefix();
    let roster = world.node(0).roster().clone();
    for index in 20..60 {
        world.now = world.now.plus(1_000_000);
        let request = Door::new(quick_identity(index)).ask_to_join(&roster, 1, Vec::new());
        let name = crate::crypto::peer_id(quick_identity(index).public_key());
        let join = frame::stranger(group, name, &encode(&Stranger::Join(request)));
        let asks = question(&world.genesis, u64::from(index % 3), 0);
        let now = world.now;
        for bytes in [join, asks] {
            let outs: Vec<Output> =
                world.nodes[0].as_mut().unwrap().step(now, Input::Frame(&bytes)).collect();
            let sizes = outs.iter().filter_map(|out| match out {
                Output::Transmit(frame) if frame.is_stranger() => Some(frame.len()),
                _ => None,
            });
            let sum: usize = sizes.sum();
            assert!(2 * sum <= 3 * bytes.len(), "{sum} bytes for {}", bytes.len());
        }
    }
}

/// A joiner gets what it needs by questions as long as that takes.
#[test]
fn they_join_a_group_of_many_that_has_changed_often() {
    let mut world = World::new(22, 1, |_| {});
    world.run(300);
    for _ in 0..3 {
        world.nodes[21] = None;
        let life = world.node(0).view().members.iter().map(|m| m.incarnation).max().unwrap() + 1;
        world.join(21, life, &[0, 1]);
        world.settle(30, &(0..22).collect::<Vec<_>>());
    }
    world.join(22, FIRST, &[3]);
    world.settle(30, &(0..23).collect::<Vec<_>>());
    let longest =
        world.node(0).decisions().map(|decision| decision.to_bytes().len()).max().unwrap();
    assert!(longest > 1_800, "a usual question is too short: {longest}");
}
