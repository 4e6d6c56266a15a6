//! Layer Suspect: heartbeats, opinions and proofs (protocol.md sections 5 and 7).
//!
//! Promises upwards: an opinion is formed only after all were asked for the missing thing and
//! nobody had it, and only while fresh rows of a quorum are here, so that a member cut off from
//! the group blames nobody. A Proof convinces everybody. What a faulty member can try: slander (its
//! word alone is one Suspect, and it takes a correct member's to make `weak` of them), be silent
//! towards a few (the others hand its rows on), pass on false proofs (its own bad bytes).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::group::Basis;
use super::{Context, Post, To};
use crate::config::Timeouts;
use crate::crypto::{Hash32, Reason, Roster, Signed, Suspect as Statement, Verified};
use crate::fault::{Evidence, NotAProof, Proof};
use crate::member::{PerRank, Rank};
use crate::quorum::Quorum;
use crate::time::{Time, earliest};
use crate::timer::Backoff;
use crate::wire::Part;

/// After this many time-outs of good conduct a mute time-out that was doubled halves again.
const GOOD_CONDUCT: u64 = 8;

/// What happens to the layer.
#[derive(Debug)]
pub(crate) enum In {
    /// A newer Stable row of this member is here.
    Fresh(Rank),
    /// A member's suspicion.
    Suspect(Verified<Statement>),
    /// A proof that was verified, or found here.
    Proof(Box<Proof>),
    /// Another layer or the application holds this opinion; all were asked.
    Opinion(Rank, Reason),
    /// Time passed.
    Tick,
}

/// What the layer wants done.
#[derive(Debug)]
pub(crate) enum Out {
    /// Something to send.
    Post(Post),
    /// Ask all for a fresh row of this member, before it is suspected.
    AskRow(Rank),
    /// A suspicion that was not known here before.
    Suspected(Verified<Statement>),
    /// Fresh rows of fewer members than a quorum are here; of these there are none.
    NoQuorum(Vec<Rank>),
    /// A member was proven to lie in the view before.
    Carried(Rank),
    /// A member is proven to misbehave, in a way not known here before.
    Fault(Box<Proof>),
}

/// The heartbeat of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heart {
    /// Its last fresh row was in time.
    Beats,
    /// All were asked for a row of it.
    Asked(Time),
    /// Nobody had one.
    Mute,
}

/// What is known about one member.
#[derive(Debug)]
struct Watch {
    fresh: Time,
    mute_us: u64,
    /// Since when it has given no alarm.
    good_since: Time,
    heart: Heart,
    /// An opinion of this member that waits for a quorum of fresh rows.
    pending: Option<Reason>,
    /// Who is known to suspect it: as an opinion, by proof.
    opinions: PerRank<bool>,
    proofs: PerRank<bool>,
    /// The first proof of each kind against it.
    proven: Vec<Proof>,
}

/// The machine, for one view.
#[derive(Debug)]
pub(crate) struct Suspect {
    me: Rank,
    quorum: Quorum,
    timeouts: Timeouts,
    watches: PerRank<Watch>,
    /// This member's own suspicions, repeated for those who missed them.
    mine: Vec<Verified<Statement>>,
    repeat: Backoff,
    /// Fresh rows of a quorum were here when that was last looked at.
    has_quorum: bool,
    /// Whom this member proved to lie in views before, with the proofs' hashes.
    carried: Vec<(Rank, Hash32)>,
}

impl Suspect {
    /// The layer for the view of `roster`.
    pub(crate) fn new(timeouts: &Timeouts, roster: &Roster, me: Rank, now: Time) -> Self {
        let n = roster.quorum().n();
        let watch = |_| Watch {
            fresh: now,
            mute_us: timeouts.mute_us,
            good_since: now,
            heart: Heart::Beats,
            pending: None,
            opinions: PerRank::from_fn(n, |_| false),
            proofs: PerRank::from_fn(n, |_| false),
            proven: Vec::new(),
        };
        Self {
            me,
            quorum: roster.quorum(),
            timeouts: *timeouts,
            watches: PerRank::from_fn(n, watch),
            mine: Vec::new(),
            repeat: Backoff::new(timeouts.resend_us, timeouts.resend_max_us),
            has_quorum: true,
            carried: Vec::new(),
        }
    }

    /// One step.
    pub(crate) fn step(&mut self, cx: &mut Context<'_>, input: In) -> Vec<Out> {
        let mut out = Vec::new();
        match input {
            In::Fresh(member) => {
                self.on_fresh(cx.now, member);
                self.speak(cx, &mut out);
            }
            In::Suspect(suspect) => self.on_suspect(&suspect, &mut out),
            In::Proof(proof) => self.on_proof(cx, proof, &mut out),
            In::Opinion(member, reason) => {
                let watch = self.watches.at_mut(member);
                if member != self.me && !watch.opinions.at(self.me) && watch.pending.is_none() {
                    watch.pending = Some(reason);
                }
                self.speak(cx, &mut out);
            }
            In::Tick => self.on_tick(cx, &mut out),
        }
        out
    }

    /// When a Tick is owed.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let beats = self.watches.iter().filter(|(member, _)| *member != self.me);
        let due = beats.fold(None, |first, (_, watch)| earliest(first, self.heart_due(watch)));
        let carried = (!self.carried.is_empty()).then_some(Time::ZERO);
        earliest(carried, earliest(due, self.repeat.due()))
    }

    fn heart_due(&self, watch: &Watch) -> Option<Time> {
        match watch.heart {
            Heart::Beats => Some(watch.fresh.plus(watch.mute_us)),
            Heart::Asked(since) => Some(since.plus(self.timeouts.ask_us)),
            Heart::Mute => None,
        }
    }

    /// How many times longer than others a member may be silent, as it has come to be.
    pub(crate) fn patience(&self, member: Rank) -> u64 {
        self.watches.at(member).mute_us.checked_div(self.timeouts.mute_us).unwrap_or(1).max(1)
    }

    /// What was learnt about a member in the view before still holds.
    pub(crate) fn be_patient(&mut self, member: Rank, times: u64) {
        let Timeouts { mute_us, mute_max_us, .. } = self.timeouts;
        let mute_us = mute_us.saturating_mul(times.max(1)).min(mute_max_us.max(mute_us));
        self.watches.at_mut(member).mute_us = mute_us;
    }

    /// Whom this member suspects by proof, with the proofs' hashes: that outlives the view.
    pub(crate) fn proven(&self) -> impl Iterator<Item = (Rank, Hash32)> {
        let by_proof = self.mine.iter().filter(|said| said.reason.is_proof());
        by_proof.map(|said| (said.subject, said.proof))
    }

    /// A member was proven to lie in a view before, and is still here: says so again.
    pub(crate) fn carry(&mut self, member: Rank, proof: Hash32) {
        self.carried.push((member, proof));
    }

    /// Whether a member is seen to be alive, and this one has told nothing against it that being
    /// alive does not answer.
    pub(crate) fn welcomes(&self, member: Rank) -> bool {
        let lateness = [Reason::Mute, Reason::Lagging, Reason::NotInstalled];
        let mine = self.mine.iter().filter(|said| said.subject == member).map(|said| said.reason);
        let watch = self.watches.at(member);
        watch.heart == Heart::Beats
            && mine.chain(watch.pending).all(|reason| lateness.contains(&reason))
    }

    /// Whether fresh rows of a quorum were here when that was last looked at.
    pub(crate) const fn has_quorum(&self) -> bool {
        self.has_quorum
    }

    /// Whether fresh rows of a member come.
    pub(crate) fn hears(&self, member: Rank) -> bool {
        self.watches.at(member).heart == Heart::Beats
    }

    /// How many are known to suspect a member, this process included.
    pub(crate) fn accusers(&self, member: Rank) -> usize {
        let watch = self.watches.at(member);
        let by = watch.opinions.values().zip(watch.proofs.values());
        by.filter(|(opinion, proof)| **opinion || **proof).count()
    }

    /// Whether this process has told the group already that it suspects a member.
    pub(crate) fn has_told(&self, member: Rank) -> bool {
        let watch = self.watches.at(member);
        *watch.opinions.at(self.me) || *watch.proofs.at(self.me) || watch.pending.is_some()
    }

    /// Whether a suspicion can tell anything new; if not, its signature need not be checked.
    pub(crate) fn wants(&self, suspect: &Signed<Statement>) -> bool {
        let watch = self.watches.at(suspect.statement.subject);
        let is_proof = suspect.statement.reason.is_proof();
        let known = if is_proof { &watch.proofs } else { &watch.opinions };
        suspect.signer != self.me
            && suspect.signer != suspect.statement.subject
            && !known.at(suspect.signer)
    }

    /// Whether a proof can tell anything new; if not, it need not be verified.
    pub(crate) fn wants_proof(&self, proof: &Proof) -> bool {
        let culprit = self.watches.at(proof.culprit());
        culprit.proven.iter().all(|known| known.kind() != proof.kind())
    }

    fn on_fresh(&mut self, now: Time, member: Rank) {
        let timeouts = self.timeouts;
        let watch = self.watches.at_mut(member);
        watch.fresh = now;
        if watch.heart == Heart::Mute {
            // A false alarm, or a member that came back: wait longer for it from now on.
            watch.mute_us = watch.mute_us.saturating_mul(2).min(timeouts.mute_max_us);
            watch.good_since = now;
            if watch.pending == Some(Reason::Mute) {
                watch.pending = None;
            }
        } else if now.since(watch.good_since) >= watch.mute_us.saturating_mul(GOOD_CONDUCT) {
            watch.mute_us = (watch.mute_us / 2).max(timeouts.mute_us);
            watch.good_since = now;
        }
        watch.heart = Heart::Beats;
    }

    fn on_suspect(&mut self, suspect: &Verified<Statement>, out: &mut Vec<Out>) {
        let (subject, by) = (suspect.subject, suspect.signer());
        if by == subject {
            return;
        }
        let watch = self.watches.at_mut(subject);
        let is_proof = suspect.reason.is_proof();
        let known = if is_proof { &mut watch.proofs } else { &mut watch.opinions };
        if !core::mem::replace(known.at_mut(by), true) {
            out.push(Out::Suspected(suspect.clone()));
        }
    }

    fn on_proof(&mut self, cx: &mut Context<'_>, proof: Box<Proof>, out: &mut Vec<Out>) {
        if !self.wants_proof(&proof) || proof.culprit() == self.me {
            return;
        }
        let (culprit, hash) = (proof.culprit(), proof.hash());
        self.watches.at_mut(culprit).proven.push(proof.as_ref().clone());
        // Who heard what is long will say so, and the others get it then.
        if !proof.is_long() {
            out.push(Out::Post(Post::part(To::All, Part::Proof(proof.clone()))));
        }
        out.push(Out::Fault(proof));
        if !self.watches.at(culprit).proofs.at(self.me) {
            self.tell(cx, Statement { subject: culprit, reason: Reason::Proof, proof: hash }, out);
        }
    }

    fn on_tick(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) {
        let (now, ask_us) = (cx.now, self.timeouts.ask_us);
        for (subject, proof) in core::mem::take(&mut self.carried) {
            out.push(Out::Carried(subject));
            if !self.watches.at(subject).proofs.at(self.me) {
                self.tell(cx, Statement { subject, reason: Reason::Proof, proof }, out);
            }
        }
        let me = self.me;
        for (member, watch) in self.watches.iter_mut().filter(|(member, _)| *member != me) {
            match watch.heart {
                Heart::Beats if now >= watch.fresh.plus(watch.mute_us) => {
                    watch.heart = Heart::Asked(now);
                    out.push(Out::AskRow(member));
                }
                Heart::Asked(since) if now >= since.plus(ask_us) => {
                    watch.heart = Heart::Mute;
                    if !watch.opinions.at(self.me) && watch.pending.is_none() {
                        watch.pending = Some(Reason::Mute);
                    }
                }
                Heart::Beats | Heart::Asked(_) | Heart::Mute => {}
            }
        }
        self.speak(cx, out);
        if self.repeat.fires(now) {
            for suspect in &self.mine {
                let part = Part::Suspect(suspect.signed().as_ref().clone());
                out.push(Out::Post(Post::part(To::All, part)));
            }
            self.repeat_proofs(out);
        }
    }

    /// Proofs are long: they go only to who has not said that it holds one, and the longest only to
    /// who is there.
    fn repeat_proofs(&self, out: &mut Vec<Out>) {
        for (culprit, watch) in self.watches.iter() {
            let knows = |peer: &Rank| *peer == self.me || *watch.proofs.at(*peer);
            let missing = |peer: &Rank| *peer != culprit && !knows(peer);
            for peer in self.watches.ranks().filter(missing) {
                let is_there = self.watches.at(peer).heart == Heart::Beats;
                for proof in watch.proven.iter().filter(|proof| is_there || !proof.is_long()) {
                    let part = Part::Proof(Box::new(proof.clone()));
                    out.push(Out::Post(Post::part(To::One(peer), part)));
                }
            }
        }
    }

    /// Signs the opinions that wait, if fresh rows of a quorum are here, the own one included.
    fn speak(&mut self, cx: &mut Context<'_>, out: &mut Vec<Out>) {
        let is_stale = |watch: &Watch| cx.now >= watch.fresh.plus(watch.mute_us);
        let stale = self.watches.iter().filter(|(_, watch)| is_stale(watch));
        let missing: Vec<Rank> = stale.map(|(member, _)| member).collect();
        let has_quorum = self.watches.len().saturating_sub(missing.len()) >= self.quorum.q();
        let had_quorum = core::mem::replace(&mut self.has_quorum, has_quorum);
        if !has_quorum {
            if had_quorum {
                out.push(Out::NoQuorum(missing));
            }
            return;
        }
        if !had_quorum {
            self.ask_anew(cx.now, out);
        }
        for subject in self.watches.ranks() {
            let watch = self.watches.at_mut(subject);
            // After a suspicion by proof there is no room for an opinion.
            if let Some(reason) = watch.pending.take()
                && !*watch.proofs.at(self.me)
            {
                self.tell(cx, Statement { subject, reason, proof: Hash32::ZERO }, out);
            }
        }
    }

    /// A quorum is back: who was silent meanwhile may be just about to be heard.
    fn ask_anew(&mut self, now: Time, out: &mut Vec<Out>) {
        let mute = |watch: &Watch| watch.pending == Some(Reason::Mute);
        for (member, watch) in self.watches.iter_mut().filter(|(_, watch)| mute(watch)) {
            watch.pending = None;
            watch.heart = Heart::Asked(now);
            out.push(Out::AskRow(member));
        }
    }

    fn tell(&mut self, cx: &mut Context<'_>, statement: Statement, out: &mut Vec<Out>) {
        let suspect = cx.door.sign(cx.roster, self.me, statement);
        let part = Part::Suspect(suspect.signed().as_ref().clone());
        out.push(Out::Post(Post::part(To::All, part)));
        self.on_suspect(&suspect, out);
        self.mine.push(suspect);
        self.repeat.restart(cx.now);
    }
}

/// Checks a proof that came from a peer, counted at the door.
///
/// # Errors
/// If it proves nothing.
pub(crate) fn verify(
    cx: &mut Context<'_>,
    basis: Basis<'_>,
    proof: &Proof,
) -> Result<(), NotAProof> {
    match proof.evidence {
        Evidence::Invalid(_) => proof.judge(cx, basis),
        Evidence::TwoHeads { .. }
        | Evidence::ForkedLog { .. }
        | Evidence::TwoRows { .. }
        | Evidence::TwoFaced(_) => {
            cx.door.count_verifications(2);
            proof.verify_pair(cx.roster)
        }
    }
}

#[cfg(test)]
mod tests;
