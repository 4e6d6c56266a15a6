//! Nodes in memory that go from view to view by decisions made here.

mod admission;
mod alone;
mod answers;
mod app;
mod change;
mod explore;
mod fork;
mod join;
mod left;
mod newcomers;
mod overtaken;
mod rig;
mod state;
mod work;
mod world;

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Chain, Node};
use crate::crypto::LinkKeys;
use crate::input::{Input, Request, Ticket};
use crate::member::{Member, Rank};
use crate::output::{Event, Exclusion, Refusal};
use crate::rig::{quick_identity, some_hash};
use crate::stack::Decided;
use crate::time::Time;
use crate::view::Departure;
use crate::wire::Part;
use crate::wire::change::Decision;
use crate::wire::frame::{FrameKind, Header, Prepared};
use rig::{Group, casts, decisions, sends};

const LAGGARD: usize = 3;

fn send(group: &mut Group, from: usize, to: u16, ticket: u64) {
    let payload = ticket.to_le_bytes();
    let request = Request::Send { to: Rank::new(to), payload: &payload };
    group.step(from, Input::Request(Ticket(ticket), request));
}

fn member(group: &Group, index: usize) -> Member {
    group.genesis.members[index].clone()
}

#[test]
fn frames_flow_over_the_same_links_and_replays_are_refused() {
    let mut group = Group::new(4);
    group.cast(0, b"in the first view");
    group.run(1_000_000, |_, _| true);
    let recorded = group.recorded.clone();
    let decision = group.next(|_| {});
    group.install_at(&[0, 1, 2, 3], &decision);
    group.cast(1, b"in the second view");
    group.run(1_000_000, |_, _| true);
    for index in 0..4 {
        let expected = [(0, 0, &b"in the first view"[..]), (1, 1, b"in the second view")];
        assert_eq!(casts(&group.events[index]), expected, "{index}");
        assert!(group.events[index].contains(&Event::View(Box::new(decision.view.clone()))));
        assert_eq!(group.nodes[index].view(), &decision.view);
    }
    let before = group.nodes[2].counters();
    let mine: Vec<_> = recorded.iter().filter(|(to, _)| *to == 2).collect();
    for (_, frame) in &mine {
        group.step(2, Input::Frame(frame));
    }
    let after = group.nodes[2].counters();
    assert_eq!(after.dropped_replayed - before.dropped_replayed, mine.len() as u64);
    let closed = |event: &Event| matches!(event, Event::LinkClosed { .. });
    assert!(!group.events.iter().flatten().any(closed));
    assert_eq!(group.nodes[2].counters().bodies, 0);
    assert!(group.nodes[0].counters().bodies >= 1, "bodies of all views are counted");
}

#[test]
fn a_laggard_gets_the_decisions_when_it_sends_anything() {
    let mut group = Group::new(4);
    let first = group.next(|_| {});
    group.install_at(&[0, 1, 2], &first);
    let second = group.next(|_| {});
    group.install_at(&[0, 1, 2], &second);
    group.run(150_000, |from, to| from == LAGGARD || to == LAGGARD);
    let heard = decisions(&group.recorded, LAGGARD, &group.genesis.view());
    assert!(heard.iter().all(|decision| *decision == first), "that of its own view");
    assert!((1..=3).contains(&heard.len()), "at most one of each");
    group.run(250_000, |from, to| from == LAGGARD || to == LAGGARD);
    let heard = decisions(&group.recorded, LAGGARD, &first.view);
    assert!(!heard.is_empty() && heard.iter().all(|decision| *decision == second));
    assert_eq!(*group.nodes[LAGGARD].view(), second.view, "it has followed, view by view");
    group.cast(LAGGARD, b"here again");
    group.run(1_000_000, |_, _| true);
    for events in &group.events {
        assert_eq!(casts(events), [(2, 3, &b"here again"[..])]);
    }
}

#[test]
fn who_is_behind_is_told_at_most_once_in_a_while() {
    let mut group = Group::new(4);
    let decision = group.next(|_| {});
    group.install_at(&[0], &decision);
    let view = group.genesis.view();
    for _ in 0..50 {
        group.tell(1, 0, &view, Vec::new());
        group.deliver(|_, to| to == 0);
        group.now = group.now.plus(10_000);
    }
    let told = decisions(&group.recorded, 1, &view).len();
    assert!((4..=6).contains(&told), "{told} times in half a second");
    group.install_at(&[1], &decision);
    group.tell(1, 0, &decision.view, Vec::new());
    group.now = group.now.plus(1_000_000);
    group.tell(1, 0, &view, Vec::new());
    group.deliver(|_, _| true);
    assert_eq!(decisions(&group.recorded, 1, &view).len(), told, "it was late, not behind");
}

#[test]
fn messages_to_one_member_survive_the_change_once_and_in_order() {
    let mut group = Group::new(4);
    for ticket in 0..10 {
        send(&mut group, 0, 1, ticket);
        send(&mut group, 1, 0, ticket);
        send(&mut group, 0, 3, ticket);
    }
    // The first half arrives; acknowledgements do not.
    for _ in 0..5 {
        let (to, frame) = group.flights.pop_front().unwrap();
        group.step(to, Input::Frame(&frame));
    }
    group.flights.clear();
    let decision = group.next(|view| {
        view.members.remove(3);
        view.members.swap(0, 1);
    });
    group.install_at(&[0], &decision);
    let failed =
        |event: &&Event| matches!(event, Event::SendFailed { to, .. } if *to == Rank::new(3));
    assert_eq!(group.events[0].iter().filter(failed).count(), 10);
    // Its rank is another one in the new view.
    for ticket in 10..20 {
        send(&mut group, 0, 0, ticket);
    }
    group.run(200_000, |from, to| from != 3 && to != 3);
    group.install_at(&[1, 2], &decision);
    for ticket in 10..20 {
        send(&mut group, 1, 1, ticket);
    }
    group.run(2_000_000, |from, to| from != 3 && to != 3);
    let all: Vec<u64> = (0..20).collect();
    assert_eq!(sends(&group.events[1]), all);
    assert_eq!(sends(&group.events[0]), all);
    let tables = Group::new(3).nodes[0].stack.held_bytes();
    let held = group.nodes[0].stack.held_bytes() - tables;
    assert!(held < 300, "no message is left, only who was here: {held}");
}

#[test]
fn packets_of_the_next_view_are_kept_for_it() {
    let mut group = Group::new(4);
    let decision = group.next(|_| {});
    group.install_at(&[0, 1, 2], &decision);
    group.cast(0, b"early");
    group.run(90_000, |from, _| from != LAGGARD);
    assert_eq!(casts(&group.events[0]).len(), 1);
    let (held, bound) = group.nodes[LAGGARD].memory();
    assert!(held > 0 && held <= bound);
    let asked = |(to, frame): &&(usize, Vec<u8>)| {
        *to == 0 && rig::parts(frame, &group.genesis.view()).is_some_and(|parts| parts.is_empty())
    };
    assert_eq!(group.recorded.iter().filter(asked).count(), 1, "shows its view, once in a while");
    group.flights.clear();
    group.install_at(&[LAGGARD], &decision);
    assert_eq!(casts(&group.events[LAGGARD]), [(1, 0, &b"early"[..])]);
    assert_eq!(group.nodes[LAGGARD].counters().dropped_other_view, 0);
}

#[test]
fn packets_of_views_that_never_come_stay_within_their_bound() {
    let mut group = Group::new(4);
    let mut other = group.genesis.view();
    other.number = 9;
    for round in 0..200 {
        for from in 1..4 {
            let payload = alloc::vec![7; if round < 100 { 10 } else { 1_000 }];
            let part =
                crate::wire::Pt2ptPart::Data { number: 1, payload: crate::wire::Blob(payload) };
            group.tell(from, 0, &other, alloc::vec![Part::Pt2pt(part)]);
        }
        group.deliver(|_, to| to == 0);
        let (held, bound) = group.nodes[0].memory();
        assert!(held <= bound);
    }
    let dropped = group.nodes[0].counters().dropped_other_view;
    assert_eq!(dropped, 3 * (200 - 64), "64 of each are kept");
    group.flights.clear();
    let decision = group.next(|_| {});
    group.install_at(&[0], &decision);
    assert_eq!(group.nodes[0].counters().dropped_other_view, 600);
    assert_eq!(group.nodes[0].peers.held_bytes(), 0);
    let part = Part::Heads(group.heads(1));
    for _ in 0..63 {
        group.tell(1, 0, &other, alloc::vec![part.clone(); 5]);
    }
    group.deliver(|_, to| to == 0);
    assert!(group.nodes[0].peers.held_bytes() <= super::Peers::bound_bytes(1));
    assert!(group.nodes[0].counters().dropped_other_view > 600, "bytes are bounded as well");
}

#[test]
fn a_closed_link_is_read_again_in_the_next_view() {
    let mut group = Group::new(4);
    let genesis = group.genesis.clone();
    let key = crate::crypto::Key::decode(quick_identity(0).suite(), quick_identity(0).public_key());
    let keys = LinkKeys::derive(&quick_identity(1), 0, &key.unwrap(), 0, &genesis.group());
    let packet = alloc::vec![0xff; 40];
    let hash = crate::crypto::sha256(&packet);
    let frame = Prepared::new(packet, hash, crate::crypto::sha256(&[]));
    let from = *genesis.view().peers().at(Rank::new(1));
    let group_id = genesis.group().prefix();
    let header = Header { kind: FrameKind::Whole, group: group_id, from, counter: 1_000 };
    let frame = frame.seal(&keys.outbound, &header);
    group.step(0, Input::Frame(&frame));
    let closed =
        |event: &Event| matches!(event, Event::LinkClosed { peer, .. } if *peer == Rank::new(1));
    assert!(group.events[0].iter().any(closed));
    group.tell(1, 0, &genesis.view(), Vec::new());
    group.deliver(|_, _| true);
    assert_eq!(group.nodes[0].counters().dropped_closed, 1);
    let decision = group.next(|_| {});
    group.install_at(&[0, 1, 2, 3], &decision);
    group.cast(1, b"nothing but the truth");
    group.run(1_000_000, |_, _| true);
    assert_eq!(casts(&group.events[0]).len(), 1);
    assert_eq!(group.nodes[0].counters().dropped_closed, 1);
}

#[test]
fn who_is_excluded_answers_for_a_while_and_does_nothing_else() {
    let mut group = Group::new(4);
    send(&mut group, 3, 0, 1);
    group.flights.clear();
    let gone = member(&group, 3);
    let decision = group.next(|view| {
        view.members.remove(3);
    });
    group.install_at(&[0, 1], &decision);
    group.flights.clear();
    let why = Exclusion::Departed(Departure::Opinion);
    group.decide(3, Decided::Exclude(why, Box::new(decision.clone())));
    let failed = Event::SendFailed { to: Rank::new(0), ticket: Ticket(1) };
    let excluded = Event::Excluded { why, decision: Box::new(decision.clone()), lost: Vec::new() };
    let last = &group.events[3][group.events[3].len() - 2..];
    assert_eq!(last, [failed, excluded]);
    let linger_us = group.config.timeouts.linger_us;
    assert_eq!(group.nodes[3].deadline(), Some(group.now.plus(linger_us)));
    send(&mut group, 3, 0, 2);
    let refused = Event::Refused(Ticket(2), Refusal::NotMember);
    assert_eq!(group.events[3].last(), Some(&refused));
    assert_eq!(
        (group.nodes[3].view(), group.nodes[3].rank()),
        (&group.genesis.view(), Rank::new(3))
    );
    let addresses = |node: &Node| {
        let peers = node.peers().map(|(_, rank, addr)| (rank, addr.to_vec()));
        peers.collect::<Vec<_>>()
    };
    let left = addresses(&group.nodes[0]);
    assert_eq!((left.len(), left.last().unwrap()), (3, &(None, gone.addr)));
    // Member 2 has not heard of it.
    group.tell(2, 3, &group.genesis.view(), Vec::new());
    group.deliver(|_, _| true);
    assert_eq!(decisions(&group.recorded, 2, &group.genesis.view()), [decision]);
    group.now = group.now.plus(linger_us);
    for index in 0..4 {
        group.step(index, Input::Tick);
    }
    assert_eq!((group.nodes[3].deadline(), group.nodes[3].peers().count()), (None, 0));
    assert_eq!(addresses(&group.nodes[0]).len(), 2);
    group.recorded.clear();
    group.flights.clear();
    group.tell(2, 3, &group.genesis.view(), Vec::new());
    group.deliver(|_, _| true);
    assert_eq!(decisions(&group.recorded, 2, &group.genesis.view()), []);
}

#[test]
fn who_is_not_listed_or_listed_in_another_life_does_not_follow() {
    for change in [(|view| view.members[3].incarnation += 1) as fn(&mut crate::View), |view| {
        drop(view.members.remove(3))
    }] {
        let mut group = Group::new(4);
        let decision = group.next(change);
        group.install_at(&[3], &decision);
        let excluded =
            |event: &Event| matches!(event, Event::Excluded { why: Exclusion::Overtaken, .. });
        assert!(group.events[3].iter().any(excluded));
    }
}

#[test]
fn the_chain_keeps_the_latest_decisions_within_its_bounds() {
    let group = Group::new(4);
    let mut chain = Chain::default();
    let mut view = group.genesis.view();
    let ids: Vec<_> = (1..=1030)
        .map(|number| {
            view.prev = view.id();
            view.number = number;
            chain.push(Decision { view: view.clone(), readys: Vec::new().into() });
            view.prev
        })
        .collect();
    let known = ids.iter().filter(|id| chain.after(id).is_some()).count();
    assert_eq!((known, chain.after(&ids[5]).is_some()), (1024, false));
    assert_eq!(chain.after(&ids[1029]).unwrap().view.number, 1030);
    assert_eq!(chain.since(1028).unwrap().count(), 2);
    assert!(chain.since(5).is_none() && chain.since(6).is_some());
    for byte in 0..=255 {
        view.prev = some_hash(byte);
        view.expelled = (0..=255).map(|key| crate::PublicKey([key; 32])).collect();
        view.expelled.as_mut_vec().extend((0..768).map(|_| crate::PublicKey([255; 32])));
        chain.push(Decision { view: view.clone(), readys: Vec::new().into() });
        assert!(chain.held_bytes() <= Chain::BOUND_BYTES);
    }
    assert!(chain.held_bytes() > Chain::BOUND_BYTES / 2);
    assert_eq!(Time::ZERO, group.now);
}

#[test]
fn the_chain_of_decisions_verifies_offline_and_nothing_changed_does() {
    let mut group = Group::new(4);
    let first = group.next(|_| {});
    group.install_at(&[0], &first);
    let second = group.next(|view| drop(view.members.remove(3)));
    group.install_at(&[0], &second);
    let suite = quick_identity(0).suite();
    let mut view = group.genesis.view();
    for decision in group.nodes[0].decisions() {
        let roster = view.roster(suite).unwrap();
        let bytes = decision.to_bytes();
        assert_eq!(Decision::from_bytes(&bytes).as_ref(), Some(decision));
        assert_eq!(decision.verify(&view, &roster), Ok(()));
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let altered = Decision::from_bytes(&flipped);
            assert!(altered.is_none_or(|altered| altered.verify(&view, &roster).is_err()));
        }
        view = decision.view.clone();
    }
    assert_eq!(view, second.view);
    let roster = view.roster(suite).unwrap();
    assert!(second.verify(&view, &roster).is_err(), "it does not follow itself");
}

/// Who was silenced and missed what nobody keeps any more goes on for its votes, in every view
/// after that, and delivers nothing: it has not completed the view that it missed.
#[test]
fn a_silenced_member_that_cannot_get_the_cut_goes_on_as_a_voter() {
    let mut group = Group::new(4);
    let silenced = group.next(|view| view.members[LAGGARD].status = crate::Status::Silenced);
    group.install_at(&[0, 1, 2, LAGGARD], &silenced);
    group.cast(0, b"missed");
    group.run(1_000_000, |from, to| from != LAGGARD && to != LAGGARD);
    group.flights.clear();
    let end = group.end(1, Rank::new(0));
    let next = group.next(|view| view.cut.as_mut_vec()[0] = end);
    group.install_at(&[0, 1, 2], &next);
    // Nobody answers its fetches.
    group.flights.clear();
    let sealed = Part::Decision(Box::new(next.clone()));
    group.tell(0, LAGGARD, &silenced.view, alloc::vec![sealed]);
    group.deliver(|_, to| to == LAGGARD);
    assert_eq!(*group.nodes[LAGGARD].view(), silenced.view, "it tries to get the cut first");
    group.run(1_100_000, |_, _| false);
    assert_eq!(*group.nodes[LAGGARD].view(), next.view);
    assert!(group.events[LAGGARD].contains(&Event::StateLost));
    group.cast(1, b"after");
    group.run(1_000_000, |_, _| true);
    assert_eq!(casts(&group.events[0]).last(), Some(&(2, 1, &b"after"[..])));
    assert_eq!(casts(&group.events[LAGGARD]), []);
    let again = group.next(|_| {});
    group.install_at(&[0, 1, 2, LAGGARD], &again);
    let lost = |event: &&Event| **event == Event::StateLost;
    assert_eq!(group.events[LAGGARD].iter().filter(lost).count(), 1, "said once");
}

/// The same within a view, before it could stand still: another member stops, and the votes of the
/// silenced one are needed for what comes next.
#[test]
fn a_silenced_member_that_missed_what_is_gone_still_votes_in_its_view() {
    let mut group = Group::new(4);
    let silenced = group.next(|view| view.members[LAGGARD].status = crate::Status::Silenced);
    group.install_at(&[0, 1, 2, LAGGARD], &silenced);
    for _ in 0..5 {
        group.cast(0, b"missed");
        group.run(200_000, |from, to| from != LAGGARD && to != LAGGARD);
    }
    group.flights.clear();
    group.run(1_800_000, |from, to| from != 2 && to != 2);
    assert!(group.events[LAGGARD].contains(&Event::StateLost), "all others dropped it");
    group.cast(1, b"after");
    group.run(100_000, |from, to| from != 2 && to != 2);
    assert_eq!(*group.nodes[0].view(), silenced.view);
    assert_eq!(casts(&group.events[0]).last(), Some(&(1, 1, &b"after"[..])));
    assert_eq!(casts(&group.events[LAGGARD]), []);
}
