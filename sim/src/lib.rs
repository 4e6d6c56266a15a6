//! The seeded simulator of Phalanx.

pub mod bench;
pub mod fuzzing;
pub mod group;
