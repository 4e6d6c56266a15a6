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
    "phase_stopper_decision"
    "phase_stopper_decision_n7"
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
    "managed/narrow_links_crash_n5"
    "managed/narrow_links_overload_crash_n5"
    "managed/narrow_links_overload_n5"
    "managed/overtaken_baseline_n4"
    "managed/overtaken_then_crash_n4"
    "managed/overtaken_then_crash_without_state_n4"
    "managed/overtaken_two_then_crash_n7"
    "managed/partition_heals_majority_n4"
    "managed/partition_heals_majority_n7"
    "managed/partition_heals_minority_n4"
    "managed/partition_heals_minority_n7"
    "managed/partition_heals_rejoin_n4"
    "managed/partition_heals_rejoin_n7"
    "managed/partition_heals_rejoin_of_one_n4"
    "managed/rejoin_after_opinion"
    "managed/rejoined_member_loads_state"
    "managed/restart"
    "managed/restart_of_leader"
    "managed/restart_replaces_at_once"
    "managed/silenced_member_loads_state"
    "managed/silenced_while_it_loads"
    "managed/singleton_growth_1_to_7"
    "managed/slow_network_crash_n4"
    "managed/slow_network_joins_n7"
    "managed/slow_network_restart_n5"
    "managed/slow_network_suspicion_n7"
    "managed/state_transfer"
    "managed/state_transfer_all_at_once"
    "managed/state_transfer_donor_crashes"
    "managed/state_transfer_growth_1_to_7"
    "managed/state_transfer_liar_half"
    "managed/state_transfer_liar_half_n7"
    "managed/state_transfer_liar_pieces"
    "managed/state_transfer_liar_pieces_n7"
    "managed/state_transfer_liar_root"
    "managed/state_transfer_liar_root_n7"
    "managed/state_transfer_liar_slow"
    "managed/state_transfer_liar_two_roots"
    "managed/state_transfer_liar_withholds"
    "managed/state_transfer_liar_withholds_n7"
    "managed/state_transfer_loss_30_percent"
    "managed/state_transfer_small_buffer"
    "flaws/d01_fork_to_halves"
    "flaws/d02_certificate_on_the_other_branch"
    "flaws/d03_certificate_to_one_who_leaves"
    "flaws/d04_lying_haves"
    "flaws/d05_certified_but_not_held_by_a_quorum"
    "flaws/d06_unflushed_member_delivers_on"
    "flaws/d07_flushed_member_delivers_on"
    "flaws/d08_two_flushes_n4"
    "flaws/d08_two_flushes_n7"
    "flaws/d09_leader_leaves_out_a_flush"
    "flaws/d10_two_new_views_to_halves_n4"
    "flaws/d10_two_new_views_to_halves_n7"
    "flaws/d11_commit_withheld"
    "flaws/d11_new_view_withheld"
    "flaws/d12_new_view_when_half_moved_on"
    "flaws/d13_ready_quorum_seen_by_one_that_stops"
    "flaws/d14_hidden_lock"
    "flaws/d15_liars_lead_over_a_lock"
    "flaws/d16_false_lock"
    "flaws/d17_far_attempts"
    "flaws/d18_early_attempts_to_one"
    "flaws/d19_skipping_to_liars"
    "flaws/d20_suspicions_one_at_a_time"
    "flaws/d21_overstated_flush"
    "flaws/d22_holders_depart"
    "flaws/d23_payloads_dropped_before_a_laggard_has_them"
    "flaws/d24_silent_towards_few_in_all"
    "flaws/d25_framing_n7"
    "flaws/d26_one_honest_mistake"
    "flaws/d26_one_honest_mistake_no_pledge"
    "flaws/d27_removals_by_opinion_in_a_row"
    "flaws/d28_silent_and_back_again"
    "flaws/d29_slow_drip"
    "flaws/d30_evidence_of_another_view"
    "flaws/d31_readys_of_two_attempts"
    "flaws/d32_old_but_valid_chain"
    "flaws/d33_forged_chain"
    "flaws/d34_removed_members_work_on_with_a_slow_one"
    "flaws/d35_joiners_without_a_right"
    "flaws/d36_comes_and_goes"
    "flaws/d37_all_changes_at_once"
    "flaws/d38_leaders_with_different_evidence"
    "flaws/d39_away_for_three_changes"
    "flaws/d40_cast_again_after_the_cut"
    "flaws/d41_slots_beyond_a_hole"
    "flaws/d42_slot_at_the_end_of_numbers"
    "flaws/d43_value_and_null_for_one_slot"
    "flaws/d44_no_wedge_by_one"
    "flaws/d45_evidence_known_to_some"
    "flaws/d45a_larger_evidence_without_effect"
    "flaws/d46_body_of_the_view_known_to_few"
    "flaws/d47_verify_flood"
    "flaws/d48_more_than_f_liars"
    "flaws/f01_two_certificates_n5"
    "flaws/f01_two_certificates_n6"
    "flaws/f01_two_certificates_paper_rules"
    "flaws/f01_two_commits_paper_rules"
    "flaws/f02_leader_change_around_commit"
    "flaws/f03_installed_and_went_silent"
    "flaws/f04_two_views_one_leader"
    "flaws/f05_two_arrays"
    "flaws/f06_final_to_one_before_the_change"
    "flaws/f06_final_to_one_with_pledge"
    "flaws/f07_holes_at_the_cut"
    "flaws/f08_excluded_but_correct"
    "flaws/f08_excluded_but_correct_no_pledge"
    "flaws/f09_three_members_part"
    "flaws/f09_two_members_part"
    "flaws/f10_ready_from_all_but_to_one"
    "flaws/f11_framing_by_selective_sending"
    "flaws/f12_suspicions_outlive_f"
    "flaws/f13_join_and_removal_at_once"
    "flaws/f14_leaders_that_do_not_lead"
    "flaws/f15_membership_outside_the_window"
    "flaws/f16_digest_without_payload"
    "flaws/f17_rows_withheld_from_few"
    "flaws/f18_replay_across_attempts_and_views"
    "flaws/f19_joiner_and_forged_history"
    "flaws/f20_suspicions_of_the_proven"
    "flaws/f21_one_more_suspicion_per_attempt"
    "flaws/f22_any_order_between_senders_paper"
    "flaws/f22_any_order_between_senders_swift"
    "flaws/f23_one_liar_among_three"
    "flaws/f24_no_way_back_from_a_flush"
    "managed/stalling_joiner"
    "managed/state_not_kept_any_more"
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
            assert!(text.starts_with("# ") || !name.starts_with("flaws/"), "{name} tells no story");
            assert_eq!(scenario.name, *name);
            assert!(!scenario.about.is_empty(), "{name}");
            assert!(!name.starts_with("managed/") || !scenario.membership.is_fixed(), "{name}");
        }
        assert_eq!(all().len(), FILES.len());
    }

    #[test]
    fn every_file_in_the_folder_is_known() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        for (folder, prefix) in [
            (folder.clone(), ""),
            (folder.join("managed"), "managed/"),
            (folder.join("flaws"), "flaws/"),
        ] {
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
