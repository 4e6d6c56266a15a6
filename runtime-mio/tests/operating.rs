//! What an operator's machine does to a member: logs, pipes and disks that take nothing, signals, and
//! a bug. None of it ends a member that was not told to end, and none of it holds the others up.
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Member, PATIENCE, Testnet, code_within, node, run, signal};

/// How long a test waits for a member that was told to stop. The member itself gives up after 5 s, and
/// its exit code shows that.
const STOP: Duration = Duration::from_secs(10);

/// The command that runs a member with a pipe.
fn pipe(home: &Path, options: &[&str]) -> Command {
    let mut command = node();
    command.args(["run", "--pipe", "--home"]).arg(home).args(options);
    command
}

/// A member whose output nobody reads.
fn unread(home: &Path, options: &[&str]) -> Child {
    let mut command = pipe(home, options);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// A member whose log is kept in a file.
fn logged(home: &Path, options: &[&str]) -> Member {
    let log = File::create(home.join("log")).unwrap();
    Member::spawn(pipe(home, options).stderr(log))
}

/// The log of a member, once it says so.
fn log_with(home: &Path, what: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = fs::read_to_string(home.join("log")).unwrap();
        if log.contains(what) {
            return log;
        }
        assert!(Instant::now() < deadline, "{what} is not in {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn works(members: &mut [Member], text: &str) {
    members[0].cast(text);
    members.iter().for_each(|member| assert_eq!(member.casts(1), [text]));
}

/// Four members that are patient with each other, for a busy machine.
fn four() -> Testnet {
    let testnet = Testnet::new(4, "tcp");
    testnet.edit_all("# mute = \"2 s\"", "mute = \"5 s\"");
    testnet
}

/// Nothing was said against anybody.
fn nobody_is_suspected(members: &[Member]) {
    for member in members {
        for event in member.events(Duration::from_millis(200)) {
            assert!(event["event"] != "suspected" && event["event"] != "block", "{event}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_ends_nobody() {
    let testnet = Testnet::new(4, "tcp");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut members =
        vec![Member::spawn(pipe(&testnet.homes[0], &["--log", "trace"]).stderr(full))];
    // A limit on the length of files is a disk that is full.
    let log = testnet.dir.path().join("log");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 8 && exec \"$@\" 2>\"$LOG\"", "sh"]).env("LOG", &log);
    limited.arg(env!("CARGO_BIN_EXE_phalanx-node"));
    limited.args(["run", "--pipe", "--log", "trace", "--home"]).arg(&testnet.homes[1]);
    members.push(Member::spawn(&mut limited));
    // A pipe that nobody has open.
    let mut closed = pipe(&testnet.homes[2], &["--log", "trace"]);
    let mut closed = Member::spawn(closed.stderr(Stdio::piped()));
    drop(closed.child.stderr.take());
    members.push(closed);
    members.push(Member::start(&testnet.homes[3], &[]));
    for round in 0..20 {
        works(&mut members, &format!("cast {round}"));
    }
    for member in &mut members {
        signal(&member.child, "USR1");
        (0..100).for_each(|_| member.cast("/no such command"));
    }
    works(&mut members, "the last");
    assert!(fs::metadata(log).unwrap().len() >= 4096, "the limit was reached");
    for member in &mut members {
        signal(&member.child, "TERM");
        assert_eq!(code_within(&mut member.child, STOP), Some(0));
    }
}

#[test]
fn an_unread_log_holds_nobody_up_and_what_was_dropped_is_counted() {
    let testnet = four();
    let mut command = pipe(&testnet.homes[0], &["--log", "warn"]);
    let mut members = vec![Member::spawn(command.stderr(Stdio::piped()))];
    members.extend(testnet.homes[1..].iter().map(|home| Member::start(home, &[])));
    works(&mut members, "before");
    // Each is a line of the log; the pipe takes 64 KiB and the queue a mebibyte.
    let lines = "/no such command\n".repeat(20_000);
    members[0].stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    works(&mut members, "after");
    nobody_is_suspected(&members);
    let mut stderr = BufReader::new(members[0].child.stderr.take().unwrap()).lines();
    let mut log = stderr.by_ref().map(Result::unwrap);
    let note = log.find(|line| line.contains("log lines were dropped")).unwrap();
    let dropped: usize = note.split_whitespace().next().unwrap().parse().unwrap();
    assert!(dropped > 1_000, "{note}");
    signal(&members[0].child, "TERM");
    assert_eq!(code_within(&mut members[0].child, STOP), Some(0));
}

#[test]
fn a_log_that_is_never_read_does_not_keep_a_member_from_ending() {
    let testnet = Testnet::new(1, "tcp");
    let mut child =
        pipe(&testnet.homes[0], &[]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = "/no such command\n".repeat(2_000);
    child.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "TERM");
    assert_eq!(code_within(&mut child, STOP), Some(0));
}

/// Two of four, who would be silenced and stop the group if they stood still.
#[test]
fn unread_events_hold_nobody_up_and_end_when_too_many_wait() {
    let testnet = four();
    let mut slow = unread(&testnet.homes[1], &[]);
    let mut slower = unread(&testnet.homes[2], &["--backlog", "256 KiB"]);
    let mut members =
        vec![Member::start(&testnet.homes[0], &[]), Member::start(&testnet.homes[3], &[])];
    let casts = 1_500;
    for i in 0..casts {
        members[0].cast(&format!("{i} {}", "x".repeat(1_000)));
    }
    for member in &members {
        assert_eq!(member.casts(casts).len(), casts);
    }
    nobody_is_suspected(&members);
    // Its casts are still everybody's.
    writeln!(slower.stdin.as_mut().unwrap(), "from the slow one").unwrap();
    members.iter().for_each(|member| assert_eq!(member.casts(1), ["from the slow one"]));
    let began = Instant::now();
    signal(&slow, "TERM");
    assert_eq!(code_within(&mut slow, STOP), Some(0));
    println!("stopped after {} ms", began.elapsed().as_millis());
    // Whole lines, none missing, up to the last one; the end is seen while the member goes on.
    let lines = BufReader::new(slower.stdout.take().unwrap()).lines();
    let events: Vec<Value> =
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(slower.try_wait().unwrap().is_none());
    let (last, before) = events.split_last().unwrap();
    assert_eq!(last["event"], "output_ended");
    let got: Vec<&str> = before.iter().filter_map(|event| event["text"].as_str()).collect();
    assert!(got.len() > 100 && got.len() < casts, "{}", got.len());
    for (i, text) in got.iter().enumerate() {
        assert!(text.starts_with(&format!("{i} ")), "cast {i} is missing");
    }
    signal(&slower, "TERM");
    assert_eq!(code_within(&mut slower, STOP), Some(6), "the help says what this means");
}

#[test]
fn a_member_whose_reader_has_gone_keeps_its_vote() {
    let testnet = Testnet::new(4, "tcp");
    let mut child = unread(&testnet.homes[1], &[]);
    drop(child.stdout.take());
    let others = [0, 2, 3].map(|rank| Member::start(&testnet.homes[rank], &[]));
    let mut members = Vec::from(others);
    for round in 0..5 {
        works(&mut members, &format!("cast {round}"));
    }
    // With one more down, it is one of the three that decide.
    members.pop();
    works(&mut members, "with three");
    writeln!(child.stdin.as_mut().unwrap(), "from the one without a reader").unwrap();
    for member in &members {
        assert_eq!(member.casts(1), ["from the one without a reader"]);
    }
    signal(&child, "TERM");
    assert_eq!(code_within(&mut child, STOP), Some(6));
}

/// A pipe that nobody writes keeps a process that opens it waiting for ever.
#[test]
fn a_snapshot_that_is_a_pipe_holds_up_nobody() {
    let testnet = four();
    let fifo = testnet.dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut members: Vec<Member> =
        testnet.homes.iter().map(|home| Member::start(home, &[])).collect();
    works(&mut members, "before");
    members[1].cast(&format!("/snapshot 0 {}", fifo.display()));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_000) {
        works(&mut members, "meanwhile");
        std::thread::sleep(Duration::from_millis(50));
    }
    nobody_is_suspected(&members);
    members[1].cast("its input goes on");
    members.iter().for_each(|member| assert_eq!(member.casts(1), ["its input goes on"]));
    signal(&members[1].child, "TERM");
    assert_eq!(code_within(&mut members[1].child, STOP), Some(0));
}

/// A member that lies to rank 1 when it is told to.
fn liar(home: &Path) -> Child {
    let mut liar = node();
    liar.args(["child", "--rate", "100", "--payload", "16", "--mutant-for", "1", "--home"]);
    liar.arg(home).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    liar.spawn().unwrap()
}

/// The last member lies; the others prove it, put it out, and go on.
fn convict(members: &mut [Member], mut liar: Child) {
    works(members, "after the start");
    liar.stdin.as_mut().unwrap().write_all(b"cast\nlie\n").unwrap();
    for member in members.iter() {
        let fault = member.next("fault", PATIENCE).expect("the event does not wait for the disk");
        assert_eq!(fault["culprit"], 3);
        let view = member.next("view", PATIENCE).unwrap();
        assert_eq!(view["departed"][0]["why"], "proof");
    }
    let _ = (liar.kill(), liar.wait());
    works(members, "without the liar");
}

/// The disks are full when a member lies: small ones of their own.
#[test]
fn a_full_disk_and_one_lie_end_nobody() {
    let can_mount = "mount -t tmpfs tmpfs /mnt";
    let apart = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let can_mount = Command::new("unshare").args(apart).arg(can_mount).output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no disk can be mounted here");
        return;
    }
    let testnet = Testnet::new(4, "tcp");
    let start = |home: &std::path::PathBuf| {
        fs::create_dir(home.join("state")).unwrap();
        let mut command = Command::new("unshare");
        let mounted = "mount -t tmpfs -o size=128k tmpfs \"$0/state\" && exec \"$@\"";
        command.args(apart).arg(mounted).arg(home).arg(env!("CARGO_BIN_EXE_phalanx-node"));
        command.args(["run", "--pipe", "--home"]).arg(home);
        Member::spawn(command.stderr(File::create(home.join("log")).unwrap()))
    };
    let mut members: Vec<Member> = testnet.homes[..3].iter().map(start).collect();
    let liar = liar(&testnet.homes[3]);
    works(&mut members, "before");
    let state = |member: &Member, home: &Path| {
        let inside = format!("/proc/{}/root{}/state", member.child.id(), home.display());
        Path::new(&inside).to_owned()
    };
    for (member, home) in members.iter().zip(&testnet.homes) {
        let filler = state(member, home).join("filler");
        assert!(fs::write(filler, vec![0; 256 * 1024]).is_err(), "the disk is full");
    }
    convict(&mut members, liar);
    for (member, home) in members.iter().zip(&testnet.homes) {
        let log = log_with(home, "cannot keep a proof");
        assert!(log.contains("state/evidence") && log.contains("No space left"), "{log}");
        assert!(log.contains("cannot keep the view"), "{log}");
        let state = state(member, home);
        fs::remove_file(state.join("filler")).unwrap();
        log_with(home, "a proof is kept");
        assert_eq!(fs::read_dir(state.join("evidence")).unwrap().count(), 2, "with its view");
    }
    for member in &mut members {
        signal(&member.child, "TERM");
        assert_eq!(code_within(&mut member.child, STOP), Some(0));
    }
}

/// A liar, and members that cannot keep the proof of it.
#[test]
fn a_proof_that_cannot_be_written_is_held_and_tried_again() {
    let testnet = Testnet::new(4, "tcp");
    let evidence = testnet.homes.iter().map(|home| home.join("state/evidence"));
    let evidence: Vec<_> = evidence.take(3).collect();
    for file in &evidence {
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(file, b"in the way").unwrap();
    }
    let (code, stdout, _) = run(&["check", "--home", testnet.homes[0].to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("proofs against liars could not be kept"), "{stdout}");
    let mut members: Vec<Member> =
        testnet.homes[..3].iter().map(|home| logged(home, &[])).collect();
    assert!(log_with(&testnet.homes[0], "cannot be kept").contains("state/evidence"));
    convict(&mut members, liar(&testnet.homes[3]));
    for home in &testnet.homes[..3] {
        let log = log_with(home, "cannot keep a proof");
        assert!(log.contains("state/evidence: "), "{log}");
    }
    // Two get room; the third ends without it, and says so.
    for dir in &evidence[..2] {
        fs::remove_file(dir).unwrap();
    }
    for home in &testnet.homes[..2] {
        let log = log_with(home, "a proof is kept");
        let proof = log.split("proof=").last().unwrap().split_whitespace().next().unwrap();
        let group = testnet.group();
        let (code, stdout, _) =
            run(&["evidence", "verify", proof, "--group", group.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{stdout}");
        assert!(stdout.contains("(dave) is proven guilty: mutant message"), "{stdout}");
    }
    signal(&members[2].child, "TERM");
    assert_eq!(code_within(&mut members[2].child, STOP), Some(0));
    log_with(&testnet.homes[2], "could not be written, and are lost");
}

#[test]
fn hup_changes_who_may_join_and_what_is_logged_and_says_what_it_does_not() {
    let testnet = Testnet::with_newcomers(4, 1, "tcp");
    let listed = fs::read_to_string(testnet.homes[0].join("node.toml")).unwrap();
    let listed = listed.lines().find(|line| line.starts_with("joiners")).unwrap().to_owned();
    testnet.edit_all(&listed, "joiners = []");
    let mut members: Vec<Member> =
        testnet.homes[..4].iter().map(|home| logged(home, &[])).collect();
    works(&mut members, "before");
    let newcomer = Member::start(&testnet.homes[4], &["--join"]);
    let refused = newcomer.next("joining", PATIENCE).unwrap();
    assert_eq!(refused["event"], "joining");
    // A file that is wrong changes nothing.
    testnet.edit(0, "joiners = []", "joiners = [7]");
    signal(&members[0].child, "HUP");
    let log = log_with(&testnet.homes[0], "all settings stay as they were");
    assert!(log.contains("node.toml:") && log.contains("joiners: a key is 64"), "{log}");
    testnet.edit(0, "joiners = [7]", &listed);
    testnet.edit(1, "joiners = []", &listed);
    testnet.edit(1, "# mute = \"2 s\"", "mute = \"3 s\"");
    testnet.edit(1, "rejoin = true", "rejoin = false");
    testnet.edit(1, "log = \"info\"", "log = \"error\"");
    for (member, home) in members[..2].iter().zip(&testnet.homes) {
        signal(&member.child, "HUP");
        log_with(home, "SIGHUP: settings read again");
    }
    newcomer.view("it is in", |view| view["n"] == 5);
    works(&mut members, "after");
    // The log says less by then.
    let log = fs::read_to_string(testnet.homes[1].join("log")).unwrap();
    assert!(!log.contains("view 1 "), "{log}");
    assert!(log_with(&testnet.homes[0], "view 1 ").contains("log info"));
    testnet.edit(1, "log = \"error\"", "log = \"warn\"");
    signal(&members[1].child, "HUP");
    let log = log_with(&testnet.homes[1], "before the next start");
    assert!(log.contains("before the next start: rejoin, timeouts"), "{log}");
}

#[test]
fn usr1_writes_the_status_to_the_log_whatever_its_level() {
    let testnet = Testnet::new(4, "tcp");
    let mut members: Vec<Member> =
        testnet.homes.iter().map(|home| logged(home, &["--log", "error"])).collect();
    works(&mut members, "before");
    members[1].cast("/suspect 3");
    for member in &members[..3] {
        member.next("suspected", PATIENCE).unwrap();
    }
    signal(&members[0].child, "USR1");
    let log = log_with(&testnet.homes[0], "status: queues");
    for part in [
        "status: view 0  n=4 f=1 q=3  [alice* bob carol dave]; this process is a member, incarnation 1",
        "status: rank 0 alice, incarnation 1: active, this process",
        "status: rank 3 dave, incarnation 1: active, linked; suspected: application",
        "status: memory: ",
        "connected: 3",
    ] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    works(&mut members, "after");
}

/// The process waits for its settings, and has installed its handlers by then. The system keeps
/// signals without a handler from the first process of a container.
#[test]
fn a_signal_at_the_very_start_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let binary = env!("CARGO_BIN_EXE_phalanx-node");
    let container = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
    let can_contain = Command::new(container[0]).args(&container[1..]).arg("true").output();
    let can_contain = can_contain.is_ok_and(|output| output.status.success());
    if !can_contain {
        eprintln!("SKIPPED: no process can be the first of a container here");
    }
    for is_first in [false, true] {
        if is_first && !can_contain {
            continue;
        }
        let prefix: &[&str] = if is_first { &container } else { &[] };
        let words: Vec<&str> = prefix.iter().copied().chain([binary, "run", "--home"]).collect();
        let mut child = Command::new(words[0]).args(&words[1..]).arg(dir.path()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let pid = loop {
            assert!(Instant::now() < deadline, "no handler");
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            let pid = if is_first {
                fs::read_to_string(children).unwrap_or_default().trim().to_owned()
            } else {
                child.id().to_string()
            };
            if catches_term(&pid) {
                break pid;
            }
        };
        for name in ["-HUP", "-USR1", "-TERM"] {
            assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
        }
        assert_eq!(code_within(&mut child, STOP), Some(0), "first in a container: {is_first}");
    }
}

/// Whether a process has a handler for SIGTERM, number 15.
fn catches_term(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    status.contains("phalanx-node") && mask >> (15 - 1) & 1 == 1
}

#[test]
fn a_bug_ends_the_process_once_and_says_what_to_report() {
    let testnet = Testnet::new(1, "tcp");
    let home = &testnet.homes[0];
    let mut member = logged(home, &["--panic-at", "3", "--log", "error"]);
    for i in 0..3 {
        member.cast(&format!("secret {i}"));
    }
    assert_eq!(code_within(&mut member.child, STOP), Some(101));
    let (_, help, _) = run(&["--help"]);
    assert!(help.contains("101 a bug"), "{help}");
    let log = fs::read_to_string(home.join("log")).unwrap();
    let report = fs::read_to_string(home.join("state/panic-report.txt")).unwrap();
    assert!(log.contains(&report), "{log}");
    assert_eq!(log.matches("has a bug").count(), 1);
    for part in
        ["wire version", "asked for by --panic-at", "view: 0", "incarnation: 1", ": cast, 8"]
    {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    assert!(report.contains("rolling hash") && !report.contains("secret"), "{report}");
}

#[test]
fn results_that_nobody_reads_end_a_command_quietly() {
    let testnet = Testnet::new(4, "tcp");
    let home = testnet.homes[0].to_str().unwrap();
    let key = testnet.homes[0].join("key.pem");
    let (chain, group) = (testnet.dir.path().join("chain"), testnet.group());
    fs::write(&chain, b"").unwrap();
    let (chain, group) = (chain.to_str().unwrap(), group.to_str().unwrap());
    let out = testnet.dir.path().join("other");
    for args in [
        &["check", "--home", home][..],
        &["pubkey", key.to_str().unwrap()],
        &["views", "verify", chain, "--group", group],
        &["testnet", "--members", "2", "--out", out.to_str().unwrap()],
        &["--help"],
    ] {
        // The reader is gone before the first byte is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = node().args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = node().args(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("panicked"), "{args:?}: {told}");
    }
}
