//! The steps of `plan` (protocol.md section 8), one method each, in the order in which they are
//! taken. Who is dealt with is decided before; here only what becomes of each.

use alloc::vec::Vec;

use super::{Joining, Plan, Subjects};
use crate::crypto::{PublicKey, peer_id};
use crate::member::{Member, PeerId, PerRank, Rank, Status};
use crate::quorum::Quorum;
use crate::view::{Departure, EXPELLED_MAX, Genesis, View};

/// The next membership while it is drawn up.
#[derive(Clone, Debug)]
pub(super) struct Draft<'a> {
    view: &'a View,
    genesis: &'a Genesis,
    /// How many members may still be removed or silenced.
    cap: usize,
    /// `F1`: the pledge less those removed because they lied.
    pledge: u16,
    /// The status that each member of the view has in the next; `None` if it is not in it.
    stays: PerRank<Option<Status>>,
    joined: Vec<Member>,
    expelled: Vec<PublicKey>,
    departed: Vec<(Rank, Departure)>,
    /// One more newcomer did not fit, or would not.
    is_full: bool,
}

impl<'a> Draft<'a> {
    /// The view as it is.
    pub(super) fn new(view: &'a View, genesis: &'a Genesis) -> Self {
        Self {
            view,
            genesis,
            cap: view.quorum().f().max(1),
            pledge: view.pledge,
            stays: PerRank::from_vec(view.members.iter().map(|m| Some(m.status)).collect()),
            joined: Vec::new(),
            expelled: view.expelled.to_vec(),
            departed: Vec::new(),
            is_full: false,
        }
    }

    /// Step 1: who lied goes for ever, and with each the group has one liar less to bear. If no
    /// other was Active, somebody has to be.
    pub(super) fn expel(&mut self, proven: &[Rank]) {
        for rank in proven.iter().take(self.cap) {
            self.remove(*rank, Departure::Proof);
            self.pledge = self.pledge.saturating_sub(1);
            if let Some(Member { key, .. }) = self.view.member(*rank)
                && self.expelled.len() < EXPELLED_MAX
                && !self.expelled.contains(key)
            {
                self.expelled.push(*key);
            }
        }
        self.expelled.sort_unstable();
        if !self.stays.values().any(|status| *status == Some(Status::Active))
            && let Some(lowest) = self.stays.values_mut().flatten().next()
        {
            *lowest = Status::Active;
        }
    }

    /// Step 2: joiners, by key. One that needs its old entry removed waits if too many were
    /// touched, one for which the group is too large if it is, so that a spare that waits for ever
    /// keeps nobody from coming back; the first that does not fit otherwise ends it. Nobody joins
    /// that frames could not tell from another member. An address that a member has keeps nobody out:
    /// links are between keys, and that member may be dead. Of two newcomers with one address the second
    /// waits, because members recommend apart from each other, and only here both are seen.
    pub(super) fn admit(&mut self, requests: &[&Joining], subjects: &Subjects) {
        let has_ended = self.take_in(requests, subjects);
        let size = usize::from(self.genesis.limits.max_members);
        self.is_full = has_ended || self.size() >= size || !self.takes_another(subjects);
    }

    /// Whether one more newcomer would be taken in, whoever it is.
    fn takes_another(&self, subjects: &Subjects) -> bool {
        let Some(somebody) = self.view.members.first() else { return false };
        let mut with = self.clone();
        with.joined.push(somebody.clone());
        with.is_possible() && self.bears(&with, subjects)
    }

    /// Returns whether one that did not fit ended it.
    fn take_in(&mut self, requests: &[&Joining], subjects: &Subjects) -> bool {
        let mut names: Vec<(PeerId, PublicKey)> = self
            .view
            .peers()
            .values()
            .copied()
            .zip(self.view.members.iter().map(|member| member.key))
            .collect();
        for request in requests {
            let name = peer_id(&request.key);
            let old = self.view.rank_of(&request.key);
            if names.iter().any(|(known, key)| *known == name && *key != request.key)
                || (old.is_none() && self.is_taken(request))
            {
                continue;
            }
            let is_stale = |rank: Rank| {
                let member = self.view.member(rank);
                subjects.proven.contains(&rank)
                    || member.is_some_and(|member| member.incarnation >= request.incarnation)
            };
            if self.expelled.contains(&request.key)
                || old.is_some_and(is_stale)
                || (old.is_some() && self.cap == 0)
                || (old.is_none() && self.size() >= usize::from(self.genesis.limits.max_members))
            {
                continue;
            }
            let mut with = self.clone();
            if let Some(old) = old {
                with.remove(old, Departure::Replaced);
            }
            with.joined.push(Member {
                key: request.key,
                incarnation: request.incarnation,
                addr: request.addr.clone(),
                status: Status::Active,
            });
            if !with.is_possible() || !self.bears(&with, subjects) {
                return true;
            }
            names.push((name, request.key));
            *self = with;
        }
        false
    }

    /// Tells whether a joiner that comes first has the address.
    fn is_taken(&self, request: &Joining) -> bool {
        !request.addr.is_empty() && self.joined.iter().any(|other| other.addr == request.addr)
    }

    /// Whether so many may join at once: somebody who knows the group's past stays in any case.
    fn is_possible(&self) -> bool {
        let survivors = self.survivors();
        self.joined.len() <= usize::from(self.genesis.limits.max_joins_per_change)
            && survivors >= 1
            && (self.joined.len() == 1 || survivors >= self.quorum(self.size()).q())
    }

    /// Whether the group can decide again if none of those that join ever comes; or could not
    /// without the last of them either, which then displaces nobody who may still be there. One
    /// member alone cannot have that: two are a quorum of two.
    fn bears(&self, with: &Self, subjects: &Subjects) -> bool {
        let (end, end_without) = (with.end(subjects), self.end(subjects));
        let (after, before) = (end.missing(subjects), end_without.missing(subjects));
        let is_displaced = |rank: &Rank| {
            let is_kept = |draft: &Self| draft.stays.at(*rank).is_some();
            is_kept(with) && is_kept(&end_without) && !is_kept(&end)
        };
        let mut uncertain = subjects.suspected.iter().chain(&subjects.leaving);
        self.view.members.len() == 1
            || after == 0
            || (after <= before && !uncertain.any(is_displaced))
    }

    /// What becomes of it once all others are dealt with.
    fn end(&self, subjects: &Subjects) -> Self {
        let mut end = self.clone();
        end.remove_or_silence(subjects);
        end.let_go(&subjects.leaving);
        end
    }

    /// By how many the certain are fewer than a quorum: those that it keeps, without anything said
    /// against them, and that are Active or were heard in this view. Another Silenced member may be
    /// down, and not be suspected again yet.
    fn missing(&self, subjects: &Subjects) -> usize {
        let is_certain = |(rank, status): &(Rank, &Option<Status>)| {
            let is_there = status.is_some() && subjects.heard.contains(rank);
            let is_doubted = subjects.contains(*rank) || subjects.doubted.contains(rank);
            (**status == Some(Status::Active) || is_there) && !is_doubted
        };
        let certain = self.stays.iter().filter(is_certain).count();
        self.quorum(self.size()).q().saturating_sub(certain)
    }

    /// Step 3: who is suspected by opinion goes if the group can still bear as many liars without
    /// it, and falls silent otherwise. Who is merely slow loses its slots, not its votes.
    pub(super) fn remove_or_silence(&mut self, subjects: &Subjects) {
        for rank in &subjects.suspected {
            let Some(status) = self.dispensable(*rank) else { continue };
            if self.may_shrink() && !subjects.slow.contains(rank) {
                self.remove(*rank, Departure::Opinion);
            } else if status == Status::Active {
                self.silence(*rank);
            }
        }
    }

    /// Step 4: who wants to leave goes under the same condition.
    pub(super) fn let_go(&mut self, leaving: &[Rank]) {
        for rank in leaving {
            if self.dispensable(*rank).is_some() && self.may_shrink() {
                self.remove(*rank, Departure::Left);
            }
        }
    }

    /// The status of a member that is still there and may be touched: as long as the cap allows,
    /// and somebody else is Active.
    fn dispensable(&self, rank: Rank) -> Option<Status> {
        let status = self.stays.get(rank).copied().flatten()?;
        let is_active = |(other, status): (Rank, &Option<Status>)| {
            other != rank && *status == Some(Status::Active)
        };
        let others = !self.joined.is_empty() || self.stays.iter().any(is_active);
        (self.cap > 0 && others).then_some(status)
    }

    /// Whether one member less still bears as many liars (it has `3 F1 + 1` members at least), and
    /// those who know the group's past are a quorum of it.
    fn may_shrink(&self) -> bool {
        let size = self.size().saturating_sub(1);
        let quorum = self.quorum(size);
        size >= 1
            && quorum.f() >= usize::from(self.pledge)
            && self.survivors().saturating_sub(1) >= quorum.q()
    }

    /// Step 5: who asks as the process that it is. A silenced one is Active again; one that is Active
    /// has lost its state, and falls silent to be handed it with that. A request of a higher
    /// incarnation stands above its own: that process is gone.
    pub(super) fn change_status(&mut self, subjects: &Subjects) {
        for rank in subjects.asking.iter().copied().filter(|rank| !subjects.contains(*rank)) {
            let Some(member) = self.view.member(rank) else { continue };
            if member.status == Status::Active && self.dispensable(rank) == Some(Status::Active) {
                self.silence(rank);
            } else if member.status == Status::Silenced
                && let Some(status) = self.stays.at_mut(rank)
            {
                *status = Status::Active;
            }
        }
    }

    /// Step 6: the pledge rises again with the group. As long as nobody came or went it stays.
    pub(super) fn finish(mut self) -> Plan {
        let spare = u16::try_from(self.quorum(self.size()).f()).unwrap_or(u16::MAX);
        let is_same = self.joined.is_empty() && self.departed.is_empty();
        let limit = if is_same { 0 } else { self.genesis.pledge.unwrap_or(u16::MAX) };
        let mut members = Vec::with_capacity(self.size());
        let mut silenced = Vec::new();
        for ((rank, status), member) in self.stays.iter().zip(&self.view.members) {
            let Some(status) = *status else { continue };
            if (member.status, status) == (Status::Active, Status::Silenced) {
                silenced.push(rank);
            }
            members.push(Member { status, ..member.clone() });
        }
        members.append(&mut self.joined);
        self.departed.sort_unstable();
        Plan {
            members,
            pledge: self.pledge.max(limit.min(spare)),
            expelled: self.expelled,
            departed: self.departed,
            silenced,
            is_full: self.is_full,
        }
    }

    fn silence(&mut self, rank: Rank) {
        *self.stays.at_mut(rank) = Some(Status::Silenced);
        self.cap = self.cap.saturating_sub(1);
    }

    fn remove(&mut self, rank: Rank, why: Departure) {
        *self.stays.at_mut(rank) = None;
        self.departed.push((rank, why));
        self.cap = self.cap.saturating_sub(1);
    }

    /// Members of the view that are in the next; not those replaced.
    fn survivors(&self) -> usize {
        self.stays.values().flatten().count()
    }

    fn size(&self) -> usize {
        self.survivors().saturating_add(self.joined.len())
    }

    fn quorum(&self, n: usize) -> Quorum {
        Quorum::of(u16::try_from(n).unwrap_or(u16::MAX), self.view.rule)
    }
}
