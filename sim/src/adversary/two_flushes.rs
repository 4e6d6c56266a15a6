//! Two Flushes: everybody gets its Flush, its victims one more that says its logs are empty.
//!
//! It tries to have messages that were delivered left out of the cut, or cuts that differ (D8). It
//! must fail: any quorum of Flushes has a correct member's that covers what was delivered, the cut
//! is part of the agreed value, and the two statements are a Proof.
//!
//! Verdict: may be proven, where both arrive before the decision.

use phalanx_core::crypto::Flush;
use phalanx_core::wire::Part;
use phalanx_core::wire::change::{Certificates, Flushed};
use phalanx_core::{LogEnd, Rank};

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct TwoFlushes;

fn emptied(puppet: &mut Puppet, flushed: &Flushed) -> Option<Flushed> {
    let statement = &flushed.signed.statement;
    let ends = vec![LogEnd::EMPTY; statement.ends.len()];
    let other = Flush { ends: ends.into(), changes: statement.changes.clone() };
    let me: Rank = puppet.me;
    (other != *statement).then_some(())?;
    let signed = puppet.sign(me, other)?;
    Some(Flushed { signed, certificates: Certificates::default(), ..flushed.clone() })
}

impl Act for TwoFlushes {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let is_victim = stage.puppet.is_victim(letter.peer);
        let me = stage.puppet.me;
        let mut others = Vec::new();
        for part in letter.parts_mut().iter_mut().filter(|_| is_victim) {
            if let Part::Flush(flushed) = part
                && flushed.signed.signer == me
                && let Some(other) = emptied(stage.puppet, flushed)
            {
                // The true one comes second.
                others.push(Part::Flush(std::mem::replace(flushed, Box::new(other))));
                stage.fire();
            }
        }
        stage.post(&letter);
        let second = stage.puppet.letter(letter.peer, others, &[]);
        stage.post(&second);
    }
}
