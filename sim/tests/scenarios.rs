//! Every scenario that comes with the simulator ends as it says (those of the flaws: `flaws.rs`), and
//! the canary turns red.

use std::sync::Mutex;

use phalanx_sim::run::run;
use phalanx_sim::{canary, library};

#[test]
fn every_scenario_ends_as_it_says() {
    let all = library::all().into_iter();
    let is_played = |name: &str| !name.starts_with("flaws/");
    let scenarios = Mutex::new(all.filter(|scenario| is_played(&scenario.name)));
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = scenarios.lock().unwrap().next();
                    let Some(scenario) = next else { return };
                    let outcome = run(&scenario, None).unwrap();
                    if !outcome.verdict.is_as_expected(&scenario.expect) {
                        let text = format!("{}: {}", scenario.name, outcome.verdict);
                        failed.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn one_liar_too_many_turns_the_safety_oracles_red() {
    let reds = canary::canary().unwrap();
    assert!(!reds.is_empty());
}
