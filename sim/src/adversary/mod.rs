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
mod puppet;

mod colluding_replier;
mod impede_total_ordering;
mod mutant_message;
mod split_digest;

use std::collections::BTreeMap;

use phalanx_core::crypto::{Identity, Suite};
use phalanx_core::{Config, PeerId, Rank};

use act::Act;
pub use liar::Liar;
use puppet::Puppet;

/// What a run with a strategy ends in, at every correct member, once the network is well and if the
/// strategy fired. That no correct member is ever blamed, and that all promises hold, is expected
/// of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody need notice, and nothing is held up; suspicion of the liar is an error.
    Harmless,
    /// All correct members suspect the liar, as an opinion or by proof.
    Suspected,
    /// All correct members hold a Proof against the liar.
    Proven,
    /// Whether there is a Proof or an opinion against the liar depends on the schedule.
    MayBeProven,
}

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// One receiver gets a differing body and digest: the paper's fault.
    MutantMessage,
    /// Sends no slot of the total order but works otherwise: the paper's fault.
    ImpedeTotalOrdering,
    /// Two branches of the own log, one for each half of a division of the members.
    SplitDigest,
    /// Vouches for every branch of a fellow liar's log, and claims to hold it.
    ColludingReplier,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 4] =
        [Self::MutantMessage, Self::ImpedeTotalOrdering, Self::SplitDigest, Self::ColludingReplier];

    /// Its name in scenario files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MutantMessage => "mutant_message",
            Self::ImpedeTotalOrdering => "impede_total_ordering",
            Self::SplitDigest => "split_digest",
            Self::ColludingReplier => "colluding_replier",
        }
    }

    /// The strategy with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// What a run with one such liar, and no more liars than the view bears, ends in.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::MutantMessage | Self::SplitDigest => Verdict::Proven,
            Self::ImpedeTotalOrdering => Verdict::Suspected,
            Self::ColludingReplier => Verdict::MayBeProven,
        }
    }

    fn act(self, puppet: &mut Puppet) -> Box<dyn Act> {
        match self {
            Self::MutantMessage => Box::new(mutant_message::MutantMessage::new(puppet)),
            Self::ImpedeTotalOrdering => Box::new(impede_total_ordering::ImpedeTotalOrdering),
            Self::SplitDigest => Box::new(split_digest::SplitDigest::new(puppet)),
            Self::ColludingReplier => Box::new(colluding_replier::ColludingReplier::new(puppet)),
        }
    }
}

/// What a liar is told when it starts.
#[derive(Clone)]
pub struct Setup {
    /// The group, and the time-outs of the body double. Its `frame_max` is not used: frames leave
    /// whole.
    pub config: Config,
    /// Which signatures the group makes.
    pub suite: Suite,
    /// The key seed of every liar of the run, `me` included: they share their keys.
    pub liars: BTreeMap<Rank, [u8; 32]>,
    /// Which of them this one is.
    pub me: Rank,
    /// What it does.
    pub strategy: Strategy,
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
            .field("victims", &self.victims)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Setup {
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
    /// How long the liar holds it back before it is sent, in microseconds.
    pub delay_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_and_no_other_does() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::parse(strategy.name()), Some(strategy));
            assert!(strategy.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
        assert_eq!(Strategy::parse("honest"), None);
    }
}
