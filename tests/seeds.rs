//! Seeds that once ended red hold: a bug found is a seed kept.

use phalanx_sim::Verdict;
use phalanx_sim::run::run;
use phalanx_sim::swarm::{draw, draw_fixed};

#[test]
fn seeds_that_once_ended_red_hold() {
    let lines = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let mut played = 0;
    for line in lines {
        let (seed, why) = line.split_once(' ').expect("a seed and what was wrong");
        let is_fixed = seed.ends_with('f');
        let seed: u64 = seed.trim_end_matches('f').parse().expect("a number");
        let scenario = if is_fixed { draw_fixed(seed) } else { draw(seed) };
        let outcome = run(&scenario, None).expect("a good scenario");
        assert_eq!(outcome.verdict, Verdict::Held, "seed {seed}:{why}");
        played += 1;
    }
    assert!(played > 10, "{played}");
}
