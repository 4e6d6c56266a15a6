//! Layer Heal: from outside into the group (protocol.md section 10, "Joining"), and the chain of
//! decisions by which others come in.
//!
//! A process that joins starts from a view that it holds for true, its anchor. It asks for the
//! decisions that lead on from there and verifies them link by link: each is signed by a quorum of
//! the view before. It asks all members of the newest view that it knows to take it in, anew for
//! each view, and is a member when a decided view lists its key in this very life.
//!
//! It signs no request before enough members of the newest view have signed, in answer to a question of
//! this life, that it is the newest. Nobody of these that does not lie was ready for a next view then,
//! and the others are no quorum ([`crate::Quorum::veto`]): whatever an earlier process with this key has been a member of is in the chain. If a view there, or
//! what `weak` of them remember, has the key in this life or a later one, this life is spent: it ends,
//! and says so.
//!
//! What a faulty process can try: hand out a forged chain (the first bad signature ends the look at
//! it), an old one (so many say of no old view that it is the newest), show again what was answered
//! to an earlier life (it names another question), exaggerate the lives of a key (what counts is what
//! a correct member says, too), refuse or say nothing (all are asked, in turn and again), show a second
//! successor of a view, signed by more liars than the group bears, perhaps long after they left it
//! (that stops this process, and it says so).

pub(crate) mod chain;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Context;
use crate::config::{Config, ConfigError};
use crate::crypto::{
    Door, Hash32, JoinRequest, MEMBERS_MAX, Newest, Roster, Signed, hash, peer_id,
};
use crate::layer::group::{is_decided, request_hash};
use crate::member::{ADDR_MAX, PeerId, Rank};
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::view::{EXPELLED_MAX, View};
use crate::wire::change::Decision;
use crate::wire::stranger::{JoinRefusal, QUESTION_BYTES, Question, STRANGER_MAX, Stranger};
use chain::Chain;

/// How often progress is told at the most.
const PROGRESS_US: u64 = 1_000_000;

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// Decisions, from whoever it was.
    Chain(Vec<Decision>),
    /// A member says, perhaps, that there is nothing newer than the newest view.
    Newest(Signed<Newest>),
    /// What a process has to tell takes a question of so many bytes.
    Longer(PeerId, u32),
    /// Somebody says that a member does not recommend this process.
    Refused(PeerId, Hash32, JoinRefusal),
    /// A frame for a member came: its sender knows more.
    Heard(PeerId),
    /// Time passed.
    Tick,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Something to say to a member or a contact.
    Call(PeerId, Stranger),
    /// How far it is.
    Progress(u64, Vec<(Rank, JoinRefusal)>),
    /// Something in a chain was new and true.
    Learned,
    /// This process is a member of the newest view of the chain.
    Joined(Box<Decision>),
    /// This life is over before it began: the highest that was in a view is this one.
    Spent(u64),
    /// Two views were decided after one.
    Fork(Box<Decision>, Box<Decision>),
}

/// The machine of a process that is no member yet.
#[derive(Debug)]
pub(crate) struct Heal {
    incarnation: u64,
    addr: Vec<u8>,
    me: PeerId,
    contacts: Vec<(PeerId, Vec<u8>)>,
    anchor: View,
    newest: View,
    roster: Arc<Roster>,
    /// Of the questions of this life.
    nonce: Hash32,
    /// Who said of the newest view that it is, with the highest incarnation known of this key.
    vouched: BTreeMap<Rank, Option<u64>>,
    /// Enough said so once: whoever was a member with this key before is in the chain.
    is_vouched: bool,
    /// The highest incarnation that a view of the chain has of this key, if this life is not above.
    spent: Option<u64>,
    /// How long the question has to be that somebody can answer.
    longer: usize,
    request: Option<(Hash32, JoinRequest)>,
    refusals: BTreeMap<Rank, JoinRefusal>,
    ask: Backoff,
    send: Backoff,
    turn: usize,
    /// When somebody was last asked out of turn.
    hinted: Option<Time>,
    resend_us: u64,
    /// Something changed since progress was last told, and when that was.
    is_news: bool,
    told: Option<Time>,
    is_halted: bool,
}

impl Heal {
    /// A process that starts from `anchor` and knows these processes, some of them members.
    ///
    /// # Errors
    /// If there is nobody to ask.
    pub(crate) fn new(
        config: &Config,
        (door, incarnation): (&Door, u64),
        (anchor, roster): (View, Arc<Roster>),
        mut contacts: Vec<(PeerId, Vec<u8>)>,
        now: Time,
    ) -> Result<Self, ConfigError> {
        let me = peer_id(door.identity().public_key());
        contacts.retain(|(peer, _)| *peer != me);
        let is_long = contacts.iter().any(|(_, addr)| addr.len() > ADDR_MAX);
        if contacts.is_empty() || contacts.len() > MEMBERS_MAX || is_long {
            return Err(ConfigError::Contacts);
        }
        let timeouts = &config.timeouts;
        let mut ask = Backoff::new(timeouts.resend_us, timeouts.resend_max_us);
        ask.at_once(now);
        let key = *door.identity().public_key();
        let (life, at) = (incarnation.to_le_bytes(), now.as_micros().to_le_bytes());
        let nonce = hash("question", &[key.as_bytes(), &config.fresh, &life, &at]);
        Ok(Self {
            incarnation,
            addr: config.addr.clone(),
            me,
            contacts,
            newest: anchor.clone(),
            anchor,
            roster,
            nonce,
            vouched: BTreeMap::new(),
            is_vouched: false,
            spent: None,
            longer: 0,
            request: None,
            refusals: BTreeMap::new(),
            ask,
            send: Backoff::new(timeouts.resend_us, timeouts.resend_max_us),
            turn: 0,
            hinted: None,
            resend_us: timeouts.resend_us,
            is_news: true,
            told: None,
            is_halted: false,
        })
    }

    /// Whom this process may have to reach: contacts, and members of the newest view.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (PeerId, Option<Rank>, &[u8])> {
        let peers = self.newest.peers();
        let rank_of = |peer| peers.iter().find(|(_, name)| **name == peer).map(|(rank, _)| rank);
        let contacts = self.contacts.iter().map(|(peer, addr)| (*peer, rank_of(*peer), &**addr));
        let mut all: Vec<(PeerId, Option<Rank>, &[u8])> = contacts.collect();
        for ((rank, peer), member) in peers.iter().zip(&self.newest.members) {
            if *peer != self.me && all.iter().all(|(known, ..)| known != peer) {
                all.push((*peer, Some(rank), &member.addr));
            }
        }
        all.into_iter()
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.is_halted {
            return None;
        }
        let told = self.told.map_or(Time::ZERO, |told| told.plus(PROGRESS_US));
        let progress = self.is_news.then_some(told);
        earliest(progress, earliest(self.ask.due(), self.send.due()))
    }

    /// One step. What is verified of a chain goes into `chain`.
    pub(crate) fn step(
        &mut self,
        (now, door): (Time, &mut Door),
        chain: &mut Chain,
        input: In,
    ) -> Vec<Out> {
        let mut out = Vec::new();
        if self.is_halted {
            return out;
        }
        match input {
            In::Chain(decisions) => self.on_chain((now, door), chain, decisions, &mut out),
            In::Newest(said) => self.on_newest((now, door), said, &mut out),
            In::Longer(peer, bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(STRANGER_MAX);
                if bytes > self.longer && self.peers().any(|(known, ..)| known == peer) {
                    self.longer = bytes;
                    self.ask.at_once(now);
                }
            }
            In::Refused(peer, request, why) => {
                self.on_refused((now, door), (peer, request), why, &mut out);
            }
            In::Heard(peer) => self.hint((now, door), peer, &mut out),
            In::Tick => self.on_tick(now, door, &mut out),
        }
        out
    }

    fn on_chain(
        &mut self,
        (now, door): (Time, &mut Door),
        chain: &mut Chain,
        decisions: Vec<Decision>,
        out: &mut Vec<Out>,
    ) {
        for decision in decisions {
            if decision.view.number <= self.newest.number {
                if let Some(known) = self.contradicts((now, door), chain, &decision) {
                    self.is_halted = true;
                    out.push(Out::Fork(Box::new(known), Box::new(decision)));
                    return;
                }
                continue;
            }
            let has_asked = self.request.is_some();
            if !self.follows((now, door), &decision) {
                break;
            }
            chain.push(decision.clone());
            out.push(Out::Learned);
            let key = door.identity().public_key();
            let listed = decision.view.rank_of(key).and_then(|rank| decision.view.member(rank));
            if let Some(listed) = listed.filter(|member| member.incarnation >= self.incarnation) {
                // A request is bound to the view before. A view that lists this life although it
                // did not ask there is one that an earlier process was in, with the same one: its
                // record of incarnations was lost or set back, and it must not sign there again.
                if has_asked && listed.incarnation == self.incarnation {
                    self.is_halted = true;
                    out.push(Out::Joined(Box::new(decision)));
                    return;
                }
                self.spent = self.spent.max(Some(listed.incarnation));
            }
            self.ask.at_once(now);
            if self.is_vouched {
                self.send.at_once(now);
            }
        }
        // How far, the newest view tells: otherwise each next life would be spent in turn.
        if self.spent.is_some() {
            self.is_vouched = false;
            self.send.stop();
        }
    }

    /// A member says that the newest view is, and what it remembers of this key.
    fn on_newest(
        &mut self,
        (now, door): (Time, &mut Door),
        said: Signed<Newest>,
        out: &mut Vec<Out>,
    ) {
        let key = *door.identity().public_key();
        let Newest { nonce, key: of, highest } = said.statement;
        if nonce != self.nonce || of != key || self.vouched.get(&said.signer) == Some(&highest) {
            return;
        }
        let Ok(said) = door.verify(&self.roster, said) else { return };
        out.push(Out::Learned);
        self.vouched.insert(said.signer(), highest);
        let quorum = self.roster.quorum();
        let mut lives: Vec<u64> = self.vouched.values().flatten().copied().collect();
        lives.retain(|life| *life >= self.incarnation);
        lives.sort_unstable();
        // At least one correct member remembers one as high.
        let highest = lives.iter().nth_back(quorum.weak().saturating_sub(1));
        let is_enough = self.vouched.len() >= quorum.veto();
        let spent = self.spent.filter(|_| is_enough);
        if let Some(highest) = highest.copied().max(spent) {
            self.is_halted = true;
            out.push(Out::Spent(highest));
            return;
        }
        if !self.is_vouched && self.spent.is_none() && is_enough {
            self.is_vouched = true;
            self.send.at_once(now);
        }
    }

    /// Whether a quorum of the newest view decided on this one; then it is the newest.
    fn follows(&mut self, (now, door): (Time, &mut Door), decision: &Decision) -> bool {
        let roster = Arc::clone(&self.roster);
        let mut cx = Context { now, door, roster: &roster };
        if !is_decided(&mut cx, &self.newest, decision).unwrap_or(false) {
            return false;
        }
        // A view with a key that is none takes more than `f` liars.
        let suite = door.identity().suite();
        let Ok(roster) = decision.view.roster_after(suite, Some(&roster)) else { return false };
        self.roster = Arc::new(roster);
        self.newest = decision.view.clone();
        self.request = None;
        self.vouched.clear();
        self.longer = 0;
        self.refusals.clear();
        self.is_news = true;
        true
    }

    /// The decision known in place of this one, if this one is a good one, too.
    fn contradicts(
        &self,
        (now, door): (Time, &mut Door),
        chain: &Chain,
        decision: &Decision,
    ) -> Option<Decision> {
        let known = chain.after(&decision.view.prev)?;
        if known.view.id() == decision.view.id() {
            return None;
        }
        let before = chain.to(&decision.view.prev).map(|before| &before.view);
        let before = before.unwrap_or(&self.anchor);
        let roster = before.roster(door.identity().suite()).ok()?;
        let mut cx = Context { now, door, roster: &roster };
        is_decided(&mut cx, before, decision).unwrap_or(false).then(|| known.clone())
    }

    fn on_refused(
        &mut self,
        (now, door): (Time, &Door),
        (peer, request): (PeerId, Hash32),
        why: JoinRefusal,
        out: &mut Vec<Out>,
    ) {
        let is_mine = self.request.as_ref().is_some_and(|(hash, _)| *hash == request);
        let peers = self.newest.peers();
        let rank = peers.iter().find(|(_, name)| **name == peer).map(|(rank, _)| rank);
        let Some(rank) = rank.filter(|_| is_mine || request == Hash32::ZERO) else { return };
        if self.refusals.insert(rank, why) != Some(why) {
            self.is_news = true;
        }
        // It knows a newer view, or remembers a later life: both it can show.
        if matches!(why, JoinRefusal::OtherView | JoinRefusal::Incarnation(_)) {
            self.hint((now, door), peer, out);
        }
    }

    /// Somebody seems to know of a newer view: it is asked out of turn, now and then.
    fn hint(&mut self, (now, door): (Time, &Door), peer: PeerId, out: &mut Vec<Out>) {
        let is_soon = self.hinted.is_some_and(|last| now < last.plus(self.resend_us));
        if !is_soon && self.peers().any(|(known, ..)| known == peer) {
            self.hinted = Some(now);
            out.push(Out::Call(peer, self.question(door, QUESTION_BYTES)));
        }
    }

    fn question(&self, door: &Door, bytes: usize) -> Stranger {
        let key = *door.identity().public_key();
        Stranger::AskChain(Question::padded(self.newest.number, key, self.nonce, bytes))
    }

    /// One process is asked in turn, in as many bytes as it may take to be answered; and all members
    /// of the newest view until enough have said that it is.
    fn ask(&mut self, door: &Door, out: &mut Vec<Out>) {
        let count = self.peers().count();
        let turn = self.turn.checked_rem(count).unwrap_or(0);
        self.turn = turn.saturating_add(1);
        let next = self.peers().map(|(peer, ..)| peer).nth(turn);
        out.extend(next.map(|peer| Out::Call(peer, self.question(door, self.longer))));
        if self.is_vouched {
            return;
        }
        for (rank, peer) in self.newest.peers().iter() {
            let is_asked = *peer == self.me || Some(*peer) == next;
            if !is_asked && !self.vouched.contains_key(&rank) {
                out.push(Out::Call(*peer, self.question(door, QUESTION_BYTES)));
            }
        }
    }

    fn on_tick(&mut self, now: Time, door: &mut Door, out: &mut Vec<Out>) {
        if self.ask.fires(now) {
            self.ask(door, out);
        }
        if self.send.fires(now) {
            let request = match &self.request {
                Some((_, request)) => request.clone(),
                None => {
                    let addr = self.addr.clone();
                    let request = door.ask_to_join(&self.roster, self.incarnation, addr);
                    self.request = Some((request_hash(&request), request.clone()));
                    request
                }
            };
            for peer in self.newest.peers().values().filter(|peer| **peer != self.me) {
                out.push(Out::Call(*peer, Stranger::Join(request.clone())));
            }
        }
        let is_due = self.told.is_none_or(|told| now >= told.plus(PROGRESS_US));
        if self.is_news && is_due {
            (self.is_news, self.told) = (false, Some(now));
            let refusals = self.refusals.iter().map(|(rank, why)| (*rank, *why)).collect();
            out.push(Out::Progress(self.newest.number, refusals));
        }
    }

    /// The most bytes held: two views, the contacts, and what members said.
    pub(crate) const BOUND_BYTES: usize =
        2 * 256 * (MEMBERS_MAX + EXPELLED_MAX) + MEMBERS_MAX * (32 + 32 + ADDR_MAX);

    /// Bytes held, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        let contacts = self.contacts.iter().map(|(_, addr)| addr.len().saturating_add(32));
        let views = [&self.anchor, &self.newest].into_iter().map(|view| {
            let keys = view.members.len().saturating_add(view.expelled.len());
            keys.saturating_mul(256)
        });
        let said = core::iter::once(self.vouched.len().saturating_mul(32));
        contacts.chain(views).chain(said).fold(0, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests;
