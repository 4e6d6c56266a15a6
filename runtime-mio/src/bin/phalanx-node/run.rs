//! `run`: one member, until a signal or the end of its input.
//!
//! Nothing here waits for a file or a pipe: each has a thread of its own. While the loop stands still
//! the others get no heartbeat, and would put this member out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use phalanx_core::{Event, Order, Proof, Refusal};
use phalanx_mio::config::Home;
use phalanx_mio::{Notice, Runtime, Snapshot, StartError, StartOptions};

use crate::events::Events;
use crate::input::{Flags, read_lines};
use crate::keeper::{Keeper, try_dir};
use crate::naming::Naming;
use crate::reload::Reload;
use crate::status::{self, Waiting};
use crate::{Failure, Forked, Out, OutputEnded, crash, json, log, notices};

/// How long a turn of the loop lasts at most.
const TURN: Duration = Duration::from_secs(1);

/// How long a member that was told to leave waits at the end of its input for the others to agree.
const LEAVE: Duration = Duration::from_secs(10);

/// Duration that the loop waits in a turn for a disk that cannot follow the state that comes in. Then a
/// mebibyte comes in with each turn: ten in a second, and a slower disk fills the backlog.
const PACE: Duration = Duration::from_millis(100);

/// Duration that the end waits for each output that is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// without leaving. Without a reader, or with one that is too slow, the output ends and the member
    /// goes on: see --backlog
    #[arg(long)]
    pipe: bool,
    /// Cast lines in the order of their sender only, not in one order for the group
    #[arg(long, requires = "pipe")]
    fifo: bool,
    /// After the end of the input and the last own delivery, how long to stay for the others
    #[arg(long, default_value = "1 s", value_name = "TIME", requires = "pipe")]
    linger: phalanx_mio::config::Micros,
    /// Bytes of events that may wait for a slow reader, and of state for a slow disk. When more waits
    /// the output ends with the line output_ended, and the member goes on without it
    #[arg(long, default_value = "64 MiB", value_name = "SIZE", requires = "pipe")]
    backlog: phalanx_mio::config::Amount,
    /// Where to write the state that this process joins with, if the group has state transfer
    #[arg(long, requires = "pipe", value_name = "FILE")]
    state: Option<PathBuf>,
    /// A test of the report of a bug: panic at this cast
    #[arg(long, hide = true)]
    panic_at: Option<u64>,
    /// Log level instead of that in node.toml: error, warn, info, debug, trace
    #[arg(long)]
    log: Option<tracing::Level>,
}

/// What became of the lines.
#[derive(Default)]
struct Tally {
    /// Casts delivered, of anybody.
    casts: u64,
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
    /// Why this member is out, and since when.
    out: Option<(String, Instant)>,
}

/// Runs the member.
pub(crate) fn run(args: &Args, flags: &Arc<Flags>) -> Result<(), Failure> {
    let home = Home::read(&args.home)?;
    log::start(args.log.map_or(home.log.as_str(), |level| level.as_str()));
    if let Some(why) = &home.exposed {
        return Err(why.clone().into());
    }
    let evidence = home.state_dir.join("evidence");
    let options = StartOptions { joins: args.join, seed: random_seed()? };
    let runtime = match home.start(options) {
        Err(why @ StartError::Expelled) => return Err(Out(why.to_string()).into()),
        started => started?,
    };
    let (group, version) = (home.group.genesis.group(), phalanx_core::wire::VERSION);
    tracing::info!(name = home.group.genesis.name, %group, version, "the group");
    if let Err(why) = try_dir(&evidence) {
        tracing::warn!(why, "proofs against liars cannot be kept, and would wait in memory");
    }
    crash::tell_of(home.state_dir.clone(), runtime.inputs());
    let backlog = usize::try_from(args.backlog.0).unwrap_or(usize::MAX);
    let events = || Events::start(backlog, args.state.as_deref());
    let service = Service {
        args,
        flags,
        home: &home,
        events: args.pipe.then(events).transpose()?,
        keeper: Keeper::start(evidence)?,
        reload: Reload::new(args.home.clone(), args.log.is_some()),
        naming: Naming::new(&home.group, Some(home.secret.public_key())),
        tally: Tally::default(),
        leave_at: None,
        last: None,
        runtime,
    };
    // From here on signals are the loop's.
    let _ = flags.handle.set(service.runtime.handle());
    if args.pipe {
        let order = if args.fifo { Order::Fifo } else { Order::Total };
        read_lines(Arc::clone(flags), service.runtime.handle(), order);
    }
    service.serve()
}

struct Service<'a> {
    args: &'a Args,
    flags: &'a Arc<Flags>,
    home: &'a Home,
    runtime: Runtime,
    events: Option<Events>,
    keeper: Keeper,
    reload: Reload,
    naming: Naming<'a>,
    tally: Tally,
    /// When it stops, once its input has ended.
    leave_at: Option<Instant>,
    /// The events that the reader gets before.
    last: Option<u64>,
}

impl Service<'_> {
    fn serve(mut self) -> Result<(), Failure> {
        let result = self.work();
        self.finish();
        result?;
        if self.tally.is_forked {
            return Err(Forked.into());
        }
        if let Some((why, _)) = self.tally.out {
            return Err(Out(format!("this member is out of the group: {why}")).into());
        }
        match self.events {
            Some(events) if events.has_ended() => Err(OutputEnded.into()),
            _ => Ok(()),
        }
    }

    fn work(&mut self) -> Result<(), Failure> {
        while !self.flags.stop.load(Ordering::Acquire) {
            self.runtime.turn(Some(self.leave_at.map_or(TURN, |_| Duration::from_millis(20))))?;
            while let Some(notice) = self.runtime.next_notice() {
                self.on_notice(&notice);
                // A process that never was a member has nothing to hand out.
                if self.tally.is_forked && !self.tally.was_member {
                    return Ok(());
                }
            }
            self.offer_snapshots();
            self.reload.obey(self.flags, self.home, &mut self.runtime);
            if self.flags.status.swap(false, Ordering::AcqRel) {
                self.tell_status();
            }
            if let Some(events) = &mut self.events {
                if self.flags.stats.swap(false, Ordering::AcqRel) {
                    events.line(&json::stats(&self.runtime));
                }
                events.flush();
                events.pace(PACE);
            }
            if self.is_over() && self.is_read() {
                break;
            }
        }
        tracing::info!("stopping");
        Ok(())
    }

    fn on_notice(&mut self, notice: &Notice) {
        if let (Some(at), Notice::Event(Event::Cast { .. })) = (self.args.panic_at, notice) {
            self.tally.casts += 1;
            assert!(self.tally.casts < at, "asked for by --panic-at");
        }
        self.tally.count(notice);
        if let (Some(events), Notice::Event(event)) = (&mut self.events, notice) {
            events.state(event);
        }
        if let (None, Notice::Event(Event::StateLoaded { total: 1.., .. })) =
            (&self.args.state, notice)
        {
            tracing::warn!("the state that came with joining is thrown away: no --state FILE");
        }
        if let Some(events) = &mut self.events {
            events.line(&line(&self.runtime, notice));
        }
        notices::log(&self.naming, notice);
        if let Notice::Fault(fault) = notice {
            self.keeper.keep(Proof::clone(&fault.proof), self.naming.find(&fault.proof.view));
        }
        if let Some(line) = self.naming.follow(notice) {
            tracing::info!("{line}");
        }
    }

    /// Hands over the files that the input names.
    fn offer_snapshots(&mut self) {
        let offered = self.flags.snapshots.lock().map(|mut offered| std::mem::take(&mut *offered));
        for (view, file) in offered.unwrap_or_default() {
            if let Err(why) = self.runtime.offer(view, Snapshot::File(file)) {
                tracing::warn!(view, %why, "no snapshot");
            }
        }
    }

    fn tell_status(&self) {
        let events = self.events.as_ref().map(Events::held);
        let waiting = Waiting { events, proofs: self.keeper.waiting() };
        status::write(&self.runtime, &self.naming, &waiting);
    }

    /// Returns whether the member has nothing left to do.
    fn is_over(&mut self) -> bool {
        let has_ended = self.flags.end.load(Ordering::Acquire);
        let linger = Duration::from_micros(self.args.linger.0);
        if let Some((_, since)) = &self.tally.out {
            let answers = Duration::from_micros(self.home.config.timeouts.linger_us);
            // Whoever has closed the input does not want to wait as long as others may ask.
            return since.elapsed() >= if has_ended { linger.min(answers) } else { answers };
        }
        let told = self.tally.refused + self.tally.delivered + self.tally.lost;
        let is_done = self.tally.is_blind || told >= self.flags.lines.load(Ordering::Acquire);
        if !(has_ended && is_done) {
            return false;
        }
        // Others may have to agree first, and may not be able to spare it.
        let is_leaving = self.flags.leaving.load(Ordering::Acquire);
        let linger = if is_leaving { linger.max(LEAVE) } else { linger };
        Instant::now() >= *self.leave_at.get_or_insert_with(|| Instant::now() + linger)
    }

    /// Returns whether the reader has all events that there were when nothing was left to do. It may be
    /// slow, and the member goes on meanwhile.
    fn is_read(&mut self) -> bool {
        let Some(events) = &self.events else { return true };
        events.is_past(*self.last.get_or_insert_with(|| events.mark()))
    }

    /// Waits for what is still to be written, within bounds.
    fn finish(&mut self) {
        if let Some(events) = &mut self.events {
            events.flush();
            events.drain(PATIENCE);
            let (bytes, _) = events.held();
            if bytes > 0 {
                tracing::warn!(bytes, "the last events are lost: their reader takes too little");
            }
        }
        self.keeper.drain(PATIENCE);
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
