//! Placeholder.

pub mod fuzzing;
