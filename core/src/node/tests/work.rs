//! One member has another check signatures for nothing: all of them good, and none of any use.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::world::{World, addr};
use crate::config::{Config, Joiners};
use crate::crypto::{
    AckNewView, Door, Flush, Hash32, Head, Heads, Installed, JoinRequest, Leave, NeedMoreChange,
    ReadyToSwitch, Reason, Recommend, Roster, Signed, Snapshot, Stable, Statement, Suspect,
};
use crate::input::Input;
use crate::layer::group::request_hash;
use crate::member::Rank;
use crate::node::Node;
use crate::output::{Event, Output};
use crate::rig::{quick_identity, some_hash};
use crate::seq::{Attempt, LogEnd, Number};
use crate::wire::Part;
use crate::wire::change::{Certificates, Flushed, Grounds, NeedsMore, Recommended};
use crate::wire::transfer::TransferPart;

const LIAR: u8 = 3;
/// How many parts are sent of each kind, at one moment.
const PARTS: u64 = 3_000;
/// Signature checks that one member may cause at one moment, whatever it sends.
const CHECKS: u64 = 450;

/// A member that says what it likes on its links.
struct Liar {
    node: Node,
    door: Door,
    roster: Roster,
}

impl Liar {
    /// Takes the place of a member.
    fn of(world: &mut World) -> Self {
        let node = world.nodes[usize::from(LIAR)].take().unwrap();
        let roster = node.roster().clone();
        Self { node, door: Door::new(quick_identity(LIAR)), roster }
    }

    fn sign<S: Statement + Clone>(&mut self, statement: S) -> Signed<S> {
        let me = Rank::new(u16::from(LIAR));
        Signed::clone(self.door.sign(&self.roster, me, statement).signed())
    }

    fn tell(&mut self, world: &mut World, to: usize, parts: Vec<Part>) {
        let (name, view) = (world.name(to), self.node.view().id());
        self.node.now = world.now;
        self.node.say(|bottom, cx, frames| {
            bottom.tell(cx, name, view, parts, frames);
            bottom.pump(cx, frames);
        });
        let outputs: Vec<Output> = core::mem::take(&mut self.node.outputs).collect();
        for output in outputs {
            if let Output::Transmit(frame) = output {
                let mut bytes = Vec::new();
                frame.append_to(&mut bytes);
                world.step(to, Input::Frame(&bytes));
            }
        }
    }

    fn heads(&mut self, sender: u16, number: u64) -> Part {
        let (sender, number) = (Rank::new(sender), Number::new(number));
        let head = Head { sender, number, hash: some_hash(7) };
        Part::Heads(self.sign(Heads { entries: [head].into_iter().collect() }))
    }

    fn row(&mut self, counter: u64, have: u64) -> Part {
        let have = [have; 4].map(Number::new).into_iter().collect();
        Part::Stable(self.sign(Stable { counter, have }))
    }

    fn request(&mut self, i: u64) -> JoinRequest {
        Door::new(quick_identity(200)).ask_to_join(&self.roster, i, addr(50))
    }
}

type Kind = fn(&mut Liar, u64) -> Part;

/// Something new of each kind, as often as one likes.
const KINDS: [(&str, Kind); 18] = [
    ("rows", |liar, i| liar.row(1 + i, 0)),
    ("rows that contradict each other", |liar, i| liar.row(1_000_000, i)),
    ("rows about logs that do not exist", |liar, i| liar.row(1 + i, i)),
    ("heads of its own log", |liar, i| liar.heads(3, 1 + i)),
    ("heads of its own log far above", |liar, i| liar.heads(3, 1_000_000 + i)),
    ("heads of another log", |liar, i| liar.heads(0, 1 + i)),
    ("heads of another log far above", |liar, i| liar.heads(0, 1_000_000 + i)),
    ("heads of its own log on many branches", |liar, i| {
        let (sender, number) = (Rank::new(u16::from(LIAR)), Number::new(1 + i % 2));
        let head = Head { sender, number, hash: next(i) };
        Part::Heads(liar.sign(Heads { entries: [head].into_iter().collect() }))
    }),
    ("recommendations", |liar, i| {
        let request = liar.request(i);
        let signed = liar.sign(Recommend { request: request_hash(&request) });
        Part::Recommend(Box::new(Recommended { signed, request }))
    }),
    ("acks", |liar, i| Part::Ack(liar.sign(AckNewView { attempt: attempt(i), next: next(9) }))),
    ("acks for many views", |liar, i| {
        Part::Ack(liar.sign(AckNewView { attempt: attempt(1), next: next(i) }))
    }),
    ("readys", |liar, i| {
        Part::Ready(liar.sign(ReadyToSwitch { attempt: attempt(i), next: next(9) }))
    }),
    ("need-more-changes", |liar, i| {
        let signed = liar.sign(NeedMoreChange { attempt: attempt(i), lock: None });
        Part::NeedMoreChange(Box::new(NeedsMore { signed, lock: None, grounds: nothing() }))
    }),
    ("flushes", |liar, i| {
        // The first one is taken in, and all others contradict it.
        let end = match i {
            0 => LogEnd::EMPTY,
            _ => LogEnd { number: Number::new(i), hash: next(i) },
        };
        let ends = [end; 4].into_iter().collect();
        let signed = liar.sign(Flush { ends, changes: [].into_iter().collect() });
        let certificates = Certificates::default();
        Part::Flush(Box::new(Flushed { signed, certificates, grounds: nothing() }))
    }),
    ("suspicions", |liar, i| {
        let subject = Rank::new(u16::try_from(i % 3).unwrap());
        let reason = if i % 2 == 0 { Reason::Mute } else { Reason::Lagging };
        Part::Suspect(liar.sign(Suspect { subject, reason, proof: Hash32::ZERO }))
    }),
    ("leaves", |liar, _| Part::Leave(liar.sign(Leave))),
    ("installed", |liar, i| Part::Installed(liar.sign(Installed { prev: next(i) }))),
    ("snapshots", |liar, i| {
        let joiner = *quick_identity(9).public_key();
        let said = liar.sign(Snapshot { joiner, root: next(i), length: 1 });
        Part::Transfer(TransferPart::Root { of: 1, said })
    }),
];

fn attempt(i: u64) -> Attempt {
    Attempt::new(u32::try_from(1 + i).unwrap())
}

fn next(i: u64) -> Hash32 {
    crate::crypto::sha256(&i.to_le_bytes())
}

fn nothing() -> Grounds {
    let (suspects, leaves, joins) = Default::default();
    Grounds { suspects, leaves, joins }
}

/// What it costs a member to be told so, and whom it suspects after that.
fn flood(kind: Kind, parts: u64) -> (u64, Vec<(Rank, Reason)>, World) {
    let mut world = World::new(4, 0, |config| {
        config.joiners = Joiners::Nobody;
        config.frame_max = Config::FRAME_MAX;
    });
    world.faults = Some(Vec::new());
    world.run(300);
    let mut liar = Liar::of(&mut world);
    let before = world.node(0).counters().crypto.verifications;
    for first in (0..parts).step_by(100) {
        let parts = (first..(first + 100).min(parts)).map(|i| kind(&mut liar, i)).collect();
        liar.tell(&mut world, 0, parts);
    }
    let checks = world.node(0).counters().crypto.verifications - before;
    let told = world.events[0].iter().filter_map(|event| match event {
        Event::Suspected { subject, by, reason } if by.index() == 0 => Some((*subject, *reason)),
        _ => None,
    });
    (checks, told.collect(), world)
}

#[test]
fn one_member_cannot_make_another_check_without_end() {
    for (name, kind) in KINDS {
        let (checks, told, _) = flood(kind, PARTS);
        std::println!("{name}: {checks} checks of {PARTS}; {told:?}");
        assert!(checks <= CHECKS, "{checks} checks of {PARTS} {name}");
        assert!(told.iter().all(|(subject, _)| subject.index() == usize::from(LIAR)), "{told:?}");
    }
}

#[test]
fn who_floods_is_suspected_and_nobody_else() {
    let (_, told, world) = flood(|liar, i| liar.row(1 + i, 0), PARTS);
    assert_eq!(told, [(Rank::new(u16::from(LIAR)), Reason::Flooding)]);
    assert!(world.node(0).counters().dropped_over_budget > PARTS - CHECKS);
    let (_, told, _) = flood(|liar, i| liar.row(1 + i, 0), 500);
    assert!(told.is_empty(), "some drops are nobody's fault");
}
