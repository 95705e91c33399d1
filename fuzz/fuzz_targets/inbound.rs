#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker_core::fuzzing::run("inbound", input));
