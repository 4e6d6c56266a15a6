//! What stands in fragments and their acknowledgements (protocol.md section 3).
//!
//! A frame longer than the network takes is cut: its content (all that follows the MAC) becomes
//! pieces of one length, the last one as long as what remains. [`super::split`] sends them,
//! [`super::assemble`] puts them together. Both are machines of one link and know no keys: every
//! fragment and acknowledgement is sealed, and checked, like any frame.
//!
//! What a faulty peer can try: lengths that do not fit together are refused here, and are its
//! fault, since nobody else can make its MAC.

use alloc::vec::Vec;

use crate::time::Time;
use crate::wire::frame::{FRAGMENT_HEADER, HEADER};

/// Bytes of a fragment's frame before its piece.
pub(crate) const HEADER_BYTES: usize = FRAGMENT_HEADER;

/// Bytes before the piece in the content of a fragment.
pub(crate) const FIELDS: usize = FRAGMENT_HEADER - HEADER;

/// The shortest piece, but for the last of a message: what fits into the shortest frame.
pub(crate) const PIECE_MIN: usize = crate::Config::FRAME_MIN - FRAGMENT_HEADER;

/// The most bits in one acknowledgement: it must fit into the shortest frame.
pub(crate) const ACK_BITS_MAX: u16 = 1024;

/// Which piece of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Number of the message on its link, from 1.
    pub(crate) message: u64,
    /// Which piece, from 0.
    pub(crate) index: u16,
    /// How many pieces there are.
    pub(crate) count: u16,
    /// Bytes of all pieces.
    pub(crate) total: u32,
    /// When it was sent, see [`stamp`].
    pub(crate) stamp: u32,
}

impl Fields {
    /// As they stand in a fragment.
    pub(crate) fn to_bytes(self) -> [u8; FIELDS] {
        let mut out = [0; FIELDS];
        let bytes = (self.message.to_le_bytes().into_iter())
            .chain(self.index.to_le_bytes())
            .chain(self.count.to_le_bytes())
            .chain(self.total.to_le_bytes())
            .chain(self.stamp.to_le_bytes());
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        out
    }

    /// Takes the content of a fragment apart into fields and piece; `None` if they cannot go
    /// together in any message.
    pub(crate) fn parse(content: &[u8]) -> Option<(Self, &[u8])> {
        let (message, rest) = content.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (total, rest) = rest.split_first_chunk()?;
        let (stamp, piece) = rest.split_first_chunk()?;
        let fields = Self {
            message: u64::from_le_bytes(*message),
            index: u16::from_le_bytes(*index),
            count: u16::from_le_bytes(*count),
            total: u32::from_le_bytes(*total),
            stamp: u32::from_le_bytes(*stamp),
        };
        fields.stride(piece.len()).map(|_| (fields, piece))
    }

    /// The length of every piece but the last, as it follows from the length of this one; `None`
    /// if there is no such length.
    pub(crate) fn stride(&self, piece: usize) -> Option<usize> {
        let total = usize::try_from(self.total).ok()?;
        let last = self.count.checked_sub(1)?;
        if last == 0 {
            return (self.index == 0 && piece == total && piece > 0).then_some(piece);
        }
        let before = usize::from(last);
        let stride = match self.index.cmp(&last) {
            core::cmp::Ordering::Less => piece,
            core::cmp::Ordering::Equal => total.checked_sub(piece)?.checked_div(before)?,
            core::cmp::Ordering::Greater => return None,
        };
        let rest = total.checked_sub(stride.checked_mul(before)?)?;
        let is_whole = self.index < last || rest == piece;
        (is_whole && stride >= PIECE_MIN && (1..=stride).contains(&rest)).then_some(stride)
    }
}

/// The low bits of a moment, in microseconds, by the clock of one process alone.
pub(crate) fn stamp(now: Time) -> u32 {
    u32::try_from(now.as_micros() & u64::from(u32::MAX)).unwrap_or(0)
}

/// What an acknowledgement tells of the link: of the piece that arrived last, however often it was
/// sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Echo {
    /// When it was sent, by the clock of its sender: how long the way there and back takes.
    pub(crate) sent: u32,
    /// When it arrived, by the clock of its receiver. What the way there takes more than it did at
    /// best does not depend on how far apart the two clocks are.
    pub(crate) arrived: u32,
}

/// Which pieces of a message arrived: all below `base`, and `base + i` for each bit `i` that is
/// set, least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    /// The message.
    pub(crate) message: u64,
    /// Of its piece that arrived last.
    pub(crate) echo: Echo,
    /// The first piece that did not arrive; the number of pieces when all did.
    pub(crate) base: u16,
    /// At most [`ACK_BITS_MAX`] bits; the last byte is not zero.
    pub(crate) bits: Vec<u8>,
}

impl Ack {
    /// Whether piece `index` arrived.
    pub(crate) fn has(&self, index: u16) -> bool {
        index.checked_sub(self.base).is_none_or(|above| {
            let byte = self.bits.get(usize::from(above / 8)).copied().unwrap_or(0);
            byte & 1_u8.rotate_left(u32::from(above % 8)) != 0
        })
    }

    /// Notes that piece `base + above` arrived, if an acknowledgement reaches that far.
    pub(crate) fn set(&mut self, above: u16) {
        if above >= ACK_BITS_MAX {
            return;
        }
        let byte = usize::from(above / 8);
        if self.bits.len() <= byte {
            self.bits.resize(byte.saturating_add(1), 0);
        }
        if let Some(bits) = self.bits.get_mut(byte) {
            *bits |= 1_u8.rotate_left(u32::from(above % 8));
        }
    }

    /// As it stands in an acknowledgement.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bits.len().saturating_add(18));
        out.extend_from_slice(&self.message.to_le_bytes());
        out.extend_from_slice(&self.echo.sent.to_le_bytes());
        out.extend_from_slice(&self.echo.arrived.to_le_bytes());
        out.extend_from_slice(&self.base.to_le_bytes());
        out.extend_from_slice(&self.bits);
        out
    }

    /// Takes the content of an acknowledgement apart; `None` if it is none.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let (message, rest) = content.split_first_chunk()?;
        let (sent, rest) = rest.split_first_chunk()?;
        let (arrived, rest) = rest.split_first_chunk()?;
        let (base, bits) = rest.split_first_chunk()?;
        let fits = bits.len() <= usize::from(ACK_BITS_MAX / 8);
        (fits && bits.last() != Some(&0)).then(|| Self {
            message: u64::from_le_bytes(*message),
            echo: Echo { sent: u32::from_le_bytes(*sent), arrived: u32::from_le_bytes(*arrived) },
            base: u16::from_le_bytes(*base),
            bits: bits.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(index: u16, count: u16, total: u32) -> Fields {
        Fields { message: 7, index, count, total, stamp: 9 }
    }

    #[test]
    fn only_lengths_that_fit_together_have_a_stride() {
        for (index, count, total, piece, stride) in [
            (0, 1, 5, 5, Some(5)),
            (0, 3, 700, 300, Some(300)),
            (1, 3, 700, 300, Some(300)),
            (2, 3, 700, 100, Some(300)),
            (2, 3, 900, 300, Some(300)),
            (0, 1, 0, 0, None),     // nothing
            (0, 0, 5, 5, None),     // no pieces
            (1, 1, 5, 5, None),     // index beyond the end
            (3, 3, 900, 300, None), // the same
            (0, 1, 6, 5, None),     // the only piece is not all
            (0, 3, 600, 300, None), // nothing left for the last
            (0, 3, 901, 300, None), // too much left for the last
            (2, 3, 701, 100, None), // the others do not come out even
            (2, 3, 900, 301, None), // the last longer than the others
            (2, 3, 100, 101, None), // longer than all
            (0, 3, 450, 193, None), // pieces too short
            (0, 3, 700, 0, None),   // empty piece
            (2, 3, 600, 0, None),   // empty last piece
            (0, 65_535, u32::MAX, 0, None),
        ] {
            assert_eq!(
                fields(index, count, total).stride(piece),
                stride,
                "{index} {count} {total}"
            );
        }
    }

    #[test]
    fn fields_and_acks_survive_their_bytes_and_refuse_short_ones() {
        let piece = [9; 300];
        let mut content = fields(0, 1, 300).to_bytes().to_vec();
        content.extend(piece);
        assert_eq!(Fields::parse(&content), Some((fields(0, 1, 300), &piece[..])));
        for cut in 0..content.len() {
            assert_eq!(Fields::parse(&content[..cut]), None, "cut at {cut}");
        }
        let mut ack =
            Ack { message: 5, echo: Echo { sent: 6, arrived: 7 }, base: 3, bits: Vec::new() };
        ack.set(0);
        ack.set(9);
        ack.set(ACK_BITS_MAX);
        let bytes = ack.to_bytes();
        assert_eq!(bytes, [5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 3, 0, 1, 2]);
        assert_eq!(Ack::parse(&bytes), Some(ack.clone()));
        assert_eq!(
            (0..16).filter(|i| ack.has(*i)).collect::<Vec<_>>(),
            [0, 1, 2, 3, 12],
            "below the base and the bits"
        );
        assert!(!ack.has(u16::MAX));
        for cut in 0..18 {
            assert_eq!(Ack::parse(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(
            Ack::parse(&[5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 3, 0, 1, 0]),
            None,
            "second encoding"
        );
        assert_eq!(Ack::parse(&[1; 19 + ACK_BITS_MAX as usize / 8]), None, "too many bits");
    }

    #[test]
    fn the_longest_acknowledgement_fits_into_the_shortest_frame() {
        assert!(HEADER + 18 + usize::from(ACK_BITS_MAX / 8) <= crate::Config::FRAME_MIN);
    }
}
