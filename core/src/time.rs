//! Time as the embedder tells it: microseconds since an origin of its choice. The core has no
//! clock; safety never depends on these values, only liveness does.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A moment, in microseconds. Must not go back between two steps; if it does the core clamps it
/// and counts that (see [`crate::Counters::time_went_back`]).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// `micros` microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This moment plus `micros` microseconds; stands still at the end of time.
    #[must_use]
    pub const fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this moment, 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The earlier of two optional moments; `None` means never.
#[must_use]
pub(crate) fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Time::from_micros(u64::MAX);
        assert_eq!(end.plus(1), end);
        assert_eq!(Time::ZERO.since(end), 0);
        assert_eq!(Time::from_micros(7).since(Time::from_micros(3)), 4);
    }

    #[test]
    fn never_is_later_than_any_time() {
        let one = Some(Time::from_micros(1));
        assert_eq!(earliest(None, one), one);
        assert_eq!(earliest(one, None), one);
        assert_eq!(earliest(Some(Time::from_micros(2)), one), one);
        assert_eq!(earliest(None, None), None);
    }
}
