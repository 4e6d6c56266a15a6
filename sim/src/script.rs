//! Plays the rules of a scenario ([`crate::scenario::Rule`]) and says when its signals come.
//!
//! Frames are only opened where there is a rule or a signal: a scenario without them costs nothing.

use phalanx_core::wire::frame::{self, FrameKind};
use phalanx_core::wire::{self, Packet};
use phalanx_core::{Hash32, View};

use crate::rng::Stream;
use crate::scenario::{Fate, Kind, Rule, Scenario, Signal};

/// What a frame says, for rules.
struct Seen {
    /// The number of its view, if some member installed that.
    view: Option<u64>,
    packet: Packet,
}

impl Seen {
    /// Whether a part is of a kind and an attempt.
    fn says(&self, kind: Option<Kind>, attempt: Option<u64>) -> bool {
        self.is_about(kind, &Rule { attempt, ..Rule::default() })
    }

    /// Whether a part is of a kind, and of the attempt, log and step of a rule.
    fn is_about(&self, kind: Option<Kind>, rule: &Rule) -> bool {
        if kind == Some(Kind::Haves) {
            return !self.packet.haves.is_empty();
        }
        self.packet.parts.iter().any(|part| {
            kind.is_none_or(|kind| kind == Kind::of(part))
                && rule.attempt.is_none_or(|attempt| Kind::attempt(part) == Some(attempt))
                && rule.log.is_none_or(|log| Kind::log(part) == Some(log))
                && rule.step.is_none_or(|step| Kind::step(part) == Some(step))
        })
    }
}

fn is_among(all: &[u16], process: u16) -> bool {
    all.is_empty() || all.contains(&process)
}

/// A signal that is waited for.
#[derive(Debug)]
struct Watch {
    signal: Signal,
    /// Who did it so far.
    by: Vec<u16>,
}

/// Something that happened.
struct Happened<'a> {
    is_sent: bool,
    from: u16,
    to: u16,
    seen: &'a Seen,
}

impl Watch {
    fn new(signal: &Signal) -> Self {
        Self { signal: signal.clone(), by: Vec::new() }
    }

    fn has_come(&self) -> bool {
        self.by.len() >= self.signal.count.unwrap_or(1)
    }

    fn note(&mut self, by: u16) {
        if is_among(&self.signal.from, by) && !self.by.contains(&by) {
            self.by.push(by);
        }
    }

    fn frame(&mut self, happened: &Happened<'_>) {
        let signal = &self.signal;
        let kind = if happened.is_sent { signal.sent } else { signal.read };
        let is_meant = kind.is_some_and(|kind| {
            is_among(&signal.to, happened.to)
                && (signal.view.is_none() || signal.view == happened.seen.view)
                && happened.seen.says(Some(kind), signal.attempt)
        });
        if is_meant {
            self.note(happened.from);
        }
    }

    fn installed(&mut self, by: u16, number: u64) {
        if self.signal.installed.is_some_and(|least| number >= least) {
            self.note(by);
        }
    }
}

/// A rule at work.
#[derive(Debug)]
struct Live {
    rule: Rule,
    after: Option<Watch>,
    until: Option<Watch>,
    /// Its links have a liar at one end, so it outlasts healing.
    is_liars: bool,
    hits: u64,
    held: Vec<Frame>,
}

impl Live {
    fn watches(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.after.iter_mut().chain(&mut self.until)
    }

    fn is_over(&self, now_us: u64, heal_us: u64) -> bool {
        self.until.as_ref().is_some_and(Watch::has_come)
            || self.rule.until_us.is_some_and(|until_us| now_us >= until_us)
            || (!self.is_liars && now_us >= heal_us)
    }

    fn is_on(&self, now_us: u64, heal_us: u64) -> bool {
        now_us >= self.rule.from_us
            && self.after.as_ref().is_none_or(Watch::has_come)
            && !self.is_over(now_us, heal_us)
    }

    fn means(&self, from: u16, to: u16, seen: &Seen) -> bool {
        let rule = &self.rule;
        if !is_among(&rule.from, from) || !is_among(&rule.to, to) {
            return false;
        }
        if rule.view.is_some() && rule.view != seen.view {
            return false;
        }
        let says = |kind| seen.is_about(kind, rule);
        if rule.kinds.is_empty() {
            let is_any = rule.attempt.is_none() && rule.log.is_none() && rule.step.is_none();
            return is_any || says(None);
        }
        rule.kinds.iter().any(|kind| says(Some(*kind)))
    }
}

/// A frame on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who sends it.
    pub from: u16,
    /// For whom.
    pub to: u16,
    /// What.
    pub bytes: Vec<u8>,
}

/// The rules and signals of a run.
#[derive(Debug)]
pub struct Script {
    /// The most members that a view may have.
    members_max: u16,
    heal_us: u64,
    rules: Vec<Live>,
    /// Of what else waits for a signal, by its place.
    watches: Vec<(Watch, bool)>,
    views: Vec<(Hash32, u64)>,
    stream: Stream,
}

impl Script {
    /// The script of `scenario`, whose first view is `genesis`.
    #[must_use]
    pub fn new(scenario: &Scenario, genesis: &View, stream: Stream) -> Self {
        let liars = scenario.liar_ranks();
        let are_liars =
            |ranks: &[u16]| !ranks.is_empty() && ranks.iter().all(|rank| liars.contains(rank));
        let live = |rule: &Rule| Live {
            after: rule.after.as_ref().map(Watch::new),
            until: rule.until.as_ref().map(Watch::new),
            is_liars: are_liars(&rule.from) || are_liars(&rule.to),
            hits: 0,
            held: Vec::new(),
            rule: rule.clone(),
        };
        Self {
            members_max: scenario.hosts(),
            heal_us: scenario.heal_at_us,
            rules: scenario.rules.iter().map(live).collect(),
            watches: scenario.signals().map(|signal| (Watch::new(signal), false)).collect(),
            views: vec![(genesis.id(), genesis.number)],
            stream,
        }
    }

    const fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.watches.is_empty()
    }

    /// Opens a frame; `None` for a piece of one, and for what is none.
    fn open(&self, bytes: &[u8]) -> Option<Seen> {
        let parsed = frame::parse(bytes)?;
        if parsed.header.kind != FrameKind::Whole {
            return None;
        }
        let (packet, casts) = frame::split_whole(parsed.content())?;
        let mut sizes = (1..=usize::from(self.members_max)).rev();
        let packet = sizes.find_map(|n| wire::decode(packet, n, !casts.is_empty()).ok())?;
        let view = self.views.iter().find(|(id, _)| *id == packet.view).map(|(_, number)| *number);
        Some(Seen { view, packet })
    }

    /// A frame leaves its sender; what to do with it, and how much later. It is kept if it is held.
    pub fn sent(&mut self, now_us: u64, frame: &Frame) -> (Fate, u64) {
        const PASSES: (Fate, u64) = (Fate::Late, 0);
        if self.is_empty() {
            return PASSES;
        }
        let Some(seen) = self.open(&frame.bytes) else { return PASSES };
        let (from, to) = (frame.from, frame.to);
        let fate = self.fate(now_us, frame, &seen);
        // What a frame signals is so for those after it.
        self.happened(&Happened { is_sent: true, from, to, seen: &seen });
        fate.unwrap_or(PASSES)
    }

    /// What the first rule that means a frame makes of it.
    fn fate(&mut self, now_us: u64, frame: &Frame, seen: &Seen) -> Option<(Fate, u64)> {
        let heal_us = self.heal_us;
        for live in &mut self.rules {
            if !live.is_on(now_us, heal_us) || !live.means(frame.from, frame.to, seen) {
                continue;
            }
            if live.rule.permille.is_some_and(|permille| !self.stream.permille(permille)) {
                continue;
            }
            live.hits += 1;
            if live.rule.fate == Fate::Hold {
                live.held.push(frame.clone());
            }
            return Some((live.rule.fate, live.rule.delay_us));
        }
        None
    }

    /// A frame arrives.
    pub fn read(&mut self, from: u16, to: u16, bytes: &[u8]) {
        let is_read = |watch: &Watch| watch.signal.read.is_some();
        let is_watched = self.watches.iter().any(|(watch, _)| is_read(watch))
            || self.rules.iter_mut().any(|live| live.watches().any(|watch| is_read(watch)));
        if !is_watched {
            return;
        }
        if let Some(seen) = self.open(bytes) {
            self.happened(&Happened { is_sent: false, from, to, seen: &seen });
        }
    }

    fn happened(&mut self, happened: &Happened<'_>) {
        let watches = self.watches.iter_mut().map(|(watch, _)| watch);
        watches.chain(self.rules.iter_mut().flat_map(Live::watches)).for_each(|watch| {
            watch.frame(happened);
        });
    }

    /// A correct member installs a view.
    pub fn installed(&mut self, by: u16, view: &View) {
        if self.is_empty() {
            return;
        }
        let id = view.id();
        if !self.views.iter().any(|(known, _)| *known == id) {
            self.views.push((id, view.number));
        }
        let watches = self.watches.iter_mut().map(|(watch, _)| watch);
        watches.chain(self.rules.iter_mut().flat_map(Live::watches)).for_each(|watch| {
            watch.installed(by, view.number);
        });
    }

    /// The places of signals that came since this was last asked.
    pub fn came(&mut self) -> Vec<usize> {
        let mut came = Vec::new();
        for (place, (watch, was_told)) in self.watches.iter_mut().enumerate() {
            if !*was_told && watch.has_come() {
                *was_told = true;
                came.push(place);
            }
        }
        came
    }

    /// The frames of rules that are over.
    pub fn released(&mut self, now_us: u64) -> Vec<Frame> {
        let heal_us = self.heal_us;
        let over = self.rules.iter_mut().filter(|live| live.is_over(now_us, heal_us));
        over.flat_map(|live| std::mem::take(&mut live.held)).collect()
    }

    /// When frames may be released for no other reason than that it is time.
    pub fn releases_us(&self) -> impl Iterator<Item = u64> {
        let times = self.rules.iter().filter_map(|live| live.rule.until_us);
        times.chain((!self.rules.is_empty()).then_some(self.heal_us))
    }

    /// Which rule never applied, or which signal never came, if that makes a run void.
    #[must_use]
    pub fn void(&self) -> Option<String> {
        let is_idle = |live: &Live| live.hits == 0 && !live.rule.may_miss;
        let rule = self.rules.iter().position(is_idle);
        let signal = self.watches.iter().position(|(watch, _)| !watch.has_come());
        rule.map(|place| format!("rule {} never applied", place + 1))
            .or_else(|| signal.map(|place| format!("signal {} never came", place + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Group;
    use crate::rng::Seed;
    use phalanx_core::crypto::MacKey;
    use phalanx_core::wire::frame::{Header, Prepared};
    use phalanx_core::wire::{List, Part};
    use phalanx_core::{Attempt, PeerId, Rank};

    const HEAL: u64 = 1_000;

    fn script(scenario: &mut Scenario, rules: &str) -> Script {
        #[derive(serde::Deserialize)]
        struct Rules {
            rule: Vec<Rule>,
        }
        scenario.rules = toml::from_str::<Rules>(rules).unwrap().rule;
        scenario.heal_at_us = HEAL;
        let genesis = Group::new(scenario).unwrap().genesis.view();
        Script::new(scenario, &genesis, Seed(1).stream("script", 0))
    }

    /// A frame of the genesis view that says this.
    fn frame(scenario: &Scenario, from: u16, to: u16, part: Part) -> Frame {
        let view = Group::new(scenario).unwrap().genesis.view();
        let packet = Packet { view: view.id(), haves: List::new(), parts: List::from(vec![part]) };
        let (packet, hash) = (wire::encode(&packet), Hash32::ZERO);
        let header = Header { kind: FrameKind::Whole, group: 0, from: PeerId(1), counter: 1 };
        let bytes = Prepared::new(packet, hash, hash).seal(&MacKey::derive(&[7; 32], &[]), &header);
        Frame { from, to, bytes }
    }

    fn row(scenario: &Scenario, from: u16, to: u16) -> Frame {
        frame(scenario, from, to, Part::AskRow { member: Rank::new(0), above: 1 })
    }

    fn ask(scenario: &Scenario, from: u16, to: u16, attempt: u32) -> Frame {
        frame(scenario, from, to, Part::AskNewView(Attempt::new(attempt)))
    }

    const PASSES: (Fate, u64) = (Fate::Late, 0);

    #[test]
    fn a_rule_means_its_kinds_links_and_attempts_only() {
        let mut calm = Scenario::calm("script", 4, 1);
        let rule = "[[rule]]\nkinds = [\"ask_new_view\"]\nfrom = [0]\nto = [1]\nattempt = 2\n";
        let mut script = script(&mut calm, rule);
        assert!(script.void().is_some());
        assert_eq!(script.sent(0, &ask(&calm, 0, 1, 2)), (Fate::Drop, 0));
        assert!(script.void().is_none());
        for frame in
            [ask(&calm, 0, 1, 1), ask(&calm, 0, 2, 2), ask(&calm, 1, 0, 2), row(&calm, 0, 1)]
        {
            assert_eq!(script.sent(0, &frame), PASSES);
        }
        assert_eq!(script.sent(HEAL, &ask(&calm, 0, 1, 2)), PASSES, "it is well");
    }

    #[test]
    fn a_liars_link_is_never_well() {
        let mut calm = Scenario::calm("script", 4, 1);
        calm.liars = Some(crate::scenario::Liars {
            ranks: vec![0],
            strategy: "scripted".to_owned(),
            ..crate::scenario::Liars::default()
        });
        let mut script = script(&mut calm, "[[rule]]\nfrom = [0]\n");
        assert_eq!(script.sent(HEAL, &row(&calm, 0, 1)), (Fate::Drop, 0));
        assert_eq!(script.sent(HEAL, &row(&calm, 1, 0)), PASSES);
    }

    #[test]
    fn what_is_held_goes_on_when_the_signal_comes() {
        let mut calm = Scenario::calm("script", 4, 1);
        let rule = "[[rule]]\nkinds = [\"ask_row\"]\nfate = \"hold\"\n\
                    until = { sent = \"ask_new_view\", count = 2 }\n";
        let mut script = script(&mut calm, rule);
        let held = row(&calm, 2, 3);
        assert_eq!(script.sent(0, &held), (Fate::Hold, 0));
        script.sent(1, &ask(&calm, 0, 1, 0));
        script.sent(1, &ask(&calm, 0, 2, 0));
        assert_eq!(script.released(1), [], "one member said it twice");
        script.sent(2, &ask(&calm, 1, 2, 0));
        assert_eq!(script.released(2), std::slice::from_ref(&held));
        assert_eq!(script.sent(3, &held), PASSES);
    }

    #[test]
    fn a_rule_begins_after_what_it_waits_for() {
        let mut calm = Scenario::calm("script", 4, 1);
        let rule = "[[rule]]\nfate = \"late\"\ndelay_us = 7\n\
                    after = { read = \"ask_row\", to = [3] }\n";
        let mut script = script(&mut calm, rule);
        let frame = row(&calm, 2, 3);
        assert_eq!(script.sent(0, &frame), PASSES);
        script.read(2, 1, &frame.bytes);
        assert_eq!(script.sent(0, &frame), PASSES);
        script.read(2, 3, &frame.bytes);
        assert_eq!(script.sent(0, &frame), (Fate::Late, 7));
    }
}
