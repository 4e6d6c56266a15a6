//! A group for tests: keys, configuration, setups, and the other end of a liar's links.

use std::collections::BTreeMap;

use phalanx_core::crypto::{Door, Hash32, Identity, LinkKeys, Oracle, Roster, Suite, sha256};
use phalanx_core::wire::{self, Packet, frame};
use phalanx_core::{Config, Genesis, Limits, Member, Pattern, QuorumRule, Rank, Status};

use crate::adversary::puppet::Puppet;
use crate::adversary::{Setup, Strategy};
use crate::scenario::RoundPlan;

/// A group whose members' key seeds are their ranks.
pub(super) struct Rig {
    pub(super) config: Config,
    pub(super) suite: Suite,
}

fn key_seed(rank: Rank) -> [u8; 32] {
    sha256(&rank.value().to_le_bytes()).0
}

impl Rig {
    pub(super) fn new(n: u16, suite: Suite) -> Self {
        let mut rig = Self { config: Config::new(genesis(Vec::new())), suite };
        let members = Rank::all(usize::from(n)).map(|rank| Member {
            key: *rig.identity(rank).public_key(),
            incarnation: 3,
            addr: Vec::new(),
            status: Status::Active,
        });
        rig.config = Config::new(genesis(members.collect()));
        rig
    }

    pub(super) fn dummy(n: u16) -> Self {
        Self::new(n, Suite::Dummy(Oracle([7; 32])))
    }

    pub(super) fn identity(&self, rank: Rank) -> Identity {
        match self.suite {
            Suite::Ed25519 => Identity::ed25519(key_seed(rank)),
            Suite::Dummy(oracle) => Identity::dummy(key_seed(rank), oracle),
        }
    }

    pub(super) fn roster(&self) -> Roster {
        self.config.genesis.view().roster(self.suite).unwrap()
    }

    /// The door of somebody who checks signatures.
    pub(super) fn door(&self, rank: u16) -> Door {
        Door::new(self.identity(Rank::new(rank)))
    }

    pub(super) fn setup(&self, liars: &[u16], strategy: Strategy, seed: u64) -> Setup {
        let liars: BTreeMap<Rank, [u8; 32]> =
            liars.iter().map(|rank| (Rank::new(*rank), key_seed(Rank::new(*rank)))).collect();
        Setup {
            config: self.config.clone(),
            suite: self.suite,
            me: *liars.keys().next().unwrap(),
            liars,
            strategy,
            with: None,
            plan: RoundPlan::default(),
            state_bytes: 0,
            victims: None,
            seed,
        }
    }

    pub(super) fn puppet(&self, liars: &[u16]) -> Puppet {
        Puppet::new(&self.setup(liars, Strategy::MutantMessage, 1)).unwrap()
    }

    /// What the member `at` makes of a frame from `from`, checked as a correct member would.
    pub(super) fn receive(&self, at: Rank, from: Rank, bytes: &[u8]) -> Option<(u64, Packet)> {
        let view = self.config.genesis.view();
        let parsed = frame::parse(bytes)?;
        assert_eq!(parsed.header.group, view.group.prefix());
        assert_eq!(parsed.header.from, *view.peers().get(from)?);
        let roster = self.roster();
        let key = roster.key(from)?;
        let links = LinkKeys::derive(&self.identity(at), 3, key, 3, &view.group);
        let (packet, casts) = frame::split_whole(parsed.content())?;
        if !parsed.verifies_whole(&links.inbound, &sha256(packet), &sha256(casts)) {
            return None;
        }
        let packet = wire::decode(packet, view.members.len(), !casts.is_empty()).ok()?;
        Some((parsed.header.counter, packet))
    }
}

fn genesis(members: Vec<Member>) -> Genesis {
    Genesis {
        name: "liars".to_owned(),
        nonce: Hash32::ZERO,
        members,
        pledge: None,
        pattern: Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: phalanx_core::Membership::Fixed,
        state_transfer: false,
        limits: Limits::default(),
    }
}
