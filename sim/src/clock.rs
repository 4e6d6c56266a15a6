//! A member's clock: offset and drift against the time of the simulation.

use phalanx_core::Time;

use crate::rng::Stream;
use crate::scenario::Clocks;

const MILLION: i128 = 1_000_000;

/// Turns simulation time into local time and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    offset_us: u64,
    drift_ppm: i64,
}

impl Clock {
    /// A clock within the bounds of `clocks`.
    pub fn draw(clocks: &Clocks, stream: &mut Stream) -> Self {
        let drift = u64::from(clocks.drift_ppm);
        let signed = i64::try_from(stream.between(0, 2 * drift)).unwrap_or(0);
        Self {
            offset_us: stream.between(0, clocks.offset_us),
            drift_ppm: signed - i64::from(clocks.drift_ppm),
        }
    }

    /// What it shows at `global_us`.
    #[must_use]
    pub fn local(&self, global_us: u64) -> Time {
        if self.drift_ppm == 0 {
            return Time::from_micros(self.offset_us.saturating_add(global_us));
        }
        let elapsed = i128::from(global_us) * (MILLION + i128::from(self.drift_ppm)) / MILLION;
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Time::from_micros(self.offset_us.saturating_add(elapsed))
    }

    /// The first moment at which it shows `local` or later.
    #[must_use]
    pub fn global(&self, local: Time) -> u64 {
        let elapsed = local.as_micros().saturating_sub(self.offset_us);
        if self.drift_ppm == 0 {
            return elapsed;
        }
        let rate = MILLION + i128::from(self.drift_ppm);
        let scaled = i128::from(elapsed) * MILLION;
        u64::try_from((scaled + rate - 1) / rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_at_the_first_moment_the_clock_shows_it() {
        for drift_ppm in [-100_000, -37, 0, 5, 99_999] {
            let clock = Clock { offset_us: 1_234, drift_ppm };
            for local in [1_234, 1_235, 9_999, 123_456_789] {
                let local = Time::from_micros(local);
                let global = clock.global(local);
                assert!(clock.local(global) >= local, "drift {drift_ppm}");
                assert!(global == 0 || clock.local(global - 1) < local, "drift {drift_ppm}");
            }
        }
    }
}
