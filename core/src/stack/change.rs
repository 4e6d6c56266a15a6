//! From the first suspicion to the end of the view: layer Group among the others (protocol.md
//! sections 9 and 10).

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::{Decided, Stack, Step};
use crate::crypto::{Hash32, Installed, Leave, Reason, Signed};
use crate::fault::LinkFault;
use crate::input::Order;
use crate::layer::group::{self, Group};
use crate::layer::inter::Origin;
use crate::layer::vsync;
use crate::layer::{Context, Post, To, reliable, suspect};
use crate::member::{Rank, Status};
use crate::output::{Event, Exclusion, Refusal};
use crate::time::{Time, earliest};
use crate::view::{Departure, View};
use crate::wire::Part;
use crate::wire::change::Decision;

/// How the present view ends, as far as that is known.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The application was told that nothing new is agreed in this view.
    is_blocked: bool,
    /// The next view whose cut is being collected.
    collecting: Option<Hash32>,
    decided: Option<Waiting>,
}

/// The next view is decided, and the cut of the present one is not here.
#[derive(Debug)]
struct Waiting {
    decision: Box<Decision>,
    /// How long bodies of the cut are waited for.
    until: Time,
    /// The others have gone on even further: how long without progress, and what was here of the
    /// cut when that began.
    hurry: Option<(Time, u64)>,
}

impl Waiting {
    fn until(&self) -> Time {
        self.hurry.map_or(self.until, |(until, _)| until.min(self.until))
    }
}

impl Stack {
    /// When a Tick is owed to what ends the view.
    pub(super) fn ending_deadline(&self) -> Option<Time> {
        let group = self.group.as_ref().and_then(Group::deadline);
        let waiting = self.ending.decided.as_ref().map(Waiting::until);
        let rejoin = self.group.as_ref().and_then(|_| self.inter.deadline());
        earliest(rejoin, earliest(earliest(group, waiting), self.vsync.deadline()))
    }

    /// What waits for time to pass; nothing does as long as nothing changes.
    pub(super) fn on_ending_tick(&mut self, step: &mut Step<'_>) {
        let now = step.cx.now;
        if self.group.as_ref().and_then(Group::deadline).is_some_and(|due| due <= now) {
            // Nobody is to blame for the time.
            let _: Result<(), LinkFault> = self.run_group(step, group::In::Tick);
        }
        if self.vsync.deadline().is_some_and(|due| due <= now) {
            self.run_vsync(step, vsync::In::Tick);
        }
        self.say_leave(step);
    }

    /// The view is installed, after `before` if this process was a member of that: says so.
    pub(crate) fn begin(&mut self, step: &mut Step<'_>, before: Option<&View>) {
        let post = self.vsync.begin(&mut step.cx);
        step.posts.extend(post);
        self.begin_transfer(step, before);
        self.say_leave(step);
    }

    /// Takes what a member says about the next view.
    pub(super) fn on_change_part(
        &mut self,
        step: &mut Step<'_>,
        from: Rank,
        part: Part,
    ) -> Result<(), LinkFault> {
        let mut seconded = None;
        if let Part::Recommend(message) = &part {
            seconded = Some(Box::new(message.request.clone()));
        }
        if let Some(input) = group::In::of(from, part) {
            self.run_group(step, input)?;
        }
        if let Some(request) = seconded {
            self.on_join(step, Origin::Seconded, request);
        }
        Ok(())
    }

    /// Takes what a member says about who has installed the view.
    pub(super) fn on_installed(
        &mut self,
        step: &mut Step<'_>,
        said: Signed<Installed>,
    ) -> Result<(), LinkFault> {
        if self.vsync.wants(&said) {
            let said = step.cx.door.verify(step.cx.roster, said)?;
            step.installed.push(said.signer());
            self.run_vsync(step, vsync::In::Said(said));
        }
        Ok(())
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
        self.block(step);
        group::In::Frozen(self.reliable.freeze())
    }

    fn block(&mut self, step: &mut Step<'_>) {
        if !core::mem::replace(&mut self.ending.is_blocked, true) {
            step.event(Event::Block);
            self.total.freeze();
        }
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
            self.block(step);
            self.run_reliable(step, reliable::In::Collect(&decision.view.cut));
        }
        let until = step.cx.now.plus(self.cut_us);
        self.ending.decided = Some(Waiting { decision, until, hurry: None });
    }

    /// Whether the next view is decided, and the cut of this one is not here.
    pub(crate) const fn is_behind_a_view(&self) -> bool {
        self.ending.decided.is_some()
    }

    /// Whether no next view can have been decided, as far as that takes this member's word.
    pub(crate) fn is_settled(&self) -> bool {
        self.ending.decided.is_none() && self.group.as_ref().is_some_and(|group| group.is_settled())
    }

    /// The others have gone on from the next view, too, and do not keep for ever what was before it:
    /// once nobody hands over any more of the cut, it is not waited for.
    pub(crate) fn on_later(&mut self, step: &mut Step<'_>, later: &Decision) {
        let Some(waiting) = &mut self.ending.decided else { return };
        let next = &waiting.decision.view;
        if later.view.prev != next.id() || waiting.hurry.is_some() {
            return;
        }
        let Ok(roster) = next.roster(step.cx.door.identity().suite()) else { return };
        let mut cx = Context { now: step.cx.now, door: step.cx.door, roster: &roster };
        if group::is_decided(&mut cx, next, later).unwrap_or(false) {
            waiting.hurry = Some((step.cx.now.plus(self.hurry_us), self.reliable.collected()));
        }
    }

    /// Bodies of the cut still come.
    fn note_progress(&mut self, now: Time) {
        if let Some(Waiting { hurry: Some((until, before)), .. }) = &mut self.ending.decided
            && self.reliable.collected() > *before
        {
            *before = self.reliable.collected();
            *until = now.plus(self.hurry_us);
        }
    }

    pub(super) fn is_active(&self, member: Rank) -> bool {
        self.view.member(member).is_some_and(|member| member.status == Status::Active)
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
        self.note_progress(step.cx.now);
        let Some(waiting) = self.ending.decided.take() else { return };
        let is_collected = self.reliable.is_collected();
        // What it could not deliver in any case it does not wait for: its votes are.
        let is_in_vain = step.gate.is_lost() || self.reliable.is_gone();
        if !is_collected && !is_in_vain && step.cx.now < waiting.until() {
            self.ending.decided = Some(waiting);
            return;
        }
        let decision = waiting.decision;
        step.decided = if is_collected && !step.gate.is_over() {
            self.close(step);
            Some(Decided::Install(decision))
        } else {
            Some(Decided::Follow(decision))
        };
    }

    /// Delivers what is left of the cut: first the Fifo casts, then the Total casts in the order of
    /// their slots.
    fn close(&mut self, step: &mut Step<'_>) {
        let remainder = self.reliable.close();
        for body in &remainder {
            self.hand_up(step, body, Order::Fifo, None);
        }
        let outs = self.total.close(&remainder);
        let below = self.route_total(step, outs);
        self.route_reliable(step, below);
    }

    /// This member's Flush is to carry so many links too many with each certificate.
    #[cfg(test)]
    pub(crate) fn pad(&mut self, junk_links: usize) {
        if let Some(group) = &mut self.group {
            group.junk_links = junk_links;
        }
    }

    /// Where a log ends, certified.
    #[cfg(test)]
    pub(crate) fn end(&self, sender: Rank) -> crate::LogEnd {
        self.reliable.certified_head(sender)
    }

    /// This process wants to leave the group.
    pub(super) fn leave_group(&mut self, step: &mut Step<'_>) -> Result<(), Refusal> {
        if self.group.is_none() || self.view.members.len() == 1 {
            return Err(Refusal::LastMember);
        }
        if core::mem::replace(&mut self.is_leaving, true) {
            return Err(Refusal::AlreadyDone);
        }
        self.say_leave(step);
        Ok(())
    }

    /// A wish to leave holds in one view, and is told again in the next as long as there is no room
    /// for it. It waits until those that join have the state: all that have it might leave at once.
    /// Snapshots are kept for a limited time, so nobody can hold this member for ever.
    fn say_leave(&mut self, step: &mut Step<'_>) {
        if !self.is_leaving || self.has_said_leave || step.gate.is_handing_over() {
            return;
        }
        self.has_said_leave = true;
        let said = step.cx.door.sign(step.cx.roster, self.me, Leave);
        let said = said.signed().as_ref().clone();
        step.posts.push(Post::part(To::All, Part::Leave(said.clone())));
        // Its own word is a good one.
        let _: Result<(), LinkFault> = self.run_group(step, group::In::Leave(said));
        if self.group.as_mut().is_some_and(Group::must_stay) {
            step.event(Event::MustStay);
        }
    }
}
