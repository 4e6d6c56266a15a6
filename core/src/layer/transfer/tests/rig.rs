//! A group of four that one process joins, with a network that loses and reorders and members that
//! lie.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::{Answer, Entered, In, Out, Stand, Transfer};
use crate::config::Config;
use crate::crypto::{Door, Roster, Snapshot};
use crate::layer::Context;
use crate::member::{Member, Rank, Status};
use crate::output::Refusal;
use crate::rig::{genesis_of, quick_identity, some_hash};
use crate::seq::LogEnd;
use crate::time::{Time, earliest};
use crate::view::View;
use crate::wire::transfer::{CHUNK_BYTES, TransferPart, chunk_hashes};
use crate::wire::{Blob, List};

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Correct,
    /// Sends nothing any more.
    Crashed,
    /// Signs what the others do, and hands over what is wrong.
    WrongChunks,
    /// Signs, and hands over nothing.
    Withholds,
    /// Signs what the others do, and a second state.
    TwoRoots,
    /// Has nothing, it says.
    Gone,
}

pub(super) const JOINER: usize = 4;

/// A view of `n` of which the last joined; `number` counts it.
pub(super) fn view(n: u8, number: u64) -> View {
    let mut view = genesis_of((0..n).map(quick_identity)).view();
    view.number = number;
    view.prev = some_hash(1);
    view.cut = (1..n).map(|_| LogEnd::EMPTY).collect();
    view
}

pub(super) struct World {
    pub(super) config: Config,
    pub(super) view: View,
    pub(super) roster: Arc<Roster>,
    pub(super) now: Time,
    doors: Vec<Door>,
    pub(super) machines: Vec<Transfer>,
    pub(super) manners: Vec<Manner>,
    /// What each application would hand over; that of the joiner is what it got.
    pub(super) states: Vec<Vec<u8>>,
    pub(super) net: Vec<(usize, usize, TransferPart)>,
    /// Everything that the machines said besides parts and bytes.
    pub(super) log: Vec<(usize, Out)>,
    /// How many parts were sent.
    pub(super) sent: usize,
    pub(super) loss_percent: u64,
    pub(super) shuffles: bool,
    seed: u64,
}

impl World {
    /// Everybody in the view, the applications of the donors with this state.
    pub(super) fn new(state: &[u8]) -> Self {
        Self::with(state, |_| {})
    }

    pub(super) fn with(state: &[u8], change: impl FnOnce(&mut Config)) -> Self {
        let view = view(5, 1);
        let suite = quick_identity(0).suite();
        let roster = Arc::new(view.roster(suite).expect("good keys"));
        let mut config = Config::new(genesis_of((0..5).map(quick_identity)));
        config.genesis.state_transfer = true;
        change(&mut config);
        let mut states = alloc::vec![state.to_vec(); 4];
        states.push(Vec::new());
        let mut world = Self {
            now: Time::from_micros(1),
            doors: (0..5).map(|index| Door::new(quick_identity(index))).collect(),
            machines: (0..5).map(|_| Transfer::new(&config)).collect(),
            manners: alloc::vec![Manner::Correct; 5],
            states,
            net: Vec::new(),
            log: Vec::new(),
            sent: 0,
            loss_percent: 0,
            shuffles: false,
            seed: 1,
            config,
            view,
            roster,
        };
        for index in 0..5 {
            world.enter(index, index == JOINER);
        }
        world
    }

    pub(super) fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed | 1;
        self
    }

    pub(super) fn dice(&mut self, sides: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % sides.max(1)
    }

    /// One process installs the world's view.
    pub(super) fn enter(&mut self, index: usize, must_load: bool) {
        let (view, roster) = (self.view.clone(), Arc::clone(&self.roster));
        let me = view.rank_of(quick_identity(index as u8).public_key()).expect("a member");
        let stand = if must_load { Stand::Loads } else { Stand::Whole };
        let entered = Entered { view: &view, roster: &roster, before: None, me, stand };
        self.step(index, In::View(&entered));
    }

    /// The applications of all donors come to where the view begins.
    pub(super) fn reach(&mut self) {
        for index in 0..JOINER {
            self.step(index, In::Reached(self.view.number));
        }
    }

    pub(super) fn step(&mut self, index: usize, input: In<'_>) {
        let mut cx = Context { now: self.now, door: &mut self.doors[index], roster: &self.roster };
        let outs = self.machines[index].step(&mut cx, input).expect("no link is closed");
        self.take(index, outs);
    }

    pub(super) fn answer(&mut self, index: usize, answer: Answer<'_>) -> Result<(), Refusal> {
        let mut cx = Context { now: self.now, door: &mut self.doors[index], roster: &self.roster };
        let outs = self.machines[index].answer(&mut cx, answer)?;
        self.take(index, outs);
        Ok(())
    }

    /// The root that a member signs for the joiner, whatever its machine thinks.
    pub(super) fn root(&mut self, index: usize, root: u8, length: u64) -> TransferPart {
        let joiner = *quick_identity(JOINER as u8).public_key();
        let statement = Snapshot { joiner, root: some_hash(root), length };
        let said = self.doors[index].sign(&self.roster, Rank::new(index as u16), statement);
        TransferPart::Root { of: self.view.number, said: said.signed().as_ref().clone() }
    }

    fn take(&mut self, index: usize, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Part(to, part) => self.send(index, to, part),
                Out::State { offset, bytes, total } => {
                    let got = &mut self.states[index];
                    assert_eq!(offset, got.len() as u64, "each byte once and in order");
                    assert!(offset + bytes.len() as u64 <= total);
                    got.extend(bytes);
                }
                out => {
                    self.log.push((index, out.clone()));
                    self.apply(index, &out);
                }
            }
        }
    }

    /// The application of a donor answers at once.
    fn apply(&mut self, index: usize, out: &Out) {
        match *out {
            Out::Wanted(view) => {
                let state = &self.states[index];
                let (length, chunks) = (state.len() as u64, chunk_hashes(state));
                let answer = Answer::Ready { view, length, chunks: &chunks };
                self.answer(index, answer).expect("it was asked for");
            }
            Out::ChunkWanted(view, at) => {
                let mut chunks = self.states[index].chunks(CHUNK_BYTES);
                let bytes = chunks.nth(at as usize).expect("a chunk of it").to_vec();
                let answer = Answer::Chunk { view, index: at, bytes: &bytes };
                self.answer(index, answer).expect("it was asked for");
            }
            _ => {}
        }
    }

    fn send(&mut self, index: usize, to: Rank, mut part: TransferPart) {
        self.sent += 1;
        let key = self.view.members[to.index()].key;
        let known = (0..5).find(|i| *quick_identity(*i).public_key() == key);
        // Others are not there.
        let Some(to) = known else { return };
        let to = usize::from(to);
        let of = part.of();
        match (self.manners[index], &mut part) {
            (Manner::Crashed, _) => return,
            (Manner::WrongChunks, TransferPart::Chunk { bytes, .. }) => {
                *bytes = Blob(alloc::vec![0xbb; bytes.0.len()]);
            }
            (Manner::Withholds, TransferPart::Chunk { .. }) => return,
            (Manner::Withholds, TransferPart::Page { .. } | TransferPart::Pages { .. }) => return,
            (Manner::TwoRoots, TransferPart::Root { .. }) => {
                let second = self.root(index, 0xee, 7);
                self.net.push((index, to, second));
            }
            (Manner::Gone, TransferPart::Root { .. }) => part = TransferPart::Gone { of },
            _ => {}
        }
        self.net.push((index, to, part));
    }

    /// Until everything that was sent has arrived or is lost.
    pub(super) fn settle(&mut self) {
        for _ in 0..200_000 {
            if self.net.is_empty() {
                return;
            }
            self.hop();
        }
        panic!("no end of messages");
    }

    /// One part arrives or is lost; or time passes.
    pub(super) fn hop(&mut self) {
        if self.net.is_empty() || (self.shuffles && self.dice(20) == 0) {
            self.advance();
            return;
        }
        let count = self.net.len() as u64;
        let at = if self.shuffles { self.dice(count) as usize } else { 0 };
        let (from, to, part) = self.net.remove(at);
        let is_lost = self.dice(100) < self.loss_percent;
        if is_lost || self.manners[to] == Manner::Crashed {
            return;
        }
        if let Some(rank) = self.view.rank_of(quick_identity(from as u8).public_key()) {
            self.step(to, In::Part(rank, part));
        }
    }

    /// Of those that have not crashed.
    pub(super) fn deadline(&self) -> Option<Time> {
        let runs = self.machines.iter().zip(&self.manners);
        let runs = runs.filter(|(_, manner)| **manner != Manner::Crashed);
        runs.map(|(machine, _)| machine.deadline()).fold(None, earliest)
    }

    /// To the next moment at which anybody wants a Tick.
    pub(super) fn advance(&mut self) -> bool {
        let Some(due) = self.deadline() else { return false };
        self.now = self.now.max(due);
        for index in 0..self.machines.len() {
            if self.manners[index] != Manner::Crashed {
                self.step(index, In::Tick);
            }
            let owed = self.machines[index].deadline().is_none_or(|due| due > self.now);
            assert!(owed || self.manners[index] == Manner::Crashed, "a Tick changes something");
        }
        true
    }

    /// Until the joiner has its state, or `until`.
    pub(super) fn run(&mut self, until_us: u64) {
        let until = Time::from_micros(until_us);
        self.settle();
        while !self.machines[JOINER].is_loaded() && self.now < until && self.advance() {
            self.settle();
        }
        self.settle();
    }

    pub(super) fn said(&self, index: usize, wanted: impl Fn(&Out) -> bool) -> usize {
        self.log.iter().filter(|(by, out)| *by == index && wanted(out)).count()
    }

    /// The joiner is overtaken: the next view has these members and nobody joins with it.
    pub(super) fn next_view(&mut self, keep: &[usize]) {
        let members: Vec<Member> =
            keep.iter().map(|index| self.view.members[*index].clone()).collect();
        let mut next = self.view.clone();
        next.cut = self.view.members.iter().map(|_| LogEnd::EMPTY).collect();
        next.departed = (0..self.view.members.len())
            .filter(|index| !keep.contains(index))
            .map(|index| (Rank::new(index as u16), crate::Departure::Opinion))
            .collect::<List<_, 64>>();
        next.members = members;
        next.number += 1;
        next.prev = self.view.id();
        assert!(next.members.iter().all(|member| member.status == Status::Active));
        self.view = next;
        let suite = quick_identity(0).suite();
        self.roster = Arc::new(self.view.roster(suite).expect("good keys"));
        for index in keep {
            self.enter(*index, false);
        }
    }
}

/// Bytes that differ from chunk to chunk.
pub(super) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((i / CHUNK_BYTES) as u8) ^ (i as u8).wrapping_mul(31)).collect()
}
