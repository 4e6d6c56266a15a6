//! Padded certificates: good certificates in its Flush, with junk links behind the last one that is
//! used. Everything verifies; the certificates are only long.
//!
//! It tries to make every correct leader's proposal, which carries them on, longer than receivers
//! assemble, and so to stop every view change in a network that is well. It must fail: a certificate
//! has one canonical form, and leaders take the shortest.
//!
//! Verdict: depends; a certificate that is not canonical may count as bad bytes.

use phalanx_core::wire::Part;

use super::act::{Act, Stage};
use super::padding;
use super::puppet::Letter;

/// The strategy.
#[derive(Debug)]
pub(super) struct PaddedCertificates;

impl Act for PaddedCertificates {
    fn outgoing(&mut self, stage: &mut Stage<'_>, _double: usize, mut letter: Letter) {
        let limits = stage.puppet.limits;
        for part in letter.parts_mut() {
            if let Part::Flush(flushed) = part
                && padding::pad(&mut flushed.certificates, &limits) > 0
            {
                stage.fire();
            }
        }
        stage.post(&letter);
    }
}
