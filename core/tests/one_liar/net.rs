//! Nodes in memory over links with a fixed delay. The frames of one of them, the liar, are opened,
//! changed by a hook and sealed anew with its own keys: it can do whatever its keys allow.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use phalanx_core::crypto::{Door, Key, LinkKeys, Roster, Stable, Suite, peer_id, sha256};
use phalanx_core::wire::frame::{self, FrameKind, Header, Prepared};
use phalanx_core::wire::{Packet, Part, decode, encode};
use phalanx_core::{
    Boot, Config, Event, Fault, Genesis, Identity, Input, Limits, Member, Membership, Node, Number,
    Order, Output, Pattern, PeerId, PublicKey, QuorumRule, Rank, Reason, Request, Status, Ticket,
    Time, View,
};

/// The identity of the process `index`.
pub(crate) fn identity(index: usize) -> Identity {
    Identity::ed25519([u8::try_from(index).unwrap() + 1; 32])
}

/// What the liar does with one of its frames for the process of this index: the frames to send
/// instead, each with the time by which it is late.
pub(crate) type Hook =
    Box<dyn FnMut(&mut Liar, Time, usize, Packet, Vec<u8>) -> Vec<(u64, Packet, Vec<u8>)>>;

/// The keys of the liar, and the view that it signs in.
pub(crate) struct Liar {
    pub(crate) me: Rank,
    pub(crate) door: Door,
    pub(crate) roster: Roster,
    pub(crate) view: View,
    index: usize,
    group: u64,
    links: BTreeMap<usize, LinkKeys>,
    counters: BTreeMap<usize, u64>,
}

impl Liar {
    fn new(genesis: &Genesis, index: usize) -> Self {
        let view = genesis.view();
        let me = identity(index);
        let others = (0..genesis.members.len()).filter(|other| *other != index);
        let link = |other: usize| {
            let key = Key::decode(Suite::Ed25519, &genesis.members[other].key).unwrap();
            (other, LinkKeys::derive(&me, 0, &key, 0, &genesis.group()))
        };
        Self {
            me: Rank::new(u16::try_from(index).unwrap()),
            links: others.map(link).collect(),
            door: Door::new(identity(index)),
            roster: view.roster(Suite::Ed25519).unwrap(),
            view,
            index,
            group: genesis.group().prefix(),
            counters: BTreeMap::new(),
        }
    }

    /// A frame for the process `to`.
    fn seal(&mut self, to: usize, packet: &Packet, casts: &[u8]) -> Vec<u8> {
        // Far above what its node uses.
        let counter = self.counters.entry(to).or_insert(1 << 40);
        *counter += 1;
        let from = peer_id(self.door.identity().public_key());
        let header = Header { kind: FrameKind::Whole, group: self.group, from, counter: *counter };
        let bytes = encode(packet);
        let hash = sha256(&bytes);
        let prepared = Prepared::new(bytes, hash, sha256(casts));
        let mut out = prepared.seal(&self.links[&to].outbound, &header);
        out.extend_from_slice(casts);
        out
    }

    /// Signs a row.
    pub(crate) fn row(&mut self, counter: u64, have: Vec<u64>) -> Part {
        let have = have.into_iter().map(Number::new).collect();
        let said = self.door.sign(&self.roster, self.me, Stable { counter, have });
        Part::Stable(said.signed().as_ref().clone())
    }
}

/// When, of which order, its sender in the view, the payload.
pub(crate) type Delivered = (Time, Order, Rank, Vec<u8>);

/// When it arrives, its number, for which process, the bytes.
type Flight = (u64, u64, usize, Vec<u8>);

/// The group: rank and index are the same in the first view.
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Time,
    /// What happened at each process, without casts.
    pub(crate) events: Vec<Vec<(Time, Event)>>,
    /// Casts delivered at each process.
    pub(crate) casts: Vec<Vec<Delivered>>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) keys: Vec<PublicKey>,
    genesis: Genesis,
    ids: Vec<PeerId>,
    delay_us: u64,
    flights: BinaryHeap<Reverse<Flight>>,
    sequence: u64,
    liar: Option<(Liar, Hook)>,
    ticket: u64,
}

impl Net {
    /// `n` processes, `delay_us` from one to another.
    pub(crate) fn new(n: usize, delay_us: u64, limits: Limits) -> Self {
        let member = |index: usize| Member {
            key: *identity(index).public_key(),
            incarnation: 0,
            addr: format!("10.0.0.{index}:7000").into_bytes(),
            status: Status::Active,
        };
        let genesis = Genesis {
            name: "one liar".into(),
            nonce: sha256(b"nonce"),
            members: (0..n).map(member).collect(),
            pledge: None,
            pattern: Pattern::Swift,
            quorum: QuorumRule::Sound,
            membership: Membership::Managed,
            state_transfer: false,
            limits,
        };
        let mut config = Config::new(genesis);
        config.frame_max = Config::FRAME_MAX;
        let boot = Boot { incarnation: 0 };
        let node = |index| Node::new(config.clone(), identity(index), boot, Time::ZERO).unwrap();
        let keys: Vec<_> = config.genesis.members.iter().map(|member| member.key).collect();
        Self {
            nodes: (0..n).map(node).collect(),
            now: Time::ZERO,
            events: vec![Vec::new(); n],
            casts: vec![Vec::new(); n],
            faults: Vec::new(),
            genesis: config.genesis.clone(),
            ids: keys.iter().map(peer_id).collect(),
            keys,
            delay_us,
            flights: BinaryHeap::new(),
            sequence: 0,
            liar: None,
            ticket: 0,
        }
    }

    /// The process `index` lies.
    pub(crate) fn with_liar(mut self, index: usize, hook: Hook) -> Self {
        self.liar = Some((Liar::new(&self.genesis, index), hook));
        self
    }

    fn put(&mut self, at: u64, to: usize, bytes: Vec<u8>) {
        self.sequence += 1;
        self.flights.push(Reverse((at, self.sequence, to, bytes)));
    }

    fn step(&mut self, index: usize, input: Input<'_>) {
        let outputs: Vec<Output> = self.nodes[index].step(self.now, input).collect();
        for output in outputs {
            match output {
                Output::Transmit(frame) => {
                    let mut bytes = Vec::new();
                    frame.append_to(&mut bytes);
                    if let Some(to) = self.ids.iter().position(|id| *id == frame.to) {
                        self.send(index, to, bytes);
                    }
                }
                Output::Event(Event::Cast { order, sender, payload, .. }) => {
                    let cast = (self.now, order, sender, payload.to_vec());
                    self.casts[index].push(cast);
                }
                Output::Event(event) => self.events[index].push((self.now, event)),
                Output::Fault(fault) => self.faults.push(fault),
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let at = self.now.as_micros() + self.delay_us;
        let Some((mut liar, mut hook)) = self.liar.take_if(|(liar, _)| liar.index == from) else {
            return self.put(at, to, bytes);
        };
        let parsed = frame::parse(&bytes).unwrap();
        let (packet, casts) = frame::split_whole(parsed.content()).unwrap();
        let node = &self.nodes[from];
        let packet = decode(packet, node.view().members.len(), !casts.is_empty());
        if let Ok(packet) = packet.as_ref()
            && packet.view == *node.roster().view()
            && packet.view != *liar.roster.view()
        {
            (liar.roster, liar.view) = (node.roster().clone(), node.view().clone());
            liar.me = node.rank();
        }
        match packet {
            Ok(packet) if packet.view == *liar.roster.view() => {
                for (late, packet, casts) in hook(&mut liar, self.now, to, packet, casts.to_vec()) {
                    let bytes = liar.seal(to, &packet, &casts);
                    self.put(at + late, to, bytes);
                }
            }
            Ok(packet) => {
                let bytes = liar.seal(to, &packet, casts);
                self.put(at, to, bytes);
            }
            Err(_) => self.put(at, to, bytes),
        }
        self.liar = Some((liar, hook));
    }

    /// Casts; whether it was accepted.
    pub(crate) fn cast(&mut self, index: usize, order: Order, payload: &[u8]) -> bool {
        self.ticket += 1;
        let ticket = Ticket(self.ticket);
        self.step(index, Input::Request(ticket, Request::Cast { order, payload }));
        let events = &mut self.events[index];
        let before = events.len();
        events.retain(
            |(_, event)| !matches!(event, Event::Refused(refused, _) if *refused == ticket),
        );
        let is_taken = events.len() == before;
        events.retain(|(_, event)| !matches!(event, Event::Accepted(taken) if *taken == ticket));
        is_taken
    }

    /// Runs for so long.
    pub(crate) fn run(&mut self, us: u64) {
        let end = self.now.plus(us);
        while self.turn(end) {}
        self.now = end;
    }

    fn turn(&mut self, end: Time) -> bool {
        let flight = self.flights.peek().map(|Reverse((at, ..))| Time::from_micros(*at));
        let due = self.nodes.iter().filter_map(Node::deadline).min();
        let next = [flight, due].into_iter().flatten().min();
        let Some(next) = next.map(|next| next.max(self.now)).filter(|next| *next <= end) else {
            return false;
        };
        self.now = next;
        while self.flights.peek().is_some_and(|Reverse((at, ..))| *at <= next.as_micros()) {
            let Reverse((_, _, to, bytes)) = self.flights.pop().unwrap();
            self.step(to, Input::Frame(&bytes));
        }
        for index in 0..self.nodes.len() {
            if self.nodes[index].deadline().is_some_and(|due| due <= self.now) {
                self.step(index, Input::Tick);
            }
        }
        if self.nodes.iter().filter_map(Node::deadline).any(|due| due <= self.now) {
            self.now = self.now.plus(1);
        }
        true
    }

    /// The suspicions that a process was told of: subject, by whom, why.
    pub(crate) fn suspicions(&self, index: usize) -> Vec<(usize, usize, Reason)> {
        let suspected = self.events[index].iter().filter_map(|(_, event)| match event {
            Event::Suspected { subject, by, reason } => {
                Some((subject.index(), by.index(), *reason))
            }
            _ => None,
        });
        suspected.collect()
    }

    /// Whether the process `index` is an Active member, as the process `seen_by` sees it.
    pub(crate) fn is_active(&self, index: usize, seen_by: usize) -> bool {
        let members = &self.nodes[seen_by].view().members;
        members.iter().any(|m| m.key == self.keys[index] && m.status == Status::Active)
    }
}
