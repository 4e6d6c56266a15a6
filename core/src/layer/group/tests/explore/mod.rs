//! Exploration of the real code: every schedule of the shipped machine within stated bounds, under
//! a stated abstraction. Each step is one of `Group::step` with really signed statements.
//!
//! What is asked of every state: no two correct members can decide differently (P6); whatever a
//! correct member acknowledges is a `plan(V, E).build(V, cut(F))` of evidence and Flushes that were
//! really signed; an attempt has one quorum of Acks at most; nobody correct is blamed; a member can
//! prove every lock that it reported; a leader that has what it needs proposes. With a rule left out (`Omitted`), the same search at the same
//! bounds finds a fork: it would see one.
//!
//! Bounds: one liar, tried at every rank; attempts 0 to 2 with four members, 0 and 1 with five (the
//! ignored tests: `cargo test --release -p phalanx-core --features insecure-study -- --ignored
//! explore --nocapture`), and 0 and 1 with four in every run. All of that is exhausted, nothing is
//! sampled. The members have flushed; two hold a body that nobody else does, so that three cuts are possible;
//! everybody knows the evidence, or one member knows more than the others.
//!
//! What is left out, and why no schedule that matters is lost:
//!
//! * Time: a member goes on to any later attempt at any moment (R6, R7, R9), whether or not a timer
//!   would run. There are only more schedules than there can be.
//! * The network: what was signed can reach anyone at any moment, or never. So messages on their way
//!   are no part of a state beyond what the members' machines remember of their own statements.
//! * Votes below a quorum do nothing, so they come as quorums. The liar acknowledges everything and
//!   is ready for everything, towards everybody. A Commit is the quorum of Acks again; pattern Paper
//!   locks on nothing that pattern Swift would not. `NeedMoreChange`s count at the leader that they
//!   are for; it gets a quorum of them and a set of Flushes at once and proposes. What a quorum
//!   without its own would bring, one with its own in place of the lowest lock does, too.
//! * Every quorum and every set of Flushes is tried, and of the proposals of one value and kind one
//!   is kept: receivers do the same with each. A leader of the first attempt proposes from exactly a
//!   quorum of Flushes; from more it would make no other cuts here.
//! * The liar leads with everything that it can put together from what was said so far and its own
//!   claims, as far as the real `judge` takes it, and different things for different members.
//! * What is to be held is held at once: a Ready that is never said helps no schedule that one that
//!   is said and lost does not.
//! * A decision is put off, and asked of every state instead: who decided does nothing more, and who
//!   did not may do nothing either.
//! * Evidence that travels with a `NeedMoreChange` comes on its own, at any moment.
//! * A state is, for each correct member, what can matter of its machine (`local.rs`). Not what
//!   others said for attempts that are behind or that it does not lead, as only the leader of an
//!   attempt reads it; not clocks, nor what is said again; and nobody leads twice within the bounds.
//!
//! Not explored: joins of more than one process, several views in a row, a liar that flushes twice,
//! more attempts or members than the bounds say.

mod found;
mod local;
mod moves;
mod search;
mod table;
mod world;

use super::super::Omitted;
use alloc::string::String;
use alloc::vec::Vec;
use search::search;
use world::Setting;

/// Everybody knows the same.
const FOUR: Setting = Setting {
    n: 4,
    liar: 0,
    last: 1,
    holders: &[(0, 1), (2, 0)],
    told: &[0, 1, 2, 3],
    omitted: Omitted::Nothing,
};

/// One member knows more than the others.
const APART: Setting = Setting { told: &[1], ..FOUR };

const FIVE: Setting = Setting { n: 5, told: &[0, 1, 2, 3, 4], ..FOUR };

/// No fork with the liar at any of these ranks; returns how many states there were.
fn agrees(setting: Setting, liars: core::ops::Range<usize>) -> usize {
    let states = liars.map(|liar| {
        let report = search(Setting { liar, ..setting }, false);
        std::println!("{}", report.words);
        assert!(report.fork.is_none(), "FORK");
        assert!(report.deciding > 0 && report.decided.len() > 1, "it can end, and differently");
        report.states
    });
    states.sum()
}

/// The same search with a rule left out: a shortest schedule to a fork.
fn forks(setting: Setting) -> Vec<String> {
    let report = search(setting, true);
    std::println!("without {:?}: {}", setting.omitted, report.words);
    let schedule = report.fork.expect("a fork");
    for (step, words) in schedule.iter().enumerate() {
        std::println!("  {:2} {words}", step + 1);
    }
    schedule
}

#[test]
fn no_schedule_forks_a_view() {
    agrees(FOUR, 0..4);
    agrees(APART, 0..1);
}

#[test]
fn without_locks_in_need_more_change_a_view_forks() {
    for liar in [0, 3] {
        let omitted = Omitted::LockInNeedMoreChange;
        assert_eq!(forks(Setting { liar, omitted, ..FOUR }).len(), 12);
    }
}

#[test]
fn with_a_ready_after_a_later_need_more_change_a_view_forks() {
    for liar in [0, 3] {
        let omitted = Omitted::ReadyOnlyAtOwnAttempt;
        assert_eq!(forks(Setting { liar, omitted, ..FOUR }).len(), 12);
    }
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_four_members_led_by_the_liar() {
    let states = agrees(Setting { last: 2, ..FOUR }, 0..1);
    assert!(states >= 1_000_000, "{states}");
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_four_members() {
    let states = agrees(Setting { last: 2, ..FOUR }, 1..4);
    assert!(states >= 1_000_000, "{states}");
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_four_members_that_know_different_things_led_by_liars() {
    agrees(Setting { last: 2, ..APART }, 0..2);
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_four_members_that_know_different_things() {
    agrees(Setting { last: 2, ..APART }, 2..4);
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_five_members() {
    agrees(FIVE, 0..5);
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_forks_of_the_full_bounds() {
    for omitted in [Omitted::LockInNeedMoreChange, Omitted::ReadyOnlyAtOwnAttempt] {
        forks(Setting { last: 2, omitted, ..FOUR });
        forks(Setting { omitted, ..FIVE });
    }
}
