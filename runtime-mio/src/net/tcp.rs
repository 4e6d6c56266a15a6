//! One connection for each pair of processes: the one with the lower peer id dials. If it does not
//! come, it may have a wrong address, and the other one dials, too.
//!
//! The connection that reaches a peer is the latest through which that peer's key has spoken; as long
//! as there is none, the one that we dialled: whoever listens at a peer's address need not be that
//! peer, and what is sent there opens nothing to others. A stranger who claims a peer's name, sends rubbish or nothing,
//! dials a thousand times or lets the descriptors run out never takes its place: strangers are
//! bounded in number, time, tries and memory, and displace only each other. Strangers whose frames
//! say that they are strangers' may be let in as guests, see [`super::guests`]. A process that is no
//! member itself dials everybody, for nobody knows of it.

mod closing;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use phalanx_core::{PeerId, Transmit};
use socket2::SockRef;

use super::backoff::Jitter;
use super::conn::{Closed, Conn, Owner};
use super::guests::Guests;
use super::hall::Hall;
use super::intake::Intake;
use super::notices::{Mismatch, Notices};
use super::peer::Peer;
use super::queue::WriteQueue;
use super::share::{Shares, from};
use super::{BOUND, Deliver, FIRST_CONNECTION, NetworkConfig, NetworkStats};

/// Accepted connections that have proven nothing.
const STRANGERS: usize = 64;
/// Connections accepted in one turn.
const ACCEPTS: usize = 64;
/// How long accepting rests when the system has no more descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long a peer that is to dial us is waited for before we dial it.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How often stalled connections and strangers are looked at.
const SWEEP: Duration = Duration::from_millis(250);

/// The listener and all connections.
pub(super) struct Tcp {
    me: PeerId,
    listener: TcpListener,
    registry: Registry,
    peers: BTreeMap<PeerId, Peer>,
    conns: BTreeMap<usize, Conn>,
    next_token: usize,
    /// Whose turn to be read it is: the connections before it were read last time.
    next_read: usize,
    is_acceptable: bool,
    accept_after: Option<Instant>,
    sweep_at: Instant,
    stall: Duration,
    queue_bytes: usize,
    /// This process is no member: it dials all, and all may dial it.
    is_outside: bool,
    /// `None`: none are let in.
    guests: Option<Guests>,
    intake: Intake<Option<IpAddr>>,
    notices: Notices,
    jitter: Jitter,
    stats: NetworkStats,
}

impl Tcp {
    pub(super) fn bind(
        config: &NetworkConfig,
        me: PeerId,
        peers: &[(PeerId, SocketAddr)],
        registry: Registry,
    ) -> io::Result<Self> {
        let mut listener = TcpListener::bind(config.bind)?;
        registry.register(&mut listener, BOUND, Interest::READABLE)?;
        let now = Instant::now();
        let mut tcp = Self {
            me,
            listener,
            registry,
            peers: BTreeMap::new(),
            conns: BTreeMap::new(),
            next_token: FIRST_CONNECTION,
            next_read: FIRST_CONNECTION,
            is_acceptable: true,
            accept_after: None,
            sweep_at: now + SWEEP,
            stall: config.stall,
            queue_bytes: config.queue_bytes,
            is_outside: false,
            guests: config.takes_guests.then(Guests::default),
            intake: Intake::new(now),
            notices: Notices::new(me, config.group, &config.names, now),
            jitter: Jitter::new(config.seed),
            stats: NetworkStats::default(),
        };
        tcp.set_peers(peers, now);
        Ok(tcp)
    }

    /// From now on these are to be reached. The connections of those that stay are kept.
    pub(super) fn set_peers(&mut self, peers: &[(PeerId, SocketAddr)], now: Instant) {
        let listed: BTreeMap<PeerId, SocketAddr> =
            peers.iter().copied().filter(|(id, _)| *id != self.me).collect();
        let Self { peers: known, conns, .. } = self;
        known.retain(|id, peer| {
            let stays = listed.get(id) == Some(&peer.addr);
            if !stays {
                tracing::info!(peer = %id, "no peer at this address any more");
                conns.retain(|_, conn| conn.owner.peer() != Some(*id));
            }
            stays
        });
        for (id, addr) in listed {
            let is_ours = self.is_outside || self.me < id;
            let new = || Peer::new(addr, is_ours, self.queue_bytes, now);
            self.peers.entry(id).or_insert_with(new);
        }
    }

    /// Whether this process is no member. When that changes all begins anew.
    pub(super) fn set_outside(&mut self, is_outside: bool, now: Instant) {
        if self.is_outside == is_outside {
            return;
        }
        self.is_outside = is_outside;
        let Self { peers, conns, me, queue_bytes, .. } = self;
        for (id, peer) in peers {
            let is_ours = is_outside || *me < *id;
            if is_outside || peer.is_ours != is_ours {
                conns.retain(|_, conn| conn.owner.peer() != Some(*id));
                *peer = Peer::new(peer.addr, is_ours, *queue_bytes, now);
            }
        }
    }

    /// This peer is in another life: what waits is not for it, and it is worth dialling at once.
    pub(super) fn renew(&mut self, id: PeerId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.queue.clear();
            peer.backoff.reset();
            peer.dial_at = if peer.is_ours { now } else { now + PATIENCE };
        }
    }

    fn forget_guest(&mut self, token: usize) {
        if let Some(guests) = &mut self.guests {
            guests.leave(token);
        }
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    pub(super) fn stats(&self) -> NetworkStats {
        let connected = self.peers.values().filter_map(|peer| self.conns.get(&peer.conn?));
        let connected = connected.filter(|conn| !matches!(conn.owner, Owner::Dialling(_)));
        NetworkStats {
            connected: connected.count(),
            strangers: self.strangers().count(),
            queued_bytes: self.peers.values().map(|peer| peer.queue.bytes()).sum(),
            ..self.stats
        }
    }

    fn strangers(&self) -> impl Iterator<Item = (usize, &Conn)> {
        self.conns
            .iter()
            .filter(|(_, conn)| conn.owner == Owner::Stranger)
            .map(|(token, conn)| (*token, conn))
    }

    /// When something is to be done though no socket is ready.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.conns.values().any(|conn| conn.is_readable) {
            return Some(now);
        }
        let accept = self.is_acceptable.then(|| self.accept_after.unwrap_or(now));
        let dials = self.peers.values().filter(|peer| peer.conn.is_none());
        let dials = dials.map(|peer| peer.dial_at);
        let watches_time = self.conns.values().any(|conn| {
            conn.owner.is_unproven()
                || matches!(conn.owner, Owner::Dialling(_))
                || !conn.is_writable
        });
        let sweep = watches_time.then_some(self.sweep_at);
        dials.chain(accept).chain(sweep).min()
    }

    pub(super) fn on_ready(&mut self, event: &mio::event::Event) {
        if event.token() == BOUND {
            self.is_acceptable = true;
            return;
        }
        // Events of a connection that was closed since the poll find nothing: tokens are not
        // used twice.
        let Some(conn) = self.conns.get_mut(&event.token().0) else { return };
        conn.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        conn.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        if let Owner::Dialling(peer) = conn.owner {
            self.on_dialled(event.token().0, peer);
        }
    }

    /// Accepts, then reads each connection that has something, a bounded share each, and goes on next
    /// time where it stopped.
    pub(super) fn receive(&mut self, now: Instant, deliver: &mut Deliver<'_>) {
        self.accept(now);
        let readable = || self.conns.iter().filter(|(_, conn)| conn.is_readable);
        let shares = Shares::new(now, readable().map(|(_, conn)| conn.debt));
        let ready = readable().map(|(token, _)| *token).collect();
        for token in from(self.next_read, ready) {
            let begun = Instant::now();
            if shares.is_over(begun) {
                self.next_read = token;
                break;
            }
            let Some(conn) = self.conns.get_mut(&token) else { continue };
            let Some(until) = shares.until(&mut conn.debt, begun) else { continue };
            let Self { peers, guests, me, intake, notices, stats, .. } = self;
            let at = conn.stream.peer_addr().ok();
            let mut hall = Hall {
                peers,
                takes_guests: guests.is_some(),
                me: *me,
                source: (token, conn.ip, at),
                now,
                intake,
                notices,
                stats,
                deliver,
            };
            let (got, result) = conn.read(until, &mut hall);
            shares.settle(&mut conn.debt, begun.elapsed());
            self.stats.frames_in += got.frames;
            self.stats.bytes_in += got.bytes;
            if let Some(peer) = got.proven {
                self.on_proven(token, peer);
            }
            if got.frames > 0 || got.guest.is_some() {
                self.on_guest(token, got.guest, now);
            }
            match result {
                Ok(()) => {}
                Err(Closed::Foreign) => self.on_foreign(token, now),
                Err(why) => self.close(token, now, &why.to_string()),
            }
        }
        self.bound_strangers(now);
    }

    /// Somebody speaks for another group or version. One that dialled us is told so: it sees the
    /// same, from the other side.
    fn on_foreign(&mut self, token: usize, now: Instant) {
        let hello = self.notices.answer(usize::MAX, now);
        match (self.conns.get_mut(&token), hello) {
            (Some(conn), Some(hello)) if conn.owner == Owner::Stranger => conn.spend(&hello),
            _ => self.close(token, now, &Closed::Foreign.to_string()),
        }
    }

    fn accept(&mut self, now: Instant) {
        if self.accept_after.is_some_and(|after| now < after) {
            return;
        }
        self.accept_after = None;
        for _ in 0..ACCEPTS {
            if !self.is_acceptable {
                return;
            }
            match self.listener.accept() {
                Ok((stream, from)) => {
                    tracing::debug!(%from, "accepted a connection");
                    self.on_accepted(stream, now);
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => self.is_acceptable = false,
                // Whoever was next in line has gone again.
                Err(why)
                    if matches!(
                        why.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(why) => {
                    // No descriptors or no memory. The listener stays; edges are not repeated, so
                    // we come back by ourselves.
                    tracing::warn!(%why, "cannot accept; will try again");
                    self.stats.socket_errors += 1;
                    self.accept_after = Some(now + ACCEPT_REST);
                    return;
                }
            }
        }
    }

    fn on_accepted(&mut self, stream: TcpStream, now: Instant) {
        if self.strangers().count() >= STRANGERS {
            let of = |ip| self.strangers().filter(|(_, conn)| conn.ip == ip).count();
            let crowd = self.strangers().map(|(_, conn)| conn.ip).max_by_key(|ip| of(*ip));
            let crowd: Vec<usize> = self
                .strangers()
                .filter(|(_, conn)| Some(conn.ip) == crowd)
                .map(|(token, _)| token)
                .collect();
            // Of the address with most of them, and by lot: whoever dials all the time cannot be sure
            // to push out the one that matters.
            let victim = crowd[self.jitter.below(crowd.len())];
            self.close(victim, now, "too many strangers");
        }
        self.add(stream, Owner::Stranger, now);
    }

    /// Takes a stream in; `None` if the system refuses to watch it.
    fn add(&mut self, mut stream: TcpStream, owner: Owner, now: Instant) -> Option<usize> {
        let token = self.next_token;
        self.next_token += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(why) = self.registry.register(&mut stream, Token(token), interest) {
            tracing::warn!(%why, "cannot watch a connection");
            self.stats.socket_errors += 1;
            return None;
        }
        let options = SockRef::from(&stream);
        // Without these it is slower, or notices later that the other host has vanished.
        let _ = options.set_tcp_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = options.set_tcp_user_timeout(Some(self.stall * 2));
        self.conns.insert(token, Conn::new(stream, owner, now));
        Some(token)
    }

    /// A peer's key has spoken through this connection for the first time.
    fn on_proven(&mut self, token: usize, id: PeerId) {
        self.forget_guest(token);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.backoff.reset();
        if peer.conn == Some(token) {
            return;
        }
        tracing::info!(peer = %id, "connected");
        peer.conn = Some(token);
        peer.queue.restart();
        // Of those that the peer dialled only the latest is of use. One that we dialled may be, if
        // the peer has proven to be there: it may use the one, and we the other.
        let is_over = |conn: &Conn| match conn.owner {
            Owner::Proven(owner) => owner == id,
            Owner::Dialled(owner) | Owner::Dialling(owner) => owner == id && !conn.is_authentic(),
            Owner::Stranger | Owner::Guest(_) => false,
        };
        self.conns.retain(|known, conn| *known == token || !is_over(conn));
    }

    /// Frames came through this connection; `new` if it is a guest's from now on.
    fn on_guest(&mut self, token: usize, new: Option<PeerId>, now: Instant) {
        let Some(guests) = &mut self.guests else { return };
        guests.spoke(token, now);
        let Some(conn) = self.conns.get(&token).filter(|_| new.is_some()) else { return };
        let ip = conn.ip.unwrap_or(IpAddr::from([0; 4]));
        let is_known = new.is_some_and(|id| self.peers.contains_key(&id));
        let victim = new.and_then(|id| guests.enter(token, (id, is_known), ip, now));
        if let Some(victim) = victim {
            self.close(victim, now, "another guest came");
        }
    }

    /// A connection that was being dialled is ready or has failed.
    fn on_dialled(&mut self, token: usize, id: PeerId) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let failed = match conn.stream.take_error() {
            Ok(None) => match conn.stream.peer_addr() {
                Ok(_) => None,
                // Not there yet.
                Err(why) if why.kind() == io::ErrorKind::NotConnected => return,
                Err(why) => Some(why),
            },
            Ok(Some(why)) | Err(why) => Some(why),
        };
        if let Some(why) = failed {
            let now = Instant::now();
            let refused = why.kind() == io::ErrorKind::ConnectionRefused;
            if let Some(peer) = self.peers.get_mut(&id)
                && peer.note_refused(refused, now)
            {
                self.notices.tell((id, Mismatch::NobodyListens), true, peer.addr, now);
            }
            self.close(token, now, &why.to_string());
            return;
        }
        conn.owner = Owner::Dialled(id);
        tracing::info!(peer = %id, "connected");
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.note_refused(false, Instant::now());
            peer.queue.restart();
        }
    }

    /// Queues a stranger's frame for the one whose frame came through this connection.
    pub(super) fn answer(&mut self, frame: Transmit, token: usize) {
        let guest = self.guests.as_mut().and_then(|guests| guests.get_mut(token));
        let Some(guest) = guest else {
            // It was said by a peer, or it is gone and asks again.
            if self.conns.get(&token).is_some_and(|conn| conn.owner.peer() == Some(frame.to)) {
                self.send(frame);
            }
            return;
        };
        if let Some(conn) = self.conns.get_mut(&token).filter(|_| guest.queue.is_empty()) {
            conn.took = Instant::now();
        }
        self.stats.dropped_out += guest.queue.push(frame);
    }

    /// Queues a frame for its peer, whether connected or not, and for guests that bear its name.
    pub(super) fn send(&mut self, frame: Transmit) {
        let Self { peers, guests, conns, stats, .. } = self;
        let mut push = |conn: Option<usize>, queue: &mut WriteQueue, frame| {
            if queue.is_empty()
                && let Some(conn) = conn.and_then(|token| conns.get_mut(&token))
            {
                conn.took = Instant::now();
            }
            stats.dropped_out += queue.push(frame);
        };
        if let Some(guests) = guests.as_mut().filter(|_| frame.is_stranger()) {
            for (token, guest) in guests.named(frame.to) {
                push(Some(token), &mut guest.queue, frame.clone());
            }
        }
        if let Some(peer) = peers.get_mut(&frame.to) {
            push(peer.conn, &mut peer.queue, frame);
        }
    }

    pub(super) fn flush(&mut self, now: Instant) {
        self.dial(now);
        let mut broken = Vec::new();
        let peers = self.peers.values_mut();
        let peers = peers.filter_map(|peer| Some((peer.conn?, &mut peer.queue)));
        let guests = self.guests.iter_mut().flat_map(Guests::iter_mut);
        let guests = guests.map(|(token, guest)| (token, &mut guest.queue));
        for (token, queue) in peers.chain(guests) {
            let Some(conn) = self.conns.get_mut(&token) else { continue };
            let is_connected = !matches!(conn.owner, Owner::Dialling(_));
            if !queue.is_empty() && is_connected && conn.is_writable {
                match queue.write(&mut conn.stream) {
                    Ok(written) => {
                        self.stats.frames_out += written.frames;
                        self.stats.bytes_out += written.bytes;
                        conn.is_writable = written.is_writable;
                        if written.bytes > 0 {
                            conn.took = now;
                        }
                    }
                    Err(why) => broken.push((token, why)),
                }
            }
        }
        for (token, why) in broken {
            self.close(token, now, &why.to_string());
        }
        if now >= self.sweep_at {
            self.sweep(now);
        }
    }

    fn dial(&mut self, now: Instant) {
        let due: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.conn.is_none() && peer.dial_at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.dial_at = now + peer.pause(&mut self.jitter);
            self.stats.reconnects += u64::from(peer.dialled > 0);
            peer.dialled += 1;
            match TcpStream::connect(peer.addr) {
                Ok(stream) => {
                    let conn = self.add(stream, Owner::Dialling(id), now);
                    if let Some(peer) = self.peers.get_mut(&id) {
                        peer.conn = conn;
                    }
                }
                Err(why) => {
                    tracing::debug!(peer = %id, %why, "cannot dial");
                    self.stats.socket_errors += 1;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
