//! One member of `demo` or `load`: a process that casts as told and reports what it delivers.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_core::{Event, Hash32, Order as CastOrder, Rank, Refusal, crypto};
use phalanx_mio::config::Home;
use phalanx_mio::{Notice, Runtime, Snapshot, StartOptions};

use crate::json::{exclusion_name, hex, reason_name};
use crate::ledger::Ledger;
use crate::meter::{Delivery, Meter};
use crate::naming::Naming;
use crate::report::{Order, Report};
use crate::{Failure, evidence, log, run};

/// Casts handed to the node between two turns of the loop, so that reading goes on.
const BURST: u64 = 512;
/// How many casts that are overdue are made up for; the rest was never meant to pile up.
const DEBT: u64 = 64;
/// Total casts between two checkpoints.
const CHECKPOINT: u64 = 16;

/// Options of a child.
#[derive(Clone, clap::Args)]
pub(crate) struct Args {
    /// The member's home directory, made by `testnet`
    #[arg(long)]
    pub(crate) home: PathBuf,
    /// Casts per second; 0 for as many as back-pressure allows
    #[arg(long)]
    pub(crate) rate: u64,
    /// Bytes of a cast
    #[arg(long)]
    pub(crate) payload: usize,
    /// Every so manieth cast is Fifo, the others Total; 0 for none, 1 for all
    #[arg(long, default_value_t = 0)]
    pub(crate) fifo_every: u64,
    /// Own casts on their way at most; 0 for as many as back-pressure allows
    #[arg(long, default_value_t = 0)]
    pub(crate) in_flight: usize,
    /// Milliseconds between two reports
    #[arg(long, default_value_t = 250)]
    pub(crate) report_ms: u64,
    /// Keep a hash over the total order
    #[arg(long)]
    pub(crate) chain: bool,
    /// Join: this process was never a member
    #[arg(long)]
    pub(crate) join: bool,
    /// Spoil the state after so many Total casts: a test of the judge
    #[arg(long)]
    pub(crate) alter_state: Option<u64>,
    /// Take this delivery of the total order for another one: a test of the judge
    #[arg(long)]
    pub(crate) alter: Option<u64>,
    /// Take the view with this number for another one: a test of the judge
    #[arg(long)]
    pub(crate) alter_view: Option<u64>,
    /// Lie to this rank when told to
    #[arg(long)]
    pub(crate) mutant_for: Option<u16>,
    /// Lose all frames to that rank while lying: a test of the judge
    #[arg(long, requires = "mutant_for")]
    pub(crate) drop_mutants: bool,
}

/// Runs the member until its standard input ends.
pub(crate) fn child(args: &Args) -> Result<(), Failure> {
    let mut home = Home::read(&args.home)?;
    home.comes_back = false;
    log::start("info");
    if !home.is_testnet {
        return Err("this home is not a testnet's: only those take part in demo and load".into());
    }
    if args.mutant_for.is_some() {
        return lie(args, &home);
    }
    let options = StartOptions { joins: args.join, seed: run::random_seed()? };
    let runtime = home.start(options)?;
    let handle = runtime.handle();
    let orders = read_orders(move || handle.wake());
    let meter = Meter::new(args.chain)?;
    say(&Report::Ready)?;
    let member = Member {
        args,
        runtime,
        meter,
        pace: Pace::new(args.rate),
        orders,
        is_full: false,
        naming: Naming::new(&home.group, None),
        views: Hash32::ZERO,
        blocked: None,
        state: Vec::new(),
    };
    member.serve()
}

#[cfg(feature = "demo")]
fn lie(args: &Args, home: &Home) -> Result<(), Failure> {
    crate::liar::liar(args, home)
}

#[cfg(not(feature = "demo"))]
fn lie(_: &Args, _: &Home) -> Result<(), Failure> {
    Err("this phalanx-node was built without the feature demo, so it cannot lie".into())
}

/// Orders from standard input, read by a thread of its own.
pub(crate) fn read_orders(wake: impl Fn() + Send + 'static) -> Receiver<Order> {
    let (sender, orders) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let Some(order) = Order::parse(&line) else { continue };
            if sender.send(order).is_err() {
                return;
            }
            wake();
        }
        drop(sender);
        wake();
    });
    orders
}

/// Writes one report.
pub(crate) fn say(report: &Report) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// When the next cast is due.
pub(crate) struct Pace {
    rate: u64,
    running: Option<(Instant, u64)>,
}

impl Pace {
    /// Not casting yet.
    pub(crate) const fn new(rate: u64) -> Self {
        Self { rate, running: None }
    }

    /// Starts or stops.
    pub(crate) fn run(&mut self, is_running: bool) {
        self.running = is_running.then(|| (Instant::now(), 0));
    }

    /// How many casts are due now.
    pub(crate) fn due(&mut self) -> u64 {
        let Some((since, done)) = &mut self.running else { return 0 };
        if self.rate == 0 {
            return BURST;
        }
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let owed = micros.saturating_mul(self.rate) / 1_000_000;
        *done = (*done).max(owed.saturating_sub(DEBT));
        owed.saturating_sub(*done).min(BURST)
    }

    /// A cast was made.
    pub(crate) const fn made(&mut self) {
        if let Some((_, done)) = &mut self.running {
            *done += 1;
        }
    }

    /// How long until the next one is due.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let (since, done) = self.running.as_ref()?;
        let next = (done + 1).saturating_mul(1_000_000).checked_div(self.rate)?;
        Some((*since + Duration::from_micros(next)).saturating_duration_since(Instant::now()))
    }
}

/// The bytes of cast number `count`.
pub(crate) fn payload(len: usize, count: u64) -> Vec<u8> {
    let mut bytes = vec![b'.'; len];
    bytes.iter_mut().zip(count.to_le_bytes()).for_each(|(to, from)| *to = from);
    bytes
}

/// How cast number `count` is ordered.
pub(crate) fn order_of(args: &Args, count: u64) -> CastOrder {
    match count.checked_rem(args.fifo_every) {
        Some(0) => CastOrder::Fifo,
        Some(_) | None => CastOrder::Total,
    }
}

struct Member<'a> {
    args: &'a Args,
    runtime: Runtime,
    meter: Meter,
    pace: Pace,
    orders: Receiver<Order>,
    /// A cast was refused and no [`Event::Writable`] came yet.
    is_full: bool,
    naming: Naming<'a>,
    /// The hash over the ids of its views.
    views: Hash32,
    /// When the present view change began.
    blocked: Option<Instant>,
    /// What came of the state that it joins with.
    state: Vec<u8>,
}

impl Member<'_> {
    fn serve(mut self) -> Result<(), Failure> {
        let interval = Duration::from_millis(self.args.report_ms);
        let mut report_at = Instant::now() + interval;
        let mut count = 0;
        loop {
            let wait = report_at.saturating_duration_since(Instant::now());
            let pace = if self.may_cast() { self.pace.wait() } else { None };
            let wait = pace.map_or(wait, |pace| pace.min(wait));
            let is_due = self.may_cast() && self.pace.due() > 0;
            self.runtime.turn(Some(if is_due { Duration::ZERO } else { wait }))?;
            while let Some(notice) = self.runtime.next_notice() {
                self.on_notice(notice)?;
            }
            loop {
                match self.orders.try_recv() {
                    Ok(order) => self.on_order(order)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.cast(&mut count);
            if Instant::now() >= report_at {
                let status = self.status();
                say(&Report::Status(status))?;
                report_at = Instant::now() + interval;
            }
        }
    }

    fn may_cast(&self) -> bool {
        let has_room = self.args.in_flight == 0 || self.meter.in_flight() < self.args.in_flight;
        !self.is_full && has_room && self.runtime.is_member()
    }

    fn cast(&mut self, count: &mut u64) {
        for _ in 0..self.pace.due() {
            if !self.may_cast() {
                return;
            }
            let order = order_of(self.args, *count);
            match self.runtime.cast(order, &payload(self.args.payload, *count)) {
                Ok(ticket) => {
                    self.meter.on_cast(order, ticket);
                    self.pace.made();
                    *count += 1;
                }
                Err(Refusal::Full) => self.is_full = true,
                // It is out of the group, and has said so.
                Err(Refusal::NotMember) => self.pace.run(false),
                Err(why) => {
                    tracing::error!(%why, "cannot cast");
                    self.pace.run(false);
                }
            }
        }
    }

    fn on_order(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Cast => self.pace.run(true),
            Order::Stop => self.pace.run(false),
            Order::Reset => self.meter.reset(),
            Order::Answer => {
                let state = self.meter.state();
                let status = crate::report::Status { state, ..self.status() };
                say(&Report::Answer(status))?;
            }
            Order::Lie => {}
        }
        Ok(())
    }

    fn on_notice(&mut self, notice: Notice) -> Result<(), Failure> {
        if let Some(line) = self.naming.follow(&notice) {
            return self.on_view(line);
        }
        match notice {
            Notice::Event(Event::Cast {
                view, sender, order, own_ticket: own, payload, ..
            }) => {
                let place = self.naming.place_in(view, sender).unwrap_or(u16::MAX);
                let sender = Rank::new(place);
                let delivery = Delivery { sender, order, own, payload: &payload };
                self.on_delivery(delivery)
            }
            Notice::Event(Event::Writable) => {
                self.is_full = false;
                Ok(())
            }
            Notice::Event(Event::Block) => {
                self.blocked = Some(Instant::now());
                Ok(())
            }
            Notice::Event(Event::Excluded { why, .. }) => {
                say(&Report::Out { why: exclusion_name(why) })
            }
            Notice::Event(Event::Suspected { subject, by, reason }) => {
                let places = (self.naming.place(subject), self.naming.place(by));
                let (Some(subject), Some(by)) = places else { return Ok(()) };
                say(&Report::Suspected { subject, by, reason: reason_name(reason) })
            }
            Notice::Fault(fault) => {
                let Some(view) = self.naming.find(&fault.proof.view) else { return Ok(()) };
                let Some(culprit) = self.naming.place_of(&fault.key) else { return Ok(()) };
                let (view, proof) = (evidence::view_text(view), hex(&fault.proof.to_bytes()));
                say(&Report::Proven { culprit, view, proof })
            }
            Notice::Event(Event::Alarm { sender, number }) => {
                Err(format!("alarm: two certified branches of rank {sender} at {number}").into())
            }
            Notice::Event(event) => self.on_state(event),
            Notice::ComesBack { .. } | Notice::StaysOut { .. } => Ok(()),
        }
    }

    /// Hands the state over, and takes it in.
    fn on_state(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::SnapshotWanted { view } => {
                if let Some(ledger) = self.meter.ledger() {
                    let bytes = ledger.to_bytes();
                    self.runtime.offer(view, Snapshot::Bytes(bytes.into()))?;
                }
            }
            Event::State { offset, bytes, .. } => {
                if offset == 0 {
                    self.state.clear();
                }
                self.state.extend(bytes);
            }
            Event::StateLoaded { view, total } => {
                let state = std::mem::take(&mut self.state);
                let ledger =
                    Ledger::from_bytes(&state).ok_or("what was handed over is no state")?;
                self.meter.load(ledger);
                say(&Report::Loaded { view, bytes: total })?;
            }
            Event::SnapshotDiverged { view } => {
                return Err(format!("the members differ on the state of view {view}").into());
            }
            _ => {}
        }
        Ok(())
    }

    fn on_view(&mut self, line: String) -> Result<(), Failure> {
        let view = self.naming.view();
        let is_altered = self.args.alter_view == Some(view.number);
        let id = if is_altered { Hash32::ZERO } else { view.id() };
        self.views = crypto::hash("demo views", &[self.views.as_bytes(), id.as_bytes()]);
        let record = evidence::view_text(view);
        let took = self.blocked.take().map_or(Duration::ZERO, |since| since.elapsed());
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (total, hash) = self.meter.chain();
        say(&Report::View { record, line, took_us, total, hash })
    }

    fn on_delivery(&mut self, mut delivery: Delivery<'_>) -> Result<(), Failure> {
        let is_total = delivery.order == CastOrder::Total;
        if is_total && self.args.alter == Some(self.meter.chain().0) {
            delivery.payload = b"something else";
        }
        self.meter.on_delivery(delivery);
        if is_total
            && self.args.alter_state == Some(self.meter.chain().0)
            && let Some(ledger) = self.meter.ledger()
        {
            ledger.spoil();
        }
        let (total, hash) = self.meter.chain();
        if is_total && self.args.chain && total % CHECKPOINT == 0 {
            say(&Report::Checkpoint { total, hash })?;
        }
        Ok(())
    }

    fn status(&mut self) -> crate::report::Status {
        let network = self.runtime.stats().network;
        crate::report::Status {
            view: self.naming.view().number,
            views: self.views.to_string(),
            connected: network.connected,
            frames_out: network.frames_out,
            bytes_out: network.bytes_out,
            dropped_out: network.dropped_out,
            ..self.meter.status()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_makes_up_for_little_and_never_runs_when_stopped() {
        let mut pace = Pace::new(1_000);
        assert_eq!((pace.due(), pace.wait()), (0, None));
        pace.running = Some((Instant::now() - Duration::from_secs(10), 0));
        assert_eq!(pace.due(), DEBT);
        for _ in 0..DEBT {
            pace.made();
        }
        assert!(pace.due() <= 50, "{}", pace.due());
        pace.run(false);
        assert_eq!(pace.due(), 0);
        let mut flood = Pace::new(0);
        flood.run(true);
        assert_eq!((flood.due(), flood.wait()), (BURST, None));
    }
}
