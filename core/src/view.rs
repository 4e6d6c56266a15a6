//! Views: who is in the group, in which order, and by which thresholds.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Limits};
use crate::crypto::{Hash32, Key, PublicKey, Roster, Suite, hash, peer_id};
use crate::member::{Member, PeerId, PerRank, Rank, Status};
use crate::quorum::{Quorum, QuorumRule};

/// Which messages carry the agreement on a body (protocol.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Pattern {
    /// Replies go to all and everybody assembles the certificate: three delays.
    #[default]
    Swift,
    /// The paper's: replies to the sender, which sends the certificate to all.
    Paper,
}

/// What makes a group this group: the same bytes at every member, and their hash is the group id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// For people; at most 64 bytes.
    pub name: String,
    /// Tells two groups with the same members apart.
    pub nonce: Hash32,
    /// The first view, in rank order.
    pub members: Vec<Member>,
    /// Pledge limit `P` of protocol.md section 8; `None` means no limit.
    pub pledge: Option<u16>,
    /// Message pattern.
    pub pattern: Pattern,
    /// Quorum arithmetic.
    pub quorum: QuorumRule,
    /// Sizes, limits and windows that must agree.
    pub limits: Limits,
}

impl Genesis {
    /// The group id: hash of the canonical record.
    #[must_use]
    pub fn group(&self) -> Hash32 {
        hash("genesis", &[&postcard::to_allocvec(self).unwrap_or_default()])
    }

    /// The first view.
    #[must_use]
    pub fn view(&self) -> View {
        let n = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        let quorum = Quorum::of(n, self.quorum);
        let spare = u16::try_from(quorum.f()).unwrap_or(u16::MAX);
        View {
            group: self.group(),
            number: 0,
            prev: Hash32::ZERO,
            members: self.members.clone(),
            pledge: self.pledge.map_or(spare, |limit| limit.min(spare)),
            rule: self.quorum,
        }
    }
}

/// One membership of the group, agreed by all its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The group id.
    pub group: Hash32,
    /// Counted from 0, the genesis view.
    pub number: u64,
    /// Id of the view before; zero for the first.
    pub prev: Hash32,
    /// The members in rank order.
    pub members: Vec<Member>,
    /// Pledge `F` of protocol.md section 8.
    pub pledge: u16,
    /// Quorum arithmetic, from the genesis record.
    pub rule: QuorumRule,
}

impl View {
    /// `H("view", canonical View)`.
    #[must_use]
    pub fn id(&self) -> Hash32 {
        hash("view", &[&postcard::to_allocvec(self).unwrap_or_default()])
    }

    /// The thresholds.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        Quorum::of(u16::try_from(self.members.len()).unwrap_or(u16::MAX), self.rule)
    }

    /// The rank of the member with this key.
    #[must_use]
    pub fn rank_of(&self, key: &PublicKey) -> Option<Rank> {
        Rank::all(self.members.len())
            .zip(&self.members)
            .find(|(_, m)| m.key == *key)
            .map(|(r, _)| r)
    }

    /// The member at `rank`.
    #[must_use]
    pub fn member(&self, rank: Rank) -> Option<&Member> {
        self.members.get(rank.index())
    }

    /// The processes in rank order, as frames name them.
    #[must_use]
    pub fn peers(&self) -> PerRank<PeerId> {
        let mut members = self.members.iter();
        PerRank::from_fn(self.members.len(), |_| {
            members.next().map_or(PeerId(0), |member| peer_id(&member.key))
        })
    }

    /// The ranks that open bodies and own slots, ascending.
    #[must_use]
    pub fn active(&self) -> Vec<Rank> {
        Rank::all(self.members.len())
            .zip(&self.members)
            .filter(|(_, member)| member.status == Status::Active)
            .map(|(rank, _)| rank)
            .collect()
    }

    /// Decodes the members' keys.
    ///
    /// # Errors
    /// If a key is weak, not canonical or no point.
    pub fn roster(&self, suite: Suite) -> Result<Roster, ConfigError> {
        if self.members.is_empty() {
            return Err(ConfigError::NoMembers);
        }
        let mut keys = Vec::with_capacity(self.members.len());
        for (rank, member) in Rank::all(self.members.len()).zip(&self.members) {
            let key =
                Key::decode(suite, &member.key).map_err(|why| ConfigError::BadKey { rank, why })?;
            keys.push(key);
        }
        let quorum = self.quorum();
        let keys = PerRank::from_vec(keys);
        Ok(Roster::new(self.group, self.id(), keys, quorum))
    }
}
