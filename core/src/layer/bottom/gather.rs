//! Which parts share a frame: as few frames as may be, none beyond what a receiver takes, and nothing
//! waits for a body that has to be cut.

use alloc::vec::Vec;

use crate::crypto::{Heads, Signed};
use crate::layer::{Post, To};
use crate::wire::{Part, Pt2ptPart};

/// Parts without casts share a frame up to this many bytes.
pub(super) const SMALL_BYTES: usize = 128 * 1024;

/// About how many bytes a part takes, not less than it does.
fn weight(part: &Part) -> usize {
    let heads = |heads: &Signed<Heads>| {
        heads.statement.entries.len().saturating_mul(48).saturating_add(128)
    };
    match part {
        Part::Heads(said) => heads(said),
        Part::Certificate(certificate) => {
            let links = certificate.links.len().saturating_mul(48);
            certificate.heads.iter().map(heads).fold(links, usize::saturating_add)
        }
        Part::Pt2pt(Pt2ptPart::Data { payload, .. }) => payload.0.len().saturating_add(32),
        Part::Transfer(part) => part.weight(),
        Part::Proof(proof) => proof.to_bytes().len(),
        Part::Body(body) => body.links.len().saturating_mul(48).saturating_add(128),
        Part::Stable(row) => row.statement.have.len().saturating_mul(10).saturating_add(128),
        Part::Recommend(_)
        | Part::Flush(_)
        | Part::NeedMoreChange(_)
        | Part::NewView(_)
        | Part::Commit(_)
        | Part::Decision(_) => postcard::to_allocvec(part).map_or(0, |bytes| bytes.len()),
        Part::Suspect(_)
        | Part::Fetch { .. }
        | Part::AskRow { .. }
        | Part::AskSlot { .. }
        | Part::Leave(_)
        | Part::Ack(_)
        | Part::Ready(_)
        | Part::AskNewView(_)
        | Part::Installed(_)
        | Part::AskInstalled(_)
        | Part::RowCounters(_)
        | Part::Join(_)
        | Part::Pt2pt(Pt2ptPart::Ack { .. } | Pt2ptPart::Skip { .. })
        | Part::Lacks { .. } => 1024,
    }
}

/// The most parts that share a frame without a body; well under the decoder's limit.
const PARTS_PER_FRAME: usize = 128;

/// Puts parts without casts into the frame of the first body, or into as few of their own as may
/// be; each further body keeps its own. Next to a body that is too long for a frame of `frame_max`
/// bytes they have frames of their own: on a slow link it takes long, and is not sent at all if it is
/// on its way already. Then statements go along with it, too: those that cover it, and all others.
pub(super) fn gather(posts: Vec<Post>, frame_max: usize) -> Vec<Post> {
    let is_something = !posts.is_empty();
    let (bodies, small): (Vec<Post>, Vec<Post>) =
        posts.into_iter().partition(|post| matches!(post.parts.last(), Some(Part::Body(_))));
    let to = bodies.first().or(small.first()).map_or(To::All, |post| post.to);
    let mut frames = Vec::with_capacity(bodies.len().saturating_add(1));
    let mut parts: Vec<Part> = Vec::new();
    let mut bytes = 0_usize;
    for part in small.into_iter().flat_map(|post| post.parts) {
        if parts.len() >= PARTS_PER_FRAME || bytes >= SMALL_BYTES {
            frames.push(Post { to, parts: core::mem::take(&mut parts), casts: None });
            bytes = 0;
        }
        bytes = bytes.saturating_add(weight(&part));
        parts.push(part);
    }
    if bytes >= SMALL_BYTES && !bodies.is_empty() {
        // A long part and a body make a frame that nobody has room for.
        frames.push(Post { to, parts: core::mem::take(&mut parts), casts: None });
    }
    let casts = bodies.first().and_then(|body| body.casts.as_ref());
    let is_cut = casts.is_some_and(|casts| casts.bytes.len() > frame_max);
    let (mut along, alone) = match is_cut {
        true => (parts.iter().filter(|part| is_statement(part)).cloned().collect(), parts),
        false if bodies.is_empty() => (Vec::new(), parts),
        false => (parts, Vec::new()),
    };
    // A post without parts is sent for the haves in its frame.
    let is_first = is_something && frames.is_empty() && bodies.is_empty();
    if is_cut || is_first || !alone.is_empty() {
        frames.push(Post { to, parts: alone, casts: None });
    }
    for mut body in bodies {
        if !along.is_empty() {
            body.parts.splice(0..0, core::mem::take(&mut along));
        }
        frames.push(body);
    }
    frames
}

/// Whether it is a short statement, like what a body may be taken for: with the pieces of the body it
/// arrives even if the frame of its own is lost.
const fn is_statement(part: &Part) -> bool {
    matches!(
        part,
        Part::Heads(_)
            | Part::Certificate(_)
            | Part::Stable(_)
            | Part::Suspect(_)
            | Part::Leave(_)
            | Part::Ack(_)
            | Part::Ready(_)
            | Part::Installed(_)
    )
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::*;
    use crate::layer::Cargo;
    use crate::wire::tests::{body, heads};

    fn post(part: Part, casts: usize) -> Post {
        let cargo =
            Cargo { bytes: Arc::from(alloc::vec![0; casts]), hash: crate::crypto::sha256(&[]) };
        Post { to: To::All, parts: alloc::vec![part], casts: (casts > 0).then_some(cargo) }
    }

    #[test]
    fn nothing_waits_for_a_body_that_is_cut() {
        let cover = || Part::Heads(heads(1, &[]));
        let ask = || Part::AskNewView(crate::Attempt::FIRST);
        let body = || Part::Body(body(3, 9));
        let shape = |casts| {
            let posts = alloc::vec![post(cover(), 0), post(ask(), 0), post(body(), casts)];
            let frames = gather(posts, 1_400);
            frames.into_iter().map(|frame| frame.parts).collect::<Vec<_>>()
        };
        assert_eq!(shape(1_400), [[cover(), ask(), body()]]);
        let cut = [alloc::vec![cover(), ask()], alloc::vec![cover(), body()]];
        assert_eq!(shape(1_401), cut, "what covers it goes twice");
        let haves = gather(alloc::vec![post(body(), 9_000)], 1_400);
        assert_eq!(haves[0].parts, [], "the haves do not wait, either");
        assert_eq!(gather(Vec::new(), 1_400).len(), 0);
        let empty = Post { to: To::All, parts: Vec::new(), casts: None };
        assert_eq!(gather(alloc::vec![empty], 1_400).len(), 1);
    }
}
