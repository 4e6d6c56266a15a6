//! The group of a run: its genesis record, its keys, and its members as they start.

use std::collections::BTreeMap;

use phalanx_core::crypto::{Hash32, Identity, Oracle, PublicKey, Suite, peer_id};
use phalanx_core::{
    Boot, Config, ConfigError, Genesis, Joiners, Member, Node, PeerId, QuorumRule, Rank, Status,
    Time,
};

use crate::adversary::{Liar, Setup, Strategy};
use crate::application;
use crate::rng::Seed;
use crate::scenario::{Crypto, Membership, Pattern, Quorum, RoundPlan, Scenario};

/// What all members of a run share, and their keys.
#[derive(Clone, Debug)]
pub struct Group {
    /// The genesis record.
    pub genesis: Genesis,
    /// Which signatures it uses.
    pub suite: Suite,
    /// The configuration of every member.
    pub config: Config,
    hosts: u16,
    seed: Seed,
}

impl Group {
    /// The group of a scenario; everything follows from its seed.
    ///
    /// # Errors
    /// If the core refuses the configuration.
    pub fn new(scenario: &Scenario) -> Result<Self, ConfigError> {
        let seed = Seed(scenario.seed);
        let suite = match scenario.crypto {
            Crypto::Ideal => Suite::Dummy(Oracle(seed.bytes("oracle", 0))),
            Crypto::Ed25519 => Suite::Ed25519,
            Crypto::Dummy => Suite::Dummy(Oracle([0; 32])),
        };
        let members = (0..scenario.members).map(|rank| Member {
            key: *identity(seed, suite, rank).public_key(),
            incarnation: 0,
            addr: Vec::new(),
            status: Status::Active,
        });
        let genesis = Genesis {
            name: "simulation".to_owned(),
            nonce: Hash32(seed.bytes("nonce", 0)),
            members: members.collect(),
            pledge: scenario.pledge,
            membership: match scenario.membership {
                Membership::Fixed => phalanx_core::Membership::Fixed,
                Membership::Managed => phalanx_core::Membership::Managed,
            },
            state_transfer: scenario.state_transfer,
            pattern: match scenario.pattern {
                Pattern::Swift => phalanx_core::Pattern::Swift,
                Pattern::Paper => phalanx_core::Pattern::Paper,
            },
            quorum: match scenario.quorum {
                Quorum::Sound => QuorumRule::Sound,
                Quorum::Paper => QuorumRule::Paper,
            },
            limits: scenario.limits,
        };
        let mut config = Config::new(genesis.clone());
        config.timeouts = scenario.timeouts;
        config.frame_max = scenario.frame_max;
        config.cast_queue_bytes = scenario.cast_queue_bytes;
        config.join_buffer = scenario.join_buffer.unwrap_or(config.join_buffer);
        if scenario.state_transfer {
            config.state_max = 2 * application::STATE_MAX as u64;
        }
        let authorised = scenario.newcomers().into_iter().filter(|new| new.join.is_authorised);
        let authorised = authorised.map(|new| *identity(seed, suite, new.host).public_key());
        let authorised: Vec<PublicKey> = authorised.collect();
        if !authorised.is_empty() {
            config.joiners = Joiners::Listed(authorised);
        }
        config.validate(suite)?;
        Ok(Self { genesis, suite, config, hosts: scenario.hosts(), seed })
    }

    /// The identity of a host: that of a member, or of one that joins.
    #[must_use]
    pub fn identity(&self, host: u16) -> Identity {
        identity(self.seed, self.suite, host)
    }

    /// How many hosts there are.
    #[must_use]
    pub const fn hosts(&self) -> u16 {
        self.hosts
    }

    /// The hosts in order, as frames name their processes.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerId> {
        (0..self.hosts).map(|host| peer_id(self.identity(host).public_key())).collect()
    }

    /// A correct member that starts at `now`.
    ///
    /// # Errors
    /// If the core refuses the configuration.
    pub fn node(&self, rank: u16, now: Time) -> Result<Node, ConfigError> {
        let boot = Boot { incarnation: 0 };
        Node::new(self.config.clone(), self.identity(rank), boot, now)
    }

    /// A correct process on `host` that wants to be a member.
    ///
    /// # Errors
    /// If the core refuses the configuration.
    pub fn joiner(
        &self,
        host: u16,
        incarnation: u64,
        contacts: &[u16],
        now: Time,
    ) -> Result<Node, ConfigError> {
        let boot = Boot { incarnation };
        let contacts = self.contacts(contacts);
        Node::join(self.config.clone(), self.identity(host), boot, contacts, now)
    }

    fn contacts(&self, hosts: &[u16]) -> Vec<(PeerId, Vec<u8>)> {
        hosts.iter().map(|h| (peer_id(self.identity(*h).public_key()), Vec::new())).collect()
    }

    /// The liar `rank` of a scenario, that starts at `now`; `None` if that is no liar there.
    ///
    /// # Errors
    /// If the core refuses the configuration.
    pub fn liar(
        &self,
        scenario: &Scenario,
        rank: u16,
        now: Time,
    ) -> Result<Option<Liar>, ConfigError> {
        let Some(liars) = scenario.liars.as_ref().filter(|liars| liars.ranks.contains(&rank))
        else {
            return Ok(None);
        };
        let Some(strategy) = Strategy::parse(&liars.strategy) else { return Ok(None) };
        let keys: BTreeMap<Rank, [u8; 32]> =
            liars.ranks.iter().map(|rank| (Rank::new(*rank), key_seed(self.seed, *rank))).collect();
        let victims =
            liars.victims.as_ref().map(|ranks| ranks.iter().copied().map(Rank::new).collect());
        let setup = Setup {
            config: self.config.clone(),
            suite: self.suite,
            liars: keys,
            me: Rank::new(rank),
            strategy,
            with: scenario.second_strategy().map(|second| (second, liars.adapts)),
            plan: RoundPlan { corrupt: liars.corrupt.clone(), twins: liars.twins.clone() },
            state_bytes: scenario.state_bytes,
            victims,
            seed: self.seed.stream("adversary", 0).any(),
        };
        Liar::new(&setup, now).map(Some)
    }
}

fn key_seed(seed: Seed, rank: u16) -> [u8; 32] {
    seed.bytes("keys", u64::from(rank))
}

fn identity(seed: Seed, suite: Suite, rank: u16) -> Identity {
    match suite {
        Suite::Ed25519 => Identity::ed25519(key_seed(seed, rank)),
        Suite::Dummy(oracle) => Identity::dummy(key_seed(seed, rank), oracle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_has_its_own_group_and_keys() {
        let group = |seed| Group::new(&Scenario::calm("keys", 4, seed)).unwrap();
        assert_eq!(group(1).genesis, group(1).genesis);
        assert_ne!(group(1).genesis.group(), group(2).genesis.group());
        assert_ne!(group(1).peers(), group(2).peers());
    }
}
