//! Runs a Phalanx group on real networks.
pub mod boot;
pub mod config;
pub mod keys;
pub mod net;
mod runtime;
pub use runtime::{Clock, Handle, Notice, Runtime, RuntimeError, Stats, Stopped, addresses};
