//! The adversary's seeded choices.

use crate::rng::{Seed, Stream};

/// A stream of choices; the same seed and index give the same ones.
#[derive(Clone, Debug)]
pub(super) struct Dice(Stream);

impl Dice {
    /// The stream of one liar.
    pub(super) fn own(seed: u64, rank: u64) -> Self {
        Self(Seed(seed).stream("liar", rank))
    }

    /// The stream that all liars of a run draw alike.
    pub(super) fn common(seed: u64) -> Self {
        Self(Seed(seed).stream("liars", 0))
    }

    /// Any number.
    pub(super) fn any(&mut self) -> u64 {
        self.0.any()
    }

    /// A number below `limit`, 0 if that is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    /// True once in `times`, on average.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// An index into something of this length, 0 if it is empty.
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.0.index(len)
    }

    /// Random bytes.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.any().to_le_bytes();
            chunk.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        }
    }
}
