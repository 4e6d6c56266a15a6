//! Some members with their Group layers, and messages that travel as the test says.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::super::{Group, In, Out};
use crate::config::Timeouts;
use crate::crypto::{
    Certificate, Door, Hash32, Head, NeedMoreChange, ReadyToSwitch, Reason, Roster, Statement,
    Suspect, Verified, hash,
};
use crate::fault::{Evidence, Invalid, NotAProof, Proof};
use crate::layer::{Context, To};
use crate::member::Rank;
use crate::rig::{Rig, genesis_of, quick_identity};
use crate::seq::{Attempt, LogEnd, Number};
use crate::time::Time;
use crate::view::{Genesis, Membership, View};
use crate::wire::Part;
use crate::wire::change::Decision;

/// What one member did besides sending.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) frozen: usize,
    pub(super) collected: Vec<Hash32>,
    pub(super) opinions: Vec<(u16, Reason)>,
    pub(super) abandoned: Vec<u32>,
    pub(super) decided: Option<View>,
    pub(super) misbehaved: usize,
    pub(super) proofs: Vec<Proof>,
}

/// What members signed.
#[derive(Clone, Debug, Default)]
struct Said {
    /// Once for an attempt, by member and kind.
    once: BTreeMap<(usize, u8, Attempt), Hash32>,
    /// The newest attempt gone on to, with its lock.
    went_on: BTreeMap<usize, NeedMoreChange>,
    /// The newest attempt ready in.
    readied: BTreeMap<usize, ReadyToSwitch>,
}

pub(super) struct Net {
    pub(super) genesis: Arc<Genesis>,
    pub(super) view: Arc<View>,
    pub(super) roster: Roster,
    pub(super) doors: Vec<Door>,
    pub(super) groups: Vec<Group>,
    pub(super) seen: Vec<Seen>,
    said: Said,
    /// What each member decided, as it is handed on.
    pub(super) decisions: Vec<Option<Box<Decision>>>,
    /// From, to, what.
    pub(super) mail: VecDeque<(usize, usize, Part)>,
    /// What each member holds when it is frozen.
    pub(super) ends: Vec<Vec<(LogEnd, Option<Certificate>)>>,
    pub(super) now: Time,
    /// Whether a cut that is wanted is held at once.
    pub(super) holds: bool,
}

/// The input that a part is.
pub(super) fn input(from: usize, part: Part) -> Option<In> {
    In::of(Rank::new(u16::try_from(from).unwrap()), part)
}

/// No two statements of a correct member make a Proof (P9).
fn contradicts_nothing(said_so_far: &mut Said, member: usize, part: &Part) {
    let Said { once, went_on, readied } = said_so_far;
    let of = |fields: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        fields(&mut bytes);
        hash("said", &[&bytes])
    };
    let own = |rank: Rank| rank.index() == member;
    let (kind, attempt, said) = match part {
        Part::Flush(m) => (0, Attempt::FIRST, of(&|out| m.signed.statement.fields(out))),
        Part::NeedMoreChange(m) => {
            let said = &m.signed.statement;
            if let Some(ready) = readied.get(&member).filter(|ready| ready.attempt < said.attempt) {
                let lock = said.lock.expect("a lock was reported ready");
                assert!(lock.attempt >= ready.attempt);
                assert!(lock.attempt > ready.attempt || lock.next == ready.next);
            }
            went_on.insert(member, said.clone());
            (1, said.attempt, of(&|out| said.fields(out)))
        }
        Part::NewView(m) if own(m.signed.signer) => {
            (2, m.signed.statement.attempt, of(&|out| m.signed.statement.fields(out)))
        }
        Part::Ack(m) => (3, m.statement.attempt, of(&|out| m.statement.fields(out))),
        Part::Commit(m) => {
            (4, m.signed.statement.attempt, of(&|out| m.signed.statement.fields(out)))
        }
        Part::Ready(m) => {
            let said = &m.statement;
            let is_new = readied.get(&member).is_none_or(|ready| ready.attempt < said.attempt);
            if is_new {
                let at = went_on.get(&member).map_or(Attempt::FIRST, |more| more.attempt);
                assert!(at <= said.attempt, "ready after it went on");
                readied.insert(member, said.clone());
            }
            (5, said.attempt, of(&|out| said.fields(out)))
        }
        _ => return,
    };
    let first = once.entry((member, kind, attempt)).or_insert(said);
    assert_eq!(*first, said, "{member} signed two: {part:?}");
}

/// What the real code says, or hands on, is invalid for nobody (P9).
fn convicts_nobody((genesis, view, roster): (&Genesis, &View, &Roster), part: &Part) {
    let invalid = match part {
        Part::NewView(m) => Invalid::NewView(m.clone()),
        Part::Commit(m) => Invalid::Commit(m.clone()),
        _ => return,
    };
    let evidence = Evidence::Invalid(invalid);
    let proof = Proof { view: *roster.view(), evidence };
    assert_eq!(proof.verify(genesis, view, roster), Err(NotAProof::Valid), "{proof:?}");
}

impl Net {
    pub(super) fn new(n: u8) -> Self {
        Self::with(n, |_| {})
    }

    pub(super) fn with(n: u8, change: impl FnOnce(&mut Genesis)) -> Self {
        let mut genesis = genesis_of((0..n).map(quick_identity));
        genesis.membership = Membership::Managed;
        change(&mut genesis);
        let genesis = Arc::new(genesis);
        let view = Arc::new(genesis.view());
        let roster = view.roster(quick_identity(0).suite()).unwrap();
        let timeouts = Timeouts::default();
        let group =
            |rank| Group::new(Arc::clone(&genesis), &timeouts, Arc::clone(&view), Rank::new(rank));
        let size = usize::from(n);
        Self {
            groups: (0..u16::from(n)).map(group).collect(),
            genesis,
            view,
            roster,
            doors: (0..n).map(|index| Door::new(quick_identity(index))).collect(),
            seen: vec![Seen::default(); size],
            said: Said::default(),
            decisions: vec![None; size],
            mail: VecDeque::new(),
            ends: vec![vec![(LogEnd::EMPTY, None); size]; size],
            now: Time::ZERO,
            holds: true,
        }
    }

    /// The same group, nothing said yet, in another view of the same members.
    pub(super) fn adopt(&mut self, view: View) {
        let timeouts = Timeouts::default();
        self.roster = view.roster(quick_identity(0).suite()).unwrap();
        self.view = Arc::new(view);
        let (genesis, view) = (&self.genesis, &self.view);
        let group = |rank| Group::new(Arc::clone(genesis), &timeouts, Arc::clone(view), rank);
        self.groups = Rank::all(view.members.len()).map(group).collect();
    }

    pub(super) fn n(&self) -> usize {
        self.groups.len()
    }

    /// `signer` suspects `subject`.
    pub(super) fn suspicion(&mut self, signer: u16, subject: u16) -> Verified<Suspect> {
        let said =
            Suspect { subject: Rank::new(subject), reason: Reason::Mute, proof: Hash32::ZERO };
        self.doors[usize::from(signer)].sign(&self.roster, Rank::new(signer), said)
    }

    /// Everybody in `to` hears that everybody in `signers` suspects `subject`.
    pub(super) fn suspect(&mut self, signers: &[u16], subject: u16, to: &[usize]) {
        for signer in signers {
            let said = self.suspicion(*signer, subject);
            for member in to {
                self.give(*member, In::Suspect(said.clone()));
            }
        }
    }

    /// One step of one member.
    pub(super) fn give(&mut self, member: usize, input: In) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut cx =
                Context { now: self.now, door: &mut self.doors[member], roster: &self.roster };
            for out in self.groups[member].step(&mut cx, input) {
                let seen = &mut self.seen[member];
                match out {
                    Out::Post(post) => {
                        for part in &post.parts {
                            contradicts_nothing(&mut self.said, member, part);
                            convicts_nobody((&self.genesis, &self.view, &self.roster), part);
                        }
                        for to in 0..self.ends.len() {
                            let is_for = match post.to {
                                To::All => to != member,
                                To::One(rank) => rank.index() == to,
                            };
                            if is_for {
                                let parts = post.parts.iter().cloned();
                                self.mail.extend(parts.map(|part| (member, to, part)));
                            }
                        }
                    }
                    Out::Freeze => {
                        seen.frozen += 1;
                        inputs.push_back(In::Frozen(self.ends[member].clone()));
                    }
                    Out::Collect(next, _) => {
                        seen.collected.push(next);
                        if self.holds {
                            inputs.push_back(In::Collected(next));
                        }
                    }
                    Out::Opinion(rank, why) => seen.opinions.push((rank.value(), why)),
                    Out::Abandoned(attempt) => seen.abandoned.push(attempt.value()),
                    Out::Decided(decision) => {
                        assert!(seen.decided.is_none(), "decided twice");
                        seen.decided = Some(decision.view.clone());
                        self.decisions[member] = Some(decision);
                    }
                    Out::Misbehaved(_) => seen.misbehaved += 1,
                    Out::Proof(proof) => {
                        let verdict = proof.verify(&self.genesis, &self.view, &self.roster);
                        assert_eq!(verdict, Ok(()), "{proof:?}");
                        seen.proofs.push(*proof);
                    }
                    Out::Learned(_) | Out::Certified(..) => {}
                }
            }
        }
    }

    /// Delivers the oldest message, if `passes` lets it; returns whether there was one.
    pub(super) fn deliver_one(&mut self, passes: &dyn Fn(usize, usize, &Part) -> bool) -> bool {
        let Some((from, to, part)) = self.mail.pop_front() else { return false };
        if passes(from, to, &part)
            && let Some(input) = input(from, part)
        {
            self.give(to, input);
        }
        true
    }

    /// Delivers everything that `passes`, until nothing is on its way.
    pub(super) fn settle(&mut self, passes: &dyn Fn(usize, usize, &Part) -> bool) {
        let mut steps = 0;
        while self.deliver_one(passes) {
            steps += 1;
            assert!(steps < 1_000_000, "no end of messages");
        }
    }

    /// Lets time pass to the next deadline of `members`, and gives them a Tick; `false` if there is
    /// none.
    pub(super) fn tick(&mut self, members: &[usize]) -> bool {
        let dues = members.iter().filter_map(|member| self.groups[*member].deadline());
        let Some(due) = dues.min() else { return false };
        self.now = self.now.max(due);
        for member in members {
            if self.groups[*member].deadline().is_some_and(|due| due <= self.now) {
                self.give(*member, In::Tick);
            }
        }
        true
    }

    /// Messages and time until all of `members` have decided.
    pub(super) fn run(&mut self, members: &[usize], passes: &dyn Fn(usize, usize, &Part) -> bool) {
        for _ in 0..10_000 {
            self.settle(passes);
            if members.iter().all(|member| self.seen[*member].decided.is_some()) {
                return;
            }
            assert!(self.tick(members), "nobody waits for anything");
        }
        panic!("no decision: {:?}", self.seen);
    }

    /// The one view that all of `members` decided on.
    pub(super) fn decided(&self, members: &[usize]) -> View {
        let first = self.seen[members[0]].decided.clone().expect("decided");
        for member in members {
            assert_eq!(self.seen[*member].decided.as_ref(), Some(&first), "one successor");
        }
        assert!(first.is_legal());
        first
    }

    pub(super) fn attempt(&self, member: usize) -> Attempt {
        self.groups[member].attempt
    }

    /// Member `member` holds the log of `sender` up to body `number`, certified; `casts` make it
    /// differ from other logs of that length.
    pub(super) fn holds_log(&mut self, member: usize, sender: u16, casts: &[&str]) {
        let mut rig = Rig::quick(u8::try_from(self.n()).unwrap());
        assert_eq!(rig.roster.view(), Rig::quick(u8::try_from(self.n()).unwrap()).roster.view());
        rig.roster = self.roster.clone();
        let chain = rig.chain(sender, casts);
        let head: Head = *chain.last().unwrap();
        let quorum = u16::try_from(self.roster.quorum().q()).unwrap();
        let heads = (0..quorum).map(|signer| rig.signed_heads(signer, &[head])).collect();
        let certificate = Certificate { head, heads, links: crate::wire::List::new() };
        let end = LogEnd { number: Number::new(casts.len() as u64), hash: head.hash };
        self.ends[member][usize::from(sender)] = (end, Some(certificate));
    }
}
