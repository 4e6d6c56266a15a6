//! [`Clock`]: time as a node wants it.

use std::time::{Duration, Instant};

use phalanx_core::Time;

/// Microseconds since it was made, from the system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// How long from now until `moment`.
    #[must_use]
    pub fn until(&self, moment: Time) -> Duration {
        Duration::from_micros(moment.since(self.now()))
    }
}
