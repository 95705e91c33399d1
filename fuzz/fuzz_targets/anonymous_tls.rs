#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker_tls::anonymous::fuzzing::anonymous_tls(input));
