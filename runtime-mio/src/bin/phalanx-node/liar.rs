//! Placeholder until the adversary is there.
use crate::Failure;
use crate::child::Args;
use phalanx_mio::config::Home;
pub(crate) fn liar(_args: &Args, _home: &Home) -> Result<(), Failure> {
    Err("not yet".into())
}
