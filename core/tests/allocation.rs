//! P10, measured: what a member really takes from the allocator while another floods it, next to
//! what [`phalanx_core::Node::memory`] says and promises.

use std::alloc::System;
use std::collections::{BTreeMap, VecDeque};

use cap::Cap;
use phalanx_core::crypto::{
    AckNewView, Door, Head, Heads, Key, Link, LinkKeys, Roster, Signed, Stable, Statement, Suite,
    body_hash, log_root, peer_id, sha256,
};
use phalanx_core::wire::frame::{FrameKind, Header, Prepared};
use phalanx_core::wire::{BodyHead, Packet, Part, encode};
use phalanx_core::{
    Attempt, Boot, Config, Event, Genesis, Hash32, Identity, Input, Limits, Member, Membership,
    Node, Number, Output, Pattern, PeerId, QuorumRule, Rank, SlotMark, Status, Time,
};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const N: u8 = 4;
const LIAR: u8 = 3;
const MIB: usize = 1 << 20;
/// What a node has before anything is held on behalf of others.
const BASE: usize = MIB;

fn identity(index: u8) -> Identity {
    Identity::ed25519([index + 1; 32])
}

fn genesis() -> Genesis {
    let member = |index: u8| Member {
        key: *identity(index).public_key(),
        incarnation: 0,
        addr: format!("10.0.0.{index}:7000").into_bytes(),
        status: Status::Active,
    };
    Genesis {
        name: "allocation".into(),
        nonce: sha256(b"nonce"),
        members: (0..N).map(member).collect(),
        pledge: None,
        pattern: Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: Membership::Managed,
        state_transfer: false,
        limits: Limits::default(),
    }
}

/// Signs and seals as the last member.
struct Liar {
    door: Door,
    roster: Roster,
    group: Hash32,
    id: PeerId,
    keys: BTreeMap<usize, LinkKeys>,
    counter: u64,
}

impl Liar {
    fn new(genesis: &Genesis) -> Self {
        let me = identity(LIAR);
        let group = genesis.group();
        let keys = (0..usize::from(LIAR)).map(|to| {
            let key = Key::decode(Suite::Ed25519, &genesis.members[to].key).unwrap();
            (to, LinkKeys::derive(&me, 0, &key, 0, &group))
        });
        Self {
            roster: genesis.view().roster(Suite::Ed25519).unwrap(),
            group,
            id: peer_id(me.public_key()),
            keys: keys.collect(),
            counter: 0,
            door: Door::new(me),
        }
    }

    fn sign<S: Statement + Clone>(&mut self, statement: S) -> Signed<S> {
        let me = Rank::new(u16::from(LIAR));
        Signed::clone(self.door.sign(&self.roster, me, statement).signed())
    }

    fn seal(&mut self, to: usize, parts: Vec<Part>, casts: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let (group, counter) = (self.group.prefix(), self.counter);
        let header = Header { kind: FrameKind::Whole, group, from: self.id, counter };
        let view = *self.roster.view();
        let packet = encode(&Packet { view, haves: Default::default(), parts: parts.into() });
        let hash = sha256(&packet);
        let mut out =
            Prepared::new(packet, hash, sha256(casts)).seal(&self.keys[&to].outbound, &header);
        out.extend_from_slice(casts);
        out
    }

    /// Its log: bodies with these casts, each with what covers it, the last one first.
    fn log(&mut self, casts: &[u8], bodies: u64) -> Vec<Vec<Part>> {
        let (view, me) = (*self.roster.view(), Rank::new(u16::from(LIAR)));
        let link = Link { slot: SlotMark::None, casts: sha256(casts) };
        let mut hashes = vec![log_root(&view, me)];
        for number in 1..=bodies {
            let hash = body_hash(&view, me, Number::new(number), hashes.last().unwrap(), &link);
            hashes.push(hash);
        }
        let top = Head { sender: me, number: Number::new(bodies), hash: *hashes.last().unwrap() };
        let said = Part::Heads(self.sign(Heads { entries: [top].into_iter().collect() }));
        let body = |number: u64| BodyHead {
            sender: me,
            number: Number::new(number),
            prev: hashes[usize::try_from(number).unwrap() - 1],
            slot: SlotMark::None,
            links: (number..bodies).map(|_| link).collect(),
        };
        (1..=bodies).rev().map(|number| vec![said.clone(), Part::Body(body(number))]).collect()
    }
}

/// Three correct members, of which the first is measured.
struct World {
    nodes: Vec<Node>,
    ids: Vec<PeerId>,
    now: Time,
    flights: VecDeque<(usize, Vec<u8>)>,
    /// Bytes that the first node has allocated and not freed, with what it handed out last.
    real: isize,
    /// The most of them, and beyond what it said that it held.
    most: isize,
    beyond: isize,
    casts: usize,
    is_closed: bool,
    /// Room for what a step hands out, so that collecting it allocates nothing.
    outputs: Vec<Output>,
}

fn allocated() -> isize {
    isize::try_from(MEMORY.allocated()).unwrap()
}

impl World {
    fn new(genesis: &Genesis) -> Self {
        let config = Config { frame_max: Config::FRAME_MAX, ..Config::new(genesis.clone()) };
        let node = |index| {
            let boot = Boot { incarnation: 0 };
            Node::new(config.clone(), identity(index), boot, Time::ZERO).unwrap()
        };
        let before = allocated();
        let first = node(0);
        let real = allocated() - before;
        let mut world = Self {
            nodes: vec![first, node(1), node(2)],
            ids: genesis.members.iter().map(|member| peer_id(&member.key)).collect(),
            now: Time::ZERO,
            flights: VecDeque::new(),
            real,
            most: 0,
            beyond: 0,
            casts: 0,
            is_closed: false,
            outputs: Vec::with_capacity(1 << 21),
        };
        world.run(50);
        world
    }

    fn step(&mut self, index: usize, input: Input<'_>) {
        let is_measured = index == 0;
        let before = allocated();
        for output in self.nodes[index].step(self.now, input) {
            match output {
                // The application is done with a cast when it has seen it.
                Output::Event(Event::Cast { .. }) => self.casts += usize::from(is_measured),
                other => self.outputs.push(other),
            }
            if is_measured {
                self.most = self.most.max(self.real + allocated() - before);
            }
        }
        let after = allocated();
        for output in &self.outputs {
            match output {
                Output::Transmit(frame) => {
                    let to = self.ids.iter().position(|id| *id == frame.to).unwrap();
                    let mut bytes = Vec::new();
                    frame.append_to(&mut bytes);
                    if to < self.nodes.len() {
                        self.flights.push_back((to, bytes));
                    }
                }
                Output::Event(Event::LinkClosed { .. }) => self.is_closed |= is_measured,
                Output::Event(_) | Output::Fault(_) => {}
            }
        }
        let sent = allocated();
        self.outputs.clear();
        if is_measured {
            self.real += after - before + allocated() - sent;
            self.check();
        }
    }

    fn check(&mut self) {
        let (held, bound) = self.nodes[0].memory();
        assert!(held <= bound, "{held} of {bound}");
        let signed = |bytes: usize| isize::try_from(bytes).unwrap();
        self.most = self.most.max(self.real);
        self.beyond = self.beyond.max(self.real - signed(held));
        assert!(self.most <= signed(bound + BASE), "{} bytes, {bound} are promised", self.most);
    }

    /// Lets time pass.
    fn run(&mut self, millis: u64) {
        let end = self.now.plus(millis * 1_000);
        while self.now < end {
            while let Some((to, bytes)) = self.flights.pop_front() {
                self.step(to, Input::Frame(&bytes));
            }
            for index in 0..self.nodes.len() {
                if self.nodes[index].deadline().is_some_and(|due| due <= self.now) {
                    self.step(index, Input::Tick);
                }
            }
            self.now = self.now.plus(250);
        }
    }

    /// The liar's log arrives at all, its first body last: what lies above is delivered with it.
    fn hear(&mut self, liar: &mut Liar, log: &[Vec<Part>], casts: &[u8]) {
        for parts in log {
            for to in 0..self.nodes.len() {
                let frame = liar.seal(to, parts.clone(), casts);
                self.step(to, Input::Frame(&frame));
            }
        }
        self.run(20);
    }
}

fn flood(payload: usize, casts: usize, bodies: u64) -> World {
    let genesis = genesis();
    let mut liar = Liar::new(&genesis);
    let mut world = World::new(&genesis);
    let prefix = u32::try_from(payload * 2).unwrap().to_le_bytes();
    let cast = [&prefix[..], &vec![7; payload]].concat();
    let casts = cast.repeat(casts);
    let log = liar.log(&casts, bodies);
    world.hear(&mut liar, &log, &casts);
    world
}

/// One test: others would allocate at the same time.
#[test]
fn a_flooded_member_allocates_no_more_than_it_promises() {
    let limits = Limits::default();
    let bound = World::new(&genesis()).nodes[0].memory().1;
    // As many casts of no length, one byte or many bytes as a body may have, and a full window.
    for payload in [0, 1, 100, 60_000] {
        let casts = limits.body_max as usize / (payload + 4 + 64);
        let bodies = u64::from(limits.window_bytes / limits.body_max);
        let world = flood(payload, casts, bodies);
        let delivered = casts * usize::try_from(bodies).unwrap();
        assert_eq!(world.casts, delivered, "of {payload} bytes");
        println!(
            "{delivered} casts of {payload} bytes: {} KiB taken, {} KiB not counted, {} MiB promised",
            world.most >> 10,
            world.beyond >> 10,
            bound >> 20
        );
        assert!(world.most >= isize::try_from(delivered * payload).unwrap(), "it is measured");
        assert!(world.beyond < isize::try_from(BASE).unwrap(), "{} not counted", world.beyond);
    }
    // One more is the sender's fault, and nothing of it is held or delivered.
    let world = flood(0, limits.body_max as usize / 68 + 1, 1);
    assert!(world.is_closed && world.casts == 0);
    statements(bound);
}

/// What the tables of statements come to.
fn statements(bound: usize) {
    let genesis = genesis();
    let mut liar = Liar::new(&genesis);
    let mut world = World::new(&genesis);
    for round in 0..40_u64 {
        let mut parts = Vec::new();
        for i in 0..60 {
            let number = round * 60 + i + 1;
            let head = |sender| Head {
                sender: Rank::new(sender),
                number: Number::new(number),
                hash: Hash32([7; 32]),
            };
            let entries = (0..4).map(head).collect();
            parts.push(Part::Heads(liar.sign(Heads { entries })));
            let have = [Number::new(number); 4].into_iter().collect();
            parts.push(Part::Stable(liar.sign(Stable { counter: number, have })));
            let attempt = Attempt::new(u32::try_from(number).unwrap());
            parts.push(Part::Ack(liar.sign(AckNewView { attempt, next: Hash32([9; 32]) })));
        }
        let frame = liar.seal(0, parts, &[]);
        world.step(0, Input::Frame(&frame));
        world.run(10);
    }
    println!(
        "statements: {} KiB allocated, {} KiB more than counted, {} MiB promised",
        world.most >> 10,
        world.beyond >> 10,
        bound >> 20
    );
    assert!(world.beyond < isize::try_from(BASE).unwrap(), "{} not counted", world.beyond);
}
