//! The command line of the simulator. Results go to stdout, progress to stderr.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use phalanx_core::Pattern;
use phalanx_sim::adversary::Strategy;
use phalanx_sim::rates::LATENCY_FROM_US;
use phalanx_sim::replay::{ReplayError, replay};
use phalanx_sim::run::{self, Outcome, RunError};
use phalanx_sim::scenario::{Crypto, Scenario};
use phalanx_sim::sweep::{self, Plan, Summary};
use phalanx_sim::{Verdict, bench, book, canary, fairness, library, matrix, swarm, verdict};

/// Prints a line. A reader that went away is nobody's error: the exit code still tells.
macro_rules! say {
    ($($arg:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}

mod foes;

/// Plays groups with Byzantine members in virtual time and judges them.
///
/// Exit codes: 0 everything held, or a scenario broke what it says that it breaks; 1 own error, 2
/// wrong usage; broken: 10 crash, 11 liveness, 12 safety, 14 livelock; 13 a trace does not replay;
/// 15 nothing was owed, so the run shows nothing.
#[derive(Debug, Parser)]
#[command(name = "phalanx-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play one run: a scenario by name or file, or a seed
    Run(RunArgs),
    /// Play many seeds and sum up; the combined hash tells two sweeps apart
    Sweep(SweepArgs),
    /// Replay a trace written by `run --out`: nodes get the recorded inputs, and the run is played
    /// again with its oracles; says where they diverge
    Replay {
        /// The trace, or the directory that holds it
        trace: PathBuf,
    },
    /// What a liar of each strategy costs the others: every run next to the same without the liar;
    /// exits 0 only if all get their share
    Fairness(FairnessArgs),
    /// List the scenarios and the strategies of liars
    List,
    /// One liar too many: exits 0 only if the safety oracles turn red
    Canary,
    /// Two and three faults in one view change, at each of its phases: exits 0 only if all hold
    Matrix,
    /// Every named scenario, the flaw that it stands for, and what came of it: exits 0 only if all end
    /// as they say
    AttackBook(BookArgs),
    /// Corrupts and partitions rounds of the protocol, drawn from seeds, and says what came of it
    Byzzfuzz(foes::ByzzfuzzArgs),
    /// All schedules of one twinned member of four over three rounds
    Twins(foes::TwinsArgs),
    /// What an ordered cast costs the whole group in one process: time next to its floor, and counted
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
struct FairnessArgs {
    /// Seeds A up to but not including B, for each strategy
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, default_value = "0..3")]
    seeds: std::ops::Range<u64>,
    /// Only this strategy
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Threads; the table does not depend on it
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
}

#[derive(Debug, Args)]
struct BookArgs {
    /// Threads; the book does not depend on it
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// Only scenarios whose name holds this
    #[arg(default_value = "")]
    name: String,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// Runs of each load; the one of median ratio is shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only one message pattern
    #[arg(long)]
    pattern: Option<PatternName>,
    /// Only casts of this many bytes
    #[arg(long, value_name = "BYTES")]
    payload: Option<usize>,
    /// Only bodies of this many casts
    #[arg(long, value_name = "CASTS")]
    casts: Option<usize>,
    /// A tenth of the rounds
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PatternName {
    /// Replies to all
    Swift,
    /// Replies to the sender, then the certificate to all
    Paper,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A scenario file, or the name of one of `list`
    #[arg(required_unless_present = "seed", conflicts_with = "seed")]
    scenario: Option<String>,
    /// Draw the run from this seed
    #[arg(long)]
    seed: Option<u64>,
    /// With a seed: its views do not change, whatever it draws
    #[arg(long, requires = "seed")]
    fixed: bool,
    /// Write trace.jsonl and scenario.toml into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Signatures, if not as the scenario says
    #[arg(long)]
    crypto: Option<CryptoName>,
    /// Print the whole scenario and what was counted
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Debug, Args)]
struct SweepArgs {
    /// Seeds A up to but not including B
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: std::ops::Range<u64>,
    /// Threads; the result does not depend on it
    #[arg(long, default_value_t = default_jobs())]
    jobs: usize,
    /// Signatures, if not ideal
    #[arg(long)]
    crypto: Option<CryptoName>,
    /// In every so manieth seed, play a pair of runs, with and without a liar, too; see `fairness`
    #[arg(long, value_name = "N")]
    fair: Option<u64>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CryptoName {
    /// Keyed hashes nobody else can make: fast
    Ideal,
    /// Strict Ed25519
    Ed25519,
    /// The paper's dummy cryptography: anybody can forge it
    Dummy,
}

impl From<CryptoName> for Crypto {
    fn from(name: CryptoName) -> Self {
        match name {
            CryptoName::Ideal => Self::Ideal,
            CryptoName::Ed25519 => Self::Ed25519,
            CryptoName::Dummy => Self::Dummy,
        }
    }
}

fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn parse_seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("seeds are given as A..B, such as 0..100")?;
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a seed"));
    let (from, to) = (number(from)?, number(to)?);
    if from < to { Ok(from..to) } else { Err(format!("{from}..{to} holds no seed")) }
}

/// Runs the program; its exit code.
pub(crate) fn main() -> u8 {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            // Writing help to a closed pipe is nobody's error.
            let _ = error.print();
            return if error.use_stderr() { verdict::USAGE } else { verdict::HELD };
        }
    };
    let result = match command {
        Command::Run(args) => play(&args),
        Command::Sweep(args) => Ok(sweep_seeds(args)),
        Command::Replay { trace } => replay_trace(&trace),
        Command::Fairness(args) => fairness(&args),
        Command::List => Ok(list()),
        Command::Canary => run_canary(),
        Command::Matrix => play_matrix(),
        Command::AttackBook(args) => attack_book(&args),
        Command::Byzzfuzz(args) => foes::byzzfuzz(args),
        Command::Twins(args) => foes::twins(&args),
        Command::Bench(args) => Ok(bench(&args)),
    };
    result.unwrap_or_else(|(code, text)| {
        eprintln!("error: {text}");
        code
    })
}

/// Prints the table of costs, a line as soon as it is measured.
fn bench(args: &BenchArgs) -> u8 {
    say!("{}", bench::HEAD);
    for (name, pattern) in
        [(PatternName::Swift, Pattern::Swift), (PatternName::Paper, Pattern::Paper)]
    {
        let loads = bench::loads(pattern, args.quick).into_iter().filter(|load| {
            args.pattern.is_none_or(|only| only == name)
                && args.payload.is_none_or(|only| only == load.payload)
                && args.casts.is_none_or(|only| only == load.casts_per_body)
        });
        for load in loads {
            say!("{}", bench::row(&load, &bench::measure(load, args.runs)));
        }
    }
    verdict::HELD
}

/// Prints the table of shares, a line as soon as its pairs are played.
fn fairness(args: &FairnessArgs) -> Result<u8, Failed> {
    let only = args.strategy.as_deref();
    let all: Vec<Strategy> = fairness::members()
        .filter(|strategy| only.is_none_or(|name| strategy.name() == name))
        .collect();
    if all.is_empty() {
        let text = format!("no member lies as `{}`; see `list`", only.unwrap_or_default());
        return Err((verdict::USAGE, text));
    }
    say!("{}", fairness::HEAD);
    let mut code = verdict::HELD;
    for strategy in all {
        let pairs = fairness::pairs(strategy, args.seeds.clone(), args.jobs);
        let row = fairness::Row::new(strategy, pairs.map_err(|error| own(&error))?);
        say!("{}", row.line());
        if let Some(text) = row.first() {
            say!("  {text}");
            code = verdict::LIVENESS;
        }
    }
    Ok(code)
}

/// Plays the book and prints it in order.
fn attack_book(args: &BookArgs) -> Result<u8, Failed> {
    let scenarios = book::scenarios().into_iter();
    let scenarios = scenarios.filter(|scenario| scenario.name.contains(&args.name));
    let entries = book::play_all(scenarios.collect(), args.jobs).map_err(|error| own(&error))?;
    say!("{}", book::HEAD);
    entries.iter().for_each(|entry| say!("{}", entry.lines()));
    let wrong = entries.iter().filter(|entry| !entry.is_as_expected()).count();
    say!("{} scenarios, {wrong} not as expected", entries.len());
    Ok(entries.iter().map(book::Entry::code).max().unwrap_or(verdict::HELD))
}

/// Prints a line of the table as soon as it is played.
fn play_matrix() -> Result<u8, Failed> {
    say!("{}", matrix::HEAD);
    let mut code = verdict::HELD;
    for cell in matrix::cells() {
        let row = matrix::play(&cell).map_err(|error| own(&error))?;
        say!("{}", row.line());
        if row.verdict != Verdict::Held {
            code = row.verdict.code();
        }
    }
    Ok(code)
}

/// A scenario that the core refuses is a wrong scenario.
fn refused(error: RunError) -> Failed {
    match error {
        RunError::Config(_) => (verdict::USAGE, error.to_string()),
        RunError::Trace(_) => own(&error),
    }
}

/// An exit code and what to say.
type Failed = (u8, String);

fn own(error: &dyn std::fmt::Display) -> Failed {
    (verdict::OWN_ERROR, error.to_string())
}

fn play(args: &RunArgs) -> Result<u8, Failed> {
    let mut scenario = match (&args.scenario, args.seed) {
        (Some(name), _) => {
            library::find(name).map_err(|error| (verdict::USAGE, error.to_string()))?
        }
        (None, Some(seed)) if args.fixed => swarm::draw_fixed(seed),
        (None, seed) => sweep::scenario(seed.unwrap_or(0), None),
    };
    if let Some(crypto) = args.crypto {
        scenario.crypto = crypto.into();
    }
    if args.verbose {
        say!("{}", scenario.to_toml());
    }
    let trace = open_trace(args.out.as_deref(), &scenario)?;
    let outcome = match trace {
        None if args.verbose => run::measured(&scenario),
        trace => run::run(&scenario, trace),
    };
    let outcome = outcome.map_err(refused)?;
    say!("{}: {}", scenario.name, outcome.verdict);
    say!("hash {}", outcome.hash);
    if args.verbose {
        print_counts(&outcome);
    }
    if !outcome.verdict.is_good() {
        say!("again: {}", again(args));
    }
    Ok(outcome.verdict.code())
}

/// The command that repeats this run.
fn again(args: &RunArgs) -> String {
    let what = match (&args.scenario, args.seed) {
        (Some(name), _) => name.clone(),
        (None, seed) => {
            format!("--seed {}{}", seed.unwrap_or(0), if args.fixed { " --fixed" } else { "" })
        }
    };
    let crypto = args.crypto.and_then(|crypto| {
        crypto.to_possible_value().map(|value| format!(" --crypto {}", value.get_name()))
    });
    format!("phalanx-sim run {what}{} --verbose --out DIR", crypto.unwrap_or_default())
}

fn open_trace(out: Option<&Path>, scenario: &Scenario) -> Result<Option<Box<dyn Write>>, Failed> {
    let Some(out) = out else { return Ok(None) };
    fs::create_dir_all(out).map_err(|error| own(&error))?;
    fs::write(out.join("scenario.toml"), scenario.to_toml()).map_err(|error| own(&error))?;
    let file = File::create(out.join("trace.jsonl")).map_err(|error| own(&error))?;
    Ok(Some(Box::new(BufWriter::new(file))))
}

fn print_counts(outcome: &Outcome) {
    let Outcome { tally, counters, .. } = outcome;
    say!("ended at {} us after {} steps", outcome.end_us, outcome.steps);
    say!("at most {} steps in a second", outcome.busiest);
    let (longest_us, bound_us) = outcome.longest_us;
    say!("casts owed for {longest_us} us at most, the bound is {bound_us} us");
    let took_us = |permille| outcome.rates.as_ref()?.quantile_us(LATENCY_FROM_US, permille);
    if let (Some(half_us), Some(most_us)) = (took_us(500), took_us(990)) {
        say!("Total casts took {half_us} us (p50), {most_us} us (p99) after the first second");
    }
    say!("work at most {} permille of its budget", outcome.work_permille);
    say!("casts accepted {}, delivered {}", outcome.accepted, outcome.delivered);
    say!("lies {}, memory at most {} permille", outcome.fired, outcome.memory_permille);
    say!("network {tally:?}");
    say!("members {counters:?}");
    let history = &outcome.history;
    say!(
        "views {}, joined {:?}, excluded {:?}, silenced {:?}, attempts given up {}",
        history.views.len() + 1,
        history.joined(),
        history.excluded(),
        history.silenced(),
        history.transitional()
    );
    let marks: Vec<&str> = outcome.marks.iter().map(|mark| mark.name()).collect();
    say!("marks {}", marks.join(" "));
}

fn sweep_seeds(args: SweepArgs) -> u8 {
    let total = args.seeds.end - args.seeds.start;
    let crypto = args.crypto;
    let plan = Plan {
        seeds: args.seeds,
        jobs: args.jobs,
        crypto: crypto.map(Into::into),
        fair: args.fair,
    };
    let is_terminal = std::io::stderr().is_terminal();
    let flag = crypto
        .and_then(|crypto| crypto.to_possible_value())
        .map_or_else(String::new, |value| format!(" --crypto {}", value.get_name()));
    let results = sweep::sweep(&plan, &|done, seeded| {
        if !seeded.outcome.verdict.is_good() {
            let (seed, verdict) = (seeded.seed, &seeded.outcome.verdict);
            eprintln!("seed {seed}: {verdict}\nagain: phalanx-sim run --seed {seed}{flag}");
        }
        if is_terminal {
            eprint!("\r{done} of {total} seeds");
        } else if done % 500 == 0 {
            eprintln!("{done} of {total} seeds");
        }
    });
    if is_terminal {
        eprintln!();
    }
    let summary = sweep::summarize(&results);
    if args.json {
        say!("{}", serde_json::to_string(&summary).unwrap_or_default());
    } else {
        print_summary(&summary, &flag);
    }
    summary.code
}

fn print_summary(summary: &Summary, flag: &str) {
    say!("{:<28} {:>7} {:>7} {:>9}", "strategy", "seeds", "fired", "lies");
    for (name, fared) in &summary.strategies {
        say!("{name:<28} {:>7} {:>7} {:>9}", fared.seeds, fared.fired, fared.times);
    }
    let sizes: Vec<String> =
        summary.sizes.iter().map(|(n, count)| format!("{n}:{count}")).collect();
    say!("members {}", sizes.join(" "));
    say!("marks met {}", summary.marks.join(" "));
    say!("marks missed {}", summary.missed.join(" "));
    say!("strategies that never fired {}", summary.idle.join(" "));
    say!("casts delivered {}", summary.delivered);
    say!("memory at most {} permille of its bound", summary.memory_permille);
    say!("seeds {}, of which {} count", summary.seeds, summary.counted);
    say!("seeds in which nothing was owed {}", summary.unowed);
    say!("groups whose views change {}", summary.managed);
    say!("failed {}", summary.failures.len());
    if let Some((seed, text)) = summary.failures.first() {
        say!("first: seed {seed}: {text}\nagain: phalanx-sim run --seed {seed}{flag} --verbose");
    }
    say!("hash {}", summary.hash);
}

fn replay_trace(path: &Path) -> Result<u8, Failed> {
    let path = if path.is_dir() { path.join("trace.jsonl") } else { path.to_owned() };
    let file = File::open(&path)
        .map_err(|error| (verdict::USAGE, format!("{}: {error}", path.display())))?;
    match replay(BufReader::new(file)) {
        Ok(replayed) => {
            say!("replayed {} steps: {}", replayed.steps, replayed.outcome.verdict);
            say!("hash {}", replayed.outcome.hash);
            Ok(verdict::HELD)
        }
        Err(error @ ReplayError::Read { .. }) => {
            Err((verdict::USAGE, format!("{}: {error}", path.display())))
        }
        Err(error) => {
            say!("{}: {error}", path.display());
            Ok(verdict::REPLAY_MISMATCH)
        }
    }
}

fn list() -> u8 {
    say!("scenarios:");
    for scenario in library::all() {
        say!("  {:<34} {}", scenario.name, scenario.about);
    }
    say!("strategies:");
    for strategy in Strategy::every() {
        say!("  {:<34} {:?}", strategy.name(), strategy.verdict());
    }
    verdict::HELD
}

fn run_canary() -> Result<u8, Failed> {
    let reds = canary::canary().map_err(|error| own(&error))?;
    for red in &reds {
        say!("red: {} with seed {}", red.strategy.name(), red.seed);
        red.violations.iter().for_each(|violation| say!("  {violation}"));
    }
    if reds.is_empty() {
        say!("no strategy turned P3 or P4 red with f + 1 liars: the oracles cannot fail");
        return Ok(verdict::SAFETY);
    }
    Ok(verdict::HELD)
}
