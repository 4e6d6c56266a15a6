//! Which parts share a frame: as few frames as may be, none beyond what a receiver takes.

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
        | Part::Join(_)
        | Part::Pt2pt(Pt2ptPart::Ack { .. } | Pt2ptPart::Skip { .. }) => 1024,
    }
}

/// The most parts that share a frame without a body; well under the decoder's limit.
const PARTS_PER_FRAME: usize = 128;

/// Puts parts without casts into the frame of the first body, or into as few of their own as may
/// be; each further body keeps its own.
pub(super) fn gather(posts: Vec<Post>) -> Vec<Post> {
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
    for mut body in bodies {
        if !parts.is_empty() {
            body.parts.splice(0..0, core::mem::take(&mut parts));
        }
        frames.push(body);
    }
    // A post without parts is sent for the haves in its frame.
    if !parts.is_empty() || (is_something && frames.is_empty()) {
        frames.push(Post { to, parts, casts: None });
    }
    frames
}
