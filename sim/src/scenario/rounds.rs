//! What liars do in which round: messages that they corrupt, and whom each of two twins talks with.
//!
//! A round is a step of the logs, or a phase of one attempt of a view change. Rules
//! ([`super::Rule`]) partition rounds; these entries corrupt them.

use serde::{Deserialize, Serialize};

use super::Kind;

/// How far a corrupted field is from what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Off by one, or an earlier value: near misses reach further than nonsense does.
    #[default]
    Small,
    /// Any value.
    Any,
}

/// Messages of a round that liars corrupt towards some receivers: one field each, signed anew. What is
/// not given means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Corrupt {
    /// Kinds of messages.
    pub kinds: Vec<Kind>,
    /// The number of the view.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<u64>,
    /// The attempt of a view change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The step of a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Receivers; all of them if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<u16>,
    /// How far fields move.
    pub scope: Scope,
    /// Chooses field and value; all receivers of a message get the same.
    pub seed: u64,
}

/// One round of twins: whom each of the two talks with. Those in neither hear nothing of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwinRound {
    /// Members that talk with the first twin.
    pub first: Vec<u16>,
    /// Members that talk with the second.
    pub second: Vec<u16>,
}

/// What liars do by rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundPlan {
    /// What they corrupt.
    pub corrupt: Vec<Corrupt>,
    /// The rounds of twins; afterwards both talk with everybody.
    pub twins: Vec<TwinRound>,
}
