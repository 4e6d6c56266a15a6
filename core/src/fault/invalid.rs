//! A statement that is invalid by itself (protocol.md section 2): what a leader of a view change
//! signs binds everything that it proposes or announces, so that one statement can convict.
//!
//! A [`crate::crypto::NewView`] signs its attempt, the id of the next view and the hash of the whole
//! justification, a [`crate::crypto::Commit`] its attempt, that id and the hash of the Acks. The
//! evidence is the signed statement with exactly what it names attached. Whoever has the genesis
//! record and the view in which it was signed runs the very function that members run on what they
//! are to acknowledge, and comes to the same verdict: nothing else enters it, be it who is allowed to
//! join, what is suspected or held elsewhere, or the time. A leader that is correct runs it on
//! whatever it proposes from, so it never signs anything that fails (P9); and since one statement is
//! enough, not even one that has forgotten what it said is convicted.
//!
//! What a faulty member can try: attach something else to a correct leader's statement (then its
//! hash is another, and the evidence proves nothing), pass on what is valid (likewise), or make it
//! long. Whatever is decoded is short enough to be passed on ([`crate::wire::bounds::Bounds`]), and
//! what is not decoded is nothing for everybody: it binds nobody, and is its sender's bad bytes.

use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

use super::{FaultKind, NotAProof};
use crate::layer::Context;
use crate::layer::group::{Basis, is_bound, is_commit_bound, judge, judge_commit};
use crate::member::Rank;
use crate::wire::change::{Committed, Proposed};

/// A statement that no correct member signs, with what it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Invalid {
    /// A proposal that is not justified by what it carries, or not its signer's to make.
    NewView(Box<Proposed>),
    /// Not the Acks of a quorum for that view in that attempt, or not its signer's to announce.
    Commit(Box<Committed>),
}

impl Invalid {
    /// Who signed it.
    #[must_use]
    pub fn culprit(&self) -> Rank {
        match self {
            Self::NewView(proposed) => proposed.signed.signer,
            Self::Commit(commit) => commit.signed.signer,
        }
    }

    pub(super) const fn kind(&self) -> FaultKind {
        match self {
            Self::NewView(_) => FaultKind::InvalidNewView,
            Self::Commit(_) => FaultKind::InvalidCommit,
        }
    }

    pub(super) fn is_legal(&self, n: usize) -> bool {
        match self {
            Self::NewView(proposed) => proposed.is_legal(n),
            Self::Commit(commit) => commit.is_legal(n),
        }
    }

    /// Whether it convicts its signer.
    pub(super) fn judge(&self, cx: &mut Context<'_>, basis: Basis<'_>) -> Result<(), NotAProof> {
        let (is_bound, is_signed) = match self {
            Self::NewView(proposed) => {
                (is_bound(proposed), cx.door.verify(cx.roster, proposed.signed.clone()).is_ok())
            }
            Self::Commit(commit) => {
                (is_commit_bound(commit), cx.door.verify(cx.roster, commit.signed.clone()).is_ok())
            }
        };
        if !is_signed {
            return Err(NotAProof::BadSignature);
        }
        if !is_bound {
            return Err(NotAProof::NotBound);
        }
        let is_valid = match self {
            Self::NewView(proposed) => matches!(judge(cx, basis, proposed), Ok(Some(_))),
            Self::Commit(commit) => matches!(judge_commit(cx, basis, commit), Ok(true)),
        };
        if is_valid { Err(NotAProof::Valid) } else { Ok(()) }
    }
}
