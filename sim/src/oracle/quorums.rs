//! The thresholds of protocol.md section 1 as a literal table: what the oracles know of quorums.
//! It is not computed, so that a mistake in the core's arithmetic cannot hide in it.

/// The largest group that the table covers.
pub const MEMBERS_MAX: u16 = 13;

const F: [usize; 13] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4];
const Q: [usize; 13] = [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9];
const PAPER: [usize; 13] = [1, 1, 1, 3, 3, 3, 5, 5, 5, 7, 7, 7, 9];

/// How many of `members` may lie.
#[must_use]
pub const fn faulty(members: u16) -> usize {
    F[members as usize - 1]
}

/// How many of `members` make a quorum, by the sound rule or the paper's.
#[must_use]
pub const fn quorum(members: u16, is_paper: bool) -> usize {
    if is_paper { PAPER[members as usize - 1] } else { Q[members as usize - 1] }
}
