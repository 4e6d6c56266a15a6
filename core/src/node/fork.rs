//! Two valid successors of one view (protocol.md sections 10 and 14): more than `f` of its members
//! lied, and nothing that the group promises about agreement holds any more. A member that sees both
//! says so, with both, and stops.
//!
//! Decisions come from members of the view before, which are told how it ended and tell others, and
//! in frames of strangers. Members of two successors that still have a link show each other their
//! views ([`Node::on_stray`]), and hand over the decision that led there.
//!
//! What a faulty process can try: make up decisions. Of those in one frame the first that differs
//! from what is known is looked at, and that costs one bad signature; frames of strangers cost a
//! token, and members are heard once in `resend_us`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Node, Phase};
use crate::config::Config;
use crate::crypto::Hash32;
use crate::input::Ticket;
use crate::layer::Context;
use crate::layer::group::is_decided;
use crate::member::PeerId;
use crate::output::{Event, Output};
use crate::seq::LogEnd;
use crate::stack::{Gate, Stack};
use crate::time::Time;
use crate::view::View;
use crate::wire::change::Decision;
use crate::wire::stranger::{Question, Stranger, question_min};

impl Node {
    /// Compares decisions that somebody holds for those of this group with the ones that led here.
    pub(super) fn compare<'a>(
        &mut self,
        from: PeerId,
        decisions: impl IntoIterator<Item = &'a Decision>,
    ) {
        if self.is_forked {
            return;
        }
        for decision in decisions {
            let Some(known) = self.chain.after(&decision.view.prev) else {
                return self.trace_back(from, decision);
            };
            if known.view.id() == decision.view.id() {
                self.peers.note_common(from, decision.view.number);
            } else {
                let known = known.clone();
                if self.is_good(decision) {
                    self.halt(known, decision.clone());
                }
                return;
            }
        }
    }

    /// Whether a quorum of a view that is known decided on this one.
    fn is_good(&mut self, decision: &Decision) -> bool {
        let Some(before) = self.known_view(&decision.view.prev) else { return false };
        let suite = self.door.identity().suite();
        let known = self.stack.roster();
        let Ok(roster) = before.roster_after(suite, Some(known)) else { return false };
        let mut cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        is_decided(&mut cx, &before, decision).unwrap_or(false)
    }

    /// A view that led to the present one.
    fn known_view(&self, id: &Hash32) -> Option<View> {
        if let Some(decision) = self.chain.to(id) {
            return Some(decision.view.clone());
        }
        let Config { genesis, anchor, .. } = &self.config;
        let first = core::iter::once(genesis.view()).chain(anchor.clone());
        first.into_iter().find(|view| view.id() == *id)
    }

    /// A member holds a decision on a view after one that is not known here. Its members may merely
    /// be ahead; or the chains part somewhere below: it is asked for decisions further back, by halves.
    fn trace_back(&mut self, from: PeerId, decision: &Decision) {
        let is_next = decision.view.prev == self.view().id();
        if is_next || !self.bottom.has_link(from) {
            return;
        }
        let own = self.view().number;
        let first =
            self.chain.all().next().map_or(own, |first| first.view.number.saturating_sub(1));
        let theirs = decision.view.number;
        let Some(number) = self.peers.trace(self.now, from, (first, own), theirs) else { return };
        let key = *self.door.identity().public_key();
        let longest = decision.to_bytes().len().saturating_mul(2);
        let asks = Question::padded(number, key, Hash32::ZERO, question_min(longest));
        self.call(from, &Stranger::AskChain(asks));
    }

    /// Says that there are two views after one, and stops: nothing is delivered or signed any more.
    /// What is held of this view and those before is handed out as long as this process runs.
    fn halt(&mut self, known: Decision, other: Decision) {
        self.is_forked = true;
        if matches!(self.phase, Phase::Member) {
            let _: Vec<Ticket> = self.rest(LogEnd::EMPTY, None);
        }
        let (known, other) = (Box::new(known), Box::new(other));
        self.outputs.push_back(Output::Event(Event::Fork { known, other }));
    }

    /// The layers come to rest, and this view is kept for those that need it, for ever or up to a
    /// moment. The own log ends at `end`: returns which own casts come after it.
    pub(super) fn rest(&mut self, end: LogEnd, until: Option<Time>) -> Vec<Ticket> {
        let roster = alloc::sync::Arc::clone(self.stack.roster());
        let (view, me) = (self.view().clone(), self.rank());
        let stack = Stack::new(&self.config, view, roster, me, self.now);
        let last = core::mem::replace(&mut self.stack, stack);
        self.counters.bodies = self.counters.bodies.saturating_add(last.bodies());
        let (old, legacy) = last.leave(None, end, &mut self.outputs);
        let lost = legacy.casts.tickets().collect();
        self.old.close(old, until, &self.config);
        self.phase = Phase::Excluded;
        self.drop_old();
        self.gate = Gate::new(&self.config, false);
        let _: usize = self.peers.take_kept().len();
        lost
    }
}
