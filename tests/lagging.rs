//! A member that is alive but holds the windows back (protocol.md section 5).

use phalanx_core::crypto::Reason;
use phalanx_core::{Event, Order, Rank};
use phalanx_sim::group::{Crypto, Group};

/// Everybody hears the deaf one's heartbeats, so it is not mute; its row stands still.
#[test]
fn a_deaf_member_that_keeps_talking_is_found_lagging_by_all_others() {
    for size in [10, 100_000] {
        let mut group = Group::new(Crypto::Ideal, 4);
        // A member that never heard anybody signs one row only.
        group.run(300_000, |_, _| true);
        let deaf = |_: usize, to: usize| to != 3;
        for _ in 0..100 {
            group.cast(0, Order::Fifo, &vec![1; size]);
            group.run(10_000, deaf);
        }
        group.run(4_000_000, deaf);
        for member in 0..3 {
            let lagging = |event: &&Event| {
                matches!(event, Event::Suspected { subject, by, reason: Reason::Lagging }
                    if *subject == Rank::new(3) && by.index() == member)
            };
            let found = group.events[member].iter().filter(lagging).count();
            assert_eq!(found, 1, "size {size}: rank {member}, {:?}", group.events[member]);
        }
    }
}
