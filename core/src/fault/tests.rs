//! Every kind of evidence convicts, nothing altered does, and nothing that a correct member signs.

use super::*;
use crate::rig::{Rig, links, some_hash};

fn proof(rig: &Rig, evidence: Evidence) -> Proof {
    Proof { view: *rig.roster.view(), evidence }
}

fn head(sender: u16, number: u64, byte: u8) -> Head {
    Head { sender: Rank::new(sender), number: Number::new(number), hash: some_hash(byte) }
}

fn two_heads(rig: &mut Rig, signer: u16, sender: u16) -> Proof {
    let others = head(3, 9, 9);
    let first = rig.signed_heads(signer, &[head(sender, 5, 1), others]);
    let second = rig.signed_heads(signer, &[head(sender, 5, 2)]);
    proof(rig, Evidence::TwoHeads { sender: Rank::new(sender), first, second })
}

/// Rank 1 says that its log is a, b, c and that it is a, x.
fn forked_log(rig: &mut Rig) -> Proof {
    let chain = rig.chain(1, &["a", "b", "c"]);
    let fork = rig.chain(1, &["a", "x"]);
    let first = rig.signed_heads(1, &[chain[3]]);
    let second = rig.signed_heads(1, &[fork[2]]);
    proof(
        rig,
        Evidence::ForkedLog {
            base: chain[1].number,
            base_hash: chain[1].hash,
            first,
            first_links: links(&["b", "c"]).into(),
            second,
            second_links: links(&["x"]).into(),
        },
    )
}

fn two_rows(rig: &mut Rig, first: (u64, &[u64]), second: (u64, &[u64])) -> Proof {
    let first = rig.row(2, first.0, first.1);
    let second = rig.row(2, second.0, second.1);
    proof(rig, Evidence::TwoRows { first, second })
}

fn all_kinds(rig: &mut Rig) -> [(Proof, FaultKind, u16); 5] {
    [
        (two_heads(rig, 1, 1), FaultKind::MutantMessage, 1),
        (two_heads(rig, 1, 2), FaultKind::TwoReplies, 1),
        (forked_log(rig), FaultKind::MutantMessage, 1),
        (two_rows(rig, (3, &[1, 1, 1, 1]), (3, &[1, 1, 1, 2])), FaultKind::TwoRows, 2),
        (two_rows(rig, (3, &[1, 1, 1, 2]), (4, &[9, 9, 9, 1])), FaultKind::TwoRows, 2),
    ]
}

#[test]
fn each_kind_of_evidence_convicts_its_signer() {
    let mut rig = Rig::new(4);
    for (proof, kind, culprit) in all_kinds(&mut rig) {
        assert_eq!(proof.verify_pair(&rig.roster), Ok(()), "{kind:?}");
        assert_eq!((proof.kind(), proof.culprit()), (kind, Rank::new(culprit)));
    }
}

#[test]
fn a_proof_survives_its_bytes_and_its_hash_names_them() {
    let mut rig = Rig::new(4);
    let proofs = all_kinds(&mut rig);
    for (proof, kind, _) in &proofs {
        let bytes = proof.to_bytes();
        assert_eq!(Proof::from_bytes(&bytes).as_ref(), Some(proof));
        let mut long = bytes.clone();
        long.push(0);
        assert_eq!(Proof::from_bytes(&long), None, "{kind:?} with a byte left over");
        for cut in 0..bytes.len() {
            assert_eq!(Proof::from_bytes(&bytes[..cut]), None, "{kind:?} cut at {cut}");
        }
        assert_eq!(proofs.iter().filter(|(other, ..)| other.hash() == proof.hash()).count(), 1);
    }
}

/// Who accuses cannot help itself by a bit: a changed proof does not verify.
#[test]
fn no_flipped_bit_leaves_a_proof() {
    let mut rig = Rig::new(4);
    for (proof, kind, _) in all_kinds(&mut rig) {
        let bytes = proof.to_bytes();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let Some(altered) = Proof::from_bytes(&flipped) else { continue };
            // Neither which entry of two convicts nor what the proof calls itself is signed: it may
            // be changed only so that the statements still contradict each other, and these do not.
            assert!(altered.verify_pair(&rig.roster).is_err(), "{kind:?}, bit {at}");
        }
    }
}

#[test]
fn evidence_of_another_view_or_group_is_none() {
    let mut rig = Rig::new(4);
    let elsewhere = Rig::new(5);
    for (mut proof, kind, _) in all_kinds(&mut rig) {
        assert_eq!(proof.verify_pair(&elsewhere.roster), Err(NotAProof::OtherView), "{kind:?}");
        proof.view = *elsewhere.roster.view();
        let refused = proof.verify_pair(&elsewhere.roster);
        assert!(refused.is_err(), "{kind:?}: the signatures are bound to the view");
    }
}

#[test]
fn two_signers_never_make_a_proof() {
    let mut rig = Rig::new(4);
    for (mut proof, kind, _) in all_kinds(&mut rig) {
        match &mut proof.evidence {
            Evidence::TwoFaced(_) | Evidence::Invalid(_) => unreachable!("elsewhere"),
            Evidence::TwoHeads { second, .. } | Evidence::ForkedLog { second, .. } => {
                let entries = second.statement.entries.to_vec();
                *second = rig.signed_heads(0, &entries);
            }
            Evidence::TwoRows { second, .. } => {
                let have: alloc::vec::Vec<_> =
                    second.statement.have.iter().map(|number| number.value()).collect();
                *second = rig.row(0, second.statement.counter, &have);
            }
        }
        assert_eq!(proof.verify_pair(&rig.roster), Err(NotAProof::NoContradiction), "{kind:?}");
        // Nor does putting one name under both statements.
        match &mut proof.evidence {
            Evidence::TwoFaced(_) | Evidence::Invalid(_) => unreachable!("elsewhere"),
            Evidence::TwoHeads { first, second, .. }
            | Evidence::ForkedLog { first, second, .. } => second.signer = first.signer,
            Evidence::TwoRows { first, second } => second.signer = first.signer,
        }
        assert_eq!(proof.verify_pair(&rig.roster), Err(NotAProof::BadSignature), "{kind:?}");
    }
}

#[test]
fn ranks_and_lists_that_the_view_does_not_allow_are_refused() {
    let mut rig = Rig::new(4);
    let illegal = |rig: &Rig, evidence| {
        let verdict = proof(rig, evidence).verify_pair(&rig.roster);
        assert_eq!(verdict, Err(NotAProof::Illegal));
    };
    let good = rig.signed_heads(1, &[head(1, 5, 1)]);
    for bad in [
        rig.signed_heads(1, &[head(1, 5, 2), head(1, 5, 3)]), // one sender twice
        rig.signed_heads(1, &[head(1, 5, 2), head(0, 5, 3)]), // out of order
        rig.signed_heads(1, &[head(1, 5, 2), head(4, 5, 3)]), // no such sender
        rig.signed_heads(1, &[head(1, 0, 2)]),                // no such body
        rig.signed_heads(1, &[]),                             // nothing
        Signed { signer: Rank::new(4), ..good.clone() },      // no such signer
    ] {
        let (first, second) = (good.clone(), bad);
        illegal(&rig, Evidence::TwoHeads { sender: Rank::new(1), first, second });
    }
    let (first, second) = (good.clone(), good);
    illegal(&rig, Evidence::TwoHeads { sender: Rank::new(4), first, second });
    let first = rig.row(2, 3, &[1, 1, 1, 1]);
    for have in [&[1, 1, 1][..], &[1, 1, 1, 1, 1]] {
        let second = rig.row(2, 3, have);
        illegal(&rig, Evidence::TwoRows { first: first.clone(), second });
    }
}

#[test]
fn what_a_correct_member_signs_is_no_proof() {
    let mut rig = Rig::new(4);
    let innocent = |rig: &Rig, evidence| {
        let verdict = proof(rig, evidence).verify_pair(&rig.roster);
        assert_eq!(verdict, Err(NotAProof::NoContradiction));
    };
    let sender = Rank::new(1);
    let two = |first, second| Evidence::TwoHeads { sender, first, second };
    let at = |rig: &mut Rig, entries: &[Head]| rig.signed_heads(0, entries);
    let five = at(&mut rig, &[head(1, 5, 1)]);
    innocent(&rig, two(five.clone(), five.clone()));
    let six = at(&mut rig, &[head(1, 6, 2)]);
    innocent(&rig, two(five.clone(), six));
    let other_log = at(&mut rig, &[head(2, 5, 2)]);
    innocent(&rig, two(five.clone(), other_log));
    let repeated = at(&mut rig, &[head(1, 5, 1), head(2, 1, 7)]);
    innocent(&rig, two(five, repeated));
    for (first, second) in [
        ((3, &[1, 1, 1, 1]), (3, &[1, 1, 1, 1])), // said again
        ((3, &[1, 1, 1, 1]), (4, &[1, 1, 1, 1])), // nothing new
        ((3, &[1, 1, 1, 1]), (4, &[1, 2, 1, 1])), // risen
        ((4, &[1, 1, 1, 1]), (3, &[1, 2, 1, 1])), // the two given in the wrong order
    ] {
        let proof = two_rows(&mut rig, (first.0, first.1), (second.0, second.1));
        assert_eq!(proof.verify_pair(&rig.roster), Err(NotAProof::NoContradiction));
    }
}

/// A correct member replies on the branch it saw first and, once the other is certified, moves to
/// it: replies on two branches, at different numbers, are legal.
#[test]
fn replies_of_one_member_on_two_branches_are_no_proof() {
    let mut rig = Rig::new(4);
    let chain = rig.chain(1, &["a", "b"]);
    let fork = rig.chain(1, &["a", "x", "y"]);
    let first = rig.signed_heads(0, &[chain[2]]);
    let second = rig.signed_heads(0, &[fork[3]]);
    let evidence =
        Evidence::TwoHeads { sender: Rank::new(1), first: first.clone(), second: second.clone() };
    assert_eq!(proof(&rig, evidence).verify_pair(&rig.roster), Err(NotAProof::NoContradiction));
    let evidence = Evidence::ForkedLog {
        base: chain[1].number,
        base_hash: chain[1].hash,
        first,
        first_links: links(&["b"]).into(),
        second,
        second_links: links(&["x", "y"]).into(),
    };
    let verdict = proof(&rig, evidence).verify_pair(&rig.roster);
    assert_eq!(verdict, Err(NotAProof::NoContradiction), "it is not its own log");
}

#[test]
fn a_log_that_only_grows_is_no_fork() {
    let mut rig = Rig::new(4);
    let chain = rig.chain(1, &["a", "b", "c"]);
    let first = rig.signed_heads(1, &[chain[2]]);
    let second = rig.signed_heads(1, &[chain[3]]);
    let fork = |base: usize, first_links: &[&str], second_links: &[&str]| Evidence::ForkedLog {
        base: chain[base].number,
        base_hash: chain[base].hash,
        first: first.clone(),
        first_links: links(first_links).into(),
        second: second.clone(),
        second_links: links(second_links).into(),
    };
    for evidence in [
        fork(1, &["b"], &["b", "c"]), // one log, longer
        fork(2, &[], &["c"]),         // no step to compare
        fork(1, &["x"], &["b", "c"]), // the first does not lead to what was signed
        fork(1, &["b"], &["x", "c"]), // the second does not
        fork(0, &["b"], &["b", "c"]), // from the wrong place
    ] {
        let verdict = proof(&rig, evidence).verify_pair(&rig.roster);
        assert_eq!(verdict, Err(NotAProof::NoContradiction));
    }
}
