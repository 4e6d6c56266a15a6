//! Runs a Phalanx group on real networks: one event loop on one thread over TCP or UDP.
//!
//! ```text
//! application        notices: casts delivered, suspicions, proofs        casts
//!     |                        ^                                           |
//!     v                        |                                           v
//! Runtime            Node of phalanx-core: the protocol, without I/O     Handle (any thread)
//!     |                        ^
//!     v                        |
//! net::Network       frames over one TCP connection per pair, or datagrams
//! ```
//!
//! * [`Runtime`] is the loop, and follows the views of its node; put out by opinion it begins again as
//!   a new incarnation. It hands the state of the application to those that join, see
//!   [`Runtime::offer`]. It reads what is at hand, from each peer its share of a turn, before it lets
//!   the node sign, and sleeps until a socket is ready or the node's deadline comes: there is no other
//!   timer. A disk never holds it up: views are written, and snapshots read, by threads of their own.
//!   Only the boot record is written in the loop, once in a life, before anything leaves that counts on
//!   it.
//! * [`net`] moves frames. They carry their own MACs, so a connection needs no handshake; it is
//!   trusted to reach a peer once an authentic frame came through it. **Frames are authenticated,
//!   not encrypted.**
//! * [`config`] reads `group.toml` and `node.toml`, [`keys`] key files, and [`boot`] keeps the
//!   record that a process never runs twice with one incarnation.
//!
//! Memory, besides the node's own (see [`phalanx_core::Node::memory`]): for each peer the write
//! queue ([`net::NetworkConfig::queue_bytes`]) and a read buffer of 512 KiB that grows to one
//! longest frame, 16 MiB, only if such a frame arrives; for all strangers together 32 MiB and 64
//! connections, and 80 more for guests that may want to join, 64 of them for those that bear names of
//! peers, with 256 KiB of queue each.
//!
//! ```no_run
//! use std::path::Path;
//! use phalanx_core::{Event, Order};
//! use phalanx_mio::{Notice, Runtime, config::Home};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let home = Home::read(Path::new("testnet/alice"))?;
//! let mut runtime = home.start(Default::default())?; // as a member, or as one that comes back
//! runtime.cast(Order::Total, b"hello")?;
//! loop {
//!     runtime.turn(None)?;
//!     while let Some(notice) = runtime.next_notice() {
//!         if let Notice::Event(Event::Cast { sender, payload, .. }) = notice {
//!             println!("{sender}: {}", String::from_utf8_lossy(&payload));
//!         }
//!     }
//! }
//! # }
//! ```
//!
//! The binary `phalanx-node` stands on this library alone. Its features are on by default; embedders
//! switch them off: `default-features = false`.

pub mod boot;
pub mod config;
pub mod keys;
pub mod net;
mod runtime;
mod start;

pub use runtime::{
    Clock, Handle, Inputs, Notice, Runtime, RuntimeError, Snapshot, Stats, Stopped, addresses,
};
pub use start::{StartError, StartOptions};
