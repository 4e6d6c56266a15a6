//! One link: the state between this process and one life of another.

use alloc::sync::Arc;

use super::assemble::Assembler;
use super::gather::SMALL_BYTES;
use super::replay::ReplayWindow;
use super::split::{SplitLimits, Splitter};
use crate::config::{Config, Limits};
use crate::crypto::{LinkKeys, PublicKey};
use crate::layer::Cargo;
use crate::member::PeerId;
use crate::output::Transmit;
use crate::time::Time;
use crate::wire::bounds::Bounds;
use crate::wire::casts::Count;
use crate::wire::frame::{self, FrameKind, Header, Prepared};

/// Times that a fragment is sent again while nothing of its frame is acknowledged.
const FRAGMENT_TRIES: u32 = 10;

/// Room in a frame beside the casts of its body, at least.
const PACKET_MAX: usize = 640 * 1024;

/// Room for answers and small frames behind a full window.
const QUEUE_SLACK: usize = 1024 * 1024;

/// The longest content of a frame in a view of `n` members: a body behind small parts, with what
/// covers it, or the longest part of a packet behind small ones.
pub(super) fn content_max(limits: &Limits, n: usize) -> usize {
    let bounds = Bounds::of(n);
    let before = bounds.packet_head().saturating_add(SMALL_BYTES);
    let packet = before.saturating_add(bounds.answer()).max(PACKET_MAX);
    limits.casts_max().saturating_add(packet).max(before.saturating_add(bounds.longest()))
}

/// Bytes of messages that may be begun at a time.
fn begun_bytes(limits: &Limits, n: usize) -> usize {
    content_max(limits, n) / 2
}

/// Bytes of frames that wait to be cut into pieces, per peer: all the casts that this member may
/// have on their way, which leave in one burst when the window opens, or the longest frame behind what
/// is begun; and answers behind them.
fn queue_bytes(limits: &Limits, n: usize) -> usize {
    let longest = content_max(limits, n).saturating_add(begun_bytes(limits, n));
    limits.casts_in_flight().max(longest).saturating_add(QUEUE_SLACK)
}

/// The longest frame of a group with these limits, in the largest view that there may be.
pub(crate) fn frame_max(limits: &Limits) -> usize {
    content_max(limits, usize::from(limits.max_members)).saturating_add(frame::HEADER)
}

/// Whether every frame of a group with these limits can be cut for a network that takes frames of
/// `frame_max` bytes, or goes over it whole.
pub(crate) fn fits_network(limits: &Limits, frame_max: usize) -> bool {
    let longest = content_max(limits, usize::from(limits.max_members));
    let piece_max = frame_max.saturating_sub(frame::FRAGMENT_HEADER).max(1);
    let pieces = longest.div_ceil(piece_max);
    self::frame_max(limits) <= Config::FRAME_MAX
        && (frame_max >= Config::FRAME_MAX || pieces <= usize::from(u16::MAX))
}

/// What every link of this process is made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkLimits {
    limits: Limits,
    pub(super) split: SplitLimits,
    partial_max: usize,
    pub(super) content_max: usize,
    /// The same in the largest view that there may be.
    longest: usize,
    is_split: bool,
}

impl LinkLimits {
    pub(super) fn new(config: &Config, n: usize) -> Self {
        let limits = &config.genesis.limits;
        Self {
            limits: *limits,
            split: SplitLimits {
                piece_max: config.frame_max.saturating_sub(frame::FRAGMENT_HEADER),
                begun_max: config.partial_frames,
                begun_bytes_max: begun_bytes(limits, n),
                queue_bytes_max: queue_bytes(limits, n),
                retransmit_us: config.timeouts.retransmit_us,
                tries: FRAGMENT_TRIES,
            },
            partial_max: config.partial_frames,
            content_max: content_max(limits, n),
            longest: content_max(limits, usize::from(limits.max_members).max(n)),
            is_split: config.frame_max < Config::FRAME_MAX,
        }
    }

    /// Whether so many casts may be one body.
    pub(super) const fn takes(&self, bytes: usize, count: &Count) -> bool {
        self.limits.takes(bytes, count)
    }

    /// A view of `n` members begins. Limits only grow: what is under way stays within them.
    pub(super) fn fit(&mut self, n: usize) {
        self.content_max = self.content_max.max(content_max(&self.limits, n));
        let split = &mut self.split;
        split.queue_bytes_max = split.queue_bytes_max.max(queue_bytes(&self.limits, n));
        split.begun_bytes_max = split.begun_bytes_max.max(begun_bytes(&self.limits, n));
    }

    /// The most bytes that one link may hold: one largest frame coming in, in the shortest pieces,
    /// and the own window with 1 MiB of slack going out, unless frames are whole.
    pub(super) const fn bound_bytes(&self) -> usize {
        let out = if self.is_split { Splitter::bound(&self.split) } else { 0 };
        Assembler::bound(self.content_max).saturating_add(Assembler::TABLES_MAX).saturating_add(out)
    }
}

/// How this process names itself in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) group: u64,
    pub(super) id: PeerId,
}

/// One life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) key: PublicKey,
    pub(super) incarnation: u64,
}

/// What is remembered of a link that was given up. Should the same life of the peer come back, the
/// keys are the same too: then numbers go on, lest the peer refuses them, and what was seen stays
/// seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    pub(super) life: Life,
    counter: u64,
    replay: ReplayWindow,
    last_message: u64,
}

/// The link to one peer.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: PeerId,
    pub(super) life: Life,
    pub(super) keys: LinkKeys,
    counter: u64,
    pub(super) replay: ReplayWindow,
    /// Nothing is read from it for the rest of the present view.
    pub(super) is_closed: bool,
    /// A packet of the present view came over it.
    pub(super) has_spoken: bool,
    /// The peer is no member any more, and is answered up to this moment.
    pub(super) until: Option<Time>,
    pub(super) splitter: Splitter,
    pub(super) assembler: Assembler,
}

impl Link {
    pub(super) fn new(
        (peer, life): (PeerId, Life),
        keys: LinkKeys,
        limits: &LinkLimits,
        past: Option<Past>,
    ) -> Self {
        let mut splitter = Splitter::new(limits.split);
        splitter.go_on_from(past.map_or(0, |past| past.last_message));
        Self {
            peer,
            life,
            keys,
            counter: past.map_or(0, |past| past.counter),
            replay: past.map_or_else(ReplayWindow::default, |past| past.replay),
            is_closed: false,
            has_spoken: false,
            until: None,
            splitter,
            assembler: Assembler::new(limits.partial_max, limits.content_max)
                .bearing(limits.longest),
        }
    }

    pub(super) const fn past(&self) -> Past {
        let last_message = self.splitter.last_number();
        Past { life: self.life, counter: self.counter, replay: self.replay, last_message }
    }

    /// A new view begins: a closed link is read again.
    pub(super) const fn renew(&mut self, limits: &LinkLimits, until: Option<Time>) {
        self.splitter.resize(&limits.split);
        self.assembler.resize(limits.content_max);
        self.is_closed = false;
        self.has_spoken = false;
        self.until = until;
    }

    /// The header of the next frame.
    pub(super) fn header(&mut self, kind: FrameKind, name: Name) -> Header {
        self.counter = self.counter.saturating_add(1);
        Header { kind, group: name.group, from: name.id, counter: self.counter }
    }

    /// A whole frame for this peer.
    pub(super) fn seal(
        &mut self,
        name: Name,
        frame: &Prepared,
        casts: Option<&Cargo>,
        nothing: &Arc<[u8]>,
    ) -> Transmit {
        let header = self.header(FrameKind::Whole, name);
        let head = frame.seal(&self.keys.outbound, &header);
        let body = Arc::clone(casts.map_or(nothing, |casts| &casts.bytes));
        Transmit { to: self.peer, head, body }
    }

    /// Bytes held in fragments, of both directions.
    pub(super) fn held_bytes(&self) -> usize {
        let held = self.splitter.held_bytes().saturating_add(self.assembler.held_bytes());
        held.saturating_add(self.assembler.tables_bytes())
    }
}
