//! How much a group gets done, and how quickly: deliveries by sender, receiver and tenth of a second,
//! and how long Total casts took. Only kept where it is asked for ([`crate::fairness`]).

use std::collections::BTreeSet;

use phalanx_core::Order;

/// A slot of time.
pub const SLOT_US: u64 = 100_000;

/// How long casts take is told from then on: in the beginning nothing is known of the network.
pub const LATENCY_FROM_US: u64 = 1_000_000;

/// A Total cast that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    slot: usize,
    sender: usize,
    receiver: usize,
    us: u64,
}

/// What was delivered when, and when the liars were found and out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// By process and cast: when it was asked for.
    asked_us: Vec<Vec<u64>>,
    /// By slot of time, sender and receiver.
    delivered: Vec<Vec<Vec<u64>>>,
    taken: Vec<Taken>,
    /// When a correct member first suspected a liar, or held a Proof against it.
    pub blamed_us: Option<u64>,
    /// Since when no liar is Active.
    pub out_us: Option<u64>,
}

impl Rates {
    /// Process `sender` asks for its cast `index`.
    pub fn asked(&mut self, now_us: u64, sender: usize, index: usize) {
        if self.asked_us.len() <= sender {
            self.asked_us.resize(sender + 1, Vec::new());
        }
        // One that was refused is asked for again.
        self.asked_us[sender].truncate(index);
        self.asked_us[sender].push(now_us);
    }

    /// Correct process `receiver` delivers cast `index` of correct process `sender`.
    pub fn delivered(
        &mut self,
        now_us: u64,
        (sender, index): (usize, usize),
        receiver: usize,
        order: Order,
    ) {
        let slot = usize::try_from(now_us / SLOT_US).unwrap_or(usize::MAX);
        if self.delivered.len() <= slot {
            self.delivered.resize(slot + 1, Vec::new());
        }
        let senders = &mut self.delivered[slot];
        if senders.len() <= sender {
            senders.resize(sender + 1, Vec::new());
        }
        let receivers = &mut senders[sender];
        if receivers.len() <= receiver {
            receivers.resize(receiver + 1, 0);
        }
        receivers[receiver] += 1;
        let asked_us = self.asked_us.get(sender).and_then(|asked| asked.get(index));
        if let (Order::Total, Some(asked_us)) = (order, asked_us) {
            let us = now_us.saturating_sub(*asked_us);
            self.taken.push(Taken { slot, sender, receiver, us });
        }
    }

    /// A liar is suspected, or proven to be one.
    pub fn blamed(&mut self, now_us: u64) {
        self.blamed_us.get_or_insert(now_us);
    }

    /// Whether a liar is Active in the newest view.
    pub fn stands(&mut self, now_us: u64, is_liar_active: bool) {
        self.out_us = (!is_liar_active).then(|| self.out_us.unwrap_or(now_us));
    }

    /// Deliveries by any of `among` of casts of any of them, in these slots.
    #[must_use]
    pub fn count(&self, among: &BTreeSet<usize>, slots: &std::ops::Range<usize>) -> u64 {
        let here = self.delivered.iter().take(slots.end).skip(slots.start);
        let pairs = here.flat_map(|senders| {
            among.iter().flat_map(|sender| {
                let receivers = senders.get(*sender);
                among.iter().filter_map(move |to| receivers?.get(*to))
            })
        });
        pairs.sum()
    }

    /// How long half of those of their Total casts took at the most, in these slots.
    #[must_use]
    pub fn median_us(
        &self,
        among: &BTreeSet<usize>,
        slots: &std::ops::Range<usize>,
    ) -> Option<u64> {
        let is_meant = |taken: &&Taken| {
            slots.contains(&taken.slot)
                && among.contains(&taken.sender)
                && among.contains(&taken.receiver)
        };
        quantile(self.taken.iter().filter(is_meant).map(|taken| taken.us), 500)
    }

    /// How long so many thousandths of all Total casts that were delivered from a moment on took at
    /// the most.
    #[must_use]
    pub fn quantile_us(&self, from_us: u64, permille: usize) -> Option<u64> {
        let first = usize::try_from(from_us / SLOT_US).unwrap_or(usize::MAX);
        let is_meant = |taken: &&Taken| taken.slot >= first;
        quantile(self.taken.iter().filter(is_meant).map(|taken| taken.us), permille)
    }
}

/// The value below which so many thousandths of `all` lie.
fn quantile(all: impl Iterator<Item = u64>, permille: usize) -> Option<u64> {
    let mut all: Vec<u64> = all.collect();
    all.sort_unstable();
    all.get(all.len() * permille / 1_000).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deliveries_among_those_named_in_those_slots_count() {
        let mut rates = Rates::default();
        (0..3).for_each(|index| rates.asked(1_000, 0, index));
        rates.asked(5_000, 0, 2);
        rates.delivered(11_000, (0, 0), 1, Order::Total);
        rates.delivered(150_000, (0, 1), 1, Order::Fifo);
        rates.delivered(150_000, (0, 2), 1, Order::Total);
        rates.delivered(150_000, (0, 2), 2, Order::Total);
        let (all, two) = (BTreeSet::from([0, 1, 2]), BTreeSet::from([0, 1]));
        assert_eq!((rates.count(&all, &(0..9)), rates.count(&two, &(0..9))), (4, 3));
        assert_eq!((rates.count(&all, &(0..1)), rates.count(&two, &(1..2))), (1, 2));
        assert_eq!(rates.median_us(&two, &(0..1)), Some(10_000));
        assert_eq!(rates.median_us(&two, &(1..2)), Some(145_000));
        assert_eq!(rates.median_us(&two, &(2..9)), None);
        assert_eq!(rates.quantile_us(0, 500), Some(145_000));
        assert_eq!(rates.quantile_us(0, 0), Some(10_000));
        assert_eq!(rates.quantile_us(200_000, 500), None);
        rates.stands(7, true);
        assert_eq!(rates.out_us, None);
        rates.stands(8, false);
        rates.stands(9, false);
        assert_eq!(rates.out_us, Some(8));
    }
}
