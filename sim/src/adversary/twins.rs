//! Twins: two processes with one identity. In every round of the attack each member talks with one
//! of them only; which one is drawn anew each round.
//!
//! They try to lead two lives, each of them correct: two logs, two sets of replies and rows. They
//! must fail as a fork of the log does: at most one branch is certified (Q1, RM2), and what both
//! signed about one number or row is a Proof (RM7).
//!
//! Verdict: proven, as soon as both cast.

use phalanx_core::{Rank, Ticket, Time};

use super::act::{Act, Pulse, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct Twins {
    pulse: Pulse,
    /// Bit `rank`: which twin that member talks with in this round.
    mask: u64,
    has_begun: bool,
}

impl Twins {
    pub(super) fn new(puppet: &mut Puppet) -> Self {
        let every_us = 20_000_u64.saturating_add(puppet.dice.below(180_000));
        let mut mask = 0;
        for rank in puppet.others().filter(|rank| puppet.is_victim(*rank)) {
            mask |= bit(rank);
        }
        Self { pulse: Pulse::new(every_us), mask, has_begun: false }
    }

    fn is_on_side(&self, double: usize, member: Rank) -> bool {
        usize::from(self.mask & bit(member) != 0) == double
    }
}

/// A view has at most 64 members.
const fn bit(rank: Rank) -> u64 {
    1 << (rank.value() % 64)
}

impl Act for Twins {
    fn doubles(&self) -> usize {
        2
    }

    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, letter: Letter) {
        if self.is_on_side(double, letter.peer) {
            stage.post(&letter);
            if double == 1 {
                stage.fire();
            }
        }
    }

    fn lets_ack_pass(&self, _puppet: &Puppet, double: usize, to: Rank) -> bool {
        self.is_on_side(double, to)
    }

    fn lets_in(&self, _puppet: &Puppet, double: usize, from: Rank) -> bool {
        self.is_on_side(double, from)
    }

    fn takes(&self, double: usize, ticket: Ticket) -> bool {
        usize::from(ticket.0 % 2 == 1) == double
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        // The first round keeps the division of the setup, so that two lives begin at all.
        if self.pulse.strikes(stage.now) {
            match self.has_begun {
                true => self.mask = stage.puppet.dice.any(),
                false => self.has_begun = true,
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
