//! P4 Total order: the Total deliveries of any two correct members are prefix-related over all
//! views that both were in, and slots never fall within one.
//!
//! A member that goes on to the next view has left the order of the last one where everybody that
//! goes on leaves it; otherwise the histories part there.

use phalanx_core::Slot;

use super::Delivery;

/// The orders of all views.
#[derive(Debug)]
pub struct TotalOrder {
    n: usize,
    views: Vec<InView>,
}

/// The one order, as whoever was first saw it, and how far each member is.
#[derive(Debug)]
struct InView {
    reference: Vec<Entry>,
    position: Vec<usize>,
    /// Where the order ends, and who went on from there first.
    end: Option<(usize, usize)>,
}

#[derive(Debug)]
struct Entry {
    slot: Option<Slot>,
    sender: usize,
    payload: Box<[u8]>,
    by: usize,
}

impl TotalOrder {
    /// For `n` processes.
    #[must_use]
    pub const fn new(n: usize) -> Self {
        Self { n, views: Vec::new() }
    }

    fn view(&mut self, view: usize) -> &mut InView {
        let n = self.n;
        while self.views.len() <= view {
            let position = vec![0; n];
            self.views.push(InView { reference: Vec::new(), position, end: None });
        }
        &mut self.views[view]
    }

    /// Correct member `by` goes on to the successor of this view.
    ///
    /// # Errors
    /// If another went on from another place.
    pub fn completed(&mut self, view: usize, by: usize) -> Result<(), String> {
        let in_view = self.view(view);
        let at = in_view.position[by];
        let (end, who) = *in_view.end.get_or_insert((at, by));
        if end == at {
            return Ok(());
        }
        Err(format!(
            "member {by} left the order of view {view} after {at} Total casts, member {who} after \
             {end}"
        ))
    }

    /// Checks a Total delivery against all earlier ones.
    ///
    /// # Errors
    /// Who delivered something else there.
    pub fn delivered(&mut self, delivery: &Delivery<'_>) -> Result<(), String> {
        let Delivery { by, sender, slot, payload, .. } = *delivery;
        let view = self.view(delivery.view);
        let at = view.position[by];
        view.position[by] += 1;
        if slot.is_none() {
            return Err(format!("member {by} delivered Total cast {at} without a slot"));
        }
        let before = at.checked_sub(1).and_then(|before| view.reference.get(before));
        if before.is_some_and(|before| before.slot > slot) {
            return Err(format!("member {by} delivered slot {slot:?} after a later one"));
        }
        if let Some((end, who)) = view.end.filter(|(end, _)| at >= *end) {
            return Err(format!(
                "member {by} delivered Total cast {at}, member {who} left that view after {end}"
            ));
        }
        match view.reference.get(at) {
            None => {
                view.reference.push(Entry { slot, sender, payload: payload.into(), by });
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
            slot: Some(Slot { round: Round::new(round), place }),
            ..Delivery::test(sender, round, Order::Total)
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
    fn histories_that_part_between_two_views_are_seen() {
        let mut oracle = TotalOrder::new(3);
        assert!(deliver(&mut oracle, 0, 0, 1).is_ok() && deliver(&mut oracle, 0, 1, 1).is_ok());
        assert!(deliver(&mut oracle, 1, 0, 1).is_ok());
        assert_eq!(oracle.completed(0, 1), Ok(()));
        assert!(oracle.completed(0, 0).unwrap_err().contains("after 2 Total"));
        assert!(deliver(&mut oracle, 2, 0, 1).is_ok());
        assert_eq!(oracle.completed(0, 2), Ok(()));
        assert!(deliver(&mut oracle, 2, 1, 1).unwrap_err().contains("left that view"));
    }

    #[test]
    fn slots_begin_again_in_a_new_view() {
        let mut oracle = TotalOrder::new(3);
        assert!(deliver(&mut oracle, 0, 1, 4).is_ok());
        let slot = Some(Slot { round: Round::ZERO, place: 0 });
        let first = Delivery { view: 1, slot, ..Delivery::test(2, 1, Order::Total) };
        assert!(oracle.delivered(&first).is_ok());
        assert!(oracle.delivered(&Delivery { by: 1, sender: 0, ..first }).is_err());
    }

    #[test]
    fn falling_slots_are_seen() {
        let mut oracle = TotalOrder::new(3);
        assert!(deliver(&mut oracle, 0, 1, 4).is_ok());
        assert!(deliver(&mut oracle, 0, 0, 4).is_err());
    }
}
