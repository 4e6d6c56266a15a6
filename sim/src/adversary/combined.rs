//! Two strategies in one liar: both at once, or one at a time by what the liar sees.
//!
//! At once, the second strategy changes what the first one makes of a letter. One at a time, the first
//! is followed while nothing happens and the second in a view change; while the liar sees itself
//! suspected it is correct, and then the two change places. An adversary that adapts tries to be in the
//! group for ever: it stops before an opinion of enough members stands, and comes back another way.
//!
//! Verdict: depends, for one strategy may hide the other.

use phalanx_core::wire::Part;
use phalanx_core::wire::stranger::Stranger;
use phalanx_core::{PeerId, Rank, Ticket, Time};

use super::Strategy;
use super::act::{Act, Stage, Wish};
use super::puppet::{Letter, Puppet};

/// One of the two.
#[derive(Debug)]
struct Half {
    strategy: Strategy,
    act: Box<dyn Act>,
}

impl Half {
    fn new(strategy: Strategy, puppet: &mut Puppet) -> Self {
        Self { strategy, act: strategy.act(puppet) }
    }

    fn enters(&mut self, puppet: &mut Puppet) {
        if self.act.outlives_views() {
            self.act.enters(puppet);
        } else {
            self.act = self.strategy.act(puppet);
        }
    }
}

/// What an adversary that adapts does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Both strategies.
    Both,
    /// The first.
    First,
    /// The second.
    Second,
    /// Nothing wrong until then.
    Correct(Time),
}

/// The two strategies.
#[derive(Debug)]
pub(super) struct Combined {
    first: Half,
    second: Half,
    mood: Mood,
}

impl Combined {
    pub(super) fn new(
        first: Strategy,
        second: Strategy,
        adapts: bool,
        puppet: &mut Puppet,
    ) -> Self {
        let (first, second) = (Half::new(first, puppet), Half::new(second, puppet));
        Self { first, second, mood: if adapts { Mood::First } else { Mood::Both } }
    }

    /// The acts that are followed now.
    fn acts(&mut self) -> impl Iterator<Item = &mut Box<dyn Act>> {
        let (first, second) = match self.mood {
            Mood::Both => (true, true),
            Mood::First => (true, false),
            Mood::Second => (false, true),
            Mood::Correct(_) => (false, false),
        };
        let first = first.then_some(&mut self.first.act);
        first.into_iter().chain(second.then_some(&mut self.second.act))
    }

    /// The same to look at.
    fn seen(&self) -> impl Iterator<Item = &dyn Act> {
        let (first, second) = match self.mood {
            Mood::Both => (true, true),
            Mood::First => (true, false),
            Mood::Second => (false, true),
            Mood::Correct(_) => (false, false),
        };
        let first = first.then_some(self.first.act.as_ref());
        first.into_iter().chain(second.then_some(self.second.act.as_ref()))
    }

    /// Adapts to what others say.
    fn adapt(&mut self, stage: &Stage<'_>, letter: &Letter) {
        let me = stage.puppet.me;
        if self.mood == Mood::Both {
            return;
        }
        let is_accused =
            letter.packet.parts.iter().any(
                |part| matches!(part, Part::Suspect(suspect) if suspect.statement.subject == me),
            );
        let is_change = letter.packet.parts.iter().any(|part| matches!(part, Part::Flush(_)));
        if is_accused && matches!(self.mood, Mood::First | Mood::Second) {
            let patience_us = stage.puppet.timeouts.mute_us;
            self.mood = Mood::Correct(stage.now.plus(patience_us.saturating_mul(2)));
        } else if is_change && self.mood == Mood::First {
            self.mood = Mood::Second;
        }
    }

    /// Goes on once it was correct for long enough, the other way round.
    fn resume(&mut self, now: Time) {
        if let Mood::Correct(until) = self.mood
            && now >= until
        {
            core::mem::swap(&mut self.first, &mut self.second);
            self.mood = Mood::First;
        }
    }
}

impl Act for Combined {
    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, letter: Letter) {
        match self.mood {
            Mood::Both => {
                stage.catch();
                self.first.act.outgoing(stage, double, letter);
                for letter in stage.release() {
                    self.second.act.outgoing(stage, double, letter);
                }
            }
            Mood::First => self.first.act.outgoing(stage, double, letter),
            Mood::Second => self.second.act.outgoing(stage, double, letter),
            Mood::Correct(_) => stage.post(&letter),
        }
    }

    fn outgoing_elsewhere(&mut self, stage: &mut Stage<'_>, letter: Letter) {
        match self.mood {
            Mood::Both => {
                stage.catch();
                self.first.act.outgoing_elsewhere(stage, letter);
                for letter in stage.release() {
                    self.second.act.outgoing_elsewhere(stage, letter);
                }
            }
            Mood::First => self.first.act.outgoing_elsewhere(stage, letter),
            Mood::Second => self.second.act.outgoing_elsewhere(stage, letter),
            Mood::Correct(_) => stage.post(&letter),
        }
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn enters(&mut self, puppet: &mut Puppet) {
        self.first.enters(puppet);
        self.second.enters(puppet);
        if self.mood == Mood::Second {
            self.mood = Mood::First;
        }
    }

    fn lets_ack_pass(&self, puppet: &Puppet, double: usize, to: Rank) -> bool {
        self.seen().all(|act| act.lets_ack_pass(puppet, double, to))
    }

    fn is_listening(&self) -> bool {
        self.mood != Mood::Both || self.seen().any(Act::is_listening)
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.adapt(stage, letter);
        let mut is_changed = false;
        for act in self.acts() {
            is_changed |= act.is_listening() && act.incoming(stage, letter);
        }
        is_changed
    }

    fn lets_in(&self, puppet: &Puppet, double: usize, from: Rank) -> bool {
        self.seen().all(|act| act.lets_in(puppet, double, from))
    }

    fn takes(&self, double: usize, ticket: Ticket) -> bool {
        double == 0 && self.seen().all(|act| act.takes(double, ticket))
    }

    fn frame_in(&mut self, stage: &mut Stage<'_>, from: Rank, frame: &[u8]) {
        self.acts().for_each(|act| act.frame_in(stage, from, frame));
    }

    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        match self.acts().last() {
            Some(act) => act.stranger(stage, to, message),
            None => stage.call(to, &message),
        }
    }

    fn excluded(&mut self, stage: &mut Stage<'_>) {
        self.acts().for_each(|act| act.excluded(stage));
    }

    fn wish(&mut self, stage: &mut Stage<'_>) -> Option<Wish> {
        self.acts().find_map(|act| act.wish(stage))
    }

    fn casts(&mut self, stage: &mut Stage<'_>) -> Option<Vec<u8>> {
        self.acts().find_map(|act| act.casts(stage))
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        self.resume(stage.now);
        self.acts().for_each(|act| act.tick(stage));
    }

    fn deadline(&self) -> Option<Time> {
        let resumes = match self.mood {
            Mood::Correct(until) => Some(until),
            Mood::Both | Mood::First | Mood::Second => None,
        };
        self.seen().filter_map(Act::deadline).chain(resumes).min()
    }
}
