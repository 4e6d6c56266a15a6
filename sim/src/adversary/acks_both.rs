//! Acks both: as leader it proposes one next view to its victims and another to the others, both of
//! them good if there are Flushes to spare: their cuts come from different quorums. All liars
//! acknowledge each of them, and are ready for it, towards those who were shown it.
//!
//! They try to have two views decided (F1, F4, D10). They must fail: correct members acknowledge
//! once per attempt, so two quorums of Acks in one attempt would share a correct member.
//!
//! Verdict: may be proven, where the two proposals or votes meet.

use std::collections::BTreeMap;

use phalanx_core::crypto::{AckNewView, Certificate, Flush, Hash32, ReadyToSwitch, Signed};
use phalanx_core::wire::Part;
use phalanx_core::wire::change::{Certificates, Justification};
use phalanx_core::{LogEnd, Rank, View};

use super::act::{Act, Stage};
use super::proposal;
use super::puppet::{Letter, Puppet};
use super::two_new_views;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct AcksBoth {
    /// What certifies the heads of the Flushes that came by.
    certificates: BTreeMap<(Rank, Hash32), Certificate>,
}

impl AcksBoth {
    /// Leaves out the Flushes that reach furthest in some log, so that the cut is another one, as good
    /// as the first; says whether that is possible.
    fn lower(&self, view: &mut View, justification: &mut Justification, quorum: usize) -> bool {
        let Justification::Fresh { flushes, certificates, .. } = justification else {
            return false;
        };
        for log in 0..view.cut.len() {
            let reaches =
                |flush: &Signed<Flush>| flush.statement.ends.get(log) == view.cut.get(log);
            let behind = flushes.iter().filter(|flush| !reaches(flush)).cloned();
            let behind: Vec<Signed<Flush>> = behind.collect();
            let end = |log: usize| {
                let ends = behind.iter().filter_map(|flush| flush.statement.ends.get(log).copied());
                ends.max_by_key(|end| end.number).unwrap_or(LogEnd::EMPTY)
            };
            let cut: Vec<LogEnd> = (0..view.cut.len()).map(end).collect();
            let logs = Rank::all(view.cut.len()).zip(&cut);
            let certified = logs.filter(|(_, end)| **end != LogEnd::EMPTY);
            let certified = certified.map(|(log, end)| self.certificates.get(&(log, end.hash)));
            if behind.len() >= quorum
                && let Some(all) = certified.map(Option::<&_>::cloned).collect::<Option<Vec<_>>>()
            {
                (*flushes, *certificates) = (behind.into(), Certificates::pack(&all));
                view.cut = cut.into();
                return true;
            }
        }
        false
    }

    /// Remembers what the Flushes in a letter are certified by.
    fn note(&mut self, letter: &Letter) {
        for part in letter.packet.parts.iter() {
            if let Part::Flush(flushed) = part {
                let all = flushed.certificates.unpack().into_iter().flatten();
                self.certificates.extend(all.map(|one| ((one.head.sender, one.head.hash), one)));
            }
        }
    }
}

/// Every liar's votes for the proposals in a letter.
fn votes(puppet: &mut Puppet, letter: &Letter) -> Vec<Part> {
    let mut votes = Vec::new();
    for part in letter.packet.parts.iter() {
        let Part::NewView(proposed) = part else { continue };
        let (attempt, next) = (proposed.signed.statement.attempt, proposed.signed.statement.next);
        for liar in puppet.liars.clone() {
            votes.extend(puppet.sign(liar, AckNewView { attempt, next }).map(Part::Ack));
            votes.extend(puppet.sign(liar, ReadyToSwitch { attempt, next }).map(Part::Ready));
        }
    }
    votes
}

impl Act for AcksBoth {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.note(&letter);
        let is_victim = stage.puppet.is_victim(letter.peer);
        let quorum = stage.puppet.roster.quorum().q();
        if is_victim {
            let me = stage.puppet.me;
            let is_for_others = |part: &Part| match part {
                Part::Ack(ack) => ack.signer == me,
                Part::Ready(ready) => ready.signer == me,
                Part::Commit(committed) => committed.signed.signer == me,
                Part::Decision(_) => true,
                _ => false,
            };
            letter.drop_parts(is_for_others);
            let edit = |view: &mut View, justification: &mut Justification| {
                if !self.lower(view, justification, quorum) {
                    two_new_views::part(view, justification, quorum);
                }
            };
            if proposal::rewrite(stage.puppet, &mut letter, edit) {
                stage.fire();
            }
        }
        let votes = votes(stage.puppet, &letter);
        stage.post(&letter);
        let votes = stage.puppet.letter(letter.peer, votes, &[]);
        stage.post(&votes);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.note(letter);
        false
    }
}
