//! Changes the liar's own proposals of the next view, and signs them anew.

use phalanx_core::View;
use phalanx_core::crypto::NewView;
use phalanx_core::wire::Part;
use phalanx_core::wire::change::{Justification, Proposed};

use super::puppet::{Letter, Puppet};

/// Rewrites the liar's own proposals in a letter; says whether that changed any.
pub(super) fn rewrite(
    puppet: &mut Puppet,
    letter: &mut Letter,
    mut edit: impl FnMut(&mut View, &mut Justification),
) -> bool {
    let mut is_changed = false;
    for part in letter.parts_mut() {
        let Part::NewView(proposed) = part else { continue };
        if proposed.signed.signer != puppet.me {
            continue;
        }
        let mut other: Proposed = (**proposed).clone();
        edit(&mut other.view, &mut other.justification);
        if other == **proposed {
            continue;
        }
        let attempt = other.signed.statement.attempt;
        let (next, justification) = (other.view.id(), other.justification.hash());
        if let Some(signed) = puppet.sign(puppet.me, NewView { attempt, next, justification }) {
            other.signed = signed;
            **proposed = other;
            is_changed = true;
        }
    }
    is_changed
}
