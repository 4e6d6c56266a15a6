//! Handing the state of the application to those that join.
//!
//! The application offers a snapshot, which is a piece of memory or a file that nobody changes any
//! more. A thread of its own hashes it, which may take seconds, and reads its chunks when joiners
//! want them: neither this process nor a joiner ever holds a state that is in a file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use phalanx_core::crypto::sha256;
use phalanx_core::wire::transfer::CHUNK_BYTES;
use phalanx_core::{Event, Hash32, Refusal, Request};

use super::{Handle, Notice, Runtime, Stopped};

/// Chunks of one snapshot that may wait to be read: more than joiners ask for at a time.
const ASKS: usize = 1_024;
/// Results of the threads that may wait for the loop; a thread that would exceed it waits.
const RESULTS: usize = 64;

/// The state of the application as it was at one moment.
#[derive(Debug)]
pub enum Snapshot {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// In a file, which must stay as it is until [`Event::SnapshotReleased`].
    #[cfg(unix)]
    File(File),
}

impl Snapshot {
    fn len(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            #[cfg(unix)]
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    fn chunk(&self, index: u32, length: u64) -> io::Result<Vec<u8>> {
        let chunk = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        let start = u64::from(index) * chunk;
        let len = usize::try_from(length.saturating_sub(start).min(chunk)).unwrap_or(0);
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                let found = bytes.get(start..start.saturating_add(len));
                found.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            #[cfg(unix)]
            Self::File(file) => {
                let mut bytes = vec![0; len];
                std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, start)?;
                Ok(bytes)
            }
        }
    }

    fn hashes(&self, length: u64) -> io::Result<Vec<Hash32>> {
        let chunk = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        let count = u32::try_from(length.div_ceil(chunk)).map_err(io::Error::other)?;
        (0..count).map(|index| Ok(sha256(&self.chunk(index, length)?))).collect()
    }
}

/// What the thread of a snapshot has done.
#[derive(Debug)]
enum Done {
    /// The hashes of its chunks, and its length.
    Hashed(io::Result<(u64, Vec<Hash32>)>),
    /// A chunk with its index.
    Read(u32, io::Result<Vec<u8>>),
}

/// The snapshots that are offered, by the number of the view that began with them. Each has a thread,
/// which ends when nobody wants the snapshot any more.
#[derive(Debug)]
pub(super) struct Offers {
    wanted: BTreeMap<u64, SyncSender<u32>>,
    results: Receiver<(u64, Done)>,
    sender: SyncSender<(u64, Done)>,
}

impl Default for Offers {
    fn default() -> Self {
        let (sender, results) = sync_channel(RESULTS);
        Self { wanted: BTreeMap::new(), results, sender }
    }
}

impl Offers {
    fn offer(&mut self, view: u64, snapshot: Snapshot, handle: Handle) -> io::Result<()> {
        if self.wanted.contains_key(&view) {
            // The group was told of the first one, or will be.
            tracing::warn!(view, "a snapshot of this view is offered already");
            return Ok(());
        }
        let (wanted, asks) = sync_channel(ASKS);
        let results = self.sender.clone();
        let work = move || {
            serve(&snapshot, &asks, &|done| {
                // The loop has begun anew, or is over.
                results.send((view, done)).map_err(|_| Stopped)?;
                handle.wake();
                Ok(())
            })
        };
        std::thread::Builder::new().name(format!("snapshot {view}")).spawn(work)?;
        self.wanted.insert(view, wanted);
        Ok(())
    }
}

/// Hashes a snapshot, then reads the chunks that are asked for: the disk may take its time.
fn serve(snapshot: &Snapshot, asks: &Receiver<u32>, tell: &dyn Fn(Done) -> Result<(), Stopped>) {
    let hashed = || {
        let length = snapshot.len()?;
        Ok((length, snapshot.hashes(length)?))
    };
    let hashed = hashed();
    let Some(length) = hashed.as_ref().ok().map(|(length, _)| *length) else {
        let _ = tell(Done::Hashed(hashed));
        return;
    };
    if tell(Done::Hashed(hashed)).is_err() {
        return;
    }
    while let Ok(index) = asks.recv() {
        if tell(Done::Read(index, snapshot.chunk(index, length))).is_err() {
            return;
        }
    }
}

impl Runtime {
    /// Offers a snapshot: the answer to [`Event::SnapshotWanted`], to be given before the next notice
    /// is taken, or with a copy of the state as it was before that. Its chunks are handed over as
    /// joiners want them, until [`Event::SnapshotReleased`]. A thread of its own reads it, so a slow
    /// disk slows down nothing else.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub fn offer(&mut self, view: u64, snapshot: Snapshot) -> io::Result<()> {
        self.offers.offer(view, snapshot, self.handle.clone())
    }

    /// Passes on what is known of snapshots, and the chunks that joiners want.
    pub(super) fn hand_over(&mut self) {
        for _ in 0..RESULTS {
            let Ok((view, done)) = self.offers.results.try_recv() else { break };
            match done {
                Done::Hashed(result) => self.on_hashed(view, result),
                Done::Read(index, result) => self.on_chunk(view, index, result),
            }
        }
        for (view, index) in std::mem::take(&mut self.sorted.chunks) {
            match self.offers.wanted.get(&view).map(|wanted| wanted.try_send(index)) {
                Some(Ok(())) => {}
                Some(Err(_)) => tracing::warn!(view, index, "a chunk is not read: too many wait"),
                None => {
                    let wanted = Event::ChunkWanted { view, index };
                    self.sorted.notices.push_back(Notice::Event(wanted));
                }
            }
        }
        for view in std::mem::take(&mut self.sorted.released) {
            self.offers.wanted.remove(&view);
        }
    }

    fn on_hashed(&mut self, view: u64, result: io::Result<(u64, Vec<Hash32>)>) {
        let result = result.map_err(|why| why.to_string()).and_then(|(length, chunks)| {
            let ready = Request::SnapshotReady { view, length, chunks: &chunks };
            self.request(ready).map_err(|why| why.to_string())
        });
        if let Err(why) = result {
            tracing::warn!(view, why, "a snapshot is not handed over");
            self.offers.wanted.remove(&view);
        }
    }

    fn on_chunk(&mut self, view: u64, index: u32, result: io::Result<Vec<u8>>) {
        match result {
            Ok(bytes) => match self.request(Request::Chunk { view, index, bytes: &bytes }) {
                Ok(_) | Err(Refusal::NotWanted) => {}
                Err(why) => tracing::warn!(view, index, %why, "a chunk is not handed over"),
            },
            Err(why) => tracing::warn!(view, index, %why, "cannot read a snapshot"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_core::wire::transfer::chunk_hashes;

    #[test]
    fn memory_and_files_are_hashed_and_cut_alike() {
        for len in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 1] {
            let bytes: Vec<u8> =
                (0..len).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
            let mut file = tempfile::tempfile().unwrap();
            io::Write::write_all(&mut file, &bytes).unwrap();
            let memory = Snapshot::Bytes(bytes.clone().into());
            for snapshot in [memory, Snapshot::File(file)] {
                let length = snapshot.len().unwrap();
                assert_eq!(length, u64::try_from(len).unwrap());
                assert_eq!(snapshot.hashes(length).unwrap(), chunk_hashes(&bytes));
                let mut whole = Vec::new();
                for index in 0..u32::try_from(len.div_ceil(CHUNK_BYTES)).unwrap() {
                    whole.extend(snapshot.chunk(index, length).unwrap());
                }
                assert_eq!(whole, bytes);
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_short_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        assert!(Snapshot::File(file).chunk(0, 200).is_err());
    }
}
