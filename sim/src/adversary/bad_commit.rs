//! Bad Commit (the paper's fault): as leader it commits another next view than was acknowledged.
//!
//! It tries to have members lock what no quorum knows. It must fail: a Commit carries the Acks that
//! it stands for, and these name what they acknowledge (R3).
//!
//! Verdict: proven, for the Commit is invalid by itself, if it leads and the Commit comes before the
//! decision: always in the Paper pattern, seldom in the Swift pattern.

use phalanx_core::crypto::{Commit, sha256};
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct BadCommit;

/// Has the liar's own Commits name a view that nobody proposed, always the same.
fn falsify(puppet: &mut Puppet, letter: &mut Letter) -> bool {
    let me = puppet.me;
    let mut is_changed = false;
    for part in letter.parts_mut() {
        let Part::Commit(committed) = part else { continue };
        if committed.signed.signer != me {
            continue;
        }
        let said = committed.signed.statement.clone();
        let bad = Commit { next: sha256(said.next.as_bytes()), ..said };
        if let Some(signed) = puppet.sign(me, bad) {
            committed.signed = signed;
            is_changed = true;
        }
    }
    is_changed
}

impl Act for BadCommit {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        if falsify(stage.puppet, &mut letter) {
            stage.fire();
        }
        stage.post(&letter);
    }
}
