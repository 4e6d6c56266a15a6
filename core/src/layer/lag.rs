//! Who holds a window back (protocol.md section 5): a member whose Stable row stands still under a
//! full log although others, this member among them, hold more. All are asked for a newer row
//! before an opinion is formed. Part of layer Suspect.

use alloc::vec::Vec;

use crate::config::Timeouts;
use crate::member::{PerRank, Rank};
use crate::seq::Number;
use crate::time::{Time, earliest};

/// A member under suspicion of lagging.
#[derive(Clone, Copy, Debug)]
struct Watched {
    log: Rank,
    row: Number,
    since: Time,
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
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Lag {
    lag_us: u64,
    ask_us: u64,
    watched: PerRank<Option<Watched>>,
}

impl Lag {
    /// The layer for a view of `n` members.
    pub(crate) fn new(timeouts: &Timeouts, n: usize) -> Self {
        Self {
            lag_us: timeouts.lag_us,
            ask_us: timeouts.ask_us,
            watched: PerRank::from_fn(n, |_| None),
        }
    }

    /// One step: `held_back` says for each member the first full log that its row holds back, and
    /// where the row stands.
    pub(crate) fn step(
        &mut self,
        now: Time,
        held_back: &PerRank<Option<(Rank, Number)>>,
    ) -> Vec<Out> {
        let mut out = Vec::new();
        for (member, watched) in self.watched.iter_mut() {
            let Some((log, row)) = *held_back.at(member) else {
                *watched = None;
                continue;
            };
            let watch = match watched {
                Some(watch) if watch.log == log && watch.row == row => watch,
                Some(_) | None => {
                    let fresh = Watched { log, row, since: now, asked: None, is_told: false };
                    watched.insert(fresh)
                }
            };
            match watch.asked {
                None if now >= watch.since.plus(self.lag_us) => {
                    watch.asked = Some(now);
                    out.push(Out::AskRow(member));
                }
                Some(asked) if now >= asked.plus(self.ask_us) && !watch.is_told => {
                    watch.is_told = true;
                    out.push(Out::Lagging(member));
                }
                Some(_) | None => {}
            }
        }
        out
    }

    /// When a step is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let dues = self.watched.values().flatten().map(|watch| match watch.asked {
            None => Some(watch.since.plus(self.lag_us)),
            Some(asked) => (!watch.is_told).then(|| asked.plus(self.ask_us)),
        });
        dues.fold(None, earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_before_it_blames_and_forgets_when_the_row_moves() {
        let timeouts = Timeouts { lag_us: 100, ask_us: 10, ..Timeouts::default() };
        let mut lag = Lag::new(&timeouts, 2);
        let culprit = Rank::new(1);
        let at = |row| PerRank::from_vec(alloc::vec![None, Some((Rank::new(0), Number::new(row)))]);
        assert_eq!(lag.step(Time::ZERO, &at(5)), []);
        assert_eq!(lag.deadline(), Some(Time::from_micros(100)));
        assert_eq!(lag.step(Time::from_micros(99), &at(5)), []);
        assert_eq!(lag.step(Time::from_micros(100), &at(5)), [Out::AskRow(culprit)]);
        assert_eq!(lag.step(Time::from_micros(105), &at(6)), [], "a newer row was handed over");
        assert_eq!(lag.step(Time::from_micros(205), &at(6)), [Out::AskRow(culprit)]);
        assert_eq!(lag.step(Time::from_micros(215), &at(6)), [Out::Lagging(culprit)]);
        assert_eq!(lag.step(Time::from_micros(900), &at(6)), [], "said once");
        assert_eq!(lag.deadline(), None);
    }
}
