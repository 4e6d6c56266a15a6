//! Who is let in: by which address, with whose word, in which life.

use super::world::{FIRST, World, addr};
use crate::config::Config;

/// Each of two joiners is heard by another half of the members, which recommend apart.
#[test]
fn two_joiners_with_one_address_do_not_both_come_in() {
    let mut world = World::new(4, 2, |_| {});
    world.run(300);
    world.cut =
        |from, to| matches!((from, to), (4, 2 | 3) | (5, 0 | 1) | (0 | 1, 2 | 3) | (2 | 3, 0 | 1));
    let config = Config { addr: addr(9), ..world.config.clone() };
    world.join_with(4, FIRST, &[0], config.clone());
    world.join_with(5, FIRST, &[3], config);
    world.run(1_500);
    world.cut = |_, _| false;
    world.run(10_000);
    let members = &world.node(0).view().members;
    assert_eq!(members.iter().filter(|member| member.addr == addr(9)).count(), 1);
    assert_eq!(members.len(), 5);
}
