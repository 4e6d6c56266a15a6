//! Empty casts: its log is full of bodies that hold nothing but casts of no length, four bytes each, and
//! the body that all others wait for comes last.
//!
//! It tries to have members hand a million casts to their applications in one step, which take a
//! hundred times the memory that they took on the link. It must fail: a cast has a price in the body
//! and the window, and what is deliverable is handed over little by little (P10).
//!
//! Verdict: depends; bodies that are too long are bad bytes.

use phalanx_core::Time;

use super::act::{Act, Stage};
use super::own_log::OwnLog;
use super::puppet::{Letter, Puppet};

/// How long it behaves in each view, so that all others have installed it.
const FIRST_US: u64 = 300_000;

/// Between two bodies, so that each arrives before the next.
const EVERY_US: u64 = 2_000;

/// Bytes of a cast of no length.
const EMPTY_CAST: usize = 4;

/// The most casts in the logs of a run, counted once for each receiver: what a run has time for.
const CASTS_MAX: usize = 4_000_000;

/// The strategy.
#[derive(Debug)]
pub(super) struct EmptyCasts {
    log: OwnLog,
    bodies: u64,
    /// The body that is sent next, down to the first.
    next: u64,
    due: Option<Time>,
}

impl EmptyCasts {
    pub(super) fn new(puppet: &Puppet) -> Self {
        let limits = &puppet.limits;
        let receivers = puppet.n().saturating_sub(1).max(1);
        let most = (CASTS_MAX / receivers).saturating_mul(EMPTY_CAST);
        let window = (limits.window_bytes as usize).min(most);
        let longest = (limits.cast_max.max(limits.body_max) as usize).min(window);
        let casts = vec![0; longest / EMPTY_CAST * EMPTY_CAST];
        let bodies = window.checked_div(casts.len()).unwrap_or(0);
        let bodies = bodies.min(limits.window_bodies as usize) as u64;
        Self { log: OwnLog::new(puppet, &casts), bodies, next: bodies, due: None }
    }
}

impl Act for EmptyCasts {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        use phalanx_core::wire::Part;
        let me = stage.puppet.me;
        self.due.get_or_insert(stage.now.plus(FIRST_US));
        letter.drop_parts(|part| match part {
            Part::Body(body) => body.sender == me,
            Part::Certificate(certificate) => certificate.head.sender == me,
            _ => false,
        });
        stage.puppet.rewrite_heads(&mut letter, |entries| {
            entries.retain(|head| head.sender != me);
        });
        stage.post(&letter);
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if self.next == 0 || self.due.is_none_or(|due| stage.now < due) {
            return;
        }
        let parts = self.log.parts(stage.puppet, self.next, self.bodies);
        stage.post_body(&parts, &self.log.casts());
        stage.fire();
        self.next = self.next.saturating_sub(1);
        self.due = Some(stage.now.plus(EVERY_US));
    }

    fn deadline(&self) -> Option<Time> {
        self.due.filter(|_| self.next > 0)
    }
}
