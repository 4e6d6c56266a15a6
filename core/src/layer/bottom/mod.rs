//! Layer Bottom: frames on links (protocol.md section 3). It belongs to the process and outlives
//! views: links are between two processes, each in one life.
//!
//! Promises upwards: a packet comes from the peer it names, at most once, whole and well-formed.
//! Checks in this order: length, version, group, known peer, MAC, replay; then the view: the packet
//! of one that is known is decoded for it, any other is handed up as it came. What fails before the
//! MAC is counted and dropped and blames nobody; malformed content under a good MAC is that peer's
//! fault, and its link is dropped unread for the rest of the present view.
//!
//! What a faulty member can try: reflect frames (one key per direction), replay (a window over the
//! counter, which outlives views), flood with partial frames (bounded per peer), cost a hash per
//! byte it sends (that is what a byte costs anyway).

mod assemble;
mod fragment;
mod gather;
mod link;
mod links;
mod outgoing;
mod pace;
mod path;
mod replay;
mod send;
mod split;

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Context;
use super::reliable::Payload;
use crate::config::Config;
use crate::crypto::{Door, Hash32, Roster, peer_id};
use crate::member::{PeerId, Rank};
use crate::time::{Time, earliest};
use crate::view::View;
use crate::wire::casts::{self, Count};
use crate::wire::frame::{self, FrameKind, Parsed};
use crate::wire::{Malformed, Packet, Part, decode};
use fragment::Ack;
use link::{LinkLimits, Name};
pub(crate) use link::{fits_network, frame_max};
use links::{Known, Links};

/// What a frame turned out to be.
#[derive(Debug)]
pub(crate) enum Taken<'a> {
    /// A packet of a known view, from a member of it.
    Packet(Inbound<'a>),
    /// A packet of a view that is not known, not decoded.
    Stray(Stray<'a>),
    /// What somebody says who has no link, not decoded; whoever it is.
    Stranger(PeerId, &'a [u8]),
    /// A new piece of a packet that is not complete, from this peer.
    Piece(PeerId),
    /// Nothing to hand up: a fragment that was here, an acknowledgement.
    Nothing,
    /// Not authentic: nobody is blamed.
    Unauthenticated,
    /// Seen before, or too old to tell.
    Replayed,
    /// Of a peer whose link is closed.
    Closed,
    /// Of a known view of which the peer is no member.
    Outsider,
    /// Malformed under a good MAC: this peer's fault.
    Malformed(PeerId, Malformed),
}

/// Which of the known views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// The present one.
    Present,
    /// An earlier one, for which this process still answers, by its id.
    Old(Hash32),
}

/// A packet with where it came from.
#[derive(Debug)]
pub(crate) struct Inbound<'a> {
    /// The peer.
    pub(crate) peer: PeerId,
    /// The view.
    pub(crate) era: Era,
    /// The peer's rank in it.
    pub(crate) from: Rank,
    /// What it says.
    pub(crate) packet: Packet,
    /// The content of the frame, and where the casts of its body begin.
    content: Cow<'a, [u8]>,
    casts_at: usize,
    /// `H(casts)`.
    hash: Hash32,
    /// How many of each order.
    count: Count,
}

impl Inbound<'_> {
    /// The casts of its body, checked and hashed.
    pub(crate) fn payload(&self) -> Payload<'_> {
        let bytes = self.content.get(self.casts_at..).unwrap_or_default();
        Payload { bytes, hash: self.hash, count: self.count }
    }
}

/// A packet of a view that is not known.
#[derive(Debug)]
pub(crate) struct Stray<'a> {
    /// Who sent it.
    pub(crate) peer: PeerId,
    /// The id of its view.
    pub(crate) view: Hash32,
    /// The content of the frame.
    pub(crate) content: Cow<'a, [u8]>,
}

impl Stray<'_> {
    /// Whether it says nothing but which view its sender is in.
    pub(crate) fn is_empty(&self) -> bool {
        let is_packet = |(packet, casts): (&[u8], &[u8])| {
            packet.len() <= Hash32::LEN.saturating_add(3) && casts.is_empty()
        };
        frame::split_whole(&self.content).is_some_and(is_packet)
    }
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Bottom {
    name: Name,
    incarnation: u64,
    limits: LinkLimits,
    linger_us: u64,
    frame_max: usize,
    links: Links,
    present: Known,
    /// Views before it whose packets are still taken apart, oldest first.
    old: Vec<Known>,
    empty_hash: Hash32,
    nothing: Arc<[u8]>,
}

impl Bottom {
    /// The links of member `me` of its first view.
    pub(crate) fn new(
        config: &Config,
        view: &View,
        roster: &Roster,
        me: Rank,
        door: &Door,
    ) -> Self {
        let limits = LinkLimits::new(config, view.members.len());
        let incarnation = view.member(me).map_or(0, |member| member.incarnation);
        let mut links = Links::default();
        links.install(view, roster, (door.identity(), incarnation), &limits, Time::ZERO);
        Self {
            name: Name { group: roster.group().prefix(), id: *view.peers().at(me) },
            incarnation,
            limits,
            linger_us: config.timeouts.linger_us,
            frame_max: config.frame_max,
            present: Known::new(view, roster, &links),
            old: Vec::new(),
            links,
            empty_hash: crate::crypto::sha256(&[]),
            nothing: Arc::from([]),
        }
    }

    /// No links yet: for a process that joins, and knows this view.
    pub(crate) fn idle(config: &Config, roster: &Roster, incarnation: u64, door: &Door) -> Self {
        let links = Links::default();
        let id = peer_id(door.identity().public_key());
        Self {
            name: Name { group: roster.group().prefix(), id },
            incarnation,
            limits: LinkLimits::new(config, 1),
            linger_us: config.timeouts.linger_us,
            frame_max: config.frame_max,
            present: Known::none(roster),
            old: Vec::new(),
            links,
            empty_hash: crate::crypto::sha256(&[]),
            nothing: Arc::from([]),
        }
    }

    /// The next view is the present one; those before stay known until they are forgotten. Links
    /// that were closed are read again.
    pub(crate) fn install(&mut self, view: &View, roster: &Roster, door: &Door, now: Time) {
        let until = now.plus(self.linger_us);
        let me = (door.identity(), self.incarnation);
        self.limits.fit(view.members.len());
        self.links.install(view, roster, me, &self.limits, until);
        let next = Known::new(view, roster, &self.links);
        self.old.push(core::mem::replace(&mut self.present, next));
        self.old.iter_mut().for_each(|old| old.find(&self.links));
    }

    /// Packets of earlier views are not taken apart any more, but for these.
    pub(crate) fn keep_old(&mut self, is_kept: impl Fn(&Hash32) -> bool) {
        self.old.retain(|old| is_kept(&old.id));
    }

    /// Gives up all links.
    pub(crate) fn give_up(&mut self) {
        self.links.clear();
        self.find();
    }

    fn find(&mut self) {
        self.present.find(&self.links);
        self.old.iter_mut().for_each(|old| old.find(&self.links));
    }

    /// Bytes held in fragments, of both directions.
    pub(crate) fn held_bytes(&self) -> usize {
        self.links.iter().fold(0, |sum: usize, link| sum.saturating_add(link.held_bytes()))
    }

    /// The most bytes that it may hold, for each of its links one largest frame coming in, in the
    /// shortest pieces, and the own window with 1 MiB of slack going out, unless frames are whole.
    /// Links are the other members of the present view, those of the one before, and sixteen.
    pub(crate) fn bound_bytes(&self) -> usize {
        self.limits.bound_bytes().saturating_mul(self.links.iter().len())
    }

    /// When [`Bottom::pump`] is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.links.iter().fold(self.links.deadline(), |first, link| {
            let ack = link.assembler.owes_acks().then_some(Time::ZERO);
            earliest(first, earliest(ack, link.splitter.deadline()))
        })
    }

    /// Frames that were too many or too long to be cut into fragments, or were given up.
    pub(crate) fn lost(&self) -> u64 {
        self.links.lost()
    }

    /// Drops everything from this peer unread for the rest of the present view.
    pub(crate) fn close(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.is_closed = true;
        }
    }

    /// Whether there is a link to this peer.
    pub(crate) fn has_link(&self, peer: PeerId) -> bool {
        self.links.get(peer).is_some()
    }

    /// Whether this peer has sent a packet of the present view.
    pub(crate) fn has_spoken(&self, peer: PeerId) -> bool {
        self.links.get(peer).is_some_and(|link| link.has_spoken)
    }

    /// The rank of a peer in the present view.
    pub(crate) fn rank_of(&self, peer: PeerId) -> Option<Rank> {
        self.present.rank_at(self.links.place_of(peer)?)
    }

    /// Takes a frame apart.
    pub(crate) fn on_frame<'a>(&mut self, cx: &mut Context<'_>, bytes: &'a [u8]) -> Taken<'a> {
        if bytes.len() > Config::FRAME_MAX {
            return Taken::Unauthenticated;
        }
        let Some(parsed) = frame::parse(bytes) else { return Taken::Unauthenticated };
        if parsed.header.group != self.name.group {
            return Taken::Unauthenticated;
        }
        if parsed.header.kind == FrameKind::Stranger {
            return Taken::Stranger(parsed.header.from, parsed.content());
        }
        let Some(place) = self.links.place_of(parsed.header.from) else {
            return Taken::Unauthenticated;
        };
        match parsed.header.kind {
            FrameKind::Whole => self.on_whole(cx, place, &parsed),
            FrameKind::Fragment | FrameKind::FragmentAck | FrameKind::Stranger => {
                self.on_small(cx, place, &parsed)
            }
        }
    }

    /// A stray packet once more, after a view was installed: it may be of that one.
    pub(crate) fn on_kept(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        content: Vec<u8>,
    ) -> Taken<'static> {
        let Some(place) = self.links.place_of(peer) else { return Taken::Unauthenticated };
        if self.links.at(place).is_some_and(|link| link.is_closed) {
            return Taken::Closed;
        }
        self.open(cx, place, Cow::Owned(content), None)
    }

    /// A fragment, or an acknowledgement of fragments.
    fn on_small<'a>(
        &mut self,
        cx: &mut Context<'_>,
        place: usize,
        parsed: &Parsed<'a>,
    ) -> Taken<'a> {
        let Some(link) = self.links.at(place) else { return Taken::Unauthenticated };
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
        link.splitter.on_heard(cx.now);
        if parsed.header.kind == FrameKind::FragmentAck {
            let Some(ack) = Ack::parse(parsed.content()) else {
                return Taken::Malformed(link.peer, Malformed::Fragment);
            };
            link.splitter.on_ack(cx.now, &ack);
            return Taken::Nothing;
        }
        match link.assembler.on_fragment(cx.now, parsed.content()) {
            Err(_) => Taken::Malformed(link.peer, Malformed::Fragment),
            Ok(None) if link.assembler.has_grown() => Taken::Piece(link.peer),
            Ok(None) => Taken::Nothing,
            Ok(Some(content)) => self.open(cx, place, Cow::Owned(content), None),
        }
    }

    fn on_whole<'a>(
        &mut self,
        cx: &mut Context<'_>,
        place: usize,
        parsed: &Parsed<'a>,
    ) -> Taken<'a> {
        let Some((packet, casts)) = frame::split_whole(parsed.content()) else {
            return Taken::Unauthenticated;
        };
        let Some(link) = self.links.at(place) else { return Taken::Unauthenticated };
        if link.is_closed {
            return Taken::Closed;
        }
        let packet_hash = cx.door.small_hash(packet);
        let hash = if casts.is_empty() { self.empty_hash } else { cx.door.casts_hash(casts) };
        cx.door.count_macs(1);
        if !parsed.verifies_whole(&link.keys.inbound, &packet_hash, &hash) {
            return Taken::Unauthenticated;
        }
        if !link.replay.admits(parsed.header.counter) {
            return Taken::Replayed;
        }
        link.splitter.on_heard(cx.now);
        self.open(cx, place, Cow::Borrowed(parsed.content()), Some(hash))
    }

    /// Judges what a peer is known to have sent. `hash` is that of the casts, if it is known.
    fn open<'a>(
        &mut self,
        cx: &mut Context<'_>,
        place: usize,
        content: Cow<'a, [u8]>,
        hash: Option<Hash32>,
    ) -> Taken<'a> {
        let Some(link) = self.links.at(place) else { return Taken::Unauthenticated };
        let peer = link.peer;
        let Some((packet, casts)) = frame::split_whole(&content) else {
            return Taken::Malformed(peer, Malformed::Fragment);
        };
        let (era, known) = match view_of(packet) {
            Some(view) if view != self.present.id => {
                let Some(old) = self.old.iter().find(|old| old.id == view) else {
                    return Taken::Stray(Stray { peer, view, content });
                };
                (Era::Old(view), old)
            }
            // What does not begin with a view is no packet, which the decoder finds.
            Some(_) | None => (Era::Present, &self.present),
        };
        let packet = match decode(packet, known.n(), !casts.is_empty()) {
            Ok(packet) => packet,
            Err(malformed) => return Taken::Malformed(peer, malformed),
        };
        let Some(from) = known.rank_at(place) else { return Taken::Outsider };
        link.has_spoken |= era == Era::Present;
        let hash = match hash {
            Some(hash) => hash,
            None if casts.is_empty() => self.empty_hash,
            None => cx.door.casts_hash(casts),
        };
        let count = match packet.parts.last() {
            Some(Part::Body(body)) => casts::check(casts, body.slot).and_then(|count| {
                let is_legal = self.limits.takes(casts.len(), &count);
                if is_legal { Ok(count) } else { Err(Malformed::Casts) }
            }),
            Some(_) | None => Ok(Count::default()),
        };
        let casts_at = content.len().saturating_sub(casts.len());
        match count {
            Ok(count) => {
                Taken::Packet(Inbound { peer, era, from, packet, content, casts_at, hash, count })
            }
            Err(malformed) => Taken::Malformed(peer, malformed),
        }
    }
}

/// The view that an encoded packet begins with.
fn view_of(packet: &[u8]) -> Option<Hash32> {
    let (len, rest) = packet.split_first()?;
    let view = rest.first_chunk().filter(|_| usize::from(*len) == Hash32::LEN)?;
    Some(Hash32(*view))
}

#[cfg(test)]
pub(crate) use tests::carries;

#[cfg(test)]
mod tests;
