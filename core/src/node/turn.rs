//! One turn of a [`Node`]: which stack an input is for, and what becomes of what has none.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Node, Phase};
use crate::crypto::Hash32;
use crate::fault::LinkFault;
use crate::input::{Request, Ticket};
use crate::layer::Context;
use crate::layer::bottom::{Bottom, Era, Inbound, Stray, Taken};
use crate::layer::heal;
use crate::member::PeerId;
use crate::output::{Event, Output, Refusal, Transmit};
use crate::stack::{Decided, Stack, Step};
use crate::view::Membership;
use crate::wire::frame::{is_stranger, peek_sender, split_whole};
use crate::wire::stranger::Stranger;
use crate::wire::{Part, decode};

/// What an answer to a fetch costs that hands over nothing.
const DENIAL_COST: u64 = 256;

impl Node {
    /// One step of the present stack: sends what it has to say, then does what it decided.
    pub(super) fn run(&mut self, act: impl FnOnce(&mut Stack, &mut Bottom, &mut Step<'_>)) {
        let roster = Arc::clone(self.stack.roster());
        let cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        let mut step = Step::new(cx, &mut self.outputs, &mut self.counters, &mut self.gate);
        act(&mut self.stack, &mut self.bottom, &mut step);
        self.stack.conclude(&mut step);
        let mut frames = Vec::new();
        if let Some((posts, haves)) = self.stack.take_posts(&mut step) {
            self.bottom.send(&mut step.cx, Era::Present, &haves, posts, &mut frames);
        }
        let (decided, refused) = (step.take_decided(), step.take_refused());
        let installed = step.take_installed();
        self.transmit(frames);
        if !installed.is_empty() {
            self.note_installed(&installed);
        }
        self.refuse(refused);
        match decided {
            None => {}
            Some(Decided::Install(decision)) => self.install(*decision),
            Some(Decided::Follow(decision)) => {
                if self.gate.lose(self.now) {
                    self.outputs.push_back(Output::Event(Event::StateLost));
                }
                self.install(*decision);
            }
            Some(Decided::Exclude(why, decision)) => self.exclude(why, decision),
        }
    }

    /// What is said on links, not by the stack.
    pub(super) fn say(
        &mut self,
        act: impl FnOnce(&mut Bottom, &mut Context<'_>, &mut Vec<Transmit>),
    ) {
        let roster = Arc::clone(self.stack.roster());
        let mut cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        let mut frames = Vec::new();
        act(&mut self.bottom, &mut cx, &mut frames);
        self.transmit(frames);
    }

    pub(super) fn transmit(&mut self, frames: Vec<Transmit>) {
        let counters = &mut self.counters;
        for frame in frames {
            counters.frames_out = counters.frames_out.saturating_add(1);
            counters.bytes_out = counters.bytes_out.saturating_add(frame.len() as u64);
            self.outputs.push_back(Output::Transmit(frame));
        }
    }

    pub(super) fn on_frame(&mut self, bytes: &[u8]) {
        self.counters.frames_in = self.counters.frames_in.saturating_add(1);
        self.counters.bytes_in = self.counters.bytes_in.saturating_add(bytes.len() as u64);
        let roster = Arc::clone(self.stack.roster());
        let mut cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        let taken = self.bottom.on_frame(&mut cx, bytes);
        self.on_taken(taken);
        if matches!(self.phase, Phase::Joining(_))
            && !is_stranger(bytes)
            && let Some(from) = peek_sender(bytes)
        {
            self.run_heal(heal::In::Heard(from));
        }
    }

    /// Packets that came before their view, which is the present one now.
    pub(super) fn on_kept(&mut self) {
        for kept in self.peers.take_kept() {
            if kept.view != self.bottom.view() {
                self.count_other_view();
                continue;
            }
            let roster = Arc::clone(self.stack.roster());
            let mut cx = Context { now: self.now, door: &mut self.door, roster: &roster };
            let taken = self.bottom.on_kept(&mut cx, kept.peer, kept.content);
            self.on_taken(taken);
        }
    }

    fn on_taken(&mut self, taken: Taken<'_>) {
        let counter = match taken {
            Taken::Packet(inbound) => match (&self.phase, inbound.era) {
                (Phase::Member, Era::Present) => return self.on_packet(inbound),
                (Phase::Member, Era::Old(_)) | (Phase::Excluded | Phase::Joining(_), _) => {
                    return self.on_old(inbound);
                }
            },
            Taken::Stranger(from, content) => return self.on_stranger(from, content),
            Taken::Stray(stray) => return self.on_stray(stray),
            Taken::Malformed(peer, why) => return self.close(peer, why.into()),
            Taken::Piece(peer) => return self.on_piece(peer),
            Taken::Nothing => return,
            Taken::Unauthenticated => &mut self.counters.dropped_unauthenticated,
            Taken::Replayed => &mut self.counters.dropped_replayed,
            Taken::Closed => &mut self.counters.dropped_closed,
            Taken::Outsider => &mut self.counters.dropped_other_view,
        };
        *counter = counter.saturating_add(1);
    }

    fn count_other_view(&mut self) {
        let counter = &mut self.counters.dropped_other_view;
        *counter = counter.saturating_add(1);
    }

    fn on_packet(&mut self, inbound: Inbound<'_>) {
        let (peer, from) = (inbound.peer, inbound.from);
        self.run(|stack, bottom, step| {
            if let Err(why) = stack.on_packet(step, inbound) {
                step.counters.malformed = step.counters.malformed.saturating_add(1);
                bottom.close(peer);
                stack.on_closed(step, from, why);
            }
        });
    }

    /// Something is on its way from a peer.
    fn on_piece(&mut self, peer: PeerId) {
        if let (Phase::Member, Some(rank)) = (&self.phase, self.bottom.rank_of(peer)) {
            self.stack.on_piece(self.now, rank);
        }
    }

    /// Bad bytes on an authenticated link: an opinion, and nothing more is read from it.
    fn close(&mut self, peer: PeerId, why: LinkFault) {
        self.counters.malformed = self.counters.malformed.saturating_add(1);
        self.bottom.close(peer);
        if let (Phase::Member, Some(rank)) = (&self.phase, self.bottom.rank_of(peer)) {
            self.run(|stack, _, step| stack.on_closed(step, rank, why));
        }
    }

    /// A packet of a view before, or of the last one for who is no member any more: bodies are
    /// handed out, and who still speaks in it is told how it ended.
    fn on_old(&mut self, inbound: Inbound<'_>) {
        let Inbound { peer, era, from, packet, .. } = inbound;
        let view = match era {
            Era::Present => self.bottom.view(),
            Era::Old(view) => view,
        };
        let Some(old) = self.old.view(&view) else { return self.count_other_view() };
        let roster = Arc::clone(&old.roster);
        let mut cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        let mut posts = Vec::new();
        let (mut says_more, mut told) = (packet.parts.is_empty(), None);
        for part in packet.parts {
            let Part::Fetch { sender, from: first, to } = part else {
                says_more = true;
                if let Part::Decision(decision) = part {
                    told = Some(decision);
                }
                continue;
            };
            if self.peers.may_serve(self.now, peer) {
                let before = old.charged();
                posts.extend(old.on_fetch(&mut cx, (from, sender), (first, to)));
                self.peers.note_served(peer, old.charged().saturating_sub(before));
            }
        }
        self.say(|bottom, cx, frames| bottom.send(cx, era, &[], posts, frames));
        if let Some(decision) = told.filter(|_| self.peers.may_compare(self.now, peer)) {
            self.compare(peer, [&*decision]);
        }
        if says_more {
            self.tell(peer, view);
        }
    }

    /// Tells a peer that bodies of a view are not to be had here any more.
    fn deny(&mut self, peer: PeerId, view: Hash32, lacks: Vec<Part>) {
        if !lacks.is_empty() && self.peers.may_serve(self.now, peer) {
            self.peers.note_served(peer, DENIAL_COST);
            self.say(|bottom, cx, frames| bottom.tell(cx, peer, view, lacks, frames));
        }
    }

    /// Tells a peer that is behind what was decided in `view`, and in the view after it if that is
    /// over, too.
    fn tell(&mut self, peer: PeerId, view: Hash32) {
        let is_behind = matches!(self.phase, Phase::Excluded) || !self.bottom.has_spoken(peer);
        let Some(decision) = self.chain.after(&view).filter(|_| is_behind) else { return };
        if self.peers.may_tell(self.now, peer) {
            let later = self.chain.after(&decision.view.id()).cloned();
            let parts = alloc::vec![Part::Decision(Box::new(decision.clone()))];
            self.say(|bottom, cx, frames| bottom.tell(cx, peer, view, parts, frames));
            if let Some(later) = later {
                // A packet of the old view has no words for it.
                self.call(peer, &Stranger::Chain { decisions: core::iter::once(later).collect() });
            }
        }
    }

    /// A packet of a view that is long over, or that this process does not know (yet): then it is
    /// kept, and its sender shown which view this process is in, to be told what came of that one.
    fn on_stray(&mut self, stray: Stray<'_>) {
        let (peer, view) = (stray.peer, stray.view);
        if let Some(next) = self.chain.after(&view) {
            let lacks = lacking(&stray, next.view.cut.len());
            self.count_other_view();
            self.deny(peer, view, lacks);
            return self.tell(peer, view);
        }
        let is_fixed = self.config.genesis.membership == Membership::Fixed;
        // Somebody who merely shows its view knows no more than this process does, or something else.
        if stray.is_empty() && !is_fixed {
            self.show_view(peer);
        }
        if is_fixed || matches!(self.phase, Phase::Excluded) || stray.is_empty() {
            return self.count_other_view();
        }
        if !self.peers.keep(stray) {
            self.count_other_view();
        }
        if self.peers.may_ask(self.now, peer) {
            let view = self.bottom.view();
            self.say(|bottom, cx, frames| bottom.tell(cx, peer, view, Vec::new(), frames));
        }
    }

    /// Shows a peer in a view that is not known by which decision this process came to its own.
    fn show_view(&mut self, peer: PeerId) {
        let view = self.bottom.view();
        let Some(last) = self.chain.to(&view).cloned() else { return };
        if self.peers.may_show(self.now, peer, view) {
            self.call(peer, &Stranger::Chain { decisions: core::iter::once(last).collect() });
        }
    }

    pub(super) fn on_request(&mut self, ticket: Ticket, request: Request<'_>) {
        match &self.phase {
            Phase::Member => self.run(|stack, _, step| stack.on_request(step, ticket, request)),
            Phase::Excluded | Phase::Joining(_) => {
                let event = Event::Refused(ticket, Refusal::NotMember);
                self.outputs.push_back(Output::Event(event));
            }
        }
    }

    pub(super) fn on_tick(&mut self) {
        match self.phase {
            Phase::Joining(_) => self.run_heal(heal::In::Tick),
            Phase::Member => self.run(|stack, bottom, step| {
                for (member, why) in stack.take_rows(step) {
                    step.counters.malformed = step.counters.malformed.saturating_add(1);
                    bottom.close(*stack.view().peers().at(member));
                    stack.on_closed(step, member, why);
                }
                stack.on_tick(step);
            }),
            Phase::Excluded => {}
        }
        self.say(Bottom::pump);
        self.expire();
    }
}

/// What a packet of a view of `n` members, of which nothing is kept, asks for in vain.
fn lacking(stray: &Stray<'_>, n: usize) -> Vec<Part> {
    let split = split_whole(&stray.content);
    let packet = split.and_then(|(packet, casts)| decode(packet, n, !casts.is_empty()).ok());
    let parts = packet.into_iter().flat_map(|packet| packet.parts);
    let lacks = |part| {
        let Part::Fetch { sender, from, to } = part else { return None };
        (from <= to).then_some(Part::Lacks { sender, number: from })
    };
    parts.filter_map(lacks).collect()
}
