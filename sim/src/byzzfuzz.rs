//! ByzzFuzz (Winter et al., "Randomized Testing of Byzantine Fault Tolerant Algorithms", 2023): faults
//! by rounds of the protocol instead of by time. A seed draws `c` rounds in which one liar's messages are
//! corrupted towards some receivers, and `d` rounds that are cut by a partition. Few faults at the right
//! rounds reach states that a storm does not.
//!
//! Rounds are steps of the logs (bodies, heads and rows of one number) and phases of the view change (one
//! kind of message of one attempt). Everything is a [`Scenario`], so each run can be written to a file
//! and played again, and all oracles judge it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::adversary::Strategy;
use crate::book::{self, Entry};
use crate::rng::{Seed, Stream};
use crate::run::RunError;
use crate::scenario::{
    Corrupt, Kind, Liars, Membership, Network, Pattern, Rule, Scenario, Scope, Suspect,
};
use crate::trace::to_hex;
use crate::verdict::{self, Verdict};

/// Sizes of groups.
const SIZES: [u16; 5] = [4, 4, 5, 6, 7];

/// Steps of the logs that may be hit, and attempts of a view change.
const STEPS: u64 = 10;
const ATTEMPTS: u64 = 3;

/// Views that may be hit: the genesis view and the one after it.
const VIEWS: u64 = 2;

/// Partitioned rounds end then, and what was said in them is said again.
const HEAL_US: u64 = 6_000_000;

/// Casts of each member.
const CASTS: u32 = 60;

/// How many faults there are in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Rounds with corrupted messages.
    pub corrupt: u16,
    /// Rounds with a partition.
    pub partition: u16,
}

/// A round of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Round {
    kind: Kind,
    view: u64,
    attempt: Option<u64>,
    step: Option<u64>,
}

impl Round {
    /// A step of the logs, or a phase of a view change; each as often as the other.
    fn draw(stream: &mut Stream, pattern: Pattern) -> Self {
        let view = stream.below(VIEWS);
        if stream.permille(500) {
            let kinds = [Kind::Body, Kind::Heads, Kind::Stable, Kind::Certificate];
            // Certificates are sent on request only where replies go to all.
            let kinds = if pattern == Pattern::Paper { &kinds[..] } else { &kinds[..3] };
            let step = Some(stream.between(1, STEPS));
            return Self { kind: stream.pick(kinds), view, attempt: None, step };
        }
        let kind = stream.pick(&[
            Kind::Flush,
            Kind::NeedMoreChange,
            Kind::NewView,
            Kind::Ack,
            Kind::Commit,
            Kind::Ready,
            Kind::Decision,
            Kind::Installed,
            Kind::Suspect,
        ]);
        let has_attempt = matches!(
            kind,
            Kind::NeedMoreChange | Kind::NewView | Kind::Ack | Kind::Commit | Kind::Ready
        );
        let first = u64::from(kind == Kind::NeedMoreChange);
        // The first attempt is met most often.
        let attempt = first + stream.below(ATTEMPTS).min(stream.below(ATTEMPTS));
        Self { kind, view, attempt: has_attempt.then_some(attempt), step: None }
    }
}

/// The run that a seed stands for.
#[must_use]
pub fn scenario(seed: u64, faults: Faults) -> Scenario {
    let mut stream = Seed(seed).stream("byzzfuzz", 0);
    let n = stream.pick(&SIZES);
    let mut scenario = Scenario::calm(&format!("byzzfuzz {seed}"), n, seed);
    scenario.membership = Membership::Managed;
    scenario.frame_max = phalanx_core::Config::FRAME_MAX;
    if stream.permille(300) {
        scenario.pattern = Pattern::Paper;
    }
    scenario.pledge = stream.pick(&[None, None, Some(0)]);
    scenario.rejoin = true;
    scenario.network = Network { min_us: 200, max_us: 1_500, ..Network::default() };
    scenario.workload.casts = CASTS;
    scenario.least_us = HEAL_US / 2;
    let liars = stream.distinct(n, 1);
    // A change in the genesis view, and in half of the runs another one.
    for at_us in [150_000, 1_500_000].into_iter().take(1 + stream.index(2)) {
        let of = stream.distinct(n, 1);
        let by = (0..n).filter(|rank| !of.contains(rank)).collect();
        scenario.suspects.push(Suspect { by, of, at_us: Some(at_us), after: None });
    }
    let mut cuts = Vec::new();
    for _ in 0..faults.partition {
        let round = Round::draw(&mut stream, scenario.pattern);
        let count = 1 + stream.index(usize::from(n) - 1);
        let side = stream.distinct(n, count);
        partition(&mut scenario, round, &side);
        cuts.push((round, side));
    }
    let mut corrupt = Vec::new();
    for _ in 0..faults.corrupt {
        let round = Round::draw(&mut stream, scenario.pattern);
        corrupt.push(draw_corrupt(&mut stream, round, (n, &liars), &cuts));
    }
    let strategy = Strategy::CorruptRounds.name().to_owned();
    scenario.liars = Some(Liars { ranks: liars, strategy, corrupt, ..Liars::default() });
    scenario
}

/// Messages of a round do not pass between a side and the others, until the network heals.
fn partition(scenario: &mut Scenario, round: Round, side: &[u16]) {
    scenario.heal_at_us = HEAL_US;
    let others: Vec<u16> = (0..scenario.members).filter(|rank| !side.contains(rank)).collect();
    for (from, to) in [(side.to_vec(), others.clone()), (others, side.to_vec())] {
        scenario.rules.push(Rule {
            kinds: vec![round.kind],
            view: Some(round.view),
            attempt: round.attempt,
            step: round.step,
            from,
            to,
            until_us: Some(HEAL_US),
            may_miss: true,
            ..Rule::default()
        });
    }
}

/// Some receivers, but none that a partition cuts off from the liar in that round: those get nothing
/// that could be corrupted.
fn draw_corrupt(
    stream: &mut Stream,
    round: Round,
    (n, liars): (u16, &[u16]),
    cuts: &[(Round, Vec<u16>)],
) -> Corrupt {
    let is_near = |rank: u16| {
        let cut = cuts.iter().filter(|(cut, _)| *cut == round);
        let mut sides = cut.map(|(_, side)| side);
        sides.all(|side| liars.iter().all(|liar| side.contains(liar) == side.contains(&rank)))
    };
    let others: Vec<u16> = (0..n).filter(|rank| !liars.contains(rank) && is_near(*rank)).collect();
    let count = 1 + stream.index(others.len().max(1));
    let chosen = stream.distinct(u16::try_from(others.len()).unwrap_or(0), count);
    let to: Vec<u16> =
        chosen.into_iter().filter_map(|at| others.get(usize::from(at)).copied()).collect();
    let scope = if stream.permille(700) { Scope::Small } else { Scope::Any };
    // With nobody near, itself: then nobody gets it.
    let to = if to.is_empty() { liars.to_vec() } else { to };
    Corrupt {
        kinds: vec![round.kind],
        view: Some(round.view),
        attempt: round.attempt,
        step: round.step,
        to,
        scope,
        seed: stream.any(),
    }
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Runs played.
    pub runs: u64,
    /// Runs in which a correct member got something corrupted.
    pub corrupting: u64,
    /// Runs in which a view changed.
    pub changed_views: u64,
    /// Attempts given up in all.
    pub attempts: u64,
    /// How many runs ended how.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// By kind of message: runs in which it was corrupted, and how often in all.
    pub kinds: BTreeMap<Kind, (u64, u64)>,
    /// Names of the runs that did not hold, with what is to be seen.
    pub failures: Vec<(String, String)>,
    /// Hash over the hashes of all runs, in order.
    pub hash: String,
    /// The worst exit code.
    pub code: u8,
}

impl Report {
    /// Sums up.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut report = Self { runs: entries.len() as u64, ..Self::default() };
        let mut state = Sha256::new();
        for Entry { scenario, outcome } in entries {
            state.update(outcome.hash.as_bytes());
            report.corrupting += u64::from(outcome.fired > 0);
            report.changed_views += u64::from(!outcome.history.views.is_empty());
            report.attempts += outcome.history.transitional() as u64;
            *report.verdicts.entry(outcome.verdict.word()).or_default() += 1;
            for (kind, times) in &outcome.changed {
                let (runs, all) = report.kinds.entry(*kind).or_default();
                (*runs, *all) = (*runs + 1, *all + times);
            }
            if outcome.verdict != Verdict::Held {
                let failed = (scenario.name.clone(), outcome.verdict.to_string());
                report.failures.push(failed);
                report.code = report.code.max(outcome.verdict.code());
            }
        }
        report.hash = to_hex(&state.finalize());
        report
    }

    /// This one and then another.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.runs += other.runs;
        self.corrupting += other.corrupting;
        self.changed_views += other.changed_views;
        self.attempts += other.attempts;
        for (word, count) in &other.verdicts {
            *self.verdicts.entry(word).or_default() += count;
        }
        for (kind, (runs, times)) in &other.kinds {
            let (all_runs, all_times) = self.kinds.entry(*kind).or_default();
            (*all_runs, *all_times) = (*all_runs + runs, *all_times + times);
        }
        self.failures.extend(other.failures.iter().cloned());
        let both = [self.hash.as_bytes(), other.hash.as_bytes()].concat();
        self.hash = to_hex(&Sha256::digest(&both));
        self.code = self.code.max(other.code);
        self
    }

    /// The table.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<20} {:>6} {:>9}", "corrupted", "runs", "messages")];
        for (kind, (runs, times)) in &self.kinds {
            lines.push(format!("{:<20} {runs:>6} {times:>9}", format!("{kind:?}")));
        }
        lines.extend(self.figures());
        lines
    }

    /// The figures without the kinds of messages.
    #[must_use]
    pub fn figures(&self) -> Vec<String> {
        let verdicts: Vec<String> =
            self.verdicts.iter().map(|(word, count)| format!("{word} {count}")).collect();
        let mut lines = vec![
            format!("runs {}, in which liars lied {}", self.runs, self.corrupting),
            format!("views changed in {}, attempts given up {}", self.changed_views, self.attempts),
            format!("verdicts {}", verdicts.join(", ")),
        ];
        let failures = self.failures.iter();
        lines.extend(failures.map(|(name, verdict)| format!("{name}: {verdict}")));
        lines.push(format!("hash {}", self.hash));
        lines
    }

    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        // Nothing corrupted is nothing shown.
        if self.code == verdict::HELD && self.corrupting == 0 {
            return verdict::OWN_ERROR;
        }
        self.code
    }
}

/// Plays seeds on several threads.
///
/// # Errors
/// If one cannot be played.
pub fn play(seeds: std::ops::Range<u64>, faults: Faults, jobs: usize) -> Result<Report, RunError> {
    let scenarios = seeds.map(|seed| scenario(seed, faults)).collect();
    Ok(Report::of(&book::play_all(scenarios, jobs)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::quorums;

    const FAULTS: Faults = Faults { corrupt: 4, partition: 2 };

    #[test]
    fn a_seed_always_draws_the_same_valid_run() {
        for seed in 0..300 {
            let drawn = scenario(seed, FAULTS);
            assert_eq!(drawn, scenario(seed, FAULTS));
            let text = drawn.to_toml();
            assert_eq!(Scenario::parse("drawn", &text).unwrap(), drawn, "{text}");
            assert!(drawn.liar_ranks().len() <= quorums::faulty(drawn.members));
            assert_eq!((drawn.rules.len(), drawn.liars.unwrap().corrupt.len()), (4, 4));
        }
    }

    #[test]
    fn few_rounds_are_corrupted_and_every_promise_holds() {
        let report = play(0..24, FAULTS, 2).unwrap();
        assert_eq!(report.code(), verdict::HELD, "{}", report.lines().join("\n"));
        assert!(report.corrupting > 8, "{}", report.lines().join("\n"));
        assert!(report.kinds.len() > 3, "{}", report.lines().join("\n"));
        let again = play(0..24, FAULTS, 1).unwrap();
        assert_eq!(report.hash, again.hash);
    }

    #[test]
    fn without_faults_nothing_is_corrupted() {
        let report = play(0..2, Faults { corrupt: 0, partition: 0 }, 1).unwrap();
        assert_eq!((report.corrupting, report.code()), (0, verdict::OWN_ERROR));
    }
}
