//! The stack of one view: the layers and the one way through them, packets in at the bottom, events
//! out at the top. What it has to send it leaves with the [`Step`], for the node to put on links.
//!
//! ```text
//! Top_Appl   casts become events
//! Total      born-order merge          Suspect, Lag   heartbeats, opinions, proofs
//! Reliable   certified logs            Stable         stability matrix
//! Pt2pt      messages to one member
//! ```
//!
//! Here is what comes in, as far as its sender may have it looked at (`budget`, `work`); what the
//! layers tell each other stands in `route`, what ends the view in `change`, and what stands between
//! the layers and the application in `gate`.

mod budget;
mod change;
mod gate;
mod join;
mod leave;
mod route;
mod work;

pub(crate) use gate::Gate;
pub(crate) use join::Refused;
pub(crate) use leave::Old;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::Config;
use crate::crypto::{Reason, Roster};
use crate::fault::{LinkFault, Proof};
use crate::input::{Request, Ticket};
use crate::layer::bottom::Inbound;
use crate::layer::group::{Basis, Group, Pace};
use crate::layer::inter::Inter;
use crate::layer::lag::Lag;
use crate::layer::pt2pt::{self, Pt2pt};
use crate::layer::reliable::{self, Reliable};
use crate::layer::stable::{self, Stable};
use crate::layer::suspect::{self, Suspect};
use crate::layer::total::{self, Total};
use crate::layer::transfer::{self, Answer};
use crate::layer::vsync::{self, Vsync};
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::node::Counters;
use crate::outbox::Outbox;
use crate::output::{Event, Exclusion, Refusal};
use crate::seq::Number;
use crate::time::{Time, earliest};
use crate::view::{Genesis, Membership, View};
use crate::wire::Part;
use crate::wire::change::Decision;
use change::Ending;
use work::Work;

/// What the stack needs from the node for one step.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) cx: Context<'a>,
    pub(crate) outputs: &'a mut Outbox,
    pub(crate) counters: &'a mut Counters,
    /// What is delivered goes through it.
    pub(crate) gate: &'a mut Gate,
    /// What is to be sent at the end of the step.
    posts: Vec<Post>,
    /// Haves are to be told even if nothing else is.
    tells_haves: bool,
    /// Strangers that are to be told no.
    refused: Vec<Refused>,
    /// Members that are known now to have installed the view.
    installed: Vec<Rank>,
    /// The view is over: once everything else of the step is done.
    decided: Option<Decided>,
}

/// How a view ends for this process; whoever says so has checked the decision.
#[derive(Debug)]
pub(crate) enum Decided {
    /// By the next view, which lists it.
    Install(Box<Decision>),
    /// The same, but it has not got all that is to be delivered. It goes along for its votes: the
    /// next view counts on them.
    Follow(Box<Decision>),
    /// By a next view that it is not in.
    Exclude(Exclusion, Box<Decision>),
}

impl<'a> Step<'a> {
    /// A step at `cx.now`.
    pub(crate) const fn new(
        cx: Context<'a>,
        outputs: &'a mut Outbox,
        counters: &'a mut Counters,
        gate: &'a mut Gate,
    ) -> Self {
        Self {
            cx,
            outputs,
            counters,
            gate,
            posts: Vec::new(),
            tells_haves: false,
            refused: Vec::new(),
            installed: Vec::new(),
            decided: None,
        }
    }

    /// What the layers concluded about the view, if anything.
    pub(crate) const fn take_decided(&mut self) -> Option<Decided> {
        self.decided.take()
    }

    /// Who is known now to have installed the view.
    pub(crate) fn take_installed(&mut self) -> Vec<Rank> {
        core::mem::take(&mut self.installed)
    }

    /// The view is over.
    #[cfg(test)]
    pub(crate) fn decide(&mut self, decided: Decided) {
        self.decided = Some(decided);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.event(event);
    }
}

/// The layers of one view.
#[derive(Debug)]
pub(crate) struct Stack {
    genesis: Genesis,
    view: View,
    me: Rank,
    roster: Arc<Roster>,
    pt2pt: Pt2pt,
    reliable: Reliable,
    stable: Stable,
    total: Total,
    suspect: Suspect,
    lag: Lag,
    work: Work,
    vsync: Vsync,
    /// None if the membership is fixed.
    group: Option<Group>,
    inter: Inter,
    ending: Ending,
    is_leaving: bool,
    /// Members whose key was asked in, of those that have fallen silent since no quorum is heard.
    asking: BTreeSet<Rank>,
    /// How many members had begun a new life when the application was told that too many have.
    gone: usize,
    /// A member was heard in this view, or the application asked for something.
    is_bound: bool,
    /// That was told to the others in this view.
    has_said_leave: bool,
    /// How long bodies of the cut are waited for once it is decided.
    cut_us: u64,
    /// The same, once the others have gone on even further.
    hurry_us: u64,
}

impl Stack {
    /// The stack of member `me` of `view`.
    pub(crate) fn new(
        config: &Config,
        view: View,
        roster: Arc<Roster>,
        me: Rank,
        now: Time,
    ) -> Self {
        let active = view.active();
        let timeouts = &config.timeouts;
        let n = roster.quorum().n();
        Self {
            genesis: config.genesis.clone(),
            pt2pt: Pt2pt::new(n, me, config),
            reliable: Reliable::new(config, &roster, me, &active),
            total: Total::new(timeouts, me, &active, roster.quorum().f()),
            stable: Stable::new(config, &roster, me, active.clone(), now),
            suspect: Suspect::new(timeouts, &roster, me, now),
            lag: Lag::new(timeouts, n, &active, now),
            work: Work::new(n, timeouts.stable_us, now),
            vsync: Vsync::new(timeouts, (n, me), &active, view.prev, now),
            group: Group::of(config, &view, me),
            inter: Inter::new(config, &view, me, now),
            ending: Ending::default(),
            is_leaving: false,
            asking: BTreeSet::new(),
            gone: 0,
            is_bound: view.number > 0,
            has_said_leave: false,
            cut_us: match active.contains(&me) {
                true => timeouts.retain_us,
                // Long before the others, who go on without it, miss its rows in the next view.
                false => timeouts.mute_us / 2,
            },
            hurry_us: timeouts.mute_us / 2,
            roster,
            view,
            me,
        }
    }

    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    pub(crate) const fn me(&self) -> Rank {
        self.me
    }

    pub(crate) const fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// How slow the group has turned out to be; as usual if the membership is fixed.
    pub(crate) fn pace(&self) -> Pace {
        self.group.as_ref().map(|group| group.pace().clone()).unwrap_or_default()
    }

    /// Takes over what the views before have shown of that.
    pub(crate) fn go_on_at(&mut self, pace: Pace) {
        if let Some(group) = &mut self.group {
            group.go_on_at(pace);
        }
    }

    pub(crate) fn bodies(&self) -> u64 {
        self.reliable.bodies()
    }

    /// Bytes held on behalf of peers and the application.
    pub(crate) fn held_bytes(&self) -> usize {
        let group = self.group.as_ref().map_or(0, Group::held_bytes);
        let parts = [
            self.reliable.held_bytes(),
            self.reliable.tables_bytes(),
            self.pt2pt.held_bytes(),
            self.inter.held_bytes(),
            self.work.held_bytes(),
            group,
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// The most bytes that may be held, see [`crate::Node::memory`].
    pub(crate) fn bound_bytes(config: &Config, n: usize) -> usize {
        let limits = &config.genesis.limits;
        let group = match config.genesis.membership {
            Membership::Fixed => 0,
            Membership::Managed => Group::bound_bytes(limits, n),
        };
        let parts = [
            Reliable::bound_bytes(config, n),
            reliable::tables_bytes(limits, n),
            pt2pt::bound(config, n),
            Inter::BOUND_BYTES,
            Work::bound_bytes(n),
            group,
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// Whether this process has signed nothing but the first row of the genesis view, which says the
    /// same whenever it is signed, and owes nobody anything.
    pub(crate) fn is_unheard(&self, signatures: u64) -> bool {
        !self.is_bound && signatures <= 1 && signatures == self.stable.counter(self.me)
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let ordering = earliest(self.reliable.deadline(), self.total.deadline());
        let watching = earliest(self.suspect.deadline(), self.lag.deadline());
        let rest = earliest(self.stable.deadline(), self.pt2pt.deadline());
        let deadline = earliest(earliest(ordering, watching), rest);
        earliest(deadline, self.ending_deadline())
    }

    /// Takes what the step has to send, and the haves that go with it.
    pub(crate) fn take_posts(&self, step: &mut Step<'_>) -> Option<(Vec<Post>, Vec<Number>)> {
        let mut posts = core::mem::take(&mut step.posts);
        if step.tells_haves && !posts.iter().any(|post| post.to == To::All) {
            posts.push(Post { to: To::All, parts: Vec::new(), casts: None });
        }
        (!posts.is_empty()).then(|| (posts, self.reliable.haves()))
    }

    /// The link of this peer was closed for bad bytes.
    pub(crate) fn on_closed(&mut self, step: &mut Step<'_>, peer: Rank, why: LinkFault) {
        step.event(Event::LinkClosed { peer, why });
        self.run_suspect(step, suspect::In::Opinion(peer, Reason::BadBytes));
    }

    /// A piece of a packet came from this member.
    pub(crate) fn on_piece(&mut self, now: Time, from: Rank) {
        self.reliable.on_piece(now, from);
    }

    /// Takes in a packet of this view.
    ///
    /// # Errors
    /// If something in it is its sender's fault; the rest of it is not read.
    pub(crate) fn on_packet(
        &mut self,
        step: &mut Step<'_>,
        mut inbound: Inbound<'_>,
    ) -> Result<(), LinkFault> {
        self.is_bound = true;
        for part in core::mem::take(&mut inbound.packet.parts) {
            self.on_part_in_budget(step, &inbound, part)?;
        }
        if !inbound.packet.haves.is_empty() {
            let haves = reliable::In::Haves(inbound.from, &inbound.packet.haves);
            self.run_reliable(step, haves);
        }
        Ok(())
    }

    /// Hands a part to its layer, its signatures checked if they can matter.
    fn on_part(
        &mut self,
        step: &mut Step<'_>,
        inbound: &Inbound<'_>,
        part: Part,
    ) -> Result<(), LinkFault> {
        let from = inbound.from;
        match part {
            Part::Heads(heads) => {
                if self.reliable.wants(&heads) {
                    let heads = step.cx.door.verify(step.cx.roster, heads)?;
                    self.run_reliable(step, reliable::In::Heads(heads));
                }
            }
            Part::Certificate(certificate) => {
                if self.reliable.wants_certificate(&certificate.head) {
                    let limits = &self.genesis.limits;
                    let certified = step.cx.certify(limits, certificate.clone())?;
                    let input = reliable::In::Certificate(certificate, certified);
                    self.run_reliable(step, input);
                }
            }
            Part::Body(head) => {
                self.run_reliable(step, reliable::In::Body(from, head, inbound.payload()));
            }
            Part::Stable(row) => return self.on_row(step, from, row),
            Part::Suspect(said) => {
                if self.suspect.wants(&said) {
                    let said = step.cx.door.verify(step.cx.roster, said)?;
                    self.run_suspect(step, suspect::In::Suspect(said));
                }
            }
            Part::Proof(proof) => self.on_proof(step, proof)?,
            Part::Fetch { sender, from: first, to } => {
                self.on_fetch(step, (from, sender), (first, to), false);
            }
            Part::AskRow { member, above } => {
                self.run_stable(step, stable::In::AskRow(from, member, above));
            }
            Part::AskSlot { sender, from: first, .. } => {
                let range = (first, self.reliable.overflow(sender));
                self.on_fetch(step, (from, sender), range, true);
            }
            Part::Lacks { sender, number } => {
                self.run_reliable(step, reliable::In::Lacks(from, sender, number));
            }
            Part::Transfer(part) => {
                return self.run_transfer(step, transfer::In::Part(from, part));
            }
            Part::Pt2pt(part) => {
                return self.run_pt2pt(step, pt2pt::In::Part { from, part });
            }
            Part::RowCounters(counters) => {
                self.stable.pace(self.reliable.answer_us());
                self.run_stable(step, stable::In::Counters(from, counters.into_iter().collect()));
            }
            part @ (Part::Leave(_)
            | Part::Recommend(_)
            | Part::Flush(_)
            | Part::NeedMoreChange(_)
            | Part::NewView(_)
            | Part::Ack(_)
            | Part::Commit(_)
            | Part::Ready(_)
            | Part::Decision(_)
            | Part::AskNewView(_)) => return self.on_change_part(step, from, part),
            Part::Join(request) => return self.on_rejoin(step, from, request),
            Part::Installed(said) => return self.on_installed(step, said),
            Part::AskInstalled(member) => self.run_vsync(step, vsync::In::Ask(from, member)),
        }
        Ok(())
    }

    fn on_fetch(
        &mut self,
        step: &mut Step<'_>,
        (peer, sender): (Rank, Rank),
        (from, to): (crate::Number, crate::Number),
        and_heads: bool,
    ) {
        self.run_reliable(step, reliable::In::Fetch { peer, sender, from, to, and_heads });
    }

    fn on_proof(&mut self, step: &mut Step<'_>, proof: Box<Proof>) -> Result<(), LinkFault> {
        if self.suspect.wants_proof(&proof) {
            let basis = Basis { view: &self.view, genesis: &self.genesis };
            suspect::verify(&mut step.cx, basis, &proof)?;
            self.run_suspect(step, suspect::In::Proof(proof));
        }
        Ok(())
    }

    /// Takes a request of the application and answers it.
    pub(crate) fn on_request(&mut self, step: &mut Step<'_>, ticket: Ticket, request: Request<'_>) {
        self.is_bound = true;
        let answer = match request {
            Request::Cast { order, payload } => self.reliable.cast(ticket, order, payload),
            Request::Send { to, payload } => {
                // It answers the ticket itself; what the application asks is no peer's fault.
                let input = pt2pt::In::Send { to, ticket, payload };
                let _: Result<(), LinkFault> = self.run_pt2pt(step, input);
                return;
            }
            Request::Suspect { member } => self.may_suspect(member),
            Request::Leave => self.leave_group(step),
            Request::Admit { key, is_admitted } => {
                self.admit(step, key, is_admitted);
                Ok(())
            }
            Request::SnapshotReady { view, length, chunks } => {
                self.answer(step, Answer::Ready { view, length, chunks })
            }
            Request::Chunk { view, index, bytes } => {
                self.answer(step, Answer::Chunk { view, index, bytes })
            }
        };
        step.event(match answer {
            Ok(()) => Event::Accepted(ticket),
            Err(refusal) => Event::Refused(ticket, refusal),
        });
        if let (Request::Suspect { member }, Ok(())) = (request, answer) {
            self.run_suspect(step, suspect::In::Opinion(member, Reason::Application));
        }
    }

    fn may_suspect(&self, member: Rank) -> Result<(), Refusal> {
        if member == self.me || self.view.member(member).is_none() {
            return Err(Refusal::NotMember);
        }
        if self.suspect.has_told(member) { Err(Refusal::AlreadyDone) } else { Ok(()) }
    }

    /// Everything that waits for time to pass, or for the frames at hand to be read. Reliable comes
    /// last: what the others owe goes into its statement.
    pub(crate) fn on_tick(&mut self, step: &mut Step<'_>) {
        let now = step.cx.now;
        let outs = self.total.step(now, total::In::Tick);
        let below = self.route_total(step, outs);
        self.route_reliable(step, below);
        self.run_suspect(step, suspect::In::Tick);
        self.watch_lag(step);
        self.run_stable(step, stable::In::Tick);
        let is_row_due = self.stable.is_due(now, self.reliable.progress());
        if is_row_due {
            self.stable.note(self.reliable.progress());
            let row = match self.is_unheard(step.cx.door.counters().signatures) {
                true if self.stable.counter(self.me) > 0 => stable::In::Repeat,
                _ => stable::In::Sign(self.reliable.rows()),
            };
            self.run_stable(step, row);
            self.work.on_own_row();
        }
        // Misbehaviour shows when a part comes in, not when time passes.
        let _: Result<(), LinkFault> = self.run_pt2pt(step, pt2pt::In::Tick);
        self.on_ending_tick(step);
        // Nor is anybody to blame here.
        let _: Result<(), LinkFault> = self.run_transfer(step, transfer::In::Tick);
        self.tick_inter(step);
        self.run_reliable(step, reliable::In::Tick);
    }
}
