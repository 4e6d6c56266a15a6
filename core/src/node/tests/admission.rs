//! Who is let in: by which address, with whose word, in which life.

use super::world::{FIRST, World, addr};
use crate::config::{Config, Joiners};
use crate::input::{Input, Request, Ticket};
use crate::output::Event;
use crate::rig::quick_identity;

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

/// Each of two joiners is heard by another half of the members, which recommend apart.
#[test]
fn two_joiners_with_one_address_do_not_both_come_in() {
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
    assert_eq!(members.iter().filter(|member| member.addr == addr(9)).count(), 1);
    assert_eq!(members.len(), 5);
}
