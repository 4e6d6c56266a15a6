//! What can happen next in a state, and what the real code makes of it. A member's machine is
//! deterministic, so each of its steps is run once and remembered by what it started from.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::super::justify::fresh;
use super::super::super::{Group, In};
use super::local::{ATTEMPTS, By, Facts};
use super::table::{Map, map};
use super::world::{Did, Message, On, World};
use crate::crypto::{NewView, Verified};
use crate::wire::change::{Grounds, Justification, LockProof, NeedsMore, Proposed};

/// The most correct members.
pub(super) const CORRECT: usize = 4;

/// By correct member, the number of what its machine remembers.
pub(super) type State = [u32; CORRECT];

/// Something that happens to one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Move {
    /// It goes on to a later attempt.
    GiveUp(u8),
    /// It hears of the suspicions.
    Evidence,
    /// It hears a quorum of Acks by these signers, and if need be the proposal that they are for.
    Acks(On, u8, Option<u16>),
    /// It hears a proposal.
    NewView(u16),
    /// It leads, and makes this one of what it hears.
    Propose(u16),
    /// It hears a quorum of Readys by these signers.
    Readys(On, u8),
}

/// The votes for which a quorum can be shown, the liar's added: by attempt, value and signers.
pub(super) type Agreed = By<(u8, u8)>;

/// What anybody can know who goes on to an attempt: by correct member, the lock that it reported;
/// and which locks can be proven.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Going {
    attempt: u8,
    more: [Option<Option<On>>; CORRECT],
    provable: Agreed,
}

/// A quorum that goes on to an attempt.
type Quorum = Vec<(usize, Option<On>)>;

/// What a leader may propose, and what that makes of it.
type Led = Rc<[(u16, u32)]>;

#[derive(Debug, Default)]
struct Member {
    machines: Vec<Group>,
    facts: Vec<Facts>,
    numbers: Map<Facts, u32>,
}

/// Runs the real code, and remembers.
#[derive(Debug)]
pub(super) struct Moves {
    pub(super) world: World,
    /// Steps of the real code.
    pub(super) steps: u64,
    members: Vec<Member>,
    done: Map<(u8, u32, Move), u32>,
    decided: Map<(u8, u32, Move), u8>,
    lies: Map<Going, Rc<[u16]>>,
    led: Map<(u32, Going), Led>,
}

fn has(set: u8, rank: usize) -> bool {
    set >> rank & 1 == 1
}

impl Moves {
    pub(super) fn new(world: World) -> Self {
        let members = world.correct.iter().map(|_| Member::default()).collect();
        Self { world, steps: 0, members, done: map(), decided: map(), lies: map(), led: map() }
    }

    pub(super) fn start(&mut self) -> State {
        let mut state = [0; CORRECT];
        for (place, number) in state.iter_mut().enumerate().take(self.members.len()) {
            let machine = self.world.flushed[self.world.correct[place]].clone();
            *number = self.number(place, machine);
        }
        state
    }

    pub(super) fn facts(&self, place: usize, state: &State) -> &Facts {
        &self.members[place].facts[state[place] as usize]
    }

    /// How many different machines each member was seen to be.
    pub(super) fn machines(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.machines.len()).collect()
    }

    fn number(&mut self, place: usize, machine: Group) -> u32 {
        let facts = Facts::of(&mut self.world, &machine);
        let member = &mut self.members[place];
        if let Some(known) = member.numbers.get(&facts) {
            return *known;
        }
        let number = u32::try_from(member.machines.len()).unwrap();
        member.numbers.insert(facts.clone(), number);
        member.facts.push(facts);
        member.machines.push(machine);
        number
    }

    fn leader(&self, attempt: u8) -> usize {
        usize::from(attempt) % usize::from(self.world.setting.n)
    }

    fn place(&self, rank: usize) -> Option<usize> {
        self.world.correct.iter().position(|correct| *correct == rank)
    }

    /// The quorums of votes of one kind. One vote each and attempt: there is one value at most.
    pub(super) fn agreed(&self, state: &State, votes: impl Fn(&Facts) -> &By<u8>) -> Agreed {
        let mut agreed = Agreed::default();
        for (attempt, slot) in agreed.iter_mut().enumerate() {
            for place in 0..self.members.len() {
                let Some(value) = votes(self.facts(place, state))[attempt] else { continue };
                let mut signers = 1_u8 << self.world.setting.liar;
                for (other, rank) in self.world.correct.iter().enumerate() {
                    let is_for = votes(self.facts(other, state))[attempt] == Some(value);
                    if is_for && (signers.count_ones() as usize) < self.world.q {
                        signers |= 1 << rank;
                    }
                }
                if signers.count_ones() as usize == self.world.q {
                    assert!(slot.is_none_or(|found| found == (value, signers)), "LEMMA: one value");
                    *slot = Some((value, signers));
                }
            }
        }
        agreed
    }

    fn going(&self, state: &State, acks: &Agreed, attempt: u8) -> Going {
        let mut more = [None; CORRECT];
        let mut provable = *acks;
        for (place, said) in more.iter_mut().enumerate().take(self.members.len()) {
            *said = self.facts(place, state).more[usize::from(attempt)];
        }
        for slot in provable.iter_mut().skip(usize::from(attempt)) {
            *slot = None;
        }
        if attempt == 0 {
            more = [None; CORRECT];
        }
        Going { attempt, more, provable }
    }

    /// The proposals of an attempt that anybody may hear.
    fn proposals(&mut self, state: &State, acks: &Agreed, attempt: u8) -> Rc<[u16]> {
        if let Some(place) = self.place(self.leader(attempt)) {
            return self.facts(place, state).proposed[usize::from(attempt)].into_iter().collect();
        }
        let going = self.going(state, acks, attempt);
        if let Some(known) = self.lies.get(&going) {
            return Rc::clone(known);
        }
        let lies = self.lies(&going);
        self.lies.insert(going, Rc::clone(&lies));
        lies
    }

    /// Everything that can happen next, and where it leads.
    pub(super) fn all(&mut self, state: &State, out: &mut Vec<(usize, Move, u32)>) {
        out.clear();
        let acks = self.agreed(state, |facts| &facts.acks);
        let last = self.world.setting.last;
        let mut proposals: [Rc<[u16]>; ATTEMPTS] = core::array::from_fn(|_| Rc::from([]));
        for attempt in 0..=last {
            proposals[usize::from(attempt)] = self.proposals(state, &acks, attempt);
        }
        for place in 0..self.members.len() {
            for to in self.facts(place, state).attempt + 1..=last {
                self.add(place, state, Move::GiveUp(to), out);
            }
            if !self.facts(place, state).is_told {
                self.add(place, state, Move::Evidence, out);
            }
            for attempt in 0..=last {
                let proposals = Rc::clone(&proposals[usize::from(attempt)]);
                self.hear(place, state, (attempt, acks[usize::from(attempt)], &proposals), out);
            }
            self.lead(place, state, &acks, out);
        }
    }

    /// A quorum of Acks of an attempt, and its proposals.
    fn hear(
        &mut self,
        place: usize,
        state: &State,
        (attempt, acks, proposals): (u8, Option<(u8, u8)>, &[u16]),
        out: &mut Vec<(usize, Move, u32)>,
    ) {
        let facts = self.facts(place, state);
        let is_news = facts.lock.is_none_or(|(locked, _)| locked < attempt);
        let views = facts.views;
        let is_open =
            facts.attempt < attempt || (facts.attempt == attempt && facts.proposal.is_none());
        let leads = self.leader(attempt) == self.world.correct[place];
        if let Some((value, signers)) = acks.filter(|_| is_news) {
            let on = (attempt, value);
            if views >> value & 1 == 1 {
                self.add(place, state, Move::Acks(on, signers, None), out);
            } else {
                for message in proposals {
                    if self.world.messages[usize::from(*message)].value == value {
                        self.add(place, state, Move::Acks(on, signers, Some(*message)), out);
                    }
                }
            }
        }
        for message in proposals.iter().filter(|_| is_open && !leads) {
            self.add(place, state, Move::NewView(*message), out);
        }
    }

    fn lead(
        &mut self,
        place: usize,
        state: &State,
        acks: &Agreed,
        out: &mut Vec<(usize, Move, u32)>,
    ) {
        let facts = self.facts(place, state);
        let attempt = facts.attempt;
        let may = attempt <= self.world.setting.last
            && self.leader(attempt) == self.world.correct[place]
            && facts.proposed[usize::from(attempt)].is_none();
        if !may {
            return;
        }
        let key = (state[place], self.going(state, acks, attempt));
        let led = match self.led.get(&key) {
            Some(known) => Rc::clone(known),
            None => {
                let led = self.led(place, state[place], &key.1);
                self.led.insert(key, Rc::clone(&led));
                led
            }
        };
        out.extend(led.iter().map(|(message, to)| (place, Move::Propose(*message), *to)));
    }

    fn add(&mut self, place: usize, state: &State, what: Move, out: &mut Vec<(usize, Move, u32)>) {
        let to = self.make(place, state[place], what);
        if to != state[place] {
            out.push((place, what, to));
        }
    }

    fn make(&mut self, place: usize, from: u32, what: Move) -> u32 {
        let key = (u8::try_from(place).unwrap(), from, what);
        if let Some(known) = self.done.get(&key) {
            return *known;
        }
        let mut machine = self.members[place].machines[from as usize].clone();
        let did = self.run(&mut machine, what);
        assert!(did.decided.is_none() && !did.has_blamed, "{what:?} does no such thing");
        let to = self.number(place, machine);
        self.done.insert(key, to);
        to
    }

    /// The real code, at last.
    fn run(&mut self, machine: &mut Group, what: Move) -> Did {
        self.steps += 1;
        let mut inputs = Vec::new();
        match what {
            Move::GiveUp(to) => return self.world.give_up(machine, to),
            Move::Evidence => {
                inputs.extend(self.world.suspects.iter().cloned().map(In::Suspect));
            }
            Move::Acks(on, signers, _) => {
                let acks = self.world.acks(on, signers);
                inputs.extend(acks.iter().cloned().map(In::Ack));
            }
            Move::Readys(on, signers) => {
                inputs.extend(self.world.readys(on, signers).into_iter().map(In::Ready));
            }
            Move::NewView(_) | Move::Propose(_) => {}
        }
        if let Move::NewView(message) | Move::Acks(_, _, Some(message)) = what {
            let message = &self.world.messages[usize::from(message)];
            inputs.push(In::NewView(Box::new(message.proposed.as_ref().clone())));
        }
        let mut all = Did::default();
        for input in inputs {
            let did = self.world.run(machine, input);
            all.decided = all.decided.or(did.decided);
            all.has_blamed |= did.has_blamed;
        }
        all
    }

    /// What a member decides on that hears these Readys.
    pub(super) fn decides(&mut self, place: usize, from: u32, on: On, signers: u8) -> u8 {
        let what = Move::Readys(on, signers);
        let key = (u8::try_from(place).unwrap(), from, what);
        if let Some(known) = self.decided.get(&key) {
            return *known;
        }
        let mut machine = self.members[place].machines[from as usize].clone();
        let mut decided = self.run(&mut machine, what).decided;
        if decided.is_none() {
            // It does not know the view: it is handed the Decision.
            let readys = self.world.readys(on, signers).into();
            let view = self.world.values[usize::from(on.1)].view.as_ref().clone();
            let decision = crate::wire::change::Decision { view, readys };
            decided = self.world.run(&mut machine, In::Decision(Box::new(decision))).decided;
        }
        let value = self.world.value(&decided.expect("a quorum of Readys decides"));
        self.decided.insert(key, value);
        value
    }

    /// Every quorum of `NeedMoreChange`s that can be shown: the correct members' as they said them,
    /// the liar's with any lock that can be proven, or none.
    fn quorums(&self, going: &Going) -> Vec<Quorum> {
        let n = usize::from(self.world.setting.n);
        let mut quorums: Vec<Quorum> = [Vec::new()].to_vec();
        if going.attempt == 0 {
            return quorums;
        }
        for rank in 0..n {
            let says: Vec<Option<On>> = match self.place(rank) {
                Some(place) => going.more[place].into_iter().collect(),
                None => {
                    let locks = going.provable.iter().enumerate();
                    let locks = locks.filter_map(|(attempt, agreed)| {
                        Some((u8::try_from(attempt).unwrap(), agreed.as_ref()?.0))
                    });
                    core::iter::once(None).chain(locks.map(Some)).collect()
                }
            };
            let with = quorums.iter().flat_map(|quorum| {
                says.iter().map(|lock| {
                    let mut quorum = quorum.clone();
                    quorum.push((rank, *lock));
                    quorum
                })
            });
            let with: Vec<Quorum> = with.collect();
            quorums.extend(with);
        }
        quorums.retain(|quorum| quorum.len() == self.world.q);
        quorums
    }

    fn proof(&mut self, going: &Going, on: On) -> crate::wire::change::Acks {
        let (value, signers) = going.provable[usize::from(on.0)].expect("a quorum acknowledged it");
        assert_eq!(value, on.1);
        self.world.proof(on, signers)
    }

    /// What a correct leader may propose: from every set of Flushes with its own and every quorum
    /// with itself; one of each kind.
    fn led(&mut self, place: usize, from: u32, going: &Going) -> Led {
        let me = self.world.correct[place];
        let (n, q) = (self.world.setting.n, self.world.q);
        let is_first = going.attempt == 0;
        // In the first attempt it proposes as soon as it can.
        let fits = |set: &u8| {
            let size = set.count_ones() as usize;
            has(*set, me) && (size == q || (size > q && !is_first))
        };
        let sets: Vec<u8> = (0..1_u8 << n).filter(fits).collect();
        let mut led = Vec::new();
        let mut kinds = Vec::new();
        for quorum in self.quorums(going) {
            if !is_first && !quorum.iter().any(|(rank, _)| *rank == me) {
                continue;
            }
            for set in &sets {
                let mut machine = self.members[place].machines[from as usize].clone();
                self.steps += 1;
                for rank in (0..usize::from(n)).filter(|rank| has(*set, *rank) && *rank != me) {
                    let flush = self.world.flushes[rank].clone();
                    let did = self.world.run(&mut machine, In::Flush(Box::new(flush)));
                    assert!(!did.has_blamed);
                }
                for (rank, lock) in quorum.iter().filter(|(rank, _)| *rank != me) {
                    let message = self.needs_more(going, *rank, *lock);
                    let did = self.world.run(&mut machine, In::NeedMoreChange(Box::new(message)));
                    assert!(!did.has_blamed);
                }
                let proposed = machine.own.proposed.clone().expect("it proposes");
                let message = self.world.intern(&proposed);
                let Message { attempt, value, is_fresh, .. } =
                    self.world.messages[usize::from(message)].clone();
                assert_eq!(attempt, going.attempt, "it proposes now");
                let is_told = Facts::of(&mut self.world, &machine).is_told;
                if !kinds.contains(&(value, is_fresh, is_told)) {
                    kinds.push((value, is_fresh, is_told));
                    led.push((message, self.number(place, machine)));
                }
            }
        }
        led.into()
    }

    fn needs_more(&mut self, going: &Going, signer: usize, lock: Option<On>) -> NeedsMore {
        let said = self.world.more(signer, going.attempt, lock);
        let lock = lock.map(|on| {
            let acks = self.proof(going, on);
            LockProof { view: self.world.values[usize::from(on.1)].view.as_ref().clone(), acks }
        });
        NeedsMore { signed: said.signed().as_ref().clone(), lock, grounds: Grounds::default() }
    }

    /// What the liar may propose in an attempt that it leads: everything that it can put together,
    /// as far as the real code takes it; one of each kind.
    fn lies(&mut self, going: &Going) -> Rc<[u16]> {
        let mut kinds: Vec<(u8, bool)> = Vec::new();
        let mut lies = Vec::new();
        for quorum in self.quorums(going) {
            let more: Vec<Verified<crate::crypto::NeedMoreChange>> = quorum
                .iter()
                .map(|(rank, lock)| self.world.more(*rank, going.attempt, *lock))
                .collect();
            for value in 0..self.world.values.len() {
                let name = u8::try_from(value).unwrap();
                let ways = self.world.values[value].ways.clone();
                for (set, told) in ways {
                    if !kinds.contains(&(name, true)) {
                        let justification = self.fresh(set, told, &more);
                        if let Some(lie) = self.tell(going.attempt, name, justification) {
                            kinds.push((name, true));
                            lies.push(lie);
                        }
                    }
                }
            }
            for (attempt, agreed) in going.provable.iter().enumerate() {
                let Some((value, _)) = agreed else { continue };
                if going.attempt > 0 && !kinds.contains(&(*value, false)) {
                    let acks = self.proof(going, (u8::try_from(attempt).unwrap(), *value));
                    let more = more.iter().map(|more| more.signed().as_ref().clone()).collect();
                    let justification = Justification::Relock { more, acks };
                    if let Some(lie) = self.tell(going.attempt, *value, justification) {
                        kinds.push((*value, false));
                        lies.push(lie);
                    }
                }
            }
        }
        lies.into()
    }

    fn fresh(
        &self,
        set: u8,
        told: bool,
        more: &[Verified<crate::crypto::NeedMoreChange>],
    ) -> Justification {
        let ranks = (0..usize::from(self.world.setting.n)).filter(|rank| has(set, *rank));
        let records = ranks.map(|rank| self.world.record(rank));
        let flushes: Vec<_> = records
            .map(|record| (record.flush.clone(), record.certificates.clone().expect("own")))
            .collect();
        let basis = self.world.flushed[0].basis();
        fresh(basis, &flushes, &self.world.evidence[usize::from(told)], more).1
    }

    /// The liar signs a proposal; `None` if the real code does not take it.
    fn tell(&mut self, attempt: u8, value: u8, justification: Justification) -> Option<u16> {
        self.steps += 1;
        let view = self.world.values[usize::from(value)].view.as_ref().clone();
        let statement = NewView {
            attempt: crate::seq::Attempt::new(u32::from(attempt)),
            next: view.id(),
            justification: justification.hash(),
        };
        let liar = self.world.setting.liar;
        let signed = self.world.sign(liar, statement.clone());
        let proposed = Arc::new(Proposed { signed, view, justification });
        let mut judge = self.world.flushed[self.world.correct[0]].clone();
        self.world.step(&mut judge, In::NewView(Box::new(proposed.as_ref().clone())));
        let taken = judge.proposals.get(&statement.attempt);
        taken.is_some().then(|| self.world.intern(&proposed))
    }
}
