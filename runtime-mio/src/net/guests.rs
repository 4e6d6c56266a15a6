//! Processes that speak to this one and are no peers of it: they may want to join.
//!
//! A guest sends frames of strangers, whatever process they name: a peer may have come back without
//! what it knew. Its frames are handed on, few at a time, and what is said to it goes back the way
//! that its frames came, which nobody has to trust: whoever forges a name gets at most answers that
//! are worth nothing to it. Guests are bounded in number, and so is how fast they speak; they displace
//! only each other, and where many come from one address first of all those. One that has become a peer proves it with its first frame that is
//! none of strangers.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use phalanx_core::PeerId;

use super::queue::WriteQueue;

/// Guests with a connection.
const GUESTS: usize = 16;
/// The same that bear names of peers.
const KNOWN_GUESTS: usize = 64;
/// Guests known by where their datagrams came from.
const ADDRESSES: usize = 64;
/// Frames of one connection: so many at once, then so many a second.
const FRAMES: u32 = 64;
/// Frames other than strangers' that one guest may send, and that are looked at: it may be a peer.
const EARLY_FRAMES: u32 = 256;
/// How long a guest may say nothing.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// Bytes that wait for one guest.
const QUEUE_BYTES: usize = 256 * 1024;

/// So many at once, and as many again in each second.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    left: u32,
    per_second: u32,
    since: Instant,
}

impl Bucket {
    const fn new(per_second: u32, now: Instant) -> Self {
        Self { left: per_second, per_second, since: now }
    }

    /// For the frames of guests.
    pub(super) const fn of_frames(now: Instant) -> Self {
        Self::new(FRAMES, now)
    }

    /// For other frames of a guest.
    pub(super) const fn of_early_frames(now: Instant) -> Self {
        Self::new(EARLY_FRAMES, now)
    }

    /// Takes one, if there is one left; says whether it did.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let gained = self.gained(now);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(self.per_second);
            self.since = now;
        }
        let had = self.left > 0;
        self.left = self.left.saturating_sub(1);
        had
    }

    fn gained(&self, now: Instant) -> u32 {
        let millis = now.saturating_duration_since(self.since).as_millis();
        let gained = millis.saturating_mul(u128::from(self.per_second)) / 1_000;
        u32::try_from(gained).unwrap_or(u32::MAX)
    }
}

/// One guest's connection.
#[derive(Debug)]
pub(super) struct Guest {
    /// Whose name its frames bear.
    pub(super) id: PeerId,
    /// What waits to be written to it.
    pub(super) queue: WriteQueue,
    /// When it last said something.
    spoke: Instant,
    /// Where it comes from.
    ip: IpAddr,
    /// Whether it bears the name of a peer.
    is_known: bool,
}

/// All guests with a connection, by its token.
#[derive(Debug, Default)]
pub(super) struct Guests {
    by_token: BTreeMap<usize, Guest>,
}

impl Guests {
    /// One comes in. Returns the connection that has to go for it. Those that bear names of peers
    /// have places of their own; of either kind the address with most of them makes room, by the one
    /// that was silent longest.
    pub(super) fn enter(
        &mut self,
        token: usize,
        (id, is_known): (PeerId, bool),
        ip: IpAddr,
        now: Instant,
    ) -> Option<usize> {
        let alike = || self.by_token.iter().filter(|(_, guest)| guest.is_known == is_known);
        let most = if is_known { KNOWN_GUESTS } else { GUESTS };
        let victim = (alike().count() >= most).then(|| {
            let of = |ip| alike().filter(|(_, guest)| guest.ip == ip).count();
            let crowd = alike().map(|(_, guest)| guest.ip).max_by_key(|ip| of(*ip));
            let oldest = alike().filter(|(_, guest)| Some(guest.ip) == crowd);
            oldest.min_by_key(|(token, guest)| (guest.spoke, **token)).map(|(token, _)| *token)
        });
        let guest = Guest { id, queue: WriteQueue::new(QUEUE_BYTES), spoke: now, ip, is_known };
        self.by_token.insert(token, guest);
        victim.flatten()
    }

    /// One of them.
    pub(super) fn get_mut(&mut self, token: usize) -> Option<&mut Guest> {
        self.by_token.get_mut(&token)
    }

    /// One is gone, or a peer now.
    pub(super) fn leave(&mut self, token: usize) {
        self.by_token.remove(&token);
    }

    /// It said something.
    pub(super) fn spoke(&mut self, token: usize, now: Instant) {
        if let Some(guest) = self.by_token.get_mut(&token) {
            guest.spoke = now;
        }
    }

    /// The connections whose frames bear this name, and what waits for them. Which of them is the
    /// process of that name is not known, so what is for it goes through all.
    pub(super) fn named(&mut self, id: PeerId) -> impl Iterator<Item = (usize, &mut Guest)> {
        self.iter_mut().filter(move |(_, guest)| guest.id == id)
    }

    /// All connections.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Guest)> {
        self.by_token.iter_mut().map(|(token, guest)| (*token, guest))
    }

    /// Whether this one has been silent for too long.
    pub(super) fn is_idle(&self, token: usize, now: Instant) -> bool {
        let silent = self.by_token.get(&token).map(|guest| guest.spoke);
        silent.is_none_or(|spoke| now.saturating_duration_since(spoke) > IDLE)
    }
}

/// Where the datagrams of guests came from last; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    latest_last: VecDeque<(PeerId, SocketAddr)>,
}

impl Addresses {
    /// A datagram that names `id` came from there.
    pub(super) fn heard(&mut self, id: PeerId, from: SocketAddr) {
        self.latest_last.retain(|(known, _)| *known != id);
        self.latest_last.push_back((id, from));
        if self.latest_last.len() > ADDRESSES {
            self.latest_last.pop_front();
        }
    }

    /// Where `id` was heard of last.
    pub(super) fn of(&self, id: PeerId) -> Option<SocketAddr> {
        let mut all = self.latest_last.iter();
        all.find(|(known, _)| *known == id).map(|(_, address)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_so_many_at_once_and_as_many_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4, start);
        let taken = |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(&mut bucket, start), 4);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(500)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(60)), 4);
    }

    #[test]
    fn the_address_with_most_guests_makes_room_by_the_one_that_was_silent_longest() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let [crowd, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let mut guests = Guests::default();
        assert_eq!(guests.enter(1_000, (PeerId(7), true), crowd, start), None);
        assert_eq!(guests.enter(1_001, (PeerId(9), false), other, start), None);
        for token in 0..GUESTS - 1 {
            assert_eq!(guests.enter(token, (PeerId(8), false), crowd, at(1)), None);
        }
        guests.spoke(0, at(2));
        assert_eq!(guests.enter(99, (PeerId(8), false), other, at(3)), Some(1));
        guests.leave(1);
        let named = |guests: &mut Guests, id| guests.named(PeerId(id)).count();
        assert_eq!([7, 8, 9].map(|id| named(&mut guests, id)), [1, GUESTS - 1, 1]);
        assert!(guests.is_idle(1_001, at(31)) && !guests.is_idle(0, at(31)));
    }

    #[test]
    fn addresses_are_bounded_and_the_latest_counts() {
        let mut addresses = Addresses::default();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for id in 0..70_u16 {
            addresses.heard(PeerId(u64::from(id)), address(id));
        }
        assert_eq!(addresses.of(PeerId(5)), None, "the oldest are out");
        assert_eq!(addresses.of(PeerId(6)), Some(address(6)));
        addresses.heard(PeerId(6), address(99));
        assert_eq!(addresses.of(PeerId(6)), Some(address(99)));
    }
}
