//! How many frames of strangers are looked at: a token each, so that nobody without a link can make
//! this process check more than so many signatures in a second.

use crate::time::Time;

const SECOND_US: u64 = 1_000_000;

/// A bucket of tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    per_second: u64,
    /// In millionths of a token.
    level: u64,
    since: Time,
}

impl Tokens {
    /// A full bucket of `per_second` tokens, into which so many fall in a second.
    pub(super) fn new(per_second: u32, now: Time) -> Self {
        let per_second = u64::from(per_second);
        Self { per_second, level: per_second.saturating_mul(SECOND_US), since: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Time) -> bool {
        self.fill(now.since(self.since).saturating_mul(self.per_second));
        self.since = now;
        let rest = self.level.checked_sub(SECOND_US);
        self.level = rest.unwrap_or(self.level);
        rest.is_some()
    }

    /// Puts a token back: it was well spent.
    pub(super) fn refund(&mut self) {
        self.fill(SECOND_US);
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
}
