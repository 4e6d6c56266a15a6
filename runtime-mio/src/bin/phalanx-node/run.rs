//! `run`: one member, until a signal or the end of its input.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_core::{Event, Order};
use phalanx_mio::config::Home;
use phalanx_mio::{Handle, Notice, Runtime};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{Failure, evidence, json, start_logging};

/// How long a turn of the loop lasts at most.
const TURN: Duration = Duration::from_secs(1);

/// Options of `run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The member's home directory
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Cast each line of standard input, and write what happens to standard output as JSON lines.
    /// At the end of the input the member waits for its casts and leaves
    #[arg(long)]
    pipe: bool,
    /// Cast lines in the order of their sender only, not in one order for the group
    #[arg(long, requires = "pipe")]
    fifo: bool,
    /// After the end of the input and the last own delivery, how long to stay for the others
    #[arg(long, default_value = "1 s", value_name = "TIME", requires = "pipe")]
    linger: phalanx_mio::config::Micros,
    /// Log level instead of that in node.toml: error, warn, info, debug, trace
    #[arg(long)]
    log: Option<tracing::Level>,
}

/// What other threads tell the loop.
#[derive(Default)]
struct Flags {
    /// A signal came.
    stop: AtomicBool,
    /// The input has ended.
    end: AtomicBool,
    /// Lines handed to the runtime.
    lines: AtomicU64,
}

/// What became of the lines.
#[derive(Default)]
struct Tally {
    refused: u64,
    delivered: u64,
}

/// Runs the member.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let home = Home::read(&args.home)?;
    start_logging(args.log.map_or(home.log.as_str(), |level| level.as_str()));
    let boot = home.claim()?;
    let mut network = home.network.clone();
    network.seed = random_seed()?;
    let mut runtime = Runtime::start(home.config.clone(), &home.secret, boot, &network)?;
    tracing::info!("{}", home.group.view_line(Some(home.rank)));
    let flags = Arc::new(Flags::default());
    watch_signals(Arc::clone(&flags), runtime.handle())?;
    if args.pipe {
        let order = if args.fifo { Order::Fifo } else { Order::Total };
        read_lines(Arc::clone(&flags), runtime.handle(), order);
    }
    serve(args, &home, &mut runtime, &flags)
}

fn serve(args: &Args, home: &Home, runtime: &mut Runtime, flags: &Flags) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut tally = Tally::default();
    let mut leave_at = None;
    while !flags.stop.load(Ordering::Relaxed) {
        runtime.turn(Some(leave_at.map_or(TURN, |_| Duration::from_millis(20))))?;
        while let Some(notice) = runtime.next_notice() {
            tally.count(&notice);
            log(home, &notice)?;
            if args.pipe {
                match writeln!(out, "{}", json::notice(&notice)) {
                    // Whoever read our output has gone: so may we.
                    Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    result => result?,
                }
            }
        }
        match out.flush() {
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
        let is_done = flags.end.load(Ordering::Acquire)
            && tally.refused + tally.delivered >= flags.lines.load(Ordering::Acquire);
        if is_done {
            let linger = Duration::from_micros(args.linger.0);
            let until = *leave_at.get_or_insert_with(|| Instant::now() + linger);
            if Instant::now() >= until {
                break;
            }
        }
    }
    tracing::info!("stopping");
    Ok(())
}

/// Logs what an operator should know, and keeps proofs.
fn log(home: &Home, notice: &Notice) -> Result<(), Failure> {
    let name = |rank| home.group.name(rank);
    match notice {
        Notice::Fault(fault) => {
            let proof = evidence::write(&home.state_dir.join("evidence"), &fault.proof)?;
            let proof = proof.display();
            tracing::warn!(culprit = name(fault.culprit), %proof, "a member is proven guilty");
        }
        Notice::Event(Event::Suspected { subject, by, reason }) => {
            let reason = json::reason_name(*reason);
            tracing::warn!(subject = name(*subject), by = name(*by), reason, "suspected");
        }
        Notice::Event(Event::LinkClosed { peer, why }) => {
            tracing::warn!(peer = name(*peer), ?why, "its frames are dropped from now on");
        }
        Notice::Event(Event::Alarm { sender, number }) => {
            let sender = name(*sender);
            tracing::error!(sender, %number, "certificates conflict: deliveries have stopped");
        }
        Notice::Event(_) => {}
    }
    Ok(())
}

impl Tally {
    fn count(&mut self, notice: &Notice) {
        match notice {
            Notice::Event(Event::Cast { own_ticket: Some(_), .. }) => self.delivered += 1,
            Notice::Event(Event::Refused(ticket, why)) => {
                tracing::warn!(ticket = ticket.0, %why, "a line was not cast");
                self.refused += 1;
            }
            Notice::Event(_) | Notice::Fault(_) => {}
        }
    }
}

fn watch_signals(flags: Arc<Flags>, handle: Handle) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            flags.stop.store(true, Ordering::Relaxed);
            handle.wake();
        }
    });
    Ok(())
}

/// Casts lines from a thread of its own: it waits while the queue is full, so whoever writes them
/// feels it.
fn read_lines(flags: Arc<Flags>, handle: Handle, order: Order) {
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            flags.lines.fetch_add(1, Ordering::Release);
            if handle.cast(order, line).is_err() {
                return;
            }
        }
        flags.end.store(true, Ordering::Release);
        handle.wake();
    });
}

/// A number that differs from process to process.
pub(crate) fn random_seed() -> Result<u64, Failure> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|why| format!("the system gives no random bytes: {why}"))?;
    Ok(u64::from_le_bytes(seed))
}
