//! `check`: what a member's configuration says, and what is weak about it.

use std::net::SocketAddr;
use std::path::Path;

use phalanx_core::Joiners;
use phalanx_core::crypto::peer_id;
use phalanx_mio::boot::{self, ViewFile};
use phalanx_mio::config::{Home, membership_word};
use phalanx_mio::net::TransportKind;

use crate::Failure;
use crate::keeper::try_dir;

/// Prints the configuration and its weaknesses; fails if it is wrong or cannot be started.
pub(crate) fn check(dir: &Path, against: Option<SocketAddr>) -> Result<(), Failure> {
    let home = Home::read(dir)?;
    let group = home.group.genesis.group();
    let view = home.group.genesis.view();
    let address = String::from_utf8_lossy(&home.config.addr).into_owned();
    let transport = match home.network.transport {
        TransportKind::Tcp => "tcp",
        TransportKind::Udp => "udp",
    };
    print_line!("group      {} ({group})", home.group.genesis.name)?;
    print_line!("view       {}", home.group.view_line(&view, home.rank))?;
    let limit = home.group.genesis.pledge;
    let limit = limit.map_or_else(|| "no limit set".to_owned(), |limit| format!("limit {limit}"));
    print_line!("membership {}", membership_word(home.group.genesis.membership))?;
    print_line!("pledge     {} liars are borne in every view ({limit})", view.pledge)?;
    match home.rank {
        Some(rank) => print_line!("member     {}, rank {rank}", home.group.name(rank))?,
        None => print_line!("member     not one of the first; run --join asks to be one")?,
    }
    print_line!("key        {}", home.secret.public_key())?;
    print_line!("peer id    {}", peer_id(&home.secret.public_key()))?;
    print_line!("address    {address} over {transport}, bound to {}", home.network.bind)?;
    try_dir(&home.state_dir)?;
    ViewFile::new(&home.state_dir, &group).read()?;
    match (boot::last(&home.state_dir, &group)?, home.rank) {
        (Some(last), _) => {
            print_line!("incarnation {last} was the last one; the next start joins")?
        }
        (None, Some(_)) => print_line!("incarnation {}, the first", home.incarnation())?,
        (None, None) => print_line!("incarnation none yet")?,
    }
    print_line!("joiners    {}", joiners(&home.config.joiners))?;
    for weakness in weaknesses(&home, &address)? {
        print_line!("weak       {weakness}")?;
    }
    if let Some(at) = against {
        crate::against::against(&home, at)?;
    }
    print_line!("ok")?;
    Ok(())
}

/// Who may join, in words.
pub(crate) fn joiners(joiners: &Joiners) -> String {
    match joiners {
        Joiners::Nobody => "nobody new".to_owned(),
        Joiners::Application => "whom the application admits".to_owned(),
        Joiners::Listed(keys) => keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn weaknesses(home: &Home, address: &str) -> Result<Vec<String>, Failure> {
    let mut weak = Vec::new();
    let quorum = home.group.genesis.view().quorum();
    let (n, f) = (quorum.n(), quorum.f());
    match n {
        1 => weak.push(
            "n = 1 tolerates nothing: this is no group yet, and a restart of its only member ends it"
                .to_owned(),
        ),
        2 => weak.push(
            "n = 2 tolerates nothing: both members must be up, and once they have met the restart of \
             either ends the group"
                .to_owned(),
        ),
        3 => weak.push("n = 3 tolerates one crash and no liar".to_owned()),
        _ if n != 3 * f + 1 => {
            let (fewer, more) = (3 * f + 1, 3 * f + 4);
            weak.push(format!(
                "n = {n} tolerates {f} as n = {fewer} does, at a higher cost; {} would take n = {more}",
                f + 1
            ));
        }
        _ => {}
    }
    if n > 2 {
        let down = n - quorum.q();
        weak.push(format!(
            "when more than {down} of {n} are down at once the group stops, and if more than {down} \
             restart before the others have taken one in again, for good: restart one at a time"
        ));
    }
    if let Some(why) = &home.exposed {
        weak.push(format!("{why}; until then `run` does not start"));
    }
    if let Err(why) = try_dir(&home.state_dir.join("evidence")) {
        weak.push(format!("proofs against liars could not be kept: {why}"));
    }
    if home.is_testnet {
        weak.push("testnet = true: this home may be made to lie by `demo`".to_owned());
    }
    let public: Option<SocketAddr> = address.parse().ok();
    if public.is_some_and(|public| public.port() != home.network.bind.port()) {
        weak.push(format!("it binds {}, but others send to {address}", home.network.bind));
    }
    weak.push("frames are authenticated, not encrypted: whoever listens can read them".to_owned());
    Ok(weak)
}
