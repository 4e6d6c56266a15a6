//! One case for each sentence of protocol.md section 8, and for what follows from two of them.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::config::Limits;
use crate::quorum::QuorumRule;
use crate::view::{EXPELLED_MAX, Membership, Pattern};

/// Keys in the order of their numbers.
pub(super) fn key(id: u16) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    PublicKey(bytes)
}

pub(super) fn genesis(n: u16, pledge: Option<u16>) -> Genesis {
    let member =
        |id| Member { key: key(id), incarnation: 1, addr: Vec::new(), status: Status::Active };
    Genesis {
        name: "plan".into(),
        nonce: Hash32::ZERO,
        members: (0..n).map(member).collect(),
        pledge,
        pattern: Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: Membership::Managed,
        state_transfer: false,
        limits: Limits::default(),
    }
}

fn addr(id: u16) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// A request; its hash is made of its fields.
pub(super) fn request(id: u16, incarnation: u64, by: Vec<Rank>) -> Joining {
    let mut hash = [0; 32];
    hash[..2].copy_from_slice(&id.to_be_bytes());
    hash[2..10].copy_from_slice(&incarnation.to_be_bytes());
    let request = Hash32(hash);
    Joining { request, key: key(id), incarnation, addr: addr(id), recommended_by: by }
}

/// A view and what is said in it.
struct Case {
    genesis: Genesis,
    view: View,
    facts: Facts,
}

impl Case {
    fn of(n: u16) -> Self {
        Self::with_pledge(n, None)
    }

    fn with_pledge(n: u16, pledge: Option<u16>) -> Self {
        let genesis = genesis(n, pledge);
        Self { view: genesis.view(), genesis, facts: Facts::default() }
    }

    fn silenced(mut self, ranks: &[usize]) -> Self {
        for rank in ranks {
            self.view.members[*rank].status = Status::Silenced;
        }
        self
    }

    fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.genesis.limits);
        self
    }

    fn suspicion(mut self, by_proof: bool, subject: u16, signers: &[u16]) -> Self {
        let subject = Rank::new(subject);
        let suspicion = |signer: &u16| {
            let signer = Rank::new(*signer);
            Suspicion { subject, signer, by_proof, is_slow: false }
        };
        self.facts.suspicions.extend(signers.iter().map(suspicion));
        self
    }

    /// Members that suspect another of being slow, and of nothing else.
    fn slow(mut self, subject: u16, signers: &[u16]) -> Self {
        let subject = Rank::new(subject);
        let suspicion = |signer: &u16| {
            let signer = Rank::new(*signer);
            Suspicion { subject, signer, by_proof: false, is_slow: true }
        };
        self.facts.suspicions.extend(signers.iter().map(suspicion));
        self
    }

    fn opinion(self, subject: u16, signers: &[u16]) -> Self {
        self.suspicion(false, subject, signers)
    }

    fn proof(self, subject: u16, signers: &[u16]) -> Self {
        self.suspicion(true, subject, signers)
    }

    fn weak(&self) -> u16 {
        u16::try_from(self.view.quorum().weak()).unwrap()
    }

    /// The first weak many members other than the subject.
    fn accusers(&self, subject: u16) -> Vec<u16> {
        (0..).filter(|rank| *rank != subject).take(usize::from(self.weak())).collect()
    }

    fn suspected(self, subject: u16) -> Self {
        let signers = self.accusers(subject);
        self.opinion(subject, &signers)
    }

    fn proven(self, subject: u16) -> Self {
        let signers = self.accusers(subject);
        self.proof(subject, &signers)
    }

    fn leaves(mut self, rank: u16) -> Self {
        self.facts.leaving.push(Rank::new(rank));
        self
    }

    fn joins(mut self, id: u16, incarnation: u64) -> Self {
        let by = (0..self.weak()).map(Rank::new).collect();
        self.facts.joining.push(request(id, incarnation, by));
        self
    }

    fn plan(&self) -> Plan {
        plan(&self.view, &self.genesis, &self.facts)
    }

    /// The next members: number of the key and, behind a dot, `a`ctive or `s`ilenced; then the
    /// incarnation if it is not 1.
    fn next(&self) -> Vec<alloc::string::String> {
        let text = |member: &Member| {
            let id = u16::from_be_bytes([member.key.0[0], member.key.0[1]]);
            let status = if member.status == Status::Active { "a" } else { "s" };
            match member.incarnation {
                1 => alloc::format!("{id}{status}"),
                incarnation => alloc::format!("{id}{status}{incarnation}"),
            }
        };
        self.plan().members.iter().map(text).collect()
    }

    fn next_is(&self, expected: &str) {
        assert_eq!(self.next().join(" "), expected);
    }

    fn departed(&self) -> Vec<(u16, Departure)> {
        self.plan().departed.iter().map(|(rank, why)| (rank.value(), *why)).collect()
    }
}

fn ranks(ranks: &[Rank]) -> Vec<u16> {
    ranks.iter().map(|rank| rank.value()).collect()
}

/// As many as one change may touch, `max(1, f)`, for n = 1..13: restated on purpose.
const CAP: [usize; 13] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4];

#[test]
fn no_evidence_changes_nothing() {
    for n in 1..=13 {
        for pledge in [None, Some(0), Some(1), Some(9)] {
            let mut case = Case::with_pledge(n, pledge).silenced(if n > 2 { &[0, 2] } else { &[] });
            assert!(!case.plan().is_change(&case.view), "n = {n}");
            case.view.pledge = 0;
            assert!(!case.plan().is_change(&case.view), "even a view that could not be, n = {n}");
        }
    }
}

#[test]
fn weak_proofs_expel_and_fewer_do_not() {
    for n in 2..=13 {
        let case = Case::of(n).proven(n - 1);
        let plan = case.plan();
        assert_eq!(case.departed(), [(n - 1, Departure::Proof)], "n = {n}");
        assert_eq!(plan.expelled, [key(n - 1)]);
        assert_eq!(plan.members.len(), usize::from(n) - 1);
        assert!(plan.is_change(&case.view) && !plan.keeps(&case.view, Rank::new(n - 1)));
        let mut fewer = case;
        fewer.facts.suspicions.pop();
        assert!(!fewer.plan().is_change(&fewer.view), "n = {n}");
    }
}

#[test]
fn suspicions_of_oneself_and_repeated_ones_do_not_count() {
    let case = Case::of(4).opinion(3, &[3, 2]).proof(3, &[2, 3]);
    assert!(case.facts.changes(&case.view).is_empty());
    case.next_is("0a 1a 2a 3a");
    Case::of(1).proof(0, &[0]).opinion(0, &[0]).next_is("0a");
    Case::of(4).opinion(3, &[3, 2]).proof(3, &[1]).next_is("0a 1a 2a 3s");
}

#[test]
fn what_is_about_or_by_nobody_is_nothing() {
    let case = Case::of(4).opinion(3, &[2, 4, 9]).opinion(4, &[0, 1, 2]).proof(7, &[0, 1]);
    let mut case = case.leaves(4);
    case.facts.joining.push(request(9, 1, vec![Rank::new(0), Rank::new(4), Rank::new(0)]));
    assert!(case.facts.changes(&case.view).is_empty());
    assert!(!case.plan().is_change(&case.view));
}

#[test]
fn one_change_touches_at_most_the_cap_those_proven_first_and_of_high_rank() {
    for n in 2..=13_u16 {
        let all = (0..n).fold(Case::of(n), Case::proven);
        let cap = u16::try_from(CAP[usize::from(n) - 1]).unwrap();
        let gone: Vec<u16> = all.departed().iter().map(|(rank, _)| *rank).collect();
        assert_eq!(gone, (n - cap..n).collect::<Vec<_>>(), "n = {n}");
        let opinions = (0..n).fold(Case::with_pledge(n, Some(0)), Case::suspected);
        assert_eq!(opinions.plan().departed.len(), usize::from(cap), "n = {n}");
        let mixed = Case::with_pledge(n, Some(0)).proven(0).suspected(n - 1).leaves(n / 2);
        let first = mixed.departed()[0];
        assert_eq!(first, (0, Departure::Proof), "n = {n}");
        assert!(mixed.plan().departed.len() <= usize::from(cap), "n = {n}");
    }
}

#[test]
fn each_liar_expelled_lowers_the_pledge_and_the_rest_may_raise_it_again() {
    for (n, pledge, expected) in
        [(4, None, 0), (5, None, 1), (7, None, 1), (8, None, 2), (13, None, 3), (7, Some(1), 1)]
    {
        let plan = Case::with_pledge(n, pledge).proven(0).plan();
        assert_eq!(plan.pledge, expected, "n = {n}, {pledge:?}");
    }
    let fresh = (4..7).fold(Case::of(4), |case, id| case.joins(id, 1));
    assert_eq!((fresh.plan().members.len(), fresh.plan().pledge), (6, 1), "one waits");
    assert_eq!(Case::of(6).joins(9, 1).plan().pledge, 2);
    assert_eq!(Case::with_pledge(6, Some(1)).joins(9, 1).plan().pledge, 1);
}

#[test]
fn opinions_remove_above_the_pledge_and_silence_at_it() {
    for n in 2..=13_u16 {
        let case = Case::of(n).suspected(n - 1);
        let (plan, at_it) = (case.plan(), n > 3 && (n - 1) % 3 == 0);
        assert_eq!(ranks(&plan.silenced), if at_it { vec![n - 1] } else { vec![] }, "n = {n}");
        assert_eq!(plan.departed.len(), usize::from(!at_it), "n = {n}");
        assert!(plan.expelled.is_empty() && !plan.keeps(&case.view, Rank::new(n - 1)));
        assert_eq!(plan.pledge, case.view.pledge);
    }
    Case::with_pledge(4, Some(0)).suspected(3).next_is("0a 1a 2a");
    Case::of(1).suspected(0).next_is("0a");
}

#[test]
fn opinions_of_those_proven_to_lie_do_not_count() {
    Case::of(4).opinion(3, &[1, 2]).proof(1, &[0, 2]).next_is("0a 2a 3a");
    Case::of(4).opinion(3, &[0, 1, 2]).proof(1, &[0, 2]).next_is("0a 2a 3a");
    // Seven spare two: with the liar gone there is room for an opinion that stands without it.
    Case::of(7).opinion(3, &[0, 1, 2]).proof(1, &[0, 2, 4]).next_is("0a 2a 3a 4a 5a 6a");
    let stands = Case::of(7).opinion(3, &[0, 1, 2, 4]).proof(1, &[0, 2, 4]);
    stands.next_is("0a 2a 4a 5a 6a");
    // One that is proven to lie although the cap keeps it counts as little.
    let kept = Case::of(4).proven(3).proof(2, &[0, 1]).opinion(0, &[1, 2]);
    kept.next_is("0a 1a 2a");
}

#[test]
fn who_is_merely_slow_is_silenced_and_never_removed() {
    Case::of(5).slow(4, &[0, 1]).next_is("0a 1a 2a 3a 4s");
    Case::of(6).slow(4, &[0, 1, 2]).opinion(4, &[3]).next_is("0a 1a 2a 3a 4s 5a");
    Case::of(5).slow(4, &[0]).opinion(4, &[1, 2]).next_is("0a 1a 2a 3a");
    Case::of(5).slow(4, &[0]).next_is("0a 1a 2a 3a 4a");
}

#[test]
fn the_suspected_go_silenced_first_then_by_suspects_then_high_rank_first() {
    let case = Case::with_pledge(4, Some(0)).silenced(&[0]);
    case.suspected(0).opinion(2, &[0, 1, 3]).next_is("1a 2a 3a");
    let case = Case::with_pledge(4, Some(0));
    case.suspected(3).opinion(2, &[0, 1, 3]).suspected(1).next_is("0a 1a 3a");
    Case::with_pledge(4, Some(0)).suspected(1).suspected(3).next_is("0a 1a 2a");
}

#[test]
fn who_is_silenced_already_and_cannot_be_removed_costs_nothing() {
    Case::of(4).silenced(&[3]).suspected(3).suspected(1).next_is("0a 1s 2a 3s");
    Case::of(5).silenced(&[3]).suspected(3).suspected(1).next_is("0a 1a 2a 4a");
}

#[test]
fn silencing_and_removing_share_the_cap() {
    let case = Case::of(8).suspected(7).suspected(6).suspected(5);
    case.next_is("0a 1a 2a 3a 4a 5a 6s");
    assert_eq!(ranks(&case.plan().silenced), [6]);
    assert_eq!(case.departed(), [(7, Departure::Opinion)]);
}

#[test]
fn somebody_stays_active() {
    Case::of(4).silenced(&[0, 1, 2]).suspected(3).next_is("0s 1s 2s 3a");
    Case::with_pledge(4, Some(0)).silenced(&[0, 1, 2]).suspected(3).next_is("0s 1s 2s 3a");
    Case::with_pledge(4, Some(0)).silenced(&[0, 1, 2]).leaves(3).next_is("0s 1s 2s 3a");
    // A joiner is somebody, if it is not alone with who may be down.
    let mut joined = Case::of(4).silenced(&[0, 1, 2]).suspected(3).joins(9, 1);
    joined.next_is("0s 1s 2s 3a");
    joined.facts.joining[0].recommended_by.push(Rank::new(2));
    joined.next_is("0s 1s 2s 9a");
    // A liar goes all the same, and the lowest rank takes over; asked for or not.
    let lied = Case::of(4).silenced(&[1, 2, 3]).proven(0);
    lied.next_is("1a 2s 3s");
    assert!(lied.plan().silenced.is_empty());
    Case::of(7).silenced(&[1, 2, 3, 4, 5, 6]).proven(0).suspected(1).next_is("1a 2s 3s 4s 5s 6s");
}

#[test]
fn leavers_go_under_the_same_condition_after_the_suspected() {
    for n in 2..=13_u16 {
        let stays = n > 3 && (n - 1) % 3 == 0;
        let case = Case::of(n).leaves(0);
        assert_eq!(case.departed().len(), usize::from(!stays), "n = {n}");
        assert!(case.plan().silenced.is_empty(), "a leaver is not silenced, n = {n}");
    }
    assert_eq!(Case::of(5).leaves(2).departed(), [(2, Departure::Left)]);
    assert_eq!(Case::of(5).leaves(2).suspected(1).departed(), [(1, Departure::Opinion)]);
    assert_eq!(Case::of(5).leaves(2).leaves(4).leaves(2).departed(), [(4, Departure::Left)]);
    assert_eq!(Case::of(9).leaves(4).suspected(4).departed(), [(4, Departure::Opinion)]);
    assert_eq!(Case::of(9).leaves(4).proven(4).departed(), [(4, Departure::Proof)]);
    Case::of(1).leaves(0).next_is("0a");
}

#[test]
fn joiners_come_last_by_key() {
    let case = Case::of(5).joins(9, 3).joins(7, 1).leaves(0);
    case.next_is("1a 2a 3a 4a 7a 9a3");
    assert_eq!(case.plan().members.last().unwrap().addr, addr(9));
    let mut few = Case::of(4);
    few.facts.joining.push(request(9, 1, vec![Rank::new(1)]));
    few.next_is("0a 1a 2a 3a");
}

#[test]
fn a_change_takes_in_as_many_as_the_survivors_are_a_quorum_for_and_always_one() {
    // Of how many joiners, by n = 1..13, with four allowed at once.
    let joined = [1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 4, 4];
    for n in 1..=13_u16 {
        let case = (20..30).fold(Case::of(n), |case, id| case.joins(id, 1));
        let expected = usize::from(n) + joined[usize::from(n) - 1];
        assert_eq!(case.plan().members.len(), expected, "n = {n}");
    }
    let many = (20..30).fold(Case::of(13), |case, id| case.joins(id, 1));
    assert_eq!(many.limits(|l| l.max_joins_per_change = 1).plan().members.len(), 14);
    let full = Case::of(4).joins(8, 1).joins(9, 1).limits(|l| l.max_members = 5);
    full.next_is("0a 1a 2a 3a 8a");
}

#[test]
fn joiners_wait_when_a_removal_helps_more() {
    // Two and one joiner: all would depend on one that is not there yet, and one of the two.
    Case::of(2).suspected(1).joins(9, 1).next_is("0a");
    Case::of(2).leaves(1).joins(9, 1).next_is("0a");
    Case::of(5).suspected(4).joins(9, 1).next_is("0a 1a 2a 3a 9a");
}

/// A joiner may never come. So who is suspected is not counted on, nor who leaves or has begun anew.
#[test]
fn a_change_takes_in_as_many_as_those_that_are_certain_are_a_quorum_for() {
    let joined = |case: Case| {
        let case = (20..30).fold(case, |case, id| case.joins(id, 1));
        case.plan().members.iter().filter(|member| member.key.0[1] >= 20).count()
    };
    // Of four three are left, which are a quorum of four: the joiner takes the place of the fourth.
    assert_eq!(joined(Case::of(4).suspected(3)), 1);
    assert_eq!(joined(Case::of(4).silenced(&[3]).suspected(3)), 1);
    assert_eq!(joined(Case::of(4).leaves(3)), 1);
    Case::of(4).suspected(3).joins(8, 1).joins(9, 1).next_is("0a 1a 2a 8a");
    // Seven that bear two, with one or two of them down: five are a quorum of seven, six of nine.
    assert_eq!(joined(Case::of(7).suspected(6)), 3);
    assert_eq!(joined(Case::of(7).suspected(6).suspected(5)), 2);
    // Who was put out for lying is no reason to wait.
    assert_eq!(joined(Case::of(4).proven(3)), 1);
    // A group that cannot go on as it is takes in who makes it no worse. But who is suspected may be
    // there, and a joiner never come: it displaces nobody unless all is well with that.
    let all = (0..4).fold(Case::of(4), Case::suspected);
    all.joins(8, 1).joins(9, 1).next_is("0a 1a 2a 3s");
    Case::of(4).suspected(0).suspected(1).joins(9, 1).next_is("0a 1s 2a 3a");
    Case::of(5).silenced(&[3, 4]).joins(9, 1).next_is("0a 1a 2a 3s 4s 9a");
}

/// Who was silenced may be down, and not be suspected again yet. Who signs is there.
#[test]
fn the_silenced_are_certain_once_they_sign() {
    Case::of(4).silenced(&[3]).joins(9, 1).next_is("0a 1a 2a 3s");
    Case::of(4).silenced(&[3]).joins(9, 1).joins(3, 1).next_is("0a 1a 2a 3a 9a");
    Case::of(4).silenced(&[3]).joins(9, 1).suspected(3).next_is("0a 1a 2a 9a");
    let mut slow = Case::of(4).silenced(&[3]).joins(9, 1);
    slow.facts.joining[0].recommended_by.push(Rank::new(3));
    slow.next_is("0a 1a 2a 3s 9a");
    Case::of(4).silenced(&[3]).joins(9, 1).opinion(2, &[3]).next_is("0a 1a 2a 3s 9a");
    // Not if it is gone all the same, or may be: who is for it may suspect it since.
    Case::of(4).silenced(&[3]).joins(9, 1).joins(3, 1).suspected(3).next_is("0a 1a 2a 3a");
    Case::of(4).silenced(&[3]).joins(9, 1).joins(3, 1).leaves(3).next_is("0a 1a 2a 9a");
    // Active without the state, it rests; that it asks shows that it is there.
    Case::of(4).joins(3, 1).joins(9, 1).next_is("0a 1a 2a 3s 9a");
}

/// A liar that was Silenced, and lives without signing anything, keeps nobody out.
#[test]
fn the_silenced_are_certain_if_all_but_f_recommend_a_newcomer() {
    let by = |case: Case, ranks: core::ops::Range<u16>| {
        let mut case = case.joins(9, 1);
        case.facts.joining[0].recommended_by = ranks.map(Rank::new).collect();
        case
    };
    by(Case::of(4).silenced(&[3]), 0..2).next_is("0a 1a 2a 3s");
    by(Case::of(4).silenced(&[3]), 0..3).next_is("0a 1a 2a 3s 9a");
    by(Case::of(7).silenced(&[5, 6]), 0..4).next_is("0a 1a 2a 3a 4a 5s 6s");
    by(Case::of(7).silenced(&[5, 6]), 0..5).next_is("0a 1a 2a 3a 4a 5s 6s 9a");
    // Those that it recommends say nothing of members that weak suspect, whoever these are.
    by(Case::of(4).silenced(&[3]), 0..3).suspected(3).next_is("0a 1a 2a 9a");
    let lied = by(Case::of(7).silenced(&[5, 6]), 0..5).proven(4).opinion(6, &[0, 1, 4]);
    lied.next_is("0a 1a 2a 3a 5s 6s 9a");
    let lied = by(Case::of(7).silenced(&[5, 6]), 0..5).proven(4).opinion(6, &[0, 1, 4]);
    lied.opinion(5, &[0, 1, 4]).next_is("0a 1a 2a 3a 5s 6s");
    // A member that begins anew is recommended whatever is known of others.
    let anew = by(Case::of(4).silenced(&[3]), 0..2);
    anew.joins(2, 2).next_is("0a 1a 3s 2a2");
}

/// It has lost its state, and is handed it as soon as it is Active again.
#[test]
fn an_active_member_that_asks_falls_silent() {
    Case::of(4).joins(1, 1).next_is("0a 1s 2a 3a");
    let two = Case::of(4).joins(1, 1).joins(2, 1);
    two.next_is("0a 1s 2a 3a");
    assert_eq!(ranks(&two.plan().silenced), [1]);
    Case::of(7).joins(1, 1).joins(2, 1).next_is("0a 1s 2s 3a 4a 5a 6a");
    Case::of(1).joins(0, 1).next_is("0a");
    Case::of(3).silenced(&[1, 2]).joins(0, 1).next_is("0a 1s 2s");
}

#[test]
fn who_is_expelled_or_proven_to_lie_does_not_join() {
    let mut case = Case::of(4).joins(8, 1).joins(9, 1);
    case.view.expelled = vec![key(8)].into();
    case.next_is("0a 1a 2a 3a 9a");
    Case::of(4).proven(3).joins(3, 2).next_is("0a 1a 2a");
    let kept = Case::of(4).proven(3).proof(2, &[0, 1]).joins(2, 2);
    kept.next_is("0a 1a 2a");
    assert_eq!(kept.plan().expelled, [key(3)]);
}

#[test]
fn of_two_newcomers_with_one_address_the_first_by_key_comes_in() {
    let mut case = Case::of(7).joins(19, 1).joins(17, 1).joins(18, 1);
    case.next_is("0a 1a 2a 3a 4a 5a 6a 17a 18a 19a");
    case.facts.joining.iter_mut().for_each(|joining| joining.addr = vec![1]);
    case.next_is("0a 1a 2a 3a 4a 5a 6a 17a");
    let nowhere = |case: &mut Case| case.facts.joining.iter_mut().for_each(|j| j.addr.clear());
    let mut both = Case::of(7).joins(19, 1).joins(17, 1);
    nowhere(&mut both);
    both.next_is("0a 1a 2a 3a 4a 5a 6a 17a 19a");
}

#[test]
fn an_address_that_a_member_has_keeps_nobody_out() {
    // A member with that of another one, a newcomer with that of a dead one.
    let mut taken = Case::of(8).suspected(4).joins(9, 1).joins(2, 3);
    taken.view.members[3].addr = addr(2);
    taken.view.members[4].addr = addr(9);
    taken.next_is("0a 1a 3a 5a 6a 7a 2a3 9a");
}

#[test]
fn only_a_higher_incarnation_replaces_and_the_highest_is_taken() {
    let case = Case::of(4).joins(1, 2);
    case.next_is("0a 2a 3a 1a2");
    assert_eq!(case.departed(), [(1, Departure::Replaced)]);
    assert!(!case.plan().keeps(&case.view, Rank::new(1)));
    assert!(case.plan().expelled.is_empty());
    Case::of(4).joins(1, 0).next_is("0a 1a 2a 3a");
    Case::of(4).joins(1, 2).joins(1, 5).joins(1, 3).next_is("0a 2a 3a 1a5");
    Case::of(4).joins(9, 2).joins(9, 1).next_is("0a 1a 2a 3a 9a2");
    let mut tie = Case::of(4).joins(9, 1).joins(9, 1);
    tie.facts.joining[0].request = Hash32([255; 32]);
    tie.facts.joining[0].addr = vec![8];
    assert_eq!(tie.plan().members.last().unwrap().addr, addr(9), "the lowest hash");
}

#[test]
fn replacing_costs_the_cap_and_who_has_to_wait_holds_up_nobody() {
    Case::of(5).joins(1, 2).joins(2, 2).joins(9, 1).next_is("0a 2a 3a 4a 1a2 9a");
    // The others would have to be all there.
    Case::of(5).joins(1, 2).suspected(0).next_is("1a 2a 3a 4a");
    // Replaced before it is judged.
    Case::of(7).joins(1, 2).suspected(1).next_is("0a 2a 3a 4a 5a 6a 1a2");
    Case::of(7).joins(1, 2).leaves(1).next_is("0a 2a 3a 4a 5a 6a 1a2");
}

#[test]
fn a_silenced_member_that_asks_is_active_again() {
    Case::of(4).silenced(&[2]).joins(2, 1).next_is("0a 1a 2a 3a");
    let case = Case::of(4).silenced(&[2]).joins(2, 1);
    assert!(case.plan().is_change(&case.view) && case.plan().keeps(&case.view, Rank::new(2)));
    Case::of(4).silenced(&[2]).joins(2, 0).next_is("0a 1a 2s 3a");
    // Who is for it thinks no more what it thought of it; all others have to be too few.
    Case::of(4).silenced(&[2]).joins(2, 1).suspected(2).next_is("0a 1a 2a 3a");
    let mut others = Case::of(4).silenced(&[2]).joins(2, 1).suspected(2);
    others.facts.joining[0].recommended_by = alloc::vec![Rank::new(2), Rank::new(3)];
    others.facts.suspicions.retain(|said| said.signer.index() < 2);
    others.next_is("0a 1a 2s 3a");
    Case::of(4).silenced(&[2]).joins(2, 1).leaves(2).next_is("0a 1a 2s 3a");
    Case::of(4).silenced(&[2]).joins(2, 1).proven(3).proof(2, &[0, 1]).next_is("0a 1a 2s");
    // Neither the cap nor the number of joins matters: nobody is touched and nobody joins.
    let all = Case::of(4).silenced(&[1, 2, 3]).joins(1, 1).joins(2, 1).joins(3, 1).joins(9, 1);
    all.limits(|l| l.max_joins_per_change = 1).next_is("0a 1a 2a 3a 9a");
    // Its next life stands above it, even if that has to wait.
    Case::of(4).silenced(&[2]).joins(2, 1).joins(2, 2).next_is("0a 1a 3a 2a2");
    Case::of(4).silenced(&[2]).joins(2, 1).joins(2, 2).proven(3).next_is("0a 1a 2s");
    // Who is silenced now has to ask in the next view.
    Case::of(4).joins(3, 1).suspected(3).next_is("0a 1a 2a 3s");
}

/// Who waits for a place in a full group does not hold up a restarted member with a higher key.
#[test]
fn at_a_full_group_a_new_key_waits_and_holds_nobody_up() {
    let full = |case: Case| case.limits(|l| l.max_members = 4);
    full(Case::of(4)).joins(1, 2).joins(9, 1).next_is("0a 2a 3a 1a2");
    let mut held_up = full(Case::of(4)).joins(1, 2).joins(9, 1);
    held_up.view.members[1].key = key(20);
    held_up.facts.joining[0].key = key(20);
    held_up.next_is("0a 2a 3a 20a2");
    // Nor can opinions make room: the joiner comes before them, and they only silence.
    full(Case::of(4)).joins(9, 1).suspected(3).next_is("0a 1a 2a 3s");
}

/// Somebody stays who knows the past.
#[test]
fn the_only_member_is_not_replaced() {
    let case = Case::of(1).joins(0, 2);
    assert!(!case.plan().is_change(&case.view));
    Case::of(2).joins(1, 2).next_is("0a 1a2");
}

/// The pledge does not count on joiners of the same change: an opinion takes the place that a
/// joiner brought, so a liar may only be let in under the pledge of the view before.
#[test]
fn growth_by_a_joiner_is_no_reason_to_bear_another_liar_at_once() {
    assert_eq!(Case::of(6).joins(9, 1).plan().pledge, 2);
    let case = Case::of(6).joins(9, 1).suspected(3);
    case.next_is("0a 1a 2a 4a 5a 9a");
    assert_eq!(case.plan().pledge, 1);
}

#[test]
fn no_more_keys_are_remembered_than_there_is_room_for() {
    let mut case = Case::of(7).proven(6).proven(5);
    let keys = (100..).map(key).take(EXPELLED_MAX - 1);
    case.view.expelled = keys.collect();
    let plan = case.plan();
    assert_eq!((plan.expelled.len(), plan.departed.len()), (EXPELLED_MAX, 2));
    assert!(plan.expelled.contains(&key(6)) && !plan.expelled.contains(&key(5)));
    assert!(plan.build(&case.view, Vec::new()).is_legal());
}

#[test]
fn changes_with_evidence_are_listed_in_order() {
    let case = Case::of(4).joins(9, 1).leaves(1).leaves(1).suspected(2).proven(3);
    let case = case.opinion(0, &[1]);
    let joins = Change::Joins(case.facts.joining[0].key, 1);
    let (one, two, three) = (Rank::new(1), Rank::new(2), Rank::new(3));
    let expected = [
        Change::Proven(three),
        Change::Suspected(two),
        Change::Suspected(three),
        Change::Leaves(one),
        joins,
    ];
    assert_eq!(case.facts.changes(&case.view), expected);
    // Whoever listed a suspicion finds it in all evidence that holds its own.
    let listed = Case::of(4).opinion(3, &[1, 2]);
    let more = Case::of(4).opinion(3, &[1, 2]).proof(1, &[0, 2]);
    assert!(more.facts.changes(&more.view).contains(&listed.facts.changes(&listed.view)[0]));
}

#[test]
fn the_next_view_follows_this_one() {
    let mut case = Case::of(5).suspected(1).proven(4);
    case.view.number = 6;
    let cut = vec![LogEnd::EMPTY; 5];
    let next = case.plan().build(&case.view, cut.clone());
    assert_eq!((next.number, next.prev, next.group), (7, case.view.id(), case.view.group));
    assert_eq!((next.rule, &next.cut[..]), (case.view.rule, &cut[..]));
    assert_eq!(&next.departed[..], [(Rank::new(4), Departure::Proof)]);
    assert!(next.is_legal() && next.silenced.is_empty());
    assert_eq!(&next.expelled[..], [key(4)]);
    assert!(!case.plan().keeps(&case.view, Rank::new(5)), "no such member");
}

/// A plan that takes in as many as it may is no excuse for what members of the view ask.
#[test]
fn what_a_flush_lists_is_supported_by_later_lives_and_by_full_plans() {
    let mut case = Case::of(4).joins(9, 3);
    let has = |case: &Case, key, incarnation| {
        let plan = case.plan();
        let supported = case.facts.supported(&case.view, Some(&plan));
        supported.has(&Change::Joins(self::key(key), incarnation))
    };
    assert!(has(&case, 9, 3) && has(&case, 9, 2), "a later life asks");
    assert!(!has(&case, 9, 4) && !has(&case, 8, 1), "there is room for one more");
    case = case.limits(|limits| limits.max_joins_per_change = 1);
    assert!(case.plan().is_full);
    assert!(has(&case, 8, 1) && has(&case, 9, 4), "whoever it is comes later");
    assert!(!has(&case, 3, 1), "a member has its own place");
    case = Case::of(4).limits(|limits| limits.max_members = 4);
    assert!(case.plan().is_full && has(&case, 9, 1));
    let many = (10..20).fold(Case::of(7), |case, number| case.joins(number, 1));
    let plan = many.plan();
    let listed = many.facts.supported(&many.view, None).listed(&plan);
    assert_eq!(listed.len(), plan.members.len() - 7, "no more than the plan takes");
}
