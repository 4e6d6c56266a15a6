//! What faulty members try against the agreement, each by name.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::{In, request_hash};
use super::rig::{Net, input};
use crate::crypto::{
    AckNewView, Change, Flush, Hash32, JoinRequest, Leave, Locked, NeedMoreChange, NewView,
    ReadyToSwitch, Reason, Recommend, Signed, Statement, hash,
};
use crate::member::Rank;
use crate::rig::quick_identity;
use crate::seq::{Attempt, LogEnd, Number};
use crate::view::View;
use crate::wire::change::{
    Certificates, Flushed, Grounds, Justification, NeedsMore, Proposed, Recommended, SUSPECTS_MAX,
    Sponsored,
};
use crate::wire::{Packet, Part, decode, encode};

const ALL: &dyn Fn(usize, usize, &Part) -> bool = &|_, _, _| true;

/// `signer` says something.
fn say<S: Statement>(net: &mut Net, signer: usize, said: S) -> Signed<S>
where
    Signed<S>: Clone,
{
    let rank = Rank::new(u16::try_from(signer).unwrap());
    Signed::clone(net.doors[signer].sign(&net.roster, rank, said).signed())
}

fn no_grounds() -> Grounds {
    Grounds::default()
}

fn more(net: &mut Net, signer: usize, attempt: u32) -> Box<NeedsMore> {
    let said = NeedMoreChange { attempt: Attempt::new(attempt), lock: None };
    let signed = say(net, signer, said);
    Box::new(NeedsMore { signed, lock: None, grounds: no_grounds() })
}

/// A request of a process that is no member.
fn request(net: &Net, index: u8, incarnation: u64) -> JoinRequest {
    let mut door = crate::crypto::Door::new(quick_identity(100 + index));
    door.ask_to_join(&net.roster, incarnation, Vec::new())
}

fn recommended(net: &mut Net, signer: usize, request: &JoinRequest) -> Box<Recommended> {
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
    assert!(net.groups[0].views.len() <= 33);
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
    assert!(SUSPECTS_MAX >= 2 * 64 * 63);
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

/// A liar, its messages picked by a seed, in a network that loses, repeats and reorders.
struct Chaos {
    net: Net,
    liar: usize,
    seed: u64,
    pool: VecDeque<Hash32>,
}

impl Chaos {
    fn draw(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.draw(below.max(1) as u64)).unwrap()
    }

    fn known_view(&mut self) -> Hash32 {
        let at = self.pick(self.pool.len().max(1));
        self.pool.get(at).copied().unwrap_or(hash("nothing", &[]))
    }

    /// Whatever the liar has heard, to use again.
    fn listen(&mut self) {
        let mut heard: Vec<Hash32> = Vec::new();
        for group in &self.net.groups {
            heard.extend(group.views.keys().copied());
        }
        heard.sort_unstable();
        heard.dedup();
        self.pool = heard.into();
    }

    fn lie(&mut self) -> Part {
        let liar = self.liar;
        let attempt = u32::try_from(self.draw(8)).unwrap();
        let at = Attempt::new(attempt);
        let next = self.known_view();
        match self.draw(7) {
            0 => Part::Ack(say(&mut self.net, liar, AckNewView { attempt: at, next })),
            1 => Part::Ready(say(&mut self.net, liar, ReadyToSwitch { attempt: at, next })),
            2 => self.lying_flush(),
            3 | 4 => self.lying_more(attempt.max(1)),
            _ => self.lying_proposal(attempt),
        }
    }

    fn lying_flush(&mut self) -> Part {
        let n = self.net.n();
        let from = self.pick(n);
        let own = self.net.ends[from].clone();
        let is_stale = self.draw(2) == 0;
        let ends: Vec<(LogEnd, _)> = if is_stale { vec![(LogEnd::EMPTY, None); n] } else { own };
        let certificates: Vec<_> = ends.iter().filter_map(|(_, c)| c.clone()).collect();
        let statement = Flush {
            ends: ends.iter().map(|(end, _)| *end).collect(),
            changes: crate::wire::List::new(),
        };
        let signed = say(&mut self.net, self.liar, statement);
        let certificates = Certificates::pack(&certificates);
        Part::Flush(Box::new(Flushed { signed, certificates, grounds: no_grounds() }))
    }

    /// With the lock of somebody, an old one, or none.
    fn lying_more(&mut self, attempt: u32) -> Part {
        let who = self.pick(self.net.n());
        let lock = self.net.groups[who].lock.clone().filter(|lock| {
            lock.on.attempt < Attempt::new(attempt) && lock.on.attempt.value() < attempt
        });
        let lock = lock.filter(|_| attempt % 2 == 0);
        let on: Option<Locked> = lock.as_ref().map(|lock| lock.on);
        let said = NeedMoreChange { attempt: Attempt::new(attempt), lock: on };
        let signed = say(&mut self.net, self.liar, said);
        let lock = lock.map(|lock| crate::wire::change::LockProof {
            view: lock.view.as_ref().clone(),
            acks: lock.acks,
        });
        Part::NeedMoreChange(Box::new(NeedsMore { signed, lock, grounds: no_grounds() }))
    }

    /// From the Flushes of some member, some left out, if the liar leads that attempt.
    fn lying_proposal(&mut self, attempt: u32) -> Part {
        let n = self.net.n();
        let q = self.net.roster.quorum().q();
        let who = self.pick(n);
        let at = Attempt::new(attempt);
        let group = &self.net.groups[who];
        let mut flushes: Vec<_> = group
            .flushes
            .values()
            .flatten()
            .filter_map(|record| Some((record.flush.clone(), record.certificates.clone()?)))
            .collect();
        let mut more: Vec<_> = group.more.at(at).cloned().collect();
        let evidence = group.evidence.clone();
        let locks = group.locks.clone();
        let views = group.views.clone();
        while flushes.len() > q {
            let out = self.pick(flushes.len());
            flushes.remove(out);
        }
        while more.len() > q {
            let out = self.pick(more.len());
            more.remove(out);
        }
        let basis =
            super::super::justify::Basis { view: &self.net.view, genesis: &self.net.genesis };
        let highest = more.iter().filter_map(|more| more.lock).max_by_key(|lock| lock.attempt);
        let (view, justification): (View, Justification) = match highest {
            Some(on)
                if views.contains_key(&on.next) && locks.contains_key(&(on.attempt, on.next)) =>
            {
                let more = more.iter().map(|more| Signed::clone(more.signed())).collect();
                let acks = locks[&(on.attempt, on.next)].clone();
                (views[&on.next].as_ref().clone(), Justification::Relock { more, acks })
            }
            _ => super::super::justify::fresh(basis, &flushes, &evidence, &more),
        };
        let said = NewView { attempt: at, next: view.id(), justification: justification.hash() };
        let signed = say(&mut self.net, self.liar, said);
        Part::NewView(Box::new(Proposed { signed, view, justification }))
    }

    /// What a correct member says is legal, and held against it by nobody.
    fn hand_over(&mut self, from: usize, to: usize, part: Part) {
        let n = self.net.n();
        let before = self.net.seen[to].misbehaved;
        let bytes = encode(&Packet {
            view: *self.net.roster.view(),
            haves: crate::wire::List::new(),
            parts: vec![part.clone()].into(),
        });
        let is_legal = decode(&bytes, n, false).is_ok();
        assert!(is_legal || from == self.liar, "illegal: {part:?}");
        if is_legal && let Some(input) = input(from, part) {
            self.net.give(to, input);
        }
        let is_blamed = self.net.seen[to].misbehaved > before;
        assert!(!is_blamed || from == self.liar, "{to} closes its link to {from}");
        let bad = |(rank, why): &(u16, Reason)| {
            *why == Reason::BadBytes && usize::from(*rank) != self.liar
        };
        assert!(!self.net.seen[to].opinions.iter().any(bad), "a correct member is blamed");
    }

    /// More evidence, known to some.
    fn news(&mut self) {
        let n = self.net.n();
        let rank = |index: usize| u16::try_from(index).unwrap();
        let (signer, subject, to) = (self.pick(n), self.pick(n), self.pick(n));
        if self.draw(2) == 0 {
            self.net.suspect(&[rank(signer)], rank(subject), &[signer, to]);
        } else {
            let wanted = request(&self.net, u8::try_from(subject).unwrap(), 0);
            let said = recommended(&mut self.net, signer, &wanted);
            self.net.give(signer, In::Recommend(said.clone()));
            self.net.give(to, In::Recommend(said));
        }
    }

    /// One event while nothing is certain.
    fn storm(&mut self) {
        let n = self.net.n();
        match self.draw(24) {
            0 => {
                let member = self.pick(n);
                self.net.tick(&[member]);
            }
            1 => self.news(),
            2 | 3 if self.net.roster.quorum().f() > 0 => {
                self.listen();
                let part = self.lie();
                let count = 1 + self.pick(n);
                for _ in 0..count {
                    let to = self.pick(n);
                    self.net.mail.push_back((self.liar, to, part.clone()));
                }
            }
            _ => {
                let length = self.net.mail.len();
                if length == 0 {
                    return;
                }
                let at = self.pick(length);
                let Some((from, to, part)) = self.net.mail.remove(at) else { return };
                match self.draw(10) {
                    0..=3 => return,
                    4 => self.net.mail.push_back((from, to, part.clone())),
                    _ => {}
                }
                self.hand_over(from, to, part);
            }
        }
        let surplus = self.net.mail.len().saturating_sub(400);
        self.net.mail.drain(..surplus);
    }

    fn agreement(&self) {
        let correct = (0..self.net.n()).filter(|member| *member != self.liar);
        let mut decided = correct.filter_map(|member| self.net.seen[member].decided.as_ref());
        if let Some(first) = decided.next() {
            assert!(decided.all(|view| view == first), "one successor");
        }
    }
}

fn chaos(n: u8, seed: u64, steps: usize) {
    let mut net = Net::new(n);
    let liar = usize::try_from(seed % u64::from(n)).unwrap();
    let f = net.roster.quorum().f();
    // Below four members nobody lies; there somebody leaves.
    for (member, length) in [(0, 1), (1, 2), (2, 1)] {
        if member < net.n() {
            net.holds_log(member, 0, &["a", "b"][..length]);
        }
    }
    let leave = say(&mut net, usize::from(n) - 1, Leave);
    let everybody: Vec<usize> = (0..net.n()).collect();
    if f == 0 && n > 1 {
        for member in &everybody {
            net.give(*member, In::Leave(leave.clone()));
        }
    } else if f > 0 {
        let subject = u16::try_from((liar + 1) % usize::from(n)).unwrap();
        let signers: Vec<u16> =
            (0..u16::from(n)).filter(|rank| *rank != subject).take(f + 1).collect();
        net.suspect(&signers, subject, &everybody);
    }
    let liar = if f == 0 { usize::MAX } else { liar };
    let mut chaos = Chaos { net, liar, seed: seed | 1, pool: VecDeque::new() };
    for _ in 0..steps {
        chaos.storm();
        chaos.agreement();
    }
    let correct: Vec<usize> = everybody.into_iter().filter(|member| *member != liar).collect();
    if n > 1 {
        settle_down(&mut chaos, &correct);
        chaos.agreement();
    }
    for member in correct {
        assert!(
            chaos.net.seen[member]
                .decided
                .as_ref()
                .is_none_or(|view| { view.is_legal() && view.number == Number::new(1).value() })
        );
    }
}

/// The network is well, the liar silent; whoever decided tells the rest (R10).
fn settle_down(chaos: &mut Chaos, correct: &[usize]) {
    let liar = chaos.liar;
    chaos.net.mail.clear();
    for _ in 0..3_000 {
        let mut steps = 0;
        while let Some((from, to, part)) = chaos.net.mail.pop_front() {
            if from != liar && to != liar {
                chaos.hand_over(from, to, part);
            }
            steps += 1;
            assert!(steps < 100_000, "no end of messages");
        }
        let missing = correct.iter().filter(|member| chaos.net.seen[**member].decided.is_none());
        let missing: Vec<usize> = missing.copied().collect();
        if missing.is_empty() {
            return;
        }
        let told = correct.iter().find(|member| chaos.net.decisions[**member].is_some());
        if let Some(told) = told {
            let decision = chaos.net.decisions[*told].clone().unwrap();
            for member in missing {
                chaos.net.give(member, In::Decision(decision.clone()));
            }
            continue;
        }
        assert!(chaos.net.tick(correct), "somebody waits for something");
    }
    panic!("no decision");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn agreement_always_and_a_decision_in_the_end(n in 1_u8..=7, seed: u64, steps in 50_usize..1_500) {
        chaos(n, seed, steps);
    }
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
