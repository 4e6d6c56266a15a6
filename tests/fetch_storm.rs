//! What one member can make another send is bounded (P10), whatever it asks for.

use phalanx_core::crypto::{LinkKeys, sha256};
use phalanx_core::wire::frame::{FrameKind, Header, Prepared};
use phalanx_core::wire::{self, List, PARTS_MAX, Packet, Part};
use phalanx_core::{Input, Number, Order, Rank, Round};
use phalanx_sim::group::{Crypto, Group, all, identity};

/// The budget of answers in one fetch time-out, and as much again for what exceeds it once.
const ANSWERS_MAX: u64 = 2 * 1024 * 1024;

/// Ten frames full of `part` from rank 1, at one moment; returns the bytes that rank 0 sends.
fn storm(n: usize, part: &Part) -> u64 {
    let mut group = Group::new(Crypto::Ideal, n);
    for member in 0..n {
        group.cast(member, Order::Fifo, b"hello");
    }
    group.run(1_000_000, all);
    let view = group.nodes[0].view().clone();
    let key = group.nodes[0].roster().key(Rank::new(0)).expect("rank 0").clone();
    let keys = LinkKeys::derive(&identity(Crypto::Ideal, 1), 1, &key, 1, &view.group);
    let parts = (0..PARTS_MAX).map(|_| part.clone()).collect();
    let packet = wire::encode(&Packet { view: view.id(), haves: List::new(), parts });
    let prepared = Prepared::new(packet.clone(), sha256(&packet), sha256(&[]));
    let before = group.nodes[0].counters();
    for counter in 1_000_000..1_000_010 {
        let from = *view.peers().get(Rank::new(1)).expect("rank 1");
        let group_prefix = view.group.prefix();
        let header = Header { kind: FrameKind::Whole, group: group_prefix, from, counter };
        group.step(0, Input::Frame(&prepared.seal(&keys.outbound, &header)));
    }
    let after = group.nodes[0].counters();
    assert_eq!(after.dropped_unauthenticated, before.dropped_unauthenticated);
    after.bytes_out - before.bytes_out
}

#[test]
fn a_storm_of_fetches_costs_a_bounded_number_of_bytes() {
    let sender = Rank::new(0);
    for n in [4, 13, 40] {
        for part in [
            Part::Fetch { sender, from: Number::new(2), to: Number::new(1) },
            Part::AskSlot { sender, round: Round::ZERO, from: Number::new(1) },
            Part::AskRow { member: sender, above: 0 },
        ] {
            let bytes = storm(n, &part);
            assert!(bytes <= ANSWERS_MAX, "n = {n}, {part:?}: {bytes} bytes");
        }
    }
}
