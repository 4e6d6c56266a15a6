//! Those that want to be members, or to be Active again: layer Inter among the others.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Stack, Step};
use crate::config::Joiners;
use crate::crypto::{JoinRequest, PublicKey, Recommend};
use crate::fault::LinkFault;
use crate::layer::group::Group;
use crate::layer::inter::Origin;
use crate::layer::{Post, To, group, inter};
use crate::member::{Member, PeerId, Rank};
use crate::output::Event;
use crate::view::View;
use crate::wire::Part;
use crate::wire::change::Recommended;
use crate::wire::stranger::JoinRefusal;

/// Told to a stranger at the end of the step.
pub(crate) type Refused = (PeerId, crate::Hash32, crate::JoinRefusal);

impl Stack {
    /// A process asks to be a member: a stranger itself, or by what another member said.
    pub(crate) fn on_join(
        &mut self,
        step: &mut Step<'_>,
        origin: Origin,
        request: Box<JoinRequest>,
    ) {
        let rank = self.view.rank_of(&request.key);
        if rank.is_none() && !self.takes_newcomers() {
            // It asks again.
            return;
        }
        if rank.is_none() && self.is_address_held(&request) {
            if let Origin::Stranger(peer) = origin {
                let hash = group::request_hash(&request);
                step.refused.push((peer, hash, JoinRefusal::AddressTaken));
            }
            return;
        }
        let rank = rank.filter(|rank| *rank != self.me && !self.is_active(*rank));
        let is_welcome = rank.is_some_and(|rank| self.suspect.welcomes(rank));
        let hash = group::request_hash(&request);
        let refused = step.refused.len();
        self.run_inter(step, inter::In::Asked { origin, request, is_welcome });
        let why = self.obstacle(step);
        if let (Origin::Stranger(peer), Some(why)) = (origin, why)
            && step.refused.len() == refused
        {
            step.refused.push((peer, hash, why));
        }
    }

    /// A process asks what is newest, in the name of this key; returns why nobody joins now. It signs
    /// nothing before it knows, so where too few are left to tell it, its question is all that says
    /// that it began anew.
    pub(crate) fn on_question(
        &mut self,
        step: &mut Step<'_>,
        key: &PublicKey,
    ) -> Option<JoinRefusal> {
        self.group.as_ref()?;
        let rank = self.view.rank_of(key).filter(|rank| *rank != self.me);
        self.asking.extend(rank);
        self.obstacle(step)
    }

    /// Why nobody joins now, however welcome. What time does not mend the application is told.
    ///
    /// Nothing proves a question, so it counts only while no quorum is heard, and against who is
    /// silent; and nothing is decided by it.
    fn obstacle(&mut self, step: &mut Step<'_>) -> Option<JoinRefusal> {
        let (suspect, has_quorum) = (&self.suspect, self.suspect.has_quorum());
        self.asking.retain(|rank| !has_quorum && !suspect.hears(*rank));
        let mut gone = self.inter.outlived();
        gone.extend(&self.asking);
        gone.sort_unstable();
        gone.dedup();
        let q = self.roster.quorum().q();
        if self.view.members.len().saturating_sub(gone.len()) >= q {
            return (!self.suspect.has_quorum()).then_some(JoinRefusal::NoQuorum);
        }
        if self.gone < gone.len() {
            self.gone = gone.len();
            let quorum = u16::try_from(q).unwrap_or(u16::MAX);
            step.event(Event::BeyondRepair { gone, quorum });
        }
        Some(JoinRefusal::BeyondRepair)
    }

    /// Tells whether newcomers may be recommended (protocol.md section 8): every member was heard in
    /// this view, or is suspected by enough to be one that the next view does not count on, and this
    /// member has not flushed. A member that stopped before the view began may not be suspected yet:
    /// newcomers that were taken in at once would be counted on in its place. So a recommendation
    /// vouches for the members, and the suspicions it rests on are listed in the Flush after it.
    fn takes_newcomers(&self) -> bool {
        let has_flushed = self.group.as_ref().is_some_and(Group::has_flushed);
        !has_flushed && self.has_judged_all()
    }

    /// Tells whether another member that answers has the address of a newcomer. What one has that is
    /// silent may be taken over, and a member that comes back brings whatever address it likes.
    fn is_address_held(&self, request: &JoinRequest) -> bool {
        let members = Rank::all(self.view.members.len()).zip(&self.view.members);
        let answers = |rank: Rank| rank == self.me || self.suspect.hears(rank);
        let holds = |(rank, member): (Rank, &Member)| {
            member.key != request.key && member.addr == request.addr.0 && answers(rank)
        };
        !request.addr.0.is_empty() && members.into_iter().any(holds)
    }

    fn has_judged_all(&self) -> bool {
        let weak = self.roster.quorum().weak();
        let mut others = Rank::all(self.view.members.len()).filter(|rank| *rank != self.me);
        others.all(|rank| self.stable.counter(rank) > 0 || self.suspect.accusers(rank) >= weak)
    }

    /// A Silenced member asks to be Active again, or an Active one to be Silenced until it has the
    /// state.
    pub(super) fn on_rejoin(
        &mut self,
        step: &mut Step<'_>,
        from: Rank,
        request: Box<JoinRequest>,
    ) -> Result<(), LinkFault> {
        let Some(member) = self.view.member(from) else { return Ok(()) };
        let is_own = (request.key, request.incarnation) == (member.key, member.incarnation);
        if !is_own || !step.cx.door.verifies_join(step.cx.roster, &request) {
            return Err(LinkFault::JoinRequest);
        }
        self.on_join(step, Origin::Member, request);
        Ok(())
    }

    /// The application said whether a key may join.
    pub(super) fn admit(&mut self, step: &mut Step<'_>, key: PublicKey, is_admitted: bool) {
        let is_held = self.inter.waits(&key).is_some_and(|request| self.is_address_held(request));
        let takes_newcomers = self.takes_newcomers() && !is_held;
        self.run_inter(step, inter::In::Admit { key, is_admitted, takes_newcomers });
    }

    /// Replaces the list of those that may join.
    pub(crate) fn set_joiners(&mut self, joiners: &Joiners) {
        self.inter.set_joiners(joiners);
    }

    /// A view of this group that this process was never in, and the one before it if that is known.
    pub(crate) fn remember(&mut self, before: Option<&View>, view: &View) {
        self.inter.remember(before, view);
    }

    /// The highest incarnation of a key that was in a view.
    pub(crate) fn highest(&self, key: &PublicKey) -> Option<u64> {
        self.inter.highest(key)
    }

    /// Whether a process is one that may join, or was a member.
    pub(crate) fn knows(&self, peer: PeerId) -> bool {
        self.inter.knows(peer)
    }

    pub(super) fn tick_inter(&mut self, step: &mut Step<'_>) {
        if self.inter.deadline().is_some_and(|due| due <= step.cx.now) {
            let mut logs = Rank::all(self.view.members.len());
            let is_whole = logs.all(|log| self.reliable.have(log) >= self.stable.threshold(log));
            self.run_inter(step, inter::In::Tick { is_whole });
        }
    }

    pub(super) fn run_inter(&mut self, step: &mut Step<'_>, input: inter::In) {
        if self.group.is_none() {
            return;
        }
        for out in self.inter.step(&mut step.cx, input) {
            match out {
                inter::Out::Recommend(request) => self.recommend(step, *request),
                inter::Out::Repeat(message) => {
                    step.posts.push(Post::part(To::All, Part::Recommend(message)));
                }
                inter::Out::Refuse(peer, request, why) => step.refused.push((peer, request, why)),
                inter::Out::Wanted(request) => step.event(Event::JoinWanted {
                    key: request.key,
                    incarnation: request.incarnation,
                    addr: request.addr.0,
                }),
                inter::Out::AskAgain => self.ask_again(step),
            }
        }
    }

    fn recommend(&mut self, step: &mut Step<'_>, request: JoinRequest) {
        let statement = Recommend { request: group::request_hash(&request) };
        let said = step.cx.door.sign(step.cx.roster, self.me, statement);
        let message = Recommended { signed: said.signed().as_ref().clone(), request };
        self.inter.said(&message);
        let message = Box::new(message);
        step.posts.push(Post::part(To::All, Part::Recommend(message.clone())));
        // Its own word is a good one.
        let _: Result<(), LinkFault> = self.run_group(step, group::In::Recommend(message));
    }

    fn ask_again(&mut self, step: &mut Step<'_>) {
        let Some(me) = self.view.member(self.me) else { return };
        let (incarnation, addr) = (me.incarnation, me.addr.clone());
        let request = step.cx.door.ask_to_join(step.cx.roster, incarnation, addr);
        step.posts.push(Post::part(To::All, Part::Join(Box::new(request))));
    }
}

impl Step<'_> {
    /// A stranger is to be told.
    pub(crate) fn refuse(&mut self, refused: Refused) {
        self.refused.push(refused);
    }

    /// Takes what is to be told to strangers.
    pub(crate) fn take_refused(&mut self) -> Vec<Refused> {
        core::mem::take(&mut self.refused)
    }
}
