//! Whether anybody listens where a peer should be. A socket that sends to many hears of no refusal, so
//! a peer of which nothing comes is sent one short frame from a socket of its own, now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use phalanx_core::PeerId;

use super::notices::Notices;

/// How often those that are not heard are looked for.
const EVERY: Duration = Duration::from_secs(2);

/// The sockets, and who was heard.
#[derive(Debug)]
pub(super) struct Probes {
    heard: BTreeSet<PeerId>,
    sockets: Vec<(PeerId, UdpSocket)>,
    at: Instant,
}

impl Probes {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: BTreeSet::new(), sockets: Vec::new(), at: now + EVERY }
    }

    /// A datagram that names this process came.
    pub(super) fn heard(&mut self, name: PeerId) {
        if self.heard.len() < 256 {
            self.heard.insert(name);
        }
    }

    /// Looks, if it is time for that. Returns those whose address refuses datagrams.
    pub(super) fn look(
        &mut self,
        peers: &BTreeMap<PeerId, SocketAddr>,
        notices: &Notices,
        now: Instant,
    ) -> Vec<PeerId> {
        if now < self.at {
            return Vec::new();
        }
        self.at = now + EVERY;
        let heard = std::mem::take(&mut self.heard);
        let is_refused = |(peer, socket): (PeerId, UdpSocket)| {
            let why = socket.take_error().ok().flatten()?;
            let is_refused = why.kind() == io::ErrorKind::ConnectionRefused;
            (is_refused && !heard.contains(&peer)).then_some(peer)
        };
        let refused =
            std::mem::take(&mut self.sockets).into_iter().filter_map(is_refused).collect();
        let silent = peers.iter().filter(|(peer, _)| !heard.contains(peer));
        let asks = silent.filter_map(|(peer, addr)| Some((*peer, ask(*addr, notices).ok()?)));
        self.sockets = asks.collect();
        refused
    }
}

fn ask(addr: SocketAddr, notices: &Notices) -> io::Result<UdpSocket> {
    let any: SocketAddr = match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(addr)?;
    socket.send(&notices.hello())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_told_from_who_is_silent() {
        let start = Instant::now();
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let peers = [(2, there.local_addr().unwrap()), (3, gone), (4, gone)];
        let peers = peers.map(|(peer, addr)| (PeerId(peer), addr)).into();
        let notices = Notices::new(PeerId(1), None, &[], start);
        let mut probes = Probes::new(start);
        let later = start + EVERY;
        assert_eq!(probes.look(&peers, &notices, start), []);
        assert_eq!(probes.look(&peers, &notices, later), []);
        std::thread::sleep(Duration::from_millis(50));
        // What comes meanwhile shows that somebody is there.
        probes.heard(PeerId(4));
        assert_eq!(probes.look(&peers, &notices, later + EVERY), [PeerId(3)]);
    }
}
