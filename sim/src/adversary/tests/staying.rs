//! What the strategies that stay emit: everything is signed well and contradicts nothing, and is as their
//! names say.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::crypto::{Head, Heads, Signed, Stable};
use phalanx_core::wire::{List, Part};
use phalanx_core::{Hash32, Number, Rank, Time};

use super::rig::Rig;
use crate::adversary::act::{Act, Stage};
use crate::adversary::puppet::Puppet;
use crate::adversary::{Sent, Strategy, Trickle};
use crate::scenario::{Corrupt, Kind, Scope};

/// A liar of rank 0 in a group of four.
struct Bench {
    rig: Rig,
    puppet: Puppet,
    act: Box<dyn Act>,
    fired: u64,
}

impl Bench {
    fn new(strategy: Strategy, corrupt: Vec<Corrupt>) -> Self {
        let rig = Rig::dummy(4);
        let mut setup = rig.setup(&[0], strategy, 1);
        setup.victims = Some(vec![Rank::new(2)]);
        setup.plan.corrupt = corrupt;
        let mut puppet = Puppet::new(&setup).unwrap();
        let act = strategy.act(&mut puppet);
        Self { rig, puppet, act, fired: 0 }
    }

    /// What becomes of parts on their way to a member, and of time.
    fn say(&mut self, at_us: u64, to: u16, parts: Vec<Part>) -> Vec<Part> {
        let mut stage = Stage::new(&mut self.puppet, Time::from_micros(at_us));
        let letter = stage.puppet.letter(Rank::new(to), parts, &[]);
        self.act.outgoing(&mut stage, 0, letter);
        self.act.tick(&mut stage);
        self.fired += stage.fired;
        let sent = core::mem::take(&mut stage.out);
        sent.iter()
            .filter(|sent| self.is_for(sent, to))
            .flat_map(|sent| self.parts(sent, to))
            .collect()
    }

    fn is_for(&self, sent: &Sent, to: u16) -> bool {
        self.puppet.peer(Rank::new(to)) == Some(sent.to)
    }

    /// The parts of a frame as its receiver takes them.
    fn parts(&self, sent: &Sent, to: u16) -> Vec<Part> {
        let received = self.rig.receive(Rank::new(to), Rank::new(0), &sent.frame);
        received.expect("a good frame").1.parts.to_vec()
    }

    fn row(&mut self, counter: u64, have: u64) -> Part {
        let have = List::from(vec![Number::new(have); 4]);
        Part::Stable(self.puppet.sign(self.puppet.me, Stable { counter, have }).unwrap())
    }
}

fn rows(parts: &[Part]) -> Vec<Signed<Stable>> {
    let row = |part: &Part| match part {
        Part::Stable(row) => Some(row.clone()),
        _ => None,
    };
    parts.iter().filter_map(row).collect()
}

/// No two rows are a Proof: counters rise, and haves never fall with them.
fn assert_consistent(rig: &Rig, rows: &[Signed<Stable>]) {
    let mut by_counter: BTreeMap<u64, Vec<Number>> = BTreeMap::new();
    for row in rows {
        assert!(rig.roster().verifies(row));
        let have = row.statement.have.to_vec();
        let known = by_counter.entry(row.statement.counter).or_insert_with(|| have.clone());
        assert_eq!(*known, have, "two rows of counter {}", row.statement.counter);
    }
    let all: Vec<&Vec<Number>> = by_counter.values().collect();
    for pair in all.windows(2) {
        assert!(pair[0].iter().zip(pair[1]).all(|(a, b)| a <= b), "{pair:?}");
    }
}

#[test]
fn split_rows_are_two_ladders_that_contradict_nothing() {
    let mut bench = Bench::new(Strategy::SplitRows, Vec::new());
    let mut all = Vec::new();
    for counter in 1..20 {
        for to in [1, 2, 3] {
            let row = bench.row(counter, counter * 3);
            let said = rows(&bench.say(counter * 100_000, to, vec![row]));
            assert_eq!(said[0].statement.have[2] == Number::ZERO, to == 2);
            assert_eq!(said[0].statement.counter < 1_000_000, to == 2);
            all.extend(said);
        }
    }
    assert_consistent(&bench.rig, &all);
    assert_eq!(bench.fired, 19);
}

#[test]
fn trickling_rows_rise_by_one_per_interval() {
    for (trickle, steps) in [(Trickle::Edge, 5), (Trickle::Half, 10), (Trickle::Tenth, 50)] {
        let mut bench = Bench::new(Strategy::TrickleRows(trickle), Vec::new());
        let mut all = Vec::new();
        for counter in 1..=100 {
            let row = bench.row(counter, counter * 30);
            all.extend(rows(&bench.say(counter * 100_000, 1, vec![row])));
        }
        assert_consistent(&bench.rig, &all);
        let last = all.last().unwrap().statement.have[1].value();
        assert!((steps - 1..=steps + 1).contains(&last), "{trickle:?}: {last}");
    }
}

#[test]
fn an_order_stopper_fills_its_window_and_creeps() {
    let mut bench = Bench::new(Strategy::OrderStopper, Vec::new());
    let (mut all, mut bodies) = (Vec::new(), BTreeSet::new());
    for counter in 1..=100 {
        let row = bench.row(counter, 7);
        let said = bench.say(counter * 100_000, 1, vec![row]);
        for part in &said {
            match part {
                Part::Body(body) => drop(bodies.insert(body.number.value())),
                Part::Heads(heads) => assert!(bench.rig.roster().verifies(heads)),
                _ => {}
            }
        }
        all.extend(rows(&said));
    }
    assert_consistent(&bench.rig, &all);
    let own = all.last().unwrap().statement.have[0].value();
    assert!((4..=5).contains(&own), "{own} steps in ten seconds");
    let window = u64::from(bench.puppet.limits.window_bodies);
    assert_eq!(bodies.into_iter().collect::<Vec<_>>(), (1..=window + own).collect::<Vec<_>>());
    assert_eq!(all.last().unwrap().statement.have[1].value(), 7, "true for all other logs");
}

#[test]
fn a_flood_is_true_and_thousands_a_second() {
    let mut bench = Bench::new(Strategy::StatementFlood, Vec::new());
    let (mut all, mut count) = (Vec::new(), 0);
    for at in 0..50 {
        let row = bench.row(1 + at / 10, 5 + at / 10);
        let said = bench.say(1 + at * 4_000, 1, vec![row]);
        count += said.len();
        all.extend(rows(&said));
    }
    assert_consistent(&bench.rig, &all);
    assert!(count > 4_000, "{count} statements in 200 ms");
}

#[test]
fn empty_casts_are_a_good_chain_the_end_of_which_comes_first() {
    let mut bench = Bench::new(Strategy::EmptyCasts, Vec::new());
    let row = bench.row(1, 0);
    bench.say(0, 1, vec![row]);
    let mut numbers = Vec::new();
    for at in 0..20 {
        let said = bench.say(400_000 + at * 5_000, 1, Vec::new());
        for part in &said {
            if let Part::Body(body) = part {
                numbers.push((body.number.value(), body.links.len() as u64));
            }
        }
    }
    assert_eq!(numbers, [(4, 0), (3, 1), (2, 2), (1, 3)]);
}

#[test]
fn only_the_rounds_that_are_named_are_corrupted() {
    let me = Rank::new(0);
    let corrupt = |kind, step, scope| Corrupt {
        kinds: vec![kind],
        step: Some(step),
        to: vec![1, 3],
        scope,
        seed: 9,
        ..Corrupt::default()
    };
    let plan = vec![corrupt(Kind::Stable, 4, Scope::Small), corrupt(Kind::Heads, 7, Scope::Any)];
    let mut bench = Bench::new(Strategy::CorruptRounds, plan);
    let mut changed = Vec::new();
    for step in 1..10 {
        for to in [1, 2, 3] {
            let head = Head { sender: me, number: Number::new(step), hash: Hash32([3; 32]) };
            let heads = bench.puppet.sign_heads(me, vec![head]).map(Part::Heads).unwrap();
            let said = vec![bench.row(step, 50), heads];
            let got = bench.say(step, to, said.clone());
            assert_eq!(got.len(), 2);
            for (before, after) in said.iter().zip(&got) {
                match after {
                    Part::Stable(row) => assert!(bench.rig.roster().verifies(row)),
                    Part::Heads(heads) => {
                        assert!(bench.rig.roster().verifies::<Heads>(heads));
                    }
                    other => panic!("{other:?}"),
                }
                if before != after {
                    changed.push((Kind::of(after), step, to));
                }
            }
        }
    }
    let expected =
        [(Kind::Stable, 4, 1), (Kind::Stable, 4, 3), (Kind::Heads, 7, 1), (Kind::Heads, 7, 3)];
    assert_eq!(changed, expected);
    assert_eq!(bench.fired, 4);
}
