//! Processes that start, leave and come back in the middle of a run.

use phalanx_core::ConfigError;

use super::Run;
use super::process::{Process, Start};
use super::queue::What;
use super::world::World;
use crate::verdict::Verdict;

/// Whom a process asks at the most.
const CONTACTS_MAX: usize = 64;

impl Run<'_> {
    /// Puts everything that the scenario says about comings and goings on the agenda.
    pub(super) fn plan_comings(&mut self) {
        let World { queue, pending, .. } = &mut self.world;
        for newcomer in self.scenario.newcomers() {
            queue.push(newcomer.at_us, What::Start(newcomer.host));
            *pending += 1;
        }
        for leave in &self.scenario.leaves {
            queue.push(leave.at_us, What::Leave(leave.rank));
            *pending += 1;
        }
        for restart in &self.scenario.restarts {
            queue.push(restart.at_us, What::Stop(restart.rank, restart.down_us));
            *pending += 1;
        }
    }

    /// One of them happens.
    ///
    /// # Errors
    /// What is wrong with the run.
    pub(super) fn comes(&mut self, what: &What) -> Result<(), Verdict> {
        let now_us = self.world.now_us;
        self.trigger_us = self.trigger_us.max(now_us);
        match *what {
            What::Start(host) => {
                self.world.pending -= 1;
                self.start(host).map_err(|error| Verdict::Crash(error.to_string()))
            }
            What::Leave(host) => {
                self.world.pending -= 1;
                if let Some(life) = self.life(host) {
                    self.processes[life].leave(&mut self.world);
                }
                Ok(())
            }
            What::Stop(host, down_us) => {
                self.stop(host);
                let life = self.life(host).unwrap_or(usize::MAX);
                self.world.queue.push(now_us + down_us, What::Return(host, life));
                Ok(())
            }
            What::Return(host, life) => {
                self.world.pending -= 1;
                if self.life(host) != Some(life) || self.crashed.contains(&host) {
                    return Ok(());
                }
                if self.processes.len() == self.scenario.lives_max() {
                    let text =
                        format!("there is no end to processes that come back, on {host} too");
                    return Err(Verdict::Liveness(text));
                }
                self.processes[life].crash(&mut self.world);
                self.start(host).map_err(|error| Verdict::Crash(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The next process of this host starts.
    fn start(&mut self, host: u16) -> Result<(), ConfigError> {
        let incarnation = self.hosts[usize::from(host)].map_or(0, |(_, last)| last + 1);
        let newcomer = self.scenario.newcomers().into_iter().find(|new| new.host == host);
        let join = newcomer.map(|newcomer| newcomer.join);
        let named = join.as_ref().map(|join| join.contacts.clone()).unwrap_or_default();
        let known = if incarnation == 0 { self.scenario.members } else { self.scenario.hosts() };
        let contacts: Vec<u16> = match named.is_empty() {
            true => (0..known).filter(|other| *other != host).take(CONTACTS_MAX).collect(),
            false => named,
        };
        // A life after the first stays: the wish to leave was that of another.
        let stay_us = join.as_ref().and_then(|join| join.stay_us).filter(|_| incarnation == 0);
        let life = u16::try_from(self.processes.len()).unwrap_or(u16::MAX);
        let start = Start {
            life,
            host,
            joins: Some((incarnation, contacts)),
            casts: join.as_ref().and_then(|join| join.casts),
            stay_us,
        };
        let key = *self.group.identity(host).public_key();
        let is_authorised = join.is_none_or(|join| join.is_authorised);
        self.world.oracles.started((host, key, incarnation), is_authorised);
        let clock = self.clocks[usize::from(host)];
        let process = Process::new(self.scenario, &self.group, &start, clock, &mut self.world)?;
        self.processes.push(process);
        self.hosts[usize::from(host)] = Some((usize::from(life), incarnation));
        self.processes[usize::from(life)].schedule(&mut self.world);
        Ok(())
    }
}
