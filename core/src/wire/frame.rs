//! Frames: what travels between two processes, with its MAC (protocol.md section 3).
//!
//! ```text
//! 0   version        u8
//! 1   kind           u8    0 whole, 1 fragment, 2 acknowledgement of fragments, 3 stranger
//! 2   group          u64   first bytes of the group id
//! 10  from           u64   peer id of the sender
//! 18  counter        u64   rises with every frame of the link; never a nonce; stranger: 0
//! 26  mac            [u8; 16]  stranger: 0
//! 42  whole:         packet length u32, packet, casts
//!     fragment:      message u64, index u16, count u16, total u32, stamp u32: when it was sent,
//!                piece of a frame's part from 42 on
//!     acknowledgement: message u64, of the fragment that arrived last its stamp u32 and when it
//!                arrived u32, base u16: all fragments below it arrived, then a bit for each from base
//!                on that did, least significant first, the last byte not zero
//!     stranger:  what is said without a link, see [`super::stranger`]
//! ```
//!
//! The first 18 bytes are the same in all versions, so that processes that cannot talk to each other
//! can say why ([`peek_clear`]). Integers are little-endian. The MAC of a whole frame covers its first 26 bytes, `H(packet)` and
//! `H(casts)`: the receiver computes the latter anyway, so payload bytes are hashed once and never
//! MACed again, and a multicast hashes its packet once for all links. The MAC of a fragment or an
//! acknowledgement covers everything; a stranger's frame has none.

use alloc::vec::Vec;

use crate::crypto::{Hash32, MAC_LEN, MacKey};
use crate::member::PeerId;

/// Bytes before the content of a frame.
pub const HEADER: usize = PREFIX + MAC_LEN;

/// Bytes of a fragment before its piece.
pub const FRAGMENT_HEADER: usize = HEADER + 20;

/// The bytes that every MAC covers.
const PREFIX: usize = 26;

/// The kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A packet and the casts of its body.
    Whole,
    /// A piece of a frame that is too long for the network.
    Fragment,
    /// Which pieces arrived.
    FragmentAck,
    /// Between processes that have no link: not authenticated.
    Stranger,
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which kind.
    pub kind: FrameKind,
    /// First bytes of the group id.
    pub group: u64,
    /// Who says it sent it.
    pub from: PeerId,
    /// The link's frame counter.
    pub counter: u64,
}

impl Header {
    fn prefix(&self) -> [u8; PREFIX] {
        let kind = match self.kind {
            FrameKind::Whole => 0,
            FrameKind::Fragment => 1,
            FrameKind::FragmentAck => 2,
            FrameKind::Stranger => 3,
        };
        let mut prefix = [0; PREFIX];
        let fields = [super::VERSION, kind]
            .into_iter()
            .chain(self.group.to_le_bytes())
            .chain(self.from.0.to_le_bytes())
            .chain(self.counter.to_le_bytes());
        prefix.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        prefix
    }
}

/// A frame taken apart, its MAC not checked.
#[derive(Clone, Copy, Debug)]
pub struct Parsed<'a> {
    /// Its header.
    pub header: Header,
    mac: &'a [u8],
    content: &'a [u8],
}

/// A packet ready for all links: encoded and hashed once.
#[derive(Clone, Debug)]
pub struct Prepared {
    packet: Vec<u8>,
    packet_hash: Hash32,
    casts_hash: Hash32,
}

impl Prepared {
    /// `packet` encoded, `packet_hash` its SHA-256 and `casts_hash` that of the casts to follow.
    #[must_use]
    pub const fn new(packet: Vec<u8>, packet_hash: Hash32, casts_hash: Hash32) -> Self {
        Self { packet, packet_hash, casts_hash }
    }

    /// The frame's length without the casts.
    #[must_use]
    pub fn len(&self) -> usize {
        HEADER.saturating_add(4).saturating_add(self.packet.len())
    }

    /// Whether there is no packet; never so for one that was encoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packet.is_empty()
    }

    /// The content of the frame up to the casts.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.packet.len().saturating_add(4));
        self.append_content(&mut content);
        content
    }

    fn append_content(&self, out: &mut Vec<u8>) {
        // A packet of 4 GiB cannot be built: parts and lists are bounded.
        let len = u32::try_from(self.packet.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.packet);
    }

    /// The frame for one link, without the casts.
    #[must_use]
    pub fn seal(&self, key: &MacKey, header: &Header) -> Vec<u8> {
        let prefix = header.prefix();
        let parts = [&prefix[..], self.packet_hash.as_bytes(), self.casts_hash.as_bytes()];
        let mut out = Vec::with_capacity(self.len());
        out.extend_from_slice(&prefix);
        out.extend_from_slice(&key.mac(&parts));
        self.append_content(&mut out);
        out
    }
}

/// A fragment or an acknowledgement: `content` under a MAC.
#[must_use]
pub fn seal_small(key: &MacKey, header: &Header, content: &[&[u8]]) -> Vec<u8> {
    let prefix = header.prefix();
    let mut parts: smallvec::SmallVec<[&[u8]; 4]> = smallvec::smallvec![&prefix[..]];
    parts.extend(content.iter().copied());
    let len = content.iter().fold(HEADER, |sum, part| sum.saturating_add(part.len()));
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&prefix);
    out.extend_from_slice(&key.mac(&parts));
    content.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A frame between processes that have no link.
#[must_use]
pub fn stranger(group: u64, from: PeerId, content: &[u8]) -> Vec<u8> {
    let header = Header { kind: FrameKind::Stranger, group, from, counter: 0 };
    let mut out = Vec::with_capacity(HEADER.saturating_add(content.len()));
    out.extend_from_slice(&header.prefix());
    out.extend_from_slice(&[0; MAC_LEN]);
    out.extend_from_slice(content);
    out
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Takes a frame apart; `None` if it is too short, of another version or kind, or a stranger's
/// with something where others have a counter and a MAC.
#[must_use]
pub fn parse(frame: &[u8]) -> Option<Parsed<'_>> {
    let (prefix, rest) = frame.split_at_checked(PREFIX)?;
    let (mac, content) = rest.split_at_checked(MAC_LEN)?;
    let kind = match (prefix.first(), prefix.get(1)) {
        (Some(&super::VERSION), Some(0)) => FrameKind::Whole,
        (Some(&super::VERSION), Some(1)) => FrameKind::Fragment,
        (Some(&super::VERSION), Some(2)) => FrameKind::FragmentAck,
        (Some(&super::VERSION), Some(3)) => FrameKind::Stranger,
        (Some(_) | None, Some(_) | None) => return None,
    };
    let header = Header {
        kind,
        group: u64_at(prefix, 2)?,
        from: PeerId(u64_at(prefix, 10)?),
        counter: u64_at(prefix, 18)?,
    };
    let is_bare = header.counter == 0 && mac.iter().all(|byte| *byte == 0);
    if header.kind == FrameKind::Stranger && !is_bare {
        return None;
    }
    Some(Parsed { header, mac, content })
}

/// Splits the content of a whole frame into packet and casts.
#[must_use]
pub fn split_whole(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = content.split_at_checked(4)?;
    let len = u32::from_le_bytes(len.try_into().ok()?);
    rest.split_at_checked(usize::try_from(len).ok()?)
}

impl<'a> Parsed<'a> {
    /// What follows the MAC.
    #[must_use]
    pub const fn content(&self) -> &'a [u8] {
        self.content
    }

    /// Whether the MAC of a whole frame is that of these hashes under `key`.
    #[must_use]
    pub fn verifies_whole(&self, key: &MacKey, packet: &Hash32, casts: &Hash32) -> bool {
        let prefix = self.header.prefix();
        key.verifies(&[&prefix, packet.as_bytes(), casts.as_bytes()], self.mac)
    }

    /// Whether the MAC of a fragment or acknowledgement verifies under `key`.
    #[must_use]
    pub fn verifies_small(&self, key: &MacKey) -> bool {
        let prefix = self.header.prefix();
        key.verifies(&[&prefix, self.content], self.mac)
    }
}

/// Who claims to have sent this frame: for budgets before the MAC is checked. `None` if it is no
/// frame of this version.
#[must_use]
pub fn peek_sender(frame: &[u8]) -> Option<PeerId> {
    parse(frame).map(|parsed| parsed.header.from)
}

/// What every frame says in clear, in this version and all others: they begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clear {
    /// The version that its sender speaks.
    pub version: u8,
    /// First bytes of the id of its sender's group.
    pub group: u64,
    /// Who says it sent it.
    pub from: PeerId,
}

/// What a frame says in clear; `None` if it is too short for any version.
#[must_use]
pub fn peek_clear(frame: &[u8]) -> Option<Clear> {
    let (prefix, _) = frame.split_at_checked(PREFIX)?;
    let version = *prefix.first()?;
    Some(Clear { version, group: u64_at(prefix, 2)?, from: PeerId(u64_at(prefix, 10)?) })
}

/// Whether it is a frame between processes that have no link: what answers it goes back where it
/// came from.
#[must_use]
pub fn is_stranger(frame: &[u8]) -> bool {
    matches!(frame, [super::VERSION, 3, ..])
}
