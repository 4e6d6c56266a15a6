//! Placeholder.

pub mod adversary;
