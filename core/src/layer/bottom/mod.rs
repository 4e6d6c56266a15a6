//! Layer Bottom: frames on links (protocol.md section 3).
//!
//! Promises upwards: a packet comes from the peer it names, at most once, whole and well-formed.
//! Checks in this order: length, version, group, known peer, MAC, replay; then decode. What fails
//! before the MAC is counted and dropped and blames nobody; malformed content under a good MAC is
//! that peer's fault, and its link is dropped unread for the rest of the view.
//!
//! What a faulty member can try: reflect frames (one key per direction), replay (a window over the
//! counter), flood with partial frames (bounded per peer), cost a hash per byte it sends (that is
//! what a byte costs anyway).

mod assemble;
mod fragment;
mod gather;
mod replay;
mod split;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reliable::Payload;
use super::{Cargo, Context, Post, To};
use crate::config::{Config, Limits};
use crate::crypto::{Hash32, Identity, LinkKeys, Roster};
use crate::member::{PeerId, PerRank, Rank};
use crate::output::Transmit;
use crate::seq::Number;
use crate::time::{Time, earliest};
use crate::view::View;
use crate::wire::casts::{self, Count};
use crate::wire::frame::{self, FrameKind, Header, Parsed, Prepared};
use crate::wire::{List, Malformed, Packet, Part, decode, encode};
use assemble::Assembler;
use fragment::Ack;
use gather::gather;
use replay::ReplayWindow;
use split::{SplitLimits, Splitter};

/// What a frame turned out to be.
#[derive(Debug)]
pub(crate) enum Taken<'a> {
    /// A packet of the present view.
    Packet(Inbound<'a>),
    /// Nothing to hand up: a fragment, an acknowledgement.
    Nothing,
    /// Not authentic: nobody is blamed.
    Unauthenticated,
    /// Seen before, or too old to tell.
    Replayed,
    /// Of a peer whose link is closed.
    Closed,
    /// Of another view.
    OtherView,
    /// Malformed under a good MAC: this peer's fault.
    Malformed(Rank, Malformed),
}

/// A packet with where it came from.
#[derive(Debug)]
pub(crate) struct Inbound<'a> {
    /// The peer.
    pub(crate) from: Rank,
    /// What it says.
    pub(crate) packet: Packet,
    /// The casts of its body.
    casts: Casts<'a>,
    /// `H(casts)`.
    hash: Hash32,
    /// How many of each order.
    count: Count,
}

impl Inbound<'_> {
    /// The casts of its body, checked and hashed.
    pub(crate) fn payload(&self) -> Payload<'_> {
        Payload { bytes: self.casts.bytes(), hash: self.hash, count: self.count }
    }
}

/// Casts in the frame, or in a frame put together from fragments.
#[derive(Debug)]
pub(crate) enum Casts<'a> {
    /// As they came.
    Borrowed(&'a [u8]),
    /// The content of the frame, and where the casts begin.
    Assembled(Vec<u8>, usize),
}

impl Casts<'_> {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Assembled(content, at) => content.get(*at..).unwrap_or_default(),
        }
    }
}

/// The link to one peer.
#[derive(Debug)]
struct Link {
    peer: PeerId,
    keys: LinkKeys,
    counter: u64,
    replay: ReplayWindow,
    is_closed: bool,
    splitter: Splitter,
    assembler: Assembler,
}

impl Link {
    /// The header of the next frame.
    fn header(&mut self, kind: FrameKind, group: u64, from: PeerId) -> Header {
        self.counter = self.counter.saturating_add(1);
        Header { kind, group, from, counter: self.counter }
    }
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Bottom {
    me: Rank,
    id: PeerId,
    group: u64,
    view: Hash32,
    n: usize,
    empty_hash: Hash32,
    links: PerRank<Option<Link>>,
    /// Ranks by peer id, ascending.
    ranks: Vec<(PeerId, Rank)>,
    nothing: Arc<[u8]>,
    frame_max: usize,
}

/// Fragments on their way to one peer and not acknowledged.
const FRAGMENTS_IN_FLIGHT: usize = 64;

/// Times that a fragment is sent again while nothing of its frame is acknowledged.
const FRAGMENT_TRIES: u32 = 10;

/// Room in a frame beside the casts of its body: small parts up to 128 KiB, one more part,
/// and what covers the body.
const PACKET_MAX: usize = 640 * 1024;

/// The longest content of a frame.
const fn content_max(limits: &Limits) -> usize {
    limits.casts_max().saturating_add(PACKET_MAX)
}

fn split_limits(config: &Config) -> SplitLimits {
    SplitLimits {
        piece_max: config.frame_max.saturating_sub(frame::FRAGMENT_HEADER),
        in_flight_max: FRAGMENTS_IN_FLIGHT,
        begun_max: config.partial_frames,
        queue_bytes_max: queue_bytes(&config.genesis.limits),
        retransmit_us: config.timeouts.retransmit_us,
        tries: FRAGMENT_TRIES,
    }
}

/// Bytes of frames that wait to be cut into pieces, per peer: all the casts that this member may
/// have on their way, which leave in one burst when the window opens, and answers behind them.
const fn queue_bytes(limits: &Limits) -> usize {
    let (casts, content) = (limits.casts_in_flight(), content_max(limits));
    let most = if casts > content { casts } else { content };
    most.saturating_add(QUEUE_SLACK)
}

/// Room for answers and small frames behind a full window.
const QUEUE_SLACK: usize = 1024 * 1024;

impl Bottom {
    /// The links of member `me` of a view.
    pub(crate) fn new(
        config: &Config,
        view: &View,
        roster: &Roster,
        identity: &Identity,
        me: Rank,
    ) -> Self {
        let peers = view.peers();
        let incarnation = |rank: Rank| view.member(rank).map_or(0, |member| member.incarnation);
        let links = PerRank::from_fn(peers.len(), |rank| {
            let key = roster.key(rank).filter(|_| rank != me)?;
            let mine = incarnation(me);
            let keys = LinkKeys::derive(identity, mine, key, incarnation(rank), roster.group());
            Some(Link {
                peer: *peers.at(rank),
                keys,
                counter: 0,
                replay: ReplayWindow::default(),
                is_closed: false,
                splitter: Splitter::new(split_limits(config)),
                assembler: Assembler::new(
                    config.partial_frames,
                    content_max(&config.genesis.limits),
                ),
            })
        });
        let mut ranks: Vec<(PeerId, Rank)> =
            peers.iter().map(|(rank, peer)| (*peer, rank)).collect();
        ranks.sort_unstable();
        Self {
            me,
            id: *peers.at(me),
            group: roster.group().prefix(),
            view: *roster.view(),
            n: peers.len(),
            empty_hash: crate::crypto::sha256(&[]),
            links,
            ranks,
            nothing: Arc::from([]),
            frame_max: config.frame_max,
        }
    }

    /// Bytes held in fragments, of both directions.
    pub(crate) fn held_bytes(&self) -> usize {
        self.links.values().flatten().fold(0, |sum: usize, link| {
            let both = link.splitter.held_bytes().saturating_add(link.assembler.held_bytes());
            sum.saturating_add(both)
        })
    }

    /// The most bytes that it may hold: per peer one largest frame coming in, in the shortest
    /// pieces, and the own window with 1 MiB of slack going out, unless frames are
    /// whole.
    pub(crate) fn bound_bytes(config: &Config, n: usize) -> usize {
        let is_split = config.frame_max < Config::FRAME_MAX;
        let out = if is_split { Splitter::bound(&split_limits(config)) } else { 0 };
        let one = Assembler::bound(content_max(&config.genesis.limits)).saturating_add(out);
        one.saturating_mul(n.saturating_sub(1))
    }

    /// When [`Bottom::pump`] is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.links.values().flatten().fold(None, |first, link| {
            let ack = link.assembler.owes_acks().then_some(Time::ZERO);
            earliest(first, earliest(ack, link.splitter.deadline()))
        })
    }

    /// The rank of a peer, if it is another member.
    pub(crate) fn rank_of(&self, peer: PeerId) -> Option<Rank> {
        let index = self.ranks.binary_search_by_key(&peer, |(peer, _)| *peer).ok()?;
        self.ranks.get(index).map(|(_, rank)| *rank).filter(|rank| *rank != self.me)
    }

    /// Frames that were too many or too long to be cut into fragments, or were given up.
    pub(crate) fn lost(&self) -> u64 {
        let links = self.links.values().flatten();
        links.fold(0, |sum, link| sum.saturating_add(link.splitter.lost()))
    }

    /// Drops everything from this peer unread for the rest of the view.
    pub(crate) fn close(&mut self, peer: Rank) {
        if let Some(link) = self.links.at_mut(peer) {
            link.is_closed = true;
        }
    }

    /// Takes a frame apart.
    pub(crate) fn on_frame<'a>(&mut self, cx: &mut Context<'_>, bytes: &'a [u8]) -> Taken<'a> {
        if bytes.len() > Config::FRAME_MAX {
            return Taken::Unauthenticated;
        }
        let Some(parsed) = frame::parse(bytes) else { return Taken::Unauthenticated };
        let from = self.rank_of(parsed.header.from);
        let Some(from) = from.filter(|_| parsed.header.group == self.group) else {
            return Taken::Unauthenticated;
        };
        match parsed.header.kind {
            FrameKind::Whole => self.on_whole(cx, from, &parsed),
            FrameKind::Fragment | FrameKind::FragmentAck => self.on_small(cx, from, &parsed),
        }
    }

    /// A fragment, or an acknowledgement of fragments.
    fn on_small<'a>(&mut self, cx: &mut Context<'_>, from: Rank, parsed: &Parsed<'a>) -> Taken<'a> {
        let Some(link) = self.links.at_mut(from) else { return Taken::Unauthenticated };
        if link.is_closed {
            return Taken::Closed;
        }
        cx.door.count_macs(1);
        if !parsed.verifies_small(&link.keys.inbound) {
            return Taken::Unauthenticated;
        }
        if !link.replay.admits(parsed.header.counter) {
            return Taken::Replayed;
        }
        if parsed.header.kind == FrameKind::FragmentAck {
            let Some(ack) = Ack::parse(parsed.content()) else {
                return Taken::Malformed(from, Malformed::Fragment);
            };
            link.splitter.on_ack(&ack);
            return Taken::Nothing;
        }
        match link.assembler.on_fragment(parsed.content()) {
            Err(_) => Taken::Malformed(from, Malformed::Fragment),
            Ok(None) => Taken::Nothing,
            Ok(Some(content)) => self.on_assembled(cx, from, content),
        }
    }

    fn on_assembled<'a>(
        &mut self,
        cx: &mut Context<'_>,
        from: Rank,
        content: Vec<u8>,
    ) -> Taken<'a> {
        let Some((packet, casts)) = frame::split_whole(&content) else {
            return Taken::Malformed(from, Malformed::Fragment);
        };
        let hash = if casts.is_empty() { self.empty_hash } else { cx.door.casts_hash(casts) };
        let packet = decode(packet, self.n, !casts.is_empty());
        let at = content.len().saturating_sub(casts.len());
        self.open(from, packet, Casts::Assembled(content, at), hash)
    }

    fn on_whole<'a>(&mut self, cx: &mut Context<'_>, from: Rank, parsed: &Parsed<'a>) -> Taken<'a> {
        let Some((packet, casts)) = frame::split_whole(parsed.content()) else {
            return Taken::Unauthenticated;
        };
        let Some(link) = self.links.at_mut(from) else { return Taken::Unauthenticated };
        if link.is_closed {
            return Taken::Closed;
        }
        let packet_hash = cx.door.small_hash(packet);
        let casts_hash = if casts.is_empty() { self.empty_hash } else { cx.door.casts_hash(casts) };
        cx.door.count_macs(1);
        if !parsed.verifies_whole(&link.keys.inbound, &packet_hash, &casts_hash) {
            return Taken::Unauthenticated;
        }
        if !link.replay.admits(parsed.header.counter) {
            return Taken::Replayed;
        }
        let packet = decode(packet, self.n, !casts.is_empty());
        self.open(from, packet, Casts::Borrowed(casts), casts_hash)
    }

    /// Judges what a peer is known to have sent.
    fn open<'a>(
        &self,
        from: Rank,
        packet: Result<Packet, Malformed>,
        casts: Casts<'a>,
        hash: Hash32,
    ) -> Taken<'a> {
        let packet = match packet {
            Ok(packet) => packet,
            Err(malformed) => return Taken::Malformed(from, malformed),
        };
        if packet.view != self.view {
            return Taken::OtherView;
        }
        let count = match packet.parts.last() {
            Some(Part::Body(body)) => casts::check(casts.bytes(), body.slot),
            Some(_) | None => Ok(Count::default()),
        };
        match count {
            Ok(count) => Taken::Packet(Inbound { from, packet, casts, hash, count }),
            Err(malformed) => Taken::Malformed(from, malformed),
        }
    }

    /// Puts posts on the links, as few frames as may be: everything for all in one frame, each
    /// further body in one of its own, and what is for one peer only in another.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        haves: &[Number],
        posts: Vec<Post>,
        out: &mut Vec<Transmit>,
    ) {
        let (all, single): (Vec<Post>, Vec<Post>) =
            posts.into_iter().partition(|post| post.to == To::All);
        for post in gather(all) {
            let frame = self.prepare(cx, haves, post.parts, post.casts.as_ref());
            for rank in self.links.ranks() {
                self.transmit(cx, rank, &frame, post.casts.as_ref(), out);
            }
        }
        for rank in self.links.ranks() {
            let mine: Vec<Post> =
                single.iter().filter(|post| post.to == To::One(rank)).cloned().collect();
            for post in gather(mine) {
                let frame = self.prepare(cx, haves, post.parts, post.casts.as_ref());
                self.transmit(cx, rank, &frame, post.casts.as_ref(), out);
            }
        }
    }

    fn prepare(
        &self,
        cx: &mut Context<'_>,
        haves: &[Number],
        parts: Vec<Part>,
        casts: Option<&Cargo>,
    ) -> Prepared {
        let packet =
            Packet { view: self.view, haves: List::from(haves.to_vec()), parts: List::from(parts) };
        let packet = encode(&packet);
        let packet_hash = cx.door.small_hash(&packet);
        let casts_hash = casts.map_or(self.empty_hash, |casts| casts.hash);
        Prepared::new(packet, packet_hash, casts_hash)
    }

    fn transmit(
        &mut self,
        cx: &mut Context<'_>,
        to: Rank,
        frame: &Prepared,
        casts: Option<&Cargo>,
        out: &mut Vec<Transmit>,
    ) {
        let Some(link) = self.links.at_mut(to) else { return };
        let body = Arc::clone(casts.map_or(&self.nothing, |casts| &casts.bytes));
        if frame.len().saturating_add(body.len()) > self.frame_max {
            // A frame for which there is no room is lost, like any other may be.
            let _: bool = link.splitter.push(frame.content(), body);
            return;
        }
        cx.door.count_macs(1);
        let header = link.header(FrameKind::Whole, self.group, self.id);
        let head = frame.seal(&link.keys.outbound, &header);
        out.push(Transmit { to: link.peer, head, body });
    }

    /// Fragments to send now, and acknowledgements owed.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_>, out: &mut Vec<Transmit>) {
        let mut pieces = Vec::new();
        for link in self.links.values_mut().flatten() {
            let acks = link.assembler.take_acks();
            link.splitter.poll(cx.now, &mut pieces);
            cx.door.count_macs(pieces.len().saturating_add(acks.len()) as u64);
            for ack in acks {
                let header = link.header(FrameKind::FragmentAck, self.group, self.id);
                let head = frame::seal_small(&link.keys.outbound, &header, &[&ack.to_bytes()]);
                out.push(Transmit { to: link.peer, head, body: Arc::clone(&self.nothing) });
            }
            for piece in pieces.drain(..) {
                let header = link.header(FrameKind::Fragment, self.group, self.id);
                let content = [&piece.fields[..], &piece.bytes];
                let head = frame::seal_small(&link.keys.outbound, &header, &content);
                out.push(Transmit { to: link.peer, head, body: Arc::clone(&self.nothing) });
            }
        }
    }
}
