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
//! finds the group again when the members of the group file are gone. Without it the process begins at
//! the genesis view; if it is damaged the process does not start, for the disk may have lost more.

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
    /// No life of a process has this incarnation.
    #[error(
        "{path}: incarnation {incarnation} is none: they are 1 to 2^64 - 2; if the file was not \
         changed by hand, start with a new key"
    )]
    OutOfRange {
        /// Which one.
        incarnation: u64,
        /// Where it stands, or was to be recorded.
        path: PathBuf,
    },
    /// The view that was kept is none.
    #[error(
        "{0}: {1}; delete the file, and the member finds the group again from the first view on"
    )]
    View(PathBuf, String),
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

/// Returns whether a life may have this incarnation: 0 is that of no life, and above the last there
/// is none to come back as.
#[must_use]
pub const fn is_legal(incarnation: u64) -> bool {
    incarnation != 0 && incarnation != u64::MAX
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
            Ok(incarnation) if is_legal(incarnation) => Ok(Some(incarnation)),
            Ok(incarnation) => Err(BootError::OutOfRange { incarnation, path }),
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
    /// If it or a later one was used, or there is no such incarnation.
    pub fn unused(&self, incarnation: u64) -> Result<Boot, BootError> {
        if !is_legal(incarnation) {
            return Err(BootError::OutOfRange { incarnation, path: self.path.clone() });
        }
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
        replace(&self.state_dir, &self.path, format!("{incarnation}\n").as_bytes())
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

    /// Returns the file of the newest view.
    #[must_use]
    pub fn view_file(&self) -> ViewFile {
        ViewFile::new(&self.state_dir, &self.group)
    }
}

/// The file of the view that a process saw last: from there it finds the group again.
#[derive(Clone, Debug)]
pub struct ViewFile {
    state_dir: PathBuf,
    path: PathBuf,
    group: Hash32,
}

impl ViewFile {
    /// Names the file in this directory for this group.
    #[must_use]
    pub fn new(state_dir: &Path, group: &Hash32) -> Self {
        let path = state_dir.join(format!("view-{:016x}", group.prefix()));
        Self { state_dir: state_dir.to_owned(), path, group: *group }
    }

    /// Returns where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the view, durably: a file that was cut off by the end of the machine would be taken
    /// for damage.
    ///
    /// # Errors
    /// If it cannot be written; the next start then begins at an earlier view.
    pub fn write(&self, view: &View) -> io::Result<()> {
        let bytes = postcard::to_allocvec(view).map_err(io::Error::other)?;
        replace(&self.state_dir, &self.path, &bytes)
    }

    /// Reads the view that was kept last, if there is one.
    ///
    /// # Errors
    /// If there is a file that holds no view of this group.
    pub fn read(&self) -> Result<Option<View>, BootError> {
        let mut bytes = Vec::new();
        let read =
            File::open(&self.path).and_then(|file| file.take(VIEW_MAX).read_to_end(&mut bytes));
        match read {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(BootError::View(self.path.clone(), why.to_string())),
            Ok(_) => {}
        }
        let view = postcard::from_bytes(&bytes).ok();
        let view = view.filter(|view: &View| view.group == self.group && view.is_legal());
        let damaged = || BootError::View(self.path.clone(), "not a view of this group".to_owned());
        view.map(Some).ok_or_else(damaged)
    }
}

fn replace(state_dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
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
        let mut record = Record::open(&state, &GROUP).unwrap();
        assert_eq!(record.last(), None);
        assert_eq!(record.claim(1).unwrap(), Boot { incarnation: 1 });
        assert!(matches!(record.claim(1), Err(BootError::Spent { incarnation: 1, .. })));
        assert!(matches!(record.claim(0), Err(BootError::OutOfRange { .. })));
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
        record.claim(u64::MAX - 1).unwrap();
        assert!(matches!(record.claim_above(0), Err(BootError::OutOfRange { .. })));
        for text in ["0\n", "18446744073709551615\n"] {
            fs::write(record_path(dir.path(), &GROUP), text).unwrap();
            let told = last(dir.path(), &GROUP).unwrap_err().to_string();
            assert!(told.contains("incarnation-") && told.contains("new key"), "{told}");
        }
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
    fn a_view_is_remembered_and_a_damaged_one_is_told() {
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
        let file = Record::open(dir.path(), &view.group).unwrap().view_file();
        assert_eq!(file.read().unwrap(), None);
        file.write(&view).unwrap();
        assert_eq!(file.read().unwrap(), Some(view.clone()));
        for text in [&b"rubbish"[..], b""] {
            fs::write(file.path(), text).unwrap();
            let why = file.read().unwrap_err().to_string();
            assert!(why.contains("view-") && why.contains("delete the file"), "{why}");
        }
        let other = ViewFile::new(dir.path(), &GROUP);
        other.write(&view).unwrap();
        assert!(matches!(other.read(), Err(BootError::View(..))), "it is another group's");
    }
}
