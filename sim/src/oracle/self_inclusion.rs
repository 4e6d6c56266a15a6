//! P7 Self-inclusion: a correct member installs only views that list it, and none after it is out;
//! who is told that it is out is so for the reason that the view gives.

use phalanx_core::{Departure, Exclusion, Member, PublicKey, Rank, View};

/// Who is out, and by which view.
#[derive(Debug)]
pub struct SelfInclusion {
    out: Vec<bool>,
}

impl SelfInclusion {
    /// For `n` processes, all of them in.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { out: vec![false; n] }
    }

    /// Whether this process was told that it is out.
    #[must_use]
    pub fn is_out(&self, process: usize) -> bool {
        self.out[process]
    }

    /// Checks that correct member `by`, this life of that key, may install `view`.
    ///
    /// # Errors
    /// If the view does not list it, or it is out.
    pub fn installed(
        &self,
        by: usize,
        (key, incarnation): (PublicKey, u64),
        view: &View,
    ) -> Result<(), String> {
        let number = view.number;
        if self.out[by] {
            return Err(format!("member {by} installed view {number} although it is out"));
        }
        let is_it = |member: &Member| (member.key, member.incarnation) == (key, incarnation);
        if view.members.iter().any(is_it) {
            return Ok(());
        }
        Err(format!("member {by} installed view {number}, which does not list it"))
    }

    /// Checks what correct member `by`, of `rank` in the view before, is told on its way out.
    ///
    /// # Errors
    /// If the view says otherwise.
    pub fn excluded(
        &mut self,
        by: usize,
        rank: Option<Rank>,
        why: Exclusion,
        next: &View,
    ) -> Result<(), String> {
        self.out[by] = true;
        let said: Option<Departure> = next
            .departed
            .iter()
            .find(|(gone, _)| Some(*gone) == rank)
            .map(|(_, departure)| *departure);
        let is_so = match why {
            Exclusion::Departed(departure) => said == Some(departure),
            Exclusion::Overtaken => said.is_none(),
        };
        if is_so {
            Ok(())
        } else {
            Err(format!("member {by} is told {why:?}, view {} says {said:?}", next.number))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{genesis, next};
    use super::*;

    #[test]
    fn views_without_their_member_are_seen() {
        let first = genesis(5);
        let (key, second_life) = ((first.members[4].key, 0), (first.members[4].key, 1));
        let mut oracle = SelfInclusion::new(5);
        assert_eq!(oracle.installed(4, key, &first), Ok(()));
        assert!(oracle.installed(4, second_life, &first).is_err(), "that was another life");
        let second = next(&first, &[(4, Departure::Opinion)], &[]);
        assert!(oracle.installed(4, key, &second).unwrap_err().contains("does not list"));
        let why = Exclusion::Departed(Departure::Opinion);
        assert_eq!(oracle.excluded(4, Some(Rank::new(4)), why, &second), Ok(()));
        assert!(oracle.is_out(4) && !oracle.is_out(3));
        assert!(oracle.installed(4, key, &first).unwrap_err().contains("is out"));
    }

    #[test]
    fn wrong_reasons_are_seen() {
        let first = genesis(5);
        let second = next(&first, &[(4, Departure::Opinion)], &[]);
        let mut oracle = SelfInclusion::new(5);
        for (rank, why) in [
            (4, Exclusion::Departed(Departure::Proof)),
            (3, Exclusion::Departed(Departure::Opinion)),
            (4, Exclusion::Overtaken),
        ] {
            let told = oracle.excluded(0, Some(Rank::new(rank)), why, &second);
            assert!(told.is_err(), "{rank} {why:?}");
        }
        assert_eq!(oracle.excluded(0, Some(Rank::new(3)), Exclusion::Overtaken, &second), Ok(()));
    }
}
