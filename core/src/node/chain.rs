//! The decisions that led from view to view, for members that lag behind (R10 of protocol.md
//! section 9).

use alloc::collections::VecDeque;

use crate::crypto::Hash32;
use crate::wire::change::Decision;

/// Decisions kept; whoever lags behind further has to join again.
const DECISIONS_MAX: usize = 64;

/// The latest decisions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Chain {
    decisions: VecDeque<(Decision, usize)>,
    bytes: usize,
}

impl Chain {
    /// The most bytes held; a decision takes a few hundred to some kilobytes, 64 KiB at the most.
    pub(super) const BOUND_BYTES: usize = 1024 * 1024;

    pub(super) fn push(&mut self, decision: Decision) {
        let bytes = postcard::to_allocvec(&decision).map_or(0, |bytes| bytes.len());
        self.bytes = self.bytes.saturating_add(bytes);
        self.decisions.push_back((decision, bytes));
        while self.decisions.len() > DECISIONS_MAX || self.bytes > Self::BOUND_BYTES {
            let Some((_, bytes)) = self.decisions.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().map(|(decision, _)| decision)
    }

    /// What was decided in this view.
    pub(super) fn after(&self, view: &Hash32) -> Option<&Decision> {
        let mut newest_first = self.decisions.iter().rev().map(|(decision, _)| decision);
        newest_first.find(|decision| decision.view.prev == *view)
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.bytes
    }
}
