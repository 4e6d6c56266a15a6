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
//! #     membership: phalanx_core::Membership::Fixed, state_transfer: false,
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
//!   this state needs a higher incarnation, made durable before its first frame that must be remembered ([`Boot`],
//!   [`Node::is_bound`]).
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
//!   | Total              |   | Group, Vsync            |  the next view
//!   |                    |   +-------------------------+
//!   |                    |   | Suspect                 |  heartbeats, opinions, proofs
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
//! | Group, Intra, Elect, Leave | `layer/group`: the agreement on the next view; `plan`: who is in it; leaders take turns by view and attempt |
//! | Sync | `layer/reliable/cut`: the logs are frozen, and closed at the cut that was agreed |
//! | Vsync | `layer/vsync`: who has installed the view; `stack`, `node`: from one view to the next |
//! | Heal, Inter | `layer/heal`, `layer/inter`: those that join, and those that take them in |
//! | (state transfer) | `layer/transfer`; `stack/gate`: what is delivered waits for it |
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
//! | P4 Total order | Total messages are delivered in one order, across views |
//! | P5 View synchrony | correct members that install a view's successor delivered the same messages in it |
//! | P6 View agreement | a view has at most one successor |
//! | P7 Self-inclusion | a correct member installs only views that list it |
//! | P8 Membership integrity | who leaves asked to, or was suspected by a correct member of that view |
//! | P9 Blame | no [`Proof`] ever names a correct member |
//! | P10 Bounded memory and work | nobody can make a correct member hold more than [`Node::memory`] tells, or check signatures in vain beyond a budget |
//!
//! Liveness, once the network is timely: a member that weak (`f + 1`) correct members suspect is
//! removed, or silenced where the group could not bear as many liars without it (L1); casts of a
//! correct member that stays Active are delivered exactly once, across views (L2); once a quorum of
//! correct members can talk, the group makes progress (L3). With [`Membership::Fixed`] suspicions
//! are told and nothing follows: Total casts wait for every member.
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
//! * Time-outs follow the group: fragments are sent again at the pace of their link, and a view
//!   begins with what the last change showed an attempt to need ([`Timeouts`]), so that a network
//!   slower than any configuration costs time and not members. A sender has no more on its way than
//!   a quorum takes in shortly, so that full windows do not make anybody late.
//! * Suspicions count in the view in which they were signed; the messages of a view change travel
//!   outside the multicast windows and are sent again as state; `NeedMoreChange` comes before a lock
//!   and carries locks along; a quorum of the old view that is ready decides.
//! * The cut at which a view ends is part of what is agreed; own casts beyond it are cast again.
//! * Views remember a pledge: how many liars they can bear. Opinions never shrink a group below
//!   what the pledge needs: they silence a member, which keeps its votes. Few members change at a
//!   time.
//! * With state transfer a process that joins votes and casts before its application has the state,
//!   and delivers after that, from its first view on. If views have ended meanwhile, what it
//!   delivers in them comes after their successors were told ([`Event::StateLoaded`]).
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
mod outbox;
mod output;
mod plan;
mod quorum;
#[cfg(test)]
mod rig;
mod seq;
mod stack;
mod time;
mod timer;
mod trip;
mod view;
pub mod wire;

pub use config::{Boot, Config, ConfigError, GroupId, Joiners, Limits, Timeouts};
pub use crypto::{Hash32, Identity, KeyError, PublicKey, Reason};
pub use fault::{Evidence, FaultKind, Invalid, LinkFault, NotAProof, Proof, TwoFaced};
pub use input::{Input, Order, Request, Ticket};
pub use member::{ADDR_MAX, Member, PeerId, PerRank, Rank, Status};
pub use node::{Counters, Node, Outputs};
pub use output::{Event, Exclusion, Fault, Output, Payload, Refusal, Transmit};
pub use quorum::{Quorum, QuorumRule};
pub use seq::{Attempt, LogEnd, Number, Round, Slot, SlotMark};
pub use time::Time;
pub use view::{Departure, EXPELLED_MAX, Genesis, Membership, Pattern, View};
pub use wire::change::{Decision, NotADecision};
pub use wire::frame::peek_sender;
pub use wire::stranger::JoinRefusal;
