//! The longest message of a view change.

use super::*;
use crate::crypto::{
    CHANGES_MAX, Change, Flush, JoinRequest, Leave, NeedMoreChange, NewView, PublicKey, Recommend,
};
use crate::member::{ADDR_MAX, Member, Status};
use crate::quorum::{Quorum, QuorumRule};
use crate::seq::{Attempt, LogEnd};
use crate::view::{Departure, EXPELLED_MAX, View};
use crate::wire::change::{
    Certificates, Covered, Grounds, JOINS_MAX, Justification, Proposed, Sponsored, bytes_max,
};

/// Numbers of bodies are large after years.
const LATE: u64 = 1 << 48;

fn ranks(n: usize) -> impl Iterator<Item = u16> {
    0..u16::try_from(n).unwrap()
}

fn key(index: usize) -> PublicKey {
    let mut bytes = [0xbb; 32];
    bytes[..8].copy_from_slice(&(index as u64).to_be_bytes());
    PublicKey(bytes)
}

/// Every member of every quorum stands with another statement, about all logs.
fn certificates(n: usize, window: usize) -> Certificates {
    let q = Quorum::of(u16::try_from(n).unwrap(), QuorumRule::Sound).q();
    let statement = |place: usize| {
        let entries: Vec<Head> = ranks(n).map(|s| head(s, LATE + place as u64)).collect();
        heads(u16::try_from(place % q).unwrap(), &entries)
    };
    let covered = |sender: u16| Covered {
        head: head(sender, LATE),
        places: (0..q).map(|i| u16::try_from(usize::from(sender) * q + i).unwrap()).collect(),
        links: (0..window).map(|_| link(SlotMark::Value(Round::new(LATE)))).collect(),
    };
    Certificates {
        heads: (0..n * q).map(statement).collect(),
        covered: ranks(n).map(covered).collect(),
    }
}

fn request(index: usize) -> JoinRequest {
    JoinRequest {
        key: key(index),
        incarnation: LATE,
        addr: Blob(alloc::vec![7; ADDR_MAX]),
        signature: Signature([0xdd; 64]),
    }
}

/// Everybody suspects everybody, with proof and without; all leave; and as many join as may ask.
fn grounds(n: usize) -> Grounds {
    let pairs = || ranks(n).flat_map(move |subject| ranks(n).map(move |signer| (subject, signer)));
    let said = |(subject, signer): (u16, u16)| {
        let reasons = [Reason::Mute, Reason::Proof];
        reasons.map(|reason| {
            let subject = Rank::new(subject);
            signed(signer, Suspect { subject, reason, proof: some_hash(3) })
        })
    };
    let join = |index| Sponsored {
        request: request(index),
        recommends: ranks(n).map(|by| signed(by, Recommend { request: some_hash(9) })).collect(),
    };
    Grounds {
        suspects: pairs().filter(|(subject, by)| subject != by).flat_map(said).collect(),
        leaves: ranks(n).map(|by| signed(by, Leave)).collect(),
        joins: (0..JOINS_MAX).map(join).collect(),
    }
}

fn next(n: usize) -> View {
    let member = |index| Member {
        key: key(index),
        incarnation: LATE,
        addr: alloc::vec![7; ADDR_MAX],
        status: Status::Silenced,
    };
    View {
        group: some_hash(1),
        number: LATE,
        prev: some_hash(2),
        members: (0..n).map(member).collect(),
        pledge: 21,
        rule: QuorumRule::Sound,
        expelled: (0..EXPELLED_MAX).map(key).collect(),
        cut: ranks(n).map(|_| end()).collect(),
        departed: ranks(n).map(|rank| (Rank::new(rank), Departure::Replaced)).collect(),
        silenced: ranks(n).map(Rank::new).collect(),
    }
}

const fn end() -> LogEnd {
    LogEnd { number: Number::new(LATE), hash: some_hash(0xa0) }
}

/// The longest proposal of `n` members with this window.
pub(crate) fn proposal(n: usize, window: usize) -> Part {
    let changes: Vec<Change> =
        (0..(3 * n + JOINS_MAX).min(CHANGES_MAX)).map(|_| Change::Joins(some_hash(5))).collect();
    let flush = |by| {
        let ends = ranks(n).map(|_| end()).collect();
        signed(by, Flush { ends, changes: changes.iter().copied().collect() })
    };
    let more = |by| signed(by, NeedMoreChange { attempt: Attempt::new(u32::MAX), lock: None });
    let justification = Justification::Fresh {
        flushes: ranks(n).map(flush).collect(),
        certificates: certificates(n, 2 * window),
        grounds: grounds(n),
        more: ranks(n).map(more).collect(),
    };
    let statement = NewView {
        attempt: Attempt::new(u32::MAX),
        next: some_hash(6),
        justification: justification.hash(),
    };
    Part::NewView(Box::new(Proposed { signed: signed(1, statement), view: next(n), justification }))
}

#[test]
fn the_longest_proposal_stays_within_its_bound_and_fits_a_frame() {
    for (n, window) in [(1, 64), (4, 64), (13, 64), (64, 64), (64, LINKS_MAX / 2)] {
        let len = encode(&packet(alloc::vec![proposal(n, window)])).len();
        let bound = bytes_max(n, window);
        assert!(len <= bound && bound - len < bound / 3, "n = {n}: {len} of {bound}");
        assert!(len + 256 * 1024 < crate::Config::FRAME_MAX, "n = {n}: {len}");
    }
    let usual = [4, 13, 64].map(|n| bytes_max(n, 64) / 1024);
    assert!(usual[0] < 128 && usual[1] < 400 && usual[2] < 10_500, "{usual:?} KiB");
}
