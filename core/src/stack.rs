//! The stack of one view: the layers and the one way through them, packets in at the bottom, events
//! out at the top. What it has to send it leaves with the [`Step`], for the node to put on links.
//!
//! ```text
//! Top_Appl   casts become events
//! Total      born-order merge          Suspect, Lag   heartbeats, opinions, proofs
//! Reliable   certified logs            Stable         stability matrix
//! Pt2pt      messages to one member
//! ```

mod change;
mod leave;

pub(crate) use leave::Old;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::Config;
use crate::crypto::{Reason, Roster};
use crate::fault::{LinkFault, Proof};
use crate::input::{Order, Request, Ticket};
use crate::layer::bottom::Inbound;
use crate::layer::group::{self, Group};
use crate::layer::lag::{self, Lag};
use crate::layer::pt2pt::{self, Pt2pt};
use crate::layer::reliable::{self, Reliable};
use crate::layer::stable::{self, Stable};
use crate::layer::suspect::{self, Suspect};
use crate::layer::total::{self, Total};
use crate::layer::vsync::{self, Vsync};
use crate::layer::{Context, Post, To, top_appl};
use crate::member::{PerRank, Rank};
use crate::node::Counters;
use crate::output::{Event, Exclusion, Fault, Output, Refusal};
use crate::seq::Number;
use crate::time::{Time, earliest};
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::Decision;
use change::Ending;

/// What the stack needs from the node for one step.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) cx: Context<'a>,
    pub(crate) outputs: &'a mut VecDeque<Output>,
    pub(crate) counters: &'a mut Counters,
    /// What is to be sent at the end of the step.
    posts: Vec<Post>,
    /// Haves are to be told even if nothing else is.
    tells_haves: bool,
    /// The view is over: once everything else of the step is done.
    decided: Option<Decided>,
}

/// How a view ends for this process; whoever says so has checked the decision.
#[derive(Debug)]
pub(crate) enum Decided {
    /// By the next view, which lists it.
    Install(Box<Decision>),
    /// By a next view that it is not in, or cannot follow.
    Exclude(Exclusion, Box<Decision>),
}

impl<'a> Step<'a> {
    /// A step at `cx.now`.
    pub(crate) const fn new(
        cx: Context<'a>,
        outputs: &'a mut VecDeque<Output>,
        counters: &'a mut Counters,
    ) -> Self {
        Self { cx, outputs, counters, posts: Vec::new(), tells_haves: false, decided: None }
    }

    /// What the layers concluded about the view, if anything.
    pub(crate) const fn take_decided(&mut self) -> Option<Decided> {
        self.decided.take()
    }

    /// The view is over.
    #[cfg(test)]
    pub(crate) fn decide(&mut self, decided: Decided) {
        self.decided = Some(decided);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// The layers of one view.
#[derive(Debug)]
pub(crate) struct Stack {
    view: View,
    me: Rank,
    roster: Arc<Roster>,
    pt2pt: Pt2pt,
    reliable: Reliable,
    stable: Stable,
    total: Total,
    suspect: Suspect,
    lag: Lag,
    vsync: Vsync,
    /// None if the membership is fixed.
    group: Option<Group>,
    ending: Ending,
    is_leaving: bool,
    /// How long bodies of the cut are waited for once it is decided.
    retain_us: u64,
}

impl Stack {
    /// The stack of member `me` of `view`.
    pub(crate) fn new(
        config: &Config,
        view: View,
        roster: Arc<Roster>,
        me: Rank,
        now: Time,
    ) -> Self {
        let active = view.active();
        let timeouts = &config.timeouts;
        let n = roster.quorum().n();
        Self {
            pt2pt: Pt2pt::new(n, me, config),
            reliable: Reliable::new(config, &roster, me, &active),
            total: Total::new(timeouts, me, &active),
            stable: Stable::new(config, &roster, me, active.clone(), now),
            suspect: Suspect::new(timeouts, &roster, me, now),
            lag: Lag::new(timeouts, n),
            vsync: Vsync::new(timeouts, (n, me), &active, view.prev, now),
            group: Group::of(config, &view, me),
            ending: Ending::default(),
            is_leaving: false,
            retain_us: timeouts.retain_us,
            roster,
            view,
            me,
        }
    }

    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    pub(crate) const fn me(&self) -> Rank {
        self.me
    }

    pub(crate) const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    pub(crate) fn bodies(&self) -> u64 {
        self.reliable.bodies()
    }

    /// Bytes held on behalf of peers and the application.
    pub(crate) fn held_bytes(&self) -> usize {
        self.reliable.held_bytes().saturating_add(self.pt2pt.held_bytes())
    }

    /// The most bytes that may be held, see [`crate::Node::memory`].
    pub(crate) fn bound_bytes(config: &Config, n: usize) -> usize {
        Reliable::bound_bytes(config, n).saturating_add(pt2pt::bound(config, n))
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let ordering = earliest(self.reliable.deadline(), self.total.deadline());
        let watching = earliest(self.suspect.deadline(), self.lag.deadline());
        let rest = earliest(self.stable.deadline(), self.pt2pt.deadline());
        let deadline = earliest(earliest(ordering, watching), rest);
        earliest(deadline, self.ending_deadline())
    }

    /// Takes what the step has to send, and the haves that go with it.
    pub(crate) fn take_posts(&self, step: &mut Step<'_>) -> Option<(Vec<Post>, Vec<Number>)> {
        let mut posts = core::mem::take(&mut step.posts);
        if step.tells_haves && !posts.iter().any(|post| post.to == To::All) {
            posts.push(Post { to: To::All, parts: Vec::new(), casts: None });
        }
        (!posts.is_empty()).then(|| (posts, self.reliable.haves()))
    }

    /// The link of this peer was closed for bad bytes.
    pub(crate) fn on_closed(&mut self, step: &mut Step<'_>, peer: Rank, why: LinkFault) {
        step.event(Event::LinkClosed { peer, why });
        self.run_suspect(step, suspect::In::Opinion(peer, Reason::BadBytes));
    }

    /// Takes in a packet of this view.
    ///
    /// # Errors
    /// If something in it is its sender's fault; the rest of it is not read.
    pub(crate) fn on_packet(
        &mut self,
        step: &mut Step<'_>,
        mut inbound: Inbound<'_>,
    ) -> Result<(), LinkFault> {
        for part in core::mem::take(&mut inbound.packet.parts) {
            self.on_part(step, &inbound, part)?;
        }
        if !inbound.packet.haves.is_empty() {
            let haves = reliable::In::Haves(inbound.from, &inbound.packet.haves);
            self.run_reliable(step, haves);
        }
        Ok(())
    }

    /// Hands a part to its layer, its signatures checked if they can matter.
    fn on_part(
        &mut self,
        step: &mut Step<'_>,
        inbound: &Inbound<'_>,
        part: Part,
    ) -> Result<(), LinkFault> {
        let from = inbound.from;
        match part {
            Part::Heads(heads) => {
                if self.reliable.wants(&heads) {
                    let heads = step.cx.door.verify(step.cx.roster, heads)?;
                    self.run_reliable(step, reliable::In::Heads(heads));
                }
            }
            Part::Certificate(certificate) => {
                if self.reliable.wants_certificate(&certificate.head) {
                    let certified = step.cx.door.certify(step.cx.roster, certificate.clone())?;
                    let input = reliable::In::Certificate(certificate, certified);
                    self.run_reliable(step, input);
                }
            }
            Part::Body(head) => {
                self.run_reliable(step, reliable::In::Body(head, inbound.payload()));
            }
            Part::Stable(row) => {
                if self.stable.wants(&row) {
                    let row = step.cx.door.verify(step.cx.roster, row)?;
                    self.run_stable(step, stable::In::Row(row));
                }
            }
            Part::Suspect(said) => {
                if self.suspect.wants(&said) {
                    let said = step.cx.door.verify(step.cx.roster, said)?;
                    self.run_suspect(step, suspect::In::Suspect(said));
                }
            }
            Part::Proof(proof) => self.on_proof(step, proof)?,
            Part::Fetch { sender, from: first, to } => {
                self.on_fetch(step, (from, sender), (first, to), false);
            }
            Part::AskRow { member, above } => {
                self.run_stable(step, stable::In::AskRow(from, member, above));
            }
            Part::AskSlot { sender, from: first, .. } => {
                let range = (first, self.reliable.overflow(sender));
                self.on_fetch(step, (from, sender), range, true);
            }
            // Nobody here has asked for a state, or offers one.
            Part::Transfer(_) => {}
            Part::Pt2pt(part) => {
                return self.run_pt2pt(step, pt2pt::In::Part { from, part });
            }
            part @ (Part::Leave(_)
            | Part::Recommend(_)
            | Part::Flush(_)
            | Part::NeedMoreChange(_)
            | Part::NewView(_)
            | Part::Ack(_)
            | Part::Commit(_)
            | Part::Ready(_)
            | Part::Decision(_)
            | Part::AskNewView(_)
            | Part::Installed(_)
            | Part::AskInstalled(_)) => return self.on_change_part(step, from, part),
        }
        Ok(())
    }

    fn on_fetch(
        &mut self,
        step: &mut Step<'_>,
        (peer, sender): (Rank, Rank),
        (from, to): (crate::Number, crate::Number),
        and_heads: bool,
    ) {
        self.run_reliable(step, reliable::In::Fetch { peer, sender, from, to, and_heads });
    }

    fn on_proof(&mut self, step: &mut Step<'_>, proof: Box<Proof>) -> Result<(), LinkFault> {
        if self.suspect.wants_proof(&proof) {
            suspect::verify(step.cx.door, step.cx.roster, &proof)?;
            self.run_suspect(step, suspect::In::Proof(proof));
        }
        Ok(())
    }

    /// Takes a request of the application and answers it.
    pub(crate) fn on_request(&mut self, step: &mut Step<'_>, ticket: Ticket, request: Request<'_>) {
        let answer = match request {
            Request::Cast { order, payload } => self.reliable.cast(ticket, order, payload),
            Request::Send { to, payload } => {
                // It answers the ticket itself; what the application asks is no peer's fault.
                let input = pt2pt::In::Send { to, ticket, payload };
                let _: Result<(), LinkFault> = self.run_pt2pt(step, input);
                return;
            }
            Request::Suspect { member } => self.may_suspect(member),
            Request::Leave => self.leave_group(step),
            Request::SnapshotReady { .. } | Request::Chunk { .. } => Err(Refusal::NotWanted),
        };
        step.event(match answer {
            Ok(()) => Event::Accepted(ticket),
            Err(refusal) => Event::Refused(ticket, refusal),
        });
        if let (Request::Suspect { member }, Ok(())) = (request, answer) {
            self.run_suspect(step, suspect::In::Opinion(member, Reason::Application));
        }
    }

    fn may_suspect(&self, member: Rank) -> Result<(), Refusal> {
        if member == self.me || self.view.member(member).is_none() {
            return Err(Refusal::NotMember);
        }
        if self.suspect.has_told(member) { Err(Refusal::AlreadyDone) } else { Ok(()) }
    }

    /// Everything that waits for time to pass, or for the frames at hand to be read. Reliable comes
    /// last: what the others owe goes into its statement.
    pub(crate) fn on_tick(&mut self, step: &mut Step<'_>) {
        let now = step.cx.now;
        let outs = self.total.step(now, total::In::Tick);
        let below = self.route_total(step, outs);
        self.route_reliable(step, below);
        self.run_suspect(step, suspect::In::Tick);
        let is_row_due = self.stable.is_due(now, self.reliable.progress());
        if is_row_due || self.lag.deadline().is_some_and(|due| due <= now) {
            self.watch_lag(step);
        }
        if is_row_due {
            self.stable.note(self.reliable.progress());
            self.run_stable(step, stable::In::Sign(self.reliable.rows()));
        }
        // Misbehaviour shows when a part comes in, not when time passes.
        let _: Result<(), LinkFault> = self.run_pt2pt(step, pt2pt::In::Tick);
        let _: Result<(), LinkFault> = self.run_group(step, group::In::Tick);
        self.run_vsync(step, vsync::In::Tick);
        self.run_reliable(step, reliable::In::Tick);
    }

    fn run_pt2pt(&mut self, step: &mut Step<'_>, input: pt2pt::In<'_>) -> Result<(), LinkFault> {
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
    fn watch_lag(&mut self, step: &mut Step<'_>) {
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

    fn ask_row(&self, step: &mut Step<'_>, member: Rank, to: To) {
        let above = self.stable.counter(member);
        step.posts.push(Post::part(to, Part::AskRow { member, above }));
    }

    fn run_reliable(&mut self, step: &mut Step<'_>, input: reliable::In<'_>) {
        let outs = self.reliable.step(&mut step.cx, input);
        self.route_reliable(step, outs);
    }

    fn route_reliable(&mut self, step: &mut Step<'_>, outs: Vec<reliable::Out>) {
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
                    top_appl::deliver(self.view.number, &body, Order::Fifo, None, step.outputs);
                    let outs = self.total.step(step.cx.now, total::In::Deliverable(body));
                    queue.extend(self.route_total(step, outs));
                }
                reliable::Out::Proof(proof) => self.run_suspect(step, suspect::In::Proof(proof)),
                reliable::Out::Illegal(sender) => {
                    self.run_suspect(step, suspect::In::Opinion(sender, Reason::BadBytes));
                }
                reliable::Out::Alarm(sender, number) => {
                    step.event(Event::Alarm { sender, number });
                }
            }
        }
    }

    /// Returns what the layer below makes of it.
    fn route_total(&mut self, step: &mut Step<'_>, outs: Vec<total::Out>) -> Vec<reliable::Out> {
        let mut below = Vec::new();
        for out in outs {
            match out {
                total::Out::Deliver(body, slot) => {
                    let view = self.view.number;
                    top_appl::deliver(view, &body, Order::Total, Some(slot), step.outputs);
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
                total::Out::Impedes(sender) if self.reliable.is_at_overflow(sender) => {
                    self.total.excuse(step.cx.now, sender);
                }
                total::Out::Impedes(sender) => {
                    self.run_suspect(step, suspect::In::Opinion(sender, Reason::ImpedingOrder));
                }
            }
        }
        below
    }

    fn run_stable(&mut self, step: &mut Step<'_>, input: stable::In) {
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

    fn run_suspect(&mut self, step: &mut Step<'_>, input: suspect::In) {
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
                        step.outputs.push_back(Output::Fault(Fault { culprit, key, proof }));
                    }
                }
            }
        }
    }
}
