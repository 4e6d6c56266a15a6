//! Numbers that order things: bodies within a log, rounds of the total order. They own their
//! arithmetic, and none of it wraps.

use core::fmt;
use serde::{Deserialize, Serialize};

use crate::crypto::Hash32;

macro_rules! counting {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(u64);

        impl $name {
            /// The first value.
            pub const ZERO: Self = Self(0);

            /// The value with this index.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Its index.
            #[must_use]
            pub const fn value(self) -> u64 {
                self.0
            }

            /// The one after; the last one has none and is its own successor.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before; zero has none and is its own predecessor.
            #[must_use]
            pub const fn prev(self) -> Self {
                Self(self.0.saturating_sub(1))
            }

            /// `by` further, at most the last one.
            #[must_use]
            pub const fn plus(self, by: u64) -> Self {
                Self(self.0.saturating_add(by))
            }

            /// How far past `earlier` this is, 0 if it is not.
            #[must_use]
            pub const fn past(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counting! {
    /// The place of a body in its sender's log; the first body is 1, [`Number::ZERO`] is "none yet".
    Number
}

counting! {
    /// A round of the total order (protocol.md section 6).
    Round
}

/// A place in the total order: round first, then the sender's index among the active members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The round.
    pub round: Round,
    /// Index of the sender among the active members, in rank order.
    pub place: u16,
}

/// What a body says about its sender's slots (protocol.md sections 4 and 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotMark {
    /// Nothing: the body carries Fifo casts only.
    None,
    /// Its Total casts stand in this round; the sender's rounds jumped over are null.
    Value(Round),
    /// All rounds of the sender up to and including this one are null.
    Null(Round),
}

impl SlotMark {
    /// The last round it settles, if any.
    #[must_use]
    pub const fn round(self) -> Option<Round> {
        match self {
            Self::None => None,
            Self::Value(round) | Self::Null(round) => Some(round),
        }
    }
}

/// An attempt of a view change, counted from 0; who leads it says [`crate::View::leader`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Attempt(u32);

impl Attempt {
    /// The first one.
    pub const FIRST: Self = Self(0);

    /// The attempt with this index.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Its index.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The one after; the last one is its own successor.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a log ends: its last body and the hash of its chain; number 0 and hash zero if it is
/// empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// Number of the last body.
    pub number: Number,
    /// `H_r` of it.
    pub hash: Hash32,
}

impl LogEnd {
    /// Of an empty log.
    pub const EMPTY: Self = Self { number: Number::ZERO, hash: Hash32::ZERO };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_do_not_wrap() {
        let last = Number::new(u64::MAX);
        assert_eq!(last.next(), last);
        assert_eq!(last.plus(9), last);
        assert_eq!(Number::ZERO.prev(), Number::ZERO);
        assert_eq!(Number::ZERO.past(last), 0);
    }

    #[test]
    fn slots_are_ordered_by_round_then_place() {
        let slot = |round, place| Slot { round: Round::new(round), place };
        assert!(slot(0, 3) < slot(1, 0));
        assert!(slot(1, 0) < slot(1, 1));
    }
}
