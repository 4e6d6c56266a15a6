//! The boot record: which incarnations of this process have been used up.
//!
//! A process never signs in a view in which it has lost what it signed before, so an incarnation
//! is good for one start. It is recorded, durably, before the first frame; a second start with it
//! is refused, and so is a second process that shares the directory. Coming back takes a higher
//! incarnation, which takes a view that lists it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use phalanx_core::{Boot, Hash32};

/// Why a process may not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The record cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record is not one.
    #[error("{0}: not a boot record; if the disk is damaged, start with a new key")]
    Damaged(PathBuf),
    /// The incarnation was used.
    #[error(
        "incarnation {incarnation} was started before ({path}): what it signed is lost, so it must \
         not run again. Joining comes later: until then a member that stopped stays out. Make a new \
         group, or raise this member's incarnation in the group file of every member."
    )]
    Spent {
        /// Which one.
        incarnation: u64,
        /// Where that is recorded.
        path: PathBuf,
    },
}

/// Where the record of this group is kept.
#[must_use]
pub fn record_path(state_dir: &Path, group: &Hash32) -> PathBuf {
    state_dir.join(format!("incarnation-{:016x}", group.prefix()))
}

/// The highest incarnation that was started, if any.
///
/// # Errors
/// If the record cannot be read or is damaged.
pub fn last(state_dir: &Path, group: &Hash32) -> Result<Option<u64>, BootError> {
    let path = record_path(state_dir, group);
    let mut text = String::new();
    match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => match text.trim().parse() {
            Ok(incarnation) => Ok(Some(incarnation)),
            Err(_) => Err(BootError::Damaged(path)),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BootError::Io { path, source }),
    }
}

/// Uses up an incarnation: on return that is durable.
///
/// # Errors
/// If it was used before, or the record cannot be kept.
pub fn claim(state_dir: &Path, group: &Hash32, incarnation: u64) -> Result<Boot, BootError> {
    let path = record_path(state_dir, group);
    let failed = |source| BootError::Io { path: path.clone(), source };
    fs::create_dir_all(state_dir).map_err(failed)?;
    // Of two processes that start at once in one directory, the second waits here and then finds
    // the record of the first.
    let lock = OpenOptions::new().create(true).append(true).open(path.with_extension("lock"));
    lock.and_then(|lock| lock.lock().map(|()| lock))
        .map_err(failed)
        .and_then(|_held| claim_locked(state_dir, group, incarnation))
}

fn claim_locked(state_dir: &Path, group: &Hash32, incarnation: u64) -> Result<Boot, BootError> {
    let path = record_path(state_dir, group);
    if last(state_dir, group)?.is_some_and(|last| last >= incarnation) {
        return Err(BootError::Spent { incarnation, path });
    }
    replace(state_dir, &path, incarnation).map_err(|source| BootError::Io { path, source })?;
    Ok(Boot { incarnation })
}

fn replace(state_dir: &Path, path: &Path, incarnation: u64) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    writeln!(file, "{incarnation}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The name must be durable too.
    File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Hash32 = Hash32([7; 32]);

    #[test]
    fn an_incarnation_starts_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert_eq!(last(&state, &GROUP).unwrap(), None);
        assert_eq!(claim(&state, &GROUP, 1).unwrap(), Boot { incarnation: 1 });
        assert!(matches!(claim(&state, &GROUP, 1), Err(BootError::Spent { incarnation: 1, .. })));
        assert!(matches!(claim(&state, &GROUP, 0), Err(BootError::Spent { .. })));
        assert_eq!(claim(&state, &GROUP, 5).unwrap(), Boot { incarnation: 5 });
        assert_eq!(last(&state, &GROUP).unwrap(), Some(5));
        assert_eq!(claim(&state, &Hash32([8; 32]), 1).unwrap(), Boot { incarnation: 1 });
    }

    #[test]
    fn a_damaged_record_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(record_path(dir.path(), &GROUP), "three\n").unwrap();
        assert!(matches!(claim(dir.path(), &GROUP, 9), Err(BootError::Damaged(_))));
    }

    #[test]
    fn two_starts_at_once_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let starts: Vec<bool> = std::thread::scope(|scope| {
            let start = || scope.spawn(|| claim(dir.path(), &GROUP, 1).is_ok());
            let all: Vec<_> = (0..8).map(|_| start()).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(starts.iter().filter(|ok| **ok).count(), 1);
    }
}
