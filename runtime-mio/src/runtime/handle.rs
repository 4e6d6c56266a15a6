//! Requests from other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use mio::Waker;
use phalanx_core::{Order, PublicKey, Rank, Request, Ticket};

/// Requests of other threads that wait for the loop; a thread that would exceed it waits.
const COMMANDS: usize = 256;

/// A request of another thread.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) ticket: Ticket,
    pub(super) wish: Wish,
}

/// What another thread wants of the node: a [`Request`] that owns its bytes.
#[derive(Debug)]
pub(super) enum Wish {
    Cast(Order, Vec<u8>),
    Leave,
    Suspect(Rank),
    Admit(PublicKey, bool),
}

impl Wish {
    pub(super) fn request(&self) -> Request<'_> {
        match self {
            Self::Cast(order, payload) => Request::Cast { order: *order, payload },
            Self::Leave => Request::Leave,
            Self::Suspect(member) => Request::Suspect { member: *member },
            Self::Admit(key, is_admitted) => {
                Request::Admit { key: *key, is_admitted: *is_admitted }
            }
        }
    }
}

/// Requests from other threads. While the process is no member yet they wait.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: SyncSender<Command>,
    tickets: Arc<AtomicU64>,
    waker: Arc<Waker>,
}

/// The runtime that a [`Handle`] belongs to is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runtime has stopped")]
pub struct Stopped;

impl Handle {
    pub(super) fn new(waker: Arc<Waker>) -> (Self, Receiver<Command>) {
        let (commands, receiver) = sync_channel(COMMANDS);
        (Self { commands, tickets: Arc::new(AtomicU64::new(1)), waker }, receiver)
    }

    /// A ticket that nobody else has.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }

    /// Casts `payload`; waits while the queue is full. What becomes of it is a
    /// [`super::Notice`] of the runtime, with the ticket returned here.
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn cast(&self, order: Order, payload: Vec<u8>) -> Result<Ticket, Stopped> {
        self.wish(Wish::Cast(order, payload))
    }

    /// As [`super::Runtime::leave`]; the answer is a [`super::Notice`].
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn leave(&self) -> Result<Ticket, Stopped> {
        self.wish(Wish::Leave)
    }

    /// As [`super::Runtime::suspect`]; the answer is a [`super::Notice`].
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn suspect(&self, member: Rank) -> Result<Ticket, Stopped> {
        self.wish(Wish::Suspect(member))
    }

    /// As [`super::Runtime::admit`]; the answer is a [`super::Notice`].
    ///
    /// # Errors
    /// If the runtime is gone.
    pub fn admit(&self, key: PublicKey, is_admitted: bool) -> Result<Ticket, Stopped> {
        self.wish(Wish::Admit(key, is_admitted))
    }

    fn wish(&self, wish: Wish) -> Result<Ticket, Stopped> {
        let ticket = self.ticket();
        self.commands.send(Command { ticket, wish }).map_err(|_| Stopped)?;
        self.wake();
        Ok(ticket)
    }

    /// Makes the runtime's present or next turn end.
    pub fn wake(&self) {
        // A waker fails only when the poll is gone, and then nobody waits.
        let _ = self.waker.wake();
    }
}
