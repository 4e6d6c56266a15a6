//! [`Runtime`]: one node, its sockets and a clock, in one loop on one thread.
//!
//! Each [`Runtime::turn`] waits until a socket is ready or the node's deadline has come, reads every
//! peer for its share of a few milliseconds, hands the node the requests of other threads, then its
//! Tick if that is due, and writes. In this order, because a node signs once for all that it read
//! before a Tick; and a Tick never waits for more than that, however much there is to read.
//!
//! When the view changes it looks again whom the node has to reach: connections to those that stay
//! are kept, and those who are out are listened to as long as the node answers them. A process that
//! is put out by opinion comes back as a new incarnation.
//!
//! It always uses real signatures and sound quorums: a group configured for a study is refused
//! here, whatever features the core was built with.

mod aside;
mod clock;
mod handle;
mod inputs;
mod life;
mod sorted;
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use phalanx_core::crypto::peer_id;
use phalanx_core::{
    Boot, Config, ConfigError, Counters, Event, Fault, Identity, Input, Joiners, Membership, Node,
    Order, Output, PeerId, PublicKey, QuorumRule, Rank, Refusal, Request, Ticket, View,
};

use crate::boot::{BootError, Record};
use crate::keys::SecretKey;
use crate::net::{Network, NetworkConfig, NetworkError, NetworkStats};
use aside::Aside;
pub use clock::Clock;
use handle::Command;
pub use handle::{Handle, Stopped};
pub use inputs::Inputs;
pub(crate) use life::{Contact, contacts};
use life::{Life, reachable};
use sorted::Sorted;
use state::Offers;
pub use state::Snapshot;

/// Requests taken from other threads in one turn.
const COMMANDS_PER_TURN: usize = 1_024;
/// Notices that the application has not taken, above which sockets are not read: peers then feel
/// back-pressure instead of this process's memory.
const NOTICES: usize = 65_536;

/// How often to look whether those that left the group are still answered.
const LOOK: Duration = Duration::from_secs(1);

/// Something for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What happened.
    Event(Event),
    /// A member is proven to misbehave.
    Fault(Box<Fault>),
    /// This process was put out by opinion, lost its state, or was found to have lived before in an
    /// incarnation that its boot record does not hold, and begins again as this one.
    ComesBack {
        /// Which one.
        incarnation: u64,
    },
    /// It cannot begin again.
    StaysOut {
        /// Why, as a sentence.
        why: String,
    },
}

/// Why a runtime cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The group or the local settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A member's address is not understood.
    #[error("the address of rank {rank}, {addr:?}, is not an IP address and a port")]
    Address {
        /// Whose.
        rank: usize,
        /// What it is.
        addr: String,
    },
    /// The paper's quorums, which are unsafe, outside a study.
    #[error("the group asks for the paper's 2f+1 quorums, which are unsafe: not on a network")]
    PaperQuorum,
    /// The system has no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// The system refuses.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The incarnation cannot be used up; nothing was sent that has to be remembered.
    #[error(transparent)]
    Boot(#[from] BootError),
}

/// Room in the queue to a peer behind the longest frame.
const QUEUE_SLACK: usize = 1024 * 1024;

/// What a runtime has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By the node, in its present life.
    pub node: Counters,
    /// By the network.
    pub network: NetworkStats,
    /// Times around the loop.
    pub turns: u64,
}

/// A node on a network.
#[derive(Debug)]
pub struct Runtime {
    node: Node,
    network: Network,
    clock: Clock,
    sorted: Sorted,
    commands: Receiver<Command>,
    held: Option<Command>,
    handle: Handle,
    life: Life,
    offers: Offers,
    inputs: Inputs,
    /// The incarnation of this process.
    incarnation: u64,
    /// The thread that writes views.
    aside: Aside,
    /// Which incarnations the members were at the last look.
    lives: BTreeMap<PeerId, u64>,
    /// When to look again whom the node has to reach, though nothing has happened.
    look_at: Option<Instant>,
    turns: u64,
}

/// The addresses of a view's members, by the name that frames give them.
///
/// # Errors
/// If one is not an IP address and a port.
pub fn addresses(view: &View) -> Result<Vec<(PeerId, SocketAddr)>, RuntimeError> {
    let address = |(rank, member): (usize, &phalanx_core::Member)| {
        let text = String::from_utf8_lossy(&member.addr).into_owned();
        let addr = text.parse().map_err(|_| RuntimeError::Address { rank, addr: text })?;
        Ok((peer_id(&member.key), addr))
    };
    view.members.iter().enumerate().map(address).collect()
}

/// Bytes that no earlier start has had.
fn fresh() -> Result<[u8; 32], RuntimeError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|why| RuntimeError::Random(why.to_string()))?;
    Ok(bytes)
}

/// How a node begins.
enum Begin {
    Member,
    /// It asks these to become one.
    Joiner(Vec<Contact>),
}

impl Runtime {
    /// Starts the member whose key is `secret`. `boot` must come from a [`Record::claim`] that is
    /// durable already, or from [`Record::unused`] of a record that is handed to [`Runtime::keep`]
    /// before the first turn. The frame limit in `config` is set to what the transport carries.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub fn start(
        config: Config,
        secret: &SecretKey,
        boot: Boot,
        network: &NetworkConfig,
    ) -> Result<Self, RuntimeError> {
        Self::begin((config, secret, boot), Begin::Member, network)
    }

    /// Starts a process that wants to be a member and asks `contacts`; see
    /// [`phalanx_core::Node::join`]. `boot` must come from a [`Record::claim`] likewise.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub fn join(
        config: Config,
        secret: &SecretKey,
        boot: Boot,
        contacts: Vec<(PeerId, Vec<u8>)>,
        network: &NetworkConfig,
    ) -> Result<Self, RuntimeError> {
        Self::begin((config, secret, boot), Begin::Joiner(contacts), network)
    }

    fn begin(
        (mut config, secret, boot): (Config, &SecretKey, Boot),
        begin: Begin,
        network: &NetworkConfig,
    ) -> Result<Self, RuntimeError> {
        if config.genesis.quorum == QuorumRule::Paper {
            return Err(RuntimeError::PaperQuorum);
        }
        config.frame_max = network.frame_max();
        config.fresh = fresh()?;
        let takes_guests = config.genesis.membership == Membership::Managed;
        let clock = Clock::default();
        let identity = Identity::ed25519(*secret.seed());
        let me = peer_id(identity.public_key());
        let is_outside = matches!(begin, Begin::Joiner(_));
        let (node, peers) = match begin {
            Begin::Member => {
                let node = Node::new(config.clone(), identity, boot, clock.now())?;
                let peers = addresses(node.view())?;
                (node, peers)
            }
            Begin::Joiner(contacts) => {
                let node = Node::join(config.clone(), identity, boot, contacts, clock.now())?;
                let peers = reachable(&node);
                (node, peers)
            }
        };
        // Over TCP what a leader proposes goes out in one frame: it must not be dropped for the next.
        let longest = config.longest_frame().saturating_add(QUEUE_SLACK);
        let queue_bytes = network.queue_bytes.max(longest);
        let group = Some(config.genesis.group().prefix());
        let network = NetworkConfig { takes_guests, queue_bytes, group, ..network.clone() };
        let mut network = Network::bind(&network, me, &peers)?;
        network.set_outside(is_outside);
        let (handle, commands) = Handle::new(network.waker());
        let secret = secret.clone();
        Ok(Self {
            node,
            network,
            clock,
            sorted: Sorted { is_outside, has_changed: true, ..Sorted::default() },
            commands,
            held: None,
            handle,
            life: Life {
                config,
                secret,
                record: None,
                unclaimed: None,
                is_lasting: false,
                from: None,
                seen: None,
                spent: 0,
            },
            offers: Offers::default(),
            inputs: Inputs::default(),
            incarnation: boot.incarnation,
            aside: Aside::default(),
            lives: BTreeMap::new(),
            look_at: None,
            turns: 0,
        })
    }

    /// Keeps the views that this process sees beside its boot record. If `comes_back`, it begins
    /// again as a new incarnation whenever it is put out by opinion, cannot follow the others, or
    /// has lost its state and they can do without it meanwhile: [`Notice::ComesBack`] says so.
    ///
    /// If the record says of no incarnation that it was used, a member uses up its own before it sends
    /// anything that it must remember.
    pub fn keep(&mut self, record: Record, comes_back: bool) {
        let me = self.node.view().member(self.node.rank()).filter(|_| self.is_member());
        self.life.unclaimed = me.filter(|_| record.last().is_none()).map(|me| me.incarnation);
        (self.life.record, self.life.is_lasting) = (Some(record), comes_back);
    }

    /// One turn of the loop; waits at most `wait`, or not at all while notices are untaken.
    ///
    /// # Errors
    /// If the system cannot poll.
    pub fn turn(&mut self, wait: Option<Duration>) -> Result<(), RuntimeError> {
        self.turns += 1;
        self.inputs.stand(self.node.view().number, self.incarnation);
        let wait = if self.sorted.notices.is_empty() && self.sorted.outbox.is_empty() {
            let due = self.node.deadline().map(|deadline| self.clock.until(deadline));
            wait.into_iter().chain(due).min()
        } else {
            Some(Duration::ZERO)
        };
        self.network.poll(wait)?;
        if self.sorted.notices.len() < NOTICES {
            self.receive();
        }
        self.take_commands();
        let now = self.clock.now();
        if self.node.deadline().is_some_and(|deadline| deadline <= now) {
            self.inputs.note(now, &Input::Tick);
            let outputs = self.node.step(now, Input::Tick);
            self.sorted.take(outputs);
        }
        self.hand_over();
        self.bind()?;
        self.note_end();
        self.come_back();
        self.follow();
        for (frame, source) in self.sorted.outbox.drain(..) {
            match source {
                Some(source) => self.network.answer(frame, source),
                None => self.network.send(frame),
            }
        }
        self.network.flush();
        Ok(())
    }

    /// Looks again whom the node has to reach, if that may have changed.
    fn follow(&mut self) {
        let now = Instant::now();
        let has_changed = std::mem::take(&mut self.sorted.has_changed);
        if !has_changed && self.look_at.is_none_or(|at| now < at) {
            return;
        }
        self.network.set_outside(self.sorted.is_outside);
        self.network.set_peers(&reachable(&self.node));
        if self.is_member() {
            self.renew();
        }
        // Those that left are forgotten in silence, and so are all others by who is out itself.
        let is_out = self.sorted.is_out;
        let is_awaited = self.node.peers().any(|(_, rank, _)| is_out || rank.is_none());
        self.look_at = is_awaited.then(|| now + LOOK);
    }

    /// Members that are in a view for the first time, or in another life, are worth a try at once.
    fn renew(&mut self) {
        let view = self.node.view();
        let lives = view.members.iter().map(|member| (peer_id(&member.key), member.incarnation));
        let lives: BTreeMap<PeerId, u64> = lives.collect();
        if self.life.seen != Some(view.number) {
            let view = view.clone();
            self.life.seen = Some(view.number);
            self.remember(view);
        }
        for (peer, life) in lives.iter().filter(|(peer, life)| self.lives.get(peer) != Some(life)) {
            tracing::debug!(%peer, life, "a new member");
            self.network.renew(*peer);
        }
        self.lives = lives;
    }

    fn receive(&mut self) {
        let Self { node, network, clock, sorted, inputs, .. } = self;
        network.receive(&mut |frame, source| {
            let before = unread(&node.counters());
            let (now, input) = (clock.now(), Input::Frame(frame));
            inputs.note(now, &input);
            sorted.source = Some(source);
            sorted.take(node.step(now, input));
            sorted.source = None;
            unread(&node.counters()) == before
        });
    }

    fn take_commands(&mut self) {
        if self.sorted.is_outside {
            return;
        }
        for _ in 0..COMMANDS_PER_TURN {
            let command = match self.held.take() {
                Some(command) => command,
                None => match self.commands.try_recv() {
                    Ok(command) => command,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
                },
            };
            let Command { ticket, wish } = &command;
            match self.step_request(*ticket, wish.request()) {
                Ok(()) => self.sorted.notices.push_back(Notice::Event(Event::Accepted(*ticket))),
                Err(Refusal::Full) => {
                    self.held = Some(command);
                    return;
                }
                Err(why) => {
                    self.sorted.notices.push_back(Notice::Event(Event::Refused(*ticket, why)))
                }
            }
        }
        // More may wait than one turn takes; the next must not sleep.
        self.handle.wake();
    }

    /// Hands the node a request.
    ///
    /// # Errors
    /// If it is refused; after [`Refusal::Full`] an [`Event::Writable`] follows.
    pub fn request(&mut self, request: Request<'_>) -> Result<Ticket, Refusal> {
        let ticket = self.handle.ticket();
        self.step_request(ticket, request).map(|()| ticket)
    }

    /// Casts `payload` to the group.
    ///
    /// # Errors
    /// As [`Runtime::request`].
    pub fn cast(&mut self, order: Order, payload: &[u8]) -> Result<Ticket, Refusal> {
        self.request(Request::Cast { order, payload })
    }

    /// Asks to leave the group. The process works on; [`Event::Excluded`] says when it is out.
    ///
    /// # Errors
    /// As [`Runtime::request`].
    pub fn leave(&mut self) -> Result<Ticket, Refusal> {
        self.request(Request::Leave)
    }

    /// Tells the group that this process suspects a member.
    ///
    /// # Errors
    /// As [`Runtime::request`].
    pub fn suspect(&mut self, member: Rank) -> Result<Ticket, Refusal> {
        self.request(Request::Suspect { member })
    }

    /// Says whether the holder of a key may become a member: the answer to [`Event::JoinWanted`].
    ///
    /// # Errors
    /// As [`Runtime::request`].
    pub fn admit(&mut self, key: PublicKey, is_admitted: bool) -> Result<Ticket, Refusal> {
        self.request(Request::Admit { key, is_admitted })
    }

    /// Replaces the list of those that may join, see [`Config::joiners`]; also for its next lives.
    pub fn set_joiners(&mut self, joiners: Joiners) {
        self.node.set_joiners(joiners.clone());
        self.life.config.joiners = joiners;
    }

    fn step_request(&mut self, ticket: Ticket, request: Request<'_>) -> Result<(), Refusal> {
        let mut answer = Ok(());
        let (now, input) = (self.clock.now(), Input::Request(ticket, request));
        self.inputs.note(now, &input);
        for output in self.node.step(now, input) {
            match output {
                Output::Event(Event::Accepted(which)) if which == ticket => {}
                Output::Event(Event::Refused(which, why)) if which == ticket => answer = Err(why),
                other => self.sorted.take([other]),
            }
        }
        answer
    }

    /// The next thing that happened.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.sorted.notices.pop_front()
    }

    /// For casting from other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether this process is a member; otherwise it wants to be one, or is out.
    #[must_use]
    pub const fn is_member(&self) -> bool {
        !self.sorted.is_outside && !self.sorted.is_out
    }

    /// Returns a view on the last inputs of the node, for the report of a bug.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        self.inputs.clone()
    }

    /// Returns the incarnation of this process.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { node: self.node.counters(), network: self.network.stats(), turns: self.turns }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.network.local_addr()
    }
}

/// Frames that the node dropped before it knew them to be a peer's. If a step does not raise it,
/// its frame was authentic and fresh.
const fn unread(counters: &Counters) -> u64 {
    counters.dropped_unauthenticated + counters.dropped_replayed + counters.dropped_closed
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
