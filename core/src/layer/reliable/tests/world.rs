//! A whole view of machines, each with its Total on top, from the first cast to the close, on
//! random schedules: what one delivers all deliver, and what the cut leaves out is cast again.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::rig::Solo;
use crate::config::{Config, Timeouts};
use crate::crypto::Certificate;
use crate::input::{Order, Ticket};
use crate::layer::To;
use crate::layer::reliable::{Body, In, Out};
use crate::layer::total::{self, Total};
use crate::member::Rank;
use crate::seq::{LogEnd, Number};
use crate::wire::Part;
use crate::wire::casts::Casts;

fn small(config: &mut Config) {
    let limits = &mut config.genesis.limits;
    (limits.window_bodies, limits.body_max, limits.window_bytes) = (8, 1024, 4 * 1024);
    (limits.cast_max, limits.slot_window) = (512, 16);
    config.cast_queue_bytes = 2 * 1024;
}

/// One member, with what it delivered: senders and their casts, counted.
struct Seat {
    solo: Solo,
    total: Total,
    fifo: Vec<(u16, u32)>,
    order: Vec<(u16, u32)>,
    casts: u32,
    /// What it flushed.
    ends: Vec<(LogEnd, Option<Certificate>)>,
    /// The haves and rows at that moment.
    told: Option<(Vec<Number>, Vec<Number>)>,
}

impl Seat {
    fn deliver(&mut self, body: &Body, order: Order) {
        for (kind, range) in Casts::from(&body.casts, 0) {
            if kind == order {
                let index = u32::from_le_bytes(body.casts[range][..4].try_into().unwrap());
                let list = if order == Order::Fifo { &mut self.fifo } else { &mut self.order };
                list.push((body.sender.value(), index));
            }
        }
    }

    /// Takes in what Total has to say; returns what Reliable makes of it.
    fn on_total(&mut self, outs: Vec<total::Out>) -> Vec<Out> {
        let mut below = Vec::new();
        for out in outs {
            match out {
                total::Out::Deliver(body, _) => {
                    self.deliver(&body, Order::Total);
                    below.extend(self.solo.step(In::Merged(body.sender, body.number)));
                }
                total::Out::Owe(round) => below.extend(self.solo.step(In::Owe(round))),
                total::Out::AskSlot(..)
                | total::Out::Impedes(_)
                | total::Out::Waits(_)
                | total::Out::Late(_) => {}
            }
        }
        below
    }

    fn freeze(&mut self) {
        if self.told.is_none() {
            self.ends = self.solo.machine.freeze();
            self.total.freeze();
            self.told = Some((self.solo.machine.haves(), self.solo.machine.rows()));
        }
    }
}

struct World {
    seats: Vec<Seat>,
    active: Vec<Rank>,
}

impl World {
    fn new(n: u8, silenced: Option<u16>) -> Self {
        let ranks = (0..u16::from(n)).map(Rank::new);
        let active: Vec<Rank> = ranks.filter(|rank| Some(rank.value()) != silenced).collect();
        let seat = |me: u16| Seat {
            solo: Solo::at(n, me, silenced, small),
            total: Total::new(&Timeouts::default(), Rank::new(me), &active, usize::from(n - 1) / 3),
            fifo: Vec::new(),
            order: Vec::new(),
            casts: 0,
            ends: Vec::new(),
            told: None,
        };
        Self { seats: (0..u16::from(n)).map(seat).collect(), active }
    }

    /// Passes on what `from` puts out to those in `mask`, and all that follows from it.
    fn pass(&mut self, from: usize, outs: Vec<Out>, mask: u32) {
        let mut queue: VecDeque<(usize, Out)> = outs.into_iter().map(|out| (from, out)).collect();
        while let Some((from, out)) = queue.pop_front() {
            let Seat { solo, total, .. } = &mut self.seats[from];
            let now = solo.now;
            let more = match out {
                Out::Post(post) => {
                    let reached = (0..self.seats.len()).filter(|to| match post.to {
                        To::All => *to != from,
                        To::One(rank) => rank.index() == *to,
                    });
                    for to in reached.filter(|to| mask >> to & 1 == 1).collect::<Vec<_>>() {
                        for part in post.parts.clone() {
                            let seat = &mut self.seats[to].solo;
                            let answer = match part {
                                Part::Fetch { sender, from: first, to } => seat.fetch(
                                    from as u16,
                                    sender.value(),
                                    first.value(),
                                    to.value(),
                                ),
                                other => seat.take_part(other, post.casts.as_ref()),
                            };
                            queue.extend(answer.into_iter().map(|out| (to, out)));
                        }
                    }
                    continue;
                }
                Out::Sighted(sender, slot) => total.step(now, total::In::Sighted(sender, slot)),
                Out::Deliver(body, since) => {
                    let merged = total.step(now, total::In::Deliverable(body.clone(), since));
                    self.seats[from].deliver(&body, Order::Fifo);
                    merged
                }
                Out::TellHaves | Out::Writable => continue,
                other => panic!("{other:?}"),
            };
            let below = self.seats[from].on_total(more);
            queue.extend(below.into_iter().map(|out| (from, out)));
        }
    }

    fn cast(&mut self, member: usize, size: u16) {
        let seat = &mut self.seats[member];
        let mut payload = seat.casts.to_le_bytes().to_vec();
        payload.resize(4 + usize::from(size % 400), 0);
        let order = if size & 1 == 0 { Order::Fifo } else { Order::Total };
        let ticket = Ticket(u64::from(seat.casts));
        if seat.solo.machine.cast(ticket, order, &payload).is_ok() {
            seat.casts += 1;
        }
    }

    fn tell_haves(&mut self, from: usize, mask: u32) {
        let haves = self.seats[from].solo.machine.haves();
        for to in 0..self.seats.len() {
            if mask >> to & 1 == 1 {
                let outs = self.seats[to].solo.step(In::Haves(Rank::new(from as u16), &haves));
                self.pass(to, outs, mask);
            }
        }
    }

    /// All rows reach one member, and with them how far everything is stable.
    fn stabilise(&mut self, member: usize) {
        let rows: Vec<_> = self.seats.iter().map(|seat| seat.solo.machine.rows()).collect();
        for sender in 0..self.seats.len() {
            let stable = rows.iter().map(|row| row[sender]).min().unwrap();
            let input = In::Threshold(Rank::new(sender as u16), stable);
            let outs = self.seats[member].solo.step(input);
            self.pass(member, outs, 0);
        }
    }

    /// One random event.
    fn act(&mut self, (kind, member, mask): (u8, u8, u32)) {
        let member = usize::from(member) % self.seats.len();
        match kind {
            0..=5 => self.cast(member, mask as u16),
            6..=19 => {
                let solo = &mut self.seats[member].solo;
                solo.now = solo.now.plus(20_000);
                let outs = solo.tick();
                // Three of four copies arrive.
                self.pass(member, outs, mask | mask >> 16);
            }
            20..=27 => self.tell_haves(member, mask | mask >> 16),
            28..=30 => self.stabilise(member),
            _ => self.seats[member].freeze(),
        }
    }

    /// The cut of the Flushes of a quorum from `first` on.
    fn cut(&mut self, first: usize) -> Vec<LogEnd> {
        let (n, q) = (self.seats.len(), self.seats[0].solo.quorum());
        let mut cut = vec![LogEnd::EMPTY; n];
        for index in 0..q {
            for (sender, (end, certificate)) in
                self.seats[(first + index) % n].ends.clone().into_iter().enumerate()
            {
                if end.number > cut[sender].number {
                    let certificate = certificate.expect("a head has a certificate");
                    let head = certificate.head;
                    assert_eq!((head.number, head.hash), (end.number, end.hash));
                    assert!(self.seats[0].solo.is_good(&certificate));
                    cut[sender] = end;
                }
            }
        }
        cut
    }

    fn collect(&mut self, cut: &[LogEnd]) {
        for member in 0..self.seats.len() {
            let outs = self.seats[member].solo.step(In::Collect(cut));
            self.pass(member, outs, u32::MAX);
        }
        for _ in 0..200 {
            for member in 0..self.seats.len() {
                let outs = self.seats[member].solo.run(100_000);
                self.pass(member, outs, u32::MAX);
            }
        }
        for (member, seat) in self.seats.iter().enumerate() {
            assert!(seat.solo.machine.is_collected(), "member {member} lacks some of {cut:?}");
        }
    }

    fn close(&mut self) {
        for seat in &mut self.seats {
            let remainder = seat.solo.machine.close();
            remainder.iter().for_each(|body| seat.deliver(body, Order::Fifo));
            let outs = seat.total.close(&remainder);
            assert!(seat.on_total(outs).is_empty());
        }
    }
}

fn of(list: &[(u16, u32)], sender: usize) -> Vec<u32> {
    let own = list.iter().filter(|(by, _)| usize::from(*by) == sender);
    own.map(|(_, index)| *index).collect()
}

fn ascends(list: &[u32]) -> bool {
    list.windows(2).all(|pair| pair[0] < pair[1])
}

/// What the view is judged by once it is closed at `cut`.
fn judge(world: &mut World, cut: &[LogEnd]) {
    for (sender, end) in cut.iter().enumerate() {
        let first = (of(&world.seats[0].fifo, sender), of(&world.seats[0].order, sender));
        assert!(ascends(&first.0) && ascends(&first.1), "in the order cast, each once");
        for seat in &world.seats {
            assert_eq!(of(&seat.fifo, sender), first.0, "the same set, in the same order");
            assert_eq!(seat.order, world.seats[0].order, "one total order");
        }
        let mut delivered = [first.0, first.1].concat();
        delivered.sort_unstable();
        let seat = &mut world.seats[sender];
        let legacy = seat.solo.machine.legacy(*end);
        delivered.extend(legacy.tickets().map(|ticket| ticket.0 as u32));
        assert!(delivered.iter().copied().eq(0..seat.casts), "each own cast is in one of them");
        let (haves, rows) = seat.told.clone().unwrap();
        assert_eq!((seat.solo.machine.haves(), seat.solo.machine.rows()), (haves, rows));
        assert_eq!(seat.solo.machine.deadline(), None, "there is nothing left to do");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_deliver_the_cut_and_nothing_else(
        n in prop::sample::select(vec![1_u8, 2, 3, 4, 5, 7]),
        silences: bool,
        acts in prop::collection::vec((0..32_u8, any::<u8>(), any::<u32>()), 0..400),
        late in prop::collection::vec((6..28_u8, any::<u8>(), any::<u32>()), 0..60),
        firsts in (0..7_usize, 0..7_usize),
    ) {
        let silenced = (silences && n > 3).then_some(1);
        let mut world = World::new(n, silenced);
        // Freezing is rare, but some act on for long after others froze.
        let is_freeze = |kind: u8| kind == 31;
        for (index, act) in acts.iter().enumerate() {
            if !is_freeze(act.0) || index * 3 > acts.len() * 2 {
                world.act(*act);
            }
        }
        world.seats.iter_mut().for_each(Seat::freeze);
        late.iter().for_each(|act| world.act(*act));
        // Another attempt may bring another cut.
        let before = world.cut(firsts.0);
        for member in 0..world.seats.len() {
            let outs = world.seats[member].solo.step(In::Collect(&before));
            world.pass(member, outs, 0b0101_0101);
        }
        let cut = world.cut(firsts.1);
        let orders: Vec<_> = world.seats.iter().map(|seat| seat.order.clone()).collect();
        world.collect(&cut);
        world.close();
        for (seat, before) in world.seats.iter().zip(orders) {
            prop_assert!(seat.order.starts_with(&before), "histories are prefixes");
        }
        prop_assert!(world.active.len() >= usize::from(n) - 1);
        judge(&mut world, &cut);
    }
}
