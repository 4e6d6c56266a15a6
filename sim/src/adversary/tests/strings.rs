//! The puppet: what it opens, signs and seals is as good as a correct member's, and no better than
//! its keys allow.

use phalanx_core::crypto::{Head, Oracle, Suite};
use phalanx_core::wire::{Part, frame};
use phalanx_core::{ConfigError, Hash32, Number, Rank};

use super::rig::Rig;
use crate::adversary::puppet::{Opened, Puppet};
use crate::adversary::{Liar, Strategy};

const HEAD: Head = Head { sender: Rank::new(2), number: Number::new(5), hash: Hash32::ZERO };

#[test]
fn what_is_opened_changed_signed_and_sealed_is_accepted() {
    for suite in [Suite::Ed25519, Suite::Dummy(Oracle([9; 32]))] {
        let rig = Rig::new(4, suite);
        let (roster, to) = (rig.roster(), Rank::new(1));
        let mut puppet = rig.puppet(&[0]);
        let heads = puppet.sign_heads(Rank::new(0), vec![HEAD]).unwrap();
        let original = puppet.letter(to, vec![Part::Heads(heads)], &[]);
        let frame = puppet.seal(&original).unwrap();
        let Some(Opened::Letter(mut letter)) = puppet.open(to, &frame) else {
            panic!("not opened")
        };
        assert_eq!(letter.packet, original.packet);

        assert!(puppet.rewrite_heads(&mut letter, |all| all[0].number = Number::new(6)));
        let frame = puppet.seal(&letter).unwrap();
        let (counter, packet) = rig.receive(to, Rank::new(0), &frame).unwrap();
        assert_eq!(counter, 2, "counters rise on a link");
        let Part::Heads(heads) = &packet.parts[0] else { panic!("no heads") };
        assert_eq!(heads.statement.entries[0].number, Number::new(6));
        assert!(roster.verifies(heads));
        assert_eq!(rig.receive(Rank::new(2), Rank::new(0), &frame), None, "another link's key");
        assert_eq!(puppet.seal(&puppet.letter(Rank::new(0), Vec::new(), &[])), None);
    }
}

#[test]
fn it_signs_for_liars_only() {
    let rig = Rig::dummy(5);
    let roster = rig.roster();
    let mut puppet = rig.puppet(&[0, 3]);
    for rank in Rank::all(5) {
        let signed = puppet.sign_heads(rank, vec![HEAD]);
        assert_eq!(signed.is_some(), rank == Rank::new(0) || rank == Rank::new(3));
        assert!(signed.is_none_or(|heads| roster.verifies(&heads) && heads.signer == rank));
    }
    assert!(puppet.sign_heads(Rank::new(0), Vec::new()).is_none());
}

#[test]
fn casts_and_acknowledgements_keep_their_macs() {
    let rig = Rig::dummy(4);
    let mut puppet = rig.puppet(&[1]);
    let to = Rank::new(0);
    let ack = puppet.seal_small(frame::FrameKind::FragmentAck, to, &[1; 10]).unwrap();
    assert!(matches!(puppet.open(to, &ack), Some(Opened::Ack(content)) if content == [1; 10]));
    let mut frame = puppet.seal_bytes(to, b"no packet".to_vec(), b"casts").unwrap();
    assert!(puppet.open(to, &frame).is_none(), "not decodable, but its MAC is good");
    let parsed = frame::parse(&frame).unwrap();
    assert_eq!(frame::split_whole(parsed.content()), Some((&b"no packet"[..], &b"casts"[..])));
    frame.clear();
    assert!(puppet.open(to, &frame).is_none());
}

#[test]
fn victims_are_correct_and_never_all() {
    for n in 4..=13 {
        let rig = Rig::dummy(n);
        for seed in 0..50 {
            let setup = rig.setup(&[0], Strategy::SplitDigest, seed);
            let puppet = Puppet::new(&setup).unwrap();
            let victims = puppet.victims();
            assert!(!victims.is_empty() && victims.len() < usize::from(n) - 1);
            assert!(victims.iter().all(|rank| puppet.correct().contains(rank)));
            assert!(puppet.few_victims().len() <= puppet.roster.quorum().f());
            assert_eq!(Puppet::new(&setup).unwrap().victims(), victims, "drawn from the seed");
        }
    }
}

#[test]
fn a_key_of_nobody_or_of_another_rank_is_refused() {
    let rig = Rig::dummy(4);
    let mut setup = rig.setup(&[0], Strategy::MutantMessage, 1);
    setup.liars.insert(Rank::new(2), [0; 32]);
    let refused = Liar::new(&setup, phalanx_core::Time::ZERO).unwrap_err();
    assert_eq!(refused, ConfigError::NotAMember);
    let mut setup = rig.setup(&[0], Strategy::MutantMessage, 1);
    setup.me = Rank::new(1);
    assert!(Liar::new(&setup, phalanx_core::Time::ZERO).is_err());
}
