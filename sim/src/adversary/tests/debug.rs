use super::group::Group;
use super::rig::Rig;
use crate::adversary::Strategy;
use phalanx_core::{Order, Rank};
#[test]
fn debug_big() {
    let rig = Rig::dummy(4);
    let mut group = Group::new(&rig, &rig.setup(&[0], Strategy::MaxSizeFlood, 1));
    for round in 0..24u64 {
        for index in 0..4usize {
            let order = if (round + index as u64).is_multiple_of(2) { Order::Fifo } else { Order::Total };
            group.cast(index, order, b"payload", round);
        }
        group.run(5_000);
    }
    for k in 0..30 {
        group.run(100_000);
        let lens: Vec<_> = group.seen.delivered.iter().map(|(by, all)| (by.value(), all.iter().filter(|(s,_)| s.value()==0).count())).collect();
        let tot: Vec<_> = group.seen.total.iter().map(|(by, all)| (by.value(), all.len())).collect();
        if k < 3 { println!("{k} {:?}", group.counters(1)); println!("{:?}", group.counters(0)); }
        println!("{k} delivered of 0: {lens:?} total {tot:?} {:?}", group.seen.suspected.get(&(Rank::new(1), Rank::new(0))));
    }
}
