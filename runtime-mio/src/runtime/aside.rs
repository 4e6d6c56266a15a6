//! A thread for what the loop must not wait for: a disk may take any time, or hang.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Duration that the end of the runtime waits for the last job.
const PATIENCE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// Does one job after the other on a thread of its own. Of the jobs that wait only the newest is
/// kept: it replaces what the earlier ones would have done.
#[derive(Default)]
pub(super) struct Aside {
    shared: Option<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Default)]
struct Slot {
    job: Option<Job>,
    is_busy: bool,
    is_over: bool,
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aside").finish_non_exhaustive()
    }
}

impl Aside {
    /// Hands over the newest job.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub(super) fn put(&mut self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let shared = match &self.shared {
            Some(shared) => shared,
            None => self.shared.insert(start()?),
        };
        shared.lock().job = Some(Box::new(job));
        shared.changed.notify_all();
        Ok(())
    }
}

fn start() -> io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared::default());
    let own = Arc::clone(&shared);
    std::thread::Builder::new().name("files".to_owned()).spawn(move || own.work())?;
    Ok(shared)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut slot = self.lock();
        loop {
            if let Some(job) = slot.job.take() {
                slot.is_busy = true;
                drop(slot);
                job();
                slot = self.lock();
                slot.is_busy = false;
                self.changed.notify_all();
            } else if slot.is_over {
                return;
            } else {
                slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let mut slot = shared.lock();
        slot.is_over = true;
        shared.changed.notify_all();
        let is_unfinished = |slot: &mut Slot| slot.is_busy || slot.job.is_some();
        // The thread goes on alone if the disk hangs.
        let _ = shared.changed.wait_timeout_while(slot, PATIENCE, is_unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn the_newest_job_is_done_and_the_caller_never_waits_for_one() {
        let (hold, held) = channel::<()>();
        let (done, results) = channel();
        let mut aside = Aside::default();
        let first = done.clone();
        aside
            .put(move || {
                first.send(0).unwrap();
                held.recv().unwrap();
            })
            .unwrap();
        assert_eq!(results.recv().unwrap(), 0);
        for number in 1..=9 {
            let done = done.clone();
            aside.put(move || done.send(number).unwrap()).unwrap();
        }
        hold.send(()).unwrap();
        drop(aside);
        drop(done);
        assert_eq!(results.iter().collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn the_end_does_not_wait_for_a_job_that_hangs() {
        let (hold, held) = channel::<()>();
        let mut aside = Aside::default();
        aside.put(move || assert!(held.recv().is_err())).unwrap();
        let began = std::time::Instant::now();
        drop(aside);
        assert!(began.elapsed() < 5 * PATIENCE);
        drop(hold);
    }
}
