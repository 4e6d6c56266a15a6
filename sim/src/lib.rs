//! The seeded simulator of Phalanx: whole groups with Byzantine members in virtual time, and the
//! oracles that judge them.
//!
//! A run is data: a [`Scenario`] file, or a seed that draws one ([`swarm::draw`]). [`run::run`]
//! plays it: correct members are [`phalanx_core::Node`], liars [`adversary::Liar`]; virtual time
//! advances exactly to the next event or deadline. The same scenario and seed give the same hash
//! over all inputs and outputs, on every machine and in every build. The promises of protocol.md
//! section 1 are checked while it runs, one file each in [`oracle`]; a run that fails prints the
//! command that repeats it.
//!
//! Groups are fixed unless a scenario says `managed`: what a view change would repair then ends in
//! suspicions, and less is owed ([`oracle::owed`]). Where one says `state_transfer`, members hand the
//! state of an application ([`application`]) to those that join. Processes are named by the order in which they
//! started: members of the genesis view by their rank there, then those that joined or came back,
//! each life a process of its own. Ranks are translated through the view in which they are meant
//! ([`oracle::views`]).

#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests use small numbers"))]

pub mod adversary;
pub mod application;
pub mod bench;
pub mod book;
pub mod byzzfuzz;
pub mod canary;
pub mod clock;
pub mod cluster;
pub mod cost;
pub mod fairness;
pub mod fuzzing;
pub mod group;
pub mod history;
pub mod library;
pub mod marks;
pub mod matrix;
pub mod network;
pub mod observe;
pub mod oracle;
pub mod rates;
pub mod replay;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod script;
pub mod swarm;
pub mod sweep;
pub mod trace;
pub mod twin_schedules;
pub mod verdict;
pub mod workload;

pub use scenario::Scenario;
pub use verdict::{Promise, Verdict, Violation};

/// The version that traces carry; one of another version is refused.
pub const TRACE_VERSION: u32 = 4;
