//! Who was cut off for so long that the others went on without it: whoever the next view lists goes
//! on as a voter, with the state or without (protocol.md section 10).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::LAGGARD;
use super::rig::{Group, casts};
use super::world::{FIRST, World};
use crate::config::Config;
use crate::input::{Input, Order, Request, Ticket};
use crate::member::{Rank, Status};
use crate::output::Event;
use crate::seq::Number;
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::Decision;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    WhileAway,
    WhenBack,
}

fn count(world: &World, index: usize, payload: &[u8]) -> usize {
    world.delivered(index).iter().filter(|cast| cast[..] == *payload).count()
}

/// `away` of `n` are cut off while the others cast; `away_s` later they are back, and one of the
/// others crashes, then or before. Casts go on, without anybody's new life.
fn cut_off_and_one_crash(
    (n, away): (u8, &[usize]),
    away_s: u64,
    crash: Crash,
    change: impl FnOnce(&mut Config),
) {
    let size = usize::from(n);
    let mut world = World::new(n, 0, change);
    world.run(300);
    world.away = away.to_vec();
    let there: Vec<usize> = (0..size).filter(|index| !away.contains(index)).collect();
    for round in 0..50_u8 {
        for index in &there {
            world.cast(*index, &[round, u8::try_from(*index).unwrap()]);
        }
        world.run(10);
    }
    world.run(6_000);
    let view = world.node(0).view();
    assert!(away.iter().all(|index| view.members[*index].status == Status::Silenced));
    world.cast(0, b"before");
    world.run(2_000);
    assert_eq!(count(&world, 1, b"before"), 1, "the others go on");
    let crashed = *there.last().unwrap();
    if crash == Crash::WhileAway {
        world.nodes[crashed] = None;
    }
    world.run(away_s * 1000);
    world.away = Vec::new();
    world.nodes[crashed] = None;
    world.run(15_000);
    world.cast(0, b"after");
    world.run(5_000);
    for index in there.iter().filter(|index| **index != crashed) {
        assert_eq!(count(&world, *index, b"after"), 1, "n {n}, {away:?}, {crash:?}");
    }
    for index in away {
        let is_out = |event: &Event| matches!(event, Event::Excluded { .. });
        assert!(!world.events[*index].iter().any(is_out), "{index} is out");
        assert_eq!(world.node(*index).view(), world.node(0).view());
    }
    // Who crashed begins anew, and is taken in.
    world.join(crashed, FIRST, &[0, 1]);
    let end = world.now.plus(60_000_000);
    let is_in = |world: &World| {
        let mut members = world.node(0).view().members.iter();
        members.any(|member| member.incarnation == FIRST)
    };
    assert!(world.run_until(end, is_in));
    if world.genesis.state_transfer {
        return;
    }
    // By now the others deliver to all.
    world.run(10_000);
    world.cast(0, b"last");
    world.run(5_000);
    for index in away {
        let resumed = |event: &Event| matches!(event, Event::Resumed { .. });
        let times = world.events[*index].iter().filter(|event| resumed(event)).count();
        let last = count(&world, *index, b"last");
        assert_eq!((times, last), (1, 1), "n {n}, {away:?}, {crash:?}: {index}");
    }
}

#[test]
fn one_of_four_cut_off_for_long_and_one_crash_do_not_stop_the_group() {
    for away_s in [20, 70, 130] {
        for crash in [Crash::WhileAway, Crash::WhenBack] {
            cut_off_and_one_crash((4, &[3]), away_s, crash, |_| {});
        }
    }
}

#[test]
fn nor_do_they_where_members_hand_over_their_state() {
    for crash in [Crash::WhileAway, Crash::WhenBack] {
        let hands_over = |config: &mut Config| config.genesis.state_transfer = true;
        cut_off_and_one_crash((4, &[3]), 70, crash, hands_over);
    }
}

#[test]
fn one_or_two_of_seven_cut_off_for_long_and_one_crash_do_not_stop_the_group() {
    for away in [&[6][..], &[5, 6]] {
        cut_off_and_one_crash((7, away), 70, Crash::WhenBack, |_| {});
    }
    cut_off_and_one_crash((7, &[6]), 70, Crash::WhileAway, |_| {});
}

/// A body of the first view that the laggard, Active in it and in the next, missed. It has cast
/// something itself that nobody heard.
fn missed() -> (Group, View, Decision) {
    let mut group = Group::new(4);
    group.cast(0, b"missed");
    group.run(1_000_000, |from, to| from != LAGGARD && to != LAGGARD);
    group.cast(LAGGARD, b"mine");
    group.run(100_000, |_, _| false);
    group.flights.clear();
    let (view, end) = (group.genesis.view(), group.end(1, Rank::new(0)));
    let next = group.next(|view| view.cut.as_mut_vec()[0] = end);
    group.install_at(&[0, 1, 2], &next);
    group.flights.clear();
    (group, view, next)
}

fn tell(group: &mut Group, view: &View, decision: &Decision) {
    let sealed = Part::Decision(Box::new(decision.clone()));
    group.tell(0, LAGGARD, view, alloc::vec![sealed]);
    group.deliver(|_, to| to == LAGGARD);
}

fn has_lost(group: &Group) -> bool {
    group.events[LAGGARD].contains(&Event::StateLost)
}

/// Its votes are counted on at once, its casts are cast again, it settles its slots and delivers what
/// is cast from the next view on.
#[test]
fn an_active_member_goes_on_at_once_when_the_others_lack_what_it_missed() {
    let (mut group, view, next) = missed();
    // All have too many other views to keep.
    for index in 0..3 {
        group.nodes[index].note_installed(&[0, 1, 2, 3].map(Rank::new));
        assert!(!group.nodes[index].old.has(&view.id()));
    }
    tell(&mut group, &view, &next);
    group.run(1_000_000, |_, _| true);
    assert_eq!(*group.nodes[LAGGARD].view(), next.view, "it did not wait for what is gone");
    assert!(has_lost(&group));
    let total = Request::Cast { order: Order::Total, payload: b"in order" };
    group.step(1, Input::Request(Ticket(3), total));
    // One of the others stops: nothing is delivered without its vote.
    group.run(1_000_000, |from, to| from != 2 && to != 2);
    for (index, missed) in [(0, 1), (1, 1), (LAGGARD, 0)] {
        let all = casts(&group.events[index]);
        let of = |payload: &[u8]| all.iter().filter(|cast| cast.2 == payload).count();
        assert_eq!((of(b"missed"), of(b"mine"), of(b"in order")), (missed, 1, 1), "{index}");
    }
    let number = next.view.number;
    assert!(group.events[LAGGARD].contains(&Event::Resumed { view: number }));
    let is_out = |event: &Event| matches!(event, Event::Excluded { .. });
    assert!(!group.events[LAGGARD].iter().any(is_out));
}

/// The word of one is not enough, nor is that of two if one of them lies and the third has it.
#[test]
fn a_liar_that_says_that_a_body_is_gone_makes_nobody_lose_the_state() {
    let (mut group, view, next) = missed();
    tell(&mut group, &view, &next);
    let lacks = Part::Lacks { sender: Rank::new(0), number: Number::new(1) };
    for _ in 0..10 {
        group.flights.clear();
        group.tell(2, LAGGARD, &view, alloc::vec![lacks.clone(); 3]);
        group.deliver(|from, to| (from, to) == (2, LAGGARD));
        group.run(100_000, |_, _| false);
    }
    assert!(!has_lost(&group) && *group.nodes[LAGGARD].view() == view);
    group.run(2_000_000, |_, _| true);
    assert_eq!(*group.nodes[LAGGARD].view(), next.view);
    assert!(!has_lost(&group));
    assert_eq!(casts(&group.events[LAGGARD]).first(), Some(&(0, 0, &b"missed"[..])));
}
