//! Ranks are of a view; people want names, and the same ones all the time.

use std::collections::BTreeMap;

use phalanx_core::{Departure, Event, Hash32, PublicKey, Rank, View};
use phalanx_mio::Notice;
use phalanx_mio::config::Group;

use crate::json::{fault_name, reason_name};

/// Views whose members are remembered.
const VIEWS: usize = 64;

fn keys_of(view: &View) -> Vec<PublicKey> {
    view.members.iter().map(|member| member.key).collect()
}

/// Follows the notices of a node, and knows what its ranks mean.
pub(crate) struct Naming<'a> {
    group: &'a Group,
    me: Option<PublicKey>,
    view: View,
    before: Option<View>,
    /// The members of the latest views: what a joiner delivers may be of an earlier view than the
    /// present one.
    keys: BTreeMap<u64, Vec<PublicKey>>,
    /// What members were suspected of.
    opinions: BTreeMap<PublicKey, String>,
    /// What members were proven to have done.
    proofs: BTreeMap<PublicKey, &'static str>,
}

impl<'a> Naming<'a> {
    /// In the genesis view; the member with the key `me` is marked.
    pub(crate) fn new(group: &'a Group, me: Option<PublicKey>) -> Self {
        let view = group.genesis.view();
        let (opinions, proofs) = (BTreeMap::new(), BTreeMap::new());
        let keys = BTreeMap::from([(0, keys_of(&view))]);
        Self { group, me, view, before: None, keys, opinions, proofs }
    }

    /// The view that the next notice is about.
    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    /// The present view or the one before, if this is its id.
    pub(crate) fn find(&self, id: &Hash32) -> Option<&View> {
        [Some(&self.view), self.before.as_ref()].into_iter().flatten().find(|view| view.id() == *id)
    }

    /// What the member at a rank of the present view is called.
    pub(crate) fn name(&self, rank: Rank) -> String {
        let member = self.view.member(rank);
        member.map_or_else(|| "?".to_owned(), |member| self.group.name_of(&member.key))
    }

    /// Returns the name of the member with a key.
    pub(crate) fn name_of(&self, key: &PublicKey) -> String {
        self.group.name_of(key)
    }

    /// Describes a view as it is always printed; the rank `me` is marked.
    pub(crate) fn describe(&self, view: &View, me: Option<Rank>) -> String {
        self.group.view_line(view, me)
    }

    /// Returns what the member with a key was proven to have done, or was last suspected of.
    pub(crate) fn opinion(&self, key: &PublicKey) -> Option<String> {
        let proven = self.proofs.get(key).map(|what| format!("proven guilty: {what}"));
        proven.or_else(|| self.opinions.get(key).map(|what| format!("suspected: {what}")))
    }

    /// Its place in the group file: its rank in the genesis view, if it was in it.
    pub(crate) fn place(&self, rank: Rank) -> Option<u16> {
        self.place_of(&self.view.member(rank)?.key)
    }

    /// The same of a member of the view with this number.
    pub(crate) fn place_in(&self, view: u64, rank: Rank) -> Option<u16> {
        self.place_of(self.keys.get(&view)?.get(rank.index())?)
    }

    /// The place of this key.
    pub(crate) fn place_of(&self, key: &PublicKey) -> Option<u16> {
        u16::try_from(self.group.place_of(key)?).ok()
    }

    /// Takes the next notice in. Returns the line about the view if it brings one.
    pub(crate) fn follow(&mut self, notice: &Notice) -> Option<String> {
        let key = |rank: &Rank| self.view.member(*rank).map(|member| member.key);
        match notice {
            Notice::Fault(fault) => {
                self.proofs.insert(fault.key, fault_name(fault.proof.kind()));
            }
            Notice::Event(Event::Suspected { subject, reason, .. }) if !reason.is_proof() => {
                self.opinions.extend(key(subject).map(|key| (key, reason_name(*reason))));
            }
            Notice::Event(Event::View(view)) => {
                let line = self.line(view);
                self.keys.insert(view.number, keys_of(view));
                while self.keys.len() > VIEWS {
                    self.keys.pop_first();
                }
                self.before = Some(std::mem::replace(&mut self.view, View::clone(view)));
                return Some(line);
            }
            Notice::Event(_) | Notice::ComesBack { .. } | Notice::StaysOut { .. } => {}
        }
        None
    }

    fn line(&self, next: &View) -> String {
        let why = |key: &PublicKey, how| match how {
            Departure::Proof => self.proofs.get(key).map(|what| (*what).to_owned()),
            Departure::Opinion => self.opinions.get(key).cloned(),
            Departure::Left | Departure::Replaced => None,
        };
        let me = self.me.and_then(|key| next.rank_of(&key));
        if next.prev != self.view.id() {
            // Who has just joined does not know what changed.
            return self.group.view_line(next, me);
        }
        self.group.change_line((&self.view, next), me, &why)
    }
}
