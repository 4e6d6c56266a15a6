//! `node.toml`: what is a member's own business, or that of a process that wants to be one. It stands
//! in the home directory, and its paths are relative to that.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phalanx_core::crypto::{Suite, peer_id};
use phalanx_core::{Config, ConfigError, Joiners, PublicKey, Rank, View};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::group::{Group, address, no_host};
use super::units::{Amount, Micros, public_key};
use super::{FileError, Source};
use crate::keys::{SecretKey, is_exposed};
use crate::net::{DATAGRAM_MAX, DATAGRAM_MIN, NetworkConfig, TransportKind};

/// A peer that pauses for less is not slow.
const STALL_MIN_US: u64 = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    group: PathBuf,
    member: Option<Spanned<String>>,
    key: Spanned<PathBuf>,
    bind: Option<Spanned<String>>,
    address: Option<Spanned<String>>,
    joiners: Option<Spanned<toml::Value>>,
    #[serde(default = "yes")]
    rejoin: bool,
    anchor: Option<Spanned<PathBuf>>,
    #[serde(default)]
    transport: TransportName,
    datagram: Option<Amount>,
    state: PathBuf,
    #[serde(default = "info")]
    log: String,
    #[serde(default)]
    testnet: bool,
    #[serde(default)]
    timeouts: TimeoutsFile,
    #[serde(default)]
    limits: LimitsFile,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransportName {
    #[default]
    Tcp,
    Udp,
}

const fn yes() -> bool {
    true
}

fn info() -> String {
    "info".to_owned()
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeoutsFile {
    stable: Option<Micros>,
    mute: Option<Micros>,
    mute_max: Option<Micros>,
    slot: Option<Micros>,
    ask: Option<Micros>,
    fetch: Option<Micros>,
    lag: Option<Micros>,
    resend: Option<Micros>,
    resend_max: Option<Micros>,
    heads_delay: Option<Micros>,
    retransmit: Option<Micros>,
    grace: Option<Micros>,
    attempt: Option<Micros>,
    attempt_max: Option<Micros>,
    installed: Option<Micros>,
    linger: Option<Micros>,
    retain: Option<Micros>,
    rejoin: Option<Micros>,
    cool: Option<Micros>,
    cool_max: Option<Micros>,
    stall: Option<Micros>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    cast_queue: Option<Amount>,
    send_queue: Option<Amount>,
    peer_queue: Option<Amount>,
    send_tries: Option<u32>,
    partial_frames: Option<u16>,
    join_tokens: Option<u32>,
    join_buffer: Option<Amount>,
    state_max: Option<Amount>,
}

/// The home of a member, or of a process that wants to be one: everything needed to start it.
#[derive(Debug)]
pub struct Home {
    /// The group.
    pub group: Group,
    /// Which of its first members this is, if it is one.
    pub rank: Option<Rank>,
    /// Its secret.
    pub secret: SecretKey,
    /// Where that is kept.
    pub key_path: PathBuf,
    /// The error of a key file that others than its owner may use: not to be run with.
    pub exposed: Option<FileError>,
    /// Configuration of the core.
    pub config: Config,
    /// Configuration of the sockets; its seed is 0.
    pub network: NetworkConfig,
    /// Where the boot record is kept.
    pub state_dir: PathBuf,
    /// What to log: `error`, `warn`, `info`, `debug` or `trace`.
    pub log: String,
    /// Whether it comes back by itself when it is put out by opinion.
    pub comes_back: bool,
    /// Made by `testnet`, on one machine, for trying things out.
    pub is_testnet: bool,
}

impl Home {
    /// Reads `node.toml`, the group file and the key in a home directory, and checks everything
    /// that can be checked without a network.
    ///
    /// # Errors
    /// The first thing found wrong, with file, line and key.
    pub fn read(dir: &Path) -> Result<Self, FileError> {
        let source = Source::read(&dir.join("node.toml"))?;
        let file: NodeFile = source.parse()?;
        let group = Group::read(&dir.join(&file.group))?;
        let key_path = dir.join(file.key.get_ref());
        let at_key = |message: String| source.error(Some(file.key.span()), message);
        let secret = SecretKey::read(&key_path).map_err(|why| at_key(why.to_string()))?;
        let view = group.genesis.view();
        let rank = view.rank_of(&secret.public_key());
        let listed = rank.and_then(|rank| view.member(rank));
        let listed = listed.map(|member| String::from_utf8_lossy(&member.addr).into_owned());
        file.check_member(&source, &group, &secret.public_key())?;
        let own = file.own_address(&source, listed)?;
        let bind = bind(&source, file.bind.as_ref(), own.as_deref().unwrap_or_default())?;
        let addr = own.unwrap_or_else(|| bind.to_string());
        if !matches!(file.log.as_str(), "error" | "warn" | "info" | "debug" | "trace") {
            let message = "a log level is one of error, warn, info, debug, trace";
            return Err(source.error(source.find("log"), message));
        }
        file.check_ranges(&source)?;
        let mut config = file.core_config(&group);
        config.addr = addr.into_bytes();
        config.joiners = joiners(&source, file.joiners.as_ref())?;
        config.anchor = anchor(&source, dir, file.anchor.as_ref())?;
        config.validate(Suite::Ed25519).map_err(|why| locate(&source, &why))?;
        Ok(Self {
            rank,
            secret,
            exposed: file.exposed(&source, &key_path)?,
            key_path,
            network: file.network_config(bind, &group),
            config,
            group,
            state_dir: dir.join(&file.state),
            log: file.log,
            comes_back: file.rejoin,
            is_testnet: file.testnet,
        })
    }

    /// The incarnation under which the group file lists this member; 0 if it does not.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        let member = self.rank.and_then(|rank| self.group.genesis.members.get(rank.index()));
        member.map_or(0, |member| member.incarnation)
    }
}

impl NodeFile {
    /// Checks that the key is that of the member named, and that it does not listen at the address of
    /// another one.
    fn check_member(
        &self,
        source: &Source,
        group: &Group,
        key: &PublicKey,
    ) -> Result<(), FileError> {
        let place = group.place_of(key);
        let owner = || match place {
            Some(_) => format!("is that of {}", group.name_of(key)),
            None => "is nobody's in the group file".to_owned(),
        };
        if let Some(member) = &self.member {
            let Some(named) = group.names.iter().position(|name| name == member.get_ref()) else {
                let message = "the group file has no such member or newcomer";
                return Err(source.error(Some(member.span()), message));
            };
            if place != Some(named) {
                let (file, name) = (self.key.get_ref().display(), member.get_ref());
                let message = format!(
                    "the key in {file} {}, not of {name}: copy the right key file here, or correct \
                     or delete `member`",
                    owner()
                );
                return Err(source.error(Some(self.key.span()), message));
            }
            return Ok(());
        }
        let Some(bind) = self.bind.as_ref().filter(|_| place.is_some()) else { return Ok(()) };
        let others = group.genesis.members.iter().filter(|member| member.key != *key);
        let other = others.into_iter().find(|other| other.addr == bind.get_ref().as_bytes());
        let Some(other) = other else { return Ok(()) };
        let message = format!(
            "this is the address of {}, and the key {}: this home has the key of another member; if \
             the two have changed addresses say so with `member = \"NAME\"`",
            group.name_of(&other.key),
            owner()
        );
        Err(source.error(Some(bind.span()), message))
    }

    /// Returns the error of a key file that others may use.
    fn exposed(&self, source: &Source, path: &Path) -> Result<Option<FileError>, FileError> {
        let told = |message: String| source.error(Some(self.key.span()), message);
        let is_exposed =
            is_exposed(path).map_err(|why| told(format!("{}: {why}", path.display())))?;
        let message = format!("others can use {}: chmod 600 it", path.display());
        Ok(is_exposed.then(|| told(message)))
    }

    /// Checks what the core does not know of.
    fn check_ranges(&self, source: &Source) -> Result<(), FileError> {
        let error = |key: &str, message: &str| Err(source.error(source.find(key), message));
        if self.timeouts.stall.is_some_and(|Micros(stall)| stall < STALL_MIN_US) {
            return error("stall", "stall is out of range: it must be at least 100 ms");
        }
        let is_possible = |given| (DATAGRAM_MIN..=DATAGRAM_MAX).contains(&bytes(given));
        if !self.datagram.is_none_or(is_possible) {
            return error("datagram", "datagram is out of range: it must be 508 B to 65000 B");
        }
        Ok(())
    }

    /// Where others reach this process.
    fn own_address(
        &self,
        source: &Source,
        listed: Option<String>,
    ) -> Result<Option<String>, FileError> {
        let Some(given) = &self.address else { return Ok(listed) };
        address(source, given).map(|address| Some(address.to_string()))
    }

    fn core_config(&self, group: &Group) -> Config {
        let mut config = Config::new(group.genesis.clone());
        let (from, to) = (&self.timeouts, &mut config.timeouts);
        for (given, timeout) in [
            (from.stable, &mut to.stable_us),
            (from.mute, &mut to.mute_us),
            (from.mute_max, &mut to.mute_max_us),
            (from.slot, &mut to.slot_us),
            (from.ask, &mut to.ask_us),
            (from.fetch, &mut to.fetch_us),
            (from.lag, &mut to.lag_us),
            (from.resend, &mut to.resend_us),
            (from.resend_max, &mut to.resend_max_us),
            (from.heads_delay, &mut to.heads_delay_us),
            (from.retransmit, &mut to.retransmit_us),
            (from.grace, &mut to.grace_us),
            (from.attempt, &mut to.attempt_us),
            (from.attempt_max, &mut to.attempt_max_us),
            (from.installed, &mut to.installed_us),
            (from.linger, &mut to.linger_us),
            (from.retain, &mut to.retain_us),
            (from.rejoin, &mut to.rejoin_us),
            (from.cool, &mut to.cool_us),
            (from.cool_max, &mut to.cool_max_us),
        ] {
            if let Some(Micros(micros)) = given {
                *timeout = micros;
            }
        }
        let limits = &self.limits;
        let size = |given: Option<Amount>, default| given.map_or(default, bytes);
        config.cast_queue_bytes = size(limits.cast_queue, config.cast_queue_bytes);
        config.send_queue_bytes = size(limits.send_queue, config.send_queue_bytes);
        config.send_tries = limits.send_tries.unwrap_or(config.send_tries);
        config.join_buffer = size(limits.join_buffer, config.join_buffer);
        config.state_max = limits.state_max.map_or(config.state_max, |Amount(bytes)| bytes);
        config.join_tokens = limits.join_tokens.unwrap_or(config.join_tokens);
        config.partial_frames = limits.partial_frames.map_or(config.partial_frames, usize::from);
        config
    }

    fn network_config(&self, bind: SocketAddr, group: &Group) -> NetworkConfig {
        let transport = match self.transport {
            TransportName::Tcp => TransportKind::Tcp,
            TransportName::Udp => TransportKind::Udp,
        };
        let mut network = NetworkConfig::new(transport, bind);
        network.datagram = self.datagram.map_or(network.datagram, bytes);
        network.names = group.keys().map(|key| (peer_id(key), group.name_of(key))).collect();
        network.queue_bytes = self.limits.peer_queue.map_or(network.queue_bytes, bytes);
        if let Some(Micros(micros)) = self.timeouts.stall {
            network.stall = Duration::from_micros(micros);
        }
        network
    }
}

fn bytes(Amount(bytes): Amount) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn bind(
    source: &Source,
    given: Option<&Spanned<String>>,
    own: &str,
) -> Result<SocketAddr, FileError> {
    let message = "an address to bind is an IP address and a port, like \"0.0.0.0:7400\"";
    let span = given.map(Spanned::span);
    let parsed = given.map_or(own, |text| text.get_ref()).parse();
    let bind: SocketAddr = parsed.map_err(|_| source.error(span.clone(), message))?;
    match no_host(&bind).filter(|_| !bind.ip().is_unspecified()) {
        Some(kind) => {
            let message = format!("nothing listens at this address, which is {kind}: {message}");
            Err(source.error(span, message))
        }
        None => Ok(bind),
    }
}

/// Who may join: `"ask"`, or a list of keys; nobody by default.
fn joiners(source: &Source, given: Option<&Spanned<Value>>) -> Result<Joiners, FileError> {
    let Some(given) = given else { return Ok(Joiners::Nobody) };
    let wrong = |why: &str| source.error(Some(given.span()), why);
    match given.get_ref() {
        Value::String(word) if word == "ask" => Ok(Joiners::Application),
        Value::Array(keys) => {
            let keys: Option<Vec<PublicKey>> =
                keys.iter().map(|key| key.as_str().and_then(public_key)).collect();
            let keys = keys.ok_or_else(|| wrong("a key is 64 hexadecimal digits"))?;
            Ok(if keys.is_empty() { Joiners::Nobody } else { Joiners::Listed(keys) })
        }
        _ => Err(wrong("joiners are a list of public keys, or \"ask\"")),
    }
}

/// A view to start from, as `state/view-*` of a member has it.
fn anchor(
    source: &Source,
    dir: &Path,
    given: Option<&Spanned<PathBuf>>,
) -> Result<Option<View>, FileError> {
    let Some(given) = given else { return Ok(None) };
    let wrong = |why: String| source.error(Some(given.span()), why);
    let bytes = std::fs::read(dir.join(given.get_ref())).map_err(|why| wrong(why.to_string()))?;
    let view = postcard::from_bytes(&bytes);
    view.map(Some).map_err(|_| wrong("the file is not that of a view".to_owned()))
}

/// Points at what the core found wrong. Its names carry the unit or kind that the file's do not.
fn locate(source: &Source, why: &ConfigError) -> FileError {
    let ConfigError::OutOfRange(name, range) = why else {
        return source.error(None, why.to_string());
    };
    let key = name.strip_suffix("_us").or_else(|| name.strip_suffix("_bytes")).unwrap_or(name);
    let range = range.replace("_us", "");
    source.error(source.find(key), format!("{key} is out of range: it must be {range}"))
}

/// What a node file is written from.
#[derive(Clone, Debug)]
pub struct NodeEntry {
    /// Whose home it is.
    pub name: String,
    /// How frames travel.
    pub transport: TransportKind,
    /// Where to listen.
    pub bind: SocketAddr,
    /// Whether it is for trying things out on one machine.
    pub is_testnet: bool,
    /// Who may join, by public key.
    pub joiners: Vec<PublicKey>,
}

/// The text of a node file whose group file lies one directory above.
#[must_use]
pub fn node_text(entry: &NodeEntry) -> String {
    let transport = match entry.transport {
        TransportKind::Tcp => "tcp",
        TransportKind::Udp => "udp",
    };
    let NodeEntry { name, bind, is_testnet, .. } = entry;
    let joiners: Vec<String> = entry.joiners.iter().map(|key| format!("\"{key}\"")).collect();
    let joiners = joiners.join(", ");
    format!(
        "# One member's own settings. Paths are relative to this directory.\n\
         group = \"../group.toml\"\n\
         member = \"{name}\"       # whose home this is: the key must be that of this member\n\
         key = \"key.pem\"\n\
         bind = \"{bind}\"\n\
         transport = \"{transport}\"      # the same at every member\n\
         # datagram = \"1400 B\"  # the longest datagram (udp), 508 to 65000 B; where a path takes less the\n\
         #                      # member finds that out by itself, and sends 1200 B, or 508 B\n\
         state = \"state\"        # the boot record; without it start with --join\n\
         joiners = [{joiners}]  # keys that may join, or \"ask\": the application is asked\n\
         rejoin = true          # come back as a new incarnation after being put out by opinion\n\
         # address = \"192.0.2.1:7400\"  # where others reach it, if not as in the group file\n\
         # anchor = \"view\"      # start from this view, a copy of a member's state/view-*\n\
         log = \"info\"\n\
         testnet = {is_testnet}\n\
         \n\
         [timeouts]             # these are the defaults\n\
         # stable = \"100 ms\"    # between two rows of the stability matrix, the heartbeat\n\
         # mute = \"2 s\"         # silence before a member is asked about and suspected\n\
         # mute_max = \"30 s\"    # to which mute adapts at the most after false alarms\n\
         # ask = \"200 ms\"       # between asking all about a member and suspecting it\n\
         # slot = \"1 s\"         # how long an unsettled slot may hold up the total order\n\
         # lag = \"2 s\"          # how long a member may hold the window of a sender back\n\
         # fetch = \"150 ms\"     # before a missing body is asked for, and between two tries\n\
         # resend = \"100 ms\"    # first pause before what was said is repeated; doubles\n\
         # resend_max = \"2 s\"\n\
         # retransmit = \"50 ms\" # before a message to one member, or a fragment, is sent again\n\
         # heads_delay = \"0 us\" # how long a signature may wait for company\n\
         # grace = \"20 ms\"      # the leader of a view change waits so long for the last ones\n\
         # attempt = \"1 s\"      # how long the first attempt of a view change may take\n\
         # attempt_max = \"1 min\"  # attempts that fail are followed by longer ones, up to this\n\
         # installed = \"2 s\"    # a member that has not installed a view by then is suspected\n\
         # linger = \"30 s\"      # how long who is out answers those that do not know it yet\n\
         # retain = \"1 min\"     # how long bodies of the view before are kept at the most\n\
         # rejoin = \"2 s\"       # a silenced member asks to be active again after this\n\
         # cool = \"2 s\"         # a key that came back is not let in again for this; doubles\n\
         # cool_max = \"5 min\"\n\
         # stall = \"5 s\"        # a peer that takes nothing for so long is cut off\n\
         \n\
         [limits]\n\
         # cast_queue = \"4 MiB\" # casts that may wait before one is refused\n\
         # send_queue = \"1 MiB\" # messages to one member that may wait for its acknowledgement\n\
         # send_tries = 10      # times that such a message is sent before it is given up\n\
         # peer_queue = \"8 MiB\" # frames that may wait for one peer, at least the longest\n\
         # partial_frames = 32  # frames in fragments per peer; the same at every member\n\
         # join_tokens = 8      # frames of strangers that are looked at in a second; 64 times as\n\
         #                      # many in the names of members and of those that may join\n\
         # join_buffer = \"8 MiB\" # casts that may wait until a joiner has the state\n\
         # state_max = \"4 GiB\" # a longer state is not loaded\n"
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
