//! Plays a run: virtual time advances exactly to the next event or deadline, never earlier, never
//! past it.
//!
//! A member reads the frames at hand one after the other; when there are none left, and its
//! deadline has come, it gets one Tick. While it works (see [`crate::cost`]) what arrives waits.
//! Events at one moment are taken in a fixed order: arrivals, faults, members, checks, and within
//! these as they were made.

mod comings;
mod ending;
mod meter;
mod process;
mod queue;
mod stepped;
mod world;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use phalanx_core::crypto::CryptoCounters;
use phalanx_core::{ConfigError, Counters};

use crate::clock::Clock;
use crate::cluster::Group;
use crate::history::History;
use crate::marks::{Mark, Marks};
use crate::network::Tally;
use crate::oracle::Oracles;
use crate::rates::Rates;
use crate::rng::Seed;
use crate::scenario::{Kind, Scenario};
use crate::trace::Recorder;
use crate::verdict::Verdict;
use process::{Process, Start};
use queue::What;
use world::World;

/// How often the end of a run is looked for, once it may end.
const CHECK_US: u64 = 5_000;

/// Why a run could not be played.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The core refuses the group.
    #[error("the group is refused: {0}")]
    Config(#[from] ConfigError),
    /// The trace cannot be written.
    #[error("the trace cannot be written: {0}")]
    Trace(#[from] io::Error),
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// Hash over all inputs and outputs; empty if it crashed.
    pub hash: String,
    /// When it ended, in virtual time.
    pub end_us: u64,
    /// Steps of all members.
    pub steps: u64,
    /// The most of them in a second of virtual time.
    pub busiest: u64,
    /// Casts accepted by correct members.
    pub accepted: u64,
    /// Casts of correct members delivered by correct members.
    pub delivered: u64,
    /// Rare branches it came by.
    pub marks: Marks,
    /// Whether the seed is worth counting: at least 200 casts of each correct sender and one
    /// second of virtual time.
    pub is_counted: bool,
    /// How often the liars lied.
    pub fired: u64,
    /// How often they changed a message of each kind, where their strategy goes by kinds.
    pub changed: BTreeMap<Kind, u64>,
    /// The highest share of its memory bound that a member held, in thousandths.
    pub memory_permille: u64,
    /// What the network did.
    pub tally: Tally,
    /// Work of all correct members.
    pub counters: Counters,
    /// The highest share of its budget of work that a peer used at a member, in thousandths.
    pub work_permille: u64,
    /// The longest that a cast was owed once the network was well, and the bound.
    pub longest_us: (u64, u64),
    /// What happened to the views.
    pub history: History,
    /// What was done when, if that was asked for.
    pub rates: Option<Rates>,
}

impl Outcome {
    /// A run that did not come to its end.
    #[must_use]
    pub fn crashed(text: String) -> Self {
        Self {
            verdict: Verdict::Crash(text),
            hash: String::new(),
            end_us: 0,
            steps: 0,
            busiest: 0,
            accepted: 0,
            delivered: 0,
            marks: Marks::default(),
            is_counted: false,
            fired: 0,
            changed: BTreeMap::new(),
            memory_permille: 0,
            tally: Tally::default(),
            counters: Counters::default(),
            work_permille: 0,
            longest_us: (0, 0),
            history: History::default(),
            rates: None,
        }
    }
}

/// Plays `scenario`, and records it in `file` if there is one. A panic, of the core or of the
/// simulator, is a verdict.
///
/// # Errors
/// If the group is refused or the trace cannot be written.
pub fn run(scenario: &Scenario, file: Option<Box<dyn Write>>) -> Result<Outcome, RunError> {
    caught(|| Run::new(scenario, file)?.play())
}

/// Plays `scenario` and keeps what was done when ([`Outcome::rates`]).
///
/// # Errors
/// If the group is refused.
pub fn measured(scenario: &Scenario) -> Result<Outcome, RunError> {
    caught(|| {
        let mut run = Run::new(scenario, None)?;
        run.world.oracles.measure();
        run.play()
    })
}

fn caught(play: impl FnOnce() -> Result<Outcome, RunError>) -> Result<Outcome, RunError> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "panic without a message".to_owned());
        Ok(Outcome::crashed(text))
    })
}

struct Run<'a> {
    scenario: &'a Scenario,
    group: Group,
    clocks: Vec<Clock>,
    /// All processes there were, in the order in which they started.
    processes: Vec<Process>,
    /// On each host the process that is there, and its incarnation.
    hosts: Vec<Option<(usize, u64)>>,
    world: World,
    /// When the last fault was triggered.
    trigger_us: u64,
    /// Hosts that have crashed for good.
    crashed: Vec<u16>,
    /// Crashes that wait for casts.
    waiting: Vec<(u64, u16)>,
    /// What happens when a signal comes, by the place of the signal.
    signalled: Vec<Vec<What>>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, file: Option<Box<dyn Write>>) -> Result<Self, RunError> {
        let group = Group::new(scenario)?;
        let view = group.genesis.view();
        let roster = view.roster(group.suite)?;
        let mut oracles = Oracles::new(scenario, &group, view.clone(), roster);
        let recorder = Recorder::new(scenario, file);
        if scenario.expect.p50_us.is_some() || scenario.expect.p99_us.is_some() {
            oracles.measure();
        }
        let mut world = World::new(scenario, (&view, group.peers()), oracles, recorder);
        let mut stream = Seed(scenario.seed).stream("clocks", 0);
        let hosts = scenario.hosts();
        let clocks: Vec<Clock> =
            (0..hosts).map(|_| Clock::draw(&scenario.clocks, &mut stream)).collect();
        let mut processes = Vec::new();
        for (host, clock) in (0..scenario.members).zip(&clocks) {
            let start = Start { life: host, host, joins: None, casts: None, stay_us: None };
            processes.push(Process::new(scenario, &group, &start, *clock, &mut world)?);
        }
        for process in &mut processes {
            process.schedule(&mut world);
        }
        let mut here: Vec<_> = (0..processes.len()).map(|life| Some((life, 0))).collect();
        here.resize(usize::from(hosts), None);
        let (trigger_us, waiting, signalled) = (0, Vec::new(), Vec::new());
        Ok(Self {
            scenario,
            group,
            clocks,
            processes,
            hosts: here,
            world,
            trigger_us,
            crashed: Vec::new(),
            waiting,
            signalled,
        })
    }

    fn play(mut self) -> Result<Outcome, RunError> {
        let heal_us = self.scenario.heal_at_us;
        for crash in &self.scenario.crashes {
            match (crash.at_us, &crash.after) {
                (Some(at_us), _) => self.world.queue.push(at_us, What::Crash(crash.rank)),
                (None, Some(_)) => self.signalled.push(vec![What::Crash(crash.rank)]),
                (None, None) => self.waiting.push((crash.at_casts.unwrap_or(0), crash.rank)),
            }
        }
        for pause in &self.scenario.pauses {
            let until_us = pause.at_us + pause.for_us;
            self.world.queue.push(pause.at_us, What::Pause(pause.rank, until_us));
        }
        for suspect in &self.scenario.suspects {
            let pairs = suspect.by.iter().flat_map(|by| suspect.of.iter().map(move |of| (by, of)));
            let pairs = pairs.filter(|(by, of)| by != of);
            let all = pairs.map(|(by, of)| What::Suspect(*by, *of));
            match suspect.at_us {
                Some(at_us) => all.for_each(|what| self.world.queue.push(at_us, what)),
                None => self.signalled.push(all.collect()),
            }
        }
        self.plan_comings();
        for at_us in self.world.script.releases_us().collect::<Vec<_>>() {
            self.world.queue.push(at_us, What::Release);
        }
        self.world.queue.push(heal_us.max(self.scenario.least_us), What::Check);
        let verdict = loop {
            let Some((at_us, what)) = self.world.queue.pop() else {
                break self.verdict(Some("nothing is left to happen".to_owned()));
            };
            self.world.now_us = at_us;
            if let Some(verdict) = self.take(what) {
                break verdict;
            }
            if self.world.recorder.has_failed() {
                break self.verdict(None);
            }
        };
        self.finish(verdict)
    }

    /// Takes one event; a verdict if it ends the run.
    fn take(&mut self, what: What) -> Option<Verdict> {
        match what {
            What::Frame(arrival) => {
                self.world.read((arrival.from, arrival.to), &arrival.frame);
                if let Some((life, _)) = self.hosts[usize::from(arrival.to)] {
                    let (process, world) = (&mut self.processes[life], &mut self.world);
                    process.arrive(arrival.from, arrival.frame, world);
                }
            }
            What::Crash(rank) => self.crash(rank),
            What::Release => {}
            What::Pause(rank, until_us) => {
                if let Some((life, _)) = self.hosts[usize::from(rank)] {
                    self.processes[life].pause(until_us, &mut self.world);
                }
            }
            What::Suspect(by, of) => {
                self.trigger_us = self.trigger_us.max(self.world.now_us);
                if let (Some((by, _)), Some((of, _))) =
                    (self.hosts[usize::from(by)], self.hosts[usize::from(of)])
                {
                    self.processes[by].suspect(of, &mut self.world);
                }
            }
            What::Start(_) | What::Leave(_) | What::Stop(..) | What::Return(..) => {
                if let Err(verdict) = self.comes(&what) {
                    return Some(verdict);
                }
            }
            What::Run(rank) => {
                if let Err(verdict) = self.processes[usize::from(rank)].run(&mut self.world) {
                    return Some(verdict);
                }
                self.trigger();
            }
            What::Check => {
                if let Some(verdict) = self.check() {
                    return Some(verdict);
                }
                self.world.queue.push(self.world.now_us + CHECK_US, What::Check);
            }
        }
        if let Some(text) = self.world.meter.spins() {
            return Some(Verdict::Livelock(text));
        }
        self.world.release();
        for place in self.world.script.came() {
            for what in self.signalled.get_mut(place).into_iter().flat_map(std::mem::take) {
                self.world.queue.push(self.world.now_us, what);
            }
        }
        self.broken()
    }

    /// Crashes whose number of casts has come.
    fn trigger(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (accepted, _) = self.world.oracles.totals();
        let (due, waiting) = self.waiting.drain(..).partition(|(casts, _)| *casts <= accepted);
        self.waiting = waiting;
        let due: Vec<(u64, u16)> = due;
        due.into_iter().for_each(|(_, rank)| self.crash(rank));
    }

    /// The host stops and does not come back.
    fn crash(&mut self, rank: u16) {
        self.crashed.push(rank);
        self.stop(rank);
    }

    fn stop(&mut self, rank: u16) {
        self.trigger_us = self.trigger_us.max(self.world.now_us);
        if let Some((life, _)) = self.hosts[usize::from(rank)] {
            self.processes[life].crash(&mut self.world);
        }
    }

    fn finish(mut self, verdict: Verdict) -> Result<Outcome, RunError> {
        let (fired, mut changed) = (self.fired(), BTreeMap::new());
        for (kind, times) in self.processes.iter().flat_map(Process::changed) {
            *changed.entry(*kind).or_default() += times;
        }
        let mut counters = Counters::default();
        for process in &self.processes {
            if let Some(own) = process.counters() {
                self.world.oracles.counted(&own);
                add(&mut counters, &own);
            }
        }
        if self.world.oracles.stands_at_overflow() {
            self.world.oracles.mark(Mark::OverflowHit);
        }
        let (accepted, delivered) = self.world.oracles.totals();
        Ok(Outcome {
            end_us: self.world.now_us,
            steps: self.world.steps,
            busiest: self.world.meter.busiest(),
            accepted,
            delivered,
            marks: self.world.oracles.marks(),
            is_counted: self.is_counted(),
            fired,
            changed,
            memory_permille: self.world.oracles.memory_permille(),
            tally: *self.world.network.tally(),
            counters,
            work_permille: self.world.oracles.work_permille(),
            longest_us: self.world.oracles.longest_us(),
            history: self.world.oracles.history().clone(),
            rates: self.world.oracles.take_rates(),
            hash: self.world.recorder.finish(&verdict)?,
            verdict,
        })
    }
}

fn add(sum: &mut Counters, one: &Counters) {
    // Named one by one, so that none is forgotten.
    let CryptoCounters {
        signatures,
        verifications,
        verdicts_reused,
        bad_signatures,
        hashes,
        hashed_bytes,
        macs,
    } = one.crypto;
    sum.crypto.signatures += signatures;
    sum.crypto.verifications += verifications;
    sum.crypto.verdicts_reused += verdicts_reused;
    sum.crypto.bad_signatures += bad_signatures;
    sum.crypto.hashes += hashes;
    sum.crypto.hashed_bytes += hashed_bytes;
    sum.crypto.macs += macs;
    let Counters {
        crypto: _,
        bodies,
        frames_in,
        bytes_in,
        frames_out,
        bytes_out,
        dropped_unauthenticated,
        dropped_replayed,
        dropped_closed,
        dropped_over_budget,
        dropped_other_view,
        strangers_limited,
        joins_refused,
        malformed,
        fragmented_lost,
        time_went_back,
        undrained,
    } = one;
    sum.bodies += bodies;
    sum.frames_in += frames_in;
    sum.bytes_in += bytes_in;
    sum.frames_out += frames_out;
    sum.bytes_out += bytes_out;
    sum.dropped_unauthenticated += dropped_unauthenticated;
    sum.dropped_replayed += dropped_replayed;
    sum.dropped_closed += dropped_closed;
    sum.dropped_over_budget += dropped_over_budget;
    sum.dropped_other_view += dropped_other_view;
    sum.strangers_limited += strangers_limited;
    sum.joins_refused += joins_refused;
    sum.malformed += malformed;
    sum.fragmented_lost += fragmented_lost;
    sum.time_went_back += time_went_back;
    sum.undrained += undrained;
}

#[cfg(test)]
mod tests;
