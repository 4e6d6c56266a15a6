//! New-View time-out (the paper's fault): as leader it proposes nothing, and hands its proposal to
//! nobody who asks.
//!
//! It tries to stop the view change (F14, D11). It must fail: attempts go on by themselves once
//! their timer ends (R6), and the next is led by another.
//!
//! Verdict: suspected if the attempt takes its whole time; others may have gone on before (R7, R9).

use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct NewViewTimeout;

impl Act for NewViewTimeout {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let me = stage.puppet.me;
        let is_own = |part: &Part| matches!(part, Part::NewView(p) if p.signed.signer == me);
        if letter.drop_parts(is_own) > 0 {
            stage.fire();
        }
        stage.post(&letter);
    }
}
