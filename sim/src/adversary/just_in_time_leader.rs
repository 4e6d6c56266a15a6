//! Just-in-time leader: as leader of the first attempt it shows its proposal and its Ack to all but one
//! just before the attempt timer ends, and everything else when its own timer has ended and the second
//! attempt has begun: then the decision comes, and it was never overdue at enough members.
//!
//! It tries to double the time-outs of the group with every change: each change takes as long as the
//! one before seemed to need, and other time-outs follow. It must fail: the leader changes with the
//! view, and a decision in the attempt before doubles nothing.
//!
//! Verdict: depends on how many members' timers end first.

use std::collections::BTreeSet;

use phalanx_core::wire::Part;
use phalanx_core::{Attempt, Rank, Time};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// How long before the end of the timer the proposal leaves.
const EARLY_US: u64 = 5_000;

/// Its present change, from its own proposal on.
#[derive(Debug)]
struct Change {
    proposed: Time,
    /// What it says once its own timer has ended, and with it those of the others.
    late: Vec<Letter>,
    has_ended: bool,
}

/// The strategy.
#[derive(Debug)]
pub(super) struct JustInTimeLeader {
    /// How long the timer of the first attempt was when it last ended; it does not become shorter.
    attempt_us: u64,
    change: Option<Change>,
    /// Who has flushed.
    flushed: BTreeSet<Rank>,
    /// A member that is shown everything late: one that takes no part anyway, if there is one.
    last: Option<Rank>,
}

impl JustInTimeLeader {
    pub(super) fn new(puppet: &Puppet) -> Self {
        let attempt_us = puppet.timeouts.attempt_us;
        Self { attempt_us, change: None, flushed: BTreeSet::new(), last: None }
    }
}

/// Whether a part is a liar's proposal in the first attempt.
fn is_proposal(part: &Part, me: Rank) -> bool {
    matches!(part, Part::NewView(proposed)
        if proposed.signed.signer == me && proposed.signed.statement.attempt == Attempt::FIRST)
}

/// Whether it says that the first attempt is over.
fn ends(part: &Part, me: Rank) -> bool {
    matches!(part, Part::NeedMoreChange(more) if more.signed.signer == me)
}

impl Act for JustInTimeLeader {
    fn outlives_views(&self) -> bool {
        true
    }

    fn enters(&mut self, _puppet: &mut Puppet) {
        self.change = None;
        self.flushed.clear();
    }

    fn is_listening(&self) -> bool {
        self.change.is_none()
    }

    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        if letter.packet.parts.iter().any(|part| matches!(part, Part::Flush(_))) {
            self.flushed.insert(letter.peer);
        }
        false
    }

    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        let (me, now) = (stage.puppet.me, stage.now);
        let says = |wanted: &dyn Fn(&Part) -> bool| letter.packet.parts.iter().any(wanted);
        if self.change.is_none() && says(&|part| is_proposal(part, me)) {
            self.change = Some(Change { proposed: now, late: Vec::new(), has_ended: false });
            let mut correct = stage.puppet.correct();
            correct.sort_by_key(|rank| (!self.flushed.contains(rank), *rank));
            self.last = correct.last().copied();
        }
        let Some(change) = self.change.as_mut().filter(|change| !change.has_ended) else {
            stage.post(&letter);
            return;
        };
        if says(&|part| ends(part, me)) {
            change.has_ended = true;
            self.attempt_us = self.attempt_us.max(now.since(change.proposed));
            let late = core::mem::take(&mut change.late);
            late.iter().for_each(|letter| stage.post(letter));
            stage.post(&letter);
            return;
        }
        let is_shown = says(&|part| matches!(part, Part::NewView(_) | Part::Ack(_)));
        let is_kept =
            says(&|part| matches!(part, Part::Commit(_) | Part::Ready(_) | Part::Decision(_)));
        let is_last = Some(letter.peer) == self.last;
        let early = change.proposed.plus(self.attempt_us.saturating_sub(EARLY_US));
        if is_kept || (is_shown && is_last) {
            stage.fire();
            change.late.push(letter);
        } else if is_shown && early > now {
            stage.fire();
            stage.hold(early, letter);
        } else {
            stage.post(&letter);
        }
    }
}
