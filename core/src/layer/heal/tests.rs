//! A process that joins, alone with chains made here.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use crate::crypto::{ReadyToSwitch, Signed};
use crate::member::{Member, Status};
use crate::rig::{genesis_of, quick_identity};
use crate::seq::{Attempt, LogEnd};

const LIFE: u64 = 3;

struct Solo {
    heal: Heal,
    door: Door,
    chain: Chain,
    now: Time,
}

fn config() -> Config {
    let mut genesis = genesis_of((0..4).map(quick_identity));
    genesis.membership = crate::view::Membership::Managed;
    Config::new(genesis)
}

impl Solo {
    fn new() -> Self {
        let config = config();
        let view = config.genesis.view();
        let door = Door::new(quick_identity(7));
        let roster = Arc::new(view.roster(door.identity().suite()).unwrap());
        let contacts = alloc::vec![(PeerId(99), b"somewhere".to_vec())];
        let heal = Heal::new(&config, (&door, LIFE), (view, roster), contacts, Time::ZERO);
        Self { heal: heal.unwrap(), door, chain: Chain::default(), now: Time::ZERO }
    }

    fn step(&mut self, input: In) -> Vec<Out> {
        self.heal.step((self.now, &mut self.door), &mut self.chain, input)
    }

    /// Lets time pass; returns what was said.
    fn run(&mut self, millis: u64) -> Vec<Out> {
        let end = self.now.plus(millis * 1000);
        let mut all = Vec::new();
        while let Some(due) = self.heal.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            all.extend(self.step(In::Tick));
        }
        self.now = end;
        all
    }
}

/// The view after `before`, decided by these members of it.
fn decide(before: &View, by: &[u16], change: impl FnOnce(&mut View)) -> Decision {
    let roster = before.roster(quick_identity(0).suite()).unwrap();
    let mut view = before.clone();
    view.number += 1;
    view.prev = before.id();
    view.cut = before.members.iter().map(|_| LogEnd::EMPTY).collect();
    change(&mut view);
    let ready = |rank: &u16| {
        let mut door = Door::new(quick_identity(u8::try_from(*rank).unwrap()));
        let statement = ReadyToSwitch { attempt: Attempt::FIRST, next: view.id() };
        Signed::clone(door.sign(&roster, Rank::new(*rank), statement).signed())
    };
    let readys = by.iter().map(ready).collect();
    Decision { view, readys }
}

fn lists(incarnation: u64) -> impl FnOnce(&mut View) {
    move |view| {
        let key = *quick_identity(7).public_key();
        let status = Status::Active;
        view.members.push(Member { key, incarnation, addr: Vec::new(), status });
    }
}

fn joins(outs: &[Out]) -> Vec<JoinRequest> {
    let join = |out: &Out| match out {
        Out::Call(_, Stranger::Join(request)) => Some(request.clone()),
        _ => None,
    };
    outs.iter().filter_map(join).collect()
}

fn asked(outs: &[Out]) -> Vec<PeerId> {
    let asked = |out: &Out| match out {
        Out::Call(peer, Stranger::AskChain(question)) => {
            assert_eq!(question.key, *quick_identity(7).public_key());
            Some(*peer)
        }
        _ => None,
    };
    outs.iter().filter_map(asked).collect()
}

impl Solo {
    /// Members of a view say that it is the newest, and which life of the key they remember.
    fn hears(&mut self, view: &View, by: &[u16], highest: Option<u64>) -> Vec<Out> {
        let nonce = self.heal.nonce;
        let said = |rank: &u16| says(view, *rank, nonce, highest);
        let said: Vec<Signed<Newest>> = by.iter().map(said).collect();
        said.into_iter().flat_map(|said| self.step(In::Newest(said))).collect()
    }
}

fn says(view: &View, rank: u16, nonce: Hash32, highest: Option<u64>) -> Signed<Newest> {
    let roster = view.roster(quick_identity(0).suite()).unwrap();
    let mut door = Door::new(quick_identity(u8::try_from(rank).unwrap()));
    let newest = Newest { nonce, key: *quick_identity(7).public_key(), highest };
    Signed::clone(door.sign(&roster, Rank::new(rank), newest).signed())
}

#[test]
fn it_asks_contacts_and_members_until_a_quorum_has_said_what_is_newest() {
    let mut solo = Solo::new();
    let said = solo.run(10_000);
    let mut all = asked(&said);
    assert_eq!(all[0], PeerId(99));
    assert_eq!(joins(&said).len(), 0, "however long it hears nothing");
    assert_eq!(solo.door.counters().signatures, 0);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5, "everybody");
    let progress = said.iter().filter(|out| matches!(out, Out::Progress(..))).count();
    assert_eq!(progress, 1);
    let genesis = config().genesis.view();
    solo.hears(&genesis, &[0, 2, 0, 2], None);
    let said = solo.run(3_000);
    assert_eq!(joins(&said).len(), 0, "two of four are no quorum");
    let peers = genesis.peers();
    let turns = asked(&said).iter().filter(|peer| **peer == *peers.at(Rank::new(0))).count();
    assert!(turns <= 1, "who has answered is asked in turn only");
    solo.hears(&genesis, &[1], Some(LIFE - 1));
    let said = solo.run(10_000);
    let requests = joins(&said);
    assert!(requests.len() >= 4 && requests.len().is_multiple_of(4), "to all members");
    assert!(requests.iter().all(|request| *request == requests[0]), "signed once");
    assert_eq!(solo.door.counters().signatures, 1);
}

#[test]
fn it_is_a_member_when_a_decision_lists_this_very_life() {
    let mut solo = Solo::new();
    let genesis = config().genesis.view();
    solo.run(10);
    solo.hears(&genesis, &[0, 1, 2], None);
    let first = solo.run(150);
    let old = decide(&genesis, &[0, 1, 2], lists(LIFE - 1));
    let outs = solo.step(In::Chain(alloc::vec![old.clone()]));
    assert!(matches!(&outs[..], [Out::Learned]), "an old life of it: {outs:?}");
    let again = solo.run(10);
    assert_ne!(joins(&first)[0], joins(&again)[0], "signed anew for the next view");
    let next = decide(&old.view, &[0, 1, 3, 2], |view| {
        view.members.pop();
        lists(LIFE)(view);
    });
    let outs = solo.step(In::Chain(alloc::vec![old, next.clone()]));
    assert!(matches!(&outs[..], [Out::Learned, Out::Joined(found)] if **found == next), "{outs:?}");
    assert_eq!(solo.heal.deadline(), None);
    let views: Vec<u64> = solo.chain.views().map(|view| view.number).collect();
    assert_eq!(views, [1, 2]);
}

#[test]
fn a_view_that_lists_it_without_having_been_asked_is_of_another_process() {
    for listed in [LIFE, LIFE + 4] {
        let mut solo = Solo::new();
        let old = decide(&config().genesis.view(), &[0, 1, 2], lists(LIFE));
        let next = decide(&old.view, &[0, 1, 2, 3], |view| view.members[4].incarnation = listed);
        let newest = next.view.clone();
        let outs = solo.step(In::Chain(alloc::vec![old, next]));
        assert!(matches!(&outs[..], [Out::Learned, Out::Learned]), "{outs:?}");
        // There may be a later life in a view that it does not know yet.
        assert!(joins(&solo.run(10_000)).is_empty());
        let outs = solo.hears(&newest, &[0, 1, 2], None);
        assert!(matches!(outs.last(), Some(Out::Spent(life)) if *life == listed), "{outs:?}");
        assert!(solo.run(10_000).is_empty(), "it asks for nothing any more");
        assert_eq!(solo.door.counters().signatures, 0);
    }
}

#[test]
fn lives_count_as_far_as_a_correct_member_remembers_them() {
    let genesis = config().genesis.view();
    let mut solo = Solo::new();
    assert!(
        solo.hears(&genesis, &[0], Some(u64::MAX)).iter().all(|out| matches!(out, Out::Learned))
    );
    solo.hears(&genesis, &[1, 2], Some(LIFE - 1));
    assert!(!joins(&solo.run(100)).is_empty(), "one liar keeps nobody out");
    let outs = solo.hears(&genesis, &[3], Some(LIFE + 6));
    assert!(matches!(&outs[..], [Out::Learned, Out::Spent(9)]), "the lower of two: {outs:?}");
    assert!(solo.run(10_000).is_empty());
}

#[test]
fn answers_to_others_and_to_earlier_lives_count_for_nothing() {
    let mut solo = Solo::new();
    let genesis = config().genesis.view();
    let other = decide(&genesis, &[0, 1, 2], |view| view.pledge = 0).view;
    let earlier = Heal::new(
        &config(),
        (&solo.door, LIFE - 1),
        (genesis.clone(), Arc::clone(&solo.heal.roster)),
        alloc::vec![(PeerId(99), Vec::new())],
        Time::ZERO,
    );
    let (nonce, before) = (solo.heal.nonce, earlier.unwrap().nonce);
    assert_ne!(nonce, before);
    let mut fresh = config();
    fresh.fresh = [1; 32];
    let again = Heal::new(
        &fresh,
        (&solo.door, LIFE),
        (genesis.clone(), Arc::clone(&solo.heal.roster)),
        alloc::vec![(PeerId(99), Vec::new())],
        Time::ZERO,
    );
    assert_ne!(again.unwrap().nonce, nonce, "the same life at the same time, started again");
    for rank in 0..4 {
        let mut forged = says(&genesis, rank, nonce, None);
        forged.signature.0[1] ^= 1;
        let mut foreign = says(&genesis, rank, nonce, None);
        foreign.signer = Rank::new((rank + 1) % 4);
        let old = says(&genesis, rank, before, None);
        for said in [forged, foreign, old, says(&other, rank, nonce, None)] {
            assert!(solo.step(In::Newest(said)).is_empty());
        }
    }
    assert_eq!(joins(&solo.run(10_000)).len(), 0);
}

#[test]
fn a_question_is_made_longer_for_one_that_has_more_to_tell() {
    let mut solo = Solo::new();
    solo.run(10);
    let length = |outs: &[Out]| {
        let bytes = outs.iter().filter_map(|out| match out {
            Out::Call(_, message) => Some(crate::wire::stranger::encode(message).len()),
            _ => None,
        });
        bytes.max().unwrap_or_default()
    };
    solo.step(In::Longer(PeerId(5), 30_000));
    assert!(length(&solo.run(2_000)) <= QUESTION_BYTES, "it knows nobody of that name");
    solo.step(In::Longer(PeerId(99), 30_000));
    let said = solo.run(1_000);
    assert!((29_000..30_000).contains(&length(&said)));
    solo.step(In::Longer(PeerId(99), u32::MAX));
    assert!(length(&solo.run(1_000)) <= STRANGER_MAX);
}

#[test]
fn a_forged_chain_costs_one_look() {
    let mut solo = Solo::new();
    let genesis = config().genesis.view();
    solo.hears(&genesis, &[0, 1, 2], None);
    solo.run(150);
    let good = decide(&genesis, &[0, 1, 2], lists(LIFE));
    let mut few = good.clone();
    few.readys.as_mut_vec().pop();
    let mut unsigned = good.clone();
    unsigned.readys.as_mut_vec()[0].signature.0[1] ^= 1;
    let mut other = good.clone();
    other.view.members[4].addr = b"elsewhere".to_vec();
    let mut later = good.clone();
    later.view.number = 2;
    for forged in [few, unsigned, other, later] {
        let before = solo.door.counters().verifications;
        assert!(solo.step(In::Chain(alloc::vec![forged; 8])).is_empty());
        assert!(solo.door.counters().verifications - before <= 1);
        assert_eq!(solo.chain.held_bytes(), 0);
    }
    assert_eq!(solo.step(In::Chain(alloc::vec![good])).len(), 2);
}

#[test]
fn two_views_after_one_stop_it() {
    let mut solo = Solo::new();
    let genesis = config().genesis.view();
    let one = decide(&genesis, &[0, 1, 2], |view| view.pledge = 0);
    let two = decide(&genesis, &[1, 2, 3], lists(LIFE));
    assert_eq!(solo.step(In::Chain(alloc::vec![one.clone()])).len(), 1);
    let mut forged = two.clone();
    forged.readys.as_mut_vec()[2].signature.0[1] ^= 1;
    assert!(solo.step(In::Chain(alloc::vec![forged, one.clone()])).is_empty());
    let outs = solo.step(In::Chain(alloc::vec![two.clone()]));
    let (one, two) = (Box::new(one), Box::new(two));
    assert!(matches!(&outs[..], [Out::Fork(a, b)] if *a == one && *b == two), "{outs:?}");
    assert!(solo.run(10_000).is_empty());
}

#[test]
fn refusals_count_if_they_are_for_the_present_request() {
    let mut solo = Solo::new();
    solo.hears(&config().genesis.view(), &[0, 1, 3], None);
    let said = solo.run(1_200);
    let hash = request_hash(&joins(&said)[0]);
    let peers = config().genesis.view().peers();
    let peer = *peers.at(Rank::new(2));
    let why = JoinRefusal::NotAuthorised;
    solo.step(In::Refused(peer, crate::rig::some_hash(1), why));
    solo.step(In::Refused(PeerId(5), hash, why));
    solo.step(In::Refused(peer, hash, why));
    let progress =
        |out: &Out| matches!(out, Out::Progress(0, all) if *all == [(Rank::new(2), why)]);
    assert!(solo.run(2_000).iter().any(progress));
    let outs = solo.step(In::Refused(peer, hash, JoinRefusal::OtherView));
    assert!(matches!(&outs[..], [Out::Call(to, Stranger::AskChain(_))] if *to == peer));
    assert!(solo.step(In::Heard(peer)).is_empty(), "it was asked just now");
    solo.run(200);
    assert_eq!(solo.step(In::Heard(peer)).len(), 1);
    assert!(solo.step(In::Heard(PeerId(5))).is_empty());
}
