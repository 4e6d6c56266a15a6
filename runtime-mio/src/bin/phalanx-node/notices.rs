//! What the log says of notices.

use phalanx_core::Event;
use phalanx_mio::Notice;

use crate::evidence::file_name;
use crate::json::{self, fault_name};
use crate::naming::Naming;

/// Logs what an operator should know.
pub(crate) fn log(naming: &Naming<'_>, notice: &Notice) {
    let name = |rank| naming.name(rank);
    match notice {
        Notice::Fault(fault) => {
            let (culprit, proof) = (naming.name_of(&fault.key), file_name(&fault.proof));
            let what = fault_name(fault.proof.kind());
            tracing::warn!(culprit, what, proof, "a member is proven guilty");
        }
        Notice::Event(Event::Suspected { subject, by, reason }) => {
            let reason = json::reason_name(*reason);
            tracing::warn!(subject = name(*subject), by = name(*by), reason, "suspected");
        }
        Notice::Event(Event::LinkClosed { peer, why }) => {
            tracing::warn!(peer = name(*peer), ?why, "its frames are dropped from now on");
        }
        Notice::Event(Event::Alarm { sender, number }) => {
            let sender = name(*sender);
            tracing::error!(sender, %number, "certificates conflict: deliveries have stopped");
        }
        Notice::Event(Event::NoQuorum { missing }) => {
            let missing: Vec<String> = missing.iter().map(|rank| name(*rank)).collect();
            tracing::warn!(missing = missing.join(" "), "no quorum answers");
        }
        Notice::Event(Event::BeyondRepair { gone, quorum }) => {
            let left = naming.view().members.len() - gone.len();
            let gone: Vec<String> = gone.iter().map(|rank| name(*rank)).collect();
            tracing::error!(
                begun_anew = gone.join(" "),
                left,
                quorum,
                "this group cannot go on: too many members have lost what they signed. Save what the \
                 application has, and set up a new group (README, \"What ends a group\")"
            );
        }
        Notice::Event(Event::Resilience { spare }) => {
            tracing::warn!(spare, "this many more members may stop before the group does");
        }
        Notice::Event(Event::Excluded { why, lost, .. }) => {
            let why = json::exclusion_name(*why);
            tracing::warn!(why, lost = lost.len(), "out of the group; casts that nobody delivers");
        }
        Notice::ComesBack { incarnation } => {
            tracing::warn!(incarnation, "this member begins again, and asks to be taken in");
        }
        Notice::StaysOut { why } => tracing::error!(why, "this member cannot begin again"),
        Notice::Event(_) => log_joins(naming, notice),
    }
}

/// Logs what there is to know about those that join, this process among them.
fn log_joins(naming: &Naming<'_>, notice: &Notice) {
    match notice {
        Notice::Event(Event::Joining { view, refusals }) => {
            tracing::info!(newest = view, "asks to be taken in");
            for (rank, why) in refusals {
                tracing::warn!(rank = rank.value(), %why, "not taken in");
            }
        }
        Notice::Event(Event::JoinWanted { key, incarnation, addr }) => {
            let addr = String::from_utf8_lossy(addr);
            tracing::warn!(%key, incarnation, %addr, "wants to join: /admit or /refuse its key");
        }
        Notice::Event(Event::Fork { known, other }) => {
            let (known, other) = (known.view.id(), other.view.id());
            tracing::error!(%known, %other, "two views were decided after one: more than f lied");
        }
        Notice::Event(Event::Spent { highest }) => {
            tracing::warn!(
                highest,
                "this member has lived before: its boot record was lost or set back; begins above"
            );
        }
        Notice::Event(Event::StateLost) => {
            let view = naming.view().number;
            tracing::warn!(view, "missed casts that nobody keeps: delivers nothing for now");
        }
        Notice::Event(Event::Resumed { view }) => {
            tracing::warn!(view, "delivers again from this view on; what it missed is lost to it");
        }
        Notice::Event(Event::MustStay) => {
            tracing::warn!("cannot be spared now: leaves as soon as another one joins");
        }
        Notice::Event(Event::SnapshotWanted { view }) => {
            tracing::info!(view, "who joins wants the state: /snapshot VIEW FILE");
        }
        Notice::Event(_) | Notice::Fault(_) => {}
        Notice::ComesBack { .. } | Notice::StaysOut { .. } => {}
    }
}
