//! What a liar can try, as a donor and as a joiner.

use alloc::vec::Vec;

use super::super::donor::{OFFERS_MAX, OPEN_MAX};
use super::super::source::STRIKES_MAX;
use super::super::{Answer, Context, In, Out, bound_bytes};
use super::rig::{JOINER, Manner, World, bytes, view};
use crate::crypto::{Reason, Signed, sha256};
use crate::fault::LinkFault;
use crate::member::Rank;
use crate::wire::transfer::{CHUNK_BYTES, Piece, TransferPart};

const MINUTE: u64 = 60_000_000;

fn opinions(world: &World) -> Vec<(u16, Reason)> {
    let opinion = |(by, out): &(usize, Out)| match out {
        Out::Opinion(rank, reason) if *by == JOINER => Some((rank.value(), *reason)),
        _ => None,
    };
    world.log.iter().filter_map(opinion).collect()
}

fn is_whole(world: &World, state: &[u8]) -> bool {
    world.machines[JOINER].is_loaded() && world.states[JOINER] == state
}

/// With this liar of rank 0 the joiner gets the state all the same.
fn survives(manner: Manner) -> World {
    let state = bytes(50 * CHUNK_BYTES + 1);
    let mut world = World::new(&state);
    world.manners[0] = manner;
    world.reach();
    world.run(10 * MINUTE);
    assert!(is_whole(&world, &state), "{manner:?}");
    world
}

#[test]
fn one_root_alone_is_not_believed() {
    let mut world = World::new(&bytes(100));
    let root = world.root(0, 0xee, 0);
    for _ in 0..3 {
        world.step(JOINER, In::Part(Rank::new(0), root.clone()));
        // Nor does another member's word count when a liar repeats it.
        world.step(JOINER, In::Part(Rank::new(1), root.clone()));
    }
    world.run(MINUTE);
    assert!(!world.machines[JOINER].is_loaded());
    world.reach();
    world.run(2 * MINUTE);
    assert!(is_whole(&world, &bytes(100)));
}

#[test]
fn wrong_chunks_are_noticed_and_their_sender_is_not_asked_again() {
    let world = survives(Manner::WrongChunks);
    assert_eq!(opinions(&world), [(0, Reason::BadBytes)]);
    let asked = world.said(0, |out| matches!(out, Out::ChunkWanted(..)));
    assert!((1..=16).contains(&asked), "what was on its way: {asked}");
}

#[test]
fn wrong_hashes_are_noticed() {
    let state = bytes(3 * CHUNK_BYTES);
    let mut world = World::new(&state);
    world.reach();
    world.manners[3] = Manner::Crashed;
    for (from, part) in [
        (0, TransferPart::Pages { of: 1, hashes: [sha256(b"x")].into_iter().collect() }),
        (1, TransferPart::Page { of: 1, page: 0, hashes: [sha256(b"x")].into_iter().collect() }),
    ] {
        let is_there = |world: &World| {
            world.net.iter().any(|(_, to, part)| {
                *to == from
                    || *to == 2
                        && matches!(part, TransferPart::Ask { piece, .. } if *piece != Piece::Root)
            })
        };
        while !is_there(&world) && !world.net.is_empty() {
            let (by, to, part) = world.net.remove(0);
            world.step(to, In::Part(Rank::new(by as u16), part));
        }
        world.step(JOINER, In::Part(Rank::new(from as u16), part));
    }
    world.run(MINUTE);
    assert!(is_whole(&world, &state));
}

#[test]
fn a_source_that_withholds_is_rested_and_suspected() {
    let world = survives(Manner::Withholds);
    assert!(opinions(&world).iter().all(|opinion| *opinion == (0, Reason::Withholding)));
    let mut only = World::new(&bytes(CHUNK_BYTES));
    only.manners = alloc::vec![Manner::Withholds; 4];
    only.manners.push(Manner::Correct);
    only.reach();
    only.run(MINUTE * 10);
    assert!(!only.machines[JOINER].is_loaded());
    let all = opinions(&only);
    assert_eq!(all.len(), 4, "each once after {STRIKES_MAX} tries: {all:?}");
    assert!(only.sent < 4_000, "asks back off: {}", only.sent);
    assert_eq!(only.said(JOINER, |out| *out == Out::Stalled(1)), 1);
}

#[test]
fn two_roots_are_a_proof_and_count_for_nothing() {
    let world = survives(Manner::TwoRoots);
    let proofs: Vec<_> = world
        .log
        .iter()
        .filter_map(|(_, out)| if let Out::Proof(_, proof) = out { Some(proof) } else { None })
        .collect();
    assert_eq!(proofs.len(), 1);
    assert_eq!(proofs[0].verify_pair(&world.roster), Ok(()));
    assert_eq!(proofs[0].culprit(), Rank::new(0));
    assert_eq!(opinions(&world), []);
}

#[test]
fn who_says_it_has_nothing_is_not_asked() {
    let world = survives(Manner::Gone);
    assert_eq!(world.said(0, |out| matches!(out, Out::ChunkWanted(..))), 0);
}

#[test]
fn an_endless_state_is_not_loaded() {
    let mut world = World::new(&bytes(5));
    let root = world.root(0, 0xee, u64::MAX);
    world.step(JOINER, In::Part(Rank::new(0), root));
    assert_eq!(world.said(JOINER, |out| matches!(out, Out::TooLarge(_))), 0, "one alone");
    let root = world.root(1, 0xee, u64::MAX);
    world.step(JOINER, In::Part(Rank::new(1), root));
    world.run(MINUTE / 10);
    assert_eq!(world.said(JOINER, |out| *out == Out::TooLarge(u64::MAX)), 1);
    assert!(!world.machines[JOINER].is_loaded());
}

#[test]
fn roots_that_cannot_meet_are_told_once_and_the_joiner_waits() {
    let mut world = World::new(&[]);
    for index in 0..JOINER {
        world.states[index] = bytes(index + 1);
    }
    world.reach();
    world.run(MINUTE);
    assert_eq!(world.said(JOINER, |out| *out == Out::Diverged(1)), 1);
    assert!(!world.machines[JOINER].is_loaded());
}

#[test]
fn one_liar_alone_does_not_make_roots_diverge() {
    let mut world = World::new(&bytes(9));
    let root = world.root(0, 0xee, 7);
    world.step(JOINER, In::Part(Rank::new(0), root));
    world.step(1, In::Reached(1));
    world.run(MINUTE / 10);
    assert_eq!(world.said(JOINER, |out| *out == Out::Diverged(1)), 0, "two may still agree");
    world.step(2, In::Reached(1));
    world.run(MINUTE);
    assert!(is_whole(&world, &bytes(9)));
}

#[test]
fn a_signature_that_is_none_closes_the_link() {
    let mut world = World::new(&bytes(9));
    let TransferPart::Root { of, said } = world.root(1, 1, 7) else { panic!("a root") };
    let other = world.root(1, 2, 7);
    let TransferPart::Root { said: second, .. } = other else { panic!("a root") };
    let forged = Signed { signature: second.signature, ..said };
    let part = TransferPart::Root { of, said: forged };
    let mut doors = crate::rig::Rig::quick(5);
    let mut cx = Context { now: world.now, door: &mut doors.doors[4], roster: &world.roster };
    let verdict = world.machines[JOINER].step(&mut cx, In::Part(Rank::new(1), part));
    assert!(matches!(verdict, Err(LinkFault::Signature(_))));
}

#[test]
fn asking_for_ever_ends_with_the_budget() {
    let mut world = World::new(&bytes(3 * CHUNK_BYTES));
    world.step(0, In::Reached(1));
    world.net.clear();
    let ask = |piece| TransferPart::Ask { of: 1, piece };
    let joiner = Rank::new(JOINER as u16);
    for round in 0..10_000_u32 {
        let piece = if round % 2 == 0 { Piece::Chunk(round % 3) } else { Piece::Page(0) };
        world.step(0, In::Part(joiner, ask(piece)));
    }
    let served = |part: &TransferPart| !matches!(part, TransferPart::Gone { .. });
    let served = world.net.iter().filter(|(_, _, part)| served(part)).count();
    assert_eq!(served, 8 * 4 + 256);
    for piece in [Piece::Chunk(99), Piece::Page(9)] {
        world.step(0, In::Part(joiner, ask(piece)));
    }
}

#[test]
fn so_many_chunks_at_a_time_are_asked_of_the_application_each_once() {
    let state = bytes(100 * CHUNK_BYTES);
    let mut world = World::new(&state);
    let hashes = crate::wire::transfer::chunk_hashes(&state);
    let settings = world.machines[0].settings.expect("on");
    let now = world.now;
    world.machines[0].offers.on_reached(now, settings, 1, &mut Vec::new());
    let length = state.len() as u64;
    world.answer(0, Answer::Ready { view: 1, length, chunks: &hashes }).expect("wanted");
    // An application that does not answer.
    let key = *crate::rig::quick_identity(JOINER as u8).public_key();
    let mut out = Vec::new();
    let offer = world.machines[0].offers.get_mut(1).expect("an offer");
    for index in (0..100).chain(0..100) {
        offer.on_ask((Rank::new(JOINER as u16), key), Piece::Chunk(index), &mut out);
    }
    assert_eq!(out.len(), OPEN_MAX);
    // Wrong bytes are not sent on.
    let wrong = Answer::Chunk { view: 1, index: 0, bytes: b"wrong" };
    assert_eq!(world.answer(0, wrong), Err(crate::Refusal::NotTheSnapshot));
}

#[test]
fn strangers_get_nothing() {
    let mut world = World::new(&bytes(9));
    world.reach();
    world.net.clear();
    let ask = |of| TransferPart::Ask { of, piece: Piece::Chunk(0) };
    world.step(0, In::Part(Rank::new(1), ask(1)));
    world.step(0, In::Part(Rank::new(1), ask(0)));
    assert!(world.net.iter().all(|(_, _, part)| matches!(part, TransferPart::Gone { .. })));
    assert_eq!(world.net.len(), 2);
    world.step(0, In::Part(Rank::new(1), ask(2)));
    assert_eq!(world.net.len(), 2, "of a view that is still to come");
}

#[test]
fn a_joiner_that_never_finishes_is_given_up() {
    let mut world = World::new(&bytes(1_000_000));
    world.reach();
    world.manners[JOINER] = Manner::Crashed;
    // The view was entered at 1; a megabyte has a second.
    assert_eq!(world.deadline().map(|due| due.as_micros()), Some(1 + MINUTE + 1_000_000));
    world.advance();
    assert_eq!(world.said(0, |out| *out == Out::Released(1)), 1);
    let late = Answer::Chunk { view: 1, index: 0, bytes: b"" };
    assert_eq!(world.answer(0, late), Err(crate::Refusal::NotWanted));
}

#[test]
fn joiners_that_come_and_go_take_no_more_than_their_share() {
    // The same one again and again needs one snapshot at a time; others are bounded.
    for (is_same, kept) in [(true, 1), (false, OFFERS_MAX)] {
        let mut world = World::new(&bytes(9));
        for number in 1..30_u8 {
            world.view = view(if is_same { 5 } else { 4 + number }, number.into());
            world.enter(0, false);
            world.step(0, In::Reached(number.into()));
            world.net.clear();
            assert!(world.machines[0].held_bytes() <= bound_bytes(&world.config));
        }
        let wanted = world.said(0, |out| matches!(out, Out::Wanted(_)));
        let released = world.said(0, |out| matches!(out, Out::Released(_)));
        assert_eq!(wanted - released, kept);
    }
}
