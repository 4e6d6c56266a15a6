//! A run as data: members, network, workload, faults with triggers, and what is expected.
//!
//! Read from TOML files in `scenarios/` (unknown fields are refused, errors name file, line and
//! key) or drawn from a seed ([`crate::swarm`]). Durations are microseconds, sizes are bytes,
//! probabilities are thousandths. Ranks are those of the genesis view.

use std::path::Path;

use serde::{Deserialize, Serialize};

use phalanx_core::{Limits, Timeouts};

use crate::adversary::Strategy;
use crate::oracle::quorums::MEMBERS_MAX;
use crate::verdict::Promise;

/// Which signatures the run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crypto {
    /// Keyed hashes under a secret of the run: nobody but the owner of a key can sign.
    #[default]
    Ideal,
    /// Strict Ed25519.
    Ed25519,
    /// The paper's dummy cryptography: keyed hashes under a secret that everybody knows.
    Dummy,
}

/// Message pattern, see [`phalanx_core::Pattern`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Replies to all.
    #[default]
    Swift,
    /// Replies to the sender.
    Paper,
}

/// Quorum arithmetic, see [`phalanx_core::QuorumRule`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quorum {
    /// Safe at every size.
    #[default]
    Sound,
    /// The paper's `2f + 1`.
    Paper,
}

/// What cryptography and packets cost in virtual time, see [`crate::cost`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostPreset {
    /// Nothing.
    #[default]
    Zero,
    /// A present-day core with Ed25519.
    Ed25519,
    /// The paper's Pentium III with RSA of 512 bits.
    Rsa512,
    /// The same with 1024 bits.
    Rsa1024,
    /// The same with 2048 bits.
    Rsa2048,
}

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
    /// Members that stop for ever.
    #[serde(default, rename = "crash")]
    pub crashes: Vec<Crash>,
    /// Members that freeze and go on, until healing at the latest.
    #[serde(default, rename = "pause")]
    pub pauses: Vec<Pause>,
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

/// A member stops for ever, at a moment or once the group accepted so many casts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// Which member.
    pub rank: u16,
    /// When; exactly one of the two triggers is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_us: Option<u64>,
    /// After how many accepted casts of the whole group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_casts: Option<u64>,
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

/// The Byzantine members: they know each other and act together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liars {
    /// Which members.
    pub ranks: Vec<u16>,
    /// What they do, see `phalanx-sim list`.
    pub strategy: String,
    /// Whom they treat differently; drawn if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victims: Option<Vec<u16>>,
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
    /// The share of its memory bound that some correct member must reach, in thousandths.
    pub memory_permille: u64,
}

/// A scenario file that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("{file}: {why}")]
    Read {
        /// Which file.
        file: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// It is not a scenario; the text names line and key.
    #[error("{file}: {text}")]
    Parse {
        /// Which file.
        file: String,
        /// What is wrong.
        text: String,
    },
    /// A value that cannot be.
    #[error("{file}:{line}: {key}: {text}")]
    Value {
        /// Which file.
        file: String,
        /// Line of the key, or 1 where it stands by default.
        line: usize,
        /// Which key.
        key: &'static str,
        /// What is wrong.
        text: String,
    },
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
            cost: CostPreset::default(),
            heal_at_us: 0,
            least_us: 0,
            bound_us: default_bound(),
            frame_max: default_frame_max(),
            cast_queue_bytes: default_cast_queue(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            network: Network::default(),
            clocks: Clocks::default(),
            workload: Workload::default(),
            partitions: Vec::new(),
            crashes: Vec::new(),
            pauses: Vec::new(),
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
        scenario.check().map_err(|(key, why)| ScenarioError::Value {
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

    /// The promise expected to be broken.
    #[must_use]
    pub fn violates(&self) -> Option<Promise> {
        self.expect.violates.as_deref().and_then(Promise::parse)
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
        let is_quick = matches!(self.cost, CostPreset::Zero | CostPreset::Ed25519);
        is_timely && is_quick && self.partitions.is_empty() && self.pauses.is_empty()
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        let n = self.members;
        if n == 0 || n > MEMBERS_MAX {
            return Err(("members", format!("{n} is not between 1 and {MEMBERS_MAX}")));
        }
        let permille = [
            ("spike_permille", self.network.spike_permille),
            ("loss_permille", self.network.loss_permille),
            ("duplicate_permille", self.network.duplicate_permille),
            ("replay_permille", self.network.replay_permille),
            ("corrupt_permille", self.network.corrupt_permille),
            ("total_permille", self.workload.total_permille),
        ];
        if let Some((key, value)) = permille.into_iter().find(|(_, value)| *value > 1000) {
            return Err((key, format!("{value} is more than 1000")));
        }
        if self.network.min_us == 0 || self.network.min_us > self.network.max_us {
            return Err(("min_us", "must be at least 1 and at most max_us".to_owned()));
        }
        if self.workload.payload_min > self.workload.payload_max
            || self.workload.payload_max > self.limits.cast_max
        {
            return Err(("payload_max", "must lie between payload_min and cast_max".to_owned()));
        }
        if self.workload.burst_max == 0 {
            return Err(("burst_max", "must be at least 1".to_owned()));
        }
        if self.clocks.drift_ppm > 100_000 {
            return Err(("drift_ppm", "must be at most 100000".to_owned()));
        }
        self.check_faults()
    }

    fn check_faults(&self) -> Result<(), (&'static str, String)> {
        let ranks = |key, ranks: &[u16]| {
            let foreign = ranks.iter().find(|rank| **rank >= self.members);
            foreign.map_or(Ok(()), |rank| {
                Err((key, format!("there is no rank {rank} among {} members", self.members)))
            })
        };
        for partition in &self.partitions {
            ranks("from", &partition.from)?;
            ranks("to", &partition.to)?;
            if partition.until_us > self.heal_at_us || partition.from_us > partition.until_us {
                return Err(("until_us", "must lie between from_us and heal_at_us".to_owned()));
            }
        }
        for crash in &self.crashes {
            ranks("rank", &[crash.rank])?;
            if crash.at_us.is_some() == crash.at_casts.is_some() {
                return Err(("crash", "needs exactly one of at_us and at_casts".to_owned()));
            }
        }
        for pause in &self.pauses {
            ranks("rank", &[pause.rank])?;
            if pause.at_us.saturating_add(pause.for_us) > self.heal_at_us {
                return Err(("for_us", "the pause must end by heal_at_us".to_owned()));
            }
        }
        ranks("ranks", self.liar_ranks())?;
        if let Some(Liars { victims: Some(victims), .. }) = &self.liars {
            ranks("victims", victims)?;
        }
        ranks("suspects", &self.expect.suspects)?;
        ranks("proof_against", &self.expect.proof_against)?;
        if let Some(liars) = &self.liars
            && Strategy::parse(&liars.strategy).is_none()
        {
            let text = format!("there is no strategy `{}`; see `list`", liars.strategy);
            return Err(("strategy", text));
        }
        if let Some(name) = &self.expect.violates
            && Promise::parse(name).is_none()
        {
            return Err(("violates", format!("there is no promise `{name}`")));
        }
        Ok(())
    }
}

/// The first line that sets `key` or opens its table; 1 if none does.
fn line_of(text: &str, key: &str) -> usize {
    let names = |line: &str| {
        let line = line.trim_start().trim_start_matches('[');
        line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=', ']', '.']))
    };
    text.lines().position(names).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Scenario::parse("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut scenario = Scenario::calm("full", 4, 9);
        scenario.heal_at_us = 2_000_000;
        let (from, to) = (vec![0], vec![1, 2]);
        let cut = Partition { from, to, both: true, from_us: 5, until_us: 9 };
        scenario.partitions.push(cut);
        scenario.crashes.push(Crash { rank: 3, at_us: None, at_casts: Some(7) });
        scenario.pauses.push(Pause { rank: 1, at_us: 3, for_us: 10 });
        scenario.expect.suspects = vec![3];
        let text = scenario.to_toml();
        assert_eq!(Scenario::parse("x.toml", &text).unwrap(), scenario);
    }

    #[test]
    fn unknown_fields_are_refused_with_line_and_key() {
        let text = error("name = \"x\"\nmembers = 4\nmembres = 5\n");
        assert!(text.starts_with("x.toml: "), "{text}");
        assert!(text.contains("line 3") && text.contains("membres"), "{text}");
        let text = error("name = \"x\"\nmembers = 4\n[network]\nlos = 5\n");
        assert!(text.contains("line 4") && text.contains("los"), "{text}");
    }

    #[test]
    fn wrong_values_are_refused_with_line_and_key() {
        let text = error("name = \"x\"\nmembers = 4\n[network]\nloss_permille = 1200\n");
        assert_eq!(text, "x.toml:4: loss_permille: 1200 is more than 1000");
        let text = error("name = \"x\"\nmembers = 4\n[[crash]]\nrank = 4\nat_us = 1\n");
        assert_eq!(text, "x.toml:4: rank: there is no rank 4 among 4 members");
        let text = error("name = \"x\"\nmembers = 4\n[[crash]]\nrank = 3\n");
        assert_eq!(text, "x.toml:3: crash: needs exactly one of at_us and at_casts");
        let text = error("name = \"x\"\nmembers = 4\n[liars]\nranks = [1]\nstrategy = \"no\"\n");
        assert!(text.starts_with("x.toml:5: strategy: there is no strategy `no`"), "{text}");
    }
}
