//! The recorded conversations with the server of the C++ library, held again with this one: it
//! gives the recorded answer, or one that `better.rs` names and justifies.

#![allow(clippy::unwrap_used, clippy::panic)]

mod better;
mod http;
mod player;
use broker_testkit::websocket as support;

use serde_json::Value;

pub(crate) fn conversations() -> Vec<Value> {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/websocket-conversations.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["conversations"].as_array().unwrap().clone()
}

/// Conversations that other tests hold, since what matters there is amounts or encryption.
const ELSEWHERE: [(&str, &str); 10] = [
    ("http-accepted", "http.rs"),
    ("http-refused", "http.rs"),
    ("http-incomplete", "http.rs"),
    ("fast-publisher", "overload.rs: a_client_that_publishes_fast_is_slowed_and_never_cut"),
    ("slow-reader-disconnect", "overload.rs: a_client_that_does_not_read_is_told_and_disconnected"),
    ("slow-reader-drop_newest", "overload.rs: with_drop_newest_the_beginning_survives"),
    ("slow-reader-drop_oldest", "overload.rs: with_drop_oldest_the_end_survives"),
    ("tls-silent-client-blocks", "tls.rs: a_silent_connection_holds_up_no_handshake"),
    ("tls-plain-client", "tls.rs: a_plain_request_at_an_encrypted_address_is_answered"),
    ("server-terminated", "nothing that a killed process could do differently"),
];

#[tokio::test]
async fn every_recorded_conversation_gets_the_recorded_answers_or_better_ones() {
    let mut held = 0;
    for conversation in conversations() {
        let name = conversation["scenario"].as_str().unwrap();
        if ELSEWHERE.iter().all(|(elsewhere, _)| *elsewhere != name) {
            player::play(name, &conversation).await;
            held += 1;
        }
    }
    assert_eq!(held + ELSEWHERE.len(), conversations().len());
}
