//! P2 FIFO: the casts of one sender are delivered in the order cast, per order class and without a
//! gap, also from one view to the next; those of a liar in the order of its bodies.

use phalanx_core::Order;

use super::{Delivery, class};
use crate::workload;

/// Order of each sender's casts, and how far each member is.
#[derive(Debug)]
pub struct Fifo {
    /// By sender and class: indices in the order cast.
    cast: Vec<[Vec<u32>; 2]>,
    /// By member, sender and class: how many were delivered.
    position: Vec<Vec<[usize; 2]>>,
    /// By member, sender and class: the last body, and in which view.
    number: Vec<Vec<[(usize, u64); 2]>>,
}

impl Fifo {
    /// For a group of `n`.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self {
            cast: vec![[Vec::new(), Vec::new()]; n],
            position: vec![vec![[0; 2]; n]; n],
            number: vec![vec![[(0, 0); 2]; n]; n],
        }
    }

    /// `sender` asks for its cast `index`.
    pub fn attempted(&mut self, sender: usize, index: u32, order: Order) {
        self.cast[sender][class(order)].push(index);
    }

    /// The cast that `sender` asked for last was refused.
    pub fn refused(&mut self, sender: usize, order: Order) {
        self.cast[sender][class(order)].pop();
    }

    /// How many casts of this class `by` delivered from `sender`.
    #[must_use]
    pub fn position(&self, by: usize, sender: usize, order: Order) -> usize {
        self.position[by][sender][class(order)]
    }

    /// How many casts of this class `sender` made.
    #[must_use]
    pub fn cast(&self, sender: usize, order: Order) -> usize {
        self.cast[sender][class(order)].len()
    }

    /// Checks a delivery; `is_correct` is about its sender.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn delivered(&mut self, delivery: &Delivery<'_>, is_correct: bool) -> Result<(), String> {
        let Delivery { by, sender, number, order, payload, .. } = *delivery;
        let last = &mut self.number[by][sender][class(order)];
        if last.0 == delivery.view && number < last.1 {
            return Err(format!(
                "member {by} delivered {order:?} casts of body {number} of {sender} after {}",
                last.1
            ));
        }
        *last = (delivery.view, number);
        let position = &mut self.position[by][sender][class(order)];
        let expected = self.cast[sender][class(order)].get(*position).copied();
        *position += 1;
        let index = workload::identify(payload).map(|(_, index)| index);
        if is_correct && index != expected {
            return Err(format!(
                "member {by} delivered {order:?} cast {index:?} of {sender}, {expected:?} is next"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(oracle: &mut Fifo, index: u32, number: u64, is_correct: bool) -> Result<(), String> {
        let order = Order::Fifo;
        let mut payload = Vec::new();
        workload::payload(0, index, order, 0, &mut payload);
        let payload = &payload;
        let delivery = Delivery { by: 1, payload, ..Delivery::test(0, number, order) };
        oracle.delivered(&delivery, is_correct)
    }

    #[test]
    fn order_and_gaps_are_seen() {
        let rig = || {
            let mut oracle = Fifo::new(2);
            (0..3).for_each(|index| oracle.attempted(0, index, Order::Fifo));
            oracle
        };
        let mut good = rig();
        assert!((0..3).all(|index| deliver(&mut good, index, 1, true).is_ok()));
        assert_eq!(good.position(1, 0, Order::Fifo), good.cast(0, Order::Fifo));
        assert!(deliver(&mut rig(), 1, 1, true).is_err());
        let mut swapped = rig();
        assert!(deliver(&mut swapped, 0, 2, false).is_ok());
        assert!(deliver(&mut swapped, 1, 1, false).is_err());
        let mut payload = Vec::new();
        workload::payload(0, 1, Order::Fifo, 0, &mut payload);
        let later = Delivery { by: 1, view: 1, ..Delivery::test(0, 1, Order::Fifo) };
        assert!(swapped.delivered(&later, false).is_ok(), "numbers begin again");
        let mut lost = rig();
        assert!(deliver(&mut lost, 0, 9, true).is_ok());
        workload::payload(0, 2, Order::Fifo, 0, &mut payload);
        let gap = Delivery { payload: &payload, ..later };
        assert!(lost.delivered(&gap, true).is_err(), "cast 1 was lost between the views");
    }
}
