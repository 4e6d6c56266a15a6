//! Reflection: sends members their own frames back, and shows them frames that were for others.
//!
//! It tries to have a frame taken for one of another link or direction. It must fail: every link
//! has one MAC key per direction (section 3); such frames are dropped, counted and blame nobody.
//!
//! Verdict: harmless.

use phalanx_core::Rank;

use super::act::{Act, Stage};

/// One frame in this many is reflected.
const RARITY: u64 = 4;

/// The strategy.
#[derive(Debug)]
pub(super) struct Reflection;

impl Act for Reflection {
    fn frame_in(&mut self, stage: &mut Stage<'_>, from: Rank, frame: &[u8]) {
        if !stage.puppet.dice.once_in(RARITY) {
            return;
        }
        stage.fire();
        stage.post_frame(from, frame.to_vec());
        let others: Vec<Rank> = stage.puppet.others().filter(|rank| *rank != from).collect();
        if let Some(to) = others.get(stage.puppet.dice.index(others.len())) {
            stage.post_frame(*to, frame.to_vec());
        }
    }
}
