//! How many frames of strangers are looked at: a token each, so that nobody without a link can make
//! this process check more than so many signatures in a second.
//!
//! A flood must not keep those out that the group knows. Frames in their names have a reserve of many
//! more tokens, which the names share: one that is borrowed a thousand times in a second takes what
//! the others leave, and no more. Whose frames they really are is told by where they come from, and
//! only the transport knows that: it hands on less of one name than its share here is.

use alloc::collections::BTreeMap;

use crate::member::PeerId;
use crate::time::Time;

const SECOND_US: u64 = 1_000_000;

/// So many times as many frames in the names of processes that are known are looked at as others.
const KNOWN_TIMES: u32 = 64;

/// How long tokens of the reserve are shared by the names that asked for one in such a time before.
const WINDOW_US: u64 = SECOND_US / 4;

/// Names told apart in that time; no other gets a token.
const NAMES_MAX: usize = 256;

/// Tokens for everybody, and the reserve.
#[derive(Debug)]
pub(super) struct Tokens {
    common: Bucket,
    reserve: Reserve,
}

impl Tokens {
    /// A full bucket of `per_second` tokens, into which so many fall in a second, and the reserve.
    pub(super) fn new(per_second: u32, now: Time) -> Self {
        let in_window = per_second.saturating_mul(KNOWN_TIMES) / 4;
        let reserve = Reserve { in_window, left: in_window, ..Reserve::default() };
        Self { common: Bucket::new(per_second, now), reserve }
    }

    /// Takes a token for everybody, if there is one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        self.common.take(now)
    }

    /// Takes a token of the reserve in the name of a process that is known.
    pub(super) fn take_reserved(&mut self, now: Time, known: PeerId) -> bool {
        self.reserve.take(now, known)
    }

    /// Puts a token back: it was well spent.
    pub(super) fn refund(&mut self) {
        self.common.fill(SECOND_US);
    }
}

/// Tokens that names share.
#[derive(Debug, Default)]
struct Reserve {
    in_window: u32,
    left: u32,
    until: Time,
    /// Names in the window before.
    names_before: usize,
    /// How often each name asked in this one.
    asked: BTreeMap<PeerId, u32>,
}

impl Reserve {
    fn take(&mut self, now: Time, name: PeerId) -> bool {
        if now >= self.until {
            self.names_before = self.asked.len();
            self.asked.clear();
            (self.left, self.until) = (self.in_window, now.plus(WINDOW_US));
        }
        if self.asked.len() >= NAMES_MAX && !self.asked.contains_key(&name) {
            return false;
        }
        let asked = self.asked.entry(name).or_default();
        *asked = asked.saturating_add(1);
        let asked = *asked;
        let names = u32::try_from(self.names_before.max(self.asked.len())).unwrap_or(u32::MAX);
        let share = self.in_window.checked_div(names).unwrap_or(0).max(1);
        if self.left == 0 || asked > share {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        true
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
        let (mut borrowed, mut own) = (0, 0);
        for millis in 0..4_000_u64 {
            let now = Time::from_micros(millis * 1000);
            for _ in 0..5 {
                borrowed += u32::from(tokens.take_reserved(now, PeerId(1)));
            }
            // Another name asks every 50 ms.
            if millis % 50 == 49 {
                own += u32::from(tokens.take_reserved(now, PeerId(2)));
            }
        }
        assert!((900..=4 * 8 * KNOWN_TIMES).contains(&borrowed), "{borrowed}");
        assert!(own >= 75, "{own} of 80: all but those of the first window");
        // Nor do many names get more than there is, or memory.
        let later = Time::from_micros(20_000_000);
        let taken = (0..1_000).filter(|name| tokens.take_reserved(later, PeerId(*name))).count();
        assert_eq!(taken, 128);
        assert!(tokens.reserve.asked.len() <= NAMES_MAX);
    }
}
