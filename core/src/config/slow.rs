//! Time-outs of a group that is slower than its configuration (protocol.md sections 1 and 9).

use super::{Config, Timeouts};

impl Config {
    /// The same for a view whose first attempt of a change is given `attempt_us`.
    pub(crate) fn slowed_to(&self, attempt_us: u64) -> Self {
        Self { timeouts: self.timeouts.slowed_to(attempt_us), ..self.clone() }
    }

    /// The same on a network so slow that the change needs `network_us`, whoever leads it.
    pub(crate) fn stretched_to(&self, network_us: u64) -> Self {
        Self { timeouts: self.timeouts.stretched_to(network_us), ..self.clone() }
    }
}

impl Timeouts {
    fn slowed_to(&self, attempt_us: u64) -> Self {
        let usual_us = self.attempt_us.max(1);
        let attempt_us = attempt_us.clamp(usual_us, self.attempt_max_us.max(usual_us));
        Self { attempt_us, ..*self }
    }

    fn stretched_to(&self, network_us: u64) -> Self {
        let usual_us = self.attempt_us.max(1);
        let network_us = network_us.clamp(usual_us, self.attempt_max_us.max(usual_us));
        let longer = |us: u64| us.saturating_mul(network_us).checked_div(usual_us).unwrap_or(us);
        Self {
            mute_us: longer(self.mute_us).min(self.mute_max_us.max(self.mute_us)),
            slot_us: longer(self.slot_us),
            ask_us: longer(self.ask_us),
            lag_us: longer(self.lag_us),
            installed_us: longer(self.installed_us),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_judges_lateness_is_stretched_in_proportion_and_nothing_else() {
        let usual = Timeouts::default();
        assert_eq!(usual.stretched_to(0), usual);
        assert_eq!(usual.stretched_to(usual.attempt_us), usual);
        let slow = usual.stretched_to(3_500_000);
        let ratios = [
            (slow.mute_us, usual.mute_us),
            (slow.slot_us, usual.slot_us),
            (slow.ask_us, usual.ask_us),
            (slow.lag_us, usual.lag_us),
            (slow.installed_us, usual.installed_us),
        ];
        assert!(ratios.iter().all(|(slow, usual)| *slow == usual * 7 / 2), "{ratios:?}");
        let Timeouts { mute_us, slot_us, ask_us, lag_us, installed_us, .. } = usual;
        let back = Timeouts { mute_us, slot_us, ask_us, lag_us, installed_us, ..slow };
        assert_eq!(back, usual);
    }

    #[test]
    fn the_pace_of_a_leader_moves_the_attempt_timer_alone() {
        let usual = Timeouts::default();
        assert_eq!(usual.slowed_to(0), usual);
        let slow = usual.slowed_to(3_500_000);
        assert_eq!(slow, Timeouts { attempt_us: 3_500_000, ..usual });
        assert_eq!(usual.slowed_to(u64::MAX).attempt_us, usual.attempt_max_us);
    }

    #[test]
    fn no_pace_leads_beyond_what_is_configured() {
        let usual = Timeouts::default();
        let slowest = usual.stretched_to(u64::MAX);
        assert_eq!(slowest.mute_us, usual.mute_max_us);
        assert_eq!(slowest.slot_us, 60 * usual.slot_us);
        let huge = Timeouts { slot_us: u64::MAX, attempt_max_us: u64::MAX, ..usual };
        assert_eq!(huge.stretched_to(u64::MAX).slot_us, u64::MAX / usual.attempt_us);
    }
}
