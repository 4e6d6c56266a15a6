//! A frame is a datagram. There is no connection to steal: everything rests on the MAC in the
//! frame, and what is for a peer goes to its configured address, never to where a datagram came from.
//!
//! A stranger can fill the socket's buffer, which loses datagrams like any bad network. It is emptied
//! first, and then read in shares: what bears a peer's name waits for that peer's share only if it
//! comes from where that peer is, by its address or by its key; all else has one share together.
//! Frames of another group are dropped before anything is computed for them. Those of strangers are
//! handed on, see [`super::intake`].

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry};
use phalanx_core::wire::frame::is_stranger;
use phalanx_core::{PeerId, Transmit, peek_sender};
use socket2::SockRef;

use super::guests::Addresses;
use super::intake::Intake;
use super::notices::{Mismatch, Notices};
use super::probe::Probes;
use super::share::{Debt, Shares, from};
use super::{BOUND, Deliver, NetworkConfig, NetworkStats, Origin, Source};

/// Datagrams read in one turn.
const READS: usize = 512;
/// Bytes of a peer's datagrams that wait to be handed on; more are lost, and only its own.
const INBOX_BYTES: usize = 1024 * 1024;
/// The longest datagram there is.
const DATAGRAM_MAX: usize = 65_536;
/// Kernel buffer to ask for; the system may give less.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;
/// How long to let the system recover from an error that is no peer's doing.
const REST: Duration = Duration::from_millis(10);

/// Whose datagrams: a peer's, from where it is, or all that bear names of peers and come from elsewhere.
type Whose = Option<PeerId>;

/// What has arrived of them and was not handed on yet.
#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    bytes: usize,
    debt: Debt,
}

impl Inbox {
    /// Keeps a datagram, if there is room for it.
    fn put(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        let has_room = self.bytes + datagram.len() <= INBOX_BYTES;
        if has_room {
            self.bytes += datagram.len();
            self.datagrams.push_back((from, datagram.to_vec()));
        }
        has_room
    }

    fn take(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let (from, datagram) = self.datagrams.pop_front()?;
        self.bytes -= datagram.len();
        Some((from, datagram))
    }
}

/// One bound datagram socket.
pub(super) struct Udp {
    socket: UdpSocket,
    me: PeerId,
    peers: BTreeMap<PeerId, SocketAddr>,
    /// `None`: none are let in.
    guests: Option<Addresses>,
    intake: Intake<SocketAddr>,
    notices: Notices,
    probes: Probes,
    /// Where each peer's key has spoken from last.
    proven: BTreeMap<PeerId, SocketAddr>,
    inboxes: BTreeMap<Whose, Inbox>,
    /// Whose turn to be read it is.
    next_read: Whose,
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    queued_bytes: usize,
    queue_bytes: usize,
    is_readable: bool,
    is_writable: bool,
    /// Do not read before this moment.
    rest_until: Option<Instant>,
    datagram: Vec<u8>,
    stats: NetworkStats,
}

impl Udp {
    pub(super) fn bind(
        config: &NetworkConfig,
        me: PeerId,
        peers: &[(PeerId, SocketAddr)],
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut socket = UdpSocket::bind(config.bind)?;
        let options = SockRef::from(&socket);
        // A smaller buffer than asked for loses more datagrams, nothing else.
        let _ = options.set_recv_buffer_size(KERNEL_BUFFER);
        let _ = options.set_send_buffer_size(KERNEL_BUFFER);
        registry.register(&mut socket, BOUND, Interest::READABLE | Interest::WRITABLE)?;
        let mut udp = Self {
            socket,
            me,
            peers: BTreeMap::new(),
            guests: config.takes_guests.then(Addresses::default),
            intake: Intake::new(Instant::now()),
            notices: Notices::new(me, config.group, &config.names, Instant::now()),
            probes: Probes::new(Instant::now()),
            proven: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            next_read: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queue_bytes: config.queue_bytes,
            is_readable: true,
            is_writable: true,
            rest_until: None,
            datagram: vec![0; DATAGRAM_MAX],
            stats: NetworkStats::default(),
        };
        udp.set_peers(peers);
        Ok(udp)
    }

    /// From now on these are to be reached.
    pub(super) fn set_peers(&mut self, peers: &[(PeerId, SocketAddr)]) {
        self.peers = peers.iter().copied().filter(|(peer, _)| *peer != self.me).collect();
        let Self { peers, inboxes, proven, .. } = self;
        inboxes.retain(|whose, _| whose.is_none_or(|peer| peers.contains_key(&peer)));
        proven.retain(|peer, _| peers.contains_key(peer));
    }

    /// Whether a frame that names this sender is to be handed on.
    fn lets_in(&mut self, sender: PeerId, is_stranger: bool, from: SocketAddr) -> bool {
        let address = self.peers.get(&sender);
        if !is_stranger {
            return address.is_some();
        }
        let Some(guests) = self.guests.as_mut().filter(|_| sender != self.me) else { return false };
        let is_own = address == Some(&from);
        let admits = self.intake.admits((sender, is_own), from, Instant::now());
        if admits {
            guests.heard(sender, from);
        }
        admits
    }

    /// Whose share a frame waits for that bears a peer's name.
    fn whose(&self, sender: PeerId, from: SocketAddr) -> Whose {
        let there = [self.peers.get(&sender), self.proven.get(&sender)];
        there.contains(&Some(&from)).then_some(sender)
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    pub(super) fn stats(&self) -> NetworkStats {
        let (connected, queued_bytes) = (self.peers.len(), self.queued_bytes);
        NetworkStats { connected, queued_bytes, ..self.stats }
    }

    /// At once while the last turn left datagrams unread.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.inboxes.values().any(|inbox| inbox.bytes > 0) {
            return Some(Instant::now());
        }
        self.is_readable.then(|| self.rest_until.unwrap_or_else(Instant::now))
    }

    pub(super) fn on_ready(&mut self, event: &mio::event::Event) {
        self.is_readable |= event.is_readable() || event.is_error();
        self.is_writable |= event.is_writable() || event.is_error();
    }

    /// Empties the socket, then hands on what has come: of each peer for its share of the turn. The
    /// socket is one for all: what one peer sends too much of is kept from the others only here.
    pub(super) fn receive(&mut self, deliver: &mut Deliver<'_>) {
        self.read(deliver);
        let now = Instant::now();
        let waiting = || self.inboxes.iter().filter(|(_, inbox)| inbox.bytes > 0);
        let shares = Shares::new(now, waiting().map(|(_, inbox)| inbox.debt));
        let ready = waiting().map(|(peer, _)| *peer).collect();
        for peer in from(self.next_read, ready) {
            let begun = Instant::now();
            if shares.is_over(begun) {
                self.next_read = peer;
                break;
            }
            let Some(inbox) = self.inboxes.get_mut(&peer) else { continue };
            let Some(until) = shares.until(&mut inbox.debt, begun) else { continue };
            let mut is_first = true;
            while (is_first || Instant::now() < until)
                && let Some((from, datagram)) = inbox.take()
            {
                is_first = false;
                let is_authentic =
                    deliver(&datagram, Source { origin: Origin::Datagram(from), stranger: None });
                if is_authentic && let Some(sender) = peek_sender(&datagram) {
                    self.proven.insert(sender, from);
                }
            }
            shares.settle(&mut inbox.debt, begun.elapsed());
        }
    }

    /// Reads until the socket is empty or enough was read. Strangers wait for nobody: there are a few
    /// frames of them in a second.
    fn read(&mut self, deliver: &mut Deliver<'_>) {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.rest_until = None;
        for _ in 0..READS {
            if !self.is_readable {
                break;
            }
            match self.socket.recv_from(&mut self.datagram) {
                Ok((len, from)) => self.on_datagram(len, from, deliver),
                Err(why) => self.on_read_error(&why),
            }
            if self.rest_until.is_some() {
                break;
            }
        }
    }

    fn on_datagram(&mut self, len: usize, from: SocketAddr, deliver: &mut Deliver<'_>) {
        self.stats.bytes_in += u64::try_from(len).unwrap_or(u64::MAX);
        let frame = &self.datagram[..len];
        if let Some((name, why)) = self.notices.judge(frame) {
            self.stats.mismatched += 1;
            return self.on_foreign((name, why), len, from);
        }
        let is_stranger = is_stranger(frame);
        let sender = peek_sender(frame);
        let Some(sender) = sender.filter(|sender| self.lets_in(*sender, is_stranger, from)) else {
            self.stats.dropped_in += 1;
            return;
        };
        self.probes.heard(sender);
        let whose = self.whose(sender, from);
        let frame = &self.datagram[..len];
        if is_stranger {
            deliver(frame, Source { origin: Origin::Datagram(from), stranger: Some(sender) });
        } else if !self.inboxes.entry(whose).or_default().put(from, frame) {
            self.stats.dropped_in += 1;
            return;
        }
        self.stats.frames_in += 1;
    }

    /// Somebody speaks for another group or version: it is told so, if it may not know.
    fn on_foreign(&mut self, (name, why): (PeerId, Mismatch), len: usize, from: SocketAddr) {
        let now = Instant::now();
        let is_peer = self.peers.contains_key(&name);
        self.probes.heard(name);
        self.notices.tell((name, why), is_peer, from, now);
        if let Some(hello) = self.notices.answer(len, now) {
            self.put(from, hello);
        }
    }

    fn on_read_error(&mut self, why: &io::Error) {
        match why.kind() {
            io::ErrorKind::WouldBlock => self.is_readable = false,
            io::ErrorKind::Interrupted => {}
            kind if is_icmp(kind) => self.stats.socket_errors += 1,
            _ => {
                tracing::warn!(%why, "cannot read datagrams; will try again");
                self.stats.socket_errors += 1;
                self.rest_until = Some(Instant::now() + REST);
            }
        }
    }

    /// Queues a frame; a full queue drops the new one: datagrams that wait are soon gone.
    pub(super) fn send(&mut self, frame: &Transmit) {
        let guests = self.guests.as_ref().filter(|_| frame.is_stranger());
        let guest = guests.and_then(|guests| guests.of(frame.to));
        let peer = self.peers.get(&frame.to).copied();
        for to in peer.into_iter().chain(guest.filter(|_| guest != peer)) {
            self.answer(frame, to);
        }
    }

    /// Queues a frame for where another one came from.
    pub(super) fn answer(&mut self, frame: &Transmit, to: SocketAddr) {
        let mut datagram = Vec::with_capacity(frame.len());
        frame.append_to(&mut datagram);
        self.put(to, datagram);
    }

    fn put(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        if self.queued_bytes + datagram.len() > self.queue_bytes {
            self.stats.dropped_out += 1;
            return;
        }
        self.queued_bytes += datagram.len();
        self.queue.push_back((to, datagram));
    }

    /// Writes until the queue is empty or the socket is full.
    pub(super) fn flush(&mut self, now: Instant) {
        for peer in self.probes.look(&self.peers, &self.notices, now) {
            if let Some(at) = self.peers.get(&peer).copied() {
                self.notices.tell((peer, Mismatch::NobodyListens), true, at, now);
            }
        }
        while self.is_writable {
            let Some((to, datagram)) = self.queue.front() else { break };
            match self.socket.send_to(datagram, *to) {
                Ok(len) => {
                    self.stats.frames_out += 1;
                    self.stats.bytes_out += u64::try_from(len).unwrap_or(u64::MAX);
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    self.is_writable = false;
                    break;
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                // Nobody listens there, no route, a firewall, or the datagram is too long: it is
                // lost, as on any network. An old ICMP error may be reported here for another
                // peer's datagram; that one is repaired like any lost one.
                Err(why) => {
                    tracing::debug!(%why, %to, "a datagram was refused");
                    self.stats.socket_errors += 1;
                    self.stats.dropped_out += 1;
                }
            }
            if let Some((_, datagram)) = self.queue.pop_front() {
                self.queued_bytes -= datagram.len();
            }
        }
    }
}

/// Errors by which the system passes on what the network said about an earlier datagram.
fn is_icmp(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
#[path = "udp_tests.rs"]
mod tests;
