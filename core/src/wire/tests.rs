//! The wire: golden bytes of everything, and no second reading of any of them.
//!
//! `golden.txt` holds one line for each message: its name and its bytes. A change of it is a change
//! of the wire, and of [`VERSION`].

mod change;
pub(crate) mod longest;
mod random;
mod stranger;
mod transfer;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::frame::{FrameKind, Header, Prepared, parse, seal_small, split_whole};
use super::*;
use crate::crypto::{Head, MacKey, Reason, Signature, sha256};
use crate::fault::Evidence;
use crate::member::PeerId;
use crate::rig::some_hash;

const N: usize = 4;

fn head(sender: u16, number: u64) -> Head {
    Head { sender: Rank::new(sender), number: Number::new(number), hash: some_hash(0xa0) }
}

fn signed<S>(signer: u16, statement: S) -> Signed<S> {
    Signed { signer: Rank::new(signer), statement, signature: Signature([0xee; 64]) }
}

pub(crate) fn heads(signer: u16, entries: &[Head]) -> Signed<Heads> {
    signed(signer, Heads { entries: entries.iter().copied().collect() })
}

fn numbers(of: &[u64]) -> List<Number, MEMBERS_MAX> {
    of.iter().copied().map(Number::new).collect()
}

fn row(signer: u16, counter: u64, have: &[u64]) -> Signed<Stable> {
    signed(signer, Stable { counter, have: numbers(have) })
}

fn link(slot: SlotMark) -> Link {
    Link { slot, casts: some_hash(0xc0) }
}

fn links() -> List<Link, LINKS_MAX> {
    let round = Round::new(7);
    [SlotMark::None, SlotMark::Value(round), SlotMark::Null(round)].map(link).into_iter().collect()
}

pub(crate) fn body(sender: u16, number: u64) -> BodyHead {
    BodyHead {
        sender: Rank::new(sender),
        number: Number::new(number),
        prev: some_hash(0xb0),
        slot: SlotMark::Value(Round::new(300)),
        links: links(),
    }
}

fn packet(parts: Vec<Part>) -> Packet {
    Packet { view: some_hash(0x11), haves: List::new(), parts: parts.into() }
}

fn evidence(evidence: Evidence) -> Part {
    Part::Proof(alloc::boxed::Box::new(Proof { view: some_hash(0x22), evidence }))
}

/// One packet for each part, and for each kind of evidence.
fn examples() -> Vec<(&'static str, Packet)> {
    let sender = Rank::new(2);
    let two = (heads(1, &[head(2, 5)]), heads(1, &[head(2, 5), head(3, 1)]));
    let certificate = Certificate {
        head: head(2, 5),
        heads: (0..3).map(|i| heads(i, &[head(2, 5)])).collect(),
        links: links(),
    };
    let suspect = Suspect { subject: sender, reason: Reason::Lagging, proof: some_hash(0) };
    let from = Number::new(5);
    let parts = alloc::vec![
        ("heads", Part::Heads(heads(1, &[head(0, 1), head(2, 0x1234_5678_9abc)]))),
        ("certificate", Part::Certificate(certificate)),
        ("body", Part::Body(body(3, 9))),
        ("stable", Part::Stable(row(1, 300, &[0, 1, 128, u64::MAX]))),
        ("suspect", Part::Suspect(signed(1, suspect))),
        (
            "proof_two_heads",
            evidence(Evidence::TwoHeads { sender, first: two.0.clone(), second: two.1.clone() })
        ),
        (
            "proof_forked_log",
            evidence(Evidence::ForkedLog {
                base: Number::new(4),
                base_hash: some_hash(0xd0),
                first: two.0,
                first_links: links(),
                second: two.1,
                second_links: List::new(),
            })
        ),
        (
            "proof_two_rows",
            evidence(Evidence::TwoRows {
                first: row(1, 3, &[1, 2, 3, 4]),
                second: row(1, 4, &[1, 2, 3, 3])
            })
        ),
        ("fetch", Part::Fetch { sender, from, to: Number::new(700) }),
        ("ask_row", Part::AskRow { member: sender, above: 129 }),
        ("ask_slot", Part::AskSlot { sender, round: Round::new(128), from }),
        ("row_counters", Part::RowCounters([0, 1, 300, u64::MAX].into_iter().collect())),
        ("data", Part::Pt2pt(Pt2ptPart::Data { number: 1, payload: Blob(b"hello".to_vec()) })),
        (
            "ack",
            Part::Pt2pt(Pt2ptPart::Ack {
                next: 3,
                missing: [3, 5].into_iter().collect(),
                credit: 524_416,
            })
        ),
        ("skip", Part::Pt2pt(Pt2ptPart::Skip { below: 4 })),
    ];
    let mut all: Vec<_> = parts
        .into_iter()
        .chain(change::parts())
        .chain(transfer::parts())
        .map(|(name, part)| (name, packet(alloc::vec![part])))
        .collect();
    all.push(("empty", packet(Vec::new())));
    let mut full = packet(alloc::vec![
        Part::AskRow { member: sender, above: 1 },
        Part::Heads(heads(3, &[head(3, 9)])),
        Part::Body(body(3, 9)),
    ]);
    full.haves = numbers(&[1, 2, 3, 4]);
    all.push(("haves_and_three_parts", full));
    all
}

fn key() -> MacKey {
    MacKey::derive(&[7; 32], &[b"golden"])
}

fn header(kind: FrameKind) -> Header {
    let from = PeerId(0x1122_3344_5566_7788);
    Header { kind, group: 0x0102_0304_0506_0708, from, counter: 300 }
}

const CASTS: &[u8] = b"\x0b\0\0\0hello";

/// One frame of each kind.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = encode(&packet(alloc::vec![Part::Body(body(3, 9))]));
    let hash = sha256(&bytes);
    let prepared = Prepared::new(bytes, hash, sha256(CASTS));
    let mut whole = prepared.seal(&key(), &header(FrameKind::Whole));
    assert_eq!(whole.len(), prepared.len());
    whole.extend(CASTS);
    let fields: &[u8] = b"\x05\0\0\0\0\0\0\0\x01\0\x02\0\x2c\x01\0\0\x07\0\0\0";
    let fragment = seal_small(&key(), &header(FrameKind::Fragment), &[fields, &[0xf0; 100]]);
    let ack: &[u8] = b"\x05\0\0\0\0\0\0\0\x07\0\0\0\x09\0\0\0\x03\0\x01\x02";
    let ack = seal_small(&key(), &header(FrameKind::FragmentAck), &[ack]);
    alloc::vec![("frame_whole", whole), ("frame_fragment", fragment), ("frame_ack", ack)]
}

/// What a receiver does before it believes a frame.
fn is_believed(frame: &[u8]) -> bool {
    let Some(parsed) = parse(frame) else { return false };
    match parsed.header.kind {
        FrameKind::Whole => split_whole(parsed.content()).is_some_and(|(packet, casts)| {
            parsed.verifies_whole(&key(), &sha256(packet), &sha256(casts))
        }),
        FrameKind::Fragment | FrameKind::FragmentAck => parsed.verifies_small(&key()),
        FrameKind::Stranger => false,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes everything");
        out
    })
}

/// A record that is hashed everywhere must be the same bytes everywhere.
fn records() -> Vec<(&'static str, Vec<u8>)> {
    let mut record = crate::rig::genesis(2);
    record.pledge = Some(3);
    record.state_transfer = true;
    let bytes = postcard::to_allocvec(&record).expect("a record has bytes");
    alloc::vec![("genesis", bytes)]
}

#[test]
fn golden_bytes() {
    let packets = examples().into_iter().map(|(name, packet)| (name, encode(&packet)));
    let mut written = String::new();
    let rest = frames().into_iter().chain(stranger::messages()).chain(records());
    for (name, bytes) in packets.chain(rest) {
        writeln!(written, "{name} {}", hex(&bytes)).expect("a string takes everything");
    }
    let golden = include_str!("golden.txt");
    for (is, was) in written.lines().zip(golden.lines()) {
        assert_eq!(is, was, "the wire changed: the version must, too");
    }
    assert_eq!(written, golden, "messages were added or removed");
    assert_eq!(VERSION, 6);
}

#[test]
fn every_message_survives_its_bytes() {
    for (name, packet) in examples() {
        let has_casts = matches!(packet.parts.last(), Some(Part::Body(_)));
        assert_eq!(decode(&encode(&packet), N, has_casts).as_ref(), Ok(&packet), "{name}");
    }
}

#[test]
fn no_prefix_of_a_message_is_one() {
    for (name, packet) in examples() {
        let bytes = encode(&packet);
        for cut in 0..bytes.len() {
            let refused = decode(&bytes[..cut], N, false);
            assert_eq!(refused, Err(Malformed::Undecodable), "{name} cut at {cut}");
        }
        let mut long = bytes;
        long.push(0);
        assert_eq!(decode(&long, N, false), Err(Malformed::LeftOver), "{name}");
    }
}

/// `bytes`, which differ from those of `original`, are refused or mean something else, which has
/// exactly these bytes.
fn assert_unambiguous(bytes: &[u8], original: &Packet, what: impl core::fmt::Display) {
    for n in [N, 64] {
        if let Ok(decoded) = decode(bytes, n, false) {
            assert!(decoded != *original, "{what}: a second encoding");
            assert_eq!(encode(&decoded), bytes, "{what}: not canonical");
        }
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let mut meant_something = 0;
    for (name, packet) in examples() {
        let bytes = encode(&packet);
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_unambiguous(&flipped, &packet, format_args!("{name}, bit {at}"));
            meant_something += usize::from(decode(&flipped, N, false).is_ok());
        }
    }
    assert!(meant_something > 1_000, "the test must not pass by refusing everything");
}

#[test]
fn over_long_integers_are_refused() {
    for (name, packet) in examples() {
        let bytes = encode(&packet);
        for at in (0..bytes.len()).filter(|at| bytes[*at] < 0x80) {
            let mut longer = bytes.clone();
            longer[at] |= 0x80;
            longer.insert(at + 1, 0);
            assert_unambiguous(&longer, &packet, format_args!("{name}, byte {at}"));
        }
    }
    // The number of haves, 0, in two bytes: a value that postcard itself takes.
    let mut longer = encode(&packet(Vec::new()));
    assert_eq!(longer[33], 0);
    longer[33] = 0x80;
    longer.insert(34, 0);
    assert_eq!(decode(&longer, N, false), Err(Malformed::NotCanonical));
}

/// Lengths far beyond memory: to reserve room for them would abort the test.
#[test]
fn lists_longer_than_their_limit_are_refused_without_room_made_for_them() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let mut counted = 0;
    for (name, packet) in examples() {
        let bytes = encode(&packet);
        for at in 33..bytes.len() {
            let mut spliced = bytes[..at].to_vec();
            spliced.extend(huge);
            spliced.extend(&bytes[at + 1..]);
            assert_unambiguous(&spliced, &packet, format_args!("{name}, byte {at}"));
            counted += 1;
        }
    }
    assert!(counted > 1_000);
}

#[test]
fn each_list_takes_its_limit_and_not_one_more() {
    let decodes = |packet: &Packet, n| decode(&encode(packet), n, false).is_ok();
    let one = |part| packet(alloc::vec![part]);
    for over in 0..2 {
        let haves = Packet { haves: numbers(&alloc::vec![1; 64 + over]), ..packet(Vec::new()) };
        let ask = Part::AskRow { member: Rank::new(0), above: 1 };
        let entries = |count| (0..count).map(|i| head(u16::try_from(i).unwrap(), 1)).collect();
        let many_entries: Vec<_> = entries(64 + over);
        let many_heads = Certificate {
            head: head(0, 1),
            heads: alloc::vec![heads(0, &[head(0, 1)]); 64 + over].into(),
            links: List::new(),
        };
        let mut many_links = body(0, 1);
        many_links.links = alloc::vec![link(SlotMark::None); LINKS_MAX + over].into();
        let missing = (1..).take(NAKS_MAX + over).collect();
        let naks = Pt2ptPart::Ack { next: 1, missing, credit: 1 };
        let payload = Blob(alloc::vec![0; SEND_MAX + over]);
        let data = Pt2ptPart::Data { number: 1, payload };
        for (name, packet) in [
            ("haves", haves),
            ("parts", packet(alloc::vec![ask; PARTS_MAX + over])),
            ("entries", one(Part::Heads(heads(0, &many_entries)))),
            ("certificate", one(Part::Certificate(many_heads))),
            ("links", one(Part::Body(many_links))),
            ("missing", one(Part::Pt2pt(naks))),
            ("payload", one(Part::Pt2pt(data))),
        ] {
            // A view of 65 would allow it: it is the limit of the list that does not.
            assert_eq!(decodes(&packet, 64 + over), over == 0, "{name}, {over} too many");
        }
    }
}

#[test]
fn hashes_keys_and_signatures_have_their_length() {
    let bytes = encode(&packet(Vec::new()));
    for len in [0, 1, 31, 33, 64] {
        let mut other = alloc::vec![len];
        other.resize(usize::from(len) + 1, 0x11);
        other.extend([0, 0]);
        assert_eq!(decode(&other, N, false), Err(Malformed::Undecodable), "{len} bytes");
    }
    assert_eq!(bytes[0], 32);
}

#[test]
fn what_no_view_allows_is_refused() {
    let at = |number| Number::new(number);
    let (outside, inside) = (Rank::new(4), Rank::new(3));
    let suspect = |subject| Suspect { subject, reason: Reason::Mute, proof: some_hash(0) };
    let certificate = |head, heads: Signed<Heads>| {
        let heads = core::iter::once(heads).collect();
        Part::Certificate(Certificate { head, heads, links: List::new() })
    };
    let good = || heads(0, &[head(0, 1)]);
    let ack = |next, missing: &[u64]| {
        let missing = missing.iter().copied().collect();
        Part::Pt2pt(Pt2ptPart::Ack { next, missing, credit: 0 })
    };
    let data = |number| Part::Pt2pt(Pt2ptPart::Data { number, payload: Blob(Vec::new()) });
    let two_heads = |sender, second| {
        evidence(Evidence::TwoHeads { sender: Rank::new(sender), first: good(), second })
    };
    let illegal = [
        Part::Heads(heads(4, &[head(0, 1)])),
        Part::Heads(heads(0, &[head(4, 1)])),
        Part::Heads(heads(0, &[head(0, 0)])),
        Part::Heads(heads(0, &[])),
        Part::Heads(heads(0, &[head(1, 1), head(0, 1)])),
        Part::Heads(heads(0, &[head(1, 1), head(1, 2)])),
        certificate(head(4, 1), good()),
        certificate(head(0, 0), good()),
        certificate(head(0, 1), heads(4, &[head(0, 1)])),
        certificate(head(0, 1), heads(0, &[])),
        Part::Body(body(4, 1)),
        Part::Body(body(0, 0)),
        Part::Stable(row(4, 1, &[0; 4])),
        Part::Stable(row(0, 1, &[0; 3])),
        Part::Stable(row(0, 1, &[0; 5])),
        Part::Suspect(signed(4, suspect(inside))),
        Part::Suspect(signed(0, suspect(outside))),
        two_heads(4, good()),
        two_heads(0, heads(4, &[head(0, 1)])),
        two_heads(0, heads(0, &[])),
        evidence(Evidence::TwoRows { first: row(0, 1, &[0; 4]), second: row(0, 1, &[0; 5]) }),
        Part::Fetch { sender: outside, from: at(1), to: at(1) },
        Part::Fetch { sender: inside, from: at(0), to: at(1) },
        Part::Fetch { sender: inside, from: at(3), to: at(1) },
        Part::AskRow { member: outside, above: 0 },
        Part::RowCounters([1, 2, 3].into_iter().collect()),
        Part::AskSlot { sender: outside, round: Round::ZERO, from: at(1) },
        Part::AskSlot { sender: inside, round: Round::ZERO, from: at(0) },
        data(0),
        ack(0, &[]),
        ack(3, &[2]),
        ack(3, &[4, 4]),
        ack(3, &[5, 4]),
        Part::Pt2pt(Pt2ptPart::Skip { below: 0 }),
    ];
    for part in illegal {
        let packet = packet(alloc::vec![part]);
        let refused = decode(&encode(&packet), N, false);
        assert_eq!(refused, Err(Malformed::Illegal(N)), "{packet:?}");
    }
    let certificate_only = Part::Fetch { sender: inside, from: at(2), to: at(1) };
    for part in [data(1), ack(1, &[]), ack(3, &[3, 4]), two_heads(3, good()), certificate_only] {
        let packet = packet(alloc::vec![part]);
        assert!(decode(&encode(&packet), N, false).is_ok(), "{packet:?}");
    }
}

#[test]
fn bodies_stand_last_and_alone_and_only_they_have_casts() {
    let ask = || Part::AskRow { member: Rank::new(0), above: 1 };
    let body = || Part::Body(body(0, 1));
    let verdict = |parts, has_casts| decode(&encode(&packet(parts)), N, has_casts).map(|_| ());
    let illegal = Err(Malformed::Illegal(N));
    assert_eq!(verdict(alloc::vec![ask(), body()], true), Ok(()));
    assert_eq!(verdict(alloc::vec![ask(), body()], false), Ok(()));
    assert_eq!(verdict(alloc::vec![body(), ask()], true), illegal);
    assert_eq!(verdict(alloc::vec![body(), body()], true), illegal);
    assert_eq!(verdict(alloc::vec![ask()], true), illegal);
    for len in 0..=5 {
        let packet = Packet { haves: numbers(&alloc::vec![0; len]), ..packet(Vec::new()) };
        let is_legal = len == 0 || len == N;
        assert_eq!(decode(&encode(&packet), N, false).is_ok(), is_legal, "{len} haves");
    }
}

#[test]
fn a_frame_is_believed_as_it_was_sealed_and_no_other_way() {
    for (name, frame) in frames() {
        assert!(is_believed(&frame), "{name}");
        for at in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(!is_believed(&flipped), "{name}, bit {at}");
        }
        for cut in 0..frame.len() {
            assert!(!is_believed(&frame[..cut]), "{name} cut at {cut}");
        }
        let mut long = frame;
        long.push(0);
        assert!(!is_believed(&long), "{name} with a byte left over");
    }
}

#[test]
fn the_claimed_sender_is_read_from_frames_of_this_version_only() {
    for (name, mut frame) in frames() {
        assert_eq!(frame::peek_sender(&frame), Some(header(FrameKind::Whole).from), "{name}");
        assert_eq!(frame::peek_sender(&frame[..frame::HEADER - 1]), None, "{name}");
        frame[1] = 4;
        assert_eq!(frame::peek_sender(&frame), None, "{name}: no such kind");
        frame[1] = 0;
        frame[0] = VERSION + 1;
        assert_eq!(frame::peek_sender(&frame), None, "{name}: another version");
    }
}
