//! View changes that one member tries to stop, whole processes over datagrams.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::world::{World, addr};
use crate::crypto::{Door, JoinRequest, Recommend, Signed};
use crate::input::Input;
use crate::layer::group::request_hash;
use crate::member::Rank;
use crate::node::Node;
use crate::output::Output;
use crate::rig::quick_identity;
use crate::wire::Part;
use crate::wire::change::Recommended;

fn count(world: &World, index: usize, payload: &[u8]) -> usize {
    world.delivered(index).iter().filter(|cast| cast[..] == *payload).count()
}

/// Rank 0 puts junk behind the links of the certificates in its Flush, just so much that the Flush is
/// carried and a proposal with such certificates would not be. Nobody takes it.
#[test]
fn padded_certificates_of_a_liar_do_not_stop_the_change() {
    let n = 13_u8;
    let mut world = World::new(n, 0, |config| {
        config.genesis.limits.cast_max = 64 * 1024;
        config.genesis.limits.body_max = 64 * 1024;
    });
    assert_eq!(world.config.frame_max, 1_400, "as over UDP");
    world.run(300);
    for index in 0..usize::from(n) {
        world.cast(index, b"a cast");
    }
    world.run(1_500);
    world.nodes[0].as_mut().unwrap().stack.pad(1_235);
    world.nodes[usize::from(n) - 1] = None;
    world.run(30_000);
    let view = world.node(1).view();
    assert!(view.number > 0);
    world.cast(1, b"after");
    world.run(10_000);
    assert_eq!(count(&world, 2, b"after"), 1, "L3");
    // Nobody but the two is put out, or falls silent.
    let view = world.node(1).view();
    for member in &world.genesis.members[1..usize::from(n) - 1] {
        let rank = view.rank_of(&member.key).expect("it stays");
        assert_eq!(view.member(rank).map(|found| found.status), Some(member.status));
    }
}

/// What a liar says on its links, by hand.
struct Liar {
    node: Node,
    key: u8,
}

impl Liar {
    fn of(world: &mut World, index: usize) -> Self {
        let node = world.nodes[index].take().unwrap();
        Self { node, key: u8::try_from(index).unwrap() }
    }

    fn tell(&mut self, world: &mut World, to: usize, parts: Vec<Part>) {
        let (name, now) = (world.name(to), world.now);
        let node = &mut self.node;
        node.now = now;
        let view = node.view().id();
        node.say(|bottom, cx, frames| {
            bottom.tell(cx, name, view, parts, frames);
            bottom.pump(cx, frames);
        });
        for output in core::mem::take(&mut node.outputs) {
            if let Output::Transmit(frame) = output {
                let mut bytes = Vec::new();
                frame.append_to(&mut bytes);
                world.step(to, Input::Frame(&bytes));
            }
        }
    }

    fn recommend(&self, request: &JoinRequest) -> Part {
        let mut door = Door::new(quick_identity(self.key));
        let said = Recommend { request: request_hash(request) };
        let me = Rank::new(u16::from(self.key));
        let signed = Signed::clone(door.sign(self.node.roster(), me, said).signed());
        Part::Recommend(Box::new(Recommended { signed, request: request.clone() }))
    }
}

/// One liar of four; the network is bad for two minutes, then well for good. The liar has its own key
/// ask to be replaced by ever later lives, another one at each correct member, so that each has
/// evidence for as many requests as it hears of.
#[test]
fn requests_of_one_liar_over_two_bad_minutes_do_not_stop_the_change() {
    let mut world = World::new(4, 0, |_| {});
    world.run(300);
    let mut liar = Liar::of(&mut world, 3);
    world.cut = |from, to| from != to;
    for round in 0..66_u64 {
        for victim in 0..3_usize {
            let incarnation = 1 + round * 3 + victim as u64;
            let roster = liar.node.roster().clone();
            let mut door = Door::new(quick_identity(3));
            let request = door.ask_to_join(&roster, incarnation, addr(40 + victim));
            let part = liar.recommend(&request);
            liar.tell(&mut world, victim, [part].to_vec());
        }
        world.run(2_050);
    }
    world.cut = |_, _| false;
    world.run(60_000);
    assert!(world.node(0).view().number > 0);
    world.cast(0, b"after");
    world.run(30_000);
    assert_eq!(count(&world, 1, b"after"), 1, "L3");
}
