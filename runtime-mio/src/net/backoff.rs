//! How long to wait before dialling again: doubling pauses with jitter, so that members which lost
//! each other at once do not come back at once. The jitter comes from a seed.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause, before jitter.
const LONGEST: Duration = Duration::from_secs(2);

/// A small generator for jitter and for choosing a victim: never for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    /// The sequence of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    pub(crate) const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.draw() % bound).unwrap_or(0)
    }
}

/// The pauses between tries to reach one peer.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: FIRST }
    }
}

impl Backoff {
    /// The next pause: between half and the whole of it, then twice as long, up to a limit.
    pub(crate) fn next_pause(&mut self, jitter: &mut Jitter) -> Duration {
        let whole = self.pause;
        self.pause = (whole * 2).min(LONGEST);
        let half = whole / 2;
        let spread = usize::try_from(half.as_micros()).unwrap_or(usize::MAX);
        let extra = u64::try_from(jitter.below(spread.saturating_add(1))).unwrap_or(0);
        half + Duration::from_micros(extra)
    }

    /// The peer was reached: start over.
    pub(crate) const fn reset(&mut self) {
        self.pause = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_within_their_jitter() {
        let (mut backoff, mut jitter) = (Backoff::default(), Jitter::new(7));
        let mut whole = FIRST;
        for _ in 0..12 {
            let pause = backoff.next_pause(&mut jitter);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
            whole = (whole * 2).min(LONGEST);
        }
        assert_eq!(whole, LONGEST);
        backoff.reset();
        assert!(backoff.next_pause(&mut jitter) <= FIRST);
    }

    #[test]
    fn the_seed_decides_the_jitter() {
        let pauses = |seed| {
            let (mut backoff, mut jitter) = (Backoff::default(), Jitter::new(seed));
            (0..8).map(|_| backoff.next_pause(&mut jitter)).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
