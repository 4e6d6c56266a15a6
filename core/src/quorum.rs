//! Quorum arithmetic: the only file that knows how many is enough (protocol.md section 1).
//!
//! For a view of `n` members: `f = floor((n-1)/3)` may lie, `q = floor((n+f)/2) + 1` is a quorum
//! and `weak = f + 1` is certain to contain a correct member. What follows from it:
//!
//! * Q1: two quorums share at least `2q - n >= f + 1` members, so a correct one.
//! * Q2: `q <= n - f`: the correct members are a quorum by themselves.
//! * Q3: `q - f >= f + 1` (for `f >= 1`): the correct part of a quorum is weak.
//!
//! The paper's `2f + 1` has Q1 only at `n = 3f + 1`; it is kept as [`QuorumRule::Paper`] for
//! studies that show what goes wrong with it.

use serde::{Deserialize, Serialize};

/// Which arithmetic a group uses. Part of the genesis record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum QuorumRule {
    /// `floor((n+f)/2) + 1`: safe at every `n`.
    #[default]
    Sound,
    /// The paper's `2f + 1`: **unsafe** unless `n = 3f + 1`. Refused by [`crate::Config::validate`]
    /// unless the crate is built with the feature `insecure-study`.
    Paper,
}

/// The thresholds of one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    n: u16,
    f: u16,
    q: u16,
}

impl Quorum {
    /// The thresholds for `n >= 1` members; `n = 0` is treated as 1.
    #[must_use]
    pub const fn of(n: u16, rule: QuorumRule) -> Self {
        let n = if n == 0 { 1 } else { n };
        let f = n.saturating_sub(1) / 3;
        let q = match rule {
            // floor((n+f)/2) + 1 = n - floor((n-f-1)/2) for n > f: no overflow at any n.
            QuorumRule::Sound => n.saturating_sub(n.saturating_sub(f).saturating_sub(1) / 2),
            QuorumRule::Paper => f.saturating_mul(2).saturating_add(1),
        };
        Self { n, f, q }
    }

    /// Members in the view.
    #[must_use]
    pub const fn n(self) -> usize {
        self.n as usize
    }

    /// How many of them may lie.
    #[must_use]
    pub const fn f(self) -> usize {
        self.f as usize
    }

    /// How many make a quorum.
    #[must_use]
    pub const fn q(self) -> usize {
        self.q as usize
    }

    /// How many are certain to include a correct member.
    #[must_use]
    pub const fn weak(self) -> usize {
        (self.f as usize).saturating_add(1)
    }

    /// How many that say of themselves that they have not voted for a thing prove that no quorum has:
    /// `f` of them may lie, and the others with them are one fewer than `q`. Never more than `q`, for
    /// two quorums share `f + 1`, nor than `n - f`.
    #[must_use]
    pub const fn veto(self) -> usize {
        self.n().saturating_sub(self.q()).saturating_add(self.weak())
    }

    /// The largest value that at least a quorum of `values` reach, or `None` when there are fewer
    /// than a quorum of them. `values` is reordered.
    pub fn reached<T: Ord + Copy>(self, values: &mut [T]) -> Option<T> {
        let index = self.q().checked_sub(1)?;
        if index >= values.len() {
            return None;
        }
        let (_, value, _) = values.select_nth_unstable_by(index, |a, b| b.cmp(a));
        Some(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_protocol() {
        let f = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4];
        let q = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
        let veto = [1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9];
        let paper = [1, 1, 1, 3, 3, 3, 5, 5, 5, 7, 7, 7, 9];
        for n in 1..=13_u16 {
            let i = usize::from(n) - 1;
            let sound = Quorum::of(n, QuorumRule::Sound);
            assert_eq!((sound.f(), sound.q(), sound.weak()), (f[i], q[i], f[i] + 1), "n = {n}");
            assert_eq!(sound.veto(), veto[i], "n = {n}");
            assert_eq!(Quorum::of(n, QuorumRule::Paper).q(), paper[i], "n = {n}");
        }
    }

    #[test]
    fn q1_to_q3_hold_up_to_two_hundred_members() {
        for n in 1..=200_usize {
            let u = Quorum::of(u16::try_from(n).unwrap(), QuorumRule::Sound);
            assert_eq!(u.q(), (n + u.f()) / 2 + 1, "formula at n = {n}");
            assert!(n > 3 * u.f(), "at most a third at n = {n}");
            assert!(2 * u.q() > n + u.f(), "Q1 at n = {n}");
            assert!(u.q() + u.f() <= n, "Q2 at n = {n}");
            assert!(u.f() == 0 || u.q() > 2 * u.f(), "Q3 at n = {n}");
            // Those of a veto that do not lie leave fewer than a quorum.
            assert_eq!(n - (u.veto() - u.f()), u.q() - 1, "n = {n}");
            assert!(u.veto() <= u.q() && u.veto() + u.f() <= n, "n = {n}");
        }
    }

    #[test]
    fn the_papers_quorums_intersect_only_at_three_f_plus_one() {
        for n in 1..=200_usize {
            let u = Quorum::of(u16::try_from(n).unwrap(), QuorumRule::Paper);
            assert_eq!(2 * u.q() > n + u.f(), n == 3 * u.f() + 1, "n = {n}");
        }
    }

    #[test]
    fn no_size_overflows() {
        assert_eq!(Quorum::of(u16::MAX, QuorumRule::Sound).q(), (65_535 + 21_844) / 2 + 1);
        assert_eq!(Quorum::of(0, QuorumRule::Sound), Quorum::of(1, QuorumRule::Sound));
    }

    #[test]
    fn reached_is_the_q_th_largest() {
        let four = Quorum::of(4, QuorumRule::Sound);
        assert_eq!(four.reached(&mut [5, 1, 9, 7]), Some(5));
        assert_eq!(four.reached(&mut [5, 1]), None);
    }
}
