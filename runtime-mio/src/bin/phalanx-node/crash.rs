//! The report of a bug that ends the process: once, with what the authors need.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write as _;
use std::panic::PanicHookInfo;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use phalanx_mio::Inputs;

use crate::log;

/// The exit code: as of any program in Rust that panics.
pub(crate) const CRASH: u8 = 101;
/// The file in the state directory. A later one replaces it, so that no disk is filled.
const REPORT: &str = "panic-report.txt";
/// How long the file may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a report of `run` tells besides: where to keep it, and the inputs.
static MEMBER: OnceLock<(PathBuf, Inputs)> = OnceLock::new();
static HAS_CRASHED: AtomicBool = AtomicBool::new(false);

/// Makes a panic of any thread end the process with a report.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        if HAS_CRASHED.swap(true, Ordering::AcqRel) {
            // The first one tells.
            std::thread::park();
        }
        tell(info);
        log::drain();
        std::process::exit(i32::from(CRASH));
    }));
}

/// From now on a report tells of these inputs, and is kept in this directory, too.
pub(crate) fn tell_of(state_dir: PathBuf, inputs: Inputs) {
    let _ = MEMBER.set((state_dir, inputs));
}

fn tell(info: &PanicHookInfo<'_>) {
    let report = report(info);
    complain!("{report}");
    let Some((dir, _)) = MEMBER.get() else { return };
    let (send, sent) = channel();
    let path = dir.join(REPORT);
    let file = path.clone();
    let write = move || send.send(std::fs::write(&file, report));
    // A disk that hangs does not hold the end up.
    let written = std::thread::Builder::new()
        .spawn(write)
        .ok()
        .and_then(|_| sent.recv_timeout(PATIENCE).ok());
    match written {
        Some(Ok(())) => complain!("this report is kept in {}", path.display()),
        Some(Err(why)) => complain!("{}: {why}: the report is not kept", path.display()),
        None => complain!("{}: the disk does not answer: the report is not kept", path.display()),
    }
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let (version, wire) = (env!("CARGO_PKG_VERSION"), phalanx_core::wire::VERSION);
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let backtrace = Backtrace::capture();
    let mut text = format!(
        "phalanx-node {version} has a bug and has ended. Please send this report and the log before it \
         to its authors.\nversion: {version}, wire version {wire}, {} {}\nthread {name}: {info}\n",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    // Writing to a String cannot fail.
    if let Some((_, inputs)) = MEMBER.get() {
        let _ = write!(text, "{inputs}");
    }
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = write!(text, "{backtrace}");
    }
    text
}
