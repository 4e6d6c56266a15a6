//! What the tests share: testnets on free ports, and members as processes.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The binary under test.
pub(crate) fn node() -> Command {
    Command::new(env!("CARGO_BIN_EXE_phalanx-node"))
}

/// Runs a command; its exit code, standard output and standard error.
pub(crate) fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = node().args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Sends a signal, like "TERM", to a process.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// The exit code of a process that ends by itself within this time.
pub(crate) fn code_within(child: &mut Child, patience: Duration) -> Option<i32> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "the process does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first of `n` ports in a row that are free for both transports.
pub(crate) fn free_ports(n: u16) -> u16 {
    let mut salt = [0; 2];
    getrandom::fill(&mut salt).unwrap();
    // Below the range from which the system gives ports to outgoing connections.
    for offset in 0..200 {
        let base = 10_000 + (u16::from_le_bytes(salt) % 200 + offset) % 200 * 100;
        let is_free = |port| {
            TcpListener::bind(("127.0.0.1", port)).is_ok()
                && UdpSocket::bind(("127.0.0.1", port)).is_ok()
        };
        if (base..base + n).all(is_free) {
            return base;
        }
    }
    panic!("no free ports");
}

/// A group on this machine.
pub(crate) struct Testnet {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) homes: Vec<PathBuf>,
    pub(crate) base_port: u16,
}

impl Testnet {
    pub(crate) fn new(members: u16, transport: &str) -> Self {
        Self::with_newcomers(members, 0, transport)
    }

    /// Homes of members, then of those that may join.
    pub(crate) fn with_newcomers(members: u16, newcomers: u16, transport: &str) -> Self {
        Self::with(members, newcomers, transport, &[])
    }

    /// The same, with further options of `testnet`.
    pub(crate) fn with(members: u16, newcomers: u16, transport: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("net");
        let base_port = free_ports(members + newcomers);
        let (members, port) = (members.to_string(), base_port.to_string());
        let newcomers = newcomers.to_string();
        let mut args = vec![
            "testnet",
            "--members",
            &members,
            "--newcomers",
            &newcomers,
            "--out",
            out.to_str().unwrap(),
            "--transport",
            transport,
            "--base-port",
            &port,
        ];
        args.extend(options);
        let (code, stdout, stderr) = run(&args);
        assert_eq!(code, Some(0), "{stderr}");
        let homes = stdout.lines().filter_map(|line| line.split("--home ").nth(1));
        Self { homes: homes.map(PathBuf::from).collect(), dir, base_port }
    }

    /// Changes the node file of one home.
    pub(crate) fn edit(&self, home: usize, old: &str, new: &str) {
        let path = self.homes[home].join("node.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{old}");
        std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
    }

    /// Changes the node files of all homes.
    pub(crate) fn edit_all(&self, old: &str, new: &str) {
        (0..self.homes.len()).for_each(|home| self.edit(home, old, new));
    }

    pub(crate) fn group(&self) -> PathBuf {
        self.dir.path().join("net/group.toml")
    }
}

/// A member in a process of its own, driven through its pipe. Killed when it is dropped.
pub(crate) struct Member {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Member {
    pub(crate) fn start(home: &Path, options: &[&str]) -> Self {
        let mut command = node();
        command.args(["run", "--pipe", "--log", "warn", "--home"]).arg(home).args(options);
        Self::spawn(&mut command)
    }

    /// Whatever this command starts must be a member with a pipe.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    pub(crate) fn cast(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next event of this kind, or `None` if none comes in time.
    pub(crate) fn next(&self, kind: &str, patience: Duration) -> Option<Value> {
        let deadline = Instant::now() + patience;
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(wait) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            };
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == kind {
                return Some(event);
            }
        }
    }

    /// The first view that is so, of those that come.
    pub(crate) fn view(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let view = self.next("view", wait);
            let view = view.unwrap_or_else(|| panic!("there is no view in which {what}"));
            if is_so(&view) {
                return view;
            }
        }
    }

    /// Everything that comes within this time.
    pub(crate) fn events(&self, time: Duration) -> Vec<Value> {
        let deadline = Instant::now() + time;
        let next = || {
            let wait = deadline.saturating_duration_since(Instant::now());
            self.lines.recv_timeout(wait).ok()
        };
        std::iter::from_fn(next).map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// The counters.
    pub(crate) fn stats(&mut self) -> Value {
        self.cast("/stats");
        self.next("stats", PATIENCE).unwrap()
    }

    /// Stops the process where it stands, or lets it go on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        signal(&self.child, if is_frozen { "STOP" } else { "CONT" });
    }

    /// The texts of the next `count` casts.
    pub(crate) fn casts(&self, count: usize) -> Vec<String> {
        (0..count)
            .map(|i| {
                let cast = self.next("cast", PATIENCE);
                let cast = cast.unwrap_or_else(|| panic!("cast {i} of {count} did not come"));
                cast["text"].as_str().unwrap().to_owned()
            })
            .collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
