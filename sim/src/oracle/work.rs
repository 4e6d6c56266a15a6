//! Bounded work: what the frames of one peer make a correct member do stays within a budget, whoever
//! sends them. Counted are signature checks, hashes and hashed bytes of the steps that took its frames.
//!
//! The budget follows from what a correct peer may have to say, twice over: a row in each `stable_us`
//! of its own and of each other member that it was asked for; for each body of any log its vote, and
//! the body with its certificate; for each attempt of a view change its messages with the evidence of
//! all. What a peer says beyond that must be dropped unchecked.

use std::collections::BTreeMap;

use super::quorums;
use crate::scenario::Scenario;

/// Everything is allowed twice: for what is said again after a loss.
const TWICE: u64 = 2;

/// What a member or a link may begin with.
const BURST: u64 = 200;

/// Bytes of the shortest link of a chain, each of which is hashed once.
const LINK_BYTES: u64 = 16;

/// Bytes of a short statement as it is signed, or of a link of a chain as it is hashed, at most.
const SHORT_BYTES: u64 = 256;

/// Work of a step, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Signature checks.
    pub checks: u64,
    /// Hashes.
    pub hashes: u64,
    /// Bytes hashed.
    pub hashed_bytes: u64,
    /// Bytes of the frames that caused it.
    pub bytes_in: u64,
}

impl Spent {
    const fn add(&mut self, other: Self) {
        self.checks += other.checks;
        self.hashes += other.hashes;
        self.hashed_bytes += other.hashed_bytes;
        self.bytes_in += other.bytes_in;
    }
}

/// What the work of a member is measured against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Useful {
    /// Bodies of all logs that it delivered casts of, and of its own.
    pub bodies: u64,
    /// Views and attempts so far.
    pub changes: u64,
}

/// Work by member and by the host whose frames caused it.
#[derive(Debug)]
pub struct Work {
    members: u64,
    quorum: u64,
    stable_us: u64,
    spent: BTreeMap<(usize, u16), Spent>,
    highest_permille: u64,
}

impl Work {
    /// For a run of `scenario`; its largest group counts.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let most = scenario.hosts().min(scenario.limits.max_members).clamp(1, quorums::MEMBERS_MAX);
        Self {
            members: u64::from(most),
            quorum: quorums::quorum(most, false) as u64,
            stable_us: scenario.timeouts.stable_us,
            spent: BTreeMap::new(),
            highest_permille: 0,
        }
    }

    /// Signature checks that one peer may cause in so long, with so much useful work.
    #[must_use]
    pub const fn checks_max(&self, now_us: u64, useful: Useful) -> u64 {
        let rows = (now_us / self.stable_us).saturating_mul(self.members);
        let votes = useful.bodies.saturating_mul(2 + self.quorum);
        let evidence = self.members * (1 + self.members * (1 + self.quorum));
        let changes = (useful.changes + 1).saturating_mul(evidence);
        BURST + TWICE * (rows + votes + changes)
    }

    /// Frames of `host` made correct member `by` do this much more.
    ///
    /// # Errors
    /// If it is beyond the budget.
    pub fn spent(
        &mut self,
        now_us: u64,
        (by, host): (usize, u16),
        step: Spent,
        useful: Useful,
    ) -> Result<(), String> {
        let most = self.checks_max(now_us, useful);
        let spent = self.spent.entry((by, host)).or_default();
        spent.add(step);
        let checks = spent.checks;
        self.highest_permille = self.highest_permille.max(checks.saturating_mul(1_000) / most);
        let hashes_max = most + spent.bytes_in / LINK_BYTES;
        // A check hashes what was signed, and a link of a chain is longer when it is hashed; both are
        // bounded in number.
        let short = checks.saturating_add(spent.hashes).saturating_mul(SHORT_BYTES);
        let bytes_max = TWICE * spent.bytes_in + short + most;
        let kinds = [
            ("signature checks", checks, most),
            ("hashes", spent.hashes, hashes_max),
            ("hashed bytes", spent.hashed_bytes, bytes_max),
        ];
        let over = kinds.into_iter().find(|(_, spent, most)| spent > most);
        over.map_or(Ok(()), |(what, spent, most)| {
            Err(format!(
                "frames of {host} made member {by} do {spent} {what}, at most {most} are due"
            ))
        })
    }

    /// The highest share of its budget of signature checks that a peer used, in thousandths.
    #[must_use]
    pub const fn highest_permille(&self) -> u64 {
        self.highest_permille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_beyond_the_budget_is_seen_whatever_its_kind() {
        let rig = || Work::new(&Scenario::calm("work", 4, 1));
        let useful = Useful { bodies: 10, changes: 0 };
        let most = rig().checks_max(1_000_000, useful);
        assert_eq!(most, 200 + 2 * (40 + 50 + 4 * 17));
        let step =
            |checks, hashes, hashed_bytes| Spent { checks, hashes, hashed_bytes, bytes_in: 800 };
        let one = |step| rig().spent(1_000_000, (0, 3), step, useful);
        assert!(one(step(most, most + 50, 1_600 + most)).is_ok());
        assert!(one(step(most + 1, 0, 0)).unwrap_err().contains("signature checks"));
        assert!(one(step(0, most + 51, 0)).unwrap_err().contains("hashes"));
        assert!(one(step(0, 0, 1_601 + most)).unwrap_err().contains("hashed bytes"));
        let mut work = rig();
        assert!(work.spent(1_000_000, (0, 3), step(most, 0, 0), useful).is_ok());
        assert!(work.spent(1_000_000, (0, 2), step(1, 0, 0), useful).is_ok(), "another peer");
        assert!(work.spent(1_000_000, (0, 3), step(1, 0, 0), useful).is_err());
        assert_eq!(work.highest_permille(), 1_000 * (most + 1) / most);
    }
}
