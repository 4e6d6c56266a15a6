//! Exploration.

mod local;
mod moves;
mod search;
mod table;
mod world;

use super::super::Omitted;
use search::search;
use world::Setting;

const FOUR: Setting = Setting {
    n: 4,
    liar: 0,
    last: 1,
    holders: &[(0, 1), (2, 0)],
    told: &[0, 1, 2, 3],
    omitted: Omitted::Nothing,
};

#[test]
fn explore_agreement_small() {
    for liar in 0..4 {
        let report = search(Setting { liar, ..FOUR }, true);
        std::println!("{}", report.words);
        assert!(report.fork.is_none(), "{:#?}", report.fork);
    }
}

#[test]
fn explore_forks() {
    for omitted in [Omitted::LockInNeedMoreChange, Omitted::ReadyOnlyAtOwnAttempt] {
        for liar in 0..4 {
            let report = search(Setting { omitted, liar, ..FOUR }, true);
            std::println!("{omitted:?}: {}", report.words);
            for line in report.fork.expect("a fork") {
                std::println!("    {line}");
            }
        }
    }
}

#[test]
#[ignore = "minutes"]
fn explore_agreement_full() {
    let liar = std::env::var("LIAR").map_or(0, |x| x.parse().unwrap());
    let report = search(Setting { liar, last: 2, ..FOUR }, false);
    std::println!("{}", report.words);
    assert!(report.fork.is_none(), "{:#?}", report.fork);
}
