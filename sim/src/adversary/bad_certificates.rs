//! Certificates that are none: forged, short, or with one signer counted often.
//!
//! Each vouches for a made-up body just above the newest one of another member's log. They try to
//! move members to a branch that nobody replied to (RM2's second clause), or to have them report a
//! have that is none. They must fail: a certificate is exactly q valid Heads of distinct signers
//! (RM3), counted in one place.
//!
//! Verdict: suspected, for malformed or mis-signed content on an authenticated link.

use std::collections::BTreeMap;

use phalanx_core::crypto::{Certificate, Head, Heads, Signature, Signed};
use phalanx_core::wire::{List, Part};
use phalanx_core::{Number, Rank, Time};

use super::act::{Act, Pulse, Stage};
use super::puppet::{Letter, Puppet};

/// What is wrong with the certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A quorum of signers, but only the liars' signatures are real.
    Forged,
    /// Fewer signers than a quorum.
    Short,
    /// The liar's own, real signature a quorum of times.
    DuplicateSigner,
}

/// The strategy.
#[derive(Debug)]
pub(super) struct BadCertificates {
    flaw: Flaw,
    pulse: Pulse,
    newest: BTreeMap<Rank, Number>,
}

impl BadCertificates {
    pub(super) fn new(flaw: Flaw) -> Self {
        Self { flaw, pulse: Pulse::new(100_000), newest: BTreeMap::new() }
    }

    fn certificate(&self, puppet: &mut Puppet) -> Option<Certificate> {
        let others: Vec<Rank> = puppet.others().collect();
        let sender = *others.get(puppet.dice.index(others.len()))?;
        let number = self.newest.get(&sender).copied().unwrap_or_default().next();
        let head = Head { sender, number, hash: puppet.any_hash() };
        let q = puppet.roster.quorum().q();
        let heads = match self.flaw {
            Flaw::Forged => forged(puppet, head, q),
            Flaw::Short => {
                let len = puppet.dice.index(q);
                forged(puppet, head, len)
            }
            Flaw::DuplicateSigner => {
                let own = puppet.sign_heads(puppet.me, vec![head])?;
                vec![own; q]
            }
        };
        Some(Certificate { head, heads: List::from(heads), links: List::new() })
    }
}

/// Heads of `count` distinct signers, the liars first; signatures of others are random bytes.
fn forged(puppet: &mut Puppet, head: Head, count: usize) -> Vec<Signed<Heads>> {
    let liars = puppet.liars.clone();
    let others = Rank::all(puppet.n()).filter(|rank| !liars.contains(rank));
    let mut signers: Vec<Rank> = liars.iter().copied().chain(others).take(count).collect();
    // The form is right.
    signers.sort_unstable();
    let mut heads = Vec::with_capacity(signers.len());
    for signer in signers {
        let mut signature = [0; 64];
        puppet.dice.fill(&mut signature);
        let signature = Signature(signature);
        let made_up =
            Signed { signer, statement: Heads { entries: List::from(vec![head]) }, signature };
        heads.push(puppet.sign_heads(signer, vec![head]).unwrap_or(made_up));
    }
    heads
}

impl Act for BadCertificates {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, letter: Letter) {
        for part in letter.packet.parts.iter() {
            if let Part::Heads(heads) = part {
                for head in heads.statement.entries.iter() {
                    let newest = self.newest.entry(head.sender).or_default();
                    *newest = (*newest).max(head.number);
                }
            }
        }
        stage.post(&letter);
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.newest.is_empty()
            && self.pulse.strikes(stage.now)
            && let Some(certificate) = self.certificate(stage.puppet)
        {
            stage.fire();
            stage.post_to_all(&[Part::Certificate(certificate)]);
        }
    }

    fn deadline(&self) -> Option<Time> {
        if self.newest.is_empty() { None } else { self.pulse.due() }
    }
}
