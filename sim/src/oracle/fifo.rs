//! P2 FIFO: the casts of one sender are delivered in the order cast, per order class and without a
//! gap, also from one view to the next; those of a liar in the order of its bodies. A process that
//! joins begins where those that were there before ended the view before its first.

use std::collections::{BTreeMap, BTreeSet};

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
    /// By view: how far those were that completed it.
    ends: BTreeMap<usize, Vec<[usize; 2]>>,
    /// Members that begin where a view ended, as long as nobody has completed it.
    waiting: Vec<(usize, usize)>,
}

impl Fifo {
    /// For a group of `n`.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self {
            cast: vec![[Vec::new(), Vec::new()]; n],
            position: vec![vec![[0; 2]; n]; n],
            number: vec![vec![[(0, 0); 2]; n]; n],
            ends: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// `by` joins: its first view follows the view at place `before`.
    pub fn joins(&mut self, by: usize, before: usize) {
        match self.ends.get(&before) {
            Some(ends) => self.position[by].clone_from(ends),
            None => self.waiting.push((by, before)),
        }
    }

    /// Correct member `by` completed this view.
    pub fn completed(&mut self, view: usize, by: usize) {
        if self.waiting.iter().any(|(waiting, _)| *waiting == by) {
            return;
        }
        let ends = self.ends.entry(view).or_insert_with(|| self.position[by].clone());
        for (joiner, _) in self.waiting.iter().filter(|(_, before)| *before == view) {
            self.position[*joiner].clone_from(ends);
        }
        self.waiting.retain(|(_, before)| *before != view);
    }

    /// How many of these casts of `sender` are of this class.
    #[must_use]
    pub fn count(&self, sender: usize, order: Order, casts: &BTreeSet<u32>) -> usize {
        self.cast[sender][class(order)].iter().filter(|index| casts.contains(index)).count()
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
        if self.waiting.iter().any(|(waiting, _)| *waiting == by) {
            return Err(format!("member {by} delivers before anybody ended the view before"));
        }
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
    #[test]
    fn who_joins_begins_where_the_view_before_ended() {
        let rig = || {
            let mut oracle = Fifo::new(3);
            (0..4).for_each(|index| oracle.attempted(0, index, Order::Fifo));
            assert!((0..2).all(|index| deliver(&mut oracle, index, 1, true).is_ok()));
            oracle
        };
        let joined = |oracle: &mut Fifo, index| {
            let mut payload = Vec::new();
            workload::payload(0, index, Order::Fifo, 0, &mut payload);
            let first = Delivery { by: 2, view: 1, ..Delivery::test(0, 1, Order::Fifo) };
            oracle.delivered(&Delivery { payload: &payload, ..first }, true)
        };
        for (index, is_good) in [(2, true), (1, false), (3, false)] {
            for is_early in [true, false] {
                let mut oracle = rig();
                if is_early {
                    oracle.joins(2, 0);
                    assert!(joined(&mut oracle, index).unwrap_err().contains("before anybody"));
                }
                oracle.completed(0, 1);
                if !is_early {
                    oracle.joins(2, 0);
                }
                assert_eq!(oracle.position(2, 0, Order::Fifo), 2);
                assert_eq!(joined(&mut oracle, index).is_ok(), is_good, "{index}");
            }
        }
    }
}
