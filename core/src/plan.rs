//! `plan`, the only place with membership policy (protocol.md section 8): which members the next
//! view has, given this view and evidence. Pure, total and the same everywhere; the order of the
//! evidence does not matter.
//!
//! It promises, for evidence that was checked, and whatever the timing:
//!
//! * Liars: with at most `F` liars among the members of a view, and at most `F` counting those that
//!   may still join, the next view has at most its own `F'` of them, and `F' <= f(n)`. Opinions,
//!   however many and however wrong, make no group smaller than `3F + 1`: they silence, or make room
//!   for who joins. Who is merely slow is only silenced.
//! * At most `max(1, f)` members are removed, replaced or silenced by one change, so a correct
//!   member that holds everything stays.
//! * Somebody is Active, no key is twice in a view, no expelled key comes back, and there are at
//!   most `max_members`. Those who stay are a quorum of the next view, unless one joiner alone
//!   makes them fewer: a group of one could not take in anybody otherwise.
//! * Newcomers that never come make no group stand still: those who stay, of whom the evidence says
//!   nothing, and that are Active or were heard in this view, are a quorum of the next view; or at
//!   least no further from one than without the joiner, which then displaces nobody. A group of one
//!   is the exception: two of two are a quorum, so it depends on the second.
//! * A joiner gets in: as long as at most `f` are down, these and no others are suspected, and all
//!   correct members recommend it, up to `max_members`.
//!
//! What a faulty member can try: accuse falsely (up to `f` are not enough, and who is proven to lie
//! counts for no opinion), be silent (it is silenced, which costs no quorum, and the others say
//! whether it lives), or come and go (each time is an entry of its own that weak members have to
//! recommend).

mod draft;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

use crate::crypto::{Change, Hash32, PublicKey};
use crate::member::{Member, PerRank, Rank, Status};
use crate::seq::LogEnd;
use crate::view::{Departure, Genesis, View};
use draft::Draft;

/// What the evidence says, already checked: signatures, signers are members of the view, each
/// (signer, subject, kind) once, addresses within their bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) suspicions: Vec<Suspicion>,
    pub(crate) leaving: Vec<Rank>,
    pub(crate) joining: Vec<Joining>,
}

/// One member suspects another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion {
    pub(crate) subject: Rank,
    pub(crate) signer: Rank,
    /// It claims to hold a proof, not just an opinion.
    pub(crate) by_proof: bool,
    /// The opinion is merely that it is slow.
    pub(crate) is_slow: bool,
}

/// A process asks to be a member; or, as the member that it is, to be Active again, or Silenced until
/// it has the state that it has lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joining {
    /// Hash of the request.
    pub(crate) request: Hash32,
    pub(crate) key: PublicKey,
    pub(crate) incarnation: u64,
    pub(crate) addr: Vec<u8>,
    pub(crate) recommended_by: Vec<Rank>,
}

impl Facts {
    /// What a Flush may list, or a plan takes, by this evidence. More evidence never takes any of it
    /// away: a member that is proven to lie is listed as suspected too, and everybody's suspicions
    /// count. `plan` is drawn from this evidence; without it nothing is excused for want of room.
    pub(crate) fn supported<'a>(&'a self, view: &'a View, plan: Option<&Plan>) -> Supported<'a> {
        let (n, weak) = (view.members.len(), view.quorum().weak());
        let leaving = self.leaving.iter().copied().filter(|rank| rank.index() < n);
        let mut changes: Vec<Change> = leaving.map(Change::Leaves).collect();
        let proven = reaching(&self.suspects(n, |suspicion| suspicion.by_proof), weak);
        changes.extend(proven.into_iter().map(Change::Proven));
        let suspected = reaching(&self.suspects(n, |_| true), weak);
        changes.extend(suspected.into_iter().map(Change::Suspected));
        changes.sort_unstable();
        changes.dedup();
        let is_full = plan.is_some_and(|plan| plan.is_full);
        Supported { view, changes, requests: self.requests(view), is_full }
    }

    /// All changes that have enough evidence, ascending.
    #[cfg(test)]
    pub(crate) fn changes(&self, view: &View) -> Vec<Change> {
        let Supported { mut changes, requests, .. } = self.supported(view, None);
        let joins = requests.into_iter();
        changes.extend(joins.map(|joining| Change::Joins(joining.key, joining.incarnation)));
        changes
    }

    /// How many members other than itself suspect each member, by the suspicions that count.
    fn suspects(&self, n: usize, counts: impl Fn(&Suspicion) -> bool) -> PerRank<usize> {
        let counting = self.suspicions.iter().filter(|suspicion| {
            let Suspicion { subject, signer, .. } = **suspicion;
            subject != signer && signer.index() < n && counts(suspicion)
        });
        let mut pairs: Vec<(Rank, Rank)> =
            counting.map(|suspicion| (suspicion.subject, suspicion.signer)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut suspects = PerRank::from_fn(n, |_| 0_usize);
        for (subject, _) in pairs {
            if let Some(count) = suspects.get_mut(subject) {
                *count = count.saturating_add(1);
            }
        }
        suspects
    }

    /// Who signed any of it, but for who leaves.
    fn signers(&self, n: usize) -> impl Iterator<Item = Rank> {
        let accusers = self.suspicions.iter().map(|suspicion| suspicion.signer);
        let sponsors = self.joining.iter().flat_map(|joining| &joining.recommended_by);
        accusers.chain(sponsors.copied()).filter(move |rank| rank.index() < n)
    }

    /// Returns the members that were heard in this view by the word of those who recommend a
    /// newcomer. A correct member recommends one only when it has heard each member or knows that
    /// weak suspect it, and before its Flush. Of `n - f` recommenders at least `n - 2f` are correct;
    /// one of them is among any `q` that flushed, and the evidence has all suspicions that it listed.
    fn vouched(&self, view: &View, requests: &[&Joining]) -> Vec<Rank> {
        let (n, quorum) = (view.members.len(), view.quorum());
        let is_vouching = |request: &&&Joining| {
            let sponsors = request.sponsors(n);
            view.rank_of(&request.key).is_none() && sponsors >= n.saturating_sub(quorum.f())
        };
        if !requests.iter().any(|request| is_vouching(&request)) {
            return Vec::new();
        }
        let suspected = reaching(&self.suspects(n, |_| true), quorum.weak());
        Rank::all(n).filter(|rank| !suspected.contains(rank)).collect()
    }

    /// Whether the signer of an opinion is for having its subject, which is Silenced, Active again:
    /// then it thinks so no more. Without this, who was cut off for a while could not come back to a
    /// group that changes for no other reason.
    fn is_withdrawn(&self, view: &View, suspicion: &Suspicion) -> bool {
        let Some(subject) = view.member(suspicion.subject) else { return false };
        let is_own = |joining: &&Joining| {
            (joining.key, joining.incarnation) == (subject.key, subject.incarnation)
        };
        let mut requests = self.joining.iter().filter(is_own);
        !suspicion.by_proof
            && subject.status == Status::Silenced
            && requests.any(|request| request.recommended_by.contains(&suspicion.signer))
    }

    /// The requests with evidence: per key the one with the highest incarnation, then the lowest
    /// hash; by key.
    fn requests(&self, view: &View) -> Vec<&Joining> {
        let (n, weak) = (view.members.len(), view.quorum().weak());
        let recommended = self.joining.iter().filter(|joining| joining.sponsors(n) >= weak);
        let mut requests: Vec<&Joining> = recommended.collect();
        requests.sort_unstable_by_key(|joining| {
            (joining.key, Reverse(joining.incarnation), joining.request)
        });
        requests.dedup_by_key(|joining| joining.key);
        requests
    }
}

/// Changes that have enough evidence.
#[derive(Debug)]
pub(crate) struct Supported<'a> {
    view: &'a View,
    /// Those about members, ascending.
    changes: Vec<Change>,
    /// By key.
    requests: Vec<&'a Joining>,
    /// The plan takes in no more joiners.
    is_full: bool,
}

impl Supported<'_> {
    /// What a Flush lists: everything about members, and of the joiners those that `plan`, drawn from
    /// the same evidence, takes in. Ascending.
    pub(crate) fn listed(mut self, plan: &Plan) -> Vec<Change> {
        let is_taken = |joining: &&Joining| {
            let taken = |member: &Member| {
                (member.key, member.incarnation) == (joining.key, joining.incarnation)
                    && member.status == Status::Active
            };
            plan.members.iter().any(taken)
        };
        let taken = self.requests.into_iter().filter(is_taken);
        self.changes.extend(taken.map(|joining| Change::Joins(joining.key, joining.incarnation)));
        self.changes
    }

    /// Whether a listed change has evidence. A request does if a later life of its key asks, too; and
    /// none of a newcomer is missed by a plan that takes in as many as it may.
    pub(crate) fn has(&self, change: &Change) -> bool {
        let Change::Joins(key, incarnation) = change else {
            return self.changes.binary_search(change).is_ok();
        };
        let found = self.requests.binary_search_by_key(key, |joining| joining.key).ok();
        let found = found.and_then(|at| self.requests.get(at));
        found.is_some_and(|joining| joining.incarnation >= *incarnation)
            || (self.is_full && self.view.rank_of(key).is_none())
    }
}

impl Joining {
    /// Counts the members that recommend it.
    fn sponsors(&self, n: usize) -> usize {
        let by = self.recommended_by.iter().copied();
        let mut by: Vec<Rank> = by.filter(|rank| rank.index() < n).collect();
        by.sort_unstable();
        by.dedup();
        by.len()
    }
}

/// The members with at least `weak` of something, in rank order.
fn reaching(counts: &PerRank<usize>, weak: usize) -> Vec<Rank> {
    counts.iter().filter(|(_, count)| **count >= weak).map(|(rank, _)| rank).collect()
}

/// The members that the evidence is about, in the order in which they are dealt with; each in one
/// of the first three lists only.
#[derive(Clone, Debug)]
struct Subjects {
    /// `M`.
    proven: Vec<Rank>,
    /// `S`.
    suspected: Vec<Rank>,
    /// Those of `S` that too few suspect of anything but being slow.
    slow: Vec<Rank>,
    /// Those that weak suspect, taken back or not: who is for a member and suspects it since has
    /// said the same.
    doubted: Vec<Rank>,
    /// `L`.
    leaving: Vec<Rank>,
    /// Members whose key asks with a higher incarnation: that life of theirs is over.
    outlived: Vec<Rank>,
    /// Members that ask as the process that they are.
    asking: Vec<Rank>,
    /// Members that were there in this view: they signed some of the evidence, or others say so.
    heard: Vec<Rank>,
}

impl Subjects {
    fn of(view: &View, facts: &Facts, requests: &[&Joining]) -> Self {
        let (n, weak) = (view.members.len(), view.quorum().weak());
        let mut proven = reaching(&facts.suspects(n, |suspicion| suspicion.by_proof), weak);
        proven.reverse();
        let suspects = facts.suspects(n, |suspicion| {
            !proven.contains(&suspicion.signer) && !facts.is_withdrawn(view, suspicion)
        });
        let counted = |suspicion: &Suspicion| !proven.contains(&suspicion.signer);
        let doubted = reaching(&facts.suspects(n, counted), weak);
        let mut suspected = reaching(&suspects, weak);
        suspected.retain(|rank| !proven.contains(rank));
        suspected.sort_unstable_by_key(|rank| {
            let status = view.member(*rank).map(|member| member.status);
            (status != Some(Status::Silenced), Reverse(*suspects.at(*rank)), Reverse(*rank))
        });
        let other = facts.suspects(n, |suspicion| {
            !suspicion.is_slow
                && !proven.contains(&suspicion.signer)
                && !facts.is_withdrawn(view, suspicion)
        });
        let is_slow = |rank: &&Rank| *other.at(**rank) < weak;
        let slow: Vec<Rank> = suspected.iter().filter(is_slow).copied().collect();
        let is_listed = |rank: &Rank| proven.contains(rank) || suspected.contains(rank);
        let mut leaving = facts.leaving.clone();
        leaving.retain(|rank| rank.index() < n && !is_listed(rank));
        leaving.sort_unstable_by_key(|rank| Reverse(*rank));
        leaving.dedup();
        let mut asking = Vec::new();
        let mut outlived = Vec::new();
        for request in requests {
            let Some(rank) = view.rank_of(&request.key) else { continue };
            let Some(member) = view.member(rank) else { continue };
            match member.incarnation.cmp(&request.incarnation) {
                Ordering::Less => outlived.push(rank),
                Ordering::Equal => asking.push(rank),
                Ordering::Greater => {}
            }
        }
        let mut heard: Vec<Rank> = facts.signers(n).chain(asking.iter().copied()).collect();
        heard.extend(facts.vouched(view, requests));
        heard.sort_unstable();
        heard.dedup();
        Self { proven, suspected, slow, doubted, leaving, outlived, asking, heard }
    }

    /// Whether the evidence gives a reason not to count on a member.
    fn contains(&self, rank: Rank) -> bool {
        let lists = [&self.proven, &self.suspected, &self.leaving, &self.outlived];
        lists.iter().any(|list| list.contains(&rank))
    }
}

/// What the evidence makes of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Of the next view: those who stay in their order, then the joiners.
    pub(crate) members: Vec<Member>,
    /// `F` of the next view.
    pub(crate) pledge: u16,
    /// Keys that may never join again, ascending; with [`crate::EXPELLED_MAX`] of them no more are
    /// remembered, and who is proven to lie then is removed but may ask to join again.
    pub(crate) expelled: Vec<PublicKey>,
    /// Who is not in the next view with the same incarnation, ascending.
    pub(crate) departed: Vec<(Rank, Departure)>,
    /// Who is Active now and will not be, ascending.
    pub(crate) silenced: Vec<Rank>,
    /// There is no room for one more joiner, whoever it is.
    pub(crate) is_full: bool,
}

/// The next membership of a legal view of the group of `genesis`, given this evidence.
///
/// A leaver that cannot be let go now is not in the plan: it is told, may stop, and counts as
/// crashed. So is the rest of those proven to lie when more are proven than one change may touch:
/// the next view has the proofs again.
pub(crate) fn plan(view: &View, genesis: &Genesis, facts: &Facts) -> Plan {
    let requests = facts.requests(view);
    let subjects = Subjects::of(view, facts, &requests);
    let mut draft = Draft::new(view, genesis);
    draft.expel(&subjects.proven);
    draft.admit(&requests, &subjects);
    draft.remove_or_silence(&subjects);
    draft.let_go(&subjects.leaving);
    draft.change_status(&subjects);
    draft.finish()
}

/// Whether a member is among those of the next view, the same incarnation, and not newly silenced.
pub(crate) fn keeps(member: &Member, next: &[Member]) -> bool {
    next.iter().any(|other| {
        (other.key, other.incarnation) == (member.key, member.incarnation)
            && (other.status == Status::Active || member.status == Status::Silenced)
    })
}

impl Plan {
    /// Whether it differs from the view in members, pledge or expelled keys.
    pub(crate) fn is_change(&self, view: &View) -> bool {
        self.members != view.members
            || self.pledge != view.pledge
            || *self.expelled != *view.expelled
    }

    /// The same for the member at a rank of the old view.
    #[cfg(test)]
    pub(crate) fn keeps(&self, view: &View, rank: Rank) -> bool {
        view.member(rank).is_some_and(|member| keeps(member, &self.members))
    }

    /// The next view, in which the logs of this one end at `cut`.
    pub(crate) fn build(self, view: &View, cut: Vec<LogEnd>) -> View {
        View {
            group: view.group,
            number: view.number.saturating_add(1),
            prev: view.id(),
            members: self.members,
            pledge: self.pledge,
            rule: view.rule,
            expelled: self.expelled.into(),
            cut: cut.into(),
            departed: self.departed.into(),
            silenced: self.silenced.into(),
        }
    }
}
