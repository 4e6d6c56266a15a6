//! Loss by message kind, liars that lie where attempts fail, and silenced members that miss what nobody keeps: what makes an attempt of
//! a view change fail halfway.

use phalanx_core::Config;

use crate::adversary::Strategy;
use crate::oracle::quorums;
use crate::rng::{Seed, Stream};
use crate::scenario::{Fate, Kind, Membership, Pattern, Rule, Scenario, Signal, Suspect};

/// What a view change needs; each is lost for a while, Readys most often: what nobody sees decided
/// must be proposed again.
const KINDS: [Kind; 12] = [
    Kind::Ready,
    Kind::Ready,
    Kind::Ready,
    Kind::Ack,
    Kind::NewView,
    Kind::Commit,
    Kind::Flush,
    Kind::NeedMoreChange,
    Kind::Decision,
    Kind::Suspect,
    Kind::Stable,
    Kind::Heads,
];

/// Draws rules for some of the managed groups.
pub(super) fn draw(scenario: &mut Scenario) {
    let mut stream = Seed(scenario.seed).stream("swarm rules", 0);
    if scenario.membership == Membership::Fixed || scenario.members < 4 {
        return;
    }
    let has_liars = draw_strategy(scenario, &mut stream);
    if has_liars || stream.permille(200) {
        draw_loss(scenario, &mut stream);
    } else if stream.permille(80) && scenario.liars.is_none() && scenario.crashes.is_empty() {
        draw_laggard(scenario, &mut stream);
    }
}

/// Some liars lie where an attempt of a view change fails; says whether they do.
fn draw_strategy(scenario: &mut Scenario, stream: &mut Stream) -> bool {
    let is_in_change = scenario.strategy().is_some_and(|known| Strategy::GROUP.contains(&known));
    let Some(liars) = scenario.liars.as_mut().filter(|_| is_in_change && stream.permille(300))
    else {
        return false;
    };
    stream.pick(&Strategy::NEED_FAILURE).name().clone_into(&mut liars.strategy);
    true
}

/// Rules of the network need frames that are not cut to pieces, and time before it heals.
fn make_room(scenario: &mut Scenario, stream: &mut Stream) {
    scenario.frame_max = Config::FRAME_MAX;
    scenario.heal_at_us = scenario.heal_at_us.max(stream.between(2_000_000, 4_000_000));
}

/// One or two kinds are lost, or late, on some links until the network heals; in the meantime
/// somebody is suspected.
fn draw_loss(scenario: &mut Scenario, stream: &mut Stream) {
    make_room(scenario, stream);
    let n = scenario.members;
    for _ in 0..stream.between(1, 2) {
        let is_paper = scenario.pattern == Pattern::Paper;
        let kind =
            if is_paper && stream.permille(500) { Kind::Commit } else { stream.pick(&KINDS) };
        let count = if stream.permille(400) { 0 } else { stream.index(usize::from(n)) + 1 };
        let delay_us = if stream.permille(700) { 0 } else { stream.pick(&[50_000, 500_000]) };
        scenario.rules.push(Rule {
            kinds: vec![kind],
            to: stream.distinct(n, count),
            fate: if delay_us > 0 { Fate::Late } else { Fate::Drop },
            delay_us,
            permille: stream.pick(&[None, None, Some(500)]),
            until_us: Some(stream.between(1_800_000, scenario.heal_at_us)),
            may_miss: true,
            ..Rule::default()
        });
    }
    suspect(scenario, stream, 300_000);
}

/// Everybody suspects one member.
fn suspect(scenario: &mut Scenario, stream: &mut Stream, at_us: u64) -> u16 {
    let n = scenario.members;
    let of = stream.distinct(n, 1);
    let whom = of.first().copied().unwrap_or(0);
    let by = (0..n).filter(|rank| *rank != whom).collect();
    scenario.suspects.push(Suspect { by, of, at_us: Some(at_us), after: None });
    whom
}

/// A member is silenced, then cut off while the others work on; then the view changes again.
fn draw_laggard(scenario: &mut Scenario, stream: &mut Stream) {
    make_room(scenario, stream);
    let silent = suspect(scenario, stream, 50_000);
    let others: Vec<u16> = (0..scenario.members).filter(|rank| *rank != silent).collect();
    let weak = quorums::faulty(scenario.members) + 1;
    let after = Signal { installed: Some(1), count: Some(weak), ..Signal::default() };
    for (from, to) in [(vec![silent], others.clone()), (others, vec![silent])] {
        let after = Some(after.clone());
        scenario.rules.push(Rule { from, to, after, may_miss: true, ..Rule::default() });
    }
    scenario.limits.window_bodies = scenario.limits.window_bodies.min(8);
    let at_us = scenario.heal_at_us;
    suspect(scenario, stream, at_us);
}
