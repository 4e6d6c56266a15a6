//! Changes one field of one part, and signs it anew where the signature is the liar's own.

use phalanx_core::crypto::{Certificate, Hash32, Head, Locked, NewView, Signed, Statement};
use phalanx_core::wire::change::{
    Certificates, Committed, Decision, Flushed, Justification, NeedsMore, Proposed, acks_hash,
};
use phalanx_core::wire::{BodyHead, Part, Pt2ptPart};
use phalanx_core::{Attempt, LogEnd, Number, Rank, Round, SlotMark, Status, View};

use super::puppet::Puppet;
use crate::scenario::Scope;

/// One change.
#[derive(Debug)]
pub(super) struct Mutation<'a> {
    pub(super) puppet: &'a mut Puppet,
    pub(super) scope: Scope,
    /// Hashes that were in the same place before.
    pub(super) earlier: &'a [Hash32],
}

impl Mutation<'_> {
    fn choice(&mut self, count: u64) -> u64 {
        self.puppet.dice.below(count)
    }

    fn value(&mut self, value: u64) -> u64 {
        match self.scope {
            Scope::Small if self.puppet.dice.once_in(2) => value.saturating_add(1),
            Scope::Small => value.saturating_sub(1),
            Scope::Any => self.puppet.dice.any() >> self.puppet.dice.below(64),
        }
    }

    fn number(&mut self, number: &mut Number) {
        *number = Number::new(self.value(number.value()));
    }

    fn attempt(&mut self, attempt: &mut Attempt) {
        let value = self.value(u64::from(attempt.value()));
        *attempt = Attempt::new(u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn hash(&mut self, hash: &mut Hash32) {
        let at = self.puppet.dice.index(self.earlier.len());
        *hash = match (self.scope, self.earlier.get(at)) {
            (Scope::Small, Some(earlier)) => *earlier,
            _ => self.puppet.any_hash(),
        };
    }

    fn rank(&mut self, rank: &mut Rank) {
        let n = self.puppet.n();
        let small = rank.index().saturating_add(1).checked_rem(n).unwrap_or(0);
        let at = if self.scope == Scope::Small { small } else { self.puppet.dice.index(n) };
        *rank = Rank::all(n).nth(at).unwrap_or_default();
    }

    /// Signs a statement anew if it is the liar's own; otherwise it stays as it was.
    fn sign<S: Statement + Clone>(&mut self, signed: &mut Signed<S>, statement: S) {
        if signed.signer == self.puppet.me
            && let Some(anew) = self.puppet.sign(signed.signer, statement)
        {
            *signed = anew;
        }
    }

    /// Changes a part.
    pub(super) fn part(&mut self, part: &mut Part) {
        match part {
            Part::Heads(heads) => {
                let mut statement = heads.statement.clone();
                self.heads(statement.entries.as_mut_vec());
                self.sign(heads, statement);
            }
            Part::Stable(row) => {
                let mut statement = row.statement.clone();
                let have = statement.have.as_mut_vec();
                let at = self.puppet.dice.index(have.len().saturating_add(1));
                match have.get_mut(at) {
                    Some(have) => self.number(have),
                    None => statement.counter = self.value(statement.counter),
                }
                self.sign(row, statement);
            }
            Part::Suspect(suspect) => {
                let mut statement = suspect.statement.clone();
                self.rank(&mut statement.subject);
                self.sign(suspect, statement);
            }
            Part::Body(body) => self.body(body),
            Part::Certificate(certificate) => self.certificate(certificate),
            Part::Fetch { sender, from, to } => match self.choice(3) {
                0 => self.rank(sender),
                1 => self.number(from),
                _ => self.number(to),
            },
            Part::AskRow { above, .. } => *above = self.value(*above),
            Part::AskSlot { round, .. } => *round = Round::new(self.value(round.value())),
            Part::Pt2pt(Pt2ptPart::Data { number, .. }) => *number = self.value(*number),
            Part::AskNewView(attempt) => self.attempt(attempt),
            Part::AskInstalled(member) => self.rank(member),
            other => self.of_change(other),
        }
    }

    fn heads(&mut self, entries: &mut Vec<Head>) {
        let at = self.puppet.dice.index(entries.len());
        let choice = self.choice(4);
        if choice == 0 && entries.len() > 1 {
            entries.remove(at);
            return;
        }
        let Some(head) = entries.get_mut(at) else { return };
        match choice {
            1 => self.hash(&mut head.hash),
            2 => self.rank(&mut head.sender),
            _ => self.number(&mut head.number),
        }
        // In legal order, so that it is not only malformed.
        entries.sort_by_key(|head| head.sender);
        entries.dedup_by_key(|head| head.sender);
    }

    fn body(&mut self, body: &mut BodyHead) {
        match self.choice(4) {
            0 => self.number(&mut body.number),
            1 => self.hash(&mut body.prev),
            2 => self.rank(&mut body.sender),
            _ => {
                body.slot = match body.slot {
                    SlotMark::None => SlotMark::Null(Round::ZERO),
                    SlotMark::Value(round) => {
                        SlotMark::Value(Round::new(self.value(round.value())))
                    }
                    SlotMark::Null(round) => SlotMark::Null(Round::new(self.value(round.value()))),
                };
            }
        }
    }

    fn certificate(&mut self, certificate: &mut Certificate) {
        match self.choice(4) {
            0 => self.number(&mut certificate.head.number),
            1 => self.hash(&mut certificate.head.hash),
            2 => drop(certificate.heads.as_mut_vec().pop()),
            _ => drop(certificate.links.as_mut_vec().pop()),
        }
    }

    fn certificates(&mut self, certificates: &mut Certificates) {
        let at = self.puppet.dice.index(certificates.covered.len());
        let choice = self.choice(4);
        let covered = certificates.covered.as_mut_vec();
        match (choice, covered.get_mut(at)) {
            (0, Some(_)) => drop(covered.remove(at)),
            (1, Some(covered)) => self.number(&mut covered.head.number),
            (2, Some(covered)) => drop(covered.places.as_mut_vec().pop()),
            (_, Some(covered)) => drop(covered.links.as_mut_vec().pop()),
            (_, None) => {}
        }
    }

    fn end(&mut self, ends: &mut [LogEnd]) {
        let at = self.puppet.dice.index(ends.len());
        let is_number = self.puppet.dice.once_in(2);
        match ends.get_mut(at) {
            Some(end) if is_number => self.number(&mut end.number),
            Some(end) => self.hash(&mut end.hash),
            None => {}
        }
    }

    fn view(&mut self, view: &mut View) {
        let at = self.puppet.dice.index(view.members.len());
        match self.choice(5) {
            0 => view.number = self.value(view.number),
            1 => drop(view.departed.as_mut_vec().pop()),
            2 => view.members.truncate(view.members.len().saturating_sub(1)),
            3 => {
                let mut member = view.members.get_mut(at);
                member.iter_mut().for_each(|member| {
                    member.status = match member.status {
                        Status::Active => Status::Silenced,
                        Status::Silenced => Status::Active,
                    };
                });
            }
            _ => self.end(view.cut.as_mut_vec()),
        }
    }

    fn of_change(&mut self, part: &mut Part) {
        match part {
            Part::Flush(flushed) => self.flush(flushed),
            Part::NeedMoreChange(more) => self.need_more(more),
            Part::NewView(proposed) => self.proposal(proposed),
            Part::Ack(ack) => {
                let mut statement = ack.statement.clone();
                match self.choice(2) {
                    0 => self.attempt(&mut statement.attempt),
                    _ => self.hash(&mut statement.next),
                }
                self.sign(ack, statement);
            }
            Part::Commit(commit) => self.commit(commit),
            Part::Ready(ready) => {
                let mut statement = ready.statement.clone();
                match self.choice(2) {
                    0 => self.attempt(&mut statement.attempt),
                    _ => self.hash(&mut statement.next),
                }
                self.sign(ready, statement);
            }
            Part::Decision(decision) => self.decision(decision),
            Part::Installed(installed) => {
                let mut statement = installed.statement.clone();
                self.hash(&mut statement.prev);
                self.sign(installed, statement);
            }
            // Signed by those that they are about, or without a field that matters.
            _ => {}
        }
    }

    fn flush(&mut self, flushed: &mut Flushed) {
        let mut statement = flushed.signed.statement.clone();
        match self.choice(4) {
            0 => drop(statement.changes.as_mut_vec().pop()),
            1 => self.certificates(&mut flushed.certificates),
            2 => drop(flushed.grounds.suspects.as_mut_vec().pop()),
            _ => self.end(statement.ends.as_mut_vec()),
        }
        if statement != flushed.signed.statement {
            self.sign(&mut flushed.signed, statement);
        }
    }

    fn need_more(&mut self, more: &mut NeedsMore) {
        let mut statement = more.signed.statement.clone();
        match (self.choice(3), statement.lock) {
            (0, _) => self.attempt(&mut statement.attempt),
            (1, Some(_)) => (statement.lock, more.lock) = (None, None),
            (_, Some(mut lock)) => {
                self.attempt(&mut lock.attempt);
                statement.lock = Some(lock);
            }
            (_, None) => {
                let mut next = *self.puppet.roster.view();
                self.hash(&mut next);
                statement.lock = Some(Locked { attempt: Attempt::FIRST, next });
            }
        }
        self.sign(&mut more.signed, statement);
    }

    fn proposal(&mut self, proposed: &mut Proposed) {
        if proposed.signed.signer != self.puppet.me {
            return;
        }
        let mut attempt = proposed.signed.statement.attempt;
        match (self.choice(4), &mut proposed.justification) {
            (0, _) => self.attempt(&mut attempt),
            (1, Justification::Fresh { flushes, .. }) => drop(flushes.as_mut_vec().pop()),
            (2, Justification::Fresh { certificates, .. }) => self.certificates(certificates),
            (1, Justification::Relock { more, .. }) => drop(more.as_mut_vec().pop()),
            (2, Justification::Relock { acks, .. }) => drop(acks.as_mut_vec().pop()),
            _ => self.view(&mut proposed.view),
        }
        let justification = proposed.justification.hash();
        let statement = NewView { attempt, next: proposed.view.id(), justification };
        self.sign(&mut proposed.signed, statement);
    }

    fn commit(&mut self, commit: &mut Committed) {
        let mut statement = commit.signed.statement.clone();
        match self.choice(3) {
            0 => self.attempt(&mut statement.attempt),
            1 => self.hash(&mut statement.next),
            _ => {
                commit.acks.as_mut_vec().pop();
                statement.acks = acks_hash(&commit.acks);
            }
        }
        self.sign(&mut commit.signed, statement);
    }

    fn decision(&mut self, decision: &mut Decision) {
        match self.choice(2) {
            0 => drop(decision.readys.as_mut_vec().pop()),
            _ => self.view(&mut decision.view),
        }
    }
}
