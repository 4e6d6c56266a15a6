//! What justifies a proposal: made by the leader of an attempt, judged by everybody else, from the
//! message alone (protocol.md section 9, "valid Fresh" and "valid Relock").

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::evidence::Evidence;
use crate::crypto::{
    AckNewView, Certificate, Certified, Change, Flush, Locked, NeedMoreChange, Signed, Statement,
    Verified,
};
use crate::fault::LinkFault;
use crate::layer::Context;
use crate::plan::plan;
use crate::seq::{Attempt, LogEnd, Number};
use crate::view::{Genesis, View};
use crate::wire::change::{Acks, Certificates, Committed, Justification, Proposed, acks_hash};

/// What was taken out of a valid proposal.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The Flushes that it carries.
    pub(super) flushes: Vec<Verified<Flush>>,
    /// Who goes on to its attempt.
    pub(super) more: Vec<Verified<NeedMoreChange>>,
    /// What certifies its cut.
    pub(super) certified: Vec<(Certificate, Certified)>,
}

/// What everybody knows who judges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basis<'a> {
    pub(crate) view: &'a View,
    pub(crate) genesis: &'a Genesis,
}

/// Checks the signatures of statements of distinct members; their order was checked on decoding.
pub(super) fn verify_all<S: Statement + Clone>(
    cx: &mut Context<'_>,
    all: &[Signed<S>],
) -> Result<Vec<Verified<S>>, LinkFault> {
    let verify = |signed: &Signed<S>| cx.door.verify(cx.roster, signed.clone());
    Ok(all.iter().map(verify).collect::<Result<Vec<_>, _>>()?)
}

/// Whether these are exactly a quorum's Acks of one view in one attempt.
pub(super) fn acks_prove(
    cx: &mut Context<'_>,
    acks: &Acks,
    lock: &Locked,
) -> Result<bool, LinkFault> {
    let fits = |ack: &Signed<AckNewView>| {
        (ack.statement.attempt, ack.statement.next) == (lock.attempt, lock.next)
    };
    if acks.len() != cx.roster.quorum().q() || !acks.iter().all(fits) {
        return Ok(false);
    }
    verify_all(cx, acks)?;
    Ok(true)
}

/// Whether what is attached to a proposal is what it names. If not, who passed it on is to blame:
/// the statement may be a correct leader's, with something else attached.
pub(crate) fn is_bound(proposed: &Proposed) -> bool {
    let said = &proposed.signed.statement;
    said.next == proposed.view.id() && said.justification == proposed.justification.hash()
}

/// Whether a proposal, bound and signed, is valid, and what is in it. Otherwise its author proposes
/// what no correct member does; an error says that what it carries is not even signed well.
///
/// The verdict convicts, so that it must be everybody's: nothing enters it but the view, the genesis
/// record and the bytes that were signed.
pub(crate) fn judge(
    cx: &mut Context<'_>,
    basis: Basis<'_>,
    proposed: &Proposed,
) -> Result<Option<Judged>, LinkFault> {
    let said = &proposed.signed.statement;
    if proposed.signed.signer != basis.view.leader(said.attempt) {
        return Ok(None);
    }
    match &proposed.justification {
        Justification::Fresh { flushes, certificates, grounds, more } => {
            let flushes = verify_all(cx, flushes)?;
            let more = verify_all(cx, more)?;
            let Some((cut, certified)) = cut(cx, basis, &flushes, certificates)? else {
                return Ok(None);
            };
            let mut evidence = Evidence::new(basis.view);
            evidence.take(cx, grounds)?;
            let facts = evidence.facts();
            let plan = plan(basis.view, basis.genesis, &facts);
            let supported = facts.supported(basis.view, Some(&plan));
            let has = |listed: &Change| supported.has(listed);
            let is_valid = flushes.len() >= cx.roster.quorum().q()
                && goes_on(&more, said.attempt, cx.roster.quorum().q())
                && more.iter().all(|more| more.lock.is_none())
                && flushes.iter().all(|flush| flush.changes.iter().all(has))
                && plan.build(basis.view, cut) == proposed.view;
            Ok(is_valid.then_some(Judged { flushes, more, certified }))
        }
        Justification::Relock { more, acks } => {
            let more = verify_all(cx, more)?;
            let lock = more.iter().filter_map(|more| more.lock).max_by_key(|lock| lock.attempt);
            let is_valid = said.attempt > Attempt::FIRST
                && goes_on(&more, said.attempt, cx.roster.quorum().q())
                && match lock {
                    Some(lock) => {
                        let lock = Locked { next: said.next, ..lock };
                        more.iter().any(|more| more.lock == Some(lock))
                            && acks_prove(cx, acks, &lock)?
                    }
                    None => false,
                };
            let (flushes, certified) = (Vec::new(), Vec::new());
            Ok(is_valid.then_some(Judged { flushes, more, certified }))
        }
    }
}

/// Whether what is attached to a Commit is what it names, likewise.
pub(crate) fn is_commit_bound(commit: &Committed) -> bool {
    commit.signed.statement.acks == acks_hash(&commit.acks)
}

/// Whether a Commit, bound and signed, is valid, likewise.
pub(crate) fn judge_commit(
    cx: &mut Context<'_>,
    basis: Basis<'_>,
    commit: &Committed,
) -> Result<bool, LinkFault> {
    let said = &commit.signed.statement;
    let lock = Locked { attempt: said.attempt, next: said.next };
    Ok(commit.signed.signer == basis.view.leader(said.attempt)
        && acks_prove(cx, &commit.acks, &lock)?)
}

/// Whether exactly a quorum goes on to this attempt; nobody has to for the first.
fn goes_on(more: &[Verified<NeedMoreChange>], attempt: Attempt, quorum: usize) -> bool {
    let needed = if attempt == Attempt::FIRST { 0 } else { quorum };
    more.len() == needed && more.iter().all(|more| more.attempt == attempt)
}

/// Where the logs end, by rank, and what certifies that.
type Cut = (Vec<LogEnd>, Vec<(Certificate, Certified)>);

/// The cut of these Flushes: per log the highest end, which must be certified. `None` if one is
/// not, or if more is certified than was asked for.
fn cut(
    cx: &mut Context<'_>,
    basis: Basis<'_>,
    flushes: &[Verified<Flush>],
    certificates: &Certificates,
) -> Result<Option<Cut>, LinkFault> {
    let unpacked = certificates.unpack().filter(|_| certificates.is_canonical());
    let Some(unpacked) = unpacked else { return Ok(None) };
    let n = cx.roster.quorum().n();
    let mut cut = alloc::vec![LogEnd::EMPTY; n];
    let mut certified = Vec::with_capacity(unpacked.len());
    for certificate in unpacked {
        let head = certificate.head;
        let proof = cx.certify(&basis.genesis.limits, certificate.clone())?;
        if let Some(end) = cut.get_mut(head.sender.index()) {
            *end = LogEnd { number: head.number, hash: head.hash };
        }
        certified.push((certificate, proof));
    }
    let ends = |sender: usize| flushes.iter().filter_map(move |flush| flush.ends.get(sender));
    let is_cut = cut.iter().enumerate().all(|(sender, end)| {
        let highest = ends(sender).map(|end| end.number).max().unwrap_or(Number::ZERO);
        end.number == highest && ends(sender).any(|reported| reported == end)
    });
    Ok(is_cut.then_some((cut, certified)))
}

/// The certificates that make the cut of these Flushes, out of those that came with them: of each
/// head the shortest.
fn highest<'a>(
    tables: impl Iterator<Item = &'a Certificates>,
    n: usize,
) -> (Vec<LogEnd>, Vec<Certificate>) {
    let mut best: Vec<Option<Certificate>> = alloc::vec![None; n];
    let length = |certificate: &Certificate| {
        let entries = certificate.heads.iter().map(|heads| heads.statement.entries.len());
        entries.fold(certificate.links.len(), usize::saturating_add)
    };
    let is_better = |found: &Certificate, known: &Certificate| {
        found.head.number > known.head.number
            || (found.head == known.head && length(found) < length(known))
    };
    // Each was taken apart when it came.
    for certificate in tables.filter_map(Certificates::unpack).flatten() {
        if let Some(slot) = best.get_mut(certificate.head.sender.index())
            && slot.as_ref().is_none_or(|known| is_better(&certificate, known))
        {
            *slot = Some(certificate);
        }
    }
    let end = |certificate: &Option<Certificate>| {
        certificate.as_ref().map_or(LogEnd::EMPTY, |certificate| LogEnd {
            number: certificate.head.number,
            hash: certificate.head.hash,
        })
    };
    (best.iter().map(end).collect(), best.into_iter().flatten().collect())
}

/// What a leader proposes if nothing can have been decided before.
pub(super) fn fresh(
    basis: Basis<'_>,
    flushes: &[(Verified<Flush>, Arc<Certificates>)],
    evidence: &Evidence,
    more: &[Verified<NeedMoreChange>],
) -> (View, Justification) {
    let n = basis.view.members.len();
    let tables = flushes.iter().map(|(_, certificates)| certificates.as_ref());
    let (cut, certificates) = highest(tables, n);
    let view = plan(basis.view, basis.genesis, &evidence.facts()).build(basis.view, cut);
    let justification = Justification::Fresh {
        flushes: flushes.iter().map(|(flush, _)| flush.signed().as_ref().clone()).collect(),
        certificates: Certificates::pack(&certificates),
        grounds: evidence.grounds(),
        more: more.iter().map(|more| more.signed().as_ref().clone()).collect(),
    };
    (view, justification)
}
