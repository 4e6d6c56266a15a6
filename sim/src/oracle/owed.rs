//! What a static group owes once the network is well (until there is a view change).
//!
//! * Where all logs and rows advance, that is with nobody crashed and no liar: every cast of every
//!   member is delivered by all.
//! * Otherwise stability, and with it every window, may stand still for ever. Owed are then the
//!   Fifo casts within the overflow threshold: of each correct member that stays, those in the
//!   bodies it was seen to open (it opens none above the threshold), and every Fifo cast accepted
//!   if it opened at least two bodies fewer than a window, for then nothing but the next tick held
//!   back the rest (one place is kept for a null, protocol.md TO2).
//!
//! What any correct member delivered is owed to all in either case: that is P3, in
//! [`super::agreement`].

use phalanx_core::Order;

use super::fifo::Fifo;

/// The Fifo casts that a correct member owes its group.
#[must_use]
pub const fn fifo_owed(cast: usize, opened: (usize, usize), window_bodies: usize) -> usize {
    let (in_bodies, bodies) = opened;
    if bodies + 2 <= window_bodies || in_bodies > cast { cast } else { in_bodies }
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
        assert_eq!(fifo_owed(10, (4, 30), 64), 10);
        assert_eq!(fifo_owed(10, (4, 62), 64), 10);
        assert_eq!(fifo_owed(10, (4, 63), 64), 4);
    }

    #[test]
    fn what_is_owed_and_not_delivered_is_missing() {
        let mut fifo = Fifo::new(2);
        fifo.attempted(0, 0, Order::Fifo);
        assert!(missing(&fifo, &[0, 1], 0, Order::Fifo, 1).is_some());
        assert_eq!(missing(&fifo, &[0, 1], 0, Order::Fifo, 0), None);
    }
}
