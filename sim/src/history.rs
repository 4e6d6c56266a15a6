//! What happened to the views of a run, for tables: when each was installed, without whom, how many
//! attempts were given up on the way, and when who had evidence against whom.

use std::collections::{BTreeMap, BTreeSet};

use phalanx_core::Attempt;

use crate::oracle::quorums;
use crate::oracle::views::Record;

/// A view after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its number.
    pub number: u64,
    /// When it was installed, by member.
    pub at_us: BTreeMap<usize, u64>,
    /// Who was a member of the view before and is none of this.
    pub excluded: Vec<usize>,
    /// Who is a member of this view and was none of the view before.
    pub joined: Vec<usize>,
    /// Who was Active in the view before and is Silenced in this.
    pub silenced: Vec<usize>,
}

impl Installed {
    /// When the last correct member installed it.
    #[must_use]
    pub fn last_us(&self) -> u64 {
        self.at_us.values().copied().max().unwrap_or(0)
    }
}

/// All views of a run after the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How many suspecters are weak in the first view.
    weak: usize,
    /// When the first fault happened.
    pub fault_us: Option<u64>,
    /// In the order in which they were first installed.
    pub views: Vec<Installed>,
    /// Attempts gone on to, by the place of the view that they were to end.
    abandoned: BTreeSet<(usize, Attempt)>,
    /// In the first view, by member and subject: whom the member knows to suspect it.
    learned: BTreeMap<(usize, usize), BTreeSet<usize>>,
    /// In the first view, when each member first knew weak others to suspect the same.
    evidence: BTreeMap<usize, u64>,
}

impl History {
    /// Of a group of `n` in its first view.
    #[must_use]
    pub fn new(n: u16) -> Self {
        Self { weak: quorums::faulty(n) + 1, ..Self::default() }
    }

    /// A fault happened.
    pub fn fault(&mut self, now_us: u64) {
        self.fault_us.get_or_insert(now_us);
    }

    /// In the view at place `view`, correct member `by` learns that a process suspects another.
    pub fn suspected(&mut self, now_us: u64, view: usize, by: usize, (from, of): (usize, usize)) {
        if view > 0 {
            return;
        }
        let known = self.learned.entry((by, of)).or_default();
        known.insert(from);
        if known.len() >= self.weak {
            self.evidence.entry(by).or_insert(now_us);
        }
    }

    /// A correct member goes on to this attempt, in the view at place `view`.
    pub fn abandoned(&mut self, view: usize, attempt: Attempt) {
        self.abandoned.insert((view, attempt));
    }

    /// Correct member `by` installs the view `next` at place `at`, after `before`.
    pub fn installed(&mut self, now_us: u64, by: usize, at: usize, next: &Record, before: &Record) {
        let Some(index) = at.checked_sub(1) else { return };
        if self.views.len() <= index {
            let members = before.processes.iter().flatten().copied();
            let was_active = |process: &usize| before.is_active(*process);
            self.views.push(Installed {
                number: next.view.number,
                at_us: BTreeMap::new(),
                joined: {
                    let here = next.processes.iter().flatten().copied();
                    here.filter(|process| !before.lists(*process)).collect()
                },
                excluded: members.clone().filter(|process| !next.lists(*process)).collect(),
                silenced: members
                    .filter(was_active)
                    .filter(|process| next.lists(*process) && !next.is_active(*process))
                    .collect(),
            });
        }
        if let Some(installed) = self.views.get_mut(index) {
            installed.at_us.entry(by).or_insert(now_us);
        }
    }

    /// How many attempts were gone on to: the paper's transitional views.
    #[must_use]
    pub fn transitional(&self) -> usize {
        self.abandoned.len()
    }

    /// In the first view, when `count` correct members had evidence for a change.
    #[must_use]
    pub fn evidence_us(&self, count: usize) -> Option<u64> {
        let mut times: Vec<u64> = self.evidence.values().copied().collect();
        times.sort_unstable();
        times.get(count.checked_sub(1)?).copied()
    }

    /// Who is excluded in the end, in the order in which that happened.
    #[must_use]
    pub fn excluded(&self) -> Vec<usize> {
        self.views.iter().flat_map(|view| view.excluded.iter().copied()).collect()
    }

    /// Who joined or came back, in the order in which that happened.
    #[must_use]
    pub fn joined(&self) -> Vec<usize> {
        self.views.iter().flat_map(|view| view.joined.iter().copied()).collect()
    }

    /// Who was silenced, in the order in which that happened.
    #[must_use]
    pub fn silenced(&self) -> Vec<usize> {
        self.views.iter().flat_map(|view| view.silenced.iter().copied()).collect()
    }

    /// From the first fault to the last installation of the last view.
    #[must_use]
    pub fn took_us(&self) -> Option<u64> {
        let last = self.views.iter().map(Installed::last_us).max()?;
        last.checked_sub(self.fault_us?)
    }
}
