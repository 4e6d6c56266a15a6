//! What a member does for joiners: one offer for each view with which some joined. It holds the
//! hashes of the snapshot; the bytes stay with the application.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Entered, Out, Settings, Stand, rank_of};
use crate::crypto::{Hash32, PublicKey, Roster, Signed, Snapshot};
use crate::layer::Context;
use crate::member::Rank;
use crate::output::Refusal;
use crate::time::{Time, earliest};
use crate::wire::Blob;
use crate::wire::transfer::{
    CHUNK_BYTES, PAGE_HASHES, PAGES_MAX, Piece, Shape, TransferPart, page_hash,
};

/// The most offers; the oldest is given up for one more.
pub(super) const OFFERS_MAX: usize = 8;

/// Chunks that one joiner may wait for at a time; more than a correct one asks for.
pub(super) const OPEN_MAX: usize = 32;

/// How often a joiner may ask for everything, and how much beyond that.
const TURNS: u64 = 8;
const SPARE_ASKS: u64 = 256;

/// The most bytes of hashes held for joiners.
pub(super) fn bound_bytes(state_max: u64) -> usize {
    let chunks = usize::try_from(state_max.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX);
    let chunks = chunks.min(PAGES_MAX.saturating_mul(PAGE_HASHES)).saturating_add(PAGES_MAX);
    chunks.saturating_mul(Hash32::LEN).saturating_mul(OFFERS_MAX)
}

/// A snapshot that the application has announced.
#[derive(Debug)]
struct Tree {
    shape: Shape,
    chunks: Vec<Hash32>,
    pages: Vec<Hash32>,
}

impl Tree {
    fn page(&self, page: u16) -> Option<&[Hash32]> {
        self.chunks.chunks(PAGE_HASHES).nth(usize::from(page))
    }

    /// How often a joiner may ask.
    fn budget(&self) -> u64 {
        let pieces = self.chunks.len().saturating_add(self.pages.len());
        (pieces as u64).saturating_mul(TURNS).saturating_add(SPARE_ASKS)
    }
}

#[derive(Debug)]
enum Phase {
    /// The application is not there yet.
    Owed,
    /// It was asked.
    Wanted { until: Time },
    /// It has answered.
    Ready { until: Time, tree: Tree },
}

/// A joiner.
#[derive(Debug, Default)]
struct Guest {
    /// What was signed for it.
    said: Option<Signed<Snapshot>>,
    /// How often it may still ask.
    asks_left: u64,
}

/// The state with which one view begins, for those that joined with it.
#[derive(Debug)]
pub(super) struct Offer {
    of: u64,
    roster: Arc<Roster>,
    /// The own rank in that view.
    me: Rank,
    phase: Phase,
    guests: BTreeMap<PublicKey, Guest>,
    /// Chunks asked of the application, and who waits for them.
    open: BTreeMap<u32, Vec<PublicKey>>,
}

impl Offer {
    /// Takes the snapshot of the application: signs it for each joiner and tells them.
    pub(super) fn on_ready(
        &mut self,
        cx: &mut Context<'_>,
        settings: Settings,
        (length, chunks): (u64, &[Hash32]),
        members: &[PublicKey],
        out: &mut Vec<Out>,
    ) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Owed => return Err(Refusal::NotWanted),
            Phase::Ready { .. } => return Err(Refusal::AlreadyDone),
            Phase::Wanted { .. } => {}
        }
        let shape = Shape::of(length).filter(|_| length <= settings.state_max);
        let shape = shape.ok_or(Refusal::TooLarge)?;
        if chunks.len() != shape.chunks() as usize {
            return Err(Refusal::NotTheSnapshot);
        }
        let pages = chunks.chunks(PAGE_HASHES).map(page_hash).collect();
        let tree = Tree { shape, chunks: chunks.to_vec(), pages };
        let root = shape.root(&tree.pages);
        for (joiner, guest) in &mut self.guests {
            let statement = Snapshot { joiner: *joiner, root, length };
            let said = cx.door.sign(&self.roster, self.me, statement).signed().as_ref().clone();
            guest.asks_left = tree.budget();
            guest.said = Some(said.clone());
            if let Some(rank) = rank_of(members, joiner) {
                out.push(Out::Part(rank, TransferPart::Root { of: self.of, said }));
            }
        }
        // A joiner that loads a megabyte in a second is fast enough.
        let until = cx.now.plus(settings.retain_us).plus(length);
        self.phase = Phase::Ready { until, tree };
        Ok(())
    }

    /// Takes a chunk from the application and hands it to who waits for it.
    pub(super) fn on_chunk(
        &mut self,
        cx: &mut Context<'_>,
        index: u32,
        bytes: &[u8],
        members: &[PublicKey],
        out: &mut Vec<Out>,
    ) -> Result<(), Refusal> {
        let Phase::Ready { tree, .. } = &self.phase else { return Err(Refusal::NotWanted) };
        let waiting = self.open.remove(&index).ok_or(Refusal::NotWanted)?;
        let is_it = bytes.len() == tree.shape.chunk_len(index)
            && tree.chunks.get(index as usize) == Some(&cx.door.casts_hash(bytes));
        if !is_it {
            return Err(Refusal::NotTheSnapshot);
        }
        for rank in waiting.iter().filter_map(|key| rank_of(members, key)) {
            let bytes = Blob(bytes.to_vec());
            out.push(Out::Part(rank, TransferPart::Chunk { of: self.of, index, bytes }));
        }
        Ok(())
    }

    /// A member asks for a piece.
    pub(super) fn on_ask(
        &mut self,
        (from, key): (Rank, PublicKey),
        piece: Piece,
        out: &mut Vec<Out>,
    ) {
        let of = self.of;
        let Some(guest) = self.guests.get_mut(&key).filter(|guest| {
            matches!(self.phase, Phase::Owed | Phase::Wanted { .. }) || guest.asks_left > 0
        }) else {
            out.push(Out::Part(from, TransferPart::Gone { of }));
            return;
        };
        let Phase::Ready { tree, .. } = &self.phase else { return };
        guest.asks_left = guest.asks_left.saturating_sub(1);
        let part = match piece {
            Piece::Root => guest.said.clone().map(|said| TransferPart::Root { of, said }),
            Piece::Pages => {
                let hashes = tree.pages.clone().into();
                (!tree.pages.is_empty()).then_some(TransferPart::Pages { of, hashes })
            }
            Piece::Page(page) => tree.page(page).map(|hashes| {
                let hashes = hashes.iter().copied().collect();
                TransferPart::Page { of, page, hashes }
            }),
            Piece::Chunk(index) => {
                if (index as usize) < tree.chunks.len() {
                    self.open_chunk(key, index, out);
                }
                return;
            }
        };
        out.extend(part.map(|part| Out::Part(from, part)));
    }

    /// The application is asked once, whoever waits.
    fn open_chunk(&mut self, key: PublicKey, index: u32, out: &mut Vec<Out>) {
        let waits_for = self.open.values().filter(|waiting| waiting.contains(&key)).count();
        if waits_for >= OPEN_MAX {
            return;
        }
        let waiting = self.open.entry(index).or_default();
        if waiting.is_empty() {
            out.push(Out::ChunkWanted(self.of, index));
        }
        if !waiting.contains(&key) {
            waiting.push(key);
        }
    }

    const fn until(&self) -> Option<Time> {
        match &self.phase {
            Phase::Owed => None,
            Phase::Wanted { until } | Phase::Ready { until, .. } => Some(*until),
        }
    }

    fn drop_guests(&mut self, stays: impl Fn(&PublicKey) -> bool) {
        self.guests.retain(|key, _| stays(key));
        self.open.retain(|_, waiting| {
            waiting.retain(|key| stays(key));
            !waiting.is_empty()
        });
    }

    fn is_over(&self, now: Time) -> bool {
        self.guests.is_empty() || self.until().is_some_and(|until| until <= now)
    }

    fn held_bytes(&self) -> usize {
        match &self.phase {
            Phase::Owed | Phase::Wanted { .. } => 0,
            Phase::Ready { tree, .. } => {
                tree.chunks.len().saturating_add(tree.pages.len()).saturating_mul(Hash32::LEN)
            }
        }
    }
}

/// The offers, oldest first.
#[derive(Debug, Default)]
pub(super) struct Offers(VecDeque<Offer>);

impl Offers {
    pub(super) fn get_mut(&mut self, of: u64) -> Option<&mut Offer> {
        self.0.iter_mut().find(|offer| offer.of == of)
    }

    /// Joiners that are gone are served no more, and those of this view will be.
    pub(super) fn on_view(
        &mut self,
        entered: &Entered<'_>,
        members: &[PublicKey],
        out: &mut Vec<Out>,
    ) {
        let joiners = entered.joiners();
        for offer in &mut self.0 {
            // Who joins in a later life, or is Active again, begins with this view.
            offer.drop_guests(|key| members.contains(key) && !joiners.contains(key));
        }
        self.clear(|offer| offer.guests.is_empty(), out);
        let is_donor = entered.stand == Stand::Whole && entered.me.index() < entered.survivors();
        if !is_donor || joiners.is_empty() {
            return;
        }
        if self.0.len() >= OFFERS_MAX
            && let Some(oldest) = self.0.front().map(|offer| offer.of)
        {
            self.clear(|offer| offer.of == oldest, out);
        }
        self.0.push_back(Offer {
            of: entered.view.number,
            roster: Arc::clone(entered.roster),
            me: entered.me,
            phase: Phase::Owed,
            guests: joiners.into_iter().map(|key| (key, Guest::default())).collect(),
            open: BTreeMap::new(),
        });
    }

    /// The application will not come to where the views begin that it has not come to.
    pub(super) fn lose(&mut self) {
        self.0.retain(|offer| !matches!(offer.phase, Phase::Owed));
    }

    /// The application is at the beginning of this view.
    pub(super) fn on_reached(
        &mut self,
        now: Time,
        settings: Settings,
        view: u64,
        out: &mut Vec<Out>,
    ) {
        if let Some(offer) = self.get_mut(view)
            && matches!(offer.phase, Phase::Owed)
        {
            offer.phase = Phase::Wanted { until: now.plus(settings.retain_us) };
            out.push(Out::Wanted(view));
        }
    }

    /// A joiner needs nothing more.
    pub(super) fn on_done(&mut self, of: u64, key: &PublicKey, out: &mut Vec<Out>) {
        if let Some(offer) = self.get_mut(of) {
            offer.drop_guests(|guest| guest != key);
        }
        self.clear(|offer| offer.guests.is_empty(), out);
    }

    pub(super) fn on_tick(&mut self, now: Time, out: &mut Vec<Out>) {
        self.clear(|offer| offer.is_over(now), out);
    }

    /// Whether the application was asked for a snapshot that is still of use.
    pub(super) fn is_serving(&self) -> bool {
        self.0.iter().any(|offer| offer.until().is_some())
    }

    /// Gives up offers; the application hears of it if it was asked.
    fn clear(&mut self, is_over: impl Fn(&Offer) -> bool, out: &mut Vec<Out>) {
        let over = self.0.iter().filter(|offer| is_over(offer));
        out.extend(over.filter(|offer| offer.until().is_some()).map(|o| Out::Released(o.of)));
        self.0.retain(|offer| !is_over(offer));
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().map(Offer::until).fold(None, earliest)
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.0.iter().map(Offer::held_bytes).fold(0, usize::saturating_add)
    }
}
