//! What a run ended with, and the exit codes of the command line.
//!
//! There are three outcomes. A run *held*: what was owed came, and no promise was broken. It is
//! *broken*: it crashed, spins, broke a promise or owes something. Or *nothing was owed*: it shows
//! nothing, because no view in which something was delivered had a quorum of correct members and at
//! most `f` liars, or because nothing was delivered at all. A scenario may say that it breaks a
//! promise; if it does, that is said, and counts as a success of the scenario, not as held.

use std::fmt;

use crate::scenario::Expect;

/// Exit code: everything held, or the scenario broke what it says that it breaks.
pub const HELD: u8 = 0;
/// Exit code: the simulator itself could not do its work.
pub const OWN_ERROR: u8 = 1;
/// Exit code: wrong arguments or a wrong scenario file.
pub const USAGE: u8 = 2;
/// Exit code: a process of the group, or the simulator, panicked.
pub const CRASH: u8 = 10;
/// Exit code: something owed was not delivered in time.
pub const LIVENESS: u8 = 11;
/// Exit code: a promise was broken.
pub const SAFETY: u8 = 12;
/// Exit code: a trace does not replay.
pub const REPLAY_MISMATCH: u8 = 13;
/// Exit code: a run took more steps than virtual time allows.
pub const LIVELOCK: u8 = 14;
/// Exit code: nothing was owed, so the run shows nothing.
pub const NOTHING_OWED: u8 = 15;

/// A promise, by its name in protocol.md section 1, or one of the simulator's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Integrity.
    P1,
    /// FIFO order of one sender.
    P2,
    /// Uniform agreement.
    P3,
    /// Total order.
    P4,
    /// View synchrony.
    P5,
    /// View agreement.
    P6,
    /// Self-inclusion.
    P7,
    /// Membership integrity.
    P8,
    /// Blame: no Proof names a correct member.
    P9,
    /// Bounded memory.
    P10,
    /// No correct member signs two statements that conflict.
    Conflict,
    /// Nobody correct and well connected is suspected by a correct member.
    Suspicion,
    /// A correct member raised an alarm although at most `f` members lie.
    Alarm,
    /// No view holds more liars than it bears, as long as the pledge is kept.
    Pledge,
    /// Applications of correct members are equal where views begin, and a joiner loads just that.
    State,
    /// The frames of no peer make a correct member work beyond a budget.
    Work,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::P1,
        Self::P2,
        Self::P3,
        Self::P4,
        Self::P5,
        Self::P6,
        Self::P7,
        Self::P8,
        Self::P9,
        Self::P10,
        Self::Conflict,
        Self::Suspicion,
        Self::Alarm,
        Self::Pledge,
        Self::State,
        Self::Work,
    ];

    /// Whether it holds however many members lie.
    #[must_use]
    pub const fn is_always(self) -> bool {
        matches!(self, Self::P9 | Self::P10 | Self::Conflict | Self::Pledge)
    }

    /// Its name in scenario files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
            Self::P6 => "P6",
            Self::P7 => "P7",
            Self::P8 => "P8",
            Self::P9 => "P9",
            Self::P10 => "P10",
            Self::Conflict => "conflict",
            Self::Suspicion => "suspicion",
            Self::Alarm => "alarm",
            Self::Pledge => "pledge",
            Self::State => "state",
            Self::Work => "work",
        }
    }

    /// The promise of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|promise| promise.name() == name)
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// When, in microseconds of virtual time.
    pub at_us: u64,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken at {} us: {}", self.promise.name(), self.at_us, self.text)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was owed came, and no promise was broken.
    Held,
    /// The scenario says that it breaks these promises, and it did.
    Expected(Vec<Violation>),
    /// Nothing was owed, and no promise was broken: the run shows nothing.
    NothingOwed(String),
    /// Panicked.
    Crash(String),
    /// More steps than virtual time allows, or a step whose outputs have no end.
    Livelock(String),
    /// Promises were broken that were not expected to be.
    Safety(Vec<Violation>),
    /// Something owed did not come within the bound.
    Liveness(String),
    /// The run did not show what it is there for, such as a violation that is expected: the
    /// scenario or an oracle is wrong.
    Vacuous(String),
}

impl Verdict {
    /// The exit code it stands for.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Held | Self::Expected(_) => HELD,
            Self::NothingOwed(_) => NOTHING_OWED,
            Self::Livelock(_) => LIVELOCK,
            Self::Crash(_) => CRASH,
            Self::Safety(_) => SAFETY,
            Self::Liveness(_) => LIVENESS,
            Self::Vacuous(_) => OWN_ERROR,
        }
    }

    /// Whether the run showed what it was there for: it held, or it broke what it says that it breaks.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Held | Self::Expected(_))
    }

    /// Whether the run ended as its scenario says.
    #[must_use]
    pub const fn is_as_expected(&self, expect: &Expect) -> bool {
        self.is_good() || (expect.nothing_owed && matches!(self, Self::NothingOwed(_)))
    }

    /// Whether the run is broken: neither good, nor such that nothing was owed.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        !self.is_good() && !matches!(self, Self::NothingOwed(_))
    }

    /// A word or two for it, in traces and tables.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Expected(_) => "broken as expected",
            Self::NothingOwed(_) => "nothing owed",
            Self::Crash(_) => "crash",
            Self::Livelock(_) => "livelock",
            Self::Safety(_) => "safety",
            Self::Liveness(_) => "liveness",
            Self::Vacuous(_) => "vacuous",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Held => f.write_str(word),
            Self::NothingOwed(text) | Self::Vacuous(text) => write!(f, "{word}: {text}"),
            Self::Crash(text) | Self::Livelock(text) | Self::Liveness(text) => {
                write!(f, "broken ({word}): {text}")
            }
            Self::Expected(violations) => {
                write!(f, "{word}:")?;
                violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
            }
            Self::Safety(violations) => {
                write!(f, "broken ({word}):")?;
                violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_promises_come_back() {
        for promise in Promise::ALL {
            assert_eq!(Promise::parse(promise.name()), Some(promise));
        }
        assert_eq!(Promise::parse("P0"), None);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(Verdict::Held.code(), 0);
        assert_eq!(Verdict::Crash(String::new()).code(), 10);
        assert_eq!(Verdict::Liveness(String::new()).code(), 11);
        assert_eq!(Verdict::Safety(Vec::new()).code(), 12);
        assert_eq!(REPLAY_MISMATCH, 13);
        assert_eq!(Verdict::Livelock(String::new()).code(), 14);
        assert_eq!(Verdict::NothingOwed(String::new()).code(), 15);
        assert_eq!(Verdict::Expected(Vec::new()).code(), 0);
        assert_eq!(Verdict::Vacuous(String::new()).code(), 1);
    }

    #[test]
    fn a_run_is_held_broken_or_shows_nothing() {
        let text = String::new;
        assert!(Verdict::Held.is_good() && !Verdict::Held.is_broken());
        assert!(Verdict::Expected(Vec::new()).is_good());
        let nothing = Verdict::NothingOwed(text());
        assert!(!nothing.is_good() && !nothing.is_broken());
        let broken = [
            Verdict::Crash(text()),
            Verdict::Livelock(text()),
            Verdict::Liveness(text()),
            Verdict::Safety(Vec::new()),
        ];
        for verdict in broken {
            assert!(verdict.is_broken() && verdict.to_string().starts_with("broken ("));
        }
        assert!(!Verdict::Expected(Vec::new()).to_string().contains("held"));
    }
}
