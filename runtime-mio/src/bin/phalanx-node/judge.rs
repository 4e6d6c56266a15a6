//! Whether a demo went as promised: the only place that says so.

use std::collections::BTreeMap;

use phalanx_core::{Departure, Rank, View};
use phalanx_mio::config::Group;

use crate::evidence;
use crate::fleet::{Proven, Record, Seen};
use crate::json::from_hex;

/// One thing that was promised, and whether it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Whether it held.
    pub(crate) is_good: bool,
    /// What was found, as a sentence.
    pub(crate) what: String,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { is_good: true, what: what.into() }
    }

    fn bad(what: impl Into<String>) -> Self {
        Self { is_good: false, what: what.into() }
    }
}

/// What is judged.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    /// The group.
    pub(crate) group: &'a Group,
    /// What each member reported, by rank.
    pub(crate) records: &'a [Record],
    /// Which member was stopped for a while, if one was: it may fall behind, but do nothing wrong.
    pub(crate) stopped: Option<usize>,
    /// Which member was killed, if one was.
    pub(crate) killed: Option<usize>,
    /// Which member lied, if one was meant to.
    pub(crate) liar: Option<usize>,
}

/// What a member is to the last view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Active,
    /// It votes, and may have missed casts.
    Silenced,
    Out,
}

impl<'a> Case<'a> {
    /// All findings.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings =
            vec![self.standings(), self.views(), self.sequence(), self.own_casts(), self.blame()];
        if let Some(killed) = self.killed {
            findings.push(self.dropped(killed));
        }
        if let Some(liar) = self.liar {
            findings.extend([self.proof(liar), self.expelled(liar), self.survivors(liar)]);
        }
        findings
    }

    /// Ranks in the genesis view, names and records of the members that did nothing wrong.
    fn correct(&self) -> impl Iterator<Item = (usize, &'a str, &'a Record)> {
        let faulty = [self.liar, self.killed];
        let named = self.group.names.iter().map(String::as_str).zip(self.records).enumerate();
        named
            .filter(move |(rank, _)| !faulty.contains(&Some(*rank)))
            .map(|(rank, (name, record))| (rank, name, record))
    }

    /// The same, without those that are silenced or out.
    fn active(&self) -> impl Iterator<Item = (&'a str, &'a Record)> {
        let last = self.last_view();
        self.correct()
            .filter(move |(rank, ..)| self.standing(last, *rank) == Standing::Active)
            .map(|(_, name, record)| (name, record))
    }

    /// The view with the highest number that a correct member installed.
    fn last_view(&self) -> Option<&'a View> {
        let views = self.correct().filter_map(|(_, _, record)| record.view());
        views.max_by_key(|view| view.number)
    }

    fn standing(&self, view: Option<&View>, rank: usize) -> Standing {
        let member = self.group.genesis.members.get(rank).zip(view);
        let listed = member.and_then(|(member, view)| view.member(view.rank_of(&member.key)?));
        match listed.map(|member| member.status) {
            Some(phalanx_core::Status::Active) => Standing::Active,
            Some(phalanx_core::Status::Silenced) => Standing::Silenced,
            None => Standing::Out,
        }
    }

    /// Nobody correct fell behind, unless it was stopped.
    fn standings(&self) -> Finding {
        let Some(last) = self.last_view() else { return Finding::bad("no view was installed") };
        let mut what = Vec::new();
        for (rank, name, record) in self.correct() {
            let standing = self.standing(Some(last), rank);
            let was_stopped = self.stopped == Some(rank);
            let (word, is_good) = match standing {
                Standing::Active => ("is a member", record.out.is_none()),
                Standing::Silenced if was_stopped => ("was stopped and is silenced", true),
                Standing::Out if was_stopped => ("was stopped and is removed", true),
                Standing::Silenced => ("is silenced", false),
                Standing::Out => ("is out", false),
            };
            if !is_good {
                return Finding::bad(format!("{name} did nothing wrong and {word}"));
            }
            what.push(format!("{name} {word}"));
        }
        Finding::good(what.join(", "))
    }

    /// All correct members installed the same chain of views; who was put out, all up to then.
    fn views(&self) -> Finding {
        let mut known: BTreeMap<u64, (&str, &View)> = BTreeMap::new();
        for (_, name, record) in self.correct() {
            let mut before: Option<&View> = None;
            for Seen { view, .. } in &record.views {
                let is_next = before.map_or(view.number == 0, |before| view.prev == before.id());
                if !is_next {
                    return Finding::bad(format!("the chain of views of {name} has a hole"));
                }
                let (other, known) = *known.entry(view.number).or_insert((name, view));
                if known != view {
                    let number = view.number;
                    return Finding::bad(format!("{other} and {name} differ on view {number}"));
                }
                before = Some(view);
            }
        }
        let hash = |record: &Record| record.answer.as_ref().map(|last| last.views.clone());
        let (behind, ahead): (Vec<_>, Vec<_>) =
            self.correct().partition(|(rank, ..)| self.may_be_behind(*rank));
        let Some((_, first, record)) = ahead.first() else {
            return Finding::bad("no correct member was always there");
        };
        let (len, chain) = (record.views.len(), hash(record).unwrap_or_default());
        for (_, name, record) in &ahead {
            if hash(record).as_ref() != Some(&chain) || record.views.len() != len {
                let other = hash(record).unwrap_or_default();
                return Finding::bad(format!(
                    "{first} and {name} installed different chains of views: {chain} and {other}"
                ));
            }
        }
        let names: Vec<&str> = ahead.iter().map(|(_, name, _)| *name).collect();
        let behind = behind.iter().map(|(_, name, record)| {
            let (own, of) =
                (record.views.len(), if record.views.len() < len { "first " } else { "" });
            format!("; {name} the {of}{own} of them")
        });
        Finding::good(format!(
            "{} installed the same chain of {len} views, hash {chain}{}",
            names.join(", "),
            behind.collect::<String>()
        ))
    }

    /// Who was stopped and is not Active in the last view may know less of what happened.
    fn may_be_behind(&self, rank: usize) -> bool {
        self.stopped == Some(rank) && self.standing(self.last_view(), rank) != Standing::Active
    }

    /// All correct members delivered the same Total casts in the same order; who was silenced or is
    /// out, the first of them.
    fn sequence(&self) -> Finding {
        let mut known: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
        let mut parted: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
        for (_, name, record) in self.correct() {
            let Some(last) = &record.answer else {
                return Finding::bad(format!("{name} does not say what it delivered"));
            };
            let last = (last.total, last.hash.as_str());
            let all = record.checkpoints.iter().map(|(total, hash)| (*total, hash.as_str()));
            for (total, hash) in all.chain([last]) {
                let (other, other_hash) = *known.entry(total).or_insert((name, hash));
                if other_hash != hash {
                    parted.entry(total).or_insert((other, name));
                }
            }
        }
        if let Some((total, (one, other))) = parted.first_key_value() {
            return Finding::bad(format!(
                "{one} and {other} delivered different sequences: their hashes over the first \
                 {total} Total casts differ"
            ));
        }
        let totals: Vec<(&str, u64)> = self
            .active()
            .filter_map(|(name, record)| Some((name, record.answer.as_ref()?.total)))
            .collect();
        let Some((_, first)) = totals.first().filter(|(_, total)| *total > 0) else {
            return Finding::bad("no Total cast was delivered");
        };
        let too_far = self.correct().find_map(|(_, name, record)| {
            record.answer.as_ref().filter(|last| last.total > *first).map(|last| (name, last.total))
        });
        let differs = totals.iter().find(|(_, total)| total != first).copied();
        if let Some((name, total)) = differs.or(too_far) {
            return Finding::bad(format!(
                "{} delivered {first} Total casts, but {name} delivered {total}",
                totals[0].0
            ));
        }
        let hash = self.active().find_map(|(_, record)| Some(record.answer.as_ref()?.hash.clone()));
        let names: Vec<&str> = totals.iter().map(|(name, _)| *name).collect();
        let behind = self.correct().filter(|(_, name, _)| !names.contains(name));
        let behind = behind.filter_map(|(_, name, record)| {
            Some(format!("; {name} the first {} of them", record.answer.as_ref()?.total))
        });
        Finding::good(format!(
            "{} delivered the same {first} Total casts in the same order, hash {}{}",
            names.join(", "),
            hash.unwrap_or_default(),
            behind.collect::<String>()
        ))
    }

    /// Every cast of a correct member came back to it.
    fn own_casts(&self) -> Finding {
        for (name, record) in self.active() {
            let Some(last) = &record.answer else { continue };
            if last.own != last.accepted || last.own == 0 {
                return Finding::bad(format!(
                    "{name} cast {}, of which {} were delivered",
                    last.accepted, last.own
                ));
            }
        }
        Finding::good("every cast of a correct member that is Active was delivered")
    }

    /// No proof names a correct member.
    fn blame(&self) -> Finding {
        for (_, name, record) in self.correct() {
            let blamed = record.proofs.keys().find(|rank| Some(usize::from(**rank)) != self.liar);
            if let Some(rank) = blamed {
                let blamed = self.group.name(Rank::new(*rank));
                return Finding::bad(format!("{name} holds a proof against {blamed}"));
            }
        }
        Finding::good("no proof names a correct member")
    }

    /// How a member went.
    fn departure(&self, rank: usize) -> Option<(u64, Departure)> {
        let key = self.group.genesis.members.get(rank)?.key;
        let mut views = self
            .active()
            .flat_map(|(_, record)| record.views.iter().zip(record.views.iter().skip(1)));
        views.find_map(|(before, next)| {
            let rank = before.view.rank_of(&key)?;
            let (_, how) = next.view.departed.iter().find(|(gone, _)| *gone == rank)?;
            Some((next.view.number, *how))
        })
    }

    /// Who was killed does not hold the group up.
    fn dropped(&self, killed: usize) -> Finding {
        let name = self.group.names.get(killed).map_or("?", String::as_str);
        match (self.departure(killed), self.standing(self.last_view(), killed)) {
            (Some((view, _)), _) => {
                Finding::good(format!("{name}, who was killed, is removed in view {view}"))
            }
            (None, Standing::Silenced) => {
                Finding::good(format!("{name}, who was killed, is silenced"))
            }
            (None, _) => Finding::bad(format!("{name} was killed and is still a member")),
        }
    }

    /// The liar is out, for ever, because of the proof.
    fn expelled(&self, liar: usize) -> Finding {
        let name = self.group.names.get(liar).map_or("?", String::as_str);
        match self.departure(liar) {
            Some((view, Departure::Proof)) => {
                Finding::good(format!("{name} is expelled by proof in view {view}"))
            }
            Some((view, _)) => {
                Finding::bad(format!("{name} is out in view {view}, but not by proof"))
            }
            None => Finding::bad(format!("{name} lied and is still a member")),
        }
    }

    /// Casts are delivered after the liar is out.
    fn survivors(&self, liar: usize) -> Finding {
        let since = self.departure(liar).map_or(0, |(view, _)| view);
        let counts = self.active().filter_map(|(_, record)| {
            let seen = record.views.iter().find(|seen| seen.view.number == since)?;
            Some(record.answer.as_ref()?.total.saturating_sub(seen.total))
        });
        match counts.min() {
            Some(count) if count > 0 => Finding::good(format!(
                "the others go on: {count} Total casts were delivered since view {since}"
            )),
            _ => Finding::bad("nothing was delivered since the liar is out"),
        }
    }

    /// Every correct member holds a proof against the liar, and it convinces without them.
    fn proof(&self, liar: usize) -> Finding {
        let name = self.group.names.get(liar).map_or("?", String::as_str);
        let mut what = "";
        let mut bytes = 0;
        for (member, record) in self.active() {
            let proof = record.proofs.iter().find(|(rank, _)| usize::from(**rank) == liar);
            let Some((_, proof)) = proof else {
                return Finding::bad(format!("{member} holds no proof against {name}, who lied"));
            };
            let Proven { proof, view } = proof;
            let proof = from_hex(proof).unwrap_or_default();
            let Some(view) = evidence::view_of(view) else {
                return Finding::bad(format!("{member}'s proof is of no view"));
            };
            match evidence::verify(self.group, &view, &proof) {
                Ok(culprit) if self.group.name_of(&culprit.key) == name => what = culprit.what,
                Ok(culprit) => {
                    let named = self.group.name_of(&culprit.key);
                    return Finding::bad(format!("{member}'s proof names {named}"));
                }
                Err(why) => return Finding::bad(format!("{member}'s proof proves nothing: {why}")),
            }
            bytes = proof.len();
        }
        Finding::good(format!(
            "all hold a proof against {name}: {what}; it verifies offline ({bytes} bytes)"
        ))
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
