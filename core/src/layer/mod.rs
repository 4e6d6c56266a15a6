//! The layers, by the paper's names. Each is a machine of its own, `step(input) -> outputs`, with no
//! clock and no socket; [`crate::Node`] passes their outputs on. Bottom, Transfer and Heal belong to the
//! process; all others are built afresh for a view.

pub(crate) mod bottom;
pub(crate) mod group;
pub(crate) mod heal;
pub(crate) mod inter;
pub(crate) mod lag;
pub(crate) mod pt2pt;
pub(crate) mod reliable;
pub(crate) mod stable;
pub(crate) mod suspect;
pub(crate) mod top_appl;
pub(crate) mod total;
pub(crate) mod transfer;
pub(crate) mod vsync;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::Limits;
use crate::crypto::{Certificate, CertificateError, Certified, Door, Hash32, Roster};
use crate::member::Rank;
use crate::time::Time;
use crate::wire::Part;

/// What a layer needs to take a step besides its input: the moment, the view's keys and the door
/// to sign and hash with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// Now.
    pub(crate) now: Time,
    /// Signs, hashes and counts.
    pub(crate) door: &'a mut Door,
    /// The view's keys and thresholds.
    pub(crate) roster: &'a Roster,
}

impl Context<'_> {
    /// Checks a certificate, and that it stays within the window that the group has agreed on.
    pub(crate) fn certify(
        &mut self,
        limits: &Limits,
        certificate: Certificate,
    ) -> Result<Certified, CertificateError> {
        if certificate.links.len() > limits.links_max() {
            return Err(CertificateError::BeyondWindow);
        }
        self.door.certify(self.roster, certificate)
    }
}

/// Whom a post is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Every other member.
    All,
    /// One of them.
    One(Rank),
}

/// Parts that travel in one frame, with the casts of the body among them.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// For whom.
    pub(crate) to: To,
    /// What is said; a body, if there is one, is last.
    pub(crate) parts: Vec<Part>,
    /// The casts of the body.
    pub(crate) casts: Option<Cargo>,
}

/// The casts of a body on their way out, with their hash: it was computed when the body was made or
/// came in, and is not computed again.
#[derive(Clone, Debug)]
pub(crate) struct Cargo {
    /// The casts.
    pub(crate) bytes: Arc<[u8]>,
    /// `H(casts)`.
    pub(crate) hash: Hash32,
}

impl Post {
    /// One part without casts.
    pub(crate) fn part(to: To, part: Part) -> Self {
        Self { to, parts: alloc::vec![part], casts: None }
    }
}
