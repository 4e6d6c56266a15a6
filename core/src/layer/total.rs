//! Layer Total: the born-order merge (protocol.md section 6; the paper's total ordering protocol).
//!
//! The Active members in rank order own the slots of each round. A body with Total casts stands in
//! one slot of its sender, and says by standing there that the sender's earlier slots are null; a
//! null body says so for a whole range. Slots are delivered in order, up to the first about which
//! nothing is known yet.
//!
//! Promises upwards: all correct members deliver the same bodies in the same order (P4), because
//! what they merge is the same certified logs. What a faulty member can try: settle nothing, or as
//! little as it can (asked for all that was waiting when the watch began, then an opinion), settle
//! late (`pace`), run ahead (its own slots become null, those of others are settled by one null body
//! each), settle a slot twice (slots strictly rise along a chain).

mod pace;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reliable::Body;
use crate::config::Timeouts;
use crate::member::Rank;
use crate::seq::{Number, Round, Slot, SlotMark};
use crate::time::{Time, earliest};
use pace::Pace;

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// A body was seen for the first time (phase 1), or written here, with this slot.
    Sighted(Rank, SlotMark),
    /// A deliverable body, and since when more than `f` others hold it.
    Deliverable(Arc<Body>, Time),
    /// Time passed.
    Tick,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Deliver the Total casts of this body: their slot has come.
    Deliver(Arc<Body>, Slot),
    /// Another sender has settled this round: the own slots up to it must be settled (TO2).
    Owe(Round),
    /// A slot of this sender is waited for, from now on; [`Total::may_write_up_to`] answers it.
    Waits(Rank),
    /// Ask all for a body of this sender that settles this round (TO3).
    AskSlot(Rank, Round),
    /// Nobody had one: this sender impedes the total order.
    Impedes(Rank),
    /// This sender settles its slots far later than the others, again and again (TO4).
    Late(Rank),
}

/// What is known about the slots of one sender.
#[derive(Debug)]
struct Lane {
    sender: Rank,
    /// Every round below is settled.
    settled: Round,
    /// Deliverable bodies with Total casts, not merged yet.
    values: VecDeque<Value>,
    /// Whether a body of another waits behind the first round that is not settled.
    wait: Wait,
    /// The highest body that the sender could write when the wait began.
    ceiling: Number,
    /// It could write one since.
    had_room: bool,
    /// Since when it may write more than that.
    room_since: Option<Time>,
}

/// A deliverable body with Total casts.
#[derive(Debug)]
struct Value {
    round: Round,
    body: Arc<Body>,
    /// Since when it is deliverable.
    since: Time,
}

/// Waiting for a slot (TO3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Nothing waits.
    Idle,
    /// Since this moment all rounds below this one are waited for: so many had bodies of others
    /// waiting behind them. Less does not end the wait, or a sender could settle one at a time.
    Since(Round, Time),
    /// All were asked at this moment.
    Asked(Round, Time),
    /// It was said that the sender impedes.
    Told(Round),
}

impl Wait {
    /// Whether it goes on for a sender that has settled all rounds below this one.
    fn is_for(self, settled: Round) -> bool {
        match self {
            Self::Idle => false,
            Self::Since(end, _) | Self::Asked(end, _) | Self::Told(end) => settled < end,
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
    pace: Pace,
    /// Nobody opens bodies any more, so nobody is to blame for a slot that is not settled.
    is_frozen: bool,
}

impl Total {
    /// The layer for a view with these Active members, ascending, of whom `f` may lie.
    pub(crate) fn new(timeouts: &Timeouts, me: Rank, active: &[Rank], f: usize) -> Self {
        let lane = |sender: &Rank| Lane {
            sender: *sender,
            settled: Round::ZERO,
            values: VecDeque::new(),
            wait: Wait::Idle,
            ceiling: Number::ZERO,
            had_room: false,
            room_since: None,
        };
        Self {
            me,
            slot_us: timeouts.slot_us,
            ask_us: timeouts.ask_us,
            lanes: active.iter().map(lane).collect(),
            pace: Pace::new(active.len(), f, timeouts.slot_us),
            is_frozen: false,
        }
    }

    /// One step.
    pub(crate) fn step(&mut self, now: Time, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Sighted(sender, slot) => self.on_sighted(now, sender, slot, &mut out),
            In::Deliverable(body, known) => {
                self.on_deliverable((now, known.min(now)), &body, &mut out);
            }
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
            self.take(Time::ZERO, body);
        }
        let mut out = Vec::new();
        while let Some(next) = self.next_value() {
            self.pop(next, &mut out);
        }
        out
    }

    /// TO2: whatever another settles, the own slots are owed up to there. A null says as much as a
    /// value: the value that it answers may be kept from this member.
    fn on_sighted(&mut self, now: Time, sender: Rank, slot: SlotMark, out: &mut Vec<Out>) {
        let Some(round) = slot.round() else { return };
        if let SlotMark::Value(_) = slot
            && let Some(place) = self.place(sender)
        {
            self.pace.sighted(now, place, round);
        }
        if sender != self.me {
            out.push(Out::Owe(round));
        }
    }

    fn place(&self, sender: Rank) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.sender == sender)
    }

    /// What its sender keeps from this member alone does not make it late: `known` is since when
    /// others hold it.
    fn on_deliverable(&mut self, (now, known): (Time, Time), body: &Arc<Body>, out: &mut Vec<Out>) {
        let Some(place) = self.place(body.sender) else { return };
        let next = self.next_value();
        let since = next.and_then(|next| self.front(next)).map(|value| value.since);
        let settled = self.lanes.get(place).map_or(Round::ZERO, |lane| lane.settled);
        if !self.take(now, body) {
            return;
        }
        if let SlotMark::Value(round) = body.link.slot {
            self.pace.deliverable(now, place, round);
        }
        let is_waited_for = next.is_some_and(|next| is_behind(next, settled, place));
        let room = self.lanes.get(place).map_or(now, |lane| match body.number <= lane.ceiling {
            true => Time::ZERO,
            // It is late only from the moment when it could write this body.
            false => lane.room_since.unwrap_or(now),
        });
        if let Some(since) = since.map(|since| since.max(room))
            && is_waited_for
            && body.sender != self.me
            && !self.is_frozen
            && self.pace.settled(known, place, since)
        {
            out.push(Out::Late(body.sender));
        }
        self.merge(out);
        self.watch(now, out);
    }

    /// Notes what a body says about its sender's slots, if anything.
    fn take(&mut self, now: Time, body: &Arc<Body>) -> bool {
        let Some(round) = body.link.slot.round() else { return false };
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.sender == body.sender) else {
            return false;
        };
        lane.settled = lane.settled.max(round.next());
        if let SlotMark::Value(_) = body.link.slot {
            lane.values.push_back(Value { round, body: Arc::clone(body), since: now });
        }
        true
    }

    /// The first value of the lane in which `next` lies.
    fn front(&self, next: Slot) -> Option<&Value> {
        self.lanes.get(usize::from(next.place))?.values.front()
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
        if let Some(Value { body, since, .. }) = lane.and_then(|lane| lane.values.pop_front()) {
            self.pace.delivered(usize::from(next.place), since);
            out.push(Out::Deliver(body, next));
        }
    }

    /// The lowest slot with something to deliver.
    fn next_value(&self) -> Option<Slot> {
        let fronts = (0_u16..).zip(&self.lanes).filter_map(|(place, lane)| {
            lane.values.front().map(|value| Slot { round: value.round, place })
        });
        fronts.min()
    }

    /// The highest slot with something to deliver.
    fn last_value(&self) -> Option<Slot> {
        let backs = (0_u16..).zip(&self.lanes).filter_map(|(place, lane)| {
            lane.values.back().map(|value| Slot { round: value.round, place })
        });
        backs.max()
    }

    /// The lowest slot about which nothing is known.
    fn first_unsettled(&self) -> Option<Slot> {
        let ends = (0_u16..).zip(&self.lanes);
        ends.map(|(place, lane)| Slot { round: lane.settled, place }).min()
    }

    /// Keeps an eye on every slot that something waits behind. A wait is for all that is waited for
    /// when it begins, and only that ends it.
    fn watch(&mut self, now: Time, out: &mut Vec<Out>) {
        if self.is_frozen {
            return;
        }
        let (Some(next), Some(last)) = (self.next_value(), self.last_value()) else {
            self.lanes.iter_mut().for_each(|lane| lane.wait = Wait::Idle);
            return;
        };
        let me = self.me;
        for (place, lane) in (0_u16..).zip(&mut self.lanes) {
            let open = Slot { round: lane.settled, place };
            if lane.sender == me || next <= open {
                lane.wait = Wait::Idle;
            } else if !lane.wait.is_for(lane.settled) {
                let end = if place < last.place { last.round.next() } else { last.round };
                lane.wait = Wait::Since(end.max(lane.settled.next()), now);
                (lane.had_room, lane.room_since) = (false, None);
                out.push(Out::Waits(lane.sender));
            }
        }
    }

    /// TO3.
    fn on_tick(&mut self, now: Time, out: &mut Vec<Out>) {
        for lane in &mut self.lanes {
            match lane.wait {
                Wait::Since(end, since) if now >= since.plus(self.slot_us) => {
                    lane.wait = Wait::Asked(end, now);
                    out.push(Out::AskSlot(lane.sender, lane.settled));
                }
                Wait::Asked(end, since) if now >= since.plus(self.ask_us) => {
                    lane.wait = Wait::Told(end);
                    out.push(Out::Impedes(lane.sender));
                }
                Wait::Idle | Wait::Since(..) | Wait::Asked(..) | Wait::Told(_) => {}
            }
        }
    }

    /// The highest body that a sender may write now, for whose slot a wait has just begun.
    pub(crate) fn may_write_up_to(&mut self, sender: Rank, ceiling: Number) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.sender == sender) {
            lane.ceiling = ceiling;
        }
    }

    /// The window of a sender moved: it may write up to this body.
    pub(crate) fn on_room(&mut self, now: Time, sender: Rank, ceiling: Number) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.sender == sender) {
            if ceiling > lane.ceiling && lane.room_since.is_none() {
                lane.room_since = Some(now);
            }
        }
    }

    /// A sender that is asked for a slot may write up to this body now; `has_room` says whether it
    /// has not written that far. If it had no room since the wait began it is not to blame.
    pub(crate) fn note_room(&mut self, sender: Rank, ceiling: Number, has_room: bool) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.sender == sender) {
            lane.had_room |= has_room || ceiling > lane.ceiling;
        }
    }

    /// Whether a sender could write a body between the beginning of the wait for its slot and the
    /// moment when all were asked for it.
    pub(crate) fn had_room(&self, sender: Rank) -> bool {
        self.lanes.iter().any(|lane| lane.sender == sender && lane.had_room)
    }

    /// The sender impedes or is late, but is not to blame: another holds its log back, or this member
    /// lacks something. It is watched anew.
    pub(crate) fn excuse(&mut self, now: Time, sender: Rank, ceiling: Number) {
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            if lane.sender == sender {
                self.pace.forgive(place);
                if let Wait::Told(end) = lane.wait {
                    lane.wait = Wait::Since(end, now);
                    (lane.ceiling, lane.had_room, lane.room_since) = (ceiling, false, None);
                }
            }
        }
    }
}

/// Whether what lies in `next` waits for the lane at `place`, which has settled all rounds below.
fn is_behind(next: Slot, settled: Round, place: usize) -> bool {
    u16::try_from(place).is_ok_and(|place| Slot { round: settled, place } < next)
}

#[cfg(test)]
mod tests;
