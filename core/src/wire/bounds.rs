//! How long what members send can be (protocol.md sections 9 and 12): the most bytes of everything that
//! [`super::decode`] lets through in a view of `n` members, for each kind of message.
//!
//! The bounds follow from the limits of the lists in the messages and from `n` alone, not from what
//! one member thinks is valid. So whatever is decoded can be passed on, be it as evidence against its
//! author, and whatever a correct member may ever have to send is taken by every other: links, queues
//! and the assembly of fragments are made for the longest.

use super::change::{JOINS_MAX, JOINS_PER_CHANGE_MAX};
use super::transfer::{CHUNK_BYTES, PAGES_MAX};
use super::{PARTS_MAX, SEND_MAX};
use crate::crypto::{LINKS_MAX, MEMBERS_MAX};
use crate::member::ADDR_MAX;
use crate::quorum::{Quorum, QuorumRule};
use crate::view::EXPELLED_MAX;

/// A hash or a key with its length.
const HASH: usize = 33;
/// Signature, signer, and what a statement adds to its lists.
const SIGNED: usize = 80;
/// Sender, number and hash.
const HEAD: usize = 44;
/// Slot and hash.
const LINK: usize = 44;
/// Key and incarnation of a joiner that a Flush lists.
const CHANGE: usize = HASH + 11;
const MEMBER: usize = HASH + 16 + ADDR_MAX;
const REQUEST: usize = HASH + SIGNED + 16 + ADDR_MAX;

/// The bounds in a view of so many members, each in bytes. A sum never wraps: `n` counts as 64 if it
/// is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    n: usize,
    q: usize,
    links: usize,
}

#[expect(clippy::arithmetic_side_effects, reason = "a few tens of millions, for 64 members")]
impl Bounds {
    /// Of all that is decoded in a view of `n` members.
    #[must_use]
    pub fn of(n: usize) -> Self {
        let n = n.clamp(1, MEMBERS_MAX);
        let size = u16::try_from(n).unwrap_or(u16::MAX);
        Self { n, q: Quorum::of(size, QuorumRule::Sound).q(), links: LINKS_MAX }
    }

    /// The same of what correct members send, whose certificates have at most so many links.
    #[must_use]
    pub fn with_links(n: usize, links: usize) -> Self {
        Self { links: links.min(LINKS_MAX), ..Self::of(n) }
    }

    const fn heads(self) -> usize {
        SIGNED + self.n * HEAD
    }

    /// A certificate that stands alone.
    #[must_use]
    pub const fn certificate(self) -> usize {
        HEAD + self.n * self.heads() + self.links * LINK + 8
    }

    /// A table of certificates.
    #[must_use]
    pub const fn certificates(self) -> usize {
        let covered = HEAD + 2 * self.n + self.links * LINK + 8;
        self.n * self.q * self.heads() + self.n * covered + 8
    }

    /// Evidence: everybody's suspicions of both kinds against everybody, departures, joiners.
    #[must_use]
    pub const fn grounds(self) -> usize {
        let signed = SIGNED + HASH;
        let joins = (JOINS_MAX + self.n) * (REQUEST + self.n * signed);
        2 * self.n * self.n * signed + self.n * SIGNED + joins + 16
    }

    /// The next view, of whatever size.
    #[must_use]
    pub const fn view(self) -> usize {
        2 * HASH + 32 + MEMBERS_MAX * (MEMBER + HEAD + 8) + EXPELLED_MAX * HASH
    }

    const fn acks(self) -> usize {
        self.n * (SIGNED + HASH + 8)
    }

    const fn flush_statement(self) -> usize {
        let changes = 3 * self.n * 4 + (JOINS_PER_CHANGE_MAX + self.n) * CHANGE;
        SIGNED + self.n * HEAD + changes
    }

    /// A Flush with what justifies it.
    #[must_use]
    pub const fn flush(self) -> usize {
        self.flush_statement() + self.certificates() + self.grounds()
    }

    /// A Need-More-Change with its lock.
    #[must_use]
    pub const fn need_more_change(self) -> usize {
        SIGNED + HEAD + self.view() + self.acks() + self.grounds()
    }

    /// A New-View with its justification.
    #[must_use]
    pub const fn new_view(self) -> usize {
        let more = self.n * (SIGNED + HEAD);
        let flushes = self.n * self.flush_statement();
        let fresh = flushes + self.certificates() + self.grounds() + more;
        let relock = more + self.acks();
        let most = if fresh > relock { fresh } else { relock };
        SIGNED + 2 * HASH + self.view() + most
    }

    /// A Commit with its Acks.
    #[must_use]
    pub const fn commit(self) -> usize {
        SIGNED + 2 * HASH + self.acks()
    }

    /// A Decision.
    #[must_use]
    pub const fn decision(self) -> usize {
        self.view() + self.acks()
    }

    /// Evidence that convicts: an invalid New-View, or two statements with the links that part them.
    #[must_use]
    pub const fn proof(self) -> usize {
        let forked = 2 * (self.heads() + LINKS_MAX * LINK) + HEAD;
        let invalid = self.new_view();
        2 * HASH + if invalid > forked { invalid } else { forked }
    }

    /// What stands before the casts of a body that is handed out: two certificates at most, a
    /// statement, and the links up to it.
    #[must_use]
    pub const fn answer(self) -> usize {
        2 * self.certificate() + self.heads() + 2 * HASH + 32 + LINKS_MAX * LINK
    }

    /// What every packet begins with.
    #[must_use]
    pub const fn packet_head(self) -> usize {
        HASH + self.n * 10 + 8 + PARTS_MAX
    }

    /// The longest part of a packet, bodies apart.
    #[must_use]
    pub fn longest(self) -> usize {
        let change = [self.flush(), self.need_more_change(), self.new_view(), self.proof()];
        let others = [self.certificate(), self.commit(), self.decision(), SEND_MAX + 32];
        let transfer =
            256 + if CHUNK_BYTES > PAGES_MAX * HASH { CHUNK_BYTES } else { PAGES_MAX * HASH };
        change.into_iter().chain(others).fold(transfer, usize::max)
    }
}
