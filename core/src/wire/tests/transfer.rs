//! One packet for each message about a state on its way.

use super::*;
use crate::crypto::{PublicKey, Snapshot};
use crate::wire::transfer::{CHUNK_BYTES, PAGE_HASHES, PAGES_MAX, Piece, TransferPart};

const OF: u64 = 300;

fn hashes<const MAX: usize>(count: usize) -> List<Hash32, MAX> {
    alloc::vec![some_hash(0xc1); count].into()
}

fn chunk(len: usize) -> TransferPart {
    TransferPart::Chunk { of: OF, index: 70_000, bytes: Blob(alloc::vec![0xf1; len]) }
}

pub(super) fn parts() -> Vec<(&'static str, Part)> {
    let ask = |piece| TransferPart::Ask { of: OF, piece };
    let snapshot = Snapshot { joiner: PublicKey([9; 32]), root: some_hash(1), length: 70_000 };
    let parts = [
        ("ask_root", ask(Piece::Root)),
        ("ask_pages", ask(Piece::Pages)),
        ("ask_page", ask(Piece::Page(300))),
        ("ask_chunk", ask(Piece::Chunk(70_000))),
        ("state_root", TransferPart::Root { of: OF, said: signed(1, snapshot) }),
        ("state_pages", TransferPart::Pages { of: OF, hashes: hashes(2) }),
        ("state_page", TransferPart::Page { of: OF, page: 1, hashes: hashes(3) }),
        ("state_chunk", chunk(5)),
        ("state_gone", TransferPart::Gone { of: OF }),
        ("state_done", TransferPart::Done { of: OF }),
    ];
    parts.into_iter().map(|(name, part)| (name, Part::Transfer(part))).collect()
}

#[test]
fn pieces_beyond_any_state_are_refused() {
    let decodes = |part: TransferPart| {
        decode(&encode(&packet(alloc::vec![Part::Transfer(part)])), N, false).is_ok()
    };
    let ask = |piece| TransferPart::Ask { of: OF, piece };
    for over in 0..2 {
        let fits = over == 0;
        let last = u16::try_from(PAGES_MAX - 1 + over).unwrap();
        let index = u32::try_from(PAGES_MAX * PAGE_HASHES - 1 + over).unwrap();
        assert_eq!(decodes(ask(Piece::Page(last))), fits);
        assert_eq!(decodes(ask(Piece::Chunk(index))), fits);
        assert_eq!(decodes(chunk(CHUNK_BYTES + over)), fits);
        let pages = hashes(PAGES_MAX + over);
        assert_eq!(decodes(TransferPart::Pages { of: OF, hashes: pages }), fits);
        let page = |page, count| TransferPart::Page { of: OF, page, hashes: hashes(count) };
        assert_eq!(decodes(page(0, PAGE_HASHES + over)), fits);
        assert_eq!(decodes(page(last, 1)), fits);
    }
    assert!(!decodes(chunk(0)));
    assert!(!decodes(TransferPart::Pages { of: OF, hashes: hashes(0) }));
    let snapshot = Snapshot { joiner: PublicKey([9; 32]), root: some_hash(1), length: 1 };
    let said = |signer| TransferPart::Root { of: OF, said: signed(signer, snapshot.clone()) };
    assert!(decodes(said(63)), "ranks are those of the joiner's first view");
    assert!(!decodes(said(64)));
}

#[test]
fn a_part_weighs_no_less_than_it_takes() {
    for (name, packet) in examples() {
        for part in packet.parts.iter() {
            if let Part::Transfer(part) = part {
                let bytes = postcard::to_allocvec(part).unwrap();
                assert!(part.weight() >= bytes.len(), "{name}");
            }
        }
    }
    let long = chunk(CHUNK_BYTES);
    assert!(long.weight() >= postcard::to_allocvec(&long).unwrap().len());
}
