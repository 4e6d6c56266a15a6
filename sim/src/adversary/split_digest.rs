//! Split digest: two branches of the liar's own log, one for each half of a division of the
//! members, each with the signatures of all fellow liars.
//!
//! It tries to have both branches certified and delivered (F1, D1-D4). It must fail: two quorums
//! share a correct member, and that one replies on one branch only (Q1, RM2). With the paper's
//! 2f+1 at n != 3f+1, or with more than f liars, it succeeds: that is how the oracles are shown to
//! be able to fail.
//!
//! Verdict: proven (RM7), as soon as the halves talk.

use phalanx_core::crypto::Head;
use phalanx_core::wire::Part;
use phalanx_core::{Number, Rank};

use super::act::{Act, Stage};
use super::fork::{Change, Fork};
use super::puppet::{Letter, Puppet};

/// The strategy. Victims see the second branch.
#[derive(Debug)]
pub(super) struct SplitDigest {
    fork: Fork,
    first_branch: Option<Head>,
    /// Up to where the second branch was finished.
    finished: Number,
}

impl SplitDigest {
    pub(super) fn new(puppet: &mut Puppet) -> Self {
        // Fellow liars draw their own places; the division is common to all of them.
        let first = Number::new(puppet.dice.below(3).saturating_add(1));
        Self {
            fork: Fork::new(puppet.me, first, Change::Casts),
            first_branch: None,
            finished: Number::ZERO,
        }
    }

    /// The newest head of the branch that a member is shown.
    fn newest_for(&self, puppet: &Puppet, to: Rank) -> Option<Head> {
        if puppet.is_victim(to) { self.fork.newest() } else { self.first_branch }
    }

    fn learn(&mut self, puppet: &Puppet, letter: &Letter) {
        self.fork.learn(puppet, letter);
        for part in letter.packet.parts.iter() {
            if let Part::Heads(heads) = part
                && heads.signer == puppet.me
                && let Some(own) = heads.statement.entry(puppet.me)
                && self.first_branch.is_none_or(|head| head.number < own.number)
            {
                self.first_branch = Some(*own);
            }
        }
    }

    /// Moves a letter to the branch of its receiver.
    pub(super) fn shape(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) {
        self.learn(stage.puppet, letter);
        let to = letter.peer;
        if stage.puppet.is_victim(to) && self.fork.branch_off(stage.puppet, letter) {
            stage.fire();
        }
        if let Some(newest) = self.newest_for(stage.puppet, to) {
            back_up(stage.puppet, letter, newest);
        }
    }

    /// Collects replies to the second branch, and plays the paper's final phase for it: the body
    /// double knows only the first.
    pub(super) fn hear(&mut self, stage: &mut Stage<'_>, letter: &Letter) {
        self.fork.listen(letter);
        if !stage.puppet.is_victim(letter.peer) {
            return;
        }
        let Some(certificate) = self.fork.certificate(stage.puppet) else { return };
        let head = certificate.head;
        if head.number <= self.finished {
            return;
        }
        self.finished = head.number;
        for to in stage.puppet.victims() {
            let part = Part::Certificate(certificate.clone());
            let mut final_phase = stage.puppet.letter(to, vec![part], &[]);
            stage.puppet.claim(&mut final_phase, head.sender, head.number);
            stage.post(&final_phase);
        }
    }
}

impl Act for SplitDigest {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        self.shape(stage, &mut letter);
        stage.post(&letter);
    }

    fn is_listening(&self) -> bool {
        true
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        self.hear(stage, letter);
        false
    }
}

/// Adds the fellow liars' replies to a letter with a digest, and claims to hold what it says.
fn back_up(puppet: &mut Puppet, letter: &mut Letter, newest: Head) {
    let me = puppet.me;
    let has_digest = letter.packet.parts.iter().any(
        |part| matches!(part, Part::Heads(h) if h.signer == me && h.statement.entry(me).is_some()),
    );
    if has_digest {
        let fellows: Vec<Rank> = puppet.liars.iter().copied().filter(|liar| *liar != me).collect();
        for fellow in fellows {
            if let Some(heads) = puppet.sign_heads(fellow, vec![newest]) {
                letter.parts_mut().insert(0, Part::Heads(heads));
            }
        }
    }
    puppet.claim(letter, me, newest.number);
}
