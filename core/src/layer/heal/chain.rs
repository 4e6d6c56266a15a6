//! The decisions that led from view to view, for members that lag behind (R10 of protocol.md
//! section 9), and for those that join.

use alloc::collections::VecDeque;

use crate::crypto::Hash32;
use crate::view::View;
use crate::wire::change::Decision;

/// Decisions kept; whoever lags behind further has to join again, from a later anchor.
const DECISIONS_MAX: usize = 1024;

/// The latest decisions, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    decisions: VecDeque<(Decision, usize)>,
    bytes: usize,
}

impl Chain {
    /// The most bytes held; a decision takes a few hundred to some kilobytes, 64 KiB at the most.
    pub(crate) const BOUND_BYTES: usize = 4 * 1024 * 1024;

    pub(crate) fn push(&mut self, decision: Decision) {
        let bytes = postcard::to_allocvec(&decision).map_or(0, |bytes| bytes.len());
        self.bytes = self.bytes.saturating_add(bytes);
        self.decisions.push_back((decision, bytes));
        while self.decisions.len() > DECISIONS_MAX || self.bytes > Self::BOUND_BYTES {
            let Some((_, bytes)) = self.decisions.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().map(|(decision, _)| decision)
    }

    /// What was decided in this view.
    pub(crate) fn after(&self, view: &Hash32) -> Option<&Decision> {
        let mut newest_first = self.decisions.iter().rev().map(|(decision, _)| decision);
        newest_first.find(|decision| decision.view.prev == *view)
    }

    /// The views that they led to, oldest first.
    pub(crate) fn views(&self) -> impl Iterator<Item = &View> {
        self.decisions.iter().map(|(decision, _)| &decision.view)
    }

    /// The decision that led to this view.
    pub(crate) fn to(&self, view: &Hash32) -> Option<&Decision> {
        let next = self.decisions.iter().position(|(next, _)| next.view.prev == *view);
        let place = match next {
            Some(next) => next.checked_sub(1)?,
            None => self.decisions.len().checked_sub(1)?,
        };
        let found = self.decisions.get(place).map(|(decision, _)| decision);
        found.filter(|decision| decision.view.id() == *view)
    }

    /// The decisions after the view with this number, with their lengths; `None` if the first of
    /// them is not kept any more.
    pub(crate) fn since(&self, number: u64) -> Option<impl Iterator<Item = (&Decision, usize)>> {
        let first = self.decisions.front().map_or(0, |(first, _)| first.view.number);
        let is_whole = self.decisions.is_empty() || number.saturating_add(1) >= first;
        let later = self.decisions.iter().filter(move |(later, _)| later.view.number > number);
        is_whole.then(|| later.map(|(decision, bytes)| (decision, *bytes)))
    }

    pub(crate) const fn held_bytes(&self) -> usize {
        self.bytes
    }
}
