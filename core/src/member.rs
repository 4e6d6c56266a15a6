//! Members and their ranks.

use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

use crate::crypto::PublicKey;

/// The longest address a member may have, in bytes.
pub const ADDR_MAX: usize = 64;

/// A member's unique identifier within one view: its position in it. Rank 0 is the paper's leader.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Rank(u16);

impl Rank {
    /// The rank with this index; whether a view has it is for the view to say.
    #[must_use]
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its index as it stands on the wire.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }

    /// All ranks of a view of `n` members, in order.
    pub fn all(n: usize) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..u16::try_from(n).unwrap_or(u16::MAX)).map(Self)
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which process, independent of views: the first eight bytes of a hash over its public key.
/// Collisions within a group are refused when it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Whether a member opens bodies and owns slots (protocol.md section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Status {
    /// It casts, and stability waits for it.
    #[default]
    Active,
    /// It votes, but casts nothing and is not waited for.
    Silenced,
}

/// One member of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its identity: an Ed25519 public key.
    pub key: PublicKey,
    /// Which life of the process this is; a restarted process comes back with a higher one.
    pub incarnation: u64,
    /// Where to reach it: opaque to the core, at most [`ADDR_MAX`] bytes.
    pub addr: Vec<u8>,
    /// Whether it casts.
    pub status: Status,
}

/// One `T` for each rank of a view.
///
/// [`PerRank::at`] with a rank of a larger view is our own bug and fails loudly: every rank that
/// comes from a frame is checked against the view at the decode door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerRank<T>(Vec<T>);

impl<T> PerRank<T> {
    /// One value for each of `n` ranks.
    pub fn from_fn(n: usize, value: impl FnMut(Rank) -> T) -> Self {
        Self(Rank::all(n).map(value).collect())
    }

    /// The values of ranks 0, 1, ...
    #[must_use]
    pub const fn from_vec(values: Vec<T>) -> Self {
        Self(values)
    }

    /// How many ranks there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a rank of this view.
    ///
    /// # Panics
    /// If the rank is of a larger view.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "a rank outside its view is our own bug")]
    pub fn at(&self, rank: Rank) -> &T {
        &self.0[rank.index()]
    }

    /// The value of a rank of this view, to change.
    ///
    /// # Panics
    /// If the rank is of a larger view.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "a rank outside its view is our own bug")]
    pub fn at_mut(&mut self, rank: Rank) -> &mut T {
        &mut self.0[rank.index()]
    }

    /// The value of a rank that may be out of range.
    #[must_use]
    pub fn get(&self, rank: Rank) -> Option<&T> {
        self.0.get(rank.index())
    }

    /// The value of a rank that may be out of range, to change.
    #[must_use]
    pub fn get_mut(&mut self, rank: Rank) -> Option<&mut T> {
        self.0.get_mut(rank.index())
    }

    /// All ranks.
    pub fn ranks(&self) -> impl DoubleEndedIterator<Item = Rank> + Clone + use<T> {
        Rank::all(self.0.len())
    }

    /// The values in rank order.
    pub fn values(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The values in rank order, to change.
    pub fn values_mut(&mut self) -> core::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// The values in rank order, to keep.
    pub fn into_values(self) -> alloc::vec::IntoIter<T> {
        self.0.into_iter()
    }

    /// Ranks and values in rank order.
    pub fn iter(&self) -> impl Iterator<Item = (Rank, &T)> {
        self.ranks().zip(self.0.iter())
    }

    /// Ranks and values in rank order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Rank, &mut T)> {
        self.ranks().zip(self.0.iter_mut())
    }
}
