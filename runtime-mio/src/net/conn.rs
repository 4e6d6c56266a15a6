//! One stream: whom it belongs to, and reading frames from it.
//!
//! A stream that was accepted belongs to nobody until a frame read from it was found authentic:
//! claiming a peer's name costs nothing and gains nothing. Until then it is a stranger, with
//! little time, few tries and no frames sent to it.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Instant;

use mio::net::TcpStream;
use phalanx_core::wire::frame::is_stranger;
use phalanx_core::{PeerId, peek_sender};

use super::framing::{BadLength, PREFIX, ReadBuffer};
use super::guests::Bucket;
use super::share::Debt;

/// Buffer of a stream that has proven nothing.
const STRANGER_BUFFER: usize = 4 * 1024;
/// Buffer of a stream that has.
const PEER_BUFFER: usize = 512 * 1024;
/// Bytes read from one stranger in one turn.
const STRANGER_SHARE: usize = 64 * 1024;
/// Bytes read from one peer in one turn.
const PEER_SHARE: usize = 2 * 1024 * 1024;
/// Frames that are not authentic before a stranger is closed. More than one, because a frame of a
/// correct peer may be stale.
const STRANGER_TRIES: u32 = 16;

/// Whom a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// We are dialling this peer; not connected yet.
    Dialling(PeerId),
    /// We dialled this peer's address.
    Dialled(PeerId),
    /// It was accepted, and has proven nothing.
    Stranger,
    /// It was accepted, and its frames are those of strangers: it may want to join. It may name a
    /// peer, which came back without what it knew.
    Guest(PeerId),
    /// It was accepted, and this peer's key has spoken through it.
    Proven(PeerId),
}

/// What somebody may be whose frames name a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A peer.
    Peer,
    /// A process without a link to us.
    Guest,
    /// Nobody who has business here.
    Nobody,
}

/// What decides about the frames of a stream, and takes them.
pub(super) trait Door {
    /// Whether this frame is of another group or another version.
    fn is_foreign(&mut self, frame: &[u8]) -> bool;
    /// Says what somebody may be who names this sender, in a stranger's frame or another one.
    fn claim(&self, sender: PeerId, is_stranger: bool) -> Claim;
    /// Whether a stranger's frame in this name is handed on: there may be too many.
    fn admits(&mut self, sender: PeerId) -> bool;
    /// Hands a frame on. Returns whether it was authentic.
    fn deliver(&mut self, frame: &[u8]) -> bool;
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is a stranger's, and proves nothing.
    Hear,
    /// It is a peer's, if it is authentic.
    Check,
    /// Too early: whoever sent it is no peer yet.
    Skip,
}

impl Owner {
    /// The peer it is used to reach, once it is connected.
    pub(super) const fn peer(self) -> Option<PeerId> {
        match self {
            Self::Dialling(peer) | Self::Dialled(peer) | Self::Proven(peer) => Some(peer),
            Self::Stranger | Self::Guest(_) => None,
        }
    }

    /// Whose name the frames on it must bear, once that is settled.
    const fn sender(self) -> Option<PeerId> {
        match self {
            Self::Guest(guest) => Some(guest),
            Self::Dialling(_) | Self::Dialled(_) | Self::Proven(_) | Self::Stranger => self.peer(),
        }
    }

    /// Whether it has proven nothing.
    pub(super) const fn is_unproven(self) -> bool {
        matches!(self, Self::Stranger | Self::Guest(_))
    }
}

/// Why a stream is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    #[error("the other end closed it")]
    End,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it announces a frame of {} bytes", .0.0)]
    Length(BadLength),
    #[error("a frame names a sender that has no business on it")]
    WrongSender,
    #[error("none of its frames is authentic")]
    Rubbish,
    #[error("it says too much for somebody who is not known")]
    TooMuch,
    #[error("it speaks for another group, or another version of the protocol")]
    Foreign,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// The peer whose key spoke through this stream for the first time.
    pub(super) proven: Option<PeerId>,
    /// The process that is not known and named itself for the first time.
    pub(super) guest: Option<PeerId>,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) stream: TcpStream,
    pub(super) owner: Owner,
    /// Where it comes from.
    pub(super) ip: Option<IpAddr>,
    /// Nothing that comes through it is looked at any more.
    is_spent: bool,
    pub(super) opened: Instant,
    /// When it last took bytes, or had none to take.
    pub(super) took: Instant,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// Whether any frame read from it was authentic.
    is_authentic: bool,
    input: ReadBuffer,
    tries: u32,
    /// Frames of strangers that may come through it.
    guest_frames: Bucket,
    /// Other frames that a guest may send.
    early_frames: Bucket,
    /// What it has taken beyond its shares of time.
    pub(super) debt: Debt,
}

impl Conn {
    pub(super) fn new(stream: TcpStream, owner: Owner, now: Instant) -> Self {
        Self {
            ip: stream.peer_addr().ok().map(|addr| addr.ip()),
            stream,
            owner,
            is_spent: false,
            opened: now,
            took: now,
            is_readable: false,
            is_writable: false,
            is_authentic: false,
            input: ReadBuffer::new(STRANGER_BUFFER),
            tries: 0,
            guest_frames: Bucket::of_frames(now),
            early_frames: Bucket::of_early_frames(now),
            debt: Debt::default(),
        }
    }

    /// Says a last thing: all that comes is thrown away from now on, until it is closed. To close it
    /// at once would take that back.
    pub(super) fn spend(&mut self, frame: &[u8]) {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let bytes = [&len.to_le_bytes()[..], frame].concat();
        debug_assert!(bytes.len() > PREFIX);
        // It has not been written to, so it takes so little at once, or is gone.
        let _ = self.stream.write(&bytes);
        self.is_spent = true;
    }

    /// Whether a peer's key has spoken through it.
    pub(super) const fn is_authentic(&self) -> bool {
        self.is_authentic
    }

    /// How much memory its unread bytes hold.
    pub(super) const fn held(&self) -> usize {
        self.input.capacity()
    }

    /// Reads until the stream is empty or its share of this turn is used up: of bytes, and of time,
    /// which ends at `until`. One frame is always taken.
    pub(super) fn read(
        &mut self,
        until: Instant,
        door: &mut dyn Door,
    ) -> (Got, Result<(), Closed>) {
        let mut got = Got::default();
        let result = self.read_share(until, door, &mut got);
        (got, result)
    }

    fn read_share(
        &mut self,
        until: Instant,
        door: &mut dyn Door,
        got: &mut Got,
    ) -> Result<(), Closed> {
        let share = if self.is_authentic { PEER_SHARE } else { STRANGER_SHARE };
        let mut read = 0;
        // The last turn may have left whole frames behind.
        while self.take_frames(until, door, got)? && read < share {
            match self.stream.read(self.input.spare()) {
                Ok(0) => return Err(Closed::End),
                Ok(len) => {
                    self.input.filled(len);
                    read += len;
                    got.bytes += u64::try_from(len).unwrap_or(u64::MAX);
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    break;
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Hands on the frames that have arrived. Returns whether there was time for all.
    fn take_frames(
        &mut self,
        until: Instant,
        door: &mut dyn Door,
        got: &mut Got,
    ) -> Result<bool, Closed> {
        loop {
            if got.frames > 0 && Instant::now() >= until {
                return Ok(false);
            }
            let Some(range) = self.input.take().map_err(Closed::Length)? else { break };
            if self.is_spent {
                continue;
            }
            let frame = self.input.frame(range.clone());
            if door.is_foreign(frame) {
                return Err(Closed::Foreign);
            }
            let sender = peek_sender(frame).ok_or(Closed::WrongSender)?;
            let is_stranger = is_stranger(frame);
            let fate = self.judge(sender, is_stranger, door)?;
            if fate == Fate::Hear && self.owner == Owner::Stranger {
                self.owner = Owner::Guest(sender);
                got.guest = Some(sender);
            }
            match fate {
                Fate::Hear if !self.guest_frames.take(Instant::now()) => {
                    return Err(Closed::TooMuch);
                }
                Fate::Check if self.is_early() && !self.early_frames.take(Instant::now()) => {
                    continue;
                }
                Fate::Hear if self.owner.is_unproven() && !door.admits(sender) => continue,
                Fate::Skip => continue,
                Fate::Hear | Fate::Check => {}
            }
            got.frames += 1;
            let is_authentic = door.deliver(self.input.frame(range));
            if fate == Fate::Hear {
                continue;
            }
            if is_authentic {
                self.on_authentic(sender, got);
            } else if !self.is_authentic && !self.is_early() {
                self.tries += 1;
                if self.tries >= STRANGER_TRIES {
                    return Err(Closed::Rubbish);
                }
            }
        }
        // A sender that is wrong is known long before a long frame has arrived.
        let begun = self.input.begun();
        if let Some(sender) = peek_sender(begun).filter(|_| !self.is_spent) {
            self.judge(sender, is_stranger(begun), door)?;
        }
        Ok(true)
    }

    /// Whether it is a guest's, who may turn out to be a peer.
    const fn is_early(&self) -> bool {
        matches!(self.owner, Owner::Guest(_))
    }

    /// What is to become of a frame that names this sender.
    fn judge(&self, sender: PeerId, is_stranger: bool, door: &dyn Door) -> Result<Fate, Closed> {
        if self.owner.sender().is_some_and(|settled| settled != sender) {
            return Err(Closed::WrongSender);
        }
        let fate = if is_stranger { Fate::Hear } else { Fate::Check };
        match self.owner {
            Owner::Dialling(_) | Owner::Dialled(_) | Owner::Proven(_) => Ok(fate),
            Owner::Guest(_) if is_stranger => Ok(fate),
            // It is a member, and this process does not know yet, or dials it.
            Owner::Guest(_) if door.claim(sender, false) != Claim::Peer => Ok(Fate::Skip),
            Owner::Guest(_) => Ok(fate),
            Owner::Stranger if door.claim(sender, is_stranger) == Claim::Nobody => {
                Err(Closed::WrongSender)
            }
            Owner::Stranger => Ok(fate),
        }
    }

    fn on_authentic(&mut self, sender: PeerId, got: &mut Got) {
        if self.is_authentic {
            return;
        }
        self.is_authentic = true;
        self.input.reserve(PEER_BUFFER);
        if self.owner.is_unproven() {
            self.owner = Owner::Proven(sender);
        }
        got.proven = Some(sender);
    }
}
