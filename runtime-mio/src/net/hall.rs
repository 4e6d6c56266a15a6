//! What stands between streams and the node: which frames come through, and whose they may be.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use phalanx_core::wire::frame::is_stranger;
use phalanx_core::{PeerId, peek_sender};

use super::conn::{Claim, Door};
use super::intake::Intake;
use super::notices::Notices;
use super::peer::Peer;
use super::{Deliver, NetworkStats, Origin, Source};

/// The door of the stream that is being read.
pub(super) struct Hall<'a, 'b> {
    pub(super) peers: &'a BTreeMap<PeerId, Peer>,
    pub(super) takes_guests: bool,
    pub(super) me: PeerId,
    /// The connection that is read, and where it comes from.
    pub(super) source: (usize, Option<IpAddr>, Option<SocketAddr>),
    pub(super) now: Instant,
    pub(super) intake: &'a mut Intake<Option<IpAddr>>,
    pub(super) notices: &'a mut Notices,
    pub(super) stats: &'a mut NetworkStats,
    pub(super) deliver: &'a mut Deliver<'b>,
}

impl Door for Hall<'_, '_> {
    fn is_foreign(&mut self, frame: &[u8]) -> bool {
        let Some((name, why)) = self.notices.judge(frame) else { return false };
        self.stats.mismatched += 1;
        if let Some(at) = self.source.2 {
            self.notices.tell((name, why), self.peers.contains_key(&name), at, self.now);
        }
        true
    }

    fn claim(&self, sender: PeerId, is_stranger: bool) -> Claim {
        match is_stranger {
            true if self.takes_guests && sender != self.me => Claim::Guest,
            false if self.peers.contains_key(&sender) => Claim::Peer,
            true | false => Claim::Nobody,
        }
    }

    fn admits(&mut self, sender: PeerId) -> bool {
        let (_, ip, _) = self.source;
        let known = self.peers.get(&sender).map(|peer| peer.addr.ip());
        let is_own = known.is_some() && known == ip;
        let admits = self.intake.admits((sender, is_own), ip, self.now);
        self.stats.dropped_in += u64::from(!admits);
        admits
    }

    fn deliver(&mut self, frame: &[u8]) -> bool {
        let stranger = peek_sender(frame).filter(|_| is_stranger(frame));
        (self.deliver)(frame, Source { origin: Origin::Connection(self.source.0), stranger })
    }
}
