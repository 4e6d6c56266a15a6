//! Whole runs: the same seed the same hash, time that never polls, faults that do what they say.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use super::*;
use crate::replay::{ReplayError, replay};
use crate::scenario::{Crash, Crypto, Join, Leave, Liars, Pause, Restart, Suspect};
use crate::swarm;
use crate::trace::Step;

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn small(members: u16, seed: u64) -> Scenario {
    let mut scenario = Scenario::calm("small", members, seed);
    scenario.workload.casts = 20;
    scenario.bound_us = 10_000_000;
    scenario
}

fn held(scenario: &Scenario) -> Outcome {
    let outcome = run(scenario, None).unwrap();
    assert_eq!(outcome.verdict, Verdict::Held, "{}", scenario.to_toml());
    outcome
}

fn traced(scenario: &Scenario) -> (Outcome, String) {
    let file = Memory::default();
    let outcome = run(scenario, Some(Box::new(file.clone()))).unwrap();
    let text = String::from_utf8(file.0.take()).unwrap();
    (outcome, text)
}

#[test]
fn the_same_seed_gives_the_same_hash_and_another_another() {
    for seed in [3, 4] {
        let scenario = small(4, seed);
        let first = held(&scenario);
        assert_eq!(first, held(&scenario));
        assert_ne!(first.hash, held(&small(4, seed + 10)).hash);
    }
    let drawn = swarm::draw(8);
    assert_eq!(run(&drawn, None).unwrap(), run(&drawn, None).unwrap());
}

#[test]
fn everything_cast_is_delivered_by_everybody_at_every_size() {
    for members in 1..=13 {
        let outcome = held(&small(members, 1));
        let casts = 20 * u64::from(members);
        assert_eq!((outcome.accepted, outcome.delivered), (casts, casts * u64::from(members)));
    }
}

#[test]
fn all_kinds_of_signatures_work() {
    for crypto in [Crypto::Ideal, Crypto::Ed25519, Crypto::Dummy] {
        let mut scenario = small(4, 2);
        scenario.crypto = crypto;
        held(&scenario);
    }
}

#[test]
fn recording_changes_nothing_and_a_trace_replays() {
    let scenario = small(4, 5);
    let (outcome, text) = traced(&scenario);
    assert_eq!(outcome.hash, held(&scenario).hash);
    let replayed = replay(io::Cursor::new(text.clone())).unwrap();
    assert_eq!(replayed.outcome, outcome);
    assert_eq!(replayed.steps + 2, text.lines().count() as u64);
}

#[test]
fn a_trace_with_processes_that_come_and_go_replays() {
    let mut scenario = small(5, 5);
    scenario.membership = crate::scenario::Membership::Managed;
    (scenario.pledge, scenario.rejoin, scenario.least_us) = (Some(0), true, 3_100_000);
    scenario.joins.push(Join { stay_us: Some(100_000), ..Join::at(20_000) });
    scenario.restarts.push(Restart { rank: 1, at_us: 40_000, down_us: 50_000 });
    scenario.leaves.push(Leave { rank: 0, at_us: 30_000 });
    let (by, of) = (vec![0, 2, 3, 4], vec![4]);
    scenario.suspects.push(Suspect { by, of, at_us: Some(3_000_000), after: None });
    let (outcome, text) = traced(&scenario);
    assert_eq!(outcome.verdict, Verdict::Held);
    assert_eq!(text.matches("\"input\":\"join\"").count(), 3);
    assert_eq!(replay(io::Cursor::new(text)).unwrap().outcome, outcome);
    assert_eq!(outcome.history.joined().len(), 3);
}

#[test]
fn a_trace_with_a_state_that_is_handed_over_replays() {
    let mut scenario = small(4, 5);
    scenario.membership = crate::scenario::Membership::Managed;
    (scenario.state_transfer, scenario.state_bytes) = (true, 150_000);
    (scenario.state_delay_us, scenario.least_us) = (2_000, 400_000);
    scenario.joins.push(Join { count: 2, ..Join::at(20_000) });
    let (outcome, text) = traced(&scenario);
    assert_eq!(outcome.verdict, Verdict::Held);
    assert!(outcome.marks.has(Mark::StateLoaded));
    let count = |kind: &str| text.matches(&format!("\"input\":\"{kind}\"")).count();
    assert_eq!(count("snapshot"), 4);
    assert!((3..=6).contains(&count("chunk")), "three chunks, for one or for each of two");
    assert_eq!(replay(io::Cursor::new(text)).unwrap().outcome, outcome);
    let again = Scenario { state_bytes: 150_001, ..scenario };
    assert_ne!(held(&again).hash, outcome.hash);
}

/// A run that has lines of every kind in its trace.
fn with_every_kind_of_line() -> Scenario {
    let mut scenario = small(5, 5);
    (scenario.workload.casts, scenario.limits.max_members) = (4, 7);
    scenario.membership = crate::scenario::Membership::Managed;
    (scenario.state_transfer, scenario.state_bytes, scenario.pledge) = (true, 9_000, Some(0));
    scenario.joins.push(Join::at(20_000));
    scenario.leaves.push(Leave { rank: 0, at_us: 600_000 });
    let (by, of) = (vec![0], vec![4]);
    scenario.suspects.push(Suspect { by, of, at_us: Some(300_000), after: None });
    scenario
}

/// Every way to change one field of a line: a number, a text, a truth, an end of a list.
fn edits(value: &serde_json::Value) -> Vec<serde_json::Value> {
    use serde_json::Value;
    match value {
        Value::Null => vec![Value::from(1)],
        Value::Bool(is) => vec![Value::from(!is)],
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            vec![Value::from(number + 1), Value::from(number ^ 4)]
        }
        Value::String(text) => {
            let mut other = text.clone();
            let first = other.pop();
            other.push(if first == Some('0') { '1' } else { '0' });
            vec![Value::from(other), Value::from(format!("{text}00"))]
        }
        Value::Array(values) => {
            let mut all: Vec<Value> = Vec::new();
            for (at, value) in values.iter().enumerate() {
                for edit in edits(value) {
                    let mut values = values.clone();
                    values[at] = edit;
                    all.push(Value::from(values));
                }
            }
            let mut longer = values.clone();
            longer.push(values.first().cloned().unwrap_or_else(|| Value::from("x")));
            all.push(Value::from(longer));
            all
        }
        Value::Object(fields) => {
            let mut all = Vec::new();
            for (name, value) in fields {
                for edit in edits(value) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), edit);
                    all.push(Value::from(fields));
                }
                let mut fields = fields.clone();
                fields.remove(name);
                all.push(Value::from(fields));
            }
            all
        }
    }
}

#[test]
fn an_edit_of_any_field_of_any_kind_of_line_is_found_out() {
    let scenario = with_every_kind_of_line();
    let (outcome, text) = traced(&scenario);
    assert_eq!(outcome.verdict, Verdict::Held);
    let lines: Vec<&str> = text.lines().collect();
    let input = |line: &str| serde_json::from_str::<Step>(line).ok().map(|step| step.input);
    // The last line of each kind has most behind it that would notice nothing.
    let mut kinds = std::collections::BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        kinds.insert(input(line).unwrap_or_else(|| format!("line {at}")), at);
    }
    assert_eq!(kinds.len(), 12, "{:?}", kinds.keys());
    let mut edited = 0;
    for at in kinds.into_values() {
        let value: serde_json::Value = serde_json::from_str(lines[at]).unwrap();
        // Fields of the scenario that change nothing but what it is called must be seen, too; of the
        // others, which are many and whose runs are whole runs, every seventh is tried.
        let step = if at == 0 { 7 } else { 1 };
        for edit in edits(&value).into_iter().step_by(step) {
            let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            lines[at] = edit.to_string();
            edited += 1;
            let found = replay(io::Cursor::new(lines.join("\n")));
            assert!(found.is_err(), "{at}: {edit}");
        }
    }
    assert!(edited > 150, "{edited}");
}

#[test]
fn an_edited_trace_is_found_out_where_it_was_edited() {
    let (_, text) = traced(&small(4, 5));
    let lines: Vec<&str> = text.lines().collect();
    let replayed = |lines: &[&str]| replay(io::Cursor::new(lines.join("\n")));
    let (all, mut other) = (lines.len(), lines.clone());
    assert!(
        matches!(replayed(&lines[..all - 1]), Err(ReplayError::Broken { line, .. }) if line == all)
    );
    other.remove(all / 2);
    assert!(replayed(&other).is_err(), "a step is missing");
    other = lines.clone();
    other.swap(all / 2, all / 2 + 1);
    assert!(replayed(&other).is_err(), "two steps are swapped");
    other = lines.clone();
    other.push(lines[all - 1]);
    assert!(matches!(replayed(&other), Err(ReplayError::Broken { line, .. }) if line == all + 1));
    // A cast that the application did not make.
    let at = lines.iter().position(|line| line.contains("\"input\":\"fifo\"")).unwrap();
    let mut step: Step = serde_json::from_str(lines[at]).unwrap();
    step.bytes.push_str("00");
    let changed = serde_json::to_string(&step).unwrap();
    other = lines.clone();
    other[at] = &changed;
    match replayed(&other) {
        Err(ReplayError::Mismatch { line, step: found, .. }) => {
            assert_eq!((line, found.step), (at + 1, step.step));
        }
        other => panic!("{other:?}"),
    }
    let last = lines[all - 1].replace("\"held\"", "\"safety\"");
    other = lines.clone();
    other[all - 1] = &last;
    let error = replayed(&other).unwrap_err();
    assert!(error.to_string().contains("the verdict is held, not safety"), "{error}");
}

/// Steps of the trace of one member.
fn steps(text: &str, rank: u16) -> Vec<Step> {
    let all = text.lines().filter_map(|line| serde_json::from_str::<Step>(line).ok());
    all.filter(|step| step.rank == rank).collect()
}

#[test]
fn an_idle_group_is_not_polled() {
    let mut scenario = small(4, 1);
    scenario.workload.casts = 0;
    scenario.least_us = 10_000_000;
    let (outcome, text) = traced(&scenario);
    assert!(matches!(outcome.verdict, Verdict::NothingOwed(_)), "nothing was cast");
    let ticks = steps(&text, 0).iter().filter(|step| step.input == "tick").count() as u64;
    let rows = scenario.least_us / scenario.timeouts.stable_us;
    // A tick for each row sent, and at most one for each time-out that the rows of others renew.
    assert!((rows..=3 * rows).contains(&ticks), "{ticks} ticks for {rows} rows");
}

#[test]
fn a_crashed_member_takes_no_step_and_a_frozen_one_none_while_it_is() {
    let mut scenario = small(4, 1);
    scenario.least_us = 1_000_000;
    scenario.crashes.push(Crash { rank: 1, at_us: Some(15_000), ..Crash::default() });
    let (outcome, text) = traced(&scenario);
    assert_eq!(outcome.verdict, Verdict::Held);
    let last = steps(&text, 1).last().map(|step| step.at).unwrap();
    assert!((1..=15_000).contains(&last), "{last}");

    let mut scenario = small(4, 1);
    scenario.heal_at_us = 600_000;
    scenario.pauses.push(Pause { rank: 1, at_us: 15_000, for_us: 500_000 });
    let (outcome, text) = traced(&scenario);
    assert_eq!(outcome.verdict, Verdict::Held);
    let steps = steps(&text, 1);
    assert!(!steps.iter().any(|step| (15_001..515_000).contains(&step.at)));
    assert!(steps.iter().any(|step| step.at >= 515_000));
}

#[test]
fn work_takes_its_time() {
    let quick = small(4, 1);
    let mut slow = quick.clone();
    slow.cost = crate::scenario::CostPreset::Rsa1024;
    slow.bound_us = 60_000_000;
    let (quick, slow) = (held(&quick), held(&slow));
    assert!(slow.end_us > 2 * quick.end_us, "{} {}", slow.end_us, quick.end_us);
    assert!(slow.counters.crypto.signatures < quick.counters.crypto.signatures);
}

#[test]
fn what_does_not_come_is_a_matter_of_liveness() {
    let mut scenario = small(4, 1);
    scenario.workload.casts = 2_000;
    scenario.bound_us = 50_000;
    let outcome = run(&scenario, None).unwrap();
    assert!(matches!(outcome.verdict, Verdict::Liveness(_)), "{}", outcome.verdict);
}

#[test]
fn a_violation_that_is_expected_and_does_not_happen_is_an_error() {
    let mut scenario = small(4, 1);
    scenario.bound_us = 1_000_000;
    scenario.expect.violates = Some("P3".to_owned());
    let outcome = run(&scenario, None).unwrap();
    assert!(matches!(outcome.verdict, Verdict::Vacuous(_)), "{}", outcome.verdict);
}

/// Plays with a bug planted that makes the run spin.
fn spins(planted: world::Planted) -> Verdict {
    let scenario = small(4, 1);
    let mut run = Run::new(&scenario, None).unwrap();
    run.world.planted = Some(planted);
    run.play().unwrap().verdict
}

#[test]
fn a_run_that_spins_ends_with_a_verdict_of_its_own() {
    let verdict = spins(world::Planted::Echo);
    assert!(matches!(&verdict, Verdict::Livelock(text) if text.contains("frames")), "{verdict}");
    let verdict = spins(world::Planted::Outputs);
    assert!(matches!(&verdict, Verdict::Livelock(text) if text.contains("outputs")), "{verdict}");
}

#[test]
fn where_most_are_faulty_nothing_is_owed() {
    let mut scenario = small(7, 1);
    for rank in 2..7 {
        scenario.crashes.push(Crash { rank, at_us: Some(1), ..Crash::default() });
    }
    scenario.bound_us = 3_000_000;
    for membership in [crate::scenario::Membership::Fixed, crate::scenario::Membership::Managed] {
        scenario.membership = membership;
        let outcome = run(&scenario, None).unwrap();
        assert!(matches!(outcome.verdict, Verdict::NothingOwed(_)), "{}", outcome.verdict);
    }
    let strategy = "silent_towards_some".to_owned();
    let liars = Liars {
        ranks: vec![2, 3, 4, 5, 6],
        strategy,
        victims: Some(vec![0, 1]),
        ..Liars::default()
    };
    let scenario = Scenario { crashes: Vec::new(), liars: Some(liars), ..scenario };
    let outcome = run(&scenario, None).unwrap();
    assert!(matches!(outcome.verdict, Verdict::NothingOwed(_)), "{}", outcome.verdict);
}

#[test]
fn a_break_that_is_expected_is_said_to_be_one() {
    let scenario = crate::library::find("paper_quorum_n5").unwrap();
    let (outcome, text) = traced(&scenario);
    match &outcome.verdict {
        Verdict::Expected(violations) => {
            assert!(violations.iter().all(|v| v.promise == crate::verdict::Promise::P3));
        }
        other => panic!("{other}"),
    }
    assert!(outcome.verdict.to_string().starts_with("broken as expected"));
    assert!(text.lines().last().unwrap().contains("\"broken as expected\""));
}
