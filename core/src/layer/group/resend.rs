//! What was said in the present attempt is said again, for those who missed it (R11 of protocol.md
//! section 9).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Group, Out, Own};
use crate::seq::Attempt;
use crate::time::Time;
use crate::wire::Part;

impl Own {
    /// The newest attempt whose Acks were announced here.
    pub(super) fn commit_attempt(&self) -> Option<Attempt> {
        self.commit.as_ref().map(|commit| commit.signed.statement.attempt)
    }

    /// Everything that belongs to this attempt, and the Flush.
    fn parts(&self, attempt: Attempt) -> Vec<Part> {
        let flush = self.flush.as_deref().map(|m| Part::Flush(Box::new(m.clone())));
        let more = self.more.as_deref().filter(|m| m.signed.statement.attempt == attempt);
        let proposed = self.proposed.as_deref().filter(|m| m.signed.statement.attempt == attempt);
        let ack = self.ack.as_ref().filter(|ack| ack.attempt == attempt);
        let commit = self.commit.as_deref().filter(|m| m.signed.statement.attempt == attempt);
        let ready = self.ready.as_ref().filter(|ready| ready.attempt == attempt);
        let parts = [
            flush,
            more.map(|m| Part::NeedMoreChange(Box::new(m.clone()))),
            proposed.map(|m| Part::NewView(Box::new(m.clone()))),
            ack.map(|ack| Part::Ack(ack.signed().as_ref().clone())),
            commit.map(|m| Part::Commit(Box::new(m.clone()))),
            ready.map(|ready| Part::Ready(ready.signed().as_ref().clone())),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl Group {
    pub(super) fn on_resend(&mut self, now: Time, out: &mut Vec<Out>) {
        if !self.resend.fires(now) {
            return;
        }
        for part in self.own.parts(self.attempt) {
            self.post(part, out);
        }
        if let Some(attempt) = self.unknown_view() {
            self.post(Part::AskNewView(attempt), out);
        }
    }
}
