//! Layer Group: the agreement of the members of one view on the next (protocol.md section 9, rules
//! R0 to R11; the paper's group membership protocol with its Flush, New-View, Ack-New-View, Commit,
//! Ready-to-Switch and Need-More-Change).
//!
//! A single-shot Byzantine agreement on the next view, cut included. Attempt `a` of the change of
//! view number `v` is led by rank `v + a mod n`. Everything that comes in goes into a store, from which
//! only what is superseded is dropped; then the rules are tried until none applies, so that no order
//! of arrival matters (flaws.md, F22).
//!
//! Promises upwards: all correct members of the view decide on the same next view (P6), it was
//! computed from valid evidence (P8) and its cut covers whatever any correct member delivered (P3,
//! P5). Needs from below: what Reliable holds when it is frozen, and word when it holds a cut.
//!
//! What a faulty member can try: propose two views (one Ack per attempt: at most one gets a
//! quorum), hide what may have been decided (locks travel with `NeedMoreChange`, and every quorum of
//! them meets a decided lock in a correct member), stop or delay an attempt that it leads (timers,
//! only while a quorum shares the attempt), keep a liar in (R8), leave somebody out (the plan is
//! recomputed by everyone), run through the attempts (weak many are needed to pull others along).

mod attempt;
mod clock;
mod evidence;
mod faults;
mod intake;
mod justify;
mod lock;
mod memory;
mod pace;
mod resend;
#[cfg(test)]
mod tests;
mod votes;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Context, Post, To};
use crate::config::{Config, Timeouts};
use crate::crypto::{
    AckNewView, Certificate, Certified, Flush, Hash32, Leave, Locked, NeedMoreChange, NewView,
    ReadyToSwitch, Signed, Suspect, Verified,
};
use crate::fault::{LinkFault, Proof};
use crate::member::{PerRank, Rank};
use crate::plan::{Plan, plan};
use crate::seq::{Attempt, LogEnd};
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::view::{Genesis, Membership, View};
use crate::wire::Part;
use crate::wire::change::{
    Acks, Certificates, Committed, Decision, Flushed, NeedsMore, Proposed, Recommended,
};

pub(crate) use evidence::request_hash;
pub(crate) use intake::is_decided;
pub(crate) use justify::{Basis, is_bound, is_commit_bound, judge, judge_commit};
pub(crate) use pace::Pace;

use clock::Clock;
use evidence::Evidence;
use votes::Votes;

/// What happens to the layer.
#[derive(Clone, Debug)]
pub(crate) enum In {
    /// A suspicion, checked, that was not known here before.
    Suspect(Verified<Suspect>),
    /// A member wants to leave.
    Leave(Signed<Leave>),
    /// A member is for taking a process in.
    Recommend(Box<Recommended>),
    /// A member flushed.
    Flush(Box<Flushed>),
    /// A member goes on to a later attempt.
    NeedMoreChange(Box<NeedsMore>),
    /// A leader proposes; it may be relayed.
    NewView(Box<Proposed>),
    /// A member acknowledges.
    Ack(Signed<AckNewView>),
    /// A leader has a quorum of Acks.
    Commit(Box<Committed>),
    /// A member is ready.
    Ready(Signed<ReadyToSwitch>),
    /// The next view, decided.
    Decision(Box<Decision>),
    /// A member asks for the proposal of an attempt.
    AskNewView(Rank, Attempt),
    /// Answers [`Out::Freeze`]: by rank, where each log ends that is certified and held here, and
    /// what certifies that.
    Frozen(Vec<(LogEnd, Option<Certificate>)>),
    /// Every body of the cut of this next view is held here.
    Collected(Hash32),
    /// Time passed.
    Tick,
}

impl In {
    /// What a part of a packet from `from` is to this layer, if anything.
    pub(crate) fn of(from: Rank, part: Part) -> Option<Self> {
        Some(match part {
            Part::Leave(said) => Self::Leave(said),
            Part::Recommend(message) => Self::Recommend(message),
            Part::Flush(message) => Self::Flush(message),
            Part::NeedMoreChange(message) => Self::NeedMoreChange(message),
            Part::NewView(message) => Self::NewView(message),
            Part::Ack(ack) => Self::Ack(ack),
            Part::Commit(message) => Self::Commit(message),
            Part::Ready(ready) => Self::Ready(ready),
            Part::Decision(decision) => Self::Decision(decision),
            Part::AskNewView(attempt) => Self::AskNewView(from, attempt),
            Part::Heads(_)
            | Part::Certificate(_)
            | Part::Body(_)
            | Part::Stable(_)
            | Part::Suspect(_)
            | Part::Proof(_)
            | Part::Fetch { .. }
            | Part::AskRow { .. }
            | Part::AskSlot { .. }
            | Part::Pt2pt(_)
            | Part::Join(_)
            | Part::Installed(_)
            | Part::AskInstalled(_)
            | Part::Transfer(_)
            | Part::RowCounters(_)
            | Part::Lacks { .. } => return None,
        })
    }
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Something to send.
    Post(Post),
    /// A change began: no more replies, haves and own bodies. [`In::Frozen`] answers it.
    Freeze,
    /// A suspicion that came with another message.
    Learned(Verified<Suspect>),
    /// What came with another message and certifies a head.
    Certified(Certificate, Certified),
    /// The bodies of the cut of this next view are wanted; [`In::Collected`] answers it.
    Collect(Hash32, Vec<LogEnd>),
    /// This member holds this opinion.
    Opinion(Rank, crate::crypto::Reason),
    /// A member is proven to lie.
    Proof(Box<Proof>),
    /// An attempt was given up for this one: the paper's transitional view.
    Abandoned(Attempt),
    /// The next view.
    Decided(Box<Decision>),
    /// The peer that sent this did wrong.
    Misbehaved(LinkFault),
}

/// How far the change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing to change.
    Normal,
    /// Reliable is being frozen.
    Freezing,
    /// The own Flush is said.
    Flushing,
    /// The next view is known.
    Decided,
}

/// A member's Flush with what certifies its ends.
#[derive(Clone, Debug)]
struct FlushRecord {
    flush: Verified<Flush>,
    /// Of its ends; none if it only stood in a proposal.
    certificates: Option<Arc<Certificates>>,
}

/// A valid proposal.
#[derive(Clone, Debug)]
struct Proposal {
    message: Arc<Proposed>,
    is_fresh: bool,
}

/// What this member is locked on.
#[derive(Clone, Debug)]
struct Lock {
    on: Locked,
    view: Arc<View>,
    acks: Acks,
}

/// The own messages of the present attempt, for those who missed them.
#[derive(Clone, Debug, Default)]
struct Own {
    flush: Option<Arc<Flushed>>,
    more: Option<Arc<NeedsMore>>,
    proposed: Option<Arc<Proposed>>,
    ack: Option<Verified<AckNewView>>,
    commit: Option<Arc<Committed>>,
    ready: Option<Verified<ReadyToSwitch>>,
}

/// A rule of protocol.md that explorations leave out, to show what it is for.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Omitted {
    /// Everything as it should be.
    #[default]
    Nothing,
    /// `NeedMoreChange` reports no lock.
    LockInNeedMoreChange,
    /// A Ready may follow a `NeedMoreChange` for a higher attempt.
    ReadyOnlyAtOwnAttempt,
}

/// The machine, for one view.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    me: Rank,
    view: Arc<View>,
    genesis: Arc<Genesis>,
    phase: Phase,
    evidence: Evidence,
    /// Drawn from the evidence; none if that has grown since.
    plan: Option<Arc<Plan>>,
    flushes: PerRank<Option<FlushRecord>>,
    more: Votes<NeedMoreChange>,
    new_views: Votes<NewView>,
    acks: Votes<AckNewView>,
    commits: BTreeMap<Attempt, Arc<Committed>>,
    readys: Votes<ReadyToSwitch>,
    proposals: BTreeMap<Attempt, Proposal>,
    /// Next views that were proposed validly or locked on, by id.
    views: BTreeMap<Hash32, Arc<View>>,
    /// Proofs of locks, own and reported, by what they are on.
    locks: BTreeMap<(Attempt, Hash32), Acks>,
    attempt: Attempt,
    acked: Option<Attempt>,
    readied: Option<Attempt>,
    lock: Option<Lock>,
    /// The next view whose cut is held here.
    collected: Option<Hash32>,
    /// How often R8 was used.
    aborts: usize,
    own: Own,
    clock: Clock,
    pace: Pace,
    resend: Backoff,
    /// When each peer may be handed a proposal again.
    served: PerRank<Backoff>,
    #[cfg(test)]
    pub(crate) omitted: Omitted,
    /// A liar appends so many links to each certificate of its Flush.
    #[cfg(test)]
    pub(crate) junk_links: usize,
}

impl Group {
    /// Whether this member has said of no next view that it is ready for it, and knows of none.
    pub(crate) fn is_settled(&self) -> bool {
        self.readied.is_none() && self.phase != Phase::Decided
    }

    /// Tells whether this member has said its Flush.
    pub(crate) const fn has_flushed(&self) -> bool {
        self.own.flush.is_some()
    }

    /// The layer for `view`, seen from rank `me`.
    pub(crate) fn new(
        genesis: Arc<Genesis>,
        timeouts: &Timeouts,
        view: Arc<View>,
        me: Rank,
    ) -> Self {
        let n = view.members.len();
        Self {
            me,
            evidence: Evidence::new(&view),
            view,
            genesis,
            phase: Phase::Normal,
            plan: None,
            flushes: PerRank::from_fn(n, |_| None),
            more: Votes::new(n),
            new_views: Votes::new(n),
            acks: Votes::new(n),
            commits: BTreeMap::new(),
            readys: Votes::new(n),
            proposals: BTreeMap::new(),
            views: BTreeMap::new(),
            locks: BTreeMap::new(),
            attempt: Attempt::FIRST,
            acked: None,
            readied: None,
            lock: None,
            collected: None,
            aborts: 0,
            own: Own::default(),
            clock: Clock::new(timeouts),
            pace: Pace::default(),
            resend: Backoff::new(timeouts.resend_us, timeouts.resend_max_us),
            served: PerRank::from_fn(n, |_| {
                Backoff::new(timeouts.resend_us, timeouts.resend_max_us)
            }),
            #[cfg(test)]
            omitted: Omitted::Nothing,
            #[cfg(test)]
            junk_links: 0,
        }
    }

    /// The layer of a group whose membership is managed.
    pub(crate) fn of(config: &Config, view: &View, me: Rank) -> Option<Self> {
        let genesis = &config.genesis;
        let is_managed = genesis.membership == Membership::Managed;
        let (genesis, view) = (Arc::new(genesis.clone()), Arc::new(view.clone()));
        is_managed.then(|| Self::new(genesis, &config.timeouts, view, me))
    }

    /// One step.
    pub(crate) fn step(&mut self, cx: &mut Context<'_>, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        if let Err(why) = self.take(cx, input, &mut out) {
            out.push(Out::Misbehaved(why));
        }
        while self.applies(cx, &mut out) {}
        self.set_clock(cx.now);
        out
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Flushing => earliest(self.clock.due(), self.resend.due()),
            Phase::Normal | Phase::Freezing | Phase::Decided => None,
        }
    }

    /// Whether this member is in the next view, if it is for what is known here to decide.
    pub(crate) fn must_stay(&mut self) -> bool {
        let plan = self.plan();
        let me = self.view.member(self.me);
        me.is_some_and(|me| plan.members.iter().any(|member| member.key == me.key))
    }

    /// How slow the group has turned out to be.
    pub(crate) const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// How long the first attempt of the next change is to be given, in microseconds.
    #[cfg(test)]
    pub(crate) const fn pace_us(&self) -> u64 {
        self.pace.attempt_us()
    }

    /// Takes over what the views before have shown.
    pub(crate) fn go_on_at(&mut self, pace: Pace) {
        self.pace = pace;
    }

    fn n(&self) -> usize {
        self.view.members.len()
    }

    fn basis(&self) -> Basis<'_> {
        Basis { view: &self.view, genesis: &self.genesis }
    }

    /// The plan for all the evidence here.
    fn plan(&mut self) -> Arc<Plan> {
        let facts = || self.evidence.facts();
        let plan = match &self.plan {
            Some(plan) => Arc::clone(plan),
            None => Arc::new(plan(&self.view, &self.genesis, &facts())),
        };
        self.plan = Some(Arc::clone(&plan));
        plan
    }

    fn quorum(&self) -> crate::quorum::Quorum {
        self.view.quorum()
    }

    fn post(&self, part: Part, out: &mut Vec<Out>) {
        out.push(Out::Post(Post::part(To::All, part)));
    }
}
