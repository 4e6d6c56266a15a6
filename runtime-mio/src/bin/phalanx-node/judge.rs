//! Whether a demo went as promised: the only place that says so.

use std::collections::BTreeMap;

use phalanx_core::Rank;
use phalanx_mio::config::Group;

use crate::evidence;
use crate::fleet::Record;
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
    /// Which member lied, if one was meant to.
    pub(crate) liar: Option<usize>,
}

impl Case<'_> {
    /// All findings.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.sequence(), self.own_casts(), self.blame()];
        findings.extend(self.liar.map(|liar| self.proof(liar)));
        findings
    }

    fn correct(&self) -> impl Iterator<Item = (&str, &Record)> {
        let liar = self.liar;
        let named = self.group.names.iter().map(String::as_str).zip(self.records);
        named.enumerate().filter(move |(rank, _)| Some(*rank) != liar).map(|(_, member)| member)
    }

    /// All correct members delivered the same Total casts in the same order.
    fn sequence(&self) -> Finding {
        let mut known: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
        let mut parted: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
        for (name, record) in self.correct() {
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
            .filter_map(|(name, record)| Some((name, record.answer.as_ref()?.total)))
            .collect();
        let Some((_, first)) = totals.first().filter(|(_, total)| *total > 0) else {
            return Finding::bad("no Total cast was delivered");
        };
        if let Some((name, total)) = totals.iter().find(|(_, total)| total != first) {
            return Finding::bad(format!(
                "{} delivered {first} Total casts, but {name} delivered {total}",
                totals[0].0
            ));
        }
        let hash =
            self.correct().find_map(|(_, record)| Some(record.answer.as_ref()?.hash.clone()));
        let names: Vec<&str> = totals.iter().map(|(name, _)| *name).collect();
        Finding::good(format!(
            "{} delivered the same {first} Total casts in the same order, hash {}",
            names.join(", "),
            hash.unwrap_or_default()
        ))
    }

    /// Every cast of a correct member came back to it.
    fn own_casts(&self) -> Finding {
        for (name, record) in self.correct() {
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
        for (name, record) in self.correct() {
            let blamed = record.proofs.keys().find(|rank| Some(usize::from(**rank)) != self.liar);
            if let Some(rank) = blamed {
                let blamed = self.group.name(Rank::new(*rank));
                return Finding::bad(format!("{name} holds a proof against {blamed}"));
            }
        }
        Finding::good("no proof names a correct member")
    }

    /// Every correct member holds a proof against the liar, and it convinces without them.
    fn proof(&self, liar: usize) -> Finding {
        let name = self.group.names.get(liar).map_or("?", String::as_str);
        let mut what = "";
        let mut bytes = 0;
        for (member, record) in self.correct() {
            let proof = record.proofs.iter().find(|(rank, _)| usize::from(**rank) == liar);
            let Some((_, proof)) = proof else {
                return Finding::bad(format!("{member} holds no proof against {name}, who lied"));
            };
            let proof = from_hex(proof).unwrap_or_default();
            match evidence::verify(self.group, &proof) {
                Ok(culprit) if culprit.rank.index() == liar => what = culprit.what,
                Ok(culprit) => {
                    return Finding::bad(format!("{member}'s proof names rank {}", culprit.rank));
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
mod tests {
    use super::*;
    use crate::report::Status;
    use phalanx_core::crypto::{Hash32, Head, Heads, Identity, Signed};
    use phalanx_core::wire::List;
    use phalanx_core::{Evidence, Number, Proof};
    use phalanx_mio::config::{MemberEntry, group_text};

    fn group(dir: &std::path::Path) -> Group {
        let members: Vec<MemberEntry> = (0..4_u8)
            .map(|i| MemberEntry {
                name: format!("m{i}"),
                address: ([127, 0, 0, 1], 9_000 + u16::from(i)).into(),
                public_key: *Identity::ed25519([i + 1; 32]).public_key(),
            })
            .collect();
        let path = dir.join("group.toml");
        std::fs::write(&path, group_text("test", &Hash32([1; 32]), &members)).unwrap();
        Group::read(&path).unwrap()
    }

    fn record(total: u64, hash: &str) -> Record {
        let answer =
            Status { total, hash: hash.to_owned(), own: 5, accepted: 5, ..Status::default() };
        let checkpoints = [(64, "at 64".to_owned())].into();
        Record { answer: Some(answer), checkpoints, ..Record::default() }
    }

    fn is_good(records: &[Record], liar: Option<usize>) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let group = group(dir.path());
        let case = Case { group: &group, records, liar };
        case.findings().iter().all(|finding| finding.is_good)
    }

    #[test]
    fn what_is_as_promised_passes() {
        assert!(is_good(&vec![record(100, "x"); 4], None));
    }

    #[test]
    fn every_difference_is_found() {
        let good = vec![record(100, "x"); 4];
        let spoil = |change: &dyn Fn(&mut Record)| {
            let mut records = good.clone();
            change(&mut records[2]);
            is_good(&records, None)
        };
        let answer = |record: &mut Record| record.answer.clone().unwrap();
        assert!(!spoil(&|r| r.answer = None));
        assert!(!spoil(&|r| r.answer = Some(Status { hash: "y".into(), ..answer(r) })));
        assert!(!spoil(&|r| r.answer = Some(Status { total: 99, ..answer(r) })));
        assert!(!spoil(&|r| r.answer = Some(Status { own: 4, ..answer(r) })));
        assert!(!spoil(&|r| {
            r.checkpoints.insert(64, "other".into());
        }));
        assert!(!spoil(&|r| {
            r.proofs.insert(1, "00".into());
        }));
        assert!(!is_good(&vec![record(0, ""); 4], None), "nothing was shown");
    }

    #[test]
    fn a_liar_must_be_proven_guilty_by_all_and_truly() {
        let mut records = vec![record(100, "x"); 4];
        records[3] = Record::default();
        assert!(!is_good(&records, Some(3)), "no proof");
        records[..3].iter_mut().for_each(|r| {
            r.proofs.insert(3, "00ff".into());
        });
        assert!(!is_good(&records, Some(3)), "a proof that proves nothing");
        let dir = tempfile::tempdir().unwrap();
        let view = group(dir.path()).genesis.view();
        let proof = crate::json::hex(&mutant(&view, [4; 32]).to_bytes());
        records[..2].iter_mut().for_each(|r| {
            r.proofs.insert(3, proof.clone());
        });
        assert!(!is_good(&records, Some(3)), "one member has none");
        records[2].proofs.insert(3, proof);
        assert!(is_good(&records, Some(3)));
    }

    /// Two heads of rank 3 for its first body.
    fn mutant(view: &phalanx_core::View, seed: [u8; 32]) -> Proof {
        let mut door = phalanx_core::crypto::Door::new(Identity::ed25519(seed));
        let roster = view.roster(phalanx_core::crypto::Suite::Ed25519).unwrap();
        let me = Rank::new(3);
        let mut heads = |byte| {
            let head = Head { sender: me, number: Number::new(1), hash: Hash32([byte; 32]) };
            Signed::clone(
                door.sign(&roster, me, Heads { entries: List::from(vec![head]) }).signed(),
            )
        };
        let evidence = Evidence::TwoHeads { sender: me, first: heads(1), second: heads(2) };
        Proof { view: view.id(), evidence }
    }
}
