//! The log on standard error: a bounded queue and a thread of its own, because a pipe that nobody
//! reads, or a full disk, must neither stop the member nor end it. Lines that find no room, or cannot
//! be written, are counted, and told once lines go out again.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::is_fancy;

/// Bytes of lines that may wait.
const ROOM: usize = 1024 * 1024;
/// Before what could not be written is tried again though nothing new is to be written.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the last lines.
const PATIENCE: Duration = Duration::from_millis(500);

static LOG: OnceLock<Log> = OnceLock::new();
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

#[derive(Default)]
struct Log {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Line {
    text: Vec<u8>,
    /// The dropped lines that it tells of; 0 for a line that is itself one of the log.
    told: u64,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that were dropped and not told yet.
    dropped: u64,
    /// All that were dropped.
    lost: u64,
    /// The last try to write failed.
    has_failed: bool,
    is_busy: bool,
}

/// Starts logging at this level.
pub(crate) fn start(level: &str) {
    let (filter, handle) = reload::Layer::new(level_of(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines);
    let lines = lines.with_ansi(is_fancy(&io::stderr()));
    tracing_subscriber::registry().with(filter).with(lines).init();
    let _ = LEVEL.set(handle);
}

/// Logs at this level from now on.
pub(crate) fn set_level(level: &str) {
    if let Some(handle) = LEVEL.get() {
        // It fails only where there is no subscriber any more.
        let _ = handle.reload(level_of(level));
    }
}

fn level_of(level: &str) -> LevelFilter {
    level.parse().unwrap_or(LevelFilter::INFO)
}

/// Writes a line, whatever the level.
pub(crate) fn write(line: fmt::Arguments<'_>) {
    log().push(format!("{line}\n").into_bytes());
}

/// Returns the number of lines that were dropped so far.
pub(crate) fn lost() -> u64 {
    log().lock().lost
}

/// Waits a moment until all lines are written.
pub(crate) fn drain() {
    let Some(log) = LOG.get() else { return };
    let is_full = |queue: &mut Queue| queue.is_busy || !queue.lines.is_empty();
    let _ = log.changed.wait_timeout_while(log.lock(), PATIENCE, is_full);
}

fn log() -> &'static Log {
    let mut is_new = false;
    let log = LOG.get_or_init(|| {
        is_new = true;
        Log::default()
    });
    if is_new {
        // Without a thread nothing is logged, and all else goes on.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(|| log.work());
    }
    log
}

/// The writer of the subscriber.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        log().push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Vec<u8>) {
        self.lock().push(line);
        self.changed.notify_all();
    }

    fn work(&self) {
        let mut is_torn = false;
        loop {
            let Line { mut text, told } = self.next();
            // A line of which only a part went out is followed by a new one.
            if is_torn {
                text.insert(0, b'\n');
            }
            let result = write_all(&mut io::stderr(), &text);
            is_torn = result.is_err_and(|written| is_torn || written > 0);
            let mut queue = self.lock();
            queue.is_busy = false;
            queue.has_failed = result.is_err();
            if queue.has_failed {
                queue.dropped += told.max(1);
                queue.lost += u64::from(told == 0);
            }
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Line {
        let mut queue = self.lock();
        let mut has_waited = false;
        loop {
            if let Some(line) = queue.next(has_waited) {
                queue.is_busy = true;
                return line;
            }
            if !queue.has_failed {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.changed.wait_timeout(queue, RETRY);
            let timeout;
            (queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            has_waited = timeout.timed_out();
        }
    }
}

impl Queue {
    fn push(&mut self, text: Vec<u8>) {
        if !self.lines.is_empty() && self.bytes + text.len() > ROOM {
            self.dropped += 1;
            self.lost += 1;
            return;
        }
        // What found no room stood here.
        if !self.has_failed {
            self.tell();
        }
        self.bytes += text.len();
        self.lines.push_back(Line { text, told: 0 });
    }

    /// Queues the line that tells how many were dropped.
    fn tell(&mut self) {
        if self.dropped > 0 {
            let line = Line::note(std::mem::take(&mut self.dropped));
            self.bytes += line.text.len();
            self.lines.push_back(line);
        }
    }

    /// Returns what to write next. While nothing can be written, each new line is tried, and once in a
    /// while the note of the dropped ones, which stands before it.
    fn next(&mut self, has_waited: bool) -> Option<Line> {
        if self.has_failed && self.dropped > 0 && (has_waited || !self.lines.is_empty()) {
            let line = Line::note(std::mem::take(&mut self.dropped));
            return Some(line);
        }
        if self.lines.is_empty() && !self.has_failed {
            self.tell();
        }
        let line = self.lines.pop_front()?;
        self.bytes -= line.text.len();
        Some(line)
    }
}

impl Line {
    fn note(told: u64) -> Self {
        let lines = if told == 1 { "log line was" } else { "log lines were" };
        let why = "standard error took too little, or could not be written";
        Self { text: format!("{told} {lines} dropped: {why}\n").into_bytes(), told }
    }
}

/// Writes all, or says how many bytes were written.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> Result<(), usize> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(all - bytes.len()),
            Ok(len) => bytes = &bytes[len..],
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            // Somebody else made the pipe one that does not wait.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(_) => return Err(all - bytes.len()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(queue: &mut Queue) -> Vec<String> {
        let next = || queue.next(false).map(|line| String::from_utf8(line.text).unwrap());
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn lines_without_room_are_counted_and_told_where_they_stood() {
        let mut queue = Queue::default();
        let long = vec![b'x'; ROOM / 2];
        (0..5).for_each(|_| queue.push(long.clone()));
        assert_eq!((queue.lines.len(), queue.dropped, queue.lost), (2, 3, 3));
        queue.next(false).unwrap();
        queue.push(b"after\n".to_vec());
        let told = drained(&mut queue);
        assert_eq!(told.len(), 3);
        assert!(told[1].starts_with("3 log lines were dropped"), "{}", told[1]);
        assert_eq!(told[2], "after\n");
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn the_last_dropped_lines_are_told_without_a_next_one() {
        let mut queue = Queue::default();
        queue.push(vec![b'x'; 2 * ROOM]);
        queue.push(b"dropped\n".to_vec());
        assert!(drained(&mut queue)[1].starts_with("1 log line was dropped"));
        assert!(queue.next(true).is_none());
    }

    #[test]
    fn while_nothing_can_be_written_the_count_is_kept_and_tried_now_and_then() {
        let mut queue = Queue { has_failed: true, dropped: 2, ..Queue::default() };
        assert!(queue.next(false).is_none(), "not in a loop");
        assert_eq!(queue.next(true).unwrap().told, 2);
        queue.dropped = 2;
        queue.push(b"line\n".to_vec());
        assert_eq!(queue.next(false).unwrap().told, 2, "before the line");
    }
}
