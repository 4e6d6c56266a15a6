//! `run`: one member, until a signal or the end of its input.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use phalanx_core::{Event, Order, Refusal};
use phalanx_mio::config::Home;
use phalanx_mio::{Notice, Runtime, Snapshot, StartError, StartOptions};

use crate::input::{Flags, read_lines, watch_signals};
use crate::naming::Naming;
use crate::{Failure, Forked, Out, evidence, json, start_logging};

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
    /// Ask the group to take this process in although it was never a member: its key is not in
    /// group.toml. Once it was a member it comes back without being told
    #[arg(long)]
    join: bool,
    /// Cast each line of standard input, and write what happens to standard output as JSON lines.
    /// `/leave` asks to leave the group, `/suspect RANK` tells it that this member suspects another,
    /// `/admit KEY` and `/refuse KEY` say whether a process may join, `/stats` shows counters,
    /// `/snapshot VIEW FILE` answers a snapshot_wanted with a file; a line to cast that begins with a
    /// slash begins with two. At the end of the input the member waits for its casts and stops,
    /// without leaving
    #[arg(long)]
    pipe: bool,
    /// Cast lines in the order of their sender only, not in one order for the group
    #[arg(long, requires = "pipe")]
    fifo: bool,
    /// After the end of the input and the last own delivery, how long to stay for the others
    #[arg(long, default_value = "1 s", value_name = "TIME", requires = "pipe")]
    linger: phalanx_mio::config::Micros,
    /// Where to write the state that this process joins with, if the group has state transfer
    #[arg(long, requires = "pipe", value_name = "FILE")]
    state: Option<PathBuf>,
    /// Log level instead of that in node.toml: error, warn, info, debug, trace
    #[arg(long)]
    log: Option<tracing::Level>,
}

/// What became of the lines.
#[derive(Default)]
struct Tally {
    refused: u64,
    delivered: u64,
    /// Accepted, and delivered by nobody: the member was out by then.
    lost: u64,
    /// It lost its state: what becomes of its casts it is not told any more.
    is_blind: bool,
    /// It is a member, or was one.
    was_member: bool,
    /// Two views were decided after one: it only hands out what it has, until it is stopped.
    is_forked: bool,
    /// Why this member is out, since when, and how long it answers those that do not know yet.
    out: Option<(String, Instant)>,
}

/// Runs the member.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let home = Home::read(&args.home)?;
    start_logging(args.log.map_or(home.log.as_str(), |level| level.as_str()));
    let options = StartOptions { joins: args.join, seed: random_seed()? };
    let mut runtime = match home.start(options) {
        Err(why @ StartError::Expelled) => return Err(Out(why.to_string()).into()),
        started => started?,
    };
    let (group, version) = (home.group.genesis.group(), phalanx_core::wire::VERSION);
    tracing::info!(name = home.group.genesis.name, %group, version, "the group");
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
            if let (Some(path), Notice::Event(event)) = (&args.state, &notice) {
                keep_state(path, event).map_err(|why| format!("{}: {why}", path.display()))?;
            }
            if let (None, Notice::Event(Event::StateLoaded { total: 1.., .. })) =
                (&args.state, &notice)
            {
                tracing::warn!("the state that came with joining is thrown away: no --state FILE");
            }
            log(home, &naming, &notice)?;
            if let Some(line) = naming.follow(&notice) {
                tracing::info!("{line}");
            }
            if args.pipe && !write(&mut out, &line(runtime, &notice))? {
                return Ok(());
            }
            if let (Notice::Event(Event::Fork { .. }), false) = (&notice, tally.was_member) {
                out.flush()?;
                return Err(Forked.into());
            }
        }
        offer_snapshots(runtime, flags)?;
        if flags.stats.swap(false, Ordering::AcqRel) && !write(&mut out, &json::stats(runtime))? {
            return Ok(());
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
        let told = tally.refused + tally.delivered + tally.lost;
        let is_done = flags.end.load(Ordering::Acquire)
            && (tally.is_blind || told >= flags.lines.load(Ordering::Acquire));
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
    if tally.is_forked {
        return Err(Forked.into());
    }
    match tally.out {
        Some((why, _)) => Err(Out(format!("this member is out of the group: {why}")).into()),
        None => Ok(()),
    }
}

/// Hands over the files that the input names.
fn offer_snapshots(runtime: &mut Runtime, flags: &Flags) -> Result<(), Failure> {
    let offered = flags.snapshots.lock().map(|mut offered| std::mem::take(&mut *offered));
    for (view, path) in offered.unwrap_or_default() {
        match File::open(&path) {
            Ok(file) => runtime.offer(view, Snapshot::File(file))?,
            Err(why) => tracing::warn!(path = %path.display(), %why, "no snapshot"),
        }
    }
    Ok(())
}

/// Writes a piece of the state where it belongs.
fn keep_state(path: &Path, event: &Event) -> io::Result<()> {
    match event {
        Event::State { offset, bytes, .. } => {
            let options = OpenOptions::new().create(true).truncate(false).write(true).open(path);
            options?.write_all_at(bytes, *offset)
        }
        Event::StateLoaded { total, .. } => {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.set_len(*total)?;
            file.sync_all()
        }
        _ => Ok(()),
    }
}

/// Writes a line; says whether anybody reads it.
fn write(out: &mut impl Write, line: &serde_json::Value) -> Result<bool, Failure> {
    match writeln!(out, "{line}") {
        // Whoever read our output has gone: so may we.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
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
        Notice::Event(Event::BeyondRepair { gone, quorum }) => {
            let left = naming.view().members.len() - gone.len();
            let gone: Vec<String> = gone.iter().map(|rank| name(*rank)).collect();
            tracing::error!(
                begun_anew = gone.join(" "),
                left,
                quorum,
                "this group cannot go on: too many members have lost what they signed. Save what the \
                 application has, and set up a new group (README, \"What ends a group\")"
            );
        }
        Notice::Event(Event::Resilience { spare }) => {
            tracing::warn!(spare, "this many more members may stop before the group does");
        }
        Notice::Event(Event::Excluded { why, lost, .. }) => {
            let why = json::exclusion_name(*why);
            tracing::warn!(why, lost = lost.len(), "out of the group; casts that nobody delivers");
        }
        Notice::ComesBack { incarnation } => {
            tracing::warn!(incarnation, "this member begins again, and asks to be taken in");
        }
        Notice::StaysOut { why } => tracing::error!(why, "this member cannot begin again"),
        Notice::Event(_) => log_joins(naming, notice),
    }
    Ok(())
}

/// Logs what there is to know about those that join, this process among them.
fn log_joins(naming: &Naming<'_>, notice: &Notice) {
    match notice {
        Notice::Event(Event::Joining { view, refusals }) => {
            tracing::info!(newest = view, "asks to be taken in");
            for (rank, why) in refusals {
                tracing::warn!(rank = rank.value(), %why, "not taken in");
            }
        }
        Notice::Event(Event::JoinWanted { key, incarnation, addr }) => {
            let addr = String::from_utf8_lossy(addr);
            tracing::warn!(%key, incarnation, %addr, "wants to join: /admit or /refuse its key");
        }
        Notice::Event(Event::Fork { known, other }) => {
            let (known, other) = (known.view.id(), other.view.id());
            tracing::error!(%known, %other, "two views were decided after one: more than f lied");
        }
        Notice::Event(Event::Spent { highest }) => {
            tracing::warn!(
                highest,
                "this member has lived before: its boot record was lost or set back; begins above"
            );
        }
        Notice::Event(Event::StateLost) => {
            let view = naming.view().number;
            tracing::warn!(view, "missed casts that nobody keeps: delivers nothing more");
        }
        Notice::Event(Event::MustStay) => {
            tracing::warn!("cannot be spared now: leaves as soon as another one joins");
        }
        Notice::Event(Event::SnapshotWanted { view }) => {
            tracing::info!(view, "who joins wants the state: /snapshot VIEW FILE");
        }
        Notice::Event(_) | Notice::Fault(_) => {}
        Notice::ComesBack { .. } | Notice::StaysOut { .. } => {}
    }
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
            Notice::Event(Event::Excluded { why, lost, .. }) => {
                self.out = Some((json::exclusion_name(*why), Instant::now()));
                self.lost += u64::try_from(lost.len()).unwrap_or(u64::MAX);
            }
            Notice::Event(Event::StateLost) => self.is_blind = true,
            Notice::Event(Event::View(_)) => self.was_member = true,
            Notice::Event(Event::Fork { .. }) => self.is_forked = true,
            Notice::ComesBack { .. } => self.out = None,
            Notice::Event(_) | Notice::Fault(_) | Notice::StaysOut { .. } => {}
        }
    }
}

/// A number that differs from process to process.
pub(crate) fn random_seed() -> Result<u64, Failure> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|why| format!("the system gives no random bytes: {why}"))?;
    Ok(u64::from_le_bytes(seed))
}
