//! How much is delivered while the layers above only keep it: who joins delivers nothing to its
//! application before that has the state, and what waits for it is bounded.
//!
//! What is due beyond the allowance stays in the logs. So it is not discarded, and the rows of this
//! member, which never run more than a window ahead of what was delivered, stand still: senders that
//! wait for it come to rest, and nothing is lost. Its replies and haves go on.

use alloc::vec::Vec;

use super::{Body, Out, Reliable, log_bytes_max};
use crate::time::Time;

/// How much more the layers above take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Everything.
    Endless,
    /// So many bytes, as [`Body::cost`] counts them.
    Bytes(usize),
    /// Nothing, and something is due.
    Spent,
}

impl Allowance {
    /// Takes what a body costs; `false` if that is more than is left.
    pub(super) fn takes(&mut self, body: &Body) -> bool {
        let left = match self {
            Self::Endless => return true,
            Self::Bytes(left) => left.checked_sub(body.cost()),
            Self::Spent => None,
        };
        *self = left.map_or(Self::Spent, Self::Bytes);
        left.is_some()
    }
}

impl Reliable {
    /// Bodies are delivered as long as they cost no more than this many bytes together.
    pub(crate) const fn hold_back(&mut self, room: usize) {
        self.allowance = Allowance::Bytes(room);
    }

    /// Whether something is due, and held back.
    pub(crate) fn is_held_back(&self) -> bool {
        self.allowance == Allowance::Spent
    }

    /// From now on everything is delivered that is due.
    pub(crate) fn let_go(&mut self, now: Time) -> Vec<Out> {
        let mut out = Vec::new();
        self.allowance = Allowance::Endless;
        for sender in self.logs.ranks() {
            self.deliver(now, sender, &mut out);
        }
        out
    }

    /// The most that closing the view may deliver at once, whatever is allowed, as [`Body::cost`]
    /// counts it.
    pub(crate) fn remainder_max(&self) -> usize {
        let bodies = (self.limits.window_bodies as usize).saturating_mul(2);
        let log = log_bytes_max(&self.limits).saturating_add(bodies.saturating_mul(Body::COST));
        log.saturating_mul(self.logs.len())
    }
}
