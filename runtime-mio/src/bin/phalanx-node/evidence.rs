//! `evidence verify`: whether a proof holds, offline.
//!
//! A proof is about statements made in one view, so it is verified against that view and the group
//! file: the view's bytes lie beside the proof, and its id is in every statement. That the group was ever in that view
//! need not be shown: a correct member signs nothing in a view that it was not in.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use phalanx_core::crypto::Suite;
use phalanx_core::{Proof, PublicKey, Rank, View};
use phalanx_mio::config::Group;

use crate::json::{fault_name, from_hex, hex};
use crate::{Failure, views};

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
        /// The view in which it was made, as `run` and `demo` write it; by default the file beside
        /// the proof that ends in `.view`, or the first view if there is none
        #[arg(long, value_name = "FILE")]
        view: Option<PathBuf>,
    },
}

/// Runs it.
pub(crate) fn evidence(command: &Command) -> Result<(), Failure> {
    let Command::Verify { file, group, view } = command;
    let group = Group::read(group)?;
    let bytes = fs::read(file).map_err(|why| format!("{}: {why}", file.display()))?;
    let beside = file.with_extension("view");
    let view = match view.as_ref().or_else(|| beside.is_file().then_some(&beside)) {
        None => group.genesis.view(),
        Some(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|why| format!("{}: {why}", path.display()))?;
            view_of(&text).ok_or_else(|| format!("{}: this is no view", path.display()))?
        }
    };
    let verdict = verify(&group, &view, &bytes);
    let culprit = verdict.map_err(|why| format!("{}: {why}", file.display()))?;
    print_line!("{}", culprit.describe(&group))?;
    Ok(())
}

/// Who was proven to have done what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    /// Its rank in the view of the proof.
    pub(crate) rank: Rank,
    /// Its key.
    pub(crate) key: PublicKey,
    /// What it did.
    pub(crate) what: &'static str,
}

impl Culprit {
    /// As a sentence.
    pub(crate) fn describe(self, group: &Group) -> String {
        format!("rank {} ({}) is proven guilty: {}", self.rank, group.name_of(&self.key), self.what)
    }
}

/// Checks a proof against the view of the group in which it was made.
pub(crate) fn verify(group: &Group, view: &View, bytes: &[u8]) -> Result<Culprit, Failure> {
    let proof = Proof::from_bytes(bytes).ok_or("these bytes are no proof")?;
    if view.group != group.genesis.group() {
        return Err("the view is one of another group".into());
    }
    proof.verify(&group.genesis, view, &view.roster(Suite::Ed25519)?)?;
    let rank = proof.culprit();
    let member = view.member(rank).ok_or("the proof names nobody")?;
    Ok(Culprit { rank, key: member.key, what: fault_name(proof.kind()) })
}

/// A view as it stands in a file.
pub(crate) fn view_text(view: &View) -> String {
    hex(&views::to_bytes(view))
}

/// The view of such a text.
pub(crate) fn view_of(text: &str) -> Option<View> {
    views::from_bytes(&from_hex(text.trim())?)
}

/// Where a proof is kept in a directory.
pub(crate) fn file_name(proof: &Proof) -> String {
    format!("{:016x}.proof", proof.hash().prefix())
}

/// Keeps a proof in a directory, and beside it the view in which it was made, if that is known.
/// Returns its file.
///
/// # Errors
/// What cannot be written, and why.
pub(crate) fn write(dir: &Path, proof: &Proof, view: Option<&View>) -> Result<PathBuf, String> {
    let at = |path: &Path, why: std::io::Error| format!("{}: {why}", path.display());
    fs::create_dir_all(dir).map_err(|why| at(dir, why))?;
    let path = dir.join(file_name(proof));
    if let Some(view) = view {
        let path = path.with_extension("view");
        replace(&path, view_text(view).as_bytes()).map_err(|why| at(&path, why))?;
    }
    replace(&path, &proof.to_bytes()).map_err(|why| at(&path, why))?;
    Ok(path)
}

/// Writes a file as a whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
