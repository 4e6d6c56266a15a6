//! The jump of a Silenced member to the stability threshold (protocol.md section 8, "what lies under
//! the proven stability threshold counts as held for its votes").
//!
//! Nobody waits for its row, so bodies that it has not got may be stable and gone. It gives them up
//! and goes on above them, as a voter that delivers nothing. That is safe: all Active members, and
//! a quorum in all, signed that they hold what it skips. So any quorum of Flushes covers it without
//! this member, and nobody needs it from here.
//!
//! So the others keep nothing for it here. What it may miss is without bound, and a liar would say
//! that it misses all; its votes need but the hash at the threshold, and what it is to deliver it
//! takes from a state. Bodies of a view that is over are another matter: those are kept for it, for
//! `retain_us` and within bounds, since who was silenced as the view ended has a hole in its cut only.
//!
//! Which hash the log has at the threshold is not known at first. Until a certificate tells, or a
//! certified body names it, the base is not *rooted*: nothing stands on it. The last slot below it
//! stays unknown until a body above settles one. A liar could win the votes of such members for a
//! body whose slot is illegal, but no certificate: of a quorum that held all below, too many are
//! correct.

use super::Log;
use crate::crypto::Head;

impl Log {
    /// Gives up what lies under the stability threshold; `false` if it is held.
    pub(in super::super) fn jump(&mut self) -> bool {
        let last = self.threshold;
        if self.sure >= last || self.base.number >= last {
            return false;
        }
        let hash = self.hash_at(last).filter(|_| self.is_known(last));
        while self.base.number < last {
            let freed = self.cells.pop_front().and_then(|cell| cell.body);
            self.release(freed);
            if self.cells.is_empty() {
                self.base.number = last;
            } else {
                self.base.number = self.base.number.next();
            }
        }
        self.is_rooted = false;
        self.is_stuck = false;
        (self.base_round, self.next_round) = (None, None);
        self.top = self.base;
        self.unmerged.clear();
        self.votes.unlink_above(self.sure);
        if let Some(hash) = hash {
            self.root(Head { hash, ..self.base });
        }
        true
    }

    /// Whether the hash at this number lies on the certified chain.
    fn is_known(&self, number: crate::seq::Number) -> bool {
        number == self.certified.number || self.is_certain(number)
    }

    /// A certified head, or what leads to one: if it is where this member jumped to, the log goes on
    /// from there.
    pub(super) fn root(&mut self, head: Head) {
        if self.is_rooted || head.number != self.base.number {
            return;
        }
        self.is_rooted = true;
        self.base = head;
        self.top = head;
        self.sure = head.number;
        self.deliverable = self.deliverable.max(head.number);
        if self.replied.number <= head.number {
            self.replied = head;
        }
        self.has_new_links = true;
    }
}
