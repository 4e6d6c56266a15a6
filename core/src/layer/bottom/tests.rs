//! Links across views, between two processes.

use alloc::vec::Vec;

use super::{Bottom, Era, Taken};
use crate::config::Config;
use crate::crypto::Door;
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::rig::{genesis_of, quick_identity};
use crate::time::Time;
use crate::view::View;
use crate::wire::Part;

struct End {
    bottom: Bottom,
    door: Door,
    view: View,
    now: Time,
}

impl End {
    fn new(index: u8, n: u8) -> Self {
        let config = Config::new(genesis_of((0..n).map(quick_identity)));
        let view = config.genesis.view();
        let door = Door::new(quick_identity(index));
        let roster = view.roster(quick_identity(0).suite()).unwrap();
        let bottom = Bottom::new(&config, &view, &roster, Rank::new(index.into()), &door);
        Self { bottom, door, view, now: Time::ZERO }
    }

    fn install(&mut self, change: impl Fn(&mut View)) {
        self.view.prev = self.view.id();
        self.view.number += 1;
        change(&mut self.view);
        let roster = self.view.roster(quick_identity(0).suite()).unwrap();
        self.bottom.install(&self.view, &roster, &self.door, self.now);
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Bottom, &mut Context<'_>) -> T) -> T {
        let roster = self.view.roster(quick_identity(0).suite()).unwrap();
        let mut cx = Context { now: self.now, door: &mut self.door, roster: &roster };
        act(&mut self.bottom, &mut cx)
    }

    /// A frame in the present view for the member of this rank.
    fn frame(&mut self, to: u16) -> Option<Vec<u8>> {
        let post = Post::part(To::One(Rank::new(to)), Part::AskInstalled(Rank::new(0)));
        let mut frames = Vec::new();
        self.act(|bottom, cx| bottom.send(cx, Era::Present, &[], alloc::vec![post], &mut frames));
        let mut bytes = Vec::new();
        frames.first()?.append_to(&mut bytes);
        Some(bytes)
    }

    fn is_read(&mut self, frame: &[u8]) -> bool {
        self.act(|bottom, cx| matches!(bottom.on_frame(cx, frame), Taken::Packet(_)))
    }

    fn is_replay(&mut self, frame: &[u8]) -> bool {
        self.act(|bottom, cx| matches!(bottom.on_frame(cx, frame), Taken::Replayed))
    }

    fn linger(&mut self) {
        self.now = self.now.plus(60_000_000);
        self.act(|bottom, cx| bottom.pump(cx, &mut Vec::new()));
    }
}

fn without(index: usize) -> impl Fn(&mut View) {
    move |view| {
        view.members.remove(index);
    }
}

#[test]
fn a_life_that_comes_back_goes_on_with_its_numbers() {
    let (mut a, mut b) = (End::new(0, 3), End::new(2, 3));
    let member = a.view.members[2].clone();
    let old: Vec<_> = (0..5).map(|_| a.frame(2).unwrap()).collect();
    assert!(old.iter().all(|frame| b.is_read(frame)));
    let back: Vec<_> = (0..5).map(|_| b.frame(0).unwrap()).collect();
    assert!(back.iter().all(|frame| a.is_read(frame)));
    a.install(without(2));
    assert!(a.bottom.links.iter().len() == 2 && a.frame(2).is_none());
    a.linger();
    assert_eq!((a.bottom.links.iter().len(), a.bottom.deadline()), (1, None));
    assert!(!a.is_read(&b.frame(0).unwrap()), "there is no link");
    let (prev, number) = (a.view.id(), a.view.number + 1);
    a.install(|view| view.members.push(member.clone()));
    b.view = a.view.clone();
    (b.view.prev, b.view.number) = (prev, number);
    let view = b.view.clone();
    b.install(|next| *next = view.clone());
    assert!(b.is_read(&a.frame(2).unwrap()), "numbers go on");
    assert!(a.is_read(&b.frame(0).unwrap()));
    assert!(back.iter().all(|frame| a.is_replay(frame)), "what was seen stays seen");
}

#[test]
fn another_life_has_a_link_of_its_own() {
    let (mut a, mut b) = (End::new(0, 3), End::new(2, 3));
    let old = b.frame(0).unwrap();
    a.install(|view| view.members[2].incarnation = 1);
    assert_eq!(a.bottom.links.iter().len(), 2, "the old life does not linger");
    let unauthentic = |taken| matches!(taken, Taken::Unauthenticated);
    assert!(a.act(|bottom, cx| unauthentic(bottom.on_frame(cx, &old))));
    a.linger();
    let frame = a.frame(2).unwrap();
    assert_eq!(crate::wire::frame::parse(&frame).unwrap().header.counter, 1);
}

#[test]
fn who_was_put_out_is_linked_for_a_while_however_quickly_views_follow() {
    let (mut a, mut b) = (End::new(0, 6), End::new(5, 6));
    let one = a.bottom.bound_bytes() / 5;
    for left in [4, 3, 2] {
        a.install(without(left + 1));
        assert_eq!(a.bottom.links.iter().len(), 5, "the others linger");
        assert_eq!(a.bottom.bound_bytes(), 5 * one);
    }
    let frame = b.frame(0).unwrap();
    let knows = a.act(|bottom, cx| !matches!(bottom.on_frame(cx, &frame), Taken::Unauthenticated));
    assert!(knows, "it is told how its view ended");
    a.linger();
    assert_eq!((a.bottom.links.iter().len(), a.bottom.deadline()), (2, None));
    a.bottom.give_up();
    assert_eq!((a.bottom.bound_bytes(), a.frame(1)), (0, None));
}

#[test]
fn not_many_links_linger() {
    let mut a = End::new(0, 64);
    for left in (1..64).rev().step_by(2) {
        a.install(|view| view.members.truncate(left));
    }
    assert!(a.bottom.links.iter().len() <= 16 + 2, "{}", a.bottom.links.iter().len());
}

/// The longest message of a view change is longer than any other, and links that were made for a
/// smaller view carry it.
#[test]
fn links_carry_the_longest_proposal_of_a_view_that_grew() {
    let (mut a, mut b) = (End::new(0, 2), End::new(1, 2));
    for end in [&mut a, &mut b] {
        end.install(|view| {
            view.members = genesis_of((0..64).map(quick_identity)).view().members;
        });
    }
    let proposal = crate::wire::tests::longest::proposal(64, 64);
    let post = Post::part(To::One(Rank::new(1)), proposal);
    let (mut frames, mut is_there, mut most) = (Vec::new(), false, 0);
    a.act(|bottom, cx| bottom.send(cx, Era::Present, &[], alloc::vec![post], &mut frames));
    while !is_there {
        a.act(|bottom, cx| bottom.pump(cx, &mut frames));
        assert!(!frames.is_empty(), "it goes on");
        for frame in core::mem::take(&mut frames) {
            let mut bytes = Vec::new();
            frame.append_to(&mut bytes);
            is_there |= b.act(|bottom, cx| match bottom.on_frame(cx, &bytes) {
                // It came in whole.
                Taken::Packet(_) => true,
                Taken::Piece(_) => false,
                other => panic!("{other:?}"),
            });
            most = most.max(b.bottom.held_bytes());
        }
        b.act(|bottom, cx| bottom.pump(cx, &mut frames));
        for frame in core::mem::take(&mut frames) {
            let mut bytes = Vec::new();
            frame.append_to(&mut bytes);
            a.act(|bottom, cx| drop(bottom.on_frame(cx, &bytes)));
        }
    }
    assert!(most > 8 << 20 && most < b.bottom.bound_bytes(), "{most}");
}

/// Who has installed a larger view than its peer sends what that has no room for: it is not to
/// blame, and its link stays open.
#[test]
fn a_long_message_of_a_larger_view_is_nobodys_fault() {
    let (mut a, mut b) = (End::new(0, 2), End::new(1, 2));
    a.install(|view| {
        view.members = genesis_of((0..64).map(quick_identity)).view().members;
    });
    let post = Post::part(To::One(Rank::new(1)), crate::wire::tests::longest::proposal(64, 64));
    let mut frames = Vec::new();
    a.act(|bottom, cx| bottom.send(cx, Era::Present, &[], alloc::vec![post], &mut frames));
    a.act(|bottom, cx| bottom.pump(cx, &mut frames));
    assert!(!frames.is_empty());
    for frame in frames {
        let mut bytes = Vec::new();
        frame.append_to(&mut bytes);
        b.act(|bottom, cx| match bottom.on_frame(cx, &bytes) {
            Taken::Nothing => {}
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(b.bottom.held_bytes(), 0);
}

/// Whether a link of a view of `n` members takes a packet without casts, cuts it for its network, and
/// the other end puts it together again.
pub(crate) fn carries(config: &Config, n: usize, packet: &[u8]) -> bool {
    use super::assemble::Assembler;
    use super::link::LinkLimits;
    use super::split::{Class, Splitter};
    let limits = LinkLimits::new(config, n);
    let mut splitter = Splitter::new(limits.split);
    let mut assembler = Assembler::new(config.partial_frames, limits.content_max);
    if !splitter.push(Time::ZERO, Class::Urgent, packet.to_vec(), alloc::sync::Arc::from([])) {
        return false;
    }
    let mut now = Time::ZERO;
    let mut pieces = Vec::new();
    // A window of pieces a round, and hundreds of thousands of bytes in each before long.
    for _ in 0..100_000 {
        now = now.plus(1_000);
        splitter.poll(now, &mut pieces);
        for piece in pieces.drain(..) {
            let content = [&piece.fields[..], &piece.bytes].concat();
            match assembler.on_fragment(now, &content) {
                Ok(Some(whole)) => return whole == packet,
                Ok(None) => {}
                Err(_) => return false,
            }
        }
        assembler.take_acks().iter().for_each(|ack| splitter.on_ack(now, ack));
    }
    false
}

/// Everything that is decoded fits a frame, the assembly of fragments, and the queue of its sender with
/// as much begun as may be, in every view that there may be.
#[test]
fn links_carry_whatever_may_have_to_be_sent() {
    use super::link::{LinkLimits, content_max};
    use crate::wire::bounds::Bounds;
    for n in 1..=64 {
        for (cast_max, window_bodies) in [(1024, 4), (1 << 20, 64), (4 << 20, 1024)] {
            let mut config = Config::new(genesis_of((0..1).map(quick_identity)));
            config.genesis.limits.cast_max = cast_max;
            config.genesis.limits.body_max = 1024;
            config.genesis.limits.window_bodies = window_bodies;
            let limits = config.genesis.limits;
            let bounds = Bounds::of(n);
            let longest = content_max(&limits, n);
            let small = super::gather::SMALL_BYTES + bounds.packet_head();
            assert!(bounds.longest() + small <= longest, "n = {n}");
            assert!(limits.casts_max() + bounds.answer() + small <= longest, "n = {n}");
            let split = LinkLimits::new(&config, n).split;
            assert!(longest + split.begun_bytes_max < split.queue_bytes_max, "n = {n}");
            assert!(longest + crate::wire::frame::HEADER <= Config::FRAME_MAX, "n = {n}");
        }
    }
}
