//! A run as data: members, network, workload, faults with triggers, and what is expected.
//!
//! Read from TOML files in `scenarios/` (unknown fields are refused, errors name file, line and
//! key) or drawn from a seed ([`crate::swarm`]). Durations are microseconds, sizes are bytes,
//! probabilities are thousandths. Ranks are those of the genesis view, whatever view a process is
//! in later; those that join have the numbers after them, in the order of their entries.

mod check;
mod comings;
mod error;
mod options;
mod rounds;
mod rules;

use std::path::Path;

use serde::{Deserialize, Serialize};

use phalanx_core::{Limits, Timeouts};

use crate::adversary::{self, Strategy};
use crate::verdict::Promise;
use check::line_of;
pub use comings::{Join, Leave, Newcomer, Restart};
pub use error::ScenarioError;
pub use options::{CostPreset, Crypto, Membership, Pattern, Quorum};
pub use rounds::{Corrupt, RoundPlan, Scope, TwinRound};
pub use rules::{Fate, Kind, Rule, Signal};

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The fault or schedule it shows.
    pub name: String,
    /// One sentence for people.
    #[serde(default)]
    pub about: String,
    /// Seed of everything that is drawn.
    #[serde(default = "one")]
    pub seed: u64,
    /// Members of the group, 1 to 13.
    pub members: u16,
    /// Signatures.
    #[serde(default)]
    pub crypto: Crypto,
    /// Message pattern.
    #[serde(default)]
    pub pattern: Pattern,
    /// Quorum arithmetic.
    #[serde(default)]
    pub quorum: Quorum,
    /// Whether views change.
    #[serde(default, skip_serializing_if = "Membership::is_fixed")]
    pub membership: Membership,
    /// Pledge limit of protocol.md section 8, 0 for the paper's behaviour; no limit if not given.
    /// Only managed groups have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pledge: Option<u16>,
    /// Cost of work in virtual time.
    #[serde(default)]
    pub cost: CostPreset,
    /// The network misbehaves until then; 0 for a network that is well from the beginning.
    #[serde(default)]
    pub heal_at_us: u64,
    /// The run lasts at least this long.
    #[serde(default)]
    pub least_us: u64,
    /// How long after healing everything owed may take.
    #[serde(default = "default_bound")]
    pub bound_us: u64,
    /// The longest frame before it is fragmented.
    #[serde(default = "default_frame_max")]
    pub frame_max: usize,
    /// Bytes of casts that may wait at a sender.
    #[serde(default = "default_cast_queue")]
    pub cast_queue_bytes: usize,
    /// Whether members hand the state of the application to those that join.
    #[serde(default, skip_serializing_if = "is_not")]
    pub state_transfer: bool,
    /// How long that state is at least; it grows with the members that there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state_bytes: usize,
    /// The longest that an application takes to hand over a snapshot or a chunk of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state_delay_us: u64,
    /// What may wait for the state at a process that joins, if other than the core has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_buffer: Option<usize>,
    /// Sizes, limits and windows of the genesis record.
    #[serde(default)]
    pub limits: Limits,
    /// Time-outs of every member.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The network.
    #[serde(default)]
    pub network: Network,
    /// The clocks.
    #[serde(default)]
    pub clocks: Clocks,
    /// What is cast.
    #[serde(default)]
    pub workload: Workload,
    /// Links that are cut for a while, until healing at the latest.
    #[serde(default, rename = "partition")]
    pub partitions: Vec<Partition>,
    /// Links that are slower than all others, for good.
    #[serde(default, rename = "slow_link", skip_serializing_if = "Vec::is_empty")]
    pub slow_links: Vec<SlowLink>,
    /// Links that lose all frames above some length, for good.
    #[serde(default, rename = "short_link", skip_serializing_if = "Vec::is_empty")]
    pub short_links: Vec<ShortLink>,
    /// What becomes of one kind of message.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Members that stop for ever.
    #[serde(default, rename = "crash")]
    pub crashes: Vec<Crash>,
    /// Members that freeze and go on, until healing at the latest.
    #[serde(default, rename = "pause")]
    pub pauses: Vec<Pause>,
    /// Suspicions that come from the application.
    #[serde(default, rename = "suspect", skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<Suspect>,
    /// Processes that want to be members.
    #[serde(default, rename = "join", skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<Join>,
    /// Members that ask to leave.
    #[serde(default, rename = "leave", skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<Leave>,
    /// Processes that stop and come back with nothing.
    #[serde(default, rename = "restart", skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<Restart>,
    /// Whether correct processes that were removed for an opinion, cannot follow, or do not get the
    /// state that they lost or never had, come back as their next life, as a runtime would have it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub rejoin: bool,
    /// Byzantine members.
    #[serde(default)]
    pub liars: Option<Liars>,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

const fn one() -> u64 {
    1
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
const fn is_not(value: &bool) -> bool {
    !*value
}

const fn default_bound() -> u64 {
    60_000_000
}

const fn default_frame_max() -> usize {
    1_400
}

const fn default_cast_queue() -> usize {
    4 * 1024 * 1024
}

/// What the links do until the network heals. Afterwards frames take `min_us` to `max_us`, and
/// nothing else happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Shortest delay, at least 1.
    pub min_us: u64,
    /// Longest delay but for spikes.
    pub max_us: u64,
    /// How many frames are hit by a spike.
    pub spike_permille: u16,
    /// Longest extra delay of a spike.
    pub spike_us: u64,
    /// Frames lost.
    pub loss_permille: u16,
    /// Frames that arrive twice.
    pub duplicate_permille: u16,
    /// How often an old frame arrives again with a new one, at its receiver or at another.
    pub replay_permille: u16,
    /// Frames in which bits are flipped.
    pub corrupt_permille: u16,
    /// Capacity of each link; 0 for no limit. It stays after healing.
    pub bytes_per_second: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            min_us: 100,
            max_us: 500,
            spike_permille: 0,
            spike_us: 0,
            loss_permille: 0,
            duplicate_permille: 0,
            replay_permille: 0,
            corrupt_permille: 0,
            bytes_per_second: 0,
        }
    }
}

/// How far the members' clocks are apart; drawn for each member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clocks {
    /// Largest offset.
    pub offset_us: u64,
    /// Largest drift, in parts per million, fast or slow.
    pub drift_ppm: u32,
}

/// What every member casts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Casts of each member.
    pub casts: u32,
    /// How many of them are Total.
    pub total_permille: u16,
    /// Shortest payload; a cast is never shorter than its 8 bytes of identification.
    pub payload_min: u32,
    /// Longest payload.
    pub payload_max: u32,
    /// Longest burst of casts at one moment, at least 1.
    pub burst_max: u32,
    /// Longest pause between bursts.
    pub pause_us: u64,
    /// Members that cast nothing.
    pub silent: u16,
    /// Nothing is cast from then on; 0 for as long as there are casts left.
    #[serde(skip_serializing_if = "is_zero")]
    pub until_us: u64,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            casts: 200,
            total_permille: 500,
            payload_min: 8,
            payload_max: 64,
            burst_max: 8,
            pause_us: 10_000,
            silent: 0,
            until_us: 0,
        }
    }
}

/// Nothing travels from any of `from` to any of `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Senders.
    pub from: Vec<u16>,
    /// Receivers.
    pub to: Vec<u16>,
    /// And not back either.
    #[serde(default)]
    pub both: bool,
    /// Beginning.
    pub from_us: u64,
    /// End.
    pub until_us: u64,
}

/// Links from any of `from` to any of `to` carry no more than so much, and frames wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowLink {
    /// Senders.
    pub from: Vec<u16>,
    /// Receivers.
    pub to: Vec<u16>,
    /// And back.
    #[serde(default)]
    pub both: bool,
    /// Capacity of each link, not 0.
    pub bytes_per_second: u64,
}

/// Links from any of `from` to any of `to` lose all frames longer than so much, and nobody is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortLink {
    /// Senders.
    pub from: Vec<u16>,
    /// Receivers.
    pub to: Vec<u16>,
    /// And back.
    #[serde(default)]
    pub both: bool,
    /// Bytes of the longest frame that arrives, at least 508.
    pub frame_max: usize,
}

/// A member stops for ever: at a moment, once the group accepted so many casts, or once something
/// is seen to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// Which member.
    pub rank: u16,
    /// When; exactly one of the triggers is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_us: Option<u64>,
    /// After how many accepted casts of the whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_casts: Option<u64>,
    /// After what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Signal>,
}

/// A member freezes and resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Which member.
    pub rank: u16,
    /// When it freezes.
    pub at_us: u64,
    /// For how long.
    pub for_us: u64,
}

/// At one moment, or once something is seen to happen, applications tell their members to suspect
/// others; those of liars, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// Whose applications.
    pub by: Vec<u16>,
    /// Whom they suspect; nobody suspects itself.
    pub of: Vec<u16>,
    /// When; exactly one of the two triggers is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_us: Option<u64>,
    /// After what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Signal>,
}

/// The Byzantine members: they know each other and act together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liars {
    /// Which members.
    pub ranks: Vec<u16>,
    /// What they do, see `phalanx-sim list`.
    pub strategy: String,
    /// What they do besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// They follow one of the two at a time: the first while nothing happens, the second in a view
    /// change, none while they see themselves suspected; then the two change places.
    #[serde(default, skip_serializing_if = "is_not")]
    pub adapts: bool,
    /// Whom they treat differently; drawn if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victims: Option<Vec<u16>>,
    /// What they corrupt, with strategy `corrupt_rounds`.
    #[serde(default, rename = "corrupt", skip_serializing_if = "Vec::is_empty")]
    pub corrupt: Vec<Corrupt>,
    /// Whom twins talk with, with strategy `twin_rounds`.
    #[serde(default, rename = "twin_round", skip_serializing_if = "Vec::is_empty")]
    pub twins: Vec<TwinRound>,
}

/// What must come of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The promise that must be broken; nothing for a run in which all hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violates: Option<String>,
    /// Ranks that every correct member must suspect.
    pub suspects: Vec<u16>,
    /// Ranks against which every correct member must hold a Proof.
    pub proof_against: Vec<u16>,
    /// Whether the liars must have done what they are there for.
    pub fires: bool,
    /// Members that the last view does not list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<u16>,
    /// Members that some view lists as Silenced: they may have come back since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<u16>,
    /// Members that it lists as Active.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<u16>,
    /// Hosts of which no view ever lists a process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<u16>,
    /// Rare branches that it must come by, see [`crate::marks::Mark`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// Members that no view excludes or silences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untouched: Vec<u16>,
    /// How many views there are at least, the first included.
    #[serde(skip_serializing_if = "is_zero")]
    pub views: usize,
    /// How many views there are at most, the first included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views_max: Option<usize>,
    /// Whether nothing is owed, or nothing delivered: the run shows no promise to hold.
    #[serde(skip_serializing_if = "is_not")]
    pub nothing_owed: bool,
    /// The share of its memory bound that some correct member must reach, in thousandths.
    pub memory_permille: u64,
    /// How long half of the Total casts may take at the most, after the first second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<u64>,
    /// How long 99 of 100 of them may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u64>,
    /// How many bytes all correct members may send at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out_max: Option<u64>,
}

impl Scenario {
    /// A group of `members` with defaults, everybody correct and the network well.
    #[must_use]
    pub fn calm(name: &str, members: u16, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            about: String::new(),
            seed,
            members,
            crypto: Crypto::default(),
            pattern: Pattern::default(),
            quorum: Quorum::default(),
            membership: Membership::default(),
            pledge: None,
            cost: CostPreset::default(),
            heal_at_us: 0,
            least_us: 0,
            bound_us: default_bound(),
            frame_max: default_frame_max(),
            cast_queue_bytes: default_cast_queue(),
            state_transfer: false,
            state_bytes: 0,
            state_delay_us: 0,
            join_buffer: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            network: Network::default(),
            clocks: Clocks::default(),
            workload: Workload::default(),
            partitions: Vec::new(),
            slow_links: Vec::new(),
            short_links: Vec::new(),
            rules: Vec::new(),
            crashes: Vec::new(),
            pauses: Vec::new(),
            suspects: Vec::new(),
            joins: Vec::new(),
            leaves: Vec::new(),
            restarts: Vec::new(),
            rejoin: false,
            liars: None,
            expect: Expect::default(),
        }
    }

    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// With file, line and key.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|why| ScenarioError::Read { file: file.clone(), why })?;
        Self::parse(&file, &text)
    }

    /// Reads a scenario from `text`; `file` is for error messages.
    ///
    /// # Errors
    /// With file, line and key.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|error| ScenarioError::Parse {
            file: file.to_owned(),
            text: error.to_string().trim_end().to_owned(),
        })?;
        scenario.validate().map_err(|(key, why)| ScenarioError::Value {
            file: file.to_owned(),
            line: line_of(text, key),
            key,
            text: why,
        })?;
        Ok(scenario)
    }

    /// The scenario as a file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The Byzantine ranks.
    #[must_use]
    pub fn liar_ranks(&self) -> &[u16] {
        self.liars.as_ref().map_or(&[], |liars| &liars.ranks)
    }

    /// What the liars do.
    #[must_use]
    pub fn strategy(&self) -> Option<Strategy> {
        self.liars.as_ref().and_then(|liars| Strategy::parse(&liars.strategy))
    }

    /// What they do besides.
    #[must_use]
    pub fn second_strategy(&self) -> Option<Strategy> {
        let second = self.liars.as_ref().and_then(|liars| liars.with.as_deref());
        second.and_then(Strategy::parse)
    }

    /// What must come of the liars: nothing certain where one strategy may hide the other.
    #[must_use]
    pub fn strategy_verdict(&self) -> Option<adversary::Verdict> {
        let verdict = self.strategy()?.verdict();
        let is_one = self.second_strategy().is_none();
        Some(if is_one { verdict } else { adversary::Verdict::MayBeProven })
    }

    /// What crashes and suspicions wait for: crashes first.
    pub fn signals(&self) -> impl Iterator<Item = &Signal> {
        let crashes = self.crashes.iter().filter_map(|crash| crash.after.as_ref());
        crashes.chain(self.suspects.iter().filter_map(|suspect| suspect.after.as_ref()))
    }

    /// The promise expected to be broken.
    #[must_use]
    pub fn violates(&self) -> Option<Promise> {
        self.expect.violates.as_deref().and_then(Promise::parse)
    }

    /// Whether work takes next to no time.
    #[must_use]
    pub const fn is_quick(&self) -> bool {
        matches!(self.cost, CostPreset::Zero | CostPreset::Ed25519)
    }

    /// The longest time that links are cut for.
    #[must_use]
    pub fn longest_cut_us(&self) -> u64 {
        let cuts = self.partitions.iter().map(|cut| cut.until_us.saturating_sub(cut.from_us));
        cuts.max().unwrap_or(0)
    }

    /// Hosts with slow links to or from more than `f` others.
    pub fn slow_hosts(&self, f: usize) -> impl Iterator<Item = u16> + '_ {
        let is_slow = |a: u16, b: u16| {
            let links = |link: &SlowLink| {
                let is = |from, to| link.from.contains(&from) && link.to.contains(&to);
                is(a, b) || is(b, a)
            };
            a != b && self.slow_links.iter().any(links)
        };
        let slow = move |host: &u16| (0..self.hosts()).filter(|b| is_slow(*host, *b)).count() > f;
        (0..self.hosts()).filter(slow)
    }

    /// Whether no correct member has any reason to suspect another: the network is timely from the
    /// beginning and nobody is slow.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let network = &self.network;
        let is_timely = network.loss_permille == 0
            && network.corrupt_permille == 0
            && network.bytes_per_second == 0
            && network.max_us + network.spike_us <= 50_000;
        let is_quick = self.is_quick();
        let is_whole = self.partitions.is_empty()
            && self.rules.is_empty()
            && self.slow_links.is_empty()
            && self.short_links.is_empty();
        is_timely && is_quick && is_whole && self.pauses.is_empty()
    }
}

#[cfg(test)]
mod tests;
