//! The choices of a scenario that have names.

use serde::{Deserialize, Serialize};

/// Which signatures the run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crypto {
    /// Keyed hashes under a secret of the run: nobody but the owner of a key can sign.
    #[default]
    Ideal,
    /// Strict Ed25519.
    Ed25519,
    /// The paper's dummy cryptography: keyed hashes under a secret that everybody knows.
    Dummy,
}

/// Message pattern, see [`phalanx_core::Pattern`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Replies to all.
    #[default]
    Swift,
    /// Replies to the sender.
    Paper,
}

/// Quorum arithmetic, see [`phalanx_core::QuorumRule`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quorum {
    /// Safe at every size.
    #[default]
    Sound,
    /// The paper's `2f + 1`.
    Paper,
}

/// Whether members that fail are removed, see [`phalanx_core::Membership`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// The genesis view for ever.
    #[default]
    Fixed,
    /// Views change.
    Managed,
}

impl Membership {
    /// Whether the genesis view stays for ever.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed)
    }
}

/// What cryptography and packets cost in virtual time, see [`crate::cost`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostPreset {
    /// Nothing.
    #[default]
    Zero,
    /// A present-day core with Ed25519.
    Ed25519,
    /// The paper's Pentium III with RSA of 512 bits.
    Rsa512,
    /// The same with 1024 bits.
    Rsa1024,
    /// The same with 2048 bits.
    Rsa2048,
}
