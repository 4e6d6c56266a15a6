//! State transfer liar: a member that lies to those that it should hand the state to, in one of
//! several ways ([`Lie`]).
//!
//! It tries to have a joiner begin with another state than the others, or never begin. It must fail:
//! a state is that which weak members signed, so a correct one; each piece is checked by itself;
//! and whoever does not answer rests while others are asked.
//!
//! Verdict: a false root that fewer than weak sign, and pieces that come late, are harmless: nobody
//! need notice. Two roots are a proof, where the joiner is still in its first view. False pieces and
//! none at all are held against the liar by the joiner alone, which moves nobody.

use std::collections::BTreeMap;

use phalanx_core::Rank;
use phalanx_core::crypto::sha256;
use phalanx_core::wire::Part;
use phalanx_core::wire::transfer::{CHUNK_BYTES, TransferPart};

use super::act::{Act, Stage};
use super::puppet::Letter;

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lie {
    /// Signs another state, the same as all other liars.
    Root,
    /// Signs that, and the true one, too.
    TwoRoots,
    /// Hands over wrong pieces.
    Pieces,
    /// Hands over none.
    Withholds,
    /// Hands each over just before it would be asked for of another.
    Slow,
    /// Hands over the first half.
    Half,
}

impl Lie {
    /// The name of the strategy of which it is the lie.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Root => "state_transfer_liar_root",
            Self::TwoRoots => "state_transfer_liar_two_roots",
            Self::Pieces => "state_transfer_liar_pieces",
            Self::Withholds => "state_transfer_liar_withholds",
            Self::Slow => "state_transfer_liar_slow",
            Self::Half => "state_transfer_liar_half",
        }
    }
}

/// The strategy.
#[derive(Debug)]
pub(super) struct StateTransferLiar {
    lie: Lie,
    /// Chunks of the states that it signed, by the joiners' first view.
    chunks: BTreeMap<u64, u32>,
}

impl StateTransferLiar {
    pub(super) const fn new(lie: Lie) -> Self {
        Self { lie, chunks: BTreeMap::new() }
    }

    /// What becomes of a part that hands something over.
    fn hand_over(&self, stage: &mut Stage<'_>, to: Rank, part: TransferPart) {
        let is_piece = matches!(
            part,
            TransferPart::Pages { .. } | TransferPart::Page { .. } | TransferPart::Chunk { .. }
        );
        match (self.lie, part) {
            (Lie::Root, part @ TransferPart::Root { .. }) => match false_root(stage, &part) {
                Some(root) => lie(stage, to, root),
                None => say(stage, to, part),
            },
            (Lie::TwoRoots, part @ TransferPart::Root { .. }) => {
                let root = false_root(stage, &part);
                say(stage, to, part);
                if let Some(root) = root {
                    lie(stage, to, root);
                }
            }
            (Lie::Pieces, part) if is_piece => lie(stage, to, wrong(part)),
            (Lie::Withholds, _) if is_piece => stage.fire(),
            (Lie::Half, TransferPart::Chunk { of, index, .. })
                if self.chunks.get(&of).is_some_and(|chunks| index >= chunks / 2) =>
            {
                stage.fire();
            }
            (Lie::Slow, part) if is_piece => {
                stage.fire();
                let wait_us = stage.puppet.timeouts.fetch_us / 100 * 95;
                let letter = stage.puppet.letter(to, vec![Part::Transfer(part)], &[]);
                stage.hold(stage.now.plus(wait_us), letter);
            }
            (_, part) => say(stage, to, part),
        }
    }
}

fn say(stage: &mut Stage<'_>, to: Rank, part: TransferPart) {
    let letter = stage.puppet.letter(to, vec![Part::Transfer(part)], &[]);
    stage.post(&letter);
}

fn lie(stage: &mut Stage<'_>, to: Rank, part: TransferPart) {
    stage.fire();
    say(stage, to, part);
}

/// The root of another state, signed as the true one is: in the joiner's first view only.
fn false_root(stage: &mut Stage<'_>, part: &TransferPart) -> Option<TransferPart> {
    let TransferPart::Root { of, said } = part else { return None };
    if *of != stage.puppet.view.number {
        return None;
    }
    let mut statement = said.statement.clone();
    statement.root = sha256(b"a state that nobody has");
    let said = stage.puppet.sign(stage.puppet.me, statement)?;
    Some(TransferPart::Root { of: *of, said })
}

/// The same piece with other content.
fn wrong(mut part: TransferPart) -> TransferPart {
    match &mut part {
        TransferPart::Pages { hashes, .. } => {
            hashes.as_mut_vec().iter_mut().for_each(|hash| hash.0[0] ^= 1);
        }
        TransferPart::Page { hashes, .. } => {
            hashes.as_mut_vec().iter_mut().for_each(|hash| hash.0[0] ^= 1);
        }
        TransferPart::Chunk { index, bytes, .. } => match index.is_multiple_of(2) {
            true => bytes.0.iter_mut().for_each(|byte| *byte ^= 1),
            false => bytes.0.truncate(1),
        },
        _ => {}
    }
    part
}

const fn is_handed_over(part: &TransferPart) -> bool {
    matches!(
        part,
        TransferPart::Root { .. }
            | TransferPart::Pages { .. }
            | TransferPart::Page { .. }
            | TransferPart::Chunk { .. }
    )
}

impl Act for StateTransferLiar {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let to = letter.peer;
        let mut handed = Vec::new();
        for part in letter.packet.parts.iter() {
            if let Part::Transfer(part) = part
                && is_handed_over(part)
            {
                handed.push(part.clone());
            }
        }
        letter.drop_parts(|part| matches!(part, Part::Transfer(part) if is_handed_over(part)));
        stage.post(&letter);
        for part in handed {
            if let TransferPart::Root { of, said } = &part {
                let chunks = said.statement.length.div_ceil(CHUNK_BYTES as u64);
                self.chunks.insert(*of, u32::try_from(chunks).unwrap_or(u32::MAX));
            }
            self.hand_over(stage, to, part);
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }
}
