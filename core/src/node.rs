//! [`Node`]: the only door. Bytes, requests and ticks in; frames, events and faults out.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::config::{Boot, Config, ConfigError};
use crate::crypto::{CryptoCounters, Door, Identity, Roster};
use crate::input::Input;
use crate::layer::Context;
use crate::member::{PeerId, Rank};
use crate::output::{Event, Output};
use crate::stack::{Stack, Step};
use crate::time::Time;
use crate::view::View;

/// What a node has counted since it started. Numbers only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cost of cryptography.
    pub crypto: CryptoCounters,
    /// Bodies of the own log.
    pub bodies: u64,
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
    /// Malformed or mis-signed content under a good MAC: each closed a peer's link.
    pub malformed: u64,
    /// Frames to be sent in fragments for which there was no room, or that were given up.
    pub fragmented_lost: u64,
    /// Steps whose time lay before that of an earlier step.
    pub time_went_back: u64,
    /// Times that outputs were dropped undrained.
    pub undrained: u64,
}

/// One process of the group.
///
/// Hand it every frame that arrives, every request of the application, and a [`Input::Tick`] by
/// [`Node::deadline`]; drain what each step returns. Nothing is queued past that: there is nothing
/// else to poll.
#[derive(Debug)]
pub struct Node {
    door: Door,
    now: Time,
    stack: Stack,
    outputs: VecDeque<Output>,
    counters: Counters,
    bound: usize,
}

impl Node {
    /// A node of the group in `config`, as the member whose key `identity` holds.
    ///
    /// # Errors
    /// If the configuration is wrong, the identity is no member, or `boot` is another life of it.
    pub fn new(
        config: Config,
        identity: Identity,
        boot: Boot,
        now: Time,
    ) -> Result<Self, ConfigError> {
        let suite = identity.suite();
        config.validate(suite)?;
        let view = config.genesis.view();
        let me = view.rank_of(identity.public_key()).ok_or(ConfigError::NotAMember)?;
        let listed = view.member(me).map_or(0, |member| member.incarnation);
        if listed != boot.incarnation {
            return Err(ConfigError::Incarnation { boot: boot.incarnation, listed });
        }
        let roster = view.roster(suite)?;
        let door = Door::new(identity);
        let bound = Stack::bound_bytes(&config, view.members.len());
        let outputs = VecDeque::from([Output::Event(Event::View(Box::new(view.clone())))]);
        let stack = Stack::new(&config, view, roster, me, &door, now);
        Ok(Self { door, now, stack, outputs, counters: Counters::default(), bound })
    }

    /// Takes one input. Nothing from outside is an error. A `now` before that of an earlier step is
    /// taken as that, and counted.
    pub fn step(&mut self, now: Time, input: Input<'_>) -> Outputs<'_> {
        if now < self.now {
            self.counters.time_went_back = self.counters.time_went_back.saturating_add(1);
        }
        self.now = self.now.max(now);
        if let Input::Frame(bytes) = input {
            self.counters.frames_in = self.counters.frames_in.saturating_add(1);
            self.counters.bytes_in = self.counters.bytes_in.saturating_add(bytes.len() as u64);
        }
        let roster: Arc<Roster> = Arc::clone(self.stack.roster());
        let cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        let mut step = Step::new(cx, &mut self.outputs, &mut self.counters);
        self.stack.step(&mut step, input);
        Outputs { node: self }
    }

    /// By when [`Input::Tick`] is owed; `None` if only an input can change anything. At or before
    /// the present: as soon as all frames at hand have been read.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.stack.deadline()
    }

    /// The present view.
    #[must_use]
    pub const fn view(&self) -> &View {
        self.stack.view()
    }

    /// This process's rank in it.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.stack.me()
    }

    /// The keys of the present view: what a [`crate::Proof`] is verified against.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        self.stack.roster()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.bodies = self.stack.bodies();
        counters.fragmented_lost = self.stack.frames_lost();
        counters.crypto = *self.door.counters();
        counters
    }

    /// Whom frames may be for: every other member of the view, with its rank and address.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, Rank, &[u8])> {
        let peers = self.view().peers();
        let members = Rank::all(peers.len()).zip(&self.view().members);
        members
            .filter(|(rank, _)| *rank != self.rank())
            .map(move |(rank, member)| (*peers.at(rank), rank, member.addr.as_slice()))
    }

    /// Bytes of casts, messages, fragments and evidence that this node holds, and the most that it
    /// ever may: the sum of the layers' documented bounds for this configuration.
    #[must_use]
    pub fn memory(&self) -> (usize, usize) {
        (self.stack.held_bytes(), self.bound)
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
    fn drop(&mut self) {
        if self.node.outputs.is_empty() {
            return;
        }
        self.node.outputs.retain(|output| !matches!(output, Output::Transmit(_)));
        self.node.counters.undrained = self.node.counters.undrained.saturating_add(1);
    }
}
