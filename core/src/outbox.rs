//! What a node has to hand out, in order. The casts of a body are one entry, however many they are:
//! they become events one by one as they are drained, so that a body of many short casts takes no
//! more memory here than it does in its log.

use alloc::collections::VecDeque;

use crate::layer::top_appl::Delivery;
use crate::output::{Event, Output};

#[derive(Debug)]
enum Entry {
    One(Output),
    Casts(Delivery),
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Entry>);

impl Outbox {
    /// Appends one output.
    pub(crate) fn push_back(&mut self, output: Output) {
        self.0.push_back(Entry::One(output));
    }

    /// Appends an event.
    pub(crate) fn event(&mut self, event: Event) {
        self.push_back(Output::Event(event));
    }

    /// Appends the casts of one order in a body.
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        self.0.push_back(Entry::Casts(delivery));
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops all frames.
    pub(crate) fn drop_frames(&mut self) {
        self.0.retain(|entry| !matches!(entry, Entry::One(Output::Transmit(_))));
    }
}

impl Iterator for Outbox {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        loop {
            if let Entry::Casts(delivery) = self.0.front_mut()? {
                match delivery.next() {
                    Some(cast) => {
                        // An entry that has nothing left does not keep its body.
                        if delivery.is_over() {
                            self.0.pop_front();
                        }
                        return Some(Output::Event(cast));
                    }
                    None => self.0.pop_front(),
                };
            } else if let Some(Entry::One(output)) = self.0.pop_front() {
                return Some(output);
            }
        }
    }
}
