//! Who is who: processes keep their index for ever (genesis rank, then in the order in which they
//! started), ranks are those of one view. Every rank in an event is translated here.
//!
//! A correct process is one life of its key. A liar is all lives of its key, whatever it makes of
//! them.

use phalanx_core::{Hash32, Member, PublicKey, Rank, Status, View};

/// A view that some correct member installed.
#[derive(Clone, Debug)]
pub struct Record {
    /// The record itself.
    pub view: View,
    /// Its id.
    pub id: Hash32,
    /// The process of each rank; `None` for one that the run does not know.
    pub processes: Vec<Option<usize>>,
}

/// A process.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Where it runs.
    pub host: u16,
    /// Its key.
    pub key: PublicKey,
    /// Which life of it.
    pub incarnation: u64,
    /// Whether it lies.
    pub is_liar: bool,
}

impl Record {
    fn new(view: &View, lives: &[Life]) -> Self {
        let process = |member: &Member| {
            let is_it = |life: &Life| {
                life.key == member.key && (life.incarnation == member.incarnation || life.is_liar)
            };
            lives.iter().position(is_it)
        };
        let processes = view.members.iter().map(process).collect();
        Self { view: view.clone(), id: view.id(), processes }
    }

    /// The process of this rank.
    #[must_use]
    pub fn process(&self, rank: Rank) -> Option<usize> {
        self.processes.get(rank.index()).copied().flatten()
    }

    /// The rank of this process.
    #[must_use]
    pub fn rank(&self, process: usize) -> Option<Rank> {
        Rank::all(self.processes.len()).find(|rank| self.process(*rank) == Some(process))
    }

    /// Whether this process is a member, whatever its status.
    #[must_use]
    pub fn lists(&self, process: usize) -> bool {
        self.processes.contains(&Some(process))
    }

    /// Whether this process is an Active member.
    #[must_use]
    pub fn is_active(&self, process: usize) -> bool {
        let member = self.rank(process).and_then(|rank| self.view.member(rank));
        member.is_some_and(|member| member.status == Status::Active)
    }

    /// How many members it has.
    #[must_use]
    pub fn size(&self) -> u16 {
        u16::try_from(self.processes.len()).unwrap_or(u16::MAX)
    }
}

/// All views of a run, and which of them each process is in.
#[derive(Debug)]
pub struct Views {
    lives: Vec<Life>,
    records: Vec<Record>,
    /// The place of the view that a process is in; the first until it is in one.
    present: Vec<usize>,
    has_entered: Vec<bool>,
}

impl Views {
    /// Everybody in the genesis view; `liars` tells who lies.
    #[must_use]
    pub fn new(genesis: &View, liars: &[bool]) -> Self {
        let lives: Vec<Life> = (0..)
            .zip(&genesis.members)
            .zip(liars)
            .map(|((host, member), is_liar)| {
                let Member { key, incarnation, .. } = *member;
                Life { host, key, incarnation, is_liar: *is_liar }
            })
            .collect();
        let n = lives.len();
        let records = vec![Record::new(genesis, &lives)];
        Self { records, lives, present: vec![0; n], has_entered: vec![true; n] }
    }

    /// Another process starts; its index.
    pub fn started(&mut self, life: Life) -> usize {
        self.lives.push(life);
        self.present.push(0);
        self.has_entered.push(false);
        self.lives.len() - 1
    }

    /// All processes there were so far.
    #[must_use]
    pub fn lives(&self) -> &[Life] {
        &self.lives
    }

    /// Whether a process is, or was, in a view.
    #[must_use]
    pub fn has_entered(&self, process: usize) -> bool {
        self.has_entered[process]
    }

    /// Whether any of these views lists a process of this host.
    #[must_use]
    pub fn lists_host(&self, host: u16, views: std::ops::Range<usize>) -> bool {
        let on_host = |process: &Option<usize>| {
            process.is_some_and(|process| self.lives[process].host == host)
        };
        self.records[views].iter().any(|record| record.processes.iter().any(on_host))
    }

    /// Process `by` installs `view`: its place among the views, and whether it is new.
    pub fn installed(&mut self, by: usize, view: &View) -> (usize, bool) {
        let id = view.id();
        let known = self.records.iter().position(|record| record.id == id);
        let at = known.unwrap_or_else(|| {
            self.records.push(Record::new(view, &self.lives));
            self.records.len() - 1
        });
        (self.present[by], self.has_entered[by]) = (at, true);
        (at, known.is_none())
    }

    /// The place of the view that process `by` is in.
    #[must_use]
    pub fn place(&self, by: usize) -> usize {
        self.present[by]
    }

    /// The view that process `by` is in.
    #[must_use]
    pub fn present(&self, by: usize) -> &Record {
        &self.records[self.present[by]]
    }

    /// The view at this place.
    #[must_use]
    pub fn at(&self, place: usize) -> &Record {
        &self.records[place]
    }

    /// The view with this id and its place.
    #[must_use]
    pub fn by_id(&self, id: &Hash32) -> Option<(usize, &Record)> {
        self.records.iter().enumerate().find(|(_, record)| record.id == *id)
    }

    /// The view with the highest number that any correct member installed, and its place.
    #[must_use]
    pub fn newest(&self) -> (usize, &Record) {
        let mut newest = (0, &self.records[0]);
        for (at, record) in self.records.iter().enumerate() {
            if record.view.number > newest.1.view.number {
                newest = (at, record);
            }
        }
        newest
    }

    /// Whether some view lists a process as Silenced.
    #[must_use]
    pub fn was_silenced(&self, process: usize) -> bool {
        self.records.iter().any(|record| record.lists(process) && !record.is_active(process))
    }

    /// How many views there are, the genesis view included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cluster::Group;
    use crate::scenario::Scenario;
    use phalanx_core::Departure;
    use phalanx_core::wire::List;

    /// The genesis view of `n`.
    pub(in crate::oracle) fn genesis(n: u16) -> View {
        Group::new(&Scenario::calm("views", n, 1)).unwrap().genesis.view()
    }

    /// The successor of `view` without the ranks in `out`, and with these silenced.
    pub(in crate::oracle) fn next(view: &View, out: &[(u16, Departure)], silenced: &[u16]) -> View {
        let mut next = view.clone();
        (next.number, next.prev) = (view.number + 1, view.id());
        for rank in silenced {
            next.members[usize::from(*rank)].status = Status::Silenced;
        }
        let is_out = |rank: &usize| out.iter().any(|(gone, _)| usize::from(*gone) == *rank);
        let members = next.members.iter().enumerate().filter(|(rank, _)| !is_out(rank));
        next.members = members.map(|(_, member)| member.clone()).collect();
        let departed = out.iter().map(|(rank, why)| (Rank::new(*rank), *why));
        next.departed = List::from(departed.collect::<Vec<_>>());
        next.silenced = List::from(silenced.iter().copied().map(Rank::new).collect::<Vec<_>>());
        let spare = u16::try_from(super::super::quorums::faulty(next.members.len() as u16));
        next.pledge = next.pledge.min(spare.unwrap());
        next
    }

    /// All views of a run in which nobody lies.
    pub(in crate::oracle) fn all_correct(genesis: &View) -> Views {
        Views::new(genesis, &vec![false; genesis.members.len()])
    }

    /// `view` with another life of the host at its end, which replaces an old one if there is one.
    pub(in crate::oracle) fn with(view: &View, host: u16, incarnation: u64) -> View {
        let group = Group::new(&Scenario::calm("views", host + 1, 1)).unwrap();
        let key = *group.identity(host).public_key();
        let old = view.rank_of(&key).map(|rank| (rank.value(), Departure::Replaced));
        let mut next = next(view, &Vec::from_iter(old), &[]);
        let status = Status::Active;
        next.members.push(Member { key, incarnation, addr: Vec::new(), status });
        next
    }

    #[test]
    fn lives_are_told_apart_except_those_of_liars() {
        let first = genesis(5);
        let mut views = Views::new(&first, &[false, false, false, true, false]);
        let key = |rank: usize| first.members[rank].key;
        let life = |host: u16, key, incarnation| Life { host, key, incarnation, is_liar: false };
        assert_eq!(views.started(life(2, key(2), 1)), 5);
        assert!(!views.has_entered(5));
        let second = with(&with(&first, 2, 1), 3, 9);
        views.installed(5, &second);
        let record = views.present(5);
        assert!(record.lists(5) && !record.lists(2) && record.lists(3) && views.has_entered(5));
        assert!(views.lists_host(2, 1..2) && !views.lists_host(5, 0..2));
        views.installed(0, &with(&first, 2, 7));
        assert_eq!(views.present(0).process(Rank::new(4)), None, "nobody knows that life");
    }

    #[test]
    fn processes_keep_their_index_when_ranks_move() {
        let first = genesis(5);
        let second = next(&first, &[(1, Departure::Opinion)], &[3]);
        let mut views = all_correct(&first);
        assert_eq!(views.installed(2, &first), (0, false));
        assert_eq!(views.installed(2, &second), (1, true));
        assert_eq!(views.installed(4, &second), (1, false));
        let record = views.present(2);
        assert_eq!(record.process(Rank::new(1)), Some(2));
        assert_eq!((record.rank(4), record.rank(1)), (Some(Rank::new(3)), None));
        assert!(record.lists(3) && !record.is_active(3) && record.is_active(4));
        assert_eq!((record.size(), record.process(Rank::new(4))), (4, None));
        assert_eq!(views.present(0).view.number, 0);
        assert_eq!((views.newest().0, views.count(), views.place(0)), (1, 2, 0));
        assert!(views.by_id(&second.id()).is_some_and(|(at, _)| at == 1));
    }
}
