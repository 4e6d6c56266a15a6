//! How long an answer takes, as measured (RFC 6298).

/// A smoothed time with its mean deviation, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trip {
    /// Nothing before the first sample.
    known: Option<(u64, u64)>,
}

impl Trip {
    /// A time of which nothing is known.
    pub(crate) const UNKNOWN: Self = Self { known: None };

    /// Takes in a sample.
    pub(crate) fn took(&mut self, took_us: u64) {
        self.known = Some(match self.known {
            None => (took_us, took_us / 2),
            Some((smooth, varies)) => {
                let varies = varies.saturating_mul(3).saturating_add(smooth.abs_diff(took_us)) / 4;
                (smooth.saturating_mul(7).saturating_add(took_us) / 8, varies)
            }
        });
    }

    /// The smoothed time, if there was a sample.
    pub(crate) fn smooth_us(&self) -> Option<u64> {
        self.known.map(|(smooth, _)| smooth)
    }

    /// How long an answer is waited for: the smoothed time and four times its deviation, the latter
    /// at least `floor_us`. The floor alone before the first sample.
    pub(crate) fn pause_us(&self, floor_us: u64) -> u64 {
        let (smooth, varies) = self.known.unwrap_or_default();
        smooth.saturating_add(varies.saturating_mul(4).max(floor_us))
    }
}
