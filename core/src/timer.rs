//! A timer that backs off: the one kind of repetition the protocol needs.

use crate::time::Time;

/// Fires at `due`, then later and later: each firing doubles the pause up to a cap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first_us: u64,
    cap_us: u64,
    pause_us: u64,
    due: Option<Time>,
}

impl Backoff {
    /// A timer at rest. `first_us` is at least 1.
    pub(crate) const fn new(first_us: u64, cap_us: u64) -> Self {
        let first_us = if first_us == 0 { 1 } else { first_us };
        Self { first_us, cap_us, pause_us: first_us, due: None }
    }

    /// Starts with the first pause if at rest.
    pub(crate) fn start(&mut self, now: Time) {
        if self.due.is_none() {
            self.restart(now);
        }
    }

    /// Starts anew with the first pause, running or not.
    pub(crate) fn restart(&mut self, now: Time) {
        self.pause_us = self.first_us;
        self.due = Some(now.plus(self.pause_us));
    }

    /// Starts anew with a first pause of `first_us`, running or not.
    pub(crate) fn restart_with(&mut self, now: Time, first_us: u64) {
        self.pause_us = first_us.clamp(1, self.cap_us.max(1));
        self.due = Some(now.plus(self.pause_us));
    }

    /// The pause that is running, or that ran last.
    pub(crate) const fn pause_us(&self) -> u64 {
        self.pause_us
    }

    /// Starts anew, due at once; then the first pause begins.
    pub(crate) fn at_once(&mut self, now: Time) {
        self.pause_us = self.first_us / 2;
        self.due = Some(now);
    }

    /// Back to rest.
    pub(crate) fn stop(&mut self) {
        self.due = None;
    }

    /// Whether it is due; if so the next pause begins, twice as long.
    pub(crate) fn fires(&mut self, now: Time) -> bool {
        match self.due {
            Some(due) if due <= now => {
                self.pause_us = self.pause_us.saturating_mul(2).min(self.cap_us);
                self.due = Some(now.plus(self.pause_us.max(1)));
                true
            }
            Some(_) | None => false,
        }
    }

    /// When it fires next.
    pub(crate) const fn due(&self) -> Option<Time> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn pauses_double_up_to_the_cap_and_restart_from_the_first() {
        let mut timer = Backoff::new(100, 350);
        let mut now = Time::ZERO;
        timer.start(now);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let due = timer.due().unwrap();
            pauses.push(due.since(now));
            now = due;
            assert!(timer.fires(now));
            assert!(!timer.fires(now));
        }
        assert_eq!(pauses, [100, 200, 350, 350]);
        timer.restart(now);
        assert_eq!(timer.due(), Some(now.plus(100)));
        timer.at_once(now);
        assert!(timer.fires(now));
        assert_eq!(timer.due(), Some(now.plus(100)));
        timer.stop();
        assert!(!timer.fires(now.plus(1_000_000)));
    }
}
