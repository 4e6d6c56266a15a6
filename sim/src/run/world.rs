//! What all members of a run share: time, the network, the oracles, the record.

use phalanx_core::{PeerId, Transmit, View, peek_sender};

use super::queue::{Queue, What};
use crate::cost::Cost;
use crate::network::{Arrival, Network};
use crate::oracle::Oracles;
use crate::rng::Seed;
use crate::scenario::{Fate, Scenario};
use crate::script::{Frame, Script};
use crate::trace::Recorder;

/// Buffers kept to be used again.
const POOL: usize = 1024;

/// Everything but the members.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now_us: u64,
    pub(super) steps: u64,
    pub(super) queue: Queue,
    pub(super) network: Network,
    pub(super) oracles: Oracles,
    pub(super) recorder: Recorder,
    pub(super) cost: Cost,
    pub(super) script: Script,
    peers: Vec<PeerId>,
    arrivals: Vec<Arrival>,
    pool: Vec<Vec<u8>>,
}

impl World {
    pub(super) fn new(
        scenario: &Scenario,
        genesis: &View,
        oracles: Oracles,
        recorder: Recorder,
    ) -> Self {
        let stream = |name| Seed(scenario.seed).stream(name, 0);
        let network = Network::new(
            scenario.network,
            scenario.partitions.clone(),
            scenario.heal_at_us,
            scenario.members,
            stream("network"),
        );
        Self {
            now_us: 0,
            steps: 0,
            queue: Queue::default(),
            network,
            oracles,
            recorder,
            cost: Cost::of(scenario.cost),
            script: Script::new(scenario, genesis, stream("script")),
            peers: genesis.peers().values().copied().collect(),
            arrivals: Vec::new(),
            pool: Vec::new(),
        }
    }

    fn process(&self, peer: PeerId) -> Option<u16> {
        let process = self.peers.iter().position(|known| *known == peer)?;
        u16::try_from(process).ok()
    }

    /// Correct member `from` sends `transmit` at `at_us`.
    pub(super) fn transmit(&mut self, at_us: u64, from: u16, transmit: &Transmit) {
        let Some(to) = self.process(transmit.to) else { return };
        self.oracles.frame(self.now_us, usize::from(from), usize::from(to), transmit);
        let mut frame = self.pool.pop().unwrap_or_default();
        transmit.append_to(&mut frame);
        self.dispatch(at_us, from, to, frame);
    }

    /// A liar sends `frame`; what is for nobody is lost.
    pub(super) fn lie(&mut self, from: u16, to: PeerId, frame: Vec<u8>) {
        if let Some(to) = self.process(to) {
            self.dispatch(self.now_us, from, to, frame);
        }
    }

    fn dispatch(&mut self, at_us: u64, from: u16, to: u16, bytes: Vec<u8>) {
        let frame = Frame { from, to, bytes };
        match self.script.sent(at_us, &frame) {
            (Fate::Late, delay_us) => self.deliver(at_us + delay_us, frame),
            (Fate::Drop | Fate::Hold, _) => self.recycle(frame.bytes),
        }
    }

    /// A frame arrives.
    pub(super) fn read(&mut self, to: u16, bytes: &[u8]) {
        let from = peek_sender(bytes).and_then(|peer| self.process(peer));
        if let Some(from) = from {
            self.script.read(from, to, bytes);
        }
    }

    /// Frames that were held and need not wait any longer go on.
    pub(super) fn release(&mut self) {
        for frame in self.script.released(self.now_us) {
            self.deliver(self.now_us, frame);
        }
    }

    fn deliver(&mut self, at_us: u64, frame: Frame) {
        self.network.send(at_us, frame.from, frame.to, frame.bytes, &mut self.arrivals);
        for arrival in self.arrivals.drain(..) {
            self.queue.push(arrival.at_us, What::Frame(arrival));
        }
    }

    /// The frame was read; its buffer serves again.
    pub(super) fn recycle(&mut self, mut frame: Vec<u8>) {
        if self.pool.len() < POOL {
            frame.clear();
            self.pool.push(frame);
        }
    }
}
