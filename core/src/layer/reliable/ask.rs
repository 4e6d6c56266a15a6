//! Repetition and questions: what was said is said again until a quorum holds it (RM2), and what is
//! missing is fetched from a member that has it (RM6). Timers and turns stand in `repair`.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::repair::Shown;
use super::{Out, Reliable};
use crate::layer::{Post, To};
use crate::member::Rank;
use crate::seq::Number;
use crate::time::Time;
use crate::view::Pattern;
use crate::wire::Part;

/// After so many rounds of all who may hold it nobody has a body that is stable.
const ROUNDS: u8 = 2;

/// And not before so many `fetch_us`, however quick the rounds are.
const PAUSES: u64 = 6;

/// Holes of one log that one question asks for.
const HOLES_MAX: usize = 8;

/// Longer holes are asked for with what certifies them: whoever lacks so much lacks the votes, too.
const LONG_HOLE: u64 = 8;

impl Reliable {
    /// Heads, haves and the newest own body again, until a quorum holds what they say. Each log by
    /// itself: progress of one does not put off what is owed to another.
    pub(super) fn on_repeat(&mut self, now: Time, out: &mut Vec<Out>) {
        let mut said = Vec::new();
        let mut asks_haves = false;
        for sender in self.logs.ranks() {
            let log = self.logs.at(sender);
            let is_open = self.phase.is_open() && log.replied.number > log.deliverable;
            let first_us = self.repeat_us();
            let repeat = self.repeats.at_mut(sender);
            if !is_open {
                repeat.stop();
                continue;
            }
            if repeat.due().is_none() {
                repeat.restart_with(now, first_us);
            }
            if !repeat.fires(now) {
                continue;
            }
            let is_slow = repeat.pause_us() > self.timeouts.resend_us;
            asks_haves |= log.have() > log.deliverable;
            self.say_again(sender, &mut said);
            if sender == self.me && is_slow {
                self.repeat_body(out);
            }
        }
        if asks_haves {
            // Every answer tells how far its sender holds the logs, even one to nothing.
            let (from, to) = (Number::ZERO.next(), Number::ZERO);
            said.push((To::All, Part::Fetch { sender: self.me, from, to }));
        }
        out.extend(said.into_iter().map(|(to, part)| Out::Post(Post::part(to, part))));
    }

    /// How long what was said goes without an answer before it is said again: a reply and a have, or
    /// a body and a reply, each take half of that.
    pub(super) const fn repeat_us(&self) -> u64 {
        self.repair.answer_us().saturating_mul(2)
    }

    /// How long an answer of the others that a delivery needs takes.
    pub(crate) const fn answer_us(&self) -> u64 {
        self.repair.answer_us()
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

    /// Looks at what others show of a log and this member lacks.
    pub(super) fn watch(&mut self, now: Time, sender: Rank) {
        if self.phase.is_closed() {
            return;
        }
        let (bodies, certified) = self.shown(sender);
        let log = self.logs.at(sender);
        let (top, have) = (log.top().number, log.have());
        self.repair.watch_bodies(now, sender, top, bodies);
        let only_bodies = have == top && bodies.any > top;
        let certified = if only_bodies { Shown::default() } else { certified };
        self.repair.watch_certificate(now, sender, have, certified);
    }

    /// The highest body of a log, and the highest that is certified and held, that anybody shows to
    /// have, and that more than `f` others do. A body that the sender signed, or that is certified,
    /// is sure to exist, too.
    fn shown(&self, sender: Rank) -> (Shown, Shown) {
        let (limit, log) = (self.limit(sender), self.logs.at(sender));
        let (mut bodies, mut haves) = (SmallVec::<[Number; 16]>::new(), SmallVec::new());
        for (peer, have) in log.haves.iter().filter(|(peer, _)| *peer != self.me) {
            let vote = log.votes.newest(peer).map_or(Number::ZERO, |vote| vote.head.number);
            bodies.push(vote.max(*have).min(limit));
            haves.push((*have).min(limit));
        }
        let known = log.horizon().min(limit);
        let weak = self.quorum.weak();
        let end = match self.is_wanting(sender) {
            true => self.phase.end(sender).map_or(Number::ZERO, |end| end.number).min(limit),
            false => Number::ZERO,
        };
        let (bodies, haves) = (highest(bodies, weak), highest(haves, weak));
        let with = |shown: Shown, known: Number| Shown {
            any: shown.any.max(known),
            sure: shown.sure.max(known),
        };
        (with(bodies, known), with(haves, end))
    }

    /// Fetches what has been missing for a while, one log after the other.
    pub(super) fn on_fetch_timers(&mut self, now: Time, out: &mut Vec<Out>) {
        if self.repair.due().is_none_or(|due| due > now) {
            return;
        }
        for sender in self.logs.ranks() {
            let top = self.logs.at(sender).top().number;
            if let Some((from, to, is_retry)) = self.repair.bodies_due(now, sender, top)
                && !self.jump(now, sender, out)
            {
                self.ask_bodies(now, sender, (from, to), is_retry, out);
            }
            if self.repair.certificate_due(now, sender) {
                self.ask_certificate(now, sender, out);
            }
            self.watch(now, sender);
        }
    }

    /// Without the first pause.
    pub(super) fn ask_at_once(&mut self, now: Time, sender: Rank, out: &mut Vec<Out>) {
        let (bodies, _) = self.shown(sender);
        let top = self.logs.at(sender).top().number;
        if bodies.any > top {
            self.repair.ask_now(now, sender, top, bodies.any);
            self.ask_bodies(now, sender, (top, bodies.any), true, out);
        } else {
            self.watch(now, sender);
            self.ask_certificate(now, sender, out);
        }
    }

    /// A member lacks the body that is wanted next: the next one is asked at once.
    pub(super) fn on_lacks(
        &mut self,
        now: Time,
        (peer, sender): (Rank, Rank),
        number: Number,
        out: &mut Vec<Out>,
    ) {
        let top = self.logs.at(sender).top().number;
        let is_wanted = self.is_wanting(sender) && number == top.next();
        if is_wanted && self.repair.note_lacking((peer, sender), number) {
            let (bodies, _) = self.shown(sender);
            self.ask_bodies(now, sender, (top, bodies.any), true, out);
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

    /// A Silenced member gives up what it asked for in vain, if that is stable.
    fn jump(&mut self, now: Time, sender: Rank, out: &mut Vec<Out>) -> bool {
        let missing = self.repair.missing(sender);
        let is_in_vain = missing.bodies.rounds >= ROUNDS
            && now.since(missing.since) >= self.timeouts.fetch_us.saturating_mul(PAUSES);
        let jumps = is_in_vain && !self.is_active(self.me) && self.logs.at_mut(sender).jump();
        if jumps {
            self.anchor_newest(sender);
            self.go_blind();
            out.push(Out::Overtaken);
        }
        jumps
    }

    /// Asks the next member that may have them for the bodies above `from`, up to `to`, that are not
    /// held; and for the certificate, if they were asked for before.
    fn ask_bodies(
        &mut self,
        now: Time,
        sender: Rank,
        (from, to): (Number, Number),
        is_retry: bool,
        out: &mut Vec<Out>,
    ) {
        let log = self.logs.at(sender);
        let top = log.top().number;
        let mut holes: SmallVec<[(Number, Number); HOLES_MAX]> = SmallVec::new();
        let mut number = from.max(top);
        while number < to {
            number = number.next();
            if log.body(number).is_some() {
                continue;
            }
            let is_many = holes.len() >= HOLES_MAX;
            match holes.last_mut() {
                Some((_, last)) if last.next() == number => *last = number,
                Some(_) if is_many => break,
                Some(_) | None => holes.push((number, number)),
            }
        }
        if holes.is_empty() && !is_retry {
            // They came meanwhile.
            return;
        }
        let is_long = holes.iter().any(|(from, to)| to.past(*from) >= LONG_HOLE);
        let least = holes.first().map_or(to, |(from, _)| *from);
        let holders = self.holders(sender, |shown, _| shown >= least);
        let Some(peer) = self.repair.next(now, sender, true, &holders) else { return };
        if is_retry || is_long || holes.is_empty() {
            // What is held may be on another branch than the certified one.
            holes.push((to.next(), to));
        }
        let mut post = Post::part(To::One(peer), Part::Fetch { sender, from: to.next(), to });
        let parts = holes.into_iter().map(|(from, to)| Part::Fetch { sender, from, to });
        post.parts = parts.collect();
        out.push(Out::Post(post));
    }

    /// Asks the next member that may have it for the certificate of what is held.
    fn ask_certificate(&mut self, now: Time, sender: Rank, out: &mut Vec<Out>) {
        let log = self.logs.at(sender);
        let (top, have) = (log.top().number, log.have());
        let holders = self.holders(sender, |_, told| told > have);
        if let Some(peer) = self.repair.next(now, sender, false, &holders) {
            let part = Part::Fetch { sender, from: top.next(), to: top };
            out.push(Out::Post(Post::part(To::One(peer), part)));
        }
    }

    /// The members that may hold what is asked for, by what they show to hold and say that they hold
    /// certified; `true` marks others. For the cut all others are asked: who holds it may have said
    /// nothing of it.
    fn holders(
        &self,
        sender: Rank,
        holds: impl Fn(Number, Number) -> bool,
    ) -> SmallVec<[(Rank, bool); 16]> {
        let (log, is_wanting) = (self.logs.at(sender), self.is_wanting(sender));
        let others = log.haves.iter().filter(|(peer, _)| *peer != self.me);
        let each = others.map(|(peer, have)| {
            let vote = log.votes.newest(peer).map_or(Number::ZERO, |vote| vote.head.number);
            (peer, !holds(vote.max(*have), *have))
        });
        each.filter(|(peer, is_other)| is_wanting || *peer == sender || !*is_other).collect()
    }
}

/// The highest of these numbers, and the highest that `weak` of them reach.
fn highest(mut all: SmallVec<[Number; 16]>, weak: usize) -> Shown {
    let any = all.iter().copied().fold(Number::ZERO, Number::max);
    let Some(last) = weak.checked_sub(1).filter(|last| *last < all.len()) else {
        return Shown { any, sure: Number::ZERO };
    };
    let (_, sure, _) = all.select_nth_unstable_by(last, |a, b| b.cmp(a));
    Shown { any, sure: *sure }
}
