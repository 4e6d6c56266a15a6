//! [`Node`]: the only door. Bytes, requests and ticks in; frames, events and faults out.
//!
//! A node outlives views. To it belong the links (layer Bottom), the stack of the present view, what
//! is left of those before, and the chain of decisions for those that lag behind.

mod fork;
mod install;
mod join;
mod left;
mod peers;
mod strangers;
mod turn;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::{Boot, Config, ConfigError, Joiners};
use crate::crypto::{CryptoCounters, Door, Identity, Roster};
use crate::input::Input;
use crate::layer::bottom::Bottom;
use crate::layer::heal::Heal;
use crate::layer::heal::chain::Chain;
use crate::member::{PeerId, Rank};
use crate::outbox::Outbox;
use crate::output::{Event, Output};
use crate::stack::{Gate, Stack};
use crate::time::{Time, earliest};
use crate::view::{Membership, View};
use crate::wire::change::Decision;
use left::Lefts;
use peers::Peers;
use strangers::Tokens;

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
    /// Parts of frames dropped unread, because their sender had made this member check too many
    /// signatures in vain, or because a newer row of the same member waits to be checked.
    pub dropped_over_budget: u64,
    /// Frames of another view.
    pub dropped_other_view: u64,
    /// Frames of strangers dropped unread, because there were too many.
    pub strangers_limited: u64,
    /// Requests to join that were not recommended, repetitions included.
    pub joins_refused: u64,
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
    config: Config,
    door: Door,
    now: Time,
    phase: Phase,
    bottom: Bottom,
    /// The layers of the present view; at rest for who is no member any more.
    stack: Stack,
    /// What stands between the layers and the application, in all views.
    gate: Gate,
    /// Views before it, and the last one for who is no member any more.
    old: Lefts,
    chain: Chain,
    peers: Peers,
    /// For frames of strangers.
    tokens: Tokens,
    /// Former members that are still linked, and their addresses.
    departed: Vec<(PeerId, Vec<u8>)>,
    /// Two views were decided after one.
    is_forked: bool,
    outputs: Outbox,
    counters: Counters,
}

/// What this process is to the group.
#[derive(Debug)]
enum Phase {
    /// None yet: it wants to be a member, and the layers are at rest.
    Joining(Box<Heal>),
    /// A member of the present view.
    Member,
    /// No member any more: it answers those who do not know yet, while `old` is there, and does
    /// nothing else.
    Excluded,
}

impl Node {
    /// A node of the group set up in `config`, as the member whose key `identity` holds.
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
        let roster = Arc::new(view.roster(suite)?);
        let door = Door::new(identity);
        let mut outputs = Outbox::default();
        outputs.event(Event::View(Box::new(view.clone())));
        let bottom = Bottom::new(&config, &view, &roster, me, &door);
        let stack = Stack::new(&config, view, roster, me, now);
        Ok(Self {
            gate: Gate::new(&config, false),
            peers: Peers::new(&config.timeouts),
            tokens: Tokens::new(config.join_tokens, now),
            config,
            door,
            now,
            phase: Phase::Member,
            bottom,
            stack,
            old: Lefts::default(),
            chain: Chain::default(),
            departed: Vec::new(),
            is_forked: false,
            outputs,
            counters: Counters::default(),
        })
    }

    /// Takes one input. Nothing from outside is an error. A `now` before that of an earlier step is
    /// taken as that, and counted.
    pub fn step(&mut self, now: Time, input: Input<'_>) -> Outputs<'_> {
        if now < self.now {
            self.counters.time_went_back = self.counters.time_went_back.saturating_add(1);
        }
        self.now = self.now.max(now);
        match input {
            Input::Frame(bytes) => self.on_frame(bytes),
            Input::Request(ticket, request) => self.on_request(ticket, request),
            Input::Tick => self.on_tick(),
        }
        Outputs { node: self }
    }

    /// Replaces [`Config::joiners`]. It has a say in requests to join that come from now on.
    pub fn set_joiners(&mut self, joiners: Joiners) {
        self.stack.set_joiners(&joiners);
        self.config.joiners = joiners;
    }

    /// By when [`Input::Tick`] is owed; `None` if only an input can change anything. At or before
    /// the present: as soon as all frames at hand have been read.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let layers = match &self.phase {
            Phase::Joining(heal) => heal.deadline(),
            Phase::Member => earliest(self.stack.deadline(), self.gate.deadline()),
            Phase::Excluded => None,
        };
        earliest(earliest(layers, self.bottom.deadline()), self.old.deadline())
    }

    /// The present view; for who is no member any more the last one that it was in, and for who is
    /// none yet the one that it starts from.
    #[must_use]
    pub const fn view(&self) -> &View {
        self.stack.view()
    }

    /// This process's rank in it; says nothing before it is a member.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.stack.me()
    }

    /// The keys of that view: what a [`crate::Proof`] is verified against.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        self.stack.roster()
    }

    /// Whether this life of the process has said anything that it must remember: then it must not
    /// begin again, so its incarnation has to be used up, durably, before the frames of this step
    /// leave ([`Boot`]).
    ///
    /// It has not as long as it has heard no other member, and been asked for nothing. Until then it
    /// signs one statement, its first row of the genesis view. That says that it holds nothing, in
    /// bytes that depend on its key, its rank and the view alone; so whoever begins again as the same
    /// life signs the same, and cannot contradict itself. Frames of the first start that arrived cost
    /// as many of the second, which are taken for replays.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        let signatures = self.door.counters().signatures;
        !matches!(self.phase, Phase::Member) || !self.stack.is_unheard(signatures)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        counters.bodies = counters.bodies.saturating_add(self.stack.bodies());
        counters.fragmented_lost = self.bottom.lost();
        counters.crypto = *self.door.counters();
        counters
    }

    /// Whom frames may be for, each once, with its address: every other member of the view with
    /// its rank, and for a while those of the view before that are not in this one. Whoever keeps
    /// connections looks here again after each [`Event::View`], and [`Event::Joining`].
    ///
    /// Strangers are not among them: what is for them goes where their frames came from, see
    /// [`crate::Transmit`].
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, Option<Rank>, &[u8])> {
        let joining = match &self.phase {
            Phase::Joining(heal) => Some(heal.peers()),
            Phase::Member | Phase::Excluded => None,
        };
        joining.into_iter().flatten().chain(self.linked())
    }

    fn linked(&self) -> impl Iterator<Item = (PeerId, Option<Rank>, &[u8])> {
        let peers = self.view().peers();
        let members = Rank::all(peers.len()).zip(&self.view().members);
        let members = members
            .filter(|(rank, _)| *rank != self.rank())
            .map(move |(rank, member)| (*peers.at(rank), Some(rank), member.addr.as_slice()));
        let departed = self.departed.iter().map(|(peer, addr)| (*peer, None, addr.as_slice()));
        members.chain(departed).filter(|(peer, _, _)| self.bottom.has_link(*peer))
    }

    /// The decisions that led to the present view, oldest first, as far as they are kept: each
    /// proves itself to who knows the view before it ([`Decision::verify`]).
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.chain.all()
    }

    /// Bytes of casts, messages, fragments and evidence that this node holds, and the most that it
    /// may while it is in this view: the sum of the layers' documented bounds for this
    /// configuration and the members of the present view and those before that are still answered
    /// for: together these hold no more than the largest of them alone may.
    #[must_use]
    pub fn memory(&self) -> (usize, usize) {
        let parts = [
            (self.stack.held_bytes(), Stack::bound_bytes(&self.config, self.view().members.len())),
            (self.bottom.held_bytes(), self.bottom.bound_bytes()),
            (self.gate.held_bytes(), self.gate.bound_bytes(&self.config)),
            (self.old.held_bytes(), self.old.bound_bytes(&self.config)),
            match self.config.genesis.membership {
                Membership::Fixed => (0, 0),
                Membership::Managed => {
                    let peers = (self.peers.held_bytes(), Peers::bound_bytes(self.peers().count()));
                    let chain = (self.chain.held_bytes(), Chain::BOUND_BYTES);
                    let heal = match &self.phase {
                        Phase::Joining(heal) => heal.held_bytes(),
                        Phase::Member | Phase::Excluded => 0,
                    };
                    let held = peers.0.saturating_add(chain.0).saturating_add(heal);
                    (held, peers.1.saturating_add(chain.1).saturating_add(Heal::BOUND_BYTES))
                }
            },
        ];
        parts
            .into_iter()
            .fold((0, 0), |sum, part| (sum.0.saturating_add(part.0), sum.1.saturating_add(part.1)))
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
        self.node.outputs.next()
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        if self.node.outputs.is_empty() {
            return;
        }
        self.node.outputs.drop_frames();
        self.node.counters.undrained = self.node.counters.undrained.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
