//! Layer Stable alone: rows of others are signed by the test.

use alloc::vec;
use alloc::vec::Vec;

use super::{In, Out, Stable};
use crate::config::Config;
use crate::crypto::{Signed, Stable as Row};
use crate::fault::FaultKind;
use crate::layer::{Context, Post, To};
use crate::member::Rank;
use crate::rig::{Rig, genesis_of, quick_identity};
use crate::seq::Number;
use crate::time::Time;
use crate::wire::Part;

/// The machine of rank 0.
struct Solo {
    rig: Rig,
    machine: Stable,
    now: Time,
}

impl Solo {
    fn new(n: u8) -> Self {
        Self::with_active(n, Rank::all(usize::from(n)).collect())
    }

    fn with_active(n: u8, active: Vec<Rank>) -> Self {
        let config = Config::new(genesis_of((0..n).map(quick_identity)));
        let rig = Rig::quick(n);
        let machine = Stable::new(&config, &rig.roster, Rank::new(0), active, Time::ZERO);
        Self { rig, machine, now: Time::ZERO }
    }

    fn step(&mut self, input: In) -> Vec<Out> {
        let mut cx =
            Context { now: self.now, door: &mut self.rig.doors[0], roster: &self.rig.roster };
        self.machine.step(&mut cx, input)
    }

    /// A row of `signer` comes in, from itself or from anybody.
    fn row(&mut self, signer: u16, counter: u64, have: &[u64]) -> Vec<Out> {
        let row = self.rig.row(signer, counter, have);
        self.take(row)
    }

    fn take(&mut self, row: Signed<Row>) -> Vec<Out> {
        if !self.machine.wants(&row) {
            return Vec::new();
        }
        let row = self.rig.doors[0].verify(&self.rig.roster, row).expect("a good signature");
        self.step(In::Row(row))
    }

    fn sign(&mut self, have: &[u64]) -> Vec<Out> {
        self.step(In::Sign(have.iter().copied().map(Number::new).collect()))
    }
}

fn thresholds(outs: &[Out]) -> Vec<(u16, u64)> {
    let risen = |out: &Out| match out {
        Out::Threshold(sender, number) => Some((sender.value(), number.value())),
        _ => None,
    };
    outs.iter().filter_map(risen).collect()
}

fn posted(outs: &[Out]) -> Vec<(To, Signed<Row>)> {
    let row = |out: &Out| match out {
        Out::Post(post) => match &post.parts[..] {
            [Part::Stable(row)] | [Part::Stable(row), Part::RowCounters(_)] => {
                Some((post.to, row.clone()))
            }
            other => panic!("{other:?}"),
        },
        _ => None,
    };
    outs.iter().filter_map(row).collect()
}

#[test]
fn the_threshold_is_what_all_active_members_hold() {
    let mut solo = Solo::new(4);
    solo.sign(&[5, 5, 5, 5]);
    solo.row(1, 1, &[4, 9, 9, 0]);
    assert_eq!(thresholds(&solo.row(2, 1, &[3, 8, 5, 5])), [], "one has said nothing yet");
    let outs = solo.row(3, 1, &[7, 2, 5, 0]);
    assert_eq!(thresholds(&outs), [(0, 3), (1, 2), (2, 5)]);
    let outs = solo.row(1, 2, &[4, 9, 9, 1]);
    assert_eq!(thresholds(&outs), [(3, 1)], "only what rose");
    assert_eq!(solo.machine.threshold(Rank::new(0)), Number::new(3));
}

#[test]
fn a_silenced_member_is_not_waited_for_but_a_quorum_always_is() {
    let active = |ranks: &[u16]| ranks.iter().copied().map(Rank::new).collect();
    let mut solo = Solo::with_active(4, active(&[0, 1, 2]));
    solo.sign(&[5; 4]);
    solo.row(1, 1, &[4; 4]);
    assert_eq!(thresholds(&solo.row(2, 1, &[3; 4]))[0], (0, 3));
    let mut solo = Solo::with_active(4, active(&[0, 1]));
    solo.sign(&[5; 4]);
    assert_eq!(thresholds(&solo.row(1, 1, &[4; 4])), [], "two of four are no quorum");
    assert_eq!(thresholds(&solo.row(3, 1, &[2; 4]))[0], (0, 2), "a silenced one counts in it");
}

#[test]
fn a_sender_cannot_hold_its_own_log_back() {
    let mut solo = Solo::new(4);
    solo.sign(&[5; 4]);
    solo.row(1, 1, &[5; 4]);
    solo.row(2, 1, &[5; 4]);
    let outs = solo.row(3, 1, &[5, 4, 3, 0]);
    assert_eq!(thresholds(&outs), [(0, 5), (1, 4), (2, 3)]);
    assert_eq!(solo.machine.threshold(Rank::new(3)), Number::new(5), "without its own row");
}

#[test]
fn the_counters_of_all_rows_go_with_the_own_one_and_what_is_missing_is_asked_for() {
    let mut solo = Solo::new(4);
    solo.row(2, 7, &[1; 4]);
    let outs = solo.sign(&[0; 4]);
    let counters = outs.iter().find_map(|out| match out {
        Out::Post(Post { parts, .. }) => match &parts[..] {
            [_, Part::RowCounters(counters)] => Some(counters.to_vec()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(counters, Some(vec![1, 0, 7, 0]));
    assert!(solo.step(In::Counters(Rank::new(1), vec![1, 5, 9, 0])).is_empty());
    solo.now = Time::from_micros(25_000);
    let asked: Vec<_> = solo.step(In::Tick).iter().map(|out| std::format!("{out:?}")).collect();
    assert_eq!(asked.len(), 2, "the rows of 1 and 2: {asked:?}");
    solo.row(2, 9, &[1; 4]);
    solo.row(1, 5, &[1; 4]);
    solo.now = Time::from_micros(60_000);
    assert!(solo.step(In::Tick).is_empty(), "they are here");
}

#[test]
fn a_sender_that_is_asked_for_a_slot_is_shown_the_rows_that_it_does_not_hold() {
    let mut solo = Solo::new(4);
    solo.sign(&[1; 4]);
    solo.row(1, 5, &[1; 4]);
    solo.row(2, 7, &[1; 4]);
    assert_eq!(solo.machine.rows_for(Rank::new(2)).len(), 2);
    solo.step(In::Counters(Rank::new(2), vec![1, 4, 7, 0]));
    let rows = solo.machine.rows_for(Rank::new(2));
    assert!(matches!(&rows[..], [Part::Stable(row)] if row.signer == Rank::new(1)), "{rows:?}");
}

#[test]
fn overstating_moves_nothing_alone() {
    let mut solo = Solo::new(4);
    solo.sign(&[1; 4]);
    solo.row(1, 1, &[1; 4]);
    solo.row(2, 1, &[1; 4]);
    let outs = solo.row(3, 1, &[u64::MAX; 4]);
    assert_eq!(thresholds(&outs), [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn a_row_is_fresh_once_whoever_hands_it_over() {
    let mut solo = Solo::new(4);
    let row = solo.rig.row(2, 7, &[1; 4]);
    let is_fresh = |outs: &[Out]| matches!(outs, [Out::Fresh(rank, _)] if *rank == Rank::new(2));
    assert!(is_fresh(&solo.take(row.clone())));
    assert!(!solo.machine.wants(&row), "its signature is not checked again");
    assert!(solo.take(row).is_empty());
    assert!(solo.row(2, 6, &[1; 4]).is_empty(), "late");
    assert!(is_fresh(&solo.row(2, 8, &[1; 4])), "alive, though nothing moved");
    assert_eq!(solo.machine.counter(Rank::new(2)), 8);
}

#[test]
fn rows_that_contradict_each_other_are_a_proof() {
    for (counter, have) in [(7, [2, 1, 1, 1]), (8, [0, 9, 9, 9]), (6, [2, 1, 1, 1])] {
        let mut solo = Solo::new(4);
        solo.row(2, 7, &[1; 4]);
        let outs = solo.row(2, counter, &have);
        let [Out::Proof(proof)] = &outs[..] else { panic!("{counter} {have:?}: {outs:?}") };
        assert_eq!((proof.culprit(), proof.kind()), (Rank::new(2), FaultKind::TwoRows));
        assert_eq!(proof.verify_pair(&solo.rig.roster), Ok(()));
        assert_eq!(solo.machine.row(Rank::new(2), Rank::new(0)), Number::new(1));
    }
    let mut solo = Solo::new(4);
    solo.row(2, 7, &[1; 4]);
    assert!(solo.row(2, 6, &[1, 1, 1, 0]).is_empty(), "rising is what rows do");
}

#[test]
fn own_rows_count_up_and_never_fall() {
    let mut solo = Solo::new(4);
    let rows: Vec<_> = [[5, 0, 0, 0], [3, 1, 0, 0]]
        .iter()
        .map(|have| posted(&solo.sign(have)).remove(0))
        .collect();
    assert!(rows.iter().all(|(to, row)| *to == To::All && row.signer == Rank::new(0)));
    assert_eq!([rows[0].1.statement.counter, rows[1].1.statement.counter], [1, 2]);
    let have: Vec<u64> = rows[1].1.statement.have.iter().map(|have| have.value()).collect();
    assert_eq!(have, [5, 1, 0, 0], "a row may not say less than the one before");
    assert!(!solo.machine.wants(&rows[1].1), "an own row that comes back tells nothing");
}

#[test]
fn the_own_row_is_due_in_time_or_when_most_of_what_casts_may_use_is_used() {
    let mut solo = Solo::new(4);
    let limits = crate::Limits::default();
    let (most, bytes) = (u64::from(limits.window_bodies) / 2, u64::from(limits.window_bytes / 3));
    let held = |bodies, bytes| vec![(Number::new(bodies), bytes); 4].into_iter();
    assert!(solo.machine.is_due(solo.now, held(0, 0)), "the first is due at once");
    solo.sign(&[0; 4]);
    let due = solo.machine.deadline().expect("always");
    assert_eq!(due, Time::from_micros(100_000));
    assert!(!solo.machine.is_due(solo.now, held(most - 1, 0)));
    assert!(solo.machine.is_due(solo.now, held(most, 0)));
    assert!(solo.machine.is_due(solo.now, held(0, bytes)));
    assert!(solo.machine.is_due(due, held(0, 0)));
    solo.machine.note(held(most, bytes));
    assert!(!solo.machine.is_due(solo.now, held(most + 1, bytes + 1)));
}

#[test]
fn the_newest_row_is_handed_to_who_asks_and_has_an_older_one() {
    let mut solo = Solo::new(4);
    let (peer, member) = (Rank::new(1), Rank::new(2));
    assert!(solo.step(In::AskRow(peer, member, 0)).is_empty(), "nothing to hand over");
    let row = solo.rig.row(2, 7, &[1; 4]);
    solo.take(row.clone());
    assert_eq!(posted(&solo.step(In::AskRow(peer, member, 6))), [(To::One(peer), row)]);
    assert!(solo.step(In::AskRow(peer, member, 7)).is_empty());
}

#[test]
fn rows_asked_for_are_bounded_per_peer_and_interval() {
    let mut solo = Solo::new(4);
    solo.row(2, 7, &[1; 4]);
    let ask = |solo: &mut Solo, peer| solo.step(In::AskRow(Rank::new(peer), Rank::new(2), 0)).len();
    let handed: usize = (0..1_000).map(|_| ask(&mut solo, 1)).sum();
    assert!((1..=8).contains(&handed), "{handed}");
    assert_eq!(ask(&mut solo, 3), 1, "another peer has its own budget");
    solo.now = Time::from_micros(100_000);
    assert_eq!(ask(&mut solo, 1), 1);
}

/// From the Flush on the rows of a member say the same again and again (R0).
#[test]
fn rows_that_stand_still_are_fresh_and_contradict_nothing() {
    let (mut solo, mut other) = (Solo::new(4), Solo::with_active(4, vec![Rank::new(0)]));
    let mut counters = Vec::new();
    for _ in 0..3 {
        for (_, row) in posted(&solo.sign(&[3, 0, 2, 1])) {
            counters.push(row.statement.counter);
            let outs = other.take(by_another(&row));
            assert!(matches!(&outs[0], Out::Fresh(..)), "{outs:?}");
            assert!(!outs.iter().any(|out| matches!(out, Out::Proof(_))));
        }
    }
    assert_eq!(counters, [1, 2, 3]);
}

/// The same row as member 1 would sign it.
fn by_another(row: &Signed<Row>) -> Signed<Row> {
    let have: Vec<u64> = row.statement.have.iter().map(|have| have.value()).collect();
    Rig::quick(4).row(1, row.statement.counter, &have)
}
