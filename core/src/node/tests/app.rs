//! An application with a state: a running hash of everything that it was delivered.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::crypto::{Hash32, sha256};
use crate::output::Event;
use crate::wire::Blob;
use crate::wire::transfer::{CHUNK_BYTES, TransferPart, chunk_hashes};

/// What it does when others want its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Correct,
    /// Hands over what is wrong, past its own core.
    WrongChunks,
    /// Announces another state.
    WrongRoot,
    /// Announces its state and hands over nothing.
    Withholds,
    /// Answers nothing.
    Silent,
    /// Hands its chunks over when it is made to.
    Later,
}

/// What it wants done.
pub(super) enum Reply {
    Nothing,
    Ready(u64, u64, Vec<Hash32>),
    Chunk(u64, u32, Vec<u8>),
    /// Its process says this to all others.
    Lie(TransferPart),
}

pub(super) struct App {
    pub(super) manner: Manner,
    pub(super) hash: Hash32,
    pub(super) count: u64,
    /// The rest of the state: the same at all.
    ballast: Arc<[u8]>,
    /// Of the ballast, from the second chunk on.
    hashes: Arc<[Hash32]>,
    snapshots: BTreeMap<u64, Vec<u8>>,
    /// How much came of a state; whether it has its own.
    got: u64,
    pub(super) is_loaded: bool,
    pub(super) chunks_asked: usize,
    /// Chunks that it was asked for, and did not hand over yet.
    owed: Vec<(u64, u32)>,
}

impl App {
    /// One with a state of so many bytes; `is_loaded` if it is there from the beginning.
    pub(super) fn new(ballast: &Arc<[u8]>, hashes: &Arc<[Hash32]>, is_loaded: bool) -> Self {
        Self {
            manner: Manner::Correct,
            hash: Hash32([0; 32]),
            count: 0,
            ballast: Arc::clone(ballast),
            hashes: Arc::clone(hashes),
            snapshots: BTreeMap::new(),
            got: 0,
            is_loaded,
            chunks_asked: 0,
            owed: Vec::new(),
        }
    }

    /// A state of so many bytes.
    pub(super) fn ballast(len: usize) -> (Arc<[u8]>, Arc<[Hash32]>) {
        let mut word = 1_u64;
        let bytes = (0..len.div_ceil(8)).flat_map(|_| {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.to_be_bytes()
        });
        let bytes: Vec<u8> = bytes.take(len).collect();
        let hashes = chunk_hashes(&bytes).into();
        (bytes.into(), hashes)
    }

    /// Its process starts anew, and joins.
    pub(super) fn restart(&mut self) {
        *self = Self::new(&self.ballast, &self.hashes, false);
    }

    fn head(&self) -> Vec<u8> {
        [&self.hash.0[..], &self.count.to_be_bytes()].concat()
    }

    fn chunk(&self, head: &[u8], index: u32) -> Vec<u8> {
        let from = index as usize * CHUNK_BYTES;
        let to = (from + CHUNK_BYTES).min(self.ballast.len());
        let mut bytes = self.ballast[from..to].to_vec();
        if index == 0 {
            bytes[..head.len()].copy_from_slice(head);
        }
        bytes
    }

    pub(super) fn on_event(&mut self, event: &Event) -> Reply {
        match event {
            Event::Cast { view, payload, .. } => {
                assert!(self.is_loaded, "nothing is delivered before the state");
                let bytes = [&self.hash.0[..], &view.to_be_bytes(), payload].concat();
                self.hash = sha256(&bytes);
                self.count += 1;
            }
            Event::State { offset, bytes, total } => self.on_state(*offset, bytes, *total),
            Event::StateLoaded { total, .. } => {
                assert!(!self.is_loaded && self.got == *total);
                self.is_loaded = true;
            }
            Event::StateLost => {
                self.is_loaded = false;
                self.got = 0;
            }
            Event::SnapshotWanted { view } if self.manner != Manner::Silent => {
                assert!(self.is_loaded);
                let head = self.head();
                let mut chunks = self.hashes.to_vec();
                chunks[0] = sha256(&self.chunk(&head, 0));
                if self.manner == Manner::WrongRoot {
                    chunks[0] = Hash32([9; 32]);
                }
                self.snapshots.insert(*view, head);
                return Reply::Ready(*view, self.ballast.len() as u64, chunks);
            }
            Event::SnapshotReleased { view } => {
                self.snapshots.remove(view);
            }
            Event::ChunkWanted { view, index } => return self.on_chunk_wanted(*view, *index),
            _ => {}
        }
        Reply::Nothing
    }

    /// It is correct from now on; the chunks that it owes.
    pub(super) fn mend(&mut self) -> Vec<(u64, u32, Vec<u8>)> {
        self.manner = Manner::Correct;
        let owed = core::mem::take(&mut self.owed).into_iter();
        let kept = owed.filter(|(view, _)| self.snapshots.contains_key(view));
        kept.map(|(view, index)| (view, index, self.chunk(&self.snapshots[&view], index))).collect()
    }

    fn on_state(&mut self, offset: u64, bytes: &[u8], total: u64) {
        assert!(!self.is_loaded);
        assert_eq!((offset, total), (self.got, self.ballast.len() as u64), "each byte once");
        let (head, rest) = bytes.split_at(if offset == 0 { 40 } else { 0 });
        if let Ok(head) = <&[u8; 40]>::try_from(head) {
            self.hash = Hash32(head[..32].try_into().unwrap());
            self.count = u64::from_be_bytes(head[32..].try_into().unwrap());
        }
        let from = offset as usize + head.len();
        assert_eq!(*rest, self.ballast[from..from + rest.len()]);
        self.got += bytes.len() as u64;
    }

    fn on_chunk_wanted(&mut self, view: u64, index: u32) -> Reply {
        self.chunks_asked += 1;
        let bytes = self.chunk(&self.snapshots[&view], index);
        match self.manner {
            Manner::Correct => Reply::Chunk(view, index, bytes),
            Manner::WrongChunks => Reply::Lie(TransferPart::Chunk {
                of: view,
                index,
                bytes: Blob(alloc::vec![1; bytes.len()]),
            }),
            Manner::Later => {
                self.owed.push((view, index));
                Reply::Nothing
            }
            Manner::WrongRoot | Manner::Withholds | Manner::Silent => Reply::Nothing,
        }
    }

    /// How many snapshots it keeps.
    pub(super) fn kept(&self) -> usize {
        self.snapshots.len()
    }
}
