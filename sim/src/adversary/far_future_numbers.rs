//! Far-future numbers: heads, bodies, slots, questions and haves with numbers far above every
//! window, up to the last ones there are.
//!
//! They try to overflow arithmetic, to make members allocate for a window that is none, or to fetch
//! for ever. They must fail: bodies above the overflow threshold are ignored (RM1, RM8), numbers do
//! not wrap, haves count as one vote (RM5), and every queue has a limit.
//!
//! Verdict: depends on the schedule: some of it is malformed, and two heads at one number are a
//! Proof if somebody keeps both.

use phalanx_core::crypto::Head;
use phalanx_core::wire::{Blob, BodyHead, List, Part, Pt2ptPart, casts};
use phalanx_core::{Number, Order, Rank, Round, SlotMark, Time};

use super::act::{Act, Pulse, Stage};
use super::puppet::{Letter, Puppet};

/// The strategy.
#[derive(Debug)]
pub(super) struct FarFutureNumbers {
    pulse: Pulse,
}

impl FarFutureNumbers {
    pub(super) fn new() -> Self {
        Self { pulse: Pulse::new(20_000) }
    }
}

/// A number that no window reaches.
fn far(puppet: &mut Puppet) -> u64 {
    let window = u64::from(puppet.limits.window_bodies);
    let near = puppet.limits.slot_window.saturating_mul(1 << 20);
    match puppet.dice.below(5) {
        0 => u64::MAX,
        1 => u64::MAX - 1,
        2 => u64::MAX - window,
        3 => 1 << 63,
        _ => near.saturating_add(puppet.dice.below(near)),
    }
}

/// A body of `sender` under a head that the liar signs.
fn body(puppet: &mut Puppet, sender: Rank, number: u64) -> (Vec<Part>, Vec<u8>) {
    let mut casts = Vec::new();
    let is_value = puppet.dice.once_in(2);
    let order = if is_value { Order::Total } else { Order::Fifo };
    // A short payload always fits.
    let _ = casts::push(&mut casts, order, b"from the future");
    let round = Round::new(far(puppet));
    let slot = if is_value { SlotMark::Value(round) } else { SlotMark::Null(round) };
    let head = Head { sender, number: Number::new(number), hash: puppet.any_hash() };
    let prev = puppet.any_hash();
    let body = BodyHead { sender, number: head.number, prev, slot, links: List::new() };
    let heads = puppet.sign_heads(puppet.me, vec![head]).map(Part::Heads);
    (heads.into_iter().chain([Part::Body(body)]).collect(), casts)
}

fn parts(puppet: &mut Puppet) -> (Vec<Part>, Vec<u8>) {
    let number = far(puppet);
    let members: Vec<Rank> = Rank::all(puppet.n()).collect();
    let sender = members.get(puppet.dice.index(members.len())).copied().unwrap_or(puppet.me);
    let part = match puppet.dice.below(7) {
        0 | 1 => return body(puppet, sender, number),
        2 => Part::Fetch { sender, from: Number::new(number), to: Number::new(u64::MAX) },
        3 => Part::AskRow { member: sender, above: number },
        4 => Part::AskSlot { sender, round: Round::new(number), from: Number::new(number) },
        5 => Part::Pt2pt(Pt2ptPart::Data { number, payload: Blob(b"far".to_vec()) }),
        _ => {
            let missing = List::from(vec![number]);
            Part::Pt2pt(Pt2ptPart::Ack { next: number, missing, credit: u64::MAX })
        }
    };
    (vec![part], Vec::new())
}

impl Act for FarFutureNumbers {
    fn is_listening(&self) -> bool {
        true
    }

    /// The body double never sent messages of that number: it must not hear of them.
    fn incoming(&mut self, _stage: &mut Stage<'_>, letter: &mut Letter) -> bool {
        letter.drop_parts(|part| matches!(part, Part::Pt2pt(_))) > 0
    }

    fn tick(&mut self, stage: &mut Stage<'_>) {
        if !self.pulse.strikes(stage.now) {
            return;
        }
        let (parts, casts) = parts(stage.puppet);
        let claims = stage.puppet.dice.once_in(2);
        let have = Number::new(far(stage.puppet));
        stage.fire();
        for to in stage.puppet.others() {
            let mut letter = stage.puppet.letter(to, parts.clone(), &casts);
            if claims {
                Rank::all(stage.puppet.n())
                    .for_each(|rank| stage.puppet.claim(&mut letter, rank, have));
            }
            stage.post(&letter);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.pulse.due()
    }
}
