//! Twin rounds: two processes with one identity, as in [`super::twins`], but the scenario says whom each
//! of them talks with in which round: a round is an attempt of the first view change, and what belongs to
//! no attempt belongs to the latest one begun. After the last round both talk with everybody.
//!
//! It tries every division of the members at every attempt (Bano et al., Twins, 2020). It must fail as
//! twins do.
//!
//! Verdict: depends on whom they talk with.

use phalanx_core::{Rank, Ticket};

use super::act::{Act, Stage};
use super::puppet::{Letter, Opened, Puppet};
use crate::scenario::Kind;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct TwinRounds {
    /// The latest attempt begun.
    round: usize,
    /// The round of the frame that is coming in.
    incoming: usize,
    is_over: bool,
}

impl TwinRounds {
    /// The round that a letter belongs to.
    fn round(&mut self, letter: &Letter) -> usize {
        let attempts = letter.packet.parts.iter().filter_map(Kind::attempt);
        let Some(attempt) = attempts.max() else { return self.round };
        let round = usize::try_from(attempt).unwrap_or(usize::MAX);
        self.round = self.round.max(round);
        round
    }

    fn meets(&self, puppet: &Puppet, double: usize, member: Rank, round: usize) -> bool {
        let Some(round) = puppet.plan.twins.get(round).filter(|_| !self.is_over) else {
            return true;
        };
        let side = if double == 0 { &round.first } else { &round.second };
        puppet.host(member).is_some_and(|host| side.contains(&host))
    }
}

impl Act for TwinRounds {
    fn doubles(&self) -> usize {
        2
    }

    fn outlives_views(&self) -> bool {
        true
    }

    fn enters(&mut self, _puppet: &mut Puppet) {
        self.is_over = true;
    }

    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, letter: Letter) {
        let round = self.round(&letter);
        if self.meets(stage.puppet, double, letter.peer, round) {
            stage.post(&letter);
            if double == 1 {
                stage.fire();
            }
        }
    }

    fn lets_ack_pass(&self, puppet: &Puppet, double: usize, to: Rank) -> bool {
        self.meets(puppet, double, to, self.round)
    }

    fn frame_in(&mut self, stage: &mut Stage<'_>, from: Rank, frame: &[u8]) {
        self.incoming = match stage.puppet.open(from, frame) {
            Some(Opened::Letter(letter)) => self.round(&letter),
            _ => self.round,
        };
    }

    fn lets_in(&self, puppet: &Puppet, double: usize, from: Rank) -> bool {
        self.meets(puppet, double, from, self.incoming)
    }

    fn takes(&self, double: usize, ticket: Ticket) -> bool {
        usize::from(ticket.0 % 2 == 1) == double
    }
}
