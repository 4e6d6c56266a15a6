//! `evidence verify`: whether a proof holds, offline, by the group file alone.

use std::fs;
use std::path::{Path, PathBuf};

use phalanx_core::crypto::Suite;
use phalanx_core::{Proof, Rank};
use phalanx_mio::config::Group;

use crate::Failure;
use crate::json::fault_name;

/// What to do with evidence.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a proof that a member misbehaved; exits with 1 if it proves nothing
    Verify {
        /// The proof, as `run` and `demo` write it
        file: PathBuf,
        /// The group file
        #[arg(long, value_name = "FILE")]
        group: PathBuf,
    },
}

/// Runs it.
pub(crate) fn evidence(command: &Command) -> Result<(), Failure> {
    let Command::Verify { file, group } = command;
    let group = Group::read(group)?;
    let bytes = fs::read(file).map_err(|why| format!("{}: {why}", file.display()))?;
    let culprit = verify(&group, &bytes).map_err(|why| format!("{}: {why}", file.display()))?;
    println!("{}", culprit.describe(&group));
    Ok(())
}

/// Who was proven to have done what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    /// Its rank in the genesis view.
    pub(crate) rank: Rank,
    /// What it did.
    pub(crate) what: &'static str,
}

impl Culprit {
    /// As a sentence.
    pub(crate) fn describe(self, group: &Group) -> String {
        format!("rank {} ({}) is proven guilty: {}", self.rank, group.name(self.rank), self.what)
    }
}

/// Checks a proof against the group's genesis view.
pub(crate) fn verify(group: &Group, bytes: &[u8]) -> Result<Culprit, Failure> {
    let proof = Proof::from_bytes(bytes).ok_or("these bytes are no proof")?;
    let roster = group.genesis.view().roster(Suite::Ed25519)?;
    proof.verify(&roster)?;
    Ok(Culprit { rank: proof.culprit(), what: fault_name(proof.kind()) })
}

/// Where a proof is kept in a directory.
pub(crate) fn file_name(proof: &Proof) -> String {
    format!("{:016x}.proof", proof.hash().prefix())
}

/// Keeps a proof in a directory. Returns its file.
pub(crate) fn write(dir: &Path, proof: &Proof) -> std::io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let path = dir.join(file_name(proof));
    fs::write(&path, proof.to_bytes())?;
    Ok(path)
}
