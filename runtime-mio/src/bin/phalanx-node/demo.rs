//! `demo`: a group of processes on this machine goes on although one member lies and another one is
//! killed. Who lied is proven guilty and expelled; who was killed comes back with the state, a newcomer
//! joins, and all end with the same sequence and the same state.

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

/// How long the last casts may take to be delivered, and a joiner to be taken in and get the state.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it may take to find a liar out and to put it out, and to notice that one was killed.
const CHANGE: Duration = Duration::from_secs(10);
/// So many members bear a crash and a liar at once.
const TWO_FAULTS: usize = 7;
/// Between two looks at the members.
const LOOK: Duration = Duration::from_millis(250);

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many members, each a process; the last one lies and another one is killed: at the same time
    /// from 7 on, below that after the liar is out
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=13))]
    members: u16,
    /// How long it should take at least, in seconds
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
    /// A test of the judge: this rank makes another state of its casts
    #[arg(long, hide = true)]
    alter_state: Option<usize>,
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
    killed: usize,
    newcomer: usize,
    victim: usize,
    liar: Option<usize>,
    /// Whether the crash and the lie come at once.
    is_double: bool,
}

impl Args {
    fn cast(&self) -> Cast {
        let members = usize::from(self.members);
        let liar = (cfg!(feature = "demo") && !self.honest).then_some(members - 1);
        let is_double = members >= TWO_FAULTS;
        Cast { killed: members - 2, newcomer: members, victim: 1, liar, is_double }
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
        } else if self.alter_state == Some(rank) {
            option("--alter-state", "100".to_owned());
        } else if self.alter_views == Some(rank) {
            option("--alter-view", "1".to_owned());
        }
        options
    }
}

/// Runs the demo; fails if anything was not as promised.
pub(crate) fn demo(args: &Args) -> Result<(), Failure> {
    show!("starting {} processes ...", args.members);
    let kind = Kind {
        transport: args.transport.into(),
        membership: Membership::Managed,
        state_transfer: true,
    };
    let fleet = Fleet::start((args.members, 1), kind, &|rank| args.options(rank))?;
    let began = Instant::now();
    let mut roles = vec![Role::Correct; usize::from(args.members)];
    roles.resize(fleet.records.len(), Role::Absent);
    let table = Table::new(args.cast().liar);
    let mut stage = Stage { args, fleet, roles, table, cast: args.cast() };
    show!("{}", stage.fleet.group.view_line(&stage.fleet.group.genesis.view(), None));
    stage.play(Duration::from_secs(args.secs))?;
    let Stage { fleet, .. } = stage;
    let Cast { killed, newcomer, liar, .. } = args.cast();
    let (killed, newcomer) = (Some(killed), Some(newcomer));
    let case = Case { group: &fleet.group, records: &fleet.records, killed, newcomer, liar };
    let findings = case.findings();
    summarise(&fleet, args);
    list_views(&fleet.records, began);
    for finding in &findings {
        show!("{} {}", if finding.is_good { "ok   " } else { "FAILED" }, finding.what);
    }
    if let (Some(dir), Some(liar)) = (&args.keep, args.cast().liar) {
        keep(&fleet, dir, liar)?;
    }
    let bad = findings.iter().filter(|finding| !finding.is_good).count();
    if bad > 0 { Err(format!("{bad} promises were not kept").into()) } else { Ok(()) }
}

struct Stage<'a> {
    args: &'a Args,
    fleet: Fleet,
    roles: Vec<Role>,
    table: Table,
    cast: Cast,
}

impl Stage<'_> {
    fn play(&mut self, length: Duration) -> Result<(), Failure> {
        let (end, share) = (Instant::now() + length, length / 6);
        let Cast { killed, newcomer, liar, is_double, .. } = self.cast;
        self.table.say("all members cast");
        self.fleet.tell_all(Order::Reset)?;
        self.fleet.tell_all(Order::Cast)?;
        self.watch(share, &|_| false)?;
        if is_double {
            self.kill(killed)?;
        }
        if let Some(liar) = liar {
            self.lie(liar)?;
        }
        if !is_double {
            self.watch(share, &|_| false)?;
            self.kill(killed)?;
        }
        let is_active = self.is_active(killed);
        self.watch(CHANGE, &move |records| !is_active(records))?;
        self.watch(share, &|_| false)?;
        self.join(killed, "is started again")?;
        self.watch(share, &|_| false)?;
        self.join(newcomer, "was never a member and asks to be one")?;
        let left = end.saturating_duration_since(Instant::now());
        self.watch(left.max(share), &|_| false)?;
        self.finish()
    }

    fn kill(&mut self, place: usize) -> Result<(), Failure> {
        self.table.say(&format!("{} is killed", self.name(place)));
        self.roles[place] = Role::Killed;
        self.fleet.kill(place)
    }

    /// Starts a process that joins, and waits until it casts and has the state.
    fn join(&mut self, place: usize, what: &str) -> Result<(), Failure> {
        let name = self.name(place);
        self.table.say(&format!("{name} {what}"));
        self.roles[place] = Role::Joining;
        let mut options = self.args.options(place);
        if place == self.cast.newcomer {
            options.push("--join".to_owned());
        }
        let began = Instant::now();
        self.fleet.add(place, options)?;
        self.fleet.tell(place, Order::Reset)?;
        self.fleet.tell(place, Order::Cast)?;
        let is_active = self.is_active(place);
        let has_joined = move |records: &[Record]| {
            is_active(records) && records.get(place).is_some_and(|record| record.loaded.is_some())
        };
        // If it stays out the demo goes on, and the judge says so.
        if self.watch(PATIENCE, &has_joined)? {
            let took = began.elapsed().as_secs_f64();
            let bytes = self.fleet.records[place].loaded.map_or(0, |(_, bytes)| bytes);
            let what = format!("{name} has joined, with {bytes} bytes of state, after {took:.2} s");
            self.table.say(&what);
            self.roles[place] = Role::Correct;
        }
        Ok(())
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
        for (key, role) in self.fleet.group.keys().zip(&mut self.roles) {
            let listed = view.rank_of(key).and_then(|rank| view.member(rank));
            match listed.map(|member| member.status) {
                None if matches!(role, Role::Absent | Role::Joining | Role::Killed) => {}
                None => *role = Role::Out,
                Some(Status::Silenced) if *role == Role::Correct => *role = Role::Silenced,
                Some(Status::Active) if *role == Role::Silenced => *role = Role::Correct,
                Some(_) => {}
            }
        }
    }

    /// Whether a member is Active in the last view.
    fn is_active(&self, rank: usize) -> impl Fn(&[Record]) -> bool + use<> {
        let key = self.fleet.group.keys().nth(rank).copied();
        move |records| {
            let member = last_view(records).zip(key);
            let listed = member.and_then(|(view, key)| view.member(view.rank_of(&key)?));
            listed.is_some_and(|member| member.status == Status::Active)
        }
    }

    fn lie(&mut self, liar: usize) -> Result<(), Failure> {
        let (name, victim) = (self.name(liar), self.name(self.cast.victim));
        self.table.say(&format!("{name} lies: {victim} gets other bodies than everybody else"));
        self.roles[liar] = Role::Lying;
        self.fleet.tell(liar, Order::Lie)?;
        let began = Instant::now();
        let key = self.fleet.group.keys().nth(liar).copied();
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
        let liar = self.cast.liar;
        let is_active: Vec<_> = (0..self.roles.len()).map(|rank| self.is_active(rank)).collect();
        let is_settled = move |records: &[Record]| {
            let mut correct = records
                .iter()
                .enumerate()
                .filter(|(rank, _)| liar != Some(*rank) && is_active[*rank](records))
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
        // For who joined with this view nothing stood still.
        let took: Vec<u64> =
            seen.iter().map(|seen| micros(seen.took)).filter(|took| *took > 0).collect();
        let fastest = took.iter().copied().min().unwrap_or(0);
        let slowest = took.iter().copied().max().unwrap_or(0);
        show!("{}", view_line(records, number).unwrap_or_default());
        show!(
            "        at {at:.1} s; casts stood still for {} to {} ms",
            millis(fastest),
            millis(slowest)
        );
    }
    show!();
}

fn summarise(fleet: &Fleet, args: &Args) {
    show!("\nmember   delivered  casts/s   p50 ms   p90 ms   p99 ms   max ms  CPU %  view  chain");
    for (rank, (name, record)) in fleet.group.names.iter().zip(&fleet.records).enumerate() {
        let Some(status) = &record.answer else { continue };
        if args.cast().liar == Some(rank) {
            show!("{name:8} lied in {} frames", status.fired);
            continue;
        }
        let chain = status.views.get(..16).unwrap_or_default();
        let per_second = |count: u64| count.saturating_mul(1_000_000) / status.elapsed_us.max(1);
        show!(
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
    show!();
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
        show!(
            "check it yourself: phalanx-node evidence verify {dir}/liar.proof --group {dir}/group.toml"
        );
    }
    Ok(())
}
