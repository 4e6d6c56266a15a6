//! Every limit and time-out: unit, default, bounds, and what it costs in memory.
//!
//! What must agree stands in the [`Genesis`] record ([`Limits`]); the rest is local. Durations are
//! microseconds, sizes are bytes. Defaults are for a local network (protocol.md section 12).

mod limits;
mod slow;

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::crypto::{Hash32, KeyError, MEMBERS_MAX, PublicKey, Suite, peer_id};
use crate::layer::bottom::{self, fits_network};
use crate::member::{ADDR_MAX, Rank};
use crate::quorum::QuorumRule;
use crate::view::{Genesis, View};
use crate::wire::transfer::STATE_MAX;
use crate::wire::{SEND_COST, SEND_MAX};
pub use limits::Limits;

/// Time-outs, in microseconds. They serve liveness only. Where view changes turn out to take longer
/// than `attempt_us`, whoever leads them, all that judges lateness (`mute_us`, `slot_us`, `ask_us`,
/// `lag_us`, `installed_us`) is lengthened in proportion, until a change goes quickly again; and
/// `attempt_us` by what the last change took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Between two Stable rows.
    pub stable_us: u64,
    /// Without a fresh row of a member before all are asked for one.
    pub mute_us: u64,
    /// The most to which `mute_us` adapts after false alarms.
    pub mute_max_us: u64,
    /// A deliverable Total cast waits behind an unsettled slot. On links too narrow for the window a
    /// sender holds bodies back that would wait for each other longer than a quarter of it.
    pub slot_us: u64,
    /// Between asking all and suspecting.
    pub ask_us: u64,
    /// Before a missing body is asked for, and between two tries; later, by half of `slot_us` at
    /// most, while pieces come from its sender.
    pub fetch_us: u64,
    /// A member's row holds a window back.
    pub lag_us: u64,
    /// First pause before what was said is repeated.
    pub resend_us: u64,
    /// Longest such pause.
    pub resend_max_us: u64,
    /// How long a tick may wait for company before it signs; 0 for not at all.
    pub heads_delay_us: u64,
    /// Before a message to one member is sent again; and a fragment, at least: see its link's pace.
    pub retransmit_us: u64,
    /// How long the leader of the first attempt of a view change waits for the Flushes of all, once
    /// those of a quorum are here.
    pub grace_us: u64,
    /// How long the first attempt of a view change may take, once a quorum has entered it; doubles
    /// with each one that fails. The next view begins with what this showed to be needed, if more.
    pub attempt_us: u64,
    /// The longest that an attempt of a view change may come to take. Divided by `attempt_us` it is
    /// how many times longer the other time-outs may come to be.
    pub attempt_max_us: u64,
    /// A member that nobody can show to have installed the view this long after a change is suspected.
    pub installed_us: u64,
    /// How long a process that is no member any more answers those that do not know it yet.
    pub linger_us: u64,
    /// How long a member waits for a body of the cut that it is missing, and how long a snapshot is
    /// kept for a joiner. Bodies of a view that was left are kept as long as a member may need them.
    pub retain_us: u64,
    /// How long a Silenced member is in a view before it asks to be Active again, and the first
    /// pause before it asks once more.
    pub rejoin_us: u64,
    /// How long a key that came back once is not recommended again; doubles each time it comes.
    pub cool_us: u64,
    /// The longest such pause.
    pub cool_max_us: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            stable_us: 100_000,
            mute_us: 2_000_000,
            mute_max_us: 30_000_000,
            slot_us: 1_000_000,
            ask_us: 200_000,
            fetch_us: 150_000,
            lag_us: 2_000_000,
            resend_us: 100_000,
            resend_max_us: 2_000_000,
            heads_delay_us: 0,
            retransmit_us: 50_000,
            grace_us: 20_000,
            attempt_us: 1_000_000,
            attempt_max_us: 60_000_000,
            installed_us: 2_000_000,
            linger_us: 30_000_000,
            retain_us: 60_000_000,
            rejoin_us: 2_000_000,
            cool_us: 2_000_000,
            cool_max_us: 300_000_000,
        }
    }
}

/// Everything a [`crate::Node`] is told when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The group.
    pub genesis: Genesis,
    /// Local time-outs.
    pub timeouts: Timeouts,
    /// The longest frame to hand to the network; longer ones are fragmented. 1,400 suits
    /// datagrams; a stream transport sets [`Config::FRAME_MAX`] and never fragments.
    pub frame_max: usize,
    /// Bytes of casts that may wait for room in the window before a cast is refused.
    pub cast_queue_bytes: usize,
    /// Bytes of messages to one member that may wait for its acknowledgement.
    pub send_queue_bytes: usize,
    /// Times that a message to one member is sent again before it is given up.
    pub send_tries: u32,
    /// Partial frames kept, and sent at a time, per peer: the same at all members.
    pub partial_frames: usize,
    /// Who may join, as far as this process has a say.
    pub joiners: Joiners,
    /// Frames of strangers that are looked at in a second, and in one burst. Each costs one
    /// signature check at the most. As many again are kept for processes that are known, members of
    /// before and those that may join, so that a flood of others does not keep them out.
    pub join_tokens: u32,
    /// What a process that joins holds for true: a view that it was told of by somebody it trusts.
    /// Without one it starts from the genesis view. Members keep the last thousand decisions or so:
    /// who joins an older group needs a later anchor.
    pub anchor: Option<View>,
    /// Random bytes, others at every start: a process that joins tells by them the answers to its
    /// questions from answers to an earlier life of it, which may be shown to it again.
    pub fresh: [u8; 32],
    /// Where this process is to be found, as it tells when it joins; at most [`ADDR_MAX`] bytes.
    pub addr: Vec<u8>,
    /// The longest state of the application, in bytes, at most 64 GiB, see
    /// [`crate::Event::SnapshotWanted`]. Hashes of it are kept in memory while joiners load it: 33
    /// bytes for each 64 KiB.
    pub state_max: u64,
    /// Bytes delivered that wait for a process that joins to load the state. When it is full this
    /// process holds the senders back, and after a while is found lagging.
    pub join_buffer: usize,
}

/// Who may become a member. A member that restarts, or was put out by opinion during the last 256
/// views, may come back without being asked about, unless [`crate::Request::Admit`] said no. Who left,
/// or was put out longer ago, is asked about like anybody else; an answer is for one coming.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Joiners {
    /// Nobody new.
    #[default]
    Nobody,
    /// The holders of these keys.
    Listed(Vec<PublicKey>),
    /// Whom the application admits: it hears [`crate::Event::JoinWanted`] and answers with
    /// [`crate::Request::Admit`].
    Application,
}

impl Config {
    /// The longest frame there can be: header, packet and the casts of the largest body, or the
    /// longest message of a view change ([`crate::wire::bounds::Bounds`]).
    pub const FRAME_MAX: usize = 16 * 1024 * 1024;

    /// The shortest frame limit that still fits a fragment with something in it.
    pub const FRAME_MIN: usize = 256;

    /// The configuration with defaults for a group over datagrams.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        Self {
            genesis,
            timeouts: Timeouts::default(),
            frame_max: 1_400,
            cast_queue_bytes: 4 * 1024 * 1024,
            send_queue_bytes: 1024 * 1024,
            send_tries: 10,
            partial_frames: 32,
            joiners: Joiners::Nobody,
            join_tokens: 8,
            anchor: None,
            fresh: [0; 32],
            addr: Vec::new(),
            state_max: 4 << 30,
            join_buffer: 8 * 1024 * 1024,
        }
    }

    /// The longest frame that a member may ever have to send: a queue of the network that takes whole
    /// frames needs room for it.
    #[must_use]
    pub fn longest_frame(&self) -> usize {
        bottom::frame_max(&self.genesis.limits)
    }

    /// Checks everything that can be checked without a network.
    ///
    /// # Errors
    /// The first thing found wrong, as a sentence.
    pub fn validate(&self, suite: Suite) -> Result<(), ConfigError> {
        self.genesis.validate(suite)?;
        let limits = &self.genesis.limits;
        if !(Self::FRAME_MIN..=Self::FRAME_MAX).contains(&self.frame_max) {
            return Err(ConfigError::OutOfRange("frame_max", "256 to 16777216 bytes"));
        }
        if !fits_network(limits, self.frame_max) {
            return Err(ConfigError::OutOfRange(
                "frame_max",
                "a 65535th of the longest message of max_members at least",
            ));
        }
        if self.cast_queue_bytes < limits.casts_max() {
            return Err(ConfigError::OutOfRange("cast_queue_bytes", "at least one largest body"));
        }
        if self.partial_frames == 0 || self.partial_frames > 64 {
            return Err(ConfigError::OutOfRange("partial_frames", "1 to 64"));
        }
        if self.send_tries == 0 || self.send_tries > 1000 {
            return Err(ConfigError::OutOfRange("send_tries", "1 to 1000"));
        }
        if self.send_queue_bytes < SEND_MAX + SEND_COST {
            return Err(ConfigError::OutOfRange("send_queue_bytes", "at least 262208 bytes"));
        }
        if self.join_tokens == 0 || self.join_tokens > 10_000 {
            return Err(ConfigError::OutOfRange("join_tokens", "1 to 10000 in a second"));
        }
        if self.addr.len() > ADDR_MAX {
            return Err(ConfigError::OutOfRange("addr", "at most 64 bytes"));
        }
        let group = self.genesis.group();
        if self.anchor.as_ref().is_some_and(|view| view.group != group || !view.is_legal()) {
            return Err(ConfigError::Anchor);
        }
        if self.state_max > STATE_MAX {
            return Err(ConfigError::OutOfRange("state_max", "at most 68719476736 bytes"));
        }
        if !(64 * 1024..=1 << 30).contains(&self.join_buffer) {
            return Err(ConfigError::OutOfRange("join_buffer", "65536 bytes to 1 GiB"));
        }
        self.timeouts.validate()
    }
}

/// The shortest interval of Stable rows, in microseconds: each costs all others a signature check,
/// and they check no more of them than this.
const STABLE_MIN_US: u64 = 1_000;

impl Timeouts {
    fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("stable_us", self.stable_us),
            ("mute_us", self.mute_us),
            ("slot_us", self.slot_us),
            ("ask_us", self.ask_us),
            ("fetch_us", self.fetch_us),
            ("lag_us", self.lag_us),
            ("resend_us", self.resend_us),
            ("retransmit_us", self.retransmit_us),
            ("attempt_us", self.attempt_us),
            ("installed_us", self.installed_us),
            ("rejoin_us", self.rejoin_us),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::OutOfRange(name, "at least 1 microsecond"));
        }
        if self.stable_us < STABLE_MIN_US {
            return Err(ConfigError::OutOfRange("stable_us", "at least 1 ms (1000 us)"));
        }
        if self.heads_delay_us >= self.mute_us {
            return Err(ConfigError::OutOfRange("heads_delay_us", "less than mute_us"));
        }
        if self.mute_us <= self.stable_us {
            return Err(ConfigError::OutOfRange("mute_us", "more than stable_us"));
        }
        if self.mute_max_us < self.mute_us {
            return Err(ConfigError::OutOfRange("mute_max_us", "at least mute_us"));
        }
        if self.attempt_max_us < self.attempt_us {
            return Err(ConfigError::OutOfRange("attempt_max_us", "at least attempt_us"));
        }
        if self.cool_max_us < self.cool_us {
            return Err(ConfigError::OutOfRange("cool_max_us", "at least cool_us"));
        }
        if self.resend_max_us < self.resend_us {
            return Err(ConfigError::OutOfRange("resend_max_us", "at least resend_us"));
        }
        Ok(())
    }
}

impl Genesis {
    /// Checks a genesis record.
    ///
    /// # Errors
    /// The first thing found wrong, as a sentence.
    pub fn validate(&self, suite: Suite) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let n = self.members.len();
        if n == 0 {
            return Err(ConfigError::NoMembers);
        }
        if usize::from(limits.max_members) > MEMBERS_MAX || limits.max_members == 0 {
            return Err(ConfigError::OutOfRange("max_members", "1 to 64"));
        }
        if n > usize::from(limits.max_members) {
            return Err(ConfigError::TooManyMembers { n, max: limits.max_members });
        }
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(ConfigError::OutOfRange("name", "1 to 64 bytes"));
        }
        if !cfg!(feature = "insecure-study") && self.quorum == QuorumRule::Paper {
            return Err(ConfigError::PaperQuorum);
        }
        limits.validate()?;
        for (rank, member) in Rank::all(n).zip(&self.members) {
            if member.addr.len() > ADDR_MAX {
                return Err(ConfigError::AddressTooLong { rank });
            }
            for (other, earlier) in Rank::all(rank.index()).zip(&self.members) {
                if earlier.key == member.key {
                    return Err(ConfigError::DuplicateKey { a: other, b: rank });
                }
                if peer_id(&earlier.key) == peer_id(&member.key) {
                    return Err(ConfigError::PeerIdClash { a: other, b: rank });
                }
                if earlier.addr == member.addr && !member.addr.is_empty() {
                    return Err(ConfigError::DuplicateAddress { a: other, b: rank });
                }
            }
        }
        self.view().roster(suite).map(|_| ())
    }
}

/// What this process is told to do and cannot: our own or our operator's mistake, never a peer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An empty group.
    #[error("the group has no members; it needs at least one")]
    NoMembers,
    /// More members than allowed.
    #[error("the group has {n} members, more than max_members = {max}")]
    TooManyMembers {
        /// How many there are.
        n: usize,
        /// How many there may be.
        max: u16,
    },
    /// A value outside its bounds.
    #[error("{0} is out of range: it must be {1}")]
    OutOfRange(&'static str, &'static str),
    /// A key that no member may have.
    #[error("the key of rank {rank} is refused: {why}")]
    BadKey {
        /// Whose key.
        rank: Rank,
        /// What is wrong with it.
        why: KeyError,
    },
    /// One key twice.
    #[error("ranks {a} and {b} have the same public key")]
    DuplicateKey {
        /// One of them.
        a: Rank,
        /// The other.
        b: Rank,
    },
    /// Two keys that frames cannot tell apart; make a new key for one of them.
    #[error("ranks {a} and {b} have keys with the same peer id; make a new key for one")]
    PeerIdClash {
        /// One of them.
        a: Rank,
        /// The other.
        b: Rank,
    },
    /// One address twice.
    #[error("ranks {a} and {b} have the same address")]
    DuplicateAddress {
        /// One of them.
        a: Rank,
        /// The other.
        b: Rank,
    },
    /// An address beyond 64 bytes.
    #[error("the address of rank {rank} is longer than 64 bytes")]
    AddressTooLong {
        /// Whose address.
        rank: Rank,
    },
    /// The identity is none of the members.
    #[error("the identity's public key is not among the members of the group")]
    NotAMember,
    /// The incarnation given at boot is not the one in the genesis record.
    #[error("incarnation {boot} at boot, but the group lists this member with {listed}")]
    Incarnation {
        /// What the embedder said.
        boot: u64,
        /// What the record says.
        listed: u64,
    },
    /// A process that wants to join needs a group whose membership is managed.
    #[error("nobody can join a group whose membership is fixed")]
    FixedMembership,
    /// A process that wants to join is in the view it starts from, in this life or a later one.
    #[error(
        "incarnation {boot} at boot, but this process was a member with {listed}; it needs more"
    )]
    OldIncarnation {
        /// What the embedder said.
        boot: u64,
        /// What the view says.
        listed: u64,
    },
    /// Nobody to ask, or too many.
    #[error(
        "a process that joins needs 1 to 64 contacts other than itself, with addresses of at most 64 bytes"
    )]
    Contacts,
    /// The anchor is no view of this group.
    #[error("the anchor is no view of this group")]
    Anchor,
    /// The paper's quorums outside a study.
    #[error("the paper's 2f+1 quorums are unsafe and need the feature insecure-study")]
    PaperQuorum,
}

/// Ties a process to one life: which incarnation it is.
///
/// A process never signs in a view in which it has lost what it signed. Whoever restarts without
/// its protocol state must come back with a higher incarnation, made durable before the first
/// frame that must be remembered is sent ([`crate::Node::is_bound`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// This life's number.
    pub incarnation: u64,
}

/// The id of a group, for configuration files and messages.
pub type GroupId = Hash32;

#[cfg(test)]
mod tests;
