//! Posts become frames, and frames too long for the network become fragments.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::gather::gather;
use super::links::Known;
use super::split::Class;
use super::{Bottom, Era};
use crate::crypto::Hash32;
use crate::layer::{Cargo, Context, Post, To};
use crate::member::PeerId;
use crate::output::Transmit;
use crate::seq::Number;
use crate::wire::frame::{self, FrameKind, Prepared};
use crate::wire::stranger::{self, Stranger};
use crate::wire::{List, Packet, Part, encode};

/// What goes to one peer or to several, in a frame of its own.
struct Letter {
    frame: Prepared,
    casts: Option<Cargo>,
    class: Class,
}

impl Bottom {
    /// Puts posts on the links to the members of a known view, as few frames as may be: everything
    /// for all in one frame, each further body in one of its own, and what is for one peer only in
    /// another.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        era: Era,
        haves: &[Number],
        posts: Vec<Post>,
        out: &mut Vec<Transmit>,
    ) {
        let Some(known) = self.known(era) else { return };
        let view = known.id;
        let ranks: smallvec::SmallVec<[crate::Rank; 16]> = known.ranks().collect();
        let (all, single): (Vec<Post>, Vec<Post>) =
            posts.into_iter().partition(|post| post.to == To::All);
        for post in gather(all, self.frame_max) {
            let letter = self.prepare(cx, view, haves, post);
            for rank in &ranks {
                self.transmit(cx, (era, *rank), &letter, out);
            }
        }
        for rank in &ranks {
            let mine: Vec<Post> =
                single.iter().filter(|post| post.to == To::One(*rank)).cloned().collect();
            for post in gather(mine, self.frame_max) {
                let letter = self.prepare(cx, view, haves, post);
                self.transmit(cx, (era, *rank), &letter, out);
            }
        }
    }

    /// Tells one peer something in a packet of any view.
    pub(crate) fn tell(
        &mut self,
        cx: &mut Context<'_>,
        peer: PeerId,
        view: Hash32,
        parts: Vec<Part>,
        out: &mut Vec<Transmit>,
    ) {
        let letter = self.prepare(cx, view, &[], Post { to: To::All, parts, casts: None });
        if let Some(place) = self.links.place_of(peer) {
            self.put(cx, place, &letter, out);
        }
    }

    /// Says something to a process that has no link, or is believed to have none.
    pub(crate) fn call(&self, to: PeerId, message: &Stranger) -> Transmit {
        let content = stranger::encode(message);
        let head = frame::stranger(self.name.group, self.name.id, &content);
        Transmit { to, head, body: Arc::clone(&self.nothing) }
    }

    /// How this process names itself.
    pub(crate) const fn name(&self) -> PeerId {
        self.name.id
    }

    /// The id of the present view.
    pub(crate) const fn view(&self) -> Hash32 {
        self.present.id
    }

    fn known(&self, era: Era) -> Option<&Known> {
        match era {
            Era::Present => Some(&self.present),
            Era::Old(view) => self.old.iter().find(|old| old.id == view),
        }
    }

    fn prepare(&self, cx: &mut Context<'_>, view: Hash32, haves: &[Number], post: Post) -> Letter {
        let Post { parts, casts, .. } = post;
        // Of these any amount may be on its way.
        let is_bulk = |part: &Part| matches!(part, Part::Transfer(_) | Part::Pt2pt(_));
        let is_urgent = casts.is_none() && !parts.iter().any(is_bulk);
        let haves = List::from(haves.to_vec());
        let packet = encode(&Packet { view, haves, parts: List::from(parts) });
        let packet_hash = cx.door.small_hash(&packet);
        let casts_hash = casts.as_ref().map_or(self.empty_hash, |casts| casts.hash);
        Letter {
            frame: Prepared::new(packet, packet_hash, casts_hash),
            casts,
            class: if is_urgent { Class::Urgent } else { Class::Bulk },
        }
    }

    fn transmit(
        &mut self,
        cx: &mut Context<'_>,
        (era, to): (Era, crate::Rank),
        letter: &Letter,
        out: &mut Vec<Transmit>,
    ) {
        if let Some(place) = self.known(era).and_then(|known| known.place_of(to)) {
            self.put(cx, place, letter, out);
        }
    }

    fn put(
        &mut self,
        cx: &mut Context<'_>,
        place: usize,
        letter: &Letter,
        out: &mut Vec<Transmit>,
    ) {
        let Some(link) = self.links.at(place) else { return };
        let Letter { frame, casts, class } = letter;
        let len = casts.as_ref().map_or(0, |casts| casts.bytes.len());
        if frame.len().saturating_add(len) > link.splitter.whole_max(cx.now) {
            let body = Arc::clone(casts.as_ref().map_or(&self.nothing, |casts| &casts.bytes));
            // A frame for which there is no room is lost, like any other may be.
            let _: bool = link.splitter.push(cx.now, *class, frame.content(), body);
            return;
        }
        cx.door.count_macs(1);
        out.push(link.seal(self.name, frame, casts.as_ref(), &self.nothing));
    }

    /// Fragments to send now, and acknowledgements owed; and links that lingered long enough are
    /// given up.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_>, out: &mut Vec<Transmit>) {
        if self.links.expire(cx.now) {
            self.find();
        }
        let mut pieces = Vec::new();
        for link in self.links.iter_mut() {
            let acks = link.assembler.take_acks();
            link.splitter.poll(cx.now, &mut pieces);
            cx.door.count_macs(pieces.len().saturating_add(acks.len()) as u64);
            for ack in acks {
                let header = link.header(FrameKind::FragmentAck, self.name);
                let head = frame::seal_small(&link.keys.outbound, &header, &[&ack.to_bytes()]);
                out.push(Transmit { to: link.peer, head, body: Arc::clone(&self.nothing) });
            }
            for piece in pieces.drain(..) {
                let header = link.header(FrameKind::Fragment, self.name);
                let content = [&piece.fields[..], &piece.bytes];
                let head = frame::seal_small(&link.keys.outbound, &header, &content);
                out.push(Transmit { to: link.peer, head, body: Arc::clone(&self.nothing) });
            }
        }
    }
}
