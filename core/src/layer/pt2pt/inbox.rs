//! Messages from one member: put in order, within the credit that was granted.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Misbehaviour, WINDOW, cost};
use crate::wire::{List, NAKS_MAX, Pt2ptPart, SEND_COST};

/// No message can be further ahead: each costs at least this much credit.
const AHEAD_MAX: u64 = (WINDOW / SEND_COST) as u64;

#[derive(Debug)]
pub(super) struct Inbox {
    next: u64,
    /// Arrived above `next`.
    early: BTreeMap<u64, Vec<u8>>,
    held: usize,
    owes_ack: bool,
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self { next: 1, early: BTreeMap::new(), held: 0, owes_ack: false }
    }

    /// Takes a message in and delivers what is in order. The sender may have the messages from
    /// `next` on under way as far as its credit goes, so more than that cannot be here.
    pub(super) fn on_data(
        &mut self,
        number: u64,
        payload: Vec<u8>,
        deliver: &mut impl FnMut(Vec<u8>),
    ) -> Result<(), Misbehaviour> {
        self.owes_ack = true;
        if number < self.next || self.early.contains_key(&number) {
            return Ok(());
        }
        let held = self.held.saturating_add(cost(payload.len()));
        if number.saturating_sub(self.next) >= AHEAD_MAX || held > WINDOW {
            return Err(Misbehaviour);
        }
        self.held = held;
        self.early.insert(number, payload);
        self.deliver(deliver);
        Ok(())
    }

    /// What the sender gave up is not waited for; what of it arrived is delivered.
    pub(super) fn on_skip(
        &mut self,
        below: u64,
        deliver: &mut impl FnMut(Vec<u8>),
    ) -> Result<(), Misbehaviour> {
        self.owes_ack = true;
        if below.saturating_sub(self.next) > AHEAD_MAX {
            return Err(Misbehaviour);
        }
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() >= below {
                break;
            }
            let payload = entry.remove();
            self.held = self.held.saturating_sub(cost(payload.len()));
            deliver(payload);
        }
        self.next = self.next.max(below);
        self.deliver(deliver);
        Ok(())
    }

    fn deliver(&mut self, deliver: &mut impl FnMut(Vec<u8>)) {
        while let Some(payload) = self.early.remove(&self.next) {
            self.held = self.held.saturating_sub(cost(payload.len()));
            // Numbers rise by at most the window at a time: the end is out of reach.
            self.next = self.next.saturating_add(1);
            deliver(payload);
        }
    }

    pub(super) const fn owes_ack(&self) -> bool {
        self.owes_ack
    }

    /// The acknowledgement, if anything arrived since the last one.
    pub(super) fn take_ack(&mut self) -> Option<Pt2ptPart> {
        if !core::mem::take(&mut self.owes_ack) {
            return None;
        }
        let mut missing = Vec::new();
        let mut from = self.next;
        for number in self.early.keys() {
            let room = NAKS_MAX.saturating_sub(missing.len());
            if room == 0 {
                break;
            }
            missing.extend((from..*number).take(room));
            from = number.saturating_add(1);
        }
        Some(Pt2ptPart::Ack {
            next: self.next,
            missing: List::from(missing),
            credit: WINDOW as u64,
        })
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }
}
