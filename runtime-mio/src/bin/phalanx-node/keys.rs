//! `keygen` and `pubkey`.

use std::path::Path;

use phalanx_mio::keys::{SecretKey, is_exposed};

use crate::Failure;

/// Makes a key and prints its public half.
pub(crate) fn keygen(out: &Path) -> Result<(), Failure> {
    let secret = SecretKey::generate()?;
    secret.write(out)?;
    print_line!("{}", secret.public_key())?;
    Ok(())
}

/// Prints the public half of a key.
pub(crate) fn pubkey(file: &Path) -> Result<(), Failure> {
    print_line!("{}", SecretKey::read(file)?.public_key())?;
    if is_exposed(file)? {
        complain!("warning: others can read {}: chmod 600 it", file.display());
    }
    Ok(())
}
