//! What layer Group holds: long messages as they are, and small tables as if they were full.

use super::{Group, intake::KEPT_MAX, votes};
use crate::config::Limits;
use crate::crypto::{JoinRequest, Link, PublicKey, Recommend, Signed, Suspect};
use crate::layer::reliable::heads_bytes;
use crate::member::Member;
use crate::seq::LogEnd;
use crate::view::EXPELLED_MAX;
use crate::wire::bounds::Bounds;
use crate::wire::change::{Certificates, Covered, Grounds, JOINS_MAX, Justification, Proposed};

/// Book-keeping of one entry of a table: key, node and allocation.
const ENTRY: usize = 96;
/// A statement that belongs to an attempt, with its entry.
const VOTE: usize = 256;

/// A message may take up to this many times the bytes that it has on the wire, where numbers are
/// short.
const UNPACKED: usize = 2;

/// The most bytes of one message of a view change as it is held.
fn message_max(limits: &Limits, n: usize) -> usize {
    Bounds::with_links(n, limits.links_max()).longest().saturating_mul(UNPACKED)
}

/// The most bytes of the proposals that are remembered together, but for the last one.
pub(super) fn proposals_max(limits: &Limits, n: usize) -> usize {
    message_max(limits, n).saturating_mul(2)
}

/// The most bytes of the tables in a view of `n` members.
const fn tables_bytes(n: usize) -> usize {
    let votes = n.saturating_mul(votes::ATTEMPTS_MAX).saturating_mul(5).saturating_mul(VOTE);
    let suspects = size_of::<Signed<Suspect>>().saturating_add(ENTRY);
    let suspects = n.saturating_mul(n).saturating_mul(2).saturating_mul(suspects);
    let recommends = n.saturating_mul(size_of::<Signed<Recommend>>().saturating_add(ENTRY));
    let join = size_of::<JoinRequest>().saturating_add(ENTRY).saturating_add(recommends);
    let waiting = size_of::<JoinRequest>()
        .saturating_add(size_of::<Signed<Recommend>>())
        .saturating_add(ENTRY);
    // Proofs of locks, and Commits.
    let locks = n.saturating_mul(VOTE).saturating_add(ENTRY).saturating_mul(2);
    votes
        .saturating_add(suspects)
        .saturating_add(JOINS_MAX.saturating_add(n).saturating_mul(join))
        // Those that wait, of each member.
        .saturating_add(n.saturating_mul(JOINS_MAX).saturating_mul(waiting))
        .saturating_add(KEPT_MAX.saturating_mul(locks))
}

/// What a next view takes with so many members and expelled keys.
const fn view_bytes(members: usize, expelled: usize) -> usize {
    let member = size_of::<Member>().saturating_add(crate::member::ADDR_MAX);
    let member = member.saturating_add(size_of::<LogEnd>()).saturating_add(16);
    let keys = expelled.saturating_mul(size_of::<PublicKey>());
    members.saturating_mul(member).saturating_add(keys).saturating_add(ENTRY.saturating_mul(4))
}

/// The most of the next views that are remembered: those that something is about that is
/// remembered, too, which are the proposals, the proofs of locks, the own lock and what a quorum
/// voted for; and the newest.
fn views_max(limits: &Limits, n: usize) -> usize {
    let views = KEPT_MAX.saturating_mul(2).saturating_add(4);
    let members = n.saturating_add(usize::from(limits.max_joins_per_change));
    views.saturating_mul(view_bytes(members, EXPELLED_MAX))
}

fn certificates_bytes(table: &Certificates) -> usize {
    let heads = table.heads.iter().map(|said| heads_bytes(said.statement.entries.len()));
    let covered = table.covered.iter().map(|covered| {
        let places = covered.places.len().saturating_mul(2);
        let links = covered.links.len().saturating_mul(size_of::<Link>());
        size_of::<Covered>().saturating_add(places).saturating_add(links)
    });
    heads.chain(covered).fold(0, usize::saturating_add)
}

fn grounds_bytes(grounds: &Grounds) -> usize {
    let suspects = grounds.suspects.len().saturating_mul(size_of::<Signed<Suspect>>());
    let leaves = grounds.leaves.len().saturating_mul(VOTE);
    let joins = grounds.joins.iter().fold(0_usize, |sum, join| {
        let recommends = join.recommends.len().saturating_mul(size_of::<Signed<Recommend>>());
        let request = size_of::<JoinRequest>().saturating_add(ENTRY);
        sum.saturating_add(recommends).saturating_add(request)
    });
    suspects.saturating_add(leaves).saturating_add(joins)
}

/// What a proposal takes.
fn proposed_bytes(proposed: &Proposed) -> usize {
    let view = view_bytes(proposed.view.members.len(), proposed.view.expelled.len());
    let why = match &proposed.justification {
        Justification::Fresh { flushes, certificates, grounds, more } => {
            let flushes = flushes.iter().fold(0_usize, |sum, said| {
                let ends = said.statement.ends.len().saturating_mul(size_of::<LogEnd>());
                let changes = said.statement.changes.len().saturating_mul(ENTRY / 2);
                sum.saturating_add(VOTE).saturating_add(ends).saturating_add(changes)
            });
            let more = more.len().saturating_mul(VOTE);
            let table = certificates_bytes(certificates).saturating_add(grounds_bytes(grounds));
            flushes.saturating_add(more).saturating_add(table)
        }
        Justification::Relock { more, acks } => {
            more.len().saturating_add(acks.len()).saturating_mul(VOTE)
        }
    };
    view.saturating_add(why)
}

impl Group {
    /// Bytes of the proposals that are remembered.
    fn proposals_bytes(&self) -> usize {
        let proposals = self.proposals.values().map(|found| proposed_bytes(&found.message));
        proposals.fold(0, usize::saturating_add)
    }

    /// Whether there are more proposals than are to be remembered: in number, or in bytes.
    pub(super) fn has_too_many_proposals(&self) -> bool {
        let max = proposals_max(&self.genesis.limits, self.n());
        self.proposals.len() > KEPT_MAX
            || (self.proposals.len() > 1 && self.proposals_bytes() > max)
    }

    /// Bytes held.
    pub(crate) fn held_bytes(&self) -> usize {
        let tables =
            self.flushes.values().flatten().filter_map(|found| found.certificates.as_ref());
        let tables = tables.map(|table| certificates_bytes(table));
        let views = self.views.values();
        let views = views.map(|view| view_bytes(view.members.len(), view.expelled.len()));
        let own = self.own.flush.iter().map(|flush| grounds_bytes(&flush.grounds));
        let more = self.own.more.iter().map(|more| grounds_bytes(&more.grounds));
        let proposed = self.own.proposed.iter().map(|proposed| proposed_bytes(proposed));
        tables
            .chain(views)
            .chain(own)
            .chain(more)
            .chain(proposed)
            .fold(self.proposals_bytes(), usize::saturating_add)
            .saturating_add(tables_bytes(self.n()))
    }

    /// The most bytes held in a view of `n` members: the certificates of each member's Flush, the
    /// proposals, and the own messages.
    pub(crate) fn bound_bytes(limits: &Limits, n: usize) -> usize {
        let own = message_max(limits, n).saturating_mul(n.saturating_add(4));
        own.saturating_add(proposals_max(limits, n))
            .saturating_add(tables_bytes(n))
            .saturating_add(views_max(limits, n))
    }
}
