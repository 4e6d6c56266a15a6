//! The MAC keys of one link: X25519 of the two identities, bound to group, incarnations and
//! direction (protocol.md section 3). Links are authenticated, not encrypted.

use super::hash::MacKey;
use super::identity::{Identity, Key};
use super::types::Hash32;

/// One key per direction, so that a frame cannot be reflected.
#[derive(Clone, Debug)]
pub struct LinkKeys {
    /// For what this process sends.
    pub outbound: MacKey,
    /// For what it receives.
    pub inbound: MacKey,
}

impl LinkKeys {
    /// The keys between `identity`, in its life `incarnation`, and `peer` in its life
    /// `peer_incarnation`.
    #[must_use]
    pub fn derive(
        identity: &Identity,
        incarnation: u64,
        peer: &Key,
        peer_incarnation: u64,
        group: &Hash32,
    ) -> Self {
        let secret = zeroize::Zeroizing::new(identity.agree(peer));
        let mine = incarnation.to_le_bytes();
        let theirs = peer_incarnation.to_le_bytes();
        let me = identity.public_key().as_bytes().as_slice();
        let other = peer.bytes().as_bytes().as_slice();
        let group = group.as_bytes().as_slice();
        Self {
            outbound: MacKey::derive(&secret, &[group, me, &mine, other, &theirs]),
            inbound: MacKey::derive(&secret, &[group, other, &theirs, me, &mine]),
        }
    }
}
