//! Frames between processes over real sockets, one thread, one poll.
//!
//! What it promises: the frames of every peer come in, and the frames for every peer go out in
//! order while a connection lasts; nothing blocks; every queue and buffer is bounded; whatever
//! strangers do costs them their connection and nobody else's. A frame may be lost: the protocol
//! repairs. What it needs from above: whether a frame was authentic, because a connection is
//! trusted to reach a peer only once that peer's key has spoken through it.
//!
//! [`crate::Runtime`] drives a [`phalanx_core::Node`] with it; anything else that speaks frames
//! can use it as well.

mod backoff;
mod conn;
mod framing;
mod guests;
mod hall;
mod intake;
mod notices;
mod peer;
mod probe;
mod queue;
mod share;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use phalanx_core::{PeerId, Transmit};

pub use notices::{Mismatch, hex};

/// Readiness of the waker.
const WAKER: Token = Token(0);
/// Readiness of the socket that is bound: datagrams, or connections to accept.
const BOUND: Token = Token(1);
/// The first token of a connection.
const FIRST_CONNECTION: usize = 2;
/// Events taken from the system at once.
const EVENTS: usize = 256;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// A frame is a datagram.
    Udp,
    /// Frames follow each other on one connection per pair of processes.
    Tcp,
}

/// Bytes of a datagram that nobody configured.
pub const DATAGRAM: usize = 1_400;
/// The shortest datagrams that may be configured: every IPv4 path takes them.
pub const DATAGRAM_MIN: usize = 508;
/// The longest that there are.
pub const DATAGRAM_MAX: usize = 65_000;

/// What a [`Network`] is told when it starts.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// How frames travel.
    pub transport: TransportKind,
    /// Where to listen.
    pub bind: SocketAddr,
    /// Bytes of frames that wait for one peer, or for all in case of UDP. Beyond it frames are
    /// dropped: TCP drops the oldest, UDP the newest. Over TCP the queues share their bodies. A runtime
    /// makes it a mebibyte more than [`phalanx_core::Config::longest_frame`] at least.
    pub queue_bytes: usize,
    /// A peer that takes nothing for so long while frames wait for it is cut off (TCP).
    pub stall: Duration,
    /// Whether frames of strangers are heard: of a few, and a few in each second. Those for them go
    /// back where theirs came from last.
    pub takes_guests: bool,
    /// Decides the jitter of back-off: different at every member.
    pub seed: u64,
    /// Bytes of the longest datagram, from [`DATAGRAM_MIN`] to [`DATAGRAM_MAX`] (UDP). Where a path
    /// takes less the node finds that out.
    pub datagram: usize,
    /// The first bytes of the group's id: frames of another are dropped at once, and the log says so.
    /// `None`: every group is this one.
    pub group: Option<u64>,
    /// What people call processes, for the log.
    pub names: Vec<(PeerId, String)>,
}

impl NetworkConfig {
    /// The defaults: 8 MiB of queue per peer, 5 seconds of stalling, datagrams of 1,400 bytes, no
    /// guests, any group.
    #[must_use]
    pub const fn new(transport: TransportKind, bind: SocketAddr) -> Self {
        let stall = Duration::from_secs(5);
        let queue_bytes = 8 * 1024 * 1024;
        Self {
            transport,
            bind,
            queue_bytes,
            stall,
            takes_guests: false,
            seed: 0,
            datagram: DATAGRAM,
            group: None,
            names: Vec::new(),
        }
    }

    /// The longest frame to hand to it: [`phalanx_core::Config::frame_max`].
    #[must_use]
    pub const fn frame_max(&self) -> usize {
        match self.transport {
            TransportKind::Udp => self.datagram,
            TransportKind::Tcp => phalanx_core::Config::FRAME_MAX,
        }
    }
}

/// What a network has counted. All but the last three only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkStats {
    /// Whole frames read.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Whole frames written.
    pub frames_out: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Frames for others that were dropped because a queue was full or a datagram was refused.
    pub dropped_out: u64,
    /// Frames that claim a sender who cannot have sent them here, or are too many, dropped unread.
    pub dropped_in: u64,
    /// Frames of another group or another version of the protocol.
    pub mismatched: u64,
    /// Times that a connection to a peer was dialled after the first.
    pub reconnects: u64,
    /// Connections that were accepted and closed without having proven a peer.
    pub strangers_closed: u64,
    /// Peers cut off because they took nothing.
    pub cut_slow: u64,
    /// Errors of the system that were survived: ICMP, no free descriptors and such.
    pub socket_errors: u64,
    /// Peers with a connection that works, now (UDP: all of them).
    pub connected: usize,
    /// Accepted connections that have not proven a peer, now.
    pub strangers: usize,
    /// Bytes that wait to be written, now.
    pub queued_bytes: usize,
}

/// Where a frame came from: [`Network::answer`] sends what is said to a stranger back there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    origin: Origin,
    /// The name that it bears, if it is a stranger's.
    stranger: Option<PeerId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Datagram(SocketAddr),
    Connection(usize),
}

/// Takes a frame, says whether it was authentic.
type Deliver<'a> = dyn FnMut(&[u8], Source) -> bool + 'a;

/// Why a network cannot start or go on: the system's refusal, never a peer's doing.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct NetworkError {
    what: String,
    source: io::Error,
}

impl NetworkError {
    fn new(what: impl Into<String>, source: io::Error) -> Self {
        Self { what: what.into(), source }
    }
}

enum Transport {
    Udp(udp::Udp),
    Tcp(tcp::Tcp),
}

/// The sockets of one process.
pub struct Network {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    transport: Transport,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Network {
    /// Binds the sockets of process `me`, to reach `peers` (which may list `me`: it is left out).
    ///
    /// # Errors
    /// If the system refuses the address or has no more descriptors.
    pub fn bind(
        config: &NetworkConfig,
        me: PeerId,
        peers: &[(PeerId, SocketAddr)],
    ) -> Result<Self, NetworkError> {
        let system = |why| NetworkError::new("cannot start polling", why);
        let poll = Poll::new().map_err(system)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(system)?);
        let registry = poll.registry().try_clone().map_err(system)?;
        let refused = |why| NetworkError::new(format!("cannot bind {}", config.bind), why);
        let transport = match config.transport {
            TransportKind::Udp => {
                udp::Udp::bind(config, me, peers, &registry).map(Transport::Udp).map_err(refused)?
            }
            TransportKind::Tcp => {
                tcp::Tcp::bind(config, me, peers, registry).map(Transport::Tcp).map_err(refused)?
            }
        };
        Ok(Self { poll, events: Events::with_capacity(EVENTS), waker, transport })
    }

    /// From now on these are the peers to reach (`me` may be among them: it is left out). The
    /// connections of those that stay at their address are kept, and what waits for them.
    pub fn set_peers(&mut self, peers: &[(PeerId, SocketAddr)]) {
        match &mut self.transport {
            Transport::Udp(udp) => udp.set_peers(peers),
            Transport::Tcp(tcp) => tcp.set_peers(peers, Instant::now()),
        }
    }

    /// Whether this process is no member: then it dials all peers, and any of them may dial it. When
    /// that changes its connections begin anew where they have to.
    pub fn set_outside(&mut self, is_outside: bool) {
        match &mut self.transport {
            Transport::Udp(_) => {}
            Transport::Tcp(tcp) => tcp.set_outside(is_outside, Instant::now()),
        }
    }

    /// This peer is in another life: what waits is not for it, and it is dialled at once.
    pub fn renew(&mut self, peer: PeerId) {
        match &mut self.transport {
            Transport::Udp(_) => {}
            Transport::Tcp(tcp) => tcp.renew(peer, Instant::now()),
        }
    }

    /// Wakes [`Network::poll`] from another thread.
    #[must_use]
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Waits until a socket is ready, the waker is used, `wait` has passed, or a connection wants
    /// attention.
    ///
    /// # Errors
    /// If the system cannot poll; an interruption is none.
    pub fn poll(&mut self, wait: Option<Duration>) -> Result<(), NetworkError> {
        let now = Instant::now();
        let due = match &self.transport {
            Transport::Udp(udp) => udp.deadline(),
            Transport::Tcp(tcp) => tcp.deadline(now),
        };
        let due = due.map(|due| due.saturating_duration_since(now));
        let wait = wait.into_iter().chain(due).min();
        match self.poll.poll(&mut self.events, wait) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(why) => return Err(NetworkError::new("cannot poll", why)),
        }
        for event in &self.events {
            match &mut self.transport {
                Transport::Udp(udp) if event.token() == BOUND => udp.on_ready(event),
                Transport::Tcp(tcp) if event.token() != WAKER => tcp.on_ready(event),
                Transport::Udp(_) | Transport::Tcp(_) => {}
            }
        }
        Ok(())
    }

    /// Reads what has arrived, of each peer for a bounded share of bytes and of a few milliseconds,
    /// and hands every frame to `deliver`, which says whether it was authentic: MAC and freshness
    /// good. Of strangers' frames nobody asks.
    pub fn receive(&mut self, deliver: &mut dyn FnMut(&[u8], Source) -> bool) {
        match &mut self.transport {
            Transport::Udp(udp) => udp.receive(deliver),
            Transport::Tcp(tcp) => tcp.receive(Instant::now(), deliver),
        }
    }

    /// Queues a frame; [`Network::flush`] writes it.
    pub fn send(&mut self, frame: Transmit) {
        match &mut self.transport {
            Transport::Udp(udp) => udp.send(&frame),
            Transport::Tcp(tcp) => tcp.send(frame),
        }
    }

    /// Queues a frame that the node made in the step that took one from `source`. What it says to the
    /// stranger whose frame that was goes back there and nowhere else: who bears the name of another
    /// draws nothing to that one, and nothing from it.
    pub fn answer(&mut self, frame: Transmit, source: Source) {
        if !frame.is_stranger() || source.stranger != Some(frame.to) {
            return self.send(frame);
        }
        match (&mut self.transport, source.origin) {
            (Transport::Udp(udp), Origin::Datagram(to)) => udp.answer(&frame, to),
            (Transport::Tcp(tcp), Origin::Connection(to)) => tcp.answer(frame, to),
            (Transport::Udp(_) | Transport::Tcp(_), _) => self.send(frame),
        }
    }

    /// Writes what the sockets take, and looks after connections: dials, cuts off, gives up.
    pub fn flush(&mut self) {
        match &mut self.transport {
            Transport::Udp(udp) => udp.flush(Instant::now()),
            Transport::Tcp(tcp) => tcp.flush(Instant::now()),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.transport {
            Transport::Udp(udp) => udp.local_addr(),
            Transport::Tcp(tcp) => tcp.local_addr(),
        }
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> NetworkStats {
        match &self.transport {
            Transport::Udp(udp) => udp.stats(),
            Transport::Tcp(tcp) => tcp.stats(),
        }
    }
}
