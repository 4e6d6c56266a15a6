//! Exploration of views in a row: from every state that a group can come to within stated bounds, a
//! next view stays within reach.
//!
//! The agreement on one view is explored elsewhere (layer Group), so it is one step here: some view
//! follows that the real `plan` makes of some evidence. Real are also the rule for how long bodies
//! are kept ([`kept`]) and the one for a member that cannot get the cut of its view: a change of
//! theirs changes what is explored.
//!
//! What may happen, in any order: a process is cut off from all, for as long as it takes, and
//! connected again; it crashes, and its next life asks to join; the time passes for which bodies
//! are kept for a few; so much is cast that of the views left only the last is kept; a member does
//! without a cut that nobody hands out; a view is decided by all members of the newest one that are
//! connected, and all liars, if they are a quorum: with any of them suspected, rightly or not, any
//! proven liar expelled, any that ask taken in or not, and a cut that those who were not there
//! miss, or miss nothing of.
//!
//! What is asked of every state: if at most `f` members of the newest view are down (liars and
//! crashed ones; the next life is another process), or none but newcomers and at most `f` members
//! that were down when those were taken in, and suspected, or Silenced and unheard, then, this holds with everybody
//! connected for good:
//!
//! * a quorum of its members comes to be in it, liars not counted, and
//! * by good evidence from there on everybody that is up comes to be an Active member, in a view
//!   that is live, too; if those that are out ask, and if they never do.
//!
//! And of every step: P6 (what is left of a view and all its liars decide nothing else), P7, and
//! what `plan` promises: no more liars than the pledge, the pledge within `f`, somebody Active, no
//! correct key expelled, a quorum of the next view among those who stay.
//!
//! What is left out, and why that loses nothing:
//!
//! * Slow members: who does not come along is one that is cut off. Those connected do at once what
//!   they can; their words of having installed a view are heard at once, so bodies are dropped as
//!   early as may be.
//! * Clocks: time-outs are false suspicions, which are free here.
//! * Liars vote for everything and help nobody. Who is proven among them is up to the schedule.
//! * More members suspected at once than two, or all; one change touches one up to six members.
//! * The order of keys: it says who of several joiners is dealt with first, and evidence without
//!   the first is tried, too.
//! * Bodies themselves: a view has something that those who were not there miss, or it has not.
//!
//! Not explored: state transfer, former members that still answer, more liars than one except by
//! random walks, more views, cuts, crashes and processes than the bounds say.
//!
//! With a rule of before planted the search finds a group that stands still: it would see one.

mod kept;
mod search;
mod state;
mod verdict;
mod views;
mod walk;
mod world;

use alloc::vec::Vec;

use crate::crypto::{Hash32, PublicKey};
use crate::member::{Rank, Status};
use crate::plan::{Facts, Joining, Plan, plan};
use crate::view::{Genesis, View};
use search::{Report, search};
use state::Budget;
use verdict::Verdict;

/// What is explored.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Members of the first view: processes `0..founders`.
    founders: u8,
    /// Processes that may join.
    spares: u8,
    /// Processes that lie, as a set.
    liars: u8,
    pledge: Option<u16>,
    /// Whether members ask to leave.
    leaves: bool,
    budget: Budget,
}

impl Setting {
    const fn processes(&self) -> usize {
        self.founders as usize + self.spares as usize
    }
}

/// The rules that are the real code's, unless one of before is planted.
#[derive(Clone, Copy)]
struct Rules {
    plan: fn(&View, &Genesis, &Facts) -> Plan,
    /// Whether a member of this status goes on without the cut of its view, or leaves.
    goes_on: fn(Status) -> bool,
}

/// The stack takes every member that cannot get the cut along for its votes.
const REAL: Rules = Rules { plan, goes_on: |_| true };

/// Planted: an Active member that cannot get the cut leaves.
const LEAVING: Rules = Rules { goes_on: |status| status == Status::Silenced, ..REAL };

/// Planted: whatever is known of members, all of them carry those that join.
const TRUSTING: Rules = Rules { plan: trusting, ..REAL };

/// Planted: a Silenced member counts though it signed nothing.
const COUNTING: Rules = Rules { plan: counting, ..REAL };

fn counting(view: &View, genesis: &Genesis, facts: &Facts) -> Plan {
    let mut facts = facts.clone();
    for (rank, member) in Rank::all(view.members.len()).zip(&view.members) {
        if member.status == Status::Silenced {
            facts.joining.push(Joining {
                request: Hash32::ZERO,
                key: PublicKey([u8::MAX; 32]),
                incarnation: u64::from(rank.value()),
                addr: Vec::new(),
                recommended_by: [rank].to_vec(),
            });
        }
    }
    plan(view, genesis, &facts)
}

fn trusting(view: &View, genesis: &Genesis, facts: &Facts) -> Plan {
    let mut trusted = view.clone();
    trusted.members.iter_mut().for_each(|member| member.status = Status::Active);
    let is_new = |joining: &&Joining| view.rank_of(&joining.key).is_none();
    let joining = facts.joining.iter().filter(is_new).cloned().collect();
    let mut taken = plan(&trusted, genesis, &Facts { joining, ..Facts::default() });
    if taken.members.len() == view.members.len() {
        return plan(view, genesis, facts);
    }
    for (taken, member) in taken.members.iter_mut().zip(&view.members) {
        taken.status = member.status;
    }
    taken
}

/// One of four members may crash, another one be cut off.
const FOUR: Setting = Setting {
    founders: 4,
    spares: 0,
    liars: 0,
    pledge: None,
    leaves: false,
    budget: Budget { decisions: 2, cuts: 1, crashes: 1, no_shows: 0 },
};

/// Two that may join, and crash.
const JOINED: Setting = Setting {
    spares: 2,
    budget: Budget { decisions: 2, cuts: 0, crashes: 1, no_shows: 2 },
    ..FOUR
};

fn explore(setting: Setting, rules: Rules) -> Report {
    let report = search(&setting, rules);
    std::println!("{}", report.words);
    if let Some((_, story)) = &report.found {
        story.iter().enumerate().for_each(|(step, words)| std::println!("  {step:2} {words}"));
    }
    report
}

/// Nothing is found, and so many states at least are seen.
fn goes_on(setting: Setting, least: usize) {
    let report = explore(setting, REAL);
    let found = report.found.map(|(verdict, _)| verdict);
    assert_eq!(found, None, "the group stands still");
    assert!(report.states >= least, "{}", report.states);
}

/// The group is found dead after so many steps at the most.
fn dies(setting: Setting, rules: Rules, steps: usize) {
    let report = explore(setting, rules);
    let (verdict, story) = report.found.expect("a group that stands still");
    assert!(verdict == Verdict::Dead && story.len() <= steps + 2, "{verdict:?} {story:#?}");
}

#[test]
fn a_member_cut_off_and_a_crash_do_not_stop_a_group() {
    goes_on(FOUR, 10_000);
    goes_on(Setting { pledge: Some(0), ..FOUR }, 5_000);
    for liar in 0..4 {
        let budget = Budget { crashes: 0, ..FOUR.budget };
        goes_on(Setting { liars: 1 << liar, budget, ..FOUR }, 1_000);
    }
}

#[test]
fn newcomers_that_never_come_do_not_stop_a_group() {
    goes_on(JOINED, 200);
    goes_on(Setting { founders: 5, spares: 1, ..JOINED }, 200);
}

#[test]
fn if_members_without_the_cut_leave_a_group_dies() {
    dies(FOUR, LEAVING, 6);
    dies(Setting { founders: 5, ..FOUR }, LEAVING, 6);
    dies(Setting { liars: 0b10, ..FOUR }, LEAVING, 5);
}

#[test]
fn if_suspects_count_as_survivors_a_group_dies() {
    dies(JOINED, TRUSTING, 3);
}

#[test]
fn if_the_silenced_count_unheard_a_group_dies() {
    dies(JOINED, COUNTING, 4);
}

/// Arithmetic: two of two are a quorum. That is a state in which more are down than may be.
#[test]
fn two_members_bear_no_crash_and_no_newcomer_that_never_comes() {
    for (founders, spares) in [(2, 0), (1, 1)] {
        let budget = Budget { decisions: 2, cuts: 0, crashes: founders - 1, no_shows: 1 };
        let report = explore(Setting { founders, spares, budget, ..FOUR }, REAL);
        assert!(report.found.is_none() && report.lost > 0);
        let loss = report.loss.expect("a group that stands still");
        assert!(loss.last().unwrap().contains("it takes 2 of 2"), "{loss:#?}");
        loss.iter().for_each(|words| std::println!("  {words}"));
    }
}

#[test]
fn random_walks_of_seven_with_two_liars_go_on() {
    walk::walks(walk::SEVEN, REAL, 0..1_000);
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_three_views_of_four_and_two_that_join() {
    for (cuts, no_shows, least) in [(0, 2, 1_000), (1, 1, 1_000_000)] {
        let budget = Budget { decisions: 3, cuts, crashes: 1, no_shows };
        goes_on(Setting { budget, ..JOINED }, least);
    }
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_three_views_of_five_and_one_that_joins() {
    let budget = Budget { decisions: 3, cuts: 1, crashes: 1, no_shows: 1 };
    goes_on(Setting { founders: 5, spares: 1, budget, ..FOUR }, 1_000_000);
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_three_views_of_six() {
    let budget = Budget { decisions: 3, ..FOUR.budget };
    goes_on(Setting { founders: 6, budget, ..FOUR }, 1_000_000);
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_three_views_with_a_liar() {
    for (liar, crashes) in [(0, 0), (2, 0), (4, 1)] {
        let budget = Budget { decisions: 3, cuts: 1, crashes, no_shows: 1 };
        goes_on(Setting { spares: 1, liars: 1 << liar, budget, ..FOUR }, 10_000);
    }
}

#[test]
#[ignore = "minutes: for the release profile"]
fn explore_random_walks_of_seven_with_two_liars() {
    walk::walks(walk::SEVEN, REAL, 1_000..30_000);
}
