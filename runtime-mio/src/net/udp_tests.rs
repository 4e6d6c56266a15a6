//! Who is read, and who is answered, where there are no connections.

use super::*;
use crate::net::{Network, Transport, TransportKind};
use phalanx_core::wire::frame::{FrameKind, Header, seal_small, stranger};
use std::net::Ipv4Addr;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn free_address() -> SocketAddr {
    std::net::UdpSocket::bind(ANY).unwrap().local_addr().unwrap()
}

#[test]
fn a_peer_that_is_not_there_is_no_error() {
    let mut config = NetworkConfig::new(TransportKind::Udp, ANY);
    config.queue_bytes = 3_000;
    let peers = [(PeerId(2), free_address())];
    let mut network = Network::bind(&config, PeerId(1), &peers).unwrap();
    for round in 0..4_u64 {
        for _ in 0..4 {
            let head = vec![7; 1_000];
            network.send(Transmit { to: PeerId(2), head, body: Vec::new().into() });
        }
        assert_eq!(network.stats().dropped_out, round + 1, "the queue takes three of four");
        network.poll(Some(Duration::from_millis(20))).unwrap();
        network.receive(&mut |_, _| panic!("nobody sent anything"));
        network.flush();
        assert_eq!(network.stats().queued_bytes, 0);
    }
}

#[test]
fn only_frames_that_name_a_peer_are_handed_on() {
    let config = NetworkConfig::new(TransportKind::Udp, ANY);
    let mut network = Network::bind(&config, PeerId(1), &[(PeerId(2), ANY)]).unwrap();
    let to = network.local_addr().unwrap();
    let out = std::net::UdpSocket::bind(ANY).unwrap();
    let key = phalanx_core::crypto::MacKey::derive(&[0; 32], &[]);
    for from in [1, 2, 3] {
        let header =
            Header { kind: FrameKind::FragmentAck, group: 0, from: PeerId(from), counter: 1 };
        out.send_to(&seal_small(&key, &header, &[b"piece"]), to).unwrap();
    }
    out.send_to(b"junk", to).unwrap();
    out.send_to(b"", to).unwrap();
    let mut seen = Vec::new();
    while network.stats().dropped_in < 4 {
        network.poll(Some(Duration::from_secs(5))).unwrap();
        network.receive(&mut |frame, _| {
            seen.push(peek_sender(frame));
            true
        });
    }
    assert_eq!(seen, [Some(PeerId(2))]);
}

#[test]
fn a_guest_is_answered_where_its_frames_come_from() {
    let mut config = NetworkConfig::new(TransportKind::Udp, ANY);
    config.takes_guests = true;
    let mut network = Network::bind(&config, PeerId(1), &[]).unwrap();
    let guest = std::net::UdpSocket::bind(ANY).unwrap();
    let to = network.local_addr().unwrap();
    guest.send_to(&stranger(0, PeerId(1), b"hello"), to).unwrap();
    guest.send_to(&stranger(0, PeerId(7), b"hello"), to).unwrap();
    let mut seen = Vec::new();
    while network.stats().dropped_in < 1 || seen.is_empty() {
        network.poll(Some(Duration::from_secs(5))).unwrap();
        network.receive(&mut |frame, _| {
            seen.push(peek_sender(frame));
            false
        });
    }
    assert_eq!(seen, [Some(PeerId(7))], "and not its own name");
    let answer = stranger(0, PeerId(1), b"answer");
    for (to, head) in [(7, vec![9; 3]), (7, answer.clone()), (8, answer.clone())] {
        network.send(Transmit { to: PeerId(to), head, body: [].into() });
    }
    network.flush();
    guest.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(guest.recv(&mut [0; 80]).unwrap(), answer.len());
    assert_eq!(network.stats().frames_out, 1, "nobody has heard of the other");
}

#[test]
fn who_borrows_the_name_of_a_peer_does_not_get_what_is_for_it_alone() {
    let mut config = NetworkConfig::new(TransportKind::Udp, ANY);
    config.takes_guests = true;
    let (peer, thief) = (std::net::UdpSocket::bind(ANY), std::net::UdpSocket::bind(ANY));
    let (peer, thief) = (peer.unwrap(), thief.unwrap());
    let known = (PeerId(7), peer.local_addr().unwrap());
    let mut network = Network::bind(&config, PeerId(1), &[known]).unwrap();
    thief.send_to(&stranger(0, PeerId(7), b"hello"), network.local_addr().unwrap()).unwrap();
    let mut heard = 0;
    while heard == 0 {
        network.poll(Some(Duration::from_secs(5))).unwrap();
        network.receive(&mut |_, _| {
            heard += 1;
            false
        });
    }
    let head = stranger(0, PeerId(1), b"answer");
    network.send(Transmit { to: PeerId(7), head: head.clone(), body: [].into() });
    network.flush();
    for socket in [&peer, &thief] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(socket.recv(&mut [0; 80]).unwrap(), head.len());
    }
}

#[test]
fn who_is_no_peer_any_more_gets_nothing() {
    let config = NetworkConfig::new(TransportKind::Udp, ANY);
    let there = std::net::UdpSocket::bind(ANY).unwrap();
    let peer = (PeerId(2), there.local_addr().unwrap());
    let mut network = Network::bind(&config, PeerId(1), &[peer]).unwrap();
    for (peers, frames) in [(&[peer][..], 1), (&[], 1), (&[peer], 2)] {
        network.set_peers(peers);
        network.send(Transmit { to: PeerId(2), head: vec![9; 3], body: [].into() });
        network.flush();
        assert_eq!(network.stats().frames_out, frames);
    }
}

/// What is handed on within a turn or two, by the socket that it came from: the first is that of
/// a peer.
fn handed_on(
    network: &mut Network,
    [peer, other]: [&std::net::UdpSocket; 2],
    frames: u64,
) -> [usize; 2] {
    let [peer, other] = [peer, other].map(|socket| socket.local_addr().unwrap());
    let mut seen = [0; 2];
    let end = Instant::now() + Duration::from_secs(10);
    while network.stats().frames_in + network.stats().dropped_in < frames || seen[0] == 0 {
        assert!(Instant::now() < end, "{:?}", network.stats());
        network.poll(Some(Duration::from_millis(20))).unwrap();
        network.receive(&mut |_, source| {
            seen[0] += usize::from(source.origin == Origin::Datagram(peer));
            seen[1] += usize::from(source.origin == Origin::Datagram(other));
            false
        });
    }
    seen
}

#[test]
fn a_flood_in_the_name_of_a_peer_leaves_the_peer_its_share() {
    let sockets = [(); 2].map(|()| std::net::UdpSocket::bind(ANY).unwrap());
    let [peer, thief] = &sockets;
    let mut config = NetworkConfig::new(TransportKind::Udp, ANY);
    (config.takes_guests, config.group) = (true, Some(7));
    let known = (PeerId(7), peer.local_addr().unwrap());
    let mut network = Network::bind(&config, PeerId(1), &[known]).unwrap();
    let to = network.local_addr().unwrap();
    // Another group costs nothing of any share.
    for _ in 0..50 {
        thief.send_to(&stranger(8, PeerId(7), b"hello"), to).unwrap();
    }
    for _ in 0..100 {
        thief.send_to(&stranger(7, PeerId(7), b"hello"), to).unwrap();
    }
    for _ in 0..10 {
        peer.send_to(&stranger(7, PeerId(7), b"hello"), to).unwrap();
    }
    let seen = handed_on(&mut network, [peer, thief], 110);
    assert_eq!(seen[0], 10);
    assert!(seen[1] <= 64, "{seen:?}");
    assert_eq!(network.stats().mismatched, 50);
}

#[test]
fn frames_that_bear_a_peers_name_and_are_not_its_do_not_take_its_room() {
    let sockets = [(); 2].map(|()| std::net::UdpSocket::bind(ANY).unwrap());
    let [peer, thief] = &sockets;
    let config = NetworkConfig::new(TransportKind::Udp, ANY);
    let known = (PeerId(7), peer.local_addr().unwrap());
    let mut network = Network::bind(&config, PeerId(1), &[known]).unwrap();
    let to = network.local_addr().unwrap();
    let key = phalanx_core::crypto::MacKey::derive(&[0; 32], &[]);
    let header = Header { kind: FrameKind::FragmentAck, group: 0, from: PeerId(7), counter: 1 };
    let frame = seal_small(&key, &header, &[&[0; 60_000]]);
    for _ in 0..2 {
        // More than there is room for.
        for _ in 0..20 {
            thief.send_to(&frame, to).unwrap();
            network.poll(Some(Duration::from_millis(1))).unwrap();
            let Transport::Udp(udp) = &mut network.transport else { unreachable!() };
            udp.read(&mut |_, _| panic!("it is no stranger"));
        }
    }
    assert!(network.stats().dropped_in > 0);
    peer.send_to(&seal_small(&key, &header, &[b"piece"]), to).unwrap();
    let seen = handed_on(&mut network, [peer, thief], 41);
    assert_eq!(seen[0], 1);
}

#[test]
fn what_answers_a_stranger_goes_where_its_frame_came_from_alone() {
    let sockets = [(); 2].map(|()| std::net::UdpSocket::bind(ANY).unwrap());
    let [peer, thief] = &sockets;
    let mut config = NetworkConfig::new(TransportKind::Udp, ANY);
    config.takes_guests = true;
    let known = (PeerId(7), peer.local_addr().unwrap());
    let mut network = Network::bind(&config, PeerId(1), &[known]).unwrap();
    let to = network.local_addr().unwrap();
    for socket in [peer, thief] {
        socket.send_to(&stranger(0, PeerId(7), b"hello"), to).unwrap();
    }
    let mut sources = Vec::new();
    while sources.len() < 2 {
        network.poll(Some(Duration::from_secs(5))).unwrap();
        network.receive(&mut |_, source| {
            sources.push(source);
            false
        });
    }
    let head = stranger(0, PeerId(1), b"answer");
    network.answer(Transmit { to: PeerId(7), head, body: [].into() }, sources[0]);
    network.flush();
    assert_eq!(network.stats().frames_out, 1);
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer.recv(&mut [0; 80]).unwrap();
}
