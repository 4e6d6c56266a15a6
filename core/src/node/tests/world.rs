//! Processes that come and go, over a network that loses and delays.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::app::{App, Reply};
use crate::config::{Boot, Config, Joiners};
use crate::crypto::peer_id;
use crate::input::{Input, Order, Request, Ticket};
use crate::member::{PeerId, Status};
use crate::node::Node;
use crate::output::{Event, Fault, Output};
use crate::rig::{genesis_of, quick_identity};
use crate::time::Time;
use crate::view::{Genesis, Membership};
use crate::wire::transfer::TransferPart;
use crate::wire::{Part, frame};

pub(super) struct World {
    pub(super) genesis: Genesis,
    pub(super) config: Config,
    /// By identity; none if it does not run.
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) events: Vec<Vec<Event>>,
    names: Vec<PeerId>,
    pub(super) now: Time,
    flights: BTreeMap<(Time, u64), (usize, Vec<u8>)>,
    sent: u64,
    random: u64,
    /// Of a hundred frames.
    pub(super) loss: u64,
    /// Who is cut off from everybody else.
    pub(super) away: Vec<usize>,
    /// What is lost on its way from one to another.
    pub(super) cut: fn(usize, usize) -> bool,
    /// What was proven, if a test expects that.
    pub(super) faults: Option<Vec<Fault>>,
    /// The application of each process, if there are applications.
    pub(super) apps: Vec<App>,
    /// All strangers' frames ever sent, with their receivers.
    pub(super) strangers: Vec<(usize, Vec<u8>)>,
}

/// The incarnation of joiners, unless a test says otherwise.
pub(super) const FIRST: u64 = 1;

pub(super) fn addr(index: usize) -> Vec<u8> {
    alloc::format!("10.0.0.{index}:7000").into_bytes()
}

impl World {
    /// A group of `n`, and so many others that may join it.
    pub(super) fn new(n: u8, others: u8, change: impl FnOnce(&mut Config)) -> Self {
        let mut genesis = genesis_of((0..n).map(quick_identity));
        genesis.membership = Membership::Managed;
        let all = usize::from(n + others);
        let keys: Vec<_> = (0..n + others).map(|i| *quick_identity(i).public_key()).collect();
        let mut config = Config::new(genesis);
        config.joiners = Joiners::Listed(keys[usize::from(n)..].to_vec());
        change(&mut config);
        let mut world = Self {
            genesis: config.genesis.clone(),
            config,
            nodes: (0..all).map(|_| None).collect(),
            events: alloc::vec![Vec::new(); all],
            names: keys.iter().map(peer_id).collect(),
            now: Time::ZERO,
            flights: BTreeMap::new(),
            sent: 0,
            random: 7,
            loss: 0,
            away: Vec::new(),
            cut: |_, _| false,
            faults: None,
            apps: Vec::new(),
            strangers: Vec::new(),
        };
        for index in 0..n {
            let boot = Boot { incarnation: 0 };
            let node =
                Node::new(world.config.clone(), quick_identity(index), boot, Time::ZERO).unwrap();
            world.nodes[usize::from(index)] = Some(node);
        }
        world
    }

    /// A process starts to join; what ran as it is gone.
    pub(super) fn join(&mut self, index: usize, incarnation: u64, contacts: &[usize]) {
        let config = Config { addr: addr(index), ..self.config.clone() };
        self.join_with(index, incarnation, contacts, config);
    }

    pub(super) fn join_with(
        &mut self,
        index: usize,
        incarnation: u64,
        contacts: &[usize],
        config: Config,
    ) {
        let contacts = contacts.iter().map(|i| (self.names[*i], addr(*i))).collect();
        let identity = quick_identity(u8::try_from(index).unwrap());
        let node = Node::join(config, identity, Boot { incarnation }, contacts, self.now);
        self.nodes[index] = Some(node.unwrap());
        self.events[index].clear();
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % below
    }

    pub(super) fn step(&mut self, index: usize, input: Input<'_>) {
        let Some(node) = &mut self.nodes[index] else { return };
        let outputs: Vec<Output> = node.step(self.now, input).collect();
        let (held, bound) = node.memory();
        assert!(held <= bound, "{held} of {bound}");
        for output in outputs {
            match output {
                Output::Transmit(transmit) => {
                    let mut bytes = Vec::new();
                    transmit.append_to(&mut bytes);
                    let Some(to) = self.names.iter().position(|name| *name == transmit.to) else {
                        continue;
                    };
                    if transmit.is_stranger() {
                        self.strangers.push((to, bytes.clone()));
                    }
                    if self.draw(100) >= self.loss {
                        let delay_us = 500 + self.draw(1_000);
                        self.send(to, bytes, delay_us);
                    }
                }
                Output::Event(event) => {
                    self.events[index].push(event.clone());
                    self.tell_app(index, &event);
                }
                Output::Fault(fault) => {
                    self.faults.as_mut().unwrap_or_else(|| panic!("{fault:?}")).push(fault);
                }
            }
        }
    }

    /// The application of a process hears of an event and answers, or its process lies.
    fn tell_app(&mut self, index: usize, event: &Event) {
        let Some(app) = self.apps.get_mut(index) else { return };
        match app.on_event(event) {
            Reply::Nothing => {}
            Reply::Ready(view, length, chunks) => {
                let ready = Request::SnapshotReady { view, length, chunks: &chunks };
                self.step(index, Input::Request(Ticket(1), ready));
            }
            Reply::Chunk(view, at, bytes) => {
                let chunk = Request::Chunk { view, index: at, bytes: &bytes };
                self.step(index, Input::Request(Ticket(2), chunk));
            }
            Reply::Lie(part) => self.lie(index, &part),
        }
    }

    /// A process says something to all others.
    pub(super) fn lie(&mut self, index: usize, part: &TransferPart) {
        let node = self.nodes[index].as_mut().unwrap();
        let peers: Vec<PeerId> = node.view().peers().values().copied().collect();
        node.say(|bottom, cx, frames| {
            let (me, view) = (bottom.name(), bottom.view());
            for peer in peers.into_iter().filter(|peer| *peer != me) {
                let parts = alloc::vec![Part::Transfer(part.clone())];
                bottom.tell(cx, peer, view, parts, frames);
            }
        });
    }

    pub(super) fn send(&mut self, to: usize, bytes: Vec<u8>, delay_us: u64) {
        self.sent += 1;
        self.flights.insert((self.now.plus(delay_us), self.sent), (to, bytes));
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now.plus(millis * 1000);
        self.run_until(end, |_| false);
    }

    /// Lets time pass until something is so.
    pub(super) fn run_until(&mut self, end: Time, is_so: impl Fn(&Self) -> bool) -> bool {
        let mut idle = (self.now, 0);
        while !is_so(self) {
            idle = if idle.0 == self.now { (self.now, idle.1 + 1) } else { (self.now, 0) };
            assert!(idle.1 < 10_000, "nobody has anything to do at {:?}", self.now);
            let flight = self.flights.first_key_value().map(|((at, _), _)| *at);
            let tick = self.nodes.iter().flatten().filter_map(Node::deadline).min();
            let next = [flight, tick].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return is_so(self);
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.flights.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (to, bytes) = entry.remove();
                let from = frame::peek_sender(&bytes).unwrap();
                let from = self.names.iter().position(|name| *name == from);
                let is_cut = |index: usize| self.away.contains(&index);
                let is_lost = from.is_some_and(|from| (self.cut)(from, to));
                if from != Some(to) && !is_lost && !is_cut(to) && !from.is_some_and(is_cut) {
                    self.step(to, Input::Frame(&bytes));
                }
            }
            for index in 0..self.nodes.len() {
                let due = self.nodes[index].as_ref().and_then(Node::deadline);
                if due.is_some_and(|due| due <= self.now) {
                    self.step(index, Input::Tick);
                }
            }
        }
        true
    }

    /// Everybody of these is an Active member of one view of just these.
    pub(super) fn is_group(&self, members: &[usize]) -> bool {
        let mut keys: Vec<_> = members.iter().map(|i| self.names[*i]).collect();
        keys.sort_unstable();
        members.iter().all(|index| {
            let Some(node) = &self.nodes[*index] else { return false };
            let view = node.view();
            let mut peers: Vec<_> = view.peers().values().copied().collect();
            peers.sort_unstable();
            let is_in = self.events[*index].iter().any(|event| matches!(event, Event::View(_)));
            let is_active = view.members.iter().all(|m| m.status == Status::Active);
            is_in && peers == keys && is_active && view == self.node(members[0]).view()
        })
    }

    /// Lets time pass until these are the group.
    pub(super) fn settle(&mut self, seconds: u64, members: &[usize]) {
        let end = self.now.plus(seconds * 1_000_000);
        let is_settled = self.run_until(end, |world| world.is_group(members));
        let views: Vec<_> = self.nodes.iter().flatten().map(|node| node.view()).collect();
        assert!(is_settled, "{:?}: {views:#?}", self.now);
    }

    pub(super) fn cast(&mut self, index: usize, payload: &[u8]) {
        let request = Request::Cast { order: Order::Total, payload };
        self.step(index, Input::Request(Ticket(0), request));
    }

    /// What was delivered in order.
    pub(super) fn delivered(&self, index: usize) -> Vec<Vec<u8>> {
        let payload = |event: &Event| match event {
            Event::Cast { payload, .. } => Some(payload.to_vec()),
            _ => None,
        };
        self.events[index].iter().filter_map(payload).collect()
    }

    pub(super) fn name(&self, index: usize) -> PeerId {
        self.names[index]
    }
}
