//! Layer Top_Appl: bodies become the casts that the application sees, each once, as a shared piece
//! of its body.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::reliable::Body;
use crate::input::Order;
use crate::output::{Event, Output, Payload};
use crate::seq::Slot;
use crate::wire::casts::Casts;

/// Delivers the casts of one order in a body; `slot` is that of the body for Total casts.
pub(crate) fn deliver(
    view: u64,
    body: &Body,
    order: Order,
    slot: Option<Slot>,
    out: &mut VecDeque<Output>,
) {
    let due = match order {
        Order::Fifo => body.count.fifo,
        Order::Total => body.count.total,
    };
    if due == 0 {
        return;
    }
    out.reserve(due);
    for (index, (kind, range)) in Casts::from(&body.casts, 0).enumerate() {
        if kind == order {
            out.push_back(Output::Event(Event::Cast {
                view,
                sender: body.sender,
                number: body.number,
                order,
                slot,
                own_ticket: body.tickets.get(index).copied(),
                payload: Payload::new(Arc::clone(&body.casts), &range),
            }));
        }
    }
}
