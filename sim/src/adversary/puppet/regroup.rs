//! A puppet goes along when its process comes to another view: ranks change, keys and links stay.

use std::collections::BTreeMap;

use phalanx_core::crypto::{Door, LinkKeys};
use phalanx_core::{Number, PerRank, PublicKey, Rank, View};

use super::Puppet;

impl Puppet {
    /// The body double installs `view`, and says in it what the puppet, still in the one before, is
    /// to pass on.
    pub(in crate::adversary) fn foresees(&mut self, view: &View) {
        self.coming = Some(view.members.len());
    }

    /// Acts in `view` from now on; says whether it does. It does not in a view that it is in
    /// already, that does not list it, or whose keys are none.
    pub(in crate::adversary) fn installs(&mut self, view: &View) -> bool {
        let key = |rank: Rank| self.view.member(rank).map(|member| member.key);
        let Some(me) = view.rank_of(&self.own) else { return false };
        if view.id() == *self.roster.view() {
            return false;
        }
        let Ok(roster) = view.roster(self.suite) else { return false };
        let moved = |rank: Rank| key(rank).and_then(|key| view.rank_of(&key));
        let mut doors: BTreeMap<Rank, Door> = BTreeMap::new();
        let all = core::mem::take(&mut self.doors).into_values();
        for door in all.chain(core::mem::take(&mut self.outside).into_values()) {
            let key = *door.identity().public_key();
            match view.rank_of(&key) {
                Some(rank) => drop(doors.insert(rank, door)),
                None => drop(self.outside.insert(key, door)),
            }
        }
        let victims = self.victims.iter().filter_map(|rank| moved(*rank)).collect();
        let counters = PerRank::from_fn(view.members.len(), |rank| {
            let before = view.member(rank).and_then(|member| self.view.rank_of(&member.key));
            before.and_then(|before| self.counters.get(before).copied()).unwrap_or(0)
        });
        (self.former, self.coming) = (Some(self.view.members.len()), None);
        self.liars = doors.keys().copied().collect();
        (self.doors, self.victims, self.counters) = (doors, victims, counters);
        (self.me, self.peers, self.roster) = (me, view.peers(), roster);
        (self.view, self.newest) = (view.clone(), Number::ZERO);
        self.links = self.derive_links();
        true
    }

    /// The keys of the links to all other members.
    pub(super) fn derive_links(&self) -> BTreeMap<Rank, LinkKeys> {
        let Some(door) = self.doors.get(&self.me) else { return BTreeMap::new() };
        let life = |rank: Rank| self.view.member(rank).map_or(0, |member| member.incarnation);
        let mine = life(self.me);
        self.others()
            .filter_map(|rank| {
                let key = self.roster.key(rank)?;
                let group = &self.view.group;
                Some((rank, LinkKeys::derive(door.identity(), mine, key, life(rank), group)))
            })
            .collect()
    }

    /// The key of a member of the present view.
    pub(in crate::adversary) fn key(&self, rank: Rank) -> Option<PublicKey> {
        self.view.member(rank).map(|member| member.key)
    }
}
