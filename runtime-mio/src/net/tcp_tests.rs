//! Connections that fail, stall and are replaced.

use super::*;
use crate::net::{Network, NetworkStats, TransportKind};
use phalanx_core::crypto::MacKey;
use phalanx_core::wire::frame::{FrameKind, Header, seal_small, stranger};
use std::io::{Read, Write};

const ME: PeerId = PeerId(10);
/// A peer that we dial.
const ABOVE: PeerId = PeerId(20);
/// A peer that dials us.
const BELOW: PeerId = PeerId(5);

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn network(peer: PeerId, addr: SocketAddr) -> Network {
    let mut config = NetworkConfig::new(TransportKind::Tcp, any());
    config.queue_bytes = 1 << 20;
    config.stall = Duration::from_millis(300);
    Network::bind(&config, ME, &[(peer, addr)]).unwrap()
}

fn frame(to: PeerId, len: usize) -> Transmit {
    Transmit { to, head: vec![1; 4], body: vec![2; len - 4].into() }
}

/// A peer's frame.
fn from(peer: PeerId, counter: u64) -> Vec<u8> {
    let header = Header { kind: FrameKind::FragmentAck, group: 0, from: peer, counter };
    framed(&seal_small(&MacKey::derive(&[0; 32], &[]), &header, &[b"piece"]))
}

/// A frame of somebody without a link.
fn strange(name: PeerId) -> Vec<u8> {
    framed(&stranger(0, name, b"hello"))
}

/// A frame for somebody without a link.
fn answer(to: PeerId) -> Transmit {
    Transmit { to, head: stranger(0, ME, b"answer"), body: [].into() }
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

/// Turns until something is so; fails after ten seconds.
fn until(network: &mut Network, is_authentic: bool, is_so: impl Fn(&NetworkStats) -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so(&network.stats()) {
        assert!(Instant::now() < end, "{:?}", network.stats());
        network.poll(Some(Duration::from_millis(20))).unwrap();
        network.receive(&mut |_, _| is_authentic);
        network.flush();
    }
}

#[test]
fn a_peer_that_never_reads_is_cut_off_and_its_queue_is_bounded() {
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let mut network = network(ABOVE, listener.local_addr().unwrap());
    until(&mut network, true, |stats| stats.connected == 1);
    let _first = listener.accept().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while network.stats().cut_slow == 0 {
        assert!(Instant::now() < end, "{:?}", network.stats());
        network.send(frame(ABOVE, 64 * 1024));
        network.poll(Some(Duration::from_millis(1))).unwrap();
        network.flush();
        assert!(network.stats().queued_bytes <= 1 << 20);
    }
    assert!(network.stats().dropped_out > 0);
    until(&mut network, true, |stats| stats.connected == 1);
    assert_eq!(network.stats().reconnects, 1, "it is dialled again");
}

#[test]
fn a_peer_that_is_not_there_is_dialled_at_growing_intervals() {
    let addr = std::net::TcpListener::bind(any()).unwrap().local_addr().unwrap();
    let mut network = network(ABOVE, addr);
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        network.poll(Some(Duration::from_millis(50))).unwrap();
        network.flush();
    }
    let tries = network.stats().reconnects;
    assert!((2..=12).contains(&tries), "{tries}");
    let listener = std::net::TcpListener::bind(addr).unwrap();
    until(&mut network, true, |stats| stats.connected == 1);
    drop(listener);
}

#[test]
fn what_waits_is_sent_to_whoever_proves_to_be_the_peer() {
    let mut network = network(BELOW, any());
    network.send(frame(BELOW, 100));
    let addr = network.local_addr().unwrap();
    let mut impostor = std::net::TcpStream::connect(addr).unwrap();
    impostor.write_all(&from(BELOW, 1)).unwrap();
    until(&mut network, false, |stats| stats.frames_in == 1);
    assert_eq!((network.stats().connected, network.stats().frames_out), (0, 0));
    let mut first = std::net::TcpStream::connect(addr).unwrap();
    first.write_all(&from(BELOW, 2)).unwrap();
    until(&mut network, true, |stats| stats.frames_out == 1);
    let mut prefix = [0; 4];
    first.read_exact(&mut prefix).unwrap();
    assert_eq!(u32::from_le_bytes(prefix), 100);
    // A peer that dials again has lost its old connection.
    let mut second = std::net::TcpStream::connect(addr).unwrap();
    second.write_all(&from(BELOW, 3)).unwrap();
    until(&mut network, true, |stats| stats.frames_in == 3);
    assert_eq!(network.stats().connected, 1);
    network.send(frame(BELOW, 200));
    until(&mut network, true, |stats| stats.frames_out == 2);
    second.read_exact(&mut prefix).unwrap();
    assert_eq!(u32::from_le_bytes(prefix), 200);
}

/// Another process has the address of a peer; that one comes by itself.
#[test]
fn who_listens_at_the_address_of_a_peer_is_not_that_peer() {
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let mut network = network(ABOVE, listener.local_addr().unwrap());
    until(&mut network, true, |stats| stats.connected == 1);
    let (mut other, _) = listener.accept().unwrap();
    other.write_all(&from(PeerId(21), 1)).unwrap();
    until(&mut network, true, |stats| stats.connected == 0);
    assert_eq!(network.stats().frames_in, 0);
    // It is dialled again, and in vain; in the meantime an impostor gets nothing by its name.
    let addr = network.local_addr().unwrap();
    let mut impostor = std::net::TcpStream::connect(addr).unwrap();
    impostor.write_all(&from(ABOVE, 1)).unwrap();
    until(&mut network, false, |stats| stats.frames_in == 1 && stats.connected == 1);
    let mut peer = std::net::TcpStream::connect(addr).unwrap();
    peer.write_all(&from(ABOVE, 2)).unwrap();
    until(&mut network, true, |stats| stats.frames_in == 2);
    network.send(frame(ABOVE, 100));
    let before = network.stats().frames_out;
    until(&mut network, true, |stats| stats.frames_out == before + 1);
    assert_eq!(read(&mut peer).len(), 100);
    impostor.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(!matches!(impostor.read(&mut [0; 8]), Ok(len) if len > 0));
}

#[test]
fn a_peer_that_is_to_dial_and_does_not_come_is_dialled() {
    let listener = std::net::TcpListener::bind(any()).unwrap();
    let mut network = network(BELOW, listener.local_addr().unwrap());
    let began = Instant::now();
    until(&mut network, true, |stats| stats.connected == 1);
    assert!(began.elapsed() >= PATIENCE);
    // It comes after all: what it dialled is used from then on, and the other one is read, too.
    let mut late = listener.accept().unwrap().0;
    late.write_all(&from(BELOW, 1)).unwrap();
    let mut peer = std::net::TcpStream::connect(network.local_addr().unwrap()).unwrap();
    peer.write_all(&from(BELOW, 2)).unwrap();
    until(&mut network, true, |stats| stats.frames_in == 2);
    network.send(frame(BELOW, 100));
    until(&mut network, true, |stats| stats.frames_out == 1);
    assert_eq!(read(&mut peer).len(), 100);
    late.write_all(&from(BELOW, 3)).unwrap();
    until(&mut network, true, |stats| stats.frames_in == 3);
    // And is used again when the newer one is gone.
    drop(peer);
    network.send(frame(BELOW, 50));
    until(&mut network, true, |stats| stats.frames_out == 2);
    assert_eq!(network.stats().connected, 1);
}

#[test]
fn connections_in_the_name_of_a_peer_do_not_keep_it_from_being_answered() {
    let mut config = NetworkConfig::new(TransportKind::Tcp, any());
    config.takes_guests = true;
    let mut network = Network::bind(&config, ME, &[(BELOW, any())]).unwrap();
    let addr = network.local_addr().unwrap();
    let mut crowd = Vec::new();
    for count in 1..=80 {
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        stream.write_all(&strange(BELOW)).unwrap();
        crowd.push(stream);
        until(&mut network, false, |stats| stats.frames_in == count);
    }
    assert_eq!(network.stats().strangers_closed, 16);
    let mut peer = std::net::TcpStream::connect(addr).unwrap();
    peer.write_all(&strange(BELOW)).unwrap();
    let mut source = None;
    while source.is_none() {
        network.poll(Some(Duration::from_millis(20))).unwrap();
        network.receive(&mut |_, from| {
            source = Some(from);
            false
        });
    }
    network.answer(answer(BELOW), source.unwrap());
    until(&mut network, false, |stats| stats.frames_out == 1);
    assert_eq!(read(&mut peer), answer(BELOW).head);
    assert_eq!(network.stats().frames_out, 1, "and nobody else is");
}

#[test]
fn both_ends_are_told_that_their_groups_differ() {
    let bind = |group, me, peers: &[(PeerId, SocketAddr)]| {
        let mut config = NetworkConfig::new(TransportKind::Tcp, any());
        (config.group, config.takes_guests) = (Some(group), true);
        Network::bind(&config, me, peers).unwrap()
    };
    let mut other = bind(8, ABOVE, &[(ME, any())]);
    let mut network = bind(7, ME, &[(ABOVE, other.local_addr().unwrap())]);
    let head = stranger(7, ME, b"hello");
    network.send(Transmit { to: ABOVE, head, body: [].into() });
    let end = Instant::now() + Duration::from_secs(10);
    while network.stats().mismatched == 0 || other.stats().mismatched == 0 {
        assert!(Instant::now() < end, "{:?} {:?}", network.stats(), other.stats());
        for network in [&mut network, &mut other] {
            network.poll(Some(Duration::from_millis(10))).unwrap();
            network.receive(&mut |_, _| panic!("nothing of another group is handed on"));
            network.flush();
        }
    }
}

#[test]
fn connections_of_peers_that_stay_are_kept() {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind(any()).unwrap());
    let peer = |id, listener: &std::net::TcpListener| (id, listener.local_addr().unwrap());
    let other = PeerId(21);
    let both = [peer(ABOVE, &listeners[0]), peer(other, &listeners[1])];
    let mut network = network(ABOVE, both[0].1);
    until(&mut network, true, |stats| stats.connected == 1);
    let (mut first, _) = listeners[0].accept().unwrap();
    network.set_peers(&both);
    until(&mut network, true, |stats| stats.connected == 2);
    let (mut second, _) = listeners[1].accept().unwrap();
    network.set_peers(&both[..1]);
    assert_eq!(network.stats().connected, 1);
    assert_eq!(second.read(&mut [0; 8]).unwrap(), 0, "it is closed");
    network.send(frame(other, 100));
    network.send(frame(ABOVE, 100));
    until(&mut network, true, |stats| stats.frames_out == 1);
    first.read_exact(&mut [0; 104]).unwrap();
    assert_eq!(network.stats().reconnects, 0);
}

/// A network that takes guests, and knows nobody.
fn open_network() -> Network {
    let mut config = NetworkConfig::new(TransportKind::Tcp, any());
    config.takes_guests = true;
    Network::bind(&config, ME, &[]).unwrap()
}

/// Reads one frame.
fn read(stream: &mut std::net::TcpStream) -> Vec<u8> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).unwrap();
    let mut frame = vec![0; usize::try_from(u32::from_le_bytes(prefix)).unwrap()];
    stream.read_exact(&mut frame).unwrap();
    frame
}

#[test]
fn a_guest_is_answered_and_becomes_a_peer_when_it_proves_to_be_one() {
    let mut network = open_network();
    let addr = network.local_addr().unwrap();
    let mut guest = std::net::TcpStream::connect(addr).unwrap();
    guest.write_all(&strange(BELOW)).unwrap();
    until(&mut network, true, |stats| stats.frames_in == 1);
    network.send(answer(BELOW));
    network.send(frame(BELOW, 100));
    until(&mut network, true, |stats| stats.frames_out == 1);
    assert_eq!(read(&mut guest), answer(BELOW).head);
    // It may know earlier than this process that it is a member: then nobody hears it yet.
    guest.write_all(&from(BELOW, 1)).unwrap();
    guest.write_all(&strange(BELOW)).unwrap();
    until(&mut network, true, |stats| stats.frames_in == 2);
    assert_eq!(network.stats().connected, 0);
    network.set_peers(&[(BELOW, any())]);
    network.send(frame(BELOW, 50));
    network.send(answer(BELOW));
    until(&mut network, true, |stats| stats.frames_out == 2);
    assert_eq!(read(&mut guest), answer(BELOW).head, "the guest is who is answered");
    guest.write_all(&from(BELOW, 2)).unwrap();
    until(&mut network, true, |stats| stats.frames_out == 4);
    assert_eq!(read(&mut guest), answer(BELOW).head, "so is the peer, for that may be another");
    assert_eq!(read(&mut guest).len(), 50);
    assert_eq!((network.stats().connected, network.stats().strangers_closed), (1, 0));
}

#[test]
fn a_stranger_that_names_a_peer_does_not_take_its_place() {
    for peer in [ABOVE, BELOW] {
        let listener = std::net::TcpListener::bind(any()).unwrap();
        let mut config = NetworkConfig::new(TransportKind::Tcp, any());
        config.takes_guests = true;
        let peers = [(peer, listener.local_addr().unwrap())];
        let mut network = Network::bind(&config, ME, &peers).unwrap();
        let mut true_peer = if peer == ABOVE {
            until(&mut network, true, |stats| stats.connected == 1);
            listener.accept().unwrap().0
        } else {
            let stream = std::net::TcpStream::connect(network.local_addr().unwrap());
            let mut stream = stream.unwrap();
            stream.write_all(&from(BELOW, 1)).unwrap();
            until(&mut network, true, |stats| stats.connected == 1);
            stream
        };
        let mut guest = std::net::TcpStream::connect(network.local_addr().unwrap()).unwrap();
        let before = network.stats().frames_in;
        guest.write_all(&strange(peer)).unwrap();
        // Even if the node calls it authentic: a stranger's frame never is.
        until(&mut network, true, |stats| stats.frames_in == before + 1);
        network.send(answer(peer));
        network.send(frame(peer, 70));
        until(&mut network, true, |stats| stats.frames_out == 3);
        assert_eq!(read(&mut guest), answer(peer).head);
        assert_eq!(read(&mut true_peer), answer(peer).head, "whatever the guest calls itself");
        assert_eq!(read(&mut true_peer).len(), 70);
        assert_eq!(network.stats().reconnects, 0);
    }
}

#[test]
fn who_is_no_member_dials_all_and_is_dialled_by_all() {
    let listeners = [(); 2].map(|()| std::net::TcpListener::bind(any()).unwrap());
    let mut config = NetworkConfig::new(TransportKind::Tcp, any());
    config.takes_guests = true;
    let peers =
        [(BELOW, listeners[0].local_addr().unwrap()), (ABOVE, listeners[1].local_addr().unwrap())];
    let mut network = Network::bind(&config, ME, &peers).unwrap();
    network.set_outside(true);
    until(&mut network, false, |stats| stats.connected == 2);
    let mut members = listeners.map(|listener| listener.accept().unwrap().0);
    for (to, member) in [(BELOW, 0), (ABOVE, 1)] {
        network.send(answer(to));
        until(&mut network, false, |stats| stats.queued_bytes == 0);
        assert_eq!(read(&mut members[member]), answer(to).head);
        // What they say to a stranger is no reason to hang up.
        for _ in 0..20 {
            members[member].write_all(&strange(to)).unwrap();
        }
    }
    until(&mut network, false, |stats| stats.frames_in == 40);
    assert_eq!(network.stats().connected, 2);
    // A member that knows earlier than this process that it is one dials it.
    let mut early = std::net::TcpStream::connect(network.local_addr().unwrap()).unwrap();
    early.write_all(&from(BELOW, 1)).unwrap();
    until(&mut network, false, |stats| stats.frames_in == 41);
    network.set_outside(false);
    assert_eq!(network.stats().connected, 1, "the one below is to dial us now");
    early.write_all(&from(BELOW, 2)).unwrap();
    until(&mut network, true, |stats| stats.connected == 2);
    assert_eq!(network.stats().strangers_closed, 0);
}

#[test]
fn a_peer_in_another_life_does_not_get_what_was_for_the_last_one() {
    let mut network = network(BELOW, any());
    network.send(frame(BELOW, 100));
    network.renew(BELOW);
    network.send(frame(BELOW, 50));
    let mut peer = std::net::TcpStream::connect(network.local_addr().unwrap()).unwrap();
    peer.write_all(&from(BELOW, 1)).unwrap();
    until(&mut network, true, |stats| stats.frames_out == 1);
    assert_eq!(read(&mut peer).len(), 50);
}

#[test]
fn guests_are_few_and_say_little() {
    let mut network = open_network();
    let addr = network.local_addr().unwrap();
    let mut guests = Vec::new();
    for id in 0..40 {
        let mut guest = std::net::TcpStream::connect(addr).unwrap();
        guest.write_all(&strange(PeerId(100 + id))).unwrap();
        guests.push(guest);
    }
    until(&mut network, false, |stats| stats.strangers_closed == 24);
    assert!(network.stats().frames_in <= 40, "{:?}", network.stats());
    let mut flood = open_network();
    let mut guest = std::net::TcpStream::connect(flood.local_addr().unwrap()).unwrap();
    for _ in 0..200 {
        let _ = guest.write_all(&strange(BELOW));
    }
    until(&mut flood, false, |stats| stats.strangers_closed == 1);
    assert!(flood.stats().frames_in < 100, "{:?}", flood.stats());
    let mut reflected = std::net::TcpStream::connect(flood.local_addr().unwrap()).unwrap();
    reflected.write_all(&strange(ME)).unwrap();
    until(&mut flood, false, |stats| stats.strangers_closed == 2);
    let mut nobody = std::net::TcpStream::connect(flood.local_addr().unwrap()).unwrap();
    nobody.write_all(&from(BELOW, 1)).unwrap();
    until(&mut flood, false, |stats| stats.strangers_closed == 3);
}
