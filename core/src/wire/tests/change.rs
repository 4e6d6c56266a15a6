//! One packet for each message of a view change.

use super::*;
use crate::crypto::{
    AckNewView, Change, Commit, Flush, Installed, JoinRequest, Leave, Locked, NeedMoreChange,
    NewView, PublicKey, ReadyToSwitch, Recommend,
};
use crate::fault::{Invalid, TwoFaced};
use crate::member::{Member, Status};
use crate::quorum::QuorumRule;
use crate::seq::{Attempt, LogEnd};
use crate::view::{Departure, View};
use crate::wire::change::{
    Acks, Certificates, Committed, Covered, Decision, Flushed, Grounds, Justification, LockProof,
    NeedsMore, Proposed, Recommended, Sponsored,
};

const ONE: Attempt = Attempt::new(1);

fn view() -> View {
    let member = |key: u8, status| Member {
        key: PublicKey([key; 32]),
        incarnation: 300,
        addr: b"10.0.0.1:7000".to_vec(),
        status,
    };
    View {
        group: some_hash(1),
        number: 7,
        prev: some_hash(2),
        members: alloc::vec![member(1, Status::Active), member(2, Status::Silenced)],
        pledge: 1,
        rule: QuorumRule::Sound,
        expelled: [PublicKey([3; 32]), PublicKey([4; 32])].into_iter().collect(),
        cut: [end(129), LogEnd::EMPTY].into_iter().collect(),
        departed: [(Rank::new(2), Departure::Proof), (Rank::new(3), Departure::Left)]
            .into_iter()
            .collect(),
        silenced: [Rank::new(1)].into_iter().collect(),
    }
}

const fn end(number: u64) -> LogEnd {
    LogEnd { number: Number::new(number), hash: some_hash(0xa0) }
}

fn flush() -> Signed<Flush> {
    let changes = [
        Change::Proven(Rank::new(1)),
        Change::Suspected(Rank::new(2)),
        Change::Leaves(Rank::new(3)),
        Change::Joins(PublicKey([5; 32]), 300),
    ];
    let ends = [end(1), LogEnd::EMPTY, end(300), LogEnd::EMPTY].into_iter().collect();
    signed(2, Flush { ends, changes: changes.into_iter().collect() })
}

fn more(lock: Option<Locked>) -> Signed<NeedMoreChange> {
    signed(1, NeedMoreChange { attempt: Attempt::new(2), lock })
}

fn acks() -> Acks {
    let ack = |signer| signed(signer, AckNewView { attempt: ONE, next: some_hash(6) });
    (0..3).map(ack).collect()
}

pub(super) fn request() -> JoinRequest {
    JoinRequest {
        key: PublicKey([9; 32]),
        incarnation: 2,
        addr: Blob(b"10.0.0.9:7000".to_vec()),
        signature: Signature([0xdd; 64]),
    }
}

fn grounds() -> Grounds {
    let suspect =
        |subject, reason| Suspect { subject: Rank::new(subject), reason, proof: some_hash(0) };
    let recommend = |signer| signed(signer, Recommend { request: some_hash(5) });
    Grounds {
        suspects: [signed(0, suspect(1, Reason::Mute)), signed(0, suspect(1, Reason::Proof))]
            .into_iter()
            .collect(),
        leaves: [signed(3, Leave)].into_iter().collect(),
        joins: [Sponsored { request: request(), recommends: (0..2).map(recommend).collect() }]
            .into_iter()
            .collect(),
    }
}

fn certificates() -> Certificates {
    let covered = |sender, places: &[u16]| Covered {
        head: head(sender, 1),
        places: places.iter().copied().collect(),
        links: links(),
    };
    Certificates {
        heads: (0..4).map(|i| heads(i, &[head(0, 1), head(2, 300)])).collect(),
        covered: [covered(0, &[0, 1, 2]), covered(2, &[1, 2, 3])].into_iter().collect(),
    }
}

fn proposed(justification: Justification) -> Part {
    let statement =
        NewView { attempt: ONE, next: some_hash(6), justification: justification.hash() };
    let message = Proposed { signed: signed(1, statement), view: view(), justification };
    Part::NewView(Box::new(message))
}

/// Two statements about one change.
fn two_faced() -> Vec<(&'static str, Part)> {
    let lock = Locked { attempt: ONE, next: some_hash(6) };
    let new_view =
        |byte| NewView { attempt: ONE, next: some_hash(6), justification: some_hash(byte) };
    let ack = |byte| AckNewView { attempt: ONE, next: some_hash(byte) };
    let commit = |byte| Commit { attempt: ONE, next: some_hash(byte), acks: some_hash(0) };
    let ready = |byte| ReadyToSwitch { attempt: ONE, next: some_hash(byte) };
    let snapshot =
        |length| crate::crypto::Snapshot { joiner: PublicKey([9; 32]), root: some_hash(1), length };
    let mut other = flush();
    other.statement.ends.as_mut_vec()[1] = end(5);
    let pairs = [
        ("proof_two_flushes", TwoFaced::Flushes(flush(), other)),
        ("proof_two_needs", TwoFaced::NeedMoreChanges(more(None), more(Some(lock)))),
        ("proof_two_new_views", TwoFaced::NewViews(signed(1, new_view(1)), signed(1, new_view(2)))),
        ("proof_two_acks", TwoFaced::Acks(signed(1, ack(1)), signed(1, ack(2)))),
        ("proof_two_commits", TwoFaced::Commits(signed(1, commit(1)), signed(1, commit(2)))),
        ("proof_two_readys", TwoFaced::Readys(signed(1, ready(1)), signed(1, ready(2)))),
        ("proof_forgotten_lock", TwoFaced::ForgottenLock(signed(1, ready(1)), more(None))),
        (
            "proof_two_snapshots",
            TwoFaced::Snapshots(signed(1, snapshot(1)), signed(1, snapshot(2))),
        ),
    ];
    let part = |(name, two)| (name, evidence(Evidence::TwoFaced(Box::new(two))));
    pairs.into_iter().map(part).collect()
}

pub(super) fn parts() -> Vec<(&'static str, Part)> {
    let lock = Locked { attempt: ONE, next: some_hash(6) };
    let commit = Commit { attempt: ONE, next: some_hash(6), acks: some_hash(7) };
    let ready = ReadyToSwitch { attempt: ONE, next: some_hash(6) };
    let fresh = Justification::Fresh {
        flushes: [flush()].into_iter().collect(),
        certificates: certificates(),
        grounds: grounds(),
        more: [more(None)].into_iter().collect(),
    };
    let relock =
        Justification::Relock { more: [more(Some(lock))].into_iter().collect(), acks: acks() };
    let recommend = signed(0, Recommend { request: some_hash(5) });
    let needs_more = NeedsMore {
        signed: more(Some(lock)),
        lock: Some(LockProof { view: view(), acks: acks() }),
        grounds: grounds(),
    };
    let flushed = Flushed { signed: flush(), certificates: certificates(), grounds: grounds() };
    let decision =
        Decision { view: view(), readys: (0..3).map(|i| signed(i, ready.clone())).collect() };
    let mut parts = alloc::vec![
        ("leave", Part::Leave(signed(3, Leave))),
        (
            "recommend",
            Part::Recommend(Box::new(Recommended { signed: recommend, request: request() }))
        ),
        ("flush", Part::Flush(Box::new(flushed))),
        ("need_more_change", Part::NeedMoreChange(Box::new(needs_more))),
        ("new_view_fresh", proposed(fresh)),
        ("new_view_relock", proposed(relock)),
        ("ack_new_view", Part::Ack(acks()[1].clone())),
        ("commit", Part::Commit(Box::new(Committed { signed: signed(1, commit), acks: acks() }))),
        ("ready_to_switch", Part::Ready(signed(1, ready))),
        ("decision", Part::Decision(Box::new(decision))),
        ("ask_new_view", Part::AskNewView(Attempt::new(300))),
        ("installed", Part::Installed(signed(1, Installed { prev: some_hash(8) }))),
        ("ask_installed", Part::AskInstalled(Rank::new(3))),
        ("lacks", Part::Lacks { sender: Rank::new(2), number: Number::new(7) }),
        ("join", Part::Join(Box::new(request()))),
    ];
    parts.extend(two_faced());
    let invalid = |name, invalid| (name, evidence(Evidence::Invalid(invalid)));
    for (name, part) in parts.clone() {
        match part {
            Part::NewView(m) if name == "new_view_fresh" => {
                parts.push(invalid("proof_invalid_new_view", Invalid::NewView(m)));
            }
            Part::Commit(m) => parts.push(invalid("proof_invalid_commit", Invalid::Commit(m))),
            _ => {}
        }
    }
    parts
}

#[test]
fn a_table_of_certificates_holds_each_statement_once() {
    let table = certificates();
    let all = table.unpack().expect("every place is there");
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].heads[0], table.heads[1]);
    assert_eq!(Certificates::pack(&all), table);
    assert!(table.is_canonical());
    let mut unneeded = certificates();
    unneeded.heads.as_mut_vec().push(heads(3, &[head(0, 2)]));
    assert!(!unneeded.is_canonical());
    let mut beyond = certificates();
    beyond.covered.as_mut_vec()[0].places.as_mut_vec()[0] = 4;
    assert_eq!(beyond.unpack(), None);
}

/// A packet with this part, after `change`, is refused.
fn refused(name: &str, change: impl FnOnce(&mut Part)) {
    let (_, mut part) = parts().into_iter().find(|(known, _)| *known == name).expect(name);
    let whole = encode(&packet(alloc::vec![part.clone()]));
    assert!(decode(&whole, N, false).is_ok(), "{name} as it should be");
    change(&mut part);
    let bytes = encode(&packet(alloc::vec![part]));
    assert_eq!(decode(&bytes, N, false), Err(Malformed::Illegal(N)), "{name}");
}

#[test]
fn what_no_member_sends_is_refused() {
    refused("flush", |part| {
        if let Part::Flush(m) = part {
            m.signed.statement.ends.as_mut_vec().pop();
        }
    });
    refused("flush", |part| {
        if let Part::Flush(m) = part {
            m.signed.statement.changes.as_mut_vec().reverse();
        }
    });
    refused("flush", |part| {
        if let Part::Flush(m) = part {
            m.grounds.suspects.as_mut_vec().reverse();
        }
    });
    refused("need_more_change", |part| {
        if let Part::NeedMoreChange(m) = part {
            m.lock = None;
        }
    });
    refused("need_more_change", |part| {
        if let Part::NeedMoreChange(m) = part {
            m.signed.statement.attempt = ONE;
        }
    });
    refused("new_view_relock", |part| {
        if let Part::NewView(m) = part {
            m.view.members.clear();
        }
    });
    refused("new_view_relock", |part| {
        if let Part::NewView(m) = part {
            let first = m.view.members[0].clone();
            m.view.members.push(first);
        }
    });
    refused("commit", |part| {
        if let Part::Commit(m) = part {
            m.acks.as_mut_vec().reverse();
        }
    });
    refused("decision", |part| {
        if let Part::Decision(m) = part {
            m.readys.as_mut_vec()[2].signer = Rank::new(4);
        }
    });
    refused("ask_installed", |part| *part = Part::AskInstalled(Rank::new(4)));
    refused("lacks", |part| {
        *part = Part::Lacks { sender: Rank::new(4), number: Number::new(1) };
    });
    refused("lacks", |part| {
        *part = Part::Lacks { sender: Rank::new(0), number: Number::ZERO };
    });
}
