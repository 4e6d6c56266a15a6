//! The judges of a run: one promise per file. They import no protocol logic and know quorums from
//! a literal table ([`quorums`]).
//!
//! The first violation of each promise is kept. Everything is checked while the run goes on, apart
//! from what is owed at its end ([`owed`], [`agreement`], [`suspicion`]).

pub mod agreement;
pub mod blame;
pub mod conflict;
pub mod fifo;
pub mod integrity;
pub mod memory;
pub mod order;
pub mod owed;
pub mod quorums;
pub mod suspicion;

use phalanx_core::crypto::Roster;
use phalanx_core::{Event, Fault, Order, Slot, Transmit, View};

use crate::adversary::{self, Strategy};
use crate::marks::{Mark, Marks};
use crate::observe::Observer;
use crate::scenario::Scenario;
use crate::verdict::{Promise, Violation};
use agreement::Agreement;
use blame::Blame;
use fifo::Fifo;
use integrity::Integrity;
use memory::Memory;
use order::TotalOrder;
use owed::Window;
use suspicion::{Sighting, Suspicion};

/// A cast delivered by correct member `by`.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Who delivers it.
    pub by: usize,
    /// Who cast it.
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

/// Index of an order class.
const fn class(order: Order) -> usize {
    match order {
        Order::Fifo => 0,
        Order::Total => 1,
    }
}

/// All oracles of one run.
#[derive(Debug)]
pub struct Oracles {
    n: usize,
    liars: Vec<bool>,
    crashed: Vec<bool>,
    is_calm: bool,
    is_within_model: bool,
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
    accepted: u64,
    delivered: u64,
    violations: Vec<Violation>,
    marks: Marks,
}

impl Oracles {
    /// The oracles of a run of `scenario` in this view.
    #[must_use]
    pub fn new(scenario: &Scenario, view: View, roster: Roster) -> Self {
        let n = usize::from(scenario.members);
        let mut liars = vec![false; n];
        scenario.liar_ranks().iter().for_each(|rank| liars[usize::from(*rank)] = true);
        let is_paper = scenario.quorum == crate::scenario::Quorum::Paper;
        let quorum = quorums::quorum(scenario.members, is_paper);
        let faulty = scenario.liar_ranks().len();
        Self {
            n,
            crashed: vec![false; n],
            is_calm: scenario.is_calm(),
            is_within_model: !is_paper && faulty <= quorums::faulty(scenario.members),
            is_harmless: faulty <= quorums::faulty(scenario.members)
                && scenario.strategy().map(Strategy::verdict) == Some(adversary::Verdict::Harmless),
            window: Window {
                bodies: scenario.limits.window_bodies as usize,
                bytes: scenario.limits.window_bytes as usize,
            },
            integrity: Integrity::new(n),
            fifo: Fifo::new(n),
            agreement: Agreement::new(n),
            order: TotalOrder::new(n),
            blame: Blame::new(view, roster.clone()),
            memory: Memory::default(),
            suspicion: Suspicion::default(),
            observer: Observer::new(roster, liars.clone(), quorum),
            liars,
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
        {
            self.violations.push(Violation { promise, at_us, text });
        }
    }

    /// `rank` stopped for ever.
    pub fn crashed(&mut self, rank: usize) {
        self.crashed[rank] = true;
    }

    /// Correct member `sender` asks for a cast.
    pub fn attempted(&mut self, sender: usize, index: u32, order: Order, len: usize) {
        self.integrity.attempted(sender, index, order, len);
        self.fifo.attempted(sender, index, order);
    }

    /// The cast that was just asked for was taken or refused.
    pub fn answered(&mut self, sender: usize, order: Order, is_accepted: bool) {
        if is_accepted {
            self.accepted += 1;
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
        let is_liar = self.liars.get(fault.culprit.index()).copied().unwrap_or(false);
        self.marks.proven(fault.proof.kind());
        let result = self.blame.fault(by, fault, is_liar);
        self.judge(now_us, Promise::P9, result);
    }

    /// Correct member `member` says how much it holds.
    pub fn memory(&mut self, now_us: u64, member: usize, reading: (usize, usize)) {
        let result = self.memory.read(member, reading.0, reading.1);
        self.judge(now_us, Promise::P10, result);
    }

    /// Correct member `by` tells its application something.
    pub fn event(&mut self, now_us: u64, by: usize, event: &Event) {
        match event {
            Event::Cast { sender, number, order, slot, own_ticket, payload, .. } => {
                let delivery = Delivery {
                    by,
                    sender: sender.index(),
                    number: number.value(),
                    order: *order,
                    slot: *slot,
                    own_ticket: own_ticket.map(|ticket| ticket.0),
                    payload,
                };
                self.delivery(now_us, &delivery);
            }
            Event::Suspected { subject, by: suspecter, reason } => {
                let sighting = Sighting {
                    observer: by,
                    by: suspecter.index(),
                    subject: subject.index(),
                    reason: *reason,
                };
                self.suspected(now_us, sighting);
            }
            Event::Alarm { sender, number } if self.is_within_model => {
                let text = format!("member {by} raised it over body {number} of {sender}");
                self.judge(now_us, Promise::Alarm, Err(text));
            }
            Event::LinkClosed { peer, why } => {
                self.marks.hit(Mark::LinkClosed);
                if !self.liars[peer.index()] {
                    let text = format!("member {by} closed its link with correct {peer}: {why}");
                    self.judge(now_us, Promise::P9, Err(text));
                }
            }
            Event::Writable => self.marks.hit(Mark::Writable),
            Event::Alarm { .. }
            | Event::Accepted(_)
            | Event::Refused(..)
            | Event::View(_)
            | Event::Send { .. }
            | Event::SendFailed { .. } => {}
            _ => {}
        }
    }

    fn delivery(&mut self, now_us: u64, delivery: &Delivery<'_>) {
        self.delivered += 1;
        let is_correct = !self.liars[delivery.sender];
        if is_correct {
            let result = self.integrity.delivered(delivery);
            self.judge(now_us, Promise::P1, result);
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
        let is_liar = self.liars[sighting.subject] && !self.is_harmless;
        let is_innocent = !is_liar && !self.crashed[sighting.subject];
        let result = self.suspicion.seen(now_us, sighting, is_innocent, self.is_calm);
        self.judge(now_us, Promise::Suspicion, result);
    }

    /// The correct members that are still there.
    #[must_use]
    pub fn present(&self) -> Vec<usize> {
        (0..self.n).filter(|rank| !self.liars[*rank] && !self.crashed[*rank]).collect()
    }

    /// What is owed and still missing, if anything; see [`owed`].
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let present = self.present();
        let is_whole = present.len() == self.n;
        self.agreement.missing(&present).or_else(|| {
            present.iter().find_map(|sender| {
                let cast = self.fifo.cast(*sender, Order::Fifo);
                if is_whole {
                    let total = self.fifo.cast(*sender, Order::Total);
                    return owed::missing(&self.fifo, &present, *sender, Order::Fifo, cast)
                        .or_else(|| {
                            owed::missing(&self.fifo, &present, *sender, Order::Total, total)
                        });
                }
                let opened = self.observer.opened(*sender);
                let bytes = self.integrity.cast_bytes(*sender);
                let owed = owed::fifo_owed(cast, bytes, opened, self.window);
                owed::missing(&self.fifo, &present, *sender, Order::Fifo, owed)
            })
        })
    }

    /// Whether some correct member opened all bodies of a window that stands still.
    #[must_use]
    pub fn stands_at_overflow(&self) -> bool {
        let present = self.present();
        present.len() < self.n
            && present
                .iter()
                .any(|sender| self.observer.opened(*sender).1 + 1 >= self.window.bodies)
    }

    /// Which suspicion or Proof is still missing against `culprit`, of which `verdict` is due.
    #[must_use]
    pub fn undetected(&self, culprit: usize, verdict: adversary::Verdict) -> Option<String> {
        match verdict {
            adversary::Verdict::Suspected => self.suspicion.missing(&self.present(), culprit),
            adversary::Verdict::Proven => {
                let (holders, present) = (self.blame.holders(culprit), self.present().len());
                (holders < present).then(|| {
                    format!("{holders} of {present} members hold a Proof against {culprit}")
                })
            }
            adversary::Verdict::Harmless | adversary::Verdict::MayBeProven => None,
        }
    }
}
