//! A body of a log, as it is kept: immutable and shared.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::crypto::{Hash32, Link};
use crate::input::Ticket;
use crate::layer::Cargo;
use crate::member::Rank;
use crate::seq::Number;
use crate::wire::casts::Count;
use crate::wire::{BodyHead, List};

/// Body `number` of `sender`; its hashes were computed in this process.
#[derive(Debug)]
pub(crate) struct Body {
    /// Whose log.
    pub(crate) sender: Rank,
    /// `r`.
    pub(crate) number: Number,
    /// `H_{r-1}`.
    pub(crate) prev: Hash32,
    /// `H_r`.
    pub(crate) hash: Hash32,
    /// Slot and hash of the casts.
    pub(crate) link: Link,
    /// The casts, as they stand in the frame.
    pub(crate) casts: Arc<[u8]>,
    /// How many casts of each order.
    pub(crate) count: Count,
    /// The requests behind the casts, in order, if they are this process's own.
    pub(crate) tickets: Vec<Ticket>,
}

impl Body {
    /// The most bytes that a body takes besides its casts.
    pub(crate) const COST: usize = 512;

    /// What its casts count for in a window.
    pub(crate) fn charge(&self) -> usize {
        self.count.cost(self.casts.len())
    }

    /// What is charged for it while it waits for the application; nothing if it has no casts.
    pub(crate) fn cost(&self) -> usize {
        if self.casts.is_empty() { 0 } else { self.charge().saturating_add(Self::COST) }
    }

    /// Its casts, to send.
    pub(crate) fn cargo(&self) -> Cargo {
        Cargo { bytes: Arc::clone(&self.casts), hash: self.link.casts }
    }

    /// As it stands on the wire; `links` lead to the head that covers it.
    pub(crate) fn head(&self, links: Vec<Link>) -> BodyHead {
        BodyHead {
            sender: self.sender,
            number: self.number,
            prev: self.prev,
            slot: self.link.slot,
            links: List::from(links),
        }
    }
}
