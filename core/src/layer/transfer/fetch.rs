//! Fetches an agreed state piece by piece: a few pieces on their way at a time, from whoever has
//! it, each checked by itself, chunks handed on in order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Out;
use super::source::Source;
use crate::crypto::{Door, Hash32, Snapshot};
use crate::time::{Time, earliest};
use crate::wire::transfer::{
    CHUNK_BYTES, PAGE_HASHES, PAGES_MAX, Piece, Shape, TransferPart, page_hash,
};

/// Chunks on their way, or waiting for one before them.
pub(super) const WINDOW: u32 = 16;

/// The window may lie across two pages.
const PAGES_HELD: usize = 2;

/// The most bytes held of a state on its way.
pub(super) const BOUND_BYTES: usize =
    WINDOW as usize * CHUNK_BYTES + (PAGES_MAX + PAGES_HELD * PAGE_HASHES) * Hash32::LEN;

/// An ask that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Flight {
    /// Index of the source.
    source: usize,
    due: Time,
}

/// What a piece that came in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What was missing.
    New,
    /// What is not missing, or not yet.
    Idle,
    /// Not a piece of the state.
    Wrong,
}

/// The state on its way.
#[derive(Debug)]
pub(super) struct Fetch {
    of: u64,
    state: Snapshot,
    shape: Shape,
    pages: Option<Vec<Hash32>>,
    /// The pages that the window needs.
    hashes: BTreeMap<u16, Vec<Hash32>>,
    /// The chunk to hand on next.
    next: u32,
    /// Chunks that are here, above `next`.
    ready: BTreeMap<u32, Vec<u8>>,
    flights: BTreeMap<Piece, Flight>,
    /// Index of the source that was asked last.
    last: usize,
}

impl Fetch {
    /// Begins with the state that `state` names, of this shape.
    pub(super) fn new(of: u64, state: Snapshot, shape: Shape) -> Self {
        Self {
            of,
            state,
            shape,
            // The root of an empty state says that it has no pages.
            pages: (shape.pages() == 0).then(Vec::new),
            hashes: BTreeMap::new(),
            next: 0,
            ready: BTreeMap::new(),
            flights: BTreeMap::new(),
            last: 0,
        }
    }

    pub(super) const fn state(&self) -> &Snapshot {
        &self.state
    }

    pub(super) fn is_done(&self) -> bool {
        self.next == self.shape.chunks()
    }

    pub(super) fn held_bytes(&self) -> usize {
        let chunks = self.ready.values().map(Vec::len).fold(0, usize::saturating_add);
        let hashes = self.hashes.values().map(Vec::len).fold(0, usize::saturating_add);
        let hashes = hashes.saturating_add(self.pages.as_ref().map_or(0, Vec::len));
        chunks.saturating_add(hashes.saturating_mul(Hash32::LEN))
    }

    /// Whether a flight or a rest ends.
    pub(super) fn deadline(&self, sources: &[Source]) -> Option<Time> {
        let flights = self.flights.values().map(|flight| Some(flight.due)).fold(None, earliest);
        if self.missing().is_empty() {
            return flights;
        }
        let usable = sources.iter().filter(|source| source.holds(&self.state).is_some());
        let rests = usable.map(|source| Some(source.rest_until)).fold(None, earliest);
        earliest(flights, rests)
    }

    /// The pieces to ask for: at most a window of chunks, and the hashes to check them by.
    fn missing(&self) -> Vec<Piece> {
        let mut missing = Vec::new();
        if self.pages.is_none() {
            missing.push(Piece::Pages);
        } else {
            for index in self.next..self.end() {
                let (page, _) = Shape::place(index);
                if !self.hashes.contains_key(&page) {
                    if missing.last() != Some(&Piece::Page(page)) {
                        missing.push(Piece::Page(page));
                    }
                } else if !self.ready.contains_key(&index) {
                    missing.push(Piece::Chunk(index));
                }
            }
        }
        missing.retain(|piece| !self.flights.contains_key(piece));
        missing
    }

    /// The end of the window.
    fn end(&self) -> u32 {
        self.next.saturating_add(WINDOW).min(self.shape.chunks())
    }

    /// Asks for what is missing, as far as somebody can be asked now.
    pub(super) fn ask(&mut self, now: Time, sources: &mut [Source], out: &mut Vec<Out>) {
        for piece in self.missing() {
            let Some(index) = self.choose(now, sources) else { return };
            let Some(source) = sources.get_mut(index) else { return };
            let Some(rank) = source.holds(&self.state) else { return };
            source.in_flight = source.in_flight.saturating_add(1);
            self.last = index;
            let due = now.plus(source.pause_us);
            self.flights.insert(piece, Flight { source: index, due });
            out.push(Out::Part(rank, TransferPart::Ask { of: self.of, piece }));
        }
    }

    /// Whom to ask: with the fewest asks in flight, and of those the next after the last.
    fn choose(&self, now: Time, sources: &[Source]) -> Option<usize> {
        let can = |(_, source): &(usize, &Source)| {
            source.holds(&self.state).is_some() && source.rest_until <= now
        };
        let usable = sources.iter().enumerate().filter(can);
        usable
            .min_by_key(|(index, source)| (source.in_flight, *index <= self.last, *index))
            .map(|(index, _)| index)
    }

    /// Takes the asks back that were not answered in time; the sources against which that is held.
    pub(super) fn on_tick(&mut self, now: Time, sources: &mut [Source]) -> Vec<usize> {
        let mut withholding = Vec::new();
        let is_late = |(_, flight): &(&Piece, &Flight)| flight.due <= now;
        let late: Vec<Piece> =
            self.flights.iter().filter(is_late).map(|(piece, _)| *piece).collect();
        for flight in late.iter().filter_map(|piece| self.flights.remove(piece)) {
            let source = sources.get_mut(flight.source);
            if source.is_some_and(|source| source.on_late(now)) {
                withholding.push(flight.source);
            }
        }
        withholding
    }

    /// Whoever cannot be asked any more is not waited for.
    pub(super) fn forget(&mut self, sources: &mut [Source]) {
        let state = &self.state;
        let can = |source: Option<&Source>| source.is_some_and(|s| s.holds(state).is_some());
        self.flights.retain(|_, flight| can(sources.get(flight.source)));
        for source in sources.iter_mut().filter(|source| source.holds(state).is_none()) {
            source.in_flight = 0;
        }
    }

    /// A piece came from the source with this index. Chunks in order leave at once.
    pub(super) fn on_piece(
        &mut self,
        door: &mut Door,
        (from, sources): (usize, &mut [Source]),
        part: TransferPart,
        out: &mut Vec<Out>,
    ) -> Verdict {
        let (piece, verdict) = match part {
            TransferPart::Pages { hashes, .. } => (Piece::Pages, self.on_pages(&hashes)),
            TransferPart::Page { page, hashes, .. } => {
                (Piece::Page(page), self.on_page(page, &hashes))
            }
            TransferPart::Chunk { index, bytes, .. } => {
                (Piece::Chunk(index), self.on_chunk(door, index, bytes.0, out))
            }
            TransferPart::Ask { .. }
            | TransferPart::Root { .. }
            | TransferPart::Gone { .. }
            | TransferPart::Done { .. } => return Verdict::Idle,
        };
        if verdict == Verdict::New {
            let flight = self.flights.remove(&piece);
            let asked = flight.map(|flight| flight.source);
            if let Some(source) = sources.get_mut(from) {
                source.on_answer(asked == Some(from));
            }
            if let Some(other) = asked.filter(|asked| *asked != from)
                && let Some(source) = sources.get_mut(other)
            {
                // Another was faster; this one's answer is not waited for.
                source.in_flight = source.in_flight.saturating_sub(1);
            }
        }
        verdict
    }

    fn on_pages(&mut self, pages: &[Hash32]) -> Verdict {
        if self.pages.is_some() {
            return Verdict::Idle;
        }
        let is_it = pages.len() == usize::from(self.shape.pages())
            && self.shape.root(pages) == self.state.root;
        if !is_it {
            return Verdict::Wrong;
        }
        self.pages = Some(pages.to_vec());
        Verdict::New
    }

    fn on_page(&mut self, page: u16, hashes: &[Hash32]) -> Verdict {
        let Some(pages) = &self.pages else { return Verdict::Idle };
        let (first, _) = Shape::place(self.next);
        let (last, _) = Shape::place(self.end().saturating_sub(1));
        if !(first..=last).contains(&page) || self.hashes.contains_key(&page) {
            return Verdict::Idle;
        }
        let is_it = hashes.len() == self.shape.page_len(page)
            && pages.get(usize::from(page)) == Some(&page_hash(hashes));
        if !is_it {
            return Verdict::Wrong;
        }
        self.hashes.insert(page, hashes.to_vec());
        Verdict::New
    }

    fn on_chunk(
        &mut self,
        door: &mut Door,
        index: u32,
        bytes: Vec<u8>,
        out: &mut Vec<Out>,
    ) -> Verdict {
        if !(self.next..self.end()).contains(&index) || self.ready.contains_key(&index) {
            return Verdict::Idle;
        }
        let (page, place) = Shape::place(index);
        let Some(hashes) = self.hashes.get(&page) else { return Verdict::Idle };
        let is_it = bytes.len() == self.shape.chunk_len(index)
            && hashes.get(place) == Some(&door.casts_hash(&bytes));
        if !is_it {
            return Verdict::Wrong;
        }
        self.ready.insert(index, bytes);
        while let Some(bytes) = self.ready.remove(&self.next) {
            let (offset, total) = (self.shape.offset(self.next), self.shape.length());
            out.push(Out::State { offset, bytes, total });
            self.next = self.next.saturating_add(1);
        }
        let (page, _) = Shape::place(self.next);
        self.hashes.retain(|held, _| *held >= page);
        Verdict::New
    }
}
