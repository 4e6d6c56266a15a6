//! Group communication that tolerates intrusions: the deterministic core, without I/O.
//!
//! Processes form a group; what one casts, all deliver, in FIFO or in total order, as long as at
//! most a third of the members are Byzantine: crashed, stalled or lying. Safety holds under any
//! timing; members that lie leave transferable [`Proof`]s. The protocol is that of the ITUA group
//! communication system (Ramasamy, Pandey, Cukier, Sanders: "Experiences with building an
//! intrusion-tolerant group communication system"), made safe under full asynchrony.
//!
//! The core has no clock and no socket. Frames, requests and ticks go into a [`Node`]; frames,
//! events and proofs come out, all in the return value of the one step that caused them:
//!
//! ```
//! use phalanx_core::{Event, Input, Node, Output, Time, Transmit};
//!
//! /// One turn of an event loop: `input` is a frame that arrived, a request, or a tick that was
//! /// due by `node.deadline()`.
//! fn turn(node: &mut Node, now: Time, input: Input<'_>, mut send: impl FnMut(Transmit)) {
//!     for output in node.step(now, input) {
//!         match output {
//!             Output::Transmit(frame) => send(frame), // to the peer frame.to: head, then body
//!             Output::Event(Event::Cast { sender, payload, .. }) => println!("{sender}: {payload:?}"),
//!             Output::Event(_) => {}
//!             Output::Fault(fault) => println!("rank {} lied", fault.culprit),
//!         }
//!     }
//! }
//! # use phalanx_core::*;
//! # let identity = Identity::ed25519([1; 32]);
//! # let key = *identity.public_key();
//! # let member = Member { key, incarnation: 1, addr: vec![], status: Status::Active };
//! # let genesis = Genesis { name: "doc".into(), nonce: Hash32([0; 32]), members: vec![member],
//! #     pledge: None, pattern: Pattern::Swift, quorum: QuorumRule::Sound,
//! #     membership: phalanx_core::Membership::Fixed,
//! #     limits: Limits::default() };
//! # let mut node =
//! #     Node::new(Config::new(genesis), identity, Boot { incarnation: 1 }, Time::ZERO).unwrap();
//! # let cast = Request::Cast { order: Order::Total, payload: b"hello" };
//! # turn(&mut node, Time::ZERO, Input::Request(Ticket(1), cast), |_| {});
//! # assert_eq!(node.deadline(), Some(Time::ZERO));
//! # let casts = |output| matches!(output, Output::Event(Event::Cast { .. }));
//! # assert!(node.step(Time::ZERO, Input::Tick).any(casts));
//! ```
//!
//! Links are authenticated, **not encrypted**: whoever can read the network reads the casts.
//!
//! # The contract with the event loop
//!
//! * Call [`Node::step`] with every frame as it arrives, then with [`Input::Tick`] once all frames
//!   at hand were read and [`Node::deadline`] has come. Late, early and repeated ticks are
//!   harmless. The tick signs once for everything that was read: batching by itself.
//! * Drain the returned [`Outputs`]. A frame that cannot be sent may be dropped.
//! * [`Request::Cast`] is all or nothing: [`Event::Accepted`] or [`Event::Refused`], and
//!   [`Event::Writable`] when a full queue has room again.
//! * A process never signs in a view in which it has lost what it signed: whoever restarts without
//!   this state needs a higher incarnation, made durable before its first frame ([`Boot`]).
//! * Nothing from outside is an error or a panic. Three wrongs are never mixed: ours
//!   ([`ConfigError`], [`Refusal`]), a peer's ([`Proof`], [`LinkFault`], [`Reason`]), and anyone's
//!   (dropped and counted, [`Counters`]).
//!
//! # The stack
//!
//! ```text
//!   requests        events
//!      |              ^
//!      v              |
//!   +--------------------+
//!   | Top_Appl           |  casts as the application sees them
//!   +--------------------+   +-------------------------+
//!   | Total              |   | Suspect                 |  heartbeats, opinions, proofs
//!   +--------------------+   +-------------------------+
//!   | Reliable           |   | Stable                  |  stability matrix
//!   +--------------------+   +-------------------------+
//!   | Pt2pt, Pt2ptW                                    |  messages between two members
//!   +--------------------------------------------------+
//!   | Bottom                                           |  frames, MACs, fragments
//!   +--------------------------------------------------+
//!      ^              |
//!      |              v
//!    frames         frames
//! ```
//!
//! Where the duty of each layer that the paper names lives:
//!
//! | paper | here |
//! |---|---|
//! | Bottom | `layer/bottom`: frames, MACs, replay window, fragments; timers are [`Node::deadline`] |
//! | Pt2pt, Pt2PtW | `layer/pt2pt`: reliable messages, byte credits |
//! | Reliable | `layer/reliable`: certified hash-chained logs |
//! | Stable | `layer/stable`: signed rows, stability threshold |
//! | Total | `layer/total`: born-order merge |
//! | Suspect | `layer/suspect`, `layer/lag` |
//! | Top_Appl | `layer/top_appl`; batching and back-pressure in `layer/reliable/sender` |
//! | Top, Local | the order of the layers, in `stack` |
//! | Group, Heal, Inter, Intra, Elect, Leave, Sync, Vsync | membership: not in this version, which runs the genesis view |
//!
//! # Promises
//!
//! Under any timing, with at most `f` of the view's `n` members Byzantine ([`Quorum`]):
//!
//! | id | promise |
//! |---|---|
//! | P1 Integrity | a message is delivered at most once and, if its sender is correct, only if the sender cast it |
//! | P2 FIFO | messages of one sender are delivered in the order cast, per [`Order`] |
//! | P3 Uniform agreement | a message delivered by any correct member is delivered by every correct member that completes the view |
//! | P4 Total order | Total messages are delivered in one order |
//! | P9 Blame | no [`Proof`] ever names a correct member |
//! | P10 Bounded memory and work | nobody can make a correct member hold more than [`Node::memory`] tells |
//!
//! P5 to P8 and L1 to L3 are about changing views and come with membership. Liveness, once the
//! network is timely: Fifo casts of correct members are delivered while a quorum is up; Total casts
//! while no slot of a silent member is in the way; a silent or impeding member is suspected.
//!
//! # Differences from the paper
//!
//! * Quorum `floor((n+f)/2) + 1` in place of `2f + 1`: the latter lets one liar certify two
//!   messages unless `n = 3f + 1` ([`QuorumRule`]).
//! * The payload travels with the digest, and a member replies only when it holds it.
//! * Logs are hash-chained: one reply or certificate covers a whole prefix, and one signature per
//!   tick covers the heads of all logs.
//! * A body is delivered when a quorum is known to hold its certificate, so that delivery is
//!   uniform, even at members that are later cut off.
//! * Stability rows are signed and relayed; a threshold needs all active members and a quorum. A
//!   row never runs more than a window ahead of what was delivered, so that a sender that settles
//!   no slots cannot make others pile up casts.
//! * Null messages stand for ranges of slots.
//! * Proofs are told from opinions; all are asked before anyone is suspected; an opinion needs
//!   fresh rows of a quorum.
//! * In pattern Swift replies go to all and everybody assembles the certificate; pattern Paper
//!   keeps the paper's messages, for comparison.
//! * Link MACs protect what needs no proof.
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
mod plan;
mod quorum;
#[cfg(test)]
mod rig;
mod seq;
mod stack;
mod time;
mod timer;
mod view;
pub mod wire;

pub use config::{Boot, Config, ConfigError, GroupId, Joiners, Limits, Timeouts};
pub use crypto::{Hash32, Identity, KeyError, PublicKey, Reason};
pub use fault::{Evidence, FaultKind, LinkFault, NotAProof, Proof, TwoFaced};
pub use input::{Input, Order, Request, Ticket};
pub use member::{ADDR_MAX, Member, PeerId, PerRank, Rank, Status};
pub use node::{Counters, Node, Outputs};
pub use output::{Event, Exclusion, Fault, Output, Payload, Refusal, Transmit};
pub use quorum::{Quorum, QuorumRule};
pub use seq::{Attempt, LogEnd, Number, Round, Slot, SlotMark};
pub use time::Time;
pub use view::{Departure, EXPELLED_MAX, Genesis, Membership, Pattern, View};
pub use wire::frame::peek_sender;
pub use wire::stranger::JoinRefusal;
