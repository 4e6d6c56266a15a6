//! Strangers at the socket: whatever they do, the group goes on and memory stays within bounds.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use phalanx_core::crypto::{MacKey, peer_id};
use phalanx_core::wire::frame::{FrameKind, Header, is_stranger, seal_small, stranger};
use phalanx_core::wire::stranger::{Question, Stranger, encode};
use phalanx_core::{Event, Hash32, Order, PeerId, PublicKey};
use phalanx_mio::config::Home;
use phalanx_mio::net::NetworkStats;
use phalanx_mio::{Handle, Notice, StartOptions};
use support::{PATIENCE, Testnet};

/// Four members in threads of this process; the first is the one under attack.
struct Rig {
    members: Vec<Member>,
    target: SocketAddr,
    ids: Vec<PeerId>,
    /// The first bytes of the group's id.
    group: u64,
    _testnet: Testnet,
}

struct Member {
    handle: Handle,
    delivered: Receiver<Vec<u8>>,
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<NetworkStats>>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    fn start(home: &Path) -> (Self, PeerId, SocketAddr) {
        let home = Home::read(home).unwrap();
        let mut runtime = home.start(StartOptions::default()).unwrap();
        let (handle, addr) = (runtime.handle(), runtime.local_addr().unwrap());
        let (sender, delivered) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(Mutex::new(NetworkStats::default()));
        let (flag, shared) = (Arc::clone(&stop), Arc::clone(&stats));
        let thread = thread::spawn(move || {
            let mut strangers = 0;
            while !flag.load(Ordering::Relaxed) {
                runtime.turn(Some(Duration::from_millis(50))).unwrap();
                let stats = runtime.stats().network;
                strangers = stats.strangers.max(strangers);
                *shared.lock().unwrap() = NetworkStats { strangers, ..stats };
                while let Some(notice) = runtime.next_notice() {
                    match notice {
                        Notice::Event(Event::Cast { payload, .. }) => {
                            let _ = sender.send(payload.to_vec());
                        }
                        Notice::Fault(fault) => panic!("nobody lied: {fault:?}"),
                        Notice::Event(_) => {}
                        other => panic!("nobody was put out: {other:?}"),
                    }
                }
            }
        });
        let id = peer_id(&home.secret.public_key());
        (Self { handle, delivered, stop, stats, thread: Some(thread) }, id, addr)
    }

    /// What it has counted; of strangers, the most there were at once.
    fn stats(&self) -> NetworkStats {
        *self.stats.lock().unwrap()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.handle.wake();
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || thread::panicking(), "a member's loop failed");
    }
}

impl Rig {
    fn new(transport: &str) -> Self {
        let testnet = Testnet::new(4, transport);
        let mut members = Vec::new();
        let mut ids = Vec::new();
        let mut addrs = Vec::new();
        for home in &testnet.homes {
            let (member, id, addr) = Member::start(home);
            members.push(member);
            ids.push(id);
            addrs.push(addr);
        }
        let group = Home::read(&testnet.homes[0]).unwrap().group.genesis.group().prefix();
        Self { members, target: addrs[0], ids, group, _testnet: testnet }
    }

    /// A cast of every member comes to all.
    fn works(&self, what: &str) {
        for member in &self.members {
            member.handle.cast(Order::Total, what.as_bytes().to_vec()).unwrap();
        }
        for member in &self.members {
            for _ in 0..self.members.len() {
                let got = member.delivered.recv_timeout(PATIENCE);
                assert_eq!(got.expect("the group goes on"), what.as_bytes());
            }
        }
    }

    fn dial(&self) -> TcpStream {
        TcpStream::connect(self.target).unwrap()
    }

    /// A frame that claims to be from a member and is not.
    fn forged(&self, from: PeerId) -> Vec<u8> {
        let header = Header { kind: FrameKind::FragmentAck, group: self.group, from, counter: 7 };
        seal_small(&MacKey::derive(&[0; 32], &[]), &header, &[&[0; 16]])
    }

    /// Times that members had to dial each other again, once all of them are connected: a cast may
    /// come to all before.
    fn reconnects(&self) -> u64 {
        let end = Instant::now() + PATIENCE;
        while self.members.iter().any(|member| member.stats().connected < 3) {
            assert!(Instant::now() < end, "not all are connected");
            thread::sleep(Duration::from_millis(10));
        }
        self.members.iter().map(|member| member.stats().reconnects).sum()
    }

    /// The connections among members stand as they did at first. What the target counted.
    fn finish(self) -> NetworkStats {
        for member in &self.members {
            let stats = member.stats();
            assert_eq!((stats.connected, stats.cut_slow), (3, 0), "{stats:?}");
        }
        self.members[0].stats()
    }
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

/// Whether the other end closes within a while.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let mut bytes = [0; 64];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(why) => return why.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn silent_and_slow_connections_are_closed() {
    let rig = Rig::new("tcp");
    rig.works("before");
    let silent = rig.dial();
    let mut slow = rig.dial();
    let mut half = rig.dial();
    let frame = framed(&rig.forged(rig.ids[1]));
    half.write_all(&frame[..frame.len() / 2]).unwrap();
    let began = Instant::now();
    for byte in &frame {
        if slow.write_all(&[*byte]).is_err() || began.elapsed() > Duration::from_secs(2) {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    rig.works("meanwhile");
    assert!(is_closed(&silent) && is_closed(&slow) && is_closed(&half));
    // The count is published a turn after the deed.
    let end = Instant::now() + PATIENCE;
    while rig.members[0].stats().strangers_closed < 3 {
        assert!(Instant::now() < end, "{:?}", rig.members[0].stats());
        thread::sleep(Duration::from_millis(10));
    }
    rig.finish();
}

#[test]
fn garbage_and_giant_lengths_are_closed_at_once() {
    let rig = Rig::new("tcp");
    let mut streams = Vec::new();
    let long = framed(&vec![0xaa; 200_000]);
    for bytes in [&u32::MAX.to_le_bytes()[..], &[0; 4], &long, b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = rig.dial();
        // The other end may close before it has taken everything.
        let _ = stream.write_all(bytes);
        streams.push(stream);
    }
    let began = Instant::now();
    assert!(streams.iter().all(is_closed));
    assert!(began.elapsed() < Duration::from_secs(2), "not by a time-out");
    rig.works("after");
    rig.finish();
}

#[test]
fn an_impostor_displaces_nobody() {
    let rig = Rig::new("tcp");
    rig.works("before");
    let before = rig.reconnects();
    let mut impostors = Vec::new();
    for id in &rig.ids {
        let mut stream = rig.dial();
        let _ = stream.write_all(&framed(&rig.forged(*id)));
        impostors.push(stream);
    }
    rig.works("with impostors");
    // Nothing is ever sent to one that has proven nothing.
    for stream in &mut impostors {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(!matches!(stream.read(&mut [0; 8]), Ok(len) if len > 0));
    }
    // Junk before something valid: an impostor that goes on is closed.
    for id in &rig.ids {
        let mut stream = rig.dial();
        let forged = framed(&rig.forged(*id));
        for _ in 0..20 {
            let _ = stream.write_all(&forged);
        }
        assert!(is_closed(&stream));
    }
    rig.works("after");
    assert_eq!(rig.reconnects(), before);
    rig.finish();
}

/// Frames of strangers need no key: they may name anybody, and open nothing.
#[test]
fn a_stranger_in_a_members_name_displaces_nobody() {
    let rig = Rig::new("tcp");
    rig.works("before");
    let before = rig.reconnects();
    let question = Question::padded(0, PublicKey([7; 32]), Hash32::ZERO, 0);
    let asks = encode(&Stranger::AskChain(question));
    let mut strangers = Vec::new();
    for id in &rig.ids[1..] {
        let mut stream = rig.dial();
        stream.write_all(&framed(&stranger(rig.group, *id, &asks))).unwrap();
        strangers.push(stream);
    }
    for stream in &mut strangers {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut prefix = [0; 4];
        stream.read_exact(&mut prefix).unwrap();
        let mut answer = vec![0; usize::try_from(u32::from_le_bytes(prefix)).unwrap()];
        stream.read_exact(&mut answer).unwrap();
        assert!(is_stranger(&answer), "what it is told everybody may know");
    }
    rig.works("meanwhile");
    for stream in &mut strangers {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(!matches!(stream.read(&mut [0; 8]), Ok(len) if len > 0), "nothing else");
    }
    assert_eq!(rig.reconnects(), before);
    rig.finish();
}

#[test]
fn thousands_of_connections_are_bounded() {
    let rig = Rig::new("tcp");
    rig.works("before");
    let before = rig.reconnects();
    let mut open = Vec::new();
    for i in 0..2_000 {
        let mut stream = rig.dial();
        if i % 3 == 0 {
            let _ = stream.write_all(&8_000_000_u32.to_le_bytes());
        }
        open.push(stream);
        if open.len() > 200 {
            open.remove(0);
        }
    }
    rig.works("meanwhile");
    assert_eq!(rig.reconnects(), before);
    let stats = rig.finish();
    assert!(stats.strangers <= 64, "{stats:?}");
    assert!(stats.strangers_closed >= 1_000, "{stats:?}");
}

#[test]
fn garbage_datagrams_harm_nobody() {
    let rig = Rig::new("udp");
    rig.works("before");
    let out = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut jitter = 1_u64;
    for i in 0..5_000_usize {
        jitter = jitter.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut bytes = rig.forged(rig.ids[i % 4]);
        match i % 3 {
            0 => bytes.iter_mut().for_each(|byte| *byte ^= jitter.to_le_bytes()[3]),
            1 => bytes.truncate(i % 64),
            _ => {}
        }
        let _ = out.send_to(&bytes, rig.target);
    }
    rig.works("after");
    assert!(rig.finish().dropped_in > 0);
}
