//! Lock hider: goes on to a later attempt as if it were locked on nothing, and as leader proposes
//! afresh where the members report a lock.
//!
//! It tries to have what may have been decided forgotten (F2, D14, D15). It must fail: a Ready binds
//! its author to report the lock, or the two are a Proof; any quorum of reports has a correct one
//! that met the decision; and followers judge a proposal by the reports in it.
//!
//! Verdict: may be proven, if it was ready and went on.

use phalanx_core::crypto::NeedMoreChange;
use phalanx_core::wire::Part;
use phalanx_core::wire::change::Justification;

use super::act::{Act, Stage};
use super::proposal;
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct LockHider {
    /// The newest fresh proposal that came by.
    fresh: Option<Justification>,
}

/// The fresh proposal, with the reports that the lock was proposed again for.
fn afresh(fresh: Option<&Justification>, justification: &mut Justification) {
    if let Justification::Relock { more, .. } = justification
        && let Some(Justification::Fresh { flushes, certificates, grounds, .. }) = fresh
    {
        let (flushes, certificates) = (flushes.clone(), certificates.clone());
        let (grounds, more) = (grounds.clone(), more.clone());
        *justification = Justification::Fresh { flushes, certificates, grounds, more };
    }
}

fn hide(puppet: &mut Puppet, letter: &mut Letter) -> bool {
    let me = puppet.me;
    let mut is_changed = false;
    for part in letter.parts_mut() {
        let Part::NeedMoreChange(more) = part else { continue };
        let attempt = more.signed.statement.attempt;
        if more.signed.signer == me
            && more.lock.is_some()
            && let Some(signed) = puppet.sign(me, NeedMoreChange { attempt, lock: None })
        {
            (more.signed, more.lock) = (signed, None);
            is_changed = true;
        }
    }
    is_changed
}

impl Act for LockHider {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let fresh = self.fresh.as_ref();
        let is_hidden = hide(stage.puppet, &mut letter);
        let edit = |_: &mut _, justification: &mut Justification| afresh(fresh, justification);
        if proposal::rewrite(stage.puppet, &mut letter, edit) || is_hidden {
            stage.fire();
        }
        stage.post(&letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        for part in letter.packet.parts.iter() {
            if let Part::NewView(proposed) = part
                && matches!(proposed.justification, Justification::Fresh { .. })
            {
                self.fresh = Some(proposed.justification.clone());
            }
        }
        false
    }
}
