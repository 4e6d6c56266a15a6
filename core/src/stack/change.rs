//! From the first suspicion to the end of the view: layer Group among the others (protocol.md
//! sections 9 and 10).

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::{Decided, Stack, Step};
use crate::crypto::{Hash32, Leave, Reason};
use crate::fault::LinkFault;
use crate::layer::group::{self, Group};
use crate::layer::vsync;
use crate::layer::{Post, To, reliable, suspect, top_appl};
use crate::member::Rank;
use crate::output::{Event, Exclusion, Refusal};
use crate::time::{Time, earliest};
use crate::view::{Departure, View};
use crate::wire::Part;
use crate::wire::change::Decision;

/// How the present view ends, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The next view whose cut is being collected.
    collecting: Option<Hash32>,
    /// The decision, and until when bodies of its cut are waited for.
    decided: Option<(Box<Decision>, Time)>,
}

impl Stack {
    /// When a Tick is owed to what ends the view.
    pub(super) fn ending_deadline(&self) -> Option<Time> {
        let group = self.group.as_ref().and_then(Group::deadline);
        let waiting = self.ending.decided.as_ref().map(|(_, until)| *until);
        earliest(earliest(group, waiting), self.vsync.deadline())
    }

    /// The view is installed: says so.
    pub(crate) fn begin(&mut self, step: &mut Step<'_>) {
        let post = self.vsync.begin(&mut step.cx);
        step.posts.extend(post);
    }

    /// Takes what a member says about the next view.
    pub(super) fn on_change_part(
        &mut self,
        step: &mut Step<'_>,
        from: Rank,
        part: Part,
    ) -> Result<(), LinkFault> {
        let input = match part {
            Part::Leave(said) => group::In::Leave(said),
            Part::Recommend(message) => group::In::Recommend(message),
            Part::Flush(message) => group::In::Flush(message),
            Part::NeedMoreChange(message) => group::In::NeedMoreChange(message),
            Part::NewView(message) => group::In::NewView(message),
            Part::Ack(ack) => group::In::Ack(ack),
            Part::Commit(message) => group::In::Commit(message),
            Part::Ready(ready) => group::In::Ready(ready),
            Part::Decision(decision) => group::In::Decision(decision),
            Part::AskNewView(attempt) => group::In::AskNewView(from, attempt),
            Part::Installed(said) => {
                if self.vsync.wants(&said) {
                    let said = step.cx.door.verify(step.cx.roster, said)?;
                    self.run_vsync(step, vsync::In::Said(said));
                }
                return Ok(());
            }
            Part::AskInstalled(member) => {
                self.run_vsync(step, vsync::In::Ask(from, member));
                return Ok(());
            }
            Part::Heads(_)
            | Part::Certificate(_)
            | Part::Body(_)
            | Part::Stable(_)
            | Part::Suspect(_)
            | Part::Proof(_)
            | Part::Fetch { .. }
            | Part::AskRow { .. }
            | Part::AskSlot { .. }
            | Part::Transfer(_)
            | Part::Pt2pt(_) => return Ok(()),
        };
        self.run_group(step, input)
    }

    pub(super) fn run_vsync(&mut self, step: &mut Step<'_>, input: vsync::In) {
        for out in self.vsync.step(step.cx.now, input) {
            match out {
                vsync::Out::Post(post) => step.posts.push(post),
                vsync::Out::NotInstalled(member) => {
                    self.run_suspect(step, suspect::In::Opinion(member, Reason::NotInstalled));
                }
            }
        }
    }

    /// One step of layer Group, if the membership is managed.
    pub(super) fn run_group(
        &mut self,
        step: &mut Step<'_>,
        input: group::In,
    ) -> Result<(), LinkFault> {
        let mut verdict = Ok(());
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(group) = &mut self.group else { return Ok(()) };
            for out in group.step(&mut step.cx, input) {
                match out {
                    group::Out::Post(post) => step.posts.push(post),
                    group::Out::Freeze => inputs.push_back(self.freeze(step)),
                    group::Out::Learned(said) => {
                        self.run_suspect(step, suspect::In::Suspect(said));
                    }
                    group::Out::Certified(bytes, proof) => {
                        self.run_reliable(step, reliable::In::Certificate(bytes, proof));
                    }
                    group::Out::Collect(next, cut) => {
                        self.ending.collecting = Some(next);
                        self.run_reliable(step, reliable::In::Collect(&cut));
                    }
                    group::Out::Opinion(member, reason) => {
                        self.run_suspect(step, suspect::In::Opinion(member, reason));
                    }
                    group::Out::Proof(proof) => {
                        self.run_suspect(step, suspect::In::Proof(proof));
                    }
                    group::Out::Abandoned(attempt) => {
                        step.event(Event::TransitionalView { attempt });
                    }
                    group::Out::Decided(decision) => self.on_decided(step, decision),
                    group::Out::Misbehaved(why) => verdict = Err(why),
                }
            }
        }
        verdict
    }

    /// R0: nothing new is said in this view.
    fn freeze(&mut self, step: &mut Step<'_>) -> group::In {
        step.event(Event::Block);
        self.total.freeze();
        group::In::Frozen(self.reliable.freeze())
    }

    /// The next view is known: its cut is collected, unless this process is not in it.
    fn on_decided(&mut self, step: &mut Step<'_>, decision: Box<Decision>) {
        if let Some(why) = self.absence(&decision.view) {
            step.decided = Some(Decided::Exclude(Exclusion::Departed(why), decision));
            return;
        }
        let next = decision.view.id();
        if self.ending.collecting != Some(next) {
            self.ending.collecting = Some(next);
            self.total.freeze();
            self.run_reliable(step, reliable::In::Collect(&decision.view.cut));
        }
        let until = step.cx.now.plus(self.retain_us);
        self.ending.decided = Some((decision, until));
    }

    /// Why this process is not in the next view, if it is not.
    fn absence(&self, next: &View) -> Option<Departure> {
        let me = self.view.member(self.me)?;
        let is_listed = next
            .members
            .iter()
            .any(|member| (member.key, member.incarnation) == (me.key, me.incarnation));
        let departed = next.departed.iter().find(|(rank, _)| *rank == self.me);
        (!is_listed).then(|| departed.map_or(Departure::Opinion, |(_, why)| *why))
    }

    /// Draws the conclusions of a step for the end of the view.
    pub(crate) fn conclude(&mut self, step: &mut Step<'_>) {
        if step.decided.is_some() {
            return;
        }
        if let Some(next) = self.ending.collecting
            && self.reliable.is_collected()
        {
            // It comes from this process itself: nobody is to blame for it.
            let _: Result<(), LinkFault> = self.run_group(step, group::In::Collected(next));
        }
        let Some((decision, until)) = self.ending.decided.take() else { return };
        if self.reliable.is_collected() {
            self.close(step);
            step.decided = Some(Decided::Install(decision));
        } else if step.cx.now >= until {
            step.decided = Some(Decided::Exclude(Exclusion::Overtaken, decision));
        } else {
            self.ending.decided = Some((decision, until));
        }
    }

    /// Delivers what is left of the cut: first the Fifo casts, then the Total casts in the order of
    /// their slots.
    fn close(&mut self, step: &mut Step<'_>) {
        let remainder = self.reliable.close();
        for body in &remainder {
            let view = self.view.number;
            top_appl::deliver(view, body, crate::Order::Fifo, None, step.outputs);
        }
        let outs = self.total.close(&remainder);
        let below = self.route_total(step, outs);
        self.route_reliable(step, below);
    }

    /// This process wants to leave the group.
    pub(super) fn leave_group(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        if self.group.is_none() || self.view.members.len() == 1 {
            return Err(Refusal::LastMember);
        }
        if core::mem::replace(&mut self.is_leaving, true) {
            return Err(Refusal::AlreadyDone);
        }
        let said = step.cx.door.sign(step.cx.roster, self.me, Leave);
        let said = said.signed().as_ref().clone();
        step.posts.push(Post::part(To::All, Part::Leave(said.clone())));
        // Its own word is a good one.
        let _: Result<(), LinkFault> = self.run_group(step, group::In::Leave(said));
        Ok(())
    }
}
