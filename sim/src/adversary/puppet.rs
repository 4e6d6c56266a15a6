//! The strings of the body double: opens frames, signs with the liars' keys, seals for the liar's
//! own links.
//!
//! Frames of the body double are opened, changed and sealed anew, so all frames of a link are
//! numbered here: the counter of a link must rise, or receivers take a frame for a replay.

mod regroup;

use std::collections::BTreeMap;
use std::sync::Arc;

use phalanx_core::crypto::{
    Door, Hash32, Head, Heads, JoinRequest, LinkKeys, Roster, Signed, Stable, Statement, Suite,
    sha256,
};
use phalanx_core::wire::frame::{self, FrameKind, Header, Prepared};
use phalanx_core::wire::stranger::{self, Stranger};
use phalanx_core::wire::{self, List, Packet, Part};
use phalanx_core::{ConfigError, Limits, Number, PeerId, PerRank, PublicKey, Rank, Timeouts, View};

use super::Setup;
use super::dice::Dice;
use crate::scenario::RoundPlan;

/// The rank of who has none.
pub(super) const OUTSIDE: Rank = Rank::new(u16::MAX);

/// A packet with the casts that follow it, from or for one member.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// The other end of the link.
    pub(super) peer: Rank,
    /// What is said.
    pub(super) packet: Packet,
    /// Casts of the body in the packet; otherwise empty.
    pub(super) casts: Arc<[u8]>,
}

impl Letter {
    /// The parts, to change.
    pub(super) fn parts_mut(&mut self) -> &mut Vec<Part> {
        self.packet.parts.as_mut_vec()
    }

    /// Drops the parts that `is_out` names; says how many.
    pub(super) fn drop_parts(&mut self, is_out: impl Fn(&Part) -> bool) -> usize {
        let before = self.packet.parts.len();
        self.parts_mut().retain(|part| !is_out(part));
        if !matches!(self.packet.parts.last(), Some(Part::Body(_))) {
            self.casts = Arc::from([]);
        }
        before.saturating_sub(self.packet.parts.len())
    }

    /// Drops the parts that `is_out` names, except for these members; says whether there were any.
    pub(super) fn keep_for(&mut self, members: &[Rank], is_out: impl Fn(&Part) -> bool) -> bool {
        !members.contains(&self.peer) && self.drop_parts(is_out) > 0
    }

    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.packet.parts.is_empty() && self.packet.haves.is_empty()
    }
}

/// A frame that was opened.
#[derive(Debug)]
pub(super) enum Opened<'a> {
    /// A packet.
    Letter(Letter),
    /// The content of an acknowledgement of fragments.
    Ack(&'a [u8]),
}

/// Keys, links and numbers of one liar.
#[derive(Debug)]
pub(super) struct Puppet {
    /// Its rank; [`OUTSIDE`] as long as it is no member.
    pub(super) me: Rank,
    /// Its key.
    pub(super) own: PublicKey,
    /// The view that its process is in.
    pub(super) view: View,
    /// Its keys.
    pub(super) roster: Roster,
    /// All liars of the run that are members, ascending.
    pub(super) liars: Vec<Rank>,
    /// The liar's own randomness.
    pub(super) dice: Dice,
    /// Sizes and windows of the group.
    pub(super) limits: Limits,
    /// Time-outs that correct members are assumed to use: the liar's own.
    pub(super) timeouts: Timeouts,
    /// The newest body of its own log that the body double has sent.
    pub(super) newest: Number,
    /// What it does by rounds.
    pub(super) plan: Arc<RoundPlan>,
    /// The keys of the genesis view, in its rank order.
    hosts: Vec<PublicKey>,
    suite: Suite,
    /// How many members the view before had.
    former: Option<usize>,
    /// How many the next has, once the body double speaks in it.
    coming: Option<usize>,
    victims: Vec<Rank>,
    peers: PerRank<PeerId>,
    doors: BTreeMap<Rank, Door>,
    /// Of liars that are no members.
    outside: BTreeMap<PublicKey, Door>,
    links: BTreeMap<Rank, LinkKeys>,
    counters: PerRank<u64>,
}

impl Puppet {
    /// The puppet of `setup.me`.
    ///
    /// # Errors
    /// If the group's record is wrong, or a liar's key is not that of its rank there; liars with
    /// ranks beyond it are no members yet.
    pub(super) fn new(setup: &Setup) -> Result<Self, ConfigError> {
        let view = setup.config.genesis.view();
        let roster = view.roster(setup.suite)?;
        let n = view.members.len();
        let (mut doors, mut outside) = (BTreeMap::new(), BTreeMap::new());
        for (&rank, &key_seed) in &setup.liars {
            let door = Door::new(setup.identity(key_seed));
            let key = *door.identity().public_key();
            match view.rank_of(&key) {
                Some(listed) if listed == rank => drop(doors.insert(rank, door)),
                None if rank.index() >= n => drop(outside.insert(key, door)),
                Some(_) | None => return Err(ConfigError::NotAMember),
            }
        }
        let own = setup.liars.get(&setup.me).ok_or(ConfigError::NotAMember)?;
        let own = *setup.identity(*own).public_key();
        let liars: Vec<Rank> = doors.keys().copied().collect();
        let victims = match &setup.victims {
            Some(victims) => victims.clone(),
            None => draw_victims(n, &liars, &mut Dice::common(setup.seed)),
        };
        let mut puppet = Self {
            me: view.rank_of(&own).unwrap_or(OUTSIDE),
            own,
            suite: setup.suite,
            former: None,
            coming: None,
            peers: view.peers(),
            roster,
            liars,
            dice: Dice::own(setup.seed, u64::from(setup.me.value())),
            limits: setup.config.genesis.limits,
            timeouts: setup.config.timeouts,
            newest: Number::ZERO,
            plan: Arc::new(setup.plan.clone()),
            hosts: view.members.iter().map(|member| member.key).collect(),
            victims,
            doors,
            outside,
            links: BTreeMap::new(),
            counters: PerRank::from_fn(n, |_| 0),
            view,
        };
        puppet.links = puppet.derive_links();
        Ok(puppet)
    }

    /// The rank in the genesis view of a member of the present one; `None` if it was no member then.
    pub(super) fn host(&self, rank: Rank) -> Option<u16> {
        let key = self.view.member(rank)?.key;
        u16::try_from(self.hosts.iter().position(|host| *host == key)?).ok()
    }

    /// Notes what the body double sends.
    pub(super) fn note(&mut self, letter: &Letter) {
        if let Some(Part::Body(body)) = letter.packet.parts.last()
            && body.sender == self.me
        {
            self.newest = self.newest.max(body.number);
        }
    }

    /// How many members the view has.
    pub(super) fn n(&self) -> usize {
        self.view.members.len()
    }

    /// All members but the liar itself.
    pub(super) fn others(&self) -> impl DoubleEndedIterator<Item = Rank> + use<> {
        let me = self.me;
        Rank::all(self.n()).filter(move |rank| *rank != me)
    }

    /// The members that do not lie.
    pub(super) fn correct(&self) -> Vec<Rank> {
        Rank::all(self.n()).filter(|rank| !self.liars.contains(rank)).collect()
    }

    /// Whether the strategy treats this member differently. At least one correct member is a
    /// victim and one is not, unless the scenario says otherwise or there are not so many.
    pub(super) fn is_victim(&self, rank: Rank) -> bool {
        self.victims.contains(&rank)
    }

    /// The first victims, correct and at most `f` of them: so few that the others are a quorum.
    pub(super) fn few_victims(&self) -> Vec<Rank> {
        let correct = self.correct().into_iter().filter(|rank| self.is_victim(*rank));
        correct.take(self.roster.quorum().f()).collect()
    }

    /// The victims.
    pub(super) fn victims(&self) -> Vec<Rank> {
        self.victims.clone()
    }

    /// One correct victim, always the same; the first correct member if there is none.
    pub(super) fn first_victim(&self) -> Option<Rank> {
        let correct = self.correct();
        let victim = correct.iter().find(|rank| self.is_victim(**rank));
        victim.or(correct.first()).copied()
    }

    /// The process of this rank, as frames name it.
    pub(super) fn peer(&self, rank: Rank) -> Option<PeerId> {
        self.peers.get(rank).copied()
    }

    /// The rank of this process.
    pub(super) fn rank_of(&self, peer: PeerId) -> Option<Rank> {
        self.peers.iter().find(|(_, other)| **other == peer).map(|(rank, _)| rank)
    }

    /// Takes apart a frame that the body double made for `peer`, or that came from it. MACs are not
    /// checked: a liar may believe what it likes.
    pub(super) fn open<'a>(&self, peer: Rank, frame: &'a [u8]) -> Option<Opened<'a>> {
        let parsed = frame::parse(frame)?;
        match parsed.header.kind {
            FrameKind::Whole => {
                let (packet, casts) = frame::split_whole(parsed.content())?;
                let sizes = [Some(self.n()), self.former, self.coming].into_iter().flatten();
                let mut packets = sizes.map(|n| wire::decode(packet, n, !casts.is_empty()));
                let packet = packets.find_map(Result::ok)?;
                Some(Opened::Letter(Letter { peer, packet, casts: casts.into() }))
            }
            FrameKind::FragmentAck => Some(Opened::Ack(parsed.content())),
            FrameKind::Fragment | FrameKind::Stranger => None,
        }
    }

    fn header(&mut self, kind: FrameKind, to: Rank) -> Option<Header> {
        let from = self.peer(self.me)?;
        let counter = self.counters.get(to)?.saturating_add(1);
        *self.counters.at_mut(to) = counter;
        Some(Header { kind, group: self.view.group.prefix(), from, counter })
    }

    /// Rewrites the liar's own Heads in a letter and signs them anew; says whether that changed
    /// them.
    pub(super) fn rewrite_heads(
        &mut self,
        letter: &mut Letter,
        mut edit: impl FnMut(&mut Vec<Head>),
    ) -> bool {
        let mut is_changed = false;
        let parts = core::mem::take(letter.parts_mut());
        for part in parts {
            let kept = match part {
                Part::Heads(heads) if heads.signer == self.me => {
                    let mut entries = heads.statement.entries.to_vec();
                    edit(&mut entries);
                    if entries[..] == heads.statement.entries[..] {
                        Some(Part::Heads(heads))
                    } else {
                        is_changed = true;
                        self.sign_heads(self.me, entries).map(Part::Heads)
                    }
                }
                other => Some(other),
            };
            letter.parts_mut().extend(kept);
        }
        is_changed
    }

    /// Rewrites the liar's own rows in a letter and signs them anew; says whether that changed
    /// them.
    pub(super) fn rewrite_rows(
        &mut self,
        letter: &mut Letter,
        mut edit: impl FnMut(&mut Stable),
    ) -> bool {
        let mut is_changed = false;
        for part in letter.parts_mut() {
            let Part::Stable(row) = part else { continue };
            if row.signer != self.me {
                continue;
            }
            let mut statement = row.statement.clone();
            edit(&mut statement);
            if statement != row.statement
                && let Some(signed) = self.sign(self.me, statement)
            {
                *row = signed;
                is_changed = true;
            }
        }
        is_changed
    }

    /// Claims in a letter to hold the log of `sender` up to `number`.
    pub(super) fn claim(&self, letter: &mut Letter, sender: Rank, number: Number) {
        let haves = letter.packet.haves.as_mut_vec();
        haves.resize(self.n(), Number::ZERO);
        if let Some(have) = haves.get_mut(sender.index()) {
            *have = (*have).max(number);
        }
    }

    /// The frame for a letter; `None` for one to oneself.
    pub(super) fn seal(&mut self, letter: &Letter) -> Option<Vec<u8>> {
        self.seal_bytes(letter.peer, wire::encode(&letter.packet), &letter.casts)
    }

    /// The frame for any bytes in place of a packet, its MAC good.
    pub(super) fn seal_bytes(
        &mut self,
        to: Rank,
        packet: Vec<u8>,
        casts: &[u8],
    ) -> Option<Vec<u8>> {
        if !self.links.contains_key(&to) {
            return None;
        }
        let header = self.header(FrameKind::Whole, to)?;
        let packet_hash = sha256(&packet);
        let key = &self.links.get(&to)?.outbound;
        let mut frame = Prepared::new(packet, packet_hash, sha256(casts)).seal(key, &header);
        frame.extend_from_slice(casts);
        Some(frame)
    }

    /// A frame that came in, with `letter` in place of what it said: the liar is an end of its link,
    /// so it can make the MAC. Its number stays.
    pub(super) fn reseal(&self, letter: &Letter, frame: &[u8]) -> Option<Vec<u8>> {
        let header = frame::parse(frame)?.header;
        let packet = wire::encode(&letter.packet);
        let packet_hash = sha256(&packet);
        let key = &self.links.get(&letter.peer)?.inbound;
        let prepared = Prepared::new(packet, packet_hash, sha256(&letter.casts));
        let mut frame = prepared.seal(key, &header);
        frame.extend_from_slice(&letter.casts);
        Some(frame)
    }

    /// The frame for an acknowledgement or a fragment.
    pub(super) fn seal_small(
        &mut self,
        kind: FrameKind,
        to: Rank,
        content: &[u8],
    ) -> Option<Vec<u8>> {
        if !self.links.contains_key(&to) {
            return None;
        }
        let header = self.header(kind, to)?;
        Some(frame::seal_small(&self.links.get(&to)?.outbound, &header, &[content]))
    }

    /// Whether a letter is of the view that the puppet acts in.
    pub(super) fn is_present(&self, letter: &Letter) -> bool {
        letter.packet.view == *self.roster.view()
    }

    /// Signs as one of the liars; `None` as anybody else.
    pub(super) fn sign<S: Statement + Clone>(
        &mut self,
        signer: Rank,
        statement: S,
    ) -> Option<Signed<S>> {
        let door = self.doors.get_mut(&signer)?;
        Some((**door.sign(&self.roster, signer, statement).signed()).clone())
    }

    /// Signs heads as one of the liars, in legal order; `None` if there are none.
    pub(super) fn sign_heads(
        &mut self,
        signer: Rank,
        mut entries: Vec<Head>,
    ) -> Option<Signed<Heads>> {
        entries.sort_by_key(|head| head.sender);
        entries.dedup_by_key(|head| head.sender);
        if entries.is_empty() {
            return None;
        }
        self.sign(signer, Heads { entries: List::from(entries) })
    }

    /// Which signatures the group makes.
    pub(super) const fn suite(&self) -> Suite {
        self.suite
    }

    /// The frame for what is said without a link, as a process of this name.
    pub(super) fn call(&self, from: PeerId, message: &Stranger) -> Vec<u8> {
        frame::stranger(self.view.group.prefix(), from, &stranger::encode(message))
    }

    /// Asks to be taken into the view of `roster`, with its own key.
    pub(super) fn ask_to_join(&mut self, roster: &Roster, incarnation: u64) -> Option<JoinRequest> {
        let inside = self.doors.get_mut(&self.me);
        let door = inside.or_else(|| self.outside.get_mut(&self.own))?;
        Some(door.ask_to_join(roster, incarnation, Vec::new()))
    }

    /// A letter of these parts, without haves.
    pub(super) fn letter(&self, to: Rank, parts: Vec<Part>, casts: &[u8]) -> Letter {
        let view = *self.roster.view();
        let packet = Packet { view, haves: List::new(), parts: List::from(parts) };
        Letter { peer: to, packet, casts: casts.into() }
    }

    /// Random bytes in place of a hash.
    pub(super) fn any_hash(&mut self) -> Hash32 {
        let mut hash = [0; 32];
        self.dice.fill(&mut hash);
        Hash32(hash)
    }
}

/// Some of the members, drawn: a correct one is in and a correct one is out, if there are two.
fn draw_victims(n: usize, liars: &[Rank], dice: &mut Dice) -> Vec<Rank> {
    let mut correct: Vec<Rank> = Rank::all(n).filter(|rank| !liars.contains(rank)).collect();
    let Some(len) = correct.len().checked_sub(1) else { return Vec::new() };
    // A draw without replacement: as many as drawn, at least one, and not all.
    let count = dice.index(len).saturating_add(1);
    let mut victims = Vec::with_capacity(count);
    for _ in 0..count {
        let at = dice.index(correct.len());
        if at < correct.len() {
            victims.push(correct.swap_remove(at));
        }
    }
    victims.sort_unstable();
    victims
}
