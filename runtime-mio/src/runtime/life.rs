//! Coming back: a process that the others have put out by opinion, that could not follow them, that
//! has lost its state, or that turns out to have lived before what its boot record says begins again
//! as a new incarnation, through the same sockets.
//!
//! It is put out by opinion as a rule because it was slow or cut off, and nobody needs to be asked
//! for that to end. Who lied or left stays out.

use std::net::SocketAddr;

use phalanx_core::crypto::peer_id;
use phalanx_core::{
    Boot, Config, ConfigError, Departure, Exclusion, Identity, Member, Node, PeerId, Rank, Time,
    View,
};

use super::state::Offers;
use super::{Notice, Runtime};
use crate::boot::{BootError, Record};
use crate::keys::SecretKey;

/// The most processes to ask.
const CONTACTS: usize = 64;

/// A process that may know more, with its address.
pub(crate) type Contact = (PeerId, Vec<u8>);

/// The end of a life that the process outlives.
#[derive(Debug)]
pub(super) struct End {
    pub(super) why: Ending,
    /// The view that it is not in any more; `None` if it still is a member.
    pub(super) view: Option<View>,
}

/// Why a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is no member any more.
    Out(Exclusion),
    /// It is over before it began: this incarnation of it was a member, or a later one.
    Spent(u64),
}

/// What it takes to begin again.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) config: Config,
    pub(super) secret: SecretKey,
    /// Where the incarnations are recorded; without it there is no other life.
    pub(super) record: Option<Record>,
    /// This incarnation is used up when the node says something that it must remember.
    pub(super) unclaimed: Option<u64>,
    /// Whether it comes back by itself.
    pub(super) is_lasting: bool,
    /// The view to come back from, once it can.
    pub(super) from: Option<View>,
    /// The number of the view that was kept last.
    pub(super) seen: Option<u64>,
    /// The highest incarnation that the group has shown to be used.
    pub(super) spent: u64,
}

impl Life {
    /// A node that wants to be a member, from this view on.
    fn again(&mut self, from: &View, now: Time) -> Result<(Boot, Node), String> {
        let record = self.record.as_mut().ok_or("there is no boot record")?;
        let identity = Identity::ed25519(*self.secret.seed());
        let key = *identity.public_key();
        let listed = from.rank_of(&key).and_then(|rank| from.member(rank));
        let above = listed.map_or(0, |member| member.incarnation).max(self.spent);
        let boot = record.claim_above(above).map_err(|why| why.to_string())?;
        let contacts = contacts(&key, [from.members.as_slice(), &self.config.genesis.members]);
        let fresh = super::fresh().map_err(|why| why.to_string())?;
        let config = Config { anchor: Some(from.clone()), fresh, ..self.config.clone() };
        let node = Node::join(config, identity, boot, contacts, now)
            .map_err(|why: ConfigError| why.to_string())?;
        Ok((boot, node))
    }
}

/// Whom to ask: these members, except oneself, each at the first address given for it.
pub(crate) fn contacts<'a>(
    me: &phalanx_core::PublicKey,
    members: impl IntoIterator<Item = &'a [Member]>,
) -> Vec<Contact> {
    let mut all: Vec<Contact> = Vec::new();
    for member in members.into_iter().flatten().filter(|member| member.key != *me) {
        let peer = peer_id(&member.key);
        if all.len() < CONTACTS && all.iter().all(|(known, _)| *known != peer) {
            all.push((peer, member.addr.clone()));
        }
    }
    all
}

impl Runtime {
    /// Uses up the incarnation, durably, before anything leaves that this life must remember.
    pub(super) fn bind(&mut self) -> Result<(), BootError> {
        let Some(incarnation) = self.life.unclaimed.filter(|_| self.node.is_bound()) else {
            return Ok(());
        };
        if let Some(record) = &mut self.life.record {
            record.claim(incarnation)?;
        }
        self.life.unclaimed = None;
        Ok(())
    }

    /// Keeps in mind the view to come back from, if this is an end that one comes back from.
    pub(super) fn note_end(&mut self) {
        let Some(end) = self.sorted.end.take() else { return };
        let comes_back = match end.why {
            Ending::Spent(highest) => {
                // Nothing was signed, so there is nothing to come back from: it has not begun.
                self.life.spent = self.life.spent.max(highest);
                let newest = self.node.decisions().last().map(|decision| decision.view.clone());
                self.life.from = Some(newest.unwrap_or_else(|| self.node.view().clone()));
                return;
            }
            Ending::Out(why) => {
                matches!(why, Exclusion::Departed(Departure::Opinion) | Exclusion::Overtaken)
            }
        };
        let view = end.view.unwrap_or_else(|| self.node.view().clone());
        self.remember(view.clone());
        self.life.from = (comes_back && self.life.is_lasting).then_some(view);
    }

    /// Begins again if it has to and can.
    pub(super) fn come_back(&mut self) {
        let Some(from) = self.life.from.take() else { return };
        match self.life.again(&from, self.clock.now()) {
            Ok((boot, node)) => {
                self.node = node;
                self.sorted.outbox.clear();
                self.sorted.chunks.clear();
                self.offers = Offers::default();
                (self.sorted.is_out, self.sorted.is_outside) = (false, true);
                self.sorted.has_changed = true;
                self.network.set_outside(true);
                let incarnation = boot.incarnation;
                self.incarnation = incarnation;
                self.sorted.notices.push_back(Notice::ComesBack { incarnation });
            }
            Err(why) => self.sorted.notices.push_back(Notice::StaysOut { why }),
        }
    }

    /// Keeps the view where the next start finds it.
    pub(super) fn remember(&mut self, view: View) {
        let Some(record) = &self.life.record else { return };
        let file = record.view_file();
        let keep = move || {
            if let Err(why) = file.write(&view) {
                let file = file.path().display();
                tracing::warn!(%file, %why, "cannot keep the view; the next start begins earlier");
            }
        };
        if let Err(why) = self.aside.put(keep) {
            tracing::warn!(%why, "cannot keep the view; the next start begins at an earlier one");
        }
    }
}

/// Whom the node has to reach. Who came later and gave no address that is one is not dialled.
pub(super) fn reachable(node: &Node) -> Vec<(PeerId, SocketAddr)> {
    let address = |(peer, _, addr): (PeerId, Option<Rank>, &[u8])| {
        Some((peer, std::str::from_utf8(addr).ok()?.parse().ok()?))
    };
    node.peers().filter_map(address).collect()
}
