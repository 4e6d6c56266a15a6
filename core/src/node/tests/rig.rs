//! The group, its network and the decisions.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::{Boot, Config};
use crate::crypto::{Door, Head, Heads, ReadyToSwitch, Signed};
use crate::input::{Input, Order, Request, Ticket};
use crate::member::{PeerId, Rank};
use crate::node::Node;
use crate::output::{Event, Output};
use crate::rig::{genesis_of, quick_identity, some_hash};
use crate::seq::{Attempt, LogEnd, Number};
use crate::stack::Decided;
use crate::time::Time;
use crate::view::{Genesis, Membership, View};
use crate::wire::change::Decision;
use crate::wire::{Part, decode, frame};

pub(super) struct Group {
    pub(super) genesis: Genesis,
    pub(super) config: Config,
    pub(super) nodes: Vec<Node>,
    names: Vec<PeerId>,
    /// The view last decided.
    last: View,
    pub(super) now: Time,
    pub(super) events: Vec<Vec<Event>>,
    /// Receiver and frame, in the order sent.
    pub(super) flights: VecDeque<(usize, Vec<u8>)>,
    /// All frames ever sent.
    pub(super) recorded: Vec<(usize, Vec<u8>)>,
}

impl Group {
    pub(super) fn new(n: u8) -> Self {
        Self::with(n, |_| {})
    }

    /// With another configuration.
    pub(super) fn with(n: u8, change: impl FnOnce(&mut Config)) -> Self {
        let mut genesis = genesis_of((0..n).map(quick_identity));
        genesis.membership = Membership::Managed;
        let mut config = Config::new(genesis);
        change(&mut config);
        let genesis = config.genesis.clone();
        let node = |index| {
            let boot = Boot { incarnation: 0 };
            Node::new(config.clone(), quick_identity(index), boot, Time::ZERO).unwrap()
        };
        let last = genesis.view();
        Self {
            nodes: (0..n).map(node).collect(),
            names: last.peers().values().copied().collect(),
            events: alloc::vec![Vec::new(); usize::from(n)],
            genesis,
            config,
            last,
            now: Time::ZERO,
            flights: VecDeque::new(),
            recorded: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, index: usize, input: Input<'_>) {
        let outputs: Vec<Output> = self.nodes[index].step(self.now, input).collect();
        self.take(index, outputs);
    }

    fn take(&mut self, index: usize, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Transmit(frame) => {
                    let mut bytes = Vec::new();
                    frame.append_to(&mut bytes);
                    let to = self.names.iter().position(|name| *name == frame.to).unwrap();
                    self.recorded.push((to, bytes.clone()));
                    self.flights.push_back((to, bytes));
                }
                Output::Event(event) => self.events[index].push(event),
                Output::Fault(fault) => panic!("{fault:?}"),
            }
        }
        let (held, bound) = self.nodes[index].memory();
        assert!(held <= bound, "{held} of {bound}");
    }

    /// Delivers the frames on their way that may pass from one to another; the rest is lost.
    pub(super) fn deliver(&mut self, passes: impl Fn(usize, usize) -> bool) {
        while let Some((to, frame)) = self.flights.pop_front() {
            let sender = frame::peek_sender(&frame).unwrap();
            let from = self.names.iter().position(|name| *name == sender).unwrap();
            if passes(from, to) {
                self.step(to, Input::Frame(&frame));
            }
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, micros: u64, passes: impl Fn(usize, usize) -> bool + Copy) {
        let end = self.now.plus(micros);
        loop {
            self.deliver(passes);
            let due = self.nodes.iter().filter_map(Node::deadline).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            for index in 0..self.nodes.len() {
                if self.nodes[index].deadline().is_some_and(|due| due <= self.now) {
                    self.step(index, Input::Tick);
                }
            }
        }
        self.now = end;
    }

    pub(super) fn cast(&mut self, index: usize, payload: &[u8]) {
        let request = Request::Cast { order: Order::Fifo, payload };
        self.step(index, Input::Request(Ticket(0), request));
    }

    /// The view after the last one, decided by a quorum of its members.
    pub(super) fn next(&mut self, change: impl Fn(&mut View)) -> Decision {
        let before = self.last.clone();
        let roster = before.roster(quick_identity(0).suite()).unwrap();
        let mut view = before.clone();
        view.number += 1;
        view.prev = before.id();
        view.cut = before.members.iter().map(|_| LogEnd::EMPTY).collect();
        change(&mut view);
        let ready = |(rank, member): (Rank, &crate::Member)| {
            let keys = (0..4).map(quick_identity).find(|keys| *keys.public_key() == member.key);
            let ready = ReadyToSwitch { attempt: Attempt::FIRST, next: view.id() };
            let ready = Door::new(keys.unwrap()).sign(&roster, rank, ready);
            Signed::clone(ready.signed())
        };
        let members = Rank::all(before.members.len()).zip(&before.members);
        let readys = members.take(before.quorum().q()).map(ready).collect();
        self.last = view.clone();
        Decision { view, readys }
    }

    /// Where the log of `sender` ends at a member, certified.
    pub(super) fn end(&self, index: usize, sender: Rank) -> LogEnd {
        self.nodes[index].stack.end(sender)
    }

    pub(super) fn decide(&mut self, index: usize, decided: Decided) {
        let now = self.now;
        let node = &mut self.nodes[index];
        node.now = node.now.max(now);
        node.run(|_, _, step| step.decide(decided));
        let outputs = core::mem::take(&mut node.outputs).collect();
        self.take(index, outputs);
    }

    /// Some learn of it; who has heard of it from others has installed it already.
    pub(super) fn install_at(&mut self, nodes: &[usize], decision: &Decision) {
        for index in nodes {
            if self.nodes[*index].view().id() == decision.view.prev {
                self.decide(*index, Decided::Install(Box::new(decision.clone())));
            }
        }
    }

    /// Member `from` says something to `to` in some view.
    pub(super) fn tell(&mut self, from: usize, to: usize, view: &View, parts: Vec<Part>) {
        let name = self.names[to];
        let node = &mut self.nodes[from];
        node.say(|bottom, cx, frames| {
            bottom.tell(cx, name, view.id(), parts, frames);
            bottom.pump(cx, frames);
        });
        let outputs = core::mem::take(&mut node.outputs).collect();
        self.take(from, outputs);
    }

    /// A statement of a member in the genesis view, as long as they come.
    pub(super) fn heads(&self, signer: u8) -> Signed<Heads> {
        let head = |sender| Head { sender, number: Number::new(1), hash: some_hash(signer) };
        let entries = Rank::all(4).map(head).collect();
        let roster = self.genesis.view().roster(quick_identity(0).suite()).unwrap();
        let mut door = Door::new(quick_identity(signer));
        let heads = door.sign(&roster, Rank::new(u16::from(signer)), Heads { entries });
        Signed::clone(heads.signed())
    }
}

/// What a frame says, if it is of this view.
pub(super) fn parts(frame: &[u8], view: &View) -> Option<Vec<Part>> {
    let parsed = frame::parse(frame).filter(|p| p.header.kind == frame::FrameKind::Whole)?;
    let (packet, casts) = frame::split_whole(parsed.content())?;
    let packet = decode(packet, view.members.len(), !casts.is_empty()).ok()?;
    (packet.view == view.id()).then(|| packet.parts.to_vec())
}

/// The decisions sent to a node in packets of this view.
pub(super) fn decisions(frames: &[(usize, Vec<u8>)], to: usize, view: &View) -> Vec<Decision> {
    let mine = frames.iter().filter(|(other, _)| *other == to);
    let parts = mine.filter_map(|(_, frame)| parts(frame, view)).flatten();
    let decision = |part| match part {
        Part::Decision(decision) => Some(*decision),
        _ => None,
    };
    parts.filter_map(decision).collect()
}

/// View, sender and payload of the casts delivered.
pub(super) fn casts(events: &[Event]) -> Vec<(u64, usize, &[u8])> {
    let cast = |event| match event {
        &Event::Cast { view, sender, ref payload, .. } => Some((view, sender.index(), &**payload)),
        _ => None,
    };
    events.iter().filter_map(cast).collect()
}

/// The messages that came, as numbers.
pub(super) fn sends(events: &[Event]) -> Vec<u64> {
    let send = |event: &Event| match event {
        Event::Send { payload, .. } => Some(u64::from_le_bytes(payload[..8].try_into().unwrap())),
        _ => None,
    };
    events.iter().filter_map(send).collect()
}
