//! SIGHUP: the settings are read again. The list of joiners and the log level change at once; the rest
//! needs a new start, and a file that is wrong changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use phalanx_mio::config::Home;
use phalanx_mio::{Handle, Runtime};

use crate::input::Flags;
use crate::log;

/// The settings that can change while the member runs.
pub(crate) struct Reload {
    dir: PathBuf,
    /// The command line gives the log level.
    is_level_fixed: bool,
}

impl Reload {
    /// Watches the settings of the home in this directory.
    pub(crate) const fn new(dir: PathBuf, is_level_fixed: bool) -> Self {
        Self { dir, is_level_fixed }
    }

    /// Does what signals asked for.
    pub(crate) fn obey(&self, flags: &Arc<Flags>, home: &Home, runtime: &mut Runtime) {
        if flags.reload.swap(false, Ordering::AcqRel) {
            self.read(flags, runtime.handle());
        }
        let read = flags.settings.lock().ok().and_then(|mut settings| settings.take());
        match read {
            None => {}
            Some(Ok(new)) => self.apply(home, &new, runtime),
            Some(Err(why)) => tracing::warn!("SIGHUP: {why}: all settings stay as they were"),
        }
    }

    /// Reads the settings on a thread of its own: the disk may take its time.
    fn read(&self, flags: &Arc<Flags>, handle: Handle) {
        let (flags, dir) = (Arc::clone(flags), self.dir.clone());
        let read = move || {
            let settings = Home::read(&dir);
            if let Ok(mut slot) = flags.settings.lock() {
                *slot = Some(settings);
            }
            handle.wake();
        };
        if let Err(why) = std::thread::Builder::new().name("settings".to_owned()).spawn(read) {
            tracing::warn!(%why, "SIGHUP: no thread to read them: all settings stay as they were");
        }
    }

    fn apply(&self, home: &Home, new: &Home, runtime: &mut Runtime) {
        runtime.set_joiners(new.config.joiners.clone());
        let level = if self.is_level_fixed {
            "as the command line says".to_owned()
        } else {
            log::set_level(&new.log);
            new.log.clone()
        };
        let joiners = crate::check::joiners(&new.config.joiners);
        complain!("SIGHUP: settings read again: joiners {joiners}; log {level}");
        let stale = stale(home, new);
        if !stale.is_empty() {
            let stale = stale.join(", ");
            tracing::warn!("SIGHUP: changed, and not taken over before the next start: {stale}");
        }
    }
}

/// Returns the names of the settings that differ and need a new start.
fn stale(old: &Home, new: &Home) -> Vec<&'static str> {
    let local = |home: &Home| {
        let config = &home.config;
        let limits = (
            (config.cast_queue_bytes, config.send_queue_bytes, config.send_tries),
            (config.partial_frames, config.join_tokens, config.join_buffer, config.state_max),
            home.network.queue_bytes,
        );
        (limits, config.timeouts, home.network.stall)
    };
    let ((old_limits, old_times, old_stall), (limits, times, stall)) = (local(old), local(new));
    [
        ("group", old.group != new.group),
        ("key", old.secret.public_key() != new.secret.public_key()),
        ("bind", old.network.bind != new.network.bind),
        ("address", old.config.addr != new.config.addr),
        ("transport", old.network.transport != new.network.transport),
        ("state", old.state_dir != new.state_dir),
        ("rejoin", old.comes_back != new.comes_back),
        ("anchor", old.config.anchor != new.config.anchor),
        ("timeouts", old_times != times || old_stall != stall),
        ("limits", old_limits != limits),
    ]
    .into_iter()
    .filter_map(|(name, has_changed)| has_changed.then_some(name))
    .collect()
}
