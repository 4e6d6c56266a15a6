//! What a member makes of requests, alone.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use crate::crypto::{Door, Roster};
use crate::rig::{genesis_of, quick_identity};
use crate::view::Departure;

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

/// The application's answer about a request, at a time when newcomers may be recommended.
fn answer(request: &JoinRequest, is_admitted: bool) -> In {
    In::Admit { key: request.key, is_admitted, takes_newcomers: true }
}

#[test]
fn what_is_known_against_a_request_costs_no_signature_check() {
    let mut solo = Solo::new(Joiners::Application);
    let own = solo.request(3, 0);
    assert!(is_refused(&solo.ask(PEER, &own), JoinRefusal::Incarnation(0)));
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
    assert_eq!(solo.step(answer(&request, true)), [Out::Recommend(request)]);
    for index in 10..110 {
        let request = solo.request(index, 1);
        solo.ask(PEER, &request);
    }
    assert!(solo.inter.held_bytes() <= Inter::BOUND_BYTES);
    assert_eq!(solo.inter.waiting.len(), WAITING_MAX);
}

/// The view after that of `solo`, in which rank 3 is not any more.
fn without_the_last(solo: &Solo, why: Departure) -> View {
    let mut next = solo.inter.view.clone();
    next.number += 1;
    next.members.pop();
    next.departed = core::iter::once((Rank::new(3), why)).collect();
    next
}

impl Solo {
    fn pass(&mut self, next: &View) {
        let mut config = Config::new(genesis_of((0..4).map(quick_identity)));
        config.joiners = self.inter.joiners.clone();
        let inter = Inter::new(&config, next, Rank::new(0), self.now);
        let before = core::mem::replace(&mut self.inter, inter);
        self.inter.inherit(before, self.now);
        self.roster = next.roster(self.door.identity().suite()).unwrap();
    }
}

#[test]
fn only_members_put_out_by_opinion_come_back_unasked() {
    let listed = || Joiners::Listed(alloc::vec![*quick_identity(9).public_key()]);
    for joiners in [Joiners::Nobody, listed(), Joiners::Application] {
        for why in [Departure::Opinion, Departure::Left, Departure::Proof] {
            let mut solo = Solo::new(joiners.clone());
            solo.pass(&without_the_last(&solo, why));
            let request = solo.request(3, 1);
            let outs = solo.ask(PEER, &request);
            let comes = outs.iter().any(|out| matches!(out, Out::Recommend(_)));
            assert_eq!(comes, why == Departure::Opinion, "{joiners:?}, {why:?}: {outs:?}");
            let is_asked = outs.iter().any(|out| matches!(out, Out::Wanted(_)));
            assert_eq!(is_asked, joiners == Joiners::Application && !comes);
        }
    }
}

#[test]
fn a_no_of_the_application_bars_former_members_and_no_restart() {
    for joiners in [Joiners::Nobody, Joiners::Application] {
        let mut solo = Solo::new(joiners);
        let restarts = solo.request(2, 1);
        solo.step(answer(&restarts, false));
        assert_eq!(solo.ask(PEER, &restarts), [Out::Recommend(restarts.clone())]);
        solo.pass(&without_the_last(&solo, Departure::Opinion));
        let request = solo.request(3, 1);
        solo.step(answer(&request, false));
        assert!(is_refused(&solo.ask(PEER, &request), JoinRefusal::NotAuthorised));
        solo.step(answer(&request, true));
        assert_eq!(solo.ask(PEER, &request), [Out::Recommend(request.clone())]);
    }
}

#[test]
fn a_yes_of_the_application_is_for_one_coming() {
    let mut solo = Solo::new(Joiners::Application);
    let request = solo.request(9, 1);
    solo.step(answer(&request, true));
    assert_eq!(solo.ask(PEER, &request), [Out::Recommend(request.clone())]);
    let mut came = solo.inter.view.clone();
    came.number += 1;
    let Member { addr, status, .. } = came.members[0].clone();
    came.members.push(Member { key: request.key, incarnation: 1, addr, status });
    solo.pass(&came);
    let mut left = came.clone();
    left.number += 1;
    left.members.pop();
    left.departed = core::iter::once((Rank::new(4), Departure::Left)).collect();
    solo.pass(&left);
    let again = solo.request(9, 2);
    solo.now = solo.now.plus(60_000_000);
    let outs = solo.ask(PEER, &again);
    assert!(outs.contains(&Out::Wanted(again)), "{outs:?}");
}

#[test]
fn a_life_that_was_in_a_view_is_refused_with_the_highest() {
    let mut solo = Solo::new(Joiners::Application);
    let mut later = solo.inter.view.clone();
    later.number += 1;
    later.members[3].incarnation = 7;
    solo.pass(&later);
    solo.pass(&without_the_last(&solo, Departure::Opinion));
    for incarnation in [0, 6, 7] {
        let request = solo.request(3, incarnation);
        assert!(is_refused(&solo.ask(PEER, &request), JoinRefusal::Incarnation(7)));
    }
    assert_eq!(solo.door.counters().verifications, 0);
    let request = solo.request(3, 8);
    assert_eq!(solo.ask(PEER, &request), [Out::Recommend(request.clone())]);
}
