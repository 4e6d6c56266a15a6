//! Two members over a bad link, and one against liars.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::crypto::{Hash32, PublicKey};
use crate::member::{Member, Status};
use crate::wire::{Blob, List};
use crate::{Genesis, Limits, Pattern, QuorumRule};

const A: Rank = Rank::new(0);
const B: Rank = Rank::new(1);

fn config() -> Config {
    let member = |byte| Member {
        key: PublicKey([byte; 32]),
        incarnation: 0,
        addr: Vec::new(),
        status: Status::Active,
    };
    let mut config = Config::new(Genesis {
        name: "test".into(),
        nonce: Hash32::ZERO,
        members: vec![member(1), member(2)],
        pledge: None,
        pattern: Pattern::Swift,
        quorum: QuorumRule::Sound,
        membership: crate::Membership::Fixed,
        state_transfer: false,
        limits: Limits::default(),
    });
    config.timeouts.retransmit_us = 10;
    config.send_tries = 4;
    config.send_queue_bytes = 2_000;
    config
}

fn machine() -> Pt2pt {
    Pt2pt::new(2, A, &config())
}

fn at(micros: u64) -> Time {
    Time::from_micros(micros)
}

fn send(machine: &mut Pt2pt, now: u64, ticket: u64, payload: &[u8]) -> Vec<Out> {
    machine.step(at(now), In::Send { to: B, ticket: Ticket(ticket), payload })
}

fn hear(machine: &mut Pt2pt, now: u64, part: Pt2ptPart) -> Vec<Out> {
    machine.step(at(now), In::Part { from: B, part })
}

fn data(number: u64, payload: &[u8]) -> Pt2ptPart {
    Pt2ptPart::Data { number, payload: Blob(payload.to_vec()) }
}

fn ack(next: u64, missing: &[u64]) -> Pt2ptPart {
    Pt2ptPart::Ack { next, missing: List::from(missing.to_vec()), credit: WINDOW as u64 }
}

fn to_b(part: Pt2ptPart) -> Out {
    Out::Part { to: B, part }
}

fn deliver(payload: &[u8]) -> Out {
    Out::Deliver { from: B, payload: payload.to_vec() }
}

fn failed(ticket: u64) -> Out {
    Out::Failed { to: B, ticket: Ticket(ticket) }
}

struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
        (self.0 >> 33) % n
    }
}

/// Both members send `count` messages over a link that loses 30 percent, repeats 10 percent and
/// delays each part by up to 30 us.
fn exchange(seed: u64, count: u64) -> [Vec<Vec<u8>>; 2] {
    let mut lcg = Lcg(seed);
    let config = Config { send_queue_bytes: 1 << 20, send_tries: 20, ..config() };
    let mut ends = [Pt2pt::new(2, A, &config), Pt2pt::new(2, B, &config)];
    let mut got = [Vec::new(), Vec::new()];
    let mut network: BTreeMap<(u64, u64), (usize, Pt2ptPart)> = BTreeMap::new();
    let (mut now, mut serial, mut steps) = (0, 0, 0);
    let mut sent = [0, 0];
    loop {
        let mut outs: Vec<(usize, Vec<Out>)> = Vec::new();
        for end in 0..2 {
            if sent[end] < count {
                let len = usize::try_from(lcg.below(2_000)).unwrap();
                let mut payload = vec![u8::try_from(end).unwrap(); len];
                payload.extend(sent[end].to_le_bytes());
                sent[end] += 1;
                let to = Rank::new(u16::try_from(1 - end).unwrap());
                let request = In::Send { to, ticket: Ticket(sent[end]), payload: &payload };
                outs.push((end, ends[end].step(at(now), request)));
            }
            if ends[end].deadline().is_some_and(|due| due <= at(now)) {
                outs.push((end, ends[end].step(at(now), In::Tick)));
            }
        }
        while let Some(entry) = network.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, part) = entry.remove();
            let from = Rank::new(u16::try_from(1 - to).unwrap());
            outs.push((to, ends[to].step(at(now), In::Part { from, part })));
        }
        for (end, out) in
            outs.into_iter().flat_map(|(end, outs)| outs.into_iter().map(move |out| (end, out)))
        {
            match out {
                Out::Part { part, .. } => {
                    for _ in 0..1 + u64::from(lcg.below(10) == 0) {
                        serial += 1;
                        if lcg.below(10) >= 3 {
                            network.insert((now + lcg.below(30), serial), (1 - end, part.clone()));
                        }
                    }
                }
                Out::Deliver { payload, .. } => got[end].push(payload),
                Out::Accepted(_) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        let next = ends.iter().filter_map(Pt2pt::deadline).map(Time::as_micros).min();
        let arrival = network.first_key_value().map(|((when, _), _)| *when);
        let is_sending = sent.iter().any(|sent| *sent < count);
        match next.into_iter().chain(arrival).min() {
            _ if is_sending => now += 1,
            Some(next) => now = next.max(now),
            None => break,
        }
        steps += 1;
        assert!(steps < 1_000_000, "seed {seed}: it must come to an end");
    }
    assert!(ends.iter().all(|end| end.held_bytes() == 0), "seed {seed}");
    got
}

#[test]
fn everything_arrives_once_and_in_order_over_a_bad_link() {
    for seed in 0..30 {
        for (end, got) in exchange(seed, 60).into_iter().enumerate() {
            assert_eq!(got.len(), 60, "seed {seed}");
            for (i, payload) in got.iter().enumerate() {
                let (filler, number) = payload.split_at(payload.len() - 8);
                assert_eq!(number, (i as u64).to_le_bytes(), "seed {seed}: in order");
                assert!(filler.iter().all(|byte| usize::from(*byte) == 1 - end));
            }
        }
    }
}

#[test]
fn requests_are_taken_whole_or_refused() {
    let mut machine = machine();
    let refused = |why| vec![Out::Refused(Ticket(9), why)];
    assert_eq!(send(&mut machine, 0, 9, &[0; 1_937]), refused(Refusal::TooLarge));
    let request = |to| In::Send { to, ticket: Ticket(9), payload: &[] };
    assert_eq!(machine.step(at(0), request(A)), refused(Refusal::NotMember));
    assert_eq!(machine.step(at(0), request(Rank::new(2))), refused(Refusal::NotMember));
    let first = data(1, &[1; 1_000]);
    assert_eq!(send(&mut machine, 0, 1, &[1; 1_000]), [Out::Accepted(Ticket(1)), to_b(first)]);
    assert_eq!(send(&mut machine, 0, 2, &[1; 872]).len(), 2);
    assert_eq!(machine.held_bytes(), 2_000, "the queue is full to the last byte");
    assert!(machine.held_bytes() <= bound(&config(), 2));
    assert_eq!(send(&mut machine, 0, 9, &[]), refused(Refusal::Full));
    assert_eq!(hear(&mut machine, 1, ack(2, &[])), [Out::Writable]);
    assert_eq!(hear(&mut machine, 1, ack(3, &[])), [], "said once");
    assert_eq!(send(&mut machine, 2, 3, &[]).len(), 2);
    let config = Config { send_queue_bytes: 1 << 30, ..config() };
    let mut machine = Pt2pt::new(2, A, &config);
    assert_eq!(send(&mut machine, 0, 9, &vec![0; SEND_MAX + 1]), refused(Refusal::TooLarge));
    assert_eq!(send(&mut machine, 0, 9, &vec![0; SEND_MAX]).len(), 2);
}

#[test]
fn what_arrives_is_acknowledged_at_the_tick_and_old_duplicates_again() {
    let mut machine = machine();
    assert_eq!(machine.step(at(0), In::Tick), []);
    assert_eq!(hear(&mut machine, 0, data(3, b"c")), []);
    assert_eq!(hear(&mut machine, 0, data(6, b"f")), []);
    assert_eq!(machine.deadline(), Some(Time::ZERO));
    assert_eq!(machine.step(at(0), In::Tick), [to_b(ack(1, &[1, 2, 4, 5]))]);
    assert_eq!((machine.deadline(), machine.held_bytes()), (None, 2 * (SEND_COST + 1)));
    assert_eq!(machine.step(at(1), In::Tick), [], "nothing arrived since");
    assert_eq!(hear(&mut machine, 1, data(1, b"a")), [deliver(b"a")]);
    assert_eq!(hear(&mut machine, 1, data(2, b"b")), [deliver(b"b"), deliver(b"c")]);
    assert_eq!(machine.step(at(1), In::Tick), [to_b(ack(4, &[4, 5]))]);
    assert_eq!(hear(&mut machine, 2, data(2, b"b")), [], "not delivered again");
    assert_eq!(machine.step(at(2), In::Tick), [to_b(ack(4, &[4, 5]))]);
}

#[test]
fn an_acknowledgement_names_no_more_than_it_may() {
    let mut machine = machine();
    assert_eq!(hear(&mut machine, 0, data(200, b"x")), []);
    let missing: Vec<u64> = (1..=64).collect();
    assert_eq!(machine.step(at(0), In::Tick), [to_b(ack(1, &missing))]);
}

#[test]
fn a_liar_that_never_acknowledges_costs_a_bounded_number_of_parts() {
    let mut machine = machine();
    let mut parts = 0;
    for ticket in 1..=3 {
        parts += send(&mut machine, 0, ticket, b"hello").len() - 1;
    }
    let mut end = Vec::new();
    while let Some(due) = machine.deadline() {
        let out = machine.step(due, In::Tick);
        parts += out.iter().filter(|out| matches!(out, Out::Part { .. })).count();
        end.extend(out.into_iter().filter(|out| !matches!(out, Out::Part { .. })));
        assert!(parts < 100, "it must give up");
    }
    assert_eq!(end, [failed(1), failed(2), failed(3)]);
    assert_eq!(parts, 3 + 4, "each once, and the first `send_tries` times more");
    assert_eq!(machine.held_bytes(), 0);
    // From now on only a Skip is tried.
    let skip = to_b(Pt2ptPart::Skip { below: 4 });
    assert_eq!(send(&mut machine, 9_000, 4, b"again"), [Out::Accepted(Ticket(4)), skip.clone()]);
    let mut rest = Vec::new();
    while let Some(due) = machine.deadline() {
        rest.extend(machine.step(due, In::Tick));
        assert!(rest.len() < 100, "it must give up");
    }
    assert_eq!(rest, [vec![skip; 4], vec![failed(4)]].concat());
}

#[test]
fn a_peer_that_comes_back_is_told_what_not_to_wait_for() {
    let mut machine = machine();
    send(&mut machine, 0, 1, b"one");
    send(&mut machine, 0, 2, b"two");
    while let Some(due) = machine.deadline() {
        machine.step(due, In::Tick);
    }
    let skip = to_b(Pt2ptPart::Skip { below: 3 });
    assert_eq!(send(&mut machine, 9_000, 3, b"three"), [Out::Accepted(Ticket(3)), skip]);
    assert_eq!(hear(&mut machine, 9_001, ack(2, &[])), [], "older than the Skip");
    assert_eq!(hear(&mut machine, 9_002, ack(3, &[])), [to_b(data(3, b"three"))]);
    // The other end: what had arrived is delivered, the hole is not waited for.
    let mut other = Pt2pt::new(2, A, &config());
    assert_eq!(hear(&mut other, 0, data(2, b"two")), []);
    assert_eq!(hear(&mut other, 1, Pt2ptPart::Skip { below: 3 }), [deliver(b"two")]);
    assert_eq!(other.step(at(1), In::Tick), [to_b(ack(3, &[]))]);
    assert_eq!(hear(&mut other, 2, Pt2ptPart::Skip { below: 2 }), [], "an old one");
    assert_eq!(hear(&mut other, 2, data(3, b"three")), [deliver(b"three")]);
}

#[test]
fn a_liar_that_asks_for_everything_for_ever_gets_a_bounded_number_of_resends() {
    let mut machine = machine();
    for ticket in 1..=3 {
        send(&mut machine, 0, ticket, b"hello");
    }
    let (mut parts, mut failures) = (0, 0);
    for now in 1..20_000 {
        for part in [ack(1, &[1, 2]), ack(1, &[1, 2, 3])] {
            let out = hear(&mut machine, now, part);
            assert!(out.iter().all(|out| matches!(out, Out::Misbehaved { .. })), "{out:?}");
        }
        for out in machine.step(at(now), In::Tick) {
            match out {
                Out::Part { .. } => parts += 1,
                Out::Failed { .. } => failures += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((parts, failures), (3 * 4, 3), "`send_tries` for each, then given up");
}

#[test]
fn a_liar_that_overruns_its_credit_is_shown_and_holds_no_more_than_the_window() {
    let mut machine = machine();
    let longest = vec![7; SEND_MAX];
    assert_eq!(hear(&mut machine, 0, data(2, &longest)), []);
    assert_eq!(hear(&mut machine, 0, data(3, &longest)), []);
    assert_eq!(machine.held_bytes(), WINDOW, "the window is full to the last byte");
    assert!(machine.held_bytes() <= bound(&config(), 2));
    let misbehaved = [Out::Misbehaved { from: B }];
    assert_eq!(hear(&mut machine, 0, data(4, &[])), misbehaved);
    assert_eq!(hear(&mut machine, 0, data(1, &[])), misbehaved, "even what comes next");
    assert_eq!(machine.held_bytes(), WINDOW);
    let ahead = (WINDOW / SEND_COST) as u64;
    let mut machine = self::machine();
    assert_eq!(hear(&mut machine, 0, data(ahead + 1, &[])), misbehaved);
    assert_eq!(hear(&mut machine, 0, data(u64::MAX, &[])), misbehaved);
    assert_eq!(hear(&mut machine, 0, Pt2ptPart::Skip { below: ahead + 2 }), misbehaved);
    assert_eq!(hear(&mut machine, 0, data(ahead, &[])), []);
}

#[test]
fn acknowledgements_of_what_was_not_sent_are_misbehaviour() {
    let mut machine = machine();
    send(&mut machine, 0, 1, b"one");
    send(&mut machine, 0, 2, b"two");
    let misbehaved = [Out::Misbehaved { from: B }];
    assert_eq!(hear(&mut machine, 1, ack(4, &[])), misbehaved);
    assert_eq!(hear(&mut machine, 1, ack(u64::MAX, &[])), misbehaved);
    assert_eq!(hear(&mut machine, 1, ack(1, &[1, 3])), misbehaved);
    let starving = Pt2ptPart::Ack { next: 1, missing: List::new(), credit: SEND_MAX as u64 };
    assert_eq!(hear(&mut machine, 1, starving), misbehaved, "no room for one message");
    assert_eq!(hear(&mut machine, 1, ack(3, &[])), []);
    assert_eq!(hear(&mut machine, 1, ack(2, &[])), [], "late, and harmless");
    assert_eq!((machine.held_bytes(), machine.deadline()), (0, None));
}

#[test]
fn what_exceeds_the_credit_waits_for_it() {
    let config = Config { send_queue_bytes: 1 << 20, ..config() };
    let mut machine = Pt2pt::new(2, A, &config);
    let longest = vec![7; SEND_MAX];
    assert_eq!(send(&mut machine, 0, 1, &longest).len(), 2);
    assert_eq!(send(&mut machine, 0, 2, &longest).len(), 2);
    assert_eq!(send(&mut machine, 0, 3, &[]), [Out::Accepted(Ticket(3))]);
    let out = hear(&mut machine, 1, ack(2, &[]));
    assert_eq!(out, [to_b(data(3, &[]))]);
}

/// The book-keeping is within what each message is charged: a message of an outbox, and an entry
/// of an inbox with its share of the tree.
const _: () = assert!(outbox::MESSAGE_SIZE <= SEND_COST);
const _: () = assert!(2 * size_of::<(u64, Vec<u8>)>() <= SEND_COST);
