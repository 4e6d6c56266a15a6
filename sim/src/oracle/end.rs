//! What is still missing at the end of a run: what is owed, and who should have been found.

use phalanx_core::Order;

use super::progress::Progress;
use super::{Oracles, lasting, owed, quorums, standing};
use crate::adversary;
use crate::scenario::Expect;

/// Views that each member may cause once the network is well: it goes, its going is agreed a second
/// time after a lock, and it is told apart from another.
const VIEWS_PER_MEMBER: usize = 3;

impl Oracles {
    /// The correct members that are still there.
    #[must_use]
    pub fn present(&self) -> Vec<usize> {
        let is_there = |process: &usize| {
            !self.liars[*process]
                && !self.crashed[*process]
                && !self.changes.inclusion.is_out(*process)
        };
        (0..self.views.lives().len()).filter(is_there).collect()
    }

    /// Whether the correct members that are there can make the group go on; otherwise nothing is
    /// owed.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        Progress::is_owed(&self.views, &self.present(), self.is_paper)
    }

    /// Why nothing is owed in any view that matters, if so; see [`super::shown`].
    #[must_use]
    pub fn unowed(&self) -> Option<String> {
        self.shown.unowed(&self.views, &self.liars, self.is_paper)
    }

    /// Why the run shows nothing, if so.
    #[must_use]
    pub fn nothing(&self) -> Option<String> {
        self.shown.nothing(&self.views, &self.liars, self.is_paper)
    }

    /// What is owed and still missing, if anything; see [`owed`].
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if self.is_managed {
            return self.missing_of_managed();
        }
        let present = self.present();
        let is_whole = present.len() == self.views.lives().len();
        self.agreement.missing(0, &present).or_else(|| {
            present.iter().find_map(|sender| {
                let cast = self.fifo.cast(*sender, Order::Fifo);
                if is_whole {
                    let total = self.fifo.cast(*sender, Order::Total);
                    return owed::missing(&self.fifo, &present, *sender, Order::Fifo, cast)
                        .or_else(|| {
                            owed::missing(&self.fifo, &present, *sender, Order::Total, total)
                        });
                }
                let opened = self.observer.opened(*sender);
                let bytes = self.integrity.cast_bytes(*sender);
                let owed = owed::fifo_owed(cast, bytes, opened, self.window);
                owed::missing(&self.fifo, &present, *sender, Order::Fifo, owed)
            })
        })
    }

    /// Whether some correct member opened all bodies of a window that stands still.
    #[must_use]
    pub fn stands_at_overflow(&self) -> bool {
        let present = self.present();
        present.len() < self.views.lives().len()
            && present
                .iter()
                .any(|sender| self.observer.opened(*sender).1 + 1 >= self.window.bodies)
    }

    /// Whether some correct member holds a Proof against `culprit`.
    #[must_use]
    pub fn is_blamed(&self, culprit: usize) -> bool {
        self.blame.holders(culprit) > 0
    }

    /// Which suspicion or Proof is still missing against `culprit`, of which `verdict` is due.
    #[must_use]
    pub fn undetected(&self, culprit: usize, verdict: adversary::Verdict) -> Option<String> {
        if !self.is_owed() || (self.is_managed && self.is_settled(culprit, verdict)) {
            return None;
        }
        match verdict {
            adversary::Verdict::Suspected => {
                // Who is not in yet suspects nobody.
                let mut members = self.present();
                members.retain(|process| self.views.newest().1.lists(*process));
                self.suspicion.missing(&members, culprit)
            }
            adversary::Verdict::Proven => {
                let (holders, present) = (self.blame.holders(culprit), self.present().len());
                (holders < present).then(|| {
                    format!("{holders} of {present} members hold a Proof against {culprit}")
                })
            }
            adversary::Verdict::Harmless | adversary::Verdict::MayBeProven => None,
        }
    }

    /// In a managed group less is excused: whoever stands in the way is removed or silenced (L1),
    /// then everybody that is still a member comes along (L3), and delivers everything, if it is
    /// Active (L2).
    fn missing_of_managed(&self) -> Option<String> {
        let present = self.present();
        if !Progress::is_owed(&self.views, &present, self.is_paper) {
            return None;
        }
        let (at, newest) = self.views.newest();
        let (here, senders, whole) = self.standing_now(&present);
        let changes = &self.changes;
        // Who asked to leave and has to stay does not ask to be Active.
        let can_stand = |process| !changes.parting.is_leaving(process);
        changes
            .progress
            .missing(&self.views, &present)
            .or_else(|| changes.removal.missing(at, newest, &present))
            .or_else(|| {
                let waits = || changes.state.missing(&self.views, &senders, &present);
                self.hands_over.then(waits).flatten()
            })
            .or_else(|| self.agreement.missing(at, &whole))
            .or_else(|| lasting::missing(&self.fifo, &senders, &whole))
            .or_else(|| changes.parting.missing(&self.fifo, &whole))
            .or_else(|| changes.parting.staying(newest))
            .or_else(|| {
                // A newcomer may never come: it has to wait while those that stay for good are not a
                // quorum of the view that it would be in.
                let stays = |by: &&usize| newest.lists(**by) && !changes.parting.is_leaving(**by);
                let stay = present.iter().filter(stays).count();
                let can_come = stay >= quorums::quorum(newest.size(), self.is_paper);
                can_come.then(|| changes.arrivals.missing(&self.views, &present)).flatten()
            })
            .or_else(|| standing::missing(&self.views, &here, can_stand))
    }

    /// Of the correct members that are still there those that the newest view lists, those that are
    /// Active in it, and those of them that have, or had from the beginning, what was cast before.
    pub(super) fn standing_now(&self, present: &[usize]) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
        let (_, newest) = self.views.newest();
        let here: Vec<usize> =
            present.iter().copied().filter(|process| newest.lists(*process)).collect();
        let senders: Vec<usize> =
            here.iter().copied().filter(|process| newest.is_active(*process)).collect();
        // The window does not wait for a Silenced member, so what it missed may be gone for good.
        let is_whole = |process: &usize| {
            !self.changes.is_stateless(*process)
                && (!self.hands_over || self.changes.state.is_whole(*process))
        };
        let whole = senders.iter().copied().filter(is_whole).collect();
        (here, senders, whole)
    }

    /// Whether `process` is an Active member of the newest view; then it has casts to make.
    #[must_use]
    pub fn is_active(&self, process: usize) -> bool {
        self.views.newest().1.is_active(process)
    }

    /// More views after healing than there may be, if so.
    #[must_use]
    pub fn restless(&self) -> Option<String> {
        self.changes.progress.restless(VIEWS_PER_MEMBER * self.views.lives().len())
    }

    /// How many views there were, the genesis view included.
    #[must_use]
    pub fn views(&self) -> usize {
        self.views.count()
    }

    /// Whether a managed group has drawn its conclusions about a culprit. An opinion is done with
    /// once it is no Active member any more, a Proof once it is out.
    fn is_settled(&self, culprit: usize, verdict: adversary::Verdict) -> bool {
        let newest = self.views.newest().1;
        match verdict {
            adversary::Verdict::Suspected => !newest.is_active(culprit),
            adversary::Verdict::Proven => !newest.lists(culprit),
            adversary::Verdict::Harmless | adversary::Verdict::MayBeProven => true,
        }
    }

    /// Which host is not what the scenario says of the newest view, if any; for `silenced`, of any
    /// view, and for `never`, of all.
    #[must_use]
    pub fn misplaced(&self, expect: &Expect) -> Option<String> {
        let (at, newest) = self.views.newest();
        let (number, all) = (newest.view.number, 0..self.views.count());
        let is_on = |host: u16| {
            let lives = (0..).zip(self.views.lives());
            lives.filter(move |(_, life)| life.host == host).map(|(process, _)| process)
        };
        let find = |hosts: &[u16], is_wrong: &dyn Fn(u16) -> bool| {
            hosts.iter().copied().find(|host| is_wrong(*host))
        };
        let stays = find(&expect.removed, &|host| self.views.lists_host(host, at..at + 1));
        let talks = find(&expect.silenced, &|host| {
            !is_on(host).any(|process| self.views.was_silenced(process))
        });
        let gone =
            find(&expect.kept, &|host| !is_on(host).any(|process| newest.is_active(process)));
        let came = find(&expect.never, &|host| self.views.lists_host(host, all.clone()));
        stays
            .map(|host| format!("member {host} is not removed in view {number}"))
            .or_else(|| talks.map(|host| format!("member {host} is silenced in no view")))
            .or_else(|| gone.map(|host| format!("member {host} is not Active in view {number}")))
            .or_else(|| came.map(|host| format!("{host} was a member")))
    }
}
