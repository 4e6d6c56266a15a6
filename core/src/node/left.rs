//! The views that this process has left, for those that are still in them (protocol.md section 10):
//! their bodies are handed out, and nothing is signed there any more.
//!
//! A view is kept until every member that goes on from it, and still is one, has shown by its signed
//! word that it installed a later view. No time ends that: whoever the next view lists may need the
//! bodies to go on with its state. A member says once per view that it installed it, and goes from
//! view to view: so its word for a later view stands for all before.
//!
//! What a faulty member can try: never say so. It costs what is kept, within bounds: at most
//! [`VIEWS_MAX`] views, which together hold no more than the largest of them alone may. If it is more
//! the oldest goes first, and the view before the present one never does. Who needs what is gone is
//! told so, and goes on as a voter.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::Config;
use crate::crypto::{Hash32, PublicKey};
use crate::member::Rank;
use crate::stack::Old;
use crate::time::{Time, earliest};
use crate::view::View;

/// How many views are kept at the most.
const VIEWS_MAX: usize = 8;

/// Who may still need the bodies of a view.
#[derive(Debug)]
struct Awaited {
    key: PublicKey,
    incarnation: u64,
}

/// A view that was left.
#[derive(Debug)]
pub(super) struct Left {
    old: Old,
    keep: Keep,
}

/// How long.
#[derive(Debug)]
enum Keep {
    /// Until these have left it, too.
    For(Vec<Awaited>),
    /// By who is no member any more; for ever if there is no moment.
    Until(Option<Time>),
}

impl Left {
    /// The view `before` was left by `me` for `next`.
    pub(super) fn new(old: Old, (before, me): (&View, Rank), next: &View) -> Self {
        let members = Rank::all(before.members.len()).zip(&before.members);
        let others = members.filter(|(rank, member)| {
            *rank != me && is_member(next, &member.key, member.incarnation)
        });
        let awaited =
            others.map(|(_, member)| Awaited { key: member.key, incarnation: member.incarnation });
        Self { old, keep: Keep::For(awaited.collect()) }
    }

    /// When it need not be kept any more; `None` if that depends on what others say.
    fn until(&self) -> Option<Time> {
        match &self.keep {
            Keep::For(awaited) => awaited.is_empty().then_some(Time::ZERO),
            Keep::Until(until) => *until,
        }
    }

    fn retain(&mut self, is_awaited: impl Fn(&Awaited) -> bool) {
        if let Keep::For(awaited) = &mut self.keep {
            awaited.retain(is_awaited);
        }
    }
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lefts(VecDeque<Left>);

impl Lefts {
    /// One more view was left.
    pub(super) fn push(&mut self, left: Left, config: &Config) {
        self.0.push_back(left);
        self.trim(config);
    }

    /// The last view of this process was left: all are kept until then, for it hears no words.
    pub(super) fn close(&mut self, old: Old, until: Option<Time>, config: &Config) {
        self.push(Left { old, keep: Keep::Until(until) }, config);
        for left in &mut self.0 {
            left.keep = Keep::Until(until);
        }
    }

    fn trim(&mut self, config: &Config) {
        while self.0.len() > VIEWS_MAX || self.held_bytes() > self.bound_bytes(config) {
            self.0.pop_front();
        }
    }

    /// Who is not in the `present` view any more needs nothing.
    pub(super) fn stay(&mut self, present: &View) {
        for left in &mut self.0 {
            left.retain(|awaited| is_member(present, &awaited.key, awaited.incarnation));
        }
    }

    /// This life of a member has installed a view that is later than all of them.
    pub(super) fn has_left(&mut self, key: &PublicKey, incarnation: u64) {
        for left in &mut self.0 {
            left.retain(|awaited| (awaited.key, awaited.incarnation) != (*key, incarnation));
        }
    }

    /// What is left of this view.
    pub(super) fn view(&mut self, view: &Hash32) -> Option<&mut Old> {
        let mut views = self.0.iter_mut().map(|left| &mut left.old);
        views.find(|old| old.roster.view() == view)
    }

    /// Whether this view is kept.
    pub(super) fn has(&self, view: &Hash32) -> bool {
        self.0.iter().any(|left| left.old.roster.view() == view)
    }

    /// When the next one is over.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().fold(None, |first, left| earliest(first, left.until()))
    }

    /// Drops what need not be kept any more.
    pub(super) fn expire(&mut self, now: Time, config: &Config) {
        self.0.retain(|left| left.until().is_none_or(|until| until > now));
        self.trim(config);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn held_bytes(&self) -> usize {
        let held = self.0.iter().map(|left| left.old.held_bytes());
        held.fold(self.tables_bytes(), usize::saturating_add)
    }

    /// Bytes of the tables of all of them.
    fn tables_bytes(&self) -> usize {
        let tables = self.0.iter().map(|left| left.old.tables_bytes());
        tables.fold(0, usize::saturating_add)
    }

    /// The most that they may hold together: as much as the one with the most members alone, and the
    /// tables of each.
    pub(super) fn bound_bytes(&self, config: &Config) -> usize {
        let most = self.0.iter().fold(0, |most, left| most.max(left.old.bound_bytes(config)));
        most.saturating_add(self.tables_bytes())
    }
}

/// Whether a life of a process is a member of a view.
fn is_member(view: &View, key: &PublicKey, incarnation: u64) -> bool {
    let member = view.rank_of(key).and_then(|rank| view.member(rank));
    member.is_some_and(|member| member.incarnation == incarnation)
}
