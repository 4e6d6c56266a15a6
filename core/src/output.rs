//! What comes out of a [`crate::Node`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, Range};

use crate::crypto::{PublicKey, Reason};
use crate::fault::{LinkFault, Proof};
use crate::input::{Order, Ticket};
use crate::member::{PeerId, Rank};
use crate::seq::{Attempt, Number, Slot};
use crate::view::{Departure, View};
use crate::wire::change::Decision;
use crate::wire::frame;
use crate::wire::stranger::JoinRefusal;

/// One thing a step produced.
#[derive(Clone, Debug)]
pub enum Output {
    /// A frame to put on the network.
    Transmit(Transmit),
    /// Something the application should know.
    Event(Event),
    /// A member is proven to misbehave: once per culprit, kind and view.
    Fault(Fault),
}

/// A frame for one peer: `head` then `body`. The body is shared by all links, so a vectored write
/// sends a multicast without copying it. A frame that cannot be sent may be dropped.
///
/// One kind of frame is for a process that has no link to this one, because it wants to join or
/// this one does: see [`Transmit::is_stranger`]. If the step that made it took a stranger's frame that
/// named this peer ([`crate::peek_sender`]) it answers that one, and goes back where that came from
/// alone: a name proves nothing, and nobody is to draw answers to another. Otherwise it goes to the
/// address that [`crate::Node::peers`] has, and also where the last stranger's frame that named this
/// peer came from, for an owner may have moved. If there is neither it is dropped. It is never cut into fragments: it has at most 60 KiB, however short `frame_max` is, and
/// fits a datagram.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Whom it is for; [`crate::Node::peers`] has its address, unless it is for a stranger.
    pub to: PeerId,
    /// The first bytes of the frame.
    pub head: Vec<u8>,
    /// The rest; often empty.
    pub body: Arc<[u8]>,
}

impl Transmit {
    /// Whether it is for, or from, a process that is no member.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        frame::is_stranger(&self.head)
    }

    /// The length of the frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len().saturating_add(self.body.len())
    }

    /// Whether it has no bytes; never so for a frame that a node made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    /// Appends the whole frame to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.body);
    }
}

/// Bytes of a cast: a shared piece of the body that carried it.
#[derive(Clone)]
pub struct Payload {
    body: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Payload {
    /// The bytes `range` of `body`; empty if the body has no such bytes.
    #[must_use]
    pub fn new(body: Arc<[u8]>, range: &Range<usize>) -> Self {
        let start = u32::try_from(range.start).unwrap_or(u32::MAX);
        let end = u32::try_from(range.end).unwrap_or(u32::MAX);
        Self { body, start, end }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.body.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl core::fmt::Debug for Payload {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

/// Why a request was refused; nothing of it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The queue is full; [`Event::Writable`] tells when it is worth trying again.
    #[error("the queue is full")]
    Full,
    /// Longer than the limit.
    #[error("the payload is longer than the limit")]
    TooLarge,
    /// No such member, or the process itself where another is meant.
    #[error("there is no such member")]
    NotMember,
    /// Already suspected by this process.
    #[error("this process has said so already")]
    AlreadyDone,
    /// The last member of a group, or one whose membership is fixed, cannot leave it: it just stops.
    #[error("the membership is fixed, or this is the last member")]
    LastMember,
    /// Nobody wants this snapshot or chunk, or not any more.
    #[error("nobody wants this snapshot or chunk, or not any more")]
    NotWanted,
    /// The chunk, or the list of their hashes, is not that of the snapshot.
    #[error("the bytes are not those of the snapshot")]
    NotTheSnapshot,
}

/// Something the application should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The request with this ticket was taken.
    Accepted(Ticket),
    /// The request with this ticket was refused.
    Refused(Ticket, Refusal),
    /// After a [`Refusal::Full`]: there is room again.
    Writable,
    /// A view was installed: the first event of a node that starts as a member, and the first
    /// after some [`Event::Joining`] of one that joins. Ranks in later events are of this view, and
    /// [`crate::Node::peers`] are others.
    View(Box<View>),
    /// This process wants to be a member and is none yet. Told at first, and then when something
    /// changed, once a second at the most; [`Event::View`] and [`Event::Unblock`] end it.
    Joining {
        /// Number of the newest view that it knows.
        view: u64,
        /// What members of that view have against it, by rank; their latest word each. It is not
        /// authenticated.
        refusals: Vec<(Rank, JoinRefusal)>,
    },
    /// A process wants to be a member that never was one, or left, or was put out long ago, and
    /// `joiners` leaves it to the application: [`crate::Request::Admit`] answers. Told once for each life of a process and
    /// view, and again after a while if there is no answer.
    JoinWanted {
        /// Its key; it signed the request.
        key: PublicKey,
        /// Which life of it.
        incarnation: u64,
        /// Where it says it is to be found.
        addr: Vec<u8>,
    },
    /// A multicast is delivered.
    Cast {
        /// Number of the view in which it is delivered.
        view: u64,
        /// Who cast it: its rank in that view.
        sender: Rank,
        /// The body that carried it.
        number: Number,
        /// How it was ordered.
        order: Order,
        /// Its place in the total order, for Total casts; casts of one body share it.
        slot: Option<Slot>,
        /// The ticket of the request, if it was this process's own.
        own_ticket: Option<Ticket>,
        /// What was cast.
        payload: Payload,
    },
    /// A message from one member.
    Send {
        /// Who sent it.
        sender: Rank,
        /// What it sent.
        payload: Vec<u8>,
    },
    /// A message to one member was given up: it was not acknowledged after all tries, or the member
    /// is not in the next view. Then this comes before [`Event::View`] or [`Event::Excluded`].
    SendFailed {
        /// To whom.
        to: Rank,
        /// The ticket of the request.
        ticket: Ticket,
    },
    /// `by` suspects `subject`, and this process knows it: once per pair as an opinion and once by
    /// proof, in each view.
    Suspected {
        /// Who is suspected.
        subject: Rank,
        /// Who suspects it; may be this process.
        by: Rank,
        /// Why.
        reason: Reason,
    },
    /// The link of a peer is dropped unread for the rest of the view.
    LinkClosed {
        /// Whose.
        peer: Rank,
        /// Why.
        why: LinkFault,
    },
    /// A view change began: until [`Event::Unblock`] nothing new is agreed in this view. Casts are
    /// taken as before and wait.
    Block,
    /// The next view was installed and casts flow again.
    Unblock,
    /// This process asked to leave, and cannot be let go as things are: too few would be left. It
    /// may stop all the same, and counts as crashed then; if it goes on it asks again in every view,
    /// and is told this again where that does not help either (protocol.md section 8, step 4).
    MustStay,
    /// An attempt of the view change was given up for a later one: the paper's transitional view.
    TransitionalView {
        /// The attempt gone on to.
        attempt: Attempt,
    },
    /// This process is no member of the next view. It answers for a while those that do not know yet, and does nothing else.
    ///
    /// It does not come back by itself: unless it left or lied, the application starts the process
    /// again with a higher incarnation, made durable first, through [`crate::Node::join`]. The
    /// others know its key and take it in again.
    Excluded {
        /// Why.
        why: Exclusion,
        /// The view without it, proven by a quorum of the members of the view before.
        decision: Box<Decision>,
        /// Own casts that were accepted and that nobody delivered or will.
        lost: Vec<Ticket>,
    },
    /// This process missed bodies that nobody keeps any more, because it was cut off for long or
    /// silenced. It goes on as a voter at once, and delivers nothing more: what the application has
    /// is the past. Own casts that were accepted are delivered by the others all the same. It gets on
    /// by itself (protocol.md section 10). Where members hand over their state it is Silenced, if it is
    /// not already, and once it is Active again [`Event::State`] begins anew, from its first byte.
    /// Elsewhere [`Event::Resumed`] comes with the first view in which it is Active.
    StateLost,
    /// This process delivers again from the beginning of this view on, like one that joins with it. What
    /// was cast since [`Event::StateLost`] it has missed for good: members of this group hand over no
    /// state.
    Resumed {
        /// The number of the view.
        view: u64,
    },
    /// How many members may fail before the group stops, where that changed with the view.
    Resilience {
        /// How many Active members may stop before fewer than a quorum answer, if those that are
        /// Silenced do not.
        spare: u16,
    },
    /// Fewer members than a quorum answer: nothing is agreed until more do.
    NoQuorum {
        /// From whom no fresh row is to be had.
        missing: Vec<Rank>,
    },
    /// So many members have begun a new life, and ask to be taken in as that, that those that are left
    /// are fewer than a quorum: the view can decide nothing any more, whoever answers, and so nobody
    /// joins. This does not heal by itself; what the applications have is to be taken over into a new
    /// group. Told again with each one more.
    ///
    /// Where too few are left to let a process sign that it asks, that it asks is taken for it, of
    /// members that are silent while no quorum is heard. Somebody else may have asked in its name: look
    /// at the processes before the group is given up.
    BeyondRepair {
        /// Members whose old life, the one with the vote, is over.
        gone: Vec<Rank>,
        /// How many votes a decision takes; fewer are left.
        quorum: u16,
    },
    /// This life of the process must not join: its key was in a view with an incarnation that is not
    /// lower, and what that one signed is not known here. Its record of incarnations was lost, or set
    /// back. It does nothing more; start again ([`crate::Node::join`]) with an incarnation above.
    Spent {
        /// The highest that is known to have been in a view.
        highest: u64,
    },
    /// Two next views were decided after one view: more than `f` of its members lied, then or after
    /// they had left. This process trusts neither: it joins nothing, delivers nothing and signs
    /// nothing any more, and hands out what it has.
    Fork {
        /// The one that was known.
        known: Box<Decision>,
        /// The other.
        other: Box<Decision>,
    },
    /// Others joined with this view, and the application is asked for a snapshot of its state as it
    /// is at this moment: after everything delivered so far, before anything that comes later.
    /// Answered by [`crate::Request::SnapshotReady`], at leisure.
    SnapshotWanted {
        /// Number of the view that begins now.
        view: u64,
    },
    /// A joiner wants a chunk of a snapshot. Answered by [`crate::Request::Chunk`]; if not, it is
    /// asked of another member.
    ChunkWanted {
        /// Of the snapshot of this view.
        view: u64,
        /// Which one, counted from 0.
        index: u32,
    },
    /// Nobody wants this snapshot any more. After [`Event::Excluded`] that goes for all, and is not
    /// said.
    SnapshotReleased {
        /// The snapshot of this view.
        view: u64,
    },
    /// A piece of the state that this process joins with, or is Active again with. Pieces come in
    /// order, without gaps, each once, and nothing is cast to it before [`Event::StateLoaded`].
    State {
        /// Where it begins, in bytes.
        offset: u64,
        /// At most 64 KiB.
        bytes: Vec<u8>,
        /// Bytes of the whole state.
        total: u64,
    },
    /// The state is complete: deliveries begin, with the first of the view whose state it is. If
    /// others followed meanwhile, whose [`Event::View`] came in time, what is delivered in them comes
    /// after that: here, and only here, the view of a cast is not always the last one told.
    StateLoaded {
        /// It is the state with which this view began.
        view: u64,
        /// Its length in bytes; may be 0, and then no piece came.
        total: u64,
    },
    /// The members do not agree on the state that this process is to join with: the application is
    /// not deterministic, or more members lie than may. It goes on waiting for enough that agree.
    SnapshotDiverged {
        /// The state with which this view began.
        view: u64,
    },
    /// The state that this process is to join with is longer than its `state_max`.
    StateTooLarge {
        /// Its length in bytes.
        length: u64,
    },
    /// For `retain_us` nothing came of the state that this process is to join with: those that had it
    /// may have gone or given it up. [`Event::StateLost`] follows, and with it the way to the state of
    /// a newer view.
    StateStalled {
        /// The state with which this view began.
        view: u64,
    },
    /// Certificates conflict, or the own log holds what this process did not write: more than `f`
    /// members lie, or the own key is used twice. Deliveries have stopped.
    Alarm {
        /// Whose log has two certified branches.
        sender: Rank,
        /// Where.
        number: Number,
    },
}

/// Why a process is out of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Removed by the others, or gone as it asked.
    Departed(Departure),
    /// The next view cannot be: its keys are none, which takes more than `f` liars. It comes back
    /// with a higher incarnation.
    Overtaken,
}

/// A member proven to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its rank in the view of the proof.
    pub culprit: Rank,
    /// Its key.
    pub key: PublicKey,
    /// Verifies offline.
    pub proof: Box<Proof>,
}
