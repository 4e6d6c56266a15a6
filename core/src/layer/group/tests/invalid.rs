//! Statements that are invalid by themselves convict whoever signed them, before everybody; those
//! that are valid, or that only one member has something against, convict nobody.

use alloc::boxed::Box;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::In;
use super::attack::{recommended, request, say};
use super::rig::Net;
use crate::crypto::{
    AckNewView, Change, Commit, Locked, NeedMoreChange, NewView, Reason, Signed, Statement, Suspect,
};
use crate::fault::{Evidence, FaultKind, Invalid, NotAProof, Proof};
use crate::member::Rank;
use crate::rig::some_hash;
use crate::seq::Attempt;
use crate::view::{Departure, Pattern};
use crate::wire::change::{Committed, Justification, Proposed, acks_hash};
use crate::wire::{Packet, Part, decode, encode};

/// A way to spoil what a leader says.
type Spoil<T> = (&'static str, fn(&mut Net, &mut T));

fn proof(net: &Net, invalid: Invalid) -> Proof {
    Proof { view: *net.roster.view(), evidence: Evidence::Invalid(invalid) }
}

/// What a stranger to the case says to the bytes of it.
fn verdict(net: &Net, proof: &Proof) -> Result<(), NotAProof> {
    let read = Proof::from_bytes(&proof.to_bytes()).expect("it reads back");
    assert_eq!(read, *proof);
    read.verify(&net.genesis, &net.view, &net.roster)
}

fn judged(net: &Net, proposed: &Proposed) -> Result<(), NotAProof> {
    verdict(net, &proof(net, Invalid::NewView(Box::new(proposed.clone()))))
}

/// `signer` says exactly this.
fn sign_again(net: &mut Net, signer: usize, proposed: &mut Proposed) {
    let attempt = proposed.signed.statement.attempt;
    let (next, justification) = (proposed.view.id(), proposed.justification.hash());
    proposed.signed = say(net, signer, NewView { attempt, next, justification });
}

/// The last proposal on its way of an attempt, the way to it travelled by `members`.
fn proposal(net: &mut Net, members: &[usize], attempt: u32) -> Proposed {
    let mut found = None;
    for _ in 0..200 {
        while let Some((from, to, part)) = net.mail.pop_front() {
            if let Part::NewView(message) = &part {
                if message.signed.statement.attempt == Attempt::new(attempt) {
                    found = Some(message.as_ref().clone());
                }
                continue;
            }
            let is_ready = matches!(part, Part::Ready(_));
            if members.contains(&from)
                && members.contains(&to)
                && !is_ready
                && let Some(input) = super::rig::input(from, part)
            {
                net.give(to, input);
            }
        }
        if let Some(found) = found {
            return found;
        }
        assert!(net.tick(members), "nobody waits for anything");
    }
    panic!("no proposal");
}

/// Rank 0 proposes to silence rank 3 and to take in a process; logs are not empty.
fn fresh_in_first() -> (Net, Proposed) {
    let mut net = Net::new(4);
    for member in 0..3 {
        net.holds_log(member, 0, &["a", "b"]);
        net.holds_log(member, 1, &["c"]);
    }
    let wanted = request(&net, 1, 0);
    for by in [1, 2] {
        let said = recommended(&mut net, by, &wanted);
        for member in 0..3 {
            net.give(member, In::Recommend(said.clone()));
        }
    }
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    let found = proposal(&mut net, &[0, 1, 2], 0);
    (net, found)
}

/// Rank 1 proposes anew, for nobody heard of the first proposal.
fn fresh_in_second() -> (Net, Proposed) {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    let found = proposal(&mut net, &[0, 1, 2], 1);
    (net, found)
}

/// Rank 1 proposes what two are locked on since the first attempt.
fn relock() -> (Net, Proposed) {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    // Everything but Readys.
    for _ in 0..2 {
        net.settle(&|from, to, part| from != 3 && to != 3 && !matches!(part, Part::Ready(_)));
        net.tick(&[0, 1, 2]);
    }
    let found = proposal(&mut net, &[0, 1, 2], 1);
    assert!(matches!(found.justification, Justification::Relock { .. }));
    (net, found)
}

macro_rules! fresh {
    ($proposed:ident, $($part:ident),*) => {
        let Justification::Fresh { $($part,)* .. } = &mut $proposed.justification else {
            panic!("it is fresh")
        };
    };
}

macro_rules! relocked {
    ($proposed:ident, $($part:ident),*) => {
        let Justification::Relock { $($part,)* .. } = &mut $proposed.justification else {
            panic!("it is not fresh")
        };
    };
}

fn more_of(
    net: &mut Net,
    signer: usize,
    attempt: u32,
    lock: Option<Locked>,
) -> Signed<NeedMoreChange> {
    say(net, signer, NeedMoreChange { attempt: Attempt::new(attempt), lock })
}

fn break_it<S: Statement>(signed: &mut Signed<S>) {
    signed.signature.0[9] ^= 4;
}

/// Of a fresh proposal in any attempt.
const SPOILT_FRESH: &[Spoil<Proposed>] = &[
    ("pledge", |_, p| p.view.pledge += 1),
    ("number", |_, p| p.view.number += 1),
    ("prev", |_, p| p.view.prev = some_hash(1)),
    ("group", |_, p| p.view.group = some_hash(1)),
    ("members", |_, p| p.view.members.swap(0, 1)),
    ("under-exclusion", |_, p| {
        p.view.silenced.as_mut_vec().clear();
        p.view.departed.as_mut_vec().clear();
    }),
    ("over-exclusion", |_, p| {
        p.view.members.remove(2);
        p.view.departed.as_mut_vec().push((Rank::new(2), Departure::Opinion));
    }),
    ("cut", |_, p| p.view.cut.as_mut_vec()[2].number = crate::Number::new(7)),
    ("cut too short", |_, p| {
        p.view.cut.as_mut_vec().pop();
    }),
    ("too few flushes", |_, p| {
        fresh!(p, flushes);
        flushes.as_mut_vec().truncate(2);
    }),
    ("no flushes", |_, p| {
        fresh!(p, flushes);
        flushes.as_mut_vec().clear();
    }),
    ("a flush that is not signed", |_, p| {
        fresh!(p, flushes);
        break_it(&mut flushes.as_mut_vec()[1]);
    }),
    ("a flush of a change without evidence", |net, p| {
        fresh!(p, flushes);
        let mut said = flushes[2].statement.clone();
        said.changes = [Change::Leaves(Rank::new(1))].into_iter().collect();
        flushes.as_mut_vec()[2] = say(net, 2, said);
    }),
    ("no evidence", |_, p| {
        fresh!(p, grounds);
        grounds.suspects.as_mut_vec().clear();
    }),
    ("evidence that is not signed", |_, p| {
        fresh!(p, grounds);
        break_it(&mut grounds.suspects.as_mut_vec()[0]);
    }),
    ("evidence for another change", |net, p| {
        fresh!(p, grounds);
        let (subject, proof) = (Rank::new(2), some_hash(0));
        let said = Suspect { subject, reason: Reason::Mute, proof };
        let said = [0, 1, 3].map(|by| say(net, by, said.clone()));
        grounds.suspects.as_mut_vec().splice(0..0, said);
    }),
    ("one that goes on too many", |net, p| {
        let attempt = p.signed.statement.attempt.value();
        fresh!(p, more);
        let one = more_of(net, 3, attempt.max(1), None);
        more.as_mut_vec().push(one);
    }),
];

/// Of one in the first attempt, with a joiner and logs.
const SPOILT_FIRST: &[Spoil<Proposed>] = &[
    ("the paper's bad New-View", |_, p| {
        p.view.cut.as_mut_vec()[0].number = crate::Number::new(1);
    }),
    ("a cut that another chain ends", |_, p| p.view.cut.as_mut_vec()[0].hash = some_hash(1)),
    ("no certificates", |_, p| {
        fresh!(p, certificates);
        *certificates = crate::wire::change::Certificates::default();
    }),
    ("a certificate too few", |_, p| {
        fresh!(p, certificates);
        certificates.covered.as_mut_vec().pop();
    }),
    ("a certificate that is not signed", |_, p| {
        fresh!(p, certificates);
        break_it(&mut certificates.heads.as_mut_vec()[0]);
    }),
    ("a certificate of too few", |_, p| {
        fresh!(p, certificates);
        certificates.covered.as_mut_vec()[0].places.as_mut_vec().pop();
    }),
    ("a certificate of one twice", |_, p| {
        fresh!(p, certificates);
        let places = certificates.covered.as_mut_vec()[0].places.as_mut_vec();
        places[0] = places[1];
    }),
    ("a joiner that did not ask", |_, p| {
        fresh!(p, grounds);
        grounds.joins.as_mut_vec()[0].request.signature.0[0] ^= 1;
    }),
    ("a joiner of another life", |_, p| {
        fresh!(p, grounds);
        grounds.joins.as_mut_vec()[0].request.incarnation += 1;
    }),
    ("a joiner that one is for", |_, p| {
        fresh!(p, grounds);
        grounds.joins.as_mut_vec()[0].recommends.as_mut_vec().pop();
    }),
    ("a joiner left out", |_, p| {
        p.view.members.pop();
    }),
    ("a joiner's address", |_, p| p.view.members[3].addr.push(1)),
    ("a Relock in the first attempt", |_, p| {
        p.justification = Justification::Relock {
            more: [].into_iter().collect(),
            acks: [].into_iter().collect(),
        };
    }),
];

/// Of a fresh one in a later attempt.
const SPOILT_SECOND: &[Spoil<Proposed>] = &[
    ("too few that go on", |_, p| {
        fresh!(p, more);
        more.as_mut_vec().pop();
    }),
    ("one that goes on elsewhere", |net, p| {
        fresh!(p, more);
        more.as_mut_vec()[2] = more_of(net, 2, 2, None);
    }),
    ("one that is locked", |net, p| {
        fresh!(p, more);
        let lock = Locked { attempt: Attempt::FIRST, next: some_hash(1) };
        more.as_mut_vec()[2] = more_of(net, 2, 1, Some(lock));
    }),
    ("one that has not signed", |_, p| {
        fresh!(p, more);
        break_it(&mut more.as_mut_vec()[2]);
    }),
];

/// Of one that is locked on.
const SPOILT_RELOCK: &[Spoil<Proposed>] = &[
    ("another view", |_, p| p.view.pledge += 1),
    ("too few that go on", |_, p| {
        relocked!(p, more);
        more.as_mut_vec().pop();
    }),
    ("nobody is locked", |net, p| {
        relocked!(p, more);
        *more = (0..3).map(|by| more_of(net, by, 1, None)).collect();
    }),
    ("one that has not signed", |_, p| {
        relocked!(p, more);
        break_it(&mut more.as_mut_vec()[0]);
    }),
    ("too few Acks", |_, p| {
        relocked!(p, acks);
        acks.as_mut_vec().pop();
    }),
    ("an Ack that is not signed", |_, p| {
        relocked!(p, acks);
        break_it(&mut acks.as_mut_vec()[0]);
    }),
    ("an Ack of another view", |net, p| {
        relocked!(p, acks);
        let other = AckNewView { attempt: Attempt::FIRST, next: some_hash(1) };
        acks.as_mut_vec()[1] = say(net, 1, other);
    }),
];

/// Member 2 hears it: who signed it is proven to lie, and nobody is suspected but for whoever handed
/// it over.
fn convicts(net: &mut Net, what: &str, kind: FaultKind, part: Part) {
    let culprit = match &part {
        Part::NewView(m) => m.signed.signer,
        Part::Commit(m) => m.signed.signer,
        _ => panic!("no such part"),
    };
    let mut other = net.groups[2].clone();
    core::mem::swap(&mut other, &mut net.groups[2]);
    net.seen[2] = super::rig::Seen::default();
    let input = super::rig::input(culprit.index(), part).unwrap();
    net.give(2, input);
    net.groups[2] = other;
    let found = net.seen[2].proofs.clone();
    assert_eq!(found.len(), 1, "{what}: {:?}", net.seen[2]);
    assert_eq!((found[0].culprit(), found[0].kind()), (culprit, kind), "{what}");
    assert_eq!(verdict(net, &found[0]), Ok(()), "{what}");
    assert!(net.seen[2].opinions.is_empty(), "{what}");
    let part = Part::Proof(Box::new(found[0].clone()));
    let packet = Packet {
        view: *net.roster.view(),
        haves: [].into_iter().collect(),
        parts: [part].into_iter().collect(),
    };
    assert!(decode(&encode(&packet), 4, false).is_ok(), "{what}: it travels");
}

#[test]
fn every_proposal_that_nothing_justifies_is_a_proof() {
    let cases = [
        (fresh_in_first(), [SPOILT_FRESH, SPOILT_FIRST].concat()),
        (fresh_in_second(), [SPOILT_FRESH, SPOILT_SECOND].concat()),
        (relock(), SPOILT_RELOCK.to_vec()),
    ];
    for ((mut net, good), spoils) in cases {
        let leader = good.signed.signer.index();
        assert_eq!(judged(&net, &good), Err(NotAProof::Valid));
        for (what, spoil) in spoils {
            let mut bad = good.clone();
            spoil(&mut net, &mut bad);
            assert_ne!(bad, good, "{what}");
            // Nobody but the leader can be convicted of what the leader did not sign.
            assert_eq!(judged(&net, &bad), Err(NotAProof::NotBound), "{what}");
            sign_again(&mut net, leader, &mut bad);
            assert_eq!(judged(&net, &bad), Ok(()), "{what}");
            convicts(&mut net, what, FaultKind::InvalidNewView, Part::NewView(Box::new(bad)));
        }
        // Nor is it anybody else's to propose.
        let mut usurped = good;
        sign_again(&mut net, 3, &mut usurped);
        convicts(&mut net, "usurped", FaultKind::InvalidNewView, Part::NewView(Box::new(usurped)));
    }
}

/// The Commit of rank 0 in pattern Paper.
fn commit() -> (Net, Committed) {
    let mut net = Net::with(4, |genesis| genesis.pattern = Pattern::Paper);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    let mut found = None;
    for _ in 0..3 {
        while let Some((from, to, part)) = net.mail.pop_front() {
            if let Part::Commit(message) = part {
                found = Some(*message);
            } else if from != 3
                && to != 3
                && let Some(input) = super::rig::input(from, part)
            {
                net.give(to, input);
            }
        }
        net.tick(&[0, 1, 2]);
    }
    (net, found.expect("a quorum acknowledged"))
}

#[test]
fn every_commit_of_what_no_quorum_acknowledged_is_a_proof() {
    let spoils: &[Spoil<Committed>] = &[
        ("the paper's bad Commit", |_, c| c.signed.statement.next = some_hash(1)),
        ("another attempt", |_, c| c.signed.statement.attempt = Attempt::new(4)),
        ("not the leader", |_, c| c.signed.statement.attempt = Attempt::new(1)),
        ("too few", |_, c| {
            c.acks.as_mut_vec().pop();
        }),
        ("nothing", |_, c| c.acks.as_mut_vec().clear()),
        ("too many", |net, c| {
            let ack = c.acks[0].statement.clone();
            let ack = say(net, 3, ack);
            c.acks.as_mut_vec().push(ack);
        }),
        ("not signed", |_, c| break_it(&mut c.acks.as_mut_vec()[2])),
        ("for another view", |net, c| {
            let other = AckNewView { next: some_hash(1), ..c.acks[1].statement };
            c.acks.as_mut_vec()[1] = say(net, 1, other);
        }),
    ];
    let (mut net, good) = commit();
    let judged = |net: &Net, commit: &Committed| {
        verdict(net, &proof(net, Invalid::Commit(Box::new(commit.clone()))))
    };
    assert_eq!(judged(&net, &good), Err(NotAProof::Valid));
    for (what, spoil) in spoils {
        let mut bad = good.clone();
        spoil(&mut net, &mut bad);
        assert_ne!(judged(&net, &bad), Ok(()), "{what}");
        let said = Commit { acks: acks_hash(&bad.acks), ..bad.signed.statement };
        bad.signed = say(&mut net, 0, said);
        assert_eq!(judged(&net, &bad), Ok(()), "{what}");
        convicts(&mut net, what, FaultKind::InvalidCommit, Part::Commit(Box::new(bad)));
    }
    // A leader's Commit with other Acks attached is nothing, and the fault of who did that.
    let mut mangled = good;
    mangled.acks.as_mut_vec().pop();
    assert_eq!(judged(&net, &mangled), Err(NotAProof::NotBound));
    net.seen[2] = super::rig::Seen::default();
    net.give(2, In::Commit(Box::new(mangled)));
    assert!(net.seen[2].proofs.is_empty());
    assert_eq!((net.seen[2].misbehaved, net.seen[2].opinions.len()), (1, 0));
}

/// What a member does not acknowledge because of something that it alone knows is valid for all.
#[test]
fn what_one_member_has_something_against_is_no_proof() {
    let (mut net, good) = fresh_in_first();
    // Here there is evidence against one that is kept (R8).
    net.suspect(&[0, 1, 3], 2, &[1]);
    net.mail.clear();
    net.give(1, In::NewView(Box::new(good.clone())));
    let acks = net.mail.iter().filter(|(.., part)| matches!(part, Part::Ack(_))).count();
    assert_eq!((acks, net.seen[1].proofs.len(), net.seen[1].misbehaved), (0, 0, 0));
    assert!(net.seen[1].opinions.is_empty());
    assert_eq!(judged(&net, &good), Err(NotAProof::Valid));
    // Another view, group or record is another case.
    let case = proof(&net, Invalid::NewView(Box::new(good)));
    let other = Net::with(4, |genesis| genesis.pledge = Some(0));
    let verdict = case.verify(&other.genesis, &net.view, &net.roster);
    assert_eq!(verdict, Err(NotAProof::OtherView));
    let verdict = case.verify(&net.genesis, &other.view, &net.roster);
    assert_eq!(verdict, Err(NotAProof::OtherView));
    let verdict = case.verify(&other.genesis, &other.view, &other.roster);
    assert_eq!(verdict, Err(NotAProof::OtherView));
}

/// Evidence of both kinds, good and bad.
fn cases() -> (Net, Vec<Proof>) {
    let (net, valid) = fresh_in_first();
    let (mut second, mut bad) = relock();
    bad.view.pledge += 1;
    sign_again(&mut second, 1, &mut bad);
    let (mut third, good) = commit();
    let said = Commit { next: some_hash(1), ..good.signed.statement.clone() };
    let worse = Committed { signed: say(&mut third, 0, said), ..good };
    let mut all = alloc::vec![proof(&net, Invalid::NewView(Box::new(valid)))];
    assert_eq!(net.roster.view(), second.roster.view());
    all.push(proof(&net, Invalid::NewView(Box::new(bad))));
    // That of another pattern, so of another group.
    all.push(proof(&third, Invalid::Commit(Box::new(worse))));
    (net, all)
}

/// Whoever passes evidence on can change nothing in it: what was valid stays so.
#[test]
fn no_flipped_bit_convicts() {
    let (net, all) = cases();
    assert_eq!(verdict(&net, &all[1]), Ok(()));
    for case in &all {
        let bytes = case.to_bytes();
        // Every bit of the statement, and some of what is attached.
        for at in (0..bytes.len() * 8).filter(|at| *at < 2_400 || at % 61 == 0) {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let Some(altered) = Proof::from_bytes(&flipped) else { continue };
            let verdict = altered.verify(&net.genesis, &net.view, &net.roster);
            assert!(verdict.is_err(), "bit {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bytes convict nobody, and stop nobody.
    #[test]
    fn random_bytes_convict_nobody(which in 0_usize..3, from: usize, junk: Vec<u8>) {
        let (net, all) = cases();
        let good = all[which].to_bytes();
        let mut bytes = good.clone();
        let from = from % bytes.len();
        for (place, byte) in bytes.iter_mut().skip(from).zip(&junk) {
            *place = *byte;
        }
        for bytes in [bytes, junk] {
            if let Some(proof) = Proof::from_bytes(&bytes).filter(|_| bytes != good) {
                prop_assert!(proof.verify(&net.genesis, &net.view, &net.roster).is_err());
            }
        }
    }
}

/// Two proposals of one attempt meet although neither is agreed on: an Ack says who holds another.
#[test]
fn two_proposals_to_two_halves_meet_without_a_quorum_for_either() {
    let (mut net, one) = fresh_in_first();
    let mut leader = net.groups[0].clone();
    for by in [0, 1, 3] {
        assert!(leader.evidence.suspect(&net.suspicion(by, 2)));
    }
    let records = leader.flushes.values().flatten();
    let flushes: Vec<_> = records
        .filter_map(|record| Some((record.flush.clone(), record.certificates.clone()?)))
        .collect();
    let basis = super::super::Basis { view: &net.view, genesis: &net.genesis };
    let (view, justification) =
        super::super::justify::fresh(basis, &flushes, &leader.evidence, &[]);
    let mut other = Proposed { view, justification, ..one.clone() };
    sign_again(&mut net, 0, &mut other);
    assert_eq!(judged(&net, &other), Err(NotAProof::Valid));
    assert_ne!(one.view, other.view);
    net.mail.clear();
    net.give(1, In::NewView(Box::new(one)));
    net.give(2, In::NewView(Box::new(other)));
    net.settle(&|from, to, _| [1, 2].contains(&from) && [1, 2].contains(&to));
    for member in [1, 2] {
        let kinds: Vec<_> =
            net.seen[member].proofs.iter().map(|p| (p.culprit(), p.kind())).collect();
        assert_eq!(kinds, [(Rank::new(0), FaultKind::TwoNewViews)], "{member}");
        assert_eq!(net.seen[member].misbehaved, 0);
    }
}
