//! A Byzantine process: body doubles inside, a strategy between them and the network.

use std::collections::BTreeMap;

use phalanx_core::wire::frame::{self, FrameKind, is_stranger};
use phalanx_core::wire::stranger;
use phalanx_core::{
    Boot, Config, ConfigError, Event, Input, Node, Order, Output, Rank, Request, Ticket, Time,
    Transmit, View,
};

use super::act::{Act, Honest, Stage, Wish};
use super::puppet::{Letter, Opened, Puppet};
use super::{Sent, Setup, Strategy};
use crate::application::Application;
use crate::rng::Seed;
use crate::scenario::Kind;

/// One Byzantine process. Driven like a [`Node`]: inputs in, frames out, one deadline.
#[derive(Debug)]
pub struct Liar {
    puppet: Puppet,
    act: Box<dyn Act>,
    /// Whether it lies, and begins anew in each view.
    is_awake: bool,
    doubles: Vec<Double>,
    /// To begin anew with.
    setup: Setup,
    held: BTreeMap<(Time, u64), Letter>,
    holds: u64,
    fired: u64,
    /// How often it changed a message of each kind.
    changed: BTreeMap<Kind, u64>,
    /// When it first did so in the view that it is in.
    lies_since: Option<Time>,
    /// Whether it did so in a view that lasted for a while after that.
    was_heard: bool,
}

/// A body double and its application.
#[derive(Debug)]
struct Double {
    node: Node,
    application: Application,
}

/// Who lied for so long in one view was heard by those that the lies were for.
const HEARD_US: u64 = 2_000_000;

/// Casts that a strategy adds have tickets from here on; the caller's are below.
const OWN_TICKETS: u64 = 1 << 63;

/// The most casts that a strategy adds in one step.
const CASTS_PER_STEP: u64 = 16;

impl Liar {
    /// The liar of this setup.
    ///
    /// # Errors
    /// If the configuration is wrong, or a liar's key is not that of its rank.
    pub fn new(setup: &Setup, now: Time) -> Result<Self, ConfigError> {
        let mut puppet = Puppet::new(setup)?;
        let act = setup.act(&mut puppet);
        let mut liar = Self::with(setup, puppet, act, now)?;
        liar.is_awake = true;
        Ok(liar)
    }

    /// A liar that does what a correct member does until [`Liar::begin`].
    ///
    /// # Errors
    /// As [`Liar::new`].
    pub fn asleep(setup: &Setup, now: Time) -> Result<Self, ConfigError> {
        Self::with(setup, Puppet::new(setup)?, Box::new(Honest), now)
    }

    /// Begins to lie. For strategies with one body double, which goes on as it was.
    pub fn begin(&mut self, strategy: Strategy) {
        (self.setup.strategy, self.setup.with) = (strategy, None);
        self.act = self.setup.act(&mut self.puppet);
        self.is_awake = true;
    }

    fn with(
        setup: &Setup,
        puppet: Puppet,
        act: Box<dyn Act>,
        now: Time,
    ) -> Result<Self, ConfigError> {
        let doubles =
            (0..act.doubles()).map(|_| double(setup, None, now)).collect::<Result<Vec<_>, _>>()?;
        let setup = setup.clone();
        let held = BTreeMap::new();
        let (is_awake, holds, fired) = (false, 0, 0);
        let (lies_since, was_heard) = (None, false);
        Ok(Self {
            puppet,
            act,
            is_awake,
            doubles,
            setup,
            held,
            holds,
            fired,
            changed: BTreeMap::new(),
            lies_since,
            was_heard,
        })
    }

    /// Takes one input; returns what to put on the network.
    pub fn step(&mut self, now: Time, input: Input<'_>) -> Vec<Sent> {
        let Self { puppet, act, doubles, setup, held, .. } = self;
        let act = act.as_mut();
        let mut stage = Stage::new(puppet, now);
        while let Some(entry) = held.first_entry()
            && entry.key().0 <= now
        {
            stage.post(&entry.remove());
        }
        let from = sender(stage.puppet, &input);
        let mut changed = None;
        if let (Some(from), Input::Frame(frame)) = (from, input) {
            changed = overhear(act, &mut stage, from, frame);
        }
        let input = changed.as_deref().map_or(input, Input::Frame);
        let mut next = None;
        for (index, double) in doubles.iter_mut().enumerate() {
            let is_for_it = match input {
                Input::Frame(frame) if is_stranger(frame) => true,
                Input::Frame(_) => from.is_some_and(|from| act.lets_in(stage.puppet, index, from)),
                Input::Request(ticket, _) => act.takes(index, ticket),
                Input::Tick => true,
            };
            if is_for_it {
                let installed = drive(act, &mut stage, (index, double), input);
                next = if index == 0 { installed } else { next };
            }
        }
        act.tick(&mut stage);
        if let Some(double) = doubles.first_mut() {
            for ticket in OWN_TICKETS..OWN_TICKETS + CASTS_PER_STEP {
                let Some(payload) = act.casts(&mut stage) else { break };
                let request = Request::Cast { order: Order::Fifo, payload: &payload };
                drive(act, &mut stage, (0, double), Input::Request(Ticket(ticket), request));
            }
        }
        let wish = act.wish(&mut stage);
        if let (Some(wish), Some(double)) = (wish, doubles.first_mut()) {
            let request = Input::Request(Ticket(OWN_TICKETS), Request::Leave);
            match wish {
                Wish::Leave => drop(drive(act, &mut stage, (0, double), request)),
                Wish::Forget => renew(double, self::double(setup, None, now)),
                Wish::Return(life) => {
                    renew(double, self::double(setup, Some(life), now));
                }
            }
        }
        let Stage { out, held: new, fired, changed, .. } = stage;
        for (kind, times) in changed {
            let count = self.changed.entry(kind).or_default();
            *count = count.saturating_add(times);
        }
        for (due, letter) in new {
            self.holds = self.holds.saturating_add(1);
            self.held.insert((due, self.holds), letter);
        }
        self.fired = self.fired.saturating_add(fired);
        if fired > 0 {
            self.lies_since.get_or_insert(now);
        }
        if let Some(view) = next {
            self.installs(&view, now);
        }
        out
    }

    /// Its first body double is in another view.
    fn installs(&mut self, view: &View, now: Time) {
        if !self.puppet.installs(view) {
            return;
        }
        let since = self.lies_since.take();
        self.was_heard |= since.is_some_and(|since| now.since(since) >= HEARD_US);
        if self.act.outlives_views() {
            self.act.enters(&mut self.puppet);
        } else if self.is_awake {
            self.act = self.setup.act(&mut self.puppet);
        }
    }

    /// By when [`Input::Tick`] is owed.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let held = self.held.keys().next().map(|(due, _)| *due);
        let own = self.act.deadline().into_iter().chain(held);
        self.doubles.iter().filter_map(|double| double.node.deadline()).chain(own).min()
    }

    /// How often the strategy did what it is for: changed, withheld or made up something.
    #[must_use]
    pub const fn fired(&self) -> u64 {
        self.fired
    }

    /// How often it changed a message of each kind towards a correct member, if its strategy goes by
    /// kinds.
    #[must_use]
    pub const fn changed(&self) -> &BTreeMap<Kind, u64> {
        &self.changed
    }

    /// Whether it did so in the view that it is in, or in one that did not end before others could
    /// hear it.
    #[must_use]
    pub const fn was_heard(&self) -> bool {
        self.was_heard || self.lies_since.is_some()
    }
}

/// A correct process that begins: in the genesis view, or as one that joins.
fn double(setup: &Setup, life: Option<u64>, now: Time) -> Result<Double, ConfigError> {
    let key_seed = *setup.liars.get(&setup.me).ok_or(ConfigError::NotAMember)?;
    let identity = setup.identity(key_seed);
    let config = Config { frame_max: Config::FRAME_MAX, ..setup.config.clone() };
    let least = config.genesis.state_transfer.then_some(setup.state_bytes);
    let stream = Seed(setup.seed).stream("application", 0);
    let application = |joins| Application::new(least, 0, joins, stream);
    let view = config.genesis.view();
    let listed = view.rank_of(identity.public_key()).and_then(|rank| view.member(rank));
    if let (Some(listed), None) = (listed, life) {
        let boot = Boot { incarnation: listed.incarnation };
        let node = Node::new(config, identity, boot, now)?;
        return Ok(Double { node, application: application(false) });
    }
    let members = view.peers();
    let contacts = members.values().zip(&view.members);
    let contacts = contacts.map(|(peer, member)| (*peer, member.addr.clone())).collect();
    let boot = Boot { incarnation: life.unwrap_or(0) };
    let node = Node::join(config, identity, boot, contacts, now)?;
    Ok(Double { node, application: application(true) })
}

/// The body double begins anew; what the core does not allow does not happen.
fn renew(double: &mut Double, anew: Result<Double, ConfigError>) {
    if let Ok(anew) = anew {
        *double = anew;
    }
}

/// Who sent the frame in `input`, if a member did.
fn sender(puppet: &Puppet, input: &Input<'_>) -> Option<Rank> {
    match input {
        Input::Frame(frame) => puppet.rank_of(phalanx_core::peek_sender(frame)?),
        Input::Request(..) | Input::Tick => None,
    }
}

/// Shows a frame that came in to the strategy; returns what the body doubles get in its place.
fn overhear(act: &mut dyn Act, stage: &mut Stage<'_>, from: Rank, frame: &[u8]) -> Option<Vec<u8>> {
    act.frame_in(stage, from, frame);
    if !act.is_listening() {
        return None;
    }
    let Some(Opened::Letter(mut letter)) = stage.puppet.open(from, frame) else { return None };
    if !stage.puppet.is_present(&letter) {
        return None;
    }
    let is_changed = act.incoming(stage, &mut letter);
    if is_changed { stage.puppet.reseal(&letter, frame) } else { None }
}

/// Steps a body double, whose application then hands over what it owes, and shows what it says to
/// the strategy. Returns the view that it installed, if it did.
fn drive(
    act: &mut dyn Act,
    stage: &mut Stage<'_>,
    (index, double): (usize, &mut Double),
    input: Input<'_>,
) -> Option<Box<View>> {
    let mut installed = step(act, stage, (index, double), input);
    while let Some(reply) = double.application.reply(stage.now.as_micros()) {
        let input = Input::Request(Ticket(OWN_TICKETS), reply.request());
        let next = step(act, stage, (index, double), input);
        installed = next.or(installed);
    }
    installed
}

fn step(
    act: &mut dyn Act,
    stage: &mut Stage<'_>,
    (index, double): (usize, &mut Double),
    input: Input<'_>,
) -> Option<Box<View>> {
    let mut installed = None;
    let mut said: Vec<Transmit> = Vec::new();
    let mut is_out = false;
    for output in double.node.step(stage.now, input) {
        if let Output::Event(event) = &output {
            // Whatever the core thinks of a liar's double is not judged.
            let _ = double.application.on_event(stage.now.as_micros(), event);
        }
        match output {
            Output::Transmit(transmit) => said.push(transmit),
            Output::Event(Event::View(view)) => installed = Some(view),
            Output::Event(Event::Excluded { .. }) => is_out = true,
            Output::Event(_) | Output::Fault(_) => {}
        }
    }
    if is_out {
        act.excluded(stage);
    }
    if let Some(view) = &installed {
        stage.puppet.foresees(view);
    }
    for transmit in said {
        pass_on(act, stage, index, &transmit);
    }
    installed
}

/// Shows a frame of a body double to the strategy.
fn pass_on(act: &mut dyn Act, stage: &mut Stage<'_>, double: usize, transmit: &Transmit) {
    let mut frame = Vec::with_capacity(transmit.len());
    transmit.append_to(&mut frame);
    if transmit.is_stranger() {
        let content = frame::parse(&frame).map(|parsed| stranger::decode(parsed.content()));
        if let Some(Ok(message)) = content {
            act.stranger(stage, transmit.to, message);
        }
        return;
    }
    let Some(to) = stage.puppet.rank_of(transmit.to) else { return };
    match stage.puppet.open(to, &frame) {
        Some(Opened::Letter(letter)) => {
            if !stage.puppet.is_present(&letter) {
                act.outgoing_elsewhere(stage, letter);
                return;
            }
            stage.puppet.note(&letter);
            act.outgoing(stage, double, letter);
        }
        Some(Opened::Ack(content)) => {
            if act.lets_ack_pass(stage.puppet, double, to)
                && let Some(frame) = stage.puppet.seal_small(FrameKind::FragmentAck, to, content)
            {
                stage.post_frame(to, frame);
            }
        }
        None => {}
    }
}
