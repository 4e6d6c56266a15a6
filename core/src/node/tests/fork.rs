//! More than `f` members have lied, and two views follow one: whoever sees both says so and stops.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::rig::Group;
use crate::crypto::{Door, ReadyToSwitch, Signed};
use crate::input::{Input, Order, Request, Ticket};
use crate::member::Rank;
use crate::output::{Event, Refusal};
use crate::rig::quick_identity;
use crate::seq::{Attempt, LogEnd};
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::Decision;
use crate::wire::stranger::Stranger;

/// A view after `before` like it, signed by three of its members.
fn decide(before: &View, pledge: u16) -> Decision {
    let roster = before.roster(quick_identity(0).suite()).unwrap();
    let mut view = before.clone();
    view.number += 1;
    view.prev = before.id();
    view.cut = (0..4).map(|_| LogEnd::EMPTY).collect();
    view.pledge = pledge;
    let ready = |rank: u8| {
        let ready = ReadyToSwitch { attempt: Attempt::FIRST, next: view.id() };
        let mut door = Door::new(quick_identity(rank));
        Signed::clone(door.sign(&roster, Rank::new(u16::from(rank)), ready).signed())
    };
    let readys = (0..3).map(ready).collect();
    Decision { view, readys }
}

fn forks(group: &Group, index: usize) -> Vec<(Box<Decision>, Box<Decision>)> {
    let fork = |event: &Event| match event {
        Event::Fork { known, other } => Some((known.clone(), other.clone())),
        _ => None,
    };
    group.events[index].iter().filter_map(fork).collect()
}

/// Two members went each way.
fn forked() -> (Group, View, [Decision; 2]) {
    let mut group = Group::new(4);
    group.run(300_000, |_, _| true);
    let before = group.genesis.view();
    let (one, other) = (decide(&before, 0), decide(&before, 1));
    group.install_at(&[0, 1], &one);
    group.install_at(&[2, 3], &other);
    (group, before, [one, other])
}

#[test]
fn members_of_two_successors_of_one_view_raise_an_alarm() {
    let (mut group, before, [one, other]) = forked();
    group.tell(0, 2, &before, [Part::Decision(Box::new(one.clone()))].to_vec());
    group.tell(2, 0, &before, [Part::Decision(Box::new(other.clone()))].to_vec());
    group.run(20_000, |_, _| true);
    assert_eq!(forks(&group, 0), [(Box::new(one.clone()), Box::new(other.clone()))]);
    assert_eq!(forks(&group, 2), [(Box::new(other), Box::new(one))]);
}

/// Nobody tells; they only go on in their views, and meet.
#[test]
fn they_find_out_by_what_they_say_in_their_views() {
    for more in [0, 1, 2, 5, 40] {
        let (mut group, _, [one, other]) = forked();
        let mut ends = [one.clone(), other.clone()];
        for _ in 0..more {
            ends = ends.map(|end| decide(&end.view, end.view.pledge));
            group.install_at(&[0, 1], &ends[0]);
            group.install_at(&[2, 3], &ends[1]);
        }
        group.run(10_000_000, |_, _| true);
        for index in 0..4 {
            let (mine, theirs) = if index < 2 { (&one, &other) } else { (&other, &one) };
            let forks = forks(&group, index);
            assert_eq!(forks.len(), 1, "{more} more: {index}");
            assert_eq!(forks[0], (Box::new(mine.clone()), Box::new(theirs.clone())));
        }
    }
}

#[test]
fn who_saw_a_fork_delivers_nothing_more_and_hands_out_what_it_has() {
    let (mut group, _, [one, _]) = forked();
    group.run(10_000_000, |_, _| true);
    let now = crate::Time::from_micros(3_600_000_000);
    let before = group.events[0].len();
    let cast = Request::Cast { order: Order::Total, payload: b"late" };
    let outs: Vec<_> = group.nodes[0].step(now, Input::Request(Ticket(7), cast)).collect();
    let refused = Event::Refused(Ticket(7), Refusal::NotMember);
    assert!(outs.iter().any(|out| matches!(out, crate::Output::Event(e) if *e == refused)));
    let _: Vec<_> = group.nodes[0].step(now, Input::Tick).collect();
    assert_eq!(group.events[0].len(), before);
    let asks = super::answers::question(&group.genesis, 0, 1_200);
    let outs: Vec<_> = group.nodes[0].step(now, Input::Frame(&asks)).collect();
    let decisions = super::answers::said(&outs);
    let chain = Stranger::Chain { decisions: core::iter::once(one).collect() };
    assert!(decisions.contains(&chain), "an hour later: {decisions:?}");
}

#[test]
fn decisions_that_somebody_made_up_are_no_fork() {
    let (mut group, before, [_, other]) = forked();
    let mut few = other.clone();
    few.readys.as_mut_vec().pop();
    let mut unsigned = other;
    unsigned.readys.as_mut_vec()[0].signature.0[1] ^= 1;
    let checked = group.nodes[0].counters().crypto.verifications;
    for decision in [few, unsigned] {
        for _ in 0..20 {
            group.tell(2, 0, &before, [Part::Decision(Box::new(decision.clone()))].to_vec());
        }
        group.run(150_000, |from, to| from == 2 && to == 0);
    }
    assert!(forks(&group, 0).is_empty());
    let checked = group.nodes[0].counters().crypto.verifications - checked;
    assert!(checked < 20, "{checked} signatures for 40 decisions");
}
