//! Which rows others hold and this member does not (protocol.md section 5, "rows are gossip").
//!
//! Every member tells with its own row the counters of the rows that it holds of all others. A
//! member that hears of a newer row than its own asks for it those that hold it, one after the
//! other. So a row that was signed for one correct member reaches all of them, whatever its signer
//! shows to whom, and whichever link is slow.
//!
//! What a faulty member can try: claim rows that do not exist (it is asked in its turn and answers
//! nothing; the others that hold the row are asked before and after it, at a limited rate).

use alloc::vec::Vec;

use crate::member::{PerRank, Rank};
use crate::time::{Time, earliest};
use crate::timer::Backoff;

/// A row that others hold is asked for after this part of `stable_us` at the latest, sooner where an
/// answer takes less: it may be on its way. It is asked for again after this part.
const PAUSE_PART: u64 = 4;

/// Asking for the row of one member.
#[derive(Debug)]
struct Ask {
    timer: Backoff,
    /// The next holder to ask.
    turn: usize,
}

/// The machine, for one view.
#[derive(Debug)]
pub(super) struct Gossip {
    me: Rank,
    /// The counters that each member told last; empty before.
    told: PerRank<Vec<u64>>,
    asks: PerRank<Ask>,
    /// The pause before a row is asked for the first time, and the least before it is asked again.
    first_us: u64,
    least_us: u64,
}

impl Gossip {
    pub(super) fn new(n: usize, me: Rank, stable_us: u64) -> Self {
        let ask = |_| Ask { timer: Backoff::new(stable_us / PAUSE_PART, stable_us), turn: 0 };
        let least_us = stable_us / PAUSE_PART;
        let told = PerRank::from_fn(n, |_| Vec::new());
        Self { me, told, asks: PerRank::from_fn(n, ask), first_us: least_us, least_us }
    }

    /// An answer takes so long: a row that others hold for longer is lost.
    pub(super) fn pace(&mut self, answer_us: u64) {
        self.first_us = answer_us.min(self.least_us);
    }

    /// When a Tick is owed.
    pub(super) fn due(&self) -> Option<Time> {
        self.asks.values().fold(None, |first, ask| earliest(first, ask.timer.due()))
    }

    /// The counter of the newest row that `peer` has told that it holds of `member`.
    pub(super) fn told(&self, peer: Rank, member: Rank) -> u64 {
        self.told.at(peer).get(member.index()).copied().unwrap_or(0)
    }

    /// `peer` told its counters; `held` are those of this member, by rank.
    pub(super) fn on_counters(&mut self, now: Time, peer: Rank, counters: &[u64], held: &[u64]) {
        *self.told.at_mut(peer) = counters.to_vec();
        let (me, first_us) = (self.me, self.first_us);
        let members = self.asks.iter_mut().zip(counters.iter().zip(held));
        for ((member, ask), (told, held)) in members {
            if member != me && told > held && ask.timer.due().is_none() {
                ask.timer.restart_with(now, first_us);
            }
        }
    }

    /// A newer row of `member` came, with this counter.
    pub(super) fn on_row(&mut self, now: Time, member: Rank, counter: u64) {
        let is_behind = self.holders(member, counter).next().is_some();
        let ask = self.asks.at_mut(member);
        match is_behind {
            true => ask.timer.restart_with(now, self.first_us),
            false => ask.timer.stop(),
        }
    }

    /// The members whose newer rows are to be asked for now, each with the holder to ask.
    pub(super) fn on_tick(&mut self, now: Time, held: &[u64]) -> Vec<(Rank, Rank)> {
        let mut due = Vec::new();
        for (member, held) in self.asks.ranks().zip(held) {
            if !self.asks.at_mut(member).timer.fires(now) {
                continue;
            }
            let holders: Vec<Rank> = self.holders(member, *held).collect();
            let least_us = self.least_us;
            let ask = self.asks.at_mut(member);
            let Some(index) = ask.turn.checked_rem(holders.len()) else {
                ask.timer.stop();
                continue;
            };
            ask.turn = ask.turn.wrapping_add(1);
            if ask.timer.pause_us() < least_us {
                ask.timer.restart_with(now, least_us);
            }
            due.extend(holders.get(index).map(|holder| (member, *holder)));
        }
        due
    }

    /// The members that told of a row of `member` above `counter`.
    fn holders(&self, member: Rank, counter: u64) -> impl Iterator<Item = Rank> {
        let me = self.me;
        let holds = move |told: &Vec<u64>| told.get(member.index()).is_some_and(|c| *c > counter);
        self.told
            .iter()
            .filter(move |(peer, told)| *peer != me && holds(told))
            .map(|(peer, _)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE_US: u64 = 100_000;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    #[test]
    fn a_newer_row_is_asked_of_each_holder_in_turn_until_it_is_here() {
        let mut gossip = Gossip::new(4, Rank::new(0), STABLE_US);
        let held = [9, 5, 5, 5];
        gossip.on_counters(at(0), Rank::new(1), &[99, 5, 5, 7], &held);
        gossip.on_counters(at(0), Rank::new(2), &[0, 5, 5, u64::MAX], &held);
        assert_eq!(gossip.due(), Some(at(25_000)), "it may be on its way");
        assert_eq!(gossip.on_tick(at(24_999), &held), []);
        let row_of_3_from = |peer| [(Rank::new(3), Rank::new(peer))];
        assert_eq!(gossip.on_tick(at(25_000), &held), row_of_3_from(1));
        assert_eq!(gossip.on_tick(at(75_000), &held), row_of_3_from(2), "who claims what is not");
        assert_eq!(gossip.on_tick(at(175_000), &held), row_of_3_from(1));
        gossip.on_row(at(175_500), Rank::new(3), 7);
        assert_eq!(gossip.due(), Some(at(200_500)), "somebody claims more");
        gossip.on_counters(at(180_000), Rank::new(2), &[0, 5, 5, 7], &[9, 5, 5, 7]);
        assert_eq!(gossip.on_tick(at(200_500), &[9, 5, 5, 7]), []);
        assert_eq!(gossip.due(), None);
    }

    #[test]
    fn a_liar_cannot_have_the_rows_of_a_member_asked_for_too_often() {
        let mut gossip = Gossip::new(4, Rank::new(0), STABLE_US);
        let mut asked = 0;
        for millis in 0..10_000 {
            gossip.on_counters(at(millis * 1000), Rank::new(3), &[u64::MAX; 4], &[1; 4]);
            asked += gossip.on_tick(at(millis * 1000), &[1; 4]).len();
        }
        assert!(asked <= 3 * 102, "{asked}");
    }
}
