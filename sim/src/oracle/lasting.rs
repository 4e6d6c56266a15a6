//! L2: casts of a correct member that stays Active, or becomes Active again, are delivered across
//! view changes by all that were there all the time; exactly once is [`super::integrity`]'s.

use phalanx_core::Order;

use super::fifo::Fifo;
use super::owed;

/// Which cast is missing, if any: of the `senders`, at the `whole` members, which were there from
/// the beginning and are still.
#[must_use]
pub fn missing(fifo: &Fifo, senders: &[usize], whole: &[usize]) -> Option<String> {
    senders.iter().find_map(|sender| {
        [Order::Fifo, Order::Total]
            .into_iter()
            .find_map(|order| owed::missing(fifo, whole, *sender, order, fifo.cast(*sender, order)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Delivery;
    use super::*;
    use crate::workload;

    #[test]
    fn casts_lost_between_two_views_are_seen() {
        let mut fifo = Fifo::new(2);
        let order = Order::Total;
        (0..2).for_each(|index| fifo.attempted(0, index, order));
        let mut payload = Vec::new();
        workload::payload(0, 0, order, 0, &mut payload);
        let first = Delivery { payload: &payload, ..Delivery::test(0, 3, order) };
        assert!(fifo.delivered(&Delivery { by: 1, ..first }, true).is_ok());
        assert!(missing(&fifo, &[0], &[1]).unwrap().contains("1 of 2 Total"));
        workload::payload(0, 1, order, 0, &mut payload);
        let second = Delivery { by: 1, view: 1, number: 1, payload: &payload, ..first_of(order) };
        assert!(fifo.delivered(&second, true).is_ok(), "numbers begin again in a new view");
        assert_eq!(missing(&fifo, &[0], &[1]), None);
        assert!(missing(&fifo, &[0], &[0, 1]).is_some());
        assert_eq!(missing(&fifo, &[1], &[0, 1]), None, "it cast nothing");
    }

    fn first_of(order: Order) -> Delivery<'static> {
        Delivery::test(0, 1, order)
    }
}
