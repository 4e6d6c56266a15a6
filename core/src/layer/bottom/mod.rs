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

mod replay;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::reliable::Payload;
use super::{Cargo, Context, Post, To};
use crate::config::Config;
use crate::crypto::{Hash32, LinkKeys, Roster};
use crate::member::{PeerId, PerRank, Rank};
use crate::output::Transmit;
use crate::seq::Number;
use crate::view::View;
use crate::wire::casts::{self, Count};
use crate::wire::frame::{self, FrameKind, Header, Parsed, Prepared};
use crate::wire::{List, Malformed, Packet, Part, decode, encode};
use replay::ReplayWindow;

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
    accepted: u64,
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
}

impl Bottom {
    /// The links of member `me` of a view.
    pub(crate) fn new(
        _config: &Config,
        view: &View,
        roster: &Roster,
        cx_identity: &crate::crypto::Identity,
        me: Rank,
    ) -> Self {
        let peers = view.peers();
        let incarnation = |rank: Rank| view.member(rank).map_or(0, |member| member.incarnation);
        let links = PerRank::from_fn(peers.len(), |rank| {
            let key = roster.key(rank).filter(|_| rank != me)?;
            let mine = incarnation(me);
            let keys = LinkKeys::derive(cx_identity, mine, key, incarnation(rank), roster.group());
            Some(Link {
                peer: peers[rank],
                keys,
                counter: 0,
                replay: ReplayWindow::default(),
                is_closed: false,
                accepted: 0,
            })
        });
        let mut ranks: Vec<(PeerId, Rank)> =
            peers.iter().map(|(rank, peer)| (*peer, rank)).collect();
        ranks.sort_unstable();
        Self {
            me,
            id: peers[me],
            group: roster.group().prefix(),
            view: *roster.view(),
            n: peers.len(),
            empty_hash: crate::crypto::sha256(&[]),
            links,
            ranks,
            nothing: Arc::from([]),
        }
    }

    /// The rank of a peer, if it is another member.
    pub(crate) fn rank_of(&self, peer: PeerId) -> Option<Rank> {
        let index = self.ranks.binary_search_by_key(&peer, |(peer, _)| *peer).ok()?;
        self.ranks.get(index).map(|(_, rank)| *rank).filter(|rank| *rank != self.me)
    }

    /// Frames of a peer that were authentic and fresh.
    pub(crate) fn accepted_from(&self, peer: PeerId) -> u64 {
        let link = self.rank_of(peer).and_then(|rank| self.links[rank].as_ref());
        link.map_or(0, |link| link.accepted)
    }

    /// Drops everything from this peer unread for the rest of the view.
    pub(crate) fn close(&mut self, peer: Rank) {
        if let Some(link) = &mut self.links[peer] {
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
            FrameKind::Fragment | FrameKind::FragmentAck => Taken::Unauthenticated,
        }
    }

    fn on_whole<'a>(&mut self, cx: &mut Context<'_>, from: Rank, parsed: &Parsed<'a>) -> Taken<'a> {
        let Some((packet, casts)) = frame::split_whole(parsed.content()) else {
            return Taken::Unauthenticated;
        };
        let Some(link) = &mut self.links[from] else { return Taken::Unauthenticated };
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
        link.accepted = link.accepted.saturating_add(1);
        let bytes = Casts::Borrowed(casts);
        self.open(from, packet, bytes, casts_hash)
    }

    /// Decodes what a peer is known to have sent.
    fn open<'a>(&self, from: Rank, packet: &[u8], casts: Casts<'a>, hash: Hash32) -> Taken<'a> {
        let packet = match decode(packet, self.n, !casts.bytes().is_empty()) {
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
        let Some(link) = &mut self.links[to] else { return };
        link.counter = link.counter.saturating_add(1);
        let header = Header {
            kind: FrameKind::Whole,
            group: self.group,
            from: self.id,
            counter: link.counter,
        };
        cx.door.count_macs(1);
        let head = frame.seal(&link.keys.outbound, &header);
        let body = casts.map_or(&self.nothing, |casts| &casts.bytes);
        out.push(Transmit { to: link.peer, head, body: Arc::clone(body) });
    }
}

/// The most parts that share a frame without a body; well under the decoder's limit.
const PARTS_PER_FRAME: usize = 128;

/// Puts parts without casts into the frame of the first body, or into as few of their own as may
/// be; each further body keeps its own.
fn gather(posts: Vec<Post>) -> Vec<Post> {
    let is_something = !posts.is_empty();
    let (bodies, small): (Vec<Post>, Vec<Post>) =
        posts.into_iter().partition(|post| matches!(post.parts.last(), Some(Part::Body(_))));
    let to = bodies.first().or(small.first()).map_or(To::All, |post| post.to);
    let mut frames = Vec::with_capacity(bodies.len().saturating_add(1));
    let mut parts: Vec<Part> = Vec::new();
    for part in small.into_iter().flat_map(|post| post.parts) {
        if parts.len() >= PARTS_PER_FRAME {
            frames.push(Post { to, parts: core::mem::take(&mut parts), casts: None });
        }
        parts.push(part);
    }
    for mut body in bodies {
        if !parts.is_empty() {
            body.parts.splice(0..0, core::mem::take(&mut parts));
        }
        frames.push(body);
    }
    // A post without parts is sent for the haves in its frame.
    if !parts.is_empty() || (is_something && frames.is_empty()) {
        frames.push(Post { to, parts, casts: None });
    }
    frames
}
