//! Layer Inter: whom this member is for taking in (protocol.md section 10, "Joining").
//!
//! Promises: a request is recommended only if nothing is known against it, its key signed it for
//! this view, no view listed its key in this life or a later one, and it is authorised: by the list
//! of keys or the application, or because it is a member that restarts, or one that was put out by
//! opinion lately and that the application did not refuse. `weak` recommendations make the next view take it in, so a
//! process that joins is recommended by a correct member (P8). Needs from below: that strangers'
//! frames are rationed before they come here, for each may cost one signature check.
//!
//! What a faulty process can try: ask with keys of others (unsigned), with requests of the past
//! (bound to the view), again and again (what was recommended is merely repeated; a key that comes
//! and goes waits longer each time), crowd out others (tables are bounded, and who is authorised asks
//! again), pose as another by its peer id (refused). A liar among the members may recommend whom
//! it likes: it is one.

mod records;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Context;
use crate::config::{Config, Joiners, Timeouts};
use crate::crypto::{Hash32, JoinRequest, PublicKey, peer_id};
use crate::layer::group::request_hash;
use crate::member::{Member, PeerId, Rank, Status};
use crate::time::Time;
use crate::timer::Backoff;
use crate::view::View;
use crate::wire::change::{JOINS_MAX, Recommended};
use crate::wire::stranger::JoinRefusal;
use records::Records;

/// Requests that wait for the application's answer.
const WAITING_MAX: usize = 64;

/// After so long without an answer the application is asked again.
const ASK_AGAIN_US: u64 = 10_000_000;

/// How often a Silenced member that asks waits longer: up to so many times the first pause.
const PATIENCE: u64 = 8;

/// How a request came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the process itself, without a link.
    Stranger(PeerId),
    /// From the process itself, which is a member: Silenced, or Active without the state.
    Member,
    /// From a member that recommends it. What is said already is not repeated then, or members
    /// would answer each other for ever.
    Seconded,
}

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// A process asks.
    Asked {
        /// By which way.
        origin: Origin,
        /// What it signed.
        request: Box<JoinRequest>,
        /// If its key is in the view: whether that member is seen to be alive, and this one would
        /// have it back.
        is_welcome: bool,
    },
    /// The application answered.
    Admit {
        /// Whose request it was asked about.
        key: PublicKey,
        /// Whether it admits the key.
        is_admitted: bool,
        /// Whether a newcomer may be recommended now.
        takes_newcomers: bool,
    },
    /// A proof is held against this key.
    Proven(PublicKey),
    /// Time passed; whether this member holds the whole view so far.
    Tick {
        /// No holes.
        is_whole: bool,
    },
}

/// What the layer wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// This member is for it; [`Inter::said`] is told what it signed.
    Recommend(Box<JoinRequest>),
    /// It is asked for once more what it said already.
    Repeat(Box<Recommended>),
    /// A stranger is to be told that it is not.
    Refuse(PeerId, Hash32, JoinRefusal),
    /// The application is to be asked about this request.
    Wanted(Box<JoinRequest>),
    /// This member, Silenced, asks to be Active again; or, Active without the state, to be Silenced.
    AskAgain,
}

/// What was recommended for a key in this view.
#[derive(Debug)]
struct Recommendation {
    request: Hash32,
    incarnation: u64,
    at: Time,
    /// As it was said, for those who missed it.
    said: Option<Box<Recommended>>,
}

/// The machine, for one view; what it remembers of keys goes on to the next.
#[derive(Debug)]
pub(crate) struct Inter {
    view: View,
    joiners: Joiners,
    timeouts: Timeouts,
    max_members: usize,
    records: Records,
    recommended: BTreeMap<PublicKey, Recommendation>,
    /// Asked about, with the request and when.
    waiting: BTreeMap<PublicKey, (Box<JoinRequest>, Time)>,
    /// Runs while this member is Silenced, or Active without the state that others hand over.
    rejoin: Backoff,
}

impl Inter {
    /// The layer for `view`, seen from rank `me`.
    pub(crate) fn new(config: &Config, view: &View, me: Rank, now: Time) -> Self {
        let timeouts = config.timeouts;
        let mut records = Records::new(&timeouts);
        records.remember(None, view);
        if let Joiners::Listed(keys) = &config.joiners {
            keys.iter().for_each(|key| records.know(key));
        }
        let rejoin_max_us = timeouts.rejoin_us.saturating_mul(PATIENCE);
        let mut rejoin = Backoff::new(timeouts.rejoin_us, rejoin_max_us);
        if view.member(me).is_some_and(|member| member.status == Status::Silenced) {
            rejoin.start(now);
        }
        Self {
            view: view.clone(),
            joiners: config.joiners.clone(),
            timeouts,
            max_members: usize::from(config.genesis.limits.max_members),
            records,
            recommended: BTreeMap::new(),
            waiting: BTreeMap::new(),
            rejoin,
        }
    }

    /// Replaces the list of those that may join; requests of before are judged anew when they are
    /// repeated.
    pub(crate) fn set_joiners(&mut self, joiners: &Joiners) {
        if let Joiners::Listed(keys) = joiners {
            keys.iter().for_each(|key| self.records.know(key));
        }
        self.joiners = joiners.clone();
    }

    /// Takes over what was remembered in the view before.
    pub(crate) fn inherit(&mut self, before: Self, now: Time) {
        self.records = before.records;
        self.records.pass(&before.view, &self.view, now);
    }

    /// A view that this process never was in, and the one before it if that is known: who was put
    /// out of it by opinion may come back, and no life of its members comes twice.
    pub(crate) fn remember(&mut self, before: Option<&View>, view: &View) {
        self.records.remember(before, view);
    }

    /// The highest incarnation of a key that was in a view, as far as is remembered.
    pub(crate) fn highest(&self, key: &PublicKey) -> Option<u64> {
        self.records.highest(key)
    }

    /// Whether a process with this name may join, or was a member.
    pub(crate) fn knows(&self, peer: PeerId) -> bool {
        self.records.knows(peer)
    }

    /// Members whose key asks to be taken in as a later life: the one in the view is over.
    pub(crate) fn outlived(&self) -> Vec<Rank> {
        let members = Rank::all(self.view.members.len()).zip(&self.view.members);
        let is_over = |(rank, member): (Rank, &Member)| {
            let asks = self.recommended.get(&member.key)?;
            (asks.incarnation > member.incarnation).then_some(rank)
        };
        members.filter_map(is_over).collect()
    }

    /// This member is Active and has lost its state. The others hand it over only to members
    /// that become Active, so it asks to be Silenced first.
    pub(crate) fn lacks_state(&mut self, now: Time) {
        self.rejoin.start(now);
    }

    /// This is what was signed of [`Out::Recommend`].
    pub(crate) fn said(&mut self, message: &Recommended) {
        if let Some(known) = self.recommended.get_mut(&message.request.key) {
            known.said = Some(Box::new(message.clone()));
        }
    }

    /// The request of this key that waits for the application's answer.
    pub(crate) fn waits(&self, key: &PublicKey) -> Option<&JoinRequest> {
        self.waiting.get(key).map(|(request, _)| &**request)
    }

    /// When a Tick is owed.
    pub(crate) const fn deadline(&self) -> Option<Time> {
        self.rejoin.due()
    }

    /// Bytes held, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        let entries = self.recommended.len().saturating_add(self.waiting.len());
        entries
            .saturating_mul(size_of::<JoinRequest>().saturating_add(512))
            .saturating_add(self.records.held_bytes())
    }

    /// The most of them.
    pub(crate) const BOUND_BYTES: usize =
        (JOINS_MAX + WAITING_MAX) * (size_of::<JoinRequest>() + 512) + Records::BOUND_BYTES;

    /// One step.
    pub(crate) fn step(&mut self, cx: &mut Context<'_>, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Asked { origin, request, is_welcome } => {
                let hash = request_hash(&request);
                let is_welcome = is_welcome || self.may_rest(origin, &request.key);
                if let Err(why) = self.on_asked(cx, (hash, request), is_welcome, &mut out)
                    && let Origin::Stranger(peer) = origin
                {
                    out.push(Out::Refuse(peer, hash, why));
                }
                if origin == Origin::Seconded {
                    out.retain(|out| !matches!(out, Out::Repeat(_)));
                }
            }
            In::Admit { key, is_admitted, takes_newcomers } => {
                self.records.answer(key, is_admitted);
                let waited = self.waiting.remove(&key);
                if let Some((request, _)) = waited.filter(|_| is_admitted && takes_newcomers) {
                    self.on_admitted(cx.now, request, &mut out);
                }
            }
            In::Proven(key) => self.records.prove(key),
            In::Tick { is_whole } => {
                if self.rejoin.fires(cx.now) && is_whole {
                    out.push(Out::AskAgain);
                }
            }
        }
        out
    }

    fn on_asked(
        &mut self,
        cx: &mut Context<'_>,
        (hash, request): (Hash32, Box<JoinRequest>),
        is_welcome: bool,
        out: &mut Vec<Out>,
    ) -> Result<(), JoinRefusal> {
        self.judge(cx.now, &request, is_welcome)?;
        let known = self.recommended.get(&request.key);
        if let Some(known) = known.filter(|known| known.request != hash) {
            // One at a time: it was signed for this view, and the process that signed it is gone
            // only if this one is of a later life.
            let is_over = known.at.plus(self.timeouts.resend_max_us) <= cx.now;
            if known.incarnation >= request.incarnation || !is_over {
                return Err(JoinRefusal::CoolDown);
            }
        } else if known.is_none() && !self.has_room(cx.now) {
            return Err(JoinRefusal::CoolDown);
        }
        if !cx.door.verifies_join(cx.roster, &request) {
            return Err(JoinRefusal::OtherView);
        }
        self.authorise(cx.now, &request, out)?;
        self.recommend(cx.now, hash, request, out);
        Ok(())
    }

    /// What is known against a request without looking at its signature.
    fn judge(&self, now: Time, request: &JoinRequest, is_welcome: bool) -> Result<(), JoinRefusal> {
        let key = &request.key;
        if self.view.expelled.binary_search(key).is_ok() {
            return Err(JoinRefusal::Expelled);
        }
        let old = self.view.rank_of(key).and_then(|rank| self.view.member(rank));
        let is_same = old.is_some_and(|old| {
            old.incarnation == request.incarnation && *old.addr == request.addr.0
        });
        let highest = self.records.highest(key).max(old.map(|old| old.incarnation));
        if let Some(highest) = highest.filter(|highest| *highest >= request.incarnation)
            && !(is_same && is_welcome && highest == request.incarnation)
        {
            return Err(JoinRefusal::Incarnation(highest));
        }
        self.find_clash(request)?;
        if old.is_none() && self.view.members.len() >= self.max_members {
            return Err(JoinRefusal::Full);
        }
        if self.records.is_cooling(key, now) {
            return Err(JoinRefusal::CoolDown);
        }
        if self.records.is_proven(key) { Err(JoinRefusal::Proven) } else { Ok(()) }
    }

    /// Whether an Active member itself says that it has lost its state: it may rest.
    fn may_rest(&self, origin: Origin, key: &PublicKey) -> bool {
        let member = self.view.rank_of(key).and_then(|rank| self.view.member(rank));
        origin == Origin::Member && member.is_some_and(|old| old.status == Status::Active)
    }

    /// Checks that frames can tell the joiner from the members of this view, and from those that
    /// this member would take in with it. Its address is its own business: a link is between two
    /// keys, and whoever had that address before may be dead, or may have moved.
    fn find_clash(&self, request: &JoinRequest) -> Result<(), JoinRefusal> {
        let name = peer_id(&request.key);
        let members = self.view.members.iter().map(|member| &member.key);
        let mut others = members.chain(self.recommended.keys());
        match others.any(|other| *other != request.key && peer_id(other) == name) {
            true => Err(JoinRefusal::PeerIdClash),
            false => Ok(()),
        }
    }

    /// Whether somebody said that it may; if nobody did, the application may be asked.
    fn authorise(
        &mut self,
        now: Time,
        request: &JoinRequest,
        out: &mut Vec<Out>,
    ) -> Result<(), JoinRefusal> {
        let key = &request.key;
        // A member that restarts has its vote already: who wants it out suspects it.
        if self.view.rank_of(key).is_some() {
            return Ok(());
        }
        match self.records.answered(key) {
            Some(true) => return Ok(()),
            Some(false) => return Err(JoinRefusal::NotAuthorised),
            None if self.records.was_put_out(key) => return Ok(()),
            None => {}
        }
        match &self.joiners {
            Joiners::Listed(keys) if keys.contains(key) => Ok(()),
            Joiners::Nobody | Joiners::Listed(_) => Err(JoinRefusal::NotAuthorised),
            Joiners::Application => {
                self.waiting.retain(|_, (_, at)| now < at.plus(ASK_AGAIN_US));
                let known = self.waiting.get(key);
                let is_known =
                    known.is_some_and(|(known, _)| known.incarnation >= request.incarnation);
                if !is_known && (known.is_some() || self.waiting.len() < WAITING_MAX) {
                    let request = Box::new(request.clone());
                    self.waiting.insert(*key, (request.clone(), now));
                    out.push(Out::Wanted(request));
                }
                Err(JoinRefusal::Undecided)
            }
        }
    }

    /// Recommends a request that waited for the application. Its signature was found good; the rest
    /// may have changed meanwhile.
    fn on_admitted(&mut self, now: Time, request: Box<JoinRequest>, out: &mut Vec<Out>) {
        let is_new = !self.recommended.contains_key(&request.key);
        if is_new && self.has_room(now) && self.judge(now, &request, false).is_ok() {
            let hash = request_hash(&request);
            self.recommend(now, hash, request, out);
        }
    }

    /// The recommendation that makes room for another one: the oldest, after a while. If members
    /// recommended different newcomers for good, none of these would ever be recommended by enough.
    fn oldest_over(&self, now: Time) -> Option<PublicKey> {
        let is_over = |at: Time| at.plus(self.timeouts.resend_max_us) <= now;
        let oldest = self.recommended.iter().min_by_key(|(_, known)| known.at);
        oldest.filter(|(_, known)| is_over(known.at)).map(|(key, _)| *key)
    }

    /// Whether one more may be recommended.
    fn has_room(&self, now: Time) -> bool {
        self.recommended.len() < JOINS_MAX || self.oldest_over(now).is_some()
    }

    fn recommend(
        &mut self,
        now: Time,
        hash: Hash32,
        request: Box<JoinRequest>,
        out: &mut Vec<Out>,
    ) {
        let known = self.recommended.get(&request.key).filter(|known| known.request == hash);
        if let Some(said) = known.and_then(|known| known.said.clone()) {
            out.push(Out::Repeat(said));
            return;
        }
        if !self.recommended.contains_key(&request.key) && self.recommended.len() >= JOINS_MAX {
            self.oldest_over(now).and_then(|oldest| self.recommended.remove(&oldest));
        }
        let incarnation = request.incarnation;
        let entry = Recommendation { request: hash, incarnation, at: now, said: None };
        self.recommended.insert(request.key, entry);
        out.push(Out::Recommend(request));
    }
}

#[cfg(test)]
mod tests;
