//! Layer Vsync: who has installed this view (protocol.md section 9, "obligations outlive the view").
//!
//! Every member says once, signed, that it has installed the view. An Active one of which nobody
//! can show that for `installed_us` is suspected: it stopped in the middle of the change, where
//! nobody else's time-out meets it. Silenced members are not waited for.
//!
//! What a faulty member can try: say it and do nothing (then it is mute, or impedes), say it to some
//! (statements are signed and relayed on request).

use alloc::vec::Vec;

use super::{Context, Post, To};
use crate::config::Timeouts;
use crate::crypto::{Hash32, Installed, Signed, Verified};
use crate::member::{PerRank, Rank};
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::wire::Part;

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// A member says so.
    Said(Verified<Installed>),
    /// A member asks for the word of another.
    Ask(Rank, Rank),
    /// Time passed.
    Tick,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Something to send.
    Post(Post),
    /// Nobody can show that this member has installed the view.
    NotInstalled(Rank),
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Vsync {
    me: Rank,
    prev: Hash32,
    said: PerRank<Option<Verified<Installed>>>,
    is_awaited: PerRank<bool>,
    /// When all are asked for what is missing; then when it is held against its author.
    ask: Option<Time>,
    blame: Option<Time>,
    repeat: Backoff,
    ask_us: u64,
}

impl Vsync {
    /// The layer for a view of `n` members, `active` of which are Active; `prev` is the view before,
    /// [`Hash32::ZERO`] for the first, in which there is nothing to say.
    pub(crate) fn new(
        timeouts: &Timeouts,
        (n, me): (usize, Rank),
        active: &[Rank],
        prev: Hash32,
        now: Time,
    ) -> Self {
        let is_first = prev == Hash32::ZERO;
        let mut repeat = Backoff::new(timeouts.resend_us, timeouts.resend_max_us);
        if !is_first {
            repeat.start(now);
        }
        Self {
            me,
            prev,
            said: PerRank::from_fn(n, |_| None),
            is_awaited: PerRank::from_fn(n, |rank| {
                !is_first && rank != me && active.contains(&rank)
            }),
            ask: (!is_first).then(|| now.plus(timeouts.installed_us)),
            blame: None,
            repeat,
            ask_us: timeouts.ask_us,
        }
    }

    /// Whether a word can tell anything new.
    pub(crate) fn wants(&self, said: &Signed<Installed>) -> bool {
        said.statement.prev == self.prev && self.said.get(said.signer).is_some_and(Option::is_none)
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        earliest(self.repeat.due(), earliest(self.ask, self.blame))
    }

    /// This member has installed the view: says so.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_>) -> Option<Post> {
        if self.prev == Hash32::ZERO {
            return None;
        }
        let said = cx.door.sign(cx.roster, self.me, Installed { prev: self.prev });
        let post = Post::part(To::All, Part::Installed(said.signed().as_ref().clone()));
        *self.said.at_mut(self.me) = Some(said);
        Some(post)
    }

    /// One step.
    pub(crate) fn step(&mut self, now: Time, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Said(said) => {
                let signer = said.signer();
                *self.is_awaited.at_mut(signer) = false;
                self.said.at_mut(signer).get_or_insert(said);
                if !self.is_awaited.values().any(|is_awaited| *is_awaited) {
                    (self.ask, self.blame) = (None, None);
                }
            }
            In::Ask(peer, member) => {
                if let Some(said) = self.said.at(member) {
                    let part = Part::Installed(said.signed().as_ref().clone());
                    out.push(Out::Post(Post::part(To::One(peer), part)));
                }
            }
            In::Tick => self.on_tick(now, &mut out),
        }
        out
    }

    fn on_tick(&mut self, now: Time, out: &mut Vec<Out>) {
        let missing = self.is_awaited.iter().filter(|(_, is_awaited)| **is_awaited);
        let missing: Vec<Rank> = missing.map(|(rank, _)| rank).collect();
        if self.ask.is_some_and(|due| due <= now) {
            self.ask = None;
            self.blame = Some(now.plus(self.ask_us));
            let ask = |rank: &Rank| Out::Post(Post::part(To::All, Part::AskInstalled(*rank)));
            out.extend(missing.iter().map(ask));
        } else if self.blame.is_some_and(|due| due <= now) {
            self.blame = None;
            out.extend(missing.iter().map(|rank| Out::NotInstalled(*rank)));
        }
        if self.repeat.fires(now) {
            if missing.is_empty() || self.ask.is_none() {
                // Whoever still misses it asks.
                self.repeat.stop();
            } else if let Some(said) = self.said.at(self.me) {
                let part = Part::Installed(said.signed().as_ref().clone());
                out.push(Out::Post(Post::part(To::All, part)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Rig, some_hash};

    struct Solo {
        rig: Rig,
        machine: Vsync,
        now: Time,
    }

    impl Solo {
        fn new() -> Self {
            let rig = Rig::quick(4);
            let active = [0, 1, 2].map(Rank::new);
            let place = (4, Rank::new(0));
            let machine =
                Vsync::new(&Timeouts::default(), place, &active, some_hash(1), Time::ZERO);
            Self { rig, machine, now: Time::ZERO }
        }

        fn said(&mut self, signer: u16) -> Verified<Installed> {
            let said = Installed { prev: some_hash(1) };
            self.rig.doors[usize::from(signer)].sign(&self.rig.roster, Rank::new(signer), said)
        }

        /// Everything until nothing is owed any more.
        fn run(&mut self) -> Vec<Out> {
            let mut outs = Vec::new();
            while let Some(due) = self.machine.deadline() {
                self.now = due;
                outs.extend(self.machine.step(due, In::Tick));
                assert!(outs.len() < 1000, "no end");
            }
            outs
        }
    }

    fn blamed(outs: &[Out]) -> Vec<u16> {
        let blame = |out: &Out| match out {
            Out::NotInstalled(rank) => Some(rank.value()),
            Out::Post(_) => None,
        };
        outs.iter().filter_map(blame).collect()
    }

    #[test]
    fn an_active_member_of_which_nobody_has_word_is_asked_for_and_then_suspected() {
        let mut solo = Solo::new();
        let said = solo.said(1);
        assert!(solo.machine.wants(said.signed()));
        solo.machine.step(Time::ZERO, In::Said(said.clone()));
        assert!(!solo.machine.wants(said.signed()));
        let outs = solo.run();
        assert_eq!(blamed(&outs), [2], "rank 3 is silenced, rank 0 is this one");
        let asked = outs.iter().any(|out| {
            matches!(out, Out::Post(post) if post.parts == [Part::AskInstalled(Rank::new(2))])
        });
        assert!(asked);
    }

    #[test]
    fn who_said_so_late_is_not_suspected() {
        let mut solo = Solo::new();
        for signer in [1, 2] {
            let said = solo.said(signer);
            solo.machine.step(Time::from_micros(2_100_000), In::Said(said));
        }
        assert_eq!(blamed(&solo.run()), []);
    }

    #[test]
    fn words_are_passed_on_and_those_of_another_view_are_not_wanted() {
        let mut solo = Solo::new();
        let said = solo.said(2);
        solo.machine.step(Time::ZERO, In::Said(said.clone()));
        let outs = solo.machine.step(Time::ZERO, In::Ask(Rank::new(1), Rank::new(2)));
        assert!(matches!(&outs[..], [Out::Post(post)] if post.to == To::One(Rank::new(1))));
        assert!(solo.machine.step(Time::ZERO, In::Ask(Rank::new(1), Rank::new(3))).is_empty());
        let mut other = said.signed().as_ref().clone();
        other.signer = Rank::new(3);
        other.statement.prev = some_hash(2);
        assert!(!solo.machine.wants(&other));
    }

    #[test]
    fn in_the_first_view_there_is_nothing_to_say() {
        let mut rig = Rig::quick(1);
        let place = (1, Rank::new(0));
        let mut machine = Vsync::new(&Timeouts::default(), place, &[], Hash32::ZERO, Time::ZERO);
        assert_eq!(machine.deadline(), None);
        let mut cx = Context { now: Time::ZERO, door: &mut rig.doors[0], roster: &rig.roster };
        assert!(machine.begin(&mut cx).is_none());
    }
}
