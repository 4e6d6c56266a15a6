//! Acks everything: acknowledges every proposal of every attempt, is ready for each of them at once,
//! and as leader proposes one next view to its victims and another to the others, both of them good
//! if there are Flushes to spare: their cuts come from different quorums.
//!
//! It tries to have two views certified (F4, D10). It must fail: correct members acknowledge once
//! per attempt, so two quorums of Acks in one attempt would share a correct member.
//!
//! Verdict: may be proven, by two Acks or two proposals of one attempt.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::crypto::{AckNewView, Certificate, Hash32, ReadyToSwitch};
use phalanx_core::wire::Part;
use phalanx_core::wire::change::{Certificates, Justification};
use phalanx_core::{Attempt, LogEnd, Rank, View};

use super::act::{Act, Stage};
use super::proposal;
use super::puppet::Letter;
use super::two_new_views::TwoNewViews;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct AcksEverything {
    seen: BTreeSet<(Attempt, Hash32)>,
    /// What certifies the heads of the Flushes that came by.
    certificates: BTreeMap<(Rank, Hash32), Certificate>,
}

impl AcksEverything {
    /// Leaves out a Flush so that the cut is another one, as good as the first; says whether that is
    /// possible.
    fn lower(&self, view: &mut View, justification: &mut Justification, quorum: usize) -> bool {
        let Justification::Fresh { flushes, certificates, .. } = justification else {
            return false;
        };
        for left_out in (0..flushes.len()).filter(|_| flushes.len() > quorum) {
            let mut fewer = flushes.clone();
            fewer.as_mut_vec().remove(left_out);
            let end = |log: usize| {
                let ends = fewer.iter().filter_map(|flush| flush.statement.ends.get(log).copied());
                ends.max_by_key(|end| end.number).unwrap_or(LogEnd::EMPTY)
            };
            let cut: Vec<LogEnd> = (0..view.cut.len()).map(end).collect();
            let logs = Rank::all(view.cut.len()).zip(&cut);
            let certified = logs.filter(|(_, end)| **end != LogEnd::EMPTY);
            let certified = certified.map(|(log, end)| self.certificates.get(&(log, end.hash)));
            if cut != *view.cut
                && let Some(all) = certified.map(Option::<&_>::cloned).collect::<Option<Vec<_>>>()
            {
                (*flushes, *certificates) = (fewer, Certificates::pack(&all));
                view.cut = cut.into();
                return true;
            }
        }
        false
    }

    fn vote(&mut self, stage: &mut Stage<'_>, letter: &Letter) {
        for part in letter.packet.parts.iter() {
            if let Part::Flush(flushed) = part {
                let all = flushed.certificates.unpack().into_iter().flatten();
                self.certificates.extend(all.map(|one| ((one.head.sender, one.head.hash), one)));
            }
            let Part::NewView(proposed) = part else { continue };
            let (attempt, next) =
                (proposed.signed.statement.attempt, proposed.signed.statement.next);
            if !self.seen.insert((attempt, next)) {
                continue;
            }
            let me = stage.puppet.me;
            let ack = stage.puppet.sign(me, AckNewView { attempt, next }).map(Part::Ack);
            let ready = stage.puppet.sign(me, ReadyToSwitch { attempt, next }).map(Part::Ready);
            let votes: Vec<Part> = ack.into_iter().chain(ready).collect();
            stage.post_to_all(&votes);
            stage.fire();
        }
    }
}

impl Act for AcksEverything {
    fn outgoing(&mut self, stage: &mut Stage<'_>, double: usize, mut letter: Letter) {
        self.vote(stage, &letter);
        let quorum = stage.puppet.roster.quorum().q();
        let is_victim = stage.puppet.is_victim(letter.peer);
        let mut is_other = false;
        let edit = |view: &mut View, justification: &mut Justification| {
            is_other = is_victim && self.lower(view, justification, quorum);
        };
        proposal::rewrite(stage.puppet, &mut letter, edit);
        if is_other {
            self.vote(stage, &letter);
            stage.post(&letter);
            return;
        }
        TwoNewViews.outgoing(stage, double, letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.vote(stage, letter);
        false
    }
}
