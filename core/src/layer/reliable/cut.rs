//! The end of a view: freeze at the Flush, collect the cut, close at it (R0 and R4 of protocol.md
//! section 9, and section 10).
//!
//! Promises upwards: no have is told, nor counted here, after the Flush that does not cover it, so
//! that every valid cut covers what any correct member delivered (section 13.3); and what is
//! delivered in the view is what is delivered when it closes, up to the cut and nothing beyond.
//!
//! What a faulty member can try: certify more after the Flushes (it lies above the cut and is not
//! delivered), claim haves (a quorum of claims has enough correct ones, and theirs came before
//! their Flushes), hand over nothing, or say that it lacks what it holds (all others are asked in
//! turn, and a body is given up only if all but `f` of them lack it). A cut that leaves out what
//! was delivered takes more than `f` liars: an alarm, and nothing more is delivered.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::log::{Log, Pinned};
use super::sender::{Batch, Requeue};
use super::{Body, Out, Reliable};
use crate::crypto::{Certificate, Head};
use crate::layer::Context;
use crate::member::{PerRank, Rank};
use crate::seq::{LogEnd, Number, SlotMark};
use crate::timer::Backoff;

/// How far this member has left the view.
#[derive(Debug)]
pub(super) enum Phase {
    /// It takes part.
    Open,
    /// It says nothing new any more; its Stable rows stay as they are here.
    Frozen { rows: Vec<Number> },
    /// It fetches what it misses of this cut.
    Collecting { rows: Vec<Number>, cut: PerRank<LogEnd> },
    /// It delivered the cut.
    Closed { rows: Vec<Number>, cut: PerRank<LogEnd> },
}

impl Phase {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }

    pub(super) const fn rows(&self) -> Option<&Vec<Number>> {
        match self {
            Self::Open => None,
            Self::Frozen { rows } | Self::Collecting { rows, .. } | Self::Closed { rows, .. } => {
                Some(rows)
            }
        }
    }

    /// Where a log ends, if that is known.
    pub(super) fn end(&self, sender: Rank) -> Option<LogEnd> {
        match self {
            Self::Open | Self::Frozen { .. } => None,
            Self::Collecting { cut, .. } | Self::Closed { cut, .. } => Some(*cut.at(sender)),
        }
    }
}
impl Reliable {
    /// R0: from now on no replies, no own bodies and no haves; what was told as haves stays as it
    /// is. Returns for the Flush, by rank, the highest head that is certified and held, with its
    /// certificate.
    ///
    /// If the certificate that this member knows is of a higher head, and cannot be cut down to what
    /// is held because bodies in between are missing or too many, that head is returned: it covers
    /// what was told, and whoever collects it finds it at the correct members among its signers.
    pub(crate) fn freeze(&mut self) -> Vec<(LogEnd, Option<Certificate>)> {
        assert!(self.phase.is_open(), "a member flushes once in a view");
        self.stop();
        self.logs.ranks().map(|sender| self.certified_end(sender)).collect()
    }

    /// Where a log ends, certified.
    #[cfg(test)]
    pub(crate) fn certified_head(&self, sender: Rank) -> LogEnd {
        self.certified_end(sender).0
    }

    fn certified_end(&self, sender: Rank) -> (LogEnd, Option<Certificate>) {
        let log = self.logs.at(sender);
        let nothing = (LogEnd::EMPTY, None);
        if log.have() == Number::ZERO {
            return nothing;
        }
        let exact = self.certificate(sender, log.have());
        let highest = || self.certificate(sender, log.certified().number);
        let found = exact.or_else(highest).or_else(|| log.certificate.clone());
        let Some(certificate) = found else { return nothing };
        let Head { number, hash, .. } = certificate.head;
        (LogEnd { number, hash }, Some(certificate))
    }

    /// Whether every body of the cut is held here, certified, on exactly its heads (R4).
    pub(crate) fn is_collected(&self) -> bool {
        let is_known = matches!(self.phase, Phase::Collecting { .. } | Phase::Closed { .. });
        is_known && !self.is_halted && !self.logs.ranks().any(|sender| self.is_wanting(sender))
    }

    /// How many bodies are held, certified, up to the cut or not.
    pub(crate) fn collected(&self) -> u64 {
        self.logs.values().fold(0, |sum, log| sum.saturating_add(log.have().value()))
    }

    /// Section 10, after the decision for the cut that was collected: all that is not delivered of
    /// it, in the order in which its Fifo casts are due, for [`crate::layer::total::Total::close`]
    /// to order its Total casts. Nothing is delivered any more after that.
    pub(crate) fn close(&mut self) -> Vec<Arc<Body>> {
        assert!(self.is_collected(), "a view is closed at a cut that is held");
        let phase = core::mem::replace(&mut self.phase, Phase::Open);
        let Phase::Collecting { rows, cut } = phase else {
            self.phase = phase;
            return Vec::new();
        };
        let mut remainder = Vec::new();
        for (sender, log) in self.logs.iter_mut() {
            while log.deliverable < cut.at(sender).number {
                let Some(body) = log.body(log.deliverable.next()).cloned() else { break };
                log.deliverable = body.number;
                if let SlotMark::Value(_) = body.link.slot {
                    log.unmerged.push_back(body.number);
                }
                remainder.push(body);
            }
        }
        self.phase = Phase::Closed { rows, cut };
        self.repair.stop();
        remainder
    }

    /// The own casts that are not in the cut, where `end` is that of the own log: first those that
    /// had left in bodies, then those that wait. They are cast again in the next view, and what is
    /// in the cut never is. This layer goes on answering, but has nothing left to send.
    pub(crate) fn legacy(&mut self, end: LogEnd) -> Requeue {
        self.stop();
        self.logs.values_mut().for_each(Log::rest);
        let waiting = self.sender.drain();
        let log = self.logs.at(self.me);
        // What was delivered here is in every valid cut; it is never cast again in any case.
        let mut number = end.number.max(log.deliverable);
        let mut bodies = Vec::new();
        while let Some(body) = log.body(number.next()) {
            number = body.number;
            if !body.casts.is_empty() {
                bodies.push(Batch::from(body.as_ref()));
            }
        }
        waiting.behind(bodies)
    }

    /// Puts what the view before left behind in front of all casts that wait. No event tells of it:
    /// these casts were accepted once. The queue may be over its limit by it, by no more than one
    /// sender has in flight ([`Reliable::bound_bytes`]); new casts are refused until there is room.
    pub(crate) fn requeue(&mut self, legacy: Requeue) {
        self.sender.requeue(legacy);
    }
}

impl Reliable {
    /// Nothing new is said in this view any more.
    fn stop(&mut self) {
        if self.phase.is_open() {
            self.phase = Phase::Frozen { rows: self.rows() };
            self.haves_changed = false;
            self.is_due = false;
            self.repeats.values_mut().for_each(Backoff::stop);
        }
    }

    /// R4: these heads are certified. What is missing up to them is asked for at once, and until
    /// it is here.
    pub(super) fn on_collect(&mut self, cx: &Context<'_>, cut: &[LogEnd], out: &mut Vec<Out>) {
        assert_eq!(cut.len(), self.logs.len(), "a cut has an end for every log");
        // Whoever learns of a cut without having flushed says nothing new from then on either.
        self.stop();
        let cut = PerRank::from_vec(cut.to_vec());
        let is_known =
            matches!(&self.phase, Phase::Collecting { cut: before, .. } if *before == cut);
        if is_known || self.phase.is_closed() {
            return;
        }
        self.phase = Phase::Collecting { rows: self.rows(), cut };
        for sender in self.logs.ranks() {
            if !self.enter_end(sender) {
                let number = self.logs.at(sender).deliverable;
                self.alarm(sender, number, out);
            }
            self.refresh(cx, sender, out);
        }
        for sender in self.logs.ranks() {
            if !self.is_halted && self.is_wanting(sender) {
                self.ask_at_once(cx.now, sender, out);
            }
        }
    }

    /// Enters where a log ends; `false` if that cannot be, unless more than `f` members lie: it
    /// conflicts with what is certified, or leaves out what was delivered.
    fn enter_end(&mut self, sender: Rank) -> bool {
        let Some(end) = self.phase.end(sender) else { return true };
        let limit = self.limit(sender);
        let is_active = self.is_active(sender);
        let log = self.logs.at_mut(sender);
        if end.number < log.deliverable {
            return false;
        }
        if end.number == Number::ZERO {
            return true;
        }
        let head = Head { sender, number: end.number, hash: end.hash };
        // The own log is all here: an end that is not in it was signed with a stolen key.
        let is_ours = sender != self.me || log.is_on_chain(&head);
        is_active && is_ours && log.pin(head, limit) != Pinned::Alarm
    }

    /// Whether something of the cut is missing in a log.
    pub(super) fn is_wanting(&self, sender: Rank) -> bool {
        self.phase.end(sender).is_some_and(|end| !self.logs.at(sender).reaches(&end))
    }

    /// The highest number of a log that is taken now: up to the overflow threshold, and up to the
    /// cut. The second bound never stands in the way of a member that stability waits for: its own
    /// row is at most one window above the base, and nobody is more than one window above that. One
    /// that was left behind goes on by two windows at a time, as far as the others still have them.
    pub(super) fn limit(&self, sender: Rank) -> Number {
        let end = self.phase.end(sender).map_or(Number::ZERO, |end| end.number);
        let windows = u64::from(self.limits.window_bodies).saturating_mul(2);
        let most = self.logs.at(sender).base().plus(windows);
        self.overflow(sender).max(end).min(most)
    }
}
