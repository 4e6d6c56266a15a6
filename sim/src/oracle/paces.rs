//! How the run feeds the oracles about time and work, and asks them: [`super::delay`],
//! [`super::standing`], [`super::work`], and the figures of [`crate::rates`].

use phalanx_core::{Departure, Order};

use super::work::{Spent, Useful};
use super::{Delivery, Oracles, standing};
use crate::rates::{LATENCY_FROM_US, Rates};
use crate::scenario::Expect;
use crate::verdict::Promise;
use crate::workload;

impl Oracles {
    /// Keeps the figures of [`crate::rates`], too.
    pub fn measure(&mut self) {
        self.rates = Some(Box::default());
    }

    /// How long Total casts took beyond what a scenario allows, if they did.
    #[must_use]
    pub fn slow(&self, expect: &Expect) -> Option<String> {
        let rates = self.rates.as_ref()?;
        let limits = [(500, expect.p50_us), (990, expect.p99_us)];
        limits.into_iter().find_map(|(permille, most_us)| {
            let (took_us, most_us) = (rates.quantile_us(LATENCY_FROM_US, permille), most_us?);
            match took_us {
                Some(took_us) if took_us <= most_us => None,
                Some(took_us) => Some(format!(
                    "{permille} of 1,000 Total casts took up to {took_us} us, not {most_us}"
                )),
                None => Some("no Total cast was delivered after the first second".to_owned()),
            }
        })
    }

    /// These figures, if they were kept.
    pub fn take_rates(&mut self) -> Option<Rates> {
        self.rates.take().map(|rates| *rates)
    }

    /// What is late, or was done to the innocent too often, if anything, in a group that is well
    /// since `well_us`.
    pub fn unfair(&mut self, now_us: u64, well_us: u64) -> Option<String> {
        if self.changes.is_overrun() || self.unowed().is_some() || !self.is_owed() {
            return None;
        }
        if let Some(text) = &self.hurt {
            return Some(text.clone());
        }
        let has_bound = self.is_quick && now_us >= well_us;
        if !has_bound {
            return None;
        }
        let (senders, whole) = self.owed();
        self.delay.late(now_us, well_us, &self.fifo, (&senders, &whole))
    }

    /// The members whose casts are owed now, and those to which.
    fn owed(&self) -> (Vec<usize>, Vec<usize>) {
        let present = self.present();
        if self.is_managed {
            let (_, senders, whole) = self.standing_now(&present);
            return (senders, whole);
        }
        let is_whole = present.len() == self.views.lives().len();
        if is_whole { (present.clone(), present) } else { (Vec::new(), Vec::new()) }
    }

    /// Frames of `host` made correct member `by` do this; `own` is how many bodies its log has.
    pub fn worked(&mut self, now_us: u64, (by, host): (usize, u16), step: Spent, own: u64) {
        let members = self.views.newest().1.processes.len() as u64;
        let bodies = self.bodies[by].1.saturating_add(own.saturating_mul(members));
        let changes = (self.views.count() + self.history.transitional()) as u64;
        let useful = Useful { bodies, changes };
        let result = self.work.spent(now_us, (by, host), step, useful);
        self.judge(now_us, Promise::Work, result);
    }

    /// The highest share of its budget of work that a peer used, in thousandths.
    #[must_use]
    pub const fn work_permille(&self) -> u64 {
        self.work.highest_permille()
    }

    /// The longest that a cast was owed, and the bound.
    #[must_use]
    pub const fn longest_us(&self) -> (u64, u64) {
        self.delay.longest_us()
    }

    pub(super) fn paced(&mut self, now_us: u64, delivery: &Delivery<'_>) {
        let body = (delivery.view, delivery.sender, delivery.number);
        let (last, bodies) = &mut self.bodies[delivery.by];
        if *last != Some(body) {
            *last = Some(body);
            *bodies += 1;
        }
        let is_correct = !self.liars[delivery.sender];
        if let (Some(rates), Some((_, index))) =
            (&mut self.rates, workload::identify(delivery.payload).filter(|_| is_correct))
        {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            rates.delivered(now_us, (delivery.sender, index), delivery.by, delivery.order);
        }
    }

    pub(super) fn asked(&mut self, now_us: u64, sender: usize, index: usize) {
        if let Some(rates) = &mut self.rates {
            rates.asked(now_us, sender, index);
        }
    }

    pub(super) fn taken(&mut self, now_us: u64, sender: usize, order: Order) {
        self.delay.accepted(now_us, sender, order);
    }

    /// A correct member suspects a process, or holds a Proof against it.
    pub(super) fn blames(&mut self, now_us: u64, subject: usize) {
        let is_liar = self.liars[subject];
        if let Some(rates) = self.rates.as_mut().filter(|_| is_liar) {
            rates.blamed(now_us);
        }
    }

    /// The view at this place is seen for the first time.
    pub(super) fn stands(&mut self, now_us: u64, at: usize) {
        let (_, newest) = self.views.newest();
        let mut members = newest.processes.iter().flatten();
        let is_active = members.any(|process| self.liars[*process] && newest.is_active(*process));
        if let Some(rates) = &mut self.rates {
            rates.stands(now_us, is_active);
        }
        if now_us < self.changes.well_at_us() || !self.is_within_model {
            return;
        }
        let after = self.views.at(at);
        let Some((_, before)) = self.views.by_id(&after.view.prev) else { return };
        let goes = |process: &usize| {
            let rank = before.rank(*process);
            after.view.departed.iter().any(|(departed, why)| {
                Some(*departed) == rank && matches!(why, Departure::Left | Departure::Replaced)
            })
        };
        let is_hurt = |process: &usize| {
            !self.liars[*process]
                && !self.crashed[*process]
                && !self.changes.inclusion.is_out(*process)
                && !goes(process)
        };
        let hurt: Vec<usize> = standing::fell(before, after).filter(is_hurt).collect();
        for process in hurt {
            let host = self.views.lives()[process].host;
            if let Err(text) = self.standing.hurt(process, host) {
                self.hurt.get_or_insert(text);
            }
        }
    }
}
