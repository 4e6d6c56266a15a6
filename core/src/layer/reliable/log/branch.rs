//! Which branch of a log is kept, if its sender wrote more than one (RM1, RM2, RM7).
//!
//! Two cells with a gap between them may lie on two branches. So a cell is *certain* only if it is
//! linked to a certified head, body by body or by the links of an answer. Among cells in doubt the
//! first stays; what is certain displaces what is not; and two certain ones that conflict show
//! that more than `f` members lie.

use super::{Accepted, Anchored, Log, Pinned};
use crate::crypto::{Hash32, Head};
use crate::seq::Number;

impl Log {
    pub(super) fn is_certain(&self, number: Number) -> bool {
        number <= self.sure || self.cell(number).is_some_and(|cell| cell.is_certain)
    }

    /// Whether this head is certified, or leads to one that is.
    pub(in super::super) fn is_proven(&self, head: &Head) -> bool {
        let is_highest = head.number == self.certified.number;
        (is_highest || self.is_certain(head.number)) && self.is_on_chain(head)
    }

    /// The sender wrote another body at `number` than the one that is kept here.
    pub(in super::super) fn note_fork(&mut self, number: Number) {
        if self.parted.is_none() {
            self.parted = self.own_heads(number).cloned();
        }
    }

    /// Enters `way`, heads each linked to the next, lowest first, if it leads to a certified head or
    /// to the newest one that the sender signed: `is_signed` says so of the last. Only what is
    /// certain displaces what is kept.
    pub(in super::super) fn enter(
        &mut self,
        way: &[Head],
        is_signed: bool,
        limit: Number,
    ) -> Accepted {
        let proven = way.iter().rposition(|head| self.is_proven(head));
        let proven = proven.map_or(0, |index| index.saturating_add(1));
        let (proven, signed) = way.split_at_checked(proven).unwrap_or((way, &[]));
        if !self.prove(proven, limit) {
            return Accepted::Alarm;
        }
        let is_covered = is_signed || signed.last().is_some_and(|tip| self.is_on_chain(tip));
        let parts =
            |head: &&Head| self.hash_at(head.number).is_some_and(|known| known != head.hash);
        let parting = signed.iter().find(parts).map(|head| head.number);
        match parting {
            Some(number) if is_signed => self.note_fork(number),
            None if is_covered => {
                for head in signed {
                    let _: Anchored = self.anchor(head, None, limit);
                }
            }
            Some(_) | None => {}
        }
        let is_entered = !proven.is_empty() || (is_covered && parting.is_none());
        if is_entered { Accepted::Yes } else { Accepted::No }
    }

    /// Enters heads that lead up to one that is certain; `false` shows two certified branches.
    pub(in super::super) fn prove(&mut self, way: &[Head], limit: Number) -> bool {
        let base = self.base.number;
        way.iter().filter(|head| head.number > base && head.number <= limit).all(|head| {
            self.reach(head.number);
            self.make_certain(head).is_some() && self.spread(head.number) != Accepted::Alarm
        })
    }

    /// A body at `number` names the head before it.
    pub(super) fn link_down(&mut self, number: Number, prev: Hash32) -> Accepted {
        if self.is_certain(number) {
            return self.spread(number);
        }
        let before = number.prev();
        match self.hash_at(before) {
            Some(known) if known == prev => Accepted::Yes,
            None => {
                if let Some(cell) = self.cell_mut(before) {
                    cell.hash = Some(prev);
                }
                Accepted::Yes
            }
            // The sender forked, and the branch below came first.
            Some(_) => {
                self.note_fork(before);
                self.forget_above(before);
                Accepted::No
            }
        }
    }

    /// What a certain body names is certain too, down to what is certified and held.
    pub(super) fn spread(&mut self, from: Number) -> Accepted {
        let mut number = from;
        while let Some(prev) = self.body(number).map(|body| body.prev) {
            let head = Head { sender: self.sender, number: number.prev(), hash: prev };
            match self.make_certain(&head) {
                Some(true) => number = head.number,
                Some(false) => return Accepted::Yes,
                None => return Accepted::Alarm,
            }
        }
        Accepted::Yes
    }

    /// This head lies on the certified chain, whatever was kept in its place. Returns whether that
    /// is news, or `None` if another one is certain there: two certified branches.
    pub(super) fn make_certain(&mut self, head: &Head) -> Option<bool> {
        if head.number == self.base.number {
            self.root(*head);
        }
        if self.is_certain(head.number) {
            let known = self.hash_at(head.number);
            return (known.is_none_or(|known| known == head.hash)).then_some(false);
        }
        let fits = self.cell(head.number)?.hash.is_none_or(|known| known == head.hash);
        if !fits {
            // The branch that was kept is not the certified one. Where it parted is not known, so
            // all that is not certain is fetched anew.
            self.note_fork(head.number);
            self.forget_above(self.sure);
            self.reach(head.number);
        }
        if let Some(cell) = self.cell_mut(head.number) {
            cell.hash = Some(head.hash);
            cell.is_certain = true;
        }
        Some(true)
    }

    /// Forgets everything above `last` that is not certain.
    pub(super) fn forget_above(&mut self, last: Number) {
        let last = last.max(self.base.number);
        self.cut_top(last);
        let mut number = last;
        while number < self.base.number.plus(self.cells.len() as u64) {
            number = number.next();
            if !self.is_certain(number) {
                let freed = self.cell_mut(number).and_then(|cell| core::mem::take(cell).body);
                self.release(freed);
            }
        }
        while self.cells.back().is_some_and(|cell| cell.hash.is_none()) {
            self.cells.pop_back();
        }
        self.votes.unlink_above(last);
    }

    /// Enters a certified head. `limit` is the highest number for which a cell is made.
    pub(in super::super) fn pin(&mut self, head: Head, limit: Number) -> Pinned {
        let is_higher = head.number > self.certified.number;
        if head.number == self.certified.number && head.hash != self.certified.hash {
            return Pinned::Alarm;
        }
        if !is_higher && self.is_certain(head.number) {
            let fits = self.hash_at(head.number).is_none_or(|known| known == head.hash);
            return if fits { Pinned::Known } else { Pinned::Alarm };
        }
        if !self.prove(&[head], limit) {
            return Pinned::Alarm;
        }
        if is_higher {
            self.certified = head;
        }
        self.root(head);
        Pinned::News
    }

    /// The window moved: the highest certified head may lie inside it now.
    pub(in super::super) fn enter_certified(&mut self, limit: Number) {
        if self.certified.number > self.sure {
            let head = self.certified;
            // A cell above the window held nothing, so nothing conflicts.
            let _: bool = self.prove(&[head], limit);
        }
    }

    /// Counts the newest votes that turned out to lie on the chain, if cells changed.
    pub(in super::super) fn relink_votes(&mut self) {
        if !core::mem::replace(&mut self.has_new_links, false) {
            return;
        }
        for signer in self.haves.ranks() {
            for head in self.votes.unlinked(signer) {
                if self.is_linked(&head) {
                    self.votes.link(signer, head.number);
                }
            }
            self.votes.wait_above(signer, self.top.number);
        }
    }
}
