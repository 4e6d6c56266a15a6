//! What goes into a [`crate::Node`].

use crate::crypto::{Hash32, PublicKey};
use crate::member::Rank;
pub use crate::wire::casts::Order;

/// Names a request; chosen by the caller, returned with what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One thing that happens to a node.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A frame came from the network; whoever sent it.
    Frame(&'a [u8]),
    /// The application wants something.
    Request(Ticket, Request<'a>),
    /// Time passed, or all frames at hand were read: harmless at any time, owed by
    /// [`crate::Node::deadline`].
    Tick,
}

/// What an application can want. Each request is answered at once by
/// [`crate::Event::Accepted`] or [`crate::Event::Refused`], nothing half done.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Multicast `payload` to the group, its caster included.
    Cast {
        /// Fifo or Total.
        order: Order,
        /// At most `cast_max` bytes.
        payload: &'a [u8],
    },
    /// Send `payload` to one member: reliable, in order.
    Send {
        /// To whom.
        to: Rank,
        /// At most [`crate::wire::SEND_MAX`] bytes.
        payload: &'a [u8],
    },
    /// Whether the holder of a key may become a member: the answer to
    /// [`crate::Event::JoinWanted`], or given in advance. It holds until it is given anew; the last
    /// 256 answers are remembered.
    Admit {
        /// Whose key.
        key: PublicKey,
        /// Whether it may.
        is_admitted: bool,
    },
    /// Leave the group. The process works on until the others have agreed; then
    /// [`crate::Event::Excluded`] says that it has left. Where too few would be left
    /// [`crate::Event::MustStay`] says so, and the wish is kept.
    Leave,
    /// Tell the group that this process suspects a member; the paper's `suspect(rank, reason)`.
    /// The reason given to the group is [`crate::crypto::Reason::Application`].
    Suspect {
        /// Whom.
        member: Rank,
    },
    /// The snapshot that [`crate::Event::SnapshotWanted`] asked for is there. The application keeps
    /// it until [`crate::Event::SnapshotReleased`].
    SnapshotReady {
        /// Of the state with which this view began.
        view: u64,
        /// Its bytes, at most `state_max`.
        length: u64,
        /// SHA-256 of each of its chunks in order, see [`crate::wire::transfer::chunk_hashes`].
        chunks: &'a [Hash32],
    },
    /// A chunk that [`crate::Event::ChunkWanted`] asked for.
    Chunk {
        /// Of the snapshot of this view.
        view: u64,
        /// Which one, counted from 0.
        index: u32,
        /// [`crate::wire::transfer::CHUNK_BYTES`] of it, fewer if it is the last.
        bytes: &'a [u8],
    },
}
