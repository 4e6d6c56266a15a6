//! How slow the group is, as far as its view changes have shown (protocol.md section 9).
//!
//! Two things follow. The first attempt of the next change is given what the last change turned out
//! to need: otherwise each change of a slow group would begin with attempts that are too short, and
//! with opinions against the leaders of them. And what judges lateness elsewhere is lengthened, but
//! only by what the changes of the last `f + 1` different leaders all needed: a slow network slows
//! every one of them, and one of them is correct. While fewer have led, those that have count.
//!
//! What a faulty member can try: leading slowly. Its changes are as slow as the attempt timer lets
//! them be; they do not lengthen it, see [`super::clock`], and the next change has another leader.

use alloc::vec::Vec;

use crate::crypto::{MEMBERS_MAX, PublicKey};
use crate::view::View;

/// What the changes so far have shown; it goes over from view to view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// How long the first attempt of the next change is to be given, in microseconds.
    attempt_us: u64,
    /// The same by the last change that each member led, the latest last.
    led: Vec<(PublicKey, u64)>,
}

impl Pace {
    /// A change that `leader` led to its end asks for first attempts of so many microseconds.
    pub(super) fn note(&mut self, leader: Option<PublicKey>, attempt_us: u64) {
        self.attempt_us = attempt_us;
        let Some(leader) = leader else { return };
        self.led.retain(|(other, _)| *other != leader);
        if self.led.len() >= MEMBERS_MAX {
            self.led.remove(0);
        }
        self.led.push((leader, attempt_us));
    }

    /// How long the first attempt of the next change is to be given.
    pub(crate) const fn attempt_us(&self) -> u64 {
        self.attempt_us
    }

    /// The same as far as the network is to blame: the least of what the last `f + 1` leaders needed,
    /// of those that are members of `view`.
    pub(crate) fn network_us(&self, view: &View) -> u64 {
        let latest = self.led.iter().rev().filter(|(leader, _)| view.rank_of(leader).is_some());
        let latest = latest.take(view.quorum().weak()).map(|(_, attempt_us)| *attempt_us);
        latest.min().unwrap_or(self.attempt_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{genesis_of, quick_identity};

    #[test]
    fn the_network_is_as_slow_as_the_quickest_of_the_last_leaders() {
        let view = genesis_of((0..7).map(quick_identity)).view();
        let mut pace = Pace::default();
        let mut lead = |rank: usize, us| {
            pace.note(Some(view.members[rank].key), us);
            (pace.attempt_us(), pace.network_us(&view))
        };
        assert_eq!(lead(0, 9), (9, 9), "nothing else is known");
        assert_eq!(lead(1, 4), (4, 4), "that was its leader");
        assert_eq!(lead(2, 60), (60, 4));
        assert_eq!(lead(3, 60), (60, 4));
        assert_eq!(lead(2, 50), (50, 4), "the same one again");
        assert_eq!(lead(4, 50), (50, 50), "three of seven");
        assert_eq!(lead(5, 2), (2, 2));
        assert_eq!(lead(6, 70), (70, 2));
        let mut smaller = view.clone();
        smaller.members.remove(5);
        assert_eq!(pace.network_us(&smaller), 50, "and one more that is still there");
        pace.note(None, 3);
        assert_eq!((pace.attempt_us(), pace.network_us(&view)), (3, 2));
    }
}
