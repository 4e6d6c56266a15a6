//! Mixed decision: makes a decision of Readys of several attempts, or of too few, and hands it to
//! everybody.
//!
//! It tries to have a view installed that no quorum was ready for in one attempt (D31). It must
//! fail: a decision is exactly a quorum of Readys of one attempt for the view that it carries.
//!
//! Verdict: may be proven; suspected for bad bytes where it says so on its own links.

use phalanx_core::View;
use phalanx_core::crypto::{ReadyToSwitch, Signed};
use phalanx_core::wire::Part;
use phalanx_core::wire::change::Decision;

use super::act::{Act, Stage};
use super::puppet::Letter;

/// The most Readys that are remembered.
const READYS_MAX: usize = 64;

/// The strategy.
#[derive(Debug, Default)]
pub(super) struct MixedDecision {
    view: Option<View>,
    readys: Vec<Signed<ReadyToSwitch>>,
}

impl MixedDecision {
    /// Remembers what a letter says of proposals and Readys; says whether that is news.
    fn note(&mut self, letter: &Letter) -> bool {
        let mut is_news = false;
        for part in letter.packet.parts.iter() {
            match part {
                Part::NewView(proposed) => self.view = Some(proposed.view.clone()),
                Part::Ready(ready)
                    if self.readys.len() < READYS_MAX && !self.readys.contains(ready) =>
                {
                    self.readys.push(ready.clone());
                    is_news = true;
                }
                _ => {}
            }
        }
        is_news
    }

    /// One Ready of each signer for the newest view, of whatever attempt.
    fn decision(&self, quorum: usize) -> Option<Decision> {
        let view = self.view.clone()?;
        let id = view.id();
        let mut readys: Vec<Signed<ReadyToSwitch>> = Vec::new();
        for ready in self.readys.iter().filter(|ready| ready.statement.next == id) {
            if !readys.iter().any(|known| known.signer == ready.signer) {
                readys.push(ready.clone());
            }
        }
        readys.sort_by_key(|ready| ready.signer);
        readys.truncate(quorum);
        let first = readys.first()?.statement.attempt;
        let is_mixed = readys.iter().any(|ready| ready.statement.attempt != first);
        let is_short = readys.len() < quorum;
        (is_mixed || is_short).then(|| Decision { view, readys: readys.into() })
    }
}

impl Act for MixedDecision {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        self.note(&letter);
        stage.post(&letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        let quorum = stage.puppet.roster.quorum().q();
        if self.note(letter)
            && let Some(decision) = self.decision(quorum)
        {
            stage.post_to_all(&[Part::Decision(Box::new(decision))]);
            stage.fire();
        }
        false
    }
}
