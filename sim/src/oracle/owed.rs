//! What a static group owes once the network is well (until there is a view change).
//!
//! * Where all logs and rows advance, that is with nobody crashed and no liar: every cast of every
//!   member is delivered by all.
//! * Otherwise stability, and with it every window, may stand still for ever. Owed are then the
//!   Fifo casts within the overflow threshold: of each correct member that stays, those in the
//!   bodies it was seen to open (it opens none above the threshold), and every Fifo cast accepted
//!   if it opened at least two bodies fewer than three quarters of a window (casts use no more of
//!   it: others may not have seen yet how far it moved) and all its casts together are within
//!   three quarters of its bytes, for then nothing but the next tick held back the rest.
//!
//! What any correct member delivered is owed to all in either case: that is P3, in
//! [`super::agreement`].

use phalanx_core::Order;

use super::fifo::Fifo;

/// How much a sender may open while stability stands still.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Bodies.
    pub bodies: usize,
    /// Bytes of casts.
    pub bytes: usize,
}

/// The Fifo casts that a correct member owes its group, of `cast` that it made; all its casts
/// together take `bytes`. `opened` are the Fifo casts in the bodies it opened, and how many these
/// are.
#[must_use]
pub const fn fifo_owed(cast: usize, bytes: usize, opened: (usize, usize), window: Window) -> usize {
    let (in_bodies, bodies) = opened;
    let is_free = bodies + 2 <= window.bodies / 4 * 3 && bytes <= window.bytes / 4 * 3;
    if is_free || in_bodies > cast { cast } else { in_bodies }
}

/// Who of `members` has not delivered the first `owed` casts of `order` by `sender`, if anyone.
#[must_use]
pub fn missing(
    fifo: &Fifo,
    members: &[usize],
    sender: usize,
    order: Order,
    owed: usize,
) -> Option<String> {
    let late = |member: &&usize| fifo.position(**member, sender, order) < owed;
    members.iter().find(late).map(|member| {
        format!(
            "member {member} delivered {} of {owed} {order:?} casts that {sender} is owed",
            fifo.position(*member, sender, order)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_below_its_window_owes_everything() {
        let window = Window { bodies: 64, bytes: 1_000 };
        assert_eq!(fifo_owed(10, 750, (4, 30), window), 10);
        assert_eq!(fifo_owed(10, 750, (4, 46), window), 10);
        assert_eq!(fifo_owed(10, 750, (4, 47), window), 4);
        assert_eq!(fifo_owed(10, 751, (4, 30), window), 4);
    }

    #[test]
    fn what_is_owed_and_not_delivered_is_missing() {
        let mut fifo = Fifo::new(2);
        fifo.attempted(0, 0, Order::Fifo);
        assert!(missing(&fifo, &[0, 1], 0, Order::Fifo, 1).is_some());
        assert_eq!(missing(&fifo, &[0, 1], 0, Order::Fifo, 0), None);
    }
}
