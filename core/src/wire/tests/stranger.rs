//! What is said without a link: golden bytes, one reading of each, limits.

use super::super::stranger::{
    CHAIN_MAX, JoinRefusal, QUESTION_BYTES, Question, STRANGER_MAX, Stranger, answer_max, decode,
    encode, question_min,
};
use super::*;
use crate::wire::change::Decision;
use proptest::prelude::*;

fn decision(number: u64) -> Decision {
    let Some(Part::Decision(decision)) =
        change::parts().into_iter().map(|(_, part)| part).find(|p| matches!(p, Part::Decision(_)))
    else {
        panic!("there is an example of a decision");
    };
    let mut decision = *decision;
    decision.view.number = number;
    decision
}

fn chain(numbers: impl IntoIterator<Item = u64>) -> Stranger {
    Stranger::Chain { decisions: numbers.into_iter().map(decision).collect() }
}

fn question() -> Question {
    let (key, nonce) = (crate::PublicKey([3; 32]), some_hash(4));
    Question { from: 300, key, nonce, padding: Blob(alloc::vec![0; 3]) }
}

fn newest() -> Stranger {
    let (key, nonce) = (crate::PublicKey([3; 32]), some_hash(4));
    let statement = crate::crypto::Newest { nonce, key, highest: Some(7) };
    let signature = Signature([9; 64]);
    Stranger::Newest(Signed { signer: Rank::new(2), statement, signature })
}

fn examples() -> Vec<(&'static str, Stranger)> {
    let refused = Stranger::Refused { request: some_hash(5), why: JoinRefusal::CoolDown };
    alloc::vec![
        ("stranger_ask_chain", Stranger::AskChain(question())),
        ("stranger_chain", chain([7, 8])),
        ("stranger_join", Stranger::Join(change::request())),
        ("stranger_refused", refused),
        ("stranger_newest", newest()),
        ("stranger_longer", Stranger::Longer { bytes: 40_000 }),
    ]
}

/// For the golden file: the contents, and one frame.
pub(super) fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<_> =
        examples().into_iter().map(|(name, message)| (name, encode(&message))).collect();
    let ask = encode(&Stranger::AskChain(question()));
    let header = header(FrameKind::Stranger);
    all.push(("frame_stranger", frame::stranger(header.group, header.from, &ask)));
    all
}

#[test]
fn every_message_survives_its_bytes_and_none_is_read_twice() {
    for (name, message) in examples() {
        let bytes = encode(&message);
        assert_eq!(decode(&bytes).as_ref(), Ok(&message), "{name}");
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Err(Malformed::Undecodable), "{name} cut at {cut}");
        }
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            if let Ok(other) = decode(&flipped) {
                assert!(other != message && encode(&other) == flipped, "{name}, bit {at}");
            }
        }
        let mut long = bytes;
        long.push(0);
        assert_eq!(decode(&long), Err(Malformed::LeftOver), "{name}");
    }
    let over_long = [5, 0xac, 0x82, 0];
    assert_eq!(decode(&over_long), Err(Malformed::NotCanonical));
}

#[test]
fn a_chain_has_no_gaps_and_its_limit() {
    assert!(decode(&encode(&chain(1..=3))).is_ok());
    for numbers in [[1, 3], [2, 1], [1, 1]] {
        assert_eq!(decode(&encode(&chain(numbers))), Err(Malformed::Illegal(64)), "{numbers:?}");
    }
    let short = |number| {
        let mut short = decision(number);
        short.readys = List::new();
        short.view.members.truncate(1);
        short
    };
    for over in 0..2 {
        let decisions = (0..64 + over).map(short).collect();
        let message = encode(&Stranger::Chain { decisions });
        assert!(message.len() < STRANGER_MAX);
        assert_eq!(decode(&message).is_ok(), over == 0);
    }
    assert_eq!(CHAIN_MAX, 64);
    let mut none = decision(1);
    none.view.members.clear();
    let decisions = core::iter::once(none).collect();
    assert_eq!(decode(&encode(&Stranger::Chain { decisions })), Err(Malformed::Illegal(64)));
    assert_eq!(decode(&alloc::vec![0; STRANGER_MAX + 1]), Err(Malformed::Undecodable));
}

/// The longest decision that there can be goes into one frame.
#[test]
fn the_longest_decision_fits() {
    let mut longest = decision(u64::MAX);
    let mut member = longest.view.members[0].clone();
    member.addr = alloc::vec![7; crate::member::ADDR_MAX];
    member.incarnation = u64::MAX;
    longest.view.members = (0..64)
        .map(|byte| crate::Member { key: crate::PublicKey([byte; 32]), ..member.clone() })
        .collect();
    let key = |number: u16| {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        crate::PublicKey(key)
    };
    longest.view.expelled = (0..1024).map(key).collect();
    let end = crate::LogEnd { number: Number::new(u64::MAX), hash: some_hash(0) };
    longest.view.cut = (0..64).map(|_| end).collect();
    let left = |rank| (Rank::new(rank), crate::Departure::Left);
    longest.view.departed = (0..64).map(left).collect();
    longest.view.silenced = (0..64).map(Rank::new).collect();
    let ready = longest.readys[0].clone();
    longest.readys =
        (0..43).map(|rank| Signed { signer: Rank::new(rank), ..ready.clone() }).collect();
    let decisions = core::iter::once(longest).collect();
    assert!(decode(&encode(&Stranger::Chain { decisions })).is_ok());
}

/// Whatever is asked for can be asked for, and no question is longer than a frame may be.
#[test]
fn a_question_is_as_long_as_its_answer_needs() {
    for answer in [0, 1, 2, 3, 200, 1_801, 40_000, STRANGER_MAX + frame::HEADER] {
        assert!(answer_max(question_min(answer)) >= answer, "{answer}");
        let asks = Question::padded(
            u64::MAX,
            crate::PublicKey([3; 32]),
            some_hash(4),
            question_min(answer),
        );
        let content = encode(&Stranger::AskChain(asks));
        let bytes = content.len() + frame::HEADER;
        assert!(answer_max(bytes) >= answer);
        assert!(bytes <= QUESTION_BYTES.max(question_min(answer)) + 11);
    }
    let key = crate::PublicKey([3; 32]);
    let longest = Question::padded(u64::MAX, key, some_hash(4), usize::MAX);
    assert!(decode(&encode(&Stranger::AskChain(longest))).is_ok());
}

#[test]
fn a_strangers_frame_has_neither_counter_nor_mac() {
    let (_, frame) = messages().pop().unwrap();
    let parsed = parse(&frame).unwrap();
    assert_eq!(parsed.header, Header { counter: 0, ..header(FrameKind::Stranger) });
    assert_eq!(decode(parsed.content()), Ok(Stranger::AskChain(question())));
    assert!(frame::is_stranger(&frame));
    for at in 18..frame::HEADER {
        let mut other = frame.clone();
        other[at] = 1;
        assert!(parse(&other).is_none(), "byte {at}");
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = decode(&bytes) {
            prop_assert_eq!(encode(&message), bytes);
        }
    }
}
