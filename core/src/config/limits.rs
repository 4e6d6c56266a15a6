//! Sizes, limits and windows of a group.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::crypto::LINKS_MAX;
use crate::wire::casts;
use crate::wire::change::JOINS_PER_CHANGE_MAX;

/// Sizes, limits and windows that are part of the genesis record: they must be the same
/// everywhere, because what one member sends is judged by another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Members of the largest view, at most 64.
    pub max_members: u16,
    /// Joiners taken in by one view change, at most 16.
    pub max_joins_per_change: u16,
    /// Bytes of the longest cast.
    pub cast_max: u32,
    /// Bytes of casts gathered in one body, each counted as 64 more than it has; one larger cast may
    /// stand alone.
    pub body_max: u32,
    /// Bodies of one sender above the stability threshold, 4 to 1024.
    pub window_bodies: u32,
    /// Bytes of casts of one sender above the stability threshold, counted likewise; one body is
    /// always allowed.
    pub window_bytes: u32,
    /// Rounds by which a slot may lie above the one before it in its log.
    pub slot_window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_members: 64,
            max_joins_per_change: 4,
            cast_max: 1024 * 1024,
            body_max: 256 * 1024,
            window_bodies: 64,
            window_bytes: 4 * 1024 * 1024,
            slot_window: 256,
        }
    }
}

impl Limits {
    /// The most that the casts of one body cost, and so the most bytes of them.
    #[must_use]
    pub const fn casts_max(&self) -> usize {
        let cast = (self.cast_max as usize).saturating_add(casts::PREFIX + casts::CAST_COST);
        let body = self.body_max as usize;
        if cast > body { cast } else { body }
    }

    /// Whether so many casts may be one body that are `bytes` long together: several cost no more
    /// than `body_max`, a single one is no longer than `cast_max`.
    #[must_use]
    pub const fn takes(&self, bytes: usize, count: &casts::Count) -> bool {
        match count.all() {
            0 => bytes == 0,
            1 => bytes <= (self.cast_max as usize).saturating_add(casts::PREFIX),
            _ => count.cost(bytes) <= self.body_max as usize,
        }
    }

    /// The most bytes of casts that a sender has on their way: three quarters of the window, for the
    /// others may not have seen yet how far it moved; one largest body is always allowed.
    #[must_use]
    pub const fn casts_in_flight(&self) -> usize {
        let share = (self.window_bytes as usize / 4).saturating_mul(3);
        if share > self.casts_max() { share } else { self.casts_max() }
    }

    /// The most bodies with casts that a sender has on their way, likewise; the rest of the window
    /// is kept for nulls.
    #[must_use]
    pub const fn bodies_in_flight(&self) -> u64 {
        (self.window_bodies as u64).saturating_mul(3) / 4
    }

    /// The most bytes that a window of one sender holds: the larger of `window_bytes` and one body.
    #[must_use]
    pub const fn window_bytes_max(&self) -> usize {
        let window = self.window_bytes as usize;
        if window > self.casts_max() { window } else { self.casts_max() }
    }

    /// The most links in a certificate (RM3): a window above the stability threshold, and one below it
    /// that waits for the merge. A member that certifies what it holds never needs more.
    #[must_use]
    pub const fn links_max(&self) -> usize {
        (self.window_bodies as usize).saturating_mul(2)
    }

    /// What does not fit together, or leads nowhere.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=JOINS_PER_CHANGE_MAX).contains(&usize::from(self.max_joins_per_change)) {
            return Err(ConfigError::OutOfRange("max_joins_per_change", "1 to 16"));
        }
        if self.window_bodies < 4 || self.window_bodies as usize > LINKS_MAX / 2 {
            return Err(ConfigError::OutOfRange("window_bodies", "4 to 1024 bodies"));
        }
        if self.cast_max == 0 || self.cast_max > 4 * 1024 * 1024 {
            return Err(ConfigError::OutOfRange("cast_max", "1 to 4194304 bytes"));
        }
        if self.body_max < 1024 || self.body_max > 4 * 1024 * 1024 {
            return Err(ConfigError::OutOfRange("body_max", "1024 to 4194304 bytes"));
        }
        if self.window_bytes < self.body_max {
            return Err(ConfigError::OutOfRange("window_bytes", "at least body_max"));
        }
        if self.slot_window == 0 || self.slot_window > 1 << 20 {
            return Err(ConfigError::OutOfRange("slot_window", "1 to 1048576 rounds"));
        }
        Ok(())
    }
}
