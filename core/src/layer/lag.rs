//! Who holds windows back (protocol.md section 5): members whose Stable rows stay behind those of a
//! quorum while the logs that wait for them are nearly full. Part of layer Suspect.
//!
//! Two clocks run for each member, and it can restart neither of them:
//!
//! * Slow: the time in which it holds back more than `f` logs, or the own one, adds up; other time
//!   takes a third as much away. So a member that costs the group more than a quarter of its
//!   throughput is found, however it spreads that. A log that it holds back may be one whose sender
//!   keeps its bodies from it; of more than `f` logs one has a correct sender, and this member knows
//!   what it sent itself.
//! * Lagging: of any single log it has to reach, in `lag_us` and the time to ask, what this member
//!   held when the watch began. Bodies that their sender keeps from it can be fetched from others in that time.
//!
//! All are asked for a newer row before an opinion is formed. What a member owes goes over into the
//! next view, most of it; while it is Silenced nothing is repaid.

use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::config::Timeouts;
use crate::member::{PerRank, Rank};
use crate::seq::Number;
use crate::time::{Time, earliest};

/// Time in which a member holds nothing back pays for a part of the time in which it does.
const REPAY_PART: u64 = 3;

/// The part of what makes a member slow that it may take along into the next view, in quarters.
const CARRIED_QUARTERS: u64 = 3;

/// What a member holds back just now, as its newest row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HoldsBack {
    /// The logs, ascending: their senders, where its row stands, and what this member holds.
    pub(crate) logs: SmallVec<[(Rank, Number, Number); 2]>,
    /// More than `f` logs, or the own one.
    pub(crate) is_broad: bool,
}

/// The watch over one log.
#[derive(Clone, Copy, Debug)]
struct Target {
    log: Rank,
    /// What this member held when the watch began.
    number: Number,
    since: Time,
}

/// The watch over one member.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    /// Since when it has been holding something back.
    since: Option<Time>,
    is_broad: bool,
    target: Option<Target>,
    /// How long it held back more than it repaid, in microseconds, at the moment `at`.
    debt_us: u64,
    at: Time,
    /// When all were asked for its row.
    asked: Option<Time>,
    is_told: bool,
}

/// What is to be done about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// Ask all for a newer row of it.
    AskRow(Rank),
    /// Nobody has one: it is lagging.
    Lagging(Rank),
    /// Its rows come so late, all in all, that others are slowed by more than a quarter.
    Slow(Rank),
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Lag {
    lag_us: u64,
    ask_us: u64,
    /// Whether rows of the member are waited for.
    is_active: PerRank<bool>,
    watches: PerRank<Watch>,
}

impl Lag {
    /// The layer for a view of `n` members, of which these are Active.
    pub(crate) fn new(timeouts: &Timeouts, n: usize, active: &[Rank], now: Time) -> Self {
        Self {
            lag_us: timeouts.lag_us,
            ask_us: timeouts.ask_us,
            is_active: PerRank::from_fn(n, |member| active.contains(&member)),
            watches: PerRank::from_fn(n, |_| Watch { at: now, ..Watch::default() }),
        }
    }

    /// How long a member held back more than it repaid, in microseconds.
    pub(crate) fn debt_us(&self, member: Rank) -> u64 {
        self.watches.at(member).debt_us
    }

    /// What a member owed in the view before.
    pub(crate) fn carry(&mut self, member: Rank, debt_us: u64) {
        let most_us = (self.lag_us / 4).saturating_mul(CARRIED_QUARTERS);
        self.watches.at_mut(member).debt_us = debt_us.min(most_us);
    }

    /// Whether some member is watched, so that a step is owed even if nothing is held back.
    pub(crate) fn is_watching(&self) -> bool {
        self.watches.values().any(|watch| watch.since.is_some())
    }

    /// One step: `held` says for each member what it holds back now.
    pub(crate) fn step(&mut self, now: Time, held: &PerRank<HoldsBack>) -> Vec<Out> {
        let mut out = Vec::new();
        let (lag_us, ask_us) = (self.lag_us, self.ask_us);
        for (member, watch) in self.watches.iter_mut() {
            let is_active = *self.is_active.at(member);
            watch.note(now, held.at(member), is_active, lag_us.saturating_add(ask_us));
            if watch.is_told {
                continue;
            }
            let is_due = watch.since.is_some_and(|since| now >= since.plus(ask_us));
            let asked = match watch.asked {
                Some(asked) => asked,
                None if is_due || watch.debt_us >= lag_us => {
                    watch.asked = Some(now);
                    out.push(Out::AskRow(member));
                    now
                }
                None => continue,
            };
            let limit_us = lag_us.saturating_add(ask_us);
            let is_answered = now >= asked.plus(ask_us);
            let is_late = |target: Target| now >= target.since.plus(limit_us);
            if is_answered && watch.target.is_some_and(is_late) {
                watch.is_told = true;
                out.push(Out::Lagging(member));
            } else if is_answered && watch.debt_us >= limit_us {
                watch.is_told = true;
                out.push(Out::Slow(member));
            }
        }
        out
    }

    /// When a step is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let limit_us = self.lag_us.saturating_add(self.ask_us);
        let dues = self.watches.values().filter(|watch| !watch.is_told).map(|watch| {
            let since = watch.since?;
            let left_us = |most_us: u64| most_us.saturating_sub(watch.debt_us);
            let Some(asked) = watch.asked else {
                let debt = watch.is_broad.then(|| watch.at.plus(left_us(self.lag_us)));
                return earliest(Some(since.plus(self.ask_us)), debt);
            };
            let debt = watch.is_broad.then(|| watch.at.plus(left_us(limit_us)));
            let target = watch.target.map(|target| target.since.plus(limit_us));
            earliest(debt, target).map(|due| due.max(asked.plus(self.ask_us)))
        });
        dues.fold(None, earliest)
    }
}

impl Watch {
    /// Notes what the member holds back from now on; until now it was as noted before.
    fn note(&mut self, now: Time, held: &HoldsBack, is_active: bool, debt_max_us: u64) {
        let passed_us = now.since(self.at);
        self.debt_us = match self.since.is_some() && self.is_broad {
            true => self.debt_us.saturating_add(passed_us).min(debt_max_us),
            false if is_active => self.debt_us.saturating_sub(passed_us / REPAY_PART),
            false => self.debt_us,
        };
        self.at = now;
        self.is_broad = held.is_broad;
        if held.logs.is_empty() {
            (self.since, self.target) = (None, None);
            if self.debt_us == 0 {
                self.asked = None;
            }
            return;
        }
        self.since = self.since.or(Some(now));
        let is_missed = |target: &Target| {
            held.logs.iter().any(|(log, row, _)| *log == target.log && *row < target.number)
        };
        if !self.target.as_ref().is_some_and(is_missed) {
            // Each log in its turn: one that moves must not hide another that does not.
            let last = self.target.map(|target| target.log);
            let next = held.logs.iter().find(|(log, ..)| last.is_none_or(|last| *log > last));
            let next = next.or(held.logs.first());
            self.target =
                next.map(|(log, _, held)| Target { log: *log, number: *held, since: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CULPRIT: Rank = Rank::new(1);

    fn lag() -> Lag {
        let timeouts = Timeouts { lag_us: 2_000, ask_us: 200, ..Timeouts::default() };
        Lag::new(&timeouts, 2, &[Rank::new(0), CULPRIT], Time::ZERO)
    }

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    /// What the member at rank 1 holds back: the log of rank 0 at `row`, of which `held` are here.
    fn held(row: u64, held: u64, is_broad: bool) -> PerRank<HoldsBack> {
        holding(&[(0, row, held)], is_broad)
    }

    fn holding(logs: &[(u16, u64, u64)], is_broad: bool) -> PerRank<HoldsBack> {
        let log = |(log, row, held): &(u16, u64, u64)| {
            (Rank::new(*log), Number::new(*row), Number::new(*held))
        };
        let held = HoldsBack { logs: logs.iter().map(log).collect(), is_broad };
        PerRank::from_vec(alloc::vec![HoldsBack::default(), held])
    }

    fn nothing() -> PerRank<HoldsBack> {
        PerRank::from_vec(alloc::vec![HoldsBack::default(); 2])
    }

    #[test]
    fn a_row_that_stands_still_is_asked_for_and_then_found_lagging() {
        let mut lag = lag();
        assert_eq!(lag.step(at(0), &held(5, 50, false)), []);
        assert_eq!(lag.deadline(), Some(at(200)));
        assert_eq!(lag.step(at(200), &held(5, 50, false)), [Out::AskRow(CULPRIT)]);
        assert_eq!(lag.deadline(), Some(at(2_200)));
        assert_eq!(lag.step(at(2_199), &held(5, 50, false)), []);
        assert_eq!(lag.step(at(2_200), &held(5, 50, false)), [Out::Lagging(CULPRIT)]);
        assert_eq!(lag.step(at(9_000), &held(5, 50, false)), [], "said once");
        assert_eq!(lag.deadline(), None);
    }

    #[test]
    fn a_row_that_creeps_does_not_restart_the_clock() {
        let mut lag = lag();
        let mut told = Vec::new();
        for step in 0..40_u64 {
            // It rises by one while 50 more are held at the beginning.
            told.extend(lag.step(at(step * 100), &held(5 + step, 55 + step, false)));
        }
        assert_eq!(told, [Out::AskRow(CULPRIT), Out::Lagging(CULPRIT)]);
    }

    #[test]
    fn a_member_that_catches_up_with_one_log_in_time_is_not_lagging() {
        let mut lag = lag();
        for round in 0..20 {
            let begun = round * 2_000;
            lag.step(at(begun), &held(round * 50, round * 50 + 50, false));
            let out = lag.step(at(begun + 1_999), &held(round * 50 + 49, round * 50 + 90, false));
            assert!(!out.contains(&Out::Lagging(CULPRIT)));
        }
    }

    #[test]
    fn a_log_that_moves_does_not_hide_one_that_stands_still() {
        let mut lag = lag();
        let mut told = Vec::new();
        for step in 0..60_u64 {
            let logs = [(0, 100 * step, 100 * step + 50), (2, 7, 70)];
            told.extend(lag.step(at(step * 100), &holding(&logs, false)));
        }
        assert_eq!(told, [Out::AskRow(CULPRIT), Out::Lagging(CULPRIT)]);
    }

    /// Holds back for `on` of each 1,000 microseconds; whether it is found in 100,000.
    fn is_found(on: u64) -> bool {
        let mut lag = lag();
        let mut out = Vec::new();
        for round in 0..100 {
            out.extend(lag.step(at(round * 1_000), &held(round, round + 1, true)));
            for micros in (0..on).step_by(100) {
                let now = at(round * 1_000 + micros);
                out.extend(lag.step(now, &held(round, round + 1, true)));
            }
            out.extend(lag.step(at(round * 1_000 + on), &nothing()));
        }
        assert!(!out.contains(&Out::Lagging(CULPRIT)));
        out.contains(&Out::Slow(CULPRIT))
    }

    #[test]
    fn more_than_a_quarter_of_the_time_is_too_much_however_it_is_spread() {
        assert!(!is_found(240));
        assert!(is_found(280));
        assert!(is_found(500));
    }

    #[test]
    fn who_was_slow_in_the_view_before_is_found_sooner() {
        let mut lag = lag();
        lag.carry(CULPRIT, 9_000);
        assert_eq!(lag.debt_us(CULPRIT), 1_500);
        lag.step(at(0), &held(5, 50, true));
        assert_eq!(lag.step(at(500), &held(5, 50, true)), [Out::AskRow(CULPRIT)]);
        assert_eq!(lag.step(at(700), &held(5, 50, true)), [Out::Slow(CULPRIT)]);
        let mut silenced = Lag::new(&Timeouts::default(), 2, &[Rank::new(0)], Time::ZERO);
        silenced.carry(CULPRIT, 9_000);
        silenced.step(at(60_000_000), &nothing());
        assert_eq!(
            silenced.debt_us(CULPRIT),
            9_000,
            "it repays nothing while it is not waited for"
        );
    }

    #[test]
    fn few_logs_of_others_make_nobody_slow() {
        let mut lag = lag();
        for round in 0..1_000 {
            let out = lag.step(at(round * 500), &held(round * 50, round * 50 + 50, false));
            assert!(out.iter().all(|out| *out == Out::AskRow(CULPRIT)), "{out:?}");
        }
    }
}
