//! The processes of `demo` and `load`, and what they have reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_core::View;
use phalanx_mio::config::Group;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::report::{Order, Report, Status};
use crate::{Failure, evidence, testnet};

/// How long the processes may take to bind their sockets.
const START: Duration = Duration::from_secs(10);
/// Times to try with other ports, if one was taken meanwhile.
const TRIES: u32 = 3;

/// A view as one process reported it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The view.
    pub(crate) view: View,
    /// As people want to see it.
    pub(crate) line: String,
    /// How long the change took.
    pub(crate) took: Duration,
    /// When that was reported.
    pub(crate) at: Instant,
    /// Total casts delivered by then.
    pub(crate) total: u64,
}

/// A proof that one process reported.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    /// The proof, in hexadecimal.
    pub(crate) proof: String,
    /// The view in which it was made, in hexadecimal.
    pub(crate) view: String,
}

/// What one process has reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Its sockets are bound.
    pub(crate) is_ready: bool,
    /// Its last regular status.
    pub(crate) status: Status,
    /// Its last answer.
    pub(crate) answer: Option<Status>,
    /// Hashes by number of Total casts.
    pub(crate) checkpoints: BTreeMap<u64, String>,
    /// Suspicions: subject and reason in words, that it holds itself.
    pub(crate) suspects: BTreeSet<(u16, String)>,
    /// Proofs by culprit.
    pub(crate) proofs: BTreeMap<u16, Proven>,
    /// Views in the order in which it installed them.
    pub(crate) views: Vec<Seen>,
    /// Why it is no member any more, in words.
    pub(crate) out: Option<String>,
    /// The state that it joined with: of which view, and how many bytes.
    pub(crate) loaded: Option<(u64, u64)>,
}

impl Record {
    /// Takes in a report of the process with this rank.
    fn take(&mut self, rank: usize, report: Report) {
        match report {
            Report::Ready => self.is_ready = true,
            Report::Status(status) => self.status = status,
            Report::Answer(status) => self.answer = Some(status),
            Report::Checkpoint { total, hash } => {
                self.checkpoints.insert(total, hash);
            }
            Report::Suspected { subject, by, reason } => {
                if usize::from(by) == rank {
                    self.suspects.insert((subject, reason));
                }
            }
            Report::Proven { culprit, view, proof } => {
                self.proofs.entry(culprit).or_insert(Proven { proof, view });
            }
            Report::Out { why } => self.out = Some(why),
            Report::Loaded { view, bytes } => self.loaded = Some((view, bytes)),
            Report::View { record, line, took_us, total, hash } => {
                // A view that is none is missing from the chain, which the judge will see.
                let Some(view) = evidence::view_of(&record) else { return };
                let (took, at) = (Duration::from_micros(took_us), Instant::now());
                self.checkpoints.insert(total, hash);
                self.views.push(Seen { view, line, took, at, total });
            }
        }
    }

    /// The view that it installed last.
    pub(crate) fn view(&self) -> Option<&View> {
        self.views.last().map(|seen| &seen.view)
    }
}

/// How often to look whether a signal came.
const LOOK: Duration = Duration::from_millis(100);

struct Process {
    child: Child,
    /// Which life of this member it is, so that nobody takes the end of the last one for its own.
    life: usize,
    /// It was killed on purpose.
    is_killed: bool,
    orders: Option<ChildStdin>,
    log: PathBuf,
}

/// What a process said: its place, its life, and the report; `None` at its end.
type Said = (usize, usize, Option<Report>);

/// A group of child processes. They are killed, and their files removed, when it is dropped.
pub(crate) struct Fleet {
    processes: BTreeMap<usize, Process>,
    homes: Vec<PathBuf>,
    reports: Receiver<Said>,
    sender: Sender<Said>,
    /// A signal came: clean up instead of dying, and leave no process behind that is stopped.
    interrupt: Arc<AtomicBool>,
    /// What each has reported, by its place in the group file.
    pub(crate) records: Vec<Record>,
    /// The group.
    pub(crate) group: Group,
    // Last, so that the files go after the processes.
    dir: tempfile::TempDir,
}

impl Fleet {
    /// Starts `n` members and prepares homes for newcomers; `options` gives the further command line
    /// of each member.
    pub(crate) fn start(
        (n, newcomers): (u16, u16),
        kind: testnet::Kind,
        options: &dyn Fn(usize) -> Vec<String>,
    ) -> Result<Self, Failure> {
        let interrupt = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt))?;
        }
        let mut tries = 1;
        loop {
            match Self::try_start((n, newcomers), kind, options, Arc::clone(&interrupt)) {
                // As a rule another process has taken one of the ports.
                Err(_) if tries < TRIES && !interrupt.load(Ordering::Relaxed) => tries += 1,
                result => return result,
            }
        }
    }

    fn try_start(
        (n, newcomers): (u16, u16),
        kind: testnet::Kind,
        options: &dyn Fn(usize) -> Vec<String>,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("phalanx-").tempdir()?;
        let out = dir.path().join("testnet");
        let addresses = free_addresses(n + newcomers)?;
        let (members, newcomers) = addresses.split_at(usize::from(n));
        let homes = testnet::Plan { kind, members, newcomers }.write(&out)?;
        let group = Group::read(&out.join("group.toml"))?;
        let (sender, reports) = channel();
        let records = vec![Record::default(); homes.len()];
        let processes = BTreeMap::new();
        let mut fleet = Self { processes, homes, reports, sender, interrupt, records, group, dir };
        (0..usize::from(n)).try_for_each(|rank| fleet.launch(rank, options(rank)))?;
        fleet.await_ready()?;
        Ok(fleet)
    }

    /// Starts the process at this place, for the first time or once more, and waits until its sockets
    /// are bound.
    pub(crate) fn add(&mut self, place: usize, options: Vec<String>) -> Result<(), Failure> {
        if let Some(record) = self.records.get_mut(place) {
            // What it delivered stays true; the rest was said by another process.
            let checkpoints = std::mem::take(&mut record.checkpoints);
            *record = Record { checkpoints, ..Record::default() };
        }
        self.launch(place, options)?;
        self.await_ready()
    }

    fn launch(&mut self, place: usize, options: Vec<String>) -> Result<(), Failure> {
        let home = self.homes.get(place).ok_or("there is no such home")?;
        let life = self.processes.get(&place).map_or(0, |process| process.life + 1);
        let log = home.join(if life == 0 { "log".to_owned() } else { format!("log-{life}") });
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child").arg("--home").arg(home).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        // A signal from the terminal is for the parent alone.
        command.process_group(0);
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        if let Some(stdout) = child.stdout.take() {
            listen((place, life), stdout, self.sender.clone());
        }
        let process = Process { child, life, is_killed: false, orders, log };
        self.processes.insert(place, process);
        Ok(())
    }

    fn await_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        while self.processes.keys().any(|place| !self.is_killed(*place) && !self.is_ready(*place)) {
            if Instant::now() > deadline {
                return Err("the processes did not start in time".into());
            }
            self.collect(Instant::now() + Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn is_ready(&self, place: usize) -> bool {
        self.records.get(place).is_some_and(|record| record.is_ready)
    }

    /// Takes in reports until `until`. Fails when a process is gone.
    pub(crate) fn collect(&mut self, until: Instant) -> Result<(), Failure> {
        loop {
            if self.interrupt.load(Ordering::Relaxed) {
                return Err("interrupted".into());
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left.min(LOOK)) {
                Ok((place, life, _)) if self.life(place) != Some(life) => {}
                Ok((place, _, Some(report))) => {
                    if let Some(record) = self.records.get_mut(place) {
                        record.take(place, report);
                    }
                }
                Ok((place, _, None)) if self.is_killed(place) => {}
                Ok((place, _, None)) => return Err(self.obituary(place)),
                Err(RecvTimeoutError::Timeout) if left <= LOOK => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("all processes are gone".into()),
            }
        }
    }

    fn life(&self, place: usize) -> Option<usize> {
        self.processes.get(&place).map(|process| process.life)
    }

    /// Whether this process was killed on purpose.
    fn is_killed(&self, place: usize) -> bool {
        self.processes.get(&place).is_some_and(|process| process.is_killed)
    }

    /// Kills a process where it stands.
    pub(crate) fn kill(&mut self, rank: usize) -> Result<(), Failure> {
        let process = self.processes.get_mut(&rank).ok_or("no such process")?;
        process.is_killed = true;
        process.orders = None;
        process.child.kill()?;
        process.child.wait()?;
        Ok(())
    }

    fn obituary(&mut self, rank: usize) -> Failure {
        let name = self.group.names.get(rank).cloned().unwrap_or_default();
        let Some(process) = self.processes.get_mut(&rank) else { return name.into() };
        let how = process.child.wait().map_or_else(|why| why.to_string(), |how| how.to_string());
        let log = fs::read_to_string(&process.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{name} stopped by itself ({how}):\n{}", last.join("\n")).into()
    }

    /// Gives an order to one process.
    pub(crate) fn tell(&mut self, rank: usize, order: Order) -> Result<(), Failure> {
        let process = self.processes.get_mut(&rank);
        if let Some(orders) = process.and_then(|process| process.orders.as_mut()) {
            writeln!(orders, "{}", order.word())?;
            orders.flush()?;
        }
        Ok(())
    }

    /// Gives an order to all processes.
    pub(crate) fn tell_all(&mut self, order: Order) -> Result<(), Failure> {
        (0..self.homes.len()).try_for_each(|place| self.tell(place, order))
    }

    /// Asks all for an answer and waits until they have given it.
    pub(crate) fn ask_all(&mut self, patience: Duration) -> Result<(), Failure> {
        self.records.iter_mut().for_each(|record| record.answer = None);
        self.tell_all(Order::Answer)?;
        let deadline = Instant::now() + patience;
        while (0..self.records.len()).any(|rank| self.owes_answer(rank)) {
            if Instant::now() > deadline {
                return Err("a process does not answer".into());
            }
            self.collect(Instant::now() + Duration::from_millis(20))?;
        }
        Ok(())
    }

    fn owes_answer(&self, rank: usize) -> bool {
        let is_there = self.processes.get(&rank).is_some_and(|process| !process.is_killed);
        is_there && self.records.get(rank).is_some_and(|of| of.answer.is_none())
    }

    /// The group file.
    pub(crate) fn group_file(&self) -> PathBuf {
        self.dir.path().join("testnet/group.toml")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            // Without its input a child ends by itself; a stopped or hanging one does not.
            process.orders = None;
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

fn listen((place, life): (usize, usize), stdout: std::process::ChildStdout, reports: Sender<Said>) {
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            let Ok(report) = serde_json::from_str(&line) else { continue };
            if reports.send((place, life, Some(report))).is_err() {
                return;
            }
        }
        // Nobody listens any more when the fleet is dropped.
        let _ = reports.send((place, life, None));
    });
}

/// Addresses on this machine that nothing listens on just now.
fn free_addresses(n: u16) -> Result<Vec<SocketAddr>, Failure> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut held = Vec::new();
    let mut addresses = Vec::new();
    while addresses.len() < usize::from(n) {
        let listener = TcpListener::bind(any)?;
        let address = listener.local_addr()?;
        // Free for both transports.
        if let Ok(socket) = UdpSocket::bind(address) {
            addresses.push(address);
            held.push((listener, socket));
        }
    }
    Ok(addresses)
}
