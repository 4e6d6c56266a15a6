//! What the layers tell each other: each output of one becomes an input of another, a post or an
//! event.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Stack, Step};
use crate::crypto::Reason;
use crate::fault::LinkFault;
use crate::input::Order;
use crate::layer::reliable::{self, Body};
use crate::layer::{Post, To, group, inter, lag, pt2pt, stable, suspect, total};
use crate::member::{PerRank, Rank};
use crate::output::{Event, Fault, Output};
use crate::seq::Slot;
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

    /// Who holds which full log back.
    pub(super) fn watch_lag(&mut self, step: &mut Step<'_>) {
        let mut held_back = PerRank::from_fn(self.view.members.len(), |_| None);
        for sender in held_back.ranks() {
            if !self.reliable.is_full(sender) {
                continue;
            }
            let threshold = self.stable.threshold(sender);
            let own = self.stable.row(self.me, sender);
            for (member, entry) in held_back.iter_mut() {
                let row = self.stable.row(member, sender);
                if member != self.me && row <= threshold && own > row && entry.is_none() {
                    *entry = Some((sender, row));
                }
            }
        }
        for out in self.lag.step(step.cx.now, &held_back) {
            match out {
                lag::Out::AskRow(member) => self.ask_row(step, member, To::All),
                lag::Out::Lagging(member) => {
                    self.run_suspect(step, suspect::In::Opinion(member, Reason::Lagging));
                }
            }
        }
    }

    pub(super) fn ask_row(&self, step: &mut Step<'_>, member: Rank, to: To) {
        let above = self.stable.counter(member);
        step.posts.push(Post::part(to, Part::AskRow { member, above }));
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
                reliable::Out::Deliver(body) => {
                    self.hand_up(step, &body, Order::Fifo, None);
                    let outs = self.total.step(step.cx.now, total::In::Deliverable(body));
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
                total::Out::AskSlot(sender, round) => {
                    let from = self.reliable.have(sender).next();
                    let part = Part::AskSlot { sender, round, from };
                    step.posts.push(Post::part(To::All, part));
                }
                total::Out::Impedes(sender)
                    if self.reliable.is_at_overflow(sender)
                        || self.is_behind(sender)
                        || self.reliable.is_held_back() =>
                {
                    self.total.excuse(step.cx.now, sender);
                }
                total::Out::Impedes(sender) => {
                    self.run_suspect(step, suspect::In::Opinion(sender, Reason::ImpedingOrder));
                }
            }
        }
        below
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
                }
                stable::Out::Proof(proof) => self.run_suspect(step, suspect::In::Proof(proof)),
            }
        }
    }

    pub(super) fn run_suspect(&mut self, step: &mut Step<'_>, input: suspect::In) {
        for out in self.suspect.step(&mut step.cx, input) {
            match out {
                suspect::Out::Post(post) => step.posts.push(post),
                suspect::Out::AskRow(member, to) => self.ask_row(step, member, to),
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
