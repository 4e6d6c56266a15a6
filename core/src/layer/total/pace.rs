//! How late the slots of each sender are settled, compared with what a quorum needs to make a body
//! deliverable (protocol.md section 6, TO4; the bounded delay of Prime, Amir et al. 2011).
//!
//! The time from the first sight of a body with Total casts until it is deliverable is what two
//! delays to a quorum take, and no single member can lengthen it for the bodies of others. A sender
//! that settles a slot later than [`MULTIPLE`] times that, after the first body that waits behind
//! it became deliverable, is late. What it is late adds up; each body for which it was in time takes
//! as much away as it is allowed. So the median body of the group never waits longer than it is
//! allowed for the slowest sender that is not found.
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
    /// How late it was and did not make up for.
    late_us: u64,
    was_late: bool,
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
    pub(super) const fn allowed_us(&self) -> u64 {
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

    /// The sender at `place` settled a slot behind which a body waited that was deliverable `since`
    /// then. Returns whether it has been too late too often.
    pub(super) fn settled(&mut self, now: Time, place: usize, since: Time) -> bool {
        let late_us = now.since(since.plus(self.allowed_us));
        let Some(lane) = self.lanes.get_mut(place).filter(|_| late_us > 0) else { return false };
        lane.was_late = true;
        lane.late_us = lane.late_us.saturating_add(late_us);
        lane.late_us >= self.limit_us
    }

    /// A body was delivered in its order.
    pub(super) fn delivered(&mut self) {
        for lane in &mut self.lanes {
            if !core::mem::take(&mut lane.was_late) {
                lane.late_us = lane.late_us.saturating_sub(self.allowed_us);
            }
        }
    }

    /// What the sender at `place` was late is forgotten.
    pub(super) fn forgive(&mut self, place: usize) {
        if let Some(lane) = self.lanes.get_mut(place) {
            lane.late_us = 0;
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

    /// Whether a sender is found that settles `late_us` after what is allowed, `often` out of ten
    /// times.
    fn is_found(late_us: u64, often: u64) -> bool {
        let mut pace = pace(&[2_000; 4]);
        let allowed_us = pace.allowed_us();
        (0..2_000_u64).any(|round| {
            let begun = at(60_000_000 + round * 1_000_000);
            let late_us = if round % 10 < often { late_us } else { 0 };
            let is_found = pace.settled(begun.plus(allowed_us + late_us), 3, begun);
            pace.delivered();
            is_found
        })
    }

    #[test]
    fn a_sender_that_is_late_for_more_than_half_of_the_bodies_is_found() {
        assert!(is_found(15_000, 6));
        assert!(is_found(900_000, 1), "seldom, but long");
        assert!(!is_found(0, 10));
        assert!(!is_found(5_000, 5));
    }

    #[test]
    fn a_pause_now_and_then_harms_nobody() {
        let mut pace = pace(&[2_000; 4]);
        for round in 0..200_u64 {
            let begun = at(60_000_000 + round * 1_000_000);
            assert!(!pace.settled(begun.plus(300_000), 3, begun));
            (0..30).for_each(|_| pace.delivered());
        }
    }

    #[test]
    fn bodies_that_are_never_deliverable_take_little() {
        let mut pace = pace(&[]);
        (0..100_000).for_each(|round| pace.sighted(at(0), 0, Round::new(round)));
        assert_eq!(pace.lanes[0].sighted.len(), SIGHTED_MAX);
        pace.deliverable(at(1_000), 9, Round::new(0));
    }
}
