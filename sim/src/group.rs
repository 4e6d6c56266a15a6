//! A group in one process, for whole-stack tests and benchmarks: real nodes, an in-memory queue
//! instead of a network, and time that only moves when told to. Nobody lies here, and nothing is
//! drawn; see [`crate`] for the simulator proper.

use std::collections::VecDeque;

use phalanx_core::crypto::Oracle;
use phalanx_core::{
    Boot, Config, Event, Fault, Genesis, Hash32, Identity, Input, Limits, Member, Node, Order,
    Output, PeerId, QuorumRule, Request, Status, Ticket, Time, Transmit,
};

/// Which signatures the group makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypto {
    /// Ed25519.
    Real,
    /// A simulator's keyed hashes.
    Ideal,
}

/// The identity of member `index`.
#[must_use]
pub fn identity(crypto: Crypto, index: usize) -> Identity {
    let seed = [u8::try_from(index + 1).expect("few members"); 32];
    match crypto {
        Crypto::Real => Identity::ed25519(seed),
        Crypto::Ideal => Identity::dummy(seed, Oracle([7; 32])),
    }
}

/// A genesis record of `n` members.
#[must_use]
pub fn genesis(crypto: Crypto, n: usize) -> Genesis {
    let member = |index| Member {
        key: *identity(crypto, index).public_key(),
        incarnation: 1,
        addr: format!("member-{index}").into_bytes(),
        status: Status::Active,
    };
    Genesis {
        name: "test".into(),
        nonce: Hash32([9; 32]),
        members: (0..n).map(member).collect(),
        pledge: None,
        pattern: phalanx_core::Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: phalanx_core::Membership::Fixed,
        state_transfer: false,
        limits: Limits::default(),
    }
}

/// Something delivered: sender's rank, order, payload.
pub type Delivered = (u16, Order, Vec<u8>);

/// The group.
#[derive(Debug)]
pub struct Group {
    /// The members in rank order.
    pub nodes: Vec<Node>,
    /// Frames on their way to each member, with their sender.
    pub inboxes: Vec<VecDeque<(usize, Vec<u8>)>>,
    /// What each member delivered.
    pub delivered: Vec<Vec<Delivered>>,
    /// Every other event of each member.
    pub events: Vec<Vec<Event>>,
    /// What each member holds proven.
    pub faults: Vec<Vec<Fault>>,
    /// Now.
    pub now: Time,
    peers: Vec<PeerId>,
    keeps: bool,
    tickets: u64,
    /// Casts delivered, at all members together.
    pub casts: u64,
    /// Time spent in the nodes' steps and in draining them, if it is taken.
    pub spent: Option<std::time::Duration>,
}

impl Group {
    /// `n` members with the default configuration; frames are whole.
    #[must_use]
    pub fn new(crypto: Crypto, n: usize) -> Self {
        Self::with(
            crypto,
            Config { frame_max: Config::FRAME_MAX, ..Config::new(genesis(crypto, n)) },
        )
    }

    /// The members of `config`.
    #[must_use]
    pub fn with(crypto: Crypto, config: Config) -> Self {
        let n = config.genesis.members.len();
        let node = |index| {
            let boot = Boot { incarnation: 1 };
            Node::new(config.clone(), identity(crypto, index), boot, Time::ZERO)
                .expect("a good configuration")
        };
        let nodes: Vec<Node> = (0..n).map(node).collect();
        let peers = config.genesis.view().peers().values().copied().collect();
        Self {
            nodes,
            inboxes: vec![VecDeque::new(); n],
            delivered: vec![Vec::new(); n],
            events: vec![Vec::new(); n],
            faults: vec![Vec::new(); n],
            now: Time::ZERO,
            peers,
            keeps: true,
            tickets: 0,
            casts: 0,
            spent: None,
        }
    }

    /// Counts deliveries instead of keeping them, for benchmarks.
    pub fn keep_nothing(&mut self) {
        self.keeps = false;
    }

    /// One step of one member.
    pub fn step(&mut self, index: usize, input: Input<'_>) {
        let started = self.spent.map(|_| std::time::Instant::now());
        let mut sent: Vec<Transmit> = Vec::new();
        for output in self.nodes[index].step(self.now, input) {
            match output {
                Output::Transmit(transmit) => sent.push(transmit),
                Output::Event(Event::Cast { sender, order, payload, .. }) => {
                    self.casts += 1;
                    if self.keeps {
                        self.delivered[index].push((sender.value(), order, payload.to_vec()));
                    }
                }
                Output::Event(Event::Accepted(_)) if !self.keeps => {}
                Output::Event(event) => self.events[index].push(event),
                Output::Fault(fault) => self.faults[index].push(fault),
            }
        }
        if let (Some(spent), Some(started)) = (&mut self.spent, started) {
            *spent += started.elapsed();
        }
        for transmit in sent {
            let to = self.peers.iter().position(|peer| *peer == transmit.to);
            let mut frame = Vec::with_capacity(transmit.len());
            transmit.append_to(&mut frame);
            self.inboxes[to.expect("a member")].push_back((index, frame));
        }
    }

    /// A cast of one member; whether it was accepted stands in its events.
    pub fn cast(&mut self, index: usize, order: Order, payload: &[u8]) {
        self.tickets += 1;
        let request = Request::Cast { order, payload };
        self.step(index, Input::Request(Ticket(self.tickets), request));
    }

    /// Many equal casts of one member; time is taken around all of them.
    pub fn cast_many(&mut self, index: usize, order: Order, payload: &[u8], count: usize) {
        let spent = self.spent.take();
        let started = std::time::Instant::now();
        for _ in 0..count {
            self.cast(index, order, payload);
        }
        self.spent = spent.map(|spent| spent + started.elapsed());
    }

    /// Hands over all frames on their way, to those members for which `hears` says so; others lose
    /// them.
    pub fn deliver(&mut self, hears: impl Fn(usize, usize) -> bool) {
        for index in 0..self.nodes.len() {
            let frames = std::mem::take(&mut self.inboxes[index]);
            for (from, frame) in frames {
                if hears(from, index) {
                    self.step(index, Input::Frame(&frame));
                }
            }
        }
    }

    /// Ticks every member that wants it now.
    pub fn tick(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].deadline().is_some_and(|due| due <= self.now) {
                self.step(index, Input::Tick);
            }
        }
    }

    /// Frames and ticks until nothing is left to do at this moment.
    pub fn settle(&mut self, hears: impl Fn(usize, usize) -> bool + Copy) {
        loop {
            self.deliver(hears);
            let due = |node: &Node| node.deadline().is_some_and(|due| due <= self.now);
            if !self.nodes.iter().any(due) && self.inboxes.iter().all(VecDeque::is_empty) {
                return;
            }
            self.tick();
        }
    }

    /// Lets `micros` pass, from deadline to deadline.
    pub fn run(&mut self, micros: u64, hears: impl Fn(usize, usize) -> bool + Copy) {
        let end = self.now.plus(micros);
        loop {
            self.settle(hears);
            let next = self.nodes.iter().filter_map(Node::deadline).min();
            match next {
                Some(next) if next <= end => self.now = next.max(self.now),
                Some(_) | None => break,
            }
        }
        self.now = end;
    }
}

/// Everybody hears everybody.
#[must_use]
pub fn all(_from: usize, _to: usize) -> bool {
    true
}
