//! What comes out of a node, by where it goes.

use std::collections::VecDeque;

use phalanx_core::{Event, Output, Transmit};

use super::Notice;
use super::life::{End, Ending};
use crate::net::Source;

/// What came out of the node and was not passed on yet.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) notices: VecDeque<Notice>,
    /// Frames to send, with where those came from that they answer.
    pub(super) outbox: Vec<(Transmit, Option<Source>)>,
    /// Where the frame came from that is being looked at.
    pub(super) source: Option<Source>,
    /// Whom the node has to reach may have changed since the last look.
    pub(super) has_changed: bool,
    /// This process is no member yet.
    pub(super) is_outside: bool,
    /// It is no member any more.
    pub(super) is_out: bool,
    /// Its life in the group is over, for the present.
    pub(super) end: Option<End>,
    /// Chunks of snapshots that joiners want: view and index.
    pub(super) chunks: Vec<(u64, u32)>,
    /// Snapshots that nobody wants any more, by view.
    pub(super) released: Vec<u64>,
}

impl Sorted {
    pub(super) fn take(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            match output {
                Output::Transmit(frame) => self.outbox.push((frame, self.source)),
                Output::Event(Event::ChunkWanted { view, index }) => {
                    self.chunks.push((view, index));
                }
                Output::Event(event) => {
                    self.note(&event);
                    self.notices.push_back(Notice::Event(event));
                }
                Output::Fault(fault) => self.notices.push_back(Notice::Fault(Box::new(fault))),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::View(_) => (self.is_outside, self.has_changed) = (false, true),
            Event::Joining { .. } => self.has_changed = true,
            Event::Excluded { why, decision, .. } => {
                (self.is_out, self.has_changed) = (true, true);
                self.end = Some(End { why: Ending::Out(*why), view: Some(decision.view.clone()) });
            }
            Event::Spent { highest } => {
                self.end = Some(End { why: Ending::Spent(*highest), view: None });
            }
            // Nothing is delivered any more; what there is of the past is handed out.
            Event::Fork { .. } if !self.is_outside => {
                (self.is_out, self.has_changed) = (true, true)
            }
            Event::SnapshotReleased { view } => self.released.push(*view),
            _ => {}
        }
    }
}
