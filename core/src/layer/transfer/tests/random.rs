//! Whatever is lost or comes late, whoever lies or crashes: the application gets exactly the bytes.

use proptest::prelude::*;

use super::super::{Out, bound_bytes};
use super::rig::{JOINER, Manner, World, bytes};
use crate::wire::transfer::CHUNK_BYTES;

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        Just(Manner::Correct),
        Just(Manner::Crashed),
        Just(Manner::WrongChunks),
        Just(Manner::Withholds),
        Just(Manner::TwoRoots),
        Just(Manner::Gone),
    ]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0_usize), Just(CHUNK_BYTES), 1..200_usize, 1..40 * CHUNK_BYTES,]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    /// One liar, and one that crashes when part of the state is there.
    #[test]
    fn the_application_gets_exactly_the_bytes(
        seed in any::<u64>(),
        size in size(),
        loss in 0..40_u64,
        liar in (0..4_usize, manner()),
        crash in (0..4_usize, 0..100_usize),
    ) {
        let state = bytes(size);
        let mut world = World::new(&state).seeded(seed);
        world.loss_percent = loss;
        world.shuffles = true;
        world.manners[liar.0] = liar.1;
        world.reach();
        let mut has_crashed = false;
        for _ in 0..100_000 {
            if world.machines[JOINER].is_loaded() {
                break;
            }
            if !has_crashed && world.states[JOINER].len() * 100 >= size * crash.1 {
                has_crashed = true;
                if crash.0 != liar.0 {
                    world.manners[crash.0] = Manner::Crashed;
                }
            }
            world.hop();
            let held = world.machines[JOINER].held_bytes();
            prop_assert!(held <= bound_bytes(&world.config), "{} held", held);
        }
        // Donors keep a state for so long only, and more than a third of all parts may be lost. Then it
        // says so, and is handed a newer one.
        if loss > 20 && world.said(JOINER, |out| matches!(out, Out::Stalled(_))) > 0 {
            return Ok(());
        }
        prop_assert!(world.machines[JOINER].is_loaded(), "at {}", world.now);
        prop_assert!(world.states[JOINER] == state);
    }
}
