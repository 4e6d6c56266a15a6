//! Group CPU per ordered message against the floor.
use phalanx_core::Pattern;
use phalanx_sim::bench::{Load, measure};

fn main() {
    for (payload, casts) in [(64, 1), (64, 16), (64, 256), (1024, 256)] {
        for n in [4, 7, 10] {
            let rounds = if casts == 256 { 100 } else { 200 };
            let load = Load { n, payload, casts_per_body: casts, pattern: Pattern::Swift, rounds };
            let cost = measure(load, 5);
            let c = cost.crypto;
            println!(
                "n={n:2} {payload:5}B x{casts:4}: {:8.3} us/cast  floor {:8.3}  ratio {:.3}  casts {} sig/body {:.3} ver/body {:.3} hashes/body {:.1} macs/body {:.1} frames/body {:.2} bytes/cast {:.0}",
                cost.us_per_cast(),
                cost.floor_us_per_cast(),
                cost.us_per_cast() / cost.floor_us_per_cast(),
                cost.casts,
                c.signatures as f64 / cost.bodies as f64,
                c.verifications as f64 / cost.bodies as f64,
                c.hashes as f64 / cost.bodies as f64,
                c.macs as f64 / cost.bodies as f64,
                cost.frames as f64 / cost.bodies as f64,
                cost.bytes as f64 / cost.casts as f64,
            );
        }
    }
}
