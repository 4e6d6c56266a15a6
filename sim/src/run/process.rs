//! One process at work: a correct node, a liar, or nobody any more.

use std::collections::{BTreeMap, VecDeque};

use phalanx_core::wire::frame::is_stranger;
use phalanx_core::{
    ConfigError, Counters, Hash32, Input, Node, Order, PeerId, Request, Ticket, Time, Transmit,
    peek_sender,
};

use super::queue::What;
use super::stepped::Stepped;
use super::world::World;
use crate::adversary::Liar;
use crate::application::Application;
use crate::clock::Clock;
use crate::cluster::Group;
use crate::oracle::work::Spent;
use crate::rng::Seed;
use crate::scenario::{Kind, Scenario};
use crate::verdict::Verdict;
use crate::workload::Source;

/// Frames read before a Tick that is due, however many are at hand.
const FRAMES_PER_TICK: u32 = 512;

/// Bytes that wait for a member that is busy or frozen; what comes then is lost.
const INBOX_BYTES: usize = 8 * 1024 * 1024;

/// The ticket of every suspicion of the application; casts have tickets from 0.
const SUSPECT_TICKET: u64 = 1 << 62;

/// The ticket of its wish to leave.
const LEAVE_TICKET: u64 = 1 << 61;

/// The ticket of whatever it hands over of its state.
const STATE_TICKET: u64 = 1 << 60;

/// How long it takes a runtime to start a process again.
const REJOIN_US: u64 = 200_000;

/// The most peers of which it is remembered where their strangers' frames came from.
const HEARD_MAX: usize = 256;

/// Which process is to be started.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Its number among all processes of the run.
    pub(super) life: u16,
    /// Where it runs.
    pub(super) host: u16,
    /// `None` for a member of the genesis view; otherwise its incarnation and whom it asks.
    pub(super) joins: Option<(u64, Vec<u16>)>,
    /// Casts, if other than those of the workload.
    pub(super) casts: Option<u32>,
    /// How long it stays once it is a member.
    pub(super) stay_us: Option<u64>,
}

#[derive(Debug)]
enum Actor {
    Node(Box<Node>),
    Liar(Box<Liar>),
    Gone,
}

impl Actor {
    fn deadline(&self) -> Option<Time> {
        match self {
            Self::Node(node) => node.deadline(),
            Self::Liar(liar) => liar.deadline(),
            Self::Gone => None,
        }
    }
}

/// A member with what is around it.
#[derive(Debug)]
pub(super) struct Process {
    /// Its number for ever; its rank changes with the view.
    index: u16,
    /// Where it runs.
    host: u16,
    /// Whether it is, or was, a member.
    has_entered: bool,
    stay_us: Option<u64>,
    /// Where the last stranger's frame that named a peer came from.
    heard: BTreeMap<PeerId, u16>,
    actor: Actor,
    /// When the actor is owed its next Tick, as of its last step.
    due: Option<Time>,
    clock: Clock,
    source: Source,
    application: Application,
    /// Frames that wait, each with the host that it came from.
    inbox: VecDeque<(u16, Vec<u8>)>,
    inbox_bytes: usize,
    frames_read: u32,
    /// Of the present moment: which, and how many Ticks.
    ticks: (u64, u32),
    busy_until_us: u64,
    /// Work of less than a microsecond, not yet paid.
    debt_ns: u64,
    paid: Counters,
    paused_until_us: u64,
    /// The turn that counts; others in the queue are stale.
    turn_us: Option<u64>,
    transmits: Vec<Transmit>,
    payload: Vec<u8>,
}

impl Process {
    pub(super) fn new(
        scenario: &Scenario,
        group: &Group,
        start: &Start,
        clock: Clock,
        world: &mut World,
    ) -> Result<Self, ConfigError> {
        let Start { life: index, host, .. } = *start;
        let now = clock.local(world.now_us);
        let is_first = start.joins.as_ref().is_none_or(|(incarnation, _)| *incarnation == 0);
        let liar = if is_first { group.liar(scenario, host, now)? } else { None };
        let is_liar = liar.is_some();
        let actor = if let Some(liar) = liar {
            Actor::Liar(Box::new(liar))
        } else if let Some((incarnation, contacts)) = &start.joins {
            world.recorder.join(index, now, (host, *incarnation), contacts);
            Actor::Node(Box::new(group.joiner(host, *incarnation, contacts, now)?))
        } else {
            world.recorder.boot(index, now);
            Actor::Node(Box::new(group.node(index, now)?))
        };
        let mut workload = scenario.workload;
        workload.casts = start.casts.unwrap_or(workload.casts);
        if host < workload.silent || (is_liar && start.joins.is_some()) {
            workload.casts = 0;
        }
        let stream = Seed(scenario.seed).stream("workload", u64::from(index));
        Ok(Self {
            index,
            host,
            has_entered: start.joins.is_none(),
            stay_us: start.stay_us,
            heard: BTreeMap::new(),
            due: actor.deadline(),
            actor,
            clock,
            source: Source::new(index, workload, stream),
            application: application(scenario, start),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            frames_read: 0,
            ticks: (0, 0),
            busy_until_us: 0,
            debt_ns: 0,
            paid: Counters::default(),
            paused_until_us: 0,
            turn_us: None,
            transmits: Vec::new(),
            payload: Vec::new(),
        })
    }

    /// Whether it is, or was, a member.
    pub(super) const fn has_entered(&self) -> bool {
        self.has_entered
    }

    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    /// The hash of the state of its application, if that hands over any and has it.
    pub(super) fn state(&self) -> Option<Hash32> {
        self.application.state()
    }

    /// How often it lied; 0 for a correct member.
    pub(super) fn fired(&self) -> u64 {
        match &self.actor {
            Actor::Liar(liar) => liar.fired(),
            Actor::Node(_) | Actor::Gone => 0,
        }
    }

    /// How often it changed a message of each kind.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&Kind, &u64)> {
        let changed = match &self.actor {
            Actor::Liar(liar) => Some(liar.changed()),
            Actor::Node(_) | Actor::Gone => None,
        };
        changed.into_iter().flatten()
    }

    /// Whether it lied, and the view did not end before others could hear it.
    pub(super) fn was_heard(&self) -> bool {
        match &self.actor {
            Actor::Liar(liar) => liar.was_heard(),
            Actor::Node(_) | Actor::Gone => false,
        }
    }

    /// What a correct member counted.
    pub(super) fn counters(&self) -> Option<Counters> {
        match &self.actor {
            Actor::Node(node) => Some(node.counters()),
            Actor::Liar(_) | Actor::Gone => None,
        }
    }

    /// Stops for ever.
    pub(super) fn crash(&mut self, world: &mut World) {
        if matches!(self.actor, Actor::Node(_)) {
            world.oracles.crashed(world.now_us, usize::from(self.index));
        }
        self.actor = Actor::Gone;
        self.due = None;
        self.application = Application::none();
        self.inbox.clear();
        self.turn_us = None;
    }

    /// Freezes until then.
    pub(super) fn pause(&mut self, until_us: u64, world: &mut World) {
        self.paused_until_us = until_us;
        self.turn_us = None;
        self.schedule(world);
    }

    /// Its application suspects a process, if that is a member of the view that it is in.
    pub(super) fn suspect(&mut self, of: usize, world: &mut World) {
        let by = usize::from(self.index);
        let is_correct = matches!(self.actor, Actor::Node(_));
        let rank = match is_correct {
            true if !self.has_entered => None,
            true => world.oracles.rank(by, of),
            false => world.oracles.newest_rank(of),
        };
        if let Some(member) = rank {
            if is_correct {
                world.oracles.told(world.now_us);
            }
            self.step(Input::Request(Ticket(SUSPECT_TICKET), Request::Suspect { member }), world);
            self.schedule(world);
        }
    }

    /// Its application has it leave.
    pub(super) fn leave(&mut self, world: &mut World) {
        if matches!(self.actor, Actor::Node(_)) {
            let answer = self.step(Input::Request(Ticket(LEAVE_TICKET), Request::Leave), world);
            if answer == Some(true) {
                world.oracles.leaves(usize::from(self.index));
            }
            self.schedule(world);
        }
    }

    /// A frame arrives from a host.
    pub(super) fn arrive(&mut self, from: u16, frame: Vec<u8>, world: &mut World) {
        if is_stranger(&frame)
            && let Some(peer) = peek_sender(&frame)
            && (self.heard.len() < HEARD_MAX || self.heard.contains_key(&peer))
        {
            self.heard.insert(peer, from);
        }
        let is_gone = matches!(self.actor, Actor::Gone);
        if is_gone || self.inbox_bytes + frame.len() > INBOX_BYTES {
            world.recycle(frame);
            return;
        }
        self.inbox_bytes += frame.len();
        self.inbox.push_back((from, frame));
        self.turn_at(world.now_us, world);
    }

    /// Has its turn at `at_us`, or when it is able to.
    fn turn_at(&mut self, at_us: u64, world: &mut World) {
        let at_us = at_us.max(world.now_us).max(self.busy_until_us).max(self.paused_until_us);
        if self.turn_us.is_none_or(|turn| at_us < turn) {
            self.turn_us = Some(at_us);
            world.queue.push(at_us, What::Run(self.index));
        }
    }

    /// Its next turn is when there is something to do.
    pub(super) fn schedule(&mut self, world: &mut World) {
        let deadline = self.due.map(|deadline| self.clock.global(deadline));
        let cast = self.casts_due_us();
        let frame = (!self.inbox.is_empty()).then_some(world.now_us);
        let state = self.application.due_us();
        if let Some(at_us) = [deadline, cast, state, frame].into_iter().flatten().min() {
            self.turn_at(at_us, world);
        }
    }

    fn casts_due_us(&self) -> Option<u64> {
        let may_cast = self.has_entered && !matches!(self.actor, Actor::Gone);
        if may_cast { self.source.due_us() } else { None }
    }

    /// Its turn: everything there is to do now.
    ///
    /// # Errors
    /// If something is wrong with the run.
    pub(super) fn run(&mut self, world: &mut World) -> Result<(), Verdict> {
        let now_us = world.now_us;
        if self.turn_us != Some(now_us) {
            return Ok(());
        }
        self.turn_us = None;
        if self.ticks.0 != now_us {
            self.ticks = (now_us, 0);
        }
        while self.busy_until_us <= now_us && self.work(world)? {}
        self.schedule(world);
        Ok(())
    }

    /// One step, if there is anything to do now.
    fn work(&mut self, world: &mut World) -> Result<bool, Verdict> {
        let now_us = world.now_us;
        if let Some(text) = world.meter.spins() {
            return Err(Verdict::Livelock(text));
        }
        if self.casts_due_us().is_some_and(|due_us| due_us <= now_us) {
            self.cast(world)?;
            return Ok(true);
        }
        if let Some(reply) = self.application.reply(now_us) {
            self.step(Input::Request(Ticket(STATE_TICKET), reply.request()), world);
            return Ok(true);
        }
        let local = self.clock.local(now_us);
        let is_due = self.due.is_some_and(|deadline| deadline <= local);
        if (self.frames_read < FRAMES_PER_TICK || !is_due)
            && let Some((from, frame)) = self.inbox.pop_front()
        {
            self.inbox_bytes -= frame.len();
            self.frames_read += 1;
            let before = self.counters();
            self.step(Input::Frame(&frame), world);
            self.worked(from, frame.len(), before, world);
            world.recycle(frame);
            return Ok(true);
        }
        if !is_due {
            return Ok(false);
        }
        self.frames_read = 0;
        self.ticks.1 += 1;
        world.meter.tick(now_us, self.index, self.ticks.1);
        self.step(Input::Tick, world);
        Ok(true)
    }

    /// The frame of a host that it has just read made it work.
    fn worked(&self, from: u16, len: usize, before: Option<Counters>, world: &mut World) {
        let (Some(before), Some(after)) = (before, self.counters()) else { return };
        let (a, b) = (before.crypto, after.crypto);
        let spent = Spent {
            checks: b.verifications.saturating_sub(a.verifications),
            hashes: b.hashes.saturating_sub(a.hashes),
            hashed_bytes: b.hashed_bytes.saturating_sub(a.hashed_bytes),
            bytes_in: len as u64,
        };
        let pair = (usize::from(self.index), from);
        world.oracles.worked(world.now_us, pair, spent, after.bodies);
    }

    /// The application casts.
    fn cast(&mut self, world: &mut World) -> Result<(), Verdict> {
        let mut payload = std::mem::take(&mut self.payload);
        let (index, order) = self.source.next(&mut payload);
        let ticket = Ticket(u64::from(index));
        let process = usize::from(self.index);
        let is_correct = matches!(self.actor, Actor::Node(_));
        if is_correct {
            world.oracles.attempted(world.now_us, process, (index, order, payload.len()));
        }
        let request = Request::Cast { order, payload: &payload };
        let answer = self.step(Input::Request(ticket, request), world);
        self.payload = payload;
        self.answered(ticket, order, if is_correct { answer } else { Some(true) }, world)
    }

    fn answered(
        &mut self,
        ticket: Ticket,
        order: Order,
        answer: Option<bool>,
        world: &mut World,
    ) -> Result<(), Verdict> {
        let Some(is_accepted) = answer else {
            let text = format!("member {} did not answer request {ticket:?}", self.index);
            return Err(Verdict::Crash(text));
        };
        if matches!(self.actor, Actor::Node(_)) {
            let process = usize::from(self.index);
            world.oracles.answered(world.now_us, process, order, is_accepted);
        }
        if is_accepted {
            self.source.accepted(world.now_us);
        } else {
            self.source.refused();
        }
        Ok(())
    }

    /// Steps the node or liar; whether a request was accepted, if one was answered.
    fn step(&mut self, input: Input<'_>, world: &mut World) -> Option<bool> {
        world.steps += 1;
        world.meter.step(world.now_us, self.index);
        let local = self.clock.local(world.now_us);
        let is_correct = matches!(self.actor, Actor::Node(_));
        world.recorder.input(self.index, local, &input, is_correct);
        let answer = match &mut self.actor {
            Actor::Gone => None,
            Actor::Liar(liar) => {
                for sent in liar.step(local, input) {
                    if !world.meter.output(self.index) {
                        break;
                    }
                    world.recorder.sent(&sent);
                    world.lie(self.host, sent.to, sent.frame);
                }
                None
            }
            Actor::Node(node) => {
                let mut outcome =
                    Stepped { process: usize::from(self.index), ..Stepped::default() };
                let takers = &mut (&mut self.application, &mut self.transmits);
                for output in node.step(local, input) {
                    if !world.may_put_out(self.index) {
                        break;
                    }
                    outcome.take(output, (takers.0, takers.1), world);
                }
                if let (Input::Request(Ticket(STATE_TICKET), _), Some(why)) =
                    (input, outcome.refusal)
                    && let Some(moment) = self.application.refused(why)
                {
                    world.oracles.moment(world.now_us, outcome.process, moment);
                }
                world.oracles.settled(world.now_us, outcome.process);
                world.oracles.memory(world.now_us, usize::from(self.index), node.memory());
                if outcome.is_writable {
                    self.source.writable();
                }
                if outcome.is_out && world.rejoins {
                    world.pending += 1;
                    let what = What::Return(self.host, usize::from(self.index));
                    world.queue.push(world.now_us + REJOIN_US, what);
                }
                if outcome.has_view && !self.has_entered {
                    self.enters(world);
                }
                self.pay(world);
                outcome.answer
            }
        };
        self.due = self.actor.deadline();
        world.recorder.end();
        let at_us = self.busy_until_us.max(world.now_us);
        for transmit in std::mem::take(&mut self.transmits) {
            for to in self.route(&transmit, world).into_iter().flatten() {
                world.transmit(at_us, (self.index, self.host), to, &transmit);
            }
        }
        answer
    }

    /// Where a frame goes: that of a stranger as [`Transmit`] says.
    fn route(&self, transmit: &Transmit, world: &World) -> [Option<u16>; 2] {
        let to = transmit.to;
        if !transmit.is_stranger() {
            return [world.host(to), None];
        }
        let Actor::Node(node) = &self.actor else { return [None; 2] };
        let is_known = node.peers().any(|(peer, ..)| peer == to);
        let known = world.host(to).filter(|_| is_known);
        let heard = self.heard.get(&to).copied();
        [known, heard.filter(|_| heard != known)]
    }

    /// It is a member for the first time.
    fn enters(&mut self, world: &mut World) {
        self.has_entered = true;
        self.source.begin(world.now_us);
        if let Some(stay_us) = self.stay_us {
            world.pending += 1;
            world.queue.push(world.now_us + stay_us, What::Leave(self.host));
        }
    }

    /// The work since it last paid takes its time.
    fn pay(&mut self, world: &World) {
        let Actor::Node(node) = &self.actor else { return };
        if world.cost.is_zero() {
            return;
        }
        let counters = node.counters();
        let owed_ns = self.debt_ns + world.cost.between(&self.paid, &counters);
        self.paid = counters;
        self.debt_ns = owed_ns % 1_000;
        self.busy_until_us = self.busy_until_us.max(world.now_us) + owed_ns / 1_000;
    }
}

/// What takes in what the process that is to be started is delivered.
fn application(scenario: &Scenario, start: &Start) -> Application {
    let least = scenario.state_transfer.then_some(scenario.state_bytes);
    let stream = Seed(scenario.seed).stream("application", u64::from(start.life));
    Application::new(least, scenario.state_delay_us, start.joins.is_some(), stream)
}
