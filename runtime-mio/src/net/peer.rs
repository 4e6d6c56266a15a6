//! A process to reach over a stream.

use std::net::SocketAddr;
use std::time::Instant;

use super::backoff::Backoff;
use super::queue::WriteQueue;

/// A process to reach.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    /// Whether it is for us to dial.
    pub(super) is_ours: bool,
    pub(super) queue: WriteQueue,
    /// The connection used, connected or being dialled.
    pub(super) conn: Option<usize>,
    pub(super) backoff: Backoff,
    pub(super) dial_at: Instant,
    pub(super) dialled: u64,
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
            dial_at: now,
            dialled: 0,
        }
    }
}
