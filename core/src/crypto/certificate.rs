//! Certificates (RM3 of protocol.md section 4): `q` members vouch for a head of a log.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::hash::Link;
use super::statement::{Head, Heads, MEMBERS_MAX, Signed, Verified};
use super::{Door, Roster};
use crate::member::Rank;
use crate::seq::Number;
use crate::wire::List;

/// The most links a certificate or a body may carry: two of the largest windows that can be
/// configured, one above the stability threshold and one below it that waits for the merge.
pub const LINKS_MAX: usize = 2048;

/// Exactly `q` Heads of distinct signers, each with an entry at or above `head.number` that lies on
/// the chain through `head`; `links` lead from `head` up to the highest entry used. It certifies the
/// whole prefix of the log.
///
/// It has one form: signers ascend, and the links end at the highest entry used. A longer one proves
/// nothing more, and whoever could lengthen certificates could make every message that carries them
/// longer than links take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certified head.
    pub head: Head,
    /// Signed by distinct members, ascending.
    pub heads: List<Signed<Heads>, MEMBERS_MAX>,
    /// The steps of the chain above the head, lowest first.
    pub links: List<Link, LINKS_MAX>,
}

/// Why a certificate is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More or fewer signers than a quorum.
    #[error("the certificate has not exactly a quorum of signers")]
    NotAQuorum,
    /// One signer twice.
    #[error("rank {0} signs twice in one certificate")]
    DuplicateSigner(Rank),
    /// A Heads without an entry on the chain at or above the head.
    #[error("rank {0} does not vouch for the certified head")]
    NotLinked(Rank),
    /// Signers out of order, or links above the highest entry used.
    #[error("the certificate is not in its one form")]
    NotCanonical,
    /// More links than correct members ever need.
    #[error("the certificate goes beyond the window")]
    BeyondWindow,
    /// A signature that does not verify.
    #[error(transparent)]
    BadSignature(#[from] super::BadSignature),
}

/// A head that a quorum vouches for: built only by checking a certificate or by counting verified
/// Heads of a quorum.
#[derive(Clone, Debug)]
pub struct Certified {
    head: Head,
    heads: Vec<Verified<Heads>>,
}

impl Certified {
    /// The certified head.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The statements that certify it.
    #[must_use]
    pub fn heads(&self) -> &[Verified<Heads>] {
        &self.heads
    }
}

impl Door {
    /// Checks a certificate: shape and chain first, then the signatures.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn certify(
        &mut self,
        roster: &Roster,
        certificate: Certificate,
    ) -> Result<Certified, CertificateError> {
        let Certificate { head, heads, links } = certificate;
        if heads.len() != roster.quorum().q() {
            return Err(CertificateError::NotAQuorum);
        }
        let mut chain = Vec::with_capacity(links.len().saturating_add(1));
        chain.push(head);
        let mut tip = head;
        for link in links.iter() {
            let number = tip.number.next();
            let hash = self.body_hash(roster.view(), head.sender, number, &tip.hash, link);
            tip = Head { number, hash, ..head };
            chain.push(tip);
        }
        let mut highest = head.number;
        let mut signers: Vec<Rank> = Vec::with_capacity(heads.len());
        for signed in heads.iter() {
            if signers.contains(&signed.signer) {
                return Err(CertificateError::DuplicateSigner(signed.signer));
            }
            let entry = signed.statement.entry(head.sender);
            let entry = entry.filter(|entry| vouches(&chain, head.number, entry));
            let entry = entry.ok_or(CertificateError::NotLinked(signed.signer))?;
            if signers.last().is_some_and(|last| *last > signed.signer) {
                return Err(CertificateError::NotCanonical);
            }
            signers.push(signed.signer);
            highest = highest.max(entry.number);
        }
        if highest != tip.number {
            return Err(CertificateError::NotCanonical);
        }
        let heads = heads
            .into_iter()
            .map(|signed| self.verify(roster, signed))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Certified { head, heads })
    }
}

/// Whether `entry` stands on `chain`, which starts at `first`.
fn vouches(chain: &[Head], first: Number, entry: &Head) -> bool {
    entry.number >= first
        && usize::try_from(entry.number.past(first))
            .ok()
            .and_then(|above| chain.get(above))
            .is_some_and(|head| head == entry)
}
