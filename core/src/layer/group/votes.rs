//! Statements of one kind by signer and attempt: counted in one place, the first of each stands.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::crypto::{
    AckNewView, Commit, Hash32, NeedMoreChange, NewView, ReadyToSwitch, Statement, Verified,
};
use crate::member::{PerRank, Rank};
use crate::seq::Attempt;

/// How many attempts are remembered of each signer: the highest.
pub(super) const ATTEMPTS_MAX: usize = 16;

/// A statement that belongs to one attempt.
pub(super) trait Ballot: Statement + Eq {
    /// Which.
    fn attempt(&self) -> Attempt;
}

macro_rules! ballots {
    ($($name:ident)*) => {$(
        impl Ballot for $name {
            fn attempt(&self) -> Attempt {
                self.attempt
            }
        }
    )*};
}

ballots! { NeedMoreChange NewView AckNewView Commit ReadyToSwitch }

/// What became of a statement.
#[derive(Debug)]
pub(super) enum Put<S> {
    /// It was not known.
    News,
    /// It was, or is too old to matter.
    Known,
    /// Its signer said something else before, in the same attempt.
    Conflict(Verified<S>),
}

/// The statements of all members.
#[derive(Clone, Debug)]
pub(super) struct Votes<S>(PerRank<BTreeMap<Attempt, Verified<S>>>);

impl<S: Ballot> Votes<S> {
    pub(super) fn new(n: usize) -> Self {
        Self(PerRank::from_fn(n, |_| BTreeMap::new()))
    }

    /// Keeps a statement, if its signer has said nothing else in that attempt.
    pub(super) fn put(&mut self, vote: &Verified<S>) -> Put<S> {
        let Some(votes) = self.0.get_mut(vote.signer()) else { return Put::Known };
        let attempt = vote.attempt();
        if let Some(known) = votes.get(&attempt) {
            return if **known == **vote { Put::Known } else { Put::Conflict(known.clone()) };
        }
        votes.insert(attempt, vote.clone());
        while votes.len() > ATTEMPTS_MAX {
            votes.pop_first();
        }
        if votes.contains_key(&attempt) { Put::News } else { Put::Known }
    }

    /// What a member said in an attempt.
    pub(super) fn of(&self, signer: Rank, attempt: Attempt) -> Option<&Verified<S>> {
        self.0.get(signer)?.get(&attempt)
    }

    /// Whether this very statement was taken in before.
    pub(super) fn has(&self, signer: Rank, statement: &S) -> bool {
        self.of(signer, statement.attempt()).is_some_and(|known| **known == *statement)
    }

    /// All that was said in an attempt, by rank.
    pub(super) fn at(&self, attempt: Attempt) -> impl Iterator<Item = &Verified<S>> {
        self.0.values().filter_map(move |votes| votes.get(&attempt))
    }

    /// The highest attempt of each member that said anything.
    pub(super) fn highest(&self) -> impl Iterator<Item = (Rank, Attempt)> {
        self.0.iter().filter_map(|(rank, votes)| votes.keys().next_back().map(|last| (rank, *last)))
    }

    /// All statements of a member.
    pub(super) fn all_of(&self, signer: Rank) -> impl Iterator<Item = &Verified<S>> {
        self.0.get(signer).into_iter().flat_map(BTreeMap::values)
    }

    /// The attempts in which anything was said, highest first.
    fn attempts(&self) -> Vec<Attempt> {
        let mut attempts: Vec<Attempt> =
            self.0.values().flat_map(|votes| votes.keys().copied()).collect();
        attempts.sort_unstable();
        attempts.dedup();
        attempts.reverse();
        attempts
    }
}

/// A vote for one next view.
pub(super) trait ForView: Ballot {
    /// Its id.
    fn next(&self) -> Hash32;
}

impl ForView for AckNewView {
    fn next(&self) -> Hash32 {
        self.next
    }
}

impl ForView for ReadyToSwitch {
    fn next(&self) -> Hash32 {
        self.next
    }
}

impl<S: ForView> Votes<S> {
    /// The highest attempt above `least` in which `quorum` members voted for one view: that attempt,
    /// the view's id, and exactly that many votes.
    pub(super) fn agreed(
        &self,
        above: Option<Attempt>,
        quorum: usize,
    ) -> Option<(Attempt, Hash32, Vec<Verified<S>>)> {
        let attempts = self.attempts().into_iter();
        attempts.filter(|attempt| above.is_none_or(|above| *attempt > above)).find_map(|attempt| {
            let votes: Vec<&Verified<S>> = self.at(attempt).collect();
            let agreed = |next: Hash32| {
                let mut for_it: Vec<Verified<S>> =
                    votes.iter().filter(|vote| vote.next() == next).map(|v| (*v).clone()).collect();
                for_it.truncate(quorum);
                (for_it.len() == quorum).then_some((attempt, next, for_it))
            };
            votes.iter().find_map(|vote| agreed(vote.next()))
        })
    }
}
