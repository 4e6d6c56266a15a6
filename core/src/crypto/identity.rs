//! Who a process is, and the decoded keys of those it talks to. Dispatches to the suite.

use super::ed25519::{self, KeyError};
use super::types::{PublicKey, Signature};

#[cfg(feature = "insecure-study")]
use super::dummy::Oracle;

/// Which signatures a process makes and accepts.
#[derive(Clone, Copy, Debug)]
pub enum Suite {
    /// Strict Ed25519.
    Ed25519,
    /// Keyed hashes: **no protection at all** outside a simulator.
    #[cfg(feature = "insecure-study")]
    Dummy(Oracle),
}

enum Secret {
    Ed25519(alloc::boxed::Box<ed25519::Secret>),
    #[cfg(feature = "insecure-study")]
    Dummy(Oracle),
}

/// A process's key pair. Its secret is wiped when it is dropped, and never printed.
pub struct Identity {
    secret: Secret,
    public: PublicKey,
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Identity {
    /// The Ed25519 identity with this secret seed (32 random bytes).
    #[must_use]
    pub fn ed25519(seed: [u8; 32]) -> Self {
        let secret = ed25519::Secret::from_seed(seed);
        let public = secret.public();
        Self { secret: Secret::Ed25519(alloc::boxed::Box::new(secret)), public }
    }

    /// A dummy identity of a study.
    #[cfg(feature = "insecure-study")]
    #[must_use]
    pub fn dummy(seed: [u8; 32], oracle: Oracle) -> Self {
        Self { secret: Secret::Dummy(oracle), public: oracle.public(&seed) }
    }

    /// An identity that everybody has, for who only checks what others signed.
    pub(super) fn nobody(suite: Suite) -> Self {
        match suite {
            Suite::Ed25519 => Self::ed25519([0; 32]),
            #[cfg(feature = "insecure-study")]
            Suite::Dummy(oracle) => Self::dummy([0; 32], oracle),
        }
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The suite it belongs to.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match &self.secret {
            Secret::Ed25519(_) => Suite::Ed25519,
            #[cfg(feature = "insecure-study")]
            Secret::Dummy(oracle) => Suite::Dummy(*oracle),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        match &self.secret {
            Secret::Ed25519(secret) => secret.sign(message),
            #[cfg(feature = "insecure-study")]
            Secret::Dummy(oracle) => oracle.sign(&self.public, message),
        }
    }

    /// The secret shared with the holder of `other`.
    pub(super) fn agree(&self, other: &Key) -> [u8; 32] {
        match (&self.secret, &other.decoded) {
            (Secret::Ed25519(secret), Decoded::Ed25519(public)) => secret.agree(public),
            #[cfg(feature = "insecure-study")]
            (Secret::Dummy(oracle), _) => oracle.agree(&self.public, &other.bytes),
            // Keys are decoded under the identity's own suite.
            #[cfg(feature = "insecure-study")]
            (Secret::Ed25519(_), Decoded::Dummy(_)) => [0; 32],
        }
    }

    pub(super) fn hasher_keys(&self) -> (u64, u64) {
        let seed = match &self.secret {
            Secret::Ed25519(secret) => secret.hasher_seed(),
            #[cfg(feature = "insecure-study")]
            Secret::Dummy(oracle) => oracle.hasher_seed(&self.public).0,
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = seed;
        let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        (low, u64::from_le_bytes([i, j, k, l, m, n, o, p]))
    }
}

#[derive(Clone, Debug)]
enum Decoded {
    Ed25519(ed25519::Public),
    #[cfg(feature = "insecure-study")]
    Dummy(Oracle),
}

/// A decoded public key: canonical, and of prime order.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: PublicKey,
    decoded: Decoded,
}

impl Key {
    /// Decodes `bytes`.
    ///
    /// # Errors
    /// If they are no point, not canonical, or not in the subgroup of prime order.
    pub fn decode(suite: Suite, bytes: &PublicKey) -> Result<Self, KeyError> {
        let decoded = match suite {
            Suite::Ed25519 => Decoded::Ed25519(ed25519::Public::decode(bytes)?),
            #[cfg(feature = "insecure-study")]
            Suite::Dummy(oracle) => Decoded::Dummy(oracle),
        };
        Ok(Self { bytes: *bytes, decoded })
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &PublicKey {
        &self.bytes
    }

    pub(super) const fn suite(&self) -> Suite {
        match &self.decoded {
            Decoded::Ed25519(_) => Suite::Ed25519,
            #[cfg(feature = "insecure-study")]
            Decoded::Dummy(oracle) => Suite::Dummy(*oracle),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        match &self.decoded {
            Decoded::Ed25519(public) => public.verify(message, signature),
            #[cfg(feature = "insecure-study")]
            Decoded::Dummy(oracle) => oracle.sign(&self.bytes, message) == *signature,
        }
    }
}
