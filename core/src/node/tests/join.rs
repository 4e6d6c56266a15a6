//! Processes join groups of real nodes, return to them, and are kept out.

use alloc::vec::Vec;

use super::world::{FIRST, World, addr};
use crate::config::{Boot, Config, ConfigError, Joiners};
use crate::crypto::{Hash32, peer_id};
use crate::input::{Input, Request, Ticket};
use crate::member::{Rank, Status};
use crate::node::Node;
use crate::output::{Event, Exclusion, Refusal};
use crate::rig::quick_identity;
use crate::view::Departure;
use crate::wire::frame;
use crate::wire::stranger::{JoinRefusal, Question, Stranger, decode};

fn refusals(events: &[Event]) -> Vec<JoinRefusal> {
    let last = events.iter().rev().find_map(|event| match event {
        Event::Joining { refusals, .. } => Some(refusals.iter().map(|(_, why)| *why).collect()),
        _ => None,
    });
    last.unwrap_or_default()
}

#[test]
fn one_to_four_join_a_group_of_four_at_once() {
    for joiners in 1..=4 {
        let mut world = World::new(4, joiners, |_| {});
        world.run(300);
        let all: Vec<usize> = (0..4 + usize::from(joiners)).collect();
        all[4..].iter().for_each(|index| world.join(*index, FIRST, &[0, 1]));
        world.settle(5, &all);
        for index in &all {
            world.cast(*index, &[u8::try_from(*index).unwrap()]);
        }
        world.run(2_000);
        let first = world.delivered(0);
        assert_eq!(first.len(), all.len());
        all.iter().for_each(|index| assert_eq!(world.delivered(*index), first, "{index}"));
        let joining = &world.events[4];
        assert!(matches!(joining[0], Event::Joining { view: 0, .. }), "{joining:?}");
        let view = joining.iter().position(|event| matches!(event, Event::View(_))).unwrap();
        assert_eq!(joining[view + 1], Event::Unblock);
    }
}

#[test]
fn they_join_though_a_third_of_all_frames_is_lost() {
    let mut world = World::new(4, 3, |_| {});
    world.loss = 30;
    (4..7).for_each(|index| world.join(index, FIRST, &[index - 4]));
    world.settle(60, &[0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_group_grows_from_one_to_seven() {
    let mut world = World::new(1, 6, |config| {
        config.genesis.limits.max_joins_per_change = 1;
    });
    for index in 1..7 {
        world.join(index, FIRST, &[0]);
        world.settle(5, &(0..=index).collect::<Vec<_>>());
        world.cast(index, b"here");
    }
    world.run(1_000);
    assert_eq!(world.node(0).view().number, 6);
    assert_eq!(world.delivered(0).len(), 6);
    assert_eq!(world.delivered(6).len(), 1);
}

#[test]
fn all_six_join_a_single_process_at_once() {
    for max_joins in [1, 4] {
        let mut world = World::new(1, 6, |config| {
            config.genesis.limits.max_joins_per_change = max_joins;
        });
        (1..7).for_each(|index| world.join(index, FIRST, &[0]));
        world.settle(30, &[0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn a_restarted_member_replaces_its_old_life_at_once() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    world.join(3, 7, &[0, 1, 2]);
    let begun = world.now;
    world.settle(5, &[0, 1, 2, 3]);
    assert!(world.now.since(begun) < 1_000_000, "no time-out is waited for");
    let view = world.node(0).view();
    assert_eq!(view.departed[..], [(Rank::new(3), Departure::Replaced)]);
    assert_eq!(view.members[3].incarnation, 7);
    world.cast(3, b"again");
    world.run(1_000);
    assert_eq!(world.delivered(0), [b"again".to_vec()]);
    assert_eq!(world.delivered(3), [b"again".to_vec()]);
}

#[test]
fn a_life_that_is_not_later_is_refused() {
    let mut world = World::new(4, 1, |_| {});
    world.join(4, 5, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    // It starts from the genesis view, which does not list it; the view that does is not its own.
    for incarnation in [4, 5] {
        world.nodes[4] = None;
        world.join(4, incarnation, &[0]);
        if incarnation == 4 {
            world.run(1_500);
            assert!(world.events[4].contains(&Event::Spent { highest: 5 }));
            assert_eq!(world.node(0).view().number, 1);
        }
    }
    let genesis = world.genesis.clone();
    let contacts = || alloc::vec![(world.name(0), addr(0))];
    let boot = Boot { incarnation: 0 };
    let node = Node::join(Config::new(genesis), quick_identity(3), boot, contacts(), world.now);
    assert_eq!(node.unwrap_err(), ConfigError::OldIncarnation { boot: 0, listed: 0 });
}

#[test]
fn who_is_not_authorised_hears_why() {
    for (joiners, expected) in [
        (Joiners::Nobody, JoinRefusal::NotAuthorised),
        (Joiners::Listed(Vec::new()), JoinRefusal::NotAuthorised),
        (Joiners::Application, JoinRefusal::Undecided),
    ] {
        let mut world = World::new(4, 1, |config| config.joiners = joiners);
        world.join(4, FIRST, &[2]);
        world.run(3_000);
        assert_eq!(refusals(&world.events[4]), [expected; 4]);
        assert_eq!(world.node(0).view().number, 0);
        assert!(world.node(0).counters().joins_refused > 0);
    }
}

#[test]
fn a_list_that_changes_has_a_say_from_then_on() {
    let mut world = World::new(4, 1, |config| config.joiners = Joiners::Nobody);
    world.join(4, FIRST, &[2]);
    world.run(1_000);
    assert_eq!(world.node(0).view().number, 0);
    let listed = Joiners::Listed(alloc::vec![*quick_identity(4).public_key()]);
    for index in 0..2 {
        world.nodes[index].as_mut().unwrap().set_joiners(listed.clone());
    }
    world.run(10_000);
    assert_eq!(world.node(4).view().members.len(), 5, "f + 1 members let it in");
}

#[test]
fn the_application_admits() {
    let mut world = World::new(4, 2, |config| config.joiners = Joiners::Application);
    world.join(4, FIRST, &[2]);
    world.join(5, FIRST, &[2]);
    world.run(1_000);
    let wanted = |events: &[Event]| {
        let wanted = |event: &&Event| matches!(event, Event::JoinWanted { .. });
        events.iter().filter(wanted).count()
    };
    (0..4).for_each(|index| assert_eq!(wanted(&world.events[index]), 2, "once each"));
    let admit = |index, is_admitted| Request::Admit {
        key: *quick_identity(index).public_key(),
        is_admitted,
    };
    for member in 0..2 {
        world.step(member, Input::Request(Ticket(1), admit(4, true)));
        world.step(member, Input::Request(Ticket(2), admit(5, false)));
        assert!(world.events[member].contains(&Event::Accepted(Ticket(2))));
    }
    world.settle(2, &[0, 1, 2, 3, 4]);
    world.run(3_000);
    assert!(refusals(&world.events[5]).contains(&JoinRefusal::NotAuthorised));
    assert!(world.is_group(&[0, 1, 2, 3, 4]));
}

#[test]
fn an_expelled_key_never_comes_back() {
    let mut world = World::new(4, 1, |_| {});
    let expelled = *quick_identity(4).public_key();
    let mut anchor = world.genesis.view();
    anchor.expelled = core::iter::once(expelled).collect();
    let mut stacks = Vec::new();
    for index in 0..4 {
        let node = world.nodes[index].take().unwrap();
        let roster = alloc::sync::Arc::clone(node.stack.roster());
        let (now, rank) = (world.now, node.rank());
        let stack = crate::stack::Stack::new(&world.config, anchor.clone(), roster, rank, now);
        stacks.push((index, node, stack));
    }
    for (index, mut node, stack) in stacks {
        node.stack = stack;
        world.nodes[index] = Some(node);
    }
    world.join(4, FIRST, &[2]);
    world.run(5_000);
    assert_eq!(refusals(&world.events[4]), [JoinRefusal::Expelled; 4]);
}

#[test]
fn who_was_excluded_by_opinion_comes_back_with_a_later_life() {
    let mut world = World::new(5, 0, |config| config.joiners = Joiners::Nobody);
    world.run(300);
    world.away = alloc::vec![4];
    world.settle(20, &[0, 1, 2, 3]);
    world.away.clear();
    world.run(2_000);
    let excluded = |event: &Event| match event {
        Event::Excluded { why, .. } => *why == Exclusion::Departed(Departure::Opinion),
        _ => false,
    };
    assert!(world.events[4].iter().any(excluded));
    world.step(4, Input::Request(Ticket(9), Request::Leave));
    assert!(world.events[4].contains(&Event::Refused(Ticket(9), Refusal::NotMember)));
    world.join(4, 1, &[0, 1]);
    world.settle(5, &[0, 1, 2, 3, 4]);
}

#[test]
fn who_asks_to_leave_is_let_go_once_and_is_told_so() {
    let mut world = World::new(5, 0, |_| {});
    world.run(300);
    world.step(2, Input::Request(Ticket(1), Request::Leave));
    world.step(2, Input::Request(Ticket(2), Request::Leave));
    world.settle(5, &[0, 1, 3, 4]);
    world.run(1_000);
    let events = &world.events[2];
    assert!(events.contains(&Event::Accepted(Ticket(1))));
    assert!(events.contains(&Event::Refused(Ticket(2), Refusal::AlreadyDone)));
    let left = |event: &Event| match event {
        Event::Excluded { why, .. } => *why == Exclusion::Departed(Departure::Left),
        _ => false,
    };
    assert!(events.iter().any(left) && !events.contains(&Event::MustStay));
    let spare = |event: &Event| match event {
        Event::Resilience { spare } => Some(*spare),
        _ => None,
    };
    let told: Vec<u16> = world.events[0].iter().filter_map(spare).collect();
    assert_eq!(told, [], "one may stop as before: 5 have a quorum of 4, and 4 one of 3");
}

#[test]
fn who_cannot_be_let_go_is_told_so_and_goes_when_others_make_room() {
    let mut world = World::new(4, 1, |_| {});
    world.run(300);
    world.step(1, Input::Request(Ticket(1), Request::Leave));
    let stays =
        |world: &World| world.events[1].iter().filter(|event| **event == Event::MustStay).count();
    world.run(3_000);
    assert_eq!((world.node(1).view().number, stays(&world)), (0, 1));
    world.join(4, FIRST, &[0]);
    world.settle(10, &[0, 2, 3, 4]);
}

#[test]
fn the_last_member_is_not_let_go() {
    let mut world = World::new(1, 0, |_| {});
    world.step(0, Input::Request(Ticket(1), Request::Leave));
    assert!(world.events[0].contains(&Event::Refused(Ticket(1), Refusal::LastMember)));
}

#[test]
fn a_silenced_member_is_active_again_though_one_slanders_it() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    world.away = alloc::vec![3];
    let silenced = |world: &World| {
        let view = world.node(0).view();
        view.members[3].status == Status::Silenced
    };
    let end = world.now.plus(20_000_000);
    assert!(world.run_until(end, silenced));
    // Long enough for everybody to suspect it in this view, too.
    world.run(6_000);
    world.step(0, Input::Request(Ticket(1), Request::Suspect { member: Rank::new(3) }));
    world.away.clear();
    world.settle(30, &[0, 1, 2, 3]);
    world.cast(3, b"back");
    world.run(1_000);
    assert_eq!(world.delivered(0), [b"back".to_vec()]);
}

#[test]
fn a_dead_silenced_member_does_not_come_back() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    world.nodes[3] = None;
    world.run(30_000);
    let view = world.node(0).view();
    assert_eq!((view.number, view.members[3].status), (1, Status::Silenced));
    world.join(3, 1, &[0]);
    world.settle(5, &[0, 1, 2, 3]);
}

#[test]
fn a_request_of_an_older_view_is_refused_and_signed_anew() {
    let mut world = World::new(4, 2, |config| {
        config.genesis.limits.max_joins_per_change = 1;
    });
    (4..6).for_each(|index| world.join(index, FIRST, &[0]));
    world.settle(5, &[0, 1, 2, 3, 4, 5]);
    let said = |bytes: &Vec<u8>| decode(frame::parse(bytes).unwrap().content()).unwrap();
    let mut requests: Vec<_> = world.strangers.iter().map(|(_, bytes)| said(bytes)).collect();
    requests.retain(|said| matches!(said, Stranger::Join(_)));
    requests.dedup();
    let last = requests.last().unwrap().clone();
    let Stranger::Join(last) = last else { panic!("only requests are left") };
    let of_last = |said: &&Stranger| matches!(said, Stranger::Join(r) if r.key == last.key);
    let mut anew: Vec<&Stranger> = requests.iter().filter(of_last).collect();
    anew.dedup();
    assert!(anew.len() >= 2, "it was taken in by the second change");
}

#[test]
fn a_full_group_takes_in_nobody_new() {
    let mut world = World::new(4, 1, |config| config.genesis.limits.max_members = 4);
    world.join(4, FIRST, &[0]);
    world.run(2_000);
    assert_eq!(refusals(&world.events[4]), [JoinRefusal::Full; 4]);
    world.nodes[1] = None;
    world.join(1, 3, &[0]);
    world.settle(5, &[0, 1, 2, 3]);
}

/// An address belongs to a member only as long as that answers there.
#[test]
fn nobody_joins_at_the_address_of_a_member_that_answers() {
    let mut world = World::new(4, 2, |_| {});
    let config = Config { addr: addr(2), ..world.config.clone() };
    world.join_with(4, FIRST, &[0], config.clone());
    world.run(2_000);
    assert_eq!(refusals(&world.events[4]), [JoinRefusal::AddressTaken; 4]);
    // That member dies, and nothing keeps another one from its address.
    world.nodes[2] = None;
    world.run(5_000);
    world.settle(30, &[0, 1, 3, 4]);
}

/// Two members that begin anew have changed their addresses.
#[test]
fn members_that_come_back_bring_whatever_address_they_like() {
    let mut world = World::new(5, 0, |_| {});
    world.run(300);
    for (index, other) in [(3, 4), (4, 3)] {
        let config = Config { addr: addr(other), ..world.config.clone() };
        world.join_with(index, FIRST, &[0, 1], config);
        world.settle(30, &[0, 1, 2, 3, 4]);
    }
    let members = &world.node(0).view().members;
    let at = |index: u8| {
        let key = *quick_identity(index).public_key();
        members.iter().find(|member| member.key == key).map(|member| member.addr.clone())
    };
    assert_eq!((at(3), at(4)), (Some(addr(4)), Some(addr(3))));
}

/// Others that join ask it, too, and members refuse what it asked for before: none of that takes the
/// place of the decision that lists it.
#[test]
fn questions_that_a_joiner_cannot_answer_do_not_keep_it_from_hearing_that_it_is_a_member() {
    let mut world = World::new(4, 1, |_| {});
    world.run(300);
    world.join(4, FIRST, &[0]);
    let why = JoinRefusal::OtherView;
    let key = *quick_identity(2).public_key();
    let asks = Stranger::AskChain(Question::padded(0, key, Hash32::ZERO, 0));
    let refused = Stranger::Refused { request: Hash32::ZERO, why };
    let end = world.now.plus(500_000);
    while !world.is_group(&[0, 1, 2, 3, 4]) {
        for said in [&asks, &refused] {
            let content = crate::wire::stranger::encode(said);
            let bytes = frame::stranger(world.genesis.group().prefix(), world.name(2), &content);
            (0..20).for_each(|_| world.step(4, Input::Frame(&bytes)));
        }
        assert!(world.now < end, "it is not starved");
        world.run(1);
    }
}

#[test]
fn a_flood_of_strangers_costs_a_token_each() {
    let mut world = World::new(4, 1, |config| config.joiners = Joiners::Application);
    world.run(1_000);
    let before = world.node(0).counters().crypto;
    let roster = world.node(0).roster().clone();
    for round in 0..1000_u64 {
        let index = u8::try_from(round % 200).unwrap() + 20;
        let mut door = crate::crypto::Door::new(quick_identity(index));
        let mut request = door.ask_to_join(&roster, round + 1, addr(usize::from(index)));
        if round % 2 == 0 {
            request.signature.0[0] ^= 1;
        }
        let name = peer_id(&request.key);
        let content = crate::wire::stranger::encode(&Stranger::Join(request));
        let bytes = frame::stranger(world.genesis.group().prefix(), name, &content);
        world.step(0, Input::Frame(&bytes));
        world.now = world.now.plus(1_000);
    }
    let counters = world.node(0).counters();
    let checked = counters.crypto.verifications - before.verifications;
    assert!(checked <= 16, "{checked} signatures in a second");
    assert!(counters.strangers_limited >= 1000 - 16);
    let wanted = |event: &&Event| matches!(event, Event::JoinWanted { .. });
    assert!(world.events[0].iter().filter(wanted).count() <= 16);
}

#[test]
fn what_a_configuration_says_about_joining_is_checked() {
    let world = World::new(4, 1, |_| {});
    let join = |config: Config, contacts: Vec<_>| {
        let boot = Boot { incarnation: 1 };
        Node::join(config, quick_identity(4), boot, contacts, world.now).map(|_| ())
    };
    let contact = (world.name(0), addr(0));
    let config = world.config.clone();
    assert_eq!(join(config.clone(), alloc::vec![contact.clone()]), Ok(()));
    assert_eq!(join(config.clone(), Vec::new()), Err(ConfigError::Contacts));
    let own = (world.name(4), addr(4));
    assert_eq!(join(config.clone(), alloc::vec![own]), Err(ConfigError::Contacts));
    let mut fixed = config.clone();
    fixed.genesis.membership = crate::view::Membership::Fixed;
    let fixed = join(fixed, alloc::vec![contact.clone()]);
    assert_eq!(fixed, Err(ConfigError::FixedMembership));
    let mut foreign = config;
    foreign.anchor = Some(crate::rig::genesis(3).view());
    assert_eq!(join(foreign, alloc::vec![contact]), Err(ConfigError::Anchor));
}

#[test]
fn an_anchor_spares_the_chain_before_it() {
    let mut world = World::new(4, 2, |_| {});
    world.join(4, FIRST, &[0]);
    world.settle(5, &[0, 1, 2, 3, 4]);
    let anchor = world.node(0).view().clone();
    let config = Config { anchor: Some(anchor), addr: addr(5), ..world.config.clone() };
    world.join_with(5, FIRST, &[0], config);
    world.settle(5, &[0, 1, 2, 3, 4, 5]);
    let views = |event: &Event| matches!(event, Event::View(view) if view.number == 2);
    assert!(world.events[5].iter().any(views));
}
