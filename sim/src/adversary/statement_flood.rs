//! Statement flood: for three seconds in each ten it sends 25,000 true statements a second: rows with rising counters, heads of bodies
//! that do not exist yet, Acks of rising attempts, recommendations of processes that nobody knows.
//! Every signature is good, and nothing contradicts anything.
//!
//! It tries to keep members busy with signature checks until their own rows are late and they suspect
//! each other. It must fail: each peer has a budget of checks per interval, the newest statement of a
//! kind is enough, and a Tick does not wait for frames.
//!
//! Verdict: depends; a member that exceeds its budget for long may be suspected for that.

use phalanx_core::crypto::{AckNewView, Hash32, Head, JoinRequest, Recommend, Signature};
use phalanx_core::wire::change::Recommended;
use phalanx_core::wire::{Blob, Part};
use phalanx_core::{Attempt, Number, PublicKey, Time};

use super::act::{Act, Beat, Stage};
use super::puppet::{Letter, Puppet};
use super::request_table_filler::request_hash;

/// Between two packets to everybody.
const EVERY_US: u64 = 4_000;

/// Statements in a packet: 25,000 a second towards each member.
const STATEMENTS: u64 = 100;

/// The time between two floods, and the duration of one.
const EVERY_FLOOD_US: u64 = 10_000_000;
const FLOOD_US: u64 = 3_000_000;

/// The distance of its counters from those of its body double.
const FAR: u64 = 1 << 32;

/// The strategy.
#[derive(Debug)]
pub(super) struct StatementFlood {
    beat: Beat,
    began: Option<Time>,
    count: u64,
    /// Its body double's newest row: what it floods says the same with a later counter.
    have: Vec<Number>,
    /// The highest counter of its own rows.
    counter: u64,
}

impl StatementFlood {
    pub(super) const fn new() -> Self {
        let (began, count, counter) = (None, 0, 0);
        Self { beat: Beat::new(EVERY_US), began, count, have: Vec::new(), counter }
    }

    fn row(&mut self, puppet: &mut Puppet) -> Option<Part> {
        self.counter = self.counter.saturating_add(1);
        let have = self.have.clone().into();
        let row = phalanx_core::crypto::Stable { counter: self.counter, have };
        (!self.have.is_empty()).then(|| puppet.sign(puppet.me, row))?.map(Part::Stable)
    }

    fn statement(&mut self, puppet: &mut Puppet) -> Option<Part> {
        self.count = self.count.saturating_add(1);
        let (me, far) = (puppet.me, FAR.saturating_add(self.count));
        match self.count % 8 {
            0 => {
                let head = Head { sender: me, number: Number::new(far), hash: puppet.any_hash() };
                puppet.sign_heads(me, vec![head]).map(Part::Heads)
            }
            1 => {
                let attempt = Attempt::new(u32::try_from(self.count).unwrap_or(u32::MAX));
                let ack = AckNewView { attempt, next: Hash32::ZERO };
                puppet.sign(me, ack).map(Part::Ack)
            }
            2 => {
                let request = junk_request(puppet);
                let said = Recommend { request: request_hash(&request)? };
                let signed = puppet.sign(me, said)?;
                Some(Part::Recommend(Box::new(Recommended { signed, request })))
            }
            _ => self.row(puppet),
        }
    }
}

/// A request of a process that does not exist.
fn junk_request(puppet: &mut Puppet) -> JoinRequest {
    let (key, signature) = (PublicKey(puppet.any_hash().0), Signature([7; 64]));
    JoinRequest { key, incarnation: 0, addr: Blob(Vec::new()), signature }
}

impl Act for StatementFlood {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        stage.puppet.rewrite_rows(&mut letter, |row| {
            // The double's rows stay the newest: a victim must not miss how its log goes on.
            if self.have[..] != row.have[..] || self.counter == 0 {
                self.have = row.have.to_vec();
                self.counter = self.counter.saturating_add(1).max(row.counter);
            }
            row.counter = self.counter;
        });
        stage.post(&letter);
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        let began = *self.began.get_or_insert(stage.now);
        if self.have.is_empty() || !self.beat.strikes(stage.now) {
            return;
        }
        if stage.now.since(began) % EVERY_FLOOD_US >= FLOOD_US {
            return;
        }
        let parts = (0..STATEMENTS).filter_map(|_| self.statement(stage.puppet));
        let parts: Vec<Part> = parts.collect();
        stage.fire();
        stage.post_to_all(&parts);
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.beat.due()).filter(|_| !self.have.is_empty())
    }
}
