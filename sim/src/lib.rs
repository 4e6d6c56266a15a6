//! Placeholder.

pub mod adversary;
pub mod rng;
