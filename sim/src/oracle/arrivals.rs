//! L1 for those that come: a correct process that may be a member becomes one. And L3: correct
//! members that were excluded for an opinion rejoin, so they must come to know that they are out.

use phalanx_core::{Departure, PublicKey};

use super::views::Views;

/// Who may come: what the configuration of the members says.
#[derive(Debug)]
pub struct Arrivals {
    /// Members of the genesis view.
    genesis: usize,
    max_members: usize,
    /// By process.
    authorised: Vec<bool>,
    is_rejoining: bool,
}

impl Arrivals {
    /// For the members of the genesis view; `is_rejoining` tells whether processes come back by
    /// themselves.
    #[must_use]
    pub fn new(members: usize, max_members: u16, is_rejoining: bool) -> Self {
        let (authorised, max_members) = (vec![true; members], usize::from(max_members));
        Self { genesis: members, max_members, authorised, is_rejoining }
    }

    /// Another process starts.
    pub fn started(&mut self, is_authorised: bool) {
        self.authorised.push(is_authorised);
    }

    /// Which of the correct processes that are still there is owed membership and has none, if any.
    #[must_use]
    pub fn missing(&self, views: &Views, present: &[usize]) -> Option<String> {
        let (_, newest) = views.newest();
        let number = newest.view.number;
        present.iter().copied().filter(|process| !newest.lists(*process)).find_map(|process| {
            let life = &views.lives()[process];
            if views.has_entered(process) {
                // It may have been away for longer than the others remember it.
                return self.is_rejoining.then(|| {
                    format!("process {process} does not know that view {number} is without it")
                });
            }
            let is_expelled = newest.view.expelled.contains(&life.key);
            let has_place = newest.view.rank_of(&life.key).is_some()
                || newest.view.members.len() < self.max_members;
            // Members of the genesis view are on no list: who of them left is a stranger.
            let is_stranger = usize::from(life.host) < self.genesis && has_left(views, &life.key);
            let is_owed = self.authorised[process] && has_place && !is_expelled && !is_stranger;
            is_owed.then(|| format!("process {process} is no member in view {number}"))
        })
    }
}

/// Whether the holder of this key left some view because it asked to.
fn has_left(views: &Views, key: &PublicKey) -> bool {
    (1..views.count()).any(|place| {
        let (before, after) = (&views.at(place - 1).view, &views.at(place).view);
        after.departed.iter().any(|(rank, why)| {
            let is_this = before.member(*rank).is_some_and(|member| member.key == *key);
            is_this && *why == Departure::Left
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::views::Life;
    use super::super::views::tests::{all_correct, genesis, next, with};
    use super::*;

    fn rig(is_authorised: bool, max_members: u16) -> (Views, Arrivals, phalanx_core::View) {
        let first = genesis(4);
        let mut views = all_correct(&first);
        let mut oracle = Arrivals::new(4, max_members, false);
        let second = with(&first, 4, 0);
        let key = second.members[4].key;
        views.started(Life { host: 4, key, incarnation: 0, is_liar: false });
        oracle.started(is_authorised);
        (views, oracle, second)
    }

    #[test]
    fn who_may_join_and_does_not_is_seen() {
        let (mut views, oracle, second) = rig(true, 5);
        assert!(oracle.missing(&views, &[0, 1, 4]).unwrap().contains("process 4"));
        assert_eq!(oracle.missing(&views, &[0, 1]), None);
        views.installed(0, &second);
        assert_eq!(oracle.missing(&views, &[0, 1, 4]), None);
        for (is_authorised, max_members) in [(false, 5), (true, 4)] {
            let (views, oracle, _) = rig(is_authorised, max_members);
            assert_eq!(oracle.missing(&views, &[0, 4]), None, "no right, or no room");
        }
    }

    #[test]
    fn a_next_life_needs_no_room_and_an_expelled_one_is_owed_nothing() {
        let first = genesis(4);
        let mut views = all_correct(&first);
        let mut oracle = Arrivals::new(4, 4, false);
        views.started(Life { host: 2, key: first.members[2].key, incarnation: 1, is_liar: false });
        oracle.started(true);
        assert!(oracle.missing(&views, &[0, 4]).is_some());
        let mut second = next(&first, &[(2, Departure::Proof)], &[]);
        second.expelled.as_mut_vec().push(first.members[2].key);
        views.installed(0, &second);
        assert_eq!(oracle.missing(&views, &[0, 4]), None);
    }

    #[test]
    fn who_does_not_know_that_it_is_out_cannot_come_back() {
        let first = genesis(4);
        let mut views = all_correct(&first);
        views.installed(0, &next(&first, &[(3, Departure::Opinion)], &[]));
        let missing = |is_rejoining| Arrivals::new(4, 64, is_rejoining).missing(&views, &[0, 3]);
        assert!(missing(true).unwrap().contains("does not know"));
        assert_eq!(missing(false), None);
    }

    #[test]
    fn who_left_is_owed_nothing_and_who_was_put_out_is() {
        for (why, is_owed) in [(Departure::Left, false), (Departure::Opinion, true)] {
            let first = genesis(4);
            let mut views = all_correct(&first);
            views.installed(0, &next(&first, &[(3, why)], &[]));
            let mut oracle = Arrivals::new(4, 64, false);
            let key = first.members[3].key;
            views.started(Life { host: 3, key, incarnation: 1, is_liar: false });
            oracle.started(true);
            assert_eq!(oracle.missing(&views, &[0, 4]).is_some(), is_owed, "{why:?}");
        }
    }
}
