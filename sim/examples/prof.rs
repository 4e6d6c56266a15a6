use phalanx_core::Pattern;
use phalanx_sim::bench::{Load, Lockstep};
use phalanx_sim::group::Crypto;
fn main() {
    println!(
        "Output {} Event {}",
        std::mem::size_of::<phalanx_core::Output>(),
        std::mem::size_of::<phalanx_core::Event>()
    );
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let load =
        Load { n: a[0], payload: a[1], casts_per_body: a[2], pattern: Pattern::Swift, rounds: 0 };
    let mut l = Lockstep::new(load, Crypto::Real);
    let c = l.measure(a[3], true);
    println!("{:?} {}", c, c.us_per_cast());
}
