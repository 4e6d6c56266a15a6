//! Fragment flood: pieces of frames with the largest bodies, of which the last piece never comes.
//!
//! It tries to fill members' memory with partial frames, and to push out those of others. It must
//! fail: partial frames are bounded per peer, and the oldest makes room (section 3, P10).
//!
//! Verdict: harmless.

use phalanx_core::Time;
use phalanx_core::wire::frame::{FRAGMENT_HEADER, FrameKind, HEADER};

use super::act::{Act, Pulse, Stage};

/// Bytes of each piece: the whole frame stays within a datagram.
const PIECE: usize = 60_000;

/// Bytes before the piece.
const FIELDS: usize = FRAGMENT_HEADER - HEADER;

/// The strategy.
#[derive(Debug)]
pub(super) struct FragmentFlood {
    pulse: Pulse,
    message: u64,
    index: u16,
}

impl FragmentFlood {
    pub(super) fn new() -> Self {
        // Numbers of the body double's own frames are small: these do not meet them.
        Self { pulse: Pulse::new(5_000), message: 1 << 40, index: 0 }
    }
}

impl Act for FragmentFlood {
    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        // As long as the casts of the largest body: any receiver must be ready for that.
        let longest = stage.puppet.limits.casts_max();
        let total = u32::try_from(longest.max(2 * PIECE)).unwrap_or(u32::MAX);
        let count = u16::try_from((total as usize).div_ceil(PIECE)).unwrap_or(u16::MAX);
        let mut content = Vec::with_capacity(PIECE + FIELDS);
        content.extend(self.message.to_le_bytes());
        content.extend(self.index.to_le_bytes());
        content.extend(count.to_le_bytes());
        content.extend(total.to_le_bytes());
        content.extend([0; 4]);
        content.resize(PIECE + FIELDS, 0x3C);
        for to in stage.puppet.others() {
            if let Some(frame) = stage.puppet.seal_small(FrameKind::Fragment, to, &content) {
                stage.post_frame(to, frame);
            }
        }
        stage.fire();
        self.index = self.index.saturating_add(1);
        if self.index.saturating_add(1) >= count {
            self.index = 0;
            self.message = self.message.saturating_add(1);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
