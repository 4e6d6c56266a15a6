//! A process to reach over a stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Jitter};
use super::queue::WriteQueue;
use super::tcp::PATIENCE;

/// A process to reach.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    /// Whether it is for us to dial; otherwise it is waited for, and dialled late.
    pub(super) is_ours: bool,
    pub(super) queue: WriteQueue,
    /// The connection used, connected or being dialled.
    pub(super) conn: Option<usize>,
    pub(super) backoff: Backoff,
    pub(super) dial_at: Instant,
    pub(super) dialled: u64,
    /// Since when nobody listens at its address, as far as its host says.
    refused: Option<Instant>,
}

impl Peer {
    /// Not connected yet, and to be dialled at once if that is for us.
    pub(super) fn new(addr: SocketAddr, is_ours: bool, queue_bytes: usize, now: Instant) -> Self {
        Self {
            addr,
            is_ours,
            queue: WriteQueue::new(queue_bytes),
            conn: None,
            backoff: Backoff::default(),
            dial_at: if is_ours { now } else { now + PATIENCE },
            dialled: 0,
            refused: None,
        }
    }

    /// It was dialled, and its host refused or not. Returns whether that refuses for so long that the
    /// peer does not merely start a little later.
    pub(super) fn note_refused(&mut self, is_refused: bool, now: Instant) -> bool {
        self.refused = is_refused.then(|| self.refused.unwrap_or(now));
        self.refused.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
    }

    /// The pause before it is dialled again.
    pub(super) fn pause(&mut self, jitter: &mut Jitter) -> Duration {
        let patience = if self.is_ours { Duration::ZERO } else { PATIENCE };
        patience + self.backoff.next_pause(jitter)
    }
}
