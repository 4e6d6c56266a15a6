//! From one view to the next, or out of the group (protocol.md section 10).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::left::Left;
use super::{Node, Phase};
use crate::crypto::Roster;
use crate::member::Rank;
use crate::output::{Event, Exclusion, Output};
use crate::seq::LogEnd;
use crate::stack::Stack;
use crate::view::View;
use crate::wire::change::Decision;

impl Node {
    /// The present view is over and the next one begins. The caller has checked the decision, and
    /// delivered the cut or lost the state.
    pub(super) fn install(&mut self, decision: Decision) {
        assert_eq!(decision.view.prev, self.bottom.view(), "a decision is one of the present view");
        let next = decision.view.clone();
        let Some((me, roster)) = self.place_in(&next) else {
            // Whoever decided has seen that this process is listed, and members let in no key that
            // is none: more than `f` of them lie.
            return self.exclude(Exclusion::Overtaken, Box::new(decision));
        };
        self.bottom.install(&next, &roster, &self.door, self.now);
        let pace = self.stack.pace();
        let config = self.config.stretched_to(pace.network_us(&next));
        let config = config.slowed_to(pace.attempt_us());
        let mut stack = Stack::new(&config, next.clone(), roster, me, self.now);
        stack.go_on_at(pace);
        let last = core::mem::replace(&mut self.stack, stack);
        self.counters.bodies = self.counters.bodies.saturating_add(last.bodies());
        let view_before = last.view().clone();
        self.note_departed(&view_before);
        let end = own_end(&next, last.me());
        let before = spare(last.view());
        let me_before = last.me();
        let (old, legacy) = last.leave(Some(&next), end, &mut self.outputs);
        self.stack.inherit(legacy, self.now);
        let left = Left::new(old, (&view_before, me_before), &next);
        self.old.push(left, &self.config);
        self.old.stay(&next);
        self.drop_old();
        self.chain.push(decision.clone());
        self.forget_unlinked();
        let after = spare(&next);
        self.outputs.push_back(Output::Event(Event::View(Box::new(next))));
        if before != after {
            self.outputs.push_back(Output::Event(Event::Resilience { spare: after }));
        }
        self.outputs.push_back(Output::Event(Event::Unblock));
        self.run(|stack, _, step| stack.begin(step, Some(&view_before)));
        self.welcome(&view_before, &decision);
        self.on_kept();
    }

    /// This process is no member of the next view. It answers for a while.
    pub(super) fn exclude(&mut self, why: Exclusion, decision: Box<Decision>) {
        let end = own_end(&decision.view, self.rank());
        let until = self.now.plus(self.config.timeouts.linger_us);
        let lost = self.rest(end, Some(until));
        self.chain.push(Decision::clone(&decision));
        self.outputs.push_back(Output::Event(Event::Excluded { why, decision, lost }));
    }

    /// Members of the present view have installed it: they need nothing of those before.
    pub(super) fn note_installed(&mut self, ranks: &[Rank]) {
        for member in ranks.iter().filter_map(|rank| self.stack.view().member(*rank)) {
            self.old.has_left(&member.key, member.incarnation);
        }
        self.drop_old();
    }

    /// Views that nobody needs any more are forgotten.
    pub(super) fn drop_old(&mut self) {
        self.old.expire(self.now, &self.config);
        let old = &self.old;
        self.bottom.keep_old(|view| old.has(view));
        if old.is_empty() && matches!(self.phase, Phase::Excluded) {
            self.bottom.give_up();
            self.forget_unlinked();
        }
    }

    /// What was kept long enough is forgotten.
    pub(super) fn expire(&mut self) {
        if self.old.deadline().is_some_and(|due| due <= self.now) {
            self.drop_old();
        }
        if self.departed.iter().any(|(peer, _)| !self.bottom.has_link(*peer)) {
            self.forget_unlinked();
        }
    }

    /// The rank of this life of the process in a view, and the view's keys.
    fn place_in(&self, view: &View) -> Option<(Rank, Arc<Roster>)> {
        let identity = self.door.identity();
        let rank = view.rank_of(identity.public_key())?;
        let mine = self.view().member(self.rank()).map(|member| member.incarnation);
        let listed = view.member(rank).map(|member| member.incarnation);
        let roster = view.roster_after(identity.suite(), Some(self.stack.roster()));
        let roster = roster.ok().filter(|_| mine == listed)?;
        Some((rank, Arc::new(roster)))
    }

    /// Remembers where former members are to be found.
    fn note_departed(&mut self, before: &View) {
        let peers = before.peers();
        let members = peers.values().zip(&before.members);
        let departed = members.filter(|(peer, _)| {
            self.bottom.has_link(**peer) && self.bottom.rank_of(**peer).is_none()
        });
        let departed: Vec<_> =
            departed.map(|(peer, member)| (*peer, member.addr.clone())).collect();
        let bottom = &self.bottom;
        self.departed.retain(|(peer, _)| {
            bottom.rank_of(*peer).is_none() && departed.iter().all(|(other, _)| other != peer)
        });
        self.departed.extend(departed);
    }

    fn forget_unlinked(&mut self) {
        let bottom = &self.bottom;
        self.departed.retain(|(peer, _)| bottom.has_link(*peer));
        self.peers.retain(|peer| bottom.has_link(peer));
    }
}

/// Where the own log ends in the cut that led to `next`.
fn own_end(next: &View, me: Rank) -> LogEnd {
    next.cut.get(me.index()).copied().unwrap_or(LogEnd::EMPTY)
}

/// How many Active members may stop before fewer than a quorum answer, if the others do not.
fn spare(view: &View) -> u16 {
    let spare = view.active().len().saturating_sub(view.quorum().q());
    u16::try_from(spare).unwrap_or(u16::MAX)
}
