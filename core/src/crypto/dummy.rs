//! Keyed-hash "signatures" for studies: fast, and worth what their secret is worth.
//!
//! With the all-zero oracle secret these are the paper's dummy cryptography: anybody can forge
//! them. With a secret that only a simulator knows they stand in for a table of really made
//! signatures: code that does not use the secret cannot make one that verifies. Built only
//! with the feature `insecure-study`, which a runtime has only for its demonstrations.

use super::hash::hash;
use super::types::{Hash32, PublicKey, Signature};

/// Knows every dummy key pair of a run.
#[derive(Clone, Copy)]
pub struct Oracle(pub [u8; 32]);

impl core::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Oracle(..)")
    }
}

impl Oracle {
    pub(super) fn public(self, seed: &[u8; 32]) -> PublicKey {
        PublicKey(hash("dummy key", &[seed]).0)
    }

    pub(super) fn sign(self, key: &PublicKey, message: &[u8]) -> Signature {
        let first = hash("dummy sign", &[&self.0, key.as_bytes(), message]);
        let second = hash("dummy sign 2", &[first.as_bytes()]);
        let mut signature = Signature([0; 64]);
        let both = first.0.iter().chain(second.0.iter());
        signature.0.iter_mut().zip(both).for_each(|(to, from)| *to = *from);
        signature
    }

    pub(super) fn agree(self, a: &PublicKey, b: &PublicKey) -> [u8; 32] {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        hash("dummy agree", &[&self.0, low.as_bytes(), high.as_bytes()]).0
    }

    pub(super) fn hasher_seed(self, key: &PublicKey) -> Hash32 {
        hash("dummy lookup", &[&self.0, key.as_bytes()])
    }
}
