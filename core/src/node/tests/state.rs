//! Who joins, or is Active again, is handed the state of the application by real nodes.

use alloc::vec::Vec;

use super::app::{App, Manner};
use super::world::{FIRST, World};
use crate::config::Config;
use crate::crypto::{Reason, Snapshot};
use crate::input::{Input, Request, Ticket};
use crate::member::{Rank, Status};
use crate::output::Event;
use crate::rig::{quick_identity, some_hash};
use crate::wire::transfer::{CHUNK_BYTES, TransferPart};

const MIB: usize = 1024 * 1024;

/// A group of `n` with applications of a state of `len` bytes, and others that may join.
fn world(n: u8, others: u8, len: usize, change: impl FnOnce(&mut Config)) -> World {
    let mut world = World::new(n, others, |config| {
        config.genesis.state_transfer = true;
        change(config);
    });
    let (ballast, hashes) = App::ballast(len);
    let app = |index| App::new(&ballast, &hashes, index < n);
    world.apps = (0..n + others).map(app).collect();
    world
}

/// Everybody casts for a while.
fn load(world: &mut World, casters: &[usize], rounds: usize) {
    for round in 0..rounds {
        for index in casters {
            world.cast(*index, &round.to_be_bytes());
        }
        world.run(7);
    }
}

/// Lets time pass until the applications of these are equal.
fn agree(world: &mut World, seconds: u64, members: &[usize]) {
    let end = world.now.plus(seconds * 1_000_000);
    let first = members[0];
    let equal = |world: &World| {
        let apps = || members.iter().map(|index| &world.apps[*index]);
        apps().all(|app| app.is_loaded && app.hash == world.apps[first].hash)
    };
    let state = |world: &World| {
        let apps = world.apps.iter().map(|app| (app.is_loaded, app.count, app.hash));
        apps.collect::<Vec<_>>()
    };
    assert!(world.run_until(end, equal), "{:?}", state(world));
}

/// Nobody hands over a chunk yet.
fn delay(world: &mut World) {
    world.apps.iter_mut().for_each(|app| app.manner = Manner::Later);
}

/// Everybody hands over what it was asked for, and goes on.
fn hand_over(world: &mut World) {
    for index in 0..world.apps.len() {
        for (view, at, bytes) in world.apps[index].mend() {
            let chunk = Request::Chunk { view, index: at, bytes: &bytes };
            world.step(index, Input::Request(Ticket(2), chunk));
        }
    }
}

fn has(world: &World, index: usize, is_it: impl Fn(&Event) -> bool) -> bool {
    world.events[index].iter().any(is_it)
}

fn is_lost(event: &Event) -> bool {
    *event == Event::StateLost
}

fn suspected(world: &World, index: usize, whom: u16, why: Reason) -> bool {
    has(world, index, |event| match event {
        Event::Suspected { subject, reason, .. } => (*subject, *reason) == (Rank::new(whom), why),
        _ => false,
    })
}

/// Nobody keeps a snapshot any more.
fn released(world: &World) -> bool {
    world.apps.iter().all(|app| app.kept() == 0)
}

#[test]
fn a_joiner_under_load_has_the_state_of_all_others() {
    let mut world = world(4, 2, 10 * CHUNK_BYTES + 5, |_| {});
    load(&mut world, &[0, 1, 2, 3], 20);
    world.join(4, FIRST, &[0, 1]);
    load(&mut world, &[0, 1, 2, 3], 40);
    world.join(5, FIRST, &[2]);
    load(&mut world, &[0, 1, 2, 3, 4], 40);
    world.settle(5, &[0, 1, 2, 3, 4, 5]);
    load(&mut world, &[4, 5], 5);
    agree(&mut world, 2, &[0, 1, 2, 3, 4, 5]);
    assert_eq!(world.apps[4].count, 100 * 4 + 40 + 5 * 2);
    assert!(world.delivered(4).len() < world.delivered(0).len());
    world.run(5_000);
    assert!(released(&world));
}

#[test]
fn casts_of_a_joiner_that_has_not_loaded_are_delivered() {
    let mut world = world(4, 1, CHUNK_BYTES, |_| {});
    delay(&mut world);
    world.join(4, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    world.cast(4, b"early");
    world.run(1_000);
    assert_eq!(world.delivered(0), [b"early".to_vec()]);
    assert!(world.delivered(4).is_empty());
    hand_over(&mut world);
    agree(&mut world, 10, &[0, 1, 2, 3, 4]);
    assert_eq!(world.delivered(4), [b"early".to_vec()]);
}

#[test]
fn a_lying_donor_is_found_out_and_the_state_comes_from_others() {
    for (manner, reason) in [
        (Manner::WrongChunks, Some(Reason::BadBytes)),
        (Manner::Withholds, Some(Reason::Withholding)),
        (Manner::WrongRoot, None),
        (Manner::Silent, None),
    ] {
        let mut world = world(4, 1, 30 * CHUNK_BYTES, |_| {});
        world.apps[1].manner = manner;
        world.join(4, FIRST, &[0]);
        world.settle(5, &[0, 1, 2, 3, 4]);
        load(&mut world, &[0, 4], 5);
        agree(&mut world, 20, &[0, 2, 3, 4]);
        if let Some(reason) = reason.filter(|_| manner == Manner::WrongChunks) {
            assert!(suspected(&world, 4, 1, reason), "{manner:?}");
        }
        for innocent in [0, 2, 3] {
            for reason in [Reason::BadBytes, Reason::Withholding] {
                assert!(!suspected(&world, 4, innocent, reason), "{manner:?}");
            }
        }
        assert_eq!(world.node(0).view().number, 1, "one opinion moves nobody");
    }
}

#[test]
fn a_donor_that_crashes_half_way_is_replaced_by_another() {
    let mut world = world(4, 1, 200 * CHUNK_BYTES, |_| {});
    world.join(4, FIRST, &[0]);
    let end = world.now.plus(10_000_000);
    assert!(world.run_until(end, |world| world.apps[1].chunks_asked >= 10));
    assert!(!world.apps[4].is_loaded);
    world.nodes[1] = None;
    agree(&mut world, 10, &[0, 2, 3, 4]);
    let chunks = |index: usize| world.apps[index].chunks_asked;
    let all = (0..4).map(chunks).sum::<usize>();
    assert!((200..240).contains(&all), "{all}: what had come is not asked for again");
}

#[test]
fn a_joiner_overtaken_by_two_views_finishes_its_own_state() {
    let mut world = world(4, 3, 20 * CHUNK_BYTES, |_| {});
    delay(&mut world);
    world.join(4, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    load(&mut world, &[0, 1, 4], 10);
    world.join(5, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4, 5]);
    load(&mut world, &[0, 1, 5], 10);
    world.join(6, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4, 5, 6]);
    load(&mut world, &[0, 1, 6], 10);
    assert!(!(4..7).any(|index| world.apps[index].is_loaded));
    hand_over(&mut world);
    agree(&mut world, 20, &[0, 1, 2, 3, 4, 5, 6]);
    let counts = [4, 5, 6].map(|index| world.delivered(index).len());
    assert_eq!(counts, [90, 60, 30], "each from its first view on");
    world.run(5_000);
    assert!(released(&world));
}

/// It is silenced and active again, with and without having missed anything that is kept nowhere.
#[test]
fn a_member_that_is_active_again_loads_only_if_it_missed_something() {
    for misses in [false, true] {
        let mut world = world(4, 0, 3 * CHUNK_BYTES, |_| {});
        load(&mut world, &[0, 1, 2, 3], 5);
        world.run(1_000);
        silence(&mut world, misses);
        world.settle(60, &[0, 1, 2, 3]);
        assert_eq!(has(&world, 3, is_lost), misses);
        let back = world.now;
        load(&mut world, &[0, 3], 5);
        agree(&mut world, 20, &[0, 1, 2, 3]);
        let loaded = has(&world, 3, |event| matches!(event, Event::StateLoaded { .. }));
        assert_eq!(loaded, misses);
        let wanted = has(&world, 0, |event| matches!(event, Event::SnapshotWanted { .. }));
        assert!(wanted);
        assert!(released(&world) && world.now.since(back) < 5_000_000, "before the time is up");
    }
}

/// The last member is cut off until it is silenced, and comes back; the others cast meanwhile, more
/// than is kept for it, or nothing.
fn silence(world: &mut World, misses: bool) {
    world.away = alloc::vec![3];
    let silenced = |world: &World| world.node(0).view().members[3].status == Status::Silenced;
    let end = world.now.plus(20_000_000);
    assert!(world.run_until(end, silenced));
    if misses {
        load(world, &[0, 1, 2], 100);
        world.run(2_000);
    }
    world.away.clear();
}

#[test]
fn who_is_silenced_while_it_loads_begins_anew_when_it_is_active_again() {
    for misses in [false, true] {
        let mut world = world(4, 0, 3 * CHUNK_BYTES, |_| {});
        load(&mut world, &[0, 1, 2, 3], 5);
        delay(&mut world);
        world.apps[3].restart();
        world.join(3, FIRST, &[0, 1, 2]);
        world.settle(5, &[0, 1, 2, 3]);
        load(&mut world, &[0, 3], 5);
        silence(&mut world, misses);
        world.settle(60, &[0, 1, 2, 3]);
        assert!(has(&world, 3, is_lost), "what it began with may not be kept any more");
        load(&mut world, &[0, 3], 5);
        assert!(!world.apps[3].is_loaded);
        hand_over(&mut world);
        agree(&mut world, 20, &[0, 1, 2, 3]);
        world.run(5_000);
        assert!(released(&world));
        assert_eq!(world.delivered(3).len(), 10, "from that view on");
    }
}

#[test]
fn two_states_signed_for_one_joiner_are_a_proof_in_its_first_view_and_after() {
    for is_overtaken in [false, true] {
        let mut world = world(4, 2, CHUNK_BYTES, |_| {});
        world.faults = Some(Vec::new());
        delay(&mut world);
        world.join(4, FIRST, &[0]);
        world.settle(5, &[0, 1, 2, 3, 4]);
        world.run(500);
        let roster = world.node(4).roster().clone();
        if is_overtaken {
            world.join(5, FIRST, &[0]);
            world.settle(5, &[0, 1, 2, 3, 4, 5]);
        }
        let joiner = *quick_identity(4).public_key();
        let statement = Snapshot { joiner, root: some_hash(1), length: 7 };
        let door = &mut world.nodes[1].as_mut().unwrap().door;
        let said = door.sign(&roster, Rank::new(1), statement).signed().as_ref().clone();
        world.lie(1, &TransferPart::Root { of: 1, said });
        world.nodes.iter_mut().flatten().for_each(|node| node.now = world.now);
        for index in 0..6 {
            world.step(index, Input::Tick);
        }
        world.run(100);
        let faults = world.faults.take().unwrap();
        let fault = faults.first().expect("it is proven");
        assert_eq!(fault.key, *quick_identity(1).public_key());
        assert_eq!(fault.proof.verify_pair(&roster), Ok(()));
    }
}

/// A joiner without room is no danger: it delivers nothing, holds little and loses nothing.
#[test]
fn a_full_join_buffer_holds_the_bodies_in_the_logs() {
    let mut world = world(4, 1, CHUNK_BYTES, |config| {
        config.join_buffer = 64 * 1024;
        config.timeouts.lag_us = 60_000_000;
    });
    delay(&mut world);
    world.join(4, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    let payload = alloc::vec![7; 8 * 1024];
    for _ in 0..60 {
        world.cast(0, &payload);
        world.run(5);
    }
    world.run(3_000);
    assert!(world.delivered(4).is_empty());
    let held = world.node(4).gate.held_bytes();
    assert!((50 * 1024..66 * 1024).contains(&held), "{held}");
    assert_eq!(world.node(0).view().number, 1);
    let suspected = |event: &Event| matches!(event, Event::Suspected { .. });
    assert!(!(0..5).any(|index| has(&world, index, suspected)), "nobody is to blame for it");
    hand_over(&mut world);
    agree(&mut world, 10, &[0, 1, 2, 3, 4]);
    assert_eq!(world.delivered(4).len(), 60);
    load(&mut world, &[0, 4], 10);
    agree(&mut world, 10, &[0, 1, 2, 3, 4]);
}

#[test]
fn a_joiner_with_a_full_buffer_is_overtaken_once_and_not_twice() {
    let mut world = world(4, 3, CHUNK_BYTES, |config| {
        config.join_buffer = 64 * 1024;
        config.timeouts.lag_us = 60_000_000;
    });
    delay(&mut world);
    world.join(4, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    let payload = alloc::vec![7; 8 * 1024];
    (0..20).for_each(|_| world.cast(0, &payload));
    world.run(500);
    world.join(5, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4, 5]);
    assert!(!has(&world, 4, |event| matches!(event, Event::Excluded { .. })));
    (0..20).for_each(|_| world.cast(0, &payload));
    world.run(500);
    world.join(6, FIRST, &[0]);
    world.run(2_000);
    assert!(has(&world, 4, |event| *event == Event::StateLost));
    assert!(!has(&world, 4, |event| matches!(event, Event::Excluded { .. })));
    assert_eq!(world.node(4).view(), world.node(0).view(), "it votes");
    // It is silenced as it asks, and handed the state when it is Active again.
    hand_over(&mut world);
    world.run(30_000);
    world.settle(20, &[0, 1, 2, 3, 4, 5, 6]);
    agree(&mut world, 20, &[0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn the_state_comes_though_a_third_of_all_frames_is_lost() {
    let mut world = world(4, 2, 12 * CHUNK_BYTES, |_| {});
    world.loss = 30;
    load(&mut world, &[0, 1], 10);
    (4..6).for_each(|index| world.join(index, FIRST, &[index - 4]));
    load(&mut world, &[0, 1], 10);
    world.settle(120, &[0, 1, 2, 3, 4, 5]);
    agree(&mut world, 60, &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_group_grows_from_one_to_seven_with_its_state() {
    let mut world = world(1, 6, 4 * CHUNK_BYTES, |config| {
        config.genesis.limits.max_joins_per_change = 1;
    });
    world.cast(0, b"alone");
    for index in 1..7 {
        world.join(index, FIRST, &[0]);
        world.settle(5, &(0..=index).collect::<Vec<_>>());
        world.cast(index, b"here");
    }
    agree(&mut world, 5, &[0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(world.apps[6].count, 7);
}

#[test]
fn who_restarts_gets_the_state_again() {
    let mut world = world(4, 0, 3 * CHUNK_BYTES, |_| {});
    load(&mut world, &[0, 1, 2, 3], 5);
    world.apps[3].restart();
    world.join(3, 1, &[0, 1, 2]);
    world.settle(5, &[0, 1, 2, 3]);
    load(&mut world, &[0, 3], 5);
    agree(&mut world, 5, &[0, 1, 2, 3]);
}

/// The core hands a state through that is much larger than what it may hold.
#[test]
fn a_big_state_passes_through_the_core() {
    let mut world = world(4, 1, 64 * MIB, |config| config.frame_max = 128 * 1024);
    world.join(4, FIRST, &[0]);
    let end = world.now.plus(60_000_000);
    let is_done = world.run_until(end, |world| {
        let held = (0..5).filter_map(|index| world.nodes[index].as_ref());
        assert!(held.map(|node| node.memory().0).max() < Some(8 * MIB));
        world.apps[4].is_loaded
    });
    assert!(is_done);
    agree(&mut world, 1, &[0, 1, 2, 3, 4]);
}

/// It is cut off while it loads, for longer than snapshots are kept; nothing else happens meanwhile.
#[test]
fn a_joiner_whose_state_nobody_keeps_any_more_gets_a_newer_one_when_it_is_active_again() {
    let mut world = world(3, 1, 20 * CHUNK_BYTES, |config| {
        config.timeouts.retain_us = 3_000_000;
    });
    delay(&mut world);
    world.join(3, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3]);
    load(&mut world, &[0, 1], 5);
    world.away = alloc::vec![3];
    let silenced = |world: &World| world.node(0).view().members[3].status == Status::Silenced;
    let end = world.now.plus(20_000_000);
    assert!(world.run_until(end, silenced));
    world.run(10_000);
    world.away.clear();
    world.apps.iter_mut().for_each(|app| drop(app.mend()));
    world.settle(60, &[0, 1, 2, 3]);
    load(&mut world, &[0, 3], 5);
    agree(&mut world, 60, &[0, 1, 2, 3]);
}

/// Who restarts while it loads does not need what was kept for its life before.
#[test]
fn nothing_is_kept_for_a_joiner_that_was_replaced() {
    let mut world = world(4, 1, 20 * CHUNK_BYTES, |_| {});
    delay(&mut world);
    world.join(4, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    world.apps[4].restart();
    world.run(1_000);
    world.join(4, FIRST + 1, &[0]);
    let end = world.now.plus(30_000_000);
    let replaced =
        |world: &World| world.node(0).view().members.iter().any(|m| m.incarnation == FIRST + 1);
    assert!(world.run_until(end, replaced));
    world.run(100);
    assert_eq!([0, 1, 2, 3].map(|index| world.apps[index].kept()), [1; 4]);
}

/// All that have the state want to leave while the others load it.
#[test]
fn the_state_stays_though_all_that_have_it_leave_while_others_load() {
    let mut world = world(1, 1, 200 * CHUNK_BYTES, |_| {});
    load(&mut world, &[0], 5);
    delay(&mut world);
    world.join(1, FIRST, &[0]);
    world.settle(10, &[0, 1]);
    world.step(0, Input::Request(Ticket(9), Request::Leave));
    world.run(1_000);
    hand_over(&mut world);
    world.settle(60, &[1]);
    agree(&mut world, 10, &[1]);
    assert_eq!(world.apps[1].count, 5);
}

/// No application answers for longer than a state is waited for. The newcomer keeps its life and vote.
#[test]
fn a_state_that_does_not_come_is_given_up_for_a_newer_one() {
    let mut world = world(4, 1, 3 * CHUNK_BYTES, |_| {});
    load(&mut world, &[0, 1, 2, 3], 5);
    world.run(1_000);
    world.apps[..4].iter_mut().for_each(|app| app.manner = Manner::Silent);
    world.join(4, FIRST, &[0, 1, 2]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    let stalled = |event: &Event| matches!(event, Event::StateStalled { .. });
    let end = world.now.plus(2 * world.config.timeouts.retain_us);
    assert!(world.run_until(end, |world| has(world, 4, stalled)));
    assert!(has(&world, 4, is_lost) && !world.apps[4].is_loaded);
    world.apps[..4].iter_mut().for_each(|app| app.manner = Manner::Correct);
    let end = world.now.plus(60_000_000);
    assert!(world.run_until(end, |world| world.apps[4].is_loaded));
    agree(&mut world, 20, &[0, 1, 2, 3, 4]);
    load(&mut world, &[0, 4], 5);
    agree(&mut world, 20, &[0, 1, 2, 3, 4]);
    assert_eq!(world.node(0).view().members[4].incarnation, FIRST, "the same life");
}
