//! How late the slots of each sender are settled, compared with what a quorum needs to make a body
//! deliverable (protocol.md section 6, TO4; the bounded delay of Prime, Amir et al. 2011).
//!
//! The time from the first sight of a body with Total casts until it is deliverable is what two
//! delays to a quorum take, and no single member can lengthen it for the bodies of others. A sender
//! that settles a slot later than [`MULTIPLE`] times that, after a body that waits behind it became
//! deliverable, is late for that body. Once it has been late for `slot_us` of real time, all in all,
//! it is counted for how many bodies it was late and for how many in time: if it was late for more,
//! it is slow; if not, the count begins anew. So the median body of the group waits no longer than
//! it is allowed to for the slowest sender that is not found, and pauses now and then harm nobody.
//!
//! What a faulty member can try: be slow with its own bodies, so that others look quick or slow by
//! comparison (of the senders as many as there may be liars are not compared with), hold others up so
//! that they look late (a slot is owed as soon as anybody is seen to have settled it, and a sender
//! without room is not late).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::seq::Round;
use crate::time::Time;

/// What a sender is allowed: so many times what a quorum needs.
const MULTIPLE: u64 = 6;

/// It is always allowed so long: less than this says nothing on a machine that does other things.
const LEAST_US: u64 = 1_000;

/// A new sample changes the smoothed time by one part in so many.
const SMOOTHING: u64 = 8;

/// Bodies in sight whose time is taken, per sender.
const SIGHTED_MAX: usize = 256;

/// The pace of one sender.
#[derive(Debug, Default)]
struct Lane {
    /// Its bodies with Total casts that are in sight and not deliverable, with their rounds.
    sighted: VecDeque<(Round, Time)>,
    /// From sight until deliverable, smoothed.
    needs_us: Option<u64>,
    /// When it last settled a slot that something waited behind.
    settled: Time,
    count: Count,
}

/// How late a sender was since the count began.
#[derive(Debug, Default)]
struct Count {
    /// Real time in which something waited for it for too long.
    late_us: u64,
    /// Up to this moment that is counted.
    until: Time,
    /// Bodies for which it was late.
    late: u64,
    /// Bodies for which it was in time.
    in_time: u64,
}

/// The machine, for one view.
#[derive(Debug)]
pub(super) struct Pace {
    lanes: Vec<Lane>,
    /// So many senders may lie.
    f: usize,
    /// How late a sender may be, all in all.
    limit_us: u64,
    allowed_us: u64,
}

impl Pace {
    pub(super) fn new(lanes: usize, f: usize, slot_us: u64) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            f,
            limit_us: slot_us,
            allowed_us: slot_us,
        }
    }

    /// How long a body may wait for a slot, at the most, from the moment when it is deliverable.
    #[cfg(test)]
    const fn allowed_us(&self) -> u64 {
        self.allowed_us
    }

    /// A body with Total casts came in sight.
    pub(super) fn sighted(&mut self, now: Time, place: usize, round: Round) {
        if let Some(lane) = self.lanes.get_mut(place)
            && lane.sighted.len() < SIGHTED_MAX
        {
            lane.sighted.push_back((round, now));
        }
    }

    /// It is deliverable.
    pub(super) fn deliverable(&mut self, now: Time, place: usize, round: Round) {
        let Some(lane) = self.lanes.get_mut(place) else { return };
        let mut since = None;
        while let Some((first, at)) = lane.sighted.front().copied()
            && first <= round
        {
            since = Some(at);
            lane.sighted.pop_front();
        }
        let Some(since) = since else { return };
        let took_us = now.since(since).min(self.limit_us);
        let usual_us = lane.needs_us.unwrap_or(took_us);
        let smooth_us = usual_us.saturating_sub(usual_us / SMOOTHING);
        lane.needs_us = Some(smooth_us.saturating_add(took_us / SMOOTHING));
        let mut needs: Vec<u64> = self.lanes.iter().filter_map(|lane| lane.needs_us).collect();
        needs.sort_unstable();
        let compared = needs.len().saturating_sub(self.f).max(1);
        if let Some(needs_us) = needs.get(compared.saturating_sub(1)) {
            let allowed_us = needs_us.saturating_mul(MULTIPLE);
            self.allowed_us = allowed_us.clamp(LEAST_US, self.limit_us.max(LEAST_US));
        }
    }

    /// The sender at `place` settled a slot at the moment `at`, behind which a body waited that was
    /// deliverable `since` then. Returns whether it is slow.
    pub(super) fn settled(&mut self, at: Time, place: usize, since: Time) -> bool {
        let due = since.plus(self.allowed_us);
        let Some(lane) = self.lanes.get_mut(place) else { return false };
        lane.settled = lane.settled.max(at);
        let count = &mut lane.count;
        if at > due {
            count.late_us = count.late_us.saturating_add(at.since(due.max(count.until)));
            count.until = count.until.max(at);
        }
        if count.late_us < self.limit_us {
            return false;
        }
        let until = count.until;
        let Count { late, in_time, .. } =
            core::mem::replace(count, Count { until, ..Count::default() });
        late > in_time
    }

    /// A body of the sender at `place` was delivered in its order that was deliverable `since` then.
    /// It tells nothing of its own sender, which could write as many as it likes.
    pub(super) fn delivered(&mut self, place: usize, since: Time) {
        let due = since.plus(self.allowed_us);
        let others = self.lanes.iter_mut().enumerate().filter(|(other, _)| *other != place);
        for (_, Lane { settled, count, .. }) in others {
            let counter = if *settled > due { &mut count.late } else { &mut count.in_time };
            *counter = counter.saturating_add(1);
        }
    }

    /// What the sender at `place` was late is forgotten.
    pub(super) fn forgive(&mut self, place: usize) {
        if let Some(lane) = self.lanes.get_mut(place) {
            lane.count = Count { until: lane.count.until, ..Count::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    /// A pace of four senders, of which the bodies of `needs` took so long to be deliverable.
    fn pace(needs: &[u64]) -> Pace {
        let mut pace = Pace::new(4, 1, 1_000_000);
        for (place, needs_us) in needs.iter().enumerate() {
            for round in 0..50 {
                let since = at(round * 1_000_000);
                pace.sighted(since, place, Round::new(round));
                pace.deliverable(since.plus(*needs_us), place, Round::new(round));
            }
        }
        pace
    }

    #[test]
    fn what_is_allowed_follows_the_others_and_no_liar_moves_it() {
        assert_eq!(pace(&[]).allowed_us(), 1_000_000, "nothing is known");
        assert_eq!(pace(&[2_000]).allowed_us() / 100, 120);
        assert_eq!(pace(&[2_000, 2_000, 2_000, 900_000]).allowed_us() / 100, 120, "slow bodies");
        assert_eq!(pace(&[2_000, 900_000]).allowed_us() / 100, 120);
        assert_eq!(pace(&[2_000, 2_000, 2_000, 0]).allowed_us() / 100, 120, "quick ones");
        assert_eq!(pace(&[1, 1, 1, 1]).allowed_us(), LEAST_US);
        assert_eq!(pace(&[900_000; 4]).allowed_us(), 1_000_000, "never beyond the slot time-out");
    }

    /// Whether a sender is found that settles its slots `late_us` after what is allowed, `often` out
    /// of ten times, where so many bodies wait behind each.
    fn is_found(late_us: u64, often: u64, bodies: u64) -> bool {
        let mut pace = pace(&[2_000; 4]);
        let allowed_us = pace.allowed_us();
        (0..5_000_u64).any(|round| {
            let begun = at(60_000_000 + round * 1_000_000);
            // Spread as evenly as may be.
            let late_us = if round * often % 10 < often { allowed_us + late_us } else { 0 };
            let is_found = pace.settled(begun.plus(late_us), 3, begun);
            (0..bodies).for_each(|_| pace.delivered(0, begun));
            is_found
        })
    }

    #[test]
    fn a_sender_that_is_late_for_more_than_half_of_the_bodies_is_found() {
        assert!(is_found(1_000, 6, 1));
        assert!(is_found(1_000, 6, 50));
        assert!(is_found(900_000, 10, 3));
        assert!(!is_found(0, 10, 1), "just in time");
        assert!(!is_found(900_000, 4, 1));
    }

    #[test]
    fn late_bodies_at_one_time_count_once() {
        let mut pace = pace(&[2_000; 4]);
        let begun = at(60_000_000);
        for step in 0..900 {
            // A thousand bodies that all wait for it, for 900 ms in all.
            let now = begun.plus(pace.allowed_us() + step * 1_000);
            assert!((0..1_000).all(|_| !pace.settled(now, 3, begun)));
            pace.delivered(0, begun);
        }
        assert!(pace.settled(begun.plus(1_100_000), 3, begun));
    }

    #[test]
    fn pauses_now_and_then_harm_nobody() {
        let mut pace = pace(&[2_000; 4]);
        for round in 0..200_u64 {
            let begun = at(60_000_000 + round * 1_000_000);
            assert!(!pace.settled(begun.plus(300_000), 3, begun));
            pace.delivered(0, begun);
            (0..30).for_each(|_| pace.delivered(0, begun.plus(400_000)));
        }
    }

    #[test]
    fn its_own_bodies_do_not_speak_for_a_sender() {
        let mut pace = pace(&[2_000; 4]);
        let mut rounds = (0..4_u64).map(|round| {
            let begun = at(60_000_000 + round * 1_000_000);
            let is_found = pace.settled(begun.plus(950_000), 3, begun);
            pace.delivered(0, begun);
            (0..100).for_each(|_| pace.delivered(3, begun.plus(950_000)));
            is_found
        });
        assert!(rounds.any(|is_found| is_found));
    }

    #[test]
    fn good_conduct_buys_no_more_than_one_count() {
        let mut pace = pace(&[2_000; 4]);
        (0..1_000_000).for_each(|_| pace.delivered(0, at(60_000_000)));
        let mut rounds = (0..4_u64).map(|round| {
            let begun = at(60_000_000 + round * 1_000_000);
            let is_found = pace.settled(begun.plus(950_000), 3, begun);
            pace.delivered(0, begun);
            is_found
        });
        assert!(rounds.any(|is_found| is_found));
    }

    #[test]
    fn bodies_that_are_never_deliverable_take_little() {
        let mut pace = pace(&[]);
        (0..100_000).for_each(|round| pace.sighted(at(0), 0, Round::new(round)));
        assert_eq!(pace.lanes[0].sighted.len(), SIGHTED_MAX);
        pace.deliverable(at(1_000), 9, Round::new(0));
    }
}
