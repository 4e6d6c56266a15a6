//! `phalanx-sim`: plays seeds and scenarios, sweeps over many, replays traces.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::main())
}
