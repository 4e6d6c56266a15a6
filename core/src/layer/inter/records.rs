//! What is remembered about keys from view to view: in which lives they were members, who was put
//! out by opinion lately, whom the application admits, who was proven to lie, and who came how often.
//!
//! Lives and departures come from the chain of views alone, so members that know the same chain
//! remember the same.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::Timeouts;
use crate::crypto::{PublicKey, peer_id};
use crate::member::{PeerId, Status};
use crate::time::Time;
use crate::view::{Departure, EXPELLED_MAX, View};

/// Keys whose highest incarnation is remembered; above, those that were members longest ago go first.
const LIVES_MAX: usize = 1024;

/// A member that was put out by opinion comes back unasked during so many views after it.
pub(super) const LATELY_VIEWS: u64 = 256;

/// Keys of those; above, the one that has been out longest is asked about like anybody else.
const OUT_MAX: usize = 1024;

/// Names that are known: of members, of those that may join, and of those that were admitted.
const KNOWN_MAX: usize = 2048;

/// Answers of the application remembered.
const ANSWERS_MAX: usize = 256;

/// Keys of which it is known that they came.
const COMINGS_MAX: usize = 1024;

/// After so many pauses without coming again a pause halves.
const GOOD_CONDUCT: u64 = 8;

/// Each time that a key comes its next pause is so many times longer.
const COME_TIMES: u64 = 2;

/// The same where a Silenced member becomes Active again: it may be just too slow.
const BACK_TIMES: u64 = 4;

/// How often a key came.
#[derive(Clone, Copy, Debug)]
struct Coming {
    /// When it came last, or was silenced since.
    last: Time,
    /// Not recommended again for this long; nothing the first time.
    pause_us: u64,
}

impl Coming {
    /// Shortens the pause for good conduct until now.
    fn forget(&mut self, now: Time, cool_us: u64) {
        let mut stayed = now.since(self.last);
        let good_us = |pause_us: u64| pause_us.max(cool_us).saturating_mul(GOOD_CONDUCT);
        while self.pause_us > 0 && stayed >= good_us(self.pause_us) {
            stayed = stayed.saturating_sub(good_us(self.pause_us));
            self.pause_us = if self.pause_us > cool_us { self.pause_us / 2 } else { 0 };
        }
        self.last = now;
    }
}

/// What the chain of views says about a key.
#[derive(Clone, Copy, Debug)]
struct Lives {
    /// The highest incarnation that was in a view.
    highest: u64,
    /// Number of the last view that listed the key.
    seen: u64,
}

#[derive(Debug)]
pub(super) struct Records {
    cool_us: u64,
    cool_max_us: u64,
    lives: BTreeMap<PublicKey, Lives>,
    /// Who was put out by opinion, with the number of the view that it was not in any more.
    put_out: BTreeMap<PublicKey, u64>,
    known: BTreeSet<PeerId>,
    answers: VecDeque<(PublicKey, bool)>,
    proven: BTreeSet<PublicKey>,
    comings: BTreeMap<PublicKey, Coming>,
}

impl Records {
    /// The most bytes held.
    pub(super) const BOUND_BYTES: usize = (ANSWERS_MAX + EXPELLED_MAX + OUT_MAX) * 40
        + KNOWN_MAX * 16
        + (LIVES_MAX + COMINGS_MAX) * 56;

    pub(super) const fn new(timeouts: &Timeouts) -> Self {
        Self {
            cool_us: timeouts.cool_us,
            cool_max_us: timeouts.cool_max_us,
            lives: BTreeMap::new(),
            put_out: BTreeMap::new(),
            known: BTreeSet::new(),
            answers: VecDeque::new(),
            proven: BTreeSet::new(),
            comings: BTreeMap::new(),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        let keys = self.put_out.len().saturating_add(self.answers.len());
        let keys = keys.saturating_add(self.proven.len()).saturating_mul(40);
        let keys = keys.saturating_add(self.known.len().saturating_mul(16));
        let lives = self.lives.len().saturating_add(self.comings.len());
        keys.saturating_add(lives.saturating_mul(56))
    }

    /// A view of this group, and the one before it if that is known, too.
    pub(super) fn remember(&mut self, before: Option<&View>, view: &View) {
        let departed = view.departed.iter().filter_map(|(rank, why)| {
            before.and_then(|before| before.member(*rank)).map(|member| (member.key, *why))
        });
        for (key, why) in departed {
            self.departs(key, why, view.number);
        }
        for member in &view.members {
            self.know(&member.key);
            self.lives(member.key, member.incarnation, view.number);
            self.put_out.remove(&member.key);
        }
        self.put_out.retain(|_, out| view.number <= out.saturating_add(LATELY_VIEWS));
    }

    fn departs(&mut self, key: PublicKey, why: Departure, number: u64) {
        match why {
            Departure::Replaced => return,
            Departure::Left | Departure::Proof => {
                self.put_out.remove(&key);
                return;
            }
            Departure::Opinion => {}
        }
        self.put_out.insert(key, number);
        if self.put_out.len() > OUT_MAX {
            let first = self.put_out.iter().min_by_key(|(key, out)| (**out, **key));
            let first = first.map(|(key, _)| *key);
            first.and_then(|first| self.put_out.remove(&first));
        }
    }

    fn lives(&mut self, key: PublicKey, incarnation: u64, number: u64) {
        let lives = self.lives.entry(key).or_insert(Lives { highest: incarnation, seen: number });
        lives.highest = lives.highest.max(incarnation);
        lives.seen = lives.seen.max(number);
        if self.lives.len() > LIVES_MAX {
            let first = self.lives.iter().min_by_key(|(key, lives)| (lives.seen, **key));
            let first = first.map(|(key, _)| *key);
            first.and_then(|first| self.lives.remove(&first));
        }
    }

    /// The highest incarnation of a key that was in a view, as far as is remembered.
    pub(super) fn highest(&self, key: &PublicKey) -> Option<u64> {
        self.lives.get(key).map(|lives| lives.highest)
    }

    /// Whether a key was put out by opinion in one of the last views.
    pub(super) fn was_put_out(&self, key: &PublicKey) -> bool {
        self.put_out.contains_key(key)
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
        self.remember(Some(from), to);
        for member in &to.members {
            let before = from.rank_of(&member.key).and_then(|rank| from.member(rank));
            let change = before.filter(|before| before.incarnation == member.incarnation);
            let change = change.map(|before| (before.status, member.status));
            if change == Some((Status::Active, Status::Silenced)) {
                self.fell_silent(member.key, now);
            }
            if matches!(change, None | Some((Status::Silenced, Status::Active))) {
                let times = if change.is_some() { BACK_TIMES } else { COME_TIMES };
                self.came(member.key, now, times);
                // It let in one member, who may leave: not everybody who ever holds the key.
                self.answers.retain(|(known, is_admitted)| *known != member.key || !is_admitted);
            }
        }
    }

    /// Notes that a member was silenced: its pause begins now, and not when it came, so that it is out
    /// for longer each time than it was in.
    fn fell_silent(&mut self, key: PublicKey, now: Time) {
        let cool_us = self.cool_us;
        match self.comings.get_mut(&key) {
            Some(coming) => coming.forget(now, cool_us),
            None => self.insert(key, now),
        }
    }

    /// Notes that a key came, or came back, which makes its next pause so many times longer.
    fn came(&mut self, key: PublicKey, now: Time, times: u64) {
        let (cool_us, cool_max_us) = (self.cool_us, self.cool_max_us);
        match self.comings.get_mut(&key) {
            Some(coming) => {
                coming.forget(now, cool_us);
                let pause_us = coming.pause_us.saturating_mul(times);
                coming.pause_us = pause_us.clamp(cool_us, cool_max_us);
            }
            None => self.insert(key, now),
        }
    }

    fn insert(&mut self, key: PublicKey, now: Time) {
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
            records.came(key(1), now, COME_TIMES);
            let begun = now;
            while records.is_cooling(&key(1), now) {
                now = now.plus(1_000_000);
            }
            pauses.push(now.since(begun) / 1_000_000);
        }
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(!records.is_cooling(&key(2), Time::ZERO));
        records.came(key(1), now.plus(10_000_000_000), COME_TIMES);
        assert!(!records.is_cooling(&key(1), now.plus(10_003_000_000)), "it behaved for long");
    }

    fn view(number: u64, keys: &[u8], departed: &[(u16, Departure)]) -> View {
        let mut view = crate::rig::genesis(1).view();
        view.number = number;
        let member = |byte: &u8| crate::Member {
            key: key(*byte),
            incarnation: u64::from(*byte),
            addr: std::vec::Vec::new(),
            status: Status::Active,
        };
        view.members = keys.iter().map(member).collect();
        let departed = departed.iter().map(|(rank, why)| (crate::Rank::new(*rank), *why));
        view.departed = departed.collect();
        view
    }

    #[test]
    fn who_was_put_out_by_opinion_is_so_for_a_number_of_views() {
        use Departure::{Left, Opinion, Proof, Replaced};
        let mut records = Records::new(&Timeouts::default());
        let first = view(0, &[1, 2, 3, 4, 5], &[]);
        records.remember(None, &first);
        let out = [(1, Opinion), (2, Left), (3, Proof), (4, Replaced)];
        let second = view(1, &[1], &out);
        records.remember(Some(&first), &second);
        let is_out =
            |records: &Records| [1, 2, 3, 4, 5].map(|byte| records.was_put_out(&key(byte)));
        assert_eq!(is_out(&records), [false, true, false, false, false]);
        assert_eq!([1, 2, 6].map(|byte| records.highest(&key(byte))), [Some(1), Some(2), None]);
        for number in 2..=LATELY_VIEWS + 1 {
            records.remember(Some(&second), &view(number, &[1], &[]));
        }
        assert!(records.was_put_out(&key(2)));
        records.remember(Some(&second), &view(LATELY_VIEWS + 2, &[1], &[]));
        assert!(!records.was_put_out(&key(2)));
        assert_eq!(records.highest(&key(2)), Some(2), "its lives are not forgotten with that");
    }

    #[test]
    fn who_comes_back_and_leaves_was_not_put_out() {
        let mut records = Records::new(&Timeouts::default());
        let both = view(0, &[1, 2], &[]);
        let out = view(1, &[1], &[(1, Departure::Opinion)]);
        let back = view(2, &[1, 2], &[]);
        let left = view(3, &[1], &[(1, Departure::Left)]);
        records.remember(Some(&both), &out);
        assert!(records.was_put_out(&key(2)));
        records.remember(Some(&out), &back);
        assert!(!records.was_put_out(&key(2)));
        records.remember(Some(&back), &left);
        assert!(!records.was_put_out(&key(2)));
    }

    #[test]
    fn who_is_silenced_again_and_again_is_out_for_longer_than_it_is_in() {
        let mut records = Records::new(&Timeouts::default());
        let mut now = Time::ZERO;
        let mut pauses = std::vec::Vec::new();
        for _ in 0..6 {
            // It is found slow after two seconds.
            now = now.plus(2_000_000);
            records.fell_silent(key(1), now);
            let begun = now;
            while records.is_cooling(&key(1), now) {
                now = now.plus(1_000_000);
            }
            pauses.push(now.since(begun) / 1_000_000);
            records.came(key(1), now, BACK_TIMES);
        }
        assert_eq!(pauses, [0, 2, 8, 32, 128, 300]);
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
            records.lives(PublicKey(bytes), number, number);
            records.departs(PublicKey(bytes), Departure::Opinion, number);
            records.came(PublicKey(bytes), Time::from_micros(number), COME_TIMES);
        }
        assert!(records.held_bytes() <= Records::BOUND_BYTES);
        assert_eq!(records.answers.len(), ANSWERS_MAX);
        assert_eq!((records.lives.len(), records.put_out.len()), (LIVES_MAX, OUT_MAX));
        assert_eq!(records.lives.values().map(|lives| lives.seen).min(), Some(3000 - 1024));
    }
}
