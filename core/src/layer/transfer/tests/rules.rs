//! What happens when nobody lies.

use alloc::vec::Vec;

use super::super::{Answer, In, Out, bound_bytes};
use super::rig::{JOINER, Manner, World, bytes};
use crate::crypto::sha256;
use crate::output::Refusal;
use crate::time::Time;
use crate::wire::transfer::{CHUNK_BYTES, TransferPart};

const MINUTE: u64 = 60_000_000;

fn loaded(world: &World) -> usize {
    world.said(JOINER, |out| matches!(out, Out::Loaded(..)))
}

#[test]
fn a_joiner_gets_the_state_and_the_donors_are_released() {
    let state = bytes(20 * CHUNK_BYTES + 5);
    let mut world = World::new(&state);
    assert!(!world.machines[JOINER].is_loaded());
    assert!((0..4).all(|donor| world.machines[donor].is_loaded()));
    world.reach();
    world.run(MINUTE);
    assert_eq!(world.states[JOINER], state);
    assert_eq!(loaded(&world), 1);
    for donor in 0..4 {
        assert_eq!(world.said(donor, |out| *out == Out::Released(1)), 1);
        assert_eq!(world.machines[donor].held_bytes(), 0);
    }
    (0..100).for_each(|_| {
        world.advance();
        world.settle();
    });
    assert_eq!(world.deadline(), None, "at rest");
    let asked: Vec<usize> =
        (0..4).map(|donor| world.said(donor, |out| matches!(out, Out::ChunkWanted(..)))).collect();
    assert_eq!(asked.iter().sum::<usize>(), 21, "each chunk once");
    assert!(asked.iter().filter(|count| **count > 0).count() >= 2, "from several: {asked:?}");
}

#[test]
fn a_state_of_two_pages_arrives() {
    let state = bytes(1025 * CHUNK_BYTES);
    let mut world = World::new(&state);
    world.reach();
    world.run(MINUTE);
    assert_eq!(loaded(&world), 1);
    assert!(world.states[JOINER] == state);
}

#[test]
fn an_empty_state_is_complete_once_weak_members_say_so() {
    let mut world = World::new(&[]);
    world.step(0, In::Reached(1));
    world.settle();
    assert_eq!(loaded(&world), 0, "one is not enough");
    world.step(1, In::Reached(1));
    world.settle();
    assert_eq!((loaded(&world), world.states[JOINER].len()), (1, 0));
}

#[test]
fn without_state_transfer_the_gate_is_open_and_nobody_is_asked() {
    let mut world = World::with(&bytes(9), |config| config.genesis.state_transfer = false);
    world.reach();
    assert!(world.machines[JOINER].is_loaded());
    world.run(MINUTE);
    assert!(world.log.is_empty() && world.sent == 0);
    let hashes = [sha256(b"")];
    let answer = Answer::Ready { view: 1, length: 1, chunks: &hashes };
    assert_eq!(world.answer(0, answer), Err(Refusal::NotWanted));
    assert_eq!(bound_bytes(&world.config), 0);
}

#[test]
fn who_is_not_there_yet_signs_later() {
    let state = bytes(3 * CHUNK_BYTES);
    let mut world = World::new(&state);
    world.step(0, In::Reached(1));
    world.run(5_000_000);
    assert_eq!(loaded(&world), 0);
    world.step(2, In::Reached(1));
    world.step(2, In::Reached(1));
    world.run(MINUTE);
    assert_eq!((loaded(&world), world.states[JOINER] == state), (1, true));
    assert_eq!(world.said(2, |out| matches!(out, Out::Wanted(_))), 1, "asked once");
}

#[test]
fn an_overtaken_joiner_goes_on_with_its_own_snapshot_under_new_ranks() {
    let state = bytes(40 * CHUNK_BYTES);
    let mut world = World::new(&state);
    world.reach();
    world.loss_percent = 100;
    world.run(1_000_000);
    world.loss_percent = 0;
    assert_eq!(loaded(&world), 0);
    // The members of rank 0 and 1 are gone: all others have other ranks, and signed in the old.
    world.manners[0] = Manner::Crashed;
    world.manners[1] = Manner::Crashed;
    world.next_view(&[2, 3, JOINER]);
    world.run(world.now.as_micros() + MINUTE);
    assert_eq!((loaded(&world), world.states[JOINER] == state), (1, true));
    assert_eq!(world.said(2, |out| *out == Out::Released(1)), 1);
}

#[test]
fn a_source_that_crashes_is_replaced_by_another() {
    let state = bytes(40 * CHUNK_BYTES);
    let mut world = World::new(&state);
    world.shuffles = true;
    world.reach();
    while world.states[JOINER].len() < 10 * CHUNK_BYTES {
        let (from, to, part) = world.net.remove(0);
        if world.manners[to] == Manner::Correct {
            let rank = crate::Rank::new(from as u16);
            world.step(to, In::Part(rank, part));
        }
    }
    for donor in [0, 1, 2] {
        world.manners[donor] = Manner::Crashed;
    }
    world.net.clear();
    world.run(MINUTE);
    assert_eq!((loaded(&world), world.states[JOINER] == state), (1, true));
}

#[test]
fn answers_of_no_use_are_refused() {
    let mut world = World::new(&bytes(2 * CHUNK_BYTES));
    let hashes = [sha256(b"a"), sha256(b"b")];
    let ready = |view, length| Answer::Ready { view, length, chunks: &hashes };
    assert_eq!(world.answer(0, ready(1, 70_000)), Err(Refusal::NotWanted), "not asked yet");
    world.step(0, In::Reached(1));
    assert_eq!(world.answer(0, ready(1, 70_000)), Err(Refusal::AlreadyDone));
    assert_eq!(world.answer(0, ready(2, 70_000)), Err(Refusal::NotWanted));
    let chunk = |index| Answer::Chunk { view: 1, index, bytes: b"other" };
    assert_eq!(world.answer(0, chunk(0)), Err(Refusal::NotWanted), "nobody asked for it");
}

#[test]
fn a_snapshot_too_long_or_with_too_few_hashes_is_refused() {
    let mut world = World::with(&[], |config| config.state_max = 100_000);
    let hashes = [sha256(b"a"), sha256(b"b")];
    // The application of the rig would answer at once, so it is not told.
    let mut out = Vec::new();
    let settings = world.machines[0].settings.expect("on");
    world.machines[0].offers.on_reached(Time::ZERO, settings, 1, &mut out);
    assert_eq!(out, [Out::Wanted(1)]);
    let ready = |length, count: usize| Answer::Ready { view: 1, length, chunks: &hashes[..count] };
    assert_eq!(world.answer(0, ready(100_001, 2)), Err(Refusal::TooLarge));
    assert_eq!(world.answer(0, ready(100_000, 1)), Err(Refusal::NotTheSnapshot));
    assert_eq!(world.answer(0, ready(100_000, 2)), Ok(()));
}

#[test]
fn nothing_for_long_is_told_once_per_standstill() {
    let mut world = World::new(&bytes(5));
    world.run(10 * MINUTE);
    assert_eq!(world.said(JOINER, |out| *out == Out::Stalled(1)), 1);
    world.reach();
    world.run(11 * MINUTE);
    assert_eq!(loaded(&world), 1, "and it goes on");
}

#[test]
fn what_was_lost_after_the_end_is_answered() {
    let mut world = World::new(&bytes(5));
    world.reach();
    world.run(MINUTE);
    let root = world.root(0, 1, 5);
    world.step(JOINER, In::Part(crate::Rank::new(0), root));
    assert!(matches!(world.net[..], [(JOINER, 0, TransferPart::Done { of: 1 })]));
}
