//! Marks: named rare branches of the protocol. A campaign that never came by one of them did not
//! test it, and says so.

use phalanx_core::{Counters, FaultKind, Reason};

/// A rare branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mark {
    /// A log was proven to be forked.
    ForkProven,
    /// A member was proven to have replied to two branches.
    TwoRepliesProven,
    /// A member was proven to have signed contradicting rows.
    TwoRowsProven,
    /// A member answered a fetch with another's body.
    FetchAnswered,
    /// A member asked for bodies.
    FetchSent,
    /// A member asked for a row before it suspected.
    RowAsked,
    /// A member passed on another's row.
    RowRelayed,
    /// A member asked for a slot before it suspected.
    SlotAsked,
    /// A certificate was sent.
    CertificateSent,
    /// A body that only settles slots was sent.
    NullSent,
    /// A null that reaches over more than one round.
    NullRangeSent,
    /// One signature spoke for several logs.
    HeadsBatched,
    /// A body carried several casts.
    CastsBatched,
    /// A frame was cut into fragments.
    Fragmented,
    /// Fragments were acknowledged.
    FragmentAcknowledged,
    /// A replayed frame was dropped.
    ReplayDropped,
    /// A frame without a good MAC was dropped.
    UnauthenticatedDropped,
    /// A frame of a closed link was dropped.
    ClosedDropped,
    /// A member closed its link with another.
    LinkClosed,
    /// A cast was refused because the queue was full.
    CastRefused,
    /// There was room again after a refusal.
    Writable,
    /// A sender stood at its overflow threshold.
    OverflowHit,
    /// Suspected for silence.
    SuspectedMute,
    /// Suspected for holding a window back.
    SuspectedLagging,
    /// Suspected for holding the total order up.
    SuspectedImpedingOrder,
    /// Suspected for bad bytes.
    SuspectedBadBytes,
    /// Suspected by proof.
    SuspectedProof,
    /// A member gave an attempt of a view change up.
    NeedMoreChangeSent,
    /// A correct leader proposed again what others may have decided.
    LockReproposed,
    /// A correct leader proposed from a bare quorum of Flushes.
    MinimalFresh,
    /// An attempt after the first led to a view without the leader of one before, as Active member.
    LeaderSkipped,
    /// A member told another the decision of a view.
    DecisionToldToLaggard,
    /// A member asked for bodies after its Flush.
    CutCollected,
    /// A cast that was accepted in one view was delivered in a later one.
    CastsRequeued,
    /// A view was installed that somebody was removed from for an opinion.
    Removed,
    /// One in which somebody fell silent.
    Silenced,
    /// One from which somebody was expelled by proof.
    Expelled,
    /// A correct member learned that it is no member any more.
    Excluded,
    /// A silenced correct member went on without having delivered everything.
    VoterWithoutState,
    /// One that had not delivered everything delivers again, where members hand over no state.
    Resumed,
    /// An application was told of an attempt given up.
    TransitionalView,
    /// A member met no quorum.
    NoQuorum,
    /// Suspected by the application.
    SuspectedApplication,
    /// Suspected for proposing nothing.
    SuspectedNewViewOverdue,
    /// Suspected for committing nothing.
    SuspectedCommitOverdue,
    /// A process joined.
    Joined,
    /// A member left as it asked.
    Left,
    /// A member was replaced by its next life.
    Replaced,
    /// A silenced member became Active again.
    ActiveAgain,
    /// One view took somebody in and removed somebody for an opinion or a proof.
    JoinDuringRemoval,
    /// A process was told that it is not recommended.
    JoinRefused,
    /// A process that joins was told several decisions at once.
    ChainTold,
    /// A correct process that had been excluded was a member again.
    Rejoined,
    /// A process that joined, or is Active again, had loaded its state.
    StateLoaded,
    /// It was in a later view by then.
    OvertakenWhileLoading,
    /// It had lost it before.
    StateLoadedAgain,
    /// A member was proven to have signed two states for one process.
    TwoSnapshotsProven,
}

impl Mark {
    /// All marks. A large campaign must come by each.
    pub const ALL: [Self; 57] = [
        Self::ForkProven,
        Self::TwoRepliesProven,
        Self::TwoRowsProven,
        Self::FetchAnswered,
        Self::FetchSent,
        Self::RowAsked,
        Self::RowRelayed,
        Self::SlotAsked,
        Self::CertificateSent,
        Self::NullSent,
        Self::NullRangeSent,
        Self::HeadsBatched,
        Self::CastsBatched,
        Self::Fragmented,
        Self::FragmentAcknowledged,
        Self::ReplayDropped,
        Self::UnauthenticatedDropped,
        Self::ClosedDropped,
        Self::LinkClosed,
        Self::CastRefused,
        Self::Writable,
        Self::OverflowHit,
        Self::SuspectedMute,
        Self::SuspectedLagging,
        Self::SuspectedImpedingOrder,
        Self::SuspectedBadBytes,
        Self::SuspectedProof,
        Self::NeedMoreChangeSent,
        Self::LockReproposed,
        Self::MinimalFresh,
        Self::LeaderSkipped,
        Self::DecisionToldToLaggard,
        Self::CutCollected,
        Self::CastsRequeued,
        Self::Removed,
        Self::Silenced,
        Self::Expelled,
        Self::Excluded,
        Self::VoterWithoutState,
        Self::Resumed,
        Self::TransitionalView,
        Self::NoQuorum,
        Self::SuspectedApplication,
        Self::SuspectedNewViewOverdue,
        Self::SuspectedCommitOverdue,
        Self::Joined,
        Self::Left,
        Self::Replaced,
        Self::ActiveAgain,
        Self::JoinDuringRemoval,
        Self::JoinRefused,
        Self::ChainTold,
        Self::Rejoined,
        Self::StateLoaded,
        Self::OvertakenWhileLoading,
        Self::StateLoadedAgain,
        Self::TwoSnapshotsProven,
    ];

    /// The mark of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| mark.name() == name)
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForkProven => "fork_proven",
            Self::TwoRepliesProven => "two_replies_proven",
            Self::TwoRowsProven => "two_rows_proven",
            Self::FetchAnswered => "fetch_answered",
            Self::FetchSent => "fetch_sent",
            Self::RowAsked => "row_asked",
            Self::RowRelayed => "row_relayed",
            Self::SlotAsked => "slot_asked",
            Self::CertificateSent => "certificate_sent",
            Self::NullSent => "null_sent",
            Self::NullRangeSent => "null_range_sent",
            Self::HeadsBatched => "heads_batched",
            Self::CastsBatched => "casts_batched",
            Self::Fragmented => "fragmented",
            Self::FragmentAcknowledged => "fragment_acknowledged",
            Self::ReplayDropped => "replay_dropped",
            Self::UnauthenticatedDropped => "unauthenticated_dropped",
            Self::ClosedDropped => "closed_dropped",
            Self::LinkClosed => "link_closed",
            Self::CastRefused => "cast_refused",
            Self::Writable => "writable",
            Self::OverflowHit => "overflow_hit",
            Self::SuspectedMute => "suspected_mute",
            Self::SuspectedLagging => "suspected_lagging",
            Self::SuspectedImpedingOrder => "suspected_impeding_order",
            Self::SuspectedBadBytes => "suspected_bad_bytes",
            Self::SuspectedProof => "suspected_proof",
            Self::NeedMoreChangeSent => "need_more_change_sent",
            Self::LockReproposed => "lock_reproposed",
            Self::MinimalFresh => "minimal_fresh",
            Self::LeaderSkipped => "leader_skipped",
            Self::DecisionToldToLaggard => "decision_told_to_laggard",
            Self::CutCollected => "cut_collected",
            Self::CastsRequeued => "casts_requeued",
            Self::Removed => "removed",
            Self::Silenced => "silenced",
            Self::Expelled => "expelled",
            Self::Excluded => "excluded",
            Self::VoterWithoutState => "voter_without_state",
            Self::Resumed => "resumed",
            Self::TransitionalView => "transitional_view",
            Self::NoQuorum => "no_quorum",
            Self::SuspectedApplication => "suspected_application",
            Self::SuspectedNewViewOverdue => "suspected_new_view_overdue",
            Self::SuspectedCommitOverdue => "suspected_commit_overdue",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Replaced => "replaced",
            Self::ActiveAgain => "active_again",
            Self::JoinDuringRemoval => "join_during_removal",
            Self::JoinRefused => "join_refused",
            Self::ChainTold => "chain_told",
            Self::Rejoined => "rejoined",
            Self::StateLoaded => "state_loaded",
            Self::OvertakenWhileLoading => "overtaken_while_loading",
            Self::StateLoadedAgain => "state_loaded_again",
            Self::TwoSnapshotsProven => "two_snapshots_proven",
        }
    }
}

/// The marks that a run came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// Came by `mark`.
    pub const fn hit(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u8;
    }

    /// Whether it came by `mark`.
    #[must_use]
    pub const fn has(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u8) != 0
    }

    /// Those of this run and those of another.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The marks hit, in order.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.into_iter().filter(move |mark| self.has(*mark))
    }

    /// The marks missed, in order.
    pub fn missed(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.into_iter().filter(move |mark| !self.has(*mark))
    }

    /// What a member's counters tell at the end.
    pub const fn counted(&mut self, counters: &Counters) {
        if counters.dropped_replayed > 0 {
            self.hit(Mark::ReplayDropped);
        }
        if counters.dropped_unauthenticated > 0 {
            self.hit(Mark::UnauthenticatedDropped);
        }
        if counters.dropped_closed > 0 {
            self.hit(Mark::ClosedDropped);
        }
    }

    /// A Proof of this kind was made.
    pub const fn proven(&mut self, kind: FaultKind) {
        self.hit(match kind {
            FaultKind::MutantMessage => Mark::ForkProven,
            FaultKind::TwoReplies => Mark::TwoRepliesProven,
            FaultKind::TwoRows => Mark::TwoRowsProven,
            FaultKind::TwoSnapshots => Mark::TwoSnapshotsProven,
            _ => return,
        });
    }

    /// Somebody was suspected for this reason.
    pub const fn suspected(&mut self, reason: Reason) {
        self.hit(match reason {
            Reason::Proof => Mark::SuspectedProof,
            Reason::Mute => Mark::SuspectedMute,
            Reason::Lagging => Mark::SuspectedLagging,
            Reason::ImpedingOrder => Mark::SuspectedImpedingOrder,
            Reason::BadBytes => Mark::SuspectedBadBytes,
            Reason::Application => Mark::SuspectedApplication,
            Reason::NewViewOverdue => Mark::SuspectedNewViewOverdue,
            Reason::CommitOverdue => Mark::SuspectedCommitOverdue,
            Reason::NotInstalled | Reason::Withholding | Reason::Slow | Reason::Flooding => return,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_distinct_and_add_up() {
        let mut marks = Marks::default();
        for (index, mark) in Mark::ALL.into_iter().enumerate() {
            assert!(!marks.has(mark), "{}", mark.name());
            marks.hit(mark);
            assert_eq!(Mark::parse(mark.name()), Some(mark));
            assert_eq!(marks.iter().count(), index + 1);
        }
        assert_eq!(marks.missed().count(), 0);
        let mut one = Marks::default();
        one.hit(Mark::NullSent);
        assert!(one.and(Marks::default()).has(Mark::NullSent));
    }
}
