//! What the layers tell each other: each output of one becomes an input of another, a post or an
//! event.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Stack, Step};
use crate::crypto::Reason;
use crate::fault::LinkFault;
use crate::input::Order;
use crate::layer::lag::HoldsBack;
use crate::layer::reliable::{self, Body};
use crate::layer::{Post, To, group, inter, lag, pt2pt, stable, suspect, total};
use crate::member::{PerRank, Rank};
use crate::output::{Event, Fault, Output};
use crate::seq::{Number, Round, Slot};
use crate::wire::Part;

impl Stack {
    pub(super) fn run_pt2pt(
        &mut self,
        step: &mut Step<'_>,
        input: pt2pt::In<'_>,
    ) -> Result<(), LinkFault> {
        let mut verdict = Ok(());
        for out in self.pt2pt.step(step.cx.now, input) {
            match out {
                pt2pt::Out::Part { to, part } => {
                    step.posts.push(Post::part(To::One(to), Part::Pt2pt(part)));
                }
                pt2pt::Out::Deliver { from, payload } => {
                    step.event(Event::Send { sender: from, payload });
                }
                pt2pt::Out::Accepted(ticket) => step.event(Event::Accepted(ticket)),
                pt2pt::Out::Refused(ticket, why) => step.event(Event::Refused(ticket, why)),
                pt2pt::Out::Failed { to, ticket } => step.event(Event::SendFailed { to, ticket }),
                pt2pt::Out::Writable => step.event(Event::Writable),
                pt2pt::Out::Misbehaved { .. } => verdict = Err(LinkFault::Window),
            }
        }
        verdict
    }

    /// Who holds which logs back: members whose rows are far behind what a quorum holds, in logs
    /// that are nearly full above them.
    pub(super) fn watch_lag(&mut self, step: &mut Step<'_>) {
        let mut logs = Rank::all(self.view.members.len());
        if !self.lag.is_watching() && !logs.any(|sender| self.reliable.is_tight(sender)) {
            return;
        }
        let held_back = self.holds_back();
        for out in self.lag.step(step.cx.now, &held_back) {
            let (member, reason) = match out {
                lag::Out::AskRow(member) => {
                    self.ask_row(step, member);
                    continue;
                }
                lag::Out::Lagging(member) => (member, Reason::Lagging),
                lag::Out::Slow(member) => (member, Reason::Slow),
            };
            self.run_suspect(step, suspect::In::Opinion(member, reason));
        }
    }

    fn holds_back(&self) -> PerRank<HoldsBack> {
        let n = self.view.members.len();
        let mut held_back = PerRank::from_fn(n, |_| HoldsBack::default());
        for sender in Rank::all(n).filter(|sender| self.reliable.is_tight(*sender)) {
            let held = self.reliable.have(sender);
            let row = |member: Rank| match member == self.me {
                true => self.stable.row(member, sender).max(held),
                false => self.stable.row(member, sender),
            };
            let others = Rank::all(n).filter(|member| *member != sender).map(row);
            // Its sender holds all of it.
            let mut rows: Vec<_> = others.chain(core::iter::once(Number::new(u64::MAX))).collect();
            let by_quorum = self.view.quorum().reached(&mut rows).unwrap_or_default();
            for (member, entry) in held_back.iter_mut() {
                let row = self.stable.row(member, sender);
                let is_other = member != self.me && member != sender;
                let is_awaited = is_other && self.stable.waits_for(member);
                if is_awaited && self.reliable.is_held_back_by(sender, row, by_quorum) {
                    entry.logs.push((sender, row, held));
                    entry.is_broad |= sender == self.me;
                }
            }
        }
        let f = self.view.quorum().f();
        held_back.values_mut().for_each(|entry| entry.is_broad |= entry.logs.len() > f);
        held_back
    }

    /// Asks all for a newer row of a member.
    fn ask_row(&self, step: &mut Step<'_>, member: Rank) {
        let above = self.stable.counter(member);
        step.posts.push(Post::part(To::All, Part::AskRow { member, above }));
    }

    pub(super) fn run_reliable(&mut self, step: &mut Step<'_>, input: reliable::In<'_>) {
        let outs = self.reliable.step(&mut step.cx, input);
        self.route_reliable(step, outs);
    }

    pub(super) fn route_reliable(&mut self, step: &mut Step<'_>, outs: Vec<reliable::Out>) {
        let mut queue: VecDeque<reliable::Out> = outs.into();
        while let Some(out) = queue.pop_front() {
            match out {
                reliable::Out::Post(post) => step.posts.push(post),
                reliable::Out::TellHaves => step.tells_haves = true,
                reliable::Out::Writable => step.event(Event::Writable),
                reliable::Out::Sighted(sender, slot) => {
                    let outs = self.total.step(step.cx.now, total::In::Sighted(sender, slot));
                    queue.extend(self.route_total(step, outs));
                }
                reliable::Out::Deliver(body, since) => {
                    self.hand_up(step, &body, Order::Fifo, None);
                    let outs = self.total.step(step.cx.now, total::In::Deliverable(body, since));
                    queue.extend(self.route_total(step, outs));
                }
                reliable::Out::Proof(proof) => self.run_suspect(step, suspect::In::Proof(proof)),
                reliable::Out::Illegal(sender) => {
                    self.run_suspect(step, suspect::In::Opinion(sender, Reason::BadBytes));
                }
                reliable::Out::Overtaken => {
                    self.total.forget();
                    if step.gate.lose(step.cx.now) {
                        step.event(Event::StateLost);
                    }
                }
                reliable::Out::Alarm(sender, number) => {
                    step.event(Event::Alarm { sender, number });
                }
            }
        }
    }

    /// Whether a log is stable beyond what is held of it here: then it is this member, silenced,
    /// that lacks something, and not its sender.
    pub(super) fn is_behind(&self, sender: Rank) -> bool {
        self.reliable.have(sender) < self.stable.threshold(sender)
    }

    /// The casts of one order in a body are due.
    pub(super) fn hand_up(
        &self,
        step: &mut Step<'_>,
        body: &Arc<Body>,
        order: Order,
        slot: Option<Slot>,
    ) {
        step.gate.deliver(self.view.number, body, (order, slot), step.outputs);
    }

    /// Returns what the layer below makes of it.
    pub(super) fn route_total(
        &mut self,
        step: &mut Step<'_>,
        outs: Vec<total::Out>,
    ) -> Vec<reliable::Out> {
        let mut below = Vec::new();
        for out in outs {
            match out {
                total::Out::Deliver(body, slot) => {
                    self.hand_up(step, &body, Order::Total, Some(slot));
                    let merged = reliable::In::Merged(body.sender, body.number);
                    below.extend(self.reliable.step(&mut step.cx, merged));
                }
                total::Out::Owe(round) => {
                    below.extend(self.reliable.step(&mut step.cx, reliable::In::Owe(round)));
                }
                total::Out::Waits(sender) => {
                    self.total.may_write_up_to(sender, self.reliable.overflow(sender));
                }
                total::Out::AskSlot(sender, round) => self.ask_slot(step, sender, round),
                total::Out::Impedes(sender) => {
                    let is_stuck =
                        self.reliable.is_at_overflow(sender) && !self.total.had_room(sender);
                    self.blame_for_order(step, (sender, Reason::ImpedingOrder), is_stuck);
                }
                total::Out::Late(sender) => {
                    self.blame_for_order(step, (sender, Reason::Slow), false);
                }
            }
        }
        below
    }

    /// TO3: asks all for a slot, and shows its sender the rows by which it has room to settle it.
    fn ask_slot(&mut self, step: &mut Step<'_>, sender: Rank, round: Round) {
        let from = self.reliable.have(sender).next();
        step.posts.push(Post::part(To::All, Part::AskSlot { sender, round, from }));
        let parts = self.stable.rows_for(sender);
        if !parts.is_empty() {
            step.posts.push(Post { to: To::One(sender), parts, casts: None });
        }
        let has_room = !self.reliable.is_at_overflow(sender);
        self.total.note_room(sender, self.reliable.overflow(sender), has_room);
    }

    /// A sender holds the total order up: it is to blame, unless it `is_stuck` because another member
    /// holds its log back, or it is this member that lacks something.
    fn blame_for_order(
        &mut self,
        step: &mut Step<'_>,
        (sender, reason): (Rank, Reason),
        is_stuck: bool,
    ) {
        if is_stuck || self.is_behind(sender) || self.reliable.is_held_back() {
            self.total.excuse(step.cx.now, sender, self.reliable.overflow(sender));
        } else {
            self.run_suspect(step, suspect::In::Opinion(sender, reason));
        }
    }

    pub(super) fn run_stable(&mut self, step: &mut Step<'_>, input: stable::In) {
        for out in self.stable.step(&mut step.cx, input) {
            match out {
                stable::Out::Post(post) => step.posts.push(post),
                stable::Out::Fresh(member, have) => {
                    self.run_suspect(step, suspect::In::Fresh(member));
                    self.run_reliable(step, reliable::In::Haves(member, &have));
                }
                stable::Out::Threshold(sender, number) => {
                    self.run_reliable(step, reliable::In::Threshold(sender, number));
                    self.total.on_room(step.cx.now, sender, self.reliable.overflow(sender));
                }
                stable::Out::Proof(proof) => self.run_suspect(step, suspect::In::Proof(proof)),
            }
        }
    }

    pub(super) fn run_suspect(&mut self, step: &mut Step<'_>, input: suspect::In) {
        for out in self.suspect.step(&mut step.cx, input) {
            match out {
                suspect::Out::Post(post) => step.posts.push(post),
                suspect::Out::AskRow(member) => self.ask_row(step, member),
                suspect::Out::Suspected(said) => {
                    let (subject, by, reason) = (said.subject, said.signer(), said.reason);
                    step.event(Event::Suspected { subject, by, reason });
                    // It was checked: nobody is to blame for it.
                    let input = group::In::Suspect(said);
                    let _: Result<(), LinkFault> = self.run_group(step, input);
                }
                suspect::Out::NoQuorum(missing) => step.event(Event::NoQuorum { missing }),
                suspect::Out::Carried(member) => {
                    self.run_stable(step, stable::In::Proven(member));
                }
                suspect::Out::Fault(proof) => {
                    let culprit = proof.culprit();
                    self.run_stable(step, stable::In::Proven(culprit));
                    if let Some(member) = self.view.member(culprit) {
                        let key = member.key;
                        self.run_inter(step, inter::In::Proven(key));
                        step.outputs.push_back(Output::Fault(Fault { culprit, key, proof }));
                    }
                }
            }
        }
    }
}
