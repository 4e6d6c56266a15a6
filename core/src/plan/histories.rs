//! Long random histories: view after view planned from whatever liars sign and correct members
//! believe, and after each change what `plan` promises. The promises are restated here from the two
//! views alone.
//!
//! The assumptions are those of protocol.md: at most `F` liars in the first view; whoever of them
//! could be a member later is counted before it is let in, against the pledge of the view of that
//! moment; only a correct member's word for a proof is true; a correct member recommends no liar
//! that is not counted. Opinions of correct members may be wrong at any time and about anybody.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use proptest::prelude::*;

use super::tests::{genesis, key, request};
use super::*;
use crate::quorum::Quorum;

/// The most processes that one history knows.
const PROCESSES: u16 = 60;

/// Numbers from a seed (splitmix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one_of(&mut self, values: &[usize]) -> usize {
        values[self.below(values.len())]
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

#[derive(Debug)]
struct World {
    genesis: Genesis,
    view: View,
    /// Processes that lie and may be members.
    liars: BTreeSet<u16>,
    /// The highest incarnation of each process that there ever was.
    lives: Vec<u64>,
}

fn id(member: &Member) -> u16 {
    u16::from_be_bytes([member.key.0[0], member.key.0[1]])
}

fn f(n: usize) -> usize {
    (n - 1) / 3
}

fn count(members: &[Member], is: impl Fn(&Member) -> bool) -> usize {
    members.iter().filter(|member| is(member)).count()
}

impl World {
    fn new(n: u16, pledge: Option<u16>, random: &mut Random) -> Self {
        let mut genesis = genesis(n, pledge);
        genesis.limits.max_members = n + u16::try_from(random.below(12)).unwrap();
        genesis.limits.max_joins_per_change = 1 + u16::try_from(random.below(5)).unwrap();
        let view = genesis.view();
        let mut ids: Vec<u16> = (0..n).collect();
        random.shuffle(&mut ids);
        ids.truncate(random.below(usize::from(view.pledge) + 1));
        Self { genesis, view, liars: ids.into_iter().collect(), lives: alloc::vec![1; n.into()] }
    }

    fn lies(&self, rank: Rank) -> bool {
        self.liars.contains(&id(&self.view.members[rank.index()]))
    }

    fn ranks(&self) -> impl Iterator<Item = Rank> + use<> {
        Rank::all(self.view.members.len())
    }

    /// What the members of the view say about each other and about who asks to join.
    fn facts(&mut self, random: &mut Random) -> Facts {
        let mut facts = Facts::default();
        let wrong = random.one_of(&[0, 0, 10, 40, 100]);
        let caught = random.one_of(&[0, 0, 0, 20, 100]);
        for (subject, signer) in self.ranks().flat_map(|s| self.ranks().map(move |t| (s, t))) {
            let (opinion, proof) = match (self.lies(signer), self.lies(subject)) {
                (true, _) => (50, 50),
                (false, true) => (wrong.max(caught), caught),
                (false, false) => (wrong, 0),
            };
            for (by_proof, percent) in [(false, opinion), (true, proof)] {
                if random.chance(percent) {
                    facts.suspicions.push(Suspicion { subject, signer, by_proof, is_slow: false });
                }
            }
        }
        let leaves = random.one_of(&[0, 0, 0, 10, 60]);
        facts.leaving = self.ranks().filter(|_| random.chance(leaves)).collect();
        for _ in 0..random.one_of(&[0, 0, 1, 2, 8]) {
            let joining = self.joining(random);
            if facts.joining.iter().all(|other| other.request != joining.request) {
                facts.joining.push(joining);
            }
        }
        facts
    }

    /// A new process, one that was a member, one that is, one that was expelled: in its present
    /// life, a new one, or one that is over.
    fn joining(&mut self, random: &mut Random) -> Joining {
        let known = u16::try_from(self.lives.len()).unwrap();
        let fresh = known < PROCESSES && random.chance(30);
        let id = if fresh { known } else { u16::try_from(random.below(known.into())).unwrap() };
        if fresh {
            self.lives.push(1);
            if random.chance(50) && self.liars.len() < usize::from(self.view.pledge) {
                self.liars.insert(id);
            }
        }
        let life = &mut self.lives[usize::from(id)];
        *life += u64::from(random.chance(30));
        let incarnation = *life - u64::from(random.chance(10));
        let willing = random.one_of(&[0, 50, 100, 100]);
        let by = self.ranks().filter(|_| random.chance(willing)).collect();
        request(id, incarnation, by)
    }

    /// One view further, unless nothing changes (but sometimes then, too).
    fn advance(&mut self, random: &mut Random) -> bool {
        let facts = self.facts(random);
        let planned = plan(&self.view, &self.genesis, &facts);
        let mut shuffled = facts.clone();
        random.shuffle(&mut shuffled.suspicions);
        random.shuffle(&mut shuffled.leaving);
        random.shuffle(&mut shuffled.joining);
        assert_eq!(planned, plan(&self.view, &self.genesis, &shuffled), "order matters");
        assert_eq!(facts.changes(&self.view), shuffled.changes(&self.view), "order matters");
        let nothing = plan(&self.view, &self.genesis, &Facts::default());
        assert!(!nothing.is_change(&self.view), "changed without evidence");
        let is_change = planned.is_change(&self.view);
        let next = planned.clone().build(&self.view, Vec::new());
        self.check_liars(&next);
        self.check_size(&next);
        self.check_reasons(&facts, &next);
        self.check_newcomers(&facts, &next);
        self.check_report(&planned, &next);
        if is_change || random.chance(10) {
            self.liars.retain(|id| !next.expelled.contains(&key(*id)));
            self.view = next;
        }
        is_change
    }

    /// At most `F <= f(n)` liars, as many as the limit of the genesis record lets a group bear.
    fn check_liars(&self, next: &View) {
        let (n, pledge) = (next.members.len(), usize::from(next.pledge));
        let liars = count(&next.members, |member| self.liars.contains(&id(member)));
        assert!(liars <= pledge && pledge <= f(n), "{liars} liars, F = {pledge}, n = {n}");
        let limit = self.genesis.pledge.map_or(usize::MAX, usize::from);
        assert!(pledge >= limit.min(f(n)), "F = {pledge} falls short at n = {n}");
        let expelled = self.view.expelled.iter().all(|key| next.expelled.contains(key));
        assert!(expelled, "an expelled key is forgotten");
        assert!(next.members.iter().all(|member| !next.expelled.contains(&member.key)));
        let told = |id: &&u16| !next.expelled.contains(&key(**id));
        assert!(self.liars.iter().filter(told).count() <= pledge, "too many could come back");
    }

    /// Legal, within its limits, somebody is Active, and enough of those before are there.
    fn check_size(&self, next: &View) {
        let limits = &self.genesis.limits;
        assert!(next.is_legal());
        assert!(next.members.len() <= usize::from(limits.max_members));
        let stays = |new: &Member| {
            let same = |old: &Member| (&old.key, old.incarnation) == (&new.key, new.incarnation);
            self.view.members.iter().position(same)
        };
        let places: Vec<Option<usize>> = next.members.iter().map(stays).collect();
        let survivors = places.iter().flatten().count();
        assert!(places[..survivors].is_sorted() && places[..survivors].iter().all(Option::is_some));
        let joined = places.len() - survivors;
        assert!(joined <= usize::from(limits.max_joins_per_change));
        let q = Quorum::of(u16::try_from(next.members.len()).unwrap(), next.rule).q();
        assert!(survivors >= q || (joined == 1 && next.members.len() <= 2), "{survivors} of {q}");
        let touched = self.view.members.len() - survivors + next.silenced.len();
        assert!(touched <= f(self.view.members.len()).max(1), "{touched} touched");
    }

    /// Who goes or falls silent asked to or is suspected by a correct member, who comes or is heard
    /// again is recommended by one, and only liars are expelled (P8, P9).
    fn check_reasons(&self, facts: &Facts, next: &View) {
        let suspected = |rank: Rank| {
            let mut by = facts.suspicions.iter().filter(|s| s.subject == rank);
            by.any(|s| !self.lies(s.signer))
        };
        for (rank, why) in next.departed.iter().copied() {
            let (was, changes) = (&self.view.members[rank.index()], facts.changes(&self.view));
            let now = next.members.iter().find(|now| now.key == was.key);
            match why {
                Departure::Proof => {
                    assert!(self.lies(rank) && next.expelled.contains(&was.key));
                    assert!(changes.contains(&Change::Proven(rank)));
                }
                Departure::Opinion => {
                    assert!(suspected(rank) && changes.contains(&Change::Suspected(rank)));
                }
                Departure::Left => assert!(facts.leaving.contains(&rank)),
                Departure::Replaced => assert!(now.unwrap().incarnation > was.incarnation),
            }
            assert_eq!(now.is_some(), why == Departure::Replaced);
        }
        let asked = |rank: Rank| {
            let was = &self.view.members[rank.index()];
            let own = |joining: &&Joining| {
                (joining.key, joining.incarnation) == (was.key, was.incarnation)
            };
            let mut requests = facts.joining.iter().filter(own);
            requests.any(|joining| joining.recommended_by.iter().any(|by| !self.lies(*by)))
        };
        assert!(next.silenced.iter().all(|rank| suspected(*rank) || asked(*rank)));
        for now in &next.members {
            let recommended = facts.joining.iter().any(|joining| {
                (joining.key, joining.incarnation) == (now.key, now.incarnation)
                    && joining.recommended_by.iter().any(|by| !self.lies(*by))
            });
            let before = self.view.rank_of(&now.key).map(|rank| &self.view.members[rank.index()]);
            let is_known = before.is_some_and(|old| old.incarnation == now.incarnation);
            let awakes =
                before.is_some_and(|old| old.status != now.status) && now.status == Status::Active;
            let alone = self
                .view
                .active()
                .iter()
                .all(|rank| next.departed.contains(&(*rank, Departure::Proof)));
            assert!((is_known && (!awakes || alone)) || recommended, "{now:?} from nowhere");
        }
    }

    /// Newcomers that never come stop no group that could go on without them: those that stay, that
    /// are Active or signed some of the evidence, and of whom that says nothing, are a quorum of the
    /// next view, or as close to one, and then nobody is displaced.
    fn check_newcomers(&self, facts: &Facts, next: &View) {
        let (changes, weak) = (facts.changes(&self.view), self.view.quorum().weak());
        let is_listed = |rank: Rank| {
            let doubts = [Change::Suspected(rank), Change::Leaves(rank)];
            doubts.iter().any(|change| changes.contains(change))
        };
        let (n, f) = (self.view.members.len(), self.view.quorum().f());
        let is_vouching = |joining: &Joining| {
            let by: BTreeSet<_> = joining.recommended_by.iter().collect();
            self.view.rank_of(&joining.key).is_none() && by.len() >= n - f
        };
        let is_vouched = facts.joining.iter().any(is_vouching);
        let is_there = |rank: Rank| {
            let own = |joining: &Joining| self.view.rank_of(&joining.key) == Some(rank);
            let is_enough = |joining: &Joining| {
                joining.recommended_by.iter().collect::<BTreeSet<_>>().len() >= weak
            };
            is_vouched
                || facts.joining.iter().any(|joining| own(joining) && is_enough(joining))
                || facts.joining.iter().any(|joining| joining.recommended_by.contains(&rank))
                || facts.suspicions.iter().any(|said| said.signer == rank)
        };
        let missing = |view: &View| {
            let certain = self.ranks().zip(&self.view.members).filter(|(rank, old)| {
                let same = |new: &Member| (new.key, new.incarnation) == (old.key, old.incarnation);
                view.members.iter().any(same)
                    && !is_listed(*rank)
                    && (old.status == Status::Active || is_there(*rank))
            });
            view.quorum().q().saturating_sub(certain.count())
        };
        // Where nobody lies for certain, or begins anew.
        let is_plain = |joining: &Joining| {
            let Some(rank) = self.view.rank_of(&joining.key) else { return true };
            self.view.members[rank.index()].incarnation == joining.incarnation
        };
        if facts.suspicions.iter().all(|said| !said.by_proof)
            && facts.joining.iter().all(is_plain)
            && self.view.members.len() > 1
        {
            let mut old = facts.clone();
            old.joining.retain(|joining| self.view.rank_of(&joining.key).is_some());
            let without = plan(&self.view, &self.genesis, &old).build(&self.view, Vec::new());
            let (after, before) = (missing(next), missing(&without));
            assert!(after <= before, "all depends on who may never come");
            let displaced = next.departed.iter().filter(|gone| !without.departed.contains(gone));
            assert!(after == 0 || displaced.count() == 0, "a newcomer displaces who may be there");
        }
    }

    /// The plan says what it does.
    fn check_report(&self, planned: &Plan, next: &View) {
        let mut changed = Vec::new();
        for (rank, was) in Rank::all(self.view.members.len()).zip(&self.view.members) {
            let now = next.members.iter().find(|now| now.key == was.key);
            let stays = now.is_some_and(|now| now.incarnation == was.incarnation);
            let silenced = stays
                && was.status != now.unwrap().status
                && now.unwrap().status == Status::Silenced;
            assert_eq!(planned.keeps(&self.view, rank), stays && !silenced);
            assert_eq!(next.silenced.contains(&rank), silenced);
            if !stays {
                changed.push(rank);
            }
        }
        let departed: Vec<Rank> = next.departed.iter().map(|(rank, _)| *rank).collect();
        assert_eq!(departed, changed);
        assert!(next.silenced.is_sorted());
    }

    /// Everybody suspects some and some want to leave, for good: after at most one change for each
    /// member nothing moves any more, and the suspected are gone or silent (L1).
    fn settle(&mut self, random: &mut Random) {
        let mut some = || -> BTreeSet<u16> {
            let percent = random.one_of(&[0, 20, 60, 100]);
            self.view.members.iter().map(id).filter(|_| random.chance(percent)).collect()
        };
        let (suspected, leaving) = (some(), some());
        for _ in 0..=self.view.members.len() {
            let mut facts = Facts::default();
            for (subject, member) in self.ranks().zip(&self.view.members) {
                if suspected.contains(&id(member)) {
                    let signers = self.ranks().filter(|signer| *signer != subject);
                    facts.suspicions.extend(signers.map(|signer| Suspicion {
                        subject,
                        signer,
                        by_proof: false,
                        is_slow: false,
                    }));
                }
                if leaving.contains(&id(member)) {
                    facts.leaving.push(subject);
                }
            }
            let planned = plan(&self.view, &self.genesis, &facts);
            if !planned.is_change(&self.view) {
                let active = self.view.active();
                let left = |rank: &Rank| suspected.contains(&id(&self.view.members[rank.index()]));
                assert!(active.len() == 1 || !active.iter().any(left), "suspected in vain");
                return;
            }
            self.view = planned.build(&self.view, Vec::new());
        }
        panic!("the same evidence moves the group for ever");
    }

    /// Some are down, `f` at the most, and suspected sooner or later; of the others that are Silenced
    /// half ask, each when it likes, to be Active again, and half never can, but are for who joins.
    /// Then all that want to join come to be members, or the group is full (L1): neither who is
    /// Silenced nor who is down keeps them out for ever.
    fn welcome(&mut self, random: &mut Random) {
        let ids = PROCESSES..PROCESSES + 5;
        let mut down: Vec<u16> = self.view.members.iter().map(id).collect();
        random.shuffle(&mut down);
        down.truncate(random.below(f(down.len()) + 1));
        let full = usize::from(self.genesis.limits.max_members);
        let is_done = |view: &View| {
            let is_in = |id: u16| view.rank_of(&key(id)).is_some();
            ids.clone().all(is_in) || view.members.len() == full
        };
        // Half of the time all is said at once, and then something moves.
        for round in 0..4 * (PROCESSES + 5) {
            if is_done(&self.view) {
                return;
            }
            let is_all = round % 2 == 1;
            let mut facts = Facts::default();
            let is_up = |rank: &Rank| !down.contains(&id(&self.view.members[rank.index()]));
            let by: Vec<Rank> = self.ranks().filter(is_up).collect();
            for (subject, member) in self.ranks().zip(&self.view.members) {
                let says = is_all || random.chance(40);
                if down.contains(&id(member)) && says {
                    let suspicion = |signer: &Rank| Suspicion {
                        subject,
                        signer: *signer,
                        by_proof: false,
                        is_slow: false,
                    };
                    facts.suspicions.extend(by.iter().map(suspicion));
                } else if member.status == Status::Silenced && id(member).is_multiple_of(2) && says
                {
                    facts.joining.push(request(id(member), member.incarnation, by.clone()));
                }
            }
            // Who is Silenced is for nobody as yet.
            let quick =
                |rank: &Rank| is_all || self.view.members[rank.index()].status == Status::Active;
            let by: Vec<Rank> = by.into_iter().filter(quick).collect();
            let out = ids.clone().filter(|id| self.view.rank_of(&key(*id)).is_none());
            facts.joining.extend(out.map(|id| request(id, 1, by.clone())));
            let planned = plan(&self.view, &self.genesis, &facts);
            assert!(!is_all || planned.is_change(&self.view), "who joins waits for ever");
            self.view = planned.build(&self.view, Vec::new());
        }
        panic!("the same evidence moves the group for ever");
    }
}

/// Lives one history, a seed for each view; says how often the membership changed.
fn live(n: u16, pledge: Option<u16>, seeds: &[u64]) -> usize {
    let mut random = Random(seeds.first().copied().unwrap_or(0));
    let mut world = World::new(n, pledge, &mut random);
    let advance = |seed: &u64| world.advance(&mut Random(*seed));
    let changes = seeds.iter().map(advance).filter(|is_change| *is_change).count();
    world.settle(&mut random);
    world.welcome(&mut random);
    changes
}

fn pledges() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![Just(None), Just(Some(0)), (0..5_u16).prop_map(Some)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_histories_keep_every_promise(
        n in 1..14_u16,
        pledge in pledges(),
        seeds in proptest::collection::vec(any::<u64>(), 100..300),
    ) {
        live(n, pledge, &seeds);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..Default::default() })]

    #[test]
    #[ignore = "takes minutes"]
    fn many_long_random_histories_keep_every_promise(
        n in 1..23_u16,
        pledge in pledges(),
        seeds in proptest::collection::vec(any::<u64>(), 200..1000),
    ) {
        live(n, pledge, &seeds);
    }
}

/// The histories are worth their time: a good part of the rounds changes something.
#[test]
fn random_histories_move() {
    for n in [1, 4, 7, 13] {
        let seeds: Vec<u64> = (0..200).collect();
        assert!(live(n, None, &seeds) > 60, "n = {n}");
    }
}
