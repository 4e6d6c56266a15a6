//! `run`: one member, until a signal or the end of its input.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_core::{Event, Order, Rank, Refusal};
use phalanx_mio::config::Home;
use phalanx_mio::{Handle, Notice, Runtime};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::naming::Naming;
use crate::{Failure, Out, evidence, json, start_logging};

/// How long a turn of the loop lasts at most.
const TURN: Duration = Duration::from_secs(1);

/// How long a member that was told to leave waits at the end of its input for the others to agree.
const LEAVE: Duration = Duration::from_secs(10);

/// Options of `run`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The member's home directory
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Cast each line of standard input, and write what happens to standard output as JSON lines.
    /// `/leave` asks to leave the group and `/suspect RANK` tells it that this member suspects
    /// another; a line to cast that begins with a slash begins with two. At the end of the input
    /// the member waits for its casts and stops, without leaving
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
    /// Lines to cast handed to the runtime.
    lines: AtomicU64,
    /// The member was told to leave the group.
    leaving: AtomicBool,
}

/// What became of the lines.
#[derive(Default)]
struct Tally {
    refused: u64,
    delivered: u64,
    /// Why this member is out, since when, and how long it answers those that do not know yet.
    out: Option<(String, Instant)>,
}

/// Runs the member.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let home = Home::read(&args.home)?;
    start_logging(args.log.map_or(home.log.as_str(), |level| level.as_str()));
    let boot = home.claim()?;
    let mut network = home.network.clone();
    network.seed = random_seed()?;
    let mut runtime = Runtime::start(home.config.clone(), &home.secret, boot, &network)?;
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
    let mut naming = Naming::new(&home.group, Some(home.secret.public_key()));
    let answers = Duration::from_micros(home.config.timeouts.linger_us);
    let mut leave_at = None;
    while !flags.stop.load(Ordering::Relaxed) {
        runtime.turn(Some(leave_at.map_or(TURN, |_| Duration::from_millis(20))))?;
        while let Some(notice) = runtime.next_notice() {
            tally.count(&notice);
            log(home, &naming, &notice)?;
            if let Some(line) = naming.follow(&notice) {
                tracing::info!("{line}");
            }
            if args.pipe {
                match writeln!(out, "{}", line(runtime, &notice)) {
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
        if let Some((why, since)) = &tally.out {
            // Whoever has closed the input does not want to wait as long as others may ask.
            let has_ended = flags.end.load(Ordering::Acquire);
            let linger = Duration::from_micros(args.linger.0).min(answers);
            if since.elapsed() >= if has_ended { linger } else { answers } {
                return Err(Out(format!("this member is out of the group: {why}")).into());
            }
            continue;
        }
        let is_done = flags.end.load(Ordering::Acquire)
            && tally.refused + tally.delivered >= flags.lines.load(Ordering::Acquire);
        if is_done {
            // Others may have to agree first, and may not be able to spare it.
            let is_leaving = flags.leaving.load(Ordering::Acquire);
            let linger = Duration::from_micros(args.linger.0);
            let linger = if is_leaving { linger.max(LEAVE) } else { linger };
            let until = *leave_at.get_or_insert_with(|| Instant::now() + linger);
            if Instant::now() >= until {
                break;
            }
        }
    }
    tracing::info!("stopping");
    match tally.out {
        Some((why, _)) => Err(Out(format!("this member is out of the group: {why}")).into()),
        None => Ok(()),
    }
}

/// A notice as one line; a view with the decision that led to it, for `views verify`.
fn line(runtime: &Runtime, notice: &Notice) -> serde_json::Value {
    let mut line = json::notice(notice);
    if let Notice::Event(Event::View(view)) = notice
        && let Some(decision) = runtime.node().decisions().find(|known| known.view == **view)
    {
        line["decision"] = json::hex(&decision.to_bytes()).into();
    }
    line
}

/// Logs what an operator should know, and keeps proofs.
fn log(home: &Home, naming: &Naming<'_>, notice: &Notice) -> Result<(), Failure> {
    let name = |rank| naming.name(rank);
    match notice {
        Notice::Fault(fault) => {
            let proof = evidence::write(
                &home.state_dir.join("evidence"),
                &fault.proof,
                naming.find(&fault.proof.view),
            )?;
            let (proof, culprit) = (proof.display(), home.group.name_of(&fault.key));
            tracing::warn!(culprit, %proof, "a member is proven guilty");
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
        Notice::Event(Event::NoQuorum { missing }) => {
            let missing: Vec<String> = missing.iter().map(|rank| name(*rank)).collect();
            tracing::warn!(missing = missing.join(" "), "no quorum answers");
        }
        Notice::Event(Event::Resilience { spare }) => {
            tracing::warn!(spare, "this many more members may stop before the group does");
        }
        Notice::Event(Event::Excluded { lost, .. }) => {
            tracing::warn!(lost = lost.len(), "out of the group; own casts that nobody delivers");
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
                tracing::warn!(ticket = ticket.0, %why, "a line was refused");
                // Of a member's casts only these are refused; the others are other requests.
                self.refused += u64::from(*why == Refusal::TooLarge);
            }
            Notice::Event(Event::Excluded { why, .. }) => {
                self.out = Some((json::exclusion_name(*why), Instant::now()));
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

/// What a line of the input asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Cast(Vec<u8>),
    Leave,
    Suspect(Rank),
    /// Not understood.
    Wrong,
}

impl Line {
    fn parse(mut line: Vec<u8>) -> Self {
        if line.starts_with(b"//") {
            line.remove(0);
            return Self::Cast(line);
        }
        if !line.starts_with(b"/") {
            return Self::Cast(line);
        }
        let text = String::from_utf8_lossy(&line);
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["/leave"] => Self::Leave,
            ["/suspect", rank] => {
                rank.parse().map_or(Self::Wrong, |rank| Self::Suspect(Rank::new(rank)))
            }
            _ => Self::Wrong,
        }
    }
}

/// Does what lines say from a thread of its own: it waits while the queue is full, so whoever writes
/// them feels it.
fn read_lines(flags: Arc<Flags>, handle: Handle, order: Order) {
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { break };
            let result = match Line::parse(line) {
                Line::Cast(line) => {
                    flags.lines.fetch_add(1, Ordering::Release);
                    handle.cast(order, line)
                }
                Line::Leave => {
                    flags.leaving.store(true, Ordering::Release);
                    handle.leave()
                }
                Line::Suspect(rank) => handle.suspect(rank),
                Line::Wrong => {
                    tracing::warn!("this is no command; a cast that begins with / begins with //");
                    continue;
                }
            };
            if result.is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_casts_unless_they_begin_with_one_slash() {
        let line = |text: &str| Line::parse(text.as_bytes().to_vec());
        let cast = |text: &str| Line::Cast(text.as_bytes().to_vec());
        assert_eq!(line("hello"), cast("hello"));
        assert_eq!(line(""), cast(""));
        assert_eq!(line("//leave"), cast("/leave"));
        assert_eq!(line("///"), cast("//"));
        assert_eq!(line("/leave "), Line::Leave);
        assert_eq!(line("/suspect 3"), Line::Suspect(Rank::new(3)));
        for wrong in ["/", "/suspect", "/suspect x", "/suspect 3 4", "/suspect 70000", "/exit"] {
            assert_eq!(line(wrong), Line::Wrong, "{wrong}");
        }
    }
}
