//! Layer Bottom: links between processes.

pub(crate) mod assemble;
pub(crate) mod fragment;
pub(crate) mod split;
