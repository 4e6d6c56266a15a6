//! Members that make what they send longer than it need be.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::{Group, In};
use super::attack::say;
use super::rig::{Net, input};
use crate::crypto::{Certificate, LINKS_MAX, Link, NewView};
use crate::fault::FaultKind;
use crate::member::Rank;
use crate::rig::some_hash;
use crate::seq::{Attempt, Round, SlotMark};
use crate::wire::change::{Certificates, Covered, Justification, Proposed};
use crate::wire::{Packet, Part, decode, encode};

/// A step to a body that nobody wrote.
fn junk() -> Link {
    Link { slot: SlotMark::Value(Round::new(u64::MAX)), casts: some_hash(9) }
}

impl Group {
    /// What a liar makes of the certificates in its Flush, if it is one.
    pub(in super::super) fn with_junk(
        &self,
        mut certificates: Vec<Certificate>,
    ) -> Vec<Certificate> {
        for certificate in &mut certificates {
            let room = LINKS_MAX - certificate.links.len();
            let more = self.junk_links.min(room);
            certificate.links.as_mut_vec().extend(alloc::vec![junk(); more]);
        }
        certificates
    }
}

const ALL: &dyn Fn(usize, usize, &Part) -> bool = &|_, _, _| true;

/// Nobody takes such a Flush, so no leader proposes from it, and nobody waits for it.
#[test]
fn a_flush_with_junk_links_is_its_authors_fault_and_stops_nobody() {
    let mut net = Net::new(4);
    for member in 0..4 {
        net.holds_log(member, 0, &["a", "b"]);
    }
    net.groups[2].junk_links = 1;
    net.suspect(&[0, 1], 3, &[0, 1, 2, 3]);
    net.run(&[0, 1, 3], ALL);
    let next = net.decided(&[0, 1, 3]);
    assert_eq!(next.cut[0].number.value(), 2);
    for member in [0, 1, 3] {
        assert!(net.seen[member].misbehaved > 0, "{member}");
        assert!(net.seen[member].abandoned.is_empty(), "in the first attempt");
        assert!(net.seen[member].proofs.is_empty() && net.seen[member].opinions.is_empty());
    }
}

/// Of two certificates of one head the leader takes the shorter, whoever sent it.
#[test]
fn a_leader_proposes_the_shortest_certificate_of_each_head() {
    let mut net = Net::new(4);
    for member in 0..4 {
        net.holds_log(member, 0, &["a", "b"]);
    }
    // A good certificate of the first body, by who vouches for the second.
    let mut rig = crate::rig::Rig::quick(4);
    rig.roster = net.roster.clone();
    let chain = rig.chain(0, &["a", "b"]);
    let above = crate::rig::links(&["b"]);
    let long = Certificate {
        head: chain[1],
        heads: (0..3).map(|signer| rig.signed_heads(signer, &[chain[2]])).collect(),
        links: above.into(),
    };
    let end = crate::seq::LogEnd { number: chain[1].number, hash: chain[1].hash };
    for member in 0..4 {
        net.holds_log(member, 0, &["a"]);
    }
    let short = net.ends[1][0].1.clone().unwrap();
    for member in [0, 2] {
        net.ends[member][0] = (end, Some(long.clone()));
    }
    net.suspect(&[0, 1], 3, &[0, 1, 2, 3]);
    let proposed = proposal(&mut net);
    let Justification::Fresh { certificates, .. } = proposed.justification else { panic!() };
    assert_eq!(certificates.unpack().unwrap(), [short]);
}

/// What rank 0 proposes.
fn proposal(net: &mut Net) -> Proposed {
    for _ in 0..100 {
        while let Some((from, to, part)) = net.mail.pop_front() {
            if let Part::NewView(message) = part {
                return *message;
            }
            if let Some(input) = input(from, part) {
                net.give(to, input);
            }
        }
        net.tick(&[0]);
    }
    panic!("no proposal");
}

/// Section 2: an invalid New-View convicts, and does so however long its author makes it: what is
/// decoded can be passed on.
#[test]
fn an_invalid_proposal_with_junk_convicts_all_the_same() {
    for junk_links in [0, 1, LINKS_MAX] {
        let mut net = Net::new(4);
        for sender in 0..4 {
            (0..4).for_each(|member| net.holds_log(member, sender, &["a"]));
        }
        net.suspect(&[0, 1], 3, &[0, 1, 2, 3]);
        let mut lie = proposal(&mut net);
        if junk_links == 0 {
            // It keeps whom the evidence silences.
            lie.view.members[3].status = crate::member::Status::Active;
            lie.view.silenced = crate::wire::List::new();
        }
        let Justification::Fresh { certificates, .. } = &mut lie.justification else { panic!() };
        for covered in certificates.covered.as_mut_vec() {
            covered.links.as_mut_vec().extend(alloc::vec![junk(); junk_links]);
        }
        convicts(&mut net, lie);
    }
}

/// Rank 0 signs that; whoever hears of it has a proof that fits a packet.
fn convicts(net: &mut Net, mut lie: Proposed) {
    let (next, justification) = (lie.view.id(), lie.justification.hash());
    lie.signed = say(net, 0, NewView { attempt: Attempt::FIRST, next, justification });
    net.give(1, In::NewView(Box::new(lie)));
    let [found] = &net.seen[1].proofs[..] else { panic!("{:?}", net.seen[1]) };
    assert_eq!((found.culprit(), found.kind()), (Rank::new(0), FaultKind::InvalidNewView));
    let packet = Packet {
        view: *net.roster.view(),
        haves: crate::wire::List::new(),
        parts: [Part::Proof(Box::new(found.clone()))].into_iter().collect(),
    };
    assert!(decode(&encode(&packet), net.n(), false).is_ok(), "it travels");
}

/// Statements that nobody needs, that stand twice or out of order, convict likewise.
#[test]
fn a_table_of_certificates_in_another_form_convicts() {
    let spoils: [fn(&mut Certificates); 4] = [
        |table| {
            let again = table.heads[0].clone();
            table.heads.as_mut_vec().push(again);
        },
        |table| {
            table.heads.as_mut_vec().swap(0, 1);
            let turn = |place: &mut u16| *place = [1, 0, 2][usize::from(*place)];
            let places = |covered: &mut Covered| {
                covered.places.as_mut_vec().iter_mut().for_each(turn);
            };
            table.covered.as_mut_vec().iter_mut().for_each(places);
        },
        |table| {
            // The second certificate has a statement of its own that is the same.
            let again = table.heads[0].clone();
            table.heads.as_mut_vec().push(again);
            let last = u16::try_from(table.heads.len() - 1).unwrap();
            table.covered.as_mut_vec()[1].places.as_mut_vec()[0] = last;
        },
        |table| table.covered.as_mut_vec()[0].places.as_mut_vec().reverse(),
    ];
    for spoil in spoils {
        let mut net = Net::new(4);
        let mut rig = crate::rig::Rig::quick(4);
        rig.roster = net.roster.clone();
        let heads = [0, 1].map(|sender| rig.chain(sender, &["a"])[1]);
        let vouched = (0..3).map(|signer| rig.signed_heads(signer, &heads)).collect::<Vec<_>>();
        for (sender, head) in heads.iter().enumerate() {
            let end = crate::seq::LogEnd { number: head.number, hash: head.hash };
            let links = crate::wire::List::new();
            let certificate = Certificate { head: *head, heads: vouched.clone().into(), links };
            (0..4).for_each(|member| net.ends[member][sender] = (end, Some(certificate.clone())));
        }
        net.suspect(&[0, 1], 3, &[0, 1, 2, 3]);
        let mut lie = proposal(&mut net);
        let Justification::Fresh { certificates, .. } = &mut lie.justification else { panic!() };
        assert!(certificates.is_canonical() && certificates.heads.len() == 3);
        spoil(certificates);
        assert!(!certificates.is_canonical());
        convicts(&mut net, lie);
    }
}
