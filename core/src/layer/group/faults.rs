//! Members that say two things, or one that no correct member says: whether that is a Proof says
//! protocol.md section 2, [`TwoFaced`] and [`Invalid`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::votes::{Ballot, Put, Votes};
use super::{Group, Out};
use crate::crypto::{
    AckNewView, NeedMoreChange, NewView, ReadyToSwitch, Reason, Signed, Statement, Verified,
};
use crate::fault::{Evidence, Invalid, Proof, TwoFaced, forgets};
use crate::layer::Context;

/// A ballot of which two different ones in one attempt convict their signer.
pub(super) trait Convicting: Ballot + Clone {
    /// The two as evidence.
    fn pair(first: Signed<Self>, second: Signed<Self>) -> TwoFaced;
}

macro_rules! convicting {
    ($($name:ident $kind:ident,)*) => {$(
        impl Convicting for $name {
            fn pair(first: Signed<Self>, second: Signed<Self>) -> TwoFaced {
                TwoFaced::$kind(first, second)
            }
        }
    )*};
}

convicting! {
    NeedMoreChange NeedMoreChanges,
    NewView NewViews,
    AckNewView Acks,
    ReadyToSwitch Readys,
}

/// As it travels.
pub(super) fn signed<S: Statement + Clone>(said: &Verified<S>) -> Signed<S> {
    said.signed().as_ref().clone()
}

/// Keeps a vote; a second, different one convicts its signer. Returns whether it was kept.
pub(super) fn count<S: Convicting>(
    cx: &Context<'_>,
    votes: &mut Votes<S>,
    vote: &Verified<S>,
    out: &mut Vec<Out>,
) -> bool {
    match votes.put(vote) {
        Put::News => true,
        Put::Known => false,
        Put::Conflict(first) => {
            out.push(convicted(cx, S::pair(signed(&first), signed(vote))));
            false
        }
    }
}

/// Evidence as a proof in the present view.
pub(super) fn convicted(cx: &Context<'_>, two: TwoFaced) -> Out {
    let evidence = Evidence::TwoFaced(Box::new(two));
    Out::Proof(Box::new(Proof { view: *cx.roster.view(), evidence }))
}

/// A statement that its signer bound to what it carries, and that is invalid by itself. If that is
/// too long to be passed on, it is an opinion.
pub(super) fn accuse(cx: &Context<'_>, invalid: Invalid, out: &mut Vec<Out>) {
    let culprit = invalid.culprit();
    let evidence = Evidence::Invalid(invalid);
    let proof = Box::new(Proof { view: *cx.roster.view(), evidence });
    out.push(match proof.is_legal(cx.roster.quorum().n()) {
        true => Out::Proof(proof),
        false => Out::Opinion(culprit, Reason::BadBytes),
    });
}

impl Group {
    /// A member that was ready must take that lock along.
    pub(super) fn judge_ready(
        &self,
        cx: &Context<'_>,
        ready: &Verified<ReadyToSwitch>,
        out: &mut Vec<Out>,
    ) {
        let mut later = self.more.all_of(ready.signer());
        if let Some(more) = later.find(|more| forgets(ready, more)) {
            out.push(convicted(cx, TwoFaced::ForgottenLock(signed(ready), signed(more))));
        }
    }

    /// The same, when it goes on.
    pub(super) fn judge_more(
        &self,
        cx: &Context<'_>,
        more: &Verified<NeedMoreChange>,
        out: &mut Vec<Out>,
    ) {
        let mut earlier = self.readys.all_of(more.signer());
        if let Some(ready) = earlier.find(|ready| forgets(ready, more)) {
            out.push(convicted(cx, TwoFaced::ForgottenLock(signed(ready), signed(more))));
        }
    }
}
