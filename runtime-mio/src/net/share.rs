//! How long a turn reads, and whom: a share of time for each peer that has sent something. What a
//! frame costs is known only once it was handed on, so a peer that took longer than its share owes
//! the rest, and is passed over until that is made up for (deficit round robin). So nobody who
//! sends frames that are hard to check keeps the others waiting, or the node from its Tick.

use std::time::{Duration, Instant};

/// How long a turn reads, or one frame longer. A node signs once for all that it read in a turn, so
/// much shorter ones would have it sign more often.
pub(super) const TURN: Duration = Duration::from_millis(4);

/// What one peer has taken beyond its shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Debt(Duration);

/// The shares of one turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    end: Instant,
    share: Duration,
    /// If all have debts, so much of them is forgotten that somebody is read.
    forgiven: Duration,
}

impl Shares {
    /// Of a turn that begins now, for peers with these debts.
    pub(super) fn new(now: Instant, debts: impl Iterator<Item = Debt>) -> Self {
        let (count, least) =
            debts.fold((0, Duration::MAX), |(count, least), debt| (count + 1, least.min(debt.0)));
        let share = TURN / u32::max(count, 1);
        let forgiven = if least >= share { least } else { Duration::ZERO };
        Self { end: now + TURN, share, forgiven }
    }

    /// Whether the turn is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.end
    }

    /// Until when a peer is read that begins now; `None` if it is passed over.
    pub(super) fn until(&self, debt: &mut Debt, now: Instant) -> Option<Instant> {
        debt.0 = debt.0.saturating_sub(self.forgiven);
        if debt.0 >= self.share {
            debt.0 -= self.share;
            return None;
        }
        Some((now + self.share - debt.0).min(self.end))
    }

    /// A peer that was read took so long.
    pub(super) fn settle(&self, debt: &mut Debt, took: Duration) {
        debt.0 = (debt.0 + took).saturating_sub(self.share);
    }
}

/// These peers, which ascend, in the order in which they are read if it is the turn of `next`.
pub(super) fn from<K: Ord>(next: K, mut ready: Vec<K>) -> Vec<K> {
    let at = ready.partition_point(|peer| *peer < next);
    ready.rotate_left(at);
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Time taken by each peer in so many turns; a peer's frames cost so much each, and there are
    /// always more of them.
    fn play(frames: &[Duration], turns: u32) -> Vec<Duration> {
        let mut debts = vec![Debt::default(); frames.len()];
        let mut taken = vec![Duration::ZERO; frames.len()];
        let (mut now, mut first) = (Instant::now(), 0);
        for _ in 0..turns {
            let shares = Shares::new(now, debts.iter().copied());
            let begun = now;
            for step in 0..frames.len() {
                let at = (first + step) % frames.len();
                if shares.is_over(now) {
                    first = at;
                    break;
                }
                let Some(until) = shares.until(&mut debts[at], now) else { continue };
                let start = now;
                while now == start || now < until {
                    now += frames[at];
                    taken[at] += frames[at];
                }
                shares.settle(&mut debts[at], now - start);
            }
            let longest = *frames.iter().max().unwrap();
            assert!(now - begun <= TURN + longest, "a turn of {:?}", now - begun);
        }
        taken
    }

    #[test]
    fn long_frames_do_not_take_the_time_of_short_ones() {
        let taken = play(&[MS * 12, MS / 50, MS / 50], 3_000);
        let all: Duration = taken.iter().sum();
        for share in taken {
            assert!(share > all * 30 / 100 && share < all * 37 / 100, "{share:?} of {all:?}");
        }
    }

    #[test]
    fn who_is_alone_is_read_all_the_time() {
        let taken = play(&[MS * 12], 100);
        assert_eq!(taken, [MS * 1_200]);
    }
}
