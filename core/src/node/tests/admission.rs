//! Who is let in: by which address, with whose word, in which life.

use super::world::{FIRST, World, addr};
use crate::config::{Config, Joiners};
use crate::input::{Input, Request, Ticket};
use crate::output::Event;
use crate::rig::quick_identity;
use crate::wire::frame;
use crate::wire::stranger::Stranger;

impl World {
    /// The application of every member of the genesis view says whether a process may join.
    fn admit(&mut self, index: usize, is_admitted: bool) {
        let key = *quick_identity(u8::try_from(index).unwrap()).public_key();
        for member in 0..4 {
            let admit = Request::Admit { key, is_admitted };
            self.step(member, Input::Request(Ticket(9), admit));
        }
    }
}

/// Machines serve for a while, one after the other, and leave; their keys are in one hand later.
#[test]
fn who_left_long_ago_does_not_come_back_unasked() {
    for is_refused in [true, false] {
        let mut world = World::new(4, 5, |config| config.joiners = Joiners::Application);
        world.run(300);
        for index in 4..9 {
            world.join(index, FIRST, &[0]);
            world.run(1_500);
            world.admit(index, true);
            world.settle(20, &[0, 1, 2, 3, index]);
            world.step(index, Input::Request(Ticket(1), Request::Leave));
            world.settle(20, &[0, 1, 2, 3]);
            world.nodes[index] = None;
            if is_refused {
                world.admit(index, false);
            }
        }
        world.run(60_000);
        world.events.iter_mut().for_each(alloc::vec::Vec::clear);
        (4..9).for_each(|index| world.join(index, FIRST + 1, &[0, 1]));
        world.run(30_000);
        assert_eq!(world.node(0).view().members.len(), 4, "they came in unasked");
        let wanted = |event: &&Event| matches!(event, Event::JoinWanted { .. });
        let asked = world.events[0].iter().filter(wanted).count();
        assert_eq!(asked > 0, !is_refused, "asked about like anybody else, unless refused before");
    }
}

/// Each of two joiners with one address is heard by another half of the members, which recommend
/// apart: links are between keys, and neither keeps the other out.
#[test]
fn two_joiners_with_one_address_both_come_in() {
    let mut world = World::new(4, 2, |_| {});
    world.run(300);
    world.cut =
        |from, to| matches!((from, to), (4, 2 | 3) | (5, 0 | 1) | (0 | 1, 2 | 3) | (2 | 3, 0 | 1));
    let config = Config { addr: addr(9), ..world.config.clone() };
    world.join_with(4, FIRST, &[0], config.clone());
    world.join_with(5, FIRST, &[3], config);
    world.run(1_500);
    world.cut = |_, _| false;
    world.run(10_000);
    let members = &world.node(0).view().members;
    assert_eq!(members.iter().filter(|member| member.addr == addr(9)).count(), 2);
    assert_eq!(members.len(), 6);
}

/// What a process heard that must begin again above this life.
fn spent(world: &World, index: usize) -> Option<u64> {
    world.events[index].iter().find_map(|event| match event {
        Event::Spent { highest } => Some(*highest),
        _ => None,
    })
}

/// A newcomer whose boot record was lost comes back within the mute time-out as the life that it was,
/// and hears nothing for a while, or answers of nobody.
#[test]
fn a_life_that_begins_again_is_not_made_to_sign_twice() {
    for deaf_ms in [0, 900, 1_200, 3_000] {
        let mut world = World::new(4, 1, |_| {});
        world.run(300);
        world.join(4, FIRST, &[0]);
        world.settle(5, &[0, 1, 2, 3, 4]);
        world.cast(4, b"first life");
        world.run(300);
        world.faults = Some(alloc::vec::Vec::new());
        world.nodes[4] = None;
        let joined = Config { addr: addr(4), ..world.config.clone() };
        world.join_with(4, FIRST, &[0], joined);
        world.away = alloc::vec![4];
        let nothing = Stranger::Chain { decisions: crate::wire::List::new() };
        let nothing = frame::stranger(
            world.genesis.group().prefix(),
            world.name(0),
            &crate::wire::stranger::encode(&nothing),
        );
        for _ in 0..deaf_ms / 100 {
            world.step(4, Input::Frame(&nothing));
            world.run(100);
        }
        world.away.clear();
        world.run(3_000);
        assert_eq!(spent(&world, 4), Some(FIRST), "{deaf_ms}");
        world.cast(4, b"second life");
        world.run(3_000);
        assert!(world.faults.iter().flatten().next().is_none(), "a correct process is convicted");
        world.join(4, FIRST + 1, &[0]);
        world.settle(20, &[0, 1, 2, 3, 4]);
        world.cast(4, b"third life");
        world.run(1_000);
        assert!(world.delivered(0).contains(&b"third life".to_vec()));
        assert!(!world.delivered(0).contains(&b"second life".to_vec()));
    }
}

/// A boot record is restored from a backup: the process takes up a life that it has spent, from a view
/// in which it is not listed. Its links would be those of the earlier life.
#[test]
fn a_restored_backup_is_told_above_which_life_it_comes_back() {
    for (life, expected) in [(3, None), (2, Some(2)), (1, Some(2))] {
        let mut world = World::new(5, 0, |_| {});
        world.run(300);
        for life in 1..=2 {
            world.away = alloc::vec![4];
            world.settle(30, &[0, 1, 2, 3]);
            world.away.clear();
            world.run(3_000);
            if life == 1 {
                world.join(4, life, &[0, 1]);
                world.settle(30, &[0, 1, 2, 3, 4]);
            } else {
                world.join(4, life, &[0, 1]);
                world.settle(60, &[0, 1, 2, 3, 4]);
            }
        }
        world.nodes[4] = None;
        world.settle(30, &[0, 1, 2, 3]);
        let number = world.node(0).view().number;
        let anchor = Some(world.node(0).view().clone());
        let config = Config { anchor, addr: addr(4), ..world.config.clone() };
        world.join_with(4, life, &[0, 1], config);
        world.run(60_000);
        assert_eq!(spent(&world, 4), expected, "{life}");
        let is_back = world.is_group(&[0, 1, 2, 3, 4]);
        assert_eq!(is_back, expected.is_none());
        if expected.is_some() {
            assert_eq!(world.node(0).view().number, number, "no view is made for it");
            world.join(4, 3, &[0, 1]);
            world.settle(60, &[0, 1, 2, 3, 4]);
        }
        let before = world.delivered(0).len();
        world.cast(4, b"heard");
        world.run(2_000);
        assert_eq!(world.delivered(0).len(), before + 1, "it is not mute");
    }
}
