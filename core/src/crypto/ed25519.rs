//! Strict Ed25519, one signature at a time, the same verdict everywhere. The only file that names
//! the curve's crate.
//!
//! Small-order keys verify any message under the lenient rule and under batch verification, so
//! neither is used; weak and non-canonical keys are refused when they are decoded.

use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroize;

use super::types::{PublicKey, Signature};

/// Why a public key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no point of the curve.
    #[error("the public key is not a point of the curve")]
    NotAPoint,
    /// The point is encoded in a second way.
    #[error("the public key is not encoded canonically")]
    NotCanonical,
    /// The point is of small order: signatures under it prove nothing.
    #[error("the public key is weak: it is of small order")]
    Weak,
    /// The point has a part of small order: signatures under it verify at some and fail at others,
    /// by which equation is used, and eight keys share what is agreed with one.
    #[error("the public key is not in the subgroup of prime order")]
    Torsion,
}

/// A decoded, canonical public key of prime order.
#[derive(Clone, Debug)]
pub(super) struct Public(VerifyingKey);

impl Public {
    pub(super) fn decode(key: &PublicKey) -> Result<Self, KeyError> {
        let decoded = VerifyingKey::from_bytes(&key.0).map_err(|_| KeyError::NotAPoint)?;
        if decoded.to_edwards().compress().to_bytes() != key.0 {
            return Err(KeyError::NotCanonical);
        }
        if decoded.is_weak() {
            return Err(KeyError::Weak);
        }
        if !decoded.to_edwards().is_torsion_free() {
            return Err(KeyError::Torsion);
        }
        Ok(Self(decoded))
    }

    pub(super) fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &DalekSignature::from_bytes(&signature.0)).is_ok()
    }
}

/// A secret key; wiped when dropped.
pub(super) struct Secret(SigningKey);

impl Secret {
    pub(super) fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        seed.zeroize();
        Self(key)
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// X25519 of the two identities.
    #[allow(clippy::arithmetic_side_effects, reason = "multiplication of points and scalars")]
    pub(super) fn agree(&self, other: &Public) -> [u8; 32] {
        (other.0.to_montgomery() * self.0.to_scalar()).to_bytes()
    }

    /// A seed for the keyed hashers; tells nothing about the key.
    pub(super) fn hasher_seed(&self) -> [u8; 32] {
        let secret = zeroize::Zeroizing::new(self.0.to_bytes());
        super::hash::hash("lookup", &[secret.as_slice()]).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes32(hex: &str) -> [u8; 32] {
        let mut out = [0; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        }
        out
    }

    #[test]
    fn the_first_vector_of_rfc_8032() {
        let secret = Secret::from_seed(bytes32(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        ));
        let public =
            PublicKey(bytes32("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
        assert_eq!(secret.public(), public);
        let signature = secret.sign(b"");
        assert_eq!(
            signature.0[..32],
            bytes32("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
        );
        assert!(Public::decode(&public).unwrap().verify(b"", &signature));
        assert!(!Public::decode(&public).unwrap().verify(b"x", &signature));
    }

    #[test]
    fn both_ends_agree_on_the_link_secret() {
        let a = Secret::from_seed([1; 32]);
        let b = Secret::from_seed([2; 32]);
        let (pa, pb) = (Public::decode(&a.public()).unwrap(), Public::decode(&b.public()).unwrap());
        assert_eq!(a.agree(&pb), b.agree(&pa));
        assert_ne!(a.agree(&pb), a.agree(&pa));
    }

    /// The eight torsion points and their non-canonical twins, as listed in the literature on
    /// Ed25519 edge cases: none may become a member's key.
    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        let keys = [
            ("0000000000000000000000000000000000000000000000000000000000000000", KeyError::Weak),
            ("0100000000000000000000000000000000000000000000000000000000000000", KeyError::Weak),
            ("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", KeyError::Weak),
            ("0000000000000000000000000000000000000000000000000000000000000080", KeyError::Weak),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", KeyError::Weak),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", KeyError::Weak),
            ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", KeyError::Weak),
            ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", KeyError::Weak),
            (
                "0100000000000000000000000000000000000000000000000000000000000080",
                KeyError::NotCanonical,
            ),
            (
                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                KeyError::NotCanonical,
            ),
            (
                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                KeyError::NotCanonical,
            ),
            (
                "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                KeyError::NotCanonical,
            ),
            (
                "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                KeyError::NotCanonical,
            ),
            (
                "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
                KeyError::NotCanonical,
            ),
            (
                "0200000000000000000000000000000000000000000000000000000000000000",
                KeyError::NotAPoint,
            ),
        ];
        for (hex, why) in keys {
            let refused = Public::decode(&PublicKey(bytes32(hex))).unwrap_err();
            assert_eq!(refused, why, "{hex}");
        }
    }

    /// A good key plus each of the seven points of small order: eight keys with one secret.
    #[test]
    fn keys_with_a_part_of_small_order_are_refused() {
        let good = Secret::from_seed([5; 32]).public();
        let point = Public::decode(&good).unwrap().0.to_edwards();
        let torsion = bytes32("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
        let torsion = VerifyingKey::from_bytes(&torsion).unwrap().to_edwards();
        let mut mixed = point;
        for _ in 1..8 {
            mixed += torsion;
            let key = PublicKey(mixed.compress().to_bytes());
            assert_ne!(key, good);
            assert_eq!(Public::decode(&key).unwrap_err(), KeyError::Torsion);
        }
        assert_eq!(PublicKey((mixed + torsion).compress().to_bytes()), good);
    }

    #[test]
    fn a_signature_with_a_scalar_above_the_order_is_refused() {
        // S + L instead of S: the same equation, a second encoding.
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let secret = Secret::from_seed([3; 32]);
        let public = Public::decode(&secret.public()).unwrap();
        let mut signature = secret.sign(b"m");
        let mut carry = 0_u16;
        for (byte, order) in signature.0[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!public.verify(b"m", &signature));
    }

    #[test]
    fn a_signature_with_a_small_order_commitment_is_refused() {
        // R = identity, S = 0 verifies under A = identity by the lenient rule; strict refuses R.
        let mut signature = Signature([0; 64]);
        signature.0[0] = 1;
        let public = Public::decode(&Secret::from_seed([3; 32]).public()).unwrap();
        assert!(!public.verify(b"m", &signature));
    }
}
