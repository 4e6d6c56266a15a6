//! The adversary: one Byzantine process per [`Liar`], which runs a correct [`phalanx_core::Node`]
//! as its body double and changes what it says.
//!
//! It stays within the fault model (protocol.md section 1): a liar has the secret keys of the
//! processes in [`Setup::liars`], the frames that reach it and its own outputs, nothing else. In
//! particular it makes no signature of a correct member and no MAC of a link that it is no end of.
//! Every choice comes from [`Setup::seed`].
//!
//! One strategy per file; each head says what it tries, why it must fail, and what becomes of the
//! liar ([`Verdict`]).

mod act;
mod dice;
mod fork;
mod liar;
mod proposal;
mod puppet;
mod strategy;

mod acks_both;
mod amnesia;
mod bad_certificates;
mod bad_commit;
mod bad_new_view;
mod bogus_signatures;
mod burst_pace;
mod byte_mutator;
mod certificate_to_subset;
mod churning_joiner;
mod colluding_replier;
mod combined;
mod commit_timeout;
mod corrupt_rounds;
mod empty_casts;
mod false_lock;
mod far_attempts;
mod far_future_numbers;
mod fetch_storm;
mod forged_chain;
mod fragment_flood;
mod gap_sender;
mod hover;
mod impede_stabilization;
mod impede_total_ordering;
mod impostor;
mod join_request_to_some;
mod just_in_time_leader;
mod lock_hider;
mod max_size_flood;
mod mixed_decision;
mod mutant_message;
mod mutation;
mod new_view_timeout;
mod order_stopper;
mod over_exclusion;
mod own_log;
mod padded_bad_new_view;
mod padded_certificates;
mod padding;
mod payload_mismatch;
mod phase_stopper;
mod ready_to_switch_timeout;
mod reflection;
mod replayer;
mod reply_to_all_but_one;
mod request_table_filler;
mod silent_towards_some;
mod skip_to_end;
mod slander;
mod slow_nulls;
mod slow_slots;
mod small_scope_mutator;
mod split_digest;
mod split_rows;
mod stability;
mod stale_numbers;
mod stalling_joiner;
mod state_transfer_liar;
mod statement_flood;
mod suspect_flood;
mod trickle_rows;
mod twin_rounds;
mod twins;
mod two_flushes;
mod two_new_views;
mod two_rows;
mod unauthorised_joiner;
mod under_exclusion;
mod view_replay;
mod window_never_finished;
mod zombie;

use std::collections::BTreeMap;

use phalanx_core::crypto::{Identity, Suite};
use phalanx_core::{Config, PeerId, Rank};

use act::Act;
use combined::Combined;
use puppet::Puppet;

use crate::scenario::RoundPlan;
pub use liar::Liar;
pub use phase_stopper::Phase;
pub use state_transfer_liar::Lie;
pub use strategy::{Strategy, Verdict};
pub use trickle_rows::Trickle;

/// What a liar is told when it starts.
#[derive(Clone)]
pub struct Setup {
    /// The group, and the time-outs of the body double. Its `frame_max` is not used: frames leave
    /// whole.
    pub config: Config,
    /// Which signatures the group makes.
    pub suite: Suite,
    /// The key seed of every liar of the run, `me` included: they share their keys. Those with ranks
    /// beyond the genesis view are no members of it, and may join.
    pub liars: BTreeMap<Rank, [u8; 32]>,
    /// Which of them this one is.
    pub me: Rank,
    /// What it does.
    pub strategy: Strategy,
    /// What it does besides, and whether only one of the two at a time, by what it sees.
    pub with: Option<(Strategy, bool)>,
    /// What it does by rounds, for the strategies that do.
    pub plan: RoundPlan,
    /// How long the state of the application is at least, where it is handed over.
    pub state_bytes: usize,
    /// The members that it treats differently (the second branch, the subset left out), if the
    /// scenario names them; otherwise they are drawn from the seed.
    pub victims: Option<Vec<Rank>>,
    /// Randomness of the adversary: the same for all liars of a run, so that what they draw in
    /// common agrees.
    pub seed: u64,
}

impl core::fmt::Debug for Setup {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Setup")
            .field("me", &self.me)
            .field("liars", &self.liars.keys())
            .field("strategy", &self.strategy)
            .field("with", &self.with)
            .field("victims", &self.victims)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Setup {
    /// The strategy at work, or both of them.
    fn act(&self, puppet: &mut Puppet) -> Box<dyn Act> {
        match self.with {
            Some((with, adapts)) => Box::new(Combined::new(self.strategy, with, adapts, puppet)),
            None => self.strategy.act(puppet),
        }
    }

    /// The identity of a liar with this key seed.
    fn identity(&self, key_seed: [u8; 32]) -> Identity {
        match self.suite {
            Suite::Ed25519 => Identity::ed25519(key_seed),
            Suite::Dummy(oracle) => Identity::dummy(key_seed, oracle),
        }
    }
}

/// A frame that a liar puts on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whom it is for.
    pub to: PeerId,
    /// The whole frame; the network may cut it to pieces, but the receiver takes it as it is.
    pub frame: Vec<u8>,
}

#[cfg(test)]
mod tests;
