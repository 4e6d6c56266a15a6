//! The oracles together: events of a managed group, translated from ranks to processes and judged.

use phalanx_core::crypto::Reason;
use phalanx_core::wire::List;
use phalanx_core::wire::change::Decision;
use phalanx_core::{Departure, Exclusion, Number, Payload};

use super::views::tests::{next, with};
use super::*;
use crate::cluster::Group;
use crate::scenario::{Expect, Join, Membership};
use crate::workload;

/// The oracles of a managed group of five in which nobody lies, and its first view.
fn rig() -> (Oracles, View) {
    let mut scenario = Scenario::calm("oracles", 5, 1);
    scenario.membership = Membership::Managed;
    scenario.joins.push(Join::at(1));
    let group = Group::new(&scenario).unwrap();
    let view = group.genesis.view();
    let roster = view.roster(group.suite).unwrap();
    let mut oracles = Oracles::new(&scenario, &group, view.clone(), roster);
    (0..5).for_each(|by| oracles.event(0, by, &Event::View(Box::new(view.clone()))));
    (oracles, view)
}

fn installs(oracles: &mut Oracles, by: usize, view: &View) {
    oracles.event(9, by, &Event::View(Box::new(view.clone())));
}

/// `by` suspects `subject`; both are ranks of its view, its own first.
fn suspects(oracles: &mut Oracles, by: usize, rank: u16, subject: u16) {
    let (by_rank, subject, reason) = (Rank::new(rank), Rank::new(subject), Reason::Mute);
    oracles.event(9, by, &Event::Suspected { subject, by: by_rank, reason });
}

/// Process `caster` casts its `index`-th.
fn casts(oracles: &mut Oracles, caster: usize, index: u32) {
    oracles.attempted(0, caster, (index, Order::Fifo, 8));
    oracles.answered(0, caster, Order::Fifo, true);
}

/// Process `by` delivers cast `index` of process `caster`, which has `rank` in view `number`.
fn delivers(oracles: &mut Oracles, by: usize, number: u64, rank: u16, cast: (u16, u32)) {
    let (caster, index) = cast;
    let mut payload = Vec::new();
    workload::payload(caster, index, Order::Fifo, 8, &mut payload);
    let range = 0..payload.len();
    let own = by == usize::from(caster);
    let event = Event::Cast {
        view: number,
        sender: Rank::new(rank),
        number: Number::new(1),
        order: Order::Fifo,
        slot: None,
        own_ticket: own.then_some(phalanx_core::Ticket(u64::from(index))),
        payload: Payload::new(payload.into(), &range),
    };
    oracles.event(9, by, &event);
}

fn broken(oracles: &Oracles) -> Vec<&'static str> {
    oracles.violations().iter().map(|violation| violation.promise.name()).collect()
}

/// Member 1 crashed, and all others suspect it; then they go on without it.
fn removal() -> (Oracles, View, View) {
    let (mut oracles, first) = rig();
    oracles.crashed(0, 1);
    for by in [0, 2, 3, 4] {
        suspects(&mut oracles, by, u16::try_from(by).unwrap(), 1);
    }
    let second = next(&first, &[(1, Departure::Opinion)], &[]);
    (oracles, first, second)
}

#[test]
fn a_removal_in_order_is_good_and_ranks_are_translated() {
    let (mut oracles, _, second) = removal();
    casts(&mut oracles, 4, 0);
    casts(&mut oracles, 4, 1);
    for by in [0, 2, 3, 4] {
        delivers(&mut oracles, by, 0, 4, (4, 0));
    }
    assert!(oracles.missing().unwrap().contains("member 1 is Active"), "L1");
    installs(&mut oracles, 0, &second);
    assert!(oracles.missing().unwrap().contains("member 2 is in view 0"), "L3");
    [2, 3, 4].into_iter().for_each(|by| installs(&mut oracles, by, &second));
    assert!(oracles.missing().unwrap().contains("1 of 2 Fifo"), "L2");
    for by in [0, 2, 3, 4] {
        delivers(&mut oracles, by, 1, 3, (4, 1));
    }
    assert_eq!((oracles.missing(), broken(&oracles)), (None, vec![]));
    assert_eq!((oracles.views(), oracles.is_active(1), oracles.is_active(4)), (2, false, true));
    let misplaced = |removed: &[u16], silenced: &[u16], kept: &[u16]| {
        let (removed, silenced, kept) = (removed.to_vec(), silenced.to_vec(), kept.to_vec());
        oracles.misplaced(&Expect { removed, silenced, kept, ..Expect::default() })
    };
    assert_eq!(misplaced(&[1], &[], &[0, 2, 3, 4]), None);
    assert!(misplaced(&[2], &[], &[]).is_some());
    assert!(misplaced(&[], &[2], &[]).is_some());
    assert!(misplaced(&[], &[], &[1]).is_some());
    assert!(oracles.misplaced(&Expect { never: vec![1], ..Expect::default() }).is_some());
    assert!(oracles.undetected(1, adversary::Verdict::Suspected).is_none());
}

#[test]
fn each_promise_about_views_can_be_broken() {
    let (mut oracles, first, second) = removal();
    installs(&mut oracles, 0, &second);
    installs(&mut oracles, 2, &next(&first, &[], &[1]));
    assert_eq!(broken(&oracles), ["P6"]);

    let (mut oracles, _, second) = removal();
    installs(&mut oracles, 1, &second);
    assert_eq!(broken(&oracles), ["P7"]);

    let (mut oracles, first, _) = removal();
    installs(&mut oracles, 0, &next(&first, &[(2, Departure::Opinion)], &[]));
    assert_eq!(broken(&oracles), ["P8"]);

    let (mut oracles, _, second) = removal();
    casts(&mut oracles, 4, 0);
    delivers(&mut oracles, 0, 0, 4, (4, 0));
    installs(&mut oracles, 0, &second);
    installs(&mut oracles, 2, &second);
    assert_eq!(broken(&oracles), ["P3", "P5"]);

    let (mut oracles, _, second) = removal();
    casts(&mut oracles, 4, 0);
    installs(&mut oracles, 0, &second);
    delivers(&mut oracles, 0, 0, 3, (4, 0));
    assert_eq!(broken(&oracles), ["P5"], "delivered late");
}

#[test]
fn who_is_out_is_owed_nothing_and_does_nothing() {
    let (mut oracles, _, second) = removal();
    oracles.crashed[1] = false;
    let decision = Decision { view: second.clone(), readys: List::new() };
    let why = Exclusion::Departed(Departure::Opinion);
    oracles.event(9, 1, &Event::Excluded { why, decision: Box::new(decision), lost: Vec::new() });
    assert_eq!((broken(&oracles).len(), oracles.present()), (0, vec![0, 2, 3, 4]));
    casts(&mut oracles, 4, 0);
    delivers(&mut oracles, 1, 0, 4, (4, 0));
    assert_eq!(broken(&oracles), ["P5"]);
    installs(&mut oracles, 1, &second);
    assert_eq!(broken(&oracles), ["P5", "P7"]);
}

/// Protocol.md section 10: one that was silenced votes on without what it could not get.
#[test]
fn who_was_silenced_may_go_on_without_state_but_delivers_nothing() {
    let (mut oracles, first) = rig();
    for by in [0, 2] {
        suspects(&mut oracles, by, u16::try_from(by).unwrap(), 4);
    }
    let second = next(&first, &[], &[4]);
    let third = next(&second, &[], &[]);
    (0..5).for_each(|by| installs(&mut oracles, by, &second));
    oracles.violations.clear();
    casts(&mut oracles, 0, 0);
    (0..4).for_each(|by| delivers(&mut oracles, by, 1, 0, (0, 0)));
    (0..5).for_each(|by| installs(&mut oracles, by, &third));
    assert!(oracles.missing().unwrap().contains("member 4 is not Active"), "it has a way back");
    assert_eq!(broken(&oracles), Vec::<&str>::new());
    casts(&mut oracles, 0, 1);
    delivers(&mut oracles, 4, 2, 0, (0, 1));
    assert!(broken(&oracles).contains(&"P5"));
}

#[test]
fn only_who_is_silenced_may_lose_the_state() {
    let (mut oracles, first) = rig();
    let second = next(&first, &[], &[4]);
    (0..5).for_each(|by| installs(&mut oracles, by, &second));
    oracles.violations.clear();
    oracles.event(9, 4, &Event::StateLost);
    assert_eq!(broken(&oracles), Vec::<&str>::new());
    oracles.event(9, 3, &Event::StateLost);
    assert_eq!(broken(&oracles), ["P3"]);
}

#[test]
fn beyond_the_pledge_only_what_always_holds_is_judged() {
    let (mut oracles, first, second) = removal();
    oracles.liars = vec![false, false, false, false, true];
    let third = next(&second, &[(3, Departure::Opinion)], &[]);
    assert_eq!(third.members.len(), 3);
    installs(&mut oracles, 0, &second);
    oracles.liars[3] = true;
    let fork = next(&first, &[(0, Departure::Opinion)], &[]);
    installs(&mut oracles, 2, &fork);
    assert!(broken(&oracles).iter().all(|name| ["pledge", "P6", "P8"].contains(name)));
    let before = oracles.violations().len();
    installs(&mut oracles, 3, &next(&fork, &[(1, Departure::Opinion)], &[]));
    assert_eq!(oracles.violations().len(), before, "nothing is promised any more");
}

/// A newcomer, process 5, is recommended, and all are in the view with it.
fn arrival(oracles: &mut Oracles, first: &View) -> View {
    let second = with(first, 5, 0);
    let key = second.members[5].key;
    assert_eq!(oracles.started((5, key, 0), true), 5);
    oracles.observer.grounds_mut().recommended(first.id(), key, 0);
    second
}

#[test]
fn who_joins_delivers_from_its_first_view_on() {
    let (mut oracles, first) = rig();
    casts(&mut oracles, 0, 0);
    (0..5).for_each(|by| delivers(&mut oracles, by, 0, 0, (0, 0)));
    let second = arrival(&mut oracles, &first);
    assert!(oracles.missing().unwrap().contains("process 5 is no member"));
    casts(&mut oracles, 0, 1);
    (0..6).for_each(|by| installs(&mut oracles, by, &second));
    (0..5).for_each(|by| delivers(&mut oracles, by, 1, 0, (0, 1)));
    assert!(oracles.missing().unwrap().contains("member 5 delivered"));
    delivers(&mut oracles, 5, 1, 0, (0, 1));
    assert_eq!((oracles.missing(), broken(&oracles)), (None, vec![]));
    casts(&mut oracles, 5, 0);
    assert!(oracles.missing().unwrap().contains("casts that 5 is owed"));
}

#[test]
fn who_delivers_before_it_is_a_member_or_what_was_before_is_seen() {
    let (mut oracles, first) = rig();
    casts(&mut oracles, 0, 0);
    (0..5).for_each(|by| delivers(&mut oracles, by, 0, 0, (0, 0)));
    let second = arrival(&mut oracles, &first);
    delivers(&mut oracles, 5, 0, 0, (0, 0));
    assert_eq!(broken(&oracles), ["P5"]);
    (0..6).for_each(|by| installs(&mut oracles, by, &second));
    delivers(&mut oracles, 5, 1, 0, (0, 0));
    assert!(broken(&oracles).contains(&"P2"));
}

#[test]
fn who_leaves_is_owed_its_casts_or_told_that_they_are_lost() {
    let (mut oracles, first) = rig();
    oracles.leaves(4);
    assert!(oracles.missing().unwrap().contains("asked to leave"));
    casts(&mut oracles, 4, 0);
    oracles.observer.grounds_mut().leaves(first.id(), Rank::new(4));
    let second = next(&first, &[(4, Departure::Left)], &[]);
    (0..4).for_each(|by| installs(&mut oracles, by, &second));
    let why = Exclusion::Departed(Departure::Left);
    for (lost, is_owed) in [(vec![], true), (vec![phalanx_core::Ticket(0)], false)] {
        let decision = Box::new(Decision { view: second.clone(), readys: List::new() });
        oracles.event(9, 4, &Event::Excluded { why, decision, lost });
        assert_eq!(oracles.missing().is_some(), is_owed);
    }
    assert_eq!(broken(&oracles), [""; 0]);
}
