//! What a strategy is to a [`super::Liar`]: hooks on what the body double says and hears.

use phalanx_core::{Rank, Ticket, Time};

use super::Sent;
use super::puppet::{Letter, Puppet};

/// What a hook can use: the puppet's strings, and the way out.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    /// Keys and links.
    pub(super) puppet: &'a mut Puppet,
    /// The present.
    pub(super) now: Time,
    /// Frames to send.
    pub(super) out: Vec<Sent>,
    /// How often the strategy did what it is for.
    pub(super) fired: u64,
}

impl Stage<'_> {
    /// Seals and sends a letter; one that says nothing is not sent.
    pub(super) fn post(&mut self, letter: &Letter) {
        if letter.is_empty() {
            return;
        }
        if let Some(frame) = self.puppet.seal(letter) {
            self.post_frame(letter.peer, frame, letter.delay_us);
        }
    }

    /// Sends these bytes.
    pub(super) fn post_frame(&mut self, to: Rank, frame: Vec<u8>, delay_us: u64) {
        if let Some(to) = self.puppet.peer(to) {
            self.out.push(Sent { to, frame, delay_us });
        }
    }

    /// Counts one lie.
    pub(super) fn fire(&mut self) {
        self.fired = self.fired.saturating_add(1);
    }
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

    /// Whether a body double's acknowledgement of fragments goes to `to`.
    fn lets_ack_pass(&self, puppet: &Puppet, double: usize, to: Rank) -> bool {
        let _ = (puppet, double, to);
        true
    }

    /// Whether [`Act::incoming`] wants to be called: opening every frame costs time.
    fn is_listening(&self) -> bool {
        false
    }

    /// A letter came in; called before any body double sees it.
    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &Letter) {
        let _ = (stage, letter);
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

    /// Time has passed, or something has happened.
    fn tick(&mut self, stage: &mut Stage<'_>) {
        let _ = stage;
    }

    /// When [`Act::tick`] is owed.
    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// A clock for strategies that act by themselves: strikes every `every_us` microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    every_us: u64,
    due: Time,
}

impl Pulse {
    /// Strikes at once and then every `every_us` (at least 1) microseconds.
    pub(super) fn new(every_us: u64) -> Self {
        Self { every_us: every_us.max(1), due: Time::ZERO }
    }

    /// Whether it strikes now; missed strokes are not made up for.
    pub(super) fn strikes(&mut self, now: Time) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now.plus(self.every_us);
        true
    }

    /// The next stroke.
    pub(super) fn due(&self) -> Option<Time> {
        Some(self.due)
    }
}
