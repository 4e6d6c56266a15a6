//! Layer Top_Appl: bodies become the casts that the application sees, each once, as a shared piece
//! of its body, and not before they are asked for.

use alloc::sync::Arc;

use super::reliable::Body;
use crate::input::Order;
use crate::output::{Event, Payload};
use crate::seq::Slot;
use crate::wire::casts::Casts;

/// The casts of one order in a body, on their way to the application.
#[derive(Debug)]
pub(crate) struct Delivery {
    view: u64,
    body: Arc<Body>,
    order: Order,
    slot: Option<Slot>,
    /// How many are left.
    left: usize,
    /// Where the next cast of the body begins, and its place among all casts.
    at: usize,
    index: usize,
}

impl Delivery {
    /// The casts of `order` in `body`, if there are any; `slot` is that of the body for Total casts.
    pub(crate) fn of(
        view: u64,
        body: &Arc<Body>,
        order: Order,
        slot: Option<Slot>,
    ) -> Option<Self> {
        let left = match order {
            Order::Fifo => body.count.fifo,
            Order::Total => body.count.total,
        };
        let body = Arc::clone(body);
        (left > 0).then_some(Self { view, body, order, slot, left, at: 0, index: 0 })
    }

    /// Whether all were handed out.
    pub(crate) const fn is_over(&self) -> bool {
        self.left == 0
    }
}

impl Iterator for Delivery {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.is_over() {
            return None;
        }
        let mut casts = Casts::from(&self.body.casts, self.at);
        while let Some((kind, range)) = casts.next() {
            let index = self.index;
            self.index = index.saturating_add(1);
            if kind != self.order {
                continue;
            }
            self.at = casts.offset();
            self.left = self.left.saturating_sub(1);
            return Some(Event::Cast {
                view: self.view,
                sender: self.body.sender,
                number: self.body.number,
                order: self.order,
                slot: self.slot,
                own_ticket: self.body.tickets.get(index).copied(),
                payload: Payload::new(Arc::clone(&self.body.casts), &range),
            });
        }
        self.left = 0;
        None
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::crypto::{Hash32, Link};
    use crate::input::Ticket;
    use crate::member::Rank;
    use crate::outbox::Outbox;
    use crate::output::Output;
    use crate::seq::{Number, SlotMark};
    use crate::wire::casts::{Count, push};

    fn body(casts: &[(Order, &[u8])]) -> Arc<Body> {
        let mut bytes = Vec::new();
        let mut count = Count::default();
        for (order, payload) in casts {
            assert!(push(&mut bytes, *order, payload));
            count.add(*order);
        }
        Arc::new(Body {
            sender: Rank::new(1),
            number: Number::new(7),
            prev: Hash32::ZERO,
            hash: Hash32::ZERO,
            link: Link { slot: SlotMark::None, casts: Hash32::ZERO },
            casts: Arc::from(bytes),
            count,
            tickets: (0..casts.len() as u64).map(Ticket).collect(),
        })
    }

    #[test]
    fn casts_come_one_by_one_in_order_with_their_tickets() {
        let mixed: [(Order, &[u8]); 4] =
            [(Order::Total, b"a"), (Order::Fifo, b""), (Order::Total, b"b"), (Order::Fifo, b"c")];
        let body = body(&mixed);
        let mut out = Outbox::default();
        for order in [Order::Fifo, Order::Total] {
            out.deliver(Delivery::of(0, &body, order, None).unwrap());
            out.event(Event::Writable);
        }
        let seen: Vec<_> = out
            .map(|output| match output {
                Output::Event(Event::Cast { own_ticket, payload, order, .. }) => {
                    Some((order, own_ticket.unwrap().0, payload.to_vec()))
                }
                _ => None,
            })
            .collect();
        let cast = |order, ticket, payload: &[u8]| Some((order, ticket, payload.to_vec()));
        let fifo = [cast(Order::Fifo, 1, b""), cast(Order::Fifo, 3, b"c"), None];
        let total = [cast(Order::Total, 0, b"a"), cast(Order::Total, 2, b"b"), None];
        assert_eq!(seen, [fifo, total].concat());
    }

    #[test]
    fn a_body_is_let_go_with_its_last_cast() {
        let body = body(&[(Order::Fifo, b"x"), (Order::Fifo, b"y")]);
        let mut out = Outbox::default();
        out.deliver(Delivery::of(0, &body, Order::Fifo, None).unwrap());
        assert!(Delivery::of(0, &body, Order::Total, None).is_none());
        assert!(out.next().is_some() && !out.is_empty());
        assert_eq!(Arc::strong_count(&body), 2);
        assert!(out.next().is_some() && out.is_empty());
        assert_eq!(Arc::strong_count(&body), 1);
    }
}
