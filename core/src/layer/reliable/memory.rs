//! What layer Reliable takes besides casts. These tables have a fixed size or a small limit, so they
//! are counted as if they were full: for each log the cells and bodies of two windows, each with a
//! statement of its sender, three votes of each member with their statements, and what the repair
//! knows. A statement may have an entry for every log, and be shared with nobody.

use super::log::CELL_BYTES;
use super::repair;
use super::votes::VOTES_BYTES;
use super::{Body, Reliable};
use crate::config::Limits;
use crate::crypto::{Head, Heads, Link, Signed};

/// The most bytes of one statement about `n` logs, with what counts its holders.
pub(crate) const fn heads_bytes(n: usize) -> usize {
    let entries = n.saturating_mul(size_of::<Head>());
    size_of::<Signed<Heads>>().saturating_add(entries).saturating_add(32)
}

/// The most bytes of all tables in a view of `n` members.
pub(crate) const fn tables_bytes(limits: &Limits, n: usize) -> usize {
    let statement = heads_bytes(n);
    let windows = (limits.window_bodies as usize).saturating_mul(2);
    let cell = CELL_BYTES.saturating_add(Body::COST).saturating_add(statement);
    let votes = VOTES_BYTES.saturating_add(statement.saturating_mul(3));
    // A certificate that came whole, the half of a proof, and the own statement.
    let links = windows.saturating_mul(size_of::<Link>());
    let rest = statement.saturating_mul(n.saturating_add(2)).saturating_add(links);
    let rest = rest.saturating_add(repair::log_bytes(n));
    let log =
        windows.saturating_mul(cell).saturating_add(n.saturating_mul(votes)).saturating_add(rest);
    log.saturating_mul(n)
}

impl Reliable {
    /// The same for this view.
    pub(crate) fn tables_bytes(&self) -> usize {
        tables_bytes(&self.limits, self.logs.len())
    }
}
