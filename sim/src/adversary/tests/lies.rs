//! The made-up things are what they claim to be: forks are good chains, bad certificates are
//! refused for the reason in their name, contradictions are Proofs.

use std::sync::Arc;

use phalanx_core::crypto::{CertificateError, Head, Heads, Link, Signed, log_root, sha256};
use phalanx_core::wire::{BodyHead, List, Part, casts};
use phalanx_core::{Evidence, FaultKind, Number, Order, Proof, Rank, Round, SlotMark, Time};

use super::rig::Rig;
use crate::adversary::act::{Act, Stage};
use crate::adversary::bad_certificates::{BadCertificates, Flaw};
use crate::adversary::fork::{Change, Fork};
use crate::adversary::puppet::{Letter, Opened, Puppet};

/// The letter of a body double that opens body `number` on top of `prev`.
fn body_letter(puppet: &mut Puppet, prev: &mut Head, to: Rank) -> Letter {
    let mut bytes = Vec::new();
    assert!(casts::push(&mut bytes, Order::Total, &prev.number.value().to_le_bytes()));
    let slot = SlotMark::Value(Round::new(prev.number.value()));
    let link = Link { slot, casts: sha256(&bytes) };
    let (number, me) = (prev.number.next(), puppet.me);
    let body = BodyHead { sender: me, number, prev: prev.hash, slot, links: List::new() };
    *prev = climb(puppet, *prev, &link);
    let heads = puppet.sign_heads(me, vec![*prev]).unwrap();
    puppet.letter(to, vec![Part::Heads(heads), Part::Body(body)], &bytes)
}

fn climb(puppet: &Puppet, prev: Head, link: &Link) -> Head {
    let number = prev.number.next();
    let view = puppet.roster.view();
    let hash = phalanx_core::crypto::body_hash(view, prev.sender, number, &prev.hash, link);
    Head { number, hash, ..prev }
}

fn root(puppet: &Puppet) -> Head {
    let hash = log_root(puppet.roster.view(), puppet.me);
    Head { sender: puppet.me, number: Number::ZERO, hash }
}

fn own_heads(letter: &Letter) -> Signed<Heads> {
    let heads = letter.packet.parts.iter().find_map(|part| match part {
        Part::Heads(heads) => Some(heads.clone()),
        _ => None,
    });
    heads.unwrap()
}

/// The head that the body of a letter leads to.
fn head_of(puppet: &Puppet, letter: &Letter) -> Head {
    let Some(Part::Body(body)) = letter.packet.parts.last() else { panic!("no body") };
    let link = Link { slot: body.slot, casts: sha256(&letter.casts) };
    let prev = Head { sender: body.sender, number: body.number.prev(), hash: body.prev };
    climb(puppet, prev, &link)
}

#[test]
fn a_fork_is_a_good_chain_and_proves_its_author_guilty() {
    let rig = Rig::dummy(4);
    let mut puppet = rig.puppet(&[0]);
    let mut fork = Fork::new(puppet.me, Number::new(2), Change::Casts);
    let (to, mut tip) = (Rank::new(1), root(&puppet));
    let mut before = None;
    for number in 1..=3 {
        let original = body_letter(&mut puppet, &mut tip, to);
        fork.learn(&puppet, &original);
        let mut forked = original.clone();
        assert_eq!(fork.branch_off(&mut puppet, &mut forked), number >= 2);
        let head = head_of(&puppet, &forked);
        assert_eq!(own_heads(&forked).statement.entries[..], [head]);
        assert!(rig.roster().verifies(&own_heads(&forked)));
        if let Some(Part::Body(body)) = forked.packet.parts.last() {
            assert!(before.is_none_or(|prev: Head| prev.hash == body.prev), "chained");
            assert!(casts::check(&forked.casts, body.slot).is_ok());
        }
        before = Some(head);
        if number >= 2 {
            let (first, second) = (own_heads(&original), own_heads(&forked));
            let evidence = Evidence::TwoHeads { sender: puppet.me, first, second };
            let proof = Proof { view: *puppet.roster.view(), evidence };
            let genesis = &rig.config.genesis;
            assert_eq!(proof.verify(genesis, &genesis.view(), &rig.roster()), Ok(()));
            assert_eq!((proof.kind(), proof.culprit()), (FaultKind::MutantMessage, puppet.me));
        }
    }
}

#[test]
fn replies_to_a_fork_make_a_certificate() {
    let rig = Rig::dummy(6);
    let mut puppet = rig.puppet(&[0]);
    let mut fork = Fork::new(puppet.me, Number::new(1), Change::Casts);
    let mut tip = root(&puppet);
    let mut heads = Vec::new();
    for _ in 0..3 {
        let mut letter = body_letter(&mut puppet, &mut tip, Rank::new(1));
        fork.learn(&puppet, &letter);
        assert!(fork.branch_off(&mut puppet, &mut letter));
        heads.push(head_of(&puppet, &letter));
    }
    // Ranks 1 to 3 reply, to body 1, 2 and 3; q is 4.
    for (index, head) in heads.iter().enumerate() {
        assert!(fork.certificate(&mut puppet).is_none());
        let signer = Rank::new(u16::try_from(index).unwrap() + 1);
        let reply = rig.door(signer.value()).sign(
            &rig.roster(),
            signer,
            Heads { entries: List::from(vec![*head]) },
        );
        let part = Part::Heads((**reply.signed()).clone());
        fork.listen(&puppet.letter(signer, vec![part], &[]));
    }
    let certificate = fork.certificate(&mut puppet).unwrap();
    let certified = rig.door(5).certify(&rig.roster(), certificate).unwrap();
    assert_eq!(certified.head(), heads[0], "the lowest of four");
}

#[test]
fn a_leap_is_a_good_chain_of_an_illegal_body() {
    let rig = Rig::dummy(4);
    for (change, number, slot) in
        [(Change::Slot(u64::MAX), 1, u64::MAX), (Change::Number(u64::MAX), u64::MAX, 0)]
    {
        let mut puppet = rig.puppet(&[0]);
        let mut fork = Fork::new(puppet.me, Number::new(1), change);
        let mut tip = root(&puppet);
        let mut letter = body_letter(&mut puppet, &mut tip, Rank::new(1));
        fork.learn(&puppet, &letter);
        assert!(fork.branch_off(&mut puppet, &mut letter));
        let Some(Part::Body(body)) = letter.packet.parts.last() else { panic!("no body") };
        assert_eq!(body.number.value(), number);
        assert_eq!(body.slot, SlotMark::Value(Round::new(slot)));
        let link = Link { slot: body.slot, casts: sha256(&letter.casts) };
        let view = puppet.roster.view();
        let hash = phalanx_core::crypto::body_hash(view, puppet.me, body.number, &body.prev, &link);
        assert_eq!(own_heads(&letter).statement.entries[0].hash, hash);
    }
}

#[test]
fn bad_certificates_are_refused_for_the_reason_in_their_name() {
    let rig = Rig::dummy(7);
    for flaw in [Flaw::Forged, Flaw::Short, Flaw::DuplicateSigner] {
        let mut puppet = rig.puppet(&[2, 4]);
        let mut act = BadCertificates::new(flaw);
        let mut tip = root(&puppet);
        let letter = body_letter(&mut puppet, &mut tip, Rank::new(1));
        let mut stage = Stage::new(&mut puppet, Time::ZERO);
        act.outgoing(&mut stage, 0, letter);
        stage.out.clear();
        act.tick(&mut stage);
        let frames = core::mem::take(&mut stage.out);
        assert_eq!((frames.len(), stage.fired), (6, 1));
        let Some(Opened::Letter(letter)) = puppet.open(Rank::new(1), &frames[0].frame) else {
            panic!("not opened")
        };
        let Part::Certificate(certificate) = &letter.packet.parts[0] else { panic!("other part") };
        let refused = rig.door(1).certify(&rig.roster(), certificate.clone()).unwrap_err();
        match flaw {
            Flaw::Forged => assert!(matches!(refused, CertificateError::BadSignature(_))),
            Flaw::Short => assert_eq!(refused, CertificateError::NotAQuorum),
            Flaw::DuplicateSigner => {
                assert_eq!(refused, CertificateError::DuplicateSigner(Rank::new(2)));
            }
        }
    }
}

#[test]
fn a_dropped_body_takes_its_casts_along() {
    let mut puppet = Rig::dummy(4).puppet(&[0]);
    let mut tip = root(&puppet);
    let mut letter = body_letter(&mut puppet, &mut tip, Rank::new(1));
    assert_eq!(letter.drop_parts(|part| matches!(part, Part::Body(_))), 1);
    assert_eq!(letter.casts, Arc::from([]));
    assert!(!letter.is_empty());
    assert_eq!(letter.drop_parts(|_| true), 1);
    assert!(letter.is_empty());
}
