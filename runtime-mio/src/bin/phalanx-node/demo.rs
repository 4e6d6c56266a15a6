//! `demo`: a group of processes on this machine delivers the same sequence, although one member
//! is stopped for a while and then another one lies, or one is killed while another one lies; and
//! whoever lied is proven guilty and expelled.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use phalanx_core::{Membership, Status, View};

use crate::fleet::{Fleet, Proven, Record, Seen};
use crate::judge::Case;
use crate::report::Order;
use crate::table::{Role, Table, millis, view_line};
use crate::testnet::{Kind, Transport};
use crate::{Failure, json};

/// How long the stopped member stays so.
const STOPPED: Duration = Duration::from_secs(3);
/// How long it may take to catch up, and the last casts to be delivered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to find a liar out and to put it out, and to notice that one was killed.
const CHANGE: Duration = Duration::from_secs(8);
/// So many members bear a crash and a liar at once.
const TWO_FAULTS: usize = 7;
/// Between two looks at the members.
const LOOK: Duration = Duration::from_millis(250);

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many members, each a process; the last one lies. From 7 on another is killed meanwhile,
    /// below that it is stopped before and goes on
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
    /// A test of the judge: this rank takes one view for another
    #[arg(long, hide = true)]
    alter_views: Option<usize>,
    /// A test of the judge: the liar's mutants are lost
    #[arg(long, hide = true, conflicts_with = "honest")]
    drop_mutants: bool,
}

/// Who plays which part.
#[derive(Clone, Copy)]
struct Cast {
    stopped: Option<usize>,
    killed: Option<usize>,
    victim: usize,
    liar: Option<usize>,
}

impl Args {
    fn cast(&self) -> Cast {
        let last = usize::from(self.members) - 1;
        let liar = (cfg!(feature = "demo") && !self.honest).then_some(last);
        let (other, is_large) = (last - 1, usize::from(self.members) >= TWO_FAULTS);
        let (stopped, killed) = ((!is_large).then_some(other), is_large.then_some(other));
        Cast { stopped, killed, victim: 1, liar }
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
        } else if self.alter_views == Some(rank) {
            option("--alter-view", "1".to_owned());
        }
        options
    }
}

/// Runs the demo; fails if anything was not as promised.
pub(crate) fn demo(args: &Args) -> Result<(), Failure> {
    println!("starting {} processes ...", args.members);
    let kind = Kind {
        transport: args.transport.into(),
        membership: Membership::Managed,
        state_transfer: false,
    };
    let fleet = Fleet::start(args.members, kind, &|rank| args.options(rank))?;
    let began = Instant::now();
    let roles = vec![Role::Correct; fleet.records.len()];
    let mut stage = Stage { fleet, roles, table: Table::new(args.cast().liar), cast: args.cast() };
    println!("{}", stage.fleet.group.view_line(&stage.fleet.group.genesis.view(), None));
    stage.play(Duration::from_secs(args.secs))?;
    let Stage { fleet, .. } = stage;
    let Cast { stopped, killed, liar, .. } = args.cast();
    let case = Case { group: &fleet.group, records: &fleet.records, stopped, killed, liar };
    let findings = case.findings();
    summarise(&fleet, args);
    list_views(&fleet.records, began);
    for finding in &findings {
        println!("{} {}", if finding.is_good { "ok   " } else { "FAILED" }, finding.what);
    }
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
        if let Some(rank) = self.cast.stopped {
            self.stop(rank)?;
            self.watch(share, &|_| false)?;
        }
        if let Some(rank) = self.cast.killed {
            self.table.say(&format!("{} is killed", self.name(rank)));
            self.roles[rank] = Role::Killed;
            self.fleet.kill(rank)?;
        }
        if let Some(liar) = self.cast.liar {
            self.lie(liar)?;
        }
        if let Some(rank) = self.cast.killed {
            let is_active = self.is_active(rank);
            self.watch(CHANGE, &move |records| !is_active(records))?;
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
            self.note_roles();
            self.table.show(&self.fleet.group, &self.fleet.records, &self.roles);
        }
    }

    /// What members are to the last view shows, unless they are shown as something worse.
    fn note_roles(&mut self) {
        let Some(view) = last_view(&self.fleet.records) else { return };
        for (member, role) in self.fleet.group.genesis.members.iter().zip(&mut self.roles) {
            let listed = view.rank_of(&member.key).and_then(|rank| view.member(rank));
            match listed.map(|member| member.status) {
                None => *role = Role::Out,
                Some(Status::Silenced) if *role == Role::Correct => *role = Role::Silenced,
                Some(Status::Active) if *role == Role::Silenced => *role = Role::Correct,
                Some(_) => {}
            }
        }
    }

    /// Whether a member is Active in the last view.
    fn is_active(&self, rank: usize) -> impl Fn(&[Record]) -> bool + use<> {
        let key = self.fleet.group.genesis.members.get(rank).map(|member| member.key);
        move |records| {
            let member = last_view(records).zip(key);
            let listed = member.and_then(|(view, key)| view.member(view.rank_of(&key)?));
            listed.is_some_and(|member| member.status == Status::Active)
        }
    }

    fn stop(&mut self, rank: usize) -> Result<(), Failure> {
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
        let is_active = self.is_active(rank);
        // Who was silenced meanwhile votes in the present view, but may have missed casts.
        let has_caught_up = move |records: &[Record]| {
            let (Some(view), Some(record)) = (last_view(records), records.get(rank)) else {
                return false;
            };
            let is_there = record.view().is_some_and(|own| own.number == view.number);
            let has_all = record.status.total > goal || !is_active(records);
            record.out.is_some() || is_there && has_all
        };
        if !self.watch(PATIENCE, &has_caught_up)? {
            let within = PATIENCE.as_secs();
            return Err(format!("{name} has not caught up within {within} s").into());
        }
        let took = resumed.elapsed().as_secs_f64();
        let is_silenced = !self.is_active(rank)(&self.fleet.records);
        let how = if is_silenced { "; the others have silenced it meanwhile" } else { "" };
        self.table.say(&format!("{name} has caught up after {took:.1} s{how}"));
        Ok(())
    }

    fn lie(&mut self, liar: usize) -> Result<(), Failure> {
        let (name, victim) = (self.name(liar), self.name(self.cast.victim));
        self.table.say(&format!("{name} lies: {victim} gets other bodies than everybody else"));
        self.roles[liar] = Role::Lying;
        self.fleet.tell(liar, Order::Lie)?;
        let began = Instant::now();
        let key = self.fleet.group.genesis.members.get(liar).map(|member| member.key);
        let is_out = move |records: &[Record]| {
            let key = last_view(records).zip(key);
            key.is_some_and(|(view, key)| view.rank_of(&key).is_none())
        };
        // If it stays the demo goes on, and the judge says so.
        if self.watch(CHANGE, &is_out)? {
            let took = began.elapsed().as_secs_f64();
            self.table.say(&format!("{name} is proven guilty and out after {took:.1} s"));
        }
        Ok(())
    }

    /// Stops casting, and waits until everything on its way has been delivered.
    fn finish(&mut self) -> Result<(), Failure> {
        self.table.say("no more casts; waiting for the last deliveries");
        self.fleet.tell_all(Order::Stop)?;
        let faulty = [self.cast.liar, self.cast.killed];
        let is_active: Vec<_> = (0..self.roles.len()).map(|rank| self.is_active(rank)).collect();
        let is_settled = move |records: &[Record]| {
            let mut correct = records
                .iter()
                .enumerate()
                .filter(|(rank, _)| !faulty.contains(&Some(*rank)) && is_active[*rank](records))
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

/// The latest view that anybody installed.
fn last_view(records: &[Record]) -> Option<&View> {
    records.iter().filter_map(Record::view).max_by_key(|view| view.number)
}

/// When the group changed, and how long no casts were agreed on for that.
fn list_views(records: &[Record], began: Instant) {
    let last = last_view(records).map_or(0, |view| view.number);
    for number in 1..=last {
        let views = records.iter().flat_map(|record| &record.views);
        let seen: Vec<&Seen> = views.filter(|seen| seen.view.number == number).collect();
        let Some(at) = seen.iter().map(|seen| seen.at).min() else { continue };
        let (at, micros) = (at.saturating_duration_since(began).as_secs_f64(), |took: Duration| {
            u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
        });
        let fastest = seen.iter().map(|seen| micros(seen.took)).min().unwrap_or(0);
        let slowest = seen.iter().map(|seen| micros(seen.took)).max().unwrap_or(0);
        println!("{}", view_line(records, number).unwrap_or_default());
        println!(
            "        at {at:.1} s; casts stood still for {} to {} ms",
            millis(fastest),
            millis(slowest)
        );
    }
    println!();
}

fn summarise(fleet: &Fleet, args: &Args) {
    println!(
        "\nmember   delivered  casts/s   p50 ms   p90 ms   p99 ms   max ms  CPU %  view  chain"
    );
    for (rank, (name, record)) in fleet.group.names.iter().zip(&fleet.records).enumerate() {
        let Some(status) = &record.answer else { continue };
        if args.cast().liar == Some(rank) {
            println!("{name:8} lied in {} frames", status.fired);
            continue;
        }
        let chain = status.views.get(..16).unwrap_or_default();
        let per_second = |count: u64| count.saturating_mul(1_000_000) / status.elapsed_us.max(1);
        println!(
            "{name:8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>5}.{}  {:>4}  {chain}",
            status.delivered,
            per_second(status.delivered),
            millis(status.latency.p50_us),
            millis(status.latency.p90_us),
            millis(status.latency.p99_us),
            millis(status.latency.max_us),
            per_second(status.cpu_us) / 10_000,
            per_second(status.cpu_us) / 1_000 % 10,
            status.view,
        );
    }
    println!();
}

fn keep(fleet: &Fleet, dir: &std::path::Path, liar: usize) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    fs::copy(fleet.group_file(), dir.join("group.toml"))?;
    let liar = u16::try_from(liar)?;
    let proof = fleet.records.iter().find_map(|record| record.proofs.get(&liar));
    if let Some((Proven { view, .. }, bytes)) =
        proof.and_then(|proven| Some((proven, json::from_hex(&proven.proof)?)))
    {
        fs::write(dir.join("liar.proof"), bytes)?;
        fs::write(dir.join("liar.view"), view)?;
        let dir = dir.display();
        println!(
            "check it yourself: phalanx-node evidence verify {dir}/liar.proof --group {dir}/group.toml"
        );
    }
    Ok(())
}
