//! Which parts of a packet cost their sender something, and how much (see `work`): whatever makes
//! this member check signatures and leads to nothing that bounds how often.

use alloc::vec::Vec;

use super::work::Fate;
use super::{Stack, Step};
use crate::crypto::{Reason, Signed, Stable as Row};
use crate::fault::LinkFault;
use crate::layer::bottom::Inbound;
use crate::layer::{stable, suspect};
use crate::member::Rank;
use crate::seq::Number;
use crate::wire::Part;

/// What bounds the signature checks that a part takes (see `work`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pledge {
    /// There are none, or what they may bring is bounded.
    Free,
    /// It certifies more of this log than up to here, or else it is charged.
    Certifies(Rank, Number),
    /// Nothing.
    Nothing,
}

impl Stack {
    /// Hands a part to its layer, unless its sender has made this member check too much in vain.
    pub(super) fn on_part_in_budget(
        &mut self,
        step: &mut Step<'_>,
        inbound: &Inbound<'_>,
        part: Part,
    ) -> Result<(), LinkFault> {
        let (now, from) = (step.cx.now, inbound.from);
        let pledge = self.pledge_of(&part);
        if pledge == Pledge::Free {
            return self.on_part(step, inbound, part);
        }
        if !self.work.may_check(now, from) {
            self.drop_part(step, from);
            return Ok(());
        }
        let before = step.cx.door.counters().verifications;
        let verdict = self.on_part(step, inbound, part);
        let checks = step.cx.door.counters().verifications.saturating_sub(before);
        let is_news = match pledge {
            Pledge::Certifies(sender, known) => self.reliable.certified(sender) > known,
            Pledge::Free | Pledge::Nothing => false,
        };
        if checks > 0 && !is_news {
            self.work.charge(from, checks);
        }
        verdict
    }

    /// What bounds the checks that a part takes, as far as that can be told before it is read.
    fn pledge_of(&self, part: &Part) -> Pledge {
        match part {
            Part::Heads(heads) if self.reliable.is_near(heads) => Pledge::Free,
            Part::Certificate(certificate) => {
                let sender = certificate.head.sender;
                Pledge::Certifies(sender, self.reliable.certified(sender))
            }
            // No signatures; rows have accounts of their own; suspicions and Leaves are checked
            // once for each pair of members, and proofs once for each culprit and kind.
            Part::Body(_)
            | Part::Fetch { .. }
            | Part::AskRow { .. }
            | Part::AskSlot { .. }
            | Part::AskNewView(_)
            | Part::AskInstalled(_)
            | Part::RowCounters(_)
            | Part::Lacks { .. }
            | Part::Pt2pt(_)
            | Part::Stable(_)
            | Part::Suspect(_)
            | Part::Leave(_)
            | Part::Proof(_) => Pledge::Free,
            Part::Heads(_)
            | Part::Recommend(_)
            | Part::Flush(_)
            | Part::NeedMoreChange(_)
            | Part::NewView(_)
            | Part::Ack(_)
            | Part::Commit(_)
            | Part::Ready(_)
            | Part::Decision(_)
            | Part::Installed(_)
            | Part::Join(_)
            | Part::Transfer(_) => Pledge::Nothing,
        }
    }

    /// A part was dropped unread.
    fn drop_part(&mut self, step: &mut Step<'_>, from: Rank) {
        let dropped = &mut step.counters.dropped_over_budget;
        *dropped = dropped.saturating_add(1);
        if self.work.drop_part(step.cx.now, from) {
            self.run_suspect(step, suspect::In::Opinion(from, Reason::Flooding));
        }
    }

    /// A row from this member. Two that contradict each other are evidence, and wait for nothing.
    pub(super) fn on_row(
        &mut self,
        step: &mut Step<'_>,
        from: Rank,
        row: Signed<Row>,
    ) -> Result<(), LinkFault> {
        if !self.stable.wants(&row) {
            return Ok(());
        }
        let now = step.cx.now;
        if row.statement.counter <= self.stable.counter(row.signer) {
            if !self.work.may_check(now, from) {
                self.drop_part(step, from);
                return Ok(());
            }
            self.work.charge(from, 1);
            return self.check_row(step, row);
        }
        match self.work.on_row(now, from, row) {
            Fate::Check(row) => self.check_row(step, row),
            Fate::Wait { is_lost } => {
                if is_lost {
                    self.drop_part(step, from);
                }
                Ok(())
            }
        }
    }

    fn check_row(&mut self, step: &mut Step<'_>, row: Signed<Row>) -> Result<(), LinkFault> {
        let row = step.cx.door.verify(step.cx.roster, row)?;
        self.run_stable(step, stable::In::Row(row));
        Ok(())
    }

    /// Takes in the rows whose turn has come. Returns the members whose rows were mis-signed.
    pub(crate) fn take_rows(&mut self, step: &mut Step<'_>) -> Vec<(Rank, LinkFault)> {
        let mut faults = Vec::new();
        for row in self.work.take_rows(step.cx.now) {
            // They wait only if their signers sent them.
            let signer = row.signer;
            if self.stable.wants(&row)
                && let Err(why) = self.check_row(step, row)
            {
                faults.push((signer, why));
            }
        }
        faults
    }
}
