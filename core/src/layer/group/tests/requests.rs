//! Requests to join among the evidence: however many there are, and whoever heard which, what correct
//! members flush never stands in the way of a correct leader.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::In;
use super::super::evidence::request_hash;
use super::attack::recommended;
use super::rig::Net;
use crate::crypto::{Door, JoinRequest};
use crate::rig::quick_identity;
use crate::wire::change::JOINS_MAX;

/// Process `index`, a member if there is one of that index, asks in this life.
fn asks(net: &Net, index: u8, incarnation: u64) -> JoinRequest {
    Door::new(quick_identity(index)).ask_to_join(&net.roster, incarnation, Vec::new())
}

/// Members of `side` recommend it to each other.
fn recommend(net: &mut Net, wanted: &JoinRequest, side: &[usize]) {
    for by in side {
        let said = recommended(net, *by, wanted);
        side.iter().for_each(|member| net.give(*member, In::Recommend(said.clone())));
    }
}

/// 66 processes ask at each side of a split, and enough members are for each of them.
#[test]
fn newcomers_at_both_sides_of_a_split_do_not_stop_the_change() {
    let mut net = Net::new(4);
    for number in 0..66 {
        for (first, side) in [(10, [0, 1]), (100, [2, 3])] {
            let wanted = asks(&net, first + number, 0);
            recommend(&mut net, &wanted, &side);
        }
    }
    let lost = net.mail.len();
    assert!(lost > 0 && net.seen.iter().all(|seen| seen.frozen == 1));
    net.mail.clear();
    net.run(&[0, 1, 2, 3], &|_, _, _| true);
    let next = net.decided(&[0, 1, 2, 3]);
    assert_eq!(next.members.len(), 6, "as many as four old members carry");
    assert!(net.seen.iter().all(|seen| seen.abandoned.is_empty()), "in the first attempt");
    for group in &net.groups {
        assert!(group.evidence.grounds().joins.len() <= JOINS_MAX);
    }
}

/// A liar has its own key ask for one life after the other, each at another member. The latest of them
/// counts for all.
#[test]
fn later_lives_of_one_key_satisfy_what_was_listed() {
    let mut net = Net::new(4);
    for incarnation in 1..200 {
        let wanted = asks(&net, 3, incarnation);
        let victim = usize::try_from(incarnation % 3).unwrap();
        for by in [3, victim] {
            let said = recommended(&mut net, by, &wanted);
            net.give(victim, In::Recommend(said));
        }
    }
    net.mail.clear();
    net.run(&[0, 1, 2], &|from, to, _| from != 3 && to != 3);
    let next = net.decided(&[0, 1, 2]);
    // The last that the leader heard of itself; all Flushes list earlier ones.
    assert_eq!(next.members.last().unwrap().incarnation, 198);
    assert!(net.seen[..3].iter().all(|seen| seen.abandoned.is_empty()), "in the first attempt");
    for group in &net.groups[..3] {
        assert_eq!(group.evidence.grounds().joins.len(), 1);
    }
}

/// Recommendations of a liar alone take the place of its own, of nobody else's.
#[test]
fn requests_that_one_liar_is_for_crowd_out_nobody() {
    let mut net = Net::new(4);
    let wanted = asks(&net, 9, 0);
    let said = recommended(&mut net, 1, &wanted);
    net.give(0, In::Recommend(said));
    for number in 0..240 {
        let junk = asks(&net, 10 + number, 0);
        let said = recommended(&mut net, 3, &junk);
        net.give(0, In::Recommend(said));
    }
    assert_eq!(net.seen[0].frozen, 0);
    let said = recommended(&mut net, 2, &wanted);
    net.give(0, In::Recommend(said));
    assert_eq!(net.seen[0].frozen, 1, "two are for it");
    let joins = net.groups[0].evidence.grounds().joins;
    assert_eq!(joins.len(), 1);
    assert!(net.groups[0].evidence.knows_recommend(&joins[0].recommends[0], &joins[0].request));
    assert_eq!(joins[0].recommends[0].statement.request, request_hash(&wanted));
}

/// A splitmix generator: decides who hears what.
struct Lots(u64);

impl Lots {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (n as u64)).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Every member hears an arbitrary part of what arbitrary members recommend, those of the view
    /// and hundreds of others in several lives, until all have begun; then the correct ones talk.
    #[test]
    fn whatever_was_heard_of_requests_a_change_is_decided(
        n in 4_u8..=7,
        many in 1_usize..300,
        taken in 1_u16..=16,
        seed: u64,
    ) {
        let mut net = Net::with(n, |genesis| genesis.limits.max_joins_per_change = taken);
        let size = usize::from(n);
        let mut lots = Lots(seed);
        for _ in 0..many {
            // A correct process that is a member asks for its next life; the liar for any.
            let index = u8::try_from(lots.below(200)).unwrap();
            let life = 1 + lots.below(if index + 1 == n { 50 } else { 2 }) as u64;
            let wanted = asks(&net, index, life);
            let by: BTreeSet<usize> = (0..net.roster.quorum().weak()).map(|_| lots.below(size)).collect();
            let to: BTreeSet<usize> = (0..size).map(|_| lots.below(size)).collect();
            for by in by.into_iter().chain([size - 1]) {
                let said = recommended(&mut net, by, &wanted);
                to.iter().for_each(|member| net.give(*member, In::Recommend(said.clone())));
            }
        }
        net.mail.clear();
        let correct: Vec<usize> = (0..size - 1).collect();
        if net.seen.iter().any(|seen| seen.frozen > 0) {
            // What was begun is said again to all, R11.
            net.run(&correct, &|from, to, _| from + 1 < size && to + 1 < size);
            net.decided(&correct);
        }
    }
}
