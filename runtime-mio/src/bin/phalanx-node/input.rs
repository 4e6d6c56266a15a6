//! What `run` is told: lines on standard input, and signals.

use std::fs::File;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use phalanx_core::{Order, PublicKey, Rank};
use phalanx_mio::config::{FileError, Home, public_key};
use phalanx_mio::{Handle, Stopped};

/// What other threads tell the loop.
#[derive(Default)]
pub(crate) struct Flags {
    /// Wakes the loop, once there is one.
    pub(crate) handle: OnceLock<Handle>,
    /// A signal came: the member ends.
    pub(crate) stop: AtomicBool,
    /// A signal came: the settings are read again.
    pub(crate) reload: AtomicBool,
    /// The settings that were read, or what is wrong with them.
    pub(crate) settings: Mutex<Option<Result<Home, FileError>>>,
    /// A signal came: the status goes to the log.
    pub(crate) status: AtomicBool,
    /// The input has ended.
    pub(crate) end: AtomicBool,
    /// Lines to cast handed to the runtime.
    pub(crate) lines: AtomicU64,
    /// The member was told to leave the group.
    pub(crate) leaving: AtomicBool,
    /// Somebody wants to see the counters.
    pub(crate) stats: AtomicBool,
    /// Snapshots offered: the view and the file.
    pub(crate) snapshots: Mutex<Vec<(u64, File)>>,
}

/// What a line of the input asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Cast(Vec<u8>),
    Leave,
    Suspect(Rank),
    Admit(PublicKey, bool),
    Stats,
    Snapshot(u64, PathBuf),
    /// Not understood.
    Wrong,
}

impl Line {
    fn parse(mut line: Vec<u8>) -> Self {
        if line.starts_with(b"//") {
            line.remove(0);
            return Self::Cast(line);
        }
        if !line.starts_with(b"/") {
            return Self::Cast(line);
        }
        let text = String::from_utf8_lossy(&line);
        let admit = |key: &str, is_admitted| {
            public_key(key).map_or(Self::Wrong, |key| Self::Admit(key, is_admitted))
        };
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["/leave"] => Self::Leave,
            ["/stats"] => Self::Stats,
            ["/snapshot", view, file] => {
                view.parse().map_or(Self::Wrong, |view| Self::Snapshot(view, file.into()))
            }
            ["/admit", key] => admit(key, true),
            ["/refuse", key] => admit(key, false),
            ["/suspect", rank] => {
                rank.parse().map_or(Self::Wrong, |rank| Self::Suspect(Rank::new(rank)))
            }
            _ => Self::Wrong,
        }
    }
}

/// Does what lines say from a thread of its own: it waits while the queue is full, so whoever writes
/// them feels it.
pub(crate) fn read_lines(flags: Arc<Flags>, handle: Handle, order: Order) {
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            if obey(Line::parse(line), &flags, &handle, order).is_err() {
                return;
            }
        }
        flags.end.store(true, Ordering::Release);
        handle.wake();
    });
}

fn obey(line: Line, flags: &Flags, handle: &Handle, order: Order) -> Result<(), Stopped> {
    match line {
        Line::Cast(line) => {
            flags.lines.fetch_add(1, Ordering::Release);
            handle.cast(order, line)?;
        }
        Line::Leave => {
            flags.leaving.store(true, Ordering::Release);
            handle.leave()?;
        }
        Line::Suspect(rank) => {
            handle.suspect(rank)?;
        }
        Line::Admit(key, is_admitted) => {
            handle.admit(key, is_admitted)?;
        }
        Line::Stats => {
            flags.stats.store(true, Ordering::Release);
            handle.wake();
        }
        Line::Snapshot(view, file) => {
            // Opened here, because a disk may keep whatever opens a file waiting.
            match (open(&file), flags.snapshots.lock()) {
                (Ok(file), Ok(mut snapshots)) => snapshots.push((view, file)),
                (Err(why), _) => tracing::warn!(path = %file.display(), %why, "no snapshot"),
                (Ok(_), Err(_)) => {}
            }
            handle.wake();
        }
        Line::Wrong => {
            tracing::warn!("this is no command; a cast that begins with / begins with //");
        }
    }
    Ok(())
}

/// Opens a file to read; nothing else is a snapshot, and a pipe that nobody writes would keep the input
/// waiting.
fn open(path: &Path) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_casts_unless_they_begin_with_one_slash() {
        let line = |text: &str| Line::parse(text.as_bytes().to_vec());
        let cast = |text: &str| Line::Cast(text.as_bytes().to_vec());
        assert_eq!(line("hello"), cast("hello"));
        assert_eq!(line(""), cast(""));
        assert_eq!(line("//leave"), cast("/leave"));
        assert_eq!(line("///"), cast("//"));
        assert_eq!(line("/leave "), Line::Leave);
        assert_eq!(line("/stats"), Line::Stats);
        assert_eq!(line("/snapshot 7 a/b"), Line::Snapshot(7, "a/b".into()));
        assert_eq!(line("/suspect 3"), Line::Suspect(Rank::new(3)));
        let key = "ab".repeat(32);
        assert_eq!(line(&format!("/admit {key}")), Line::Admit(PublicKey([0xab; 32]), true));
        assert_eq!(line(&format!("/refuse {key}")), Line::Admit(PublicKey([0xab; 32]), false));
        for wrong in ["/", "/suspect", "/suspect x", "/suspect 3 4", "/suspect 70000", "/exit"] {
            assert_eq!(line(wrong), Line::Wrong, "{wrong}");
        }
        assert_eq!(line("/admit abc"), Line::Wrong);
    }
}
