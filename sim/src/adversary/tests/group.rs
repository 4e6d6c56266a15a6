//! A small group with liars in memory: frames take a moment, time goes from event to event.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::{
    Boot, Event, Input, Node, Order, Output, PeerId, Rank, Reason, Request, Ticket, Time,
};

use super::rig::Rig;
use crate::adversary::{Liar, Setup, Strategy};
use crate::rng::{Seed, Stream};

/// A member.
enum Actor {
    Correct(Box<Node>),
    Lying(Box<Liar>),
}

/// What the correct members came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Deliveries of each correct member: sender and payload.
    pub(super) delivered: BTreeMap<Rank, Vec<(Rank, Vec<u8>)>>,
    /// Total deliveries among them.
    pub(super) total: BTreeMap<Rank, Vec<(Rank, Vec<u8>)>>,
    /// Who holds a Proof against whom.
    pub(super) proven: BTreeSet<(Rank, Rank)>,
    /// Which correct member suspects whom.
    pub(super) suspected: BTreeMap<(Rank, Rank), Reason>,
    /// Alarms.
    pub(super) alarms: usize,
}

/// The group.
pub(super) struct Group {
    actors: Vec<Actor>,
    peers: Vec<PeerId>,
    now: Time,
    /// Frames on their way.
    frames: BTreeMap<(Time, u64), (usize, Vec<u8>)>,
    sent: u64,
    delays: Stream,
    pub(super) seen: Seen,
}

impl Group {
    /// Everybody in `setup.liars` lies as it says.
    pub(super) fn new(rig: &Rig, setup: &Setup) -> Self {
        let view = rig.config.genesis.view();
        let actor = |rank: Rank| {
            if setup.liars.contains_key(&rank) {
                let setup = Setup { me: rank, ..setup.clone() };
                return Actor::Lying(Box::new(Liar::new(&setup, Time::ZERO).unwrap()));
            }
            let boot = Boot { incarnation: 3 };
            let config = rig.config.clone();
            let node = Node::new(config, rig.identity(rank), boot, Time::ZERO).unwrap();
            Actor::Correct(Box::new(node))
        };
        Self {
            actors: Rank::all(view.members.len()).map(actor).collect(),
            peers: view.peers().values().copied().collect(),
            now: Time::ZERO,
            frames: BTreeMap::new(),
            sent: 0,
            delays: Seed(setup.seed).stream("delays", 0),
            seen: Seen::default(),
        }
    }

    /// Replaces the liars by ones that sleep.
    pub(super) fn put_to_sleep(&mut self, setup: &Setup) {
        for (rank, actor) in Rank::all(self.actors.len()).zip(&mut self.actors) {
            if let Actor::Lying(liar) = actor {
                let setup = Setup { me: rank, ..setup.clone() };
                **liar = Liar::asleep(&setup, self.now).unwrap();
            }
        }
    }

    /// Wakes the liars.
    pub(super) fn begin(&mut self, strategy: Strategy) {
        for actor in &mut self.actors {
            if let Actor::Lying(liar) = actor {
                liar.begin(strategy);
            }
        }
    }

    pub(super) fn fired(&self) -> u64 {
        let fired = self.actors.iter().map(|actor| match actor {
            Actor::Correct(_) => 0,
            Actor::Lying(liar) => liar.fired(),
        });
        fired.sum()
    }

    fn post(&mut self, to: PeerId, frame: Vec<u8>) {
        let to = self.peers.iter().position(|peer| *peer == to).unwrap();
        let due = self.now.plus(self.delays.between(100, 600));
        self.sent += 1;
        self.frames.insert((due, self.sent), (to, frame));
    }

    fn step(&mut self, index: usize, input: Input<'_>) {
        let me = Rank::all(self.actors.len()).nth(index).unwrap();
        let mut frames: Vec<(PeerId, Vec<u8>)> = Vec::new();
        match &mut self.actors[index] {
            Actor::Lying(liar) => {
                let sent = liar.step(self.now, input);
                frames.extend(sent.into_iter().map(|sent| (sent.to, sent.frame)));
            }
            Actor::Correct(node) => {
                for output in node.step(self.now, input) {
                    match output {
                        Output::Transmit(transmit) => {
                            let mut frame = Vec::new();
                            transmit.append_to(&mut frame);
                            frames.push((transmit.to, frame));
                        }
                        Output::Event(event) => self.seen.event(me, event),
                        Output::Fault(fault) => {
                            self.seen.proven.insert((me, fault.culprit));
                        }
                    }
                }
            }
        }
        frames.into_iter().for_each(|(to, frame)| self.post(to, frame));
    }

    pub(super) fn cast(&mut self, index: usize, order: Order, payload: &[u8], ticket: u64) {
        let request = Request::Cast { order, payload };
        self.step(index, Input::Request(Ticket(ticket), request));
    }

    /// Lets `micros` pass.
    pub(super) fn run(&mut self, micros: u64) {
        let end = self.now.plus(micros);
        loop {
            let due = self.actors.iter().enumerate().filter_map(|(index, actor)| {
                let deadline = match actor {
                    Actor::Correct(node) => node.deadline(),
                    Actor::Lying(liar) => liar.deadline(),
                };
                deadline.map(|deadline| (deadline.max(self.now), index))
            });
            let tick = due.min();
            let frame = self.frames.keys().next().map(|(due, _)| *due);
            let next = [tick.map(|(due, _)| due), frame].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            match self.frames.first_entry().filter(|entry| entry.key().0 <= self.now) {
                Some(entry) => {
                    let (to, frame) = entry.remove();
                    self.step(to, Input::Frame(&frame));
                }
                None => {
                    if let Some((_, index)) = tick {
                        self.step(index, Input::Tick);
                    }
                }
            }
        }
        self.now = end;
    }

    /// Everybody casts for `rounds` rounds, then there is time for the rest.
    pub(super) fn work(&mut self, rounds: u64, rest_us: u64) {
        for round in 0..rounds {
            for index in 0..self.actors.len() {
                let order = if (round + index as u64).is_multiple_of(2) {
                    Order::Fifo
                } else {
                    Order::Total
                };
                let payload = format!("cast {round} of {index}");
                self.cast(index, order, payload.as_bytes(), round);
            }
            self.run(5_000);
        }
        self.run(rest_us);
    }
}

impl Seen {
    fn event(&mut self, me: Rank, event: Event) {
        match event {
            Event::Cast { sender, order, payload, .. } => {
                let cast = (sender, payload.to_vec());
                if order == Order::Total {
                    self.total.entry(me).or_default().push(cast.clone());
                }
                self.delivered.entry(me).or_default().push(cast);
            }
            Event::Suspected { subject, by, reason } if by == me => {
                self.suspected.entry((me, subject)).or_insert(reason);
            }
            Event::Alarm { .. } => self.alarms += 1,
            _ => {}
        }
    }

    /// The Fifo casts of `sender` that `by` delivered, in order.
    pub(super) fn in_order(&self, by: Rank, sender: Rank) -> Vec<Vec<u8>> {
        let total = self.total.get(&by);
        let all = self.delivered.get(&by).into_iter().flatten();
        all.filter(|cast| cast.0 == sender && !total.is_some_and(|total| total.contains(cast)))
            .map(|(_, payload)| payload.clone())
            .collect()
    }

    /// What `by` delivered from `sender`, sorted.
    pub(super) fn of(&self, by: Rank, sender: Rank) -> Vec<Vec<u8>> {
        let mut of = self.in_order(by, sender);
        let total = self.total.get(&by).into_iter().flatten();
        of.extend(total.filter(|(from, _)| *from == sender).map(|(_, payload)| payload.clone()));
        of.sort();
        of
    }
}
