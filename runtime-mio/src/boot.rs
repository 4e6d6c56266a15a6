//! The boot record: which incarnations of this process have been used up.
//!
//! A process never signs in a view in which it has lost what it signed before, so an incarnation
//! is good for one start. It is recorded, durably, before the first frame that this process must
//! remember; a second start with it is refused, and so is a second process that shares the directory
//! while the first one runs. Coming back takes a higher incarnation, which takes a view that lists it.
//!
//! A member of the genesis view need remember nothing until it has heard another member
//! ([`phalanx_core::Node::is_bound`]): so a first start that found nobody spoils nothing.
//!
//! Beside the record lies the view that this process saw last. It is a convenience: from there it
//! finds the group again when the members of the group file are gone. Without it, or if it is
//! spoilt, the process begins at the genesis view.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use phalanx_core::{Boot, Hash32, View};

/// Longer files are no views.
const VIEW_MAX: u64 = 1024 * 1024;

/// Why a process may not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The record cannot be read or written.
    #[error("{path}: {source}: without its boot record this member must not start")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The record is not one.
    #[error("{0}: not a boot record; if the disk is damaged, start with a new key")]
    Damaged(PathBuf),
    /// Another process runs with it.
    #[error("{0}: another process runs with this state directory")]
    InUse(PathBuf),
    /// The incarnation was used, or a later one.
    #[error(
        "incarnation {incarnation} or a later one was started before ({path}): what it signed is \
         lost, so it must not run again"
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

/// The highest incarnation that was started, if any; for those who only want to look.
///
/// # Errors
/// If the record cannot be read or is damaged.
pub fn last(state_dir: &Path, group: &Hash32) -> Result<Option<u64>, BootError> {
    let path = record_path(state_dir, group);
    let mut text = String::new();
    match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => match text.strip_suffix('\n').unwrap_or_default().parse() {
            Ok(incarnation) => Ok(Some(incarnation)),
            Err(_) => Err(BootError::Damaged(path)),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BootError::Io { path, source }),
    }
}

/// The record of one process in one group, locked for as long as this is alive.
#[derive(Debug)]
pub struct Record {
    state_dir: PathBuf,
    path: PathBuf,
    group: Hash32,
    last: Option<u64>,
    /// The system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Record {
    /// Opens the record in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// If another process has it open, or it cannot be read, or is damaged.
    pub fn open(state_dir: &Path, group: &Hash32) -> Result<Self, BootError> {
        let path = record_path(state_dir, group);
        let failed = |source| BootError::Io { path: path.clone(), source };
        fs::create_dir_all(state_dir).map_err(failed)?;
        let locked = path.with_extension("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&locked).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BootError::InUse(locked)),
            Err(TryLockError::Error(why)) => return Err(failed(why)),
        }
        let last = last(state_dir, group)?;
        Ok(Self { state_dir: state_dir.to_owned(), path, group: *group, last, _lock: lock })
    }

    /// The highest incarnation that was started, if any.
    #[must_use]
    pub const fn last(&self) -> Option<u64> {
        self.last
    }

    /// An incarnation that was not used, and will be used up by [`Record::claim`] before anything is
    /// sent that must be remembered.
    ///
    /// # Errors
    /// If it or a later one was used.
    pub fn unused(&self, incarnation: u64) -> Result<Boot, BootError> {
        if self.last.is_some_and(|last| last >= incarnation) {
            return Err(BootError::Spent { incarnation, path: self.path.clone() });
        }
        Ok(Boot { incarnation })
    }

    /// Uses up an incarnation: on return that is durable.
    ///
    /// # Errors
    /// If it or a later one was used before, or the record cannot be kept.
    pub fn claim(&mut self, incarnation: u64) -> Result<Boot, BootError> {
        let boot = self.unused(incarnation)?;
        replace(&self.state_dir, &self.path, format!("{incarnation}\n").as_bytes(), true)
            .map_err(|source| BootError::Io { path: self.path.clone(), source })?;
        self.last = Some(incarnation);
        Ok(boot)
    }

    /// Uses up the first incarnation above this one and above all that were used.
    ///
    /// # Errors
    /// As [`Record::claim`].
    pub fn claim_above(&mut self, other: u64) -> Result<Boot, BootError> {
        self.claim(self.last.unwrap_or(0).max(other).saturating_add(1))
    }

    /// Keeps a view, to find the group again from there.
    ///
    /// # Errors
    /// If it cannot be written; the next start then begins at an earlier view.
    pub fn remember(&self, view: &View) -> io::Result<()> {
        let bytes = postcard::to_allocvec(view).map_err(io::Error::other)?;
        replace(&self.state_dir, &self.view_path(), &bytes, false)
    }

    /// The view that was kept last; none if there is none, or none of this group.
    #[must_use]
    pub fn remembered(&self) -> Option<View> {
        let mut bytes = Vec::new();
        let file = File::open(self.view_path()).ok()?;
        file.take(VIEW_MAX).read_to_end(&mut bytes).ok()?;
        let view: View = postcard::from_bytes(&bytes).ok()?;
        (view.group == self.group && view.is_legal()).then_some(view)
    }

    fn view_path(&self) -> PathBuf {
        self.state_dir.join(format!("view-{:016x}", self.group.prefix()))
    }
}

fn replace(state_dir: &Path, path: &Path, bytes: &[u8], is_durable: bool) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    if is_durable {
        file.sync_all()?;
    }
    fs::rename(&draft, path)?;
    if is_durable {
        // The name must be durable too.
        File::open(state_dir)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Hash32 = Hash32([7; 32]);

    #[test]
    fn an_incarnation_starts_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut record = Record::open(&state, &GROUP).unwrap();
        assert_eq!(record.last(), None);
        assert_eq!(record.claim(1).unwrap(), Boot { incarnation: 1 });
        assert!(matches!(record.claim(1), Err(BootError::Spent { incarnation: 1, .. })));
        assert!(matches!(record.claim(0), Err(BootError::Spent { .. })));
        assert_eq!(record.claim_above(0).unwrap(), Boot { incarnation: 2 });
        assert_eq!(record.claim_above(6).unwrap(), Boot { incarnation: 7 });
        drop(record);
        let mut record = Record::open(&state, &GROUP).unwrap();
        assert_eq!(record.last(), Some(7));
        assert!(matches!(record.claim(7), Err(BootError::Spent { .. })));
        let mut other = Record::open(&state, &Hash32([8; 32])).unwrap();
        assert_eq!(other.claim(1).unwrap(), Boot { incarnation: 1 });
    }

    #[test]
    fn the_last_incarnation_has_none_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::open(dir.path(), &GROUP).unwrap();
        record.claim(u64::MAX).unwrap();
        assert!(matches!(record.claim_above(0), Err(BootError::Spent { .. })));
    }

    #[test]
    fn a_damaged_record_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        // The last one was cut off: it might have been 12.
        for text in ["three\n", "", "-1\n", "1 \n", "1"] {
            fs::write(record_path(dir.path(), &GROUP), text).unwrap();
            let opened = Record::open(dir.path(), &GROUP);
            assert!(matches!(opened, Err(BootError::Damaged(_))), "{text:?}");
        }
        fs::remove_file(record_path(dir.path(), &GROUP)).unwrap();
        fs::create_dir(record_path(dir.path(), &GROUP)).unwrap();
        assert!(matches!(Record::open(dir.path(), &GROUP), Err(BootError::Io { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_and_a_directory_that_takes_nothing_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let draft = record_path(dir.path(), &GROUP).with_extension("new");
        std::os::unix::fs::symlink("/dev/full", draft).unwrap();
        let mut record = Record::open(dir.path(), &GROUP).unwrap();
        let why = record.claim(1).unwrap_err();
        assert!(why.to_string().contains("No space left"), "{why}");
        assert_eq!((record.last(), last(dir.path(), &GROUP).unwrap()), (None, None));
        let nowhere = Record::open(Path::new("/proc/no-such-state"), &GROUP);
        assert!(matches!(nowhere, Err(BootError::Io { .. })));
    }

    #[test]
    fn two_processes_do_not_share_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let first = Record::open(dir.path(), &GROUP).unwrap();
        assert!(matches!(Record::open(dir.path(), &GROUP), Err(BootError::InUse(_))));
        drop(first);
        assert!(Record::open(dir.path(), &GROUP).is_ok());
    }

    #[test]
    fn a_view_is_remembered_and_a_spoilt_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let genesis = phalanx_core::Genesis {
            name: "test".into(),
            nonce: Hash32::ZERO,
            members: vec![phalanx_core::Member {
                key: crate::keys::SecretKey::generate().unwrap().public_key(),
                incarnation: 1,
                addr: b"127.0.0.1:1".to_vec(),
                status: phalanx_core::Status::Active,
            }],
            pledge: None,
            pattern: phalanx_core::Pattern::Swift,
            quorum: phalanx_core::QuorumRule::Sound,
            membership: phalanx_core::Membership::Managed,
            limits: phalanx_core::Limits::default(),
            state_transfer: false,
        };
        let view = genesis.view();
        let record = Record::open(dir.path(), &view.group).unwrap();
        assert_eq!(record.remembered(), None);
        record.remember(&view).unwrap();
        assert_eq!(record.remembered(), Some(view.clone()));
        fs::write(record.view_path(), b"rubbish").unwrap();
        assert_eq!(record.remembered(), None);
        let other = Record::open(dir.path(), &GROUP).unwrap();
        other.remember(&view).unwrap();
        assert_eq!(other.remembered(), None, "it is another group's");
    }
}
