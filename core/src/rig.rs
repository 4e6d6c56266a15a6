//! What the tests of the vocabulary stand on: a group with known keys.

use alloc::vec::Vec;

use crate::crypto::{
    Door, Hash32, Head, Heads, Identity, Link, Roster, Signed, Stable, Suite, Verified, body_hash,
    log_root, sha256,
};
use crate::member::{Member, Rank, Status};
use crate::seq::{Number, SlotMark};
use crate::{Genesis, Limits, Pattern, QuorumRule};

/// The identity of the member with this index.
pub(crate) fn identity(index: u8) -> Identity {
    Identity::ed25519([index + 1; 32])
}

/// The same with the cheapest signatures that this build has, for tests that sign a lot.
pub(crate) fn quick_identity(index: u8) -> Identity {
    #[cfg(feature = "insecure-study")]
    return Identity::dummy([index + 1; 32], crate::crypto::Oracle([7; 32]));
    #[cfg(not(feature = "insecure-study"))]
    identity(index)
}

/// A group of `n` members with Ed25519 keys.
pub(crate) fn genesis(n: u8) -> Genesis {
    genesis_of((0..n).map(identity))
}

/// A group of these members.
pub(crate) fn genesis_of(identities: impl Iterator<Item = Identity>) -> Genesis {
    let member = |(i, identity): (usize, Identity)| Member {
        key: *identity.public_key(),
        incarnation: 0,
        addr: alloc::format!("10.0.0.{i}:7000").into_bytes(),
        status: Status::Active,
    };
    Genesis {
        name: "rig".into(),
        nonce: sha256(b"nonce"),
        members: identities.enumerate().map(member).collect(),
        pledge: None,
        pattern: Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: crate::Membership::Fixed,
        state_transfer: false,
        limits: Limits::default(),
    }
}

/// One view of a group with everybody's door to cryptography.
pub(crate) struct Rig {
    pub(crate) roster: Roster,
    pub(crate) doors: Vec<Door>,
}

impl Rig {
    /// The first view of a group of `n`.
    pub(crate) fn new(n: u8) -> Self {
        let roster = genesis(n).view().roster(Suite::Ed25519).expect("good keys");
        Self { roster, doors: (0..n).map(|i| Door::new(identity(i))).collect() }
    }

    /// The same with the cheapest signatures that this build has.
    pub(crate) fn quick(n: u8) -> Self {
        let suite = quick_identity(0).suite();
        let genesis = genesis_of((0..n).map(quick_identity));
        let roster = genesis.view().roster(suite).expect("good keys");
        Self { roster, doors: (0..n).map(|index| Door::new(quick_identity(index))).collect() }
    }

    /// `signer` vouches for heads.
    pub(crate) fn heads(&mut self, signer: u16, entries: &[Head]) -> Verified<Heads> {
        let heads = Heads { entries: entries.iter().copied().collect() };
        self.doors[usize::from(signer)].sign(&self.roster, Rank::new(signer), heads)
    }

    /// The same, as it stands on the wire.
    pub(crate) fn signed_heads(&mut self, signer: u16, entries: &[Head]) -> Signed<Heads> {
        Signed::clone(self.heads(signer, entries).signed())
    }

    /// A row of `signer`.
    pub(crate) fn row(&mut self, signer: u16, counter: u64, have: &[u64]) -> Signed<Stable> {
        let have = have.iter().copied().map(Number::new).collect();
        let row = Stable { counter, have };
        let row = self.doors[usize::from(signer)].sign(&self.roster, Rank::new(signer), row);
        Signed::clone(row.signed())
    }

    /// The heads `0..` of the log of `sender` whose bodies hash to these casts.
    pub(crate) fn chain(&self, sender: u16, casts: &[&str]) -> Vec<Head> {
        let sender = Rank::new(sender);
        let hash = log_root(self.roster.view(), sender);
        let mut chain = alloc::vec![Head { sender, number: Number::ZERO, hash }];
        for link in links(casts) {
            let tip = chain[chain.len() - 1];
            let number = tip.number.next();
            let hash = body_hash(self.roster.view(), sender, number, &tip.hash, &link);
            chain.push(Head { sender, number, hash });
        }
        chain
    }
}

/// The steps of a log whose bodies hash to these casts.
pub(crate) fn links(casts: &[&str]) -> Vec<Link> {
    let link = |casts: &&str| Link { slot: SlotMark::None, casts: sha256(casts.as_bytes()) };
    casts.iter().map(link).collect()
}

/// A hash that nothing hashes to.
pub(crate) const fn some_hash(byte: u8) -> Hash32 {
    Hash32([byte; 32])
}
