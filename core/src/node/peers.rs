//! What is kept about peers that are in another view: packets of a view that may be the next one,
//! and when they were last told or asked something.
//!
//! What a faulty member can try: packets of views that will never be. They cost their bytes up to a
//! bound per peer, the first ones stay, and they draw one small question per `resend_us`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::Timeouts;
use crate::crypto::Hash32;
use crate::layer::bottom::Stray;
use crate::member::PeerId;
use crate::time::Time;

/// Packets kept per peer.
const KEPT_MAX: usize = 64;

/// Bytes of them.
const KEPT_BYTES: usize = 64 * 1024;

/// A packet of a view that is not known yet.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) peer: PeerId,
    pub(super) view: Hash32,
    pub(super) content: Vec<u8>,
}

#[derive(Debug, Default)]
struct Peer {
    told: Option<Time>,
    asked: Option<Time>,
    kept: Vec<Kept>,
    bytes: usize,
}

/// By peer; no more than there are links.
#[derive(Debug)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    resend_us: u64,
}

impl Peers {
    pub(super) const fn new(timeouts: &Timeouts) -> Self {
        Self { peers: BTreeMap::new(), resend_us: timeouts.resend_us }
    }

    /// Whether a peer may be told of a decision now; if so it was.
    pub(super) fn may_tell(&mut self, now: Time, peer: PeerId) -> bool {
        is_due(&mut self.peers.entry(peer).or_default().told, now, self.resend_us)
    }

    /// Whether a peer may be asked for a decision now; if so it was.
    pub(super) fn may_ask(&mut self, now: Time, peer: PeerId) -> bool {
        is_due(&mut self.peers.entry(peer).or_default().asked, now, self.resend_us)
    }

    /// Keeps a packet for the next view, if there is room.
    pub(super) fn keep(&mut self, stray: Stray<'_>) -> bool {
        let Stray { peer, view, content } = stray;
        let known = self.peers.entry(peer).or_default();
        let bytes = known.bytes.saturating_add(content.len()).saturating_add(size_of::<Kept>());
        if known.kept.len() >= KEPT_MAX || bytes > KEPT_BYTES {
            return false;
        }
        known.bytes = bytes;
        known.kept.push(Kept { peer, view, content: content.into_owned() });
        true
    }

    /// Takes all packets, by peer and in the order in which they came.
    pub(super) fn take_kept(&mut self) -> Vec<Kept> {
        let take = |peer: &mut Peer| {
            peer.bytes = 0;
            core::mem::take(&mut peer.kept)
        };
        self.peers.values_mut().flat_map(take).collect()
    }

    /// Forgets those that are not linked any more.
    pub(super) fn retain(&mut self, is_linked: impl Fn(PeerId) -> bool) {
        self.peers.retain(|peer, _| is_linked(*peer));
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.peers.values().fold(0, |sum, peer| sum.saturating_add(peer.bytes))
    }

    /// The most bytes held about so many peers.
    pub(super) const fn bound_bytes(peers: usize) -> usize {
        KEPT_BYTES.saturating_mul(peers)
    }
}

/// At most once in `pause_us`.
fn is_due(last: &mut Option<Time>, now: Time, pause_us: u64) -> bool {
    if last.is_some_and(|last| now < last.plus(pause_us)) {
        return false;
    }
    *last = Some(now);
    true
}
