//! Leaders that take their time.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::{Group, In};
use super::attack::{recommended, request, say};
use super::rig::{Net, input};
use crate::config::{Config, Timeouts};
use crate::crypto::ReadyToSwitch;
use crate::member::Rank;
use crate::seq::Attempt;
use crate::time::Time;
use crate::wire::Part;

/// Delivers everything but what rank 0 says; of that only its Flush. The rest, as it goes to rank 1,
/// is kept.
fn hold(net: &mut Net, kept: &mut Vec<Part>) {
    while let Some((from, to, part)) = net.mail.pop_front() {
        if from != 0 || matches!(part, Part::Flush(_)) {
            if let Some(input) = input(from, part) {
                net.give(to, input);
            }
        } else if to == 1 {
            kept.push(part);
        }
    }
}

/// A process asks to join: everybody flushes, and rank 0 keeps its proposal to itself. Returns when the
/// attempt began for rank 1, and what rank 0 has to say.
fn withheld(timeouts: &Timeouts) -> (Net, Time, Vec<Part>) {
    let mut net = Net::new(4);
    let group = |rank| {
        Group::new(Arc::clone(&net.genesis), timeouts, Arc::clone(&net.view), Rank::new(rank))
    };
    net.groups = (0..4).map(group).collect();
    let wanted = request(&net, 1, 0);
    for by in [1, 2] {
        let said = recommended(&mut net, by, &wanted);
        (0..4).for_each(|member| net.give(member, In::Recommend(said.clone())));
    }
    let mut kept: Vec<Part> = Vec::new();
    hold(&mut net, &mut kept);
    net.tick(&[0]);
    hold(&mut net, &mut kept);
    let started = net.groups[1].clock.started.expect("all flushed");
    (net, started, kept)
}

/// One change that rank 0 leads: just before the time-out it shows its proposal to two of three, and is
/// ready itself just after it. Returns the pace that rank 1 takes along, and how long the group was
/// blocked.
fn change(timeouts: &Timeouts) -> (u64, u64) {
    let (mut net, started, mut kept) = withheld(timeouts);
    let pause = net.groups[1].clock.pause_us;
    net.now = started.plus(pause - 2_000);
    for part in kept.clone() {
        if matches!(part, Part::NewView(_) | Part::Ack(_)) {
            [1, 2].into_iter().for_each(|to| net.give(to, input(0, part.clone()).unwrap()));
        }
    }
    hold(&mut net, &mut kept);
    assert!([1, 2].iter().all(|member| net.groups[*member].readied.is_some()), "they are ready");
    net.now = started.plus(pause + 1);
    [1, 2, 3].iter().for_each(|member| net.give(*member, In::Tick));
    let next = net.groups[1].lock.as_ref().unwrap().on.next;
    let ready = say(&mut net, 0, ReadyToSwitch { attempt: Attempt::FIRST, next });
    [1, 2, 3].into_iter().for_each(|to| net.give(to, In::Ready(ready.clone())));
    assert!([1, 2].iter().all(|member| net.seen[*member].decided.is_some()), "decided");
    assert_eq!(net.attempt(1), Attempt::new(1), "it had gone on");
    (net.groups[1].pace_us(), net.now.since(started))
}

/// Even if it led every change, a leader that is never late enough to be suspected would not make
/// those to come any slower.
#[test]
fn a_leader_just_in_time_does_not_slow_the_group_for_good() {
    let config = Config::new(Net::new(4).genesis.as_ref().clone());
    let usual = config.timeouts.attempt_us;
    let mut pace = 0;
    for number in 1..=10 {
        let (next, blocked) = change(&config.slowed_to(pace).timeouts);
        pace = next;
        assert!(pace <= usual && blocked <= usual + 1, "change {number}: {pace}, {blocked}");
    }
}

/// The leader of the first attempt is another one in each view, and all lead in turn after it.
#[test]
fn every_view_begins_with_another_leader() {
    let mut view = Net::new(4).view.as_ref().clone();
    for number in [0, 1, 2, 3, 4, 7, u64::MAX] {
        view.number = number;
        let leaders: Vec<u16> =
            (0..5).map(|attempt| view.leader(Attempt::new(attempt)).value()).collect();
        let first = u16::try_from(number % 4).unwrap();
        let expected: Vec<u16> = (0..5).map(|attempt| (first + attempt) % 4).collect();
        assert_eq!(leaders, expected, "{number}");
    }
}

/// R9 goes by the order in which members lead, not by their ranks.
#[test]
fn r9_suspected_leaders_are_passed_over_in_their_order() {
    let mut net = Net::with(7, |genesis| genesis.pledge = Some(0));
    let mut view = net.view.as_ref().clone();
    view.number = 5;
    net.adopt(view);
    net.suspect(&[2, 3, 4], 5, &[0, 1, 2, 3, 4]);
    net.suspect(&[2, 3, 4], 6, &[0, 1, 2, 3, 4]);
    net.run(&[0, 1, 2, 3, 4], &|from, to, _| from < 5 && to < 5);
    assert_eq!(net.decided(&[0, 1, 2, 3, 4]).members.len(), 5);
    for member in 0..5 {
        assert_eq!(net.attempt(member), Attempt::new(2), "rank 0 leads after 5 and 6");
        assert!(net.seen[member].opinions.is_empty(), "nobody waited for them");
    }
}
