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

impl Scenario {
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
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
        self.check_state()?;
        self.check_comings()?;
        self.check_faults()?;
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
            if let Some(rank) = from.iter().chain(to).find(|rank| **rank >= self.hosts()) {
                return Err(("rule", format!("there is no rank {rank}")));
            }
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

    fn ranks(&self, key: &'static str, ranks: &[u16]) -> Result<(), (&'static str, String)> {
        let hosts = self.hosts();
        let foreign = ranks.iter().find(|rank| **rank >= hosts);
        foreign.map_or(Ok(()), |rank| {
            Err((key, format!("there is no rank {rank} among {hosts} members")))
        })
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

    fn check_faults(&self) -> Result<(), (&'static str, String)> {
        let ranks = |key, ranks: &[u16]| self.ranks(key, ranks);
        for partition in &self.partitions {
            ranks("from", &partition.from)?;
            ranks("to", &partition.to)?;
            if partition.until_us > self.heal_at_us || partition.from_us > partition.until_us {
                return Err(("until_us", "must lie between from_us and heal_at_us".to_owned()));
            }
        }
        for slow in &self.slow_links {
            ranks("slow_link", &slow.from)?;
            ranks("slow_link", &slow.to)?;
            if slow.bytes_per_second == 0 {
                return Err(("bytes_per_second", "a slow link carries something".to_owned()));
            }
        }
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
