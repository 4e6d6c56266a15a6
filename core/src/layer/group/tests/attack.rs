//! What faulty members try against the agreement, each by name.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::super::In;
use super::super::evidence::request_hash;
use super::rig::Net;
use crate::crypto::{
    Change, Flush, Hash32, JoinRequest, Leave, NeedMoreChange, NewView, Recommend, Signed,
    Statement,
};
use crate::member::Rank;
use crate::rig::quick_identity;
use crate::seq::{Attempt, LogEnd};
use crate::wire::Part;
use crate::wire::change::{
    Certificates, Grounds, Justification, NeedsMore, Proposed, Recommended, SUSPECTS_MAX, Sponsored,
};

const ALL: &dyn Fn(usize, usize, &Part) -> bool = &|_, _, _| true;

/// `signer` says something.
pub(super) fn say<S: Statement>(net: &mut Net, signer: usize, said: S) -> Signed<S>
where
    Signed<S>: Clone,
{
    let rank = Rank::new(u16::try_from(signer).unwrap());
    Signed::clone(net.doors[signer].sign(&net.roster, rank, said).signed())
}

pub(super) fn no_grounds() -> Grounds {
    Grounds::default()
}

fn more(net: &mut Net, signer: usize, attempt: u32) -> Box<NeedsMore> {
    let said = NeedMoreChange { attempt: Attempt::new(attempt), lock: None };
    let signed = say(net, signer, said);
    Box::new(NeedsMore { signed, lock: None, grounds: no_grounds() })
}

/// A request of a process that is no member.
pub(super) fn request(net: &Net, index: u8, incarnation: u64) -> JoinRequest {
    let mut door = crate::crypto::Door::new(quick_identity(100 + index));
    door.ask_to_join(&net.roster, incarnation, Vec::new())
}

pub(super) fn recommended(net: &mut Net, signer: usize, request: &JoinRequest) -> Box<Recommended> {
    let signed = say(net, signer, Recommend { request: request_hash(request) });
    Box::new(Recommended { signed, request: request.clone() })
}

/// The proposal that is on its way to `to`.
fn proposal_to(net: &Net, to: usize) -> Proposed {
    let found = net.mail.iter().find_map(|(_, for_whom, part)| match part {
        Part::NewView(message) if *for_whom == to => Some(message.as_ref().clone()),
        _ => None,
    });
    found.expect("it proposed")
}

/// A liar that hands on the leader's signature with another view attached neither shuts out what the
/// leader proposed nor has it suspected.
#[test]
fn a_proposal_that_a_relay_mangled_is_the_relays_fault() {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    let passes = |from: usize, to: usize, part: &Part| {
        from != 3 && to != 3 && !matches!(part, Part::NewView(_))
    };
    // The leader waits a moment for all, and proposes then.
    net.settle(&passes);
    net.tick(&[0]);
    let mut mangled = proposal_to(&net, 1);
    mangled.view.number += 1;
    for member in [1, 2] {
        net.give(member, In::NewView(Box::new(mangled.clone())));
        assert!(net.seen[member].opinions.is_empty(), "the leader did nothing wrong");
        assert_eq!(net.seen[member].misbehaved, 1);
    }
    net.run(&[0, 1, 2], &|from, to, _| from != 3 && to != 3);
    net.decided(&[0, 1, 2]);
    assert!(net.seen[..3].iter().all(|seen| seen.abandoned.is_empty()), "in the first attempt");
}

/// Evidence with one bad signature at its end must not be half known: then nothing would ever start.
#[test]
fn evidence_with_a_bad_signature_does_not_swallow_the_good() {
    let mut net = Net::new(4);
    net.suspect(&[1], 3, &[1]);
    net.suspect(&[2], 3, &[2]);
    for (member, other) in [(1_usize, 2_u16), (2, 1)] {
        let good = Signed::clone(net.suspicion(other, 3).signed());
        let mut bad = say(&mut net, 0, Leave);
        bad.signature.0[7] ^= 1;
        let grounds = Grounds {
            suspects: vec![good].into(),
            leaves: vec![bad].into(),
            joins: crate::wire::List::new(),
        };
        let said = NeedMoreChange { attempt: Attempt::new(1), lock: None };
        let signed = say(&mut net, 0, said);
        net.give(member, In::NeedMoreChange(Box::new(NeedsMore { signed, lock: None, grounds })));
        assert_eq!(net.seen[member].misbehaved, 1);
    }
    net.suspect(&[1, 2], 3, &[1, 2]);
    assert_eq!((net.seen[1].frozen, net.seen[2].frozen), (1, 1));
}

/// A leader that signs as many valid proposals as it likes does not use up the room for views.
#[test]
fn many_proposals_of_one_attempt_leave_room_for_those_to_come() {
    let mut net = Net::new(4);
    // The liar, rank 0, has certified bodies that nobody else ever saw certified.
    let casts = ["c"; 40];
    let mut flushes: Vec<(Signed<Flush>, Certificates)> = Vec::new();
    for length in 0..40 {
        if length > 0 {
            net.holds_log(0, 0, &casts[..length]);
        }
        let (end, certificate) = net.ends[0][0].clone();
        let mut ends = vec![LogEnd::EMPTY; 4];
        ends[0] = end;
        let changes = vec![Change::Suspected(Rank::new(3))].into();
        let signed = say(&mut net, 0, Flush { ends: ends.into(), changes });
        let certificates: Vec<_> = certificate.into_iter().collect();
        flushes.push((signed, Certificates::pack(&certificates)));
    }
    net.ends[0][0] = (LogEnd::EMPTY, None);
    net.suspect(&[0, 1], 3, &[1, 2]);
    let honest: Vec<Signed<Flush>> = [1, 2]
        .map(|m: usize| {
            net.groups[m].flushes.at(Rank::new(m as u16)).as_ref().unwrap().flush.clone()
        })
        .map(|flush| Signed::clone(flush.signed()))
        .into();
    let grounds = net.groups[1].evidence.grounds();
    let mut proposed = Vec::new();
    for (flush, certificates) in flushes {
        let facts = net.groups[1].evidence.facts();
        let cut = flush.statement.ends.to_vec();
        let view = crate::plan::plan(&net.view, &net.genesis, &facts).build(&net.view, cut);
        let mut all = vec![flush];
        all.extend(honest.iter().cloned());
        let (flushes, grounds) = (all.into(), grounds.clone());
        let more = crate::wire::List::new();
        let justification = Justification::Fresh { flushes, certificates, grounds, more };
        let (attempt, next) = (Attempt::FIRST, view.id());
        let said = NewView { attempt, next, justification: justification.hash() };
        let signed = say(&mut net, 0, said);
        proposed.push(Proposed { signed, view, justification });
    }
    for message in &proposed {
        net.give(1, In::NewView(Box::new(message.clone())));
    }
    // Another is the first here, so that none gets a quorum.
    for message in proposed.iter().rev() {
        net.give(2, In::NewView(Box::new(message.clone())));
    }
    assert!(net.seen[1].opinions.is_empty(), "all of them are valid");
    // So that what they propose themselves is none of these.
    net.holds_log(3, 1, &["a"]);
    net.run(&[1, 2, 3], &|from, to, _| from != 0 && to != 0);
    net.decided(&[1, 2, 3]);
}

/// What is proposed in many attempts without an end does not use it up either.
#[test]
fn views_that_are_over_make_room() {
    let mut net = Net::new(1);
    for index in 0..=255_u8 {
        let view = net.view.as_ref().clone();
        let id = Hash32([index; 32]);
        net.groups[0].remember_view(id, alloc::sync::Arc::new(view));
        assert!(net.groups[0].views.contains_key(&id), "the newest is there");
    }
    assert!(net.groups[0].views.len() <= 1 + crate::crypto::MEMBERS_MAX);
}

/// One member that recommends many does not keep others from being recommended.
#[test]
fn junk_of_one_member_leaves_room_for_joiners() {
    let mut net = Net::new(4);
    for incarnation in 0..80 {
        let junk = request(&net, 1, incarnation);
        let said = recommended(&mut net, 3, &junk);
        for member in 0..3 {
            net.give(member, In::Recommend(said.clone()));
        }
    }
    let wanted = request(&net, 2, 0);
    for by in [1, 2] {
        let said = recommended(&mut net, by, &wanted);
        for member in 0..3 {
            net.give(member, In::Recommend(said.clone()));
        }
    }
    net.run(&[0, 1, 2], &|from, to, _| from != 3 && to != 3);
    let next = net.decided(&[0, 1, 2]);
    assert_eq!(next.members.len(), 5);
    assert!(net.seen[..3].iter().all(|seen| seen.opinions.is_empty()));
}

/// No attempt is too high to go on from.
#[test]
fn the_last_attempt_is_no_trap() {
    let mut net = Net::new(2);
    net.suspect(&[0], 1, &[0]);
    let last = more(&mut net, 1, u32::MAX);
    net.give(0, In::NeedMoreChange(last));
    assert_eq!(net.attempt(0), Attempt::new(u32::MAX));
    for _ in 0..20 {
        let before = net.now;
        net.tick(&[0]);
        assert!(net.now > before, "a Tick clears its deadline");
        net.settle(&|_, _, _| false);
    }
}

/// Everybody may suspect everybody after a partition: that fits.
#[test]
fn all_evidence_of_the_largest_view_fits_into_a_message() {
    const { assert!(SUSPECTS_MAX >= 2 * 64 * 63) };
}

/// Word of the cut of an old lock does not pass for the new one's, nor take it away.
#[test]
fn only_the_cut_of_the_lock_counts() {
    let mut net = Net::new(4);
    net.holds = false;
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    net.settle(&|from, to, _| from != 3 && to != 3);
    net.tick(&[0]);
    net.settle(&|from, to, _| from != 3 && to != 3);
    for member in 0..3 {
        let next = net.seen[member].collected[0];
        let held = net.groups[member].attempt;
        net.groups[member].attempt = held.next();
        net.give(member, In::Collected(next));
        net.give(member, In::Collected(Hash32([9; 32])));
        assert_eq!(net.groups[member].collected, Some(next));
    }
}

/// A recommendation goes with the request that it names.
#[test]
fn a_recommendation_of_something_else_is_refused() {
    let mut net = Net::new(4);
    let (one, other) = (request(&net, 1, 0), request(&net, 2, 0));
    let mut said = recommended(&mut net, 1, &one);
    said.request = other;
    net.give(0, In::Recommend(said));
    assert_eq!(net.seen[0].misbehaved, 1);
}

/// A proposal may carry the requests of joiners with nobody for them.
#[test]
fn a_request_without_friends_is_nothing() {
    let mut net = Net::new(4);
    let joins =
        vec![Sponsored { request: request(&net, 1, 0), recommends: crate::wire::List::new() }];
    let said = NeedMoreChange { attempt: Attempt::new(1), lock: None };
    let signed = say(&mut net, 0, said);
    let grounds = Grounds { joins: joins.into(), ..no_grounds() };
    net.give(1, In::NeedMoreChange(Box::new(NeedsMore { signed, lock: None, grounds })));
    assert_eq!((net.seen[1].misbehaved, net.seen[1].frozen), (0, 0));
    net.settle(ALL);
}

/// A proposal is long, and one that asks is not believed to need it again and again.
#[test]
fn who_asks_for_a_proposal_all_the_time_gets_it_later_and_later() {
    let mut net = Net::new(4);
    net.suspect(&[0, 1], 3, &[0, 1, 2]);
    net.settle(&|from, to, part| from != 3 && to != 3 && !matches!(part, Part::Ready(_)));
    let mut handed = 0;
    let begun = net.now;
    for _ in 0..1_000 {
        net.give(0, In::AskNewView(Rank::new(3), Attempt::FIRST));
        let asked =
            |(_, to, part): &(usize, usize, Part)| *to == 3 && matches!(part, Part::NewView(_));
        handed += net.mail.iter().filter(|mail| asked(mail)).count();
        net.mail.clear();
        net.now = net.now.plus(10_000);
    }
    assert_eq!(net.now.since(begun), 10_000_000);
    assert!((8..=10).contains(&handed), "{handed} in ten seconds");
}
