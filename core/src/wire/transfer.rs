//! What a joiner and those that hand it the state tell each other (protocol.md section 10), and the
//! shape in which a state is hashed, so that every piece of it can be checked by itself.
//!
//! A state is cut into chunks of [`CHUNK_BYTES`], the last one shorter. The SHA-256 hashes of
//! [`PAGE_HASHES`] chunks in a row are a page; the hashes of the pages and the length make the root,
//! which is what members sign ([`crate::crypto::Snapshot`]).

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::{Blob, List};
use crate::crypto::{Hash32, MEMBERS_MAX, Signed, Snapshot, hash, sha256};

/// Bytes of each chunk but the last.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Hashes of chunks in each page but the last.
pub const PAGE_HASHES: usize = 1024;

/// The same where chunks are counted.
const PER_PAGE: u32 = 1024;
const _: () = assert!(PER_PAGE as usize == PAGE_HASHES, "one number in two types");

/// The most pages.
pub const PAGES_MAX: usize = 1024;

/// The longest state that can be handed over, in bytes.
pub const STATE_MAX: u64 = (PAGES_MAX * PAGE_HASHES * CHUNK_BYTES) as u64;

/// A part of a state that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Piece {
    /// The signed root.
    Root,
    /// The hashes of all pages.
    Pages,
    /// The hashes of the chunks of one page.
    Page(u16),
    /// A chunk.
    Chunk(u32),
}

/// About the state with which the view of number `of` begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferPart {
    /// A joiner of that view asks a member for a piece.
    Ask {
        /// The joiner's first view.
        of: u64,
        /// What it wants.
        piece: Piece,
    },
    /// The root, signed for the joiner in that view.
    Root {
        /// The joiner's first view.
        of: u64,
        /// By the member that sends it.
        said: Signed<Snapshot>,
    },
    /// The hashes of all pages.
    Pages {
        /// The joiner's first view.
        of: u64,
        /// In order.
        hashes: List<Hash32, PAGES_MAX>,
    },
    /// The hashes of the chunks of one page.
    Page {
        /// The joiner's first view.
        of: u64,
        /// Which one.
        page: u16,
        /// In order.
        hashes: List<Hash32, PAGE_HASHES>,
    },
    /// A chunk.
    Chunk {
        /// The joiner's first view.
        of: u64,
        /// Which one.
        index: u32,
        /// Its bytes.
        bytes: Blob<CHUNK_BYTES>,
    },
    /// The sender has no such state to hand over, and will not have it.
    Gone {
        /// The joiner's first view.
        of: u64,
    },
    /// The joiner has all that it needs.
    Done {
        /// The joiner's first view.
        of: u64,
    },
}

impl TransferPart {
    /// Which view's state it is about.
    #[must_use]
    pub const fn of(&self) -> u64 {
        match self {
            Self::Ask { of, .. }
            | Self::Root { of, .. }
            | Self::Pages { of, .. }
            | Self::Page { of, .. }
            | Self::Chunk { of, .. }
            | Self::Gone { of }
            | Self::Done { of } => *of,
        }
    }

    /// The signer of a root has its rank in the joiner's first view, which may be larger than the
    /// present one.
    pub(super) fn is_legal(&self) -> bool {
        match self {
            Self::Ask { piece, .. } => piece.is_legal(),
            Self::Root { said, .. } => said.signer.index() < MEMBERS_MAX,
            Self::Pages { hashes, .. } => !hashes.is_empty(),
            Self::Page { page, hashes, .. } => Piece::Page(*page).is_legal() && !hashes.is_empty(),
            Self::Chunk { index, bytes, .. } => {
                Piece::Chunk(*index).is_legal() && !bytes.0.is_empty()
            }
            Self::Gone { .. } | Self::Done { .. } => true,
        }
    }

    /// About how many bytes it takes, not less than it does.
    pub(crate) fn weight(&self) -> usize {
        let hashes = |count: usize| count.saturating_mul(Hash32::LEN.saturating_add(1));
        let content = match self {
            Self::Pages { hashes: pages, .. } => hashes(pages.len()),
            Self::Page { hashes: chunks, .. } => hashes(chunks.len()),
            Self::Chunk { bytes, .. } => bytes.0.len(),
            Self::Root { .. } => 256,
            Self::Ask { .. } | Self::Gone { .. } | Self::Done { .. } => 0,
        };
        content.saturating_add(64)
    }
}

impl Piece {
    const fn is_legal(self) -> bool {
        match self {
            Self::Root | Self::Pages => true,
            Self::Page(page) => (page as usize) < PAGES_MAX,
            Self::Chunk(index) => (index as usize) < PAGES_MAX * PAGE_HASHES,
        }
    }
}

/// The hashes of the chunks of a state that is in memory, as [`crate::Request::SnapshotReady`] wants
/// them. An application that keeps its state elsewhere hashes [`CHUNK_BYTES`] after
/// [`CHUNK_BYTES`] of it with SHA-256.
#[must_use]
pub fn chunk_hashes(state: &[u8]) -> Vec<Hash32> {
    state.chunks(CHUNK_BYTES).map(sha256).collect()
}

/// How many of its parts a state has, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    length: u64,
}

impl Shape {
    /// Of a state of `length` bytes; `None` beyond [`STATE_MAX`].
    pub(crate) const fn of(length: u64) -> Option<Self> {
        if length <= STATE_MAX { Some(Self { length }) } else { None }
    }

    /// Bytes of the state.
    pub(crate) const fn length(self) -> u64 {
        self.length
    }

    /// How many chunks it has.
    pub(crate) fn chunks(self) -> u32 {
        u32::try_from(self.length.div_ceil(CHUNK_BYTES as u64)).unwrap_or(u32::MAX)
    }

    /// How many pages.
    pub(crate) fn pages(self) -> u16 {
        u16::try_from(self.chunks().div_ceil(PER_PAGE)).unwrap_or(u16::MAX)
    }

    /// Where a chunk begins.
    pub(crate) fn offset(self, index: u32) -> u64 {
        u64::from(index).saturating_mul(CHUNK_BYTES as u64)
    }

    /// Bytes of a chunk, 0 beyond the last.
    pub(crate) fn chunk_len(self, index: u32) -> usize {
        let rest = self.length.saturating_sub(self.offset(index));
        usize::try_from(rest).unwrap_or(usize::MAX).min(CHUNK_BYTES)
    }

    /// Hashes in a page, 0 beyond the last.
    pub(crate) fn page_len(self, page: u16) -> usize {
        let before = usize::from(page).saturating_mul(PAGE_HASHES);
        (self.chunks() as usize).saturating_sub(before).min(PAGE_HASHES)
    }

    /// Which page has the hash of a chunk, and where.
    pub(crate) fn place(index: u32) -> (u16, usize) {
        let page = u16::try_from(index / PER_PAGE).unwrap_or(u16::MAX);
        (page, (index % PER_PAGE) as usize)
    }

    /// The root of a state of this shape.
    pub(crate) fn root(self, pages: &[Hash32]) -> Hash32 {
        hash("state", &[&self.length.to_le_bytes(), &joined(pages)])
    }
}

/// The hash of a page.
pub(crate) fn page_hash(hashes: &[Hash32]) -> Hash32 {
    hash("state page", &[&joined(hashes)])
}

fn joined(hashes: &[Hash32]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_at_their_edges() {
        let page = (PAGE_HASHES * CHUNK_BYTES) as u64;
        let chunk = CHUNK_BYTES as u64;
        for (length, chunks, pages, last) in [
            (0, 0, 0, 0),
            (1, 1, 1, 1),
            (chunk, 1, 1, CHUNK_BYTES),
            (chunk + 1, 2, 1, 1),
            (page, 1024, 1, CHUNK_BYTES),
            (page + 5, 1025, 2, 5),
            (STATE_MAX, 1 << 20, 1024, CHUNK_BYTES),
        ] {
            let shape = Shape::of(length).unwrap();
            assert_eq!((shape.chunks(), shape.pages()), (chunks, pages), "{length} bytes");
            assert_eq!(shape.chunk_len(chunks.saturating_sub(1)), last, "{length} bytes");
            assert_eq!(shape.chunk_len(chunks), 0);
            let hashes: usize = (0..pages).map(|page| shape.page_len(page)).sum();
            assert_eq!((hashes, shape.page_len(pages)), (chunks as usize, 0));
        }
        assert_eq!(Shape::of(STATE_MAX + 1), None);
        assert_eq!([0, 1023, 1024].map(Shape::place), [(0, 0), (0, 1023), (1, 0)]);
    }

    #[test]
    fn length_and_every_hash_enter_the_root() {
        let [a, b] = [sha256(b"a"), sha256(b"b")];
        let roots = [
            Shape { length: 1 }.root(&[a]),
            Shape { length: 2 }.root(&[a]),
            Shape { length: 2 }.root(&[b]),
            Shape { length: 2 }.root(&[a, b]),
            Shape { length: 2 }.root(&[b, a]),
            page_hash(&[a, b]),
            page_hash(&[b, a]),
        ];
        for (i, root) in roots.iter().enumerate() {
            assert!(!roots[..i].contains(root), "variant {i}");
        }
    }
}
