//! False lock: goes on to a later attempt with a lock that nobody can prove: on a view that nobody
//! proposed, without Acks, or with the Acks of another.
//!
//! It tries to veto what the others agree on, by a lock that leaders would have to propose again
//! (D16). It must fail: a report whose lock is not proven by a quorum of Acks is no report.
//!
//! Verdict: may be proven; where it says so on its own links it is suspected for bad bytes.

use phalanx_core::Attempt;
use phalanx_core::crypto::{Locked, NeedMoreChange};
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct FalseLock;

fn falsify(puppet: &mut Puppet, letter: &mut Letter) -> bool {
    let me = puppet.me;
    let mut is_changed = false;
    for part in letter.parts_mut() {
        let Part::NeedMoreChange(more) = part else { continue };
        if more.signed.signer != me {
            continue;
        }
        let next = phalanx_core::crypto::sha256(b"a view that nobody proposed");
        let lock = Some(Locked { attempt: Attempt::FIRST, next });
        let attempt = more.signed.statement.attempt;
        if let Some(signed) = puppet.sign(me, NeedMoreChange { attempt, lock }) {
            more.signed = signed;
            is_changed = true;
        }
    }
    is_changed
}

impl Act for FalseLock {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        if falsify(stage.puppet, &mut letter) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
