//! Who comes and goes in a run, apart from faults: processes that join, leave and come back.
//!
//! A host is a place in the network with one key: those of the genesis view come first, in rank
//! order, then newcomers in the order of their entries. On a host one process after the other may
//! run, each a life of its key.

use serde::{Deserialize, Serialize};

use super::Scenario;

/// How often each host may come back by itself, see [`Scenario::rejoin`].
const REJOINS_MAX: usize = 3;

/// Processes that want to be members, one or several in a row. Each has a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// When the first starts.
    pub at_us: u64,
    /// How many there are.
    #[serde(default = "one")]
    pub count: u16,
    /// Between the starts of two of them.
    #[serde(default)]
    pub every_us: u64,
    /// How long each is a member before it asks to leave; for ever if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay_us: Option<u64>,
    /// Hosts that it asks; all members of the genesis view if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<u16>,
    /// Whether the members' configuration lists its key.
    #[serde(default = "yes")]
    pub is_authorised: bool,
    /// Casts of each, if other than those of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub casts: Option<u32>,
}

impl Join {
    /// One that starts then and stays.
    #[must_use]
    pub const fn at(at_us: u64) -> Self {
        let (stay_us, casts) = (None, None);
        let contacts = Vec::new();
        Self { at_us, count: 1, every_us: 0, stay_us, contacts, is_authorised: true, casts }
    }
}

/// A member asks to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Which host's.
    pub rank: u16,
    /// When.
    pub at_us: u64,
}

/// A process stops, loses everything, and comes back as its next life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Which host's.
    pub rank: u16,
    /// When it stops.
    pub at_us: u64,
    /// How long it is away.
    #[serde(default)]
    pub down_us: u64,
}

const fn one() -> u16 {
    1
}

const fn yes() -> bool {
    true
}

/// One process of a [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Its host.
    pub host: u16,
    /// When it starts.
    pub at_us: u64,
    /// What its entry says.
    pub join: Join,
}

impl Scenario {
    /// The processes that join, by host.
    #[must_use]
    pub fn newcomers(&self) -> Vec<Newcomer> {
        let each = self.joins.iter().flat_map(|join| {
            let at_us = |nth: u16| join.at_us + u64::from(nth) * join.every_us;
            (0..join.count).map(move |nth| (at_us(nth), join.clone()))
        });
        (self.members..)
            .zip(each)
            .map(|(host, (at_us, join))| Newcomer { host, at_us, join })
            .collect()
    }

    /// How many hosts there are.
    #[must_use]
    pub fn hosts(&self) -> u16 {
        self.joins.iter().fold(self.members, |sum, join| sum.saturating_add(join.count))
    }

    /// The most processes that there are in the run, one after the other on each host.
    #[must_use]
    pub fn lives_max(&self) -> usize {
        let hosts = usize::from(self.hosts());
        let rejoins = if self.rejoin { REJOINS_MAX * hosts } else { 0 };
        hosts + self.restarts.len() + rejoins
    }
}
