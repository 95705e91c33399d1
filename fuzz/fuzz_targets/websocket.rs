#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker_transport_ws::fuzzing::websocket(input));
