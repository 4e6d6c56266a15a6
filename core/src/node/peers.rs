//! What is kept about peers that are in another view: packets of a view that may be the next one,
//! when they were last told or asked something, and how much they were handed of earlier views.
//!
//! What a faulty member can try: packets of views that will never be. They cost their bytes up to a
//! bound per peer, the first ones stay, and they draw one small question per `resend_us`. Or it asks
//! for the bodies of all earlier views at once: they share one budget.

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

/// Bytes of earlier views handed to a peer in each `fetch_us`; the answer that reaches them is the
/// last one.
const SERVED_BYTES: u64 = 1024 * 1024;

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
    compared: Option<Time>,
    /// Which view it was shown last, and when.
    shown: Option<(Hash32, Time)>,
    /// Where its chain parts from that of this process, as far as that is known.
    trace: Trace,
    kept: Vec<Kept>,
    bytes: usize,
    /// Since when, and how many bytes.
    served: (Time, u64),
}

/// A search for the first view that differs in two chains. What a peer says is not verified here: if
/// it contradicts itself the search begins anew.
#[derive(Debug, Default)]
struct Trace {
    /// The highest view known to be in both.
    common: u64,
    /// The lowest known to be in the peer's only.
    other: Option<u64>,
    /// The view of the peer last asked for, and when.
    asked: Option<(u64, Time)>,
}

/// By peer; no more than there are links.
#[derive(Debug)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    resend_us: u64,
    resend_max_us: u64,
    fetch_us: u64,
}

impl Peers {
    pub(super) const fn new(timeouts: &Timeouts) -> Self {
        let Timeouts { resend_us, resend_max_us, fetch_us, .. } = *timeouts;
        Self { peers: BTreeMap::new(), resend_us, resend_max_us, fetch_us }
    }

    /// Whether a peer may be told of a decision now; if so it was.
    pub(super) fn may_tell(&mut self, now: Time, peer: PeerId) -> bool {
        is_due(&mut self.peers.entry(peer).or_default().told, now, self.resend_us)
    }

    /// Whether a peer may be shown how this process came to its view; if so it was. The same again is
    /// shown seldom: it is said without a link, and takes the place of answers there.
    pub(super) fn may_show(&mut self, now: Time, peer: PeerId, view: Hash32) -> bool {
        let shown = &mut self.peers.entry(peer).or_default().shown;
        let is_due =
            shown.is_none_or(|(last, at)| last != view || now >= at.plus(self.resend_max_us));
        if is_due {
            *shown = Some((view, now));
        }
        is_due
    }

    /// Whether a peer may be asked for a decision now; if so it was.
    pub(super) fn may_ask(&mut self, now: Time, peer: PeerId) -> bool {
        is_due(&mut self.peers.entry(peer).or_default().asked, now, self.resend_us)
    }

    /// Whether a decision of a peer may be compared with what is known; if so it is.
    pub(super) fn may_compare(&mut self, now: Time, peer: PeerId) -> bool {
        is_due(&mut self.peers.entry(peer).or_default().compared, now, self.resend_us)
    }

    /// A peer came to a view in the way that this process did.
    pub(super) fn note_common(&mut self, peer: PeerId, number: u64) {
        let common = &mut self.peers.entry(peer).or_default().trace.common;
        *common = number.max(*common);
    }

    /// A peer came to a view `theirs` after one that is not known here, where the views from `first` to
    /// `own` are: after which view the peer is asked for decisions, if it is. One question follows
    /// another at once only if an answer has brought them closer.
    pub(super) fn trace(
        &mut self,
        now: Time,
        peer: PeerId,
        (first, own): (u64, u64),
        theirs: u64,
    ) -> Option<u64> {
        let trace = &mut self.peers.entry(peer).or_default().trace;
        trace.common = trace.common.max(first);
        let next = own.saturating_add(1);
        let before = theirs.checked_sub(1)?;
        if before < first {
            return None;
        }
        if before <= own {
            trace.other = Some(trace.other.map_or(before, |other| other.min(before)));
        }
        let ask = match trace.other {
            // It may merely be ahead.
            None => next,
            Some(other) if other > trace.common => {
                trace.common.saturating_add(other.saturating_sub(trace.common).div_ceil(2))
            }
            Some(_) => {
                *trace = Trace { asked: trace.asked, ..Trace::default() };
                next
            }
        };
        let is_due =
            trace.asked.is_none_or(|(last, at)| last != ask || now >= at.plus(self.resend_us));
        if !is_due {
            return None;
        }
        trace.asked = Some((ask, now));
        ask.checked_sub(1)
    }

    /// Whether a peer may be handed bodies of an earlier view now.
    pub(super) fn may_serve(&mut self, now: Time, peer: PeerId) -> bool {
        let served = &mut self.peers.entry(peer).or_default().served;
        if now >= served.0.plus(self.fetch_us) {
            *served = (now, 0);
        }
        served.1 < SERVED_BYTES
    }

    /// It was handed so many bytes of them.
    pub(super) fn note_served(&mut self, peer: PeerId, bytes: u64) {
        let served = &mut self.peers.entry(peer).or_default().served;
        served.1 = served.1.saturating_add(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_is_handed_of_earlier_views_has_a_budget() {
        let timeouts = Timeouts { fetch_us: 100, ..Timeouts::default() };
        let mut peers = Peers::new(&timeouts);
        let (one, other) = (PeerId(1), PeerId(2));
        let at = Time::from_micros;
        assert!(peers.may_serve(at(5), one));
        peers.note_served(one, SERVED_BYTES - 1);
        assert!(peers.may_serve(at(6), one));
        peers.note_served(one, 1);
        assert!(!peers.may_serve(at(99), one) && peers.may_serve(at(99), other));
        assert!(peers.may_serve(at(105), one));
    }
}
