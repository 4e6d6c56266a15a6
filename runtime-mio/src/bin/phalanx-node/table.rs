//! The demo on a screen: redrawn in place on a terminal, plain lines elsewhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use phalanx_core::Rank;
use phalanx_mio::config::Group;

use crate::fleet::Record;
use crate::is_fancy;

/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(1);

/// What is said of a member besides what it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It was not started yet.
    Absent,
    /// It asks to be taken in.
    Joining,
    /// It does as it should.
    Correct,
    /// It lies just now.
    Lying,
    /// It was killed.
    Killed,
    /// It votes, and casts nothing.
    Silenced,
    /// It is no member any more.
    Out,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Joining => "joining",
            Self::Correct => "correct",
            Self::Lying => "lying",
            Self::Killed => "killed",
            Self::Silenced => "silenced",
            Self::Out => "out",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Correct => "\x1b[32m",
            Self::Absent | Self::Joining | Self::Silenced => "\x1b[33m",
            Self::Lying | Self::Killed | Self::Out => "\x1b[31m",
        }
    }
}

/// The screen.
pub(crate) struct Table {
    started: Instant,
    is_live: bool,
    is_coloured: bool,
    drawn: usize,
    plain_at: Instant,
    before: Vec<(u64, u64)>,
    told: BTreeSet<String>,
    puppet: Option<usize>,
}

impl Table {
    /// Nothing is drawn yet. The member `puppet` is the liar's: it does not say what it delivers.
    pub(crate) fn new(puppet: Option<usize>) -> Self {
        let out = io::stdout();
        let now = Instant::now();
        Self {
            started: now,
            is_live: out.is_terminal(),
            is_coloured: is_fancy(&out),
            drawn: 0,
            plain_at: now,
            before: Vec::new(),
            told: BTreeSet::new(),
            puppet,
        }
    }

    /// Says that something happened; stays on the screen.
    pub(crate) fn say(&mut self, what: &str) {
        self.erase();
        show!("[{:5.1} s] {what}", self.started.elapsed().as_secs_f64());
    }

    /// Shows how the members stand.
    pub(crate) fn show(&mut self, group: &Group, records: &[Record], roles: &[Role]) {
        self.tell_news(group, records);
        if self.is_live {
            self.erase();
            let text = self.table(group, records, roles);
            self.drawn = text.lines().count();
            // A terminal that is gone is no reason to stop.
            let _ = write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
        } else if Instant::now() >= self.plain_at {
            self.plain_at = Instant::now() + PLAIN;
            let line = self.line(group, records, roles);
            self.say(&line);
        }
    }

    /// Suspicions, proofs and views, each once.
    fn tell_news(&mut self, group: &Group, records: &[Record]) {
        for (name, record) in group.names.iter().zip(records) {
            let suspects = record.suspects.iter().map(|(rank, why)| {
                format!("{name} suspects {}: {why}", group.name(Rank::new(*rank)))
            });
            let proofs = record.proofs.keys().map(|rank| {
                format!("{name} holds a proof against {}", group.name(Rank::new(*rank)))
            });
            for news in suspects.chain(proofs) {
                if self.told.insert(news.clone()) {
                    self.say(&news);
                }
            }
        }
        let installed = |record: &Record| record.views.last().map_or(0, |seen| seen.view.number);
        let last = records.iter().map(installed).max().unwrap_or(0);
        for number in 1..=last {
            if let Some(line) = view_line(records, number)
                && self.told.insert(format!("view {number}"))
            {
                self.say(line);
            }
        }
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            let _ = write!(io::stdout(), "\x1b[{}A\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    /// Deliveries a second of one member since they were last asked for; they are told about four
    /// times a second.
    fn rate(&mut self, rank: usize, record: &Record) -> u64 {
        if self.before.len() <= rank {
            self.before.resize(rank + 1, (0, 0));
        }
        let now = (record.status.elapsed_us, record.status.delivered);
        let (then_us, then) = self.before[rank];
        if now.0.saturating_sub(then_us) > 1_000_000 {
            self.before[rank] = now;
        }
        let micros = now.0.saturating_sub(then_us).max(1);
        now.1.saturating_sub(then).saturating_mul(1_000_000) / micros
    }

    fn table(&mut self, group: &Group, records: &[Record], roles: &[Role]) -> String {
        let mut text = format!(
            "{:8} {:>4} {:>4} {:8} {:>9} {:>6} {:>8} {:>8}  {:10} {}\n",
            "member",
            "rank",
            "view",
            "is",
            "delivered",
            "per s",
            "p50 ms",
            "p99 ms",
            "suspects",
            "proofs"
        );
        for (rank, (record, role)) in there(records, roles) {
            let status = &record.status;
            let (on, off) = if self.is_coloured { (role.colour(), "\x1b[0m") } else { ("", "") };
            let name = group.names.get(rank).map_or("?", String::as_str);
            // Writing to a String cannot fail.
            if self.puppet == Some(rank) {
                let none = "-";
                let _ = writeln!(
                    text,
                    "{name:8} {rank:>4} {none:>4} {on}{:8}{off} {none:>9} {none:>6} {none:>8} \
                     {none:>8}",
                    role.word()
                );
                continue;
            }
            let rate = self.rate(rank, record);
            let _ = writeln!(
                text,
                "{name:8} {rank:>4} {:>4} {on}{:8}{off} {:>9} {rate:>6} {:>8} {:>8}  {:10} {}",
                status.view,
                role.word(),
                status.delivered,
                millis(status.recent.p50_us),
                millis(status.recent.p99_us),
                names(group, record.suspects.iter().map(|(rank, _)| *rank)),
                names(group, record.proofs.keys().copied()),
            );
        }
        text
    }

    fn line(&self, group: &Group, records: &[Record], roles: &[Role]) -> String {
        let members: Vec<String> = there(records, roles)
            .map(|(rank, (record, role))| {
                let name = group.names.get(rank).map_or("?", String::as_str);
                match (self.puppet == Some(rank), role) {
                    (true, _) => format!("{name} ({})", role.word()),
                    (false, Role::Correct) => format!("{name} {}", record.status.delivered),
                    (false, _) => format!("{name} {} ({})", record.status.delivered, role.word()),
                }
            })
            .collect();
        let view = records.iter().map(|record| record.status.view).max().unwrap_or(0);
        let correct = records.iter().zip(roles).filter(|(_, role)| **role == Role::Correct);
        let p50 = correct.map(|(record, _)| record.status.recent.p50_us).max().unwrap_or(0);
        format!("view {view}, delivered: {}; p50 {} ms", members.join(", "), millis(p50))
    }
}

/// Those that were started.
fn there<'a>(
    records: &'a [Record],
    roles: &'a [Role],
) -> impl Iterator<Item = (usize, (&'a Record, &'a Role))> {
    let all = records.iter().zip(roles).enumerate();
    all.filter(|(_, (_, role))| **role != Role::Absent)
}

/// How the member that knows most about it tells of a view.
pub(crate) fn view_line(records: &[Record], number: u64) -> Option<&str> {
    let views = records.iter().flat_map(|record| &record.views);
    let lines = views.filter(|seen| seen.view.number == number).map(|seen| seen.line.as_str());
    lines.max_by_key(|line| line.len())
}

/// Names, or a hyphen if there are none.
fn names(group: &Group, ranks: impl Iterator<Item = u16>) -> String {
    let ranks: BTreeSet<u16> = ranks.collect();
    let names: Vec<&str> = ranks.iter().map(|rank| group.name(Rank::new(*rank))).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

/// Microseconds as milliseconds for people.
pub(crate) fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_read_well() {
        assert_eq!(
            (millis(0), millis(1_234), millis(20_050)),
            ("0.00".into(), "1.23".into(), "20.05".into())
        );
    }
}
