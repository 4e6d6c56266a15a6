//! Key files: an Ed25519 secret as PKCS#8 version 1 in PEM, which OpenSSL reads and writes.
//!
//! The structure has a fixed length, so it is built and read by hand: 16 bytes that never change,
//! then the 32 bytes of the seed, in one line of Base64. Anything else is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use phalanx_core::{Identity, PublicKey};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// A sequence of version 0, the algorithm 1.3.101.112 and an octet string with an octet string in
/// it, up to the seed.
const DER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A member's secret; wiped when it is dropped, and never printed.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public_key()).finish_non_exhaustive()
    }
}

/// Why a key file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a file already, and a key is not to be lost.
    #[error("{0}: the file exists already; keys are not overwritten")]
    Exists(PathBuf),
    /// It is no such key.
    #[error("{0}: not an Ed25519 private key (PKCS#8 version 1, PEM)")]
    NotAKey(PathBuf),
    /// The system has no randomness to give.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl SecretKey {
    /// A new secret from the system's randomness.
    ///
    /// # Errors
    /// If the system has none.
    pub fn generate() -> Result<Self, KeyFileError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(KeyFileError::Random)?;
        Ok(Self(seed))
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        *Identity::ed25519(*self.0).public_key()
    }

    /// Writes it to a new file that only its owner may read, and makes it durable.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
            _ => KeyFileError::Io { path: path.to_owned(), source },
        };
        let mut file = create_private(path).map_err(failed)?;
        file.write_all(self.to_pem().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// If it cannot be read or is no such key.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
        Self::from_pem(&text).ok_or_else(|| KeyFileError::NotAKey(path.to_owned()))
    }

    fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&DER);
        der[16..].copy_from_slice(self.0.as_slice());
        let mut pem = Zeroizing::new(String::with_capacity(128));
        pem.push_str(BEGIN);
        pem.push('\n');
        for three in der.chunks_exact(3) {
            let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            for shift in [18, 12, 6, 0] {
                pem.push(char::from(ALPHABET[bits >> shift & 63]));
            }
        }
        pem.push('\n');
        pem.push_str(END);
        pem.push('\n');
        pem
    }

    fn from_pem(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (begin, line, end) = (lines.next()?, lines.next()?, lines.next()?);
        if begin != BEGIN || end != END || lines.next().is_some() || line.len() != 64 {
            return None;
        }
        let mut der = Zeroizing::new([0; 48]);
        for (three, four) in der.chunks_exact_mut(3).zip(line.as_bytes().chunks_exact(4)) {
            let mut bits = 0_u32;
            for letter in four {
                let value = ALPHABET.iter().position(|known| known == letter)?;
                bits = bits << 6 | u32::try_from(value).ok()?;
            }
            three.copy_from_slice(&bits.to_be_bytes()[1..]);
        }
        let (head, seed) = der.split_first_chunk::<16>()?;
        let seed = seed.first_chunk::<32>()?;
        (*head == DER).then(|| Self(Zeroizing::new(*seed)))
    }
}

/// Whether others than its owner may read the file.
///
/// # Errors
/// If the system does not say.
pub fn is_exposed(path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    fs::metadata(path).map(|_| false)
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey(Zeroizing::new([byte; 32]))
    }

    /// The example of RFC 8410, section 10.3.
    const RFC: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let key = SecretKey::from_pem(RFC).unwrap();
        assert_eq!(key.seed()[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(
            key.public_key().to_string(),
            "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
        );
        assert_eq!(key.to_pem().as_str(), RFC);
    }

    #[test]
    fn what_is_written_is_read_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        key(3).write(&path).unwrap();
        assert_eq!(SecretKey::read(&path).unwrap().seed(), &[3; 32]);
        assert!(!is_exposed(&path).unwrap());
        assert!(matches!(key(4).write(&path), Err(KeyFileError::Exists(_))));
        assert_eq!(SecretKey::read(&path).unwrap().seed(), &[3; 32]);
    }

    #[test]
    fn anything_else_is_refused() {
        let good = key(9).to_pem().to_string();
        assert!(SecretKey::from_pem(&good).is_some());
        for bad in [
            String::new(),
            good.replace("PRIVATE", "PUBLIC"),
            good.replace("MC4", "MC5"),
            good.replacen("JCQ", "JC*", 1),
            good.replace("\n-----END", "A\n-----END"),
            good.clone() + &good,
        ] {
            assert!(SecretKey::from_pem(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let printed = format!("{:?}", key(0xab));
        assert!(!printed.contains("171") && !printed.to_lowercase().contains("abab"), "{printed}");
    }
}
