//! Whether a demo went as promised: the only place that says so.

use std::collections::BTreeMap;

use phalanx_core::{Departure, Rank, Status, View};
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
    /// Which member was killed and started again, if one was.
    pub(crate) killed: Option<usize>,
    /// Which process was no member at first, if one was.
    pub(crate) newcomer: Option<usize>,
    /// Which member lied, if one was meant to.
    pub(crate) liar: Option<usize>,
}

impl<'a> Case<'a> {
    /// All findings.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![
            self.standings(),
            self.views(),
            self.sequence(),
            self.states(),
            self.own_casts(),
            self.blame(),
        ];
        if let Some(killed) = self.killed {
            findings.extend([self.dropped(killed), self.joined(killed, "who was killed")]);
        }
        if let Some(newcomer) = self.newcomer {
            findings.push(self.joined(newcomer, "who was no member before"));
        }
        if let Some(liar) = self.liar {
            findings.extend([self.proof(liar), self.expelled(liar), self.survivors(liar)]);
        }
        findings
    }

    /// Places in the group file, names and records of the members that did nothing wrong.
    fn correct(&self) -> impl Iterator<Item = (usize, &'a str, &'a Record)> {
        let liar = self.liar;
        let named = self.group.names.iter().map(String::as_str).zip(self.records).enumerate();
        named
            .filter(move |(place, _)| Some(*place) != liar)
            .map(|(place, (name, record))| (place, name, record))
    }

    /// Those of them that were there all the time.
    fn lasting(&self) -> impl Iterator<Item = (&'a str, &'a Record)> {
        let late = [self.killed, self.newcomer];
        let lasting = self.correct().filter(move |(place, ..)| !late.contains(&Some(*place)));
        lasting.map(|(_, name, record)| (name, record))
    }

    /// The view with the highest number that a correct member installed.
    fn last_view(&self) -> Option<&'a View> {
        let views = self.correct().filter_map(|(_, _, record)| record.view());
        views.max_by_key(|view| view.number)
    }

    /// What the last view says of the process at this place.
    fn standing(&self, place: usize) -> Option<&'a phalanx_core::Member> {
        let (view, key) = self.last_view().zip(self.group.keys().nth(place))?;
        view.member(view.rank_of(key)?)
    }

    /// Everybody correct is an Active member at the end.
    fn standings(&self) -> Finding {
        let mut names = Vec::new();
        for (place, name, record) in self.correct() {
            let word = match self.standing(place).map(|member| member.status) {
                Some(Status::Active) if record.out.is_none() => {
                    names.push(name);
                    continue;
                }
                Some(Status::Active) | None => "is out",
                Some(Status::Silenced) => "is silenced",
            };
            return Finding::bad(format!("{name} did nothing wrong and {word}"));
        }
        Finding::good(format!("{} are members at the end", names.join(", ")))
    }

    /// All correct members installed the same chain of views; who joined, all from then on.
    fn views(&self) -> Finding {
        let mut known: BTreeMap<u64, (&str, &View)> = BTreeMap::new();
        for (_, name, record) in self.correct() {
            let mut before: Option<&View> = None;
            for Seen { view, .. } in &record.views {
                if before.is_some_and(|before| view.prev != before.id()) {
                    return Finding::bad(format!("the chain of views of {name} has a hole"));
                }
                let (other, known) = *known.entry(view.number).or_insert((name, view));
                if known != view {
                    let number = view.number;
                    return Finding::bad(format!("{other} and {name} differ on view {number}"));
                }
                before = Some(view);
            }
            if before.map(|view| view.number) != self.last_view().map(|view| view.number) {
                return Finding::bad(format!("{name} has not installed the last view"));
            }
        }
        let hash = |record: &Record| record.answer.as_ref().map(|last| last.views.clone());
        let Some((first, record)) = self.lasting().next() else {
            return Finding::bad("no correct member was always there");
        };
        let (len, chain) = (record.views.len(), hash(record).unwrap_or_default());
        for (name, record) in self.lasting() {
            if record.views.first().is_none_or(|seen| seen.view.number > 0) {
                return Finding::bad(format!("{name} does not know the first view"));
            }
            if hash(record).as_ref() != Some(&chain) || record.views.len() != len {
                let other = hash(record).unwrap_or_default();
                return Finding::bad(format!(
                    "{first} and {name} installed different chains of views: {chain} and {other}"
                ));
            }
        }
        let names: Vec<&str> = self.lasting().map(|(name, _)| name).collect();
        let late = self.correct().filter(|(_, name, _)| !names.contains(name));
        let late = late.map(|(_, name, record)| {
            let from = record.views.first().map_or(0, |seen| seen.view.number);
            format!("; {name} from view {from} on")
        });
        Finding::good(format!(
            "{} installed the same chain of {len} views, hash {chain}{}",
            names.join(", "),
            late.collect::<String>()
        ))
    }

    /// All correct members have the same Total casts in the same order, delivered or in the state
    /// that they joined with.
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
            .correct()
            .filter_map(|(_, name, record)| Some((name, record.answer.as_ref()?.total)))
            .collect();
        let Some((one, first)) = totals.first().filter(|(_, total)| *total > 0) else {
            return Finding::bad("no Total cast was delivered");
        };
        if let Some((name, total)) = totals.iter().find(|(_, total)| total != first) {
            return Finding::bad(format!("{one} has {first} Total casts, but {name} has {total}"));
        }
        let mut answers = self.correct().filter_map(|(_, _, record)| record.answer.as_ref());
        let hash = answers.next().map(|answer| answer.hash.clone()).unwrap_or_default();
        let names: Vec<&str> = totals.iter().map(|(name, _)| *name).collect();
        Finding::good(format!(
            "{} have the same {first} Total casts in the same order, hash {hash}",
            names.join(", ")
        ))
    }

    /// What the casts made is the same everywhere.
    fn states(&self) -> Finding {
        let mut first: Option<(&str, &str)> = None;
        for (_, name, record) in self.correct() {
            let Some(state) = record.answer.as_ref().map(|answer| answer.state.as_str()) else {
                return Finding::bad(format!("{name} does not say what its state is"));
            };
            let (other, known) = *first.get_or_insert((name, state));
            if state != known || state.is_empty() {
                return Finding::bad(format!("{other} and {name} ended with different states"));
            }
        }
        let hash = first.map_or("", |(_, hash)| hash);
        Finding::good(format!("they ended with the same state, hash {hash}"))
    }

    /// A process came in and got the state.
    fn joined(&self, place: usize, who: &str) -> Finding {
        let record = self.records.get(place);
        let name = self.group.names.get(place).map_or("?", String::as_str);
        let loaded = record.and_then(|record| record.loaded);
        match (self.standing(place), loaded) {
            (Some(member), Some((view, bytes))) if bytes > 0 => Finding::good(format!(
                "{name}, {who}, joined as incarnation {} with the state of view {view}, {bytes} bytes",
                member.incarnation
            )),
            (Some(_), _) => Finding::bad(format!("{name}, {who}, got no state")),
            (None, _) => Finding::bad(format!("{name}, {who}, is no member")),
        }
    }

    /// Every cast of a correct member came back to it.
    fn own_casts(&self) -> Finding {
        for (_, name, record) in self.correct() {
            let Some(last) = &record.answer else { continue };
            if last.own != last.accepted || last.own == 0 {
                return Finding::bad(format!(
                    "{name} cast {}, of which {} were delivered",
                    last.accepted, last.own
                ));
            }
        }
        Finding::good("every cast of a correct member was delivered")
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
    fn departure(&self, place: usize) -> Option<(u64, Departure)> {
        let key = self.group.keys().nth(place)?;
        let mut views = self
            .lasting()
            .flat_map(|(_, record)| record.views.iter().zip(record.views.iter().skip(1)));
        views.find_map(|(before, next)| {
            let rank = before.view.rank_of(key)?;
            let (_, how) = next.view.departed.iter().find(|(gone, _)| *gone == rank)?;
            Some((next.view.number, *how))
        })
    }

    /// Who was killed did not hold the group up.
    fn dropped(&self, killed: usize) -> Finding {
        let name = self.group.names.get(killed).map_or("?", String::as_str);
        let silenced = self.lasting().flat_map(|(_, record)| &record.views).find(|seen| {
            let key = self.group.keys().nth(killed);
            let member = key.and_then(|key| seen.view.member(seen.view.rank_of(key)?));
            member.is_some_and(|member| member.status == Status::Silenced)
        });
        match (silenced.map(|seen| seen.view.number), self.departure(killed)) {
            (Some(view), _) => {
                Finding::good(format!("{name}, who was killed, was silenced in view {view}"))
            }
            (None, Some((view, Departure::Opinion))) => {
                Finding::good(format!("{name}, who was killed, was removed in view {view}"))
            }
            (None, _) => Finding::bad(format!("{name} was killed, and nobody noticed")),
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
        let counts = self.lasting().filter_map(|(_, record)| {
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

    /// Every correct member that was there holds a proof against the liar, and it convinces without them.
    fn proof(&self, liar: usize) -> Finding {
        let name = self.group.names.get(liar).map_or("?", String::as_str);
        let mut what = "";
        let mut bytes = 0;
        for (member, record) in self.lasting() {
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
            "all that were there hold a proof against {name}: {what}; it verifies offline ({bytes} bytes)"
        ))
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
