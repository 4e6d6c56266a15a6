//! What keeps processes from talking to each other, said in the log: once for each peer and cause, and
//! again after an hour.
//!
//! What every frame says in clear tells another group and another version from noise. Whoever forges
//! frames can fill the table, which is bounded; peers have places of their own in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use phalanx_core::PeerId;
use phalanx_core::wire::VERSION;
use phalanx_core::wire::frame::{Clear, HEADER, peek_clear, stranger};

/// How long a cause is not told again.
const AGAIN: Duration = Duration::from_secs(3_600);
/// Causes that are remembered of those that are no peers.
const OTHERS: usize = 64;
/// What is above is noise, and no version.
const VERSIONS_MAX: u8 = 64;
/// Answers to such frames: so many in a second.
const ANSWERS: u32 = 16;

/// Why frames of somebody are of no use, or do not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// It speaks for another group, whose id begins with these bytes.
    Group(u64),
    /// It speaks another version of the protocol.
    Version(u8),
    /// The host of its address says that nobody listens there.
    NobodyListens,
}

/// What was said, and what frames are compared with.
#[derive(Debug)]
pub(super) struct Notices {
    me: PeerId,
    /// `None`: any group is this one.
    group: Option<u64>,
    names: BTreeMap<PeerId, String>,
    said: BTreeMap<(PeerId, Mismatch), Instant>,
    /// Answers given, and since when.
    answers: (Instant, u32),
}

impl Notices {
    pub(super) fn new(
        me: PeerId,
        group: Option<u64>,
        names: &[(PeerId, String)],
        now: Instant,
    ) -> Self {
        let names = names.iter().cloned().collect();
        Self { me, group, names, said: BTreeMap::new(), answers: (now, 0) }
    }

    /// Why a frame is of no use, as far as it says so in clear: whose it says it is, and why.
    pub(super) fn judge(&self, frame: &[u8]) -> Option<(PeerId, Mismatch)> {
        let Clear { version, group, from } = peek_clear(frame)?;
        if version != VERSION {
            let is_one = (1..=VERSIONS_MAX).contains(&version);
            return is_one.then_some((from, Mismatch::Version(version)));
        }
        self.group.filter(|ours| *ours != group).map(|_| (from, Mismatch::Group(group)))
    }

    /// Says it, if it is news. `is_peer` if the name is that of a peer.
    pub(super) fn tell(
        &mut self,
        (peer, why): (PeerId, Mismatch),
        is_peer: bool,
        at: SocketAddr,
        now: Instant,
    ) {
        // Noise may look like a version.
        if !is_peer && matches!(why, Mismatch::Version(_)) {
            return;
        }
        let known = self.said.get(&(peer, why));
        if known.is_some_and(|said| now.saturating_duration_since(*said) < AGAIN) {
            return;
        }
        if !is_peer || self.said.len() >= 8 * OTHERS {
            self.said.retain(|_, said| now.saturating_duration_since(*said) < AGAIN);
        }
        // Names are easily made up: those of peers are fewer, and have room.
        let most = if is_peer { 8 * OTHERS } else { OTHERS };
        if self.said.len() >= most {
            return;
        }
        self.said.insert((peer, why), now);
        let name = self.names.get(&peer).map_or_else(|| format!("peer {peer}"), String::clone);
        match why {
            Mismatch::Group(group) => {
                let group = hex(group);
                tracing::warn!(
                    "{name} ({at}) speaks for another group (its id begins with {group}): its \
                     group.toml differs"
                );
            }
            Mismatch::Version(version) => {
                tracing::warn!(
                    "{name} ({at}) speaks version {version} of the protocol, we speak {VERSION}"
                );
            }
            Mismatch::NobodyListens => {
                tracing::warn!(
                    "nobody listens at {at}, the address of {name}: it does not run, or has another \
                     address or transport"
                );
            }
        }
    }

    /// A frame that says which group and version this process speaks, in answer to one of so many bytes
    /// that differs; never to another such frame, and a few in a second.
    pub(super) fn answer(&mut self, bytes: usize, now: Instant) -> Option<Vec<u8>> {
        if bytes <= HEADER {
            return None;
        }
        let (since, count) = &mut self.answers;
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        (*count <= ANSWERS).then(|| self.hello())
    }

    /// A frame that says nothing but that.
    pub(super) fn hello(&self) -> Vec<u8> {
        stranger(self.group.unwrap_or(0), self.me, &[])
    }
}

/// The first bytes of a group's id, as it is printed.
#[must_use]
pub fn hex(group: u64) -> String {
    group.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(version: u8, group: u64, from: u64) -> Vec<u8> {
        let mut frame = stranger(group, PeerId(from), b"hello");
        frame[0] = version;
        frame
    }

    #[test]
    fn another_group_and_another_version_are_told_from_noise() {
        let ours = VERSION;
        let mut notices = Notices::new(PeerId(1), Some(7), &[], Instant::now());
        assert_eq!(notices.judge(&frame(ours, 7, 3)), None);
        let other = Some((PeerId(3), Mismatch::Group(8)));
        assert_eq!(notices.judge(&frame(ours, 8, 3)), other);
        let old = Some((PeerId(3), Mismatch::Version(ours - 1)));
        assert_eq!(notices.judge(&frame(ours - 1, 8, 3)), old);
        assert_eq!(notices.judge(b"short"), None);
        assert_eq!(notices.judge(&frame(0xaa, 8, 3)), None, "that is noise");
        // The answer to one is the answer to none.
        let answer = notices.answer(99, Instant::now()).unwrap();
        assert_eq!(notices.answer(answer.len(), Instant::now()), None);
        let many = (0..99).filter(|_| notices.answer(99, Instant::now()).is_some());
        assert!(many.count() < 2 * ANSWERS as usize);
    }

    #[test]
    fn it_is_said_once_an_hour_and_names_that_are_made_up_do_not_fill_the_table() {
        let now = Instant::now();
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut notices = Notices::new(PeerId(1), Some(7), &[(PeerId(2), "bob".into())], now);
        for peer in 100..1_000 {
            notices.tell((PeerId(peer), Mismatch::Group(8)), false, at, now);
        }
        assert_eq!(notices.said.len(), OTHERS);
        for seconds in [0, 1, 3_599, 3_600] {
            let later = now + Duration::from_secs(seconds);
            notices.tell((PeerId(2), Mismatch::Group(8)), true, at, later);
            let said = notices.said[&(PeerId(2), Mismatch::Group(8))];
            assert_eq!(said, if seconds == 3_600 { later } else { now });
        }
        assert_eq!(hex(0x0102), "0201000000000000");
    }
}
