//! Every way in which a demo can go wrong is found.

use super::*;
use crate::report::Status;
use phalanx_core::crypto::{AckNewView, Commit, Hash32, Head, Heads, Identity, Signed};
use phalanx_core::wire::List;
use phalanx_core::wire::change::{Acks, Committed, acks_hash};
use phalanx_core::{Attempt, Evidence, Invalid, Membership, Number, Proof};
use phalanx_mio::config::{MemberEntry, group_text};
use std::time::{Duration, Instant};

fn group(dir: &std::path::Path) -> Group {
    let members: Vec<MemberEntry> = (0..4_u8)
        .map(|i| MemberEntry {
            name: format!("m{i}"),
            address: ([127, 0, 0, 1], 9_000 + u16::from(i)).into(),
            public_key: *Identity::ed25519([i + 1; 32]).public_key(),
        })
        .collect();
    let path = dir.join("group.toml");
    std::fs::write(
        &path,
        group_text("test", &Hash32([1; 32]), (Membership::Managed, true), (&members, &[])),
    )
    .unwrap();
    Group::read(&path).unwrap()
}

/// A group whose rank 3 is expelled in view 1, and what each member reports: 100 Total casts
/// with this hash, 60 of them in view 0.
struct Rig {
    _dir: tempfile::TempDir,
    group: Group,
    records: Vec<Record>,
    liar: Option<usize>,
    late: Option<usize>,
}

fn seen(view: &View, total: u64) -> Seen {
    let (view, line) = (view.clone(), String::new());
    Seen { view, line, took: Duration::ZERO, at: Instant::now(), total }
}

fn without_last(before: &View) -> View {
    let mut view = before.clone();
    (view.number, view.prev) = (before.number + 1, before.id());
    view.members.pop();
    view.departed = vec![(Rank::new(3), Departure::Proof)].into();
    view
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let group = group(dir.path());
        let (total, hash, views) = (100, "x".to_owned(), "v".to_owned());
        let state = "s".to_owned();
        let answer = Status { total, hash, views, state, own: 5, accepted: 5, ..Status::default() };
        let genesis = group.genesis.view();
        let record = Record {
            answer: Some(answer),
            checkpoints: [(64, "at 64".to_owned())].into(),
            views: vec![seen(&genesis, 0)],
            ..Record::default()
        };
        Self { _dir: dir, group, records: vec![record; 4], liar: None, late: None }
    }

    /// Rank 3 lied, was proven guilty and went.
    fn with_liar() -> Self {
        let mut rig = Self::new();
        let genesis = rig.group.genesis.view();
        rig.records[3] = Record::default();
        let proof = Proven {
            proof: crate::json::hex(&mutant(&genesis, [4; 32]).to_bytes()),
            view: evidence::view_text(&genesis),
        };
        for record in &mut rig.records[..3] {
            record.views.push(seen(&without_last(&genesis), 60));
            record.proofs.insert(3, proof.clone());
        }
        rig.liar = Some(3);
        rig
    }

    fn is_good(&self) -> bool {
        let Self { group, records, liar, late, .. } = self;
        let (killed, newcomer) = (*late, None);
        let case = Case { group, records, killed, newcomer, liar: *liar };
        case.findings().iter().all(|finding| finding.is_good)
    }

    /// The verdict when the record of rank 2 is changed.
    fn spoilt(mut self, change: impl Fn(&mut Record)) -> bool {
        change(&mut self.records[2]);
        self.is_good()
    }
}

fn answer(record: &Record) -> Status {
    record.answer.clone().unwrap()
}

#[test]
fn what_is_as_promised_passes() {
    assert!(Rig::new().is_good());
    assert!(Rig::with_liar().is_good());
}

#[test]
fn every_difference_is_found() {
    let spoil = |change: &dyn Fn(&mut Record)| Rig::new().spoilt(change);
    assert!(spoil(&|_| {}));
    assert!(!spoil(&|r| r.answer = None));
    assert!(!spoil(&|r| r.answer = Some(Status { hash: "y".into(), ..answer(r) })));
    assert!(!spoil(&|r| r.answer = Some(Status { total: 99, ..answer(r) })));
    assert!(!spoil(&|r| r.answer = Some(Status { own: 4, ..answer(r) })));
    assert!(!spoil(&|r| r.answer = Some(Status { state: "t".into(), ..answer(r) })));
    assert!(!spoil(&|r| r.answer = Some(Status { state: String::new(), ..answer(r) })));
    assert!(!spoil(&|r| {
        r.checkpoints.insert(64, "other".into());
    }));
    let proven = Proven { proof: "00".into(), view: "00".into() };
    assert!(!spoil(&|r| {
        r.proofs.insert(1, proven.clone());
    }));
    let mut nothing = Rig::new();
    let shown = |r: &mut Record| r.answer = Some(Status { total: 0, ..answer(r) });
    nothing.records.iter_mut().for_each(shown);
    assert!(!nothing.is_good(), "nothing was shown");
}

#[test]
fn chains_of_views_must_be_the_same() {
    let spoil = |change: &dyn Fn(&mut Record)| Rig::with_liar().spoilt(change);
    assert!(!spoil(&|r| r.answer = Some(Status { views: "w".into(), ..answer(r) })));
    assert!(!spoil(&|r| r.views.truncate(1)), "one has not installed the last");
    assert!(!spoil(&|r| {
        r.views.remove(0);
    }));
    assert!(!spoil(&|r| r.views[1].view.pledge += 1));
    assert!(!spoil(&|r| r.out = Some("opinion".into())));
}

#[test]
fn who_was_killed_is_put_out_and_comes_back_with_the_state() {
    let rig = || {
        let mut rig = Rig::new();
        rig.late = Some(3);
        let mut gone = without_last(&rig.group.genesis.view());
        gone.departed = vec![(Rank::new(3), Departure::Opinion)].into();
        let mut back = gone.clone();
        (back.number, back.prev, back.departed) = (2, gone.id(), vec![].into());
        let member = rig.group.genesis.members[3].clone();
        back.members.push(phalanx_core::Member { incarnation: 2, ..member });
        for record in &mut rig.records[..3] {
            record.views.extend([seen(&gone, 60), seen(&back, 80)]);
        }
        rig.records[3].views = vec![seen(&back, 80)];
        rig.records[3].loaded = Some((2, 1_000));
        rig
    };
    assert!(rig().is_good());
    let spoil = |change: &dyn Fn(&mut Record)| {
        let mut rig = rig();
        change(&mut rig.records[3]);
        rig.is_good()
    };
    assert!(!spoil(&|r| r.loaded = None), "it got no state");
    assert!(!spoil(&|r| r.views.clear()), "it is not there");
    assert!(!spoil(&|r| r.answer = Some(Status { state: "t".into(), ..answer(r) })));
    let mut unnoticed = rig();
    for record in &mut unnoticed.records[..3] {
        record.views[1].view.departed = vec![].into();
    }
    assert!(!unnoticed.is_good(), "nobody put it out");
}

#[test]
fn a_liar_must_be_proven_guilty_by_all_and_truly_and_go() {
    let spoil = |change: &dyn Fn(&mut Record)| Rig::with_liar().spoilt(change);
    assert!(!spoil(&|r| r.proofs.clear()), "one member has no proof");
    assert!(!spoil(&|r| r.proofs.get_mut(&3).unwrap().proof = "00ff".into()));
    assert!(!spoil(&|r| r.proofs.get_mut(&3).unwrap().view = "00".into()));
    let change_all = |change: &dyn Fn(&mut Record)| {
        let mut rig = Rig::with_liar();
        rig.records[..3].iter_mut().for_each(change);
        rig.is_good()
    };
    assert!(!change_all(&|r| r.views.truncate(1)), "it is still there");
    assert!(!change_all(&|r| {
        r.views[1].view.departed = vec![(Rank::new(3), Departure::Opinion)].into();
    }));
    assert!(!change_all(&|r| r.views[1].total = 100), "nothing was delivered after that");
}

/// One statement of rank 3 that is invalid by itself is enough: the first attempt is not its to
/// commit. With something else attached it is nothing.
#[test]
fn a_proof_of_one_statement_is_checked_offline() {
    let rig = Rig::new();
    let view = rig.group.genesis.view();
    let roster = view.roster(phalanx_core::crypto::Suite::Ed25519).unwrap();
    let mut door = phalanx_core::crypto::Door::new(Identity::ed25519([4; 32]));
    let acks = Acks::default();
    let (attempt, next) = (Attempt::new(0), Hash32([7; 32]));
    let said = Commit { attempt, next, acks: acks_hash(&acks) };
    let signed = Signed::clone(door.sign(&roster, Rank::new(3), said).signed());
    let mut commit = Committed { signed, acks };
    let check = |commit: &Committed| {
        let evidence = Evidence::Invalid(Invalid::Commit(Box::new(commit.clone())));
        let proof = Proof { view: view.id(), evidence };
        evidence::verify(&rig.group, &view, &proof.to_bytes())
    };
    let culprit = check(&commit).unwrap();
    assert_eq!((culprit.rank, culprit.what), (Rank::new(3), "invalid commit"));
    let ack = door.sign(&roster, Rank::new(3), AckNewView { attempt, next });
    commit.acks.as_mut_vec().push(Signed::clone(ack.signed()));
    assert!(check(&commit).unwrap_err().to_string().contains("attached"));
}

/// Two heads of rank 3 for its first body.
fn mutant(view: &phalanx_core::View, seed: [u8; 32]) -> Proof {
    let mut door = phalanx_core::crypto::Door::new(Identity::ed25519(seed));
    let roster = view.roster(phalanx_core::crypto::Suite::Ed25519).unwrap();
    let me = Rank::new(3);
    let mut heads = |byte| {
        let head = Head { sender: me, number: Number::new(1), hash: Hash32([byte; 32]) };
        Signed::clone(door.sign(&roster, me, Heads { entries: List::from(vec![head]) }).signed())
    };
    let evidence = Evidence::TwoHeads { sender: me, first: heads(1), second: heads(2) };
    Proof { view: view.id(), evidence }
}
