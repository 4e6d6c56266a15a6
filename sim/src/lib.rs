//! The seeded simulator of Phalanx.

pub mod bench;
pub mod group;
