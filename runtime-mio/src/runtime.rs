//! [`Runtime`]: one node, its sockets and a clock, in one loop on one thread.
//!
//! Each [`Runtime::turn`] waits until a socket is ready or the node's deadline has come, reads all
//! sockets, hands the node the requests of other threads, then its Tick if that is due, and writes.
//! In this order, because a node signs once for all that it read before a Tick.
//!
//! When the view changes it looks again whom the node has to reach: connections to those that stay
//! are kept, and those who are out are listened to as long as the node answers them.
//!
//! It always uses real signatures and sound quorums: a group configured for a study is refused
//! here, whatever features the core was built with.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use mio::Waker;
use phalanx_core::crypto::peer_id;
use phalanx_core::{
    Boot, Config, ConfigError, Counters, Event, Fault, Identity, Input, Membership, Node, Order,
    Output, PeerId, QuorumRule, Rank, Refusal, Request, Ticket, Time, Transmit, View,
};

use crate::keys::SecretKey;
use crate::net::{Network, NetworkConfig, NetworkError, NetworkStats};

/// Requests of other threads that wait for the loop; a thread that would exceed it waits.
const COMMANDS: usize = 256;
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
    /// The system refuses.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// What a runtime has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By the node.
    pub node: Counters,
    /// By the network.
    pub network: NetworkStats,
    /// Times around the loop.
    pub turns: u64,
}

/// Microseconds since it was made, from the system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// How long from now until `moment`.
    #[must_use]
    pub fn until(&self, moment: Time) -> Duration {
        Duration::from_micros(moment.since(self.now()))
    }
}

#[derive(Debug)]
struct Command {
    ticket: Ticket,
    wish: Wish,
}

/// What another thread wants of the node: a [`Request`] that owns its bytes.
#[derive(Debug)]
enum Wish {
    Cast(Order, Vec<u8>),
    Leave,
    Suspect(Rank),
}

impl Wish {
    fn request(&self) -> Request<'_> {
        match self {
            Self::Cast(order, payload) => Request::Cast { order: *order, payload },
            Self::Leave => Request::Leave,
            Self::Suspect(member) => Request::Suspect { member: *member },
        }
    }
}

/// Requests from other threads.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: SyncSender<Command>,
    tickets: Arc<AtomicU64>,
    waker: Arc<Waker>,
}

/// The runtime that a [`Handle`] belongs to is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runtime has stopped")]
pub struct Stopped;

impl Handle {
    /// Casts `payload`; waits while the queue is full. What becomes of it is a [`Notice`] of the
    /// runtime, with the ticket returned here.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn cast(&self, order: Order, payload: Vec<u8>) -> Result<Ticket, Stopped> {
        self.wish(Wish::Cast(order, payload))
    }

    /// As [`Runtime::leave`]; the answer is a [`Notice`].
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn leave(&self) -> Result<Ticket, Stopped> {
        self.wish(Wish::Leave)
    }

    /// As [`Runtime::suspect`]; the answer is a [`Notice`].
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn suspect(&self, member: Rank) -> Result<Ticket, Stopped> {
        self.wish(Wish::Suspect(member))
    }

    fn wish(&self, wish: Wish) -> Result<Ticket, Stopped> {
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        self.commands.send(Command { ticket, wish }).map_err(|_| Stopped)?;
        self.wake();
        Ok(ticket)
    }

    /// Makes the runtime's present or next turn end.
    pub fn wake(&self) {
        // A waker fails only when the poll is gone, and then nobody waits.
        let _ = self.waker.wake();
    }
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

/// Whom the node has to reach. Who came later and gave no address that is one is not dialled.
fn reachable(node: &Node) -> Vec<(PeerId, SocketAddr)> {
    let address = |(peer, _, addr): (PeerId, Option<Rank>, &[u8])| {
        Some((peer, std::str::from_utf8(addr).ok()?.parse().ok()?))
    };
    node.peers().filter_map(address).collect()
}

impl Runtime {
    /// Starts the member whose key is `secret`. `boot` must come from a [`crate::boot::claim`] that
    /// is durable already. The frame limit in `config` is set to what the transport carries.
    ///
    /// # Errors
    /// See [`RuntimeError`].
    pub fn start(
        mut config: Config,
        secret: &SecretKey,
        boot: Boot,
        network: &NetworkConfig,
    ) -> Result<Self, RuntimeError> {
        if config.genesis.quorum == QuorumRule::Paper {
            return Err(RuntimeError::PaperQuorum);
        }
        config.frame_max = network.transport.frame_max();
        let takes_guests = config.genesis.membership == Membership::Managed;
        let clock = Clock::default();
        let identity = Identity::ed25519(*secret.seed());
        let me = peer_id(identity.public_key());
        let node = Node::new(config, identity, boot, clock.now())?;
        let network = NetworkConfig { takes_guests, ..network.clone() };
        let network = Network::bind(&network, me, &addresses(node.view())?)?;
        let (sender, commands) = sync_channel(COMMANDS);
        let handle = Handle {
            commands: sender,
            tickets: Arc::new(AtomicU64::new(1)),
            waker: network.waker(),
        };
        Ok(Self {
            node,
            network,
            clock,
            sorted: Sorted::default(),
            commands,
            held: None,
            handle,
            look_at: None,
            turns: 0,
        })
    }

    /// One turn of the loop; waits at most `wait`, or not at all while notices are untaken.
    ///
    /// # Errors
    /// If the system cannot poll.
    pub fn turn(&mut self, wait: Option<Duration>) -> Result<(), RuntimeError> {
        self.turns += 1;
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
            let outputs = self.node.step(now, Input::Tick);
            self.sorted.take(outputs);
        }
        self.follow();
        for frame in self.sorted.outbox.drain(..) {
            self.network.send(frame);
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
        self.network.set_peers(&reachable(&self.node));
        // Those that left are forgotten in silence, and so are all others by who is out itself.
        let is_out = self.sorted.is_out;
        let is_awaited = self.node.peers().any(|(_, rank, _)| is_out || rank.is_none());
        self.look_at = is_awaited.then(|| now + LOOK);
    }

    fn receive(&mut self) {
        let Self { node, network, clock, sorted, .. } = self;
        network.receive(&mut |frame| {
            let before = unread(&node.counters());
            sorted.take(node.step(clock.now(), Input::Frame(frame)));
            unread(&node.counters()) == before
        });
    }

    fn take_commands(&mut self) {
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
        let ticket = Ticket(self.handle.tickets.fetch_add(1, Ordering::Relaxed));
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

    fn step_request(&mut self, ticket: Ticket, request: Request<'_>) -> Result<(), Refusal> {
        let mut answer = Ok(());
        for output in self.node.step(self.clock.now(), Input::Request(ticket, request)) {
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

/// What came out of the node and was not passed on yet.
#[derive(Debug, Default)]
struct Sorted {
    notices: VecDeque<Notice>,
    outbox: Vec<Transmit>,
    /// The view changed, or this process is out, since the last look.
    has_changed: bool,
    /// This process is no member any more.
    is_out: bool,
}

impl Sorted {
    fn take(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            match output {
                Output::Transmit(frame) => self.outbox.push(frame),
                Output::Event(event) => {
                    self.is_out |= matches!(event, Event::Excluded { .. });
                    self.has_changed |= self.is_out || matches!(event, Event::View(_));
                    self.notices.push_back(Notice::Event(event));
                }
                Output::Fault(fault) => self.notices.push_back(Notice::Fault(Box::new(fault))),
            }
        }
    }
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
