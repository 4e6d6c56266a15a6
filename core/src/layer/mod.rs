//! The layers.

#[allow(dead_code, reason = "the node that composes the layers is yet to come")]
pub(crate) mod bottom;
#[allow(dead_code, reason = "the node that composes the layers is yet to come")]
pub(crate) mod pt2pt;
