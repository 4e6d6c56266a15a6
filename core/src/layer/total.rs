//! Layer Total: the born-order merge (protocol.md section 6; the paper's total ordering protocol).
//!
//! The Active members in rank order own the slots of each round. A body with Total casts stands in
//! one slot of its sender, and says by standing there that the sender's earlier slots are null; a
//! null body says so for a whole range. Slots are delivered in order, up to the first about which
//! nothing is known yet.
//!
//! Promises upwards: all correct members deliver the same bodies in the same order (P4), because
//! what they merge is the same certified logs. What a faulty member can try: settle nothing (asked
//! for, then an opinion), run ahead (its own slots become null, those of others are settled by one
//! null body each), settle a slot twice (slots strictly rise along a chain).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reliable::Body;
use crate::config::Timeouts;
use crate::member::Rank;
use crate::seq::{Round, Slot, SlotMark};
use crate::time::{Time, earliest};

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// A body of another sender was seen for the first time (phase 1), with this slot.
    Sighted(Rank, SlotMark),
    /// A deliverable body.
    Deliverable(Arc<Body>),
    /// Time passed.
    Tick,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Deliver the Total casts of this body: their slot has come.
    Deliver(Arc<Body>, Slot),
    /// Another sender uses this round: the own slots up to it must be settled (TO2).
    Owe(Round),
    /// Ask all for a body of this sender that settles this round (TO3).
    AskSlot(Rank, Round),
    /// Nobody had one: this sender impedes the total order.
    Impedes(Rank),
}

/// What is known about the slots of one sender.
#[derive(Debug)]
struct Lane {
    sender: Rank,
    /// Every round below is settled.
    settled: Round,
    /// Deliverable bodies with Total casts, not merged yet.
    values: VecDeque<(Round, Arc<Body>)>,
    /// Whether a body of another waits behind the first round that is not settled.
    wait: Wait,
}

/// Waiting for a slot (TO3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Nothing waits.
    Idle,
    /// A body waits behind this round since this moment.
    Since(Round, Time),
    /// All were asked at this moment.
    Asked(Round, Time),
    /// It was said that the sender impedes.
    Told(Round),
}

impl Wait {
    const fn round(self) -> Option<Round> {
        match self {
            Self::Idle => None,
            Self::Since(round, _) | Self::Asked(round, _) | Self::Told(round) => Some(round),
        }
    }
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Total {
    me: Rank,
    slot_us: u64,
    ask_us: u64,
    lanes: Vec<Lane>,
    /// Nobody opens bodies any more, so nobody is to blame for a slot that is not settled.
    is_frozen: bool,
}

impl Total {
    /// The layer for a view with these Active members, ascending.
    pub(crate) fn new(timeouts: &Timeouts, me: Rank, active: &[Rank]) -> Self {
        let lane = |sender: &Rank| Lane {
            sender: *sender,
            settled: Round::ZERO,
            values: VecDeque::new(),
            wait: Wait::Idle,
        };
        Self {
            me,
            slot_us: timeouts.slot_us,
            ask_us: timeouts.ask_us,
            lanes: active.iter().map(lane).collect(),
            is_frozen: false,
        }
    }

    /// One step.
    pub(crate) fn step(&mut self, now: Time, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Sighted(sender, SlotMark::Value(round)) if sender != self.me => {
                out.push(Out::Owe(round));
            }
            In::Sighted(..) => {}
            In::Deliverable(body) => self.on_deliverable(now, &body, &mut out),
            In::Tick => self.on_tick(now, &mut out),
        }
        out
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let dues = self.lanes.iter().map(|lane| match lane.wait {
            Wait::Since(_, since) => Some(since.plus(self.slot_us)),
            Wait::Asked(_, since) => Some(since.plus(self.ask_us)),
            Wait::Idle | Wait::Told(_) => None,
        });
        dues.fold(None, earliest)
    }

    /// The view is about to change (R0): no slot is waited for any more. Merging goes on.
    pub(crate) fn freeze(&mut self) {
        self.is_frozen = true;
        self.lanes.iter_mut().for_each(|lane| lane.wait = Wait::Idle);
    }

    /// Nothing is delivered any more, so nothing is waited for.
    pub(crate) fn forget(&mut self) {
        self.freeze();
        self.lanes.iter_mut().for_each(|lane| lane.values.clear());
    }

    /// The view ends (protocol.md section 10): delivers all that the cut holds in slot order,
    /// settled or not. `remainder` are the bodies of the cut that were not deliverable before, each
    /// sender's in order; slots for which there is no body are null.
    pub(crate) fn close(&mut self, remainder: &[Arc<Body>]) -> Vec<Out> {
        self.freeze();
        for body in remainder {
            self.take(body);
        }
        let mut out = Vec::new();
        while let Some(next) = self.next_value() {
            self.pop(next, &mut out);
        }
        out
    }

    fn on_deliverable(&mut self, now: Time, body: &Arc<Body>, out: &mut Vec<Out>) {
        if self.take(body) {
            self.merge(out);
            self.watch(now);
        }
    }

    /// Notes what a body says about its sender's slots, if anything.
    fn take(&mut self, body: &Arc<Body>) -> bool {
        let Some(round) = body.link.slot.round() else { return false };
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.sender == body.sender) else {
            return false;
        };
        lane.settled = lane.settled.max(round.next());
        if let SlotMark::Value(_) = body.link.slot {
            lane.values.push_back((round, Arc::clone(body)));
        }
        true
    }

    /// TO1: delivers settled slots in order.
    fn merge(&mut self, out: &mut Vec<Out>) {
        while let Some(next) = self.next_value() {
            if self.first_unsettled().is_some_and(|open| open < next) {
                return;
            }
            self.pop(next, out);
        }
    }

    /// Delivers the first value of the lane in which `next` lies.
    fn pop(&mut self, next: Slot, out: &mut Vec<Out>) {
        let lane = self.lanes.get_mut(usize::from(next.place));
        if let Some((_, body)) = lane.and_then(|lane| lane.values.pop_front()) {
            out.push(Out::Deliver(body, next));
        }
    }

    /// The lowest slot with something to deliver.
    fn next_value(&self) -> Option<Slot> {
        let fronts = (0_u16..).zip(&self.lanes).filter_map(|(place, lane)| {
            lane.values.front().map(|(round, _)| Slot { round: *round, place })
        });
        fronts.min()
    }

    /// The lowest slot about which nothing is known.
    fn first_unsettled(&self) -> Option<Slot> {
        let ends = (0_u16..).zip(&self.lanes);
        ends.map(|(place, lane)| Slot { round: lane.settled, place }).min()
    }

    /// Keeps an eye on every slot that something waits behind.
    fn watch(&mut self, now: Time) {
        if self.is_frozen {
            return;
        }
        let next = self.next_value();
        let me = self.me;
        for (place, lane) in (0_u16..).zip(&mut self.lanes) {
            let open = Slot { round: lane.settled, place };
            if lane.sender == me || next.is_none_or(|next| next <= open) {
                lane.wait = Wait::Idle;
            } else if lane.wait.round() != Some(lane.settled) {
                lane.wait = Wait::Since(lane.settled, now);
            }
        }
    }

    /// TO3.
    fn on_tick(&mut self, now: Time, out: &mut Vec<Out>) {
        for lane in &mut self.lanes {
            match lane.wait {
                Wait::Since(round, since) if now >= since.plus(self.slot_us) => {
                    lane.wait = Wait::Asked(round, now);
                    out.push(Out::AskSlot(lane.sender, round));
                }
                Wait::Asked(round, since) if now >= since.plus(self.ask_us) => {
                    lane.wait = Wait::Told(round);
                    out.push(Out::Impedes(lane.sender));
                }
                Wait::Idle | Wait::Since(..) | Wait::Asked(..) | Wait::Told(_) => {}
            }
        }
    }

    /// The sender impedes, but its window is full: it is not to blame, so ask again later.
    pub(crate) fn excuse(&mut self, now: Time, sender: Rank) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.sender == sender) {
            if let Wait::Told(round) = lane.wait {
                lane.wait = Wait::Since(round, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
