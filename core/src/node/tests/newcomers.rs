//! Newcomers that crash as soon as they are members, where one of the members has crashed before.

use super::world::{FIRST, World};
use crate::config::{Boot, Config, Joiners};
use crate::member::Status;
use crate::node::Node;
use crate::rig::quick_identity;
use crate::time::Time;

/// One of four has crashed, which the group bears, and is silenced for it. `pause_ms` after that so
/// many newcomers ask, and crash as soon as they are in. Whether the group goes on.
fn goes_on(count: usize, pause_ms: u64) -> bool {
    let mut world = World::new(4, 4, |_| {});
    world.run(300);
    world.nodes[3] = None;
    let end = world.now.plus(10_000_000);
    let is_silenced = |world: &World| world.node(0).view().members[3].status == Status::Silenced;
    assert!(world.run_until(end, is_silenced));
    world.run(pause_ms);
    (4..4 + count).for_each(|index| world.join(index, FIRST, &[0, 1]));
    let end = world.now.plus(20_000_000);
    let is_in = |world: &World| {
        let mut members = world.node(0).view().members.iter();
        members.any(|member| member.incarnation == FIRST)
    };
    assert!(world.run_until(end, is_in), "somebody joins");
    (4..4 + count).for_each(|index| world.nodes[index] = None);
    world.run(20_000);
    world.cast(0, b"after");
    world.run(10_000);
    (0..3).all(|index| world.delivered(index).contains(&b"after".to_vec()))
}

#[test]
fn newcomers_that_crash_do_not_stop_the_group() {
    for count in [1, 2, 4] {
        assert!(goes_on(count, 6_000), "{count} newcomers");
    }
}

/// In the view that silences it nobody suspects it yet.
#[test]
fn newcomers_that_come_right_after_a_crash_and_crash_do_not_stop_the_group() {
    for count in [1, 2] {
        assert!(goes_on(count, 0), "{count} newcomers");
    }
}

/// One of four was cut off, is Silenced for it, and lives on without signing anything but its rows: it
/// neither asks to be Active again nor recommends anybody.
#[test]
fn a_silenced_member_that_lives_and_signs_nothing_keeps_no_newcomer_out() {
    let mut world = World::new(4, 1, |_| {});
    let mut quiet = Config { joiners: Joiners::Nobody, ..world.config.clone() };
    quiet.timeouts.rejoin_us = 3_600_000_000;
    let node = Node::new(quiet, quick_identity(3), Boot { incarnation: 0 }, Time::ZERO);
    world.nodes[3] = Some(node.unwrap());
    world.run(300);
    world.away = [3].into();
    let end = world.now.plus(10_000_000);
    let is_silenced = |world: &World| world.node(0).view().members[3].status == Status::Silenced;
    assert!(world.run_until(end, is_silenced));
    world.away.clear();
    world.run(5_000);
    assert!(is_silenced(&world) && world.node(3).view() == world.node(0).view());
    world.join(4, FIRST, &[0, 1]);
    let end = world.now.plus(20_000_000);
    let is_in = |world: &World| world.node(0).view().members.len() == 5;
    assert!(world.run_until(end, is_in), "{:?}", world.node(0).view());
}
