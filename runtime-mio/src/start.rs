//! How a process with a home begins: as a member of the genesis view, once, and ever after as a new
//! incarnation that joins.

use phalanx_core::crypto::peer_id;
use phalanx_core::{Boot, Config, Membership, PeerId, View};

use crate::boot::{BootError, Record, record_path};
use crate::config::Home;
use crate::net::NetworkConfig;
use crate::runtime::{Contact, Runtime, RuntimeError, contacts};

/// What may be asked of a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Join although there is no boot record: needed by those whose key is not in the group file, and
    /// by those that have lost the record. The group tells a process that it was a member before, and
    /// it begins again above the incarnations that were used.
    pub joins: bool,
    /// Seed of the network's jitter: different at every member.
    pub seed: u64,
}

/// Why a process with a home does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its boot record does not let it.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The group or the system does not.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// It never was a member, and was not told to become one.
    #[error(
        "the key is not among the members of the group; to ask them to take it in, start with --join"
    )]
    NotAMember,
    /// The group has put it out for ever.
    #[error("the key was expelled from the group")]
    Expelled,
}

/// What a home comes to.
enum Begin {
    Member(Boot),
    Joiner(Boot, Vec<Contact>, Box<Config>),
}

impl Home {
    /// Starts the process: uses up an incarnation, durably, binds the sockets, and keeps the boot
    /// record for as long as it runs. A member of the genesis view uses its incarnation up when it
    /// hears another member, before it answers: see [`crate::boot`].
    ///
    /// # Errors
    /// See [`StartError`]; then nothing was sent.
    pub fn start(&self, options: StartOptions) -> Result<Runtime, StartError> {
        let mut record = Record::open(&self.state_dir, &self.group.genesis.group())?;
        let begin = self.begin(&mut record, options.joins)?;
        let network = NetworkConfig { seed: options.seed, ..self.network.clone() };
        let mut runtime = match begin {
            Begin::Member(boot) => {
                Runtime::start(self.config.clone(), &self.secret, boot, &network)?
            }
            Begin::Joiner(boot, contacts, config) => {
                Runtime::join(*config, &self.secret, boot, contacts, &network)?
            }
        };
        runtime.keep(record, self.comes_back);
        Ok(runtime)
    }

    fn begin(&self, record: &mut Record, joins: bool) -> Result<Begin, StartError> {
        let genesis = &self.group.genesis;
        let (key, seen) = (self.secret.public_key(), self.seen(record)?);
        if seen.expelled.contains(&key) {
            return Err(StartError::Expelled);
        }
        let listed = genesis.members.iter().find(|member| member.key == key);
        let listed = listed.map(|member| member.incarnation);
        match (listed, record.last()) {
            (Some(listed), None) if !joins => return Ok(Begin::Member(record.unused(listed)?)),
            (None, None) if !joins => return Err(StartError::NotAMember),
            (Some(incarnation), Some(_)) if genesis.membership == Membership::Fixed => {
                let path = record_path(&self.state_dir, &genesis.group());
                return Err(BootError::Spent { incarnation, path }.into());
            }
            // Without a record the first incarnation above may be one that was used: the group tells.
            (Some(_) | None, Some(_)) | (Some(_) | None, None) => {}
        }
        let last = seen.members.iter().find(|member| member.key == key);
        let last = last.map_or(0, |member| member.incarnation);
        let boot = record.claim_above(last.max(listed.unwrap_or(0)))?;
        let contacts = contacts(&key, [seen.members.as_slice(), &genesis.members]);
        let config = Config { anchor: Some(seen), ..self.config.clone() };
        Ok(Begin::Joiner(boot, contacts, Box::new(config)))
    }

    /// The newest view that this process knows of.
    fn seen(&self, record: &Record) -> Result<View, BootError> {
        let told = [record.view_file().read()?, self.config.anchor.clone()].into_iter().flatten();
        let newest = told.max_by_key(|view| view.number);
        Ok(newest.unwrap_or_else(|| self.group.genesis.view()))
    }

    /// The name that frames give this process.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        peer_id(&self.secret.public_key())
    }
}
