//! How many frames of strangers are looked at: a token each, so that nobody without a link can make
//! this process check more than so many signatures in a second.
//!
//! A flood must not keep those out that the group knows: when the tokens are used up, a frame in the
//! name of a process that is known takes one from a reserve as large, but one name only now and then.
//! Names are easily borrowed, so who floods in the names of all that are known still slows them down;
//! a name that nobody borrows is heard.

use alloc::collections::BTreeMap;

use crate::crypto::hash;
use crate::member::PeerId;
use crate::time::Time;

const SECOND_US: u64 = 1_000_000;

/// A name is looked at that often on average for tokens of the reserve. The pauses differ from half
/// of it to one and a half, or a flood in somebody's name could keep time with what it says itself.
const LOOK_US: u64 = 500_000;

/// Names remembered for that; while there are so many, no other is looked at.
const LOOKS_MAX: usize = 256;

/// Tokens for everybody, and the reserve.
#[derive(Debug)]
pub(super) struct Tokens {
    common: Bucket,
    reserve: Bucket,
    /// Until when each name waits.
    looks: BTreeMap<PeerId, Time>,
}

impl Tokens {
    /// Full buckets of `per_second` tokens, into each of which so many fall in a second.
    pub(super) fn new(per_second: u32, now: Time) -> Self {
        let (common, reserve) = (Bucket::new(per_second, now), Bucket::new(per_second, now));
        Self { common, reserve, looks: BTreeMap::new() }
    }

    /// Takes a token for everybody, if there is one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        self.common.take(now)
    }

    /// Takes a token of the reserve in the name of a process that is known.
    pub(super) fn take_reserved(&mut self, now: Time, known: PeerId) -> bool {
        self.looks.retain(|_, until| now < *until);
        if self.looks.contains_key(&known) || self.looks.len() >= LOOKS_MAX {
            return false;
        }
        let is_taken = self.reserve.take(now);
        if is_taken {
            let uneven = hash("look", &[&known.0.to_le_bytes(), &now.as_micros().to_le_bytes()]);
            let pause_us = (LOOK_US / 2).saturating_add(uneven.prefix() % LOOK_US);
            self.looks.insert(known, now.plus(pause_us));
        }
        is_taken
    }

    /// Puts a token back: it was well spent.
    pub(super) fn refund(&mut self) {
        self.common.fill(SECOND_US);
    }
}

/// A bucket of tokens.
#[derive(Debug)]
struct Bucket {
    per_second: u64,
    /// In millionths of a token.
    level: u64,
    since: Time,
}

impl Bucket {
    fn new(per_second: u32, now: Time) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, level: per_second.saturating_mul(SECOND_US), since: now }
    }

    fn take(&mut self, now: Time) -> bool {
        self.fill(now.since(self.since).saturating_mul(self.per_second));
        self.since = now;
        let rest = self.level.checked_sub(SECOND_US);
        self.level = rest.unwrap_or(self.level);
        rest.is_some()
    }

    fn fill(&mut self, by: u64) {
        let full = self.per_second.saturating_mul(SECOND_US);
        self.level = self.level.saturating_add(by).min(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_in_a_second() {
        let mut tokens = Tokens::new(8, Time::ZERO);
        let mut taken = [0; 4];
        for millis in 0..4_000 {
            while tokens.take(Time::from_micros(millis * 1000)) {
                taken[usize::try_from(millis / 1000).unwrap()] += 1;
            }
        }
        assert_eq!(taken, [8 + 7, 8, 8, 8]);
        tokens.refund();
        assert!(tokens.take(Time::from_micros(3_999_000)));
        assert!(!tokens.take(Time::from_micros(3_999_000)));
    }

    #[test]
    fn a_flood_leaves_the_reserve_to_names_that_it_does_not_borrow() {
        let mut tokens = Tokens::new(8, Time::ZERO);
        let mut taken = [0; 3];
        for millis in 0..4_000_u64 {
            let now = Time::from_micros(millis * 1000);
            while tokens.take(now) {}
            // One name is borrowed a thousand times in a second, another comes every two.
            taken[0] += usize::from(tokens.take_reserved(now, PeerId(1)));
            if millis % 2_000 == 999 {
                taken[1] += usize::from(tokens.take_reserved(now, PeerId(2)));
            }
        }
        assert!((5..=16).contains(&taken[0]), "{taken:?}");
        assert_eq!(taken[1], 2);
        // Nor do many names make more than the reserve holds.
        let later = Time::from_micros(20_000_000);
        for name in 0..1_000 {
            taken[2] += usize::from(tokens.take_reserved(later, PeerId(name)));
        }
        assert_eq!(taken[2], 8);
        assert!(tokens.looks.len() <= LOOKS_MAX);
    }
}
