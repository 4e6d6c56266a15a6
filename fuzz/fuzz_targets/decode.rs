//! Everything that takes bytes apart.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| phalanx_sim::fuzzing::decode(data));
