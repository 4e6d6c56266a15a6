//! The replay window: which of the last 1,024 frame counters of a link were seen.

const WORDS: usize = 16;
const WINDOW: u64 = 1024;

/// Admits each counter at most once, and none that is too old to tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayWindow {
    /// Counters start at 1.
    highest: u64,
    /// Bit `c % 1024` for counter `c` in `highest - 1023 ..= highest`.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// Whether this counter is new; it is not any more afterwards.
    pub(super) fn admits(&mut self, counter: u64) -> bool {
        if counter == 0 || self.highest.saturating_sub(counter) >= WINDOW {
            return false;
        }
        if counter > self.highest {
            let ahead = counter.saturating_sub(self.highest).min(WINDOW);
            for step in 1..=ahead {
                // Only the counters that enter the window are cleared, oldest first.
                self.set(counter.saturating_sub(ahead).saturating_add(step), false);
            }
            self.highest = counter;
        }
        let is_new = !self.is_set(counter);
        self.set(counter, true);
        is_new
    }

    fn place(counter: u64) -> (usize, u64) {
        let bit = counter % WINDOW;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    }

    fn is_set(&self, counter: u64) -> bool {
        let (word, mask) = Self::place(counter);
        self.seen.get(word).is_some_and(|word| word & mask != 0)
    }

    fn set(&mut self, counter: u64, to: bool) {
        let (word, mask) = Self::place(counter);
        if let Some(word) = self.seen.get_mut(word) {
            if to {
                *word |= mask;
            } else {
                *word &= !mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_set_of_all_counters_ever_seen() {
        let mut window = ReplayWindow::default();
        let (mut seen, mut highest, mut state) = (BTreeSet::new(), 0_u64, 7_u64);
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let jump = (state >> 33) % 3_000;
            let counter = (highest + 300).saturating_sub(jump);
            let is_fresh = counter > 0 && counter + WINDOW > highest && !seen.contains(&counter);
            assert_eq!(window.admits(counter), is_fresh, "{counter} after {highest}");
            if is_fresh {
                seen.insert(counter);
                highest = highest.max(counter);
            }
        }
    }

    #[test]
    fn the_end_of_the_counter_is_harmless() {
        let mut window = ReplayWindow::default();
        assert!(window.admits(u64::MAX));
        assert!(!window.admits(u64::MAX));
        assert!(!window.admits(1));
        assert!(window.admits(u64::MAX - 1_000));
    }
}
