//! Liveness with a figure: once the network is well, every cast of a correct Active member is
//! delivered by every correct Active member within a bound that follows from the configuration,
//! whatever the liars still do. [`bound_us`] states it.
//!
//! The clock of a cast begins when it was accepted, the network was well, the last fault or request
//! of the scenario had happened, and both members were Active and had their state. It begins again
//! only if one of them is Silenced and Active again.

use phalanx_core::Order;

use super::class;
use super::fifo::Fifo;
use crate::scenario::Scenario;

/// Work and messages around all that.
const SLACK_US: u64 = 2_000_000;

/// Frames one after the other in an attempt of a view change, with what is asked for in between.
const HOPS: u64 = 12;

/// How long the delivery of a cast may take:
///
/// * Each culprit (liar, crash) and, once, those that the bad network made suspicious must be found:
///   silent or holding up a slot, a row or a change, then asked about: `mute_us + slot_us + lag_us +
///   installed_us + ask_us`.
/// * After each of them the view changes: `grace_us`, and `attempt_us`, doubled with each leader that
///   fails; as many fail as there are culprits, `f` at the most.
/// * All that is longer in proportion where changes take longer than `attempt_us`: while the network
///   was bad they doubled until then at the most, so twice `heal_at_us` was enough for the last; and
///   where frames are slow an attempt needs `HOPS` of them one after the other, and up to twice that
///   for what it doubles to. No more than `attempt_max_us` allows.
/// * What a sender may have in its window and its queue crosses each link once as a body, and once
///   more as an answer: twice its bytes over `bytes_per_second`.
#[must_use]
pub fn bound_us(scenario: &Scenario, bears: usize) -> u64 {
    let timeouts = &scenario.timeouts;
    let culprits = scenario.liar_ranks().len() + scenario.crashes.len() + scenario.restarts.len();
    let find_us = timeouts.mute_us
        + timeouts.slot_us
        + timeouts.lag_us
        + timeouts.installed_us
        + timeouts.ask_us;
    let failing = u32::try_from(culprits.min(bears)).unwrap_or(0);
    let attempts = (2_u64 << failing) - 1;
    let change_us = timeouts.grace_us + timeouts.attempt_us.saturating_mul(attempts);
    let rounds = culprits as u64 + 1;
    let hops_us = HOPS * scenario.network.max_us;
    let slow = 1 + 2 * scenario.heal_at_us.max(hops_us) / timeouts.attempt_us;
    let slow = slow.min(timeouts.attempt_max_us.div_ceil(timeouts.attempt_us));
    let waits_us = rounds.saturating_mul(find_us + change_us).saturating_mul(slow);
    waits_us.saturating_add(SLACK_US).saturating_add(links_us(scenario))
}

/// What links of limited capacity need for what one sender may have on its way.
fn links_us(scenario: &Scenario) -> u64 {
    let capacity = scenario.network.bytes_per_second;
    if capacity == 0 {
        return 0;
    }
    let limits = &scenario.limits;
    let held = (scenario.cast_queue_bytes + limits.window_bytes_max()) as u64;
    let workload = &scenario.workload;
    // Beside its payload a cast carries its share of a body with its signatures.
    let made = u64::from(workload.casts).saturating_mul(u64::from(workload.payload_max) + 256);
    held.min(made).saturating_mul(2_000_000) / capacity
}

/// When each cast was accepted, and since when members are owed it.
#[derive(Debug)]
pub struct Delay {
    bound_us: u64,
    /// By sender and class: when each of its casts was accepted.
    accepted_us: Vec<[Vec<u64>; 2]>,
    /// By process: since when it counts as a sender, and as a receiver.
    since_us: Vec<[Option<u64>; 2]>,
    /// The longest that a cast has waited since its clock began.
    longest_us: u64,
}

impl Delay {
    /// For `n` processes, with this bound.
    #[must_use]
    pub fn new(n: usize, bound_us: u64) -> Self {
        let accepted_us = vec![[Vec::new(), Vec::new()]; n];
        Self { bound_us, accepted_us, since_us: vec![[None; 2]; n], longest_us: 0 }
    }

    /// A cast of `sender` is accepted.
    pub fn accepted(&mut self, now_us: u64, sender: usize, order: Order) {
        self.accepted_us[sender][class(order)].push(now_us);
    }

    /// Those that are owed something now: `senders` that casts are delivered, `whole` that they get
    /// them.
    fn owed(&mut self, now_us: u64, senders: &[usize], whole: &[usize]) {
        for (process, since) in self.since_us.iter_mut().enumerate() {
            for (since, all) in since.iter_mut().zip([senders, whole]) {
                *since = all.contains(&process).then(|| since.unwrap_or(now_us));
            }
        }
    }

    /// Which cast is late, if any, in a group that is well since `well_us`.
    #[must_use]
    pub fn late(
        &mut self,
        now_us: u64,
        well_us: u64,
        fifo: &Fifo,
        (senders, whole): (&[usize], &[usize]),
    ) -> Option<String> {
        self.owed(now_us, senders, whole);
        let pairs = senders.iter().flat_map(|by| whole.iter().map(move |at| (*by, *at)));
        for (sender, receiver) in pairs {
            let since = self.since_us[sender][0].max(self.since_us[receiver][1]);
            for order in [Order::Fifo, Order::Total] {
                let position = fifo.position(receiver, sender, order);
                let oldest = self.accepted_us[sender][class(order)].get(position);
                let Some(accepted_us) = oldest.copied() else { continue };
                let start_us = accepted_us.max(well_us).max(since.unwrap_or(0));
                let waits_us = now_us.saturating_sub(start_us);
                self.longest_us = self.longest_us.max(waits_us);
                if waits_us > self.bound_us {
                    let bound_us = self.bound_us;
                    return Some(format!(
                        "member {receiver} waits for {order:?} cast {position} of {sender} for \
                         {waits_us} us, the bound is {bound_us} us"
                    ));
                }
            }
        }
        None
    }

    /// The longest that a cast waited, and the bound.
    #[must_use]
    pub const fn longest_us(&self) -> (u64, u64) {
        (self.longest_us, self.bound_us)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Delivery;
    use super::*;
    use crate::workload;

    #[test]
    fn a_cast_beyond_the_bound_is_late_and_nothing_begins_its_clock_anew() {
        let (mut fifo, mut oracle) = (Fifo::new(2), Delay::new(2, 1_000));
        fifo.attempted(0, 0, Order::Total);
        oracle.accepted(100, 0, Order::Total);
        let both = [0, 1];
        let mut late =
            |fifo: &Fifo, now_us, well_us| oracle.late(now_us, well_us, fifo, (&both, &both));
        assert_eq!(late(&fifo, 200, 50), None);
        assert_eq!(late(&fifo, 1_200, 50), None, "owed since 200");
        assert!(late(&fifo, 1_201, 50).unwrap().contains("Total cast 0 of 0"));
        assert_eq!(late(&fifo, 1_201, 300), None, "the network was well later");
        let mut payload = Vec::new();
        workload::payload(0, 0, Order::Total, 8, &mut payload);
        for by in both {
            let cast = Delivery { by, payload: &payload, ..Delivery::test(0, 1, Order::Total) };
            fifo.delivered(&cast, true).unwrap();
        }
        assert_eq!(late(&fifo, 9_999, 50), None);
    }

    #[test]
    fn who_is_silenced_is_owed_nothing_until_it_is_active_again() {
        let (mut fifo, mut oracle) = (Fifo::new(2), Delay::new(2, 1_000));
        fifo.attempted(0, 0, Order::Fifo);
        oracle.accepted(0, 0, Order::Fifo);
        assert_eq!(oracle.late(500, 0, &fifo, (&[0, 1], &[1])), None);
        assert_eq!(oracle.late(1_400, 0, &fifo, (&[], &[1])), None, "silenced");
        assert_eq!(oracle.late(1_600, 0, &fifo, (&[0], &[1])), None, "Active again");
        assert!(oracle.late(2_601, 0, &fifo, (&[0], &[1])).is_some());
    }

    #[test]
    fn the_bound_follows_from_the_configuration() {
        let mut scenario = Scenario::calm("bound", 4, 1);
        let calm = bound_us(&scenario, 1);
        assert_eq!(calm, 7_200_000 + 1_020_000 + SLACK_US);
        scenario.timeouts.mute_us += 500;
        assert_eq!(bound_us(&scenario, 1), calm + 500);
        scenario.crashes.push(crate::scenario::Crash::default());
        assert_eq!(bound_us(&scenario, 1), 2 * (7_200_500 + 3_020_000) + SLACK_US);
        let bad = Scenario { heal_at_us: 1_000_000, ..scenario.clone() };
        assert_eq!(bound_us(&bad, 1), 6 * (7_200_500 + 3_020_000) + SLACK_US);
        scenario.network.bytes_per_second = 1_000_000;
        assert_eq!(links_us(&scenario), 2 * 200 * (64 + 256));
    }
}
