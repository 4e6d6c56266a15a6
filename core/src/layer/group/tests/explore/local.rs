//! What one member's machine remembers that can matter: the key by which machines are the same, and
//! what others can know of it, for everything that it signed may be anywhere.

use super::super::super::{Group, Phase};
use super::world::{On, World};
use crate::crypto::Locked;
use crate::layer::Context;
use crate::layer::group::Out;
use crate::seq::Attempt;
use alloc::vec::Vec;

/// The attempts that are counted: those in which something may be proposed, and one more, to which
/// R8 may lead.
pub(super) const ATTEMPTS: usize = 4;

/// By attempt.
pub(super) type By<T> = [Option<T>; ATTEMPTS];

/// See the head of this file; the head of the module says why the rest cannot matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) attempt: u8,
    /// The values of the own Acks.
    pub(super) acks: By<u8>,
    /// Of the own Readys.
    pub(super) readys: By<u8>,
    /// The locks in the own `NeedMoreChange`s.
    pub(super) more: By<Option<On>>,
    pub(super) lock: Option<On>,
    /// The proposal of the present attempt, if it is here: its value, and whether it is fresh.
    pub(super) proposal: Option<(u8, bool)>,
    /// Own proposals, by name.
    pub(super) proposed: By<u16>,
    /// The values whose views are known, as a set.
    pub(super) views: u32,
    /// Knows the suspicions.
    pub(super) is_told: bool,
}

fn index(attempt: Attempt) -> usize {
    attempt.value() as usize
}

impl Facts {
    pub(super) fn of(world: &mut World, machine: &Group) -> Self {
        assert!(machine.phase == Phase::Flushing && machine.aborts < machine.n());
        let me = machine.me;
        let on = |world: &World, lock: Locked| -> On {
            (u8::try_from(lock.attempt.value()).unwrap(), world.value(&lock.next))
        };
        let mut facts = Self {
            attempt: u8::try_from(machine.attempt.value()).unwrap(),
            is_told: machine.evidence.facts().suspicions.len() == world.suspects.len(),
            ..Self::default()
        };
        for ack in machine.acks.all_of(me) {
            facts.acks[index(ack.attempt)] = Some(world.value(&ack.next));
        }
        for ready in machine.readys.all_of(me) {
            facts.readys[index(ready.attempt)] = Some(world.value(&ready.next));
        }
        for more in machine.more.all_of(me) {
            facts.more[index(more.attempt)] = Some(more.lock.map(|lock| on(world, lock)));
        }
        for said in machine.new_views.all_of(me) {
            let message = &machine.proposals.get(&said.attempt).expect("kept").message;
            facts.proposed[index(said.attempt)] = Some(world.intern(message));
        }
        let proposal = machine.proposals.get(&machine.attempt);
        facts.proposal = proposal.map(|proposal| {
            (world.value(&proposal.message.signed.statement.next), proposal.is_fresh)
        });
        facts.views = machine.views.keys().map(|id| 1_u32 << world.value(id)).sum();
        facts.lock = machine.lock.as_ref().map(|lock| on(world, lock.on));
        let reported = machine.more.all_of(me).filter_map(|more| more.lock);
        let mut own = reported.chain(machine.lock.as_ref().map(|lock| lock.on));
        assert!(
            own.all(|lock| machine.locks.contains_key(&(lock.attempt, lock.next))),
            "LEMMA: what it reported it can prove"
        );
        assert!(
            machine.lock.as_ref().is_none_or(|lock| machine.collected == Some(lock.on.next)),
            "what is wanted is held at once"
        );
        let last_ack = facts.acks.iter().rposition(Option::is_some);
        assert_eq!(machine.acked.map(index), last_ack, "the own Ack is in the store");
        assert_eq!(machine.readied.map(index), facts.readys.iter().rposition(Option::is_some));
        facts
    }
}

impl Group {
    /// R6, R7 and R9 at the moment that the exploration chooses.
    pub(super) fn gives_up(&mut self, cx: &mut Context<'_>, to: Attempt) -> Vec<Out> {
        let mut out = Vec::new();
        self.advance(cx, to, &mut out);
        while self.applies(cx, &mut out) {}
        self.set_clock(cx.now);
        out
    }
}
