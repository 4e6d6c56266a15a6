//! What the oracles about views share: they all look on when a member installs one.

use phalanx_core::{Departure, Exclusion, Member, PublicKey, Status, Ticket, View};

use super::arrivals::Arrivals;
use super::parting::Parting;
use super::progress::Progress;
use super::removal::Removal;
use super::self_inclusion::SelfInclusion;
use super::state::State;
use super::succession::Succession;
use super::suspicion::Sighting;
use super::synchrony::Synchrony;
use super::{Delivery, Oracles, pledge, quorums};
use crate::marks::Mark;
use crate::scenario::Scenario;
use crate::verdict::Promise;

/// The oracles P5 to P7, L1 and L3, and who is how far.
#[derive(Debug)]
pub(super) struct Changes {
    succession: Succession,
    pub(super) inclusion: SelfInclusion,
    synchrony: Synchrony,
    pub(super) removal: Removal,
    pub(super) progress: Progress,
    pub(super) arrivals: Arrivals,
    pub(super) parting: Parting,
    pub(super) state: State,
    /// Members that could not complete a view and vote on without application state.
    stateless: Vec<bool>,
    /// Whether no more members lie than the genesis record pledges for.
    is_kept: bool,
    /// Some view holds more liars than it bears: nothing is promised any more.
    is_overrun: bool,
    well_at_us: u64,
}

impl Changes {
    pub(super) fn new(scenario: &Scenario, genesis: &View) -> Self {
        let n = scenario.lives_max();
        let max_members = scenario.limits.max_members;
        Self {
            arrivals: Arrivals::new(
                genesis.members.len(),
                max_members,
                // Who is put out is told for so long only (protocol.md section 9, R10).
                scenario.rejoin && scenario.longest_cut_us() < scenario.timeouts.linger_us,
            ),
            parting: Parting::default(),
            state: State::new(n),
            succession: Succession::new(genesis.clone(), n),
            inclusion: SelfInclusion::new(n),
            synchrony: Synchrony::new(n),
            removal: Removal::default(),
            progress: Progress::new(n),
            stateless: vec![false; n],
            is_kept: scenario.liar_ranks().len() <= usize::from(genesis.pledge),
            is_overrun: false,
            well_at_us: scenario.heal_at_us,
        }
    }

    pub(super) const fn is_overrun(&self) -> bool {
        self.is_overrun
    }

    pub(super) const fn well_at_us(&self) -> u64 {
        self.well_at_us
    }

    pub(super) fn is_stateless(&self, process: usize) -> bool {
        self.stateless[process]
    }

    /// `process` has its state again.
    pub(super) fn regains(&mut self, process: usize) {
        self.stateless[process] = false;
    }

    /// Another process starts; whether it may join.
    pub(super) fn started(&mut self, process: usize, is_authorised: bool) {
        self.arrivals.started(is_authorised);
        self.succession.joins(process);
    }

    /// A member suspects another, in the view at this place.
    pub(super) fn suspected(&mut self, view: usize, sighting: &Sighting) {
        self.removal.suspected(view, sighting.by, sighting.subject);
    }

    /// A cast is delivered; `is_there` tells whether in the view that its member is in.
    pub(super) fn delivered(
        &mut self,
        delivery: &Delivery<'_>,
        is_there: bool,
    ) -> Result<(), String> {
        let by = delivery.by;
        if self.inclusion.is_out(by) || self.stateless[by] {
            return Err(format!("member {by} delivers, although it is out or without state"));
        }
        self.synchrony.delivered(delivery, is_there.then_some(delivery.view))
    }
}

impl Oracles {
    /// Correct member `by` installs a view.
    pub(super) fn installed(&mut self, now_us: u64, by: usize, view: &View) {
        let life = self.views.lives()[by];
        let result = self.changes.inclusion.installed(by, (life.key, life.incarnation), view);
        self.judge(now_us, Promise::P7, result);
        let result = self.changes.succession.installed(by, view);
        self.judge(now_us, Promise::P6, result);
        let has_entered = self.views.has_entered(by);
        let was_at = self.views.place(by);
        // A process that joins was never in the view before; others were.
        let before = self.views.by_id(&view.prev).map(|(before, _)| before);
        let before = before.filter(|_| !has_entered).unwrap_or(was_at);
        let (at, is_new) = self.views.installed(by, view);
        self.changes.state.installed(by, view.number, at);
        self.history.installed(now_us, by, at, self.views.at(at), self.views.at(before));
        if is_new {
            let before = self.views.at(before).view.clone();
            self.begins(now_us, at, &before);
        }
        if !has_entered {
            self.enters(by, before, at);
            let earlier = &self.views.lives()[..by];
            let is_back = |process: usize| self.changes.inclusion.is_out(process);
            if (0..).zip(earlier).any(|(process, other)| other.key == life.key && is_back(process))
            {
                self.marks.hit(Mark::Rejoined);
            }
        } else if at != was_at {
            self.moves(now_us, by, was_at, at);
        }
    }

    /// The view at this place is seen for the first time, as successor of `before`.
    fn begins(&mut self, now_us: u64, at: usize, before: &View) {
        let record = self.views.at(at).clone();
        let result = self.observer.grounds_mut().changed(before, &record.view);
        self.judge(now_us, Promise::P8, result);
        let is_liar = |process: &&Option<usize>| process.is_none_or(|process| self.liars[process]);
        let liars = record.processes.iter().filter(is_liar).count();
        if record.processes.len() == 1 && liars == 0 {
            self.observer.grounds_mut().alone(record.id);
        }
        self.mark_changes(before, &record.view);
        let result = pledge::check(&record.view, liars, self.changes.is_kept);
        self.judge(now_us, Promise::Pledge, result);
        self.changes.is_overrun |= liars > pledge::bears(&record.view);
        if now_us >= self.changes.well_at_us {
            self.changes.progress.grew();
        }
        self.stands(now_us, at);
        match record.view.roster(self.suite) {
            Ok(roster) => {
                let quorum = quorums::quorum(record.size(), self.is_paper);
                self.observer.installed(&record, roster.clone(), &self.liars, quorum);
                self.blame.installed(record.view, roster);
            }
            Err(why) => self.judge(now_us, Promise::P6, Err(format!("a view is none: {why}"))),
        }
    }

    /// Which kinds of changes a view shows.
    fn mark_changes(&mut self, before: &View, after: &View) {
        for (_, why) in after.departed.iter() {
            self.marks.hit(match why {
                Departure::Proof => Mark::Expelled,
                Departure::Opinion => Mark::Removed,
                Departure::Left => Mark::Left,
                Departure::Replaced => Mark::Replaced,
            });
        }
        if !after.silenced.is_empty() {
            self.marks.hit(Mark::Silenced);
        }
        let was = |key: &PublicKey| before.rank_of(key).and_then(|rank| before.member(rank));
        let is_new = |member: &&Member| was(&member.key).is_none();
        let is_awake = |member: &&Member| {
            let was_silent = was(&member.key).is_some_and(|was| was.status == Status::Silenced);
            was_silent && member.status == Status::Active
        };
        if after.members.iter().any(|member| is_awake(&member)) {
            self.marks.hit(Mark::ActiveAgain);
        }
        let has_new = after.members.iter().any(|member| is_new(&member));
        let is_forced = |why: &Departure| matches!(why, Departure::Proof | Departure::Opinion);
        if has_new {
            self.marks.hit(Mark::Joined);
        }
        if has_new && after.departed.iter().any(|(_, why)| is_forced(why)) {
            self.marks.hit(Mark::JoinDuringRemoval);
        }
    }

    /// `by` goes on from the view at this place. One that was silenced in it may do so without
    /// having delivered everything: then it has not completed it, and delivers nothing any more.
    pub(super) fn completed(&mut self, now_us: u64, by: usize, place: usize, view: &View) {
        let key = self.views.lives()[by].key;
        let member = view.members.iter().find(|member| member.key == key);
        let was_silent = member.is_some_and(|member| member.status == Status::Silenced);
        if self.changes.stateless[by]
            || (was_silent && self.agreement.missing(place, &[by]).is_some())
        {
            self.marks.hit(Mark::VoterWithoutState);
            self.changes.stateless[by] = true;
            return;
        }
        let result = self.agreement.completed(place, by);
        self.judge(now_us, Promise::P3, result);
        let result = self.order.completed(place, by);
        self.judge(now_us, Promise::P4, result);
        let result = self.changes.synchrony.completed(place, by);
        self.judge(now_us, Promise::P5, result);
        self.fifo.completed(place, by);
    }

    /// `by` says that it goes on as a voter. Only who is Silenced may lack what all others delivered,
    /// or who finds that they have gone on without it.
    pub(super) fn state_lost(&mut self, now_us: u64, by: usize) {
        self.marks.hit(Mark::VoterWithoutState);
        self.changes.stateless[by] = true;
        let number = self.views.present(by).view.number;
        let result = match self.may_lose(by) {
            true => Ok(()),
            false => Err(format!("process {by}, Active in view {number}, lacks bodies")),
        };
        self.loses(by);
        self.judge(now_us, Promise::P3, result);
    }

    /// `by` says that it delivers again from the view of this number on, which it has just installed.
    pub(super) fn resumed(&mut self, now_us: u64, by: usize, number: u64) {
        self.marks.hit(Mark::Resumed);
        let present = self.views.present(by);
        let may = !self.hands_over
            && self.changes.is_stateless(by)
            && present.is_active(by)
            && present.view.number == number;
        let before = self.views.by_id(&present.view.prev).map_or(0, |(before, _)| before);
        let text = || format!("process {by} goes on delivering with view {number}");
        let result = may.then_some(()).ok_or_else(text);
        self.judge(now_us, Promise::State, result);
        self.changes.regains(by);
        self.fifo.joins(by, before);
    }

    /// Correct member `by` learns that it is no member of `next`.
    pub(super) fn excluded(
        &mut self,
        now_us: u64,
        by: usize,
        (why, next): (Exclusion, &View),
        lost: &[Ticket],
    ) {
        self.marks.hit(Mark::Excluded);
        let result = self.changes.parting.gone(by, lost);
        self.judge(now_us, Promise::P1, result);
        let rank = self.views.present(by).rank(by);
        let result = self.changes.inclusion.excluded(by, rank, why, next);
        self.judge(now_us, Promise::P7, result);
    }
}
