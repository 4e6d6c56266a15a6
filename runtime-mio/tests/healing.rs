//! Processes that are stopped or killed under load: the group is whole again without help, and
//! nobody's casts are lost or come twice.
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Member, Testnet};

/// What one member has seen, by what its casts say.
#[derive(Default)]
struct Seen {
    /// In the order of delivery.
    casts: Vec<String>,
    view: Value,
    is_out: bool,
}

struct Group {
    testnet: Testnet,
    members: Vec<Member>,
    seen: Vec<Seen>,
    count: usize,
}

impl Group {
    fn start(n: u16) -> Self {
        let testnet = Testnet::new(n, "tcp");
        let members: Vec<Member> =
            testnet.homes.iter().map(|home| Member::start(home, &[])).collect();
        let seen = members.iter().map(|_| Seen::default()).collect();
        Self { testnet, members, seen, count: 0 }
    }

    /// Takes in what has come within this time.
    fn look(&mut self, time: Duration) {
        let end = Instant::now() + time;
        for (member, seen) in self.members.iter().zip(&mut self.seen) {
            for event in member.events(end.saturating_duration_since(Instant::now())) {
                match event["event"].as_str().unwrap() {
                    "cast" => seen.casts.push(event["text"].as_str().unwrap().to_owned()),
                    "view" => seen.view = event,
                    "excluded" | "state_lost" => seen.is_out = true,
                    "alarm" | "fault" | "fork" => panic!("{event}"),
                    _ => {}
                }
            }
        }
    }

    /// Each of these casts once.
    fn cast(&mut self, ranks: &[usize]) {
        for rank in ranks {
            self.members[*rank].cast(&format!("{rank}:{}", self.count));
        }
        self.count += 1;
    }

    /// Whether all are Active in one view of all.
    fn is_whole(&self) -> bool {
        let n = self.members.len();
        self.seen.iter().all(|seen| {
            seen.view["id"] == self.seen[0].view["id"]
                && seen.view["n"].as_u64() == u64::try_from(n).ok()
                && seen.view["silenced"].as_array().is_some_and(Vec::is_empty)
        })
    }

    /// How long it takes until the group is whole and a cast of each has come to all.
    fn heals(&mut self, bound: Duration) -> Duration {
        let began = Instant::now();
        let all: Vec<usize> = (0..self.members.len()).collect();
        while !self.is_whole() {
            assert!(began.elapsed() < bound, "not whole after {:?}", began.elapsed());
            self.look(Duration::from_millis(50));
        }
        let count = self.count;
        self.cast(&all);
        let last: Vec<String> = all.iter().map(|rank| format!("{rank}:{count}")).collect();
        let has_all = |seen: &Seen| last.iter().all(|cast| seen.casts.contains(cast));
        while !self.seen.iter().all(has_all) {
            assert!(began.elapsed() < bound, "the last casts do not come to all");
            self.look(Duration::from_millis(20));
        }
        began.elapsed()
    }

    /// Casts of these members came to all of these members, once each, in one order.
    fn check(&self, ranks: &[usize]) {
        for rank in ranks {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            self.seen[*rank].casts.iter().for_each(|cast| *counts.entry(cast).or_default() += 1);
            assert!(counts.values().all(|count| *count == 1), "twice at {rank}: {counts:?}");
            let own = |cast: &&String| ranks.iter().any(|by| cast.starts_with(&format!("{by}:")));
            let delivered = |rank: usize| self.seen[rank].casts.iter().filter(own);
            assert!(delivered(*rank).eq(delivered(ranks[0])), "{rank} and {} differ", ranks[0]);
            assert!(delivered(*rank).count() >= ranks.len() * (self.count - 1), "lost at {rank}");
        }
    }
}

/// The first so many of a group stand still for ten seconds while the others cast, or try to.
fn some_stand_still(n: u16, still: usize, bound: Duration) {
    let mut group = Group::start(n);
    let all: Vec<usize> = (0..usize::from(n)).collect();
    group.look(Duration::from_secs(1));
    group.cast(&all);
    let (still, rest) = all.split_at(still);
    still.iter().for_each(|rank| group.members[*rank].freeze(true));
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        group.cast(rest);
        group.look(Duration::from_millis(200));
    }
    still.iter().for_each(|rank| group.members[*rank].freeze(false));
    let took = group.heals(bound);
    println!("{n} of {n} whole again after {:.1} s", took.as_secs_f64());
    let lost = group.seen.iter().filter(|seen| seen.is_out).count();
    println!("{lost} of them were put out or lost their state meanwhile");
    group.check(rest);
}

/// Without a quorum nobody is put out, and nobody needs to come back.
#[test]
fn four_are_whole_again_after_two_stood_still() {
    some_stand_still(4, 2, Duration::from_secs(30));
}

#[test]
fn seven_are_whole_again_after_three_stood_still() {
    some_stand_still(7, 3, Duration::from_secs(30));
}

/// The others go on meanwhile: who stood still is silenced, misses casts, and comes back.
#[test]
fn four_are_whole_again_after_one_stood_still() {
    some_stand_still(4, 1, Duration::from_secs(30));
}

#[test]
fn seven_are_whole_again_after_two_stood_still() {
    some_stand_still(7, 2, Duration::from_secs(30));
}

/// Five newcomers come and go, ten times each, while all others cast.
#[test]
fn fifty_joins_and_leaves_lose_no_cast_and_repeat_none() {
    const NEWCOMERS: usize = 5;
    let testnet = Testnet::with_newcomers(4, 5, "tcp");
    // They come and go as they would in a week.
    testnet.edit_all("# cool = \"2 s\"", "cool = \"1 ms\"");
    testnet.edit_all("# cool_max = \"5 min\"", "cool_max = \"1 ms\"");
    let members = testnet.homes[..4].iter().map(|home| Member::start(home, &[])).collect();
    let seen = (0..4).map(|_| Seen::default()).collect();
    let mut group = Group { testnet, members, seen, count: 0 };
    group.look(Duration::from_millis(500));
    let began = Instant::now();
    let all = [0, 1, 2, 3];
    let size = |group: &Group| group.seen[0].view["n"].as_u64().unwrap();
    for round in 0..50 {
        let home = &group.testnet.homes[4 + round % NEWCOMERS];
        let mut newcomer = Member::start(home, &["--join", "--linger", "1 ms"]);
        let end = Instant::now() + Duration::from_secs(20);
        while size(&group) < 5 {
            assert!(Instant::now() < end, "round {round}: not taken in");
            group.cast(&all);
            group.look(Duration::from_millis(5));
        }
        let text = format!("guest:{round}");
        newcomer.cast(&text);
        // Who leaves before its casts have come back is told that they are lost.
        while !group.seen[0].casts.contains(&text) {
            assert!(Instant::now() < end, "round {round}: its cast does not come");
            group.cast(&all);
            group.look(Duration::from_millis(5));
        }
        newcomer.cast("/leave");
        while size(&group) > 4 {
            assert!(Instant::now() < end, "round {round}: not let go");
            group.cast(&all);
            group.look(Duration::from_millis(5));
        }
        newcomer.stdin = None;
        assert_eq!(newcomer.child.wait().unwrap().code(), Some(4));
    }
    let took = began.elapsed();
    group.heals(Duration::from_secs(20));
    group.check(&all);
    let guests = |seen: &Seen| seen.casts.iter().filter(|cast| cast.starts_with("guest")).count();
    assert!(group.seen.iter().all(|seen| guests(seen) == 50));
    println!(
        "50 joins and leaves in {:.1} s, {} casts of each member meanwhile",
        took.as_secs_f64(),
        group.count,
    );
}

#[test]
fn a_killed_member_comes_back_and_nobody_misses_anything() {
    let mut group = Group::start(4);
    group.look(Duration::from_secs(1));
    for round in 0..3 {
        let killed = 3 - round;
        let others: Vec<usize> = (0..4).filter(|rank| *rank != killed).collect();
        for i in 0..30 {
            if i == 5 {
                group.members[killed].child.kill().unwrap();
                group.members[killed].child.wait().unwrap();
            }
            if i == 8 {
                group.members[killed] = Member::start(&group.testnet.homes[killed], &[]);
                group.seen[killed] = Seen::default();
            }
            group.cast(&others);
            group.look(Duration::from_millis(20));
        }
        let took = group.heals(Duration::from_secs(20));
        println!("rank {killed} is back {:.1} s after the last cast", took.as_secs_f64());
        let whole: Vec<usize> = (0..killed).collect();
        group.check(&whole);
    }
}
