//! The state of the application on its way to a process that joins, from file to file: real
//! processes on real sockets, while the others go on.
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Member, Testnet};

const MIB: u64 = 1 << 20;

/// Writes so many MiB that do not repeat.
fn write_state(path: &Path, mib: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut word = 1_u64;
    for _ in 0..mib * MIB / 8 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        file.write_all(&word.to_be_bytes()).unwrap();
    }
    file.flush().unwrap();
}

fn is_same(one: &Path, other: &Path) -> bool {
    let open = |path| BufReader::with_capacity(1 << 20, File::open(path).unwrap());
    let (mut one, mut other) = (open(one), open(other));
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let len = one.read(&mut a).unwrap();
        if len == 0 {
            return other.read(&mut b).unwrap() == 0;
        }
        if other.read_exact(&mut b[..len]).is_err() || a[..len] != b[..len] {
            return false;
        }
    }
}

/// The most memory that a process had, in MiB.
fn peak_mib(member: &Member) -> u64 {
    let path = format!("/proc/{}/status", member.child.id());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// What a member that was there before tells the test.
enum Told {
    Cast(Instant, String),
    Released,
}

/// Answers what the core asks of the application, on a thread of its own.
fn serve(
    mut member: Member,
    file: PathBuf,
    orders: Receiver<String>,
    told: Sender<Told>,
) -> JoinHandle<Member> {
    thread::spawn(move || {
        loop {
            while let Ok(line) = orders.try_recv() {
                if line.is_empty() {
                    return member;
                }
                member.cast(&line);
            }
            for event in member.events(Duration::from_millis(10)) {
                match event["event"].as_str().unwrap() {
                    "snapshot_wanted" => {
                        let view = event["view"].as_u64().unwrap();
                        member.cast(&format!("/snapshot {view} {}", file.display()));
                    }
                    "snapshot_released" => told.send(Told::Released).unwrap(),
                    "cast" => {
                        let text = event["text"].as_str().unwrap().to_owned();
                        told.send(Told::Cast(Instant::now(), text)).unwrap();
                    }
                    "snapshot_diverged" | "alarm" | "fault" | "excluded" => panic!("{event}"),
                    _ => {}
                }
            }
        }
    })
}

/// A newcomer gets a state of so many MiB while the first member casts every 20 ms.
fn transfer(mib: u64, patience: Duration) {
    let testnet = Testnet::with(4, 1, "tcp", &["--state-transfer"]);
    let file = testnet.dir.path().join("state");
    write_state(&file, mib);
    let (mut orders, mut tolds, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    for home in &testnet.homes[..4] {
        let ((order, received), (tell, told)) = (channel(), channel());
        let member = Member::start(home, &[]);
        threads.push(serve(member, file.clone(), received, tell));
        orders.push(order);
        tolds.push(told);
    }
    thread::sleep(Duration::from_millis(500));
    let got = testnet.dir.path().join("got");
    let began = Instant::now();
    let newcomer = Member::start(&testnet.homes[4], &["--join", "--state", got.to_str().unwrap()]);
    let (mut count, mut loaded) = (0, None);
    while loaded.is_none() {
        assert!(began.elapsed() < patience, "the state does not come");
        orders[0].send(format!("cast {count}")).unwrap();
        count += 1;
        let is_loaded = |event: &Value| event["event"] == "state_loaded";
        loaded = newcomer.events(Duration::from_millis(20)).into_iter().find(is_loaded);
    }
    let took = began.elapsed();
    assert_eq!(loaded.unwrap()["total"], mib * MIB);
    assert!(is_same(&file, &got));
    orders[0].send("the last".to_owned()).unwrap();
    while newcomer.casts(1)[0] != "the last" {}
    let mut longest = Duration::ZERO;
    for told in &tolds {
        let (mut before, mut released, mut next) = (None, 0, 0);
        loop {
            match told.recv_timeout(Duration::from_secs(40)).unwrap() {
                Told::Cast(_, text) if text == "the last" => break,
                Told::Cast(at, text) => {
                    assert_eq!(text, format!("cast {next}"));
                    next += 1;
                    let gap = before.replace(at).map_or(Duration::ZERO, |before| at - before);
                    longest = longest.max(gap);
                }
                Told::Released => released += 1,
            }
        }
        let is_released = |told: &Told| matches!(told, Told::Released);
        let released = released > 0
            || std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(10)).ok())
                .any(|told| is_released(&told));
        assert!(released, "the snapshot may go");
    }
    orders.iter().for_each(|order| order.send(String::new()).unwrap());
    let members: Vec<Member> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let peaks: Vec<u64> = members.iter().chain([&newcomer]).map(peak_mib).collect();
    println!(
        "{mib} MiB in {:.2} s, {:.0} MB/s; longest pause between casts {} ms; memory of members and \
         newcomer at most {peaks:?} MiB",
        took.as_secs_f64(),
        (mib * MIB) as f64 / 1e6 / took.as_secs_f64(),
        longest.as_millis(),
    );
    assert!(longest < Duration::from_secs(2), "casts stood still for {longest:?}");
    assert!(peaks.iter().all(|peak| *peak < 96), "{peaks:?}");
}

#[test]
fn a_newcomer_gets_a_state_of_eight_mebibytes() {
    transfer(8, Duration::from_secs(40));
}

/// `cargo test --release -p phalanx-mio --test state -- --ignored --nocapture`
#[test]
#[ignore = "a gibibyte takes its time and room on the disk"]
fn a_newcomer_gets_a_state_of_a_gibibyte() {
    transfer(1024, Duration::from_secs(600));
}
