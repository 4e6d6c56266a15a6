//! `demo`: a group of processes on this machine delivers the same sequence, although one member
//! is stopped for a while and then another one lies; and whoever lied is proven guilty.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, Record};
use crate::judge::{Case, Finding};
use crate::report::Order;
use crate::table::{Role, Table, millis};
use crate::testnet::Transport;
use crate::{Failure, json};

/// How long the stopped member stays so.
const STOPPED: Duration = Duration::from_secs(3);
/// How long it may take to catch up, and the last casts to be delivered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to find a liar out.
const PROOF: Duration = Duration::from_secs(5);
/// Between two looks at the members.
const LOOK: Duration = Duration::from_millis(250);

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many members, each a process; the last one lies
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=13))]
    members: u16,
    /// How long it should take, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(6..=3600))]
    secs: u64,
    /// How frames travel
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
    /// Casts per second and member
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Bytes of a cast
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    payload: u32,
    /// Nobody lies
    #[arg(long)]
    honest: bool,
    /// Keep group.toml and the proof in this directory, for `evidence verify`
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// A test of the judge: this rank takes one delivery for another
    #[arg(long, hide = true)]
    alter: Option<usize>,
    /// A test of the judge: the liar's mutants are lost
    #[arg(long, hide = true, conflicts_with = "honest")]
    drop_mutants: bool,
}

/// Who plays which part.
#[derive(Clone, Copy)]
struct Cast {
    stopped: usize,
    victim: usize,
    liar: Option<usize>,
}

impl Args {
    fn cast(&self) -> Cast {
        let last = usize::from(self.members) - 1;
        let liar = (cfg!(feature = "demo") && !self.honest).then_some(last);
        Cast { stopped: last - 1, victim: 1, liar }
    }

    fn options(&self, rank: usize) -> Vec<String> {
        let mut options: Vec<String> = vec!["--chain".to_owned()];
        let mut option = |name: &str, value: String| options.extend([name.to_owned(), value]);
        option("--rate", self.rate.to_string());
        option("--payload", self.payload.to_string());
        option("--fifo-every", "8".to_owned());
        let cast = self.cast();
        if cast.liar == Some(rank) {
            option("--mutant-for", cast.victim.to_string());
            if self.drop_mutants {
                options.push("--drop-mutants".to_owned());
            }
        } else if self.alter == Some(rank) {
            option("--alter", "100".to_owned());
        }
        options
    }
}

/// Runs the demo; fails if anything was not as promised.
pub(crate) fn demo(args: &Args) -> Result<(), Failure> {
    println!("starting {} processes ...", args.members);
    let fleet = Fleet::start(args.members, args.transport.into(), &|rank| args.options(rank))?;
    let roles = vec![Role::Correct; fleet.records.len()];
    let mut stage = Stage { fleet, roles, table: Table::new(args.cast().liar), cast: args.cast() };
    println!("{}", stage.fleet.group.view_line(None));
    stage.play(Duration::from_secs(args.secs))?;
    let Stage { fleet, .. } = stage;
    let case = Case { group: &fleet.group, records: &fleet.records, liar: args.cast().liar };
    let findings = case.findings();
    summarise(&fleet, args, &findings);
    if let (Some(dir), Some(liar)) = (&args.keep, args.cast().liar) {
        keep(&fleet, dir, liar)?;
    }
    let bad = findings.iter().filter(|finding| !finding.is_good).count();
    if bad > 0 { Err(format!("{bad} promises were not kept").into()) } else { Ok(()) }
}

struct Stage {
    fleet: Fleet,
    roles: Vec<Role>,
    table: Table,
    cast: Cast,
}

impl Stage {
    fn play(&mut self, length: Duration) -> Result<(), Failure> {
        let end = Instant::now() + length;
        let share = length.saturating_sub(STOPPED) / 4;
        self.table.say("all members cast");
        self.fleet.tell_all(Order::Reset)?;
        self.fleet.tell_all(Order::Cast)?;
        self.watch(share, &|_| false)?;
        self.stop_one()?;
        self.watch(share, &|_| false)?;
        if let Some(liar) = self.cast.liar {
            self.lie(liar)?;
        }
        self.watch(end.saturating_duration_since(Instant::now()), &|_| false)?;
        self.finish()
    }

    fn name(&self, rank: usize) -> String {
        self.fleet.group.names.get(rank).cloned().unwrap_or_default()
    }

    /// Shows the members for so long, or until something is so; says whether it is.
    fn watch(
        &mut self,
        length: Duration,
        is_so: &dyn Fn(&[Record]) -> bool,
    ) -> Result<bool, Failure> {
        let end = Instant::now() + length;
        loop {
            if is_so(&self.fleet.records) {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            self.fleet.collect(end.min(Instant::now() + LOOK))?;
            self.table.show(&self.fleet.group, &self.fleet.records, &self.roles);
        }
    }

    fn stop_one(&mut self) -> Result<(), Failure> {
        let rank = self.cast.stopped;
        let name = self.name(rank);
        self.table.say(&format!("{name} is stopped for {} s", STOPPED.as_secs()));
        self.roles[rank] = Role::Stopped;
        self.fleet.freeze(rank, true)?;
        let result = self.watch(STOPPED, &|_| false);
        self.fleet.freeze(rank, false)?;
        result?;
        self.roles[rank] = Role::Correct;
        self.table.say(&format!("{name} goes on"));
        let goal = self.fleet.records.iter().map(|record| record.status.total).max().unwrap_or(0);
        let resumed = Instant::now();
        let has_caught_up = move |records: &[Record]| {
            records.get(rank).is_some_and(|record| record.status.total > goal)
        };
        if self.watch(PATIENCE, &has_caught_up)? {
            let took = resumed.elapsed().as_secs_f64();
            self.table.say(&format!("{name} has caught up after {took:.1} s"));
            Ok(())
        } else {
            Err(format!("{name} has not caught up within {} s", PATIENCE.as_secs()).into())
        }
    }

    fn lie(&mut self, liar: usize) -> Result<(), Failure> {
        let (name, victim) = (self.name(liar), self.name(self.cast.victim));
        self.table.say(&format!("{name} lies: {victim} gets other bodies than everybody else"));
        self.roles[liar] = Role::Lying;
        self.fleet.tell(liar, Order::Lie)?;
        let began = Instant::now();
        let is_proven = move |records: &[Record]| {
            records
                .iter()
                .enumerate()
                .filter(|(rank, _)| *rank != liar)
                .all(|(_, record)| record.proofs.keys().any(|rank| usize::from(*rank) == liar))
        };
        // Without a proof the demo goes on, and the judge says so.
        if self.watch(PROOF, &is_proven)? {
            let took = began.elapsed().as_secs_f64();
            self.table.say(&format!("all correct members hold a proof after {took:.1} s"));
        }
        Ok(())
    }

    /// Stops casting, and waits until everything on its way has been delivered.
    fn finish(&mut self) -> Result<(), Failure> {
        self.table.say("no more casts; waiting for the last deliveries");
        self.fleet.tell_all(Order::Stop)?;
        let liar = self.cast.liar;
        let is_settled = move |records: &[Record]| {
            let mut correct = records
                .iter()
                .enumerate()
                .filter(|(rank, _)| Some(*rank) != liar)
                .map(|(_, record)| &record.status);
            let total = correct.clone().next().map_or(0, |status| status.total);
            correct.all(|status| status.total == total && status.own == status.accepted)
        };
        // Reports are up to an interval old: settled must hold twice, some time apart. What has
        // not settled by then is for the judge.
        self.watch(LOOK * 3, &|_| false)?;
        self.watch(PATIENCE, &is_settled)?;
        self.watch(LOOK * 3, &|_| false)?;
        self.watch(PATIENCE, &is_settled)?;
        self.fleet.ask_all(PATIENCE)
    }
}

fn summarise(fleet: &Fleet, args: &Args, findings: &[Finding]) {
    println!("\nmember   delivered  casts/s   p50 ms   p90 ms   p99 ms   max ms  CPU %");
    for (rank, (name, record)) in fleet.group.names.iter().zip(&fleet.records).enumerate() {
        let Some(status) = &record.answer else { continue };
        if args.cast().liar == Some(rank) {
            println!("{name:8} lied in {} frames", status.fired);
            continue;
        }
        let per_second = |count: u64| count.saturating_mul(1_000_000) / status.elapsed_us.max(1);
        println!(
            "{name:8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>5}.{}",
            status.delivered,
            per_second(status.delivered),
            millis(status.latency.p50_us),
            millis(status.latency.p90_us),
            millis(status.latency.p99_us),
            millis(status.latency.max_us),
            per_second(status.cpu_us) / 10_000,
            per_second(status.cpu_us) / 1_000 % 10,
        );
    }
    println!();
    for finding in findings {
        println!("{} {}", if finding.is_good { "ok   " } else { "FAILED" }, finding.what);
    }
}

fn keep(fleet: &Fleet, dir: &std::path::Path, liar: usize) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    fs::copy(fleet.group_file(), dir.join("group.toml"))?;
    let liar = u16::try_from(liar)?;
    let proof = fleet.records.iter().find_map(|record| record.proofs.get(&liar));
    if let Some(bytes) = proof.and_then(|proof| json::from_hex(proof)) {
        fs::write(dir.join("liar.proof"), bytes)?;
        let dir = dir.display();
        println!(
            "check it yourself: phalanx-node evidence verify {dir}/liar.proof --group {dir}/group.toml"
        );
    }
    Ok(())
}
