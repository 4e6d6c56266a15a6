//! What a strategy is to a [`super::Liar`]: hooks on what the body double says and hears.

use std::collections::BTreeMap;

use phalanx_core::crypto::peer_id;
use phalanx_core::wire::Part;
use phalanx_core::wire::stranger::Stranger;
use phalanx_core::{PeerId, Rank, Ticket, Time};

use super::Sent;
use super::puppet::{Letter, Puppet};
use crate::scenario::Kind;

/// What a hook can use: the puppet's strings, and the way out.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    /// Keys and links.
    pub(super) puppet: &'a mut Puppet,
    /// The present.
    pub(super) now: Time,
    /// Frames to send.
    pub(super) out: Vec<Sent>,
    /// Letters to send later.
    pub(super) held: Vec<(Time, Letter)>,
    /// How often the strategy did what it is for.
    pub(super) fired: u64,
    /// How often it changed a message of each kind.
    pub(super) changed: BTreeMap<Kind, u64>,
    /// Letters posted while they are caught for a second strategy.
    caught: Option<Vec<Letter>>,
}

impl<'a> Stage<'a> {
    /// An empty stage.
    pub(super) fn new(puppet: &'a mut Puppet, now: Time) -> Self {
        let (out, held, changed) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { puppet, now, out, held, fired: 0, changed, caught: None }
    }

    /// Begins to catch the letters that are posted, instead of sending them.
    pub(super) fn catch(&mut self) {
        self.caught = Some(Vec::new());
    }

    /// Stops catching; returns the letters posted meanwhile.
    pub(super) fn release(&mut self) -> Vec<Letter> {
        self.caught.take().unwrap_or_default()
    }

    /// Seals and sends a letter; one that says nothing is not sent.
    pub(super) fn post(&mut self, letter: &Letter) {
        if letter.is_empty() {
            return;
        }
        if let Some(caught) = &mut self.caught {
            caught.push(letter.clone());
            return;
        }
        if let Some(frame) = self.puppet.seal(letter) {
            self.post_frame(letter.peer, frame);
        }
    }

    /// Holds a letter back until `due`; it is sealed only then, so that its link counts on.
    pub(super) fn hold(&mut self, due: Time, letter: Letter) {
        self.held.push((due, letter));
    }

    /// Sends these parts to everybody.
    pub(super) fn post_to_all(&mut self, parts: &[Part]) {
        for to in self.puppet.others() {
            let letter = self.puppet.letter(to, parts.to_vec(), &[]);
            self.post(&letter);
        }
    }

    /// Sends a body with its casts to everybody, after these parts.
    pub(super) fn post_body(&mut self, parts: &[Part], casts: &[u8]) {
        for to in self.puppet.others() {
            let letter = self.puppet.letter(to, parts.to_vec(), casts);
            self.post(&letter);
        }
    }

    /// Sends these bytes.
    pub(super) fn post_frame(&mut self, to: Rank, frame: Vec<u8>) {
        if let Some(to) = self.puppet.peer(to) {
            self.out.push(Sent { to, frame });
        }
    }

    /// Says something without a link, under its own name.
    pub(super) fn call(&mut self, to: PeerId, message: &Stranger) {
        let frame = self.puppet.call(peer_id(&self.puppet.own), message);
        self.out.push(Sent { to, frame });
    }

    /// Counts one lie.
    pub(super) fn fire(&mut self) {
        self.fired = self.fired.saturating_add(1);
    }

    /// Counts one lie that is a changed message of this kind.
    pub(super) fn fire_on(&mut self, kind: Kind) {
        self.fire();
        let count = self.changed.entry(kind).or_default();
        *count = count.saturating_add(1);
    }
}

/// What a strategy wants of its only body double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To ask to leave.
    Leave,
    /// To begin anew in the same life, with no memory of what it signed.
    Forget,
    /// To come back as this life.
    Return(u64),
}

/// A strategy. What it does not override is what a correct member does.
pub(super) trait Act: core::fmt::Debug {
    /// How many body doubles it runs.
    fn doubles(&self) -> usize {
        1
    }

    /// A body double wants to send this letter.
    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, letter: Letter) {
        let _ = double;
        stage.post(&letter);
    }

    /// A body double wants to send this letter, which is of a view that the puppet does not act in:
    /// one before, or the next in the step that installs it.
    fn outgoing_elsewhere(&mut self, stage: &mut Stage<'_>, letter: Letter) {
        stage.post(&letter);
    }

    /// Whether it goes on when its process comes to another view; otherwise it begins anew there.
    fn outlives_views(&self) -> bool {
        false
    }

    /// Another view begins, and the strategy goes on in it.
    fn enters(&mut self, puppet: &mut Puppet) {
        let _ = puppet;
    }

    /// Whether a body double's acknowledgement of fragments goes to `to`.
    fn lets_ack_pass(&self, puppet: &Puppet, double: usize, to: Rank) -> bool {
        let _ = (puppet, double, to);
        true
    }

    /// Whether [`Act::incoming`] wants to be called: opening every frame costs time.
    fn is_listening(&self) -> bool {
        false
    }

    /// A letter came in; called before any body double sees it. Returns whether the letter was
    /// changed: then that is what the body doubles get.
    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        let _ = (stage, letter);
        false
    }

    /// Whether a frame from `from` reaches this body double.
    fn lets_in(&self, puppet: &Puppet, double: usize, from: Rank) -> bool {
        let _ = (puppet, double, from);
        true
    }

    /// Whether this body double gets the request.
    fn takes(&self, double: usize, ticket: Ticket) -> bool {
        let _ = ticket;
        double == 0
    }

    /// A frame came in, as it is; called before any body double sees it.
    fn frame_in(&mut self, stage: &mut Stage<'_>, from: Rank, frame: &[u8]) {
        let _ = (stage, from, frame);
    }

    /// The body double wants to say this without a link.
    fn stranger(&mut self, stage: &mut Stage<'_>, to: PeerId, message: Stranger) {
        stage.call(to, &message);
    }

    /// The body double is no member any more.
    fn excluded(&mut self, stage: &mut Stage<'_>) {
        let _ = stage;
    }

    /// What is to become of the body double, if anything.
    fn wish(&mut self, stage: &mut Stage<'_>) -> Option<Wish> {
        let _ = stage;
        None
    }

    /// What the body double shall cast on top of what its application wants, if anything.
    fn casts(&mut self, stage: &mut Stage<'_>) -> Option<Vec<u8>> {
        let _ = stage;
        None
    }

    /// Time has passed, or something has happened.
    fn tick(&mut self, stage: &mut Stage<'_>) {
        let _ = stage;
    }

    /// When [`Act::tick`] is owed.
    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// What a correct member does.
#[derive(Debug)]
pub(super) struct Honest;

impl Act for Honest {}

/// Strokes of a [`Pulse`] before it slows down.
const FRESH_STROKES: u32 = 256;

/// A clock for strategies that act by themselves. It grows weary: after each 256 strokes the pause
/// between two doubles, so that an attack goes on for ever at a bounded cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    every_us: u64,
    strokes: u32,
    due: Time,
}

impl Pulse {
    /// Strikes at once and then every `every_us` (at least 1) microseconds.
    pub(super) const fn new(every_us: u64) -> Self {
        let every_us = if every_us == 0 { 1 } else { every_us };
        Self { every_us, strokes: 0, due: Time::ZERO }
    }

    /// Whether it strikes now; missed strokes are not made up for.
    pub(super) fn strikes(&mut self, now: Time) -> bool {
        if now < self.due {
            return false;
        }
        self.strokes = self.strokes.saturating_add(1);
        if self.strokes == FRESH_STROKES {
            self.strokes = 0;
            self.every_us = self.every_us.saturating_mul(2);
        }
        self.due = now.plus(self.every_us);
        true
    }

    /// The next stroke.
    pub(super) fn due(&self) -> Option<Time> {
        Some(self.due)
    }
}

/// A clock that never grows weary, for adversaries that stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    every_us: u64,
    due: Time,
}

impl Beat {
    /// Strikes at once and then every `every_us` (at least 1) microseconds.
    pub(super) const fn new(every_us: u64) -> Self {
        let every_us = if every_us == 0 { 1 } else { every_us };
        Self { every_us, due: Time::ZERO }
    }

    /// Whether it strikes now; missed strokes are not made up for.
    pub(super) fn strikes(&mut self, now: Time) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.due = now.plus(self.every_us);
        }
        is_due
    }

    /// The next stroke.
    pub(super) const fn due(&self) -> Time {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_slows_down_but_never_stops() {
        let mut pulse = Pulse::new(10);
        let mut now = Time::ZERO;
        for _ in 0..FRESH_STROKES {
            assert!(pulse.strikes(now) && !pulse.strikes(now));
            now = pulse.due().unwrap();
        }
        let before = now;
        assert!(pulse.strikes(now));
        assert_eq!(pulse.due().unwrap().since(before), 20);
    }
}
