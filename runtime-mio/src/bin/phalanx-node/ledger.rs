//! The state of the application in `demo`: what all Total casts since the beginning have made of it.

use phalanx_core::Hash32;
use phalanx_core::crypto::{hash, sha256};

/// Counters, so that the state takes several chunks on its way to a joiner.
const COUNTERS: usize = 32 * 1024;
/// Bytes before the counters.
const HEAD: usize = 40;

/// A state machine: every cast moves a running hash and one of many counters.
#[derive(Clone)]
pub(crate) struct Ledger {
    total: u64,
    chain: Hash32,
    counters: Vec<u64>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { total: 0, chain: Hash32::ZERO, counters: vec![0; COUNTERS] }
    }
}

impl Ledger {
    /// The next cast in the total order.
    pub(crate) fn apply(&mut self, sender: u16, payload: &[u8]) {
        self.total += 1;
        self.chain = hash("demo", &[self.chain.as_bytes(), &sender.to_le_bytes(), payload]);
        let [low, high, ..] = self.chain.0;
        let place = usize::from(u16::from_le_bytes([low, high])) % COUNTERS;
        self.counters[place] = self.counters[place].wrapping_add(self.total);
    }

    /// How many casts made it, and the hash over them in order.
    pub(crate) const fn chain(&self) -> (u64, Hash32) {
        (self.total, self.chain)
    }

    /// The hash over the whole state.
    pub(crate) fn hash(&self) -> Hash32 {
        sha256(&self.to_bytes())
    }

    /// Makes another state of it: a test of the judge.
    pub(crate) fn spoil(&mut self) {
        self.counters[7] ^= 1;
    }

    /// What a joiner is handed.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + COUNTERS * 8);
        bytes.extend_from_slice(&self.total.to_le_bytes());
        bytes.extend_from_slice(self.chain.as_bytes());
        self.counters.iter().for_each(|counter| bytes.extend_from_slice(&counter.to_le_bytes()));
        bytes
    }

    /// What was handed over, if it is a state.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (total, rest) = bytes.split_first_chunk::<8>()?;
        let (chain, rest) = rest.split_first_chunk::<32>()?;
        let counters: Vec<u64> = rest
            .chunks_exact(8)
            .filter_map(|bytes| bytes.try_into().ok().map(u64::from_le_bytes))
            .collect();
        let ledger = Self { total: u64::from_le_bytes(*total), chain: Hash32(*chain), counters };
        (rest.len() == COUNTERS * 8).then_some(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_handed_over_goes_on_as_the_other_does() {
        let mut one = Ledger::default();
        (0..100_u8).for_each(|i| one.apply(u16::from(i % 4), &[i]));
        let mut other = Ledger::from_bytes(&one.to_bytes()).unwrap();
        assert_eq!(one.hash(), other.hash());
        one.apply(1, b"more");
        assert_ne!(one.hash(), other.hash());
        other.apply(1, b"more");
        assert_eq!((one.hash(), one.chain()), (other.hash(), other.chain()));
        other.spoil();
        assert_ne!(one.hash(), other.hash());
        assert!(Ledger::from_bytes(&one.to_bytes()[1..]).is_none());
    }
}
