//! What the strategies of the view change emit: their proposals bear good signatures and are wrong
//! in what their names say, and nothing but that is withheld.

use phalanx_core::crypto::{
    AckNewView, Commit, Flush, Installed, NewView, ReadyToSwitch, Signed, Statement, sha256,
};
use phalanx_core::wire::change::{
    Certificates, Committed, Decision, Flushed, Grounds, Justification, Proposed, acks_hash,
};
use phalanx_core::wire::stranger::Stranger;
use phalanx_core::wire::{BodyHead, List, Part};
use phalanx_core::{
    Attempt, Departure, Hash32, LogEnd, Number, Rank, SlotMark, Status, Time, View,
};

use super::rig::Rig;
use crate::adversary::act::Stage;
use crate::adversary::puppet::{Letter, Opened, Puppet};
use crate::adversary::{Phase, Strategy};

fn end(number: u64) -> LogEnd {
    LogEnd { number: Number::new(number), hash: sha256(&number.to_le_bytes()) }
}

/// A Flush of rank `signer` that holds log 0 up to `number` and no other.
fn flush(rig: &Rig, signer: u16, number: u64) -> Signed<Flush> {
    let mut ends = vec![LogEnd::EMPTY; rig.config.genesis.members.len()];
    ends[0] = end(number);
    let statement = Flush { ends: List::from(ends), changes: List::new() };
    let signer = Rank::new(signer);
    (**rig.door(signer.value()).sign(&rig.roster(), signer, statement).signed()).clone()
}

/// The next view that a correct leader proposes when rank 3 is to go.
fn next(rig: &Rig) -> View {
    let mut view = rig.config.genesis.view();
    (view.number, view.prev) = (1, view.id());
    view.members.pop();
    let mut cut = vec![LogEnd::EMPTY; 4];
    cut[0] = end(5);
    view.cut = List::from(cut);
    view.departed = List::from(vec![(Rank::new(3), Departure::Opinion)]);
    view
}

/// What the body double of a leader at rank 0 says in a view change, one letter for each part.
fn said(rig: &Rig, puppet: &mut Puppet, flushes: &[u64]) -> Vec<Part> {
    let (me, view) = (puppet.me, next(rig));
    let (attempt, id) = (Attempt::FIRST, view.id());
    let flushes = (0..).zip(flushes).map(|(rank, number)| flush(rig, rank, *number));
    let flushes: Vec<_> = flushes.collect();
    let own = flushes[0].clone();
    let (certificates, grounds) = (Certificates::default(), Grounds::default());
    let justification = Justification::Fresh {
        flushes: List::from(flushes),
        certificates: certificates.clone(),
        grounds: grounds.clone(),
        more: List::new(),
    };
    let said = NewView { attempt, next: id, justification: justification.hash() };
    let signed = puppet.sign(me, said).unwrap();
    let ack = puppet.sign(me, AckNewView { attempt, next: id }).unwrap();
    let acks = List::from(vec![ack.clone()]);
    let commit = Commit { attempt, next: id, acks: acks_hash(&acks) };
    let commit = Committed { signed: puppet.sign(me, commit).unwrap(), acks };
    let ready = puppet.sign(me, ReadyToSwitch { attempt, next: id }).unwrap();
    let decision = Decision { view: view.clone(), readys: List::from(vec![ready.clone()]) };
    let (sender, number, prev) = (me, Number::new(1), Hash32::ZERO);
    let body = BodyHead { sender, number, prev, slot: SlotMark::None, links: List::new() };
    vec![
        Part::Flush(Box::new(Flushed { signed: own, certificates, grounds })),
        Part::NewView(Box::new(Proposed { signed, view, justification })),
        Part::Ack(ack),
        Part::Commit(Box::new(commit)),
        Part::Ready(ready),
        Part::Decision(Box::new(decision)),
        Part::Body(body),
    ]
}

/// What becomes of it on its way to rank `to`, and how often the strategy fired.
fn emitted(rig: &Rig, strategy: Strategy, to: u16, flushes: &[u64]) -> (Vec<Part>, u64) {
    let mut setup = rig.setup(&[0], strategy, 1);
    setup.victims = Some(vec![Rank::new(1)]);
    let mut puppet = Puppet::new(&setup).unwrap();
    let parts = said(rig, &mut puppet, flushes);
    let mut act = strategy.act(&mut puppet);
    let mut stage = Stage::new(&mut puppet, Time::ZERO);
    for part in parts {
        let letter: Letter = stage.puppet.letter(Rank::new(to), vec![part], &[]);
        act.outgoing(&mut stage, 0, letter);
    }
    let (sent, fired) = (core::mem::take(&mut stage.out), stage.fired);
    let open = |frame: &[u8]| match puppet.open(Rank::new(to), frame) {
        Some(Opened::Letter(letter)) => letter.packet.parts.to_vec(),
        _ => panic!("not opened"),
    };
    (sent.iter().flat_map(|sent| open(&sent.frame)).collect(), fired)
}

fn kinds(parts: &[Part]) -> Vec<&'static str> {
    let kind = |part: &Part| match part {
        Part::Flush(_) => "flush",
        Part::NewView(_) => "new view",
        Part::Ack(_) => "ack",
        Part::Commit(_) => "commit",
        Part::Ready(_) => "ready",
        Part::Decision(_) => "decision",
        Part::Body(_) => "body",
        _ => "other",
    };
    parts.iter().map(kind).collect()
}

fn proposal(rig: &Rig, parts: &[Part]) -> Proposed {
    let proposed = parts.iter().find_map(|part| match part {
        Part::NewView(proposed) => Some((**proposed).clone()),
        _ => None,
    });
    let proposed = proposed.unwrap();
    good(rig, &proposed.signed);
    assert_eq!(proposed.signed.statement.next, proposed.view.id());
    assert_eq!(proposed.signed.statement.justification, proposed.justification.hash());
    proposed
}

fn good<S: Statement>(rig: &Rig, signed: &Signed<S>) {
    assert!(rig.roster().verifies(signed));
}

const ALL: [&str; 7] = ["flush", "new view", "ack", "commit", "ready", "decision", "body"];

#[test]
fn bad_proposals_are_signed_and_wrong_as_named() {
    let rig = Rig::dummy(4);
    let honest = next(&rig);
    for strategy in [Strategy::BadNewView, Strategy::UnderExclusion, Strategy::OverExclusion] {
        let (parts, fired) = emitted(&rig, strategy, 2, &[5, 5, 5]);
        assert_eq!((kinds(&parts), fired), (ALL.to_vec(), 1), "{}", strategy.name());
        let view = proposal(&rig, &parts).view;
        assert!(view.is_legal() && view != honest, "{}", strategy.name());
        match strategy {
            Strategy::BadNewView => assert_eq!(view.cut[0].number.value(), 4),
            Strategy::UnderExclusion => {
                assert_eq!((view.members.len(), view.departed.len()), (4, 0))
            }
            _ => {
                let gone: Vec<u16> = view.departed.iter().map(|(rank, _)| rank.value()).collect();
                assert_eq!((view.members.len(), gone), (2, vec![1, 3]));
            }
        }
    }
}

#[test]
fn two_new_views_differ_in_one_attempt() {
    let rig = Rig::dummy(4);
    // With a Flush to spare both are good, without one the second is not.
    for (flushes, is_good) in [(&[5, 5, 5, 2][..], true), (&[5, 4, 4], false)] {
        let (to_victim, fired) = emitted(&rig, Strategy::TwoNewViews, 1, flushes);
        let (to_other, none) = emitted(&rig, Strategy::TwoNewViews, 2, flushes);
        assert_eq!((fired, none), (1, 0));
        let (one, two) = (proposal(&rig, &to_victim), proposal(&rig, &to_other));
        assert_eq!(one.signed.statement.attempt, two.signed.statement.attempt);
        assert_ne!(one.signed.statement, two.signed.statement);
        assert_eq!(one.view == two.view, is_good);
    }
}

#[test]
fn a_bad_commit_names_another_view() {
    let rig = Rig::dummy(4);
    let (parts, fired) = emitted(&rig, Strategy::BadCommit, 1, &[5, 5, 5]);
    let commit = parts.iter().find_map(|part| match part {
        Part::Commit(commit) => Some(commit.clone()),
        _ => None,
    });
    let commit = commit.unwrap();
    good(&rig, &commit.signed);
    assert_ne!(commit.signed.statement.next, commit.acks[0].statement.next);
    assert_eq!((kinds(&parts), fired), (ALL.to_vec(), 1));
}

#[test]
fn what_is_withheld_is_what_the_name_says() {
    let rig = Rig::dummy(4);
    let without = |out: &[&str]| -> Vec<&str> {
        ALL.into_iter().filter(|kind| !out.contains(kind)).collect()
    };
    for (strategy, to_victim, to_other) in [
        (Strategy::NewViewTimeout, &["new view"][..], &["new view"][..]),
        (Strategy::CommitTimeout, &["commit"], &["commit"]),
        (Strategy::CommitToSubset, &[], &["commit"]),
        (Strategy::ReadyToSwitchTimeout, &["ready", "decision"], &["ready", "decision"]),
        (Strategy::ReadyToSubset, &[], &["ready", "decision"]),
        (Strategy::ImpedeStabilization, &["body"], &["body"]),
    ] {
        for (to, out) in [(1, to_victim), (2, to_other)] {
            let (parts, fired) = emitted(&rig, strategy, to, &[5, 5, 5]);
            assert_eq!(kinds(&parts), without(out), "{} to {to}", strategy.name());
            assert_eq!(fired, out.len() as u64, "{} to {to}", strategy.name());
        }
    }
}

#[test]
fn a_phase_stopper_says_nothing_from_its_phase_on() {
    let rig = Rig::dummy(4);
    let phases =
        [Phase::Flush, Phase::NewView, Phase::Ack, Phase::Commit, Phase::Ready, Phase::Decision];
    for (said, phase) in phases.into_iter().enumerate() {
        let (parts, fired) = emitted(&rig, Strategy::PhaseStopper(phase), 1, &[5, 5, 5]);
        assert_eq!(kinds(&parts), ALL[..said], "{phase:?}");
        assert_eq!(fired as usize, ALL.len() - said);
    }
}

#[test]
fn a_phase_stopper_tells_nobody_of_the_decision_in_any_view() {
    let rig = Rig::dummy(4);
    let first = rig.config.genesis.view();
    let mut second = next(&rig);
    (second.departed, second.cut) = (List::new(), List::new());
    second.members = first.members.clone();
    // It installs the next view while its puppet is in the old one, or is in the next already when
    // who is behind speaks in the old one.
    for is_over in [false, true] {
        let mut puppet = rig.puppet(&[0]);
        let said = said(&rig, &mut puppet, &[5, 5, 5]);
        assert!(!is_over || puppet.installs(&second));
        let installed = puppet.sign(puppet.me, Installed { prev: first.id() }).unwrap();
        let mut act = Strategy::PhaseStopper(Phase::Decision).act(&mut puppet);
        let mut stage = Stage::new(&mut puppet, Time::ZERO);
        let mut say = |stage: &mut Stage<'_>, view: &View, part: &Part| {
            let mut letter = stage.puppet.letter(Rank::new(1), vec![part.clone()], &[]);
            letter.packet.view = view.id();
            if stage.puppet.is_present(&letter) {
                act.outgoing(stage, 0, letter);
            } else {
                act.outgoing_elsewhere(stage, letter);
            }
            (core::mem::take(&mut stage.out).len(), core::mem::take(&mut stage.fired))
        };
        let (decision, rest) = (&said[5], &said[..5]);
        for part in rest {
            assert_eq!(say(&mut stage, &first, part), (1, 0), "correct until then");
        }
        if !is_over {
            assert_eq!(say(&mut stage, &second, &Part::Installed(installed)), (0, 1));
        }
        assert_eq!(say(&mut stage, &first, decision), (0, 1));
        for view in [&first, &second] {
            assert_eq!(say(&mut stage, view, &said[6]), (0, 1), "silent in each view");
        }
        let to = stage.puppet.peer(Rank::new(1)).unwrap();
        act.stranger(&mut stage, to, Stranger::Longer { bytes: 0 });
        assert_eq!((stage.out.len(), stage.fired), (0, 1), "silent towards strangers");
    }
}

#[test]
fn a_flood_of_suspects_is_well_formed() {
    let rig = Rig::dummy(4);
    let mut puppet = rig.puppet(&[0]);
    let mut act = Strategy::SuspectFlood.act(&mut puppet);
    let mut stage = Stage::new(&mut puppet, Time::ZERO);
    act.tick(&mut stage);
    assert_eq!((stage.fired, stage.out.len()), (1, 3));
    let sent = core::mem::take(&mut stage.out);
    let (_, packet) = rig.receive(Rank::new(1), Rank::new(0), &sent[0].frame).unwrap();
    assert_eq!(packet.parts.len(), 48, "four subjects, twelve reasons");
    for part in packet.parts.iter() {
        let Part::Suspect(suspect) = part else { panic!("{part:?}") };
        good(&rig, suspect);
    }
}

#[test]
fn a_puppet_goes_along_to_the_next_view() {
    let rig = Rig::dummy(5);
    let mut setup = rig.setup(&[3], Strategy::Slander, 1);
    setup.victims = Some(vec![Rank::new(0), Rank::new(4)]);
    let mut puppet = Puppet::new(&setup).unwrap();
    let first = rig.config.genesis.view();
    assert!(!puppet.installs(&first), "it is there already");
    let before = puppet.seal(&puppet.letter(Rank::new(4), vec![], &[])).unwrap();
    let mut second = first.clone();
    (second.number, second.prev) = (1, first.id());
    second.members.remove(1);
    second.members[0].status = Status::Silenced;
    // What the body double says in the next view is passed on before the puppet is there.
    let mut said = puppet.letter(Rank::new(4), vec![], &[]);
    (said.packet.view, said.packet.haves) = (second.id(), List::from(vec![Number::ZERO; 4]));
    let frame = puppet.seal(&said).unwrap();
    assert!(puppet.open(said.peer, &frame).is_none());
    puppet.foresees(&second);
    assert!(matches!(puppet.open(said.peer, &frame), Some(Opened::Letter(_))));
    assert!(puppet.installs(&second) && !puppet.installs(&second));
    assert_eq!((puppet.me, puppet.n(), puppet.liars.len()), (Rank::new(2), 4, 1));
    assert_eq!(puppet.victims(), [Rank::new(0), Rank::new(3)]);
    assert_eq!(puppet.peer(Rank::new(3)), Some(*first.peers().at(Rank::new(4))));
    // Links stay, and their frames are numbered on.
    let after = puppet.seal(&puppet.letter(Rank::new(3), vec![], &[])).unwrap();
    let counter = |frame: &[u8]| phalanx_core::wire::frame::parse(frame).unwrap().header.counter;
    assert!(counter(&after) > counter(&before));
    let heads = puppet.sign(puppet.me, AckNewView { attempt: Attempt::FIRST, next: first.id() });
    let roster = second.roster(rig.suite).unwrap();
    assert!(roster.verifies(&heads.unwrap()), "it signs for the view that it is in");
    let mut without = first;
    without.members.remove(3);
    assert!(!puppet.installs(&without), "it is not listed");
}
