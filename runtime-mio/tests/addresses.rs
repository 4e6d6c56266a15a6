//! A member is its key, wherever it is; and who cannot talk to the others is told why.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phalanx_core::Hash32;
use phalanx_core::crypto::peer_id;
use phalanx_core::wire::frame::stranger;
use phalanx_core::wire::stranger::{Question, Stranger, encode};
use phalanx_mio::config::Home;
use support::{Member, PATIENCE, Testnet, node, run};

/// A member whose log goes to a file in its home.
fn start(home: &Path) -> Member {
    let log = File::options().create(true).append(true).open(home.join("log")).unwrap();
    let mut command = node();
    command.args(["run", "--pipe", "--log", "warn", "--home"]).arg(home).stderr(log);
    Member::spawn(&mut command)
}

/// Waits until the log of a member says this; returns the whole of it.
fn says(home: &Path, what: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let log = fs::read_to_string(home.join("log")).unwrap();
        if log.contains(what) {
            return log;
        }
        assert!(Instant::now() < end, "{what:?} is not in the log of {}:\n{log}", home.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn kill(member: &mut Member) {
    member.child.kill().unwrap();
    member.child.wait().unwrap();
}

/// From now on a member has the address of another one.
fn moves(testnet: &Testnet, home: usize, from: u16, to: u16) {
    let [from, to] = [from, to].map(|at| format!("127.0.0.1:{}", testnet.base_port + at));
    let path = testnet.homes[home].join("node.toml");
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("address = "));
    let text: String = lines.map(|line| line.replace(&from, &to) + "\n").collect();
    assert!(text.contains(&format!("bind = \"{to}\"")), "{text}");
    fs::write(&path, format!("address = \"{to}\"\n{text}")).unwrap();
}

fn works(members: &mut [Member], what: &str) {
    members[0].cast(what);
    members.iter().for_each(|member| assert_eq!(member.casts(1), [what]));
}

/// Two members swap their addresses; then one has that of the other, which is dead.
fn addresses_are_swapped(transport: &str) {
    let testnet = Testnet::new(6, transport);
    let mut members: Vec<Member> = testnet.homes.iter().map(|home| start(home)).collect();
    works(&mut members, "before");
    members[4..].iter_mut().for_each(kill);
    moves(&testnet, 4, 4, 5);
    moves(&testnet, 5, 5, 4);
    members.truncate(4);
    members.extend(testnet.homes[4..].iter().map(|home| start(home)));
    for member in &members {
        member.view("both are back", |view| {
            view["incarnations"].to_string().matches('2').count() == 2
        });
    }
    works(&mut members, "after");
    members.drain(4..).for_each(|mut member| kill(&mut member));
    moves(&testnet, 4, 5, 4);
    members.push(start(&testnet.homes[4]));
    for member in &members {
        member.view("it is back", |view| view["incarnations"].to_string().contains('3'));
    }
    works(&mut members, "at the address of a dead one");
}

#[test]
fn addresses_are_swapped_over_tcp() {
    addresses_are_swapped("tcp");
}

#[test]
fn addresses_are_swapped_over_udp() {
    addresses_are_swapped("udp");
}

fn mismatches_are_named(transport: &str) {
    let testnet = Testnet::new(3, transport);
    let group = fs::read_to_string(testnet.group()).unwrap();
    let at = group.find("nonce = \"").unwrap() + 9;
    let other = format!("{}{}{}", &group[..at], "f".repeat(64), &group[at + 64..]);
    fs::write(testnet.homes[1].join("other.toml"), other).unwrap();
    testnet.edit(1, "group = \"../group.toml\"", "group = \"other.toml\"");
    let members: Vec<Member> = testnet.homes[..2].iter().map(|home| start(home)).collect();
    let names = ["alice", "bob", "carol"];
    for (home, other) in [(0, 1), (1, 0)] {
        says(&testnet.homes[home], &format!("{} (127.0.0.1:", names[other]));
        let log = says(&testnet.homes[home], "speaks for another group (its id begins with ");
        assert_eq!(log.matches("speaks for another group").count(), 1, "{log}");
        says(
            &testnet.homes[home],
            &format!("nobody listens at 127.0.0.1:{}, the address of carol", testnet.base_port + 2),
        );
    }
    let address = |home: u16| format!("127.0.0.1:{}", testnet.base_port + home);
    let check = |home: usize, at: u16| {
        run(&["check", "--home", testnet.homes[home].to_str().unwrap(), "--against", &address(at)])
    };
    let (code, out, _) = check(2, 0);
    assert!(code == Some(0) && out.contains("the same group, version"), "{out}");
    assert!(out.contains("view 0  n=3 f=0 q=2  [alice bob carol*]"), "{out}");
    let (code, _, why) = check(2, 1);
    assert!(code == Some(1) && why.contains("it speaks for another group"), "{why}");
    let (code, _, why) = check(0, 2);
    assert!(code == Some(1) && why.contains("nobody listens there"), "{why}");
    drop(members);
}

#[test]
fn mismatches_are_named_over_tcp() {
    mismatches_are_named("tcp");
}

#[test]
fn mismatches_are_named_over_udp() {
    mismatches_are_named("udp");
}

/// Sends questions in the name of a member, without its key, to some others: so many a second.
fn flood(transport: &str, frame: &[u8], targets: &[SocketAddr], rate: u32, stop: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let framed = [&u32::try_from(frame.len()).unwrap().to_le_bytes()[..], frame].concat();
    let (mut open, began, mut sent) = (Vec::new(), Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        for target in targets {
            if transport == "udp" {
                let _ = socket.send_to(frame, target);
            } else if let Ok(mut stream) = TcpStream::connect(target) {
                let _ = stream.write_all(&framed);
                open.push(stream);
            }
        }
        open.drain(..open.len().saturating_sub(150));
        sent += 1;
        let due = Duration::from_secs(1) * sent / rate;
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

/// Whatever bears its name, it is heard at the address that the others know.
fn a_member_comes_back_through_a_flood(transport: &str, rate: u32) {
    let testnet = Testnet::new(4, transport);
    let mut members: Vec<Member> = testnet.homes.iter().map(|home| start(home)).collect();
    works(&mut members, "before");
    let home = Home::read(&testnet.homes[3]).unwrap();
    let key = home.secret.public_key();
    let asks = Stranger::AskChain(Question::padded(0, key, Hash32::ZERO, 0));
    let group = home.group.genesis.group().prefix();
    let frame = stranger(group, peer_id(&key), &encode(&asks));
    let address = |at| SocketAddr::from(([127, 0, 0, 1], testnet.base_port + at));
    let (targets, stop) = ([0, 1, 2].map(address), AtomicBool::new(false));
    let took = std::thread::scope(|scope| {
        scope.spawn(|| flood(transport, &frame, &targets, rate, &stop));
        std::thread::sleep(Duration::from_secs(1));
        kill(&mut members[3]);
        let began = Instant::now();
        members[3] = start(&testnet.homes[3]);
        let back = members[3].next("view", PATIENCE);
        stop.store(true, Ordering::Relaxed);
        back.map(|_| began.elapsed())
    });
    println!("{transport}: back after {took:?}");
    assert!(took.is_some_and(|took| took < Duration::from_secs(3)), "{took:?}");
    works(&mut members, "after");
}

#[test]
fn a_member_comes_back_through_a_thousand_forged_datagrams_a_second() {
    a_member_comes_back_through_a_flood("udp", 1_000);
}

#[test]
fn a_member_comes_back_through_three_hundred_connections_a_second_in_its_name() {
    a_member_comes_back_through_a_flood("tcp", 300);
}
