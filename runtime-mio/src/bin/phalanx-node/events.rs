//! The output of `run --pipe`: events as lines, and the state in a file. Both go through one bounded
//! queue to a thread of its own, so an application that reads slowly, or a slow disk, holds up nothing
//! but its own deliveries.
//!
//! Events have no gaps. When more waits than there is room for, the output ends: with a last line that
//! says so, and the end of the stream. When the reader has gone it ends at once. The member goes on
//! without it, because the group counts on its votes.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phalanx_core::Event;
use serde_json::{Value, json};

use crate::Failure;
use crate::keeper::try_dir;

/// Before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Bytes of lines that go to the thread at once.
const BATCH: usize = 64 * 1024;
/// The cost of an item that waits, beyond its bytes.
const COST: usize = 64;

/// The output of events.
pub(crate) struct Events {
    shared: Arc<Shared>,
    /// Lines of this turn.
    lines: Vec<u8>,
    has_file: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    room: usize,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// What waits, and what is being written.
    bytes: usize,
    /// Of these, pieces of the state.
    state_bytes: usize,
    /// Items that came, and that went.
    pushed: u64,
    written: u64,
    has_ended: bool,
}

enum Item {
    Lines(Vec<u8>),
    State(u64, Vec<u8>),
    /// The state is whole, and so long.
    Loaded(u64),
    /// Nothing comes after these lines.
    Last(Vec<u8>),
}

impl Item {
    fn cost(&self) -> usize {
        COST + match self {
            Self::Lines(bytes) | Self::State(_, bytes) | Self::Last(bytes) => bytes.len(),
            Self::Loaded(_) => 0,
        }
    }

    fn state_cost(&self) -> usize {
        if matches!(self, Self::State(..)) { self.cost() } else { 0 }
    }
}

impl Events {
    /// Starts the thread that writes to standard output, and to `state`. So many bytes may wait.
    pub(crate) fn start(room: usize, state: Option<&Path>) -> Result<Self, Failure> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), room });
        let state = match state {
            Some(path) => Some(StateFile::new(path)?),
            None => None,
        };
        let events = Self { shared: Arc::clone(&shared), lines: vec![], has_file: state.is_some() };
        let writer = Writer { shared, state };
        std::thread::Builder::new().name("events".to_owned()).spawn(move || writer.work())?;
        Ok(events)
    }

    /// Adds a line, to go out with the next [`Events::flush`] at the latest.
    pub(crate) fn line(&mut self, line: &Value) {
        // Writing to a Vec cannot fail.
        let _ = writeln!(self.lines, "{line}");
        if self.lines.len() >= BATCH {
            self.flush();
        }
    }

    /// Takes in what an event says of the state, before its line.
    pub(crate) fn state(&mut self, event: &Event) {
        let item = match event {
            Event::State { offset, bytes, .. } => Item::State(*offset, bytes.clone()),
            Event::StateLoaded { total, .. } => Item::Loaded(*total),
            _ => return,
        };
        if self.has_file {
            self.flush();
            self.shared.push(item);
        }
    }

    /// Lets the lines go.
    pub(crate) fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.shared.push(Item::Lines(std::mem::take(&mut self.lines)));
        }
    }

    /// Waits a moment if the disk cannot follow the state that comes in: a process that waits asks for
    /// no more of it meanwhile.
    pub(crate) fn pace(&self, moment: Duration) {
        // An output that has ended takes nothing any more: there is nothing to wait for.
        let is_behind =
            |queue: &mut Queue| !queue.has_ended && queue.state_bytes > self.shared.room / 2;
        let queue = self.shared.lock();
        if queue.state_bytes > 0 {
            let _ = self.shared.changed.wait_timeout_while(queue, moment, is_behind);
        }
    }

    /// Returns whether the output has ended before the member did.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.lock().has_ended
    }

    /// Returns the bytes that wait, and the most that may.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.shared.lock().bytes, self.shared.room)
    }

    /// Returns the number of items that have come so far.
    pub(crate) fn mark(&self) -> u64 {
        self.shared.lock().pushed
    }

    /// Returns whether all that had come by then is written, or never will be.
    pub(crate) fn is_past(&self, mark: u64) -> bool {
        let queue = self.shared.lock();
        queue.has_ended || queue.written >= mark
    }

    /// Waits until all is written, for so long at most.
    pub(crate) fn drain(&self, patience: Duration) {
        let is_full = |queue: &mut Queue| queue.bytes > 0;
        let _ = self.shared.changed.wait_timeout_while(self.shared.lock(), patience, is_full);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: Item) {
        let mut queue = self.lock();
        if queue.has_ended {
            return;
        }
        let is_slow = queue.bytes > 0 && queue.bytes + item.cost() > self.room;
        let item = if is_slow { Item::Last(last_line()) } else { item };
        queue.has_ended = is_slow;
        queue.bytes += item.cost();
        queue.state_bytes += item.state_cost();
        queue.pushed += 1;
        queue.items.push_back(item);
        drop(queue);
        self.changed.notify_all();
        if is_slow {
            tracing::warn!(
                room = self.room,
                "the reader of events takes too little: their output ends here, and the member goes \
                 on without it; start it again with a reader that follows, or with more --backlog"
            );
        }
    }
}

fn last_line() -> Vec<u8> {
    let why = "too much waited: the reader, or the disk for the state, is too slow";
    format!("{}\n", json!({"event": "output_ended", "why": why})).into_bytes()
}

/// The file of the state. It is open while a state is on its way, and never longer: by the next
/// one the application may have put another in its place.
struct StateFile {
    path: PathBuf,
    file: Option<File>,
}

impl StateFile {
    /// Checks whether the file could be written.
    fn new(path: &Path) -> Result<Self, Failure> {
        if path.exists() {
            let opened = if path.is_file() {
                OpenOptions::new().write(true).open(path).map_err(|why| why.to_string())
            } else {
                Err("this is no regular file, and the state needs one".to_owned())
            };
            opened.map_err(|why| format!("{}: {why}", path.display()))?;
        } else {
            try_dir(path.parent().unwrap_or(path))?;
        }
        Ok(Self { path: path.to_owned(), file: None })
    }

    fn open(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            let options = options.create(true).truncate(false).write(true);
            self.file = Some(options.open(&self.path)?);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    state: Option<StateFile>,
}

/// The reader has gone.
struct Gone;

impl Writer {
    fn work(mut self) {
        loop {
            let item = self.next();
            let result = self.write(&item);
            let is_last = result.is_err() || matches!(item, Item::Last(_));
            if is_last {
                close();
            }
            let mut queue = self.shared.lock();
            queue.written += 1;
            queue.bytes -= item.cost();
            queue.state_bytes -= item.state_cost();
            if result.is_err() {
                *queue = Queue { has_ended: true, ..Queue::default() };
            }
            drop(queue);
            self.shared.changed.notify_all();
            if result.is_err() {
                tracing::warn!(
                    "nobody reads the events any more: their output ends here, and the member goes on \
                     without it"
                );
            }
            if is_last {
                return;
            }
        }
    }

    fn next(&self) -> Item {
        let is_empty = |queue: &mut Queue| queue.items.is_empty();
        loop {
            let waited = self.shared.changed.wait_while(self.shared.lock(), is_empty);
            if let Some(item) = waited.unwrap_or_else(PoisonError::into_inner).items.pop_front() {
                return item;
            }
        }
    }

    fn write(&mut self, item: &Item) -> Result<(), Gone> {
        let name = self.state.as_ref().map(|state| state.path.display().to_string());
        let name = name.unwrap_or_default();
        match (item, &mut self.state) {
            (Item::Lines(bytes) | Item::Last(bytes), _) => {
                let mut rest = bytes.as_slice();
                persist("standard output", || {
                    while !rest.is_empty() {
                        let len = rustix::io::write(rustix::stdio::stdout(), rest)?;
                        rest = &rest[len..];
                    }
                    Ok(())
                })
            }
            (Item::State(offset, bytes), Some(state)) => {
                if *offset == 0 {
                    state.file = None;
                }
                persist(&name, || state.open()?.write_all_at(bytes, *offset))
            }
            (Item::Loaded(total), Some(state)) => {
                let result = persist(&name, || {
                    state.open()?.set_len(*total)?;
                    state.open()?.sync_all()
                });
                state.file = None;
                result
            }
            (Item::State(..) | Item::Loaded(_), None) => Ok(()),
        }
    }
}

/// Lets the reader see the end; if that fails it sees it when the process ends.
fn close() {
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Tries until it is done: a full disk has room again some time, and what waits is bounded.
fn persist(what: &str, mut write: impl FnMut() -> io::Result<()>) -> Result<(), Gone> {
    let mut is_told = false;
    loop {
        match write() {
            Ok(()) => return Ok(()),
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Err(Gone),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            // Somebody else made the pipe one that does not wait.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(why) => {
                if !is_told {
                    tracing::warn!(file = what, %why, "cannot be written; tried again each second");
                }
                is_told = true;
                std::thread::sleep(RETRY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many events one turn brings, what waits has a bound.
    #[test]
    fn one_turn_does_not_exceed_the_room() {
        let room = 4 * BATCH;
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), room });
        let mut events = Events { shared: Arc::clone(&shared), lines: vec![], has_file: false };
        let line = json!({"event": "cast", "text": "x".repeat(1_000)});
        (0..2_000).for_each(|_| events.line(&line));
        assert!(events.has_ended());
        let queue = shared.lock();
        assert!(queue.bytes > room / 2 && queue.bytes <= room + BATCH, "{}", queue.bytes);
        assert!(matches!(queue.items.back(), Some(Item::Last(_))));
    }

    #[test]
    fn a_later_state_does_not_touch_the_file_of_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("state"), dir.path().join("in use"));
        std::fs::write(&path, b"a longer one of before").unwrap();
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, changed: Condvar::new(), room: 0 });
        let mut writer = Writer { shared, state: Some(StateFile::new(&path).unwrap()) };
        for (text, file) in [(&b"first"[..], &moved), (b"2nd", &path)] {
            let (head, tail) = text.split_at(2);
            for item in [
                Item::State(0, head.to_vec()),
                Item::State(2, tail.to_vec()),
                Item::Loaded(text.len().try_into().unwrap()),
            ] {
                assert!(writer.write(&item).is_ok());
            }
            std::fs::rename(&path, file).unwrap();
        }
        assert_eq!(std::fs::read(moved).unwrap(), b"first");
        assert_eq!(std::fs::read(path).unwrap(), b"2nd");
        for wrong in [Path::new("/proc/no-such/state"), Path::new("/dev/null"), dir.path()] {
            assert!(StateFile::new(wrong).is_err(), "{}", wrong.display());
        }
    }
}
