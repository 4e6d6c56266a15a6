//! Those that go. L1: who asks to leave is let go, where the group can bear it. L2 for a member that
//! left or was excluded: each of its casts is delivered, or it is told that the cast is lost, and
//! never both.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::{Order, Ticket};

use super::fifo::Fifo;
use super::owed;
use super::views::Record;

/// Who asked to leave, and what members were told when they went.
#[derive(Debug, Default)]
pub struct Parting {
    asked: BTreeSet<usize>,
    /// By process: the casts said to be lost.
    lost: BTreeMap<usize, BTreeSet<u32>>,
    /// Casts that some correct member delivered, by process and index.
    delivered: BTreeSet<(usize, u32)>,
}

impl Parting {
    /// `process` asks to leave.
    pub fn asked(&mut self, process: usize) {
        self.asked.insert(process);
    }

    /// A correct member delivers cast `index` of a correct sender.
    ///
    /// # Errors
    /// If its sender was told that it is lost.
    pub fn delivered(&mut self, sender: usize, index: u32) -> Result<(), String> {
        self.delivered.insert((sender, index));
        if self.lost.get(&sender).is_some_and(|lost| lost.contains(&index)) {
            return Err(format!("cast {index} of {sender} is delivered, which was called lost"));
        }
        Ok(())
    }

    /// Correct member `process` is out, and these of its casts are lost.
    ///
    /// # Errors
    /// If one of them was delivered.
    pub fn gone(&mut self, process: usize, lost: &[Ticket]) -> Result<(), String> {
        let lost: BTreeSet<u32> =
            lost.iter().filter_map(|ticket| u32::try_from(ticket.0).ok()).collect();
        let found = lost.iter().find(|index| self.delivered.contains(&(process, **index))).copied();
        self.lost.insert(process, lost);
        found.map_or(Ok(()), |index| {
            Err(format!("cast {index} of {process} is called lost, which was delivered"))
        })
    }

    /// Whether `process` asked to leave: it may stop, and counts as crashed.
    #[must_use]
    pub fn is_leaving(&self, process: usize) -> bool {
        self.asked.contains(&process)
    }

    /// Who asked to leave and is still there although the newest view can do without it, if anyone.
    #[must_use]
    pub fn staying(&self, newest: &Record) -> Option<String> {
        let least = usize::from(newest.view.pledge) * 3 + 1;
        let has_other = |process: usize| {
            newest
                .processes
                .iter()
                .flatten()
                .any(|other| *other != process && newest.is_active(*other))
        };
        let mut here = self.asked.iter().copied().filter(|process| newest.lists(*process));
        here.find(|process| usize::from(newest.size()) > least && has_other(*process))
            .map(|process| format!("member {process} asked to leave and is still there"))
    }

    /// Which cast is neither delivered at the `whole` members nor called lost, if any.
    #[must_use]
    pub fn missing(&self, fifo: &Fifo, whole: &[usize]) -> Option<String> {
        self.lost.iter().find_map(|(sender, lost)| {
            [Order::Fifo, Order::Total].into_iter().find_map(|order| {
                let owed = fifo.cast(*sender, order) - fifo.count(*sender, order, lost);
                owed::missing(fifo, whole, *sender, order, owed)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Delivery;
    use super::super::views::tests::{all_correct, genesis, next};
    use super::*;
    use crate::workload;
    use phalanx_core::Departure;

    #[test]
    fn who_is_not_let_go_is_seen_where_it_could_be() {
        let missing = |n, process| {
            let first = genesis(n);
            let mut oracle = Parting::default();
            oracle.asked(process);
            oracle.staying(all_correct(&first).at(0))
        };
        assert!(missing(5, 2).unwrap().contains("member 2"));
        assert_eq!((missing(4, 2), missing(1, 0)), (None, None), "pledged for, and the last");
        let first = genesis(5);
        let mut views = all_correct(&first);
        let (at, _) = views.installed(0, &next(&first, &[(2, Departure::Left)], &[]));
        let mut oracle = Parting::default();
        oracle.asked(2);
        assert_eq!(oracle.staying(views.at(at)), None);
    }

    #[test]
    fn a_cast_is_lost_or_delivered_and_not_both() {
        let mut oracle = Parting::default();
        assert_eq!(oracle.delivered(1, 0), Ok(()));
        assert!(oracle.gone(1, &[Ticket(0)]).unwrap_err().contains("which was delivered"));
        let mut oracle = Parting::default();
        assert_eq!(oracle.gone(1, &[Ticket(1)]), Ok(()));
        assert_eq!(oracle.delivered(1, 0), Ok(()));
        assert!(oracle.delivered(1, 1).unwrap_err().contains("called lost"));
    }

    #[test]
    fn what_is_neither_is_missing() {
        let mut fifo = Fifo::new(2);
        let order = Order::Fifo;
        (0..2).for_each(|index| fifo.attempted(0, index, order));
        let mut oracle = Parting::default();
        assert_eq!(oracle.gone(0, &[Ticket(1)]), Ok(()));
        assert!(oracle.missing(&fifo, &[1]).unwrap().contains("0 of 1 Fifo"));
        let mut payload = Vec::new();
        workload::payload(0, 0, order, 0, &mut payload);
        let delivery = Delivery { by: 1, payload: &payload, ..Delivery::test(0, 1, order) };
        assert_eq!(fifo.delivered(&delivery, true), Ok(()));
        assert_eq!(oracle.missing(&fifo, &[1]), None);
    }
}
