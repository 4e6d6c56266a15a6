//! Puts fragments together (protocol.md section 3).
//!
//! Promises: a message is handed up once, whole; every fragment taken in is acknowledged, those of
//! messages lately completed again; at most `partial_max` messages are held in part, the one that
//! grew least lately making room.
//!
//! What a faulty peer can try: announcing long messages costs nothing, since memory is taken only
//! as pieces arrive; contradicting itself is its fault; beginning many messages drops its own.

use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::fragment::{ACK_BITS_MAX, Ack, Echo, Fields, PIECE_MIN, stamp};
use crate::time::Time;

/// Completed messages that are remembered, so that their late fragments are acknowledged again: on a
/// slow link many more arrive before the sender can know of it.
const RECENT_MAX: usize = 256;

/// Book-keeping of one piece: key, vector and allocation.
const PIECE_COST: usize = 64;

/// Book-keeping of one message that was completed; its place may be one of twice as many.
const RECENT_COST: usize = 2 * size_of::<(u64, Complete)>();

/// Book-keeping of one message that is to be acknowledged.
const OWED_COST: usize = 32;

/// The most partial messages that a configuration may ask for.
const PARTIALS_MAX: usize = 64;

/// Fragments that contradict each other or the limits: the fault of the peer that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFragment;

#[derive(Debug)]
struct Partial {
    message: u64,
    count: u16,
    total: u32,
    stride: usize,
    /// Of the piece that came last.
    echo: Echo,
    pieces: BTreeMap<u16, Vec<u8>>,
    held: usize,
}

impl Partial {
    const fn new(message: u64, (count, total, stride): (u16, u32, usize), echo: Echo) -> Self {
        Self { message, count, total, stride, echo, pieces: BTreeMap::new(), held: 0 }
    }

    fn base(&self) -> u16 {
        let mut base = 0_u16;
        for index in self.pieces.keys() {
            if *index != base {
                break;
            }
            base = base.saturating_add(1);
        }
        base
    }

    fn ack(&self) -> Ack {
        let base = self.base();
        let mut ack = Ack { message: self.message, echo: self.echo, base, bits: Vec::new() };
        let above = self.pieces.range(base..base.saturating_add(ACK_BITS_MAX));
        above.for_each(|(index, _)| ack.set(index.saturating_sub(base)));
        ack
    }
}

/// A message that was handed up.
#[derive(Clone, Copy, Debug)]
struct Complete {
    count: u16,
    echo: Echo,
}

/// The receiving half of one link.
#[derive(Debug)]
pub(crate) struct Assembler {
    partial_max: usize,
    content_max: usize,
    /// No correct peer sends more, in whatever view it is.
    longest: usize,
    /// The one that grew least lately first.
    partials: VecDeque<Partial>,
    /// With their numbers, in the order in which they were completed.
    recent: VecDeque<(u64, Complete)>,
    /// Messages of which something arrived since the last acknowledgements.
    owed: BTreeSet<u64>,
    /// The last fragment was a new piece of a message that there is room for.
    has_grown: bool,
}

impl Assembler {
    /// Holds at most `partial_max` (at least 1) messages in part, of at most `content_max` bytes.
    pub(crate) const fn new(partial_max: usize, content_max: usize) -> Self {
        let partials = VecDeque::new();
        let recent = VecDeque::new();
        let longest = content_max;
        let owed = BTreeSet::new();
        Self { partial_max, content_max, longest, partials, recent, owed, has_grown: false }
    }

    /// Messages up to this length are no fault: a peer that is in a later, larger view sends them,
    /// and sends them again. There is no room for them before that view is installed here.
    pub(crate) const fn bearing(mut self, longest: usize) -> Self {
        self.longest = longest;
        self
    }

    /// Messages may be so long from now on: not shorter than before.
    pub(crate) const fn resize(&mut self, content_max: usize) {
        self.content_max = content_max;
    }

    /// Takes in the content of a fragment; returns the message if that completes it.
    ///
    /// # Errors
    /// If it does not parse, contradicts another fragment of its message, or is too long.
    pub(crate) fn on_fragment(
        &mut self,
        now: Time,
        content: &[u8],
    ) -> Result<Option<Vec<u8>>, BadFragment> {
        self.has_grown = false;
        let (fields, piece) = Fields::parse(content).ok_or(BadFragment)?;
        let Fields { message, index, count, total, stamp: sent } = fields;
        let echo = Echo { sent, arrived: stamp(now) };
        let stride = fields.stride(piece.len()).ok_or(BadFragment)?;
        match usize::try_from(total) {
            Ok(total) if total <= self.content_max => {}
            Ok(total) if total <= self.longest => return Ok(None),
            Ok(_) | Err(_) => return Err(BadFragment),
        }
        let mut recent = self.recent.iter_mut();
        if let Some((_, known)) = recent.find(|(number, _)| *number == message) {
            if known.count != count {
                return Err(BadFragment);
            }
            known.echo = echo;
            self.owed.insert(message);
            return Ok(None);
        }
        let known = self.partials.iter().position(|partial| partial.message == message);
        let shape = (count, total, stride);
        if let Some(partial) = known.and_then(|at| self.partials.get(at))
            && (partial.count, partial.total, partial.stride) != shape
        {
            return Err(BadFragment);
        }
        let mut partial = known
            .and_then(|at| self.partials.remove(at))
            .unwrap_or_else(|| Partial::new(message, shape, echo));
        self.owed.insert(message);
        partial.echo = echo;
        if let Entry::Vacant(place) = partial.pieces.entry(index) {
            place.insert(piece.to_vec());
            let cost = piece.len().saturating_add(PIECE_COST);
            partial.held = partial.held.saturating_add(cost);
            self.has_grown = true;
        }
        if partial.pieces.len() == usize::from(count) {
            return Ok(Some(self.complete(partial)));
        }
        self.partials.push_back(partial);
        while self.is_over() {
            let Some(evicted) = self.partials.pop_front() else { break };
            self.owed.remove(&evicted.message);
        }
        Ok(None)
    }

    /// Whether more is held than the limits allow; one message may always grow to its end.
    fn is_over(&self) -> bool {
        let len = self.partials.len();
        len > self.partial_max.max(1)
            || (len > 1 && self.held_bytes() > Self::bound(self.content_max))
    }

    fn complete(&mut self, partial: Partial) -> Vec<u8> {
        let Partial { message, count, echo, .. } = partial;
        self.recent.push_back((message, Complete { count, echo }));
        if self.recent.len() > RECENT_MAX {
            let forgotten = self.recent.pop_front();
            forgotten.map(|(message, _)| self.owed.remove(&message));
        }
        let mut content = Vec::with_capacity(usize::try_from(partial.total).unwrap_or(0));
        partial.pieces.into_values().for_each(|piece| content.extend(piece));
        content
    }

    /// Takes the acknowledgements owed, one for each message that had a fragment since the last
    /// call.
    pub(crate) fn take_acks(&mut self) -> Vec<Ack> {
        let owed = core::mem::take(&mut self.owed);
        owed.into_iter().filter_map(|message| self.ack(message)).collect()
    }

    fn ack(&self, message: u64) -> Option<Ack> {
        let partial = self.partials.iter().find(|partial| partial.message == message);
        let complete = || {
            let (_, known) = self.recent.iter().find(|(number, _)| *number == message)?;
            let Complete { count, echo } = *known;
            Some(Ack { message, echo, base: count, bits: Vec::new() })
        };
        partial.map(Partial::ack).or_else(complete)
    }

    /// Whether the last fragment was a new piece.
    pub(crate) const fn has_grown(&self) -> bool {
        self.has_grown
    }

    /// Whether acknowledgements are owed.
    pub(crate) fn owes_acks(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Bytes held: at most [`Assembler::bound`].
    pub(crate) fn held_bytes(&self) -> usize {
        let partials = self.partials.iter().map(|partial| partial.held);
        partials
            .fold(self.partials.len().saturating_mul(size_of::<Partial>()), usize::saturating_add)
    }

    /// Bytes of what is remembered of messages besides.
    pub(crate) fn tables_bytes(&self) -> usize {
        let recent = self.recent.len().saturating_mul(RECENT_COST);
        recent.saturating_add(self.owed.len().saturating_mul(OWED_COST))
    }

    /// The most of these.
    pub(crate) const TABLES_MAX: usize =
        RECENT_MAX * (RECENT_COST + OWED_COST) + PARTIALS_MAX * OWED_COST;

    /// The most bytes held: the longest message cut into the shortest pieces, with the
    /// book-keeping of each piece. Several shorter messages share them.
    pub(crate) const fn bound(content_max: usize) -> usize {
        let pieces = content_max.div_ceil(PIECE_MIN);
        content_max
            .saturating_add(pieces.saturating_mul(PIECE_COST))
            .saturating_add(size_of::<Partial>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::{Class, SplitLimits, Splitter};
    use super::*;
    use alloc::sync::Arc;

    fn fragment(message: u64, index: u16, count: u16, total: u32, piece: &[u8]) -> Vec<u8> {
        let stamp = u32::from(index) + 100;
        let fields = Fields { message, index, count, total, stamp };
        [&fields.to_bytes()[..], piece].concat()
    }

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    fn echo(sent: u32) -> Echo {
        Echo { sent, arrived: 7 }
    }

    struct Lcg(u64);

    impl Lcg {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            (self.0 >> 33) % n
        }
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut lcg = Lcg(len as u64);
        (0..len).map(|_| u8::try_from(lcg.below(256)).unwrap()).collect()
    }

    /// Runs the two halves over a link that loses `loss` percent of the frames of both
    /// directions, duplicates some and delivers each round's in any order.
    fn run(seed: u64, loss: u64, messages: &[Vec<u8>]) -> (Vec<Vec<u8>>, u32, u64) {
        let mut lcg = Lcg(seed);
        let mut splitter = Splitter::new(SplitLimits {
            piece_max: 1_342,
            begun_max: 4,
            begun_bytes_max: 1 << 20,
            queue_bytes_max: 1 << 22,
            retransmit_us: 50,
            tries: 12,
        });
        for content in messages {
            let (head, body) = content.split_at(content.len() / 5);
            assert!(splitter.push(at(0), Class::Bulk, head.to_vec(), Arc::from(body)));
        }
        let mut assembler = Assembler::new(4, 1 << 20);
        let (mut now, mut rounds) = (Time::ZERO, 0);
        let mut arrived = Vec::new();
        while let Some(due) = splitter.deadline() {
            now = now.max(due);
            let mut pieces = Vec::new();
            splitter.poll(now, &mut pieces);
            while !pieces.is_empty() {
                let at = usize::try_from(lcg.below(pieces.len() as u64)).unwrap();
                let piece =
                    if lcg.below(10) == 0 { pieces[at].clone() } else { pieces.swap_remove(at) };
                if lcg.below(100) >= loss {
                    let content = [&piece.fields[..], &piece.bytes].concat();
                    arrived.extend(assembler.on_fragment(now, &content).unwrap());
                }
            }
            assert_eq!(assembler.owes_acks(), !assembler.owed.is_empty());
            for ack in assembler.take_acks() {
                if lcg.below(100) >= loss {
                    splitter.on_ack(now, &Ack::parse(&ack.to_bytes()).unwrap());
                }
            }
            rounds += 1;
            assert!(rounds < 1_000, "it must come to an end");
        }
        (arrived, rounds, splitter.lost())
    }

    #[test]
    fn a_body_of_190_fragments_arrives_at_thirty_percent_loss() {
        let body = noise(190 * 1_342 - 17);
        for seed in 0..200 {
            let (arrived, rounds, lost) = run(seed, 30, core::slice::from_ref(&body));
            assert!(arrived == [body.clone()], "seed {seed}: once, and whole");
            assert!(rounds <= 60, "seed {seed}: {rounds} rounds");
            assert_eq!(lost, 0, "seed {seed}");
        }
    }

    #[test]
    fn many_messages_arrive_once_each_at_thirty_percent_loss() {
        let messages: Vec<_> = (1..40).map(|i| noise(i * 700)).collect();
        for seed in 0..50 {
            let (mut arrived, _, lost) = run(seed, 30, &messages);
            arrived.sort_by_key(Vec::len);
            assert!(arrived == messages, "seed {seed}: {} arrived", arrived.len());
            assert_eq!(lost, 0, "seed {seed}");
        }
    }

    #[test]
    fn duplicates_are_acknowledged_again_and_not_delivered_again() {
        let mut assembler = Assembler::new(2, 1_000);
        let first = fragment(1, 0, 2, 300, &[1; 200]);
        let second = fragment(1, 1, 2, 300, &[2; 100]);
        assert_eq!(assembler.on_fragment(at(7), &second), Ok(None));
        assert!(assembler.has_grown());
        assert_eq!(assembler.on_fragment(at(7), &second), Ok(None));
        assert!(!assembler.has_grown(), "who sends it again brings nothing");
        let bits = alloc::vec![2];
        assert_eq!(assembler.take_acks(), [Ack { message: 1, echo: echo(101), base: 0, bits }]);
        assert_eq!(assembler.take_acks(), []);
        let whole = [[1; 200].as_slice(), &[2; 100]].concat();
        assert_eq!(assembler.on_fragment(at(7), &first), Ok(Some(whole)));
        let done = Ack { message: 1, echo: echo(100), base: 2, bits: Vec::new() };
        assert_eq!(assembler.take_acks(), core::slice::from_ref(&done));
        assert_eq!(assembler.on_fragment(at(7), &first), Ok(None));
        assert!(!assembler.has_grown());
        assert_eq!(assembler.take_acks(), [done]);
        assert_eq!(assembler.held_bytes(), 0);
    }

    #[test]
    fn contradictions_are_the_peers_fault() {
        let mut assembler = Assembler::new(2, 1_000);
        assert_eq!(assembler.on_fragment(at(7), &fragment(1, 0, 3, 500, &[1; 200])), Ok(None));
        for bad in [
            fragment(1, 1, 4, 700, &[1; 200]),   // another count
            fragment(1, 1, 3, 501, &[1; 200]),   // another total
            fragment(1, 0, 3, 650, &[1; 300]),   // another length of the pieces
            fragment(1, 3, 3, 500, &[1; 200]),   // beyond the end
            fragment(2, 0, 2, 1_001, &[1; 600]), // longer than any frame
            fragment(2, 0, 2, 20, &[1; 10]),     // pieces too short
            fragment(2, 0, 1, 20, &[1; 10])[..15].to_vec(),
        ] {
            assert_eq!(assembler.on_fragment(at(7), &bad), Err(BadFragment), "{:?}", &bad[..15]);
        }
        assert_eq!(
            assembler.on_fragment(at(7), &fragment(3, 0, 1, 10, &[1; 10])),
            Ok(Some([1; 10].into()))
        );
        assert_eq!(
            assembler.on_fragment(at(7), &fragment(3, 0, 2, 300, &[1; 200])),
            Err(BadFragment)
        );
    }

    #[test]
    fn partial_messages_fill_the_bound_and_no_more() {
        let mut assembler = Assembler::new(3, 198 * 50);
        let bound = Assembler::bound(198 * 50);
        let mut most = 0;
        for message in 0..20 {
            for index in 0..49 {
                let piece = fragment(message, index, 50, 198 * 50, &[0; 198]);
                assert_eq!(assembler.on_fragment(at(7), &piece), Ok(None));
                most = most.max(assembler.held_bytes());
                assert!(assembler.held_bytes() <= bound);
            }
            assert!(assembler.owed.len() <= 3 + RECENT_MAX);
        }
        assert!(most * 10 > bound * 9, "{most} of {bound}");
        let last = fragment(19, 49, 50, 198 * 50, &[0; 198]);
        assert!(assembler.on_fragment(at(7), &last).unwrap().is_some(), "the newest one is there");
        assert_eq!(
            assembler.on_fragment(at(7), &fragment(18, 49, 50, 198 * 50, &[0; 198])),
            Ok(None)
        );
        for message in 30..40 {
            assert_eq!(
                assembler.on_fragment(at(7), &fragment(message, 0, 2, 396, &[0; 198])),
                Ok(None)
            );
        }
        assert_eq!(assembler.partials.len(), 3, "short ones are limited by their number");
        let last = fragment(37, 1, 2, 396, &[0; 198]);
        assert!(
            assembler.on_fragment(at(7), &last).unwrap().is_some(),
            "the newest three are there"
        );
        for message in 100..100 + 2 * RECENT_MAX as u64 {
            let whole = fragment(message, 0, 1, 8, &[0; 8]);
            assert!(assembler.on_fragment(at(7), &whole).unwrap().is_some());
        }
        assert!(assembler.recent.len() == RECENT_MAX && assembler.owed.len() <= 3 + RECENT_MAX);
    }
}
