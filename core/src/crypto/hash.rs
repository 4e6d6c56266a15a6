//! SHA-256 and HMAC-SHA256, with the domains that keep one use of a hash from being read as
//! another. The only file that names their crates.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::types::{Hash32, PublicKey};
use crate::member::{PeerId, Rank};
use crate::seq::{Number, SlotMark};

/// `SHA-256(bytes)`, without a domain: for payloads, which enter every other hash through this.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Hash32 {
    Hash32(Sha256::digest(bytes).into())
}

/// `H(domain, parts...)`: the domain and every part are preceded by their length.
#[must_use]
pub fn hash(domain: &str, parts: &[&[u8]]) -> Hash32 {
    let mut state = Sha256::new();
    for part in core::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        state.update((part.len() as u64).to_le_bytes());
        state.update(part);
    }
    Hash32(state.finalize().into())
}

/// What leads from one head of a log to the next: `H(msg, .., H_{r-1}, slot, H(casts))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Link {
    /// The slot mark of the body.
    pub slot: SlotMark,
    /// `SHA-256` of its casts.
    pub casts: Hash32,
}

/// `H_0` of the log of `sender` in `view`.
#[must_use]
pub fn log_root(view: &Hash32, sender: Rank) -> Hash32 {
    hash("msg0", &[view.as_bytes(), &sender.value().to_le_bytes()])
}

/// `H_r` of the body `number` of `sender` in `view`, whose predecessor's head is `prev`.
#[must_use]
pub fn body_hash(
    view: &Hash32,
    sender: Rank,
    number: Number,
    prev: &Hash32,
    link: &Link,
) -> Hash32 {
    let (tag, round) = match link.slot {
        SlotMark::None => (0_u8, 0),
        SlotMark::Value(round) => (1, round.value()),
        SlotMark::Null(round) => (2, round.value()),
    };
    let mut state = Sha256::new();
    state.update(b"phalanx/1 msg");
    state.update(view.as_bytes());
    state.update(sender.value().to_le_bytes());
    state.update(number.value().to_le_bytes());
    state.update(prev.as_bytes());
    state.update([tag]);
    state.update(round.to_le_bytes());
    state.update(link.casts.as_bytes());
    Hash32(state.finalize().into())
}

/// The process that holds `key`.
#[must_use]
pub fn peer_id(key: &PublicKey) -> PeerId {
    PeerId(hash("peer", &[key.as_bytes()]).prefix())
}

/// The length of a link MAC in bytes.
pub const MAC_LEN: usize = 16;

/// A key for link MACs in one direction, expanded once; wiped when dropped.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl core::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// HMAC under a key shorter than a block, which is padded with zeros as HMAC defines it.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = zeroize::Zeroizing::new([0_u8; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

impl MacKey {
    /// Derives the key for one direction: `secret` is shared by the two ends, `context` names
    /// group, sender and receiver, in this order.
    #[must_use]
    pub fn derive(secret: &[u8; 32], context: &[&[u8]]) -> Self {
        let info = hash("link", context);
        let mut derivation = keyed(secret);
        derivation.update(info.as_bytes());
        let key: [u8; 32] = derivation.finalize().into_bytes().into();
        let key = zeroize::Zeroizing::new(key);
        Self(keyed(&key))
    }

    /// `HMAC-SHA256(parts...)` cut to 16 bytes. The parts' lengths must be fixed by the first.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        let mut state = self.0.clone();
        for part in parts {
            state.update(part);
        }
        let full: [u8; 32] = state.finalize().into_bytes().into();
        let mut cut = [0; MAC_LEN];
        cut.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        cut
    }

    /// Whether `mac` is the MAC of `parts`, compared in constant time.
    #[must_use]
    pub fn verifies(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        self.mac(parts).ct_eq(mac).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_link_key_is_wiped_when_it_is_dropped() {
        // An HMAC is two states of its hash, and has no marker of its own.
        const fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        is_wiped(&Sha256::new());
    }

    #[test]
    fn sha256_known_answer() {
        assert_eq!(
            alloc::format!("{}", sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash("d", &[b"ab", b"c"]), hash("d", &[b"a", b"bc"]));
        assert_ne!(hash("d", &[b"ab"]), hash("da", &[b"b"]));
    }

    #[test]
    fn every_field_of_a_body_enters_its_hash() {
        use crate::seq::Round;
        let view = sha256(b"view");
        let link = Link { slot: SlotMark::None, casts: sha256(b"casts") };
        let at = |view: &Hash32, s, r, prev: &Hash32, link: &Link| {
            body_hash(view, Rank::new(s), Number::new(r), prev, link)
        };
        let base = at(&view, 0, 1, &view, &link);
        let value = Link { slot: SlotMark::Value(Round::ZERO), ..link };
        let null = Link { slot: SlotMark::Null(Round::ZERO), ..link };
        let other = Link { casts: view, ..link };
        let all = [
            base,
            at(&link.casts, 0, 1, &view, &link),
            at(&view, 1, 1, &view, &link),
            at(&view, 0, 2, &view, &link),
            at(&view, 0, 1, &link.casts, &link),
            at(&view, 0, 1, &view, &value),
            at(&view, 0, 1, &view, &null),
            at(&view, 0, 1, &view, &other),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b), "variant {i}");
        }
    }

    #[test]
    fn a_mac_key_serves_one_direction() {
        let there = MacKey::derive(&[7; 32], &[b"group", b"a", b"b"]);
        let back = MacKey::derive(&[7; 32], &[b"group", b"b", b"a"]);
        let mac = there.mac(&[b"header", b"hash"]);
        assert!(there.verifies(&[b"header", b"hash"], &mac));
        assert!(!back.verifies(&[b"header", b"hash"], &mac));
        assert!(!there.verifies(&[b"headeR", b"hash"], &mac));
        assert!(!there.verifies(&[b"header", b"hash"], &mac[..15]));
    }
}
