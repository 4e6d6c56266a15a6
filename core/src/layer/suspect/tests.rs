//! Layer Suspect alone: asking before suspecting, and when an opinion may be signed.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::{In, Out, Suspect};
use crate::config::Timeouts;
use crate::crypto::{Hash32, Reason, Signed, Suspect as Statement};
use crate::fault::{Evidence, Invalid, Proof};
use crate::layer::{Context, To};
use crate::member::Rank;
use crate::rig::Rig;
use crate::time::Time;
use crate::wire::Part;

/// The machine of rank 0.
struct Solo {
    rig: Rig,
    machine: Suspect,
    timeouts: Timeouts,
    now: Time,
}

impl Solo {
    /// Rows of others are asked for before a suspicion alone.
    fn new(n: u8) -> Self {
        Self::with(n, Timeouts { stable_us: u64::MAX, ..Timeouts::default() })
    }

    fn with(n: u8, timeouts: Timeouts) -> Self {
        let rig = Rig::quick(n);
        let machine = Suspect::new(&timeouts, &rig.roster, Rank::new(0), Time::ZERO);
        Self { rig, machine, timeouts, now: Time::ZERO }
    }

    fn step(&mut self, input: In) -> Vec<Out> {
        let mut cx =
            Context { now: self.now, door: &mut self.rig.doors[0], roster: &self.rig.roster };
        self.machine.step(&mut cx, input)
    }

    /// Fresh rows of these members come in every 100 ms for so long, and ticks at each deadline.
    fn run(&mut self, micros: u64, fresh: &[u16]) -> Vec<Out> {
        let end = self.now.plus(micros);
        let mut outs = Vec::new();
        while self.now < end {
            for member in fresh {
                outs.extend(self.step(In::Fresh(Rank::new(*member))));
            }
            let next = self.now.plus(100_000).min(end);
            while let Some(due) = self.machine.deadline().filter(|due| *due <= next) {
                self.now = self.now.max(due);
                outs.extend(self.step(In::Tick));
            }
            self.now = next;
        }
        outs
    }

    fn opinion(&mut self, member: u16, reason: Reason) -> Vec<Out> {
        self.step(In::Opinion(Rank::new(member), reason))
    }

    /// What another member says comes in, if it is wanted.
    fn hear(&mut self, signer: u16, subject: u16, reason: Reason) -> Vec<Out> {
        let said = Statement { subject: Rank::new(subject), reason, proof: Hash32::ZERO };
        let door = &mut self.rig.doors[usize::from(signer)];
        let said = door.sign(&self.rig.roster, Rank::new(signer), said);
        if !self.machine.wants(said.signed()) {
            return Vec::new();
        }
        self.step(In::Suspect(said))
    }

    /// Two rows of a member that contradict each other.
    fn proof(&mut self, culprit: u16) -> Box<Proof> {
        let first = self.rig.row(culprit, 1, &[1; 4]);
        let second = self.rig.row(culprit, 1, &[2; 4]);
        let view = *self.rig.roster.view();
        Box::new(Proof { view, evidence: Evidence::TwoRows { first, second } })
    }
}

/// Suspicions that became known: subject, by whom, why.
fn suspected(outs: &[Out]) -> Vec<(u16, u16, Reason)> {
    let said = |out: &Out| match out {
        Out::Suspected(said) => Some((said.subject.value(), said.signer().value(), said.reason)),
        _ => None,
    };
    outs.iter().filter_map(said).collect()
}

/// Of whom rows were asked of all.
fn asked(outs: &[Out]) -> Vec<u16> {
    let ask = |out: &Out| match out {
        Out::AskRow(member) => Some(member.value()),
        _ => None,
    };
    outs.iter().filter_map(ask).collect()
}

fn posted(outs: &[Out]) -> Vec<&Part> {
    let post = |out: &'_ Out| matches!(out, Out::Post(_));
    let mut parts = Vec::new();
    for out in outs.iter().filter(|out| post(out)) {
        if let Out::Post(post) = out {
            parts.extend(&post.parts);
        }
    }
    parts
}

fn statements(outs: &[Out]) -> Vec<&Signed<Statement>> {
    let said = |part: &&'_ Part| matches!(part, Part::Suspect(_));
    let parts = posted(outs).into_iter().filter(said);
    parts.map(|part| if let Part::Suspect(said) = part { said } else { unreachable!() }).collect()
}

#[test]
fn all_are_asked_before_a_silent_member_is_suspected() {
    let mut solo = Solo::new(4);
    let outs = solo.run(2_100_000, &[0, 1, 2]);
    assert_eq!((asked(&outs), suspected(&outs)), (vec![3], vec![]));
    let outs = solo.run(200_000, &[0, 1, 2]);
    assert_eq!(suspected(&outs), [(3, 0, Reason::Mute)]);
    let said = statements(&outs)[0];
    assert_eq!((said.signer, said.statement.subject), (Rank::new(0), Rank::new(3)));
    assert!(solo.rig.roster.verifies(said));
}

#[test]
fn a_row_that_anybody_hands_over_clears_the_silent_one() {
    let mut solo = Solo::new(4);
    let outs = solo.run(2_100_000, &[0, 1, 2]);
    assert_eq!(asked(&outs), [3]);
    solo.step(In::Fresh(Rank::new(3)));
    let outs = solo.run(1_800_000, &[0, 1, 2]);
    assert_eq!((asked(&outs), suspected(&outs)), (vec![], vec![]));
}

#[test]
fn a_member_that_hears_no_quorum_blames_nobody_until_it_does() {
    let mut solo = Solo::new(4);
    let outs = solo.run(10_000_000, &[0, 1]);
    assert_eq!((asked(&outs), suspected(&outs)), (vec![2, 3], vec![]));
    solo.opinion(1, Reason::Lagging);
    assert_eq!(suspected(&solo.run(1_000_000, &[0, 1])), [], "whatever the reason");
    let outs = solo.run(1_000_000, &[0, 1, 2]);
    let expected = [(1, 0, Reason::Lagging), (3, 0, Reason::Mute)];
    assert_eq!(suspected(&outs), expected, "2 came back and is cleared");
}

#[test]
fn the_time_out_doubles_with_false_alarms_and_halves_with_good_conduct() {
    let mut solo = Solo::new(4);
    let others = [0, 1, 2];
    let silence = |solo: &mut Solo| {
        let before = solo.now;
        while asked(&solo.run(100_000, &others)).is_empty() {}
        let waited = solo.now.since(before);
        solo.run(solo.timeouts.ask_us, &others);
        solo.step(In::Fresh(Rank::new(3)));
        // The last row may be one step old.
        (waited + 100_000) / 1_000_000
    };
    let waits = [(); 6].map(|()| silence(&mut solo));
    assert_eq!(waits, [2, 4, 8, 16, 30, 30], "doubled up to the cap");
    // Eight time-outs of good conduct halve it; 30 s, 15 s, 7.5 s, ...
    solo.run(8 * 31_000_000, &[0, 1, 2, 3]);
    assert_eq!(silence(&mut solo), 15);
    solo.run(8 * (31 + 16 + 8 + 4 + 2) * 1_000_000, &[0, 1, 2, 3]);
    assert_eq!(silence(&mut solo), 2, "and no lower than it was");
}

#[test]
fn an_opinion_is_signed_once_per_member_and_repeated_for_who_missed_it() {
    let mut solo = Solo::new(4);
    solo.run(100_000, &[0, 1, 2, 3]);
    let outs = solo.opinion(2, Reason::BadBytes);
    assert_eq!(suspected(&outs), [(2, 0, Reason::BadBytes)]);
    let first = statements(&outs)[0].clone();
    assert!(solo.machine.has_told(Rank::new(2)));
    let outs = solo.opinion(2, Reason::Lagging);
    assert!(outs.is_empty(), "{outs:?}");
    let outs = solo.run(5_000_000, &[0, 1, 2, 3]);
    let again = statements(&outs);
    assert!((4..=9).contains(&again.len()), "with back-off: {}", again.len());
    assert!(again.iter().all(|said| **said == first), "and the same signature");
    assert!(solo.opinion(0, Reason::Application).is_empty(), "never of itself");
}

#[test]
fn suspicions_of_others_are_told_once_and_believed_of_nobody_else() {
    let mut solo = Solo::new(4);
    assert_eq!(suspected(&solo.hear(1, 3, Reason::Mute)), [(3, 1, Reason::Mute)]);
    assert!(solo.hear(1, 3, Reason::Lagging).is_empty(), "once per pair");
    assert_eq!(suspected(&solo.hear(1, 3, Reason::Proof)), [(3, 1, Reason::Proof)]);
    assert_eq!(suspected(&solo.hear(2, 3, Reason::Mute)), [(3, 2, Reason::Mute)]);
    assert!(solo.hear(2, 2, Reason::Mute).is_empty(), "of itself: meaningless");
    assert!(!solo.machine.has_told(Rank::new(3)), "slander convinces nobody here");
}

#[test]
fn a_proof_is_passed_on_told_and_signed_once_per_kind() {
    let mut solo = Solo::new(4);
    let proof = solo.proof(2);
    assert!(solo.machine.wants_proof(&proof));
    let outs = solo.step(In::Proof(proof.clone()));
    assert!(posted(&outs).contains(&&Part::Proof(proof.clone())));
    let fault = |out: &&Out| matches!(out, Out::Fault(found) if *found == proof);
    assert_eq!(outs.iter().filter(fault).count(), 1);
    assert_eq!(suspected(&outs), [(2, 0, Reason::Proof)], "no quorum of fresh rows is needed");
    assert_eq!(statements(&outs)[0].statement.proof, proof.hash());
    assert!(!solo.machine.wants_proof(&proof));
    assert!(solo.step(In::Proof(proof.clone())).is_empty());

    let chain = solo.rig.chain(3, &["a"]);
    let mut other = chain[1];
    other.hash = some_other(other.hash);
    let first = solo.rig.signed_heads(2, &[chain[1]]);
    let second = solo.rig.signed_heads(2, &[other]);
    let evidence = Evidence::TwoHeads { sender: Rank::new(3), first, second };
    let replies = Box::new(Proof { view: *solo.rig.roster.view(), evidence });
    let outs = solo.step(In::Proof(replies));
    assert_eq!(outs.iter().filter(|out| matches!(out, Out::Fault(_))).count(), 1);
    assert_eq!(suspected(&outs), [], "it is suspected by proof already");
    solo.hear(1, 2, Reason::Proof);
    let proof_to = |out: &Out| match out {
        Out::Post(post) if matches!(post.parts[..], [Part::Proof(_)]) => Some(post.to),
        _ => None,
    };
    let again = solo.run(5_000_000, &[0, 1, 2, 3]);
    let to: Vec<To> = again.iter().filter_map(proof_to).collect();
    assert!(to.len() >= 8 && to.iter().all(|to| *to == To::One(Rank::new(3))), "{to:?}");
    solo.hear(3, 2, Reason::Proof);
    let again = solo.run(5_000_000, &[0, 1, 2, 3]);
    assert_eq!(again.iter().filter_map(proof_to).count(), 0, "everybody holds one");
}

fn some_other(hash: Hash32) -> Hash32 {
    let mut bytes = hash.0;
    bytes[0] ^= 1;
    Hash32(bytes)
}

#[test]
fn a_proof_against_this_member_itself_is_not_its_to_tell() {
    let mut solo = Solo::new(4);
    let proof = solo.proof(0);
    assert!(solo.step(In::Proof(proof)).is_empty());
}

#[test]
fn an_opinion_may_be_followed_by_a_proof_and_not_the_other_way_round() {
    let mut solo = Solo::new(4);
    solo.run(100_000, &[0, 1, 2, 3]);
    solo.opinion(2, Reason::Lagging);
    let proof = solo.proof(2);
    assert_eq!(suspected(&solo.step(In::Proof(proof))), [(2, 0, Reason::Proof)]);
    let proof = solo.proof(3);
    solo.step(In::Proof(proof));
    let outs = solo.opinion(3, Reason::Lagging);
    assert_eq!(suspected(&outs), [], "Opinion then Proof at most");
}

/// Who was missing, each time that a quorum was.
fn no_quorum(outs: &[Out]) -> Vec<Vec<u16>> {
    let missing = |out: &Out| match out {
        Out::NoQuorum(missing) => Some(missing.iter().map(|member| member.value()).collect()),
        _ => None,
    };
    outs.iter().filter_map(missing).collect()
}

#[test]
fn a_missing_quorum_is_told_once_and_again_only_after_one_was_back() {
    let mut solo = Solo::new(4);
    let outs = solo.run(20_000_000, &[0, 1]);
    assert_eq!(no_quorum(&outs), [[2, 3]]);
    assert_eq!(no_quorum(&solo.run(4_000_000, &[0, 1, 2])), Vec::<Vec<u16>>::new());
    let outs = solo.run(60_000_000, &[0, 1]);
    assert_eq!(no_quorum(&outs), [[2, 3]], "once more");
}

#[test]
fn who_was_silent_is_asked_for_anew_when_a_quorum_is_back() {
    let mut solo = Solo::new(4);
    solo.run(10_000_000, &[0, 1]);
    // The first row completes the quorum; that of the other is on its way.
    let outs = solo.step(In::Fresh(Rank::new(2)));
    assert_eq!((asked(&outs), suspected(&outs)), (vec![3], vec![]));
    assert_eq!(suspected(&solo.step(In::Fresh(Rank::new(3)))), []);
    assert_eq!(suspected(&solo.run(1_000_000, &[0, 1, 2, 3])), []);

    let mut solo = Solo::new(4);
    solo.run(10_000_000, &[0, 1]);
    let outs = solo.run(1_000_000, &[0, 1, 2]);
    assert_eq!(suspected(&outs), [(3, 0, Reason::Mute)], "nobody had a row of it");
}

#[test]
fn a_proof_of_the_view_before_is_signed_again_at_once_and_stable_is_told() {
    let mut solo = Solo::new(4);
    let (culprit, hash) = (Rank::new(2), Hash32([7; 32]));
    solo.machine.carry(culprit, hash);
    assert_eq!(solo.machine.deadline(), Some(Time::ZERO));
    let outs = solo.step(In::Tick);
    assert!(outs.iter().any(|out| matches!(out, Out::Carried(member) if *member == culprit)));
    assert_eq!(suspected(&outs), [(2, 0, Reason::Proof)]);
    assert_eq!(statements(&outs)[0].statement.proof, hash);
    assert_eq!(solo.machine.proven().collect::<Vec<_>>(), [(culprit, hash)], "and once more");
    assert_eq!(suspected(&solo.step(In::Tick)), [], "once in this view");
}

/// A proposal is long: who was sent it, too, says so in a moment, and who is cut off cannot take it.
#[test]
fn a_long_proof_goes_only_to_who_is_there_and_has_none() {
    let mut solo = Solo::new(4);
    let Part::NewView(proposed) = crate::wire::tests::longest::proposal(4, 64) else {
        unreachable!()
    };
    let evidence = Evidence::Invalid(Invalid::NewView(proposed));
    let proof = Proof { view: *solo.rig.roster.view(), evidence };
    let culprit = proof.culprit();
    assert_eq!(culprit, Rank::new(1));
    let sent = |outs: &[Out]| -> Vec<To> {
        let to = |out: &Out| match out {
            Out::Post(post) if matches!(post.parts[..], [Part::Proof(_)]) => Some(post.to),
            _ => None,
        };
        outs.iter().filter_map(to).collect()
    };
    let outs = solo.step(In::Proof(Box::new(proof)));
    assert_eq!((sent(&outs), statements(&outs).len()), (vec![], 1));
    assert!(outs.iter().any(|out| matches!(out, Out::Fault(_))));
    solo.hear(2, 1, Reason::Proof);
    let sent_to = sent(&solo.run(1_000_000, &[0, 2, 3]));
    assert!(!sent_to.is_empty() && sent_to.iter().all(|to| *to == To::One(Rank::new(3))));
    // Now rank 3 is cut off, and then back.
    solo.run(solo.timeouts.mute_us + solo.timeouts.ask_us, &[0, 2]);
    assert!(sent(&solo.run(10_000_000, &[0, 2])).is_empty());
    assert!(!sent(&solo.run(10_000_000, &[0, 2, 3])).is_empty());
    solo.hear(3, 1, Reason::Proof);
    assert!(sent(&solo.run(10_000_000, &[0, 2, 3])).is_empty());
}
