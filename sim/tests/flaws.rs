//! Every schedule of the flaws ends as its file says; and none of them could be missing.

use phalanx_sim::{Scenario, book, library};

#[test]
fn every_schedule_ends_as_it_says() {
    let is_flaw = |scenario: &Scenario| scenario.name.starts_with("flaws/");
    let scenarios: Vec<Scenario> = library::all().into_iter().filter(is_flaw).collect();
    assert!(scenarios.len() > 70, "{}", scenarios.len());
    let entries = book::play_all(scenarios, 2).unwrap();
    let wrong = entries.iter().filter(|entry| !entry.is_as_expected());
    let wrong: Vec<String> = wrong.map(book::Entry::lines).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
