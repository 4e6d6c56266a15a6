//! `testnet`: a group on one machine, for trying things out.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use phalanx_core::{Hash32, Membership, PublicKey};
use phalanx_mio::config::{Group, MemberEntry, NodeEntry, group_text, node_text};
use phalanx_mio::keys::SecretKey;
use phalanx_mio::net::TransportKind;

use crate::Failure;

/// What the first members are called; the others by their rank.
const NAMES: [&str; 12] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kim",
    "leo",
];

/// How frames travel, on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Transport {
    /// One connection per pair of members
    Tcp,
    /// Datagrams
    Udp,
}

impl From<Transport> for TransportKind {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
        }
    }
}

/// Whether the membership changes, on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum MembershipName {
    /// Members that fail are removed
    Managed,
    /// The same members for ever
    Fixed,
}

impl From<MembershipName> for Membership {
    fn from(name: MembershipName) -> Self {
        match name {
            MembershipName::Managed => Self::Managed,
            MembershipName::Fixed => Self::Fixed,
        }
    }
}

/// Options of `testnet`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many members, 1 to 64
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    members: u16,
    /// Homes for so many more, which may join
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    newcomers: u16,
    /// Where to write group.toml and the homes; a new or empty directory
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How frames travel
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
    /// Whether the membership changes
    #[arg(long, value_enum, default_value = "managed")]
    membership: MembershipName,
    /// Hand the state of the application to those that join
    #[arg(long)]
    state_transfer: bool,
    /// Port of the first member on 127.0.0.1; the others follow
    #[arg(long, default_value_t = 7400, value_parser = clap::value_parser!(u16).range(1..=65_472))]
    base_port: u16,
}

/// Writes the files and says how to go on.
pub(crate) fn testnet(args: &Args) -> Result<(), Failure> {
    let addresses: Vec<SocketAddr> = (0..args.members + args.newcomers)
        .map(|i| SocketAddr::from((Ipv4Addr::LOCALHOST, args.base_port + i)))
        .collect();
    let (members, newcomers) = addresses.split_at(usize::from(args.members));
    let kind = Kind {
        transport: args.transport.into(),
        membership: args.membership.into(),
        state_transfer: args.state_transfer,
    };
    let plan = Plan { kind, members, newcomers };
    let homes = plan.write(&args.out)?;
    let group = Group::read(&args.out.join("group.toml"))?;
    print_line!("{}", group.view_line(&group.genesis.view(), None))?;
    print_line!("wrote {}", args.out.join("group.toml").display())?;
    print_line!("run each member in a terminal of its own and type lines to cast:")?;
    for (rank, home) in homes.iter().enumerate() {
        let join = if rank < members.len() { "" } else { "--join " };
        print_line!("    phalanx-node run --pipe {join}--home {}", home.display())?;
    }
    Ok(())
}

/// What kind of group it is.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) transport: TransportKind,
    pub(crate) membership: Membership,
    pub(crate) state_transfer: bool,
}

/// What a testnet is made from.
pub(crate) struct Plan<'a> {
    pub(crate) kind: Kind,
    /// Where the members are.
    pub(crate) members: &'a [SocketAddr],
    /// Where those are that may join.
    pub(crate) newcomers: &'a [SocketAddr],
}

impl Plan<'_> {
    /// Writes a group file and one home for each address: members in rank order, then newcomers.
    pub(crate) fn write(&self, out: &Path) -> Result<Vec<PathBuf>, Failure> {
        fs::create_dir_all(out).map_err(|why| at(out, &why))?;
        if fs::read_dir(out).map_err(|why| at(out, &why))?.next().is_some() {
            let out = out.display();
            return Err(format!("{out} is not empty; a testnet needs a new directory").into());
        }
        let mut entries = Vec::new();
        let mut homes = Vec::new();
        for (rank, address) in self.members.iter().chain(self.newcomers).enumerate() {
            let name = name_of(rank);
            let home = out.join(&name);
            fs::create_dir(&home).map_err(|why| at(&home, &why))?;
            let secret = SecretKey::generate()?;
            secret.write(&home.join("key.pem"))?;
            entries.push(MemberEntry { name, address: *address, public_key: secret.public_key() });
            homes.push(home);
        }
        let (members, newcomers) = entries.split_at(self.members.len());
        let joiners: Vec<PublicKey> = newcomers.iter().map(|entry| entry.public_key).collect();
        for (entry, home) in entries.iter().zip(&homes) {
            let (transport, bind) = (self.kind.transport, entry.address);
            let (name, joiners) = (entry.name.clone(), joiners.clone());
            let entry = NodeEntry { name, transport, bind, is_testnet: true, joiners };
            let file = home.join("node.toml");
            fs::write(&file, node_text(&entry)).map_err(|why| at(&file, &why))?;
        }
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)
            .map_err(|why| format!("the system gives no random bytes: {why}"))?;
        let file = out.join("group.toml");
        let kind = (self.kind.membership, self.kind.state_transfer);
        fs::write(&file, group_text("testnet", &Hash32(nonce), kind, (members, newcomers)))
            .map_err(|why| at(&file, &why))?;
        Ok(homes)
    }
}

/// What the process with this rank is called, or would be.
pub(crate) fn name_of(rank: usize) -> String {
    NAMES.get(rank).map_or_else(|| format!("m{rank:02}"), |name| (*name).to_owned())
}

fn at(path: &Path, why: &io::Error) -> String {
    format!("{}: {why}", path.display())
}
