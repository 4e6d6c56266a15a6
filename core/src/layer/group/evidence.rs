//! Evidence for changes (`E` of protocol.md section 9): verified, monotone, judged against the view
//! alone, so that everybody who has it draws the same plan from it.
//!
//! Of each key one join request counts, that of its latest life, once weak many members are for it.
//! Those of members of the view always have room; of the others so many are kept, by key, that a plan
//! is full before the table is ([`crate::plan::Supported`]): so what a correct member lists in its
//! Flush never stands in the way of a correct leader, whatever each of them has heard.
//!
//! What a faulty member can try: recommending no end of requests (weak many have to be for one
//! before it counts, and until then it takes a place of those of its own), asking with its own key
//! for one life after the other (each takes the place of the one before).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::crypto::{
    Hash32, JoinRequest, Leave, PublicKey, Reason, Recommend, Signed, Suspect, Verified, hash,
};
use crate::fault::LinkFault;
use crate::layer::Context;
use crate::member::{Member, PerRank, Rank};
use crate::plan::{Facts, Joining, Suspicion};
use crate::view::View;
use crate::wire::change::{Grounds, JOINS_MAX, Sponsored};

/// Recommendations of one member that wait for others: the latest.
const WAITING_MAX: usize = JOINS_MAX;

/// The hash by which a join request is recommended.
pub(crate) fn request_hash(request: &JoinRequest) -> Hash32 {
    hash("join", &[&postcard::to_allocvec(request).unwrap_or_default()])
}

/// A request that weak many members are for.
#[derive(Clone, Debug)]
struct Join {
    id: Hash32,
    request: JoinRequest,
    recommends: PerRank<Option<Verified<Recommend>>>,
}

impl Join {
    /// The members that are for it.
    fn recommenders(&self) -> impl Iterator<Item = Rank> {
        self.recommends.iter().filter_map(|(rank, said)| said.is_some().then_some(rank))
    }

    /// Whether it counts for its key rather than `other`: the later life, then the lower hash.
    fn supersedes(&self, other: &Self) -> bool {
        let rank = |join: &Self| (join.request.incarnation, core::cmp::Reverse(join.id));
        rank(self) > rank(other)
    }

    /// Adds recommendations of the same request; returns whether any is news.
    fn add(&mut self, said: Vec<Verified<Recommend>>) -> bool {
        let mut is_news = false;
        for said in said {
            let known = self.recommends.at_mut(said.signer());
            is_news |= known.is_none();
            known.get_or_insert(said);
        }
        is_news
    }
}

/// A request that one member is for.
#[derive(Clone, Debug)]
struct Waiting {
    request: JoinRequest,
    said: Verified<Recommend>,
}

/// All evidence that a member has for changes of its view.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// By subject, signer, and whether it is by proof.
    suspects: BTreeMap<(Rank, Rank, bool), Verified<Suspect>>,
    leaves: PerRank<Option<Verified<Leave>>>,
    /// By key.
    joins: BTreeMap<PublicKey, Join>,
    /// By the member that is for them, oldest first, one of each key.
    waiting: PerRank<VecDeque<Waiting>>,
    /// The keys of the view, ascending.
    members: Vec<PublicKey>,
    /// Keys that may not join, ascending.
    expelled: Vec<PublicKey>,
    /// So many members have to be for a request.
    weak: usize,
}

impl Evidence {
    pub(super) fn new(view: &View) -> Self {
        let n = view.members.len();
        let mut members: Vec<PublicKey> = view.members.iter().map(|member| member.key).collect();
        members.sort_unstable();
        Self {
            suspects: BTreeMap::new(),
            leaves: PerRank::from_fn(n, |_| None),
            joins: BTreeMap::new(),
            waiting: PerRank::from_fn(n, |_| VecDeque::new()),
            members,
            expelled: view.expelled.to_vec(),
            weak: view.quorum().weak(),
        }
    }

    /// Returns whether it is news.
    pub(super) fn suspect(&mut self, said: &Verified<Suspect>) -> bool {
        let key = (said.subject, said.signer(), said.reason.is_proof());
        // Who suspects itself says nothing, and what was said first stands.
        let is_news = said.subject != said.signer() && !self.suspects.contains_key(&key);
        if is_news {
            self.suspects.insert(key, said.clone());
        }
        is_news
    }

    /// Returns whether it is news.
    pub(super) fn leave(&mut self, said: Verified<Leave>) -> bool {
        let known = self.leaves.at_mut(said.signer());
        known.is_none() && known.replace(said).is_none()
    }

    /// Returns whether it is news for the plan. The request was checked.
    pub(super) fn recommend(&mut self, said: Verified<Recommend>, request: &JoinRequest) -> bool {
        let id = said.request;
        if id != request_hash(request) {
            return false;
        }
        if let Some(known) = self.joins.get_mut(&request.key)
            && (known.id == id || known.request.incarnation > request.incarnation)
        {
            return known.id == id && known.add(alloc::vec![said]);
        }
        let Some(waiting) = self.waiting.get_mut(said.signer()) else { return false };
        if let Some(at) = waiting.iter().position(|known| known.request.key == request.key) {
            // What a member said first of one life stands.
            if waiting.get(at).is_some_and(|at| at.request.incarnation >= request.incarnation) {
                return false;
            }
            waiting.remove(at);
        }
        waiting.push_back(Waiting { request: request.clone(), said });
        if waiting.len() > WAITING_MAX {
            waiting.pop_front();
        }
        let same = |waiting: &VecDeque<Waiting>| {
            waiting.iter().find(|known| known.said.request == id).map(|known| known.said.clone())
        };
        let all: Vec<Verified<Recommend>> = self.waiting.values().filter_map(same).collect();
        all.len() >= self.weak && self.settle(id, request, all)
    }

    /// Weak many members are for a request; returns whether that is news for the plan.
    fn settle(&mut self, id: Hash32, request: &JoinRequest, all: Vec<Verified<Recommend>>) -> bool {
        if let Some(known) = self.joins.get_mut(&request.key).filter(|known| known.id == id) {
            return known.add(all);
        }
        let recommends = PerRank::from_fn(self.leaves.len(), |_| None);
        let mut join = Join { id, request: request.clone(), recommends };
        join.add(all);
        let known = self.joins.get(&request.key);
        if self.expelled.binary_search(&request.key).is_ok()
            || known.is_some_and(|known| !join.supersedes(known))
        {
            return false;
        }
        self.waiting
            .values_mut()
            .for_each(|waiting| waiting.retain(|other| other.said.request != id));
        self.joins.insert(request.key, join);
        let newcomers = self.joins.keys().filter(|key| self.members.binary_search(key).is_err());
        let over = newcomers.count().saturating_sub(JOINS_MAX);
        // The plan takes them by key, too.
        let mut keys = self.joins.keys().rev();
        let last = keys.find(|key| self.members.binary_search(key).is_err()).copied();
        if let Some(last) = last.filter(|_| over > 0) {
            self.joins.remove(&last);
        }
        self.joins.contains_key(&request.key)
    }

    pub(super) fn knows_suspect(&self, said: &Signed<Suspect>) -> bool {
        let key = (said.statement.subject, said.signer, said.statement.reason.is_proof());
        self.suspects.contains_key(&key)
    }

    pub(super) fn knows_leave(&self, signer: Rank) -> bool {
        self.leaves.get(signer).is_some_and(Option::is_some)
    }

    pub(super) fn knows_recommend(&self, said: &Signed<Recommend>, request: &JoinRequest) -> bool {
        self.recommendation(said, &request.key).is_some()
    }

    /// The same, checked before; `key` is that of the request.
    fn recommendation(
        &self,
        said: &Signed<Recommend>,
        key: &PublicKey,
    ) -> Option<&Verified<Recommend>> {
        let id = said.statement.request;
        if let Some(join) = self.joins.get(key).filter(|join| join.id == id) {
            return join.recommends.get(said.signer)?.as_ref();
        }
        let mut waiting = self.waiting.get(said.signer)?.iter();
        waiting.find(|known| known.said.request == id).map(|known| &known.said)
    }

    /// Takes what a message carries, all of it or nothing; what is known is not checked again.
    /// Returns the suspicions that are news, and whether anything is.
    pub(super) fn take(
        &mut self,
        cx: &mut Context<'_>,
        grounds: &Grounds,
    ) -> Result<(Vec<Verified<Suspect>>, bool), LinkFault> {
        let suspects = grounds.suspects.iter().filter(|said| !self.knows_suspect(said));
        let mut suspects = suspects
            .map(|said| cx.door.verify(cx.roster, said.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let leaves = grounds.leaves.iter().filter(|said| !self.knows_leave(said.signer));
        let leaves = leaves
            .map(|said| cx.door.verify(cx.roster, said.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let joins = grounds.joins.iter();
        let joins = joins
            .map(|join| Ok((join, self.check_join(cx, join)?)))
            .collect::<Result<Vec<_>, LinkFault>>()?;
        suspects.retain(|said| self.suspect(said));
        let mut is_news = !suspects.is_empty();
        for said in leaves {
            is_news |= self.leave(said);
        }
        for (Sponsored { request, .. }, said) in joins {
            // All at once: what its signers went on to is another request.
            if said.len() >= self.weak {
                is_news |= self.settle(request_hash(request), request, said);
                continue;
            }
            for said in said {
                is_news |= self.recommend(said, request);
            }
        }
        Ok((suspects, is_news))
    }

    /// The recommendations of a request; those that are not known are checked, and so is it.
    fn check_join(
        &self,
        cx: &mut Context<'_>,
        join: &Sponsored,
    ) -> Result<Vec<Verified<Recommend>>, LinkFault> {
        let id = request_hash(&join.request);
        if join.recommends.iter().any(|said| said.statement.request != id) {
            return Err(LinkFault::Unjustified);
        }
        let key = &join.request.key;
        let is_known = join.recommends.iter().any(|said| self.recommendation(said, key).is_some());
        if !is_known && !cx.door.verifies_join(cx.roster, &join.request) {
            return Err(LinkFault::JoinRequest);
        }
        let checked = join.recommends.iter().map(|said| match self.recommendation(said, key) {
            Some(known) => Ok(known.clone()),
            None => cx.door.verify(cx.roster, said.clone()),
        });
        Ok(checked.collect::<Result<Vec<_>, _>>()?)
    }

    /// Everything, as it travels.
    pub(super) fn grounds(&self) -> Grounds {
        let suspects = self.suspects.values().map(|said| said.signed().as_ref().clone());
        let leaves = self.leaves.values().flatten().map(|said| said.signed().as_ref().clone());
        let joins = self.joins.values().map(|join| {
            let recommends = join.recommends.values().flatten();
            let recommends = recommends.map(|said| said.signed().as_ref().clone()).collect();
            Sponsored { request: join.request.clone(), recommends }
        });
        Grounds { suspects: suspects.collect(), leaves: leaves.collect(), joins: joins.collect() }
    }

    /// What the plan is drawn from.
    pub(super) fn facts(&self) -> Facts {
        let suspicions =
            self.suspects.iter().map(|((subject, signer, by_proof), said)| Suspicion {
                subject: *subject,
                signer: *signer,
                by_proof: *by_proof,
                is_slow: said.reason == Reason::Slow,
            });
        let leaving = self.leaves.iter().filter_map(|(rank, said)| said.is_some().then_some(rank));
        let joining = self.joins.values().map(|join| Joining {
            request: join.id,
            key: join.request.key,
            incarnation: join.request.incarnation,
            addr: join.request.addr.0.clone(),
            recommended_by: join.recommenders().collect(),
        });
        Facts {
            suspicions: suspicions.collect(),
            leaving: leaving.collect(),
            joining: joining.collect(),
        }
    }

    /// Whether weak many members are for the next life of this one.
    pub(super) fn is_replaced(&self, member: &Member) -> bool {
        let join = self.joins.get(&member.key);
        join.is_some_and(|join| join.request.incarnation > member.incarnation)
    }

    /// Whether weak many members suspect this one.
    pub(super) fn is_suspected(&self, rank: Rank, weak: usize) -> bool {
        let mut signers: Vec<Rank> = self
            .suspects
            .keys()
            .filter(|(subject, ..)| *subject == rank)
            .map(|(_, signer, _)| *signer)
            .collect();
        signers.dedup();
        signers.len() >= weak
    }
}
