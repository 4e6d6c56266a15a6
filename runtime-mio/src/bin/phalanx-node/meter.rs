//! What a child measures: its deliveries, their order, and how long its own casts took.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use phalanx_core::{Order, Rank, Ticket};
use rustix::time::{ClockId, clock_gettime};

use crate::ledger::Ledger;
use crate::report::{Latency, Status};

/// The longest latency that is told apart, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery<'a> {
    /// Who cast it.
    pub(crate) sender: Rank,
    /// How it was ordered.
    pub(crate) order: Order,
    /// Its ticket, if it is one's own.
    pub(crate) own: Option<Ticket>,
    /// What was cast.
    pub(crate) payload: &'a [u8],
}

/// The measurements.
pub(crate) struct Meter {
    since: Instant,
    cpu_before: Duration,
    status: Status,
    ledger: Option<Ledger>,
    latency: Histogram<u64>,
    recent: Histogram<u64>,
    /// Own casts on their way, by order class: within one they are delivered as they were cast.
    fifo: VecDeque<(Ticket, Instant)>,
    ordered: VecDeque<(Ticket, Instant)>,
}

impl Meter {
    /// Nothing measured yet; `is_chained` says whether to keep a state made by the
    /// total order.
    pub(crate) fn new(is_chained: bool) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            since: Instant::now(),
            cpu_before: Duration::ZERO,
            status: Status::default(),
            ledger: is_chained.then(Ledger::default),
            latency: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            recent: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
            fifo: VecDeque::new(),
            ordered: VecDeque::new(),
        })
    }

    /// Counts from now on, except what is counted since the start.
    pub(crate) fn reset(&mut self) {
        self.since = Instant::now();
        self.cpu_before = cpu_time();
        self.status.delivered = 0;
        self.status.bytes = 0;
        self.latency.reset();
        self.recent.reset();
    }

    /// An own cast was accepted.
    pub(crate) fn on_cast(&mut self, order: Order, ticket: Ticket) {
        self.status.accepted += 1;
        self.on_their_way(order).push_back((ticket, Instant::now()));
    }

    fn on_their_way(&mut self, order: Order) -> &mut VecDeque<(Ticket, Instant)> {
        match order {
            Order::Fifo => &mut self.fifo,
            Order::Total => &mut self.ordered,
        }
    }

    /// How many own casts are on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.fifo.len() + self.ordered.len()
    }

    /// A cast was delivered.
    pub(crate) fn on_delivery(&mut self, delivery: Delivery<'_>) {
        self.status.delivered += 1;
        self.status.bytes += u64::try_from(delivery.payload.len()).unwrap_or(u64::MAX);
        if delivery.order == Order::Total {
            self.status.total += 1;
            if let Some(ledger) = &mut self.ledger {
                ledger.apply(delivery.sender.value(), delivery.payload);
            }
        }
        let Some(ticket) = delivery.own else { return };
        self.status.own += 1;
        let waiting = self.on_their_way(delivery.order);
        let is_first = waiting.front().is_some_and(|(first, _)| *first == ticket);
        if is_first && let Some((_, cast_at)) = waiting.pop_front() {
            let micros = u64::try_from(cast_at.elapsed().as_micros()).unwrap_or(LONGEST_US);
            self.latency.saturating_record(micros);
            self.recent.saturating_record(micros);
        }
    }

    /// Total casts that made the state, and the hash over them.
    pub(crate) fn chain(&self) -> (u64, String) {
        let chain = self.ledger.as_ref().map(|ledger| ledger.chain().1.to_string());
        (self.status.total, chain.unwrap_or_default())
    }

    /// The state, if there is one.
    pub(crate) const fn ledger(&mut self) -> Option<&mut Ledger> {
        self.ledger.as_mut()
    }

    /// Goes on from a state that was handed over.
    pub(crate) fn load(&mut self, ledger: Ledger) {
        self.status.total = ledger.chain().0;
        self.ledger = Some(ledger);
    }

    /// The hash over the state; costs some time.
    pub(crate) fn state(&self) -> String {
        self.ledger.as_ref().map(|ledger| ledger.hash().to_string()).unwrap_or_default()
    }

    /// How it stands now. What is recent starts over.
    pub(crate) fn status(&mut self) -> Status {
        let cpu = cpu_time().saturating_sub(self.cpu_before);
        let status = Status {
            elapsed_us: micros(self.since.elapsed()),
            hash: self.chain().1,
            latency: percentiles(&self.latency),
            recent: percentiles(&self.recent),
            cpu_us: micros(cpu),
            ..self.status.clone()
        };
        self.recent.reset();
        status
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn percentiles(histogram: &Histogram<u64>) -> Latency {
    Latency {
        count: histogram.len(),
        p50_us: histogram.value_at_quantile(0.5),
        p90_us: histogram.value_at_quantile(0.9),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
    }
}

/// Processor time that this process has used, in user and system mode.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(meter: &mut Meter, order: Order, own: Option<u64>, payload: &[u8]) {
        let own = own.map(Ticket);
        meter.on_delivery(Delivery { sender: Rank::new(1), order, own, payload });
    }

    #[test]
    fn the_chain_tells_sequences_apart() {
        let chain = |casts: &[&[u8]]| {
            let mut meter = Meter::new(true).unwrap();
            casts.iter().for_each(|cast| deliver(&mut meter, Order::Total, None, cast));
            deliver(&mut meter, Order::Fifo, None, b"does not count");
            meter.chain()
        };
        assert_eq!(chain(&[b"a", b"b"]), chain(&[b"a", b"b"]));
        assert_ne!(chain(&[b"a", b"b"]), chain(&[b"b", b"a"]));
        assert_ne!(chain(&[b"ab"]).1, chain(&[b"a"]).1);
        assert_eq!(chain(&[b"a", b"b"]).0, 2);
    }

    #[test]
    fn own_casts_are_timed_in_their_class() {
        let mut meter = Meter::new(false).unwrap();
        meter.on_cast(Order::Total, Ticket(1));
        meter.on_cast(Order::Fifo, Ticket(2));
        deliver(&mut meter, Order::Fifo, Some(2), b"xy");
        deliver(&mut meter, Order::Total, None, b"xy");
        assert_eq!(meter.in_flight(), 1);
        deliver(&mut meter, Order::Total, Some(1), b"xy");
        let status = meter.status();
        assert_eq!((status.own, status.accepted, status.delivered), (2, 2, 3));
        assert_eq!((status.latency.count, status.recent.count, status.bytes), (2, 2, 6));
        assert_eq!(meter.status().recent.count, 0);
        meter.reset();
        let status = meter.status();
        assert_eq!((status.delivered, status.total, status.latency.count), (0, 2, 0));
    }
}
