//! P8 Membership integrity: who leaves asked to, or was suspected by a correct member of the view;
//! who joins, or is Active again, was recommended by one, and was a member before, or somebody said
//! that it may. And a view is no more than its departures
//! say: survivors keep their order, joiners come last, and at most `max(1, f)` go at once.

use std::collections::BTreeSet;

use phalanx_core::{Departure, Hash32, Member, PublicKey, Rank, Status, View};

use super::quorums;

/// The grounds that correct members gave, or were given.
#[derive(Debug, Default)]
pub struct Grounds {
    /// Whom a correct member of a view suspects in it.
    suspected: BTreeSet<(Hash32, Rank)>,
    /// Who signed that it wants to leave.
    leaving: BTreeSet<(Hash32, Rank)>,
    /// For whom a correct member of a view is.
    recommended: BTreeSet<(Hash32, PublicKey, u64)>,
    /// Views of which nothing is seen: their only member is correct and talks to nobody.
    alone: BTreeSet<Hash32>,
    /// Who may join: the keys in the members' configuration, and of members.
    authorised: BTreeSet<PublicKey>,
}

impl Grounds {
    /// A correct member suspects `subject`.
    pub fn suspected(&mut self, view: Hash32, subject: Rank) {
        self.suspected.insert((view, subject));
    }

    /// `member` was seen to sign that it wants to leave.
    pub fn leaves(&mut self, view: Hash32, member: Rank) {
        self.leaving.insert((view, member));
    }

    /// A correct member is for taking this process in, or for having it Active again.
    pub fn recommended(&mut self, view: Hash32, key: PublicKey, incarnation: u64) {
        self.recommended.insert((view, key, incarnation));
    }

    /// The only member of a view is correct.
    pub fn alone(&mut self, view: Hash32) {
        self.alone.insert(view);
    }

    /// The holder of this key may join.
    pub fn authorised(&mut self, key: PublicKey) {
        self.authorised.insert(key);
    }

    /// Checks the step from one view to the next.
    ///
    /// # Errors
    /// What there are no grounds for.
    pub fn changed(&mut self, before: &View, after: &View) -> Result<(), String> {
        let number = after.number;
        let id = before.id();
        self.authorised.extend(before.members.iter().map(|member| member.key));
        let cap = quorums::faulty(u16::try_from(before.members.len()).unwrap_or(1)).max(1);
        if after.departed.len() + after.silenced.len() > cap {
            return Err(format!("view {number} does away with more than {cap} members"));
        }
        let mut expected: Vec<Member> = Vec::new();
        for (rank, member) in Rank::all(before.members.len()).zip(&before.members) {
            let departure = after.departed.iter().find(|(gone, _)| *gone == rank);
            if let Some((_, why)) = departure {
                self.departs(&id, rank, *why)
                    .map_err(|text| format!("view {number}: rank {rank} {text}"))?;
                continue;
            }
            expected.push(self.stays(&id, rank, member, after)?);
        }
        let kept = after.members.get(..expected.len());
        if kept != Some(&expected[..]) {
            return Err(format!("view {number} changes more than its departures say"));
        }
        for joiner in after.members.iter().skip(expected.len()) {
            let (key, life) = (joiner.key, joiner.incarnation);
            if !self.authorised.contains(&key) {
                return Err(format!("view {number}: nobody said that a joiner may join"));
            }
            if !self.recommended.contains(&(id, key, life)) && !self.alone.contains(&id) {
                return Err(format!("view {number}: nobody correct recommended a joiner"));
            }
        }
        Self::expelled(before, after)
    }

    fn departs(&self, view: &Hash32, rank: Rank, why: Departure) -> Result<(), String> {
        let at = (*view, rank);
        let (has_grounds, text) = match why {
            Departure::Proof | Departure::Opinion => {
                (self.suspected.contains(&at), "was suspected by nobody correct")
            }
            Departure::Left => (self.leaving.contains(&at), "did not ask to leave"),
            // Its new life is a joiner, and judged as one.
            Departure::Replaced => (true, ""),
        };
        if has_grounds { Ok(()) } else { Err(text.to_owned()) }
    }

    /// What becomes of a member that stays.
    fn stays(
        &self,
        view: &Hash32,
        rank: Rank,
        member: &Member,
        after: &View,
    ) -> Result<Member, String> {
        let mut member = member.clone();
        let number = after.number;
        if after.silenced.contains(&rank) {
            if member.status == Status::Silenced {
                return Err(format!("view {number} silences rank {rank}, which was silent"));
            }
            let asked = self.recommended.contains(&(*view, member.key, member.incarnation));
            if !self.suspected.contains(&(*view, rank)) && !asked {
                return Err(format!("view {number} silences rank {rank}, which nobody suspected"));
            }
            member.status = Status::Silenced;
        } else if member.status == Status::Silenced {
            let now = after.members.iter().find(|other| other.key == member.key);
            let is_active = now.is_some_and(|now| now.status == Status::Active);
            let asked = (*view, member.key, member.incarnation);
            // Somebody must be Active: the lowest rank, if nobody else is.
            let active = after.members.iter().filter(|other| other.status == Status::Active);
            let is_last = active.count() == 1
                && after.members.first().is_some_and(|first| first.key == member.key);
            if is_active && !is_last && !self.recommended.contains(&asked) {
                return Err(format!("view {number}: nobody correct wants rank {rank} Active"));
            }
            if is_active {
                member.status = Status::Active;
            }
        }
        Ok(member)
    }

    /// Who is expelled was proven guilty, stays expelled, and is no member.
    fn expelled(before: &View, after: &View) -> Result<(), String> {
        let by_proof = after.departed.iter().filter(|(_, why)| *why == Departure::Proof);
        let new = by_proof.filter_map(|(rank, _)| before.member(*rank)).map(|member| member.key);
        let mut expected: Vec<PublicKey> = before.expelled.iter().copied().chain(new).collect();
        expected.sort_unstable();
        let is_member = |key: &PublicKey| after.members.iter().any(|member| member.key == *key);
        if expected[..] != after.expelled[..] || expected.iter().any(is_member) {
            return Err(format!("view {} expels others than were proven guilty", after.number));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::views::tests::{genesis, next};
    use super::*;

    fn grounds(view: &View, suspected: &[u16]) -> Grounds {
        let mut oracle = Grounds::default();
        suspected.iter().for_each(|rank| oracle.suspected(view.id(), Rank::new(*rank)));
        oracle
    }

    #[test]
    fn departures_need_grounds_in_their_view() {
        let first = genesis(5);
        for why in [Departure::Opinion, Departure::Proof, Departure::Left] {
            let mut second = next(&first, &[(2, why)], &[]);
            if why == Departure::Proof {
                second.expelled.as_mut_vec().push(first.members[2].key);
            }
            let mut none = grounds(&first, &[1]);
            assert!(none.changed(&first, &second).unwrap_err().contains("rank 2"), "{why:?}");
            let mut some = grounds(&first, if why == Departure::Left { &[] } else { &[2] });
            if why == Departure::Left {
                some.leaves(first.id(), Rank::new(2));
            }
            assert_eq!(some.changed(&first, &second), Ok(()), "{why:?}");
            let third = next(&second, &[(2, why)], &[]);
            assert!(some.changed(&second, &third).is_err(), "grounds end with the view: {why:?}");
        }
    }

    #[test]
    fn silencing_needs_grounds_too() {
        let first = genesis(4);
        let second = next(&first, &[], &[3]);
        assert!(grounds(&first, &[]).changed(&first, &second).is_err());
        assert_eq!(grounds(&first, &[3]).changed(&first, &second), Ok(()));
        let third = next(&second, &[], &[3]);
        let again = grounds(&second, &[3]).changed(&second, &third);
        assert!(again.unwrap_err().contains("was silent"));
        let mut awake = next(&second, &[], &[]);
        awake.members[3].status = Status::Active;
        let mut oracle = Grounds::default();
        assert!(oracle.changed(&second, &awake).unwrap_err().contains("wants rank 3"));
        let member = &second.members[3];
        oracle.recommended(second.id(), member.key, member.incarnation);
        assert_eq!(oracle.changed(&second, &awake), Ok(()));
    }

    #[test]
    fn more_than_the_cap_and_what_no_departure_says_are_seen() {
        let first = genesis(5);
        let (one, two) = ((1, Departure::Opinion), (2, Departure::Opinion));
        let both = next(&first, &[one, two], &[]);
        assert!(grounds(&first, &[1, 2]).changed(&first, &both).unwrap_err().contains("more than"));
        let good = next(&first, &[one], &[]);
        let changes: [fn(&mut View); 4] = [
            |view| view.members.swap(0, 1),
            |view| view.members[2].incarnation += 1,
            |view| drop(view.members.remove(1)),
            |view| view.departed.as_mut_vec().clear(),
        ];
        for change in changes {
            let mut bad = good.clone();
            change(&mut bad);
            let found = grounds(&first, &[1]).changed(&first, &bad);
            assert!(found.unwrap_err().contains("changes more"));
        }
        let mut expelled = good.clone();
        expelled.expelled.as_mut_vec().push(first.members[1].key);
        assert!(grounds(&first, &[1]).changed(&first, &expelled).unwrap_err().contains("expels"));
    }

    #[test]
    fn joiners_need_somebody_correct() {
        let first = genesis(4);
        let mut second = next(&first, &[], &[]);
        let stranger = genesis(5).members[4].clone();
        second.members.push(stranger.clone());
        let mut oracle = Grounds::default();
        assert!(oracle.changed(&first, &second).unwrap_err().contains("joiner"));
        oracle.recommended(first.id(), stranger.key, stranger.incarnation);
        assert!(oracle.changed(&first, &second).unwrap_err().contains("said that a joiner may"));
        oracle.authorised(stranger.key);
        assert_eq!(oracle.changed(&first, &second), Ok(()));
        let (mut once, mut alone) = (Grounds::default(), Grounds::default());
        once.authorised(stranger.key);
        assert!(once.changed(&first, &second).unwrap_err().contains("nobody correct recommended"));
        alone.authorised(stranger.key);
        alone.alone(first.id());
        assert_eq!(alone.changed(&first, &second), Ok(()));
    }
}
