//! What work costs a member in virtual time: figures that make a run on any machine tell how the
//! group would do on a given one.
//!
//! The work is counted by the node itself at its one door to cryptography; here it is only priced.

use phalanx_core::Counters;

use crate::scenario::CostPreset;

/// Prices in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// One signature made.
    pub sign_ns: u64,
    /// One signature checked.
    pub verify_ns: u64,
    /// One hash, apart from its bytes.
    pub hash_ns: u64,
    /// A thousand bytes hashed.
    pub hash_kilobyte_ns: u64,
    /// One MAC made or checked.
    pub mac_ns: u64,
    /// One frame sent or received.
    pub frame_ns: u64,
}

impl Cost {
    /// The prices of a preset.
    ///
    /// The RSA figures are those of the usual speed test of that time's libraries on a 1 GHz
    /// Pentium III, rounded; the paper gives none of its own.
    #[must_use]
    pub const fn of(preset: CostPreset) -> Self {
        let (sign_us, verify_us) = match preset {
            CostPreset::Zero => {
                return Self {
                    sign_ns: 0,
                    verify_ns: 0,
                    hash_ns: 0,
                    hash_kilobyte_ns: 0,
                    mac_ns: 0,
                    frame_ns: 0,
                };
            }
            CostPreset::Ed25519 => {
                return Self {
                    sign_ns: 15_000,
                    verify_ns: 35_000,
                    hash_ns: 200,
                    hash_kilobyte_ns: 700,
                    mac_ns: 300,
                    frame_ns: 2_000,
                };
            }
            CostPreset::Rsa512 => (1_000, 90),
            CostPreset::Rsa1024 => (5_400, 290),
            CostPreset::Rsa2048 => (34_000, 1_000),
        };
        Self {
            sign_ns: sign_us * 1_000,
            verify_ns: verify_us * 1_000,
            hash_ns: 2_000,
            hash_kilobyte_ns: 16_000,
            mac_ns: 4_000,
            frame_ns: 50_000,
        }
    }

    /// Whether everything is free.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.sign_ns == 0 && self.frame_ns == 0
    }

    /// What the work between two readings of a node's counters costs, in nanoseconds.
    #[must_use]
    pub const fn between(&self, before: &Counters, after: &Counters) -> u64 {
        let (a, b) = (&before.crypto, &after.crypto);
        let frames_in = after.frames_in.saturating_sub(before.frames_in);
        let frames_out = after.frames_out.saturating_sub(before.frames_out);
        b.signatures.saturating_sub(a.signatures) * self.sign_ns
            + b.verifications.saturating_sub(a.verifications) * self.verify_ns
            + b.hashes.saturating_sub(a.hashes) * self.hash_ns
            + b.hashed_bytes.saturating_sub(a.hashed_bytes) * self.hash_kilobyte_ns / 1_000
            + b.macs.saturating_sub(a.macs) * self.mac_ns
            + frames_in.saturating_add(frames_out) * self.frame_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_priced_by_kind() {
        let before = Counters::default();
        let mut after = before;
        after.crypto.signatures = 1;
        after.crypto.verifications = 2;
        after.crypto.hashed_bytes = 3_000;
        after.frames_in = 1;
        after.frames_out = 2;
        let cost = Cost::of(CostPreset::Ed25519);
        assert_eq!(cost.between(&before, &after), 15_000 + 70_000 + 2_100 + 6_000);
        assert_eq!(Cost::of(CostPreset::Zero).between(&before, &after), 0);
        assert!(Cost::of(CostPreset::Zero).is_zero() && !cost.is_zero());
    }
}
