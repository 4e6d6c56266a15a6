//! How many frames of strangers are handed on: shares of a rate, so that a flood takes what others
//! leave, not what is theirs.
//!
//! A name proves nothing, so a frame counts for where it comes from. One that bears the name of a peer
//! and comes from that peer's address has a rate of that peer's own. All others share one, by source:
//! each source has as much of it as any other that asked lately. All that is handed on in one name is
//! less than what the node looks at of one that it knows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use phalanx_core::PeerId;

/// How long the shares of a rate hold.
const WINDOW: Duration = Duration::from_millis(250);
/// Frames in a window that name a peer and come from its address.
const OWN: u32 = 96;
/// All others in a window.
const OTHERS: u32 = 32;
/// Sources told apart in a window; others have no share in it.
const SOURCES: usize = 256;

/// Both rates, for sources of one kind.
#[derive(Debug)]
pub(super) struct Intake<S> {
    own: Shares<PeerId>,
    others: Shares<S>,
}

impl<S: Ord> Intake<S> {
    pub(super) const fn new(now: Instant) -> Self {
        Self { own: Shares::new(now), others: Shares::new(now) }
    }

    /// Whether a frame that names `sender` and comes from `source` is handed on; `is_own` if the peer
    /// of that name has this address.
    pub(super) fn admits(
        &mut self,
        (sender, is_own): (PeerId, bool),
        source: S,
        now: Instant,
    ) -> bool {
        match is_own {
            // Each peer has a rate of its own.
            true => self.own.take(sender, now, |_, _, asked| asked <= OWN),
            false => self.others.take(source, now, |taken, sources, asked| {
                taken < OTHERS && asked <= (OTHERS / sources).max(1)
            }),
        }
    }
}

/// How often each key asked in a window.
#[derive(Debug)]
struct Shares<K> {
    since: Instant,
    asked: BTreeMap<K, u32>,
    /// How many asked in the window before.
    before: usize,
    taken: u32,
}

impl<K: Ord> Shares<K> {
    const fn new(now: Instant) -> Self {
        Self { since: now, asked: BTreeMap::new(), before: 0, taken: 0 }
    }

    fn take(&mut self, key: K, now: Instant, fits: impl Fn(u32, u32, u32) -> bool) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.before, self.taken) = (now, self.asked.len(), 0);
            self.asked.clear();
        }
        if self.asked.len() >= SOURCES && !self.asked.contains_key(&key) {
            return false;
        }
        let asked = self.asked.entry(key).or_default();
        *asked = asked.saturating_add(1);
        let asked = *asked;
        let keys = u32::try_from(self.before.max(self.asked.len())).unwrap_or(u32::MAX);
        let is_taken = fits(self.taken, keys, asked);
        self.taken += u32::from(is_taken);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many frames of each of these, name and source, so many a millisecond, are handed on in
    /// ten windows; the name 1 has the source 1.
    fn play(floods: &[(u64, u16, u32)]) -> Vec<u32> {
        let start = Instant::now();
        let mut intake = Intake::new(start);
        let mut taken = vec![0; floods.len()];
        for millis in 0..2_500 {
            let now = start + Duration::from_millis(millis);
            for (at, (name, source, rate)) in floods.iter().enumerate() {
                // The last one is slow.
                let rate = if at + 1 == floods.len() { u32::from(millis % 50 == 0) } else { *rate };
                for _ in 0..rate {
                    let is_own = *name == 1 && *source == 1;
                    taken[at] += u32::from(intake.admits((PeerId(*name), is_own), *source, now));
                }
            }
        }
        taken
    }

    #[test]
    fn a_name_from_its_own_address_is_heard_whoever_else_bears_it() {
        assert_eq!(play(&[(1, 7, 9), (1, 8, 9), (2, 9, 9), (1, 1, 0)]).last(), Some(&50));
    }

    #[test]
    fn sources_share_what_is_for_others() {
        // But for the first window, in which nobody knew of it.
        let taken = play(&[(1, 7, 9), (1, 8, 1)]);
        assert!(taken[1] >= 45 && taken[0] <= 320, "{taken:?}");
    }

    #[test]
    fn a_thousand_sources_are_not_remembered() {
        let now = Instant::now();
        let mut intake = Intake::new(now);
        let admitted =
            (0..1_000_u32).filter(|source| intake.admits((PeerId(1), false), *source, now));
        assert_eq!(admitted.count(), 32);
        assert!(intake.others.asked.len() <= SOURCES);
    }
}
