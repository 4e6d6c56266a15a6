//! What a liar that follows a strategy does.

use super::super::act::{Act, Honest};
use super::super::bad_certificates::{BadCertificates, Flaw};
use super::super::commit_timeout::CommitTimeout;
use super::super::puppet::Puppet;
use super::super::ready_to_switch_timeout::ReadyToSwitchTimeout;
use super::super::{
    acks_both, bad_commit, bad_new_view, bogus_signatures, byte_mutator, certificate_to_subset,
    colluding_replier, false_lock, far_attempts, far_future_numbers, fetch_storm, fragment_flood,
    gap_sender, impede_stabilization, impede_total_ordering, lock_hider, max_size_flood,
    mixed_decision, mutant_message, new_view_timeout, over_exclusion, payload_mismatch,
    phase_stopper, reflection, replayer, reply_to_all_but_one, silent_towards_some, skip_to_end,
    slander, slow_nulls, small_scope_mutator, split_digest, stability, stale_numbers,
    suspect_flood, twins, two_flushes, two_new_views, two_rows, under_exclusion,
    window_never_finished,
};
use super::super::{
    amnesia, churning_joiner, forged_chain, hover, impostor, join_request_to_some, stalling_joiner,
    state_transfer_liar, unauthorised_joiner, view_replay, zombie,
};
use super::super::{
    burst_pace, corrupt_rounds, empty_casts, just_in_time_leader, order_stopper,
    padded_bad_new_view, padded_certificates, request_table_filler, slow_slots, split_rows,
    statement_flood, trickle_rows, twin_rounds,
};
use super::Strategy;

impl Strategy {
    pub(in super::super) fn act(self, puppet: &mut Puppet) -> Box<dyn Act> {
        match self {
            Self::MutantMessage => Box::new(mutant_message::MutantMessage::new(puppet)),
            Self::ImpedeTotalOrdering => Box::new(impede_total_ordering::ImpedeTotalOrdering),
            Self::SplitDigest => Box::new(split_digest::SplitDigest::new(puppet)),
            Self::ColludingReplier => Box::new(colluding_replier::ColludingReplier::new(puppet)),
            Self::CertificateToSubset => {
                Box::new(certificate_to_subset::CertificateToSubset::new(puppet))
            }
            Self::PayloadMismatch => Box::new(payload_mismatch::PayloadMismatch),
            Self::ForgedCertificates => Box::new(BadCertificates::new(Flaw::Forged)),
            Self::ShortCertificates => Box::new(BadCertificates::new(Flaw::Short)),
            Self::DuplicateSignerCertificates => {
                Box::new(BadCertificates::new(Flaw::DuplicateSigner))
            }
            Self::FarFutureNumbers => Box::new(far_future_numbers::FarFutureNumbers::new()),
            Self::StaleNumbers => Box::new(stale_numbers::StaleNumbers::new()),
            Self::FetchStorm => Box::new(fetch_storm::FetchStorm::new()),
            Self::WindowNeverFinished => Box::new(window_never_finished::WindowNeverFinished),
            Self::SlowNulls => Box::new(slow_nulls::SlowNulls),
            Self::SkipToEnd => Box::new(skip_to_end::SkipToEnd::new(puppet)),
            Self::ByteMutator => Box::<byte_mutator::ByteMutator>::default(),
            Self::SmallScopeMutator => Box::<small_scope_mutator::SmallScopeMutator>::default(),
            Self::Twins => Box::new(twins::Twins::new(puppet)),
            Self::ReplyToAllButOne => Box::new(reply_to_all_but_one::ReplyToAllButOne::new(puppet)),
            Self::GapSender => Box::<gap_sender::GapSender>::default(),
            Self::StabilityFrozen => Box::<stability::StabilityFrozen>::default(),
            Self::StabilityOverstated => Box::new(stability::StabilityOverstated),
            Self::TwoRows => Box::new(two_rows::TwoRows),
            Self::Slander => Box::new(slander::Slander::new()),
            Self::MaxSizeFlood => Box::new(max_size_flood::MaxSizeFlood::new()),
            Self::FragmentFlood => Box::new(fragment_flood::FragmentFlood::new()),
            Self::Reflection => Box::new(reflection::Reflection),
            Self::BogusSignatures => Box::new(bogus_signatures::BogusSignatures::new()),
            Self::SilentTowardsSome => {
                Box::new(silent_towards_some::SilentTowardsSome::new(puppet))
            }
            other => match other.staying_act(puppet) {
                Some(act) => act,
                None => other.group_act(puppet),
            },
        }
    }

    /// The same for those that show in a change of the view.
    fn group_act(self, puppet: &Puppet) -> Box<dyn Act> {
        match self {
            Self::BadNewView => Box::new(bad_new_view::BadNewView),
            Self::NewViewTimeout => Box::new(new_view_timeout::NewViewTimeout),
            Self::BadCommit => Box::new(bad_commit::BadCommit),
            Self::CommitTimeout => Box::new(CommitTimeout::new()),
            Self::ReadyToSwitchTimeout => Box::new(ReadyToSwitchTimeout::new()),
            Self::ImpedeStabilization => {
                Box::<impede_stabilization::ImpedeStabilization>::default()
            }
            Self::TwoNewViews => Box::new(two_new_views::TwoNewViews),
            Self::CommitToSubset => Box::new(CommitTimeout::to_subset(puppet)),
            Self::ReadyToSubset => Box::new(ReadyToSwitchTimeout::to_subset(puppet)),
            Self::UnderExclusion => Box::new(under_exclusion::UnderExclusion),
            Self::OverExclusion => Box::new(over_exclusion::OverExclusion),
            Self::SuspectFlood => Box::new(suspect_flood::SuspectFlood::new()),
            Self::PhaseStopper(phase) => Box::new(phase_stopper::PhaseStopper::new(phase)),
            other => other.scripted_act(),
        }
    }

    /// The same for those that show where attempts fail, and for what only a script makes anything of.
    fn scripted_act(self) -> Box<dyn Act> {
        match self {
            Self::AcksBoth => Box::<acks_both::AcksBoth>::default(),
            Self::FalseLock => Box::new(false_lock::FalseLock),
            Self::FarAttempts => Box::new(far_attempts::FarAttempts::new()),
            Self::LockHider => Box::<lock_hider::LockHider>::default(),
            Self::MixedDecision => Box::<mixed_decision::MixedDecision>::default(),
            Self::Replayer => Box::new(replayer::Replayer::new()),
            Self::TwoFlushes => Box::new(two_flushes::TwoFlushes),
            Self::OverstatedFlush => Box::new(two_flushes::OverstatedFlush),
            Self::Scripted => Box::new(Honest),
            other => other.coming_act(),
        }
    }

    /// The same for those that show when processes come and go.
    fn coming_act(self) -> Box<dyn Act> {
        match self {
            Self::UnauthorisedJoiner => Box::new(unauthorised_joiner::UnauthorisedJoiner),
            Self::Impostor => Box::new(impostor::Impostor::new()),
            Self::ChurningJoiner => Box::new(churning_joiner::ChurningJoiner::new()),
            Self::StallingJoiner => Box::new(stalling_joiner::StallingJoiner),
            Self::JoinRequestToSome => Box::new(join_request_to_some::JoinRequestToSome),
            Self::ForgedChain => Box::new(forged_chain::ForgedChain),
            Self::Zombie => Box::new(zombie::Zombie::new()),
            Self::ViewReplay => Box::new(view_replay::ViewReplay::new()),
            Self::Hover => Box::new(hover::Hover),
            Self::Amnesia => Box::new(amnesia::Amnesia::new()),
            Self::OldChain => Box::new(forged_chain::OldChain),
            Self::StateTransferLiar(lie) => {
                Box::new(state_transfer_liar::StateTransferLiar::new(lie))
            }
            _ => Box::new(Honest),
        }
    }

    /// The same for those that stay in the group, and for what goes by rounds.
    fn staying_act(self, puppet: &Puppet) -> Option<Box<dyn Act>> {
        Some(match self {
            Self::OrderStopper => Box::new(order_stopper::OrderStopper::new(puppet)),
            Self::SplitRows => Box::new(split_rows::SplitRows::new(puppet)),
            Self::TrickleRows(trickle) => Box::new(trickle_rows::TrickleRows::new(trickle)),
            Self::SlowSlots => Box::<slow_slots::SlowSlots>::default(),
            Self::BurstPace => Box::new(burst_pace::BurstPace),
            Self::StatementFlood => Box::new(statement_flood::StatementFlood::new()),
            Self::EmptyCasts => Box::new(empty_casts::EmptyCasts::new(puppet)),
            Self::PaddedCertificates => Box::new(padded_certificates::PaddedCertificates),
            Self::PaddedBadNewView => Box::new(padded_bad_new_view::PaddedBadNewView),
            Self::RequestTableFiller => {
                let cool_us = puppet.timeouts.cool_us;
                Box::new(request_table_filler::RequestTableFiller::new(cool_us))
            }
            Self::JustInTimeLeader => Box::new(just_in_time_leader::JustInTimeLeader::new(puppet)),
            Self::CorruptRounds => Box::<corrupt_rounds::CorruptRounds>::default(),
            Self::TwinRounds => Box::<twin_rounds::TwinRounds>::default(),
            _ => return None,
        })
    }
}
