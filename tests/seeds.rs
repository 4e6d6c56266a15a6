//! Seeds that once ended red hold: a bug found is a seed kept.

use std::path::Path;

use phalanx_sim::run::run;
use phalanx_sim::swarm::draw_fixed;
use phalanx_sim::{Scenario, Verdict};

#[test]
fn seeds_of_fixed_groups_that_once_ended_red_hold() {
    let lines = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let mut played = 0;
    for line in lines {
        let (seed, why) = line.split_once(' ').expect("a seed and what was wrong");
        let seed: u64 = seed.parse().expect("a number");
        let outcome = run(&draw_fixed(seed), None).expect("a good scenario");
        assert_eq!(outcome.verdict, Verdict::Held, "seed {seed}:{why}");
        played += 1;
    }
    assert!(played > 10, "{played}");
}

#[test]
fn what_other_seeds_drew_when_they_ended_red_holds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds");
    let files = std::fs::read_dir(directory).expect("the directory of seeds");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("text");
        let scenario = Scenario::parse("kept", &text).expect("a scenario");
        let outcome = run(&scenario, None).expect("a good scenario");
        assert_eq!(outcome.verdict, Verdict::Held, "{}", path.display());
    }
}
