//! Order stopper: it settles no slot. Its own log it keeps full of short Fifo bodies, and its own row
//! for that log it lets rise by one just before the lag time-out, with the next body in the same
//! frame. In all else it is correct: it replies, and its row for all other logs is true.
//!
//! It tries to stop the total order for ever: TO3 excuses a sender whose log stands at its overflow,
//! and a row that moves starts the lag clock again. It must fail: a log that only its sender's own row
//! holds back excuses nothing, and no clock is restarted by the member that it measures.
//!
//! Verdict: suspected.

use phalanx_core::crypto::Stable;
use phalanx_core::wire::casts;
use phalanx_core::{Number, Order, Time};

use super::act::{Act, Stage};
use super::own_log::OwnLog;
use super::puppet::{Letter, Puppet};

/// How long it behaves in each view, so that all others have installed it.
const FIRST_US: u64 = 500_000;

/// Times that the window is filled, against loss, and the pause between two of them.
const FILLS: u32 = 4;
const FILL_US: u64 = 1_000_000;

/// The strategy.
#[derive(Debug)]
pub(super) struct OrderStopper {
    log: OwnLog,
    /// Its own row for its own log.
    own: u64,
    /// The highest counter of a row that was sent.
    seen: u64,
    /// Whether that row is the first that says `own`.
    is_new: bool,
    began: Option<Time>,
    moved: Time,
    fills: u32,
}

impl OrderStopper {
    pub(super) fn new(puppet: &Puppet) -> Self {
        let mut bytes = Vec::new();
        // A short cast always fits.
        let _ = casts::push(&mut bytes, Order::Fifo, b"f");
        let (own, seen, is_new, began, moved) = (0, 0, false, None, Time::ZERO);
        Self { log: OwnLog::new(puppet, &bytes), own, seen, is_new, began, moved, fills: 0 }
    }

    /// When the window is filled next, if ever again.
    fn fill_due(&self) -> Option<Time> {
        let pause = u64::from(self.fills).saturating_mul(FILL_US);
        (self.fills < FILLS).then_some(self.began)?.map(|began| began.plus(FIRST_US + pause))
    }

    /// Takes in that a row with this counter leaves.
    fn on_row(&mut self, now: Time, counter: u64, lag_us: u64) {
        if counter <= self.seen {
            return;
        }
        self.seen = counter;
        self.is_new = self.fills > 0 && now.since(self.moved) >= lag_us / 100 * 95;
        if self.is_new {
            self.own = self.own.saturating_add(1);
            self.moved = now;
        }
    }
}

impl Act for OrderStopper {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        use phalanx_core::wire::Part;
        let (me, now, lag_us) = (stage.puppet.me, stage.now, stage.puppet.timeouts.lag_us);
        self.began.get_or_insert(now);
        letter.drop_parts(|part| match part {
            Part::Body(body) => body.sender == me,
            Part::Certificate(certificate) => certificate.head.sender == me,
            _ => false,
        });
        stage.puppet.rewrite_heads(&mut letter, |entries| {
            entries.retain(|head| head.sender != me);
        });
        let mut has_row = false;
        let mut edit = |row: &mut Stable| {
            has_row = true;
            self.on_row(now, row.counter, lag_us);
            let own = Number::new(self.own);
            row.have.as_mut_vec().get_mut(me.index()).into_iter().for_each(|have| *have = own);
        };
        stage.puppet.rewrite_rows(&mut letter, &mut edit);
        // A body is the last part of its frame, so it goes along only where there is no other.
        let has_body = matches!(letter.packet.parts.last(), Some(Part::Body(_)));
        if has_row && self.is_new && !has_body {
            let top = u64::from(stage.puppet.limits.window_bodies).saturating_add(self.own);
            let parts = self.log.parts(stage.puppet, top, top);
            letter.parts_mut().extend(parts);
            letter.casts = self.log.casts();
            stage.fire();
        }
        stage.post(&letter);
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if self.fill_due().is_none_or(|due| stage.now < due) {
            return;
        }
        if self.fills == 0 {
            self.moved = stage.now;
        }
        self.fills = self.fills.saturating_add(1);
        stage.fire();
        for number in 1..=u64::from(stage.puppet.limits.window_bodies) {
            let parts = self.log.parts(stage.puppet, number, number);
            stage.post_body(&parts, &self.log.casts());
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.fill_due()
    }
}
