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

#[test]
fn it_asks_contacts_and_members_in_turn_and_tells_how_it_goes() {
    let mut solo = Solo::new();
    let said = solo.run(10_000);
    let mut asked: Vec<PeerId> = said
        .iter()
        .filter_map(|out| match out {
            Out::Call(peer, Stranger::AskChain { from: 0 }) => Some(*peer),
            _ => None,
        })
        .collect();
    assert_eq!(asked[0], PeerId(99));
    assert!((6..12).contains(&asked.len()), "{asked:?}");
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 5, "everybody");
    let requests = joins(&said);
    assert!(requests.iter().all(|request| *request == requests[0]), "signed once");
    assert_eq!(requests.len() % 4, 0, "to all members");
    assert_eq!(solo.door.counters().signatures, 1);
    let progress = said.iter().filter(|out| matches!(out, Out::Progress(..))).count();
    assert_eq!(progress, 1);
}

#[test]
fn it_is_a_member_when_a_decision_lists_this_very_life() {
    let mut solo = Solo::new();
    assert_eq!(joins(&solo.run(900)).len(), 0, "it waits to be told of newer views");
    solo.step(In::Chain(Vec::new()));
    let first = solo.run(150);
    let old = decide(&config().genesis.view(), &[0, 1, 2], lists(LIFE - 1));
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
    let mut solo = Solo::new();
    let old = decide(&config().genesis.view(), &[0, 1, 2], lists(LIFE));
    let outs = solo.step(In::Chain(alloc::vec![old.clone()]));
    assert!(matches!(&outs[..], [Out::Learned]), "{outs:?}");
    assert_eq!(joins(&solo.run(10)).len(), 4, "it asks, and will be told that it is too late");
}

#[test]
fn a_forged_chain_costs_one_look() {
    let mut solo = Solo::new();
    solo.step(In::Chain(Vec::new()));
    solo.run(150);
    let genesis = config().genesis.view();
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
    assert!(matches!(&outs[..], [Out::Call(to, Stranger::AskChain { .. })] if *to == peer));
    assert!(solo.step(In::Heard(peer)).is_empty(), "it was asked just now");
    solo.run(200);
    assert_eq!(solo.step(In::Heard(peer)).len(), 1);
    assert!(solo.step(In::Heard(PeerId(5))).is_empty());
}
