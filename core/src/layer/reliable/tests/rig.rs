//! One machine among members whose every word the test chooses.

use alloc::vec::Vec;

use super::super::{In, Out, Payload, Reliable};
use crate::config::Config;
use crate::crypto::{
    Certificate, Certified, Door, Hash32, Head, Heads, Link, Roster, Verified, body_hash, log_root,
    sha256,
};
use crate::fault::Proof;
use crate::input::Order;
use crate::layer::{Cargo, Context, To};
use crate::member::Rank;
use crate::rig::{Rig, genesis_of, quick_identity};
use crate::seq::{LogEnd, Number, SlotMark};
use crate::time::Time;
use crate::wire::casts;
use crate::wire::{BodyHead, Part};

/// Number `r` of a log.
pub(super) const fn at(r: u64) -> Number {
    Number::new(r)
}

/// A body as its sender wrote it.
#[derive(Clone)]
struct Written {
    head: Head,
    prev: Hash32,
    link: Link,
    casts: Vec<u8>,
}

/// One branch of a log.
#[derive(Clone)]
pub(super) struct Branch {
    view: Hash32,
    root: Head,
    bodies: Vec<Written>,
}

impl Branch {
    /// One more body.
    pub(super) fn write(&mut self, slot: SlotMark, casts: Vec<u8>) {
        let tip = self.head(self.bodies.len() as u64);
        let number = tip.number.next();
        let link = Link { slot, casts: sha256(&casts) };
        let hash = body_hash(&self.view, tip.sender, number, &tip.hash, &link);
        let head = Head { number, hash, ..tip };
        self.bodies.push(Written { head, prev: tip.hash, link, casts });
    }

    /// `count` more bodies, whose casts differ by `name`.
    pub(super) fn grow(mut self, name: &str, count: u64) -> Self {
        for index in 0..count {
            let text = alloc::format!("{name}{index}");
            self.write(SlotMark::None, fifo(text.as_bytes()));
        }
        self
    }

    /// The same log up to body `keep`, to go on differently.
    pub(super) fn fork(&self, keep: usize) -> Self {
        let mut other = self.clone();
        other.bodies.truncate(keep);
        other
    }

    /// The head of body `r`; that of the empty log for 0.
    pub(super) fn head(&self, r: u64) -> Head {
        match r {
            0 => self.root,
            _ => self.written(r).head,
        }
    }

    fn written(&self, r: u64) -> &Written {
        &self.bodies[usize::try_from(r - 1).unwrap()]
    }

    pub(super) fn links(&self, from: u64, to: u64) -> Vec<Link> {
        (from + 1..=to).map(|r| self.written(r).link).collect()
    }
}

/// A body with one Fifo cast.
pub(super) fn fifo(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(casts::push(&mut bytes, Order::Fifo, payload));
    bytes
}

/// A body with one Total cast.
pub(super) fn total(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(casts::push(&mut bytes, Order::Total, payload));
    bytes
}

/// The machine of the highest rank.
pub(super) struct Solo {
    roster: Roster,
    doors: Vec<Door>,
    pub(super) machine: Reliable,
    pub(super) me: Rank,
    pub(super) now: Time,
    bound: usize,
}

impl Solo {
    /// In a group of `n`.
    pub(super) fn new(n: u8) -> Self {
        Self::with(n, |_| {})
    }

    /// In a group of `n` with another configuration.
    pub(super) fn with(n: u8, change: impl Fn(&mut Config)) -> Self {
        Self::at(n, u16::from(n) - 1, None, change)
    }

    /// The machine of rank `me` where this member is Silenced.
    pub(super) fn at(n: u8, me: u16, silenced: Option<u16>, change: impl Fn(&mut Config)) -> Self {
        let mut config = Config::new(genesis_of((0..n).map(quick_identity)));
        change(&mut config);
        let Rig { roster, doors } = Rig::quick(n);
        let me = Rank::new(me);
        let active: Vec<Rank> = Rank::all(usize::from(n))
            .filter(|member| silenced.is_none_or(|silenced| *member != Rank::new(silenced)))
            .collect();
        let machine = Reliable::new(&config, &roster, me, &active);
        let bound = Reliable::bound_bytes(&config, usize::from(n));
        Self { roster, doors, machine, me, now: Time::ZERO, bound }
    }

    pub(super) fn step(&mut self, input: In<'_>) -> Vec<Out> {
        let door = &mut self.doors[self.me.index()];
        let mut cx = Context { now: self.now, door, roster: &self.roster };
        let outs = self.machine.step(&mut cx, input);
        assert!(self.machine.held_bytes() <= self.bound, "memory is bounded at all times");
        outs
    }

    pub(super) fn tick(&mut self) -> Vec<Out> {
        self.step(In::Tick)
    }

    /// Ticks at each deadline for so long.
    pub(super) fn run(&mut self, micros: u64) -> Vec<Out> {
        let end = self.now.plus(micros);
        let mut outs = Vec::new();
        while let Some(due) = self.machine.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            outs.extend(self.tick());
        }
        self.now = end;
        outs
    }

    /// The empty log of a sender.
    pub(super) fn branch(&self, sender: u16) -> Branch {
        let (view, sender) = (*self.roster.view(), Rank::new(sender));
        let root = Head { sender, number: Number::ZERO, hash: log_root(&view, sender) };
        Branch { view, root, bodies: Vec::new() }
    }

    /// A statement of `signer`.
    pub(super) fn say(&mut self, signer: u16, heads: &[Head]) -> Verified<Heads> {
        let heads = Heads { entries: heads.iter().copied().collect() };
        self.doors[usize::from(signer)].sign(&self.roster, Rank::new(signer), heads)
    }

    /// `signer` vouches for a head, and the machine hears it.
    pub(super) fn hear(&mut self, signer: u16, head: Head) -> Vec<Out> {
        let heads = self.say(signer, &[head]);
        self.step(In::Heads(heads))
    }

    /// Body `r` comes in, with links up to `covered`.
    pub(super) fn give(&mut self, branch: &Branch, r: u64, covered: u64) -> Vec<Out> {
        self.bring(branch.root.sender, branch, r, covered)
    }

    /// Another member hands over body `r`.
    pub(super) fn relay(&mut self, from: u16, branch: &Branch, r: u64) -> Vec<Out> {
        self.bring(Rank::new(from), branch, r, r)
    }

    fn bring(&mut self, from: Rank, branch: &Branch, r: u64, covered: u64) -> Vec<Out> {
        let Written { head, prev, link, casts } = branch.written(r).clone();
        let links = branch.links(r, covered);
        let count = casts::check(&casts, link.slot).expect("legal casts");
        let body = BodyHead {
            sender: head.sender,
            number: head.number,
            prev,
            slot: link.slot,
            links: links.into(),
        };
        let payload = Payload { bytes: &casts, hash: link.casts, count };
        self.step(In::Body(from, body, payload))
    }

    /// The sender announces `r`, and all bodies from `from` up to it come in.
    pub(super) fn announce(&mut self, branch: &Branch, from: u64, r: u64) -> Vec<Out> {
        let mut outs = self.hear(branch.root.sender.value(), branch.head(r));
        for number in from..=r {
            outs.extend(self.give(branch, number, r));
        }
        outs
    }

    /// The certificate of `r` by these signers.
    pub(super) fn certificate(&mut self, branch: &Branch, r: u64, by: &[u16]) -> Certificate {
        let head = branch.head(r);
        let heads = by.iter().map(|signer| self.say(*signer, &[head]).signed().as_ref().clone());
        Certificate { head, heads: heads.collect::<Vec<_>>().into(), links: Vec::new().into() }
    }

    /// That certificate comes in, if it is wanted.
    pub(super) fn certify(&mut self, branch: &Branch, r: u64, by: &[u16]) -> Vec<Out> {
        let certificate = self.certificate(branch, r, by);
        if !self.machine.wants_certificate(&certificate.head) {
            return Vec::new();
        }
        let door = &mut self.doors[self.me.index()];
        let certified: Certified =
            door.certify(&self.roster, certificate.clone()).expect("a good certificate");
        self.step(In::Certificate(certificate, certified))
    }

    /// `from` says how far it holds the log of `sender`.
    pub(super) fn claim(&mut self, from: u16, sender: u16, r: u64) -> Vec<Out> {
        let mut haves = self.machine.haves();
        haves.iter_mut().for_each(|have| *have = Number::ZERO);
        haves[usize::from(sender)] = at(r);
        self.step(In::Haves(Rank::new(from), &haves))
    }

    /// The cut that ends each log at this number, by branch; logs that are not named are empty.
    pub(super) fn cut(&self, ends: &[(&Branch, u64)]) -> Vec<LogEnd> {
        let mut cut = alloc::vec![LogEnd::EMPTY; self.machine.haves().len()];
        for (branch, r) in ends {
            let Head { sender, number, hash } = branch.head(*r);
            cut[sender.index()] = LogEnd { number, hash };
        }
        cut
    }

    pub(super) fn collect(&mut self, ends: &[(&Branch, u64)]) -> Vec<Out> {
        let cut = self.cut(ends);
        self.step(In::Collect(&cut))
    }

    /// Closes the view; the senders and numbers of what is delivered by it.
    pub(super) fn close(&mut self) -> Vec<(u16, u64)> {
        let remainder = self.machine.close();
        remainder.iter().map(|body| (body.sender.value(), body.number.value())).collect()
    }

    /// A peer asks for bodies of a log.
    pub(super) fn fetch(&mut self, peer: u16, sender: u16, from: u64, to: u64) -> Vec<Out> {
        let (peer, sender) = (Rank::new(peer), Rank::new(sender));
        self.step(In::Fetch { peer, sender, from: at(from), to: at(to), and_heads: false })
    }

    /// Every body of a branch once more, under its newest head.
    pub(super) fn announce_again(&mut self, branch: &Branch) -> Vec<Out> {
        self.announce(branch, 1, branch.bodies.len() as u64)
    }

    /// What another machine posted comes in, each part as the stack would hand it over.
    pub(super) fn take_posts(&mut self, outs: &[Out]) -> Vec<Out> {
        let mut result = Vec::new();
        for out in outs {
            let Out::Post(post) = out else { continue };
            for part in post.parts.clone() {
                result.extend(self.take_part(part, post.casts.as_ref()));
            }
        }
        result
    }

    pub(super) fn take_part(&mut self, part: Part, casts: Option<&Cargo>) -> Vec<Out> {
        let door = &mut self.doors[self.me.index()];
        match part {
            Part::Heads(heads) => {
                let heads = door.verify(&self.roster, heads).expect("a good signature");
                self.step(In::Heads(heads))
            }
            Part::Certificate(certificate) if self.machine.wants_certificate(&certificate.head) => {
                let certified = door.certify(&self.roster, certificate.clone()).expect("good");
                self.step(In::Certificate(certificate, certified))
            }
            Part::Body(head) => {
                let casts = casts.expect("a body has casts");
                let count = casts::check(&casts.bytes, head.slot).expect("legal casts");
                let payload = Payload { bytes: &casts.bytes, hash: casts.hash, count };
                self.step(In::Body(head.sender, head, payload))
            }
            _ => Vec::new(),
        }
    }

    /// Signatures checked so far.
    pub(super) fn verifications(&self) -> u64 {
        self.doors[self.me.index()].counters().verifications
    }

    /// How many are a quorum.
    pub(super) fn quorum(&self) -> usize {
        self.roster.quorum().q()
    }

    pub(super) fn have(&self, sender: u16) -> u64 {
        self.machine.have(Rank::new(sender)).value()
    }

    pub(super) fn holds(&self, branch: &Branch, r: u64) -> bool {
        let body = self.machine.logs.at(branch.root.sender).body(at(r));
        body.is_some_and(|body| body.hash == branch.head(r).hash)
    }

    /// A certificate as it would be judged by a peer.
    pub(super) fn is_good(&mut self, certificate: &Certificate) -> bool {
        self.doors[0].certify(&self.roster, certificate.clone()).is_ok()
    }
}

/// Every part posted, with whom it is for.
pub(super) fn parts(outs: &[Out]) -> Vec<(To, &Part)> {
    let posts = outs.iter().filter_map(|out| match out {
        Out::Post(post) => Some(post),
        _ => None,
    });
    posts.flat_map(|post| post.parts.iter().map(|part| (post.to, part))).collect()
}

/// The heads that were vouched for, in order.
pub(super) fn vouched(outs: &[Out]) -> Vec<Head> {
    let mut heads = Vec::new();
    for (_, part) in parts(outs) {
        if let Part::Heads(signed) = part {
            heads.extend(signed.statement.entries.iter().copied());
        }
    }
    heads
}

/// The proofs found, verified as anybody would.
pub(super) fn proofs(solo: &Solo, outs: &[Out]) -> Vec<Proof> {
    let proof = |out: &Out| match out {
        Out::Proof(proof) => Some(proof.as_ref().clone()),
        _ => None,
    };
    let proofs: Vec<Proof> = outs.iter().filter_map(proof).collect();
    for proof in &proofs {
        assert_eq!(proof.verify_pair(&solo.roster), Ok(()), "{proof:?}");
    }
    proofs
}

/// The numbers of the bodies delivered.
pub(super) fn delivered(outs: &[Out]) -> Vec<u64> {
    let number = |out: &Out| match out {
        Out::Deliver(body, _) => Some(body.number.value()),
        _ => None,
    };
    outs.iter().filter_map(number).collect()
}

/// The numbers of the bodies posted.
pub(super) fn bodies(outs: &[Out]) -> Vec<u64> {
    let number = |(_, part): (To, &Part)| match part {
        Part::Body(body) => Some(body.number.value()),
        _ => None,
    };
    parts(outs).into_iter().filter_map(number).collect()
}

pub(super) fn is_alarm(outs: &[Out]) -> bool {
    outs.iter().any(|out| matches!(out, Out::Alarm(..)))
}
