//! Layer Stable: the stability matrix of signed rows (protocol.md section 5; RM8 in section 4).
//!
//! Promises upwards: [`Out::Threshold`] rises only to what a quorum signed that it holds, and all
//! Active members but the sender of the log and those proven to lie. Rows are relayed on request, so all correct members see the same ones. What a
//! faulty member can try: overstate (its own word counts only for itself, and a threshold needs all
//! Active members), stand still or creep (it is lagging or slow, an opinion), hold its own log back
//! (a sender holds what it wrote: its row is not waited for there), sign two rows that contradict
//! each other (a Proof), show its rows to a few only, or other ones to each (rows are gossip).

mod gossip;

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Context, Post, To};
use crate::config::{Config, Limits};
use crate::crypto::{Roster, Signed, Stable as Row, Verified};
use crate::fault::{Evidence, Proof, rows_contradict};
use crate::member::{PerRank, Rank};
use crate::quorum::Quorum;
use crate::seq::Number;
use crate::time::{Time, earliest};
use crate::wire::{List, Part};
use gossip::Gossip;

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// A row, of its signer or relayed.
    Row(Verified<Row>),
    /// A peer asks for a row of `member` with a counter above this.
    AskRow(Rank, Rank, u64),
    /// A proof against this member is held: nobody waits for its rows any more.
    Proven(Rank),
    /// The own row is due ([`Stable::is_due`]); this is what it says.
    Sign(Vec<Number>),
    /// A peer told the counters of the rows that it holds.
    Counters(Rank, Vec<u64>),
    /// Time passed.
    Tick,
    /// It is due, and nobody has been heard yet: the one that was signed is enough.
    Repeat,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Something to send.
    Post(Post),
    /// A newer row of this member is here: it is alive, and holds what the row says.
    Fresh(Rank, Vec<Number>),
    /// The stability threshold of a log rose.
    Threshold(Rank, Number),
    /// A member signed two rows that contradict each other.
    Proof(Box<Proof>),
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Stable {
    me: Rank,
    quorum: Quorum,
    /// Active members against whom nothing is proven.
    active: Vec<Rank>,
    interval_us: u64,
    limits: Limits,
    rows: PerRank<Option<Verified<Row>>>,
    thresholds: PerRank<Number>,
    counter: u64,
    due: Time,
    /// Since when, and how many, rows were handed to each peer that asked.
    served: PerRank<(Time, usize)>,
    /// Bodies and bytes of each log at the last own row.
    told: PerRank<(Number, u64)>,
    gossip: Gossip,
}

impl Stable {
    /// The layer for the view of `roster`, whose Active members are `active`; the first row is due
    /// at once.
    pub(crate) fn new(
        config: &Config,
        roster: &Roster,
        me: Rank,
        active: Vec<Rank>,
        now: Time,
    ) -> Self {
        let n = roster.quorum().n();
        Self {
            me,
            quorum: roster.quorum(),
            active,
            interval_us: config.timeouts.stable_us,
            limits: config.genesis.limits,
            rows: PerRank::from_fn(n, |_| None),
            thresholds: PerRank::from_fn(n, |_| Number::ZERO),
            counter: 0,
            due: now,
            served: PerRank::from_fn(n, |_| (now, 0)),
            told: PerRank::from_fn(n, |_| (Number::ZERO, 0)),
            gossip: Gossip::new(n, me, config.timeouts.stable_us),
        }
    }

    /// When the next own row, or a question for one of another, is owed at the latest.
    pub(crate) fn deadline(&self) -> Option<Time> {
        earliest(Some(self.due), self.gossip.due())
    }

    /// An answer takes so long.
    pub(crate) fn pace(&mut self, answer_us: u64) {
        self.gossip.pace(answer_us);
    }

    /// Whether the own row is due: the interval passed, or half a window of bodies or a third of its
    /// bytes was used up since the last one, so that a busy group does not wait for the clock. Casts
    /// use three quarters of a window, so there is time for the row to arrive.
    pub(crate) fn is_due(&self, now: Time, held: impl Iterator<Item = (Number, u64)>) -> bool {
        let bodies = u64::from(self.limits.window_bodies) / 2;
        let bytes = u64::from(self.limits.window_bytes / 3);
        now >= self.due
            || self.told.values().zip(held).any(|(told, held)| {
                held.0.past(told.0) >= bodies || held.1.saturating_sub(told.1) >= bytes
            })
    }

    /// Notes what is held at the moment of the own row.
    pub(crate) fn note(&mut self, held: impl Iterator<Item = (Number, u64)>) {
        self.told.values_mut().zip(held).for_each(|(told, held)| *told = held);
    }

    /// Whether a row can tell anything new; if not, its signature need not be checked.
    pub(crate) fn wants(&self, row: &Signed<Row>) -> bool {
        row.signer != self.me
            && self.rows.at(row.signer).as_ref().is_none_or(|known| {
                row.statement.counter > known.counter || rows_contradict(&row.statement, known)
            })
    }

    /// The counter of the newest row of a member; 0 if there is none.
    pub(crate) fn counter(&self, member: Rank) -> u64 {
        self.rows.at(member).as_ref().map_or(0, |row| row.counter)
    }

    /// What a member's newest row says about a log.
    pub(crate) fn row(&self, member: Rank, sender: Rank) -> Number {
        let row = self.rows.at(member).as_ref();
        row.and_then(|row| row.have.get(sender.index()).copied()).unwrap_or_default()
    }

    /// Whether stability waits for the rows of this member (RM8).
    pub(crate) fn waits_for(&self, member: Rank) -> bool {
        self.active.contains(&member)
    }

    /// The stability threshold of a log.
    pub(crate) fn threshold(&self, sender: Rank) -> Number {
        *self.thresholds.at(sender)
    }

    /// One step.
    pub(crate) fn step(&mut self, cx: &mut Context<'_>, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Row(row) => self.on_row(cx, row, &mut out),
            In::AskRow(peer, member, above) => {
                let is_allowed = self.may_serve(cx.now, peer);
                let row = self.rows.at(member).as_ref();
                if let Some(row) = row.filter(|row| is_allowed && row.counter > above) {
                    let part = Part::Stable(row.signed().as_ref().clone());
                    out.push(Out::Post(Post::part(To::One(peer), part)));
                }
            }
            In::Proven(member) => {
                self.active.retain(|active| *active != member);
                self.raise_thresholds(&mut out);
            }
            In::Repeat => {
                self.due = cx.now.plus(self.interval_us);
                if let Some(row) = self.rows.at(self.me) {
                    let part = Part::Stable(row.signed().as_ref().clone());
                    out.push(Out::Post(Post::part(To::All, part)));
                    out.push(Out::Fresh(self.me, row.have.to_vec()));
                }
            }
            In::Sign(have) => {
                self.counter = self.counter.saturating_add(1);
                self.due = cx.now.plus(self.interval_us);
                // Never falling, whatever the caller says (protocol.md section 2).
                let have: Vec<Number> = Rank::all(self.rows.len())
                    .zip(have)
                    .map(|(sender, have)| have.max(self.row(self.me, sender)))
                    .collect();
                let row = Row { counter: self.counter, have: List::from(have) };
                let row = cx.door.sign(cx.roster, self.me, row);
                let part = Part::Stable(row.signed().as_ref().clone());
                self.on_row(cx, row, &mut out);
                let counters = Part::RowCounters(self.counters().into());
                let parts = alloc::vec![part, counters];
                out.push(Out::Post(Post { to: To::All, parts, casts: None }));
            }
            In::Counters(peer, counters) => {
                let held = self.counters();
                self.gossip.on_counters(cx.now, peer, &counters, &held);
            }
            In::Tick => {
                if self.gossip.due().is_some_and(|due| due <= cx.now) {
                    let held = self.counters();
                    let due = self.gossip.on_tick(cx.now, &held);
                    out.extend(due.into_iter().map(|(member, holder)| {
                        let above = self.counter(member);
                        Out::Post(Post::part(To::One(holder), Part::AskRow { member, above }))
                    }));
                }
            }
        }
        out
    }

    /// Whether this peer may be handed one more row: as many as there are members in each interval.
    fn may_serve(&mut self, now: Time, peer: Rank) -> bool {
        let limit = self.rows.len();
        let (since, count) = self.served.at_mut(peer);
        if now.since(*since) >= self.interval_us {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= limit
    }

    fn on_row(&mut self, cx: &Context<'_>, row: Verified<Row>, out: &mut Vec<Out>) {
        let signer = row.signer();
        if let Some(known) = self.rows.at(signer) {
            let (first, second) =
                if known.counter <= row.counter { (known, &row) } else { (&row, known) };
            if rows_contradict(first, second) {
                let (first, second) =
                    (first.signed().as_ref().clone(), second.signed().as_ref().clone());
                let evidence = Evidence::TwoRows { first, second };
                out.push(Out::Proof(Box::new(Proof { view: *cx.roster.view(), evidence })));
                return;
            }
            if row.counter <= known.counter {
                return;
            }
        }
        out.push(Out::Fresh(signer, row.have.to_vec()));
        self.gossip.on_row(cx.now, signer, row.counter);
        *self.rows.at_mut(signer) = Some(row);
        self.raise_thresholds(out);
    }

    fn raise_thresholds(&mut self, out: &mut Vec<Out>) {
        for sender in self.thresholds.ranks() {
            let reached = self.reached(sender);
            if reached > *self.thresholds.at(sender) {
                *self.thresholds.at_mut(sender) = reached;
                out.push(Out::Threshold(sender, reached));
            }
        }
    }

    /// RM8: what all Active members and at least a quorum in all report. The sender of the log, if it
    /// is another, is taken for one that holds what the others hold: it wrote it, and must not be able
    /// to hold back its own log. This member itself does not write more than it can hold. A member that is proven to lie is not waited for: it may have told others another
    /// row, so that they and this member would judge the same window differently for ever.
    fn reached(&self, sender: Rank) -> Number {
        let is_other = sender != self.me && self.active.contains(&sender);
        let writer = is_other.then_some(sender);
        let others = self.active.iter().filter(|member| Some(**member) != writer);
        let by_active = others.map(|member| self.row(*member, sender)).min();
        let row = |member: Rank| match Some(member) == writer {
            true => self.row(member, sender).max(by_active.unwrap_or_default()),
            false => self.row(member, sender),
        };
        let mut all: Vec<Number> = self.rows.ranks().map(row).collect();
        let by_quorum = self.quorum.reached(&mut all).unwrap_or_default();
        by_quorum.min(by_active.unwrap_or(by_quorum))
    }

    /// The counters of the newest rows here, by rank.
    fn counters(&self) -> Vec<u64> {
        self.rows.ranks().map(|member| self.counter(member)).collect()
    }

    /// The rows by which this member knows what room there is in the log of `sender`, as far as that
    /// member has not told that it holds them.
    pub(crate) fn rows_for(&self, sender: Rank) -> Vec<Part> {
        let others = self.rows.iter().filter(|(member, _)| *member != sender);
        let news = others.filter_map(|(member, row)| {
            row.as_ref().filter(|row| row.counter > self.gossip.told(sender, member))
        });
        news.map(|row| Part::Stable(row.signed().as_ref().clone())).collect()
    }
}

#[cfg(test)]
mod tests;
