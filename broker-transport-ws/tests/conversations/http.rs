//! The recorded HTTP requests.

use crate::conversations;
use crate::support::{KEY, PATIENCE, Server};
use broker_transport_ws::WsOptions;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Each request with the recorded answer, empty if there was none.
fn exchanges(scenario: &str) -> Vec<(String, String)> {
    let all = conversations();
    let steps = all.iter().find(|c| c["scenario"] == scenario).unwrap()["steps"].clone();
    // The longest request is shortened in the recording.
    let text = |at: usize| {
        steps[at]["http"].as_str().unwrap_or_default().replace("... (3173 octets)", "\r\n\r\n")
    };
    (0..steps.as_array().unwrap().len() / 2).map(|at| (text(2 * at), text(2 * at + 1))).collect()
}

/// The status line of the answer, and the head up to the empty line.
async fn answer(server: &Server, request: &str) -> String {
    let mut stream = server.dial().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match timeout(PATIENCE, stream.read_u8()).await.unwrap() {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn requests_that_were_accepted_are_accepted_or_not_for_a_reason() {
    // What the library accepted and this server does not, because the RFC demands it of a client
    // and every known client does it.
    let stricter = [
        ("get /v1/", "405 "),
        ("HTTP/1.0\r\n", "400 "),
        ("HTTP/1.1\r\nSec-WebSocket-Key", "426 "),
        ("Sec-WebSocket-Key: abc", "400 "),
    ];
    let server = Server::start().await;
    let exchanges = exchanges("http-accepted");
    assert_eq!(exchanges.len(), 8);
    for (request, recorded) in exchanges {
        let answer = answer(&server, &request).await;
        match stricter.iter().find(|(what, _)| request.contains(what)) {
            Some((_, status)) => {
                assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}{answer}");
            }
            None => assert_eq!(answer, recorded, "{request}"),
        }
    }
}

#[tokio::test]
async fn requests_that_were_refused_are_refused_or_accepted_for_a_reason() {
    // A WebSocket on a wrong path comes about and is told there, where a browser can see it; a
    // server has to understand whole URLs (RFC 9112) and names of fields in any case (RFC 9110).
    // The header here may be 8192 bytes long instead of 2048.
    let differently = [
        ("GET /v1/other", "101 "),
        ("GET /v1/messages/json/ ", "101 "),
        ("GET http://", "101 "),
        ("POST ", "405 "),
        ("FOO ", "405 "),
        ("sec-websocket-key", "101 "),
        ("X-Pad: p", "101 "),
    ];
    let server = Server::start().await;
    let exchanges = exchanges("http-refused");
    assert_eq!(exchanges.len(), 10);
    for (request, recorded) in exchanges {
        let answer = answer(&server, &request).await;
        let expected = match differently.iter().find(|(what, _)| request.contains(what)) {
            Some((_, status)) => format!("HTTP/1.1 {status}"),
            None => recorded.lines().next().unwrap().to_owned(),
        };
        assert!(answer.starts_with(&expected), "{request:.200} gave {answer}");
        assert!(!request.contains(KEY) || !answer.is_empty());
    }
}

#[tokio::test]
async fn incomplete_requests_are_not_waited_for_without_end_and_bare_line_feeds_understood() {
    let options = WsOptions { handshake_time: Duration::from_millis(200), ..WsOptions::default() };
    let server = Server::with(options).await;
    let [(incomplete, _), (bare, _)] = &exchanges("http-incomplete")[..] else { panic!() };
    assert!(answer(&server, incomplete).await.starts_with("HTTP/1.1 408 "));
    assert!(answer(&server, bare).await.starts_with("HTTP/1.1 101 "));
}
