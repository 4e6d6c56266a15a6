//! What a member makes of requests, alone.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use crate::crypto::{Door, Roster};
use crate::rig::{genesis_of, quick_identity};

struct Solo {
    inter: Inter,
    door: Door,
    roster: Roster,
    now: Time,
}

impl Solo {
    fn new(joiners: Joiners) -> Self {
        let mut config = Config::new(genesis_of((0..4).map(quick_identity)));
        config.joiners = joiners;
        let view = config.genesis.view();
        let door = Door::new(quick_identity(0));
        let roster = view.roster(door.identity().suite()).unwrap();
        let inter = Inter::new(&config, &view, Rank::new(0), Time::ZERO);
        Self { inter, door, roster, now: Time::ZERO }
    }

    fn step(&mut self, input: In) -> Vec<Out> {
        let mut cx = Context { now: self.now, door: &mut self.door, roster: &self.roster };
        self.inter.step(&mut cx, input)
    }

    fn request(&self, index: u8, incarnation: u64) -> Box<JoinRequest> {
        let mut door = Door::new(quick_identity(index));
        Box::new(door.ask_to_join(&self.roster, incarnation, alloc::vec![index]))
    }

    fn ask(&mut self, origin: Origin, request: &JoinRequest) -> Vec<Out> {
        let request = Box::new(request.clone());
        self.step(In::Asked { origin, request, is_welcome: false })
    }
}

const PEER: Origin = Origin::Stranger(PeerId(1));

fn is_refused(outs: &[Out], expected: JoinRefusal) -> bool {
    matches!(outs, [Out::Refuse(PeerId(1), _, why)] if *why == expected)
}

#[test]
fn what_is_known_against_a_request_costs_no_signature_check() {
    let mut solo = Solo::new(Joiners::Application);
    let own = solo.request(3, 0);
    assert!(is_refused(&solo.ask(PEER, &own), JoinRefusal::Incarnation));
    let proven = solo.request(3, 1);
    solo.step(In::Proven(proven.key));
    assert!(is_refused(&solo.ask(PEER, &proven), JoinRefusal::Proven));
    assert_eq!(solo.door.counters().verifications, 0);
    assert!(solo.ask(Origin::Seconded, &proven).is_empty());
}

#[test]
fn a_request_of_another_view_is_not_recommended() {
    let mut solo = Solo::new(Joiners::Nobody);
    let mut old = solo.request(2, 5);
    old.signature.0[0] ^= 1;
    assert!(is_refused(&solo.ask(PEER, &old), JoinRefusal::OtherView));
    assert_eq!(solo.door.counters().verifications, 1);
}

#[test]
fn one_life_of_a_key_is_recommended_at_a_time_and_no_word_answers_another() {
    let mut solo = Solo::new(Joiners::Nobody);
    let first = solo.request(2, 5);
    assert_eq!(solo.ask(PEER, &first), [Out::Recommend(first.clone())]);
    let said = solo.door.sign(
        &solo.roster,
        Rank::new(0),
        crate::crypto::Recommend { request: request_hash(&first) },
    );
    let said = Recommended { signed: said.signed().as_ref().clone(), request: *first.clone() };
    solo.inter.said(&said);
    assert_eq!(solo.ask(PEER, &first), [Out::Repeat(Box::new(said))]);
    assert!(solo.ask(Origin::Seconded, &first).is_empty());
    let later = solo.request(2, 6);
    assert!(is_refused(&solo.ask(PEER, &later), JoinRefusal::CoolDown));
    solo.now = solo.now.plus(2_000_000);
    assert!(is_refused(&solo.ask(PEER, &solo.request(2, 4)), JoinRefusal::CoolDown));
    assert_eq!(solo.ask(PEER, &later), [Out::Recommend(later)]);
}

#[test]
fn an_admitted_key_is_recommended_without_being_asked_again() {
    let mut solo = Solo::new(Joiners::Application);
    let request = solo.request(9, 1);
    let outs = solo.ask(Origin::Seconded, &request);
    assert_eq!(outs, [Out::Wanted(request.clone())]);
    assert!(is_refused(&solo.ask(PEER, &request), JoinRefusal::Undecided));
    assert_eq!(solo.step(In::Admit(request.key, true)), [Out::Recommend(request)]);
    for index in 10..110 {
        let request = solo.request(index, 1);
        solo.ask(PEER, &request);
    }
    assert!(solo.inter.held_bytes() <= Inter::BOUND_BYTES);
    assert_eq!(solo.inter.waiting.len(), WAITING_MAX);
}
