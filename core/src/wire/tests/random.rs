//! Random messages survive their bytes; random bytes are taken apart without a panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![1..300_u64, 1..=u64::MAX].prop_map(Number::new)
}

fn rank() -> impl Strategy<Value = Rank> {
    (0..4_u16).prop_map(Rank::new)
}

fn any_hash() -> impl Strategy<Value = Hash32> {
    any::<[u8; 32]>().prop_map(Hash32)
}

fn slot() -> impl Strategy<Value = SlotMark> {
    let round = || any::<u64>().prop_map(Round::new);
    prop_oneof![
        Just(SlotMark::None),
        round().prop_map(SlotMark::Value),
        round().prop_map(SlotMark::Null)
    ]
}

fn any_signed<S>(statement: impl Strategy<Value = S>) -> impl Strategy<Value = Signed<S>>
where
    S: core::fmt::Debug,
{
    (rank(), statement, any_hash(), any_hash()).prop_map(|(signer, statement, a, b)| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&a.0);
        signature[32..].copy_from_slice(&b.0);
        Signed { signer, statement, signature: Signature(signature) }
    })
}

fn any_head() -> impl Strategy<Value = Head> {
    (rank(), number(), any_hash()).prop_map(|(sender, number, hash)| Head { sender, number, hash })
}

fn any_heads() -> impl Strategy<Value = Signed<Heads>> {
    any_signed(vec(any_head(), 1..4).prop_map(|mut entries| {
        entries.sort_by_key(|head| head.sender);
        entries.dedup_by_key(|head| head.sender);
        Heads { entries: entries.into() }
    }))
}

fn any_links() -> impl Strategy<Value = List<Link, LINKS_MAX>> {
    let link = (slot(), any_hash()).prop_map(|(slot, casts)| Link { slot, casts });
    vec(link, 0..5).prop_map(List::from)
}

fn any_row() -> impl Strategy<Value = Signed<Stable>> {
    let have = vec(any::<u64>().prop_map(Number::new), 4);
    let row = (any::<u64>(), have);
    any_signed(row.prop_map(|(counter, have)| Stable { counter, have: have.into() }))
}

fn any_part() -> impl Strategy<Value = Part> {
    let certificate = (any_head(), vec(any_heads(), 0..5), any_links());
    let certificate = certificate.prop_map(|(head, heads, links)| {
        Part::Certificate(Certificate { head, heads: heads.into(), links })
    });
    let ack = (1..u64::MAX / 2, vec(0..u64::MAX / 2, 0..5), any::<u64>());
    let ack = ack.prop_map(|(next, mut missing, credit)| {
        missing.iter_mut().for_each(|above| *above += next);
        missing.sort_unstable();
        missing.dedup();
        Part::Pt2pt(Pt2ptPart::Ack { next, missing: missing.into(), credit })
    });
    let data = (1..u64::MAX, vec(any::<u8>(), 0..300)).prop_map(|(number, payload)| {
        Part::Pt2pt(Pt2ptPart::Data { number, payload: Blob(payload) })
    });
    prop_oneof![
        any_heads().prop_map(Part::Heads),
        certificate,
        any_row().prop_map(Part::Stable),
        (rank(), any_heads(), any_heads()).prop_map(|(sender, first, second)| {
            evidence(Evidence::TwoHeads { sender, first, second })
        }),
        (any_row(), any_row())
            .prop_map(|(first, second)| evidence(Evidence::TwoRows { first, second })),
        (rank(), number(), any::<u64>()).prop_map(|(sender, from, past)| Part::Fetch {
            sender,
            from,
            to: from.plus(past)
        }),
        ack,
        data,
    ]
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let haves = prop_oneof![Just(Vec::new()), vec(number(), 4)];
    let body = (rank(), number(), any_hash(), slot(), any_links());
    let body = body.prop_map(|(sender, number, prev, slot, links)| {
        Part::Body(BodyHead { sender, number, prev, slot, links })
    });
    (any_hash(), haves, vec(any_part(), 0..6), proptest::option::of(body)).prop_map(
        |(view, haves, mut parts, body)| {
            parts.extend(body);
            Packet { view, haves: haves.into(), parts: parts.into() }
        },
    )
}

proptest! {
    #[test]
    fn packets_survive_their_bytes(packet in any_packet()) {
        prop_assert_eq!(decode(&encode(&packet), N, false), Ok(packet));
    }

    #[test]
    fn bytes_changed_anywhere_are_refused_or_mean_something_else(
        packet in any_packet(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let mut bytes = encode(&packet);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        assert_unambiguous(&bytes, &packet, format_args!("byte {at}"));
    }

    #[test]
    fn any_bytes_are_taken_apart_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(packet) = decode(&bytes, N, false) {
            prop_assert_eq!(encode(&packet), bytes.clone());
        }
        prop_assert!(!is_believed(&bytes));
        let _ = split_whole(&bytes);
        let _ = casts::check(&bytes, SlotMark::None);
    }

    #[test]
    fn casts_survive_their_bytes(
        all in vec((any::<bool>(), vec(any::<u8>(), 0..100)), 1..20),
    ) {
        let mut bytes = Vec::new();
        for (is_total, payload) in &all {
            let order = if *is_total { casts::Order::Total } else { casts::Order::Fifo };
            prop_assert!(casts::push(&mut bytes, order, payload));
        }
        let back: Vec<_> = casts::Casts::from(&bytes, 0)
            .map(|(order, range)| (order == casts::Order::Total, bytes[range].to_vec()))
            .collect();
        prop_assert_eq!(&back, &all);
        let total = all.iter().filter(|(is_total, _)| *is_total).count();
        let slot = if total > 0 { SlotMark::Value(Round::ZERO) } else { SlotMark::None };
        let count = casts::Count { fifo: all.len() - total, total };
        prop_assert_eq!(casts::check(&bytes, slot), Ok(count));
    }
}
