//! Layer Reliable: one hash-chained, certified log per sender (protocol.md section 4; the paper's
//! reliable multicast).
//!
//! Promises upwards: bodies of one sender are delivered in order, at most once, only as their
//! sender signed them if it is correct, and a body delivered by any correct member is held,
//! certified, by a quorum (P1, P2, P3). Needs from below: frames whose peer is known, statements
//! whose signatures were checked.
//!
//! What a faulty member can try: sign two branches (one is kept, the halves meet in replies and
//! become a Proof, RM7; only one branch can be certified), announce digests without payload (no
//! reply without the payload, RM2), run beyond the window (ignored, RM8), claim haves that it does
//! not have (a quorum of claims contains enough correct ones, RM5), ask for everything again and
//! again (budget per peer), vouch for both branches (a Proof).

mod allowance;
mod answer;
mod ask;
mod body;
mod cut;
mod flight;
mod fork;
mod inbound;
mod log;
mod memory;
mod repair;
mod sender;
#[cfg(test)]
mod tests;
mod tick;
mod votes;
mod vouched;

pub(crate) use body::Body;
pub(crate) use memory::{heads_bytes, tables_bytes};
pub(crate) use sender::Requeue;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use allowance::Allowance;
use cut::Phase;
use log::{Advanced, Anchored, Log, Pinned};
use repair::Repair;
use sender::Sender;
use votes::Vote;

use super::{Context, Post};
use crate::config::{Config, Limits, Timeouts};
use crate::crypto::{
    Certificate, Certified, Hash32, Head, Heads, Roster, Signed, Verified, log_root,
};
use crate::fault::Proof;
use crate::input::{Order, Ticket};
use crate::member::{PerRank, Rank};
use crate::output::Refusal;
use crate::quorum::Quorum;
use crate::seq::{LogEnd, Number, Round, SlotMark};
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::view::{Membership, Pattern};
use crate::wire::BodyHead;
use crate::wire::casts::Count;

/// A log is tight when so much of what may be in flight is.
const TIGHT_PERMILLE: u64 = 666;

/// So much less must be in flight above what a quorum holds than above a row that holds a log back.
const AHEAD_PERMILLE: u64 = 250;

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In<'a> {
    /// A member's statement about heads.
    Heads(Verified<Heads>),
    /// A checked certificate, with its wire form to pass on.
    Certificate(Certificate, Certified),
    /// A body that a member sent, its own or another's; its casts were hashed on the way in.
    Body(Rank, BodyHead, Payload<'a>),
    /// How far `from` holds every log, from its frame or its Stable row.
    Haves(Rank, &'a [Number]),
    /// The stability threshold of a log rose (RM8).
    Threshold(Rank, Number),
    /// The total order merged all Value bodies of a sender up to this one.
    Merged(Rank, Number),
    /// Another sender's Value stands in this round (TO2).
    Owe(Round),
    /// A member wants bodies `from..=to` of a log; `and_heads`: and the own newest Heads for it.
    Fetch {
        /// Who asks.
        peer: Rank,
        /// Whose log.
        sender: Rank,
        /// First body wanted.
        from: Number,
        /// Last body wanted.
        to: Number,
        /// For [`Part::AskSlot`].
        and_heads: bool,
    },
    /// A member does not hold this body of a log, which it was asked for.
    Lacks(Rank, Rank, Number),
    /// The view may end at this cut, by rank: its heads are certified (R4).
    Collect(&'a [LogEnd]),
    /// Time passed, or all frames at hand were read.
    Tick,
}

/// The casts of a body as they came in: checked to parse, hashed for the MAC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    /// As they stand in the frame.
    pub(crate) bytes: &'a [u8],
    /// `H(casts)`.
    pub(crate) hash: Hash32,
    /// How many of each order.
    pub(crate) count: Count,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Something to send.
    Post(Post),
    /// Tell all how far this member holds every log, if nothing else is sent.
    TellHaves,
    /// First sight of a body on the chain of its sender, with its slot (TO2).
    Sighted(Rank, SlotMark),
    /// A body to deliver: certified, held here, and held by a quorum (RM5). With the moment since
    /// when more than `f` others say that they hold it, if that is earlier.
    Deliver(Arc<Body>, Time),
    /// A member is proven to lie.
    Proof(Box<Proof>),
    /// A sender signed a body that no correct one writes.
    Illegal(Rank),
    /// Bodies that this member, Silenced, has not got are stable and gone: it goes on as a voter.
    Overtaken,
    /// Two certified branches of one log: more than `f` members lie.
    Alarm(Rank, Number),
    /// After a refusal: there is room again.
    Writable,
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Reliable {
    me: Rank,
    quorum: Quorum,
    view: Hash32,
    pattern: Pattern,
    limits: Limits,
    timeouts: Timeouts,
    /// Whose logs there are: Silenced members open no bodies (RM1).
    is_active: PerRank<bool>,
    phase: Phase,
    logs: PerRank<Log>,
    sender: Sender,
    /// This member's newest statement with an entry for each log.
    mine: PerRank<Option<Verified<Heads>>>,
    /// Logs whose sender is proven here to have written two branches.
    has_proven_fork: PerRank<bool>,
    /// Logs whose fork this member has shown to the others.
    has_told_fork: PerRank<bool>,
    /// There may be something to reply, or haves to tell.
    is_due: bool,
    /// Haves changed since they were last sent.
    haves_changed: bool,
    /// Not before this moment is the next statement signed.
    next_sign: Time,
    /// The last certified head of the own log that was sent to all (pattern Paper).
    finalised: Number,
    /// When what was said about a log is said again.
    repeats: PerRank<Backoff>,
    repair: Repair,
    /// This member lacks what was delivered before: it votes and delivers nothing.
    is_blind: bool,
    /// Set by an alarm: nothing is delivered any more.
    is_halted: bool,
    /// How much more may be delivered to who only keeps it.
    allowance: Allowance,
}

impl Reliable {
    /// The layer for the view of `roster`, whose Active members are `active`, seen from rank `me`.
    pub(crate) fn new(config: &Config, roster: &Roster, me: Rank, active: &[Rank]) -> Self {
        let n = roster.quorum().n();
        let limits = config.genesis.limits;
        let timeouts = config.timeouts;
        Self {
            me,
            quorum: roster.quorum(),
            view: *roster.view(),
            pattern: config.genesis.pattern,
            limits,
            timeouts,
            is_active: PerRank::from_fn(n, |member| active.contains(&member)),
            phase: Phase::Open,
            logs: PerRank::from_fn(n, |sender| {
                Log::new(sender, log_root(roster.view(), sender), n)
            }),
            sender: Sender::new(limits, &timeouts, (roster.quorum(), me), config.cast_queue_bytes),
            mine: PerRank::from_fn(n, |_| None),
            has_proven_fork: PerRank::from_fn(n, |_| false),
            has_told_fork: PerRank::from_fn(n, |_| false),
            is_due: false,
            haves_changed: false,
            next_sign: Time::ZERO,
            finalised: Number::ZERO,
            repeats: PerRank::from_fn(n, |_| {
                Backoff::new(timeouts.resend_us, timeouts.resend_max_us)
            }),
            repair: Repair::new(roster.quorum(), &limits, &timeouts),
            is_blind: false,
            is_halted: false,
            allowance: Allowance::Endless,
        }
    }

    /// Takes a cast of the application, or refuses it whole.
    pub(crate) fn cast(
        &mut self,
        ticket: Ticket,
        order: Order,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        self.sender.cast(ticket, order, payload)
    }

    /// One step.
    pub(crate) fn step(&mut self, cx: &mut Context<'_>, input: In<'_>) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Heads(heads) => self.on_heads(cx, &heads, &mut out),
            In::Certificate(certificate, certified) => {
                self.on_certificate(cx, certificate, &certified, &mut out);
            }
            In::Body(from, head, payload) => self.on_body(cx, from, head, payload, &mut out),
            In::Haves(from, haves) => self.on_haves(cx, from, haves, &mut out),
            In::Threshold(sender, number) => {
                let log = self.logs.at_mut(sender);
                log.raise_threshold(number);
                log.discard();
                self.anchor_newest(sender);
                self.refresh(cx, sender, &mut out);
            }
            In::Merged(sender, number) => {
                let log = self.logs.at_mut(sender);
                while log.unmerged.front().is_some_and(|first| *first <= number) {
                    log.unmerged.pop_front();
                }
                log.discard();
            }
            In::Owe(round) => self.sender.owe(round),
            In::Fetch { peer, sender, from, to, and_heads } => {
                self.on_fetch(cx.now, (peer, sender), (from, to), and_heads, &mut out);
            }
            In::Lacks(peer, sender, number) => {
                self.on_lacks(cx.now, (peer, sender), number, &mut out);
            }
            In::Collect(cut) => self.on_collect(cx, cut, &mut out),
            In::Tick => self.on_tick(cx, &mut out),
        }
        out
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let opens = !self.is_halted && self.is_active(self.me);
        let speaks = self.is_due || (opens && self.sender.is_ready(self.room()));
        let sign = (speaks && self.phase.is_open()).then_some(self.next_sign);
        let repeats = self.repeats.values().fold(sign, |first, timer| earliest(first, timer.due()));
        earliest(repeats, self.repair.due())
    }

    /// Whether a statement can tell anything new; if not, its signature need not be checked.
    pub(crate) fn wants(&self, heads: &Signed<Heads>) -> bool {
        heads.signer != self.me
            && heads.statement.entries.iter().any(|head| {
                if !self.is_active(head.sender) {
                    return false;
                }
                let log = self.logs.at(head.sender);
                let newest = log.votes.newest(heads.signer).map(|vote| vote.head);
                let is_new = newest.is_none_or(|newest| head.number > newest.number);
                match log.hash_at(head.number) {
                    Some(known) if known != head.hash => true,
                    Some(_) => is_new && head.number > log.certified().number,
                    None => {
                        head.number > log.have()
                            && (is_new
                                || heads.signer == head.sender
                                || newest.is_some_and(|newest| newest != *head))
                    }
                }
            })
    }

    /// Whether a statement has an entry that moves its signer's last one for that log up, no further
    /// than a window above what is taken: progress of the logs bounds how many there are. What
    /// contradicts something that is known moves nothing.
    pub(crate) fn is_near(&self, heads: &Signed<Heads>) -> bool {
        let window = u64::from(self.limits.window_bodies);
        heads.statement.entries.iter().any(|head| {
            let log = self.logs.at(head.sender);
            let newest = log.votes.newest(heads.signer);
            self.is_active(head.sender)
                && newest.is_none_or(|newest| head.number > newest.head.number)
                && head.number <= self.limit(head.sender).plus(window)
                && log.hash_at(head.number).is_none_or(|known| known == head.hash)
        })
    }

    /// How far a log is certified.
    pub(crate) fn certified(&self, sender: Rank) -> Number {
        self.logs.at(sender).certified().number
    }

    /// Whether a certificate can tell anything new.
    pub(crate) fn wants_certificate(&self, head: &Head) -> bool {
        let log = self.logs.at(head.sender);
        let is_other = log.hash_at(head.number).is_some_and(|known| known != head.hash);
        self.is_active(head.sender) && (head.number > log.have() || is_other)
    }

    /// Something long is on its way from this member. What the cut needs is not waited for.
    pub(crate) fn on_piece(&mut self, now: Time, from: Rank) {
        if self.phase.is_open() {
            self.repair.on_piece(now, from);
        }
    }

    /// Nothing is delivered from here on, because something before it never will be.
    pub(crate) fn go_blind(&mut self) {
        self.is_blind = true;
        self.allowance = Allowance::Endless;
        for log in self.logs.values_mut() {
            log.unmerged.clear();
            log.discard();
        }
    }

    /// Whether the member opens bodies.
    fn is_active(&self, member: Rank) -> bool {
        *self.is_active.at(member)
    }

    /// How far this member says it holds every log, certified (RM4): from the Flush on, as it was.
    pub(crate) fn haves(&self) -> Vec<Number> {
        self.logs.values().map(|log| *log.haves.at(self.me)).collect()
    }

    /// How far its Stable row may go, see [`Log::row`]; from the Flush on, as it was.
    pub(crate) fn rows(&self) -> Vec<Number> {
        let now = || self.logs.values().map(|log| log.row(&self.limits)).collect();
        self.phase.rows().cloned().unwrap_or_else(now)
    }

    /// The highest number of each log that is accepted (RM8).
    pub(crate) fn overflow(&self, sender: Rank) -> Number {
        self.logs.at(sender).threshold().plus(u64::from(self.limits.window_bodies))
    }

    /// Whether the log of `sender` cannot go on because its window is full of bodies that are held:
    /// the last place is kept for a null, which needs no bytes. Digests without bodies do not count.
    pub(crate) fn is_at_overflow(&self, sender: Rank) -> bool {
        self.logs.at(sender).top().number.next() >= self.overflow(sender)
    }

    /// Whether two thirds of what the sender of a log may have in flight are in flight above the
    /// stability threshold: its casts wait soon, or already. From the Flush on all rows stand still,
    /// and nobody is to blame for it.
    pub(crate) fn is_tight(&self, sender: Rank) -> bool {
        let log = self.logs.at(sender);
        self.phase.is_open() && log.in_flight(log.threshold(), &self.limits) >= TIGHT_PERMILLE
    }

    /// Whether a row that stands at `row` in a tight log holds it back: two thirds of what may be in
    /// flight are above it, and `by_quorum`, what a quorum holds, is at least a quarter of that ahead.
    pub(crate) fn is_held_back_by(&self, sender: Rank, row: Number, by_quorum: Number) -> bool {
        let log = self.logs.at(sender);
        let above = log.in_flight(row, &self.limits);
        let without = log.in_flight(by_quorum, &self.limits);
        above >= TIGHT_PERMILLE && above.saturating_sub(without) >= AHEAD_PERMILLE
    }

    /// Per log: bodies and bytes certified and held since the view began.
    pub(crate) fn progress(&self) -> impl Iterator<Item = (Number, u64)> {
        self.logs.values().map(|log| (log.have(), log.sure_bytes))
    }

    /// How far the log of `sender` is held, certified.
    pub(crate) fn have(&self, sender: Rank) -> Number {
        self.logs.at(sender).have()
    }

    /// Bodies of the own log.
    pub(crate) fn bodies(&self) -> u64 {
        self.logs.at(self.me).top().number.value()
    }

    /// Bytes of casts held: in the logs and waiting to be sent.
    pub(crate) fn held_bytes(&self) -> usize {
        self.logs
            .values()
            .fold(self.sender.queue_bytes(), |sum, log| sum.saturating_add(log.held_bytes()))
    }

    /// The most bytes of casts that it may hold: each log, and the queue with what one sender has
    /// in flight, which a view leaves to the next. Where views do not change neither is more than
    /// it is in the middle of one.
    pub(crate) fn bound_bytes(config: &Config, n: usize) -> usize {
        let limits = &config.genesis.limits;
        let flight = limits.casts_in_flight();
        let (log, queue) = match config.genesis.membership {
            Membership::Fixed => (limits.window_bytes_max().saturating_add(flight), 0),
            Membership::Managed => (log_bytes_max(limits), flight),
        };
        log.saturating_mul(n).saturating_add(config.cast_queue_bytes).saturating_add(queue)
    }

    /// Draws every conclusion from what changed in one log.
    fn refresh(&mut self, cx: &Context<'_>, sender: Rank, out: &mut Vec<Out>) {
        let limit = self.limit(sender);
        let (is_open, is_wanting) = (self.phase.is_open(), self.is_wanting(sender));
        let log = self.logs.at_mut(sender);
        if is_wanting {
            // Far above the base it had no place yet.
            log.enter_certified(limit);
        }
        let before = log.top().number;
        loop {
            match log.advance(self.limits.slot_window) {
                Advanced::By(body) => {
                    out.push(Out::Sighted(sender, body.link.slot));
                    self.is_due = true;
                }
                Advanced::Illegal => out.push(Out::Illegal(sender)),
                Advanced::No => break,
            }
        }
        log.relink_votes();
        let certified = log.votes.certified(log.certified().number, self.quorum);
        if let Some(certified) = certified
            && let Some(hash) = log.hash_at(certified)
        {
            log.certificate = None;
            // What a quorum of linked votes certifies is on the branch that is kept.
            let _: Pinned = log.pin(Head { sender, number: certified, hash }, limit);
            self.is_due = true;
        }
        // A have that is not told is not counted here either: the Flush does not cover it.
        log.settle();
        if is_open && log.have() > *log.haves.at(self.me) {
            *log.haves.at_mut(self.me) = log.have();
            self.haves_changed = true;
            self.is_due = true;
        }
        self.watch(cx.now, sender);
        if is_open && self.logs.at(sender).top().number > before {
            self.hand_out_orders(cx.now, sender, before, out);
        }
        self.deliver(cx.now, sender, out);
    }

    /// RM5. What is deliverable after the Flush, or while the cut is collected, is inside every
    /// valid cut: of the quorum whose haves count, a correct member is among any quorum of Flushes,
    /// and it flushed after it said so.
    fn deliver(&mut self, now: Time, sender: Rank, out: &mut Vec<Out>) {
        if self.is_halted || self.phase.is_closed() {
            return;
        }
        let end = self.phase.end(sender);
        let log = self.logs.at_mut(sender);
        let more = |have: &&Number| **have > log.deliverable;
        if log.have() <= log.deliverable
            || log.haves.values().filter(more).count() < self.quorum.q()
        {
            return;
        }
        let mut haves: smallvec::SmallVec<[Number; 16]> = log.haves.values().copied().collect();
        let held = self.quorum.reached(&mut haves).unwrap_or_default().min(log.have());
        if end.is_some_and(|end| held > end.number) {
            // So more than `f` members lie.
            return self.alarm(sender, held, out);
        }
        while log.deliverable < held {
            let Some(body) = log.body(log.deliverable.next()).cloned() else { break };
            if !self.allowance.takes(&body) {
                break;
            }
            log.deliverable = body.number;
            let since = log.vouched.since(body.number).unwrap_or(now);
            if self.is_blind {
                continue;
            }
            if let SlotMark::Value(_) = body.link.slot {
                log.unmerged.push_back(body.number);
            }
            out.push(Out::Deliver(body, since));
        }
        let delivered = log.deliverable;
        log.discard();
        if sender == self.me {
            self.sender.delivered(now, delivered);
        }
        let pause_us = self.repeat_us();
        self.repeats.at_mut(sender).restart_with(now, pause_us);
    }
}

/// The most bytes of casts that one log may hold: one window above the stability threshold, and
/// a second one while the cut is collected, which others took above what is stable here; and below
/// it what a sender may have on its way that is not delivered.
fn log_bytes_max(limits: &Limits) -> usize {
    let windows = limits.window_bytes_max().saturating_mul(2);
    windows.saturating_add(limits.casts_in_flight())
}
