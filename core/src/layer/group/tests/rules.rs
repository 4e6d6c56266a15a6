//! The rules, one by one.

use alloc::vec::Vec;

use super::rig::Net;
use crate::crypto::Reason;
use crate::member::Status;
use crate::seq::{Attempt, Number};
use crate::view::{Departure, Pattern};
use crate::wire::Part;

const ALL: &dyn Fn(usize, usize, &Part) -> bool = &|_, _, _| true;

/// All but those in `out` hear each other.
fn without(out: &'static [usize]) -> impl Fn(usize, usize, &Part) -> bool {
    move |from, to, _| !out.contains(&from) && !out.contains(&to)
}

#[test]
fn weak_suspicions_remove_a_member_in_one_attempt() {
    for (n, pattern) in [(5, Pattern::Swift), (6, Pattern::Swift), (5, Pattern::Paper)] {
        let mut net = Net::with(n, |genesis| genesis.pattern = pattern);
        let last = usize::from(n) - 1;
        let members: Vec<usize> = (0..last).collect();
        net.suspect(&[0, 1], u16::from(n) - 1, &members);
        net.run(&members, &|from, to, _| from != last && to != last);
        let next = net.decided(&members);
        assert_eq!(next.members.len(), last);
        assert_eq!(next.departed[..], [(crate::Rank::new(u16::from(n) - 1), Departure::Opinion)]);
        assert!(net.seen[..last].iter().all(|seen| seen.abandoned.is_empty() && seen.frozen == 1));
    }
}

#[test]
fn one_suspicion_starts_nothing() {
    let mut net = Net::new(4);
    net.suspect(&[0], 3, &[0, 1, 2, 3]);
    assert!(net.mail.is_empty());
    assert!(net.seen.iter().all(|seen| seen.frozen == 0));
}

#[test]
fn a_group_at_its_pledge_silences_whom_it_suspects_and_lets_it_vote() {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    net.run(&[0, 1, 2, 3], ALL);
    let next = net.decided(&[0, 1, 2, 3]);
    assert_eq!(next.members[3].status, Status::Silenced);
    assert_eq!(next.members.len(), 4);
}

#[test]
fn r0_weak_flushes_bring_the_others_along() {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1]);
    assert_eq!(net.seen[2].frozen, 0);
    net.run(&[0, 1, 2], &without(&[3]));
    net.decided(&[0, 1, 2]);
}

#[test]
fn r6_a_silent_leader_costs_one_time_out_and_an_opinion() {
    let mut net = Net::new(4);
    net.suspect(&[1, 2], 3, &[0, 1, 2, 3]);
    // Rank 0 flushes, and proposes to nobody.
    let passes = |from: usize, _: usize, part: &Part| from != 0 || matches!(part, Part::Flush(_));
    net.run(&[1, 2, 3], &passes);
    net.decided(&[1, 2, 3]);
    for member in [1, 2, 3] {
        assert_eq!(net.seen[member].opinions, [(0, Reason::NewViewOverdue)]);
        assert_eq!(net.seen[member].abandoned, [1]);
    }
}

#[test]
fn r6_no_timer_runs_without_a_quorum() {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1]);
    net.settle(&|_, _, _| false);
    for _ in 0..50 {
        net.tick(&[0, 1]);
        net.settle(&|_, _, _| false);
    }
    assert_eq!((net.attempt(0), net.attempt(1)), (Attempt::FIRST, Attempt::FIRST));
    assert!(net.seen[0].opinions.is_empty());
    net.run(&[0, 1, 2], &without(&[3]));
    net.decided(&[0, 1, 2]);
}

#[test]
fn r8_a_proposal_that_keeps_a_suspect_is_abandoned() {
    let mut net = Net::with(7, |genesis| genesis.pledge = Some(0));
    net.suspect(&[0, 1, 2], 6, &[0, 1, 2, 3, 4, 5]);
    // The leader does not hear that rank 5 is suspected, too.
    net.suspect(&[1, 2, 3], 5, &[1, 2, 3, 4]);
    net.run(&[0, 1, 2, 3, 4], &without(&[5, 6]));
    let next = net.decided(&[0, 1, 2, 3, 4]);
    assert_eq!(next.members.len(), 5);
}

#[test]
fn r9_suspected_leaders_are_passed_over() {
    let mut net = Net::with(7, |genesis| genesis.pledge = Some(0));
    net.suspect(&[2, 3, 4], 0, &[2, 3, 4, 5, 6]);
    net.suspect(&[2, 3, 4], 1, &[2, 3, 4, 5, 6]);
    net.run(&[2, 3, 4, 5, 6], &without(&[0, 1]));
    let next = net.decided(&[2, 3, 4, 5, 6]);
    assert_eq!(next.members.len(), 5);
    for member in 2..7 {
        assert_eq!(net.attempt(member), Attempt::new(2));
        assert!(net.seen[member].opinions.is_empty(), "nobody waited for them");
    }
}

#[test]
fn r9_a_leader_whose_next_life_asks_to_join_is_passed_over() {
    let mut net = Net::new(4);
    let mut door = crate::crypto::Door::new(crate::rig::quick_identity(0));
    let request = door.ask_to_join(&net.roster, 1, Vec::new());
    for friend in [1, 2] {
        let message = super::attack::recommended(&mut net, friend, &request);
        for member in [1, 2, 3] {
            net.give(member, super::super::In::Recommend(message.clone()));
        }
    }
    net.run(&[1, 2, 3], &without(&[0]));
    let next = net.decided(&[1, 2, 3]);
    assert_eq!((next.members.len(), next.members[3].incarnation), (4, 1));
    assert!(net.seen[1..].iter().all(|seen| seen.opinions.is_empty()), "nobody waited for it");
}

#[test]
fn r9_a_leader_that_has_gone_on_is_passed_over() {
    let mut net = Net::new(7);
    let all = [0, 1, 2, 3, 4, 5, 6];
    // The leader knows that it is suspected, the others that everybody is.
    for subject in 1..7 {
        let signers: Vec<u16> = (0..7).filter(|signer| *signer != subject).take(3).collect();
        net.suspect(&signers, subject, &all[1..]);
    }
    net.suspect(&[1, 2, 3], 0, &all);
    assert_eq!((net.attempt(0), net.attempt(1)), (Attempt::new(1), Attempt::FIRST));
    net.settle(ALL);
    net.decided(&all);
    assert!(net.seen.iter().all(|seen| seen.opinions.is_empty()), "nobody waited for it");
}

#[test]
fn the_cut_is_the_highest_certified_end_of_a_quorum_of_flushes() {
    let mut net = Net::new(4);
    net.holds_log(0, 1, &["a", "b"]);
    net.holds_log(2, 1, &["a"]);
    net.holds_log(2, 0, &["x"]);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    net.run(&[0, 1, 2], &without(&[3]));
    let cut: Vec<Number> = net.decided(&[0, 1, 2]).cut.iter().map(|end| end.number).collect();
    assert_eq!(cut, [1, 2, 0, 0].map(Number::new));
}

#[test]
fn r4_nobody_is_ready_before_it_holds_the_cut() {
    let mut net = Net::new(4);
    net.holds = false;
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    net.settle(&without(&[3]));
    assert!(net.seen[..3].iter().all(|seen| seen.decided.is_none() && seen.collected.len() == 1));
    for member in 0..3 {
        let next = net.seen[member].collected[0];
        net.give(member, super::super::In::Collected(next));
    }
    net.settle(&without(&[3]));
    net.decided(&[0, 1, 2]);
}

#[test]
fn a_lock_is_proposed_again_and_decided() {
    let mut net = Net::new(4);
    net.holds_log(0, 1, &["a"]);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    // Everybody locks in attempt 0, and no Ready gets through before attempt 1.
    net.settle(&|from, to, part| without(&[3])(from, to, part) && !matches!(part, Part::Ready(_)));
    let locked = net.seen[0].collected[0];
    net.groups[0].own.flush = None;
    net.run(&[0, 1, 2], &|from, to, part| {
        without(&[3])(from, to, part)
            && !matches!(part, Part::Ready(ready) if ready.statement.attempt == Attempt::FIRST)
    });
    let next = net.decided(&[0, 1, 2]);
    assert_eq!(next.id(), locked, "what may have been decided is");
    assert!(net.attempt(0) >= Attempt::new(1));
}

#[test]
fn a_group_of_one_changes_its_view_alone() {
    let mut net = Net::new(1);
    let leave = net.doors[0].sign(&net.roster, crate::Rank::new(0), crate::crypto::Leave);
    net.give(0, super::super::In::Leave(leave.signed().as_ref().clone()));
    assert!(net.seen[0].decided.is_none(), "the last member just stops");
}
