//! What an ordered message costs the whole group, next to the floor that the signatures set
//! (protocol.md section 16). The one place of the simulator that looks at a clock.
//!
//! All members of an in-memory group cast in lock step: everybody's frames are delivered, then
//! everybody ticks. Time is taken around [`phalanx_core::Node::step`] and the draining of its
//! outputs; putting head and body of a frame together, the network's work, is not counted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use phalanx_core::crypto::{CryptoCounters, Door, Head, Heads, Key, Roster, Signed, sha256};
use phalanx_core::wire::{List, casts};
use phalanx_core::{Config, Hash32, Number, Order, Pattern, PerRank, Quorum, QuorumRule, Rank};

use crate::group::{Crypto, Group, all, genesis, identity};

/// One load to measure.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Members, all of which cast.
    pub n: usize,
    /// Bytes of each cast.
    pub payload: usize,
    /// Casts that each member hands over per round; they become one body.
    pub casts_per_body: usize,
    /// Message pattern.
    pub pattern: Pattern,
    /// Rounds measured, after some to warm up.
    pub rounds: usize,
}

/// What a load cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Casts ordered, each counted once for the group.
    pub casts: u64,
    /// Bodies that carried them.
    pub bodies: u64,
    /// Time in the nodes.
    pub spent: Duration,
    /// The least that signatures and payload hashes alone take, measured in the same run.
    pub floor: Duration,
    /// Cryptography of all members.
    pub crypto: CryptoCounters,
    /// Frames of all members.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Cost {
    /// Microseconds of the whole group per ordered cast.
    #[must_use]
    pub fn us_per_cast(&self) -> f64 {
        self.spent.as_secs_f64() * 1e6 / self.casts.max(1) as f64
    }

    /// The floor in microseconds per ordered cast.
    #[must_use]
    pub fn floor_us_per_cast(&self) -> f64 {
        self.floor.as_secs_f64() * 1e6 / self.casts.max(1) as f64
    }
}

const WARM_UP: usize = 20;

/// A group that runs a load.
#[derive(Debug)]
pub struct Lockstep {
    group: Group,
    load: Load,
    payload: Vec<u8>,
}

impl Lockstep {
    /// A fresh group, warmed up; with real signatures or ideal ones.
    #[must_use]
    pub fn new(load: Load, crypto: Crypto) -> Self {
        let mut genesis = genesis(crypto, load.n);
        genesis.pattern = load.pattern;
        let body = load.casts_per_body * (load.payload + casts::PREFIX + casts::CAST_COST);
        let body_max = u32::try_from(body).unwrap_or(u32::MAX).max(256 * 1024);
        genesis.limits.body_max = body_max;
        genesis.limits.window_bytes = genesis.limits.window_bytes.max(16 * body_max);
        let config = Config {
            frame_max: Config::FRAME_MAX,
            cast_queue_bytes: 8 * body_max as usize,
            ..Config::new(genesis)
        };
        let mut group = Group::with(crypto, config);
        group.keep_nothing();
        let mut lockstep = Self { group, load, payload: vec![0x5a; load.payload] };
        for _ in 0..WARM_UP {
            lockstep.round();
        }
        lockstep
    }

    /// One round: everybody casts, hears everything, and ticks.
    pub fn round(&mut self) {
        for member in 0..self.load.n {
            self.group.cast_many(member, Order::Total, &self.payload, self.load.casts_per_body);
        }
        self.group.deliver(all);
        self.group.tick();
        self.group.now = self.group.now.plus(1_000);
    }

    fn totals(&self) -> (CryptoCounters, u64, u64) {
        let mut sum = CryptoCounters::default();
        let (mut frames, mut bytes) = (0, 0);
        for node in &self.group.nodes {
            let counters = node.counters();
            sum.signatures += counters.crypto.signatures;
            sum.verifications += counters.crypto.verifications;
            sum.verdicts_reused += counters.crypto.verdicts_reused;
            sum.hashes += counters.crypto.hashes;
            sum.hashed_bytes += counters.crypto.hashed_bytes;
            sum.macs += counters.crypto.macs;
            frames += counters.frames_out;
            bytes += counters.bytes_out;
        }
        (sum, frames, bytes)
    }

    /// Runs `rounds` rounds and counts; `spent` only if `is_timed`.
    pub fn measure(&mut self, rounds: usize, is_timed: bool) -> Cost {
        let (before, frames, bytes) = self.totals();
        let casts = self.group.casts;
        self.group.spent = is_timed.then_some(Duration::ZERO);
        for _ in 0..rounds {
            self.round();
        }
        let (after, frames_now, bytes_now) = self.totals();
        let n = self.load.n as u64;
        Cost {
            casts: (self.group.casts - casts) / n,
            bodies: rounds as u64 * n,
            spent: self.group.spent.take().unwrap_or_default(),
            floor: Duration::ZERO,
            crypto: CryptoCounters {
                signatures: after.signatures - before.signatures,
                verifications: after.verifications - before.verifications,
                verdicts_reused: after.verdicts_reused - before.verdicts_reused,
                bad_signatures: 0,
                hashes: after.hashes - before.hashes,
                hashed_bytes: after.hashed_bytes - before.hashed_bytes,
                macs: after.macs - before.macs,
            },
            frames: frames_now - frames,
            bytes: bytes_now - bytes,
        }
    }
}

/// The floor of one body: one signature and `n - 1` strict verifications of a statement as large as
/// a busy group's, and one hash of the payload per member.
#[must_use]
pub fn floor_of_a_body(load: &Load, repeats: u32) -> Duration {
    let mut door = Door::new(identity(Crypto::Real, 0));
    let quorum = Quorum::of(4, QuorumRule::Sound);
    let key = Key::decode(door.identity().suite(), door.identity().public_key()).expect("strong");
    let roster =
        Roster::new(Hash32([1; 32]), Hash32([2; 32]), PerRank::from_vec(vec![key]), quorum);
    let payload = vec![0x5a; load.casts_per_body * load.payload];
    let mut spent = Duration::ZERO;
    for repeat in 0..repeats {
        let entry = |sender| Head {
            sender,
            number: Number::new(u64::from(repeat) + 1),
            hash: Hash32([3; 32]),
        };
        let heads = Heads { entries: Rank::all(load.n).map(entry).collect::<List<_, 64>>() };
        let started = Instant::now();
        let signed: Signed<Heads> =
            door.sign(&roster, Rank::new(0), heads).signed().as_ref().clone();
        for _ in 1..load.n {
            assert!(black_box(roster.verifies(black_box(&signed))), "a good signature");
        }
        for _ in 0..load.n {
            black_box(sha256(black_box(&payload)));
        }
        spent += started.elapsed();
    }
    spent / repeats.max(1)
}

/// The loads of the table: 64 B and 1 KiB, from one cast per body to 1,024.
#[must_use]
pub fn loads(pattern: Pattern, quick: bool) -> Vec<Load> {
    let mut loads = Vec::new();
    for payload in [64, 1024] {
        for casts_per_body in [1, 16, 256, 1024] {
            for n in [4, 7, 10] {
                let rounds = if casts_per_body >= 256 { 60 } else { 150 };
                let rounds = if quick { rounds / 10 } else { rounds };
                loads.push(Load { n, payload, casts_per_body, pattern, rounds });
            }
        }
    }
    loads
}

/// The head of the table that [`row`] fills.
pub const HEAD: &str = "pattern  n  payload  casts/body   us/cast  floor us   ratio  \
     sign/body  verify/body  hashes/body  frames/body  bytes/cast";

/// One line of the table: time per ordered cast for the whole group, its floor, and what was
/// counted.
#[must_use]
pub fn row(load: &Load, cost: &Cost) -> String {
    let per_body = |count: u64| count as f64 / cost.bodies.max(1) as f64;
    format!(
        "{:7} {:2} {:8} {:11} {:9.3} {:9.3} {:7.3} {:10.3} {:12.3} {:12.2} {:12.2} {:11.0}",
        format!("{:?}", load.pattern),
        load.n,
        load.payload,
        load.casts_per_body,
        cost.us_per_cast(),
        cost.floor_us_per_cast(),
        cost.us_per_cast() / cost.floor_us_per_cast(),
        per_body(cost.crypto.signatures),
        per_body(cost.crypto.verifications),
        per_body(cost.crypto.hashes),
        per_body(cost.frames),
        cost.bytes as f64 / cost.casts.max(1) as f64,
    )
}

/// Measures a load several times, the floor in between, and returns the run of median ratio.
#[must_use]
pub fn measure(load: Load, runs: usize) -> Cost {
    let mut lockstep = Lockstep::new(load, Crypto::Real);
    let mut costs: Vec<Cost> = (0..runs.max(1))
        .map(|_| {
            let repeats = u32::try_from(load.rounds).unwrap_or(u32::MAX).min(50);
            let before = floor_of_a_body(&load, repeats);
            let mut cost = lockstep.measure(load.rounds, true);
            let after = floor_of_a_body(&load, repeats);
            cost.floor = (before + after) / 2 * u32::try_from(cost.bodies).unwrap_or(u32::MAX);
            cost
        })
        .collect();
    let ratio = |cost: &Cost| cost.spent.as_secs_f64() / cost.floor.as_secs_f64();
    costs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    costs[costs.len() / 2]
}
