//! One seed, many independent streams of randomness.
//!
//! Promises: the same seed gives the same draws on every machine and build; a new draw in one
//! stream shifts no other; draws are integers only.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use phalanx_core::crypto;

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream called `name`, of the part numbered `index` (a rank, or 0).
    #[must_use]
    pub fn stream(self, name: &str, index: u64) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.bytes(name, index)))
    }

    /// 32 bytes of their own for `name` and `index`: keys and secrets.
    #[must_use]
    pub fn bytes(self, name: &str, index: u64) -> [u8; 32] {
        let parts = [&self.0.to_le_bytes()[..], name.as_bytes(), &index.to_le_bytes()];
        crypto::hash("simulator stream", &parts).0
    }
}

/// A stream of draws.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Any `u64`.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Whether something with this probability, in thousandths, happens. Draws nothing at 0.
    pub fn permille(&mut self, probability: u16) -> bool {
        probability > 0 && self.below(1000) < u64::from(probability)
    }

    /// An index below `len`; 0 if `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of `all`, which is not empty.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    /// `count` different numbers below `end`, ascending; all of them if there are no more.
    pub fn distinct(&mut self, end: u16, count: usize) -> Vec<u16> {
        let mut left: Vec<u16> = (0..end).collect();
        while left.len() > count {
            let out = self.index(left.len());
            left.remove(out);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_independent_and_repeatable() {
        let draws = |seed, name, index| {
            let mut stream = Seed(seed).stream(name, index);
            [stream.any(), stream.any()]
        };
        assert_eq!(draws(1, "network", 0), draws(1, "network", 0));
        let others = [draws(2, "network", 0), draws(1, "clocks", 0), draws(1, "network", 1)];
        assert!(others.iter().all(|other| *other != draws(1, "network", 0)));
    }

    #[test]
    fn draws_stay_within_bounds_and_reach_them() {
        let mut stream = Seed(7).stream("test", 0);
        let mut seen = [false; 5];
        for _ in 0..200 {
            let draw = stream.between(3, 7);
            seen[usize::try_from(draw - 3).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert!((0..100).all(|_| !stream.permille(0)) && (0..100).all(|_| stream.permille(1000)));
        let some = stream.distinct(9, 4);
        assert!(some.len() == 4 && some.is_sorted() && some.iter().all(|rank| *rank < 9));
    }
}
