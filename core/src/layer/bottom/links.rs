//! The links of a process, and which of them are members of a view (protocol.md section 3).
//!
//! Promises: a link lives as long as both lives of its two ends are of interest, across views; its
//! frame counter and its replay window never start again while its keys are the same. There are no
//! more links than members of the present view and the one before, and sixteen.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::link::{Life, Link, LinkLimits, Past};
use crate::crypto::{Hash32, Identity, LinkKeys, Roster};
use crate::member::{PeerId, PerRank, Rank};
use crate::time::{Time, earliest};
use crate::view::View;

/// Links to those that are no members any more, which linger: the latest.
const LINGERING_MAX: usize = 16;

/// Links that are remembered after they were given up, about 250 bytes each.
const PASTS_MAX: usize = 256;

/// All links, by the places where they stand.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// To the members of the present view in rank order, then to those that linger.
    all: Vec<Link>,
    /// Places by peer, ascending.
    places: Vec<(PeerId, usize)>,
    pasts: VecDeque<Past>,
    /// Frames lost on links that were given up.
    lost_before: u64,
}

impl Links {
    pub(super) fn place_of(&self, peer: PeerId) -> Option<usize> {
        let index = self.places.binary_search_by_key(&peer, |(peer, _)| *peer).ok()?;
        self.places.get(index).map(|(_, place)| *place)
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Link> {
        self.all.get_mut(place)
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<&Link> {
        self.all.get(self.place_of(peer)?)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Link> {
        let place = self.place_of(peer)?;
        self.all.get_mut(place)
    }

    pub(super) fn iter(&self) -> core::slice::Iter<'_, Link> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Link> {
        self.all.iter_mut()
    }

    pub(super) fn lost(&self) -> u64 {
        self.all.iter().fold(self.lost_before, |sum, link| sum.saturating_add(link.splitter.lost()))
    }

    /// When the first link that lingers is given up.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.all.iter().fold(None, |first, link| earliest(first, link.until))
    }

    /// Links to the members of `view`: those that there are and new ones. The links of members of
    /// the view before linger until `until`. So do those of views before that, but the latest only:
    /// who was put out when views followed each other quickly must still be told.
    pub(super) fn install(
        &mut self,
        view: &View,
        roster: &Roster,
        (identity, incarnation): (&Identity, u64),
        limits: &LinkLimits,
        until: Time,
    ) {
        let mut before = core::mem::take(&mut self.all);
        let peers = view.peers();
        for ((rank, peer), member) in peers.iter().zip(&view.members) {
            let life = Life { key: member.key, incarnation: member.incarnation };
            let Some(key) = roster.key(rank).filter(|_| member.key != *identity.public_key())
            else {
                continue;
            };
            if let Some(known) = before.iter().position(|link| link.life == life) {
                let mut link = before.remove(known);
                link.renew(limits, None);
                self.all.push(link);
                continue;
            }
            let their = member.incarnation;
            let keys = LinkKeys::derive(identity, incarnation, key, their, roster.group());
            let past = self.take_past(&life);
            self.all.push(Link::new((*peer, life), keys, limits, past));
        }
        let mut lingering = 0_usize;
        for mut link in before {
            // The latest come first.
            lingering = lingering.saturating_add(usize::from(link.until.is_some()));
            // A higher life of the same process, or another one that frames cannot tell from it,
            // takes its place at once.
            if lingering > LINGERING_MAX || self.all.iter().any(|other| other.peer == link.peer) {
                self.give_up(&link);
                continue;
            }
            let until = link.until.unwrap_or(until);
            link.renew(limits, Some(until));
            self.all.push(link);
        }
        self.find_places();
    }

    /// Gives up the links that lingered long enough.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let is_over = |link: &Link| link.until.is_some_and(|until| until <= now);
        if !self.all.iter().any(is_over) {
            return false;
        }
        self.give_up_if(is_over);
        true
    }

    /// Gives up all links.
    pub(super) fn clear(&mut self) {
        self.give_up_if(|_| true);
    }

    fn give_up_if(&mut self, is_over: impl Fn(&Link) -> bool) {
        for link in core::mem::take(&mut self.all) {
            if is_over(&link) {
                self.give_up(&link);
            } else {
                self.all.push(link);
            }
        }
        self.find_places();
    }

    fn give_up(&mut self, link: &Link) {
        self.lost_before = self.lost_before.saturating_add(link.splitter.lost());
        if self.pasts.len() >= PASTS_MAX {
            self.pasts.pop_front();
        }
        self.pasts.push_back(link.past());
    }

    fn take_past(&mut self, life: &Life) -> Option<Past> {
        let at = self.pasts.iter().position(|past| past.life == *life)?;
        self.pasts.remove(at)
    }

    fn find_places(&mut self) {
        self.places = self.all.iter().enumerate().map(|(place, link)| (link.peer, place)).collect();
        self.places.sort_unstable();
        self.places.dedup_by_key(|(peer, _)| *peer);
    }
}

/// A view whose packets are taken apart.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: Hash32,
    /// The other members, by rank.
    lives: PerRank<Life>,
    /// Where their links are; none for this process itself, and for who is not linked any more.
    places: PerRank<Option<usize>>,
    /// Who they are, by those places.
    ranks: Vec<Option<Rank>>,
}

impl Known {
    pub(super) fn new(view: &View, roster: &Roster, links: &Links) -> Self {
        let mut members = view.members.iter();
        let lives = PerRank::from_fn(view.members.len(), |_| {
            let (key, incarnation) = members
                .next()
                .map_or((crate::PublicKey([0; 32]), 0), |member| (member.key, member.incarnation));
            Life { key, incarnation }
        });
        let places = PerRank::from_fn(lives.len(), |_| None);
        let mut known = Self { id: *roster.view(), lives, places, ranks: Vec::new() };
        known.find(links);
        known
    }

    /// A view of which nobody is linked, nor ever will be.
    pub(super) const fn none(roster: &Roster) -> Self {
        Self {
            id: *roster.view(),
            lives: PerRank::from_vec(Vec::new()),
            places: PerRank::from_vec(Vec::new()),
            ranks: Vec::new(),
        }
    }

    /// Finds the links of its members anew.
    pub(super) fn find(&mut self, links: &Links) {
        self.places.values_mut().for_each(|place| *place = None);
        self.ranks.clear();
        for (place, link) in links.all.iter().enumerate() {
            let rank = self.lives.iter().find(|(_, life)| **life == link.life);
            let rank = rank.map(|(rank, _)| rank);
            if let Some(rank) = rank {
                *self.places.at_mut(rank) = Some(place);
            }
            self.ranks.push(rank);
        }
    }

    /// How many members it has.
    pub(super) const fn n(&self) -> usize {
        self.lives.len()
    }

    /// Where the link of a member stands.
    pub(super) fn place_of(&self, rank: Rank) -> Option<usize> {
        self.places.get(rank).copied().flatten()
    }

    /// Who is at the other end of the link in this place.
    pub(super) fn rank_at(&self, place: usize) -> Option<Rank> {
        self.ranks.get(place).copied().flatten()
    }

    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank> + use<> {
        self.places.ranks()
    }
}
