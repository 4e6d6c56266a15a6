//! Results on standard output. The log has [`crate::log`], events of `run` have [`crate::events`].

use std::fmt;
use std::io::{self, Write};

use crate::Failure;

/// The reader of the results has gone: the command ends, and says nothing more.
#[derive(Debug)]
pub(crate) struct NobodyReads;

impl fmt::Display for NobodyReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the results")
    }
}

impl std::error::Error for NobodyReads {}

/// Writes a line of results.
///
/// # Errors
/// [`NobodyReads`], or what the system says.
pub(crate) fn print(line: fmt::Arguments<'_>) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{line}") {
        Ok(()) => Ok(()),
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Err(NobodyReads.into()),
        Err(why) => Err(format!("standard output: {why}").into()),
    }
}

/// Writes a line of results, or fails.
macro_rules! print_line {
    ($($text:tt)*) => { $crate::console::print(format_args!($($text)*)) };
}

/// Writes a line of results if anybody reads it: what the command does matters more.
macro_rules! show {
    () => { show!("") };
    ($($text:tt)*) => {{ let _ = $crate::console::print(format_args!($($text)*)); }};
}

/// Writes a line to the log, whatever its level.
macro_rules! complain {
    ($($text:tt)*) => { $crate::log::write(format_args!($($text)*)) };
}
