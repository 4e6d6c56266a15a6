//! What all members of a run share: time, the network, the oracles, the record.

use phalanx_core::{PeerId, Transmit, View};

use super::meter::Meter;
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

/// A bug that makes a run spin.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    /// Every frame that arrives is sent back twice.
    Echo,
    /// The outputs of a step have no end.
    Outputs,
}

/// Everything but the members.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now_us: u64,
    pub(super) steps: u64,
    pub(super) meter: Meter,
    /// A bug that a test plants.
    #[cfg(test)]
    pub(super) planted: Option<Planted>,
    pub(super) queue: Queue,
    pub(super) network: Network,
    pub(super) oracles: Oracles,
    pub(super) recorder: Recorder,
    pub(super) cost: Cost,
    /// Whether processes that are out come back.
    pub(super) rejoins: bool,
    /// Comings and goings that are still to happen.
    pub(super) pending: usize,
    pub(super) script: Script,
    peers: Vec<PeerId>,
    arrivals: Vec<Arrival>,
    pool: Vec<Vec<u8>>,
}

impl World {
    pub(super) fn new(
        scenario: &Scenario,
        (genesis, peers): (&View, Vec<PeerId>),
        oracles: Oracles,
        recorder: Recorder,
    ) -> Self {
        let stream = |name| Seed(scenario.seed).stream(name, 0);
        let network = Network::new(
            scenario.network,
            scenario.partitions.clone(),
            scenario.heal_at_us,
            scenario.hosts(),
            stream("network"),
        )
        .with_slow_links(&scenario.slow_links)
        .with_short_links(&scenario.short_links);
        Self {
            now_us: 0,
            steps: 0,
            meter: Meter::new(scenario.hosts()),
            #[cfg(test)]
            planted: None,
            queue: Queue::default(),
            network,
            oracles,
            recorder,
            cost: Cost::of(scenario.cost),
            rejoins: scenario.rejoin,
            pending: 0,
            script: Script::new(scenario, genesis, stream("script")),
            peers,
            arrivals: Vec::new(),
            pool: Vec::new(),
        }
    }

    /// The host of this name.
    pub(super) fn host(&self, peer: PeerId) -> Option<u16> {
        let host = self.peers.iter().position(|known| *known == peer)?;
        u16::try_from(host).ok()
    }

    /// Correct process `life` on a host sends `transmit` to another at `at_us`.
    pub(super) fn transmit(
        &mut self,
        at_us: u64,
        (life, from): (u16, u16),
        to: u16,
        transmit: &Transmit,
    ) {
        self.oracles.frame(self.now_us, usize::from(life), usize::from(to), transmit);
        let mut frame = self.pool.pop().unwrap_or_default();
        transmit.append_to(&mut frame);
        self.dispatch(at_us, from, to, frame);
    }

    /// A liar sends `frame`; what is for nobody is lost.
    pub(super) fn lie(&mut self, from: u16, to: PeerId, frame: Vec<u8>) {
        if let Some(to) = self.host(to) {
            self.dispatch(self.now_us, from, to, frame);
        }
    }

    fn dispatch(&mut self, at_us: u64, from: u16, to: u16, bytes: Vec<u8>) {
        if !self.meter.frame(from) {
            return self.recycle(bytes);
        }
        let frame = Frame { from, to, bytes };
        match self.script.sent(at_us, &frame) {
            (Fate::Late, delay_us) => self.deliver(at_us + delay_us, frame),
            (Fate::Drop | Fate::Hold, _) => self.recycle(frame.bytes),
        }
    }

    /// A frame arrives.
    pub(super) fn read(&mut self, (from, to): (u16, u16), bytes: &[u8]) {
        self.script.read(from, to, bytes);
        #[cfg(test)]
        if self.planted == Some(Planted::Echo) {
            (0..2).for_each(|_| self.dispatch(self.now_us, to, from, bytes.to_vec()));
        }
    }

    /// Counts an output of a member's step; says whether it may have more.
    pub(super) fn may_put_out(&mut self, member: u16) -> bool {
        #[cfg(test)]
        if self.planted == Some(Planted::Outputs) {
            while self.meter.output(member) {}
        }
        self.meter.output(member)
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
