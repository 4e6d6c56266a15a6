//! The liar of the demo: the simulator's adversary on real sockets. It is a correct member until it
//! is told to lie, and exists in testnets only.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use phalanx_core::crypto::{Suite, peer_id};
use phalanx_core::{Input, PeerId, Rank, Request, Ticket, Transmit};
use phalanx_mio::boot::Record;
use phalanx_mio::config::Home;
use phalanx_mio::net::{Network, NetworkConfig};
use phalanx_mio::{Clock, addresses};
use phalanx_sim::adversary::{Liar, Sent, Setup, Strategy};
use phalanx_sim::scenario::RoundPlan;

use crate::child::{Args, Pace, order_of, payload, read_orders, say};
use crate::report::{Order, Report, Status};
use crate::{Failure, run};

/// Runs the liar until its standard input ends.
pub(crate) fn liar(args: &Args, home: &Home) -> Result<(), Failure> {
    let mut record = Record::open(&home.state_dir, &home.group.genesis.group())?;
    record.claim(home.incarnation())?;
    let rank = home.rank.ok_or("only a member lies")?;
    let victim = Rank::new(args.mutant_for.unwrap_or_default());
    let setup = Setup {
        config: home.config.clone(),
        suite: Suite::Ed25519,
        liars: BTreeMap::from([(rank, *home.secret.seed())]),
        me: rank,
        strategy: Strategy::MutantMessage,
        with: None,
        plan: RoundPlan::default(),
        victims: Some(vec![victim]),
        seed: run::random_seed()?,
        state_bytes: 0,
    };
    let clock = Clock::default();
    let liar = Liar::asleep(&setup, clock.now())?;
    let view = home.group.genesis.view();
    let peers = addresses(&view)?;
    let me = peer_id(&home.secret.public_key());
    let config = NetworkConfig { seed: setup.seed, ..home.network.clone() };
    let network = Network::bind(&config, me, &peers)?;
    let waker = network.waker();
    let orders = read_orders(move || {
        // A waker fails only when the poll is gone, and then nobody waits.
        let _ = waker.wake();
    });
    let victim = args.drop_mutants.then(|| view.member(victim).map(|m| peer_id(&m.key))).flatten();
    say(&Report::Ready)?;
    let pace = Pace::new(args.rate);
    let puppeteer = Puppeteer { args, liar, network, clock, pace, victim, is_lying: false };
    puppeteer.serve(&orders)
}

struct Puppeteer<'a> {
    args: &'a Args,
    liar: Liar,
    network: Network,
    clock: Clock,
    pace: Pace,
    /// Frames for this peer are lost while it lies.
    victim: Option<PeerId>,
    is_lying: bool,
}

impl Puppeteer<'_> {
    fn serve(mut self, orders: &Receiver<Order>) -> Result<(), Failure> {
        let interval = Duration::from_millis(self.args.report_ms);
        let mut report_at = Instant::now() + interval;
        let mut count = 0;
        loop {
            let wait = report_at.saturating_duration_since(Instant::now());
            let due = self.liar.deadline().map(|deadline| self.clock.until(deadline));
            self.network.poll(Some(wait).into_iter().chain(due).chain(self.pace.wait()).min())?;
            let mut out = self.receive();
            loop {
                match orders.try_recv() {
                    Ok(order) => self.on_order(order)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            for _ in 0..self.pace.due() {
                let payload = payload(self.args.payload, count);
                let request =
                    Request::Cast { order: order_of(self.args, count), payload: &payload };
                out.extend(self.step(Input::Request(Ticket(count), request)));
                self.pace.made();
                count += 1;
            }
            if self.liar.deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
                out.extend(self.step(Input::Tick));
            }
            self.send(out);
            if Instant::now() >= report_at {
                say(&Report::Status(self.status()))?;
                report_at = Instant::now() + interval;
            }
        }
    }

    fn step(&mut self, input: Input<'_>) -> Vec<Sent> {
        self.liar.step(self.clock.now(), input)
    }

    fn receive(&mut self) -> Vec<Sent> {
        let Self { liar, network, clock, .. } = self;
        let mut out = Vec::new();
        network.receive(&mut |frame, _| {
            out.extend(liar.step(clock.now(), Input::Frame(frame)));
            // A liar does not care who is at the other end.
            true
        });
        out
    }

    fn send(&mut self, out: Vec<Sent>) {
        for Sent { to, frame } in out {
            if !self.is_lying || self.victim != Some(to) {
                self.network.send(Transmit { to, head: frame, body: [].into() });
            }
        }
        self.network.flush();
    }

    fn on_order(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Cast => self.pace.run(true),
            Order::Stop => self.pace.run(false),
            Order::Answer => say(&Report::Answer(self.status()))?,
            Order::Lie if !self.is_lying => {
                self.is_lying = true;
                self.liar.begin(Strategy::MutantMessage);
            }
            Order::Lie | Order::Reset => {}
        }
        Ok(())
    }

    fn status(&self) -> Status {
        let network = self.network.stats();
        Status {
            connected: network.connected,
            frames_out: network.frames_out,
            bytes_out: network.bytes_out,
            dropped_out: network.dropped_out,
            fired: self.liar.fired(),
            ..Status::default()
        }
    }
}
