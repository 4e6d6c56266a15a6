//! The gate between the layers and the application: what is delivered passes at once, waits until
//! the application has the state that goes before it, or is dropped, because the application has
//! lost it. With it the state transfer, which opens it.
//!
//! A process that joins is a full member from the start: it replies, holds and votes, and may cast.
//! Only its application waits. What waits is bounded by `join_buffer`; when that is full layer
//! Reliable delivers no more, so that its bodies stay in the logs and the rows of this member stand
//! still. If they do so for long the others find it lagging. Views may end meanwhile: what a view
//! still has to deliver then waits here, too, over the limit if need be, but only once. Whoever is
//! overtaken once more gives up what it has got of the state, votes on, and begins anew.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Stack, Step};
use crate::config::Config;
use crate::fault::LinkFault;
use crate::input::Order;
use crate::layer::reliable::Body;
use crate::layer::top_appl::Delivery;
use crate::layer::transfer::{self, Answer, Entered, Stand, Transfer};
use crate::layer::{Post, To, inter, suspect};
use crate::member::Status;
use crate::outbox::Outbox;
use crate::output::{Event, Fault, Output, Refusal};
use crate::seq::Slot;
use crate::time::Time;
use crate::view::View;
use crate::wire::Part;

/// What waits for the state.
#[derive(Debug)]
enum Waiting {
    /// The casts of one order in a body of this view.
    Casts { view: u64, body: Arc<Body>, order: Order, slot: Option<Slot> },
    /// This view begins here.
    View(u64),
}

/// Where the application stands.
#[derive(Debug)]
enum Phase {
    /// It has all that was delivered.
    Open,
    /// It is handed the state, and then what waits, in this order.
    Closed(VecDeque<Waiting>),
    /// It has missed something: what comes after it is of no use.
    Lost,
}

/// The gate of a process, through all its views.
#[derive(Debug)]
pub(crate) struct Gate {
    phase: Phase,
    transfer: Transfer,
    /// Bytes that wait.
    bytes: usize,
    join_buffer: usize,
    /// Whether there is state transfer: else there is nothing to wait for.
    hands_over: bool,
    /// The most that the end of a view may leave here beyond `join_buffer`.
    spare: usize,
}

impl Gate {
    /// Of a process that has the state, because it is there from the beginning, or joins.
    pub(crate) fn new(config: &Config, joins: bool) -> Self {
        let hands_over = config.genesis.state_transfer;
        Self {
            phase: if joins && hands_over { Phase::Closed(VecDeque::new()) } else { Phase::Open },
            transfer: Transfer::new(config),
            bytes: 0,
            join_buffer: config.join_buffer,
            hands_over,
            spare: 0,
        }
    }

    /// The application misses something that was delivered; says whether that is news.
    pub(crate) fn lose(&mut self, now: Time) -> bool {
        self.bytes = 0;
        self.spare = 0;
        self.transfer.lose(now);
        !matches!(core::mem::replace(&mut self.phase, Phase::Lost), Phase::Lost)
    }

    /// Whether the application has missed something, and is not being handed a state.
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Lost)
    }

    /// Whether the application waits for a state.
    const fn is_loading(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether it hands over a state just now.
    pub(super) fn is_handing_over(&self) -> bool {
        self.transfer.is_handing_over()
    }

    /// Whether the next view cannot be waited for here any more.
    pub(super) const fn is_over(&self) -> bool {
        self.bytes > self.join_buffer
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.transfer.deadline()
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.saturating_add(self.transfer.held_bytes())
    }

    /// The most of them.
    pub(crate) fn bound_bytes(&self, config: &Config) -> usize {
        let waiting = if self.hands_over { self.join_buffer } else { 0 };
        transfer::bound_bytes(config).saturating_add(waiting).saturating_add(self.spare)
    }

    /// The casts of one order in a body are due.
    pub(super) fn deliver(
        &mut self,
        view: u64,
        body: &Arc<Body>,
        (order, slot): (Order, Option<Slot>),
        outputs: &mut Outbox,
    ) {
        match &mut self.phase {
            Phase::Open => {
                if let Some(delivery) = Delivery::of(view, body, order, slot) {
                    outputs.deliver(delivery);
                }
            }
            Phase::Closed(waiting) => {
                // A body with casts of both orders is counted with its first.
                let (due, cost) = match order {
                    Order::Fifo => (body.count.fifo, body.cost()),
                    Order::Total if body.count.fifo > 0 => (body.count.total, 0),
                    Order::Total => (body.count.total, body.cost()),
                };
                if due > 0 {
                    self.bytes = self.bytes.saturating_add(cost);
                    waiting.push_back(Waiting::Casts { view, body: Arc::clone(body), order, slot });
                }
            }
            Phase::Lost => {}
        }
    }

    /// Opens again where an Active member that has lost its state enters a view, if there is no state to
    /// be handed: like a newcomer it goes on from there. Returns whether it does.
    fn resume(&mut self) -> bool {
        let resumes = !self.hands_over && self.is_lost();
        if resumes {
            self.phase = Phase::Open;
        }
        resumes
    }

    /// A view begins; `is_first` for this process, or `is_back` for who was Silenced and is Active
    /// again: to such the others hand over their state. Says how it stands to that.
    fn begin(&mut self, is_first: bool, is_back: bool) -> Stand {
        if self.hands_over && is_back && self.is_lost() {
            self.phase = Phase::Closed(VecDeque::new());
            return Stand::Loads;
        }
        match &self.phase {
            Phase::Closed(_) if is_first => Stand::Loads,
            Phase::Open | Phase::Closed(_) => Stand::Whole,
            Phase::Lost => Stand::Lost,
        }
    }

    /// Opens the gate; what waited.
    fn open(&mut self) -> VecDeque<Waiting> {
        self.bytes = 0;
        self.spare = 0;
        match core::mem::replace(&mut self.phase, Phase::Open) {
            Phase::Closed(waiting) => waiting,
            Phase::Open | Phase::Lost => VecDeque::new(),
        }
    }
}

impl Stack {
    /// The view is installed, after `before` if this process was a member of that.
    pub(super) fn begin_transfer(&mut self, step: &mut Step<'_>, before: Option<&View>) {
        let number = self.view.number;
        let is_back = self.is_back(before);
        if is_back && step.gate.is_loading() && step.gate.lose(step.cx.now) {
            step.event(Event::StateLost);
        }
        if self.is_active(self.me) && step.gate.resume() {
            step.event(Event::Resumed { view: number });
        }
        let stand = step.gate.begin(before.is_none(), is_back);
        let (view, roster, me) = (&self.view, &self.roster, self.me);
        let entered = Entered { view, roster, before, me, stand };
        // Parts come from members, views do not.
        let outs = step.gate.transfer.step(&mut step.cx, transfer::In::View(&entered));
        self.route_transfer(step, outs.unwrap_or_default());
        match &mut step.gate.phase {
            Phase::Open => self.reach(step, number),
            Phase::Closed(waiting) => {
                waiting.push_back(Waiting::View(number));
                let gate = &mut step.gate;
                gate.bytes = gate.bytes.saturating_add(size_of::<Waiting>());
                let spare = self.reliable.remainder_max().saturating_add(size_of::<Waiting>());
                gate.spare = gate.spare.max(spare);
                self.reliable.hold_back(gate.join_buffer.saturating_sub(gate.bytes));
            }
            Phase::Lost => {
                self.reliable.go_blind();
                if step.gate.hands_over {
                    self.inter.lacks_state(step.cx.now);
                }
            }
        }
    }

    /// Whether this process was Silenced in the view before, and is Active again. If it was still
    /// loading it begins anew: others hand over the state with which this view begins, and may not
    /// keep the one that it has begun with any more.
    fn is_back(&self, before: Option<&View>) -> bool {
        let key = self.view.member(self.me).map(|me| me.key);
        let was = key.and_then(|key| before?.member(before?.rank_of(&key)?));
        self.is_active(self.me) && was.is_some_and(|was| was.status == Status::Silenced)
    }

    /// The application has come to the beginning of a view.
    fn reach(&mut self, step: &mut Step<'_>, view: u64) {
        let _: Result<(), LinkFault> = self.run_transfer(step, transfer::In::Reached(view));
    }

    pub(super) fn run_transfer(
        &mut self,
        step: &mut Step<'_>,
        input: transfer::In<'_>,
    ) -> Result<(), LinkFault> {
        let outs = step.gate.transfer.step(&mut step.cx, input)?;
        self.route_transfer(step, outs);
        Ok(())
    }

    /// The application hands over what it was asked for.
    pub(super) fn answer(
        &mut self,
        step: &mut Step<'_>,
        answer: Answer<'_>,
    ) -> Result<(), Refusal> {
        let outs = step.gate.transfer.answer(&mut step.cx, answer)?;
        self.route_transfer(step, outs);
        Ok(())
    }

    fn route_transfer(&mut self, step: &mut Step<'_>, outs: Vec<transfer::Out>) {
        for out in outs {
            match out {
                transfer::Out::Part(to, part) => {
                    step.posts.push(Post::part(To::One(to), Part::Transfer(part)));
                }
                transfer::Out::Wanted(view) => step.event(Event::SnapshotWanted { view }),
                transfer::Out::ChunkWanted(view, index) => {
                    step.event(Event::ChunkWanted { view, index });
                }
                transfer::Out::Released(view) => step.event(Event::SnapshotReleased { view }),
                transfer::Out::State { offset, bytes, total } => {
                    step.event(Event::State { offset, bytes, total });
                }
                transfer::Out::Loaded(view, total) => {
                    step.event(Event::StateLoaded { view, total });
                    self.open_gate(step);
                }
                transfer::Out::Diverged(view) => step.event(Event::SnapshotDiverged { view }),
                transfer::Out::TooLarge(length) => step.event(Event::StateTooLarge { length }),
                transfer::Out::Stalled(view) => self.give_up_state(step, view),
                transfer::Out::Opinion(member, reason) => {
                    self.run_suspect(step, suspect::In::Opinion(member, reason));
                }
                transfer::Out::Proof(_, proof) if proof.view == *self.roster.view() => {
                    self.run_suspect(step, suspect::In::Proof(proof));
                }
                transfer::Out::Proof(key, proof) => {
                    // Of an earlier view: no evidence in this one, but the key is not taken in again.
                    self.run_inter(step, inter::In::Proven(key));
                    let culprit = proof.culprit();
                    step.outputs.push_back(Output::Fault(Fault { culprit, key, proof }));
                }
            }
        }
    }

    /// Gives up the state with which this view began: those that had it may be gone. Like any other
    /// member that lacks its state this one is handed a newer one once it is Active again.
    fn give_up_state(&mut self, step: &mut Step<'_>, view: u64) {
        step.event(Event::StateStalled { view });
        if step.gate.lose(step.cx.now) {
            step.event(Event::StateLost);
        }
        // Nothing waits here any more, so nothing holds the bodies back.
        self.reliable.go_blind();
        self.total.forget();
        self.inter.lacks_state(step.cx.now);
    }

    /// The application has the state: it gets what waited, and then whatever is due.
    fn open_gate(&mut self, step: &mut Step<'_>) {
        for waiting in step.gate.open() {
            match waiting {
                Waiting::Casts { view, body, order, slot } => {
                    if let Some(delivery) = Delivery::of(view, &body, order, slot) {
                        step.outputs.deliver(delivery);
                    }
                }
                Waiting::View(number) => self.reach(step, number),
            }
        }
        let outs = self.reliable.let_go(step.cx.now);
        self.route_reliable(step, outs);
    }
}
