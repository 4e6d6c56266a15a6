//! Layer Total alone: TO1, TO2 and TO3 of protocol.md section 6, and random arrival orders.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{In, Out, Total};
use crate::config::Timeouts;
use crate::crypto::Link;
use crate::layer::reliable::Body;
use crate::member::Rank;
use crate::rig::some_hash;
use crate::seq::{Number, Round, Slot, SlotMark};
use crate::time::Time;
use crate::wire::casts::Count;

const fn value(round: u64) -> SlotMark {
    SlotMark::Value(Round::new(round))
}

const fn null(round: u64) -> SlotMark {
    SlotMark::Null(Round::new(round))
}

/// Body `number` of a sender; the layer looks at its slot alone.
fn body(sender: u16, number: u64, slot: SlotMark) -> In {
    let body = Arc::new(Body {
        sender: Rank::new(sender),
        number: Number::new(number),
        prev: some_hash(0),
        hash: some_hash(1),
        link: Link { slot, casts: some_hash(2) },
        casts: Arc::from([]),
        count: Count::default(),
        tickets: Vec::new(),
    });
    // Nobody had it before.
    In::Deliverable(body, Time::from_micros(u64::MAX))
}

/// The machine of rank 0.
struct Solo {
    machine: Total,
    now: Time,
    /// Sender, number and slot of what was delivered.
    merged: Vec<(u16, u64, Slot)>,
    /// Whose slots were waited for, in order.
    waits: Vec<u16>,
}

impl Solo {
    fn new(n: u16) -> Self {
        Self::with_active(&(0..n).map(Rank::new).collect::<Vec<_>>())
    }

    fn with_active(active: &[Rank]) -> Self {
        let machine =
            Total::new(&Timeouts::default(), Rank::new(0), active, (active.len() - 1) / 3);
        Self { machine, now: Time::ZERO, merged: Vec::new(), waits: Vec::new() }
    }

    /// A step; returns what is not a delivery.
    fn step(&mut self, input: In) -> Vec<Out> {
        let mut rest = Vec::new();
        for out in self.machine.step(self.now, input) {
            match out {
                Out::Deliver(body, slot) => {
                    self.merged.push((body.sender.value(), body.number.value(), slot));
                }
                Out::Waits(sender) => self.waits.push(sender.value()),
                other => rest.push(other),
            }
        }
        rest
    }

    /// Body `number` of `sender` became deliverable; returns how many were delivered.
    fn give(&mut self, sender: u16, number: u64, slot: SlotMark) -> usize {
        let before = self.merged.len();
        assert!(self.step(body(sender, number, slot)).is_empty());
        self.merged.len() - before
    }

    fn senders(&self) -> Vec<u16> {
        self.merged.iter().map(|(sender, ..)| *sender).collect()
    }

    /// Ticks at the deadline.
    fn wait(&mut self) -> Vec<Out> {
        self.now = self.machine.deadline().expect("something is awaited");
        self.step(In::Tick)
    }
}

fn asked(outs: &[Out]) -> Vec<(u16, u64)> {
    let ask = |out: &Out| match out {
        Out::AskSlot(sender, round) => (sender.value(), round.value()),
        other => panic!("{other:?}"),
    };
    outs.iter().map(ask).collect()
}

fn blamed(outs: &[Out]) -> Vec<u16> {
    let blame = |out: &Out| match out {
        Out::Impedes(sender) => sender.value(),
        other => panic!("{other:?}"),
    };
    outs.iter().map(blame).collect()
}

#[test]
fn to1_slots_are_delivered_round_by_round_in_rank_order() {
    let mut solo = Solo::new(3);
    assert_eq!(solo.give(2, 1, value(0)), 0);
    assert_eq!(solo.give(1, 1, value(0)), 0);
    assert_eq!(solo.give(1, 2, value(1)), 0);
    assert_eq!(solo.give(0, 1, value(0)), 3, "the round is complete");
    assert_eq!(solo.give(0, 2, value(1)), 2);
    assert_eq!(solo.senders(), [0, 1, 2, 0, 1]);
    let slot = |round, place| Slot { round: Round::new(round), place };
    assert_eq!(solo.merged[4], (1, 2, slot(1, 1)));
}

#[test]
fn to1_one_null_stands_for_all_rounds_up_to_it() {
    let mut solo = Solo::new(3);
    for round in 0..5 {
        solo.give(1, round + 1, value(round));
    }
    assert_eq!(solo.give(0, 1, null(3)), 1, "(0, 1) is first now, (0, 2) is missing");
    assert_eq!(solo.give(2, 1, null(1)), 2, "up to (2, 1), (2, 2) is missing");
    assert_eq!(solo.give(2, 2, null(9)), 1, "up to (3, 1), (4, 0) is missing");
    assert_eq!(solo.give(0, 2, value(7)), 1, "a later value says so too");
}

#[test]
fn to1_bodies_without_a_slot_change_nothing() {
    let mut solo = Solo::new(2);
    solo.give(1, 1, value(0));
    assert_eq!(solo.give(0, 1, SlotMark::None), 0);
    assert_eq!(solo.give(0, 2, null(0)), 1);
}

#[test]
fn to1_the_places_are_those_of_the_active_members() {
    let mut solo = Solo::with_active(&[Rank::new(0), Rank::new(2)]);
    assert_eq!(solo.give(1, 1, value(0)), 0, "a silenced member owns no slots");
    solo.give(2, 1, value(0));
    assert_eq!(solo.give(0, 1, null(0)), 1);
    assert_eq!(solo.merged[0].2.place, 1);
}

/// Bodies of the cut that were not deliverable before, as the layer below hands them over.
fn remainder(bodies: &[(u16, u64, SlotMark)]) -> Vec<Arc<Body>> {
    let one = |(sender, number, slot): &(u16, u64, SlotMark)| match body(*sender, *number, *slot) {
        In::Deliverable(body, _) => body,
        other => panic!("{other:?}"),
    };
    bodies.iter().map(one).collect()
}

#[test]
fn the_close_delivers_the_rest_in_slot_order_and_takes_what_is_missing_for_null() {
    let mut solo = Solo::new(4);
    solo.give(2, 1, value(0));
    solo.give(1, 1, value(3));
    assert_eq!(solo.give(0, 1, value(0)), 2, "(0, 1) is null, for 1 went on; (0, 3) is open");
    let rest = remainder(&[
        (0, 2, value(2)),
        (0, 3, SlotMark::None),
        (0, 4, value(9)),
        (2, 2, null(4)),
        (2, 3, value(5)),
    ]);
    let mut places = Vec::new();
    for out in solo.machine.close(&rest) {
        let Out::Deliver(body, slot) = out else { panic!("{out:?}") };
        places.push((body.sender.value(), slot.round.value()));
    }
    assert_eq!(places, [(0, 2), (1, 3), (2, 5), (0, 9)]);
    assert_eq!(solo.machine.deadline(), None);
    assert!(solo.machine.close(&[]).is_empty(), "nothing twice");
}

#[test]
fn after_the_freeze_nobody_is_asked_or_blamed_but_merging_goes_on() {
    let mut solo = Solo::new(3);
    solo.give(2, 1, value(0));
    assert!(solo.machine.deadline().is_some());
    solo.machine.freeze();
    assert_eq!(solo.machine.deadline(), None);
    solo.give(2, 2, value(1));
    solo.now = solo.now.plus(60_000_000);
    assert!(solo.step(In::Tick).is_empty());
    solo.give(0, 1, null(0));
    assert_eq!(solo.give(1, 1, null(0)), 1);
}

#[test]
fn to2_the_first_sight_of_what_another_settles_is_a_debt() {
    let mut solo = Solo::new(3);
    // The value that a null answers may be kept from this member.
    for slot in [value(7), null(7)] {
        let outs = solo.step(In::Sighted(Rank::new(1), slot));
        assert!(matches!(outs[..], [Out::Owe(round)] if round == Round::new(7)), "{outs:?}");
    }
    assert!(solo.step(In::Sighted(Rank::new(1), SlotMark::None)).is_empty());
    assert!(solo.step(In::Sighted(Rank::new(0), value(7))).is_empty(), "its own");
}

#[test]
fn to3_a_missing_slot_is_asked_for_and_then_held_against_its_sender() {
    let mut solo = Solo::new(4);
    assert_eq!(solo.machine.deadline(), None);
    solo.give(0, 1, value(2));
    solo.give(3, 1, null(2));
    assert_eq!(solo.machine.deadline(), Some(Time::from_micros(1_000_000)));
    assert_eq!(asked(&solo.wait()), [(1, 0), (2, 0)], "every sender that is waited for");
    solo.give(1, 1, null(2));
    assert_eq!(blamed(&solo.wait()), [2], "somebody had the other one");
    assert_eq!(solo.machine.deadline(), None, "said once");
    assert_eq!(solo.give(2, 1, null(5)), 1);
}

#[test]
fn to3_settling_one_slot_at_a_time_does_not_restart_the_clock() {
    let mut solo = Solo::new(2);
    solo.give(0, 1, value(9));
    for round in 0..3 {
        solo.now = solo.now.plus(300_000);
        solo.give(1, round + 1, null(round));
        assert!(solo.step(In::Tick).is_empty());
    }
    assert_eq!(asked(&solo.wait()), [(1, 3)]);
    assert_eq!(solo.now, Time::from_micros(1_000_000));
    solo.give(1, 4, null(7));
    assert_eq!(blamed(&solo.wait()), [1], "all that waited at the beginning is due");
}

#[test]
fn to3_what_comes_later_has_its_own_time() {
    let mut solo = Solo::new(2);
    solo.give(0, 1, value(1));
    solo.now = solo.now.plus(900_000);
    solo.give(0, 2, value(5));
    solo.give(1, 1, null(1));
    assert_eq!(solo.waits, [1, 1]);
    assert_eq!(asked(&solo.wait()), [(1, 2)]);
    assert_eq!(solo.now, Time::from_micros(1_900_000));
}

/// A value of 2 each second, deliverable 2 ms after it was seen, for which 1 settles its slot so many
/// microseconds after that; whether 1 is found late.
fn is_late(settles_us: u64, ceiling: u64) -> bool {
    let mut solo = Solo::new(3);
    solo.give(0, 1, null(10_000));
    (0..1_000_u64).any(|round| {
        solo.now = Time::from_micros(round * 1_000_000);
        solo.step(In::Sighted(Rank::new(2), value(round)));
        solo.now = solo.now.plus(2_000);
        solo.give(2, round + 1, value(round));
        solo.machine.may_write_up_to(Rank::new(1), Number::new(ceiling));
        solo.now = solo.now.plus(settles_us);
        let outs = solo.step(body(1, round + 1, null(round)));
        matches!(outs[..], [Out::Late(sender)] if sender == Rank::new(1))
    })
}

#[test]
fn to4_a_sender_far_slower_than_a_quorum_is_found_late() {
    assert!(!is_late(2_000, 2_000), "as quick as others");
    assert!(!is_late(11_000, 2_000), "slower, but not by far");
    assert!(is_late(30_000, 2_000));
    assert!(is_late(950_000, 2_000), "just in time for the slot time-out");
    assert!(!is_late(950_000, 0), "it had no room");
}

/// A sender that keeps its window full is late from the moment when it may write again.
#[test]
fn to4_a_window_that_moves_is_no_excuse() {
    let mut solo = Solo::new(3);
    solo.give(0, 1, null(10_000));
    let is_found = (0..1_000_u64).any(|round| {
        solo.now = Time::from_micros(round * 1_000_000);
        solo.step(In::Sighted(Rank::new(2), value(round)));
        solo.now = solo.now.plus(2_000);
        solo.give(2, round + 1, value(round));
        solo.machine.may_write_up_to(Rank::new(1), Number::ZERO);
        solo.now = solo.now.plus(100_000);
        solo.machine.on_room(solo.now, Rank::new(1), Number::new(2_000));
        solo.now = solo.now.plus(850_000);
        let outs = solo.step(body(1, round + 1, null(round)));
        matches!(outs[..], [Out::Late(sender)] if sender == Rank::new(1))
    });
    assert!(is_found);
}

#[test]
fn to3_nobody_is_blamed_for_this_members_own_slot_or_when_nothing_waits() {
    let mut solo = Solo::new(3);
    solo.give(1, 1, value(0));
    solo.give(2, 1, null(0));
    assert_eq!(solo.machine.deadline(), None, "only rank 0 is missing, this member");
    let mut solo = Solo::new(3);
    solo.give(1, 1, null(50));
    assert_eq!(solo.machine.deadline(), None, "a null waits for nobody");
}

#[test]
fn to3_a_sender_at_its_overflow_is_asked_again_later() {
    let mut solo = Solo::new(2);
    let sender = Rank::new(1);
    solo.give(0, 1, value(3));
    solo.machine.may_write_up_to(sender, Number::new(64));
    solo.machine.note_room(sender, Number::new(64), false);
    assert!(!solo.machine.had_room(sender));
    solo.machine.note_room(sender, Number::new(65), false);
    assert!(solo.machine.had_room(sender), "the window moved: it could settle its slot");
    solo.wait();
    assert_eq!(blamed(&solo.wait()), [1]);
    solo.machine.excuse(solo.now, Rank::new(1), Number::new(64));
    assert_eq!(solo.machine.deadline(), Some(solo.now.plus(1_000_000)));
    assert_eq!(asked(&solo.wait()), [(1, 0)]);
}

#[test]
fn early_and_repeated_ticks_change_nothing() {
    let mut solo = Solo::new(2);
    solo.give(0, 1, value(3));
    let due = solo.machine.deadline();
    for micros in [0, 1, 500_000, 999_999, 999_999] {
        solo.now = Time::from_micros(micros);
        assert!(solo.step(In::Tick).is_empty());
    }
    assert_eq!(solo.machine.deadline(), due);
}

/// The log of one sender: how far each slot lies above the one before, and whether it is a value.
fn log() -> impl Strategy<Value = Vec<(u64, u8)>> {
    proptest::collection::vec((0..4_u64, 0..3_u8), 0..12)
}

/// The bodies of these logs, by sender.
fn written(logs: &[Vec<(u64, u8)>]) -> Vec<Vec<SlotMark>> {
    let slots = |log: &Vec<(u64, u8)>| {
        let mut next = 0;
        let slot = |(skip, kind): &(u64, u8)| {
            let round = next + skip;
            match kind {
                0 => SlotMark::None,
                kind => {
                    next = round + 1;
                    if *kind == 1 { null(round) } else { value(round) }
                }
            }
        };
        log.iter().map(slot).collect()
    };
    logs.iter().map(slots).collect()
}

/// What the merge must deliver once everything is settled: all values by round and place.
fn expected(logs: &[Vec<SlotMark>]) -> Vec<(u16, u64, Slot)> {
    let mut all = Vec::new();
    for (place, log) in (0_u16..).zip(logs) {
        for (number, slot) in (1_u64..).zip(log) {
            if let SlotMark::Value(round) = slot {
                all.push((place, number, Slot { round: *round, place }));
            }
        }
    }
    all.sort_by_key(|(.., slot)| *slot);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Logs come in each in its own order, mixed in any way: at every moment what was merged is
    /// a prefix of the one order, and in the end it is all of it.
    #[test]
    fn random_arrival_orders_give_one_order(
        logs in proptest::collection::vec(log(), 1..6),
        turns in proptest::collection::vec(any::<prop::sample::Index>(), 80),
    ) {
        let mut logs = written(&logs);
        let end = logs.iter().flatten().filter_map(|slot| slot.round()).max();
        let end = end.unwrap_or(Round::ZERO).next();
        logs.iter_mut().for_each(|log| log.push(SlotMark::Null(end)));
        let order = expected(&logs);
        let mut solo = Solo::new(u16::try_from(logs.len()).unwrap());
        let mut given = vec![0_usize; logs.len()];
        let mut turns = turns.iter().cycle();
        loop {
            let open: Vec<usize> = (0..logs.len()).filter(|at| given[*at] < logs[*at].len()).collect();
            if open.is_empty() {
                break;
            }
            let at = open[turns.next().unwrap().index(open.len())];
            let number = u64::try_from(given[at]).unwrap() + 1;
            solo.give(u16::try_from(at).unwrap(), number, logs[at][given[at]]);
            given[at] += 1;
            prop_assert!(order.starts_with(&solo.merged));
        }
        prop_assert_eq!(&solo.merged, &order);
        prop_assert_eq!(solo.machine.deadline(), None);
    }
}
