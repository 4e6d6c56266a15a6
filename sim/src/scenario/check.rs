//! What a scenario must be like beyond its syntax: values in range, ranks that exist, names that
//! are known.

use super::{Fate, Liars, Membership, Rule, Scenario};
use crate::adversary::Strategy;
use crate::application;
use crate::marks::Mark;
use crate::oracle::quorums::MEMBERS_MAX;
use crate::verdict::Promise;

/// From this `frame_max` on no frame of a run is cut to pieces.
const WHOLE_FRAMES: usize = 1024 * 1024;

/// The latest that anything happens: a run that is to last for longer would not end.
const LATEST_US: u64 = 100_000_000_000;

impl Scenario {
    /// Checks everything that its syntax does not say.
    ///
    /// # Errors
    /// The first key that is wrong, and why.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let n = self.members;
        if n == 0 || n > MEMBERS_MAX {
            return Err(("members", format!("{n} is not between 1 and {MEMBERS_MAX}")));
        }
        if self.pledge.is_some() && self.membership == Membership::Fixed {
            return Err(("pledge", "only a managed group has one".to_owned()));
        }
        let permille = [
            ("spike_permille", self.network.spike_permille),
            ("loss_permille", self.network.loss_permille),
            ("duplicate_permille", self.network.duplicate_permille),
            ("replay_permille", self.network.replay_permille),
            ("corrupt_permille", self.network.corrupt_permille),
            ("total_permille", self.workload.total_permille),
        ];
        if let Some((key, value)) = permille.into_iter().find(|(_, value)| *value > 1000) {
            return Err((key, format!("{value} is more than 1000")));
        }
        if self.network.min_us == 0 || self.network.min_us > self.network.max_us {
            return Err(("min_us", "must be at least 1 and at most max_us".to_owned()));
        }
        if self.workload.payload_min > self.workload.payload_max
            || self.workload.payload_max > self.limits.cast_max
        {
            return Err(("payload_max", "must lie between payload_min and cast_max".to_owned()));
        }
        if self.workload.burst_max == 0 {
            return Err(("burst_max", "must be at least 1".to_owned()));
        }
        if self.clocks.drift_ppm > 100_000 {
            return Err(("drift_ppm", "must be at most 100000".to_owned()));
        }
        self.check_times()?;
        self.check_state()?;
        self.check_comings()?;
        self.check_faults()?;
        self.check_sense()?;
        self.check_rules()
    }

    /// Pieces of frames do not tell what they are of, so rules need whole ones.
    fn check_rules(&self) -> Result<(), (&'static str, String)> {
        let rules = self.rules.iter();
        let signals = rules.clone().flat_map(|rule| rule.after.iter().chain(&rule.until));
        let signals: Vec<_> = signals.chain(self.signals()).collect();
        let is_needed = !self.rules.is_empty() || !signals.is_empty();
        if is_needed && self.frame_max < WHOLE_FRAMES {
            let text = format!("must be at least {WHOLE_FRAMES} where there are rules");
            return Err(("frame_max", text));
        }
        for (from, to) in rules
            .clone()
            .map(|rule| (&rule.from, &rule.to))
            .chain(signals.iter().map(|signal| (&signal.from, &signal.to)))
        {
            self.ranks("rule", from)?;
            self.ranks("rule", to)?;
        }
        if signals.iter().any(|signal| !signal.is_one()) {
            let text = "a signal needs exactly one of sent, read and installed".to_owned();
            return Err(("rule", text));
        }
        let is_odd = |rule: &Rule| {
            (rule.fate == Fate::Late) != (rule.delay_us > 0)
                || rule.permille.is_some_and(|permille| permille > 1000)
        };
        if self.rules.iter().any(is_odd) {
            let text = "delay_us goes with fate \"late\", permille is at most 1000".to_owned();
            return Err(("rule", text));
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), (&'static str, String)> {
        if self.state_transfer && self.membership == Membership::Fixed {
            return Err(("state_transfer", "only to members of a managed group".to_owned()));
        }
        let given = [
            ("state_bytes", self.state_bytes > 0),
            ("state_delay_us", self.state_delay_us > 0),
            ("join_buffer", self.join_buffer.is_some()),
        ];
        if let Some((key, _)) = given.into_iter().find(|(_, is_given)| *is_given)
            && !self.state_transfer
        {
            return Err((key, "only where a state is handed over".to_owned()));
        }
        if self.state_bytes > application::STATE_MAX {
            let text = format!("{} is more than {}", self.state_bytes, application::STATE_MAX);
            return Err(("state_bytes", text));
        }
        Ok(())
    }

    /// Nothing happens so late that the run has no end in sight.
    fn check_times(&self) -> Result<(), (&'static str, String)> {
        let last = |join: &super::Join| {
            let rest = u64::from(join.count).saturating_mul(join.every_us);
            join.at_us.saturating_add(rest).saturating_add(join.stay_us.unwrap_or(0))
        };
        let joins = self.joins.iter().map(|join| ("join", last(join)));
        let leaves = self.leaves.iter().map(|leave| ("leave", leave.at_us));
        let crashes = self.crashes.iter().map(|crash| ("crash", crash.at_us.unwrap_or(0)));
        let suspects = self.suspects.iter().map(|suspect| ("suspect", suspect.at_us.unwrap_or(0)));
        let restarts = self.restarts.iter().map(|restart| {
            let back_us = restart.at_us.saturating_add(restart.down_us);
            ("restart", back_us)
        });
        let rules = self.rules.iter().map(|rule| ("rule", rule.from_us.max(rule.delay_us)));
        let own = [
            ("heal_at_us", self.heal_at_us),
            ("least_us", self.least_us),
            ("bound_us", self.bound_us),
            ("state_delay_us", self.state_delay_us),
            ("max_us", self.network.max_us.saturating_add(self.network.spike_us)),
            ("pause_us", self.workload.pause_us),
        ];
        let mut all = own
            .into_iter()
            .chain(joins)
            .chain(leaves)
            .chain(crashes)
            .chain(suspects)
            .chain(restarts)
            .chain(rules);
        all.find(|(_, us)| *us > LATEST_US).map_or(Ok(()), |(key, us)| {
            Err((
                key,
                format!("{us} us is later than {LATEST_US} us, when nothing happens any more"),
            ))
        })
    }

    /// Ranks that there are, none of them twice.
    fn ranks(&self, key: &'static str, ranks: &[u16]) -> Result<(), (&'static str, String)> {
        let hosts = self.hosts();
        if let Some(rank) = ranks.iter().find(|rank| **rank >= hosts) {
            return Err((key, format!("there is no rank {rank} among {hosts} members")));
        }
        let twice = ranks.iter().enumerate().find(|(at, rank)| ranks[..*at].contains(rank));
        twice.map_or(Ok(()), |(_, rank)| Err((key, format!("rank {rank} stands there twice"))))
    }

    /// What cannot be meant: the same host twice, liars among whom they are to treat differently, and
    /// expectations that exclude each other.
    fn check_sense(&self) -> Result<(), (&'static str, String)> {
        let twice = |key, mut hosts: Vec<u16>| {
            hosts.sort_unstable();
            let pair = hosts.windows(2).find(|pair| pair.first() == pair.last());
            pair.and_then(|pair| pair.first()).map_or(Ok(()), |rank| {
                Err((key, format!("rank {rank} does so twice, which happens once")))
            })
        };
        twice("crash", self.crashes.iter().map(|crash| crash.rank).collect())?;
        let (liars, expect) = (self.liar_ranks(), &self.expect);
        if self.liars.is_some() && liars.is_empty() {
            return Err(("ranks", "there are no liars; leave the table out".to_owned()));
        }
        if liars.is_empty() && expect.fires {
            return Err(("fires", "there are no liars".to_owned()));
        }
        let both = |a: &[u16], b: &[u16]| a.iter().copied().find(|rank| b.contains(rank));
        let pairs = [
            ("kept", both(&expect.kept, &expect.removed), "removed"),
            ("untouched", both(&expect.untouched, &expect.removed), "removed"),
            ("untouched", both(&expect.untouched, &expect.silenced), "silenced"),
            ("never", both(&expect.never, &expect.kept), "kept"),
        ];
        for (key, rank, other) in pairs {
            if let Some(rank) = rank {
                return Err((key, format!("rank {rank} is to be {other}, too")));
            }
        }
        if expect.views_max.is_some_and(|most| most < expect.views.max(1)) {
            return Err(("views_max", "is less than the least number of views".to_owned()));
        }
        let is_faulty = |rank: &u16| {
            liars.contains(rank) || self.crashes.iter().any(|crash| crash.rank == *rank)
        };
        if let Some(rank) = expect.proof_against.iter().find(|rank| !liars.contains(rank)) {
            return Err((
                "proof_against",
                format!("rank {rank} is no liar: a Proof would be wrong"),
            ));
        }
        let all: Vec<u16> = (0..self.members).collect();
        if all.iter().all(is_faulty) {
            return Err(("ranks", "nobody is left that is correct and stays".to_owned()));
        }
        Ok(())
    }

    fn check_comings(&self) -> Result<(), (&'static str, String)> {
        let is_fixed = self.membership == Membership::Fixed;
        let only = |key| Err((key, "only members of a managed group come and go".to_owned()));
        match () {
            () if is_fixed && !self.joins.is_empty() => return only("join"),
            () if is_fixed && !self.leaves.is_empty() => return only("leave"),
            () if is_fixed && !self.restarts.is_empty() => return only("restart"),
            () if is_fixed && self.rejoin => return only("rejoin"),
            () => {}
        }
        let most = self.limits.max_members.min(self.hosts());
        if most > MEMBERS_MAX {
            let text = format!("{most} may be members at once, the oracles count to {MEMBERS_MAX}");
            return Err(("join", text));
        }
        for join in &self.joins {
            self.ranks("contacts", &join.contacts)?;
        }
        for leave in &self.leaves {
            self.ranks("rank", &[leave.rank])?;
        }
        for restart in &self.restarts {
            self.ranks("rank", &[restart.rank])?;
            let is_liar = self.liar_ranks().contains(&restart.rank);
            if self.hosts() == 1 {
                return Err(("restart", "nobody is left that it could ask".to_owned()));
            }
            if is_liar || self.crashes.iter().any(|crash| crash.rank == restart.rank) {
                return Err(("restart", "its host lies, or crashes for ever".to_owned()));
            }
        }
        self.ranks("never", &self.expect.never)?;
        let unknown = self.expect.marks.iter().find(|name| Mark::parse(name).is_none());
        unknown.map_or(Ok(()), |name| Err(("marks", format!("there is no mark `{name}`"))))
    }

    fn check_second_strategy(&self) -> Result<(), (&'static str, String)> {
        let Some(liars) = &self.liars else { return Ok(()) };
        for ranks in liars.twins.iter().flat_map(|round| [&round.first, &round.second]) {
            self.ranks("twin_round", ranks)?;
        }
        for corrupt in &liars.corrupt {
            self.ranks("corrupt", &corrupt.to)?;
        }
        let Some(name) = &liars.with else { return Ok(()) };
        let Some(second) = Strategy::parse(name) else {
            return Err(("with", format!("there is no strategy `{name}`; see `list`")));
        };
        let first = self.strategy();
        let is_possible = first.into_iter().chain([second]).all(Strategy::goes_with_others);
        if is_possible {
            return Ok(());
        }
        Err(("with", format!("`{name}` and `{}` do not go together", liars.strategy)))
    }

    fn check_links(&self) -> Result<(), (&'static str, String)> {
        for partition in &self.partitions {
            self.ranks("from", &partition.from)?;
            self.ranks("to", &partition.to)?;
            if partition.until_us > self.heal_at_us || partition.from_us > partition.until_us {
                return Err(("until_us", "must lie between from_us and heal_at_us".to_owned()));
            }
        }
        for slow in &self.slow_links {
            self.ranks("slow_link", &slow.from)?;
            self.ranks("slow_link", &slow.to)?;
            if slow.bytes_per_second == 0 {
                return Err(("bytes_per_second", "a slow link carries something".to_owned()));
            }
        }
        for short in &self.short_links {
            self.ranks("short_link", &short.from)?;
            self.ranks("short_link", &short.to)?;
            if short.frame_max < 508 {
                return Err(("frame_max", "every link takes 508 bytes".to_owned()));
            }
        }
        Ok(())
    }

    fn check_faults(&self) -> Result<(), (&'static str, String)> {
        let ranks = |key, ranks: &[u16]| self.ranks(key, ranks);
        self.check_links()?;
        for crash in &self.crashes {
            ranks("rank", &[crash.rank])?;
            let given = [crash.at_us.is_some(), crash.at_casts.is_some(), crash.after.is_some()];
            if given.into_iter().filter(|given| *given).count() != 1 {
                return Err(("crash", "needs exactly one of at_us, at_casts and after".to_owned()));
            }
        }
        for pause in &self.pauses {
            ranks("rank", &[pause.rank])?;
            if pause.at_us.saturating_add(pause.for_us) > self.heal_at_us {
                return Err(("for_us", "the pause must end by heal_at_us".to_owned()));
            }
        }
        for suspect in &self.suspects {
            ranks("by", &suspect.by)?;
            ranks("of", &suspect.of)?;
            if suspect.at_us.is_some() == suspect.after.is_some() {
                return Err(("suspect", "needs exactly one of at_us and after".to_owned()));
            }
        }
        ranks("removed", &self.expect.removed)?;
        ranks("silenced", &self.expect.silenced)?;
        ranks("kept", &self.expect.kept)?;
        ranks("untouched", &self.expect.untouched)?;
        ranks("ranks", self.liar_ranks())?;
        if let Some(Liars { victims: Some(victims), .. }) = &self.liars {
            ranks("victims", victims)?;
        }
        ranks("suspects", &self.expect.suspects)?;
        ranks("proof_against", &self.expect.proof_against)?;
        if let Some(liars) = &self.liars
            && Strategy::parse(&liars.strategy).is_none()
        {
            let text = format!("there is no strategy `{}`; see `list`", liars.strategy);
            return Err(("strategy", text));
        }
        self.check_second_strategy()?;
        if let Some(name) = self.expect.marks.iter().find(|name| Mark::parse(name).is_none()) {
            return Err(("marks", format!("there is no mark `{name}`")));
        }
        let is_newcomer = |rank: &u16| *rank >= self.members;
        if let Some(strategy) = self.strategy()
            && !self.liar_ranks().iter().all(|rank| is_newcomer(rank) == strategy.is_joiner())
        {
            let text = format!("`{}` is for other processes, see `list`", strategy.name());
            return Err(("strategy", text));
        }
        if let Some(name) = &self.expect.violates
            && Promise::parse(name).is_none()
        {
            return Err(("violates", format!("there is no promise `{name}`")));
        }
        Ok(())
    }
}

/// The first line that sets `key` or opens its table; 1 if none does.
pub(super) fn line_of(text: &str, key: &str) -> usize {
    let names = |line: &str| {
        let line = line.trim_start().trim_start_matches('[');
        line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=', ']', '.']))
    };
    text.lines().position(names).map_or(1, |index| index + 1)
}
