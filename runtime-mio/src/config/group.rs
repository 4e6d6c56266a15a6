//! `group.toml`: what makes a group this group. Its canonical record, not the file, is hashed.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use phalanx_core::crypto::Suite;
use phalanx_core::{
    ConfigError, Departure, Genesis, Hash32, Limits, Member, Membership, Pattern, PublicKey,
    QuorumRule, Rank, Status, View,
};
use serde::Deserialize;
use toml::Spanned;

use super::units::{Amount, Hex32};
use super::{FileError, Source};
use crate::boot::is_legal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupFile {
    name: String,
    nonce: Hex32,
    #[serde(default)]
    membership: MembershipName,
    #[serde(default)]
    state_transfer: bool,
    pledge: Option<Spanned<u16>>,
    #[serde(default)]
    pattern: PatternName,
    #[serde(default)]
    limits: LimitsFile,
    #[serde(default)]
    member: Vec<MemberFile>,
    #[serde(default)]
    newcomer: Vec<NewcomerFile>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PatternName {
    #[default]
    Swift,
    Paper,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MembershipName {
    #[default]
    Managed,
    Fixed,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    max_members: Option<u16>,
    max_joins_per_change: Option<u16>,
    cast_max: Option<Amount>,
    body_max: Option<Amount>,
    window_bodies: Option<u32>,
    window_bytes: Option<Amount>,
    slot_window: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    name: Spanned<String>,
    address: Spanned<String>,
    public_key: Spanned<Hex32>,
    incarnation: Option<Spanned<u64>>,
}

/// What people call somebody who may join later; no part of the group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewcomerFile {
    name: Spanned<String>,
    public_key: Hex32,
}

/// The incarnation of a member if the file gives none.
const FIRST_INCARNATION: u64 = 1;

/// A group as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The record that all members share.
    pub genesis: Genesis,
    /// What people call the members, in rank order, and then those that may join later.
    pub names: Vec<String>,
    /// The keys of the latter.
    pub newcomers: Vec<PublicKey>,
}

impl Group {
    /// Reads and checks a group file.
    ///
    /// # Errors
    /// The first thing found wrong, with its line and key.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let source = Source::read(path)?;
        let file: GroupFile = source.parse()?;
        let mut members = Vec::new();
        for (rank, entry) in file.member.iter().enumerate() {
            check_name(&source, file.names().take(rank), &entry.name)?;
            members.push(Member {
                key: PublicKey(entry.public_key.get_ref().0),
                incarnation: incarnation(&source, entry.incarnation.as_ref())?,
                addr: address(&source, &entry.address)?.to_string().into_bytes(),
                status: Status::Active,
            });
        }
        for (place, entry) in file.newcomer.iter().enumerate() {
            check_name(&source, file.names().take(members.len() + place), &entry.name)?;
        }
        let genesis = Genesis {
            name: file.name.clone(),
            nonce: Hash32(file.nonce.0),
            members,
            pledge: pledge(&source, file.pledge.as_ref(), file.member.len())?,
            pattern: match file.pattern {
                PatternName::Swift => Pattern::Swift,
                PatternName::Paper => Pattern::Paper,
            },
            quorum: QuorumRule::Sound,
            membership: match file.membership {
                MembershipName::Managed => Membership::Managed,
                MembershipName::Fixed => Membership::Fixed,
            },
            state_transfer: file.state_transfer,
            limits: file.limits.limits(),
        };
        genesis.validate(Suite::Ed25519).map_err(|why| locate(&source, &file, &why))?;
        let names = file.names().map(|name| name.get_ref().clone()).collect();
        let newcomers = file.newcomer.iter().map(|entry| PublicKey(entry.public_key.0)).collect();
        Ok(Self { genesis, names, newcomers })
    }

    /// The keys behind the names, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.genesis.members.iter().map(|member| &member.key).chain(&self.newcomers)
    }

    /// The place of a key among them.
    #[must_use]
    pub fn place_of(&self, key: &PublicKey) -> Option<usize> {
        self.keys().position(|known| known == key)
    }

    /// What people call the member at `rank` of the genesis view.
    #[must_use]
    pub fn name(&self, rank: Rank) -> &str {
        self.names.get(rank.index()).map_or("?", String::as_str)
    }

    /// What people call the member with this key: its name in the group file; for those that came
    /// later the beginning of the key.
    #[must_use]
    pub fn name_of(&self, key: &PublicKey) -> String {
        let name = self.place_of(key).and_then(|place| self.names.get(place));
        name.map_or_else(|| key.to_string().chars().take(8).collect(), String::clone)
    }

    /// A view as it is always printed: `view 1  n=4 f=1 q=3  [alice* bob carol ~dave]`. `me` is
    /// marked with a star, who is silenced with a tilde.
    #[must_use]
    pub fn view_line(&self, view: &View, me: Option<Rank>) -> String {
        let quorum = view.quorum();
        let (n, f, q) = (quorum.n(), quorum.f(), quorum.q());
        let members = Rank::all(n).zip(&view.members);
        let names: Vec<String> = members
            .map(|(rank, member)| {
                let tilde = if member.status == Status::Silenced { "~" } else { "" };
                let star = if me == Some(rank) { "*" } else { "" };
                format!("{tilde}{}{star}", self.name_of(&member.key))
            })
            .collect();
        format!("view {}  n={n} f={f} q={q}  [{}]", view.number, names.join(" "))
    }

    /// The same, with what changed and why: `-mallory (proof: mutant message)`, `~dave (mute)` who was
    /// silenced, `+erin` who joined, `+dave (active again)`. `why` says what a member was found to do,
    /// if that is known.
    #[must_use]
    pub fn change_line(
        &self,
        (before, view): (&View, &View),
        me: Option<Rank>,
        why: &dyn Fn(&PublicKey, Departure) -> Option<String>,
    ) -> String {
        let mut line = self.view_line(view, me);
        // Writing to a String cannot fail.
        for (rank, how) in view.departed.iter() {
            let Some(member) = before.member(*rank) else { continue };
            let word = match how {
                Departure::Proof => "proof",
                Departure::Opinion => "opinion",
                Departure::Left => "left",
                // Its next life is among those that came.
                Departure::Replaced => continue,
            };
            let why = why(&member.key, *how).map(|why| format!(": {why}")).unwrap_or_default();
            let _ = write!(line, "  -{} ({word}{why})", self.name_of(&member.key));
        }
        for rank in view.silenced.iter() {
            let Some(member) = before.member(*rank) else { continue };
            let why = why(&member.key, Departure::Opinion).unwrap_or_else(|| "silenced".to_owned());
            let _ = write!(line, "  ~{} ({why})", self.name_of(&member.key));
        }
        for member in &view.members {
            let old = before.members.iter().find(|old| old.key == member.key);
            let what = match old {
                Some(old) if old.incarnation != member.incarnation => {
                    format!(" (in place of incarnation {})", old.incarnation)
                }
                Some(old) if old.status != member.status && member.status == Status::Active => {
                    " (active again)".to_owned()
                }
                Some(_) => continue,
                None if member.incarnation > 1 => format!(" (incarnation {})", member.incarnation),
                None => String::new(),
            };
            let _ = write!(line, "  +{}{what}", self.name_of(&member.key));
        }
        line
    }
}

impl GroupFile {
    fn names(&self) -> impl Iterator<Item = &Spanned<String>> {
        let members = self.member.iter().map(|entry| &entry.name);
        members.chain(self.newcomer.iter().map(|entry| &entry.name))
    }
}

impl LimitsFile {
    fn limits(&self) -> Limits {
        let default = Limits::default();
        // A size beyond 4 GiB is out of range as 4 GiB is.
        let size = |given: Option<Amount>, default| {
            given.map_or(default, |Amount(bytes)| u32::try_from(bytes).unwrap_or(u32::MAX))
        };
        Limits {
            max_members: self.max_members.unwrap_or(default.max_members),
            max_joins_per_change: self.max_joins_per_change.unwrap_or(default.max_joins_per_change),
            cast_max: size(self.cast_max, default.cast_max),
            body_max: size(self.body_max, default.body_max),
            window_bodies: self.window_bodies.unwrap_or(default.window_bodies),
            window_bytes: size(self.window_bytes, default.window_bytes),
            slot_window: self.slot_window.unwrap_or(default.slot_window),
        }
    }
}

fn check_name<'a>(
    source: &Source,
    mut earlier: impl Iterator<Item = &'a Spanned<String>>,
    name: &Spanned<String>,
) -> Result<(), FileError> {
    let text = name.get_ref();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.is_empty() || text.len() > 32 || !text.chars().all(is_plain) {
        let message = "a name is 1 to 32 letters, digits, dots, hyphens and underscores";
        return Err(source.error(Some(name.span()), message));
    }
    if earlier.any(|other| other.get_ref() == text) {
        return Err(source.error(Some(name.span()), format!("two members are called {text}")));
    }
    Ok(())
}

fn incarnation(source: &Source, given: Option<&Spanned<u64>>) -> Result<u64, FileError> {
    let Some(given) = given else { return Ok(FIRST_INCARNATION) };
    if is_legal(*given.get_ref()) {
        return Ok(*given.get_ref());
    }
    let message = "incarnation is out of range: it must be 1 to 2^64 - 2, and is 1 in a new group";
    Err(source.error(Some(given.span()), message))
}

/// Checks the limit of liars, which the first view has to bear.
fn pledge(
    source: &Source,
    given: Option<&Spanned<u16>>,
    members: usize,
) -> Result<Option<u16>, FileError> {
    let Some(given) = given else { return Ok(None) };
    let borne = members.saturating_sub(1) / 3;
    if usize::from(*given.get_ref()) <= borne {
        return Ok(Some(*given.get_ref()));
    }
    let message = format!(
        "pledge is out of range: {members} members bear {borne} liars at the most; lower it, list \
         more members, or leave it out: then it follows the size of the group"
    );
    Err(source.error(Some(given.span()), message))
}

pub(super) fn address(source: &Source, text: &Spanned<String>) -> Result<SocketAddr, FileError> {
    let error = |message: &str| source.error(Some(text.span()), message);
    let address: SocketAddr = text
        .get_ref()
        .parse()
        .map_err(|_| error("an address is an IP address and a port, like \"192.0.2.1:7400\""))?;
    if address.port() == 0 {
        return Err(error("other members cannot send to port 0: give the one that it listens on"));
    }
    match no_host(&address) {
        Some(kind) => Err(error(&format!(
            "other members cannot send to this address, which is {kind}: give that of one host"
        ))),
        None => Ok(address),
    }
}

/// Names the kind of an address that is not that of one host.
pub(super) fn no_host(address: &SocketAddr) -> Option<&'static str> {
    match address.ip().to_canonical() {
        ip if ip.is_unspecified() => Some("unspecified"),
        ip if ip.is_multicast() => Some("multicast"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("broadcast"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// Points at what the core found wrong.
fn locate(source: &Source, file: &GroupFile, why: &ConfigError) -> FileError {
    let key_of = |rank: &Rank| file.member.get(rank.index()).map(|m| m.public_key.span());
    let address_of = |rank: &Rank| file.member.get(rank.index()).map(|m| m.address.span());
    let span = match why {
        ConfigError::BadKey { rank, .. } => key_of(rank),
        ConfigError::DuplicateKey { b, .. } | ConfigError::PeerIdClash { b, .. } => key_of(b),
        ConfigError::DuplicateAddress { b, .. } => address_of(b),
        ConfigError::AddressTooLong { rank } => address_of(rank),
        ConfigError::OutOfRange(key, _) => source.find(key),
        ConfigError::NoMembers
        | ConfigError::TooManyMembers { .. }
        | ConfigError::NotAMember
        | ConfigError::Incarnation { .. }
        | ConfigError::FixedMembership
        | ConfigError::OldIncarnation { .. }
        | ConfigError::Contacts
        | ConfigError::Anchor
        | ConfigError::PaperQuorum => None,
    };
    source.error(span, why.to_string())
}

/// How the group file says whether the membership changes.
#[must_use]
pub const fn membership_word(membership: Membership) -> &'static str {
    match membership {
        Membership::Managed => "managed",
        Membership::Fixed => "fixed",
    }
}

/// A member, to be written to a group file.
#[derive(Clone, Debug)]
pub struct MemberEntry {
    /// For people.
    pub name: String,
    /// Where to reach it.
    pub address: SocketAddr,
    /// Its identity.
    pub public_key: PublicKey,
}

/// The text of a group file with default limits.
#[must_use]
pub fn group_text(
    name: &str,
    nonce: &Hash32,
    (membership, state_transfer): (Membership, bool),
    (members, newcomers): (&[MemberEntry], &[MemberEntry]),
) -> String {
    let membership = membership_word(membership);
    let mut text = format!(
        "# The group: the same file at every member. Any change makes another group.\n\
         name = \"{name}\"\n\
         nonce = \"{nonce}\"   # tells groups with the same members apart\n\
         pattern = \"swift\"   # or \"paper\": the paper's message pattern, slower\n\
         membership = \"{membership}\"   # managed: who fails is removed; fixed: nobody ever is\n\
         state_transfer = {state_transfer}   # true: who joins is handed the state of the application first\n\
         # pledge = 1         # so many liars are borne whatever happens: a group of 3 * pledge + 1\n\
         #                    # silences whom it suspects and removes only whom it can convict;\n\
         #                    # default: as many as the group can bear\n\
         \n\
         [limits]             # these are the defaults\n\
         # cast_max = \"1 MiB\"        # the longest cast\n\
         # body_max = \"256 KiB\"      # casts gathered in one body\n\
         # window_bodies = 64        # of one sender above the stability threshold\n\
         # window_bytes = \"4 MiB\"\n\
         # slot_window = 256\n\
         # max_members = 64\n\
         # max_joins_per_change = 4\n"
    );
    for MemberEntry { name, address, public_key } in members {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[member]]\nname = \"{name}\"\naddress = \"{address}\"\npublic_key = \"{public_key}\"\n\
             incarnation = 1\n"
        );
    }
    if !newcomers.is_empty() {
        text.push_str("\n# Names of those that may join later; no part of the group.\n");
    }
    for MemberEntry { name, public_key, .. } in newcomers {
        let _ = write!(text, "\n[[newcomer]]\nname = \"{name}\"\npublic_key = \"{public_key}\"\n");
    }
    text
}
