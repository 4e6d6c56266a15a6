//! The judges of a run: one promise per file. They import no protocol logic and know quorums from
//! a literal table ([`quorums`]).
//!
//! The first violation of each promise is kept. Safety is checked while the run goes on, what is owed
//! at its end.

pub mod agreement;
pub mod arrivals;
pub mod blame;
pub mod conflict;
pub mod delay;
pub mod fifo;
pub mod grounds;
pub mod integrity;
pub mod lasting;
pub mod memory;
pub mod order;
pub mod owed;
pub mod parting;
pub mod pledge;
pub mod progress;
pub mod quorums;
pub mod removal;
pub mod self_inclusion;
pub mod shown;
pub mod standing;
pub mod state;
pub mod succession;
pub mod suspicion;
pub mod synchrony;
pub mod views;
pub mod vows;
pub mod work;

mod changes;
mod end;
mod loading;
mod paces;

use phalanx_core::crypto::{Roster, Suite};
use phalanx_core::{Event, Fault, Order, PublicKey, Rank, Reason, Slot, Transmit, View};

use crate::adversary;
use crate::cluster::Group;
use crate::history::History;
use crate::marks::{Mark, Marks};
use crate::observe::Observer;
use crate::rates::Rates;
use crate::scenario::Scenario;
use crate::verdict::{Promise, Violation};
use crate::workload;
use agreement::Agreement;
use blame::Blame;
use changes::Changes;
use delay::Delay;
use fifo::Fifo;
use integrity::Integrity;
use memory::Memory;
use order::TotalOrder;
use owed::Window;
use shown::Shown;
use standing::Standing;
use suspicion::{Sighting, Suspicion};
use views::Views;
use work::Work;

/// A cast delivered by correct member `by`.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The place of the view, among all views of the run, that it is delivered in.
    pub view: usize,
    /// Which process delivers it.
    pub by: usize,
    /// Which process cast it.
    pub sender: usize,
    /// The body that carried it.
    pub number: u64,
    /// Its order class.
    pub order: Order,
    /// Its place in the total order.
    pub slot: Option<Slot>,
    /// The ticket of its own request.
    pub own_ticket: Option<u64>,
    /// What was cast.
    pub payload: &'a [u8],
}

#[cfg(test)]
impl Delivery<'static> {
    /// An empty cast in body `number` of `sender`, delivered by process 0 in the first view.
    const fn test(sender: usize, number: u64, order: Order) -> Self {
        let (slot, own_ticket) = (None, None);
        Self { view: 0, by: 0, sender, number, order, slot, own_ticket, payload: b"" }
    }
}

/// Index of an order class.
const fn class(order: Order) -> usize {
    match order {
        Order::Fifo => 0,
        Order::Total => 1,
    }
}

/// A body, by view, sender and number.
type BodyId = (usize, usize, u64);

/// All oracles of one run.
#[derive(Debug)]
pub struct Oracles {
    liars: Vec<bool>,
    /// Hosts whose processes lie.
    liar_hosts: Vec<u16>,
    crashed: Vec<bool>,
    is_calm: bool,
    is_within_model: bool,
    is_managed: bool,
    is_paper: bool,
    /// Whether members hand over the state of the application.
    hands_over: bool,
    /// Whether the application of some member is told to suspect others.
    is_told: bool,
    suite: Suite,
    views: Views,
    changes: Changes,
    history: History,
    /// For each process the view that each of its casts was accepted in.
    accepted_in: Vec<Vec<usize>>,
    /// What the liars do gives nobody a reason to suspect them.
    is_harmless: bool,
    window: Window,
    integrity: Integrity,
    fifo: Fifo,
    agreement: Agreement,
    order: TotalOrder,
    blame: Blame,
    memory: Memory,
    suspicion: Suspicion,
    observer: Observer,
    shown: Shown,
    delay: Delay,
    standing: Standing,
    /// A correct member was silenced or removed too often.
    hurt: Option<String>,
    work: Work,
    /// By process: the last body of which it delivered a cast, and how many there were.
    bodies: Vec<(Option<BodyId>, u64)>,
    /// Whether work takes so little time that delays have a bound.
    is_quick: bool,
    rates: Option<Box<Rates>>,
    accepted: u64,
    delivered: u64,
    violations: Vec<Violation>,
    marks: Marks,
}

impl Oracles {
    /// The oracles of a run of `scenario` in this view.
    #[must_use]
    pub fn new(scenario: &Scenario, group: &Group, view: View, roster: Roster) -> Self {
        let n = scenario.lives_max();
        let mut liars = vec![false; n];
        let members = 0..scenario.members;
        let first = scenario.liar_ranks().iter().filter(|rank| members.contains(rank));
        first.for_each(|rank| liars[usize::from(*rank)] = true);
        let is_paper = scenario.quorum == crate::scenario::Quorum::Paper;
        let quorum = quorums::quorum(scenario.members, is_paper);
        let views = Views::new(&view, &liars);
        let mut observer = Observer::new(n);
        observer.installed(views.at(0), roster.clone(), &liars, quorum);
        if view.members.len() == 1 && !liars[0] {
            observer.grounds_mut().alone(view.id());
        }
        // Those that come later count as members only once they are: [`Changes`] looks at that.
        let faulty = liars.iter().filter(|is_liar| **is_liar).count();
        Self {
            liar_hosts: scenario.liar_ranks().to_vec(),
            is_managed: !scenario.membership.is_fixed(),
            is_paper,
            hands_over: scenario.state_transfer,
            is_told: !scenario.suspects.is_empty(),
            suite: group.suite,
            changes: Changes::new(scenario, &view),
            views,
            history: History::new(scenario.members),
            accepted_in: vec![Vec::new(); n],
            crashed: vec![false; n],
            is_calm: scenario.is_calm(),
            is_within_model: !is_paper && faulty <= quorums::faulty(scenario.members),
            is_harmless: faulty <= quorums::faulty(scenario.members)
                && scenario.strategy_verdict() == Some(adversary::Verdict::Harmless),
            window: Window {
                bodies: scenario.limits.window_bodies as usize,
                bytes: scenario.limits.window_bytes as usize,
            },
            integrity: Integrity::new(n),
            fifo: Fifo::new(n),
            agreement: Agreement::new(n),
            order: TotalOrder::new(n),
            blame: Blame::new(group.genesis.clone(), view, roster),
            memory: Memory::default(),
            suspicion: Suspicion::default(),
            observer,
            liars,
            shown: Shown::new(n),
            delay: Delay::new(n, delay::bound_us(scenario, quorums::faulty(scenario.members))),
            standing: Standing::new(
                scenario.liar_ranks().len(),
                scenario.is_calm(),
                scenario.suspects.iter().flat_map(|suspect| suspect.of.iter().copied()),
                scenario.slow_hosts(quorums::faulty(scenario.members)),
            ),
            hurt: None,
            work: Work::new(scenario),
            bodies: vec![(None, 0); n],
            is_quick: scenario.is_quick(),
            rates: None,
            accepted: 0,
            delivered: 0,
            violations: Vec::new(),
            marks: Marks::default(),
        }
    }

    /// The promises broken so far, each with its first violation.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The marks so far.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        self.marks.and(self.observer.marks())
    }

    /// What happened to the views.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// An application is told to suspect somebody: that begins a change as a fault does.
    pub fn told(&mut self, now_us: u64) {
        self.history.fault(now_us);
    }

    /// Remembers a mark.
    pub const fn mark(&mut self, mark: Mark) {
        self.marks.hit(mark);
    }

    /// Takes in a member's counters at the end.
    pub const fn counted(&mut self, counters: &phalanx_core::Counters) {
        self.marks.counted(counters);
    }

    /// Casts accepted and casts delivered, by all correct members.
    #[must_use]
    pub const fn totals(&self) -> (u64, u64) {
        (self.accepted, self.delivered)
    }

    /// The highest share of its memory bound that a member held, in thousandths.
    #[must_use]
    pub const fn memory_permille(&self) -> u64 {
        self.memory.highest_permille()
    }

    fn judge(&mut self, at_us: u64, promise: Promise, result: Result<(), String>) {
        let is_known = |v: &Violation| v.promise == promise;
        if let Err(text) = result
            && !self.violations.iter().any(is_known)
            && (promise.is_always() || !self.changes.is_overrun())
        {
            self.violations.push(Violation { promise, at_us, text });
        }
    }

    /// Another process starts, which wants to be a member: host, key and incarnation; and whether
    /// its host may join. Returns its number.
    pub fn started(&mut self, life: (u16, PublicKey, u64), is_authorised: bool) -> usize {
        let (host, key, incarnation) = life;
        let is_liar = self.liar_hosts.contains(&host);
        let process = self.views.started(views::Life { host, key, incarnation, is_liar });
        self.liars[process] = is_liar;
        self.changes.started(process, is_authorised);
        if is_authorised {
            self.observer.grounds_mut().authorised(key);
        }
        process
    }

    /// The application of `process` has it leave.
    pub fn leaves(&mut self, process: usize) {
        self.changes.parting.asked(process);
    }

    /// `process` stopped for ever.
    pub fn crashed(&mut self, now_us: u64, process: usize) {
        self.history.fault(now_us);
        self.shown.stopped(process, self.views.newest().1.view.number);
        self.crashed[process] = true;
    }

    /// The process that `by` means by this rank, in the view that it is in.
    fn process(&self, by: usize, rank: Rank) -> Option<usize> {
        self.views.present(by).process(rank)
    }

    /// The rank by which `by` knows this process, in the view that it is in.
    #[must_use]
    pub fn rank(&self, by: usize, process: usize) -> Option<Rank> {
        self.views.present(by).rank(process)
    }

    /// The rank of this process in the newest view.
    #[must_use]
    pub fn newest_rank(&self, process: usize) -> Option<Rank> {
        self.views.newest().1.rank(process)
    }

    /// Correct member `sender` asks for a cast.
    pub fn attempted(
        &mut self,
        now_us: u64,
        sender: usize,
        (index, order, len): (u32, Order, usize),
    ) {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        self.asked(now_us, sender, at);
        self.accepted_in[sender].truncate(at);
        self.accepted_in[sender].push(self.views.place(sender));
        self.integrity.attempted(sender, index, order, len);
        self.fifo.attempted(sender, index, order);
    }

    /// The cast that was just asked for was taken or refused.
    pub fn answered(&mut self, now_us: u64, sender: usize, order: Order, is_accepted: bool) {
        if is_accepted {
            self.accepted += 1;
            self.taken(now_us, sender, order);
        } else {
            self.marks.hit(Mark::CastRefused);
            self.integrity.refused(sender);
            self.fifo.refused(sender, order);
        }
    }

    /// Correct member `by` sends a frame.
    pub fn frame(&mut self, now_us: u64, by: usize, to: usize, transmit: &Transmit) {
        let result = self.observer.frame(by, to, transmit);
        self.judge(now_us, Promise::Conflict, result);
    }

    /// Correct member `by` holds a Proof.
    pub fn fault(&mut self, now_us: u64, by: usize, fault: &Fault) {
        let view = self.views.by_id(&fault.proof.view);
        let process = view.and_then(|(_, record)| record.process(fault.culprit));
        let is_liar = process.is_some_and(|process| self.liars[process]);
        self.marks.proven(fault.proof.kind());
        if let Some(process) = process {
            self.blames(now_us, process);
        }
        let result = self.blame.fault(by, fault, process, is_liar);
        self.judge(now_us, Promise::P9, result);
        self.observer.grounds_mut().suspected(fault.proof.view, fault.culprit);
    }

    /// Correct member `member` says how much it holds.
    pub fn memory(&mut self, now_us: u64, member: usize, reading: (usize, usize)) {
        let result = self.memory.read(member, reading.0, reading.1);
        self.judge(now_us, Promise::P10, result);
    }

    /// Correct member `by` tells its application something. Ranks are those of the view that it is
    /// in.
    pub fn event(&mut self, now_us: u64, by: usize, event: &Event) {
        match event {
            Event::Cast { view, sender, number, order, slot, own_ticket, payload } => {
                if !self.views.has_entered(by) {
                    let text = format!("process {by} delivers before it is a member");
                    return self.judge(now_us, Promise::P5, Err(text));
                }
                let (place, is_there) = self.delivers_in(now_us, by, *view);
                let Some(sender) = self.views.at(place).process(*sender) else { return };
                let delivery = Delivery {
                    view: place,
                    by,
                    sender,
                    number: number.value(),
                    order: *order,
                    slot: *slot,
                    own_ticket: own_ticket.map(|ticket| ticket.0),
                    payload,
                };
                self.delivery(now_us, &delivery, is_there);
            }
            Event::Suspected { subject, by: suspecter, reason } => {
                self.suspicion(now_us, by, (*suspecter, *subject), *reason);
            }
            Event::Alarm { sender, number } if self.is_within_model => {
                let text = format!("member {by} raised it over body {number} of {sender}");
                self.judge(now_us, Promise::Alarm, Err(text));
            }
            Event::LinkClosed { peer, why } => {
                self.marks.hit(Mark::LinkClosed);
                if self.process(by, *peer).is_some_and(|process| !self.liars[process]) {
                    let text = format!("member {by} closed its link with correct {peer}: {why}");
                    self.judge(now_us, Promise::P9, Err(text));
                }
            }
            Event::Writable => self.marks.hit(Mark::Writable),
            Event::StateLost => self.state_lost(now_us, by),
            Event::Resumed { view } => self.resumed(now_us, by, *view),
            Event::State { .. } => self.changes.state.piece(by),
            Event::SnapshotReleased { view } => self.changes.state.released(by, *view),
            Event::StateLoaded { view, .. } => self.state_loaded(now_us, by, *view),
            Event::View(view) => self.installed(now_us, by, view),
            Event::Block => self.changes.progress.blocked(by, true),
            Event::Unblock => self.changes.progress.blocked(by, false),
            Event::Excluded { why, decision, lost } => {
                self.excluded(now_us, by, (*why, &decision.view), lost);
            }
            Event::TransitionalView { attempt } => {
                self.marks.hit(Mark::TransitionalView);
                self.history.abandoned(self.views.place(by), *attempt);
            }
            Event::NoQuorum { .. } => self.marks.hit(Mark::NoQuorum),
            Event::Alarm { .. }
            | Event::MustStay
            | Event::Fork { .. }
            | Event::Spent { .. }
            | Event::Joining { .. }
            | Event::JoinWanted { .. }
            | Event::Accepted(_)
            | Event::Refused(..)
            | Event::Send { .. }
            | Event::SendFailed { .. }
            | Event::Resilience { .. }
            | Event::BeyondRepair { .. }
            | Event::SnapshotWanted { .. }
            | Event::ChunkWanted { .. }
            | Event::SnapshotDiverged { .. }
            | Event::StateTooLarge { .. }
            | Event::StateStalled { .. } => {}
        }
    }

    /// Member `by` tells that one suspects another.
    fn suspicion(
        &mut self,
        now_us: u64,
        by: usize,
        (suspecter, subject): (Rank, Rank),
        reason: Reason,
    ) {
        let processes = (self.process(by, suspecter), self.process(by, subject));
        let (Some(suspecter), Some(process)) = processes else { return };
        self.history.suspected(now_us, self.views.place(by), by, (suspecter, process));
        if !self.liars[suspecter] {
            let view = self.views.present(by).id;
            self.observer.grounds_mut().suspected(view, subject);
        }
        let sighting = Sighting { observer: by, by: suspecter, subject: process, reason };
        self.suspected(now_us, sighting);
    }

    fn delivery(&mut self, now_us: u64, delivery: &Delivery<'_>, is_there: bool) {
        let is_correct = !self.liars[delivery.sender];
        self.delivered += u64::from(is_correct);
        self.shown.delivered(delivery.view);
        self.paced(now_us, delivery);
        let result = self.changes.delivered(delivery, is_there);
        self.judge(now_us, Promise::P5, result);
        if let Some(ticket) = delivery.own_ticket {
            let at = usize::try_from(ticket).unwrap_or(usize::MAX);
            if self.accepted_in[delivery.by].get(at).is_some_and(|view| *view < delivery.view) {
                self.marks.hit(Mark::CastsRequeued);
            }
        }
        if is_correct {
            let result = self.integrity.delivered(delivery);
            self.judge(now_us, Promise::P1, result);
            if let Some((_, index)) = workload::identify(delivery.payload) {
                let result = self.changes.parting.delivered(delivery.sender, index);
                self.judge(now_us, Promise::P1, result);
            }
        }
        let result = self.fifo.delivered(delivery, is_correct);
        self.judge(now_us, Promise::P2, result);
        let result = self.agreement.delivered(delivery);
        self.judge(now_us, Promise::P3, result);
        if delivery.order == Order::Total {
            let result = self.order.delivered(delivery);
            self.judge(now_us, Promise::P4, result);
        }
    }

    fn suspected(&mut self, now_us: u64, sighting: Sighting) {
        if self.liars[sighting.by] {
            return;
        }
        self.marks.suspected(sighting.reason);
        self.blames(now_us, sighting.subject);
        // A liar that gives no other reason may still be slow.
        let is_slow = sighting.reason == Reason::Slow;
        let is_liar = self.liars[sighting.subject] && (is_slow || !self.is_harmless);
        let is_gone =
            self.crashed[sighting.subject] || self.changes.inclusion.is_out(sighting.subject);
        let is_ordered = self.is_told && sighting.reason == Reason::Application;
        let is_innocent = !is_liar && !is_gone && !is_ordered;
        self.changes.suspected(self.views.place(sighting.observer), &sighting);
        // Where no quorum is left nobody can do what is due.
        let present = self.views.present(sighting.by);
        let is_calm = self.is_calm && self.shown.is_owed(present, &self.liars, self.is_paper);
        let result = self.suspicion.seen(now_us, sighting, is_innocent, is_calm);
        self.judge(now_us, Promise::Suspicion, result);
    }
}

#[cfg(test)]
mod tests;
