//! The application of a simulated process, where members hand over their state: what it was
//! delivered, as a chain of hashes for the total order and one for the Fifo casts of each key. So
//! two are equal where a view begins, in whatever order Fifo casts of different senders came, and
//! nowhere else. Padding that follows from the chains makes it as long as the scenario wants.
//!
//! It does what the core asks of an application ([`phalanx_core::Event::SnapshotWanted`] and what
//! follows), notices where the core does not keep its side of that contract ([`Moment::Wrong`]),
//! and keeps no more than the chains behind each snapshot: chunks are made when they are wanted.

use std::collections::{BTreeMap, VecDeque};

use phalanx_core::crypto::{Hash32, PublicKey, sha256};
use phalanx_core::wire::transfer::CHUNK_BYTES;
use phalanx_core::{Event, Order, Rank, Refusal, Request};

use crate::rng::{Seed, Stream};

/// The longest padding.
pub const STATE_MAX: usize = 16 * 1024 * 1024;

/// The most snapshots that the core has an application keep.
const SNAPSHOTS_MAX: usize = 8;

/// Bytes of a chain: how many casts, and their hash.
const CHAIN: usize = 8 + Hash32::LEN;

/// What the oracles should know of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has come to where this view begins, with a state of this hash.
    Begins {
        /// Number of the view.
        view: u64,
        /// Hash of the state.
        state: Hash32,
    },
    /// It has loaded the state with which this view began.
    Loaded {
        /// Number of the view.
        view: u64,
        /// Hash of the state.
        state: Hash32,
    },
    /// The core told or asked it what it must not.
    Wrong(String),
}

/// What it hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A snapshot is there: its view and length, and the hashes of its chunks.
    Ready(u64, u64, Vec<Hash32>),
    /// A chunk of the snapshot of a view, and which.
    Chunk(u64, u32, Vec<u8>),
}

impl Reply {
    /// The same as a request.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        match self {
            Self::Ready(view, length, chunks) => {
                Request::SnapshotReady { view: *view, length: *length, chunks }
            }
            Self::Chunk(view, index, bytes) => Request::Chunk { view: *view, index: *index, bytes },
        }
    }
}

/// What it owes the core: the snapshot of a view, or a chunk of it.
#[derive(Clone, Copy, Debug)]
struct Debt {
    view: u64,
    chunk: Option<u32>,
}

/// How many casts there were, and the hash over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain {
    count: u64,
    hash: Hash32,
}

impl Chain {
    const EMPTY: Self = Self { count: 0, hash: Hash32([0; 32]) };

    fn push(&mut self, view: u64, sender: Rank, payload: &[u8]) {
        let head = [&self.hash.0[..], &view.to_le_bytes(), &sender.value().to_le_bytes()].concat();
        *self = Self { count: self.count + 1, hash: sha256(&[&head[..], payload].concat()) };
    }

    fn bytes(&self) -> Vec<u8> {
        [&self.count.to_le_bytes()[..], &self.hash.0].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (count, hash) = bytes.split_first_chunk::<8>()?;
        Some(Self { count: u64::from_le_bytes(*count), hash: Hash32(hash.try_into().ok()?) })
    }
}

/// What was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    total: Chain,
    fifo: BTreeMap<PublicKey, Chain>,
}

impl Content {
    const fn empty() -> Self {
        Self { total: Chain::EMPTY, fifo: BTreeMap::new() }
    }

    /// The bytes that all else follows from.
    fn head(&self) -> Vec<u8> {
        let mut head = (self.fifo.len() as u64).to_le_bytes().to_vec();
        head.extend(self.total.bytes());
        for (key, chain) in &self.fifo {
            head.extend(key.0);
            head.extend(chain.bytes());
        }
        head
    }

    /// Reads a head at the beginning of `bytes`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<8>()?;
        let (total, mut rest) = rest.split_at_checked(CHAIN)?;
        let mut content = Self { total: Chain::read(total)?, fifo: BTreeMap::new() };
        for _ in 0..u64::from_le_bytes(*count) {
            let (key, more) = rest.split_first_chunk::<32>()?;
            let (chain, more) = more.split_at_checked(CHAIN)?;
            content.fifo.insert(PublicKey(*key), Chain::read(chain)?);
            rest = more;
        }
        Some(content)
    }
}

/// The bytes of a state from one place to another; its head is followed by padding.
fn bytes(head: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut out: Vec<u8> = head.get(from..to.min(head.len())).unwrap_or_default().to_vec();
    let seed = sha256(head).prefix();
    let mut word = (u64::MAX, [0; 8]);
    for at in (from + out.len())..to {
        let index = at as u64 / 8;
        if word.0 != index {
            let mut mixed = (seed ^ index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (index, (mixed ^ (mixed >> 32)).to_le_bytes());
        }
        out.push(word.1[at % 8]);
    }
    out
}

/// The application of one process.
#[derive(Debug)]
pub struct Application {
    /// How long its state is at least; `None` where no state is handed over.
    least: Option<usize>,
    /// What it has of the state that it loads; `None` if it has its own.
    loading: Option<Vec<u8>>,
    content: Content,
    /// Who the ranks of views are that casts may still come of.
    keys: VecDeque<(u64, Vec<PublicKey>)>,
    /// The heads of snapshots by view.
    snapshots: BTreeMap<u64, Vec<u8>>,
    /// What it owes, by when it hands it over.
    debts: BTreeMap<(u64, u64), Debt>,
    made: u64,
    delay_us: u64,
    stream: Stream,
}

impl Application {
    /// One with a state of at least so many bytes, if it hands over any, that takes up to
    /// `delay_us` for it; `joins` tells whether it has to load it first.
    #[must_use]
    pub const fn new(least: Option<usize>, delay_us: u64, joins: bool, stream: Stream) -> Self {
        let loading = if joins && least.is_some() { Some(Vec::new()) } else { None };
        Self {
            least,
            loading,
            content: Content::empty(),
            keys: VecDeque::new(),
            snapshots: BTreeMap::new(),
            debts: BTreeMap::new(),
            made: 0,
            delay_us,
            stream,
        }
    }

    /// One of a process that is gone.
    #[must_use]
    pub fn none() -> Self {
        Self::new(None, 0, false, Seed(0).stream("application", 0))
    }

    /// The hash of its state, if it hands over any and has it.
    #[must_use]
    pub fn state(&self) -> Option<Hash32> {
        (self.least.is_some() && self.loading.is_none()).then(|| sha256(&self.content.head()))
    }

    /// It is told something.
    pub fn on_event(&mut self, now_us: u64, event: &Event) -> Option<Moment> {
        self.least?;
        let told = match event {
            Event::View(view) => {
                if self.loading.is_none() {
                    self.keys.clear();
                }
                let keys = view.members.iter().map(|member| member.key).collect();
                self.keys.push_back((view.number, keys));
                return self.begins(view.number);
            }
            Event::Cast { view, sender, order, payload, .. } => {
                self.on_cast(*view, *sender, *order, payload)
            }
            Event::State { offset, bytes, total } => self.on_state(*offset, bytes, *total),
            Event::StateLoaded { view, total } => match self.on_loaded(*total) {
                Ok(()) => return self.state().map(|state| Moment::Loaded { view: *view, state }),
                Err(text) => Err(text),
            },
            Event::StateLost => {
                (self.content, self.loading) = (Content::empty(), Some(Vec::new()));
                Ok(())
            }
            Event::SnapshotWanted { view } => match self.on_snapshot_wanted(now_us, *view) {
                Ok(()) => return self.begins(*view),
                Err(text) => Err(text),
            },
            Event::ChunkWanted { view, index } => {
                self.owe(now_us, Debt { view: *view, chunk: Some(*index) });
                let is_kept = self.snapshots.contains_key(view);
                is_kept.then_some(()).ok_or_else(|| format!("a chunk of view {view}, not kept"))
            }
            Event::SnapshotReleased { view } => {
                self.debts.retain(|_, debt| debt.view != *view);
                let kept = self.snapshots.remove(view);
                kept.map(drop).ok_or_else(|| format!("a snapshot of view {view}, not kept"))
            }
            Event::StateTooLarge { length } => Err(format!("a state of {length} bytes, too large")),
            Event::Excluded { .. } => {
                self.snapshots.clear();
                self.debts.clear();
                Ok(())
            }
            _ => Ok(()),
        };
        told.err().map(Moment::Wrong)
    }

    fn begins(&self, view: u64) -> Option<Moment> {
        self.state().map(|state| Moment::Begins { view, state })
    }

    fn on_cast(
        &mut self,
        view: u64,
        sender: Rank,
        order: Order,
        payload: &[u8],
    ) -> Result<(), String> {
        if self.loading.is_some() {
            return Err(format!("a cast of view {view} before it has the state"));
        }
        self.keys.retain(|(number, _)| *number >= view);
        let keys = self.keys.front().filter(|(number, _)| *number == view);
        let key = keys.and_then(|(_, keys)| keys.get(sender.index())).copied();
        let key = key.ok_or_else(|| format!("a cast of rank {sender} of view {view}"))?;
        let chain = match order {
            Order::Fifo => self.content.fifo.entry(key).or_insert(Chain::EMPTY),
            Order::Total => &mut self.content.total,
        };
        chain.push(view, sender, payload);
        Ok(())
    }

    fn on_state(&mut self, offset: u64, bytes: &[u8], total: u64) -> Result<(), String> {
        let Some(got) = &mut self.loading else {
            return Err("a piece of a state that it has".to_owned());
        };
        let has = got.len() as u64;
        if offset != has || has + bytes.len() as u64 > total {
            return Err(format!("{} bytes at {offset} of {total}, it has {has}", bytes.len()));
        }
        got.extend_from_slice(bytes);
        Ok(())
    }

    fn on_loaded(&mut self, total: u64) -> Result<(), String> {
        let got = self.loading.take().ok_or("that it has loaded what it has")?;
        let content = Content::read(&got).filter(|_| got.len() as u64 == total);
        let content = content.ok_or_else(|| format!("{} bytes that are no state", got.len()))?;
        let head = content.head();
        let is_it = got.len() == self.length(&head) && bytes(&head, 0, got.len()) == got;
        self.content = content;
        is_it.then_some(()).ok_or_else(|| "a state with other bytes in it".to_owned())
    }

    fn on_snapshot_wanted(&mut self, now_us: u64, view: u64) -> Result<(), String> {
        if self.loading.is_some() {
            return Err(format!("a snapshot of view {view}, without a state"));
        }
        self.snapshots.insert(view, self.content.head());
        self.owe(now_us, Debt { view, chunk: None });
        let kept = self.snapshots.len();
        (kept <= SNAPSHOTS_MAX).then_some(()).ok_or_else(|| format!("{kept} snapshots to keep"))
    }

    fn owe(&mut self, now_us: u64, debt: Debt) {
        let delay_us = if self.delay_us > 0 { self.stream.between(0, self.delay_us) } else { 0 };
        self.made += 1;
        self.debts.insert((now_us + delay_us, self.made), debt);
    }

    /// When it hands something over.
    #[must_use]
    pub fn due_us(&self) -> Option<u64> {
        self.debts.keys().next().map(|(due_us, _)| *due_us)
    }

    /// What it hands over now, if anything is due.
    pub fn reply(&mut self, now_us: u64) -> Option<Reply> {
        let entry = self.debts.first_entry().filter(|entry| entry.key().0 <= now_us)?;
        let Debt { view, chunk } = entry.remove();
        let head = self.snapshots.get(&view)?;
        let length = self.length(head);
        let chunk_bytes = |index: usize| {
            let from = index.saturating_mul(CHUNK_BYTES).min(length);
            bytes(head, from, from.saturating_add(CHUNK_BYTES).min(length))
        };
        Some(match chunk {
            None => {
                let chunks = (0..length.div_ceil(CHUNK_BYTES)).map(|at| sha256(&chunk_bytes(at)));
                Reply::Ready(view, length as u64, chunks.collect())
            }
            Some(index) => Reply::Chunk(view, index, chunk_bytes(index as usize)),
        })
    }

    /// The core did not take what it was handed.
    #[must_use]
    pub fn refused(&self, why: Refusal) -> Option<Moment> {
        // Who it was for may be gone meanwhile.
        let is_late = why == Refusal::NotWanted;
        (!is_late).then(|| Moment::Wrong(format!("that what it hands over is refused: {why}")))
    }

    fn length(&self, head: &[u8]) -> usize {
        head.len().max(self.least.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
