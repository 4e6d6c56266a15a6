//! How long the frames of one link may be (protocol.md section 3). A path may lose all frames above
//! some length and say nothing (a black hole, RFC 8899): then short frames come through, and a member
//! that needs a long one is silenced for ever.
//!
//! Promises: pieces are cut for the longest frame that the path was not found to lose. A whole frame,
//! which nobody acknowledges, is no longer than [`BASE`], which nearly every path takes, or than a piece
//! that was acknowledged in the last [`CHECK_US`]; what is longer is cut, and so acknowledged. Longer pieces are tried again, with
//! one message, every [`PROBE_US`].
//!
//! What a faulty peer can try: acknowledging as it likes. It makes the link to itself wasteful, or
//! useless.

use super::fragment::HEADER_BYTES;
use crate::time::Time;

/// The length that every path takes: an IPv4 datagram of 576 bytes with the longest headers.
pub(super) const FLOOR: usize = 508;

/// The length that every path takes that IPv6 or a tunnel goes over.
const BASE: usize = 1_200;

/// Longer frames than the longest datagram go through a stream, which takes all of them.
const DATAGRAM_MAX: usize = 65_535;

/// Lengths to go down to, one after the other.
const STEPS: [usize; 2] = [BASE, FLOOR];

/// Times that a piece is sent again in vain, while the peer is heard, before its length is the cause.
const LOSSES: u32 = 3;

/// The same for a message that tries a longer one.
const PROBE_LOSSES: u32 = 1;

/// How long an acknowledged piece tells that frames of its length arrive.
const CHECK_US: u64 = 1_000_000;

/// How often a longer piece is tried.
const PROBE_US: u64 = 600_000_000;

/// The machine. Lengths are those of whole frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathSize {
    /// The configured one.
    max: usize,
    /// Pieces are cut for this one.
    size: usize,
    /// The longest that arrived lately, and when that was acknowledged.
    shown: (usize, Time),
    /// When a longer one is tried, if this is not the longest.
    probe_at: Option<Time>,
    /// The message that tries it.
    probe: Option<u64>,
}

impl PathSize {
    /// A path of which nothing is known. Streams carry frames of every length.
    pub(super) const fn new(piece_max: usize) -> Self {
        let max = piece_max.saturating_add(HEADER_BYTES);
        let shown = (if max > DATAGRAM_MAX { max } else { 0 }, Time::ZERO);
        Self { max, size: max, shown, probe_at: None, probe: None }
    }

    /// The longest frame that may go out whole.
    pub(super) fn whole_max(&self, now: Time) -> usize {
        let (shown, at) = self.shown;
        let base = BASE.min(self.size);
        match self.max > DATAGRAM_MAX || now < at.plus(CHECK_US) {
            true => shown.max(base),
            false => base,
        }
    }

    /// The length of the pieces of a message.
    pub(super) const fn piece_max(&self) -> usize {
        self.size.saturating_sub(HEADER_BYTES)
    }

    /// The length of the pieces of this message of `len` bytes, which may wait for a while: it tries
    /// a longer one if it is time for that.
    pub(super) fn piece_max_of(&mut self, now: Time, number: u64, len: usize) -> usize {
        if self.probe_at.is_none_or(|at| now < at) || len <= self.piece_max() {
            return self.piece_max();
        }
        self.probe = Some(number);
        self.probe_at = Some(now.plus(PROBE_US));
        let longer = STEPS.into_iter().rev().find(|step| *step > self.size && *step < self.max);
        longer.unwrap_or(self.max).saturating_sub(HEADER_BYTES)
    }

    /// A piece of so many bytes of this message was acknowledged.
    pub(super) fn on_arrived(&mut self, now: Time, number: u64, piece: usize) {
        let len = piece.saturating_add(HEADER_BYTES);
        let (shown, at) = self.shown;
        if len >= shown || now >= at.plus(CHECK_US) {
            self.shown = (len, now);
        }
        if self.probe == Some(number) && len > self.size {
            (self.size, self.probe) = (len, None);
            self.probe_at = (self.size < self.max).then_some(now);
        }
    }

    /// Whether it is the length of a piece of so many bytes that keeps it from arriving: it was sent
    /// again so often since `first`, something came from the peer after that, at `heard`, and no
    /// piece as long has arrived.
    pub(super) fn is_too_long(
        &self,
        (number, piece, resends): (u64, usize, u32),
        (first, heard): (Time, Time),
    ) -> bool {
        let len = piece.saturating_add(HEADER_BYTES);
        let losses = if self.probe == Some(number) { PROBE_LOSSES } else { LOSSES };
        let (shown, at) = self.shown;
        len > FLOOR && resends >= losses && heard > first && !(shown >= len && at > first)
    }

    /// The pieces of this message are too long.
    pub(super) fn shrink(&mut self, now: Time, number: u64, piece: usize) {
        let len = piece.saturating_add(HEADER_BYTES);
        if self.probe == Some(number) {
            self.probe = None;
            return;
        }
        let shorter = STEPS.into_iter().find(|step| *step < len);
        self.size = shorter.unwrap_or(FLOOR).min(self.size);
        self.shown = (0, now);
        self.probe = None;
        self.probe_at = Some(now.plus(PROBE_US));
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    use super::super::assemble::Assembler;
    use super::super::split::{Class, SplitLimits, Splitter};
    use super::*;

    const LIMITS: SplitLimits = SplitLimits {
        piece_max: 1_400 - HEADER_BYTES,
        begun_max: 4,
        begun_bytes_max: 400_000,
        queue_bytes_max: 4_000_000,
        retransmit_us: 50_000,
        tries: 10,
    };

    /// Both ends of a link whose way there takes no frame longer than `takes`; each way takes 5 ms.
    struct Link {
        splitter: Splitter,
        assembler: Assembler,
        takes: usize,
        now: u64,
        /// Frames lost.
        lost: usize,
        /// The longest frame that arrived since this was last looked at.
        longest: usize,
    }

    impl Link {
        fn new(takes: usize) -> Self {
            let (splitter, assembler) = (Splitter::new(LIMITS), Assembler::new(4, 800_000));
            Self { splitter, assembler, takes, now: 1, lost: 0, longest: 0 }
        }

        /// Sends a message of so many bytes, and returns after how long it has arrived.
        fn sends(&mut self, len: usize) -> u64 {
            let began = self.now;
            let content: Vec<u8> = (0_u8..251).cycle().take(len).collect();
            let head = content.clone();
            assert!(self.splitter.push(self.time(), Class::Bulk, head, [].into()));
            let (mut there, mut back) = (VecDeque::new(), VecDeque::new());
            let mut arrived = None;
            while arrived.is_none() || self.splitter.held_bytes() > 0 {
                assert!(self.now < began + 20_000_000, "it does not arrive");
                let mut out = Vec::new();
                self.splitter.poll(self.time(), &mut out);
                for piece in out {
                    let content = [&piece.fields[..], &piece.bytes].concat();
                    let frame = piece.bytes.len() + HEADER_BYTES;
                    if frame <= self.takes {
                        self.longest = self.longest.max(frame);
                        there.push_back((self.now + 5_000, content));
                    } else {
                        self.lost += 1;
                    }
                }
                self.now += 1_000;
                // The peer has something to say all the time.
                self.splitter.on_heard(self.time());
                while there.front().is_some_and(|(due, _)| *due <= self.now) {
                    let (_, piece) = there.pop_front().unwrap();
                    if let Some(message) = self.assembler.on_fragment(self.time(), &piece).unwrap()
                    {
                        assert!(message == content);
                        arrived = Some(self.now - began);
                    }
                }
                back.extend(self.assembler.take_acks().into_iter().map(|ack| (self.now, ack)));
                while back.front().is_some_and(|(at, _)| at + 5_000 <= self.now) {
                    self.splitter.on_ack(self.time(), &back.pop_front().unwrap().1);
                }
            }
            arrived.unwrap()
        }

        fn time(&self) -> Time {
            Time::from_micros(self.now)
        }
    }

    #[test]
    fn a_path_that_loses_long_frames_in_silence_gets_shorter_ones() {
        for (takes, cut) in [(1_400, 1_400), (1_272, 1_200), (1_199, FLOOR), (FLOOR, FLOOR)] {
            let mut link = Link::new(takes);
            let first = link.sends(20_000);
            assert!(first < if cut == 1_400 { 100_000 } else { 5_000_000 }, "{takes}: {first} us");
            assert!((cut..=takes).contains(&link.splitter.whole_max(link.time())), "{takes}");
            // It is found out once.
            (link.lost, link.longest) = (0, 0);
            let next = link.sends(20_000);
            assert_eq!((link.longest, link.lost), (cut, 0));
            assert!(next < 400_000, "{takes}: {next} us");
        }
    }

    #[test]
    fn longer_frames_are_tried_again_seldom_and_at_the_cost_of_one_message() {
        let mut link = Link::new(1_272);
        link.sends(20_000);
        link.lost = 0;
        link.now += PROBE_US;
        let tried = link.sends(20_000);
        assert!((1..=64).contains(&link.lost) && tried < 1_000_000, "{tried} us, {}", link.lost);
        let lost = link.lost;
        link.sends(20_000);
        assert_eq!(link.lost, lost, "the next one is cut short at once");
        (link.takes, link.longest) = (1_400, 0);
        link.now += PROBE_US;
        link.sends(20_000);
        assert_eq!((link.longest, link.lost), (1_400, lost));
        assert!(link.sends(20_000) < 100_000);
    }

    #[test]
    fn a_path_that_becomes_shorter_is_noticed_by_what_is_cut() {
        let mut link = Link::new(1_400);
        link.sends(20_000);
        let until = link.now;
        assert_eq!(link.splitter.whole_max(link.time()), 1_400);
        link.takes = 1_272;
        // Whole frames are not acknowledged; a second later they are cut, and so they are.
        link.now = until + CHECK_US;
        assert_eq!(link.splitter.whole_max(link.time()), BASE);
        link.sends(1_330);
        assert_eq!(link.splitter.whole_max(link.time()), 1_200);
    }

    #[test]
    fn a_stream_takes_every_frame_whole() {
        let limits = SplitLimits { piece_max: crate::Config::FRAME_MAX - HEADER_BYTES, ..LIMITS };
        let splitter = Splitter::new(limits);
        assert_eq!(splitter.whole_max(Time::from_micros(u64::MAX / 2)), crate::Config::FRAME_MAX);
    }

    #[test]
    fn a_peer_of_which_nothing_is_heard_tells_nothing_of_the_path() {
        let path = PathSize::new(LIMITS.piece_max);
        let at = Time::from_micros;
        assert!(!path.is_too_long((1, 1_338, 9), (at(5), at(5))));
        assert!(path.is_too_long((1, 1_338, LOSSES), (at(5), at(6))));
        assert!(!path.is_too_long((1, 1_338, LOSSES - 1), (at(5), at(6))));
        assert!(!path.is_too_long((1, FLOOR - HEADER_BYTES, 9), (at(5), at(6))));
    }
}
