//! What does not change while schedules are explored: the members, who lies, what each flushed, the
//! evidence, and every next view that may be proposed freshly.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::super::evidence::Evidence;
use super::super::super::{FlushRecord, Group, In, Omitted, Out};
use super::super::rig::Net;
use crate::config::Timeouts;
use crate::crypto::{
    AckNewView, Door, Hash32, Locked, NeedMoreChange, ReadyToSwitch, Recommend, Signed, Statement,
    Suspect, Verified,
};
use crate::layer::Context;
use crate::layer::group::evidence::request_hash;
use crate::member::Rank;
use crate::plan::plan;
use crate::rig::quick_identity;
use crate::seq::{Attempt, LogEnd};
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::{Acks, Flushed, Proposed, Recommended};

/// An attempt with a value: what a lock is on.
pub(super) type On = (u8, u8);

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) n: u8,
    /// The rank of the liar.
    pub(super) liar: usize,
    /// The last attempt in which anything is proposed; fewer than `n` in all, so that nobody leads
    /// twice.
    pub(super) last: u8,
    /// Who alone holds one body of whose log.
    pub(super) holders: &'static [(usize, u16)],
    /// Who knows the suspicions against the highest rank from the start.
    pub(super) told: &'static [usize],
    pub(super) omitted: Omitted,
}

/// A next view that a valid Fresh proposal may carry.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) id: Hash32,
    pub(super) view: Arc<View>,
    /// Whose Flushes, as a set of ranks, and whether with the suspicions, make it.
    pub(super) ways: Vec<(u8, bool)>,
}

/// A proposal that somebody made.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) proposed: Arc<Proposed>,
    pub(super) attempt: u8,
    pub(super) value: u8,
    pub(super) is_fresh: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct World {
    pub(super) setting: Setting,
    /// The ranks of the correct members.
    pub(super) correct: Vec<usize>,
    pub(super) values: Vec<Value>,
    pub(super) messages: Vec<Message>,
    /// The machines after their Flush, by rank; the liar's only lends its Flush.
    pub(super) flushed: Vec<Group>,
    pub(super) flushes: Vec<Flushed>,
    pub(super) suspects: Vec<Verified<Suspect>>,
    pub(super) q: usize,
    pub(super) net: NetParts,
    ids: BTreeMap<(u32, Hash32, Hash32), u16>,
    /// The first quorum of Acks that was possible for a lock: one proves as much as another.
    proofs: BTreeMap<On, Acks>,
    more: BTreeMap<(usize, u8, Option<On>), Verified<NeedMoreChange>>,
    /// Without and with the suspicions.
    pub(super) evidence: [Evidence; 2],
}

/// What is left of the rig once the members have flushed.
#[derive(Debug)]
pub(super) struct NetParts {
    pub(super) doors: Vec<Door>,
    pub(super) roster: crate::crypto::Roster,
    pub(super) view: Arc<View>,
    pub(super) genesis: Arc<crate::view::Genesis>,
}

/// What one input made a member do, besides what its machine remembers.
#[derive(Debug, Default)]
pub(super) struct Did {
    pub(super) decided: Option<Hash32>,
    pub(super) has_blamed: bool,
}

impl World {
    pub(super) fn new(setting: Setting) -> Self {
        let n = usize::from(setting.n);
        assert!(usize::from(setting.last) + 1 < n, "nobody leads twice, and no suspect leads");
        let mut net = Net::new(setting.n);
        for (member, log) in setting.holders {
            net.holds_log(*member, *log, &["a body"]);
        }
        let suspect = |signer| net.suspicion(signer, u16::from(setting.n) - 1);
        let suspects: Vec<Verified<Suspect>> = [0, 1].map(suspect).to_vec();
        let ends = core::mem::take(&mut net.ends);
        let q = net.roster.quorum().q();
        let Net { doors, roster, view, genesis, .. } = net;
        let parts = NetParts { doors, roster, view, genesis };
        let blank = Evidence::new(&parts.view);
        let mut world = Self {
            setting,
            correct: (0..n).filter(|rank| *rank != setting.liar).collect(),
            values: Vec::new(),
            messages: Vec::new(),
            flushed: Vec::new(),
            flushes: Vec::new(),
            suspects,
            q,
            net: parts,
            ids: BTreeMap::new(),
            proofs: BTreeMap::new(),
            more: BTreeMap::new(),
            evidence: [blank.clone(), blank],
        };
        for (rank, ends) in ends.into_iter().enumerate() {
            world.flush(rank, ends);
        }
        world.evidence = [false, true].map(|told| world.starting(0, told).evidence);
        world.draw_values();
        world
    }

    /// A member that knows a process to be taken in, and perhaps a suspect.
    fn starting(&mut self, rank: usize, is_told: bool) -> Group {
        let timeouts = Timeouts { grace_us: 0, ..Timeouts::default() };
        let (genesis, view) = (Arc::clone(&self.net.genesis), Arc::clone(&self.net.view));
        let me = Rank::new(u16::try_from(rank).unwrap());
        let mut machine = Group::new(genesis, &timeouts, view, me);
        machine.omitted = self.setting.omitted;
        let mut joiner = Door::new(quick_identity(100));
        let request = joiner.ask_to_join(&self.net.roster, 0, b"10.0.0.100:7000".to_vec());
        for signer in [0, 1] {
            let signed = self.sign(signer, Recommend { request: request_hash(&request) });
            let message = Recommended { signed, request: request.clone() };
            self.step(&mut machine, In::Recommend(Box::new(message)));
        }
        for said in self.suspects.clone().into_iter().filter(|_| is_told) {
            self.step(&mut machine, In::Suspect(said));
        }
        machine
    }

    fn flush(&mut self, rank: usize, ends: Vec<(LogEnd, Option<crate::crypto::Certificate>)>) {
        let mut machine = self.starting(rank, self.setting.told.contains(&rank));
        let out = self.step(&mut machine, In::Frozen(ends));
        let parts = out.into_iter().filter_map(|out| match out {
            Out::Post(post) => Some(post.parts),
            _ => None,
        });
        let mut flushes = parts.flatten().filter_map(|part| match part {
            Part::Flush(flush) => Some(*flush),
            _ => None,
        });
        self.flushes.push(flushes.next().expect("it flushes"));
        self.flushed.push(machine);
    }

    /// The oracle of validity: every `plan(V, E).build(V, cut(F))` for Flushes that were signed and
    /// evidence for every change that they list.
    fn draw_values(&mut self) {
        let n = usize::from(self.setting.n);
        let sets = (0..1_u8 << n).filter(|set| set.count_ones() as usize >= self.q);
        for (set, told) in sets.flat_map(|set| [(set, false), (set, true)]) {
            let members: Vec<usize> = (0..n).filter(|rank| set >> rank & 1 == 1).collect();
            if !told && members.iter().any(|rank| self.setting.told.contains(rank)) {
                continue;
            }
            let end = |log: usize| {
                let ends =
                    members.iter().map(|rank| self.flushes[*rank].signed.statement.ends[log]);
                ends.max_by_key(|end| end.number).unwrap()
            };
            let facts = self.evidence[usize::from(told)].facts();
            let cut = (0..n).map(end).collect();
            let view = plan(&self.net.view, &self.net.genesis, &facts).build(&self.net.view, cut);
            let id = view.id();
            match self.values.iter_mut().find(|value| value.id == id) {
                Some(known) => known.ways.push((set, told)),
                None => {
                    let view = Arc::new(view);
                    self.values.push(Value { id, view, ways: [(set, told)].to_vec() });
                }
            }
        }
    }

    /// A step of the real code, nothing answered.
    pub(super) fn step(&mut self, machine: &mut Group, input: In) -> Vec<Out> {
        let door = &mut self.net.doors[machine.me.index()];
        let mut cx = Context { now: crate::time::Time::ZERO, door, roster: &self.net.roster };
        machine.step(&mut cx, input)
    }

    /// A step of the real code; what it wants to hold, it holds at once.
    pub(super) fn run(&mut self, machine: &mut Group, input: In) -> Did {
        let out = self.step(machine, input);
        self.answer(machine, out)
    }

    /// Its member gives up its attempt, for whatever reason.
    pub(super) fn give_up(&mut self, machine: &mut Group, to: u8) -> Did {
        let door = &mut self.net.doors[machine.me.index()];
        let mut cx = Context { now: crate::time::Time::ZERO, door, roster: &self.net.roster };
        let out = machine.gives_up(&mut cx, Attempt::new(u32::from(to)));
        self.answer(machine, out)
    }

    fn answer(&mut self, machine: &mut Group, mut out: Vec<Out>) -> Did {
        let mut did = Did::default();
        while let Some(next) = out.pop() {
            match next {
                Out::Collect(next, _) => {
                    out.extend(self.step(machine, In::Collected(next)));
                }
                Out::Decided(decision) => did.decided = Some(decision.view.id()),
                Out::Misbehaved(_) | Out::Opinion(..) => did.has_blamed = true,
                Out::Proof(proof) => {
                    // With a rule left out, correct members do look guilty.
                    did.has_blamed |= proof.culprit().index() != self.setting.liar
                        && self.setting.omitted == Omitted::Nothing;
                }
                Out::Post(_)
                | Out::Freeze
                | Out::Learned(_)
                | Out::Certified(..)
                | Out::Abandoned(_) => {}
            }
        }
        did
    }

    /// Which value this is; anything else breaks validity.
    pub(super) fn value(&self, id: &Hash32) -> u8 {
        let place = self.values.iter().position(|value| value.id == *id);
        u8::try_from(
            place.expect("VALIDITY: not a plan for real evidence and a cut of real Flushes"),
        )
        .unwrap()
    }

    pub(super) fn sign<S: Statement + Clone>(&mut self, signer: usize, statement: S) -> Signed<S> {
        self.vouch(signer, statement).signed().as_ref().clone()
    }

    fn vouch<S: Statement>(&mut self, signer: usize, statement: S) -> Verified<S> {
        let rank = Rank::new(u16::try_from(signer).unwrap());
        self.net.doors[signer].sign(&self.net.roster, rank, statement)
    }

    pub(super) fn locked(&self, (attempt, value): On) -> Locked {
        let next = self.values[usize::from(value)].id;
        Locked { attempt: Attempt::new(u32::from(attempt)), next }
    }

    /// The Acks of these signers.
    pub(super) fn acks(&mut self, on: On, signers: u8) -> Acks {
        let Locked { attempt, next } = self.locked(on);
        let ranks = (0..usize::from(self.setting.n)).filter(|rank| signers >> rank & 1 == 1);
        let ranks: Vec<usize> = ranks.collect();
        ranks.into_iter().map(|rank| self.sign(rank, AckNewView { attempt, next })).collect()
    }

    pub(super) fn readys(&mut self, on: On, signers: u8) -> Vec<Signed<ReadyToSwitch>> {
        let Locked { attempt, next } = self.locked(on);
        let ranks = (0..usize::from(self.setting.n)).filter(|rank| signers >> rank & 1 == 1);
        let ranks: Vec<usize> = ranks.collect();
        ranks.into_iter().map(|rank| self.sign(rank, ReadyToSwitch { attempt, next })).collect()
    }

    /// What proves a lock; `signers` did acknowledge.
    pub(super) fn proof(&mut self, on: On, signers: u8) -> Acks {
        if let Some(known) = self.proofs.get(&on) {
            return known.clone();
        }
        let acks = self.acks(on, signers);
        self.proofs.insert(on, acks.clone());
        acks
    }

    /// The `NeedMoreChange` of a member, byte for byte as it signed it.
    pub(super) fn more(
        &mut self,
        signer: usize,
        attempt: u8,
        lock: Option<On>,
    ) -> Verified<NeedMoreChange> {
        if let Some(known) = self.more.get(&(signer, attempt, lock)) {
            return known.clone();
        }
        let on = lock.map(|lock| self.locked(lock));
        let statement = NeedMoreChange { attempt: Attempt::new(u32::from(attempt)), lock: on };
        let said = self.vouch(signer, statement);
        self.more.insert((signer, attempt, lock), said.clone());
        said
    }

    /// The Flush of a member with its certificates.
    pub(super) fn record(&self, rank: usize) -> &FlushRecord {
        self.flushed[rank].flushes.at(self.flushed[rank].me).as_ref().expect("flushed")
    }

    /// The name of a proposal.
    pub(super) fn intern(&mut self, proposed: &Arc<Proposed>) -> u16 {
        let said = &proposed.signed.statement;
        let key = (said.attempt.value(), said.next, said.justification);
        if let Some(known) = self.ids.get(&key) {
            return *known;
        }
        let id = u16::try_from(self.messages.len()).expect("few proposals");
        let is_fresh =
            matches!(proposed.justification, crate::wire::change::Justification::Fresh { .. });
        self.messages.push(Message {
            proposed: Arc::clone(proposed),
            attempt: u8::try_from(said.attempt.value()).unwrap(),
            value: self.value(&said.next),
            is_fresh,
        });
        self.ids.insert(key, id);
        id
    }

    /// A value in words.
    pub(super) fn words(&self, value: u8) -> String {
        let view = &self.values[usize::from(value)].view;
        let cut: Vec<u64> = view.cut.iter().map(|end| end.number.value()).collect();
        let letter = char::from(b'A' + value);
        let touched = view.departed.len() + view.silenced.len();
        format!(
            "{letter} (cut {cut:?}, {} members, {touched} removed or silenced)",
            view.members.len()
        )
    }
}
