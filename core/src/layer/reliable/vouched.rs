//! Since when others say that they hold what this member does not: so much of a log its sender did
//! hand out in time, whatever it keeps from this member.

use alloc::collections::VecDeque;

use crate::seq::Number;
use crate::time::Time;

/// So many moments are remembered of one log; what comes later counts for the last of them.
const MOMENTS_MAX: usize = 64;

/// Of one log.
#[derive(Debug, Default)]
pub(super) struct Vouched(VecDeque<(Number, Time)>);

impl Vouched {
    /// More than `f` others say now that they hold the log up to `number`.
    pub(super) fn rose(&mut self, now: Time, number: Number) {
        let is_full = self.0.len() >= MOMENTS_MAX;
        match self.0.back_mut() {
            Some((last, _)) if *last >= number => {}
            Some((last, _)) if is_full => *last = number,
            Some(_) | None => self.0.push_back((number, now)),
        }
    }

    /// Since when a body is vouched for, if that was before this member had it. Asked for in order.
    pub(super) fn since(&mut self, number: Number) -> Option<Time> {
        while self.0.front().is_some_and(|(first, _)| *first < number) {
            self.0.pop_front();
        }
        self.0.front().map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moment_at_which_enough_said_so_counts() {
        let mut vouched = Vouched::default();
        let (at, number) = (Time::from_micros, Number::new);
        assert_eq!(vouched.since(number(1)), None);
        vouched.rose(at(10), number(3));
        vouched.rose(at(20), number(3));
        vouched.rose(at(30), number(7));
        let since = [1, 3, 4, 7, 8].map(|body| vouched.since(number(body)));
        assert_eq!(since, [Some(at(10)), Some(at(10)), Some(at(30)), Some(at(30)), None]);
        (0..1_000).for_each(|moment| vouched.rose(at(moment), number(100 + moment)));
        assert_eq!(vouched.0.len(), MOMENTS_MAX);
        assert!(vouched.since(number(1_099)).is_some());
    }
}
