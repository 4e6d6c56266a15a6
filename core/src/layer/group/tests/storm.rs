//! A storm with one liar: agreement always, a decision once the network is well, and no correct
//! member blamed for anything.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::In;
use super::attack::{no_grounds, recommended, request, say};
use super::rig::{Net, input};
use crate::crypto::{
    AckNewView, Flush, Hash32, Leave, Locked, NeedMoreChange, NewView, ReadyToSwitch, Reason,
    Signed, hash,
};
use crate::seq::{Attempt, LogEnd};
use crate::view::View;
use crate::wire::change::{Certificates, Flushed, Justification, NeedsMore, Proposed};
use crate::wire::{Packet, Part, decode, encode};

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
        let lock = lock.filter(|_| attempt.is_multiple_of(2));
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
        let mut proofs = self.net.seen[to].proofs.iter();
        assert!(proofs.all(|proof| proof.culprit().index() == self.liar), "and proven to lie");
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
                .is_none_or(|view| { view.is_legal() && view.number == 1 })
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
