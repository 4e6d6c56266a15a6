//! Views that were left: who still gets their bodies, and for how long they are kept.

use alloc::boxed::Box;

use super::LAGGARD;
use super::rig::{self, Group, casts, decisions};
use crate::input::Input;
use crate::member::Rank;
use crate::output::Event;
use crate::seq::Number;
use crate::view::View;
use crate::wire::Part;

#[test]
fn bodies_of_the_view_before_are_handed_out_until_they_are_forgotten() {
    let mut group = Group::new(4);
    group.cast(0, b"where is it?");
    group.run(100_000, |from, to| from != LAGGARD && to != LAGGARD);
    group.flights.clear();
    let decision = group.next(|_| {});
    group.install_at(&[0, 1, 2], &decision);
    group.flights.clear();
    let view = group.genesis.view();
    let fetch = Part::Fetch { sender: Rank::new(0), from: Number::new(1), to: Number::new(1) };
    let bodies = |group: &Group| {
        let to_laggard = group.recorded.iter().filter(|(to, _)| *to == LAGGARD);
        let parts = to_laggard.filter_map(|(_, frame)| rig::parts(frame, &view)).flatten();
        parts.filter(|part| matches!(part, Part::Body(_))).count()
    };
    let before = bodies(&group);
    group.tell(LAGGARD, 1, &view, alloc::vec![fetch.clone()]);
    group.deliver(|_, _| true);
    assert_eq!(bodies(&group), before + 1);
    assert_eq!(decisions(&group.recorded, LAGGARD, &view).len(), 0, "it may know already");
    group.nodes[1].note_installed(&[0, 2].map(Rank::new));
    assert!(group.nodes[1].old.has(&view.id()), "not by the laggard, as far as is known");
    group.nodes[1].note_installed(&[Rank::new(3)]);
    assert!(!group.nodes[1].old.has(&view.id()));
    group.tell(LAGGARD, 1, &view, alloc::vec![fetch]);
    group.deliver(|_, _| true);
    assert_eq!(bodies(&group), before + 1);
    assert_eq!(decisions(&group.recorded, LAGGARD, &view), [decision]);
}

/// However long that takes: Silenced members may need it as well.
#[test]
fn a_view_before_is_kept_as_long_as_a_member_may_need_it() {
    let mut group = Group::new(4);
    let view = group.genesis.view();
    let next = group.next(|view| view.members[2].status = crate::Status::Silenced);
    group.install_at(&[0, 1, 2], &next);
    let last = group.next(|_| {});
    group.install_at(&[0, 1, 2], &last);
    group.flights.clear();
    let has = |group: &Group, view: &View| group.nodes[0].old.has(&view.id());
    group.now = group.now.plus(100 * group.config.timeouts.retain_us);
    group.step(0, Input::Tick);
    assert!(has(&group, &view) && has(&group, &next.view));
    group.nodes[0].note_installed(&[1, 3].map(Rank::new));
    assert!(has(&group, &view) && has(&group, &next.view), "2 may need both");
    group.nodes[0].note_installed(&[Rank::new(2)]);
    assert!(!has(&group, &view) && !has(&group, &next.view));
}

/// Who is no member any more needs nothing.
#[test]
fn a_view_before_is_not_kept_for_those_that_were_put_out() {
    let mut group = Group::new(4);
    let view = group.genesis.view();
    let next = group.next(|_| {});
    group.install_at(&[0, 1, 2], &next);
    group.nodes[0].note_installed(&[1, 2].map(Rank::new));
    assert!(group.nodes[0].old.has(&view.id()));
    let without = group.next(|view| drop(view.members.remove(LAGGARD)));
    group.install_at(&[0, 1, 2], &without);
    assert!(!group.nodes[0].old.has(&view.id()));
    assert!(group.nodes[0].old.has(&next.view.id()), "1 and 2 may still be in it");
}

/// A member that missed the cut of the first view, told of the decision when the others have gone
/// on so many views. Nobody hears it.
fn behind(views: usize) -> (Group, View) {
    let mut group = Group::new(4);
    group.cast(0, b"missed");
    group.run(1_000_000, |from, to| from != LAGGARD && to != LAGGARD);
    group.flights.clear();
    let end = group.end(1, Rank::new(0));
    let genesis = group.nodes[LAGGARD].view().clone();
    let second = group.next(|view| view.cut.as_mut_vec()[0] = end);
    group.install_at(&[0, 1, 2], &second);
    for _ in 1..views {
        let later = group.next(|_| {});
        group.install_at(&[0, 1, 2], &later);
        group.flights.clear();
    }
    let sealed = Part::Decision(Box::new(second));
    group.tell(0, LAGGARD, &genesis, alloc::vec![sealed]);
    group.deliver(|_, to| to == LAGGARD);
    (group, genesis)
}

fn is_over(group: &Group) -> bool {
    let is_end = |event: &Event| matches!(event, Event::Excluded { .. } | Event::StateLost);
    group.events[LAGGARD].iter().any(is_end)
}

/// Two view changes in a row, or seven, do not overtake who is slow by one fetch.
#[test]
fn who_is_some_views_behind_gets_the_cut_of_each() {
    for views in [1, 2, 7] {
        let (mut group, _) = behind(views);
        group.run(1_500_000, |from, to| from == LAGGARD || to == LAGGARD);
        assert!(!is_over(&group));
        assert_eq!(group.nodes[LAGGARD].view(), group.nodes[0].view(), "{views} views behind");
        assert_eq!(casts(&group.events[LAGGARD]), [(0, 0, &b"missed"[..])]);
    }
}

/// Who missed the cut of a view waits for it; not for long, once the others have gone on further
/// than anybody keeps what was.
#[test]
fn who_is_many_views_behind_does_not_wait_for_what_nobody_keeps() {
    let (mut group, genesis) = behind(9);
    assert!(!group.nodes[0].old.has(&genesis.id()));
    group.run(5_000_000, |_, _| false);
    assert!(!is_over(&group), "somebody may still have it");
    // It says something, is told of both, and goes along for its votes, through all that are over.
    group.run(5_000_000, |from, to| from == LAGGARD || to == LAGGARD);
    assert_eq!(group.nodes[LAGGARD].view(), group.nodes[0].view());
    let lost = |event: &&Event| **event == Event::StateLost;
    assert_eq!(group.events[LAGGARD].iter().filter(lost).count(), 1);
    assert_eq!(casts(&group.events[LAGGARD]), []);
}

/// A member that was silenced because it could not be heard has a hole in the view before: all
/// others have installed the next one and need nothing any more, but it gets the bodies.
#[test]
fn bodies_are_kept_for_who_was_silenced_with_a_hole() {
    let mut group = Group::new(4);
    group.cast(0, b"missed");
    group.run(100_000, |from, to| from != LAGGARD && to != LAGGARD);
    group.flights.clear();
    let (view, end) = (group.genesis.view(), group.end(1, Rank::new(0)));
    let next = group.next(|view| {
        view.cut.as_mut_vec()[0] = end;
        view.members[LAGGARD].status = crate::Status::Silenced;
    });
    group.install_at(&[0, 1, 2], &next);
    group.run(10_000_000, |from, to| from != LAGGARD && to != LAGGARD);
    assert!((0..3).all(|index| group.nodes[index].old.has(&view.id())));
    let sealed = Part::Decision(Box::new(next.clone()));
    group.tell(0, LAGGARD, &view, alloc::vec![sealed]);
    group.run(1_000_000, |_, _| true);
    assert_eq!(*group.nodes[LAGGARD].view(), next.view);
    assert_eq!(casts(&group.events[LAGGARD]), [(0, 0, &b"missed"[..])]);
    assert!((0..3).all(|index| !group.nodes[index].old.has(&view.id())), "nobody needs it");
}

/// What is kept of all views together is bounded in bytes: the oldest goes first.
#[test]
fn views_before_hold_no_more_than_one_of_them_may() {
    let mut group = Group::with(4, |config| {
        let limits = &mut config.genesis.limits;
        (limits.window_bodies, limits.body_max, limits.window_bytes) = (8, 1024, 8 * 1024);
        limits.cast_max = 1024;
        config.cast_queue_bytes = 8 * 1024;
    });
    let mut views = alloc::vec![group.genesis.view()];
    let is_cut_off = |from: usize, to: usize| from != LAGGARD && to != LAGGARD;
    for _ in 0..8 {
        for index in 0..3 {
            (0..16).for_each(|_| group.cast(index, &[7; 900]));
        }
        group.run(100_000, is_cut_off);
        group.flights.clear();
        let ends = [0, 1, 2].map(|rank| group.end(1, Rank::new(rank)));
        let next = group.next(|view| view.cut.as_mut_vec()[..3].copy_from_slice(&ends));
        group.install_at(&[0, 1, 2], &next);
        group.run(100_000, is_cut_off);
        views.push(next.view);
    }
    let old = &group.nodes[0].old;
    let held = old.held_bytes();
    assert!(held <= old.bound_bytes(&group.config), "and it was so at each step");
    assert!(held > old.bound_bytes(&group.config) / 2, "{held}: the flood was one");
    assert!(!old.has(&views[0].id()) && old.has(&views[7].id()));
}

/// Who asks for the bodies of all earlier views at once gets no more than of one.
#[test]
fn fetches_of_earlier_views_share_one_budget() {
    let mut group = Group::new(4);
    let mut views = alloc::vec![group.genesis.view()];
    let is_cut_off = |from: usize, to: usize| from != LAGGARD && to != LAGGARD;
    for _ in 0..7 {
        for _ in 0..8 {
            group.cast(0, b"little");
            group.run(10_000, is_cut_off);
        }
        group.flights.clear();
        let end = group.end(1, Rank::new(0));
        let next = group.next(|view| view.cut.as_mut_vec()[0] = end);
        group.install_at(&[0, 1, 2], &next);
        group.run(10_000, is_cut_off);
        views.push(next.view);
    }
    let fetch = Part::Fetch { sender: Rank::new(0), from: Number::new(1), to: Number::new(8) };
    let storm = |group: &mut Group, views: &[View]| {
        let before = group.nodes[0].counters().bytes_out;
        for view in views.iter().cycle().take(70) {
            group.tell(LAGGARD, 0, view, alloc::vec![fetch.clone(); 50]);
        }
        group.deliver(|from, to| (from, to) == (LAGGARD, 0));
        group.nodes[0].counters().bytes_out - before
    };
    let all = storm(&mut group, &views[..7]);
    assert!((200_000..2_000_000).contains(&all), "{all} bytes");
}
