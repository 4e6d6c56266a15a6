//! Group communication that tolerates intrusions: the deterministic core, without I/O.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::wildcard_enum_match_arm
    )
)]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests use small numbers"))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
pub mod crypto;
mod fault;
mod input;
mod layer;
mod lookup;
mod member;
mod node;
mod output;
mod quorum;
#[cfg(test)]
mod rig;
mod seq;
mod stack;
mod time;
mod timer;
mod view;
pub mod wire;

pub use config::{Boot, Config, ConfigError, GroupId, Limits, Timeouts};
pub use crypto::{Hash32, Identity, KeyError, PublicKey, Reason};
pub use fault::{Evidence, FaultKind, LinkFault, NotAProof, Proof};
pub use input::{Input, Order, Request, Ticket};
pub use member::{ADDR_MAX, Member, PeerId, PerRank, Rank, Status};
pub use node::{Counters, Node, Outputs};
pub use output::{Event, Fault, Output, Payload, Refusal, Transmit};
pub use quorum::{Quorum, QuorumRule};
pub use seq::{Number, Round, Slot, SlotMark};
pub use time::Time;
pub use view::{Genesis, Pattern, View};
pub use wire::frame::peek_sender;
