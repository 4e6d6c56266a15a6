//! The scenarios that come with the simulator, by name.

use std::path::Path;

use crate::scenario::{Scenario, ScenarioError};

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*]
    };
}

/// File name without its ending, and text.
const FILES: &[(&str, &str)] = files! {
    "alone"
    "back_pressure"
    "bogus_signatures"
    "byte_mutator"
    "calm"
    "calm_paper_pattern"
    "certificate_to_subset"
    "clocks_apart"
    "colluding_replier"
    "crash"
    "crash_of_f"
    "deaf_member"
    "delay_spikes"
    "duplicate_signer_certificates"
    "far_future_numbers"
    "fetch_storm"
    "forged_certificates"
    "fragment_flood"
    "fragments_under_loss"
    "gap_sender"
    "impede_total_ordering"
    "loss_30_percent"
    "max_size_flood"
    "memory_flood"
    "mutant_message"
    "narrow_links"
    "pair"
    "paper_quorum_n5"
    "paper_quorum_n6"
    "partition"
    "pause"
    "payload_mismatch"
    "pentium_rsa_1024"
    "reflection"
    "replay_and_corruption"
    "reply_to_all_but_one"
    "short_certificates"
    "silent_towards_some"
    "skip_to_end"
    "slander"
    "slow_nulls"
    "small_scope_mutator"
    "sound_quorum_n5"
    "sound_quorum_n6"
    "split_digest"
    "stability_frozen"
    "stability_overstated"
    "stale_numbers"
    "strict_ed25519"
    "twins"
    "two_rows"
    "window_never_finished"
};

/// All scenarios that read; a test says that it is every one of them.
#[must_use]
pub fn all() -> Vec<Scenario> {
    FILES.iter().filter_map(|(name, text)| Scenario::parse(name, text).ok()).collect()
}

/// The scenario of this name, or in this file.
///
/// # Errors
/// If there is none, or it is wrong.
pub fn find(name: &str) -> Result<Scenario, ScenarioError> {
    match FILES.iter().find(|(known, _)| *known == name) {
        Some((known, text)) => Scenario::parse(known, text),
        None => Scenario::read(Path::new(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_reads_and_bears_its_name() {
        for (name, text) in FILES {
            let scenario = Scenario::parse(name, text).unwrap();
            assert_eq!(scenario.name, *name);
            assert!(!scenario.about.is_empty(), "{name}");
        }
        assert_eq!(all().len(), FILES.len());
    }

    #[test]
    fn every_file_in_the_folder_is_known() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(FILES.iter().any(|(known, _)| *known == name), "{name} is not in the library");
        }
    }
}
