//! What a stack leaves behind when its view is over: to the next stack, and to those that have not
//! left the view yet.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Stack;
use crate::config::Config;
use crate::crypto::{Hash32, Roster};
use crate::layer::inter::Inter;
use crate::layer::reliable::{self, Reliable, Requeue};
use crate::layer::{Context, Post, pt2pt};
use crate::member::{Member, Rank};
use crate::outbox::Outbox;
use crate::output::Event;
use crate::seq::{LogEnd, Number};
use crate::time::Time;
use crate::view::View;

/// What goes over into the stack of the next view.
#[derive(Debug)]
pub(crate) struct Legacy {
    /// By members of both views, in the same life.
    pub(super) heirs: Vec<Heir>,
    /// Members of both views that were proven to lie, by rank in the next, with the proofs' hashes.
    pub(super) proven: Vec<(Rank, Hash32)>,
    /// What is known about keys; its view goes with it.
    inter: Inter,
    /// Own casts that the cut does not hold.
    pub(crate) casts: Requeue,
    /// Whether this process wants to leave the group.
    is_leaving: bool,
}

/// What goes over for one member.
#[derive(Debug)]
pub(super) struct Heir {
    /// Its rank in the next view.
    pub(super) rank: Rank,
    /// How many times longer than others it may be silent, as it has come to be.
    pub(super) patience: u64,
    /// For how long it held logs back and did not repay, in microseconds.
    pub(super) debt_us: u64,
    /// Messages to it and from it.
    pub(super) messages: pt2pt::Peer,
}

/// A view that this process has left: it hands out the bodies that others still need.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) roster: Arc<Roster>,
    reliable: Reliable,
}

impl Stack {
    /// The view is over. `next` is the one that follows, for a process that goes along: members
    /// are taken over by their lives. Messages to all others are given up, which `events` says.
    ///
    /// Own casts that the cut of the view does not hold, where `end` is that of the own log, come
    /// out of layer Reliable here, into the legacy, and are cast again in [`Stack::inherit`].
    pub(crate) fn leave(
        mut self,
        next: Option<&View>,
        end: LogEnd,
        events: &mut Outbox,
    ) -> (Old, Legacy) {
        let casts = self.reliable.legacy(end);
        let place = |rank| rank_of(next?, self.view.member(rank)?);
        let proven = self.suspect.proven();
        let proven = proven.filter_map(|(rank, hash)| Some((place(rank)?, hash))).collect();
        let (inter, is_leaving) = (self.inter, self.is_leaving);
        let mut legacy = Legacy { heirs: Vec::new(), proven, inter, casts, is_leaving };
        let members = Rank::all(self.view.members.len()).zip(&self.view.members);
        for ((old, member), messages) in members.zip(self.pt2pt.leave()) {
            if let Some(rank) = next.and_then(|next| rank_of(next, member)) {
                let patience = self.suspect.patience(old);
                let debt_us = self.lag.debt_us(old);
                legacy.heirs.push(Heir { rank, patience, debt_us, messages });
                continue;
            }
            for out in messages.give_up(old) {
                match out {
                    pt2pt::Out::Failed { to, ticket } => {
                        events.event(Event::SendFailed { to, ticket });
                    }
                    pt2pt::Out::Writable => events.event(Event::Writable),
                    pt2pt::Out::Part { .. }
                    | pt2pt::Out::Deliver { .. }
                    | pt2pt::Out::Accepted(_)
                    | pt2pt::Out::Refused(..)
                    | pt2pt::Out::Misbehaved { .. } => {}
                }
            }
        }
        (Old { roster: self.roster, reliable: self.reliable }, legacy)
    }

    /// Takes over what the stack of the view before left behind; once, before anything else.
    pub(crate) fn inherit(&mut self, legacy: Legacy, now: Time) {
        self.reliable.requeue(legacy.casts);
        self.is_leaving = legacy.is_leaving;
        self.inter.inherit(legacy.inter, now);
        for (member, proof) in legacy.proven {
            self.suspect.carry(member, proof);
        }
        for heir in legacy.heirs {
            self.suspect.be_patient(heir.rank, heir.patience);
            self.lag.carry(heir.rank, heir.debt_us);
            self.pt2pt.go_on(heir.rank, heir.messages, now);
        }
    }
}

/// The rank in `view` of this life of a member.
fn rank_of(view: &View, member: &Member) -> Option<Rank> {
    let rank = view.rank_of(&member.key)?;
    view.member(rank).filter(|other| other.incarnation == member.incarnation).map(|_| rank)
}

impl Old {
    /// Bodies `from..=to` of the log of `sender`, as far as they are here, for `peer`.
    pub(crate) fn on_fetch(
        &mut self,
        cx: &mut Context<'_>,
        (peer, sender): (Rank, Rank),
        (from, to): (Number, Number),
    ) -> Vec<Post> {
        let fetch = reliable::In::Fetch { peer, sender, from, to, and_heads: false };
        let outs = self.reliable.step(cx, fetch);
        let post = |out| match out {
            reliable::Out::Post(post) => Some(post),
            reliable::Out::TellHaves
            | reliable::Out::Sighted(..)
            | reliable::Out::Deliver(..)
            | reliable::Out::Proof(_)
            | reliable::Out::Illegal(_)
            | reliable::Out::Overtaken
            | reliable::Out::Alarm(..)
            | reliable::Out::Writable => None,
        };
        outs.into_iter().filter_map(post).collect()
    }

    /// Bytes handed out so far, with what covers the bodies.
    pub(crate) const fn charged(&self) -> u64 {
        self.reliable.charged()
    }

    /// Bytes of casts held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.reliable.held_bytes()
    }

    /// Bytes of its tables, see [`Reliable::tables_bytes`].
    pub(crate) fn tables_bytes(&self) -> usize {
        self.reliable.tables_bytes()
    }

    /// The most that it may hold.
    pub(crate) fn bound_bytes(&self, config: &Config) -> usize {
        Reliable::bound_bytes(config, self.roster.quorum().n())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Timeouts;
    use crate::rig::{genesis, identity};

    #[test]
    fn patience_goes_over_with_a_life() {
        let config = Config::new(genesis(4));
        let mut view = config.genesis.view();
        let stack = |view: &View| {
            let roster = Arc::new(view.roster(identity(0).suite()).unwrap());
            Stack::new(&config, view.clone(), roster, Rank::new(0), Time::ZERO)
        };
        let mut last = stack(&view);
        [1, 2, 3].iter().for_each(|rank| last.suspect.be_patient(Rank::new(*rank), 4));
        view.members.remove(1);
        view.members[2].incarnation = 5;
        let (_, legacy) = last.leave(Some(&view), LogEnd::EMPTY, &mut Outbox::default());
        let mut next = stack(&view);
        next.inherit(legacy, Time::ZERO);
        let patience = [0, 1, 2].map(|rank| next.suspect.patience(Rank::new(rank)));
        assert_eq!(patience, [1, 4, 1]);
        next.suspect.be_patient(Rank::new(1), u64::MAX);
        let Timeouts { mute_us, mute_max_us, .. } = config.timeouts;
        assert_eq!(next.suspect.patience(Rank::new(1)), mute_max_us / mute_us);
    }
}
