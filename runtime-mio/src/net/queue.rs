//! Frames waiting for one stream: bounded in bytes, written without copying a body.
//!
//! A full queue drops its oldest whole frames: the newest say more to a peer that was away, and
//! the protocol repairs what is missing.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use phalanx_core::Transmit;

use super::framing::PREFIX;

/// Frames in one vectored write; each is three slices.
const BATCH: usize = 64;
/// How far to look for a short frame to open a new stream with.
const OPENERS: usize = 64;

/// What became of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes that the stream took.
    pub(crate) bytes: u64,
    /// Frames that it took wholly.
    pub(crate) frames: u64,
    /// Whether the stream takes more: the queue is empty, not the stream full.
    pub(crate) is_writable: bool,
}

/// Frames for one peer, oldest first.
#[derive(Debug)]
pub(crate) struct WriteQueue {
    frames: VecDeque<Transmit>,
    bytes: usize,
    bytes_max: usize,
    /// Bytes of the first frame, its length included, that the stream has taken.
    written: usize,
}

impl WriteQueue {
    /// A queue for at most this many bytes; one frame is always allowed.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, bytes_max, written: 0 }
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many bytes wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a frame. Returns how many older ones were dropped for it.
    pub(crate) fn push(&mut self, frame: Transmit) -> u64 {
        let mut dropped = 0;
        while self.bytes + frame.len() > self.bytes_max {
            // A frame that is half written must be finished, or the stream makes no sense.
            let oldest = usize::from(self.written > 0);
            let Some(old) = self.frames.remove(oldest) else { break };
            self.bytes -= old.len();
            dropped += 1;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        dropped
    }

    /// What waits is for nobody any more; a frame that is half written is finished.
    pub(crate) fn clear(&mut self) {
        self.frames.truncate(usize::from(self.written > 0));
        self.bytes = self.frames.iter().map(Transmit::len).sum();
    }

    /// The stream is gone. A half-written frame goes with it; of the next few the shortest comes
    /// first, so that the other end learns quickly whom it talks to.
    pub(crate) fn restart(&mut self) {
        if self.written > 0 {
            self.written = 0;
            if let Some(half) = self.frames.pop_front() {
                self.bytes -= half.len();
            }
        }
        let shortest = (0..self.frames.len().min(OPENERS)).min_by_key(|i| self.frames[*i].len());
        if let Some(opener) = shortest.and_then(|i| self.frames.remove(i)) {
            self.frames.push_front(opener);
        }
    }

    /// Writes until the queue is empty or the stream takes no more.
    ///
    /// # Errors
    /// Those of the stream, except that it would block or was interrupted.
    pub(crate) fn write(&mut self, stream: &mut impl Write) -> io::Result<Written> {
        let mut total = Written { is_writable: true, ..Written::default() };
        while !self.frames.is_empty() {
            match self.write_once(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    total.bytes += u64::try_from(len).unwrap_or(u64::MAX);
                    total.frames += self.advance(len);
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    total.is_writable = false;
                    break;
                }
                Err(why) => return Err(why),
            }
        }
        Ok(total)
    }

    fn write_once(&self, stream: &mut impl Write) -> io::Result<usize> {
        let mut prefixes = [[0; PREFIX]; BATCH];
        for (prefix, frame) in prefixes.iter_mut().zip(&self.frames) {
            // Frames are at most Config::FRAME_MAX long.
            *prefix = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
        }
        let mut slices = [IoSlice::new(&[]); BATCH * 3];
        let mut used = 0;
        for (prefix, frame) in prefixes.iter().zip(&self.frames) {
            for part in [&prefix[..], &frame.head, &frame.body] {
                if !part.is_empty() {
                    slices[used] = IoSlice::new(part);
                    used += 1;
                }
            }
        }
        let mut slices = &mut slices[..used];
        IoSlice::advance_slices(&mut slices, self.written);
        stream.write_vectored(slices)
    }

    /// The stream took `len` more bytes; how many frames that finishes.
    fn advance(&mut self, len: usize) -> u64 {
        self.written += len;
        let mut finished = 0;
        while let Some(first) = self.frames.front() {
            let first = first.len();
            if self.written < first + PREFIX {
                break;
            }
            self.written -= first + PREFIX;
            self.bytes -= first;
            self.frames.pop_front();
            finished += 1;
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::PeerId;

    /// Takes at most `room` bytes in all, `step` at a time.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
        step: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.step).min(self.room - self.taken.len());
            if len == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.taken.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(tag: u8, len: usize) -> Transmit {
        Transmit { to: PeerId(1), head: vec![tag; 2], body: vec![tag; len - 2].into() }
    }

    #[test]
    fn what_is_written_in_pieces_is_the_stream_of_frames() {
        let mut queue = WriteQueue::new(1 << 20);
        let mut expected = Vec::new();
        for tag in 1..200_u8 {
            let frame = frame(tag, 2 + usize::from(tag));
            expected.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
            frame.append_to(&mut expected);
            assert_eq!(queue.push(frame), 0);
        }
        let mut stream = Narrow { taken: Vec::new(), room: 1_001, step: 7 };
        assert!(!queue.write(&mut stream).unwrap().is_writable);
        stream.room = usize::MAX;
        let written = queue.write(&mut stream).unwrap();
        assert!(written.is_writable && queue.is_empty());
        assert_eq!(queue.bytes(), 0);
        assert_eq!(stream.taken, expected);
    }

    #[test]
    fn a_full_queue_drops_its_oldest_whole_frames() {
        let mut queue = WriteQueue::new(100);
        for tag in 0..4 {
            assert_eq!(queue.push(frame(tag, 25)), 0);
        }
        let mut stream = Narrow { taken: Vec::new(), room: 10, step: 10 };
        assert!(!queue.write(&mut stream).unwrap().is_writable);
        assert_eq!(queue.push(frame(4, 50)), 2, "the half-written frame stays");
        assert_eq!(queue.bytes(), 100);
        let tags: Vec<u8> = queue.frames.iter().map(|frame| frame.head[0]).collect();
        assert_eq!(tags, [0, 3, 4]);
        assert_eq!(queue.push(frame(5, 500)), 2, "one frame is always allowed");
        assert_eq!(queue.frames.len(), 2);
    }

    #[test]
    fn a_new_stream_starts_with_a_whole_short_frame() {
        let mut queue = WriteQueue::new(1_000);
        for (tag, len) in [(0, 50), (1, 40), (2, 10), (3, 30)] {
            queue.push(frame(tag, len));
        }
        let mut stream = Narrow { taken: Vec::new(), room: 10, step: 10 };
        queue.write(&mut stream).unwrap();
        queue.restart();
        let tags: Vec<u8> = queue.frames.iter().map(|frame| frame.head[0]).collect();
        assert_eq!(tags, [2, 1, 3], "the half-written frame is gone, the shortest leads");
        assert_eq!((queue.bytes(), queue.written), (80, 0));
    }
}
