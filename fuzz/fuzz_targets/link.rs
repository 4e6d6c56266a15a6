//! A node that hears whatever three members can make.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| phalanx_sim::fuzzing::link(data));
