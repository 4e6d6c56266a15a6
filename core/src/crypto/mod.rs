//! The one door to cryptography: everything that a node signs, verifies, hashes or MACs on its way
//! passes a [`Door`] and is counted there (protocol.md sections 2, 3 and 16).
//!
//! A signature that was found good is not checked again: positive verdicts are kept, bounded, by
//! signer, statement and signature together. Nothing else about a verdict is remembered.

mod certificate;
#[cfg(feature = "insecure-study")]
mod dummy;
mod ed25519;
mod hash;
mod identity;
mod link;
mod membership;
mod statement;
mod types;

pub use certificate::{Certificate, CertificateError, Certified, LINKS_MAX};
#[cfg(feature = "insecure-study")]
pub use dummy::Oracle;
pub use ed25519::KeyError;
pub use hash::{Link, MAC_LEN, MacKey, body_hash, hash, log_root, peer_id, sha256};
pub use identity::{Identity, Key, Suite};
pub use link::LinkKeys;
pub use membership::{
    AckNewView, CHANGES_MAX, Change, Commit, Flush, Installed, JoinRequest, Leave, Locked,
    NeedMoreChange, NewView, Newest, ReadyToSwitch, Recommend, Snapshot,
};
pub use statement::{
    Head, Heads, Kind, MEMBERS_MAX, Reason, Signed, Stable, Statement, Suspect, Verified,
};
pub use types::{Hash32, PublicKey, Signature};

use alloc::vec::Vec;
use core::hash::Hasher as _;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::lookup::Lookup;
use crate::member::{PerRank, Rank};
use crate::quorum::Quorum;
use crate::seq::Number;
use crate::wire::Blob;

/// How many good verdicts are remembered for each member of the largest view.
const VERDICTS_PER_MEMBER: usize = 64;

/// What the cryptography of one process has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CryptoCounters {
    /// Signatures made.
    pub signatures: u64,
    /// Signatures checked.
    pub verifications: u64,
    /// Signatures not checked because the same one was found good before.
    pub verdicts_reused: u64,
    /// Signatures that were bad.
    pub bad_signatures: u64,
    /// Hashes of casts and chain links.
    pub hashes: u64,
    /// Bytes of casts hashed.
    pub hashed_bytes: u64,
    /// MACs made or checked.
    pub macs: u64,
}

/// The keys of one view, with what binds a signature to it.
#[derive(Clone, Debug)]
pub struct Roster {
    group: Hash32,
    view: Hash32,
    keys: PerRank<Key>,
    quorum: Quorum,
}

impl Roster {
    /// The roster of a view of `group`.
    #[must_use]
    pub const fn new(group: Hash32, view: Hash32, keys: PerRank<Key>, quorum: Quorum) -> Self {
        Self { group, view, keys, quorum }
    }

    /// The view's id.
    #[must_use]
    pub const fn view(&self) -> &Hash32 {
        &self.view
    }

    /// The group's id.
    #[must_use]
    pub const fn group(&self) -> &Hash32 {
        &self.group
    }

    /// The view's thresholds.
    #[must_use]
    pub const fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// The key of a member.
    #[must_use]
    pub fn key(&self, rank: Rank) -> Option<&Key> {
        self.keys.get(rank)
    }

    /// The decoded key of the member with this one.
    pub(crate) fn key_of(&self, key: &PublicKey) -> Option<&Key> {
        self.keys.values().find(|known| known.bytes() == key)
    }

    /// Whether the signature is good: for evidence verified offline; nothing is counted or kept.
    #[must_use]
    pub fn verifies<S: Statement>(&self, signed: &Signed<S>) -> bool {
        let mut message = Vec::new();
        Signed::message(&signed.statement, &self.group, &self.view, &mut message);
        self.keys.get(signed.signer).is_some_and(|key| key.verify(&message, &signed.signature))
    }
}

/// A signature that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature of rank {signer} does not verify")]
pub struct BadSignature {
    /// Whose signature it claims to be.
    pub signer: Rank,
}

/// Signs, verifies and hashes for one process, and counts it.
pub struct Door {
    identity: Identity,
    counters: CryptoCounters,
    hasher_keys: (u64, u64),
    /// None if there is no secret to key it with.
    verdicts: Option<Lookup<(u64, u64), ()>>,
    message: Vec<u8>,
}

impl core::fmt::Debug for Door {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Door").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Door {
    /// The door of the process with this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let keys = identity.hasher_keys();
        let limit = VERDICTS_PER_MEMBER.saturating_mul(MEMBERS_MAX);
        Self {
            identity,
            counters: CryptoCounters::default(),
            hasher_keys: keys,
            verdicts: Some(Lookup::new(limit, keys)),
            message: Vec::new(),
        }
    }

    /// A door to check evidence with, for who need not be a member: it remembers no verdict.
    pub(crate) fn offline(roster: &Roster) -> Self {
        let suite = roster.keys.values().next().map_or(Suite::Ed25519, Key::suite);
        Self { verdicts: None, ..Self::new(Identity::nobody(suite)) }
    }

    fn is_known(&mut self, verdict: (u64, u64)) -> bool {
        let is_known = self.verdicts.as_ref().is_some_and(|known| known.get(&verdict).is_some());
        if is_known {
            self.counters.verdicts_reused = self.counters.verdicts_reused.saturating_add(1);
        }
        is_known
    }

    fn remember(&mut self, verdict: (u64, u64)) {
        if let Some(known) = &mut self.verdicts {
            known.insert(verdict, ());
        }
    }

    /// The process's identity.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What it has cost so far.
    #[must_use]
    pub const fn counters(&self) -> &CryptoCounters {
        &self.counters
    }

    /// Counts MACs made or checked by a link.
    pub(crate) fn count_macs(&mut self, macs: u64) {
        self.counters.macs = self.counters.macs.saturating_add(macs);
    }

    /// Counts signatures checked in evidence, where no verdict is kept.
    pub(crate) fn count_verifications(&mut self, verifications: u64) {
        self.counters.verifications = self.counters.verifications.saturating_add(verifications);
    }

    /// Signs `statement` as `me`.
    pub fn sign<S: Statement>(&mut self, roster: &Roster, me: Rank, statement: S) -> Verified<S> {
        Signed::message(&statement, &roster.group, &roster.view, &mut self.message);
        let signature = self.identity.sign(&self.message);
        self.counters.signatures = self.counters.signatures.saturating_add(1);
        let verdict =
            verdict(self.hasher_keys, self.identity.public_key(), &self.message, &signature);
        self.remember(verdict);
        Verified::vouch(Signed { signer: me, statement, signature })
    }

    /// Checks a signature, unless the same one was found good before.
    ///
    /// # Errors
    /// If it does not verify under the signer's key in this view.
    pub fn verify<S: Statement>(
        &mut self,
        roster: &Roster,
        signed: Signed<S>,
    ) -> Result<Verified<S>, BadSignature> {
        let bad = BadSignature { signer: signed.signer };
        let key = roster.keys.get(signed.signer).ok_or(bad)?;
        Signed::message(&signed.statement, &roster.group, &roster.view, &mut self.message);
        let verdict = verdict(self.hasher_keys, key.bytes(), &self.message, &signed.signature);
        if self.is_known(verdict) {
            return Ok(Verified::vouch(signed));
        }
        self.counters.verifications = self.counters.verifications.saturating_add(1);
        if !key.verify(&self.message, &signed.signature) {
            self.counters.bad_signatures = self.counters.bad_signatures.saturating_add(1);
            return Err(bad);
        }
        self.remember(verdict);
        Ok(Verified::vouch(signed))
    }

    /// The request of this process to join, or to be Active again, in the view of `roster`.
    pub fn ask_to_join(&mut self, roster: &Roster, incarnation: u64, addr: Vec<u8>) -> JoinRequest {
        let key = *self.identity.public_key();
        let signature = Signature([0; Signature::LEN]);
        let mut request = JoinRequest { key, incarnation, addr: Blob(addr), signature };
        let fields = membership::JoinFields(&request);
        Signed::message(&fields, &roster.group, &roster.view, &mut self.message);
        request.signature = self.identity.sign(&self.message);
        self.counters.signatures = self.counters.signatures.saturating_add(1);
        request
    }

    /// Whether the key that a request names is a good one and signed it for the view of `roster`.
    pub fn verifies_join(&mut self, roster: &Roster, request: &JoinRequest) -> bool {
        let fields = membership::JoinFields(request);
        Signed::message(&fields, &roster.group, &roster.view, &mut self.message);
        let verdict = verdict(self.hasher_keys, &request.key, &self.message, &request.signature);
        if self.is_known(verdict) {
            return true;
        }
        let Ok(key) = Key::decode(self.identity.suite(), &request.key) else { return false };
        self.counters.verifications = self.counters.verifications.saturating_add(1);
        if !key.verify(&self.message, &request.signature) {
            self.counters.bad_signatures = self.counters.bad_signatures.saturating_add(1);
            return false;
        }
        self.remember(verdict);
        true
    }

    /// `H(casts)`: the one hash over payload bytes.
    pub fn casts_hash(&mut self, casts: &[u8]) -> Hash32 {
        self.counters.hashes = self.counters.hashes.saturating_add(1);
        self.counters.hashed_bytes = self.counters.hashed_bytes.saturating_add(casts.len() as u64);
        sha256(casts)
    }

    /// Hash of an encoded packet, as frames are MACed by it.
    pub fn small_hash(&mut self, packet: &[u8]) -> Hash32 {
        self.counters.hashes = self.counters.hashes.saturating_add(1);
        sha256(packet)
    }

    /// `H_r`, see [`body_hash`].
    pub fn body_hash(
        &mut self,
        view: &Hash32,
        sender: Rank,
        number: Number,
        prev: &Hash32,
        link: &Link,
    ) -> Hash32 {
        self.counters.hashes = self.counters.hashes.saturating_add(1);
        body_hash(view, sender, number, prev, link)
    }
}

/// Names a verdict by signer, statement and signature: a keyed 128-bit hash that stays within this
/// process, so nobody can aim for a collision.
fn verdict(keys: (u64, u64), key: &PublicKey, message: &[u8], signature: &Signature) -> (u64, u64) {
    let mut state = SipHasher13::new_with_keys(keys.0, keys.1);
    state.write(key.as_bytes());
    state.write(signature.as_bytes());
    state.write(message);
    let hash = state.finish128();
    (hash.h1, hash.h2)
}

#[cfg(test)]
mod tests;
