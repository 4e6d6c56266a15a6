//! One sender's log as this member knows it: a chain of hashes, the bodies held, and the one branch
//! that is kept (RM1, RM7 of protocol.md section 4).
//!
//! A *cell* is a number whose hash is known because the sender signed it, because a body above it
//! names it, or because it is certified. Bodies are taken only into cells whose hash they have, so
//! nothing is held that its sender could deny. A second branch never displaces the first, unless
//! it is certified.

mod branch;
mod jump;
mod window;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::body::Body;
use super::votes::Votes;
use super::vouched::Vouched;
use crate::crypto::{Certificate, Hash32, Head, Heads, Link, Verified};
use crate::member::{PerRank, Rank};
use crate::seq::{LogEnd, Number, Round};

/// What is known about one number.
#[derive(Debug, Default)]
struct Cell {
    hash: Option<Hash32>,
    /// The hash is known to lie on the certified chain; nothing displaces it.
    is_certain: bool,
    /// The sender's own Heads with an entry for exactly this number: one half of a Proof.
    own: Option<Verified<Heads>>,
    body: Option<Arc<Body>>,
}

/// Bytes of one cell.
pub(super) const CELL_BYTES: usize = size_of::<Cell>();

/// What became of a head that was to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Anchored {
    /// It is on the branch that is kept.
    Fits,
    /// It lies outside the window, or under what was discarded.
    Outside,
    /// The branch that is kept has another hash there.
    Conflict,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is held.
    Yes,
    /// It is not wanted: held already, outside the window, or on a branch that is not kept.
    No,
    /// It shows two certified branches.
    Alarm,
}

/// What became of the attempt to move `top` up.
#[derive(Clone, Debug)]
pub(super) enum Advanced {
    /// This body is now linked to all before it.
    By(Arc<Body>),
    /// The next body is missing.
    No,
    /// The next body settles a round that it must not: its sender is to blame.
    Illegal,
}

/// What a certificate does to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinned {
    /// Nothing new.
    Known,
    /// More is certified. If another branch was kept there, it was dropped.
    News,
    /// Two certificates conflict: more than `f` members lie.
    Alarm,
}

/// How many bytes of casts a log may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// Above the stability threshold.
    pub(super) window: usize,
    /// In all.
    pub(super) held: usize,
}

/// The log of one sender in one view.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) sender: Rank,
    /// Bodies at or under it were discarded.
    base: Head,
    /// Its hash is known: not after a jump, at first.
    is_rooted: bool,
    /// The first round that a body above the base may settle; not known after a jump, at first.
    base_round: Option<Round>,
    cells: VecDeque<Cell>,
    /// The highest body such that it and all below are held and linked.
    top: Head,
    /// The first round that a body above `top` may settle, if known.
    next_round: Option<Round>,
    /// The head last replied to (for this member's own log: last signed).
    pub(super) replied: Head,
    /// The highest number for which this member ever signed an entry.
    pub(super) last_entry: Number,
    /// The highest certified head; it may lie above the window.
    certified: Head,
    /// Everything up to here is held and lies on the certified chain: RM4's have.
    sure: Number,
    /// Bytes of casts up to there, since the view began.
    pub(super) sure_bytes: u64,
    pub(super) votes: Votes,
    /// How far each member says it holds this log, certified (RM4).
    pub(super) haves: PerRank<Number>,
    /// What others hold and this member does not.
    pub(super) vouched: Vouched,
    /// The highest body delivered upwards (RM5).
    pub(super) deliverable: Number,
    threshold: Number,
    /// Bytes of casts held above the threshold.
    window_bytes: usize,
    /// Value bodies handed to the total order that it has not merged yet.
    pub(super) unmerged: VecDeque<Number>,
    /// Bytes of casts held.
    held_bytes: usize,
    /// The sender wrote an illegal slot at the body above `top`, or forked there.
    pub(super) is_stuck: bool,
    /// Heads became linked since votes were last matched with them.
    has_new_links: bool,
    /// What the sender signed on the branch that was kept first, once it is known to have forked.
    pub(super) parted: Option<Verified<Heads>>,
    /// The certificate of `certified`, if it came whole from another member.
    pub(super) certificate: Option<Certificate>,
}

impl Log {
    pub(super) fn new(sender: Rank, root: Hash32, n: usize) -> Self {
        let start = Head { sender, number: Number::ZERO, hash: root };
        Self {
            sender,
            base: start,
            is_rooted: true,
            base_round: Some(Round::ZERO),
            cells: VecDeque::new(),
            top: start,
            next_round: Some(Round::ZERO),
            replied: start,
            last_entry: Number::ZERO,
            certified: start,
            sure: Number::ZERO,
            sure_bytes: 0,
            votes: Votes::new(n),
            haves: PerRank::from_fn(n, |_| Number::ZERO),
            vouched: Vouched::default(),
            deliverable: Number::ZERO,
            threshold: Number::ZERO,
            window_bytes: 0,
            unmerged: VecDeque::new(),
            held_bytes: 0,
            is_stuck: false,
            has_new_links: false,
            parted: None,
            certificate: None,
        }
    }

    pub(super) const fn top(&self) -> Head {
        self.top
    }

    pub(super) const fn certified(&self) -> Head {
        self.certified
    }

    /// The first round that the next body may settle.
    pub(super) fn next_round(&self) -> Round {
        self.next_round.unwrap_or(Round::ZERO)
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// RM4: certified and held.
    pub(super) const fn have(&self) -> Number {
        self.sure
    }

    /// Everything up to here was discarded.
    pub(super) const fn base(&self) -> Number {
        self.base.number
    }

    /// Whether it is held, certified, up to exactly this end.
    pub(super) fn reaches(&self, end: &LogEnd) -> bool {
        let is_empty = end.number == Number::ZERO;
        is_empty || (self.sure >= end.number && self.hash_at(end.number) == Some(end.hash))
    }

    /// The highest body all of whose casts were delivered.
    pub(super) fn finished(&self) -> Number {
        self.unmerged.front().map_or(self.deliverable, |first| first.prev())
    }

    /// The highest number about which anything is known.
    pub(super) fn horizon(&self) -> Number {
        let cells = self.base.number.plus(self.cells.len() as u64);
        cells.max(self.certified.number)
    }

    fn index(&self, number: Number) -> Option<usize> {
        let above = number.past(self.base.number).checked_sub(1)?;
        usize::try_from(above).ok()
    }

    fn cell(&self, number: Number) -> Option<&Cell> {
        self.cells.get(self.index(number)?)
    }

    fn cell_mut(&mut self, number: Number) -> Option<&mut Cell> {
        let index = self.index(number)?;
        self.cells.get_mut(index)
    }

    /// The body, if held.
    pub(super) fn body(&self, number: Number) -> Option<&Arc<Body>> {
        self.cell(number)?.body.as_ref()
    }

    /// The sender's own Heads for exactly this number.
    pub(super) fn own_heads(&self, number: Number) -> Option<&Verified<Heads>> {
        self.cell(number)?.own.as_ref()
    }

    /// The sender's own Heads for the lowest number, from `least` up, for which they are here.
    pub(super) fn own_heads_from(&self, least: Number) -> Option<(&Verified<Heads>, Number)> {
        let mut number = least;
        loop {
            let cell = self.cell(number)?;
            if let Some(own) = &cell.own
                && own.entry(self.sender).is_some_and(|entry| self.is_on_chain(entry))
            {
                return Some((own, number));
            }
            number = number.next();
        }
    }

    /// `H_number` on the branch that is kept.
    pub(super) fn hash_at(&self, number: Number) -> Option<Hash32> {
        if number == self.certified.number {
            return Some(self.certified.hash);
        }
        if number == self.base.number {
            return self.is_rooted.then_some(self.base.hash);
        }
        self.cell(number)?.hash
    }

    /// Whether a vote for this head counts for all below it: the head is held and linked, body by
    /// body. A head above a hole may belong to another branch than what is held below the hole.
    pub(super) fn is_linked(&self, head: &Head) -> bool {
        head.number <= self.top.number && self.is_on_chain(head)
    }

    /// Whether the branch that is kept passes through this head, as far as is known.
    pub(super) fn is_on_chain(&self, head: &Head) -> bool {
        self.hash_at(head.number) == Some(head.hash)
    }

    /// The steps from the body above `from` up to `to`, if all bodies there are held.
    pub(super) fn links(&self, from: Number, to: Number) -> Option<Vec<Link>> {
        let mut links = Vec::new();
        let mut number = from;
        while number < to {
            number = number.next();
            links.push(self.body(number)?.link);
        }
        Some(links)
    }

    /// Enters a head that its sender signed. `limit` is the highest number taken.
    pub(super) fn anchor(
        &mut self,
        head: &Head,
        own: Option<&Verified<Heads>>,
        limit: Number,
    ) -> Anchored {
        if head.number <= self.base.number || head.number > limit {
            return Anchored::Outside;
        }
        if let Some(known) = self.hash_at(head.number)
            && known != head.hash
        {
            return Anchored::Conflict;
        }
        self.reach(head.number);
        if let Some(cell) = self.cell_mut(head.number) {
            cell.hash = Some(head.hash);
            if cell.own.is_none() {
                cell.own = own.cloned();
            }
        }
        Anchored::Fits
    }

    /// Makes cells up to `number`; the caller keeps it within the window.
    fn reach(&mut self, number: Number) {
        let wanted = usize::try_from(number.past(self.base.number)).unwrap_or(0);
        while self.cells.len() < wanted {
            self.cells.push_back(Cell::default());
        }
    }

    /// Whether a body of this number is of use.
    pub(super) fn wants_body(&self, number: Number, limit: Number) -> bool {
        number > self.sure
            && number > self.base.number
            && number <= limit
            && match self.body(number) {
                None => true,
                // It may be of another branch than the certified one, and have to make way.
                Some(_) => number <= self.certified.number && !self.is_certain(number),
            }
    }

    /// Takes a body whose hash stands in its cell.
    pub(super) fn accept(&mut self, body: &Arc<Body>, limit: Number) -> Accepted {
        let number = body.number;
        if number > limit || self.hash_at(number) != Some(body.hash) {
            return Accepted::No;
        }
        self.reach(number);
        let Some(cell) = self.cell_mut(number) else { return Accepted::No };
        if cell.body.is_some() {
            return Accepted::No;
        }
        cell.hash = Some(body.hash);
        cell.body = Some(Arc::clone(body));
        self.held_bytes = self.held_bytes.saturating_add(body.charge());
        if number > self.threshold {
            self.window_bytes = self.window_bytes.saturating_add(body.charge());
        }
        self.link_down(number, body.prev)
    }

    fn release(&mut self, body: Option<Arc<Body>>) {
        let Some(body) = body else { return };
        self.held_bytes = self.held_bytes.saturating_sub(body.charge());
        if body.number > self.threshold {
            self.window_bytes = self.window_bytes.saturating_sub(body.charge());
        }
    }

    fn cut_top(&mut self, last: Number) {
        self.is_stuck = false;
        if self.top.number > last
            && let Some(hash) = self.hash_at(last)
        {
            self.top = Head { sender: self.sender, number: last, hash };
            self.next_round = self.settled_up_to(last);
        }
    }

    /// The first round that a body above `number` may settle; all bodies up to it are held.
    fn settled_up_to(&self, number: Number) -> Option<Round> {
        let mut at = number;
        while at > self.base.number {
            if let Some(round) = self.body(at).and_then(|body| body.link.slot.round()) {
                return Some(round.next());
            }
            at = at.prev();
        }
        self.base_round
    }

    /// Moves `top` up by one body, if the next one is held and its slot is legal.
    pub(super) fn advance(&mut self, slot_window: u64) -> Advanced {
        let number = self.top.number.next();
        let Some(body) = self.body(number).cloned() else { return Advanced::No };
        if self.is_stuck || !self.is_rooted || body.prev != self.top.hash {
            return Advanced::No;
        }
        if let Some(round) = body.link.slot.round() {
            let is_illegal = |next| round < next || round.past(next) >= slot_window;
            if self.next_round.is_some_and(is_illegal) {
                self.is_stuck = true;
                return Advanced::Illegal;
            }
            self.next_round = Some(round.next());
        }
        self.top = Head { sender: self.sender, number, hash: body.hash };
        self.has_new_links = true;
        Advanced::By(body)
    }

    /// Whether the own log holds what this member wrote and nothing else.
    pub(super) fn is_own_intact(&self) -> bool {
        self.replied == self.top && self.horizon() == self.top.number
    }

    /// Writes the next body of the own log; `false` if it does not fit.
    pub(super) fn write(&mut self, body: &Arc<Body>, limit: Number, slot_window: u64) -> bool {
        let head = Head { sender: self.sender, number: body.number, hash: body.hash };
        self.anchor(&head, None, limit) == Anchored::Fits
            && self.accept(body, limit) == Accepted::Yes
            && matches!(self.advance(slot_window), Advanced::By(_))
    }

    /// Nothing comes in any more: what only judges that is not kept.
    pub(super) fn rest(&mut self) {
        self.votes.rest();
        self.cells.iter_mut().for_each(|cell| cell.own = None);
        self.parted = None;
    }

    /// Counts what is certified and held.
    pub(super) fn settle(&mut self) {
        if !self.is_rooted {
            return;
        }
        let mut last = self.top.number;
        while last > self.sure && !self.cell(last).is_some_and(|cell| cell.is_certain) {
            last = last.prev();
        }
        while self.sure < last {
            self.sure = self.sure.next();
            let len = self.body(self.sure).map_or(0, |body| body.charge());
            self.sure_bytes = self.sure_bytes.saturating_add(len as u64);
        }
    }

    /// Whether a reply to `top` is due and allowed (RM2). What is certified needs no reply; so a
    /// reply always lies above the highest certified head, and on its chain.
    pub(super) fn may_reply(&mut self) -> bool {
        if !self.is_rooted || self.top.number <= self.certified.number {
            return false;
        }
        if self.hash_at(self.replied.number).is_some_and(|known| known != self.replied.hash) {
            // Only a certificate displaces the branch that was replied to.
            self.replied = self.certified;
        }
        self.top.number > self.replied.number && self.top.number > self.last_entry
    }
}
