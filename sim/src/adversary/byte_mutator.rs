//! Byte mutator: flips, cuts, stretches and splices the bytes of some of its own frames, after
//! they are sealed or before, then with a good MAC.
//!
//! It tries to crash a decoder, to have a second encoding accepted, or to have somebody else blamed.
//! It must fail: bytes without a good MAC are dropped, counted and blame nobody; bytes with one are
//! decoded at one door, which knows one encoding of each packet.
//!
//! Verdict: depends on the schedule: a mutation may hit a frame that nobody needs.

use std::collections::BTreeMap;

use phalanx_core::Rank;
use phalanx_core::wire;

use super::act::{Act, Stage};
use super::dice::Dice;
use super::puppet::Letter;

/// One frame in this many is mutated.
const RARITY: u64 = 8;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct ByteMutator {
    last: BTreeMap<Rank, Vec<u8>>,
}

/// Changes the bytes in one of the ways; `other` is material to splice in.
fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = dice.index(bytes.len());
    match dice.below(5) {
        0 => bytes.truncate(at),
        1 => bytes.extend_from_slice(&[0; 7]),
        2 => {
            bytes.truncate(at);
            bytes.extend_from_slice(other.get(at..).unwrap_or_default());
        }
        3 => {
            let end = at.saturating_add(dice.index(8)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let bit = 1 << dice.below(8);
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
        }
    }
}

impl Act for ByteMutator {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        let to = letter.peer;
        let is_hit = stage.puppet.dice.once_in(RARITY);
        let is_inside = stage.puppet.dice.once_in(2);
        let last = self.last.entry(to).or_default();
        let frame = if is_hit && is_inside {
            let mut packet = wire::encode(&letter.packet);
            mutate(&mut stage.puppet.dice, &mut packet, last);
            stage.puppet.seal_bytes(to, packet, &letter.casts)
        } else {
            stage.puppet.seal(&letter)
        };
        let Some(mut frame) = frame else { return };
        if is_hit {
            stage.fire();
            if !is_inside {
                mutate(&mut stage.puppet.dice, &mut frame, last);
            }
        }
        last.clone_from(&frame);
        stage.post_frame(to, frame);
    }
}
