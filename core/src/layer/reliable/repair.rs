//! What is missing of each log, since when, and whom to ask for it (RM6). The asking stands in `ask`,
//! what is handed out in `answer`.
//!
//! A hole is asked for as soon as it is no longer likely to close by itself: the way of a body from its
//! sender may take longer than that of the votes that show it. How much longer is measured for each
//! log, and waited for, but never longer than an answer takes (the reordering window of RFC 8985).
//! A question that is not answered in the time in which members of a quorum answer own bodies goes to
//! the next member, later and later.
//!
//! What a faulty member can try: claim what does not exist (what not more than `f` others show, nor the
//! sender signed, is asked for after `fetch_us` only); not answer (it is asked last from then on, until a body
//! comes from it, also one of its own: so a liar that casts can cost each repair the time of one
//! answer); answer own bodies late or soon (of the others that a delivery needs the slowest counts, which
//! lies between two correct ones); send its own bodies twice (that makes the wait in its own log longer,
//! up to the time of an answer).

use smallvec::SmallVec;

use crate::config::{Limits, Timeouts};
use crate::member::{PerRank, Rank};
use crate::quorum::Quorum;
use crate::seq::Number;
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::trip::Trip;

/// Bytes handed to one peer in each `fetch_us`, at least; a window of one sender is always allowed: a
/// member whose link with a sender is broken lives on what others hand it.
const ANSWER_BYTES: usize = 1024 * 1024;

/// No pause is shorter: timers are not finer than that on most systems (RFC 9002).
const FLOOR_US: u64 = 1_000;

/// Once others handed over so many bodies in a row, nothing is expected of their sender any more: those
/// that follow are ordered of the one that handed over the last.
const MISSED: u8 = 3;

/// So many bodies are ordered.
const ORDER: u64 = 16;

/// So many of the last replies of a peer are compared.
const RECENT: usize = 4;

/// In so many rounds the pause between two holders is no longer than `fetch_us`, or an answer's time.
const ROUNDS_QUICK: u8 = 4;

/// Questions without an answer that are counted of one peer.
const STRIKES_MAX: u8 = 8;

/// Whose turn it is to be asked.
#[derive(Debug)]
pub(super) struct Turn {
    /// The members asked in this round.
    asked: PerRank<bool>,
    /// The member asked last, which has not answered.
    last: Option<Rank>,
    /// How often all were asked without progress.
    pub(super) rounds: u8,
}

impl Turn {
    fn new(n: usize) -> Self {
        Self { asked: PerRank::from_fn(n, |_| false), last: None, rounds: 0 }
    }

    fn begin(&mut self) {
        self.asked.values_mut().for_each(|asked| *asked = false);
        (self.last, self.rounds) = (None, 0);
    }
}

/// Bodies that were not asked for yet, and may still be on their way.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    since: Time,
    due: Time,
    to: Number,
    is_sure: bool,
}

/// What is missing of one log.
#[derive(Debug)]
pub(super) struct Missing {
    fresh: Option<Fresh>,
    /// The bodies asked for last, and since when they were missing.
    asked: (Number, Number),
    asked_since: Time,
    /// When they are asked for again, at first after this pause.
    again: Backoff,
    pause_us: u64,
    /// The top of the log when that timer was started, and when.
    top: Number,
    pub(super) since: Time,
    pub(super) bodies: Turn,
    /// When the certificate of what is held is asked for, what was held, certified, when that timer was
    /// started, and whether more than `f` others hold more.
    certificate: Backoff,
    have: Number,
    is_sure: bool,
    pub(super) certificates: Turn,
    /// How much later than what shows them bodies come from their sender.
    late: Trip,
    /// Bodies that others had to hand over since one came from its sender.
    missed: u8,
    /// Bodies up to here are ordered of another member before they exist.
    ordered: Number,
}

/// What others show of a log beyond what is held here: the highest number that anybody shows, and the
/// highest that is sure to exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) any: Number,
    pub(super) sure: Number,
}

/// What is known of one peer.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// How long it takes to reply to own bodies, and what the last of them took: the quickest of these
    /// counts, for a body that was lost and repaired tells nothing of the way.
    trip: Trip,
    recent_us: [u64; RECENT],
    /// Questions that it did not answer since it answered one.
    strikes: u8,
    /// What it was handed lately.
    served_since: Time,
    served_bytes: usize,
}

/// Who said that it lacks the body that is wanted next of a log.
#[derive(Debug)]
struct Lacking {
    number: Number,
    by: PerRank<bool>,
}

/// Bodies of one log that others ordered, see [`Repair::handed`].
#[derive(Debug)]
struct Orders {
    by: PerRank<Number>,
    most: Number,
}

/// Timers and budgets of the repair.
#[derive(Debug)]
pub(super) struct Repair {
    missing: PerRank<Missing>,
    orders: PerRank<Orders>,
    lacking: PerRank<Lacking>,
    peers: PerRank<Peer>,
    /// So many answers of others make a delivery.
    needed: usize,
    /// How long an answer takes.
    answer_us: u64,
    fetch_us: u64,
    resend_max_us: u64,
    /// How long what is missing may be waited for while its sender brings something.
    patience_us: u64,
    answer_bytes: usize,
    /// What all were handed, since the view began.
    charged: u64,
    /// What the Heads of a certificate may weigh.
    pub(super) cover_bytes: usize,
}

/// The most bytes of these tables for one log in a view of `n` members, with what is known of one peer.
pub(super) const fn log_bytes(n: usize) -> usize {
    // Of each member two turns, an order, and whether it lacks the body that is wanted.
    let each = n.saturating_mul(size_of::<Number>().saturating_add(3));
    size_of::<(Missing, Orders, Lacking, Peer)>().saturating_add(each)
}

/// Long before anybody is suspected of anything for it.
fn patience_us(timeouts: &Timeouts) -> u64 {
    let most = (timeouts.slot_us / 2).min(timeouts.lag_us / 4);
    most.min(timeouts.fetch_us.saturating_mul(4)).max(timeouts.fetch_us)
}

impl Repair {
    pub(super) fn new(quorum: Quorum, limits: &Limits, timeouts: &Timeouts) -> Self {
        let n = quorum.n();
        let timer = || Backoff::new(timeouts.fetch_us, timeouts.resend_max_us);
        Self {
            missing: PerRank::from_fn(n, |_| Missing {
                fresh: None,
                asked: (Number::ZERO, Number::ZERO),
                asked_since: Time::ZERO,
                again: timer(),
                pause_us: timeouts.fetch_us,
                top: Number::ZERO,
                since: Time::ZERO,
                bodies: Turn::new(n),
                certificate: timer(),
                have: Number::ZERO,
                is_sure: false,
                certificates: Turn::new(n),
                late: Trip::UNKNOWN,
                missed: 0,
                ordered: Number::ZERO,
            }),
            orders: PerRank::from_fn(n, |_| Orders {
                by: PerRank::from_fn(n, |_| Number::ZERO),
                most: Number::ZERO,
            }),
            lacking: PerRank::from_fn(n, |_| Lacking {
                number: Number::ZERO,
                by: PerRank::from_fn(n, |_| false),
            }),
            peers: PerRank::from_fn(n, |_| Peer::default()),
            needed: quorum.q().saturating_sub(1),
            answer_us: timeouts.fetch_us,
            fetch_us: timeouts.fetch_us,
            resend_max_us: timeouts.resend_max_us,
            patience_us: patience_us(timeouts),
            answer_bytes: ANSWER_BYTES.max(limits.casts_max()).max(limits.window_bytes_max()),
            charged: 0,
            cover_bytes: n.saturating_mul(n.saturating_mul(48).saturating_add(128)),
        }
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.missing.values().fold(None, |first, missing| {
            let fresh = missing.fresh.map(|fresh| fresh.due);
            let again = earliest(missing.again.due(), missing.certificate.due());
            earliest(first, earliest(fresh, again))
        })
    }

    pub(super) fn missing(&self, sender: Rank) -> &Missing {
        self.missing.at(sender)
    }

    /// How long an answer takes: that of the slowest of the members that a delivery needs.
    pub(super) const fn answer_us(&self) -> u64 {
        self.answer_us
    }

    /// A member replied to an own body so long after that left.
    pub(super) fn replied(&mut self, peer: Rank, took_us: u64) {
        let peer = self.peers.at_mut(peer);
        peer.recent_us.rotate_right(1);
        if let Some(last) = peer.recent_us.first_mut() {
            *last = took_us.max(1);
        }
        let quickest_us = peer.recent_us.iter().filter(|took_us| **took_us > 0).min();
        peer.trip.took(quickest_us.copied().unwrap_or(took_us));
        let known = |peer: &Peer| peer.trip.smooth_us().map(|_| peer.trip.pause_us(FLOOR_US));
        let mut all: SmallVec<[u64; 16]> = self.peers.values().filter_map(known).collect();
        all.sort_unstable();
        let slowest = self.needed.checked_sub(1).and_then(|last| all.get(last).copied());
        self.answer_us = slowest.unwrap_or(self.fetch_us).min(self.resend_max_us);
    }

    /// How long a body of this log may come later than what shows it.
    fn late_us(&self, sender: Rank) -> u64 {
        let Missing { late, missed, .. } = self.missing.at(sender);
        if *missed >= MISSED {
            // What is ordered comes about when others show it.
            return self.answer_us / 2;
        }
        let usual_us = late.smooth_us().map(|_| late.pause_us(FLOOR_US));
        usual_us.map_or(self.answer_us, |usual_us| usual_us.min(self.answer_us))
    }

    /// A body came from its sender, of a log that is held up to `top`.
    pub(super) fn came(&mut self, now: Time, sender: Rank, number: Number, top: Number) {
        let most_us = self.answer_us;
        let missing = self.missing.at_mut(sender);
        let (from, to) = missing.asked;
        let since = match missing.fresh {
            Some(fresh) if number > top.max(to) => (number <= fresh.to).then_some(fresh.since),
            Some(_) | None if number >= from && number <= to => {
                // What its sender was asked for tells nothing.
                (missing.bodies.last != Some(sender)).then_some(missing.asked_since)
            }
            Some(_) | None => (number == top.next()).then_some(now),
        };
        if let Some(since) = since {
            missing.late.took(now.since(since).min(most_us));
        }
    }

    /// This peer handed over a body of a log. If nothing is expected of its sender any more, returns
    /// the bodies to order of the peer.
    pub(super) fn handed(
        &mut self,
        peer: Rank,
        sender: Rank,
        number: Number,
    ) -> Option<(Number, Number)> {
        self.peers.at_mut(peer).strikes = 0;
        let missing = self.missing.at_mut(sender);
        if peer == sender {
            missing.missed = 0;
            return None;
        }
        missing.missed = missing.missed.saturating_add(1);
        let is_near = number.plus(ORDER / 2) >= missing.ordered;
        (missing.missed >= MISSED && is_near).then(|| {
            let from = missing.ordered.max(number).next();
            missing.ordered = number.plus(ORDER);
            (from, missing.ordered)
        })
    }

    /// A peer orders bodies of a log up to `to`; those up to `top` are here. No more than two orders
    /// are taken at once.
    pub(super) fn order(&mut self, peer: Rank, sender: Rank, top: Number, to: Number) {
        let to = to.min(top.plus(ORDER * 2));
        let orders = self.orders.at_mut(sender);
        orders.most = orders.most.max(to);
        let ordered = orders.by.at_mut(peer);
        *ordered = to.max(*ordered);
    }

    /// The peers that ordered bodies of a log above `number`, and up to which.
    pub(super) fn orders(&self, sender: Rank, number: Number) -> SmallVec<[(Rank, Number); 4]> {
        let orders = self.orders.at(sender);
        if orders.most <= number {
            return SmallVec::new();
        }
        let by = orders.by.iter().filter(|(_, to)| **to > number);
        by.map(|(peer, to)| (peer, *to)).collect()
    }

    /// Others show bodies of a log that is held up to `top`; or not, if `shown` is no higher.
    pub(super) fn watch_bodies(&mut self, now: Time, sender: Rank, top: Number, shown: Shown) {
        let (late_us, fetch_us) = (self.late_us(sender), self.fetch_us);
        let missing = self.missing.at_mut(sender);
        if missing.asked.1 <= top || shown.any <= top {
            missing.again.stop();
        } else if missing.top != top {
            (missing.top, missing.since) = (top, now);
            missing.bodies.begin();
            missing.again.restart_with(now, missing.pause_us);
        }
        let mark = match missing.again.due() {
            Some(_) => top.max(missing.asked.1),
            None => top,
        };
        let is_open = |fresh: &Fresh| fresh.to > mark;
        let (to, is_sure) = if shown.sure > mark { (shown.sure, true) } else { (shown.any, false) };
        missing.fresh = match missing.fresh.filter(is_open) {
            _ if to <= mark => None,
            Some(fresh) if fresh.is_sure || !is_sure => Some(fresh),
            Some(_) | None => {
                let due = now.plus(if is_sure { late_us } else { fetch_us });
                Some(Fresh { since: now, due, to, is_sure })
            }
        };
    }

    /// Others show a certificate above `have`, up to which a log is held, certified; or not, if
    /// `shown` is no higher.
    pub(super) fn watch_certificate(
        &mut self,
        now: Time,
        sender: Rank,
        have: Number,
        shown: Shown,
    ) {
        let (fetch_us, answer_us) = (self.fetch_us, self.answer_us);
        let missing = self.missing.at_mut(sender);
        let is_sure = shown.sure > have;
        if shown.any <= have {
            missing.certificate.stop();
        } else if missing.certificate.due().is_none()
            || missing.have != have
            || (is_sure && !missing.is_sure)
        {
            (missing.have, missing.is_sure) = (have, is_sure);
            missing.certificates.begin();
            let pause_us = if is_sure { answer_us } else { fetch_us };
            missing.certificate.restart_with(now, pause_us);
        }
    }

    /// The bodies to ask for now, if any: those above the first number, up to the second. `true` if
    /// they were asked for before.
    pub(super) fn bodies_due(
        &mut self,
        now: Time,
        sender: Rank,
        top: Number,
    ) -> Option<(Number, Number, bool)> {
        let missing = self.missing.at_mut(sender);
        let again = missing.again.fires(now);
        let mut range = again.then_some((top, missing.asked.1));
        if let Some(fresh) = missing.fresh.filter(|fresh| fresh.due <= now) {
            missing.fresh = None;
            let is_running = missing.again.due().is_some();
            let mark = if is_running { top.max(missing.asked.1) } else { top };
            let from = if again { top } else { mark };
            missing.asked = (mark.next(), fresh.to);
            missing.asked_since = fresh.since;
            range = Some((from, fresh.to));
            if !is_running {
                (missing.top, missing.since) = (top, fresh.since);
                missing.bodies.begin();
                missing.pause_us = if fresh.is_sure { self.answer_us } else { self.fetch_us };
                missing.again.restart_with(now, missing.pause_us);
            }
        }
        range.map(|(from, to)| (from, to, again))
    }

    /// Whether the certificate is to be asked for now.
    pub(super) fn certificate_due(&mut self, now: Time, sender: Rank) -> bool {
        self.missing.at_mut(sender).certificate.fires(now)
    }

    /// All bodies up to `to` are asked for now.
    pub(super) fn ask_now(&mut self, now: Time, sender: Rank, top: Number, to: Number) {
        let answer_us = self.answer_us;
        let missing = self.missing.at_mut(sender);
        missing.fresh = None;
        missing.asked = (top.next(), to);
        (missing.top, missing.since, missing.asked_since) = (top, now, now);
        missing.bodies.begin();
        missing.pause_us = answer_us;
        missing.again.restart_with(now, answer_us);
    }

    /// The next of these holders to ask: those not asked in this round, those that answered first, then
    /// the nearest. `true` with each says that it may not hold it.
    pub(super) fn next(
        &mut self,
        now: Time,
        sender: Rank,
        is_for_bodies: bool,
        holders: &[(Rank, bool)],
    ) -> Option<Rank> {
        let first_round_us = self.fetch_us.max(self.answer_us);
        let missing = self.missing.at_mut(sender);
        let certificate_us = if missing.is_sure { self.answer_us } else { self.fetch_us };
        let (turn, timer, pause_us) = match is_for_bodies {
            true => (&mut missing.bodies, &mut missing.again, missing.pause_us),
            false => (&mut missing.certificates, &mut missing.certificate, certificate_us),
        };
        if let Some(last) = turn.last {
            let strikes = &mut self.peers.at_mut(last).strikes;
            *strikes = strikes.saturating_add(1).min(STRIKES_MAX);
        }
        let peers = &self.peers;
        let key = |(rank, is_other): &(Rank, bool)| {
            let peer = peers.at(*rank);
            let trip_us = peer.trip.smooth_us().unwrap_or(u64::MAX);
            (*is_other, peer.strikes, *rank == sender, trip_us, *rank)
        };
        if turn.last.is_none() {
            // The first two questions follow each other soon: one in a few gets lost.
            timer.restart_with(now, pause_us);
        }
        let left = holders.iter().filter(|(rank, _)| !*turn.asked.at(*rank));
        let (next, _) = left.min_by_key(|holder| key(holder)).copied()?;
        *turn.asked.at_mut(next) = true;
        turn.last = Some(next);
        if holders.iter().all(|(rank, _)| *turn.asked.at(*rank)) {
            turn.asked.values_mut().for_each(|asked| *asked = false);
            turn.rounds = turn.rounds.saturating_add(1);
        } else if turn.rounds < ROUNDS_QUICK && timer.pause_us() > first_round_us {
            // Of many holders each has its turn soon.
            timer.restart_with(now, first_round_us);
        }
        Some(next)
    }

    /// A member lacks a body; says whether that is news.
    pub(super) fn note_lacking(&mut self, (peer, sender): (Rank, Rank), number: Number) -> bool {
        let lacking = self.lacking.at_mut(sender);
        if lacking.number != number {
            lacking.number = number;
            lacking.by.values_mut().for_each(|by| *by = false);
        }
        !core::mem::replace(lacking.by.at_mut(peer), true)
    }

    /// How many said so of this body.
    pub(super) fn lack(&self, sender: Rank, number: Number) -> usize {
        let lacking = self.lacking.at(sender);
        let is_it = lacking.number == number;
        lacking.by.values().filter(|by| is_it && **by).count()
    }

    /// Nothing is missing any more.
    pub(super) fn stop(&mut self) {
        for missing in self.missing.values_mut() {
            missing.fresh = None;
            missing.again.stop();
            missing.certificate.stop();
        }
    }

    /// A piece of something long came from this sender: what is missing of its log is likely to be on
    /// its way, and others are not asked to send the same, as long as there is patience.
    pub(super) fn on_piece(&mut self, now: Time, sender: Rank) {
        let (patience_us, answer_us) = (self.patience_us, self.answer_us);
        let missing = self.missing.at_mut(sender);
        if let Some(fresh) = &mut missing.fresh
            && now.since(fresh.since) < patience_us
        {
            fresh.due = fresh.due.max(now.plus(answer_us));
        }
        if missing.again.due().is_some() && now.since(missing.since) < patience_us {
            missing.again.restart_with(now, answer_us.max(missing.again.pause_us()));
        }
    }

    /// How many bytes all were handed, as they are charged.
    pub(super) const fn charged(&self) -> u64 {
        self.charged
    }

    /// Whether `peer` may be handed `bytes` more now.
    pub(super) fn allows(&mut self, now: Time, peer: Rank, bytes: usize) -> bool {
        let peer = self.peers.at_mut(peer);
        if now.since(peer.served_since) >= self.fetch_us {
            (peer.served_since, peer.served_bytes) = (now, 0);
        }
        if peer.served_bytes >= self.answer_bytes {
            return false;
        }
        peer.served_bytes = peer.served_bytes.saturating_add(bytes);
        self.charged = self.charged.saturating_add(bytes as u64);
        true
    }
}
