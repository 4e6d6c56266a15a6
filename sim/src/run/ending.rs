//! How a run ends: what is owed before it may, and what is said of it.

use super::Run;
use super::process::Process;
use crate::adversary;
use crate::history::Installed;
use crate::marks::Mark;
use crate::swarm;
use crate::verdict::{Promise, Verdict, Violation};

/// What is added to a time-out before a culprit must have been found.
const DETECTION_SLACK_US: u64 = 2_000_000;

impl Run<'_> {
    /// The verdict if a promise was broken.
    pub(super) fn broken(&self) -> Option<Verdict> {
        if self.world.oracles.violations().is_empty() {
            return None;
        }
        let expected = self.scenario.violates();
        let is_fatal = |v: &&Violation| expected.is_none() || !is_expectable(v.promise);
        let fatal: Vec<Violation> =
            self.world.oracles.violations().iter().filter(is_fatal).cloned().collect();
        if !fatal.is_empty() {
            return Some(Verdict::Safety(fatal));
        }
        let is_expected = |v: &&Violation| Some(v.promise) == expected;
        let broken = self.world.oracles.violations().iter().filter(is_expected).cloned();
        let broken: Vec<Violation> = broken.collect();
        (!broken.is_empty()).then_some(Verdict::Expected(broken))
    }

    /// Looks for the end of the run.
    pub(super) fn check(&mut self) -> Option<Verdict> {
        if !self.waiting.is_empty() {
            // The casts they wait for may never come: the network is well, so they happen now.
            let waiting = std::mem::take(&mut self.waiting);
            waiting.into_iter().for_each(|(_, rank)| self.crash(rank));
        }
        if let Some(text) = self.world.oracles.restless() {
            return Some(Verdict::Liveness(text));
        }
        let (now_us, well_us) = (self.world.now_us, self.scenario.heal_at_us.max(self.trigger_us));
        if let Some(text) = self.world.oracles.unfair(now_us, well_us) {
            return Some(Verdict::Liveness(text));
        }
        let missing = self.missing();
        if missing.is_none() && self.scenario.state_transfer {
            let states = (0..).zip(&self.processes);
            let states = states.filter_map(|(by, process)| Some((by, process.state()?)));
            self.world.oracles.ended(self.world.now_us, &states.collect::<Vec<_>>());
            if let Some(verdict) = self.broken() {
                return Some(verdict);
            }
        }
        let start_us = self.scenario.heal_at_us.max(self.trigger_us);
        let is_late = self.world.now_us >= start_us.saturating_add(self.scenario.bound_us);
        match missing {
            None if self.scenario.expect.violates.is_none() && self.void().is_none() => {
                Some(self.verdict(None))
            }
            None if is_late => Some(self.verdict(None)),
            Some(text) if is_late => Some(self.verdict(Some(text))),
            missing => self.overdue().filter(|_| missing.is_some()).map(Verdict::Liveness),
        }
    }

    /// What the run was to show and did not yet, apart from what is owed.
    pub(super) fn void(&self) -> Option<String> {
        let (expect, marks) = (&self.scenario.expect, self.world.oracles.marks());
        let has_hit = |name: &&String| Mark::parse(name).is_some_and(|mark| marks.has(mark));
        let missed = expect.marks.iter().find(|name| !has_hit(name));
        let missed = missed.map(|name| format!("it never came by {name}"));
        self.world.script.void().or(missed)
    }

    /// What is owed and not there yet.
    pub(super) fn missing(&self) -> Option<String> {
        let oracles = &self.world.oracles;
        let pending = self.world.pending;
        if pending > 0 {
            return Some(format!("{pending} processes are still to come or go"));
        }
        let present = oracles.present();
        let is_fixed = self.scenario.membership.is_fixed();
        let is_whole = !is_fixed || present.len() == self.processes.len();
        let has_entered = |process: &&usize| self.processes[**process].has_entered();
        let is_owed = is_fixed || oracles.is_owed();
        let busy = present.iter().filter(has_entered).filter(|_| is_owed).find(|process| {
            let source = self.processes[**process].source();
            let is_excused = source.is_blocked() && (!is_whole || !oracles.is_active(**process));
            !(source.is_done() || is_excused)
        });
        if let Some(rank) = busy {
            return Some(format!("member {rank} has casts left to make"));
        }
        let expect = &self.scenario.expect;
        oracles
            .missing()
            .or_else(|| self.undetected())
            .or_else(|| oracles.misplaced(expect))
            .or_else(|| {
                let (views, least) = (oracles.views(), expect.views);
                (views < least).then(|| format!("there were {views} views, not {least}"))
            })
    }

    /// Culprits that must be found, each with what is due against it.
    pub(super) fn culprits(&self) -> Vec<(usize, adversary::Verdict)> {
        let expect = &self.scenario.expect;
        let crashed: Vec<u16> = self.scenario.crashes.iter().map(|crash| crash.rank).collect();
        let suspected = expect.suspects.iter().chain(&crashed);
        let suspected = suspected.map(|rank| (*rank, adversary::Verdict::Suspected));
        let proven = expect.proof_against.iter();
        let proven = proven.map(|rank| (*rank, adversary::Verdict::Proven));
        let life = |(host, verdict)| Some((self.life(host)?, verdict));
        suspected.chain(proven).filter_map(life).collect()
    }

    /// The process on this host, the last one if there were several.
    pub(super) fn life(&self, host: u16) -> Option<usize> {
        self.hosts.get(usize::from(host)).copied().flatten().map(|(life, _)| life)
    }

    pub(super) fn undetected(&self) -> Option<String> {
        let oracles = &self.world.oracles;
        let mut culprits = self.culprits().into_iter();
        culprits
            .find_map(|(rank, verdict)| oracles.undetected(rank, verdict))
            .or_else(|| self.unnoticed())
    }

    /// Of liars that lied, one at least must be found, if their strategy is such that it shows:
    /// where the total order stands still, only who holds up its first slot is looked for. So with
    /// a crash none may be, and none once the view has changed: opinions end with their view, and
    /// what holds nothing up there gives no reason for another. What was said in a view that was over
    /// before anybody heard it is no Proof, either.
    pub(super) fn unnoticed(&self) -> Option<String> {
        let verdict = self.scenario.strategy_verdict()?;
        let is_over = self.world.oracles.views() > 1;
        let is_hidden = verdict == adversary::Verdict::Suspected
            && (is_over || !self.scenario.crashes.is_empty());
        if is_hidden || self.scenario.expect.violates.is_some() {
            return None;
        }
        let mut missing = None;
        for rank in self.scenario.liar_ranks().iter().filter_map(|rank| self.life(*rank)) {
            let liar = &self.processes[rank];
            let oracles = &self.world.oracles;
            let is_unheard = is_over && !liar.was_heard() && !oracles.is_blamed(rank);
            if liar.fired() > 0 && !is_unheard {
                // A liar that was found ends the search.
                missing = Some(oracles.undetected(rank, verdict)?);
            }
        }
        missing
    }

    /// In a timely network a crashed member is found within its time-out and two seconds, which begin
    /// again with every view.
    pub(super) fn overdue(&self) -> Option<String> {
        if !self.scenario.is_calm() || self.scenario.crashes.is_empty() {
            return None;
        }
        let timeouts = &self.scenario.timeouts;
        let patience = timeouts.mute_us + timeouts.ask_us + DETECTION_SLACK_US;
        let views = &self.world.oracles.history().views;
        let installed_us = views.iter().map(Installed::last_us).max().unwrap_or(0);
        if self.world.now_us < self.trigger_us.max(installed_us) + patience {
            return None;
        }
        let oracles = &self.world.oracles;
        let mut crashed = self.scenario.crashes.iter().filter_map(|crash| self.life(crash.rank));
        crashed.find_map(|life| oracles.undetected(life, adversary::Verdict::Suspected))
    }

    pub(super) fn is_counted(&self) -> bool {
        let present = self.world.oracles.present();
        let is_long = |rank: &usize| {
            let source = self.processes[*rank].source();
            source.is_silent() || source.made() >= swarm::CASTS
        };
        self.world.now_us >= swarm::LEAST_US && present.iter().all(is_long)
    }

    /// Whether correct members sent more than the scenario allows, in words.
    fn wasteful(&self) -> Option<String> {
        let most = self.scenario.expect.bytes_out_max?;
        let sent = self.processes.iter().filter_map(Process::counters).map(|own| own.bytes_out);
        let sent: u64 = sent.sum();
        (sent > most).then(|| format!("{sent} bytes were sent, not {most} at the most"))
    }

    pub(super) fn fired(&self) -> u64 {
        self.processes.iter().map(Process::fired).sum()
    }

    /// The verdict of a run in which nothing unexpected was broken.
    pub(super) fn verdict(&self, missing: Option<String>) -> Verdict {
        if let Some(violates) = &self.scenario.expect.violates {
            return Verdict::Vacuous(format!("{violates} was to be broken and held"));
        }
        let oracles = &self.world.oracles;
        if let Some(why) = oracles.unowed() {
            return Verdict::NothingOwed(why);
        }
        if let Some(text) = missing {
            return Verdict::Liveness(text);
        }
        if self.scenario.expect.fires && self.fired() == 0 {
            return Verdict::Vacuous("the liars never lied".to_owned());
        }
        if let Some(text) = self.void() {
            return Verdict::Vacuous(text);
        }
        let (views, most) = (self.world.oracles.views(), self.scenario.expect.views_max);
        if most.is_some_and(|most| views > most) {
            return Verdict::Liveness(format!("there were {views} views"));
        }
        let history = self.world.oracles.history();
        let hurt = [history.excluded(), history.silenced()].concat();
        let is_hurt = |rank: &&u16| hurt.contains(&usize::from(**rank));
        if let Some(rank) = self.scenario.expect.untouched.iter().find(is_hurt) {
            return Verdict::Liveness(format!("member {rank} was excluded or silenced"));
        }
        if let Some(text) = oracles.slow(&self.scenario.expect).or_else(|| self.wasteful()) {
            return Verdict::Liveness(text);
        }
        let (least, held) =
            (self.scenario.expect.memory_permille, self.world.oracles.memory_permille());
        if held < least {
            let text = format!("memory reached {held} permille of its bound, not {least}");
            return Verdict::Vacuous(text);
        }
        match self.world.oracles.nothing() {
            Some(why) => Verdict::NothingOwed(why),
            None if self.scenario.expect.nothing_owed => {
                Verdict::Vacuous("nothing was to be owed, and something was delivered".to_owned())
            }
            None => Verdict::Held,
        }
    }
}

/// Whether a scenario may break this promise on purpose: what holds only within the fault model.
const fn is_expectable(promise: Promise) -> bool {
    match promise {
        Promise::P1
        | Promise::P2
        | Promise::P3
        | Promise::P4
        | Promise::P5
        | Promise::P6
        | Promise::P7
        | Promise::P8
        | Promise::Alarm
        | Promise::State => true,
        Promise::P9
        | Promise::P10
        | Promise::Conflict
        | Promise::Suspicion
        | Promise::Pledge
        | Promise::Work => false,
    }
}
