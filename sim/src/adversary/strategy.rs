//! The strategies by name, and what becomes of a liar that follows one.

mod acts;

use super::phase_stopper::Phase;
use super::state_transfer_liar::Lie;
use super::trickle_rows::Trickle;

/// What a run with a strategy ends in, at every correct member, once the network is well and if the
/// strategy fired. That no correct member is ever blamed, and that all promises hold, is expected
/// of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody need notice, and nothing is held up; suspicion of the liar is an error in a network
    /// that is well throughout.
    Harmless,
    /// All correct members suspect the liar, as an opinion or by proof.
    Suspected,
    /// All correct members hold a Proof against the liar.
    Proven,
    /// Whether there is a Proof or an opinion against the liar depends on the schedule.
    MayBeProven,
}

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// One receiver gets a differing body and digest: the paper's fault.
    MutantMessage,
    /// Sends no slot of the total order but works otherwise: the paper's fault.
    ImpedeTotalOrdering,
    /// Two branches of the own log, one for each half of a division of the members.
    SplitDigest,
    /// Splits its digests, and vouches for every branch of fellow liars' logs.
    ColludingReplier,
    /// What completes the agreement on a body goes to a chosen subset only.
    CertificateToSubset,
    /// Casts that are not those of the signed digest.
    PayloadMismatch,
    /// Certificates with made-up signatures.
    ForgedCertificates,
    /// Certificates with fewer signers than a quorum.
    ShortCertificates,
    /// Certificates in which one signer is counted often.
    DuplicateSignerCertificates,
    /// Numbers, slots and questions far above every window.
    FarFutureNumbers,
    /// Repeats what it said long ago, asks for what is done.
    StaleNumbers,
    /// Asks for bodies, rows and slots as fast as it can.
    FetchStorm,
    /// Signs digests and never hands out a body.
    WindowNeverFinished,
    /// Its Nulls leave just before the slot time-out.
    SlowNulls,
    /// A slot or a number leaps out of its window, or to the end of all.
    SkipToEnd,
    /// Flips, cuts and splices bytes of its frames, with and without a good MAC.
    ByteMutator,
    /// One field off by one or of an earlier value, signed anew.
    SmallScopeMutator,
    /// Two processes with one identity, each shown to one part of the group.
    Twins,
    /// One member gets neither its replies nor its haves.
    ReplyToAllButOne,
    /// Leaves out some bodies until it is asked for them.
    GapSender,
    /// Its Stable rows never move.
    StabilityFrozen,
    /// Its Stable rows say more than is true.
    StabilityOverstated,
    /// Stable rows that contradict each other.
    TwoRows,
    /// Suspects every correct member, for every reason.
    Slander,
    /// Casts and messages of the largest size, as many as the windows take.
    MaxSizeFlood,
    /// Pieces of the largest frames, the last of which never comes.
    FragmentFlood,
    /// Sends members their own frames back, and frames that were for others.
    Reflection,
    /// A flood of statements with random bytes for signatures.
    BogusSignatures,
    /// Sends nothing to at most f of the correct members.
    SilentTowardsSome,
    /// Proposes a next view with a wrong cut: the paper's fault.
    BadNewView,
    /// Proposes no next view when it leads: the paper's fault.
    NewViewTimeout,
    /// Commits what nobody acknowledged: the paper's fault.
    BadCommit,
    /// Commits nothing when it leads: the paper's fault.
    CommitTimeout,
    /// Is never ready to switch: the paper's fault.
    ReadyToSwitchTimeout,
    /// Hands out no body once it has flushed: the paper's fault.
    ImpedeStabilization,
    /// Two proposals in one attempt, one for each half of the members.
    TwoNewViews,
    /// Commits towards some members only.
    CommitToSubset,
    /// Is ready to switch towards some members only.
    ReadyToSubset,
    /// Proposes to keep whom the evidence removes.
    UnderExclusion,
    /// Proposes to remove whom nobody suspects.
    OverExclusion,
    /// Suspects everybody for every reason at once.
    SuspectFlood,
    /// Correct until it would enter this phase of a view change, then silent.
    PhaseStopper(Phase),
    /// Proposes two next views as leader; all liars acknowledge both, and are ready for both.
    AcksBoth,
    /// Reports locks that nobody can prove.
    FalseLock,
    /// Goes on to attempts far above all others, and early towards one member.
    FarAttempts,
    /// Reports no lock, and proposes afresh over the locks of others.
    LockHider,
    /// Makes decisions of Readys of several attempts.
    MixedDecision,
    /// Repeats what others signed, in later attempts and views.
    Replayer,
    /// Two Flushes, one of which says that all logs are empty.
    TwoFlushes,
    /// A Flush with bodies that nobody ever saw.
    OverstatedFlush,
    /// Does what a correct member does: what the rules of the scenario make of it.
    Scripted,
    /// Asks for membership, which nobody said that it may.
    UnauthorisedJoiner,
    /// Asks for membership with keys of members, and shows views that nobody decided.
    Impostor,
    /// Joins, goes and comes again without end.
    ChurningJoiner,
    /// Joins and is never heard of again.
    StallingJoiner,
    /// Asks one member only for membership.
    JoinRequestToSome,
    /// Shows those who join another history.
    ForgedChain,
    /// Keeps talking once it is expelled, and asks to come back.
    Zombie,
    /// Says in a view what was said in those before.
    ViewReplay,
    /// Everything it says leaves at 0.95 of a time-out.
    Hover,
    /// Starts again in the same life without its memory.
    Amnesia,
    /// Shows those who join how the group came to be, but not how it went on.
    OldChain,
    /// Lies to those to which it hands over the state.
    StateTransferLiar(Lie),
    /// Settles no slot behind a log that only its own row keeps full.
    OrderStopper,
    /// Shows its victim low rows and all others high ones.
    SplitRows,
    /// Its rows rise as slowly as the lag rule allows.
    TrickleRows(Trickle),
    /// Settles each slot just before the slot time-out.
    SlowSlots,
    /// Answers at once for 30 ms in each four seconds, and otherwise just in time.
    BurstPace,
    /// Thousands of true statements a second.
    StatementFlood,
    /// Bodies that hold nothing but casts of no length.
    EmptyCasts,
    /// Certificates in its Flush with junk behind the last link that is used.
    PaddedCertificates,
    /// A bad proposal with so much junk that it does not fit into a Proof.
    PaddedBadNewView,
    /// Fills the tables of join requests with later lives of its own.
    RequestTableFiller,
    /// As leader it proposes just before the timers end, and decides just after.
    JustInTimeLeader,
    /// Corrupts the messages of the rounds that the scenario names.
    CorruptRounds,
    /// Two processes with one identity that talk with whom the scenario says, round by round.
    TwinRounds,
}

impl Strategy {
    /// Those that show in a change of the view only.
    pub const GROUP: [Self; 18] = [
        Self::BadNewView,
        Self::NewViewTimeout,
        Self::BadCommit,
        Self::CommitTimeout,
        Self::ReadyToSwitchTimeout,
        Self::ImpedeStabilization,
        Self::TwoNewViews,
        Self::CommitToSubset,
        Self::ReadyToSubset,
        Self::UnderExclusion,
        Self::OverExclusion,
        Self::SuspectFlood,
        Self::PhaseStopper(Phase::Flush),
        Self::PhaseStopper(Phase::NewView),
        Self::PhaseStopper(Phase::Ack),
        Self::PhaseStopper(Phase::Commit),
        Self::PhaseStopper(Phase::Ready),
        Self::PhaseStopper(Phase::Decision),
    ];

    /// Those that show where an attempt of a view change fails.
    pub const NEED_FAILURE: [Self; 8] = [
        Self::AcksBoth,
        Self::FalseLock,
        Self::FarAttempts,
        Self::LockHider,
        Self::MixedDecision,
        Self::OverstatedFlush,
        Self::Replayer,
        Self::TwoFlushes,
    ];

    /// Those of processes that want to be members.
    pub const JOINERS: [Self; 5] = [
        Self::UnauthorisedJoiner,
        Self::Impostor,
        Self::ChurningJoiner,
        Self::StallingJoiner,
        Self::JoinRequestToSome,
    ];

    /// Those of members that show when processes come and go.
    pub const COMING: [Self; 5] =
        [Self::ForgedChain, Self::Zombie, Self::ViewReplay, Self::Hover, Self::Amnesia];

    /// Those of members that hand something over to processes that join.
    pub const HANDING: [Self; 7] = [
        Self::OldChain,
        Self::StateTransferLiar(Lie::Root),
        Self::StateTransferLiar(Lie::TwoRoots),
        Self::StateTransferLiar(Lie::Pieces),
        Self::StateTransferLiar(Lie::Withholds),
        Self::StateTransferLiar(Lie::Slow),
        Self::StateTransferLiar(Lie::Half),
    ];

    /// Those that try to stay in the group for ever and keep it from its work, in any view.
    pub const STAYING: [Self; 9] = [
        Self::OrderStopper,
        Self::SplitRows,
        Self::TrickleRows(Trickle::Edge),
        Self::TrickleRows(Trickle::Half),
        Self::TrickleRows(Trickle::Tenth),
        Self::SlowSlots,
        Self::BurstPace,
        Self::StatementFlood,
        Self::EmptyCasts,
    ];

    /// The same in a change of the view.
    pub const STAYING_IN_CHANGES: [Self; 4] = [
        Self::PaddedCertificates,
        Self::PaddedBadNewView,
        Self::RequestTableFiller,
        Self::JustInTimeLeader,
    ];

    /// Those that only a generator or a script makes anything of.
    pub const SCRIPTED: [Self; 3] = [Self::Scripted, Self::CorruptRounds, Self::TwinRounds];

    /// All others.
    pub const ALL: [Self; 29] = [
        Self::MutantMessage,
        Self::ImpedeTotalOrdering,
        Self::SplitDigest,
        Self::ColludingReplier,
        Self::CertificateToSubset,
        Self::PayloadMismatch,
        Self::ForgedCertificates,
        Self::ShortCertificates,
        Self::DuplicateSignerCertificates,
        Self::FarFutureNumbers,
        Self::StaleNumbers,
        Self::FetchStorm,
        Self::WindowNeverFinished,
        Self::SlowNulls,
        Self::SkipToEnd,
        Self::ByteMutator,
        Self::SmallScopeMutator,
        Self::Twins,
        Self::ReplyToAllButOne,
        Self::GapSender,
        Self::StabilityFrozen,
        Self::StabilityOverstated,
        Self::TwoRows,
        Self::Slander,
        Self::MaxSizeFlood,
        Self::FragmentFlood,
        Self::Reflection,
        Self::BogusSignatures,
        Self::SilentTowardsSome,
    ];

    /// Its name in scenario files and reports.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "a table with a line for each")]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MutantMessage => "mutant_message",
            Self::ImpedeTotalOrdering => "impede_total_ordering",
            Self::SplitDigest => "split_digest",
            Self::ColludingReplier => "colluding_replier",
            Self::CertificateToSubset => "certificate_to_subset",
            Self::PayloadMismatch => "payload_mismatch",
            Self::ForgedCertificates => "forged_certificates",
            Self::ShortCertificates => "short_certificates",
            Self::DuplicateSignerCertificates => "duplicate_signer_certificates",
            Self::FarFutureNumbers => "far_future_numbers",
            Self::StaleNumbers => "stale_numbers",
            Self::FetchStorm => "fetch_storm",
            Self::WindowNeverFinished => "window_never_finished",
            Self::SlowNulls => "slow_nulls",
            Self::SkipToEnd => "skip_to_end",
            Self::ByteMutator => "byte_mutator",
            Self::SmallScopeMutator => "small_scope_mutator",
            Self::Twins => "twins",
            Self::ReplyToAllButOne => "reply_to_all_but_one",
            Self::GapSender => "gap_sender",
            Self::StabilityFrozen => "stability_frozen",
            Self::StabilityOverstated => "stability_overstated",
            Self::TwoRows => "two_rows",
            Self::Slander => "slander",
            Self::MaxSizeFlood => "max_size_flood",
            Self::FragmentFlood => "fragment_flood",
            Self::Reflection => "reflection",
            Self::BogusSignatures => "bogus_signatures",
            Self::SilentTowardsSome => "silent_towards_some",
            Self::BadNewView => "bad_new_view",
            Self::NewViewTimeout => "new_view_timeout",
            Self::BadCommit => "bad_commit",
            Self::CommitTimeout => "commit_timeout",
            Self::ReadyToSwitchTimeout => "ready_to_switch_timeout",
            Self::ImpedeStabilization => "impede_stabilization",
            Self::TwoNewViews => "two_new_views",
            Self::CommitToSubset => "commit_to_subset",
            Self::ReadyToSubset => "ready_to_subset",
            Self::UnderExclusion => "under_exclusion",
            Self::OverExclusion => "over_exclusion",
            Self::SuspectFlood => "suspect_flood",
            Self::PhaseStopper(Phase::Flush) => "phase_stopper_flush",
            Self::PhaseStopper(Phase::NewView) => "phase_stopper_new_view",
            Self::PhaseStopper(Phase::Ack) => "phase_stopper_ack",
            Self::PhaseStopper(Phase::Commit) => "phase_stopper_commit",
            Self::PhaseStopper(Phase::Ready) => "phase_stopper_ready",
            Self::PhaseStopper(Phase::Decision) => "phase_stopper_decision",
            Self::AcksBoth => "acks_both",
            Self::FalseLock => "false_lock",
            Self::FarAttempts => "far_attempts",
            Self::LockHider => "lock_hider",
            Self::MixedDecision => "mixed_decision",
            Self::Replayer => "replayer",
            Self::TwoFlushes => "two_flushes",
            Self::OverstatedFlush => "overstated_flush",
            Self::Scripted => "scripted",
            Self::UnauthorisedJoiner => "unauthorised_joiner",
            Self::Impostor => "impostor",
            Self::ChurningJoiner => "churning_joiner",
            Self::StallingJoiner => "stalling_joiner",
            Self::JoinRequestToSome => "join_request_to_some",
            Self::ForgedChain => "forged_chain",
            Self::Zombie => "zombie",
            Self::ViewReplay => "view_replay",
            Self::Hover => "hover",
            Self::Amnesia => "amnesia",
            Self::OldChain => "old_chain",
            Self::StateTransferLiar(lie) => lie.name(),
            Self::OrderStopper => "order_stopper",
            Self::SplitRows => "split_rows",
            Self::TrickleRows(trickle) => trickle.name(),
            Self::SlowSlots => "slow_slots",
            Self::BurstPace => "burst_pace",
            Self::StatementFlood => "statement_flood",
            Self::EmptyCasts => "empty_casts",
            Self::PaddedCertificates => "padded_certificates",
            Self::PaddedBadNewView => "padded_bad_new_view",
            Self::RequestTableFiller => "request_table_filler",
            Self::JustInTimeLeader => "just_in_time_leader",
            Self::CorruptRounds => "corrupt_rounds",
            Self::TwinRounds => "twin_rounds",
        }
    }

    /// All there are, but for those that only a generator or a script makes anything of.
    pub fn every() -> impl Iterator<Item = Self> {
        let late = Self::JOINERS.into_iter().chain(Self::COMING).chain(Self::HANDING);
        let late = late.chain(Self::STAYING).chain(Self::STAYING_IN_CHANGES);
        Self::ALL.into_iter().chain(Self::GROUP).chain(Self::NEED_FAILURE).chain(late)
    }

    /// Whether it is one of processes that want to be members.
    #[must_use]
    pub fn is_joiner(self) -> bool {
        Self::JOINERS.contains(&self)
    }

    /// Whether a liar can follow another one besides: it is one process, and a member.
    #[must_use]
    pub fn goes_with_others(self) -> bool {
        !self.is_joiner() && !matches!(self, Self::Twins | Self::TwinRounds)
    }

    /// The strategy with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::every().chain(Self::SCRIPTED).find(|strategy| strategy.name() == name)
    }

    /// What a run with such liars, and no more of them than the view bears, ends in.
    #[must_use]
    #[allow(clippy::too_many_lines, reason = "a table with a line for each")]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::CertificateToSubset
            | Self::StaleNumbers
            | Self::FetchStorm
            | Self::ReplyToAllButOne
            | Self::GapSender
            | Self::StabilityOverstated
            | Self::Slander
            | Self::MaxSizeFlood
            | Self::FragmentFlood
            | Self::Reflection
            | Self::SilentTowardsSome
            | Self::ReadyToSwitchTimeout
            | Self::ImpedeStabilization
            | Self::ReadyToSubset
            | Self::SuspectFlood
            | Self::Scripted
            | Self::UnauthorisedJoiner
            | Self::Impostor
            | Self::JoinRequestToSome
            | Self::ForgedChain
            | Self::OldChain
            | Self::StateTransferLiar(Lie::Root | Lie::Slow) => Verdict::Harmless,
            Self::ImpedeTotalOrdering
            | Self::ForgedCertificates
            | Self::ShortCertificates
            | Self::DuplicateSignerCertificates
            | Self::WindowNeverFinished
            | Self::SkipToEnd
            | Self::BogusSignatures
            | Self::OrderStopper
            | Self::PhaseStopper(_) => Verdict::Suspected,
            Self::MutantMessage
            | Self::SplitDigest
            | Self::ColludingReplier
            | Self::Twins
            | Self::TwoRows
            | Self::BadNewView
            | Self::UnderExclusion
            | Self::OverExclusion
            | Self::PaddedBadNewView
            | Self::Zombie => Verdict::Proven,
            Self::PayloadMismatch
            | Self::FarFutureNumbers
            | Self::ByteMutator
            | Self::SmallScopeMutator
            | Self::StabilityFrozen
            | Self::NewViewTimeout
            | Self::BadCommit
            | Self::TwoNewViews
            | Self::CommitTimeout
            | Self::CommitToSubset
            | Self::AcksBoth
            | Self::FalseLock
            | Self::FarAttempts
            | Self::LockHider
            | Self::MixedDecision
            | Self::Replayer
            | Self::TwoFlushes
            | Self::OverstatedFlush
            | Self::ChurningJoiner
            | Self::StallingJoiner
            | Self::ViewReplay
            | Self::Hover
            | Self::Amnesia
            | Self::SplitRows
            | Self::TrickleRows(_)
            | Self::SlowSlots
            | Self::BurstPace
            | Self::StatementFlood
            | Self::EmptyCasts
            | Self::PaddedCertificates
            | Self::RequestTableFiller
            | Self::JustInTimeLeader
            | Self::CorruptRounds
            | Self::TwinRounds
            | Self::SlowNulls
            | Self::StateTransferLiar(_) => Verdict::MayBeProven,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_and_no_other_does() {
        for strategy in Strategy::every() {
            assert_eq!(Strategy::parse(strategy.name()), Some(strategy));
            assert!(strategy.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
        assert_eq!(Strategy::parse("honest"), None);
        assert_eq!(Strategy::parse("Twins"), None);
    }
}
