//! Repair: what was said is repeated until a quorum holds it (RM2), and what is missing is fetched
//! from whoever has it (RM6). What is handed out stands in `answer`.

use alloc::vec::Vec;

use super::{Out, Reliable};
use crate::config::{Limits, Timeouts};
use crate::layer::{Post, To};
use crate::member::{PerRank, Rank};
use crate::seq::Number;
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::view::Pattern;
use crate::wire::Part;

/// Bytes handed to one peer in each `fetch_us`, at least; one body is always allowed.
const ANSWER_BYTES: usize = 1024 * 1024;

/// After so many rounds of all who may hold it nobody has a body that is stable.
const ROUNDS: u8 = 2;

/// What is being fetched for one log.
#[derive(Clone, Copy, Debug)]
struct Missing {
    timer: Backoff,
    /// What was held when the timer was started: progress starts it anew.
    top: Number,
    have: Number,
    /// Since when there was no progress.
    since: Time,
    /// Whom to ask next.
    turn: usize,
    /// How often all were asked without progress.
    rounds: u8,
}

/// Who said that it lacks the body that is wanted next of a log.
#[derive(Debug)]
struct Lacking {
    number: Number,
    by: PerRank<bool>,
}

/// What one peer was handed lately.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    since: Time,
    bytes: usize,
}

/// Timers and budgets of the repair.
#[derive(Debug)]
pub(super) struct Repair {
    missing: PerRank<Missing>,
    lacking: PerRank<Lacking>,
    served: PerRank<Served>,
    fetch_us: u64,
    /// How long what is missing may be waited for while its sender brings something.
    patience_us: u64,
    answer_bytes: usize,
    /// What all were handed, since the view began.
    charged: u64,
    /// What the Heads of a certificate may weigh.
    pub(super) cover_bytes: usize,
}

/// Long before anybody is suspected of anything for it.
fn patience_us(timeouts: &Timeouts) -> u64 {
    let most = (timeouts.slot_us / 2).min(timeouts.lag_us / 4);
    most.min(timeouts.fetch_us.saturating_mul(4)).max(timeouts.fetch_us)
}

impl Repair {
    pub(super) fn new(n: usize, limits: &Limits, timeouts: &Timeouts) -> Self {
        Self {
            missing: PerRank::from_fn(n, |_| Missing {
                timer: Backoff::new(timeouts.fetch_us, timeouts.resend_max_us),
                top: Number::ZERO,
                have: Number::ZERO,
                since: Time::ZERO,
                turn: 0,
                rounds: 0,
            }),
            lacking: PerRank::from_fn(n, |_| Lacking {
                number: Number::ZERO,
                by: PerRank::from_fn(n, |_| false),
            }),
            served: PerRank::from_fn(n, |_| Served::default()),
            fetch_us: timeouts.fetch_us,
            patience_us: patience_us(timeouts),
            answer_bytes: ANSWER_BYTES.max(limits.casts_max()),
            charged: 0,
            cover_bytes: n.saturating_mul(n.saturating_mul(48).saturating_add(128)),
        }
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.missing.values().fold(None, |first, missing| earliest(first, missing.timer.due()))
    }

    /// A member lacks a body; says whether that is news.
    fn note_lacking(&mut self, (peer, sender): (Rank, Rank), number: Number) -> bool {
        let lacking = self.lacking.at_mut(sender);
        if lacking.number != number {
            lacking.number = number;
            lacking.by.values_mut().for_each(|by| *by = false);
        }
        !core::mem::replace(lacking.by.at_mut(peer), true)
    }

    /// How many said so of this body.
    fn lack(&self, sender: Rank, number: Number) -> usize {
        let lacking = self.lacking.at(sender);
        let is_it = lacking.number == number;
        lacking.by.values().filter(|by| is_it && **by).count()
    }

    /// Nothing is missing any more.
    pub(super) fn stop(&mut self) {
        self.missing.values_mut().for_each(|missing| missing.timer.stop());
    }

    /// A piece of something long came from this sender: what is missing of its log is likely to be on
    /// its way, and others are not asked to send the same, as long as there is patience.
    pub(super) fn on_piece(&mut self, now: Time, sender: Rank) {
        let missing = self.missing.at_mut(sender);
        if missing.timer.due().is_some() && now.since(missing.since) < self.patience_us {
            missing.timer.restart(now);
        }
    }

    /// How many bytes all were handed, as they are charged.
    pub(super) const fn charged(&self) -> u64 {
        self.charged
    }

    /// Whether `peer` may be handed `bytes` more now.
    pub(super) fn allows(&mut self, now: Time, peer: Rank, bytes: usize) -> bool {
        let served = self.served.at_mut(peer);
        if now.since(served.since) >= self.fetch_us {
            *served = Served { since: now, bytes: 0 };
        }
        if served.bytes >= self.answer_bytes {
            return false;
        }
        served.bytes = served.bytes.saturating_add(bytes);
        self.charged = self.charged.saturating_add(bytes as u64);
        true
    }
}

impl Reliable {
    /// Heads, haves and the newest own body again, until a quorum holds what they say. Each log by
    /// itself: progress of one does not put off what is owed to another.
    pub(super) fn on_repeat(&mut self, now: Time, out: &mut Vec<Out>) {
        let mut said = Vec::new();
        for sender in self.logs.ranks() {
            let log = self.logs.at(sender);
            let is_open = self.phase.is_open() && log.replied.number > log.deliverable;
            let repeat = self.repeats.at_mut(sender);
            if !is_open {
                repeat.stop();
                continue;
            }
            repeat.start(now);
            if !repeat.fires(now) {
                continue;
            }
            self.say_again(sender, &mut said);
            if sender == self.me {
                self.repeat_body(out);
            }
        }
        out.extend(said.into_iter().map(|(to, part)| Out::Post(Post::part(to, part))));
    }

    /// What this member last said about a log.
    fn say_again(&self, sender: Rank, said: &mut Vec<(To, Part)>) {
        let Some(heads) = self.mine.at(sender) else { return };
        let to = match self.pattern {
            Pattern::Paper if sender != self.me => To::One(sender),
            Pattern::Paper | Pattern::Swift => To::All,
        };
        let again = (to, Part::Heads(heads.signed().as_ref().clone()));
        if !said.contains(&again) {
            said.push(again);
        }
        let log = self.logs.at(sender);
        if self.pattern == Pattern::Paper
            && sender == self.me
            && log.certified().number > log.deliverable
            && let Some(certificate) = self.certificate(sender, log.certified().number)
        {
            said.push((To::All, Part::Certificate(certificate)));
        }
    }

    /// The newest own body, to those who do not have it.
    fn repeat_body(&self, out: &mut Vec<Out>) {
        let log = self.logs.at(self.me);
        let newest = log.top().number;
        let Some(body) = log.body(newest).filter(|_| newest > log.deliverable) else { return };
        let Some(heads) = self.mine.at(self.me) else { return };
        for (peer, have) in log.haves.iter() {
            if peer != self.me && *have < newest {
                let heads = Part::Heads(heads.signed().as_ref().clone());
                let parts = alloc::vec![heads, Part::Body(body.head(Vec::new()))];
                let casts = Some(body.cargo());
                out.push(Out::Post(Post { to: To::One(peer), parts, casts }));
            }
        }
    }

    /// Fetches what has been missing for a while, one log after the other.
    pub(super) fn on_fetch_timers(&mut self, now: Time, out: &mut Vec<Out>) {
        for sender in self.logs.ranks() {
            let target = self.missing_up_to(sender);
            let log = self.logs.at(sender);
            let (top, have) = (log.top().number, log.have());
            let missing = self.repair.missing.at_mut(sender);
            let Some(target) = target else {
                missing.timer.stop();
                continue;
            };
            if missing.top != top || missing.have != have || missing.timer.due().is_none() {
                (missing.top, missing.have, missing.rounds) = (top, have, 0);
                missing.since = now;
                missing.timer.restart(now);
            } else if missing.timer.fires(now) {
                self.jump(sender, out);
                self.ask(now, sender, target, out);
            }
        }
    }

    /// Without the first pause.
    pub(super) fn ask_at_once(&mut self, now: Time, sender: Rank, out: &mut Vec<Out>) {
        let Some(target) = self.missing_up_to(sender) else { return };
        let log = self.logs.at(sender);
        let (top, have) = (log.top().number, log.have());
        let missing = self.repair.missing.at_mut(sender);
        (missing.top, missing.have, missing.rounds) = (top, have, 0);
        missing.timer.restart(now);
        self.ask(now, sender, target, out);
    }

    /// A member lacks the body that is wanted next: the next one is asked at once.
    pub(super) fn on_lacks(
        &mut self,
        now: Time,
        (peer, sender): (Rank, Rank),
        number: Number,
        out: &mut Vec<Out>,
    ) {
        let is_wanted =
            self.is_wanting(sender) && number == self.logs.at(sender).top().number.next();
        if is_wanted
            && self.repair.note_lacking((peer, sender), number)
            && let Some(target) = self.missing_up_to(sender)
        {
            self.ask(now, sender, target, out);
        }
    }

    /// Whether a body of the cut is to be had from nobody: all others but `f` said that they lack it.
    /// So at least one correct member lacks what a quorum held when the view ended, and those of
    /// whom that is not known may all be down, or lie.
    pub(crate) fn is_gone(&self) -> bool {
        let n = self.quorum.n();
        let enough = n.saturating_sub(self.quorum.f()).saturating_sub(1).max(1);
        self.logs.ranks().any(|sender| {
            let next = self.logs.at(sender).top().number.next();
            self.is_wanting(sender) && self.repair.lack(sender, next) >= enough
        })
    }

    /// The highest body of a log that is worth asking for; `None` if nothing is missing.
    fn missing_up_to(&self, sender: Rank) -> Option<Number> {
        let (limit, log) = (self.limit(sender), self.logs.at(sender));
        let told = log.haves.values().copied().fold(Number::ZERO, Number::max).min(limit);
        let target = told.max(log.horizon()).min(limit);
        let is_missing = target > log.top().number || told > log.have() || self.is_wanting(sender);
        (is_missing && !self.phase.is_closed()).then_some(target)
    }

    /// A Silenced member gives up what it asked for in vain, if that is stable.
    fn jump(&mut self, sender: Rank, out: &mut Vec<Out>) {
        let is_in_vain = self.repair.missing.at(sender).rounds >= ROUNDS;
        if is_in_vain && !self.is_active(self.me) && self.logs.at_mut(sender).jump() {
            self.repair.missing.at_mut(sender).rounds = 0;
            self.anchor_newest(sender);
            self.go_blind();
            out.push(Out::Overtaken);
        }
    }

    /// Asks the next member that may have it.
    fn ask(&mut self, now: Time, sender: Rank, target: Number, out: &mut Vec<Out>) {
        let log = self.logs.at(sender);
        let (top, have) = (log.top().number, log.have());
        let missing = self.repair.missing.at_mut(sender);
        let turn = missing.turn;
        missing.turn = turn.wrapping_add(1);
        let (peer, is_round_over) = self.holder(sender, turn, top, have);
        let missing = self.repair.missing.at_mut(sender);
        if is_round_over {
            missing.rounds = missing.rounds.saturating_add(1);
        } else {
            // The pause grows with each round of holders, not with each of them.
            missing.timer.restart(now);
        }
        if let Some(peer) = peer {
            let from = top.next().min(target.next());
            let part = Part::Fetch { sender, from, to: target };
            out.push(Out::Post(Post::part(To::One(peer), part)));
        }
    }

    /// Who says, by haves and votes, that it holds more than is here; the sender itself
    /// last. `turn` goes round; also returns whether the round is over. For the cut all others are
    /// asked: who holds it may have said nothing of it.
    fn holder(&self, sender: Rank, turn: usize, top: Number, have: Number) -> (Option<Rank>, bool) {
        let log = self.logs.at(sender);
        let least = if top > have { have.next() } else { top.next() };
        let others = log.haves.iter().filter(|(peer, _)| *peer != self.me && *peer != sender);
        let (mut holders, rest): (Vec<_>, Vec<_>) = others.partition(|(peer, told)| {
            let voted = log.votes.newest(*peer).is_some_and(|vote| vote.head.number > top);
            **told >= least || voted
        });
        if self.is_wanting(sender) {
            holders.extend(rest);
        }
        let mut holders: Vec<Rank> = holders.into_iter().map(|(peer, _)| peer).collect();
        if sender != self.me {
            holders.push(sender);
        }
        let Some(index) = turn.checked_rem(holders.len()) else { return (None, true) };
        (holders.get(index).copied(), index.saturating_add(1) == holders.len())
    }
}
