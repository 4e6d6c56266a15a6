//! Views: who is in the group, in which order, and by which thresholds.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, Limits};
use crate::crypto::{Hash32, Key, MEMBERS_MAX, PublicKey, Roster, Suite, hash, peer_id};
use crate::member::{ADDR_MAX, Member, PeerId, PerRank, Rank, Status};
use crate::quorum::{Quorum, QuorumRule};
use crate::seq::{Attempt, LogEnd};
use crate::wire::List;

/// Which messages carry the agreement on a body (protocol.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Pattern {
    /// Replies go to all and everybody assembles the certificate: three delays.
    #[default]
    Swift,
    /// The paper's: replies to the sender, which sends the certificate to all.
    Paper,
}

/// Which of the paper's stacks the group runs (protocol.md section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Membership {
    /// `gmp-reliable-total`: members that fail are removed, others join.
    Managed,
    /// `reliable-total`: the genesis view for ever; suspicions are told and nothing follows.
    #[default]
    Fixed,
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
    /// Whether the membership changes.
    pub membership: Membership,
    /// Whether joiners are handed the state of the application before anything is delivered to
    /// them, see [`crate::Event::SnapshotWanted`]. Without it they deliver at once.
    pub state_transfer: bool,
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
            expelled: List::new(),
            cut: List::new(),
            departed: List::new(),
            silenced: List::new(),
        }
    }
}

/// The most keys that a view remembers as expelled; a group that has expelled more needs a new
/// genesis record.
pub const EXPELLED_MAX: usize = 1024;

/// Why a member of the view before is not in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Departure {
    /// Proven to lie: its key is expelled for ever.
    Proof,
    /// Suspected by enough members; it may come back.
    Opinion,
    /// It asked to.
    Left,
    /// A higher incarnation of it joined.
    Replaced,
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
    /// Keys that may never join again, ascending.
    pub expelled: List<PublicKey, EXPELLED_MAX>,
    /// Where the logs of the view before end, by their senders' ranks there; empty in the first.
    pub cut: List<LogEnd, MEMBERS_MAX>,
    /// Who left the view before, by rank there, ascending.
    pub departed: List<(Rank, Departure), MEMBERS_MAX>,
    /// Who was silenced by this change, by rank in the view before, ascending.
    pub silenced: List<Rank, MEMBERS_MAX>,
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

    /// Whether it could be a view at all: its lengths, no key twice nor two that frames cannot tell
    /// apart, somebody Active (protocol.md section 8). Says nothing about whether it was decided.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        if self.members.is_empty() || self.members.len() > MEMBERS_MAX {
            return false;
        }
        let mut names: Vec<PeerId> = self.peers().values().copied().collect();
        names.sort_unstable();
        names.iter().zip(names.iter().skip(1)).all(|(a, b)| a != b)
            && self.members.iter().all(|member| member.addr.len() <= ADDR_MAX)
            && self.members.iter().any(|member| member.status == Status::Active)
            && self.expelled.iter().zip(self.expelled.iter().skip(1)).all(|(a, b)| a < b)
    }

    /// The member at `rank`.
    #[must_use]
    pub fn member(&self, rank: Rank) -> Option<&Member> {
        self.members.get(rank.index())
    }

    /// The member that leads an attempt of the change to the next view (protocol.md section 9): rank
    /// `number + attempt mod n`. With each view another member is the first to lead, so that one that
    /// leads badly does so in one change of `n`.
    #[must_use]
    pub fn leader(&self, attempt: Attempt) -> Rank {
        let n = self.members.len().max(1) as u64;
        let first = self.number.checked_rem(n).unwrap_or(0);
        let rank = first.saturating_add(u64::from(attempt.value())).checked_rem(n).unwrap_or(0);
        Rank::new(u16::try_from(rank).unwrap_or(u16::MAX))
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
    /// If a key is no point, not canonical, or not in the subgroup of prime order.
    pub fn roster(&self, suite: Suite) -> Result<Roster, ConfigError> {
        self.roster_after(suite, None)
    }

    /// As [`View::roster`], without decoding again the keys that the roster of another view holds:
    /// that a key is of prime order costs as much to see as a signature.
    pub(crate) fn roster_after(
        &self,
        suite: Suite,
        known: Option<&Roster>,
    ) -> Result<Roster, ConfigError> {
        if self.members.is_empty() {
            return Err(ConfigError::NoMembers);
        }
        let mut keys = Vec::with_capacity(self.members.len());
        for (rank, member) in Rank::all(self.members.len()).zip(&self.members) {
            let known = known.and_then(|known| known.key_of(&member.key)).cloned();
            let key = known.map_or_else(|| Key::decode(suite, &member.key), Ok);
            keys.push(key.map_err(|why| ConfigError::BadKey { rank, why })?);
        }
        let quorum = self.quorum();
        let keys = PerRank::from_vec(keys);
        Ok(Roster::new(self.group, self.id(), keys, quorum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{genesis, identity};
    use alloc::string::ToString;

    /// Ids are part of what is signed: changing one cuts a group off from its past.
    #[test]
    fn golden_ids() {
        let genesis = genesis(4);
        assert_eq!(
            genesis.group().to_string(),
            "d30dd3ddde627547f675d5945e55bb535c2c3d28d8161611bd313cdf5ba46aa8"
        );
        assert_eq!(
            genesis.view().id().to_string(),
            "e5e166bf81287939fe12d8c0a52a169fb8a828e02ede2609c4f745df7246c36f"
        );
        assert_eq!(peer_id(&genesis.members[0].key).to_string(), "8ea8a33eca8b2a8b");
    }

    #[test]
    fn every_field_of_a_view_enters_its_id() {
        let base = genesis(4).view();
        let changed = |change: fn(&mut View)| {
            let mut view = base.clone();
            change(&mut view);
            view.id()
        };
        let ids = [
            base.id(),
            changed(|view| view.group = Hash32::ZERO),
            changed(|view| view.number = 1),
            changed(|view| view.prev = view.group),
            changed(|view| view.members.swap(0, 1)),
            changed(|view| view.members[0].status = Status::Silenced),
            changed(|view| view.members[0].incarnation = 1),
            changed(|view| view.pledge = 0),
            changed(|view| view.rule = QuorumRule::Paper),
            changed(|view| view.expelled.as_mut_vec().push(view.members[0].key)),
            changed(|view| view.cut.as_mut_vec().push(LogEnd::EMPTY)),
            changed(|view| {
                view.departed.as_mut_vec().push((Rank::new(0), crate::view::Departure::Left));
            }),
            changed(|view| view.silenced.as_mut_vec().push(Rank::new(0))),
        ];
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[..i].contains(id), "change {i}");
        }
    }

    #[test]
    fn the_pledge_is_at_most_what_the_group_can_spare() {
        let pledge = |n, limit| {
            let mut genesis = genesis(n);
            genesis.pledge = limit;
            genesis.view().pledge
        };
        assert_eq!([pledge(7, None), pledge(7, Some(1)), pledge(7, Some(9))], [2, 1, 2]);
    }

    #[test]
    fn members_are_found_by_key_and_rank() {
        let mut view = genesis(4).view();
        assert_eq!(view.rank_of(identity(2).public_key()), Some(Rank::new(2)));
        assert_eq!(view.rank_of(identity(4).public_key()), None);
        assert_eq!(view.member(Rank::new(3)).unwrap().key, *identity(3).public_key());
        assert!(view.member(Rank::new(4)).is_none());
        assert_eq!(*view.peers().at(Rank::new(1)), peer_id(identity(1).public_key()));
        assert_eq!(view.active().len(), 4);
        view.members[1].status = Status::Silenced;
        assert_eq!(view.active(), [Rank::new(0), Rank::new(2), Rank::new(3)]);
        assert_eq!(view.quorum().q(), 3, "a silenced member counts");
        view.members.clear();
        assert_eq!(view.roster(Suite::Ed25519).unwrap_err(), ConfigError::NoMembers);
    }
}
