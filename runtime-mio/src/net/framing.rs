//! Frames on a stream: a little-endian `u32` length, then the frame.
//!
//! The buffer grows only as bytes really arrive, at most to twice of them: a length prefix alone
//! makes nobody hold anything. Frames are handed out as slices of it, without a copy.

use std::ops::Range;

use phalanx_core::Config;

/// Bytes of the length before each frame.
pub(crate) const PREFIX: usize = 4;

/// The most that the buffer grows to: one longest frame with its length.
const CAPACITY_MAX: usize = Config::FRAME_MAX + PREFIX;

/// A length that no frame has: the stream is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLength(pub(crate) u32);

/// Bytes read from a stream and not yet consumed.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// A buffer that starts with this many bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity.clamp(PREFIX, CAPACITY_MAX)], start: 0, end: 0 }
    }

    /// Makes it at least this large.
    pub(crate) fn reserve(&mut self, capacity: usize) {
        let capacity = capacity.min(CAPACITY_MAX);
        if self.bytes.len() < capacity {
            self.bytes.resize(capacity, 0);
        }
    }

    /// How much memory it holds.
    pub(crate) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Where to read to; empty only if a whole frame waits to be taken.
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.bytes.len() {
            let held = self.end - self.start;
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
            // Less than a quarter free: moving the rest to the front again and again would cost
            // more than the larger buffer.
            if held > self.bytes.len() / 4 * 3 {
                self.bytes.resize((self.bytes.len() * 2).min(CAPACITY_MAX), 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// `len` bytes of what [`ReadBuffer::spare`] gave were filled.
    pub(crate) fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(self.bytes.len());
    }

    /// Takes the next whole frame out; `None` if it has not arrived yet.
    pub(crate) fn take(&mut self) -> Result<Option<Range<usize>>, BadLength> {
        let Some((prefix, rest)) = self.bytes[self.start..self.end].split_first_chunk::<PREFIX>()
        else {
            return Ok(None);
        };
        let wanted = u32::from_le_bytes(*prefix);
        let len = usize::try_from(wanted).unwrap_or(usize::MAX);
        if len == 0 || len > Config::FRAME_MAX {
            return Err(BadLength(wanted));
        }
        if rest.len() < len {
            return Ok(None);
        }
        let from = self.start + PREFIX;
        self.start = from + len;
        Ok(Some(from..from + len))
    }

    /// The bytes of a frame that was taken, until the next read.
    pub(crate) fn frame(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The beginning of a frame that has not wholly arrived.
    pub(crate) fn begun(&self) -> &[u8] {
        self.bytes[self.start..self.end].get(PREFIX..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(buffer: &mut ReadBuffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = buffer.spare();
            let len = spare.len().min(bytes.len());
            assert!(len > 0, "room whenever no frame waits");
            spare[..len].copy_from_slice(&bytes[..len]);
            buffer.filled(len);
            bytes = &bytes[len..];
        }
    }

    fn framed(frame: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(frame.len()).unwrap().to_le_bytes().to_vec();
        out.extend_from_slice(frame);
        out
    }

    #[test]
    fn frames_come_out_however_the_bytes_arrive() {
        let frames: Vec<Vec<u8>> = (1..60_u8).map(|i| vec![i; usize::from(i) * 7]).collect();
        let stream: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        for step in [1, 3, 64, 1_000, stream.len()] {
            let mut buffer = ReadBuffer::new(16);
            let mut seen = Vec::new();
            for piece in stream.chunks(step) {
                put(&mut buffer, piece);
                while let Some(range) = buffer.take().unwrap() {
                    seen.push(buffer.frame(range).to_vec());
                }
            }
            assert_eq!(seen, frames, "in steps of {step}");
        }
    }

    #[test]
    fn a_giant_length_is_refused_and_holds_nothing() {
        let mut buffer = ReadBuffer::new(64);
        put(&mut buffer, &u32::MAX.to_le_bytes());
        assert_eq!(buffer.take(), Err(BadLength(u32::MAX)));
        assert_eq!(buffer.capacity(), 64);
        let mut empty = ReadBuffer::new(64);
        put(&mut empty, &0_u32.to_le_bytes());
        assert_eq!(empty.take(), Err(BadLength(0)));
    }

    #[test]
    fn memory_follows_the_bytes_that_arrived() {
        let mut buffer = ReadBuffer::new(64);
        let longest = u32::try_from(Config::FRAME_MAX).unwrap();
        put(&mut buffer, &longest.to_le_bytes());
        put(&mut buffer, &[1; 10_000]);
        assert_eq!(buffer.take(), Ok(None));
        assert!(buffer.capacity() <= 32_768, "{}", buffer.capacity());
        put(&mut buffer, &vec![1; Config::FRAME_MAX - 10_000]);
        let range = buffer.take().unwrap().unwrap();
        assert_eq!(range.len(), Config::FRAME_MAX);
        assert_eq!(buffer.capacity(), CAPACITY_MAX);
    }
}
