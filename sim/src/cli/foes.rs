//! Commands of the generators of adversaries.

use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;

use phalanx_sim::byzzfuzz::{self, Faults};
use phalanx_sim::scenario::Scenario;
use phalanx_sim::{book, twin_schedules};

use super::{Failed, default_jobs, own, parse_seeds};

#[derive(Debug, Args)]
pub(super) struct ByzzfuzzArgs {
    /// Seeds A up to but not including B
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: Range<u64>,
    /// Rounds with corrupted messages
    #[arg(long, default_value_t = 4)]
    corrupt: u16,
    /// Rounds with a partition
    #[arg(long, default_value_t = 2)]
    partition: u16,
    /// Threads; the result does not depend on it
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// Write the first run as scenario.toml into this directory and play no other
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TwinsArgs {
    /// Only each Nth schedule
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Only the schedule with this number
    #[arg(long, value_name = "NUMBER")]
    only: Option<u64>,
    /// Threads; the result does not depend on it
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// With --only: write it as scenario.toml into this directory
    #[arg(long, value_name = "DIR", requires = "only")]
    out: Option<PathBuf>,
}

/// Prints a line. A reader that went away is nobody's error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a run to a file, if asked to, and plays it.
fn play_one(scenario: Scenario, out: Option<&Path>) -> Result<u8, Failed> {
    if let Some(out) = out {
        fs::create_dir_all(out).map_err(|error| own(&error))?;
        fs::write(out.join("scenario.toml"), scenario.to_toml()).map_err(|error| own(&error))?;
    }
    let entry = book::play(scenario).map_err(|error| own(&error))?;
    say(&format!("{}: {}", entry.scenario.name, entry.outcome.verdict));
    say(&format!("hash {}", entry.outcome.hash));
    Ok(entry.outcome.verdict.code())
}

/// Plays seeds of ByzzFuzz.
pub(super) fn byzzfuzz(args: ByzzfuzzArgs) -> Result<u8, Failed> {
    let faults = Faults { corrupt: args.corrupt, partition: args.partition };
    if args.out.is_some() {
        return play_one(byzzfuzz::scenario(args.seeds.start, faults), args.out.as_deref());
    }
    let report = byzzfuzz::play(args.seeds, faults, args.jobs).map_err(|error| own(&error))?;
    report.lines().iter().for_each(|line| say(line));
    Ok(report.code())
}

/// Plays the schedules of twins.
pub(super) fn twins(args: &TwinsArgs) -> Result<u8, Failed> {
    if let Some(number) = args.only {
        return play_one(twin_schedules::scenario(number), args.out.as_deref());
    }
    let progress = |done| eprintln!("{done} of {} schedules", twin_schedules::count());
    let report =
        twin_schedules::play(args.every, args.jobs, &progress).map_err(|error| own(&error))?;
    report.figures().iter().for_each(|line| say(line));
    Ok(report.code())
}
