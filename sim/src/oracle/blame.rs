//! P9 Blame: a Proof names a liar, verifies by itself, and comes once; in any network. Nor does a
//! correct member ever close its link with another ([`super::Oracles::event`]).

use std::collections::BTreeSet;

use phalanx_core::crypto::Roster;
use phalanx_core::{Fault, FaultKind, Genesis, Hash32, Proof, View};

/// Checks Proofs and remembers whom they name.
#[derive(Debug)]
pub struct Blame {
    genesis: Genesis,
    /// The views of the run.
    views: Vec<(View, Roster)>,
    /// Holder, culprit and fault, and in which view.
    seen: BTreeSet<(usize, usize, FaultKind, Hash32)>,
}

impl Blame {
    /// For the first view of a run.
    #[must_use]
    pub fn new(genesis: Genesis, view: View, roster: Roster) -> Self {
        Self { genesis, views: vec![(view, roster)], seen: BTreeSet::new() }
    }

    /// There is another view.
    pub fn installed(&mut self, view: View, roster: Roster) {
        self.views.push((view, roster));
    }

    /// Checks a Proof that correct member `by` holds against `process`; `None` for one that the
    /// run does not know.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn fault(
        &mut self,
        by: usize,
        fault: &Fault,
        process: Option<usize>,
        is_liar: bool,
    ) -> Result<(), String> {
        let Fault { culprit, key, proof } = fault;
        let Some(process) = process.filter(|_| is_liar) else {
            return Err(format!("member {by} holds a Proof against correct member {culprit}"));
        };
        let Some((view, roster)) =
            self.views.iter().find(|(_, roster)| *roster.view() == proof.view)
        else {
            return Err(format!("the Proof of member {by} is of a view that nobody installed"));
        };
        if proof.culprit() != *culprit
            || view.member(*culprit).is_none_or(|member| member.key != *key)
        {
            return Err(format!("the Proof of member {by} against {culprit} names another"));
        }
        if Proof::from_bytes(&proof.to_bytes()).as_ref() != Some(proof) {
            return Err(format!("the Proof of member {by} against {culprit} does not read back"));
        }
        if let Err(why) = proof.verify(&self.genesis, view, roster) {
            return Err(format!("the Proof of member {by} against {culprit} is none: {why}"));
        }
        if !self.seen.insert((by, process, proof.kind(), proof.view)) {
            return Err(format!("member {by} reports one fault of {culprit} twice"));
        }
        Ok(())
    }

    /// How many members hold a Proof against `culprit`.
    #[must_use]
    pub fn holders(&self, culprit: usize) -> usize {
        let mut holders: Vec<usize> = self
            .seen
            .iter()
            .filter(|(_, process, ..)| *process == culprit)
            .map(|(by, ..)| *by)
            .collect();
        holders.dedup();
        holders.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Group;
    use crate::scenario::Scenario;
    use phalanx_core::crypto::{Door, Stable};
    use phalanx_core::wire::List;
    use phalanx_core::{Evidence, Number, Rank};

    /// Two rows of rank 3 with one counter, and everything to check them with.
    fn rig(second: u64) -> (Blame, Fault) {
        let group = Group::new(&Scenario::calm("blame", 4, 1)).unwrap();
        let view = group.genesis.view();
        let roster = view.roster(group.suite).unwrap();
        let mut door = Door::new(group.identity(3));
        let mut row = |have: u64| {
            let have: List<_, _> = (0..4).map(|_| Number::new(have)).collect();
            let row = door.sign(&roster, Rank::new(3), Stable { counter: 1, have });
            row.signed().as_ref().clone()
        };
        let evidence = Evidence::TwoRows { first: row(1), second: row(second) };
        let proof = Proof { view: view.id(), evidence };
        let culprit = Rank::new(3);
        let key = view.member(culprit).unwrap().key;
        (
            Blame::new(group.genesis.clone(), view, roster),
            Fault { culprit, key, proof: Box::new(proof) },
        )
    }

    #[test]
    fn a_proof_against_a_liar_is_good_once() {
        let (mut oracle, fault) = rig(2);
        assert_eq!(oracle.fault(0, &fault, Some(3), true), Ok(()));
        assert_eq!((oracle.holders(3), oracle.holders(2)), (1, 0));
        assert!(oracle.fault(0, &fault, Some(3), true).unwrap_err().contains("twice"));
    }

    #[test]
    fn proofs_that_are_wrong_are_seen() {
        let (mut oracle, fault) = rig(2);
        assert!(oracle.fault(0, &fault, Some(3), false).unwrap_err().contains("correct member"));
        let other = Fault { culprit: Rank::new(2), ..fault.clone() };
        let named = oracle.fault(0, &other, Some(2), true);
        assert!(named.unwrap_err().contains("names another"));
        let mut foreign = fault.clone();
        foreign.proof.view = Hash32::ZERO;
        let found = oracle.fault(0, &foreign, Some(3), true);
        assert!(found.unwrap_err().contains("nobody installed"));
        let (mut oracle, fault) = rig(1);
        assert!(oracle.fault(0, &fault, Some(3), true).unwrap_err().contains("is none"));
    }
}
