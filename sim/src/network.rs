//! The network between the members: every frame that is sent passes here once and comes out as
//! any number of arrivals.
//!
//! Until the network heals it loses, delays, duplicates, reorders, replays, corrupts and cuts as
//! the scenario says; from then on frames take `min_us` to `max_us`, longer only where a link is too
//! narrow for them, and arrive once, unchanged.

use std::collections::BTreeMap;

use crate::rng::Stream;
use crate::scenario::{Network as Plan, Partition, ShortLink, SlowLink};

/// How many old frames are kept for replay.
const OLD_FRAMES: usize = 64;

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrives.
    pub at_us: u64,
    /// Where it comes from.
    pub from: u16,
    /// Where.
    pub to: u16,
    /// What.
    pub frame: Vec<u8>,
}

/// What the network did to frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lost.
    pub lost: u64,
    /// Lost to a partition.
    pub cut: u64,
    /// Longer than the link takes.
    pub too_long: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Old ones delivered again.
    pub replayed: u64,
    /// Changed.
    pub corrupted: u64,
    /// Hit by a delay spike.
    pub spiked: u64,
}

/// The network of one run.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    partitions: Vec<Partition>,
    heal_at_us: u64,
    members: usize,
    stream: Stream,
    free_at_us: Vec<u64>,
    /// Bytes per second of links that are slower than all others.
    slow: BTreeMap<(u16, u16), u64>,
    /// The longest frames of links that lose all longer ones.
    short: BTreeMap<(u16, u16), usize>,
    old: Vec<(u16, u16, Vec<u8>)>,
    tally: Tally,
}

impl Network {
    /// A network of so many hosts that heals at `heal_at_us`.
    #[must_use]
    pub fn new(
        plan: Plan,
        partitions: Vec<Partition>,
        heal_at_us: u64,
        members: u16,
        stream: Stream,
    ) -> Self {
        let members = usize::from(members);
        Self {
            plan,
            partitions,
            heal_at_us,
            members,
            stream,
            free_at_us: vec![0; members * members],
            slow: BTreeMap::new(),
            short: BTreeMap::new(),
            old: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// The same with these links slower than all others, for good.
    #[must_use]
    pub fn with_slow_links(mut self, links: &[SlowLink]) -> Self {
        for link in links {
            for (from, to) in
                link.from.iter().flat_map(|from| link.to.iter().map(move |to| (*from, *to)))
            {
                self.slow.insert((from, to), link.bytes_per_second);
                if link.both {
                    self.slow.insert((to, from), link.bytes_per_second);
                }
            }
        }
        self
    }

    /// The same with links that lose all long frames, for good.
    #[must_use]
    pub fn with_short_links(mut self, links: &[ShortLink]) -> Self {
        for link in links {
            for (from, to) in
                link.from.iter().flat_map(|from| link.to.iter().map(move |to| (*from, *to)))
            {
                self.short.insert((from, to), link.frame_max);
                if link.both {
                    self.short.insert((to, from), link.frame_max);
                }
            }
        }
        self
    }

    /// What it did so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends `frame`; what comes of it is appended to `arrivals`.
    pub fn send(
        &mut self,
        now_us: u64,
        from: u16,
        to: u16,
        mut frame: Vec<u8>,
        arrivals: &mut Vec<Arrival>,
    ) {
        if self.short.get(&(from, to)).is_some_and(|frame_max| frame.len() > *frame_max) {
            self.tally.too_long += 1;
            return;
        }
        let start_us = self.queue(now_us, from, to, frame.len());
        if now_us >= self.heal_at_us {
            let at_us = start_us + self.stream.between(self.plan.min_us, self.plan.max_us);
            arrivals.push(Arrival { at_us, from, to, frame });
            return;
        }
        self.replay(now_us, (from, to), &frame, arrivals);
        if self.is_cut(now_us, from, to) {
            self.tally.cut += 1;
            return;
        }
        if self.stream.permille(self.plan.loss_permille) {
            self.tally.lost += 1;
            return;
        }
        if self.stream.permille(self.plan.duplicate_permille) {
            self.tally.duplicated += 1;
            let at_us = start_us + self.delay();
            arrivals.push(Arrival { at_us, from, to, frame: frame.clone() });
        }
        if self.stream.permille(self.plan.corrupt_permille) && !frame.is_empty() {
            self.tally.corrupted += 1;
            let at = self.stream.index(frame.len());
            frame[at] ^= 1 << self.stream.below(8);
        }
        let at_us = start_us + self.delay();
        arrivals.push(Arrival { at_us, from, to, frame });
    }

    /// When the link has room for a frame of this length.
    fn queue(&mut self, now_us: u64, from: u16, to: u16, len: usize) -> u64 {
        let all = self.plan.bytes_per_second;
        let bytes_per_second = match self.slow.get(&(from, to)) {
            Some(slow) if all == 0 => *slow,
            Some(slow) => all.min(*slow),
            None => all,
        };
        if bytes_per_second == 0 {
            return now_us;
        }
        let link = usize::from(from) * self.members + usize::from(to);
        let takes = (len as u64).saturating_mul(1_000_000) / bytes_per_second;
        let free = &mut self.free_at_us[link];
        *free = (*free).max(now_us).saturating_add(takes);
        *free
    }

    fn is_cut(&self, now_us: u64, from: u16, to: u16) -> bool {
        self.partitions.iter().any(|cut| {
            let there = cut.from.contains(&from) && cut.to.contains(&to);
            let back = cut.both && cut.from.contains(&to) && cut.to.contains(&from);
            (cut.from_us..cut.until_us).contains(&now_us) && (there || back)
        })
    }

    fn delay(&mut self) -> u64 {
        let mut delay = self.stream.between(self.plan.min_us, self.plan.max_us);
        if self.stream.permille(self.plan.spike_permille) {
            self.tally.spiked += 1;
            delay += self.stream.between(0, self.plan.spike_us);
        }
        delay
    }

    /// Remembers `frame`, and now and then lets an old one arrive again, where it was for or
    /// somewhere else.
    fn replay(
        &mut self,
        now_us: u64,
        (from, to): (u16, u16),
        frame: &[u8],
        arrivals: &mut Vec<Arrival>,
    ) {
        if self.plan.replay_permille == 0 {
            return;
        }
        if !self.old.is_empty() && self.stream.permille(self.plan.replay_permille) {
            let (from, mut to, frame) = self.old[self.stream.index(self.old.len())].clone();
            if self.stream.permille(250) {
                to = u16::try_from(self.stream.index(self.members)).unwrap_or(to);
            }
            self.tally.replayed += 1;
            let at_us = now_us + self.delay();
            arrivals.push(Arrival { at_us, from, to, frame });
        }
        if self.old.len() < OLD_FRAMES {
            self.old.push((from, to, frame.to_vec()));
        } else if self.stream.permille(100) {
            let at = self.stream.index(OLD_FRAMES);
            self.old[at] = (from, to, frame.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    const HEAL: u64 = 1_000_000;

    fn network(plan: Plan, partitions: Vec<Partition>) -> Network {
        Network::new(plan, partitions, HEAL, 4, Seed(1).stream("network", 0))
    }

    /// Sends 1,000 frames 0 -> 1 from `start_us` on, 10 us apart.
    fn thousand(network: &mut Network, start_us: u64) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for i in 0..1_000_u64 {
            let frame = i.to_le_bytes().to_vec();
            network.send(start_us + 10 * i, 0, 1, frame, &mut arrivals);
        }
        arrivals
    }

    #[test]
    fn delays_stay_within_bounds_and_reorder() {
        let mut network = network(Plan { min_us: 50, max_us: 90, ..Plan::default() }, Vec::new());
        let arrivals = thousand(&mut network, 0);
        assert_eq!(arrivals.len(), 1_000);
        let delays = || arrivals.iter().zip(0..).map(|(a, i)| a.at_us - 10 * i);
        assert_eq!((delays().min(), delays().max()), (Some(50), Some(90)));
        assert!(!arrivals.is_sorted_by_key(|arrival| arrival.at_us));
    }

    #[test]
    fn loss_duplication_replay_and_corruption_happen_as_often_as_asked() {
        let quiet = Plan::default();
        let mut lossy = network(Plan { loss_permille: 300, ..quiet }, Vec::new());
        let got = thousand(&mut lossy, 0).len();
        assert!((640..760).contains(&got), "{got}");
        let mut double = network(Plan { duplicate_permille: 300, ..quiet }, Vec::new());
        let got = thousand(&mut double, 0).len();
        assert!((1_240..1_360).contains(&got), "{got}");
        let mut replaying = network(Plan { replay_permille: 300, ..quiet }, Vec::new());
        let arrivals = thousand(&mut replaying, 0);
        assert!((1_240..1_360).contains(&arrivals.len()), "{}", arrivals.len());
        assert!(arrivals.iter().any(|arrival| arrival.to != 1));
        let mut corrupt = network(Plan { corrupt_permille: 300, ..quiet }, Vec::new());
        let arrivals = thousand(&mut corrupt, 0);
        let changed = arrivals.iter().zip(0_u64..).filter(|(a, i)| a.frame != i.to_le_bytes());
        let changed = changed.count();
        assert!((240..360).contains(&changed), "{changed}");
    }

    #[test]
    fn nothing_happens_to_frames_after_healing() {
        let plan = Plan {
            loss_permille: 500,
            duplicate_permille: 500,
            replay_permille: 500,
            corrupt_permille: 500,
            spike_permille: 500,
            spike_us: 1_000_000,
            ..Plan::default()
        };
        let mut network = network(plan, Vec::new());
        thousand(&mut network, 0);
        let arrivals = thousand(&mut network, HEAL);
        assert_eq!(arrivals.len(), 1_000);
        for (arrival, i) in arrivals.iter().zip(0_u64..) {
            assert_eq!((arrival.to, &arrival.frame[..]), (1, &i.to_le_bytes()[..]));
            assert!(arrival.at_us - (HEAL + 10 * i) <= plan.max_us);
        }
    }

    #[test]
    fn partitions_cut_the_links_they_name_while_they_last() {
        let (from, to) = (vec![0], vec![1]);
        let cut = Partition { from, to, both: false, from_us: 100, until_us: 200 };
        let both = Partition { both: true, ..cut.clone() };
        let arrives = |cut: &Partition, now_us, from, to| {
            let mut arrivals = Vec::new();
            network(Plan::default(), vec![cut.clone()]).send(
                now_us,
                from,
                to,
                vec![1],
                &mut arrivals,
            );
            !arrivals.is_empty()
        };
        assert!(arrives(&cut, 99, 0, 1) && !arrives(&cut, 100, 0, 1));
        assert!(!arrives(&cut, 199, 0, 1) && arrives(&cut, 200, 0, 1));
        assert!(arrives(&cut, 150, 1, 0) && !arrives(&both, 150, 1, 0));
        assert!(arrives(&both, 150, 2, 1));
    }

    #[test]
    fn a_slow_link_is_slower_than_the_others_for_good() {
        let both = SlowLink { from: vec![0], to: vec![1], both: true, bytes_per_second: 8_000 };
        let plan = Plan { min_us: 1, max_us: 1, ..Plan::default() };
        let mut network = network(plan, Vec::new()).with_slow_links(&[both]);
        let mut arrivals = Vec::new();
        for (from, to) in [(0, 1), (0, 1), (1, 0), (0, 2)] {
            network.send(HEAL, from, to, vec![0; 8], &mut arrivals);
        }
        let times: Vec<u64> = arrivals.iter().map(|arrival| arrival.at_us - HEAL).collect();
        assert_eq!(times, [1_001, 2_001, 1_001, 1]);
    }

    #[test]
    fn a_short_link_loses_long_frames_for_good() {
        let short = ShortLink { from: vec![0], to: vec![1], both: false, frame_max: 8 };
        let mut network = network(Plan::default(), Vec::new()).with_short_links(&[short]);
        let mut arrivals = Vec::new();
        for (from, to, len) in [(0, 1, 8), (0, 1, 9), (1, 0, 9), (0, 2, 9)] {
            network.send(HEAL, from, to, vec![0; len], &mut arrivals);
        }
        let sent: Vec<(u16, u16)> = arrivals.iter().map(|frame| (frame.from, frame.to)).collect();
        assert_eq!((sent, network.tally().too_long), (vec![(0, 1), (1, 0), (0, 2)], 1));
    }

    #[test]
    fn a_capped_link_queues() {
        let plan = Plan { bytes_per_second: 8_000, min_us: 1, max_us: 1, ..Plan::default() };
        let mut network = network(plan, Vec::new());
        let mut arrivals = Vec::new();
        for _ in 0..3 {
            network.send(0, 0, 1, vec![0; 8], &mut arrivals);
        }
        network.send(0, 1, 0, vec![0; 8], &mut arrivals);
        let times: Vec<u64> = arrivals.iter().map(|arrival| arrival.at_us).collect();
        assert_eq!(times, [1_001, 2_001, 3_001, 1_001]);
    }
}
