//! Evidence for changes (`E` of protocol.md section 9): verified, monotone, judged against the view
//! alone, so that everybody who has it draws the same plan from it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::crypto::{Hash32, JoinRequest, Leave, Recommend, Signed, Suspect, Verified, hash};
use crate::fault::LinkFault;
use crate::layer::Context;
use crate::member::{Member, PerRank, Rank};
use crate::plan::{Facts, Joining, Suspicion};
use crate::quorum::Quorum;
use crate::wire::change::{Grounds, JOINS_MAX, Sponsored};

/// The hash by which a join request is recommended.
pub(crate) fn request_hash(request: &JoinRequest) -> Hash32 {
    hash("join", &[&postcard::to_allocvec(request).unwrap_or_default()])
}

/// A request with who is for it.
#[derive(Clone, Debug)]
struct Join {
    request: JoinRequest,
    recommends: PerRank<Option<Verified<Recommend>>>,
}

impl Join {
    /// Who is for it.
    fn friends(&self) -> impl Iterator<Item = Rank> {
        self.recommends.iter().filter_map(|(rank, said)| said.is_some().then_some(rank))
    }
}

/// All evidence that a member has for changes of its view.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// By subject, signer, and whether it is by proof.
    suspects: BTreeMap<(Rank, Rank, bool), Verified<Suspect>>,
    leaves: PerRank<Option<Verified<Leave>>>,
    joins: BTreeMap<Hash32, Join>,
    /// So many members have to be for a request.
    weak: usize,
}

impl Evidence {
    pub(super) fn new(quorum: Quorum) -> Self {
        Self {
            suspects: BTreeMap::new(),
            leaves: PerRank::from_fn(quorum.n(), |_| None),
            joins: BTreeMap::new(),
            weak: quorum.weak(),
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

    /// Takes a request that was checked and that `by` is for, if there is room for it.
    fn request(&mut self, request: &JoinRequest, by: Rank) -> Option<&mut Join> {
        let id = request_hash(request);
        let n = self.leaves.len();
        if self.joins.len() >= JOINS_MAX && !self.joins.contains_key(&id) {
            let (load, least) = self.least_wanted()?;
            if load <= self.load(by) {
                return None;
            }
            self.joins.remove(&least);
        }
        let fresh = || Join { request: request.clone(), recommends: PerRank::from_fn(n, |_| None) };
        Some(self.joins.entry(id).or_insert_with(fresh))
    }

    /// The request to drop if there is no room: never one that weak many are for, and the first of
    /// those whose every friend has many, so that a liar with many drops its own.
    fn least_wanted(&self) -> Option<(usize, Hash32)> {
        let waiting = self.joins.iter().filter(|(_, join)| join.friends().count() < self.weak);
        let loaded = waiting.map(|(id, join)| {
            let load = join.friends().map(|rank| self.load(rank)).min();
            (load.unwrap_or(usize::MAX), *id)
        });
        loaded.max()
    }

    /// How many requests that have too few friends this member is for.
    fn load(&self, by: Rank) -> usize {
        let is_his = |join: &&Join| {
            join.friends().count() < self.weak && join.friends().any(|rank| rank == by)
        };
        self.joins.values().filter(is_his).count()
    }

    /// Returns whether it is news. The request was checked.
    pub(super) fn recommend(&mut self, said: Verified<Recommend>, request: &JoinRequest) -> bool {
        if said.request != request_hash(request) {
            return false;
        }
        let Some(join) = self.request(request, said.signer()) else { return false };
        let known = join.recommends.at_mut(said.signer());
        known.is_none() && known.replace(said).is_none()
    }

    pub(super) fn knows_suspect(&self, said: &Signed<Suspect>) -> bool {
        let key = (said.statement.subject, said.signer, said.statement.reason.is_proof());
        self.suspects.contains_key(&key)
    }

    pub(super) fn knows_leave(&self, signer: Rank) -> bool {
        self.leaves.get(signer).is_some_and(Option::is_some)
    }

    pub(super) fn knows_recommend(&self, said: &Signed<Recommend>) -> bool {
        let join = self.joins.get(&said.statement.request);
        join.and_then(|join| join.recommends.get(said.signer)).is_some_and(Option::is_some)
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
        let mut recommends = Vec::new();
        for join in grounds.joins.iter() {
            recommends.extend(self.check_join(cx, join)?.into_iter().map(|said| (said, join)));
        }
        suspects.retain(|said| self.suspect(said));
        let mut is_news = !suspects.is_empty();
        for said in leaves {
            is_news |= self.leave(said);
        }
        for (said, join) in recommends {
            is_news |= self.recommend(said, &join.request);
        }
        Ok((suspects, is_news))
    }

    /// The recommendations that are not known.
    fn check_join(
        &self,
        cx: &mut Context<'_>,
        join: &Sponsored,
    ) -> Result<Vec<Verified<Recommend>>, LinkFault> {
        let id = request_hash(&join.request);
        if !self.joins.contains_key(&id) && !cx.door.verifies_join(cx.roster, &join.request) {
            return Err(LinkFault::JoinRequest);
        }
        let news = join.recommends.iter().filter(|said| !self.knows_recommend(said));
        let news = news.map(|said| cx.door.verify(cx.roster, said.clone()));
        Ok(news.collect::<Result<Vec<_>, _>>()?)
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
        let suspicions = self.suspects.keys().map(|(subject, signer, by_proof)| Suspicion {
            subject: *subject,
            signer: *signer,
            by_proof: *by_proof,
        });
        let leaving = self.leaves.iter().filter_map(|(rank, said)| said.is_some().then_some(rank));
        let joining = self.joins.iter().map(|(id, join)| Joining {
            request: *id,
            key: join.request.key,
            incarnation: join.request.incarnation,
            addr: join.request.addr.0.clone(),
            recommended_by: join.friends().collect(),
        });
        Facts {
            suspicions: suspicions.collect(),
            leaving: leaving.collect(),
            joining: joining.collect(),
        }
    }

    /// Whether weak many members are for the next life of this one.
    pub(super) fn is_replaced(&self, member: &Member) -> bool {
        let is_next = |join: &&Join| {
            join.request.key == member.key && join.request.incarnation > member.incarnation
        };
        self.joins.values().filter(is_next).any(|join| join.friends().count() >= self.weak)
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
