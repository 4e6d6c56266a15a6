//! A signature counts for what it was made for and for nothing else; a certificate is exactly a
//! quorum of linked, distinct, good signatures.

use alloc::vec::Vec;

use super::*;
use crate::member::Rank;
use crate::quorum::QuorumRule;
use crate::rig::{Rig, genesis_of, identity, links, some_hash};
use crate::seq::{Attempt, LogEnd, Number};
use crate::wire::List;

macro_rules! any {
    ($($name:ident)*) => {
        /// A statement of any kind that a member signs.
        #[derive(Clone, Debug, PartialEq)]
        enum Any {
            $($name($name),)*
        }

        impl Any {
            fn fields(&self) -> Vec<u8> {
                let mut out = Vec::new();
                match self {
                    $(Self::$name(statement) => statement.fields(&mut out),)*
                }
                out
            }

            fn sign(&self, door: &mut Door, roster: &Roster, me: Rank) -> Signature {
                match self {
                    $(Self::$name(said) => door.sign(roster, me, said.clone()).signed().signature,)*
                }
            }

            /// What a door, and the offline check, say of this signature.
            fn verifies(
                &self,
                door: &mut Door,
                roster: &Roster,
                signer: Rank,
                by: &Signature,
            ) -> bool {
                match self {
                    $(Self::$name(statement) => check(statement, door, roster, signer, *by),)*
                }
            }
        }
    };
}

any! {
    Heads Stable Suspect Recommend Leave Flush NeedMoreChange NewView AckNewView Commit
    ReadyToSwitch Installed Snapshot
}

fn check<S: Statement + Clone>(
    statement: &S,
    door: &mut Door,
    roster: &Roster,
    signer: Rank,
    signature: Signature,
) -> bool {
    let signed = Signed { signer, statement: statement.clone(), signature };
    let offline = roster.verifies(&signed);
    assert_eq!(door.verify(roster, signed).is_ok(), offline, "two verdicts");
    offline
}

fn head(sender: u16, number: u64, byte: u8) -> Head {
    Head { sender: Rank::new(sender), number: Number::new(number), hash: some_hash(byte) }
}

/// Heads and a Stable row whose fields are the same bytes: only the kind tells them apart.
fn twins() -> (Any, Any) {
    let haves = 20;
    let first = head(haves, 0, 1);
    let heads = Heads { entries: (0..4).map(|i| head(20 + i, 0, 1)).collect() };
    assert_eq!(first, heads.entries[0]);
    let mut bytes = Vec::new();
    heads.fields(&mut bytes);
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    let have = words[2..].iter().copied().map(Number::new).collect();
    let stable = Stable { counter: words[0], have };
    (Any::Heads(heads), Any::Stable(stable))
}

fn statements() -> Vec<Any> {
    let (heads, stable) = twins();
    assert_eq!(heads.fields(), stable.fields(), "twins");
    let suspect = |subject, reason, byte| {
        Any::Suspect(Suspect { subject: Rank::new(subject), reason, proof: some_hash(byte) })
    };
    alloc::vec![
        heads,
        stable,
        Any::Heads(Heads { entries: [head(0, 1, 1)].into_iter().collect() }),
        Any::Heads(Heads { entries: [head(0, 2, 1)].into_iter().collect() }),
        Any::Heads(Heads { entries: [head(1, 1, 1)].into_iter().collect() }),
        Any::Heads(Heads { entries: [head(0, 1, 1), head(1, 1, 1)].into_iter().collect() }),
        Any::Stable(Stable { counter: 1, have: [Number::ZERO; 3].into_iter().collect() }),
        Any::Stable(Stable { counter: 2, have: [Number::ZERO; 3].into_iter().collect() }),
        Any::Stable(Stable { counter: 1, have: [Number::ZERO; 2].into_iter().collect() }),
        suspect(1, Reason::Mute, 0),
        suspect(2, Reason::Mute, 0),
        suspect(1, Reason::Lagging, 0),
        suspect(1, Reason::Mute, 1),
    ]
    .into_iter()
    .chain(of_a_change())
    .collect()
}

/// Some of them have the same fields: only the kind tells them apart.
fn of_a_change() -> Vec<Any> {
    let (attempt, next) = (Attempt::new(1), some_hash(1));
    let end = LogEnd { number: Number::new(1), hash: some_hash(1) };
    let flush = |changes: &[Change]| {
        let ends = [end, LogEnd::EMPTY].into_iter().collect();
        Any::Flush(Flush { ends, changes: changes.iter().copied().collect() })
    };
    let rank = Rank::new(1);
    alloc::vec![
        Any::Recommend(Recommend { request: next }),
        Any::Installed(Installed { prev: next }),
        Any::Leave(Leave),
        flush(&[]),
        flush(&[Change::Proven(rank)]),
        flush(&[Change::Suspected(rank)]),
        flush(&[Change::Leaves(rank)]),
        flush(&[Change::Joins(PublicKey(next.0), 0)]),
        Any::NeedMoreChange(NeedMoreChange { attempt, lock: None }),
        Any::NeedMoreChange(NeedMoreChange { attempt, lock: Some(Locked { attempt, next }) }),
        Any::NewView(NewView { attempt, next, justification: next }),
        Any::Commit(Commit { attempt, next, acks: next }),
        Any::AckNewView(AckNewView { attempt, next }),
        Any::AckNewView(AckNewView { attempt: Attempt::new(2), next }),
        Any::AckNewView(AckNewView { attempt, next: some_hash(2) }),
        Any::ReadyToSwitch(ReadyToSwitch { attempt, next }),
        Any::Snapshot(Snapshot { joiner: PublicKey([1; 32]), root: next, length: 1 }),
        Any::Snapshot(Snapshot { joiner: PublicKey([1; 32]), root: next, length: 2 }),
    ]
}

#[test]
fn a_join_request_counts_for_its_key_its_view_and_what_it_says() {
    let mut rig = Rig::new(2);
    let request = rig.doors[1].ask_to_join(&rig.roster, 3, alloc::vec![7, 8]);
    let elsewhere = Rig::new(3);
    let door = &mut rig.doors[0];
    assert!(door.verifies_join(&rig.roster, &request));
    assert!(door.verifies_join(&rig.roster, &request), "the verdict is kept");
    assert!(!door.verifies_join(&elsewhere.roster, &request), "another view");
    let changed = |change: fn(&mut JoinRequest)| {
        let mut changed = request.clone();
        change(&mut changed);
        changed
    };
    let others = [
        changed(|request| request.incarnation += 1),
        changed(|request| request.addr.0.push(0)),
        changed(|request| request.key = *identity(0).public_key()),
        changed(|request| request.key = PublicKey([0xff; 32])),
        changed(|request| request.signature.0[3] ^= 1),
    ];
    for other in others {
        assert!(!door.verifies_join(&rig.roster, &other), "{other:?}");
    }
}

/// The signed bytes, spelt out: changing them makes every old signature worthless.
#[test]
fn golden_signed_bytes() {
    let (group, view) = (some_hash(0x11), some_hash(0x22));
    let message = |kind: u8, fields: &[u8]| {
        [b"phalanx/1", &[kind][..], &[0x11; 32], &[0x22; 32], fields].concat()
    };
    let mut out = Vec::new();
    let heads =
        Heads { entries: [head(1, 2, 0xaa), head(3, 0x0102_0304, 0xbb)].into_iter().collect() };
    Signed::message(&heads, &group, &view, &mut out);
    let fields: [&[u8]; 7] = [
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[0xaa; 32],
        &[3, 0],
        &[4, 3, 2, 1, 0, 0, 0, 0],
        &[0xbb; 32],
    ];
    assert_eq!(out, message(1, &fields.concat()));
    let have = [Number::new(5), Number::new(6)].into_iter().collect();
    Signed::message(&Stable { counter: 9, have }, &group, &view, &mut out);
    let fields = [9, 2, 5, 6].map(u64::to_le_bytes).concat();
    assert_eq!(out, message(2, &fields));
    let suspect =
        Suspect { subject: Rank::new(2), reason: Reason::Application, proof: some_hash(0xcc) };
    Signed::message(&suspect, &group, &view, &mut out);
    assert_eq!(out, message(3, &[&[2, 0, 5], &[0xcc; 32][..]].concat()));
    let reasons = [
        Reason::Proof,
        Reason::Mute,
        Reason::Lagging,
        Reason::ImpedingOrder,
        Reason::BadBytes,
        Reason::Application,
    ];
    assert_eq!(reasons.map(|reason| reason as u8), [0, 1, 2, 3, 4, 5]);
}

/// Signs every statement in every group and view by every signer and tries each signature as
/// every other.
fn all_pairs(identities: fn(u8) -> Identity) {
    let keys = |suite| {
        let key = |i| Key::decode(suite, identities(i).public_key()).unwrap();
        PerRank::from_vec((0..2).map(key).collect())
    };
    let suite = identities(0).suite();
    let quorum = Quorum::of(2, QuorumRule::Sound);
    // A group whose id is another's view id, and the other way round, are among them.
    let rosters: Vec<Roster> = [(1, 2), (1, 1), (2, 1), (2, 2)]
        .map(|(group, view)| Roster::new(some_hash(group), some_hash(view), keys(suite), quorum))
        .into();
    let mut uses = Vec::new();
    for (r, roster) in rosters.iter().enumerate() {
        for signer in 0..2_u16 {
            let me = Rank::new(signer);
            let mut door = Door::new(identities(u8::try_from(signer).unwrap()));
            for statement in statements() {
                let signature = statement.sign(&mut door, roster, me);
                uses.push((r, me, statement, signature));
            }
        }
    }
    // One door sees everything, so that a verdict kept for one use would show in another.
    let mut door = Door::new(identities(0));
    let mut good = 0;
    for (r, signer, statement, signature) in &uses {
        for (as_r, as_signer, as_statement, _) in &uses {
            let is_same = (r, signer, statement) == (as_r, as_signer, as_statement);
            let verdict = as_statement.verifies(&mut door, &rosters[*as_r], *as_signer, signature);
            assert_eq!(verdict, is_same, "{statement:?} of {signer} as {as_statement:?}");
            good += usize::from(verdict);
        }
    }
    assert_eq!(good, uses.len());
    let outsider = Rank::new(2);
    let (_, _, statement, signature) = &uses[0];
    assert!(!statement.verifies(&mut door, &rosters[0], outsider, signature), "no such rank");
}

#[test]
fn a_signature_for_one_thing_is_refused_as_any_other() {
    all_pairs(identity);
}

#[cfg(feature = "insecure-study")]
#[test]
fn a_dummy_signature_for_one_thing_is_refused_as_any_other() {
    all_pairs(|i| Identity::dummy([i; 32], Oracle([9; 32])));
}

#[cfg(feature = "insecure-study")]
#[test]
fn dummy_signatures_are_worth_what_their_secret_is_worth() {
    let oracle = Oracle([9; 32]);
    let statement = Any::Stable(Stable { counter: 1, have: List::new() });
    let roster = |oracle| {
        let key = Key::decode(Suite::Dummy(oracle), Identity::dummy([1; 32], oracle).public_key());
        let keys = PerRank::from_vec(alloc::vec![key.unwrap()]);
        Roster::new(some_hash(1), some_hash(2), keys, Quorum::of(1, QuorumRule::Sound))
    };
    let forge = |secret| {
        let mut forger = Door::new(Identity::dummy([1; 32], secret));
        let signature = statement.sign(&mut forger, &roster(secret), Rank::new(0));
        let mut door = Door::new(Identity::dummy([2; 32], oracle));
        statement.verifies(&mut door, &roster(oracle), Rank::new(0), &signature)
    };
    assert!(forge(oracle), "who knows the secret forges at will");
    assert!(!forge(Oracle([0; 32])), "who does not, cannot");
    let a = Identity::dummy([1; 32], oracle);
    let b = Identity::dummy([2; 32], oracle);
    let key = |identity: &Identity| Key::decode(identity.suite(), identity.public_key()).unwrap();
    assert_eq!(a.agree(&key(&b)), b.agree(&key(&a)));
    assert_ne!(a.agree(&key(&b)), a.agree(&key(&a)));
}

#[test]
fn a_good_signature_is_checked_once_and_a_bad_one_each_time() {
    let mut rig = Rig::new(2);
    let row = rig.row(0, 1, &[0, 0]);
    let door = &mut rig.doors[1];
    for _ in 0..3 {
        assert!(door.verify(&rig.roster, row.clone()).is_ok());
    }
    let mut bad = row.clone();
    bad.signature.0[0] ^= 1;
    for _ in 0..3 {
        assert_eq!(
            door.verify(&rig.roster, bad.clone()).unwrap_err(),
            BadSignature { signer: Rank::new(0) }
        );
    }
    let expected = CryptoCounters {
        verifications: 1 + 3,
        verdicts_reused: 2,
        bad_signatures: 3,
        ..CryptoCounters::default()
    };
    assert_eq!(*door.counters(), expected);
    // A verdict is of signer, statement and signature together.
    let mut other = row.clone();
    other.statement.counter = 2;
    assert!(rig.doors[1].verify(&rig.roster, other).is_err());
    // One's own signatures are not checked at all.
    assert!(rig.doors[0].verify(&rig.roster, row).is_ok());
    let own = rig.doors[0].counters();
    assert_eq!((own.signatures, own.verifications, own.verdicts_reused), (1, 0, 1));
}

#[test]
fn the_verdicts_kept_are_bounded_and_forgetting_one_only_costs_work() {
    let mut rig = Rig::new(1);
    let first = rig.row(0, 0, &[0]);
    let limit = (VERDICTS_PER_MEMBER * MEMBERS_MAX) as u64;
    for counter in 1..=limit {
        rig.row(0, counter, &[0]);
    }
    assert!(rig.doors[0].verify(&rig.roster, first).is_ok());
    assert_eq!(rig.doors[0].counters().verifications, 1, "the first was forgotten");
}

/// A log of four bodies of rank 0 in a group of four, and who vouches how far.
struct Case {
    rig: Rig,
    chain: Vec<Head>,
    certificate: Certificate,
}

const CASTS: [&str; 4] = ["a", "b", "c", "d"];

/// A certificate for body 2: rank 0 vouches for body 2, rank 1 for body 3, rank 2 for body 4.
fn case() -> Case {
    let mut rig = Rig::new(4);
    let chain = rig.chain(0, &CASTS);
    let heads = (0..3).map(|i| rig.signed_heads(i, &[chain[usize::from(i) + 2]])).collect();
    let links = links(&CASTS[2..]).into();
    let certificate = Certificate { head: chain[2], heads, links };
    Case { rig, chain, certificate }
}

impl Case {
    fn certify(&mut self) -> Result<Head, CertificateError> {
        let certificate = self.certificate.clone();
        let certified = self.rig.doors[3].certify(&self.rig.roster, certificate)?;
        assert_eq!(certified.heads().len(), 3);
        Ok(certified.head())
    }
}

#[test]
fn a_quorum_that_vouches_at_or_above_the_head_certifies_it() {
    let mut case = case();
    assert_eq!(case.certify(), Ok(case.chain[2]));
    let counters = *case.rig.doors[3].counters();
    assert_eq!((counters.verifications, counters.hashes), (3, 2), "each link is hashed once");
    assert_eq!(case.certify(), Ok(case.chain[2]));
    assert_eq!(case.rig.doors[3].counters().verifications, 3, "and each signature checked once");
}

#[test]
fn entries_of_other_logs_do_not_matter() {
    let mut case = case();
    let both = [case.chain[4], head(1, 7, 7)];
    case.certificate.heads.as_mut_vec()[2] = case.rig.signed_heads(3, &both);
    assert_eq!(case.certify(), Ok(case.chain[2]));
}

#[test]
fn a_certificate_has_one_form() {
    let mut turned = case();
    turned.certificate.heads.as_mut_vec().reverse();
    assert_eq!(turned.certify(), Err(CertificateError::NotCanonical), "signers ascend");
    let mut junk = case();
    junk.certificate.links.as_mut_vec().extend(links(&["no such body"]));
    assert_eq!(junk.certify(), Err(CertificateError::NotCanonical), "nobody vouches for the last");
    let mut long = case();
    long.certificate.heads.as_mut_vec()[2] = long.rig.signed_heads(2, &[long.chain[3]]);
    assert_eq!(long.certify(), Err(CertificateError::NotCanonical), "nor for a true one");
}

#[test]
fn anything_but_exactly_a_quorum_is_refused() {
    let mut short = case();
    short.certificate.heads.as_mut_vec().pop();
    assert_eq!(short.certify(), Err(CertificateError::NotAQuorum));
    let mut padded = case();
    let fourth = padded.rig.signed_heads(3, &[padded.chain[2]]);
    padded.certificate.heads.as_mut_vec().push(fourth);
    assert_eq!(padded.certify(), Err(CertificateError::NotAQuorum));
    let mut empty = case();
    empty.certificate.heads = List::new();
    assert_eq!(empty.certify(), Err(CertificateError::NotAQuorum));
    let mut duplicate = case();
    // The same member with another, equally good statement.
    duplicate.certificate.heads.as_mut_vec()[2] =
        duplicate.rig.signed_heads(1, &[duplicate.chain[4]]);
    assert_eq!(duplicate.certify(), Err(CertificateError::DuplicateSigner(Rank::new(1))));
}

#[test]
fn foreign_signers_and_foreign_signatures_are_refused() {
    let mut foreign = case();
    foreign.certificate.heads.as_mut_vec()[2].signer = Rank::new(4);
    let bad = |signer| CertificateError::BadSignature(BadSignature { signer: Rank::new(signer) });
    assert_eq!(foreign.certify(), Err(bad(4)), "no such rank");
    let mut borrowed = case();
    borrowed.certificate.heads.as_mut_vec()[2].signer = Rank::new(3);
    assert_eq!(borrowed.certify(), Err(bad(3)), "the signature of another");
    let mut forged = case();
    forged.certificate.heads.as_mut_vec()[0].signature.0[40] ^= 1;
    assert_eq!(forged.certify(), Err(bad(0)));
    // The same members in another group: the same heads, signed for another view.
    let mut other = case();
    let mut genesis = genesis_of((0..4).map(identity));
    genesis.name = "other".into();
    let roster = genesis.view().roster(Suite::Ed25519).unwrap();
    let statement = Heads { entries: [other.chain[4]].into_iter().collect() };
    let signed = other.rig.doors[2].sign(&roster, Rank::new(2), statement);
    other.certificate.heads.as_mut_vec()[2] = Signed::clone(signed.signed());
    assert_eq!(other.certify(), Err(bad(2)), "signed in another view");
}

#[test]
fn a_statement_that_does_not_link_to_the_head_is_refused() {
    let not_linked = |signer| Err(CertificateError::NotLinked(Rank::new(signer)));
    let mut below = case();
    below.certificate.heads.as_mut_vec()[0] = below.rig.signed_heads(0, &[below.chain[1]]);
    assert_eq!(below.certify(), not_linked(0), "below the head");
    let mut silent = case();
    silent.certificate.heads.as_mut_vec()[0] = silent.rig.signed_heads(0, &[head(1, 2, 1)]);
    assert_eq!(silent.certify(), not_linked(0), "about another log");
    let mut cut = case();
    cut.certificate.links.as_mut_vec().pop();
    assert_eq!(cut.certify(), not_linked(2), "the links do not reach its entry");
    let mut bent = case();
    bent.certificate.links.as_mut_vec()[1].casts = sha256(b"x");
    assert_eq!(bent.certify(), not_linked(2), "the links lead elsewhere");
    let mut slot = case();
    slot.certificate.links.as_mut_vec()[0].slot = crate::SlotMark::Null(crate::Round::ZERO);
    assert_eq!(slot.certify(), not_linked(1), "a link says something else of a slot");
    let mut branch = case();
    let fork = branch.rig.chain(0, &["a", "b", "c", "x"]);
    branch.certificate.heads.as_mut_vec()[2] = branch.rig.signed_heads(2, &[fork[4]]);
    assert_eq!(branch.certify(), not_linked(2), "on another branch");
    let mut moved = case();
    moved.certificate.head = moved.chain[1];
    assert_eq!(moved.certify(), not_linked(0), "the links start elsewhere");
    let mut renamed = case();
    renamed.certificate.head.sender = Rank::new(1);
    assert_eq!(renamed.certify(), not_linked(0), "as if it were another's log");
    let mut far = case();
    far.certificate.head.number = Number::new(u64::MAX);
    assert_eq!(far.certify(), not_linked(0), "at the end of numbers");
}

#[test]
fn the_shape_is_checked_before_any_signature() {
    let mut case = case();
    case.certificate.links = List::new();
    case.certify().unwrap_err();
    assert_eq!(case.rig.doors[3].counters().verifications, 0);
}

#[test]
fn a_group_of_one_certifies_by_itself() {
    let mut rig = Rig::new(1);
    let chain = rig.chain(0, &["a"]);
    let heads = [rig.signed_heads(0, &[chain[1]])].into_iter().collect();
    let certificate = Certificate { head: chain[1], heads, links: List::new() };
    assert!(rig.doors[0].certify(&rig.roster, certificate).is_ok());
}
