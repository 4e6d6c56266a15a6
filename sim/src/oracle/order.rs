//! P4 Total order: the Total deliveries of any two correct members are prefix-related, and slots
//! never fall.

use phalanx_core::Slot;

use super::Delivery;

/// The one order, as whoever was first saw it, and how far each member is.
#[derive(Debug)]
pub struct TotalOrder {
    reference: Vec<Entry>,
    position: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    slot: Option<Slot>,
    sender: usize,
    payload: Box<[u8]>,
    by: usize,
}

impl TotalOrder {
    /// For a group of `n`.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { reference: Vec::new(), position: vec![0; n] }
    }

    /// Checks a Total delivery against all earlier ones.
    ///
    /// # Errors
    /// Who delivered something else there.
    pub fn delivered(&mut self, delivery: &Delivery<'_>) -> Result<(), String> {
        let Delivery { by, sender, slot, payload, .. } = *delivery;
        let at = self.position[by];
        self.position[by] += 1;
        if slot.is_none() {
            return Err(format!("member {by} delivered Total cast {at} without a slot"));
        }
        let before = at.checked_sub(1).and_then(|before| self.reference.get(before));
        if before.is_some_and(|before| before.slot > slot) {
            return Err(format!("member {by} delivered slot {slot:?} after a later one"));
        }
        match self.reference.get(at) {
            None => {
                self.reference.push(Entry { slot, sender, payload: payload.into(), by });
                Ok(())
            }
            Some(entry)
                if entry.slot == slot && entry.sender == sender && *entry.payload == *payload =>
            {
                Ok(())
            }
            Some(entry) => Err(format!(
                "Total delivery {at}: sender {} slot {:?} at member {}, sender {sender} slot \
                 {slot:?} at member {by}",
                entry.sender, entry.slot, entry.by,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::{Order, Round};

    fn deliver(
        oracle: &mut TotalOrder,
        by: usize,
        sender: usize,
        round: u64,
    ) -> Result<(), String> {
        let place = u16::try_from(sender).unwrap();
        oracle.delivered(&Delivery {
            by,
            sender,
            number: round,
            order: Order::Total,
            slot: Some(Slot { round: Round::new(round), place }),
            own_ticket: None,
            payload: b"x",
        })
    }

    #[test]
    fn two_orders_are_seen() {
        let mut oracle = TotalOrder::new(3);
        assert!(deliver(&mut oracle, 0, 0, 1).is_ok() && deliver(&mut oracle, 0, 1, 1).is_ok());
        assert!(deliver(&mut oracle, 1, 0, 1).is_ok());
        assert!(deliver(&mut oracle, 1, 2, 1).is_err());
    }

    #[test]
    fn falling_slots_are_seen() {
        let mut oracle = TotalOrder::new(3);
        assert!(deliver(&mut oracle, 0, 1, 4).is_ok());
        assert!(deliver(&mut oracle, 0, 0, 4).is_err());
    }
}
