//! What is remembered about keys from view to view: who was a member, whom the application admits,
//! who was proven to lie, and who came how often.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::Timeouts;
use crate::crypto::{PublicKey, peer_id};
use crate::member::{PeerId, Status};
use crate::time::Time;
use crate::view::{EXPELLED_MAX, View};

/// Keys of members remembered; those that come after so many are asked about again.
const FORMER_MAX: usize = 1024;

/// Names that are known: of members, of those that may join, and of those that were admitted.
const KNOWN_MAX: usize = 2048;

/// Answers of the application remembered.
const ANSWERS_MAX: usize = 256;

/// Keys of which it is known that they came.
const COMINGS_MAX: usize = 1024;

/// After so many pauses without coming again a pause halves.
const GOOD_CONDUCT: u64 = 8;

/// How often a key came.
#[derive(Clone, Copy, Debug)]
struct Coming {
    last: Time,
    /// Not recommended again for this long; nothing the first time.
    pause_us: u64,
}

#[derive(Debug)]
pub(super) struct Records {
    cool_us: u64,
    cool_max_us: u64,
    former: BTreeSet<PublicKey>,
    known: BTreeSet<PeerId>,
    answers: VecDeque<(PublicKey, bool)>,
    proven: BTreeSet<PublicKey>,
    comings: BTreeMap<PublicKey, Coming>,
}

impl Records {
    /// The most bytes held.
    pub(super) const BOUND_BYTES: usize =
        (FORMER_MAX + ANSWERS_MAX + EXPELLED_MAX) * 40 + KNOWN_MAX * 16 + COMINGS_MAX * 56;

    pub(super) const fn new(timeouts: &Timeouts) -> Self {
        Self {
            cool_us: timeouts.cool_us,
            cool_max_us: timeouts.cool_max_us,
            former: BTreeSet::new(),
            known: BTreeSet::new(),
            answers: VecDeque::new(),
            proven: BTreeSet::new(),
            comings: BTreeMap::new(),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        let keys = self.former.len().saturating_add(self.answers.len());
        let keys = keys.saturating_add(self.proven.len()).saturating_mul(40);
        let keys = keys.saturating_add(self.known.len().saturating_mul(16));
        keys.saturating_add(self.comings.len().saturating_mul(56))
    }

    /// The members of a view of this group.
    pub(super) fn remember(&mut self, view: &View) {
        for member in &view.members {
            if self.former.len() < FORMER_MAX && self.former.insert(member.key) {
                self.know(&member.key);
            }
        }
    }

    /// This key has a right to be heard.
    pub(super) fn know(&mut self, key: &PublicKey) {
        if self.known.len() < KNOWN_MAX {
            self.known.insert(peer_id(key));
        }
    }

    pub(super) fn knows(&self, peer: PeerId) -> bool {
        self.known.contains(&peer)
    }

    /// One view follows another: notes who came, or became Active again.
    pub(super) fn pass(&mut self, from: &View, to: &View, now: Time) {
        self.remember(to);
        for member in &to.members {
            let before = from.rank_of(&member.key).and_then(|rank| from.member(rank));
            let is_new = before.is_none_or(|before| {
                before.incarnation != member.incarnation
                    || (before.status, member.status) == (Status::Silenced, Status::Active)
            });
            if is_new {
                self.came(member.key, now);
            }
        }
    }

    fn came(&mut self, key: PublicKey, now: Time) {
        let (cool_us, cool_max_us) = (self.cool_us, self.cool_max_us);
        if let Some(coming) = self.comings.get_mut(&key) {
            let mut stayed = now.since(coming.last);
            let good_us = |pause_us: u64| pause_us.max(cool_us).saturating_mul(GOOD_CONDUCT);
            while coming.pause_us > 0 && stayed >= good_us(coming.pause_us) {
                stayed = stayed.saturating_sub(good_us(coming.pause_us));
                coming.pause_us = if coming.pause_us > cool_us { coming.pause_us / 2 } else { 0 };
            }
            coming.pause_us = coming.pause_us.saturating_mul(2).clamp(cool_us, cool_max_us);
            coming.last = now;
            return;
        }
        if self.comings.len() >= COMINGS_MAX {
            let first = self.comings.iter().min_by_key(|(_, c)| c.last.plus(c.pause_us));
            let first = first.map(|(key, _)| *key);
            first.and_then(|first| self.comings.remove(&first));
        }
        self.comings.insert(key, Coming { last: now, pause_us: 0 });
    }

    /// Whether a key came too often to be recommended now.
    pub(super) fn is_cooling(&self, key: &PublicKey, now: Time) -> bool {
        self.comings.get(key).is_some_and(|coming| now < coming.last.plus(coming.pause_us))
    }

    pub(super) fn was_member(&self, key: &PublicKey) -> bool {
        self.former.contains(key)
    }

    pub(super) fn answer(&mut self, key: PublicKey, is_admitted: bool) {
        if is_admitted {
            self.know(&key);
        }
        self.answers.retain(|(known, _)| *known != key);
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back((key, is_admitted));
    }

    /// What the application said about a key.
    pub(super) fn answered(&self, key: &PublicKey) -> Option<bool> {
        self.answers.iter().find(|(known, _)| known == key).map(|(_, answer)| *answer)
    }

    pub(super) fn prove(&mut self, key: PublicKey) {
        if self.proven.len() < EXPELLED_MAX {
            self.proven.insert(key);
        }
    }

    pub(super) fn is_proven(&self, key: &PublicKey) -> bool {
        self.proven.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        PublicKey([byte; 32])
    }

    #[test]
    fn who_comes_again_and_again_waits_longer_and_longer() {
        let mut records = Records::new(&Timeouts::default());
        let mut now = Time::ZERO;
        let mut pauses = std::vec::Vec::new();
        for _ in 0..10 {
            records.came(key(1), now);
            let begun = now;
            while records.is_cooling(&key(1), now) {
                now = now.plus(1_000_000);
            }
            pauses.push(now.since(begun) / 1_000_000);
        }
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(!records.is_cooling(&key(2), Time::ZERO));
        records.came(key(1), now.plus(10_000_000_000));
        assert!(!records.is_cooling(&key(1), now.plus(10_003_000_000)), "it behaved for long");
    }

    #[test]
    fn nothing_grows_beyond_its_bound() {
        let mut records = Records::new(&Timeouts::default());
        for number in 0..3000_u64 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            records.answer(PublicKey(bytes), true);
            records.prove(PublicKey(bytes));
            records.know(&PublicKey(bytes));
            records.came(PublicKey(bytes), Time::from_micros(number));
        }
        assert!(records.held_bytes() <= Records::BOUND_BYTES);
        assert_eq!(records.answers.len(), ANSWERS_MAX);
    }
}
