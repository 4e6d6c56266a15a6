//! What correct members have to send when everything that they hold stands at its limit: it is valid,
//! within its bound, and links carry it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::evidence::Evidence;
use super::super::justify::{fresh, judge};
use super::super::{Basis, In};
use super::attack::{recommended, say};
use super::rig::Net;
use crate::config::Config;
use crate::crypto::{
    Certificate, Door, Flush, Head, Leave, NeedMoreChange, NewView, Reason, Statement, Suspect,
    Verified,
};
use crate::layer::Context;
use crate::layer::bottom::carries;
use crate::member::{ADDR_MAX, Rank};
use crate::rig::{Rig, links, quick_identity};
use crate::seq::{Attempt, LogEnd, Number};
use crate::wire::bounds::Bounds;
use crate::wire::change::{Certificates, Flushed, JOINS_MAX, NeedsMore, Proposed};
use crate::wire::{Packet, Part, decode, encode};

/// The bodies of every log above the head that is certified.
const STEPS: [&str; 12] = ["b"; 12];

/// All logs end in a head that the highest entries lie `STEPS` above, each vouched for by a quorum in
/// statements of its own, about all logs.
fn certificates(net: &Net) -> Vec<Certificate> {
    let n = u16::try_from(net.n()).unwrap();
    let mut rig = Rig::quick(u8::try_from(n).unwrap());
    rig.roster = net.roster.clone();
    let casts: Vec<&str> = ["a"].into_iter().chain(STEPS).collect();
    let chains: Vec<Vec<Head>> = (0..n).map(|sender| rig.chain(sender, &casts)).collect();
    let q = u16::try_from(net.roster.quorum().q()).unwrap();
    let of = |sender: u16| {
        let statement = |signer: u16| {
            // The entry of another log tells the statements apart.
            let entry = |(log, chain): (usize, &Vec<Head>)| {
                let is_own = log == usize::from(sender);
                let number = chain.len() as u64 + u64::from(sender);
                if is_own {
                    chain[chain.len() - 1]
                } else {
                    Head { number: Number::new(number), ..chain[1] }
                }
            };
            let entries: Vec<Head> = chains.iter().enumerate().map(entry).collect();
            rig.signed_heads(signer, &entries)
        };
        let heads = (0..q).map(statement).collect();
        Certificate { head: chains[usize::from(sender)][1], heads, links: links(&STEPS).into() }
    };
    (0..n).map(of).collect()
}

/// Everybody suspects everybody by proof and without, all leave, and as many ask to join as there is
/// room for.
fn evidence(net: &mut Net) -> Evidence {
    let mut evidence = Evidence::new(&net.view);
    let n = u16::try_from(net.n()).unwrap();
    for signer in 0..n {
        let door = &mut net.doors[usize::from(signer)];
        for (subject, reason) in (0..n).flat_map(|z| [(z, Reason::Mute), (z, Reason::Proof)]) {
            let proof = crate::rig::some_hash(subject as u8);
            let said = Suspect { subject: Rank::new(subject), reason, proof };
            evidence.suspect(&door.sign(&net.roster, Rank::new(signer), said));
        }
        evidence.leave(door.sign(&net.roster, Rank::new(signer), Leave));
    }
    // More than there is room for.
    let newcomers = (0..JOINS_MAX + 9).map(|number| u8::try_from(100 + number).unwrap());
    let members = (0..net.n()).map(|number| u8::try_from(number).unwrap());
    for index in newcomers.chain(members) {
        let mut door = Door::new(quick_identity(index));
        let wanted = door.ask_to_join(&net.roster, u64::MAX, alloc::vec![7; ADDR_MAX]);
        for by in 0..net.n() {
            let said = recommended(net, by, &wanted).signed;
            let said = net.doors[by].verify(&net.roster, said).unwrap();
            evidence.recommend(said, &wanted);
        }
    }
    assert_eq!(evidence.grounds().joins.len(), JOINS_MAX + net.n());
    evidence
}

/// It is decoded, within its bound, and arrives in pieces of 1,400 bytes.
fn travels(net: &Net, part: Part, bound: usize) {
    let packet = Packet {
        view: *net.roster.view(),
        haves: alloc::vec![Number::new(u64::MAX); net.n()].into(),
        parts: [part].into_iter().collect(),
    };
    let bytes = encode(&packet);
    assert!(decode(&bytes, net.n(), false).is_ok());
    let limit = bound + Bounds::of(net.n()).packet_head();
    assert!(bytes.len() <= limit, "n = {}: {} of {limit}", net.n(), bytes.len());
    let config = Config::new(net.genesis.as_ref().clone());
    assert_eq!(config.frame_max, 1_400);
    assert!(carries(&config, net.n(), &bytes), "n = {}: {} bytes", net.n(), bytes.len());
}

/// All say the same.
fn everybody<S: Statement + Clone>(net: &mut Net, said: &S) -> Vec<Verified<S>> {
    let (doors, roster) = (net.doors.iter_mut(), &net.roster);
    doors.zip(0..).map(|(door, rank)| door.sign(roster, Rank::new(rank), said.clone())).collect()
}

fn at_the_limits(n: u8, joins: u16) {
    let mut net = Net::with(n, |genesis| {
        genesis.limits.max_joins_per_change = joins;
        genesis.limits.window_bodies = 6;
    });
    let all = certificates(&net);
    let table = Certificates::pack(&all);
    let evidence = evidence(&mut net);
    let facts = evidence.facts();
    let plan = crate::plan::plan(&net.view, &net.genesis, &facts);
    let changes = facts.supported(&net.view, None).listed(&plan);
    let end = |certificate: &Certificate| {
        let Head { number, hash, .. } = certificate.head;
        LogEnd { number, hash }
    };
    let ends: Vec<LogEnd> = all.iter().map(end).collect();
    let said = Flush { ends: ends.into(), changes: changes.into() };
    let flushes: Vec<Verified<Flush>> = everybody(&mut net, &said);
    let bounds = Bounds::with_links(net.n(), net.genesis.limits.links_max());
    let flushed = Flushed {
        signed: flushes[0].signed().as_ref().clone(),
        certificates: table.clone(),
        grounds: evidence.grounds(),
    };
    travels(&net, Part::Flush(Box::new(flushed.clone())), bounds.flush());
    let more = NeedMoreChange { attempt: Attempt::new(u32::from(n)), lock: None };
    let mut more: Vec<Verified<NeedMoreChange>> = everybody(&mut net, &more);
    more.truncate(net.roster.quorum().q());
    let needs = NeedsMore {
        signed: more[0].signed().as_ref().clone(),
        lock: None,
        grounds: evidence.grounds(),
    };
    travels(&net, Part::NeedMoreChange(Box::new(needs)), bounds.need_more_change());
    let records: Vec<_> =
        flushes.into_iter().map(|flush| (flush, Arc::new(table.clone()))).collect();
    let (view, genesis) = (Arc::clone(&net.view), Arc::clone(&net.genesis));
    let basis = Basis { view: &view, genesis: &genesis };
    let (next, justification) = fresh(basis, &records, &evidence, &more);
    let statement = NewView {
        attempt: Attempt::new(u32::from(n)),
        next: next.id(),
        justification: justification.hash(),
    };
    let proposed = Proposed { signed: say(&mut net, 0, statement), view: next, justification };
    let last = net.n() - 1;
    let mut cx = Context { now: net.now, door: &mut net.doors[last], roster: &net.roster };
    assert!(matches!(judge(&mut cx, basis, &proposed), Ok(Some(_))), "n = {n}: it is valid");
    travels(&net, Part::NewView(Box::new(proposed)), bounds.new_view());
    // Every receiver takes the Flush, too.
    net.give(last, In::Flush(Box::new(flushed)));
    assert_eq!(net.seen[last].misbehaved, 0);
    assert!(net.groups[last].flushes.at(Rank::new(0)).is_some() || last == 0);
}

#[test]
fn what_the_largest_group_sends_at_its_limits_arrives() {
    at_the_limits(if cfg!(feature = "insecure-study") { 64 } else { 10 }, 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_at_the_limits_of_all_stores_arrives(n in 1_u8..=40, joins in 1_u16..=16) {
        let n = if cfg!(feature = "insecure-study") { n } else { n % 7 + 1 };
        at_the_limits(n, joins);
    }
}
