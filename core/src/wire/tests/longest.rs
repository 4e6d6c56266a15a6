//! The longest message of each kind.

use super::*;
use crate::crypto::{
    AckNewView, CHANGES_MAX, Change, Commit, Flush, JoinRequest, Leave, Locked, NeedMoreChange,
    NewView, PublicKey, ReadyToSwitch, Recommend,
};
use crate::fault::Invalid;
use crate::member::{ADDR_MAX, Member, Status};
use crate::quorum::{Quorum, QuorumRule};
use crate::seq::{Attempt, LogEnd};
use crate::view::{Departure, EXPELLED_MAX, View};
use crate::wire::bounds::Bounds;
use crate::wire::change::{
    Acks, Certificates, Committed, Covered, Decision, Flushed, Grounds, JOINS_MAX,
    JOINS_PER_CHANGE_MAX, Justification, LockProof, NeedsMore, Proposed, Sponsored,
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
        joins: (0..JOINS_MAX + n).map(join).collect(),
    }
}

fn next(n: usize) -> View {
    let member = |index| Member {
        key: key(index),
        incarnation: LATE,
        addr: alloc::vec![7; ADDR_MAX],
        status: if index == 0 { Status::Active } else { Status::Silenced },
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

/// Every change that there can be.
fn flush(n: usize, by: u16) -> Signed<Flush> {
    let rank = |kind: fn(Rank) -> Change| ranks(n).map(move |z| kind(Rank::new(z)));
    let joins = (0..JOINS_PER_CHANGE_MAX + n).map(|index| Change::Joins(key(index), LATE));
    let members = rank(Change::Proven).chain(rank(Change::Suspected)).chain(rank(Change::Leaves));
    let changes: Vec<Change> = members.chain(joins).collect();
    assert!(changes.len() <= CHANGES_MAX);
    let ends = ranks(n).map(|_| end()).collect();
    signed(by, Flush { ends, changes: changes.into() })
}

fn acks(n: usize) -> Acks {
    let said = AckNewView { attempt: Attempt::new(u32::MAX), next: some_hash(6) };
    ranks(n).map(|by| signed(by, said.clone())).collect()
}

/// The longest proposal of `n` members with this window.
pub(crate) fn proposal(n: usize, window: usize) -> Part {
    Part::NewView(Box::new(proposed(n, 2 * window)))
}

/// The same with so many links.
fn proposed(n: usize, links: usize) -> Proposed {
    let more = |by| signed(by, NeedMoreChange { attempt: Attempt::new(u32::MAX), lock: None });
    let justification = Justification::Fresh {
        flushes: ranks(n).map(|by| flush(n, by)).collect(),
        certificates: certificates(n, links),
        grounds: grounds(n),
        more: ranks(n).map(more).collect(),
    };
    let statement = NewView {
        attempt: Attempt::new(u32::MAX),
        next: some_hash(6),
        justification: justification.hash(),
    };
    let by = u16::from(n > 1);
    Proposed { signed: signed(by, statement), view: next(n), justification }
}

/// The longest of each kind in a view of `n` members, with its bound.
fn longest(n: usize, links: usize) -> Vec<(Part, usize)> {
    let bounds = Bounds::with_links(n, links);
    let attempt = Attempt::new(u32::MAX);
    let lock = Some(Locked { attempt: Attempt::new(u32::MAX - 1), next: some_hash(6) });
    let flushed =
        Flushed { signed: flush(n, 0), certificates: certificates(n, links), grounds: grounds(n) };
    let more = NeedsMore {
        signed: signed(0, NeedMoreChange { attempt, lock }),
        lock: Some(LockProof { view: next(n), acks: acks(n) }),
        grounds: grounds(n),
    };
    let commit = Commit { attempt, next: some_hash(6), acks: some_hash(7) };
    let ready = |by| signed(by, ReadyToSwitch { attempt, next: some_hash(6) });
    let entries: Vec<Head> = ranks(n).map(|s| head(s, LATE)).collect();
    let certificate = Certificate {
        head: head(0, LATE),
        heads: ranks(n).map(|by| heads(by, &entries)).collect(),
        links: alloc::vec![link(SlotMark::Value(Round::new(LATE))); links].into(),
    };
    let invalid = Invalid::NewView(Box::new(proposed(n, links)));
    let decision = Decision { view: next(n), readys: ranks(n).map(ready).collect() };
    let committed = Committed { signed: signed(0, commit), acks: acks(n) };
    alloc::vec![
        (Part::Flush(Box::new(flushed)), bounds.flush()),
        (Part::NeedMoreChange(Box::new(more)), bounds.need_more_change()),
        (Part::NewView(Box::new(proposed(n, links))), bounds.new_view()),
        (Part::Commit(Box::new(committed)), bounds.commit()),
        (Part::Decision(Box::new(decision)), bounds.decision()),
        (Part::Certificate(certificate), bounds.certificate()),
        (evidence(Evidence::Invalid(invalid)), bounds.new_view() + 128),
    ]
}

#[test]
fn the_longest_of_each_kind_is_legal_and_stays_within_its_bound() {
    for (n, links) in [(1, 128), (4, 128), (13, 128), (64, 128), (64, LINKS_MAX)] {
        let bounds = Bounds::with_links(n, links);
        for (part, bound) in longest(n, links) {
            let bytes = encode(&packet(alloc::vec![part]));
            let decoded = decode(&bytes, n, false);
            assert!(decoded.is_ok(), "n = {n}, bound {bound}: {:?}", decoded.err());
            let (len, head) = (bytes.len(), bounds.packet_head());
            assert!(len <= bound + head, "n = {n}: {len} of {bound}");
            assert!(bound <= bounds.longest() + 128, "n = {n}");
            // The next view may have 64 members, that of this test has `n`.
            let unused = bound.saturating_sub(len);
            assert!(unused < bound / 3 + 12_000, "n = {n}: {len} of {bound} is loose");
        }
        assert!(bounds.proof() >= bounds.new_view() + 66, "n = {n}");
        assert!(bounds.longest() + 256 * 1024 < crate::Config::FRAME_MAX, "n = {n}");
    }
    let usual = [4, 13, 64].map(|n| Bounds::with_links(n, 128).new_view() / 1024);
    assert!(usual[0] < 192 && usual[1] < 512 && usual[2] < 10_500, "{usual:?} KiB");
}

/// A message that is longer than its bound is not one.
#[test]
fn what_is_beyond_the_bounds_is_refused() {
    let refused = |change: fn(&mut Proposed)| {
        let mut long = proposed(4, 8);
        change(&mut long);
        let bytes = encode(&packet(alloc::vec![Part::NewView(Box::new(long))]));
        assert_eq!(decode(&bytes, 4, false), Err(Malformed::Illegal(4)));
    };
    fn parts(p: &mut Proposed) -> (&mut Certificates, &mut Grounds, &mut Vec<Signed<Flush>>) {
        match &mut p.justification {
            Justification::Fresh { flushes, certificates, grounds, .. } => {
                (certificates, grounds, flushes.as_mut_vec())
            }
            Justification::Relock { .. } => panic!("it is fresh"),
        }
    }
    refused(|p| {
        let (certificates, ..) = parts(p);
        let again = certificates.heads[0].clone();
        certificates.heads.as_mut_vec().push(again);
    });
    refused(|p| {
        let (certificates, ..) = parts(p);
        certificates.covered.as_mut_vec()[0].places = alloc::vec![0; 5].into();
    });
    refused(|p| {
        let (_, grounds, _) = parts(p);
        let mut one = grounds.joins[0].clone();
        one.request = request(4 + JOINS_MAX);
        grounds.joins.as_mut_vec().push(one);
    });
    refused(|p| parts(p).1.joins.as_mut_vec().swap(0, 1));
    refused(|p| {
        let (.., flushes) = parts(p);
        let change = Change::Joins(key(4 + JOINS_PER_CHANGE_MAX), LATE);
        flushes[0].statement.changes.as_mut_vec().push(change);
    });
    refused(|p| {
        let (.., flushes) = parts(p);
        flushes[0].statement.changes = [Change::Leaves(Rank::new(4))].into_iter().collect();
    });
}
