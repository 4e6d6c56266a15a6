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
    "bad_commit"
    "bad_commit_n7"
    "bad_new_view"
    "bad_new_view_n7"
    "bogus_signatures"
    "byte_mutator"
    "calm"
    "calm_paper_pattern"
    "certificate_to_subset"
    "clocks_apart"
    "colluding_replier"
    "commit_timeout"
    "commit_timeout_n7"
    "commit_to_subset"
    "commit_to_subset_n7"
    "crash"
    "crash_fixed"
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
    "impede_stabilization"
    "impede_stabilization_n7"
    "impede_total_ordering"
    "impede_total_ordering_fixed"
    "loss_30_percent"
    "max_size_flood"
    "memory_flood"
    "mutant_message"
    "mutant_message_fixed"
    "narrow_links"
    "new_view_timeout"
    "new_view_timeout_n7"
    "over_exclusion"
    "over_exclusion_n7"
    "pair"
    "paper_quorum_n5"
    "paper_quorum_n6"
    "partition"
    "pause"
    "payload_mismatch"
    "pentium_rsa_1024"
    "phase_stopper_ack"
    "phase_stopper_ack_n7"
    "phase_stopper_commit"
    "phase_stopper_commit_n7"
    "phase_stopper_flush"
    "phase_stopper_flush_n7"
    "phase_stopper_new_view"
    "phase_stopper_new_view_n7"
    "phase_stopper_ready"
    "phase_stopper_ready_n7"
    "ready_to_subset"
    "ready_to_subset_n7"
    "ready_to_switch_timeout"
    "ready_to_switch_timeout_n7"
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
    "suspect_flood"
    "suspect_flood_n7"
    "twins"
    "two_new_views"
    "two_new_views_n7"
    "two_rows"
    "under_exclusion"
    "under_exclusion_n7"
    "window_never_finished"
    "managed/amnesia"
    "managed/churning_joiner"
    "managed/crash_n10"
    "managed/crash_n5"
    "managed/crash_n7"
    "managed/crash_of_leader_n4"
    "managed/crash_of_leader_n7"
    "managed/crash_pledge_0_n4"
    "managed/crash_two"
    "managed/cut_off_while_others_join"
    "managed/everybody_suspects_everybody_n10"
    "managed/everybody_suspects_everybody_n10_pledge_0"
    "managed/everybody_suspects_everybody_n13"
    "managed/everybody_suspects_everybody_n13_pledge_0"
    "managed/everybody_suspects_everybody_n4"
    "managed/everybody_suspects_everybody_n4_pledge_0"
    "managed/everybody_suspects_everybody_n7"
    "managed/everybody_suspects_everybody_n7_pledge_0"
    "managed/everybody_suspects_everybody_n8"
    "managed/everybody_suspects_everybody_n8_pledge_0"
    "managed/expelled_by_proof_never_returns"
    "managed/false_suspicion_then_silent_liar"
    "managed/forged_chain"
    "managed/hover"
    "managed/impostor"
    "managed/join"
    "managed/join_during_removal"
    "managed/join_request_to_some"
    "managed/joins_and_leaves_50"
    "managed/leave"
    "managed/partition_heals_majority_n4"
    "managed/partition_heals_majority_n7"
    "managed/partition_heals_minority_n4"
    "managed/partition_heals_minority_n7"
    "managed/partition_heals_rejoin_n4"
    "managed/partition_heals_rejoin_n7"
    "managed/partition_heals_rejoin_of_one_n4"
    "managed/rejoin_after_opinion"
    "managed/restart"
    "managed/restart_of_leader"
    "managed/restart_replaces_at_once"
    "managed/singleton_growth_1_to_7"
    "managed/stalling_joiner"
    "managed/unauthorised_joiner"
    "managed/view_replay"
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
            assert!(!name.starts_with("managed/") || !scenario.membership.is_fixed(), "{name}");
        }
        assert_eq!(all().len(), FILES.len());
    }

    #[test]
    fn every_file_in_the_folder_is_known() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for (folder, prefix) in [(folder.clone(), ""), (folder.join("managed"), "managed/")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    continue;
                }
                let name = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
                assert!(FILES.iter().any(|(known, _)| *known == name), "{name} is not known");
            }
        }
    }
}
