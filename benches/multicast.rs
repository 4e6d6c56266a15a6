//! Time of the whole group per body, in one process, through `Node::step` with the wire bytes, MACs
//! and strict verification of production. `phalanx-sim bench` prints the same loads per cast, next
//! to their floor and their counted cost.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use phalanx_core::Pattern;
use phalanx_sim::bench::{Lockstep, loads};
use phalanx_sim::group::Crypto;

fn multicast(criterion: &mut Criterion) {
    for pattern in [Pattern::Swift, Pattern::Paper] {
        let mut group = criterion.benchmark_group(format!("{pattern:?}"));
        group.sample_size(10);
        for load in loads(pattern, false) {
            let name = format!("n{}/{}B", load.n, load.payload);
            group.throughput(Throughput::Elements((load.n * load.casts_per_body) as u64));
            let id = BenchmarkId::new(name, load.casts_per_body);
            group.bench_function(id, |bencher| {
                let mut lockstep = Lockstep::new(load, Crypto::Real);
                bencher.iter_custom(|rounds| {
                    let rounds = usize::try_from(rounds).expect("few rounds");
                    lockstep.measure(rounds, true).spent
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, multicast);
criterion_main!(benches);
