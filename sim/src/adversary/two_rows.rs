//! Two rows: beside each of its Stable rows, victims get a second one with the same counter that
//! says less.
//!
//! It tries to have members disagree on what is stable (F5). It must fail: a member keeps what was
//! reported before, and two rows of one counter are a Proof.
//!
//! Verdict: proven.

use phalanx_core::Number;
use phalanx_core::crypto::{Signed, Stable};
use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct TwoRows;

/// Another row of the same counter, if `row` is the liar's own and says anything.
fn contradict(puppet: &mut Puppet, row: &Signed<Stable>) -> Option<Signed<Stable>> {
    if row.signer != puppet.me {
        return None;
    }
    let mut other = row.statement.clone();
    let have = other.have.as_mut_vec().iter_mut().find(|have| **have > Number::ZERO)?;
    *have = have.prev();
    puppet.sign(puppet.me, other)
}

impl Act for TwoRows {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        stage.post(&letter);
        if !stage.puppet.is_victim(letter.peer) {
            return;
        }
        for part in letter.packet.parts.iter() {
            if let Part::Stable(row) = part
                && let Some(other) = contradict(stage.puppet, row)
            {
                stage.fire();
                let second = stage.puppet.letter(letter.peer, vec![Part::Stable(other)], &[]);
                stage.post(&second);
            }
        }
    }
}
