//! `phalanx-node`: runs a member of a Phalanx group, and what belongs to that.
//!
//! Results go to standard output, logs and errors to standard error. Exit code 0 means done, 1 an
//! error, 2 wrong usage, 4 that the member is out of the group, 5 that the group has forked, 6 that the
//! output of events ended before the member, 101 a bug.

// A reader that has gone is no reason to panic.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod console;

mod against;
mod check;
mod child;
mod crash;
mod demo;
mod events;
mod evidence;
mod fleet;
mod input;
mod json;
mod judge;
mod keeper;
mod keys;
mod ledger;
#[cfg(feature = "demo")]
mod liar;
mod load;
mod log;
mod meter;
mod naming;
mod notices;
mod reload;
mod report;
mod run;
mod signals;
mod status;
mod table;
mod testnet;
mod views;

use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use input::Flags;

/// Why a command failed, as a sentence.
type Failure = Box<dyn Error + Send + Sync>;

/// This member is out of the group: it left or was removed.
#[derive(Debug)]
struct Out(String);

impl std::fmt::Display for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Out {}

/// The exit code for [`Out`].
const OUT: u8 = 4;

/// Two views were decided after one: nothing that the group says can be relied on.
#[derive(Debug)]
struct Forked;

impl std::fmt::Display for Forked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the group has forked: more of its members lied than it bears")
    }
}

impl Error for Forked {}

/// The exit code for [`Forked`].
const FORKED: u8 = 5;

/// Nobody got all events.
#[derive(Debug)]
struct OutputEnded;

impl std::fmt::Display for OutputEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the output of events had ended before: its reader was gone or too slow")
    }
}

impl Error for OutputEnded {}

/// The exit code for [`OutputEnded`].
const OUTPUT_ENDED: u8 = 6;

/// Runs members of groups that agree although some of them lie.
#[derive(Parser)]
#[command(
    name = "phalanx-node",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 an error or a promise that was not kept, 2 wrong usage, \
                  4 this member has left the group or was removed from it, \
                  5 the group has forked: more members lied than it bears (run), \
                  6 the output of events ended before the member did: its reader was gone or too slow \
                  (run --pipe), \
                  101 a bug of this program, which says what to report"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new key: an Ed25519 secret in a file that only you can read
    Keygen {
        /// Where to write it (PKCS#8 in PEM, mode 0600); never overwrites a file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Print the public key of a key file, as group.toml wants it
    Pubkey {
        /// The key file
        file: PathBuf,
    },
    /// Write a group.toml and one home per member, for trying things out on this machine
    Testnet(testnet::Args),
    /// Check a member's configuration and keys, and say what is weak
    Check {
        /// The member's home directory
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Ask the member that runs at this address, too: which group it is in, and how far that is
        #[arg(long, value_name = "IP:PORT")]
        against: Option<std::net::SocketAddr>,
    },
    /// Run a member until SIGTERM or SIGINT. SIGHUP reads `joiners` and `log` in node.toml again,
    /// SIGUSR1 writes the status to the log
    Run(run::Args),
    /// Look at evidence against members
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Look at the chain of views
    #[command(subcommand)]
    Views(views::Command),
    /// Members in processes on this machine: one lies and is expelled, one is killed and comes back,
    /// a newcomer joins
    Demo(demo::Args),
    /// Measure a group of processes on this machine: throughput, latency, or cost of idling
    Load(load::Args),
    /// One member of `demo` or `load`, told what to do on standard input
    #[command(hide = true)]
    Child(child::Args),
}

fn main() -> ExitCode {
    // Before anything else: a signal may come at once.
    let flags = Arc::new(Flags::default());
    let is_run = std::env::args_os().nth(1).is_some_and(|command| command == "run");
    let listens = if is_run { signals::listen(Arc::clone(&flags)) } else { Ok(()) };
    crash::install();
    let result = match Cli::parse().command {
        Command::Keygen { out } => keys::keygen(&out),
        Command::Pubkey { file } => keys::pubkey(&file),
        Command::Testnet(args) => testnet::testnet(&args),
        Command::Check { home, against } => check::check(&home, against),
        Command::Run(args) => listens.map_err(Failure::from).and_then(|()| run::run(&args, &flags)),
        Command::Evidence(command) => evidence::evidence(&command),
        Command::Views(command) => views::views(&command),
        Command::Demo(args) => demo::demo(&args),
        Command::Load(args) => load::load(&args),
        Command::Child(args) => child::child(&args),
    };
    let code = result.map_or_else(|why| code_of(&why), |()| ExitCode::SUCCESS);
    log::drain();
    code
}

/// Returns the exit code of a failure, and logs the failure unless nobody reads results any more.
fn code_of(why: &Failure) -> ExitCode {
    if why.is::<console::NobodyReads>() {
        return ExitCode::SUCCESS;
    }
    let code = if why.is::<Out>() {
        OUT
    } else if why.is::<Forked>() {
        FORKED
    } else if why.is::<OutputEnded>() {
        OUTPUT_ENDED
    } else {
        complain!("error: {why}");
        return ExitCode::FAILURE;
    };
    complain!("{why}");
    ExitCode::from(code)
}

/// Whether to use colours and redraw lines on this stream.
fn is_fancy(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
