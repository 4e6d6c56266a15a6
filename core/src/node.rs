//! [`Node`]: the only door. Bytes, requests and ticks in; frames, events and faults out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::{Boot, Config, ConfigError};
use crate::crypto::{CryptoCounters, Identity};
use crate::input::Input;
use crate::member::{PeerId, Rank};
use crate::output::Output;
use crate::time::Time;
use crate::view::View;

/// What a node has counted since it started. Numbers only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cost of cryptography.
    pub crypto: CryptoCounters,
    /// Frames handed in.
    pub frames_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Frames handed out.
    pub frames_out: u64,
    /// Bytes of them.
    pub bytes_out: u64,
    /// Frames dropped before their MAC was found good: nobody is blamed for them.
    pub dropped_unauthenticated: u64,
    /// Frames dropped as replays.
    pub dropped_replayed: u64,
    /// Frames of a peer whose link is closed for the rest of the view, dropped unread.
    pub dropped_closed: u64,
    /// Frames of another view.
    pub dropped_other_view: u64,
    /// Steps whose time lay before that of an earlier step.
    pub time_went_back: u64,
    /// Times that outputs were dropped undrained.
    pub undrained: u64,
}

/// One process of the group.
#[derive(Debug)]
pub struct Node {
    view: View,
    outputs: VecDeque<Output>,
}

impl Node {
    /// A node of the group in `config`, as the member whose key `identity` holds.
    ///
    /// # Errors
    /// If the configuration is wrong, or the identity is no member.
    pub fn new(
        config: Config,
        identity: Identity,
        boot: Boot,
        now: Time,
    ) -> Result<Self, ConfigError> {
        let _ = (boot, now);
        config.validate(identity.suite())?;
        Ok(Self { view: config.genesis.view(), outputs: VecDeque::new() })
    }

    /// Takes one input. Nothing from outside is an error.
    pub fn step(&mut self, now: Time, input: Input<'_>) -> Outputs<'_> {
        let _ = (now, input);
        Outputs { node: self }
    }

    /// By when [`Input::Tick`] is owed; `None` if only an input can change anything. At or before
    /// the present: as soon as all frames at hand have been read.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        None
    }

    /// The present view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// This process's rank in it.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        Rank::new(0)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Whom frames may be for, with their rank and address.
    #[must_use]
    pub fn peers(&self) -> Vec<(PeerId, Rank, Vec<u8>)> {
        Vec::new()
    }

    /// Bytes that this node holds on behalf of the protocol, with the most that it ever may.
    #[must_use]
    pub fn memory(&self) -> (usize, usize) {
        (0, 0)
    }
}

/// Drains what a step produced. Dropping it undrained discards frames (the protocol repairs that),
/// keeps events and faults for the next step, and is counted.
#[must_use = "outputs hold frames to send and events to handle"]
#[derive(Debug)]
pub struct Outputs<'a> {
    node: &'a mut Node,
}

impl Iterator for Outputs<'_> {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.node.outputs.pop_front()
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {}
}
