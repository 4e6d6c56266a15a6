//! Who vouches for which head of one log (RM3): per member the newest entry and the newest one
//! that lies on the chain that is held, each with the statement that holds it. And one that waits
//! to be linked: where votes run ahead of bodies, the newest always would be.

use alloc::vec::Vec;

use crate::crypto::{Head, Heads, Verified};
use crate::member::{PerRank, Rank};
use crate::quorum::Quorum;
use crate::seq::Number;

/// An entry with the statement that holds it.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    pub(super) head: Head,
    pub(super) heads: Verified<Heads>,
}

#[derive(Clone, Debug, Default)]
struct Pair {
    newest: Option<Vote>,
    linked: Option<Vote>,
    /// Lies above all bodies held; no newer one takes its place before it could be linked.
    waiting: Option<Vote>,
}

/// Bytes of the votes of one member about one log, but for the statements.
pub(super) const VOTES_BYTES: usize = size_of::<Pair>();

/// The votes of all members about one log.
#[derive(Debug)]
pub(super) struct Votes(PerRank<Pair>);

fn number(vote: Option<&Vote>) -> Number {
    vote.map_or(Number::ZERO, |vote| vote.head.number)
}

impl Votes {
    pub(super) fn new(n: usize) -> Self {
        Self(PerRank::from_fn(n, |_| Pair::default()))
    }

    /// The newest entry of a member.
    pub(super) fn newest(&self, signer: Rank) -> Option<&Vote> {
        self.0.get(signer)?.newest.as_ref()
    }

    /// The newest entry of a member that lies on the chain.
    pub(super) fn linked(&self, signer: Rank) -> Option<&Vote> {
        self.0.get(signer)?.linked.as_ref()
    }

    /// A statement in which this member vouched for another hash at the same number.
    pub(super) fn contradicted(&self, signer: Rank, head: &Head) -> Option<&Verified<Heads>> {
        let pair = self.0.get(signer)?;
        let votes = [&pair.newest, &pair.linked, &pair.waiting].into_iter().flatten();
        let mut same = votes.filter(|vote| vote.head.number == head.number);
        same.find(|vote| vote.head.hash != head.hash).map(|vote| &vote.heads)
    }

    /// Keeps a vote; `is_linked` says whether its head is held and linked down to the base.
    pub(super) fn record(&mut self, vote: Vote, is_linked: bool) {
        let pair = self.0.at_mut(vote.heads.signer());
        if is_linked && vote.head.number > number(pair.linked.as_ref()) {
            pair.linked = Some(vote.clone());
        }
        if vote.head.number > number(pair.newest.as_ref()) {
            pair.newest = Some(vote);
        }
    }

    /// The entries of a member that are newer than its newest linked one, lower first.
    pub(super) fn unlinked(&self, signer: Rank) -> smallvec::SmallVec<[Head; 2]> {
        let pair = self.0.at(signer);
        let linked = number(pair.linked.as_ref());
        let votes = [&pair.waiting, &pair.newest].into_iter().flatten();
        votes.map(|vote| vote.head).filter(|head| head.number > linked).collect()
    }

    /// The entry of a member at `at` turned out to lie on the chain.
    pub(super) fn link(&mut self, signer: Rank, at: Number) {
        let pair = self.0.at_mut(signer);
        let mut votes = [&pair.waiting, &pair.newest].into_iter().flatten();
        if let Some(vote) = votes.find(|vote| vote.head.number == at).cloned() {
            pair.linked = Some(vote);
        }
    }

    /// All bodies up to `top` are held: only a vote above it may still wait.
    pub(super) fn wait_above(&mut self, signer: Rank, top: Number) {
        let pair = self.0.at_mut(signer);
        if number(pair.waiting.as_ref()) <= top {
            pair.waiting = pair.newest.clone().filter(|newest| newest.head.number > top);
        }
    }

    /// Only what certifies is kept.
    pub(super) fn rest(&mut self) {
        for pair in self.0.values_mut() {
            (pair.newest, pair.waiting) = (None, None);
        }
    }

    /// The chain above `last` was dropped.
    pub(super) fn unlink_above(&mut self, last: Number) {
        for pair in self.0.values_mut() {
            if number(pair.linked.as_ref()) > last {
                pair.linked = None;
            }
        }
    }

    /// The highest number that a quorum vouches for, if it is above `known`.
    pub(super) fn certified(&self, known: Number, quorum: Quorum) -> Option<Number> {
        let is_above = |pair: &&Pair| number(pair.linked.as_ref()) > known;
        if self.0.values().filter(is_above).count() < quorum.q() {
            return None;
        }
        let mut numbers: smallvec::SmallVec<[Number; 16]> =
            self.0.values().map(|pair| number(pair.linked.as_ref())).collect();
        quorum.reached(&mut numbers)
    }

    /// The statements of exactly a quorum that certify `least`, highest entries last; `None` if
    /// there are not enough.
    pub(super) fn certify(&self, least: Number, quorum: Quorum) -> Option<Vec<Vote>> {
        let mut votes: Vec<Vote> = self
            .0
            .values()
            .filter_map(|pair| pair.linked.clone())
            .filter(|vote| vote.head.number >= least)
            .collect();
        // The lowest entries need the fewest links.
        votes.sort_by_key(|vote| vote.head.number);
        votes.truncate(quorum.q());
        (votes.len() == quorum.q()).then_some(votes)
    }
}
