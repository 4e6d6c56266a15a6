//! What happens next: events by time, then kind, then in the order in which they were made.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::network::Arrival;

/// Something that happens.
#[derive(Debug)]
pub(super) enum What {
    /// A frame arrives.
    Frame(Arrival),
    /// A member stops for ever.
    Crash(u16),
    /// A member freezes until then.
    Pause(u16, u64),
    /// The application of the first suspects the second.
    Suspect(u16, u16),
    /// A newcomer starts.
    Start(u16),
    /// The process on a host asks to leave.
    Leave(u16),
    /// The process on a host stops, and comes back after so long.
    Stop(u16, u64),
    /// The process on a host, if it is this one, makes way for its next life.
    Return(u16, usize),
    /// Frames that were held may go on.
    Release,
    /// A member's turn.
    Run(u16),
    /// The end of the run is looked for.
    Check,
}

impl What {
    const fn class(&self) -> u8 {
        match self {
            Self::Frame(_) => 0,
            Self::Crash(_)
            | Self::Pause(..)
            | Self::Suspect(..)
            | Self::Start(_)
            | Self::Leave(_)
            | Self::Stop(..)
            | Self::Return(..)
            | Self::Release => 1,
            Self::Run(_) => 2,
            Self::Check => 3,
        }
    }
}

#[derive(Debug)]
struct Entry {
    key: Reverse<(u64, u8, u64)>,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// The events to come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    made: u64,
}

impl Queue {
    /// `what` happens at `at_us`.
    pub(super) fn push(&mut self, at_us: u64, what: What) {
        let key = Reverse((at_us, what.class(), self.made));
        self.made += 1;
        self.heap.push(Entry { key, what });
    }

    /// The next event and its time.
    pub(super) fn pop(&mut self) -> Option<(u64, What)> {
        self.heap.pop().map(|entry| (entry.key.0.0, entry.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_kind_then_age() {
        let mut queue = Queue::default();
        queue.push(5, What::Check);
        queue.push(5, What::Run(1));
        queue.push(5, What::Run(0));
        queue.push(4, What::Check);
        queue.push(5, What::Frame(Arrival { at_us: 5, from: 1, to: 0, frame: Vec::new() }));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|(at_us, what)| match what {
                What::Run(rank) => (at_us, what.class(), rank),
                _ => (at_us, what.class(), 9),
            })
            .collect();
        assert_eq!(order, [(4, 3, 9), (5, 0, 9), (5, 2, 1), (5, 2, 0), (5, 3, 9)]);
    }
}
