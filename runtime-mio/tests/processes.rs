//! Groups of real processes on real sockets, driven through pipes.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Member, PATIENCE, Testnet, node, run};

const CASTS: usize = 20;

/// All members cast; all deliver the same sequence; all leave when their input ends.
fn one_sequence(transport: &str) {
    let testnet = Testnet::new(4, transport);
    let mut members: Vec<Member> =
        testnet.homes.iter().map(|home| Member::start(home, &[])).collect();
    for i in 0..CASTS {
        for (rank, member) in members.iter_mut().enumerate() {
            member.cast(&format!("{rank}:{i}"));
        }
    }
    let sequences: Vec<Vec<String>> =
        members.iter().map(|member| member.casts(CASTS * 4)).collect();
    for sequence in &sequences {
        assert_eq!(sequence, &sequences[0]);
    }
    for rank in 0..4 {
        let own: Vec<String> = sequences[0]
            .iter()
            .filter(|text| text.starts_with(&format!("{rank}:")))
            .cloned()
            .collect();
        let cast: Vec<String> = (0..CASTS).map(|i| format!("{rank}:{i}")).collect();
        assert_eq!(own, cast, "in the order in which they were cast");
    }
    members.iter_mut().for_each(|member| member.stdin = None);
    for member in &mut members {
        assert!(member.child.wait().unwrap().success(), "a clean exit at the end of the input");
    }
}

#[test]
fn four_processes_deliver_one_sequence_over_tcp() {
    one_sequence("tcp");
}

#[test]
fn four_processes_deliver_one_sequence_over_udp() {
    one_sequence("udp");
}

/// Five members of which one can be spared, and the genesis view behind them.
fn five_of_which_the_last_stays_out() -> (Testnet, Vec<Member>) {
    let testnet = Testnet::new(5, "tcp");
    testnet.edit(4, "rejoin = true", "rejoin = false");
    let members: Vec<Member> = testnet.homes.iter().map(|home| Member::start(home, &[])).collect();
    for member in &members {
        assert_eq!(member.next("view", PATIENCE).unwrap()["number"], 0);
    }
    (testnet, members)
}

/// The others go on in the view after.
fn go_on(members: &mut [Member], why: &str) {
    for member in members.iter() {
        let view = member.next("view", PATIENCE).expect("they are in the next view");
        assert_eq!((view["number"].as_u64(), view["n"].as_u64()), (Some(1), Some(4)));
        assert_eq!(view["departed"][0]["why"], why);
        assert!(view["decision"].is_string(), "and it can be shown to anybody");
    }
    members[0].cast("//after");
    members.iter().for_each(|member| assert_eq!(member.casts(1), ["/after"]));
}

#[test]
fn a_member_that_leaves_says_so_and_the_view_without_it_is_proven() {
    let (testnet, mut members) = five_of_which_the_last_stays_out();
    members[4].cast("/leave");
    let out = members[4].next("excluded", PATIENCE).expect("it is let go");
    assert_eq!((out["why"].as_str(), out["next"].as_u64()), (Some("left"), Some(1)));
    members[4].stdin = None;
    assert_eq!(members[4].child.wait().unwrap().code(), Some(4));
    go_on(&mut members[..4], "left");
    let chain = testnet.dir.path().join("chain");
    let group = testnet.group();
    let verify = |decision: &str| {
        std::fs::write(&chain, decision).unwrap();
        let (chain, group) = (chain.to_str().unwrap(), group.to_str().unwrap());
        run(&["views", "verify", chain, "--group", group])
    };
    let decision = out["decision"].as_str().unwrap();
    let (code, stdout, stderr) = verify(decision);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("view 1  n=4 f=1 q=3  [alice bob carol dave]  -erin (left)"));
    let (code, _, stderr) = verify(&format!("{decision}\n{decision}\n"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("chain:2: it is not the next of view 1"), "{stderr}");
}

#[test]
fn a_member_that_enough_others_are_told_to_suspect_is_removed() {
    let (_testnet, mut members) = five_of_which_the_last_stays_out();
    members[0].cast("/suspect 4");
    members[1].cast("/suspect 4");
    let out = members[4].next("excluded", PATIENCE).expect("it is removed");
    assert_eq!(out["why"], "opinion");
    go_on(&mut members[..4], "opinion");
    members[4].stdin = None;
    assert_eq!(members[4].child.wait().unwrap().code(), Some(4));
    members[0].cast("/suspect 9");
    let refused = members[0].next("refused", PATIENCE).unwrap();
    assert!(refused["why"].as_str().unwrap().contains("no such member"), "{refused}");
}

/// A kilobyte and a megabyte: what is longer than a datagram arrives in pieces.
fn long_casts(transport: &str) {
    let testnet = Testnet::new(4, transport);
    let mut members: Vec<Member> =
        testnet.homes.iter().map(|home| Member::start(home, &[])).collect();
    let long = "x".repeat(1_000_000);
    members[1].cast(&long);
    for member in &members {
        assert_eq!(member.casts(1)[0], long);
    }
    members[2].cast(&"y".repeat(1_100_000));
    let refused = members[2].next("refused", PATIENCE).unwrap();
    assert!(refused["why"].as_str().unwrap().contains("longer than the limit"));
}

#[test]
fn a_megabyte_is_cast_over_tcp() {
    long_casts("tcp");
}

#[test]
fn a_megabyte_is_cast_over_udp() {
    long_casts("udp");
}

#[test]
fn three_go_on_when_the_fourth_is_killed() {
    let testnet = Testnet::new(4, "tcp");
    let mut members: Vec<Member> =
        testnet.homes.iter().map(|home| Member::start(home, &["--fifo"])).collect();
    members[0].cast("before");
    members.iter().for_each(|member| assert_eq!(member.casts(1), ["before"]));
    members[3].child.kill().unwrap();
    members.truncate(3);
    for i in 0..10 {
        members[1].cast(&format!("after {i}"));
        for member in &members {
            assert_eq!(member.casts(1), [format!("after {i}")]);
        }
    }
    for member in &members {
        let suspected = member.next("suspected", PATIENCE).expect("the dead member is suspected");
        assert_eq!(suspected["subject"], 3);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_member_cleanly() {
    let testnet = Testnet::new(1, "udp");
    let mut child = node()
        .args(["run", "--home", testnet.homes[0].to_str().unwrap()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    if kill.is_err() {
        eprintln!("SKIPPED: no command kill here");
        let _ = child.kill();
    }
    let how = child.wait().unwrap();
    assert!(how.success() || kill.is_err());
}

/// The limit leaves room for the group's own connections and little else.
#[cfg(unix)]
#[test]
fn running_out_of_descriptors_is_survived() {
    let testnet = Testnet::new(4, "tcp");
    let limited = "ulimit -n 16 && exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh", env!("CARGO_BIN_EXE_phalanx-node")]);
    command.args(["run", "--pipe", "--log", "warn", "--home"]).arg(&testnet.homes[0]);
    let mut members = vec![Member::spawn(command.stderr(Stdio::piped()))];
    members.extend(testnet.homes[1..].iter().map(|home| Member::start(home, &[])));
    members[0].cast("before");
    members.iter().for_each(|member| assert_eq!(member.casts(1), ["before"]));
    let strangers: Vec<std::net::TcpStream> = (0..40)
        .map(|_| std::net::TcpStream::connect(("127.0.0.1", testnet.base_port)).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    members[1].cast("meanwhile");
    members.iter().for_each(|member| assert_eq!(member.casts(1), ["meanwhile"]));
    drop(strangers);
    let mut stderr = members[0].child.stderr.take().unwrap();
    members.truncate(1);
    drop(members);
    let mut log = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut log).unwrap();
    assert!(log.contains("cannot accept"), "the limit was reached: {log}");
    assert!(log.lines().count() < 100, "and it did not spin: {log}");
}

#[test]
fn an_address_in_use_is_told() {
    let testnet = Testnet::new(1, "tcp");
    let _taken = std::net::TcpListener::bind(("127.0.0.1", testnet.base_port)).unwrap();
    let (code, _, stderr) = run(&["run", "--home", testnet.homes[0].to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot bind 127.0.0.1:"), "{stderr}");
}
