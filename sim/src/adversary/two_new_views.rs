//! Two New-Views: as leader it proposes one next view to some and another to its victims, in the
//! same attempt.
//!
//! It tries to have two views agreed (F4, D10). It must fail: at most one of them finds a quorum of
//! Acks, for a correct member acknowledges once per attempt; the two statements are a Proof.
//!
//! Verdict: proven, if it leads and the two meet: nobody asks for another proposal than the one that
//! is agreed on.

use phalanx_core::View;
use phalanx_core::wire::change::Justification;

use super::act::{Act, Stage};
use super::puppet::Letter;
use super::{bad_new_view, proposal};

/// The strategy.
#[derive(Debug)]
pub(super) struct TwoNewViews;

/// The other proposal: as good as the first with a Flush less if one is not needed, otherwise one
/// with another cut.
pub(super) fn part(view: &mut View, justification: &mut Justification, quorum: usize) {
    if let Justification::Fresh { flushes, .. } = justification {
        let reaches = |log: usize, place: usize| {
            let flush = flushes.get(place).and_then(|flush| flush.statement.ends.get(log));
            flush.is_some_and(|end| view.cut.get(log).is_some_and(|cut| end == cut))
        };
        let is_spare = |place: usize| {
            let mut logs = 0..view.cut.len();
            logs.all(|log| (0..flushes.len()).any(|other| other != place && reaches(log, other)))
        };
        let spare = (0..flushes.len()).rev().find(|place| is_spare(*place));
        if let Some(place) = spare.filter(|_| flushes.len() > quorum) {
            flushes.as_mut_vec().remove(place);
            return;
        }
    }
    bad_new_view::shorten(view);
    // An empty cut leaves nothing to shorten.
    view.pledge = view.pledge.saturating_add(1);
}

impl Act for TwoNewViews {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let quorum = stage.puppet.roster.quorum().q();
        if stage.puppet.is_victim(letter.peer)
            && proposal::rewrite(stage.puppet, &mut letter, |view, justification| {
                part(view, justification, quorum);
            })
        {
            stage.fire();
        }
        stage.post(&letter);
    }
}
