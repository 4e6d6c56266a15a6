//! What one peer may make this member compute (P10): a budget of signature checks for each link.
//!
//! Whoever sends a frame pays for it, never the signer of what is relayed in it: a liar that hands
//! on the words of others cannot spend what belongs to them. Work that leads somewhere is free, and
//! bounded by what it leads to: heads that lie within a window, certificates that certify more,
//! suspicions, each of which is checked once. Everything else takes from the peer's tokens, and
//! what it sends when it has none left is dropped unread. That is a loss like any other on a link:
//! the protocol repairs it, and a token returns within milliseconds.
//!
//! Of Stable rows the newest is enough. So many are checked of each signer as this member itself
//! signs, four times over, and some in each interval; above that the newest one waits for its
//! turn, one for each signer, and those that it replaces are not missed.
//!
//! A peer that goes on far beyond is flooding: an opinion. Its link is read on, because the group
//! may need its votes.

use alloc::vec::Vec;

use crate::crypto::{Signed, Stable};
use crate::member::{PerRank, Rank};
use crate::time::Time;

/// Tokens of a peer that was quiet: a whole attempt of a view change, with its proofs.
const TOKENS_MAX: i64 = 256;
/// Tokens that come back in a second.
const TOKENS_PER_SECOND: u64 = 128;
/// The most tokens that one part takes: long messages of a view change bring much at once.
const PART_MAX: i64 = 64;
/// Parts dropped unread that nobody minds, in a second.
const DROPS_PER_SECOND: u64 = 1_024;
/// Parts beyond these that make a flood.
const FLOOD: i64 = 512;
/// Rows of a signer that are checked at once.
const ROWS_MAX: i64 = 16;
/// Rows of each signer that are checked for each own one, and in each interval besides.
const ROWS_FOR_ONE: i64 = 4;

/// Something that fills up as time passes.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Below zero: what was taken beyond what there was.
    level: i64,
    max: i64,
    /// In how many microseconds one comes back.
    every_us: u64,
    since: Time,
}

impl Bucket {
    const fn full(max: i64, every_us: u64, now: Time) -> Self {
        Self { level: max, max, every_us, since: now }
    }

    fn refill(&mut self, now: Time) {
        let back = now.since(self.since).checked_div(self.every_us).unwrap_or(0);
        self.since = self.since.plus(back.saturating_mul(self.every_us));
        self.add(i64::try_from(back).unwrap_or(i64::MAX));
    }

    fn add(&mut self, more: i64) {
        self.level = self.level.saturating_add(more).min(self.max);
    }

    /// Whether anything is left.
    fn has_any(&mut self, now: Time) -> bool {
        self.refill(now);
        self.level > 0
    }

    fn take(&mut self, cost: i64) {
        self.level = self.level.saturating_sub(cost);
    }
}

/// What becomes of a row.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is checked now.
    Check(Signed<Stable>),
    /// It waits for its turn, or was dropped for one that does: one of its signer was in vain.
    Wait {
        /// Whether a row was given up.
        is_lost: bool,
    },
}

/// The account of one peer.
#[derive(Debug)]
struct Peer {
    tokens: Bucket,
    /// Empty: it floods.
    patience: Bucket,
    is_flooding: bool,
    /// How many of its own rows may be checked.
    rows: Bucket,
    /// Its newest row beyond these, unchecked.
    held: Option<Signed<Stable>>,
}

/// The accounts of all peers, in one view.
#[derive(Debug)]
pub(super) struct Work(PerRank<Peer>);

impl Work {
    /// For a view of `n` members, of which this one signs a row every `stable_us`.
    pub(super) fn new(n: usize, stable_us: u64, now: Time) -> Self {
        let tokens_us = 1_000_000_u64.checked_div(TOKENS_PER_SECOND).unwrap_or(1);
        let drops_us = 1_000_000_u64.checked_div(DROPS_PER_SECOND).unwrap_or(1);
        let rows_us = stable_us.checked_div(ROWS_FOR_ONE.unsigned_abs()).unwrap_or(1).max(1);
        Self(PerRank::from_fn(n, |_| Peer {
            tokens: Bucket::full(TOKENS_MAX, tokens_us, now),
            patience: Bucket::full(FLOOD, drops_us, now),
            is_flooding: false,
            rows: Bucket::full(ROWS_MAX, rows_us, now),
            held: None,
        }))
    }

    /// Whether a part from this peer is read that may cost a check in vain.
    pub(super) fn may_check(&mut self, now: Time, from: Rank) -> bool {
        self.0.at_mut(from).tokens.has_any(now)
    }

    /// A part from this peer took so many checks, and brought nothing that bounds their number.
    pub(super) fn charge(&mut self, from: Rank, checks: u64) {
        let checks = i64::try_from(checks).unwrap_or(PART_MAX);
        self.0.at_mut(from).tokens.take(checks.min(PART_MAX));
    }

    /// A part from this peer was dropped unread. Returns whether it floods, once.
    pub(super) fn drop_part(&mut self, now: Time, from: Rank) -> bool {
        let peer = self.0.at_mut(from);
        if peer.patience.has_any(now) {
            peer.patience.take(1);
            return false;
        }
        !core::mem::replace(&mut peer.is_flooding, true)
    }

    /// A row that is news, as far as it says so itself, from this peer. One that its signer did not
    /// send itself waits for nothing: who relays it pays if its signer has had its share.
    pub(super) fn on_row(&mut self, now: Time, from: Rank, row: Signed<Stable>) -> Fate {
        let signer = row.signer;
        if self.0.at_mut(signer).rows.has_any(now) {
            let known = self.0.at_mut(signer);
            known.rows.take(1);
            // The one that waits is older, or comes next.
            return Fate::Check(row);
        }
        if signer != from {
            return match self.may_check(now, from) {
                true => {
                    self.charge(from, 1);
                    Fate::Check(row)
                }
                false => Fate::Wait { is_lost: true },
            };
        }
        let held = &mut self.0.at_mut(signer).held;
        let is_lost = held.is_some();
        if held.as_ref().is_none_or(|held| held.statement.counter < row.statement.counter) {
            *held = Some(row);
        }
        Fate::Wait { is_lost }
    }

    /// This member signed a row: it may have come to as much as others have.
    pub(super) fn on_own_row(&mut self) {
        self.0.values_mut().for_each(|peer| peer.rows.add(ROWS_FOR_ONE));
    }

    /// The rows whose turn has come.
    pub(super) fn take_rows(&mut self, now: Time) -> Vec<Signed<Stable>> {
        let peers = self.0.values_mut().filter(|peer| peer.held.is_some());
        let due = peers.filter_map(|peer| {
            if !peer.rows.has_any(now) {
                return None;
            }
            peer.rows.take(1);
            peer.held.take()
        });
        due.collect()
    }

    /// Bytes of rows that wait.
    pub(super) fn held_bytes(&self) -> usize {
        let held = self.0.values().filter_map(|peer| peer.held.as_ref());
        held.fold(0, |sum, row| sum.saturating_add(row_bytes(row.statement.have.len())))
    }

    /// The most of them, in a view of `n` members.
    pub(super) const fn bound_bytes(n: usize) -> usize {
        row_bytes(n).saturating_mul(n)
    }
}

/// What a row for `n` logs takes.
const fn row_bytes(n: usize) -> usize {
    size_of::<Signed<Stable>>().saturating_add(n.saturating_mul(size_of::<crate::Number>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Rig;

    const STABLE_US: u64 = 100_000;
    const LIAR: Rank = Rank::new(3);
    const OTHER: Rank = Rank::new(1);

    fn work() -> Work {
        Work::new(4, STABLE_US, Time::ZERO)
    }

    #[test]
    fn checks_in_vain_are_bounded_and_come_back() {
        let mut work = work();
        let (mut now, mut checks) = (Time::ZERO, 0_u64);
        for _ in 0..10_000 {
            now = now.plus(100);
            if work.may_check(now, LIAR) {
                work.charge(LIAR, 2);
                checks += 2;
            }
        }
        assert!((256..=256 + 130).contains(&checks), "{checks} in a second");
        assert!(work.may_check(now, OTHER), "nobody else pays");
        assert!(work.may_check(now.plus(8_000), LIAR));
    }

    #[test]
    fn one_long_message_does_not_spend_all() {
        let mut work = work();
        work.charge(LIAR, 5_000);
        assert!(work.may_check(Time::ZERO, LIAR));
    }

    #[test]
    fn a_flood_is_told_once_and_some_drops_never_are() {
        let mut work = work();
        let floods = |work: &mut Work, from, every_us: u64| {
            let drops = (1..=10_000_u64).map(|i| Time::from_micros(every_us * i));
            drops.filter(|now| work.drop_part(*now, from)).count()
        };
        assert_eq!(floods(&mut work, OTHER, 1_000), 0);
        assert_eq!(floods(&mut work, LIAR, 300), 1);
    }

    #[test]
    fn the_newest_row_is_checked_when_its_turn_comes() {
        let mut rig = Rig::quick(4);
        let (mut work, mut now) = (work(), Time::ZERO);
        let (mut checked, mut newest, mut lost) = (0_u64, 0, 0);
        for counter in 1..=3_000 {
            now = now.plus(333);
            let row = rig.row(3, counter, &[0; 4]);
            let due = match work.on_row(now, LIAR, row) {
                Fate::Check(row) => alloc::vec![row],
                Fate::Wait { is_lost } => {
                    lost += u64::from(is_lost);
                    work.take_rows(now)
                }
            };
            if counter % 300 == 0 {
                work.on_own_row();
            }
            for row in due {
                assert!(row.statement.counter > newest);
                newest = row.statement.counter;
                checked += 1;
            }
        }
        assert!(checked < 16 + 45 + 45, "{checked} checked in a second");
        assert!(newest > 2_900, "the newest that was checked is {newest}");
        assert_eq!(lost + checked, 3_000 - u64::from(work.held_bytes() > 0));
        assert!(work.held_bytes() <= Work::bound_bytes(4));
    }

    #[test]
    fn who_relays_a_row_pays_for_it_if_its_signer_has_had_its_share() {
        let mut rig = Rig::quick(4);
        let mut work = work();
        let mut checked = 0;
        for counter in 1..=2_000 {
            let row = rig.row(1, counter, &[0; 4]);
            checked += i64::from(matches!(work.on_row(Time::ZERO, LIAR, row), Fate::Check(_)));
        }
        assert_eq!(checked, ROWS_MAX + TOKENS_MAX);
        assert!(work.may_check(Time::ZERO, OTHER) && !work.may_check(Time::ZERO, LIAR));
    }
}
