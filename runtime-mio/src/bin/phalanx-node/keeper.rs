//! Keeps proofs in files, from a thread of its own. A disk that is full or damaged must not end the
//! member: proofs wait in memory, and are tried again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phalanx_core::{Proof, View};

use crate::{Failure, evidence};

/// Bytes of proofs that may wait.
const ROOM: usize = 64 * 1024 * 1024;
/// First pause before the next try; doubles with each one that fails.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The proofs on their way to a directory.
pub(crate) struct Keeper(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The first one is being written.
    proofs: VecDeque<Arc<(Proof, Option<View>)>>,
    bytes: usize,
    /// Each is tried once more, and then no more.
    is_over: bool,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start(dir: PathBuf) -> Result<Self, Failure> {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { dir, queue, changed });
        let own = Arc::clone(&shared);
        std::thread::Builder::new().name("evidence".to_owned()).spawn(move || own.work())?;
        Ok(Self(shared))
    }

    /// Takes a proof to keep, with the view in which it was made if that is known.
    pub(crate) fn keep(&self, proof: Proof, view: Option<&View>) {
        let mut queue = self.0.lock();
        let len = proof.to_bytes().len();
        if !queue.proofs.is_empty() && queue.bytes + len > ROOM {
            drop(queue);
            let dir = self.0.dir.display();
            tracing::error!(%dir, "a proof is lost: too many wait until they can be written");
            return;
        }
        queue.bytes += len;
        queue.proofs.push_back(Arc::new((proof, view.cloned())));
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Returns the number of proofs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().proofs.len()
    }

    /// Waits until all proofs are written, for so long at most; tells how many are not.
    pub(crate) fn drain(&self, patience: Duration) {
        let is_full = |queue: &mut Queue| !queue.proofs.is_empty();
        let mut queue = self.0.lock();
        queue.is_over = true;
        self.0.changed.notify_all();
        let waited = self.0.changed.wait_timeout_while(queue, patience, is_full);
        let lost = waited.unwrap_or_else(PoisonError::into_inner).0.proofs.len();
        if lost > 0 {
            let dir = self.0.dir.display();
            tracing::error!(%dir, lost, "proofs could not be written, and are lost");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let (mut pause, mut has_tried) = (PAUSE, false);
        loop {
            let is_empty = |queue: &mut Queue| queue.proofs.is_empty();
            let queue = self.changed.wait_while(self.lock(), is_empty);
            let first = queue.unwrap_or_else(PoisonError::into_inner).proofs.front().cloned();
            let Some(first) = first else { continue };
            let (proof, view) = &*first;
            match evidence::write(&self.dir, proof, view.as_ref()) {
                Ok(path) => {
                    let mut queue = self.lock();
                    queue.proofs.pop_front();
                    queue.bytes -= proof.to_bytes().len();
                    drop(queue);
                    self.changed.notify_all();
                    tracing::info!(proof = %path.display(), "a proof is kept");
                    pause = PAUSE;
                }
                Err(_) if has_tried => return,
                Err(why) => {
                    tracing::warn!(
                        why,
                        again_in_s = pause.as_secs(),
                        "cannot keep a proof: it stays in memory and is tried again"
                    );
                    let goes_on = |queue: &mut Queue| !queue.is_over;
                    let waited = self.changed.wait_timeout_while(self.lock(), pause, goes_on);
                    pause = (pause * 2).min(PAUSE_MAX);
                    has_tried = waited.unwrap_or_else(PoisonError::into_inner).0.is_over;
                }
            }
        }
    }
}

/// Tries whether files can be made in a directory, or where it will be made. Leaves nothing behind.
pub(crate) fn try_dir(dir: &Path) -> Result<(), String> {
    let there = dir.ancestors().find(|dir| dir.as_os_str().is_empty() || dir.exists());
    let there = there.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = tempfile::NamedTempFile::new_in(there);
    tried.map(|_| ()).map_err(|why| format!("{}: {why}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_tried_and_nothing_is_left_in_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(try_dir(dir.path()), Ok(()));
        assert_eq!(try_dir(&dir.path().join("state/evidence")), Ok(()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join("evidence");
        std::fs::write(&file, b"").unwrap();
        let told = try_dir(&file).unwrap_err();
        assert!(told.contains("evidence: "), "{told}");
    }
}
