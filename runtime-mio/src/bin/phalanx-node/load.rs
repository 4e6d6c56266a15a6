//! `load`: what a group of processes on this machine achieves, or what it costs when idle.

use std::time::{Duration, Instant};

use phalanx_mio::config::membership_word;
use serde_json::json;

use crate::Failure;
use crate::fleet::Fleet;
use crate::report::{Order, Status};
use crate::table::millis;
use crate::testnet::{Kind, MembershipName, Transport};

/// How long a process that is busy may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How casts are ordered, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OrderName {
    /// In one order for the whole group
    Total,
    /// In the order of their sender
    Fifo,
}

/// Options of `load`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many members, each a process
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=13))]
    members: u16,
    /// Bytes of a cast
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    payload: u32,
    /// How casts are ordered
    #[arg(long, value_enum, default_value = "total")]
    order: OrderName,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    secs: u64,
    /// How long to run before measuring, in seconds
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    warmup: u64,
    /// How frames travel
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
    /// Whether the membership changes
    #[arg(long, value_enum, default_value = "managed")]
    membership: MembershipName,
    /// Casts per second and member; by default as many as back-pressure allows
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Own casts on their way per member; by default as many as back-pressure allows, which
    /// measures the latency of full queues
    #[arg(long, default_value_t = 0)]
    in_flight: usize,
    /// Nobody casts: what does it cost to be there?
    #[arg(long)]
    idle: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl Args {
    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        let mut option = |name: &str, value: String| options.extend([name.to_owned(), value]);
        option("--rate", self.rate.to_string());
        option("--payload", self.payload.to_string());
        option("--in-flight", self.in_flight.to_string());
        option("--fifo-every", u8::from(self.order == OrderName::Fifo).to_string());
        // Reports cost processor time too: an idle group is left alone.
        option("--report-ms", if self.idle { "3600000" } else { "1000" }.to_owned());
        options
    }
}

/// Measures and prints.
pub(crate) fn load(args: &Args) -> Result<(), Failure> {
    complain!("starting {} processes ...", args.members);
    let kind = Kind {
        transport: args.transport.into(),
        membership: args.membership.into(),
        state_transfer: false,
    };
    let mut fleet = Fleet::start((args.members, 0), kind, &|_| args.options())?;
    if !args.idle {
        fleet.tell_all(Order::Cast)?;
    }
    fleet.collect(Instant::now() + Duration::from_secs(args.warmup))?;
    fleet.tell_all(Order::Reset)?;
    let end = Instant::now() + Duration::from_secs(args.secs);
    while Instant::now() < end {
        fleet.collect(end.min(Instant::now() + Duration::from_secs(5)))?;
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        let delivered: u64 = fleet.records.iter().map(|record| record.status.delivered).sum();
        complain!("{left:4} s to go, {delivered} deliveries so far");
    }
    fleet.ask_all(PATIENCE)?;
    let answers: Vec<&Status> =
        fleet.records.iter().filter_map(|record| record.answer.as_ref()).collect();
    if args.json {
        print_json(args, &answers)?;
    } else {
        print_table(&fleet.group.names, &answers)?;
    }
    if !args.idle && answers.iter().any(|status| status.delivered == 0) {
        return Err("a member delivered nothing".into());
    }
    Ok(())
}

fn per_second(count: u64, status: &Status) -> u64 {
    let count = u128::from(count) * 1_000_000 / u128::from(status.elapsed_us.max(1));
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Thousandths of one processor core.
fn cpu_milli(status: &Status) -> u64 {
    per_second(status.cpu_us, status) / 1_000
}

fn print_table(names: &[String], answers: &[&Status]) -> Result<(), Failure> {
    print_line!("member     casts/s     MB/s    p50 ms    p90 ms    p99 ms    max ms   CPU %")?;
    for (name, status) in names.iter().zip(answers) {
        let bytes = per_second(status.bytes, status);
        print_line!(
            "{name:8} {:>9} {:>6}.{} {:>9} {:>9} {:>9} {:>9} {:>5}.{}",
            per_second(status.delivered, status),
            bytes / 1_000_000,
            bytes / 100_000 % 10,
            millis(status.latency.p50_us),
            millis(status.latency.p90_us),
            millis(status.latency.p99_us),
            millis(status.latency.max_us),
            cpu_milli(status) / 10,
            cpu_milli(status) % 10,
        )?;
    }
    let cpu: u64 = answers.iter().map(|status| cpu_milli(status)).sum();
    let dropped: u64 = answers.iter().map(|status| status.dropped_out).sum();
    print_line!("together {}.{} % of one core; {dropped} frames dropped", cpu / 10, cpu % 10)
}

fn print_json(args: &Args, answers: &[&Status]) -> Result<(), Failure> {
    let members: Vec<_> = answers
        .iter()
        .map(|status| {
            json!({"casts_per_s": per_second(status.delivered, status),
                   "bytes_per_s": per_second(status.bytes, status),
                   "latency": status.latency, "cpu_milli": cpu_milli(status),
                   "frames_out": status.frames_out, "bytes_out": status.bytes_out,
                   "dropped_out": status.dropped_out, "elapsed_us": status.elapsed_us})
        })
        .collect();
    print_line!(
        "{}",
        json!({"members": args.members, "payload": args.payload, "secs": args.secs,
               "order": if args.order == OrderName::Total { "total" } else { "fifo" },
               "transport": if matches!(args.transport, Transport::Tcp) { "tcp" } else { "udp" },
               "membership": membership_word(args.membership.into()),
               "idle": args.idle, "in_flight": args.in_flight, "rate": args.rate,
               "each": members})
    )
}
