//! P1 Integrity: a cast is delivered at most once and, if its sender is correct, only if the
//! sender cast it, byte for byte.

use phalanx_core::Order;

use super::Delivery;
use crate::workload;

#[derive(Clone, Copy, Debug)]
struct Cast {
    order: Order,
    len: usize,
}

/// What correct members cast, and who delivered it.
#[derive(Debug)]
pub struct Integrity {
    casts: Vec<Vec<Cast>>,
    delivered: Vec<Vec<Vec<bool>>>,
    expected: Vec<u8>,
}

impl Integrity {
    /// For a group of `n`.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let delivered = vec![vec![Vec::new(); n]; n];
        Self { casts: vec![Vec::new(); n], delivered, expected: Vec::new() }
    }

    /// `sender` asks for its cast `index`: it may be delivered from now on.
    pub fn attempted(&mut self, sender: usize, index: u32, order: Order, len: usize) {
        let index = index as usize;
        self.casts[sender].truncate(index);
        self.casts[sender].push(Cast { order, len });
    }

    /// Bytes that all casts of `sender` take in its bodies.
    #[must_use]
    pub fn cast_bytes(&self, sender: usize) -> usize {
        let len = |cast: &Cast| cast.len + phalanx_core::wire::casts::PREFIX;
        self.casts[sender].iter().map(len).sum()
    }

    /// The cast that `sender` asked for last was refused: nothing of it may show.
    pub fn refused(&mut self, sender: usize) {
        self.casts[sender].pop();
    }

    /// Checks a delivery of a correct sender's cast.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn delivered(&mut self, delivery: &Delivery<'_>) -> Result<(), String> {
        let Delivery { by, sender, order, payload, .. } = *delivery;
        let whose = format_args!("member {by} delivered from correct member {sender}");
        let Some((claimed, index)) = workload::identify(payload) else {
            return Err(format!("{whose} a payload that nobody cast"));
        };
        let cast = self.casts[sender].get(index as usize);
        let Some(cast) = cast.filter(|_| usize::from(claimed) == sender) else {
            return Err(format!("{whose} cast {index} of {claimed}, which it did not cast"));
        };
        workload::payload(claimed, index, cast.order, cast.len, &mut self.expected);
        if cast.order != order || self.expected != payload {
            return Err(format!("{whose} cast {index}, changed"));
        }
        if delivery.own_ticket != (by == sender).then_some(u64::from(index)) {
            return Err(format!("{whose} cast {index} with ticket {:?}", delivery.own_ticket));
        }
        let seen = &mut self.delivered[by][sender];
        if seen.len() <= index as usize {
            seen.resize(index as usize + 1, false);
        }
        if std::mem::replace(&mut seen[index as usize], true) {
            return Err(format!("{whose} cast {index} twice"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig() -> (Integrity, Vec<u8>) {
        let mut oracle = Integrity::new(2);
        oracle.attempted(0, 0, Order::Fifo, 20);
        let mut payload = Vec::new();
        workload::payload(0, 0, Order::Fifo, 20, &mut payload);
        (oracle, payload)
    }

    fn delivery(payload: &[u8]) -> Delivery<'_> {
        Delivery { by: 1, payload, ..Delivery::test(0, 1, Order::Fifo) }
    }

    #[test]
    fn what_was_cast_is_delivered_once() {
        let (mut oracle, payload) = rig();
        assert_eq!(oracle.delivered(&delivery(&payload)), Ok(()));
        let again = oracle.delivered(&delivery(&payload));
        assert!(again.unwrap_err().ends_with("twice"));
        let later = oracle.delivered(&Delivery { view: 1, ..delivery(&payload) });
        assert!(later.unwrap_err().ends_with("twice"), "not in another view either");
    }

    #[test]
    fn changed_foreign_and_refused_casts_are_seen() {
        let (mut oracle, mut payload) = rig();
        payload[19] ^= 1;
        assert!(oracle.delivered(&delivery(&payload)).unwrap_err().ends_with("changed"));
        assert!(oracle.delivered(&delivery(&payload[..4])).is_err());
        workload::payload(1, 0, Order::Fifo, 20, &mut payload);
        assert!(oracle.delivered(&delivery(&payload)).is_err());
        workload::payload(0, 0, Order::Fifo, 20, &mut payload);
        let own = Delivery { own_ticket: Some(0), ..delivery(&payload) };
        assert!(oracle.delivered(&own).unwrap_err().contains("ticket"));
        oracle.refused(0);
        assert!(oracle.delivered(&delivery(&payload)).unwrap_err().contains("did not cast"));
    }
}
