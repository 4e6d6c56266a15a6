//! What the system tells the process. The handlers of `run` are installed before anything else, so a
//! signal that comes at the very start is not lost, not even as the first process of a container.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::input::Flags;
use crate::log;

/// Duration that the process may take to end after it was told to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts to listen, for `run`: SIGTERM and SIGINT end it, SIGHUP reads the settings again, SIGUSR1
/// writes the status to the log. A limit on the length of files is an error when one is written,
/// nothing more.
///
/// # Errors
/// If the system has no more descriptors or threads.
pub(crate) fn listen(flags: Arc<Flags>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGXFSZ])?;
    let take = move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => flags.reload.store(true, Ordering::Release),
                SIGUSR1 => flags.status.store(true, Ordering::Release),
                SIGTERM | SIGINT => stop(&flags),
                _ => {}
            }
            if let Some(handle) = flags.handle.get() {
                handle.wake();
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(take)?;
    Ok(())
}

fn stop(flags: &Flags) {
    if flags.handle.get().is_none() {
        // It has not begun, so nothing has to be ended.
        end(0);
    }
    let is_first = !flags.stop.swap(true, Ordering::AcqRel);
    let late = || {
        thread::sleep(PATIENCE);
        complain!("error: told to stop, but something does not end: stopping without it");
        end(1);
    };
    if is_first && thread::Builder::new().spawn(late).is_err() {
        end(1);
    }
}

fn end(code: i32) -> ! {
    log::drain();
    std::process::exit(code);
}
