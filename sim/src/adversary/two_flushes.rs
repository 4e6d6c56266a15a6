//! Two Flushes: everybody gets its Flush, its victims before it one more that says its logs are
//! empty. And the overstated Flush: it tells everybody of bodies that nobody ever saw.
//!
//! They try to have messages that were delivered left out of the cut, cuts that differ (D8), or a cut
//! that nobody can complete (D21). They must fail: any quorum of Flushes has a correct member's that
//! covers what was delivered, the cut is part of the agreed value, a head counts with its
//! certificate only, and two Flushes are a Proof.
//!
//! Verdict: may be proven, where both arrive before the decision; an overstated Flush is bad bytes.

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

/// The strategy.
#[derive(Debug)]
pub(super) struct OverstatedFlush;

impl Act for OverstatedFlush {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        let hash = phalanx_core::crypto::sha256(b"a body that nobody ever saw");
        for part in letter.parts_mut() {
            let Part::Flush(flushed) = part else { continue };
            let mut statement = flushed.signed.statement.clone();
            for end in statement.ends.as_mut_vec() {
                *end = LogEnd { number: end.number.next(), hash };
            }
            if flushed.signed.signer == me
                && let Some(signed) = stage.puppet.sign(me, statement)
            {
                flushed.signed = signed;
                stage.fire();
            }
        }
        stage.post(&letter);
    }
}
