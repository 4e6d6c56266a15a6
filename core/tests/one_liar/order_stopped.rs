//! A liar settles no slot. Its own log it keeps full of short Fifo bodies, and lets its own row for
//! that log rise by one now and then, just before that makes it lagging, with the next body in the
//! same frame: so its log stands at the overflow whenever its slots are asked for.

use phalanx_core::crypto::{Head, Heads, Link, body_hash, log_root, sha256};
use phalanx_core::wire::{BodyHead, Packet, Part, casts};
use phalanx_core::{Hash32, Limits, Number, Order, Rank, SlotMark, Time};

use crate::net::{Hook, Liar, Net};

/// When it begins to lie.
const BEGIN_US: u64 = 500_000;

/// Its row moves so often.
const MOVES_US: u64 = 1_900_000;

/// Bodies of a window.
const WINDOW: u64 = 64;

/// The log that the liar writes in place of that of its node.
struct Log {
    casts: Vec<u8>,
    heads: Vec<Head>,
}

impl Log {
    fn new(view: &Hash32, me: Rank) -> Self {
        let mut bytes = Vec::new();
        assert!(casts::push(&mut bytes, Order::Fifo, b"f"));
        let root = Head { sender: me, number: Number::ZERO, hash: log_root(view, me) };
        Self { casts: bytes, heads: vec![root] }
    }

    /// What announces and carries the body `number`, which is written or comes next.
    fn body(&mut self, liar: &mut Liar, number: u64) -> Vec<Part> {
        let index = usize::try_from(number).unwrap();
        let (sender, number) = (liar.me, Number::new(number));
        let prev = self.heads[index - 1].hash;
        if self.heads.len() == index {
            let link = Link { slot: SlotMark::None, casts: sha256(&self.casts) };
            let hash = body_hash(liar.roster.view(), sender, number, &prev, &link);
            self.heads.push(Head { sender, number, hash });
        }
        let heads = Heads { entries: [self.heads[index]].into_iter().collect() };
        let said = liar.door.sign(&liar.roster, sender, heads);
        let slot = SlotMark::None;
        let body = BodyHead { sender, number, prev, slot, links: Vec::new().into() };
        vec![Part::Heads(said.signed().as_ref().clone()), Part::Body(body)]
    }
}

fn stopper(me: Rank, view: Hash32) -> Hook {
    let mut log = Log::new(&view, me);
    let (mut counter, mut own) = (0, 0_u64);
    let (mut moved, mut moves) = (Time::from_micros(BEGIN_US), false);
    let mut is_full = [false; 64];
    Box::new(move |liar, now, to, mut packet, casts| {
        if packet.view != view {
            return vec![(0, packet, casts)];
        }
        // It replies to nothing, and its node writes no log.
        packet.parts.as_mut_vec().retain(|part| match part {
            Part::Body(_) | Part::Certificate(_) => false,
            Part::Heads(heads) => heads.signer != me,
            _ => true,
        });
        packet.haves = Vec::new().into();
        let mut next = Vec::new();
        for part in packet.parts.as_mut_vec() {
            let Part::Stable(row) = part else { continue };
            if row.signer != me {
                continue;
            }
            if row.statement.counter > counter {
                counter = row.statement.counter;
                moves = now.as_micros() >= BEGIN_US && now.since(moved) >= MOVES_US;
                if moves {
                    (own, moved) = (own + 1, now);
                }
            }
            // It never holds the logs of others back.
            let mut have = vec![1 << 40; row.statement.have.len()];
            have[me.index()] = own;
            *part = liar.row(row.statement.counter, have);
            if moves {
                next = log.body(liar, WINDOW + own);
            }
        }
        let casts = if next.is_empty() { Vec::new() } else { log.casts.clone() };
        packet.parts.as_mut_vec().extend(next);
        let mut out = vec![(0, packet, casts)];
        if now.as_micros() >= BEGIN_US && !is_full[to] {
            is_full[to] = true;
            for number in 1..=WINDOW {
                let parts = log.body(liar, number).into();
                let packet = Packet { view, haves: Vec::new().into(), parts };
                out.push((number, packet, log.casts.clone()));
            }
        }
        out
    })
}

/// Ten casts a second of each correct member for half a minute; how many of each order member 0
/// delivered, of how many.
fn play(n: usize) -> ([usize; 2], usize, Net) {
    let liar = n - 1;
    let mut net = Net::new(n, 500, Limits::default());
    let view = net.nodes[0].view().id();
    let me = Rank::new(u16::try_from(liar).unwrap());
    net = net.with_liar(liar, stopper(me, view));
    net.run(1_000_000);
    let mut sent = 0;
    for _ in 0..300 {
        for index in 0..liar {
            assert!(net.cast(index, Order::Total, b"total"));
            assert!(net.cast(index, Order::Fifo, b"fifo"));
            sent += 1;
        }
        net.run(100_000);
    }
    let of = |order| net.casts[0].iter().filter(|(_, o, _, p)| *o == order && *p != b"f").count();
    ([of(Order::Total), of(Order::Fifo)], sent, net)
}

#[test]
fn a_full_log_of_its_own_does_not_excuse_a_sender() {
    for n in [4, 7] {
        let (delivered, sent, net) = play(n);
        assert_eq!(delivered, [sent; 2], "n = {n}: {:?}", net.suspicions(0));
        let innocent: Vec<_> =
            net.suspicions(0).into_iter().filter(|(subject, ..)| *subject != n - 1).collect();
        assert_eq!(innocent, []);
        assert!(!net.suspicions(0).is_empty());
    }
}
