//! Every strategy against a group of correct members: it lies, breaks nothing, and ends as its
//! verdict says.

use phalanx_core::Rank;

use super::group::Group;
use super::rig::Rig;
use crate::adversary::{Strategy, Verdict};

fn correct(n: u16, liars: &[u16]) -> Vec<Rank> {
    let is_liar = |rank: &Rank| liars.contains(&rank.value());
    Rank::all(usize::from(n)).filter(|rank| !is_liar(rank)).collect()
}

/// What does not hold although at most f lie, or is not as the verdict says.
fn judge(group: &Group, strategy: Strategy, n: u16, liars: &[u16]) -> Vec<String> {
    let seen = &group.seen;
    let correct = correct(n, liars);
    let mut wrong = Vec::new();
    if group.fired() == 0 {
        wrong.push("never fired".to_owned());
    }
    if seen.alarms > 0 {
        wrong.push("an alarm".to_owned());
    }
    for (by, subject) in seen.proven.iter().chain(seen.suspected.keys()) {
        if !liars.contains(&subject.value()) {
            wrong.push(format!("{by} blames correct {subject}"));
        }
    }
    let longest = seen.total.values().max_by_key(|all| all.len());
    if !seen.total.values().all(|one| longest.is_some_and(|all| all.starts_with(one))) {
        wrong.push("total orders differ".to_owned());
    }
    for sender in Rank::all(usize::from(n)) {
        let all: Vec<Vec<Vec<u8>>> = correct.iter().map(|by| seen.of(*by, sender)).collect();
        if all.iter().any(|one| *one != all[0]) {
            wrong.push(format!("deliveries of {sender} differ"));
        }
    }
    for by in &correct {
        for liar in liars.iter().copied().map(Rank::new) {
            let proven = seen.proven.contains(&(*by, liar));
            let suspected = seen.suspected.get(&(*by, liar));
            let is_right = match strategy.verdict() {
                Verdict::Proven => proven,
                Verdict::Suspected => proven || suspected.is_some(),
                Verdict::Harmless => !proven && suspected.is_none(),
                Verdict::MayBeProven => true,
            };
            if !is_right {
                wrong.push(format!("{by} about {liar}: proven {proven}, suspected {suspected:?}"));
            }
        }
    }
    wrong
}

fn play(rig: &Rig, strategy: Strategy, liars: &[u16], seed: u64) -> Vec<String> {
    let n = u16::try_from(rig.config.genesis.members.len()).unwrap();
    let mut group = Group::new(rig, &rig.setup(liars, strategy, seed));
    group.work(24, 3_500_000);
    judge(&group, strategy, n, liars)
}

#[test]
fn every_strategy_lies_and_ends_as_its_verdict_says() {
    let mut wrong = Vec::new();
    let only = std::env::var("ONLY").ok();
    for strategy in Strategy::ALL {
        if only.as_deref().is_some_and(|o| o != strategy.name()) {
            continue;
        }
        let start = std::time::Instant::now();
        for (n, liars, seed) in [(4, &[0][..], 1), (4, &[2], 2), (7, &[1, 6], 3)] {
            let all = play(&Rig::dummy(n), strategy, liars, seed);
            if !all.is_empty() {
                wrong.push(format!("{} with {n}, seed {seed}: {all:?}", strategy.name()));
            }
        }
        println!("{} {:?}", strategy.name(), start.elapsed());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_sleeping_liar_is_a_correct_member_and_forks_where_its_log_stands_when_woken() {
    let rig = Rig::dummy(4);
    let setup = rig.setup(&[2], Strategy::MutantMessage, 5);
    let mut group = Group::new(&rig, &setup);
    group.put_to_sleep(&setup);
    group.work(24, 3_500_000);
    assert_eq!((group.fired(), group.seen.proven.len(), group.seen.suspected.len()), (0, 0, 0));
    let before = group.seen.of(Rank::new(0), Rank::new(2)).len();
    assert_eq!(before, 24, "its casts are delivered");
    group.begin(Strategy::MutantMessage);
    group.work(24, 3_500_000);
    assert_eq!(judge(&group, Strategy::MutantMessage, 4, &[2]), Vec::<String>::new());
}
