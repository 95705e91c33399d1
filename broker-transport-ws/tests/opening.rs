//! The opening handshake: who gets in, and what everybody else is told.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_core::{Address, Endpoint, Reason};
use broker_transport_ws::{AccessOptions, AccessRule, WsOptions, WsTransport};
use std::time::Duration;
use support::{Frame, KEY, PATIENCE, Server, log_event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Everything that the server answers to these bytes until it closes.
async fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = server.dial().await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(line: &str, fields: &str) -> String {
    format!(
        "{line}\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

#[tokio::test]
async fn what_is_no_request_for_a_websocket_is_answered_once_and_closed() {
    let server = Server::start().await;
    let long = "x".repeat(9000);
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404 Not Found"),
        ("GET /v1/messages/json HTTP/1.1\r\n\r\n".to_owned(), "426 Upgrade Required"),
        ("GET /v1/native HTTP/1.1\r\n\r\n".to_owned(), "426 Upgrade Required"),
        (request("POST /v1/messages/json HTTP/1.1", ""), "405 Method Not Allowed"),
        (request("GET /v1/messages/json HTTP/1.0", ""), "400 Bad Request"),
        (request("GET /v1/native HTTP/1.1", ""), "400 Bad Request"),
        (request("GET v1/messages/json HTTP/1.1", ""), "400 Bad Request"),
        (request("GET /v1/messages/json HTTP/1.1", &format!("X: {long}\r\n")), "431 "),
        ("hello\r\n\r\n".to_owned(), "400 Bad Request"),
        ("\r\n".to_owned(), "400 Bad Request"),
    ] {
        let answer = answer(&server, bytes.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{bytes:.60} gave {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
        assert!(body.ends_with('\n'), "{answer}");
    }
}

#[tokio::test]
async fn a_websocket_on_a_wrong_path_is_told_in_a_way_that_a_browser_can_see() {
    let server = Server::start().await;
    for path in ["/v1/other", "/v1/messages/json/", "/"] {
        let mut client = server.open_with(path, "").await;
        let text = "Invalid URI - use /v1/messages/json";
        let error = client.recv_json().await;
        assert_eq!((&error["code"], &error["context"]), (&"invalid_uri".into(), &text.into()));
        assert_eq!(client.recv().await, Frame::Close(1008, text.into()));
    }
}

#[tokio::test]
async fn a_bad_application_name_is_refused_like_in_zeek() {
    let server = Server::start().await;
    let mut client = server.open_with("/v1/messages/json", "X-Application-Name: a b\r\n").await;
    let error = client.recv_json().await;
    assert_eq!(error["code"], "invalid_application_name");
    assert_eq!(client.recv_close().await, (1008, "Invalid X-Application-Name".into()));
    let mut client = server.open_with("/v1/messages/json", "X-APPLICATION-NAME: \r\n").await;
    client.text("[]").await;
    client.recv_text().await;
    assert_eq!(server.endpoint.clients()[0].info.label.application, None);
}

#[tokio::test]
async fn bad_subscriptions_are_answered_with_an_error_and_a_close() {
    let server = Server::start().await;
    let deep = "[".repeat(1_000_000);
    for (text, context) in [
        ("{\"a\":1}", "subscriptions not an array"),
        ("hello", "subscriptions not an array"),
        ("", "subscriptions not an array"),
        ("[1,2]", "individual subscription not a string"),
        (deep.as_str(), "individual subscription not a string"),
    ] {
        let mut client = server.open().await;
        client.text(text).await;
        let error = client.recv_json().await;
        assert_eq!(error["code"], "deserialization_failed");
        assert_eq!(error["context"], context);
        let (code, reason) = client.recv_close().await;
        assert_eq!(code, 1008);
        assert!(reason.starts_with(context), "{reason}");
    }
    assert_eq!(server.endpoint.client_count(), 0);
}

#[tokio::test]
async fn the_query_and_offered_extensions_do_not_matter() {
    let server = Server::start().await;
    let mut stream = server.dial().await;
    let fields = "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n";
    let request = request("GET /v1/messages/%6Ason?x=1 HTTP/1.1", fields);
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = support::read_head(&mut stream).await;
    assert_eq!(
        head,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[tokio::test]
async fn other_protocols_are_recognised() {
    let server = Server::start().await;
    let mut events = server.endpoint.events();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let answer = answer(&server, hello).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("use ws://"), "{answer}");
    assert!(log_event(&mut events, "handshake-failed").await.contains("speaks TLS"));
}

#[tokio::test]
async fn a_native_peer_on_the_wrong_port_is_recognised() {
    let server = Server::start().await;
    let mut events = server.endpoint.events();
    let hello = b"\0\0\0\x17\x06ZEEK";
    assert_eq!(answer(&server, hello).await, "");
    assert!(log_event(&mut events, "handshake-failed").await.contains("native protocol"));
}

#[tokio::test]
async fn slow_handshakes_are_given_up_and_hold_up_nobody() {
    let options = WsOptions { handshake_time: Duration::from_millis(300), ..WsOptions::default() };
    let server = Server::with(options).await;
    let half = answer(&server, b"GET /v1/messages/json HTTP/1.1\r\n");
    let silent = async {
        let mut client = server.open().await;
        assert!(client.recv_text().await.contains("no subscriptions in time"));
        client.recv_close().await
    };
    let (half, silent) = tokio::join!(half, silent);
    assert!(half.starts_with("HTTP/1.1 408 "), "{half}");
    assert_eq!(silent.0, 1008);
    assert!(silent.1.contains("no subscriptions"), "{silent:?}");
}

#[tokio::test]
async fn clients_above_the_limit_are_told_to_try_again() {
    let options = WsOptions { clients: 1, ..WsOptions::default() };
    let server = Server::with(options).await;
    let first = server.client("[]").await;
    let refusal = answer(&server, request("GET /v1/messages/json HTTP/1.1", "").as_bytes()).await;
    assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
    assert!(refusal.contains("Retry-After: "), "{refusal}");
    drop(first);
}

#[tokio::test]
async fn clients_above_the_limit_are_not_admitted_after_many_handshakes_either() {
    let server = Server::with(WsOptions { clients: 2, ..WsOptions::default() }).await;
    let mut opened = Vec::new();
    for _ in 0..6 {
        opened.push(server.open().await);
    }
    for (number, client) in opened.iter_mut().enumerate() {
        client.text("[]").await;
        let answer = client.recv_json().await;
        if number < 2 {
            assert_eq!(answer["type"], "ack");
        } else {
            assert_eq!(answer["code"], "too_many_clients");
            assert_eq!(client.recv_close().await.0, 1013);
        }
    }
    assert_eq!(server.endpoint.client_count(), 2);
    // A place that becomes free is the next one's.
    drop(opened);
    support::wait_for(|| server.endpoint.client_count() == 0).await;
    server.client("[]").await;
}

fn guarded() -> AccessOptions {
    AccessOptions {
        rules: vec![AccessRule {
            token: Some("s3cret".into()),
            publish: Some(vec!["/in/".into()]),
            subscribe: Some(vec!["/out/".into()]),
            ..AccessRule::default()
        }],
        origins: vec!["https://dashboard.example".into()],
    }
}

#[tokio::test]
async fn without_the_token_nobody_gets_in() {
    let server = Server::with(WsOptions { access: guarded(), ..WsOptions::default() }).await;
    for path in ["/v1/messages/json", "/v1/native", "/v1/wrong"] {
        let refusal =
            answer(&server, request(&format!("GET {path} HTTP/1.1"), "").as_bytes()).await;
        assert!(refusal.starts_with("HTTP/1.1 401 "), "{path}: {refusal}");
        assert!(refusal.contains("WWW-Authenticate: Bearer"), "{refusal}");
    }
    let mut client = server.open_with("/v1/messages/json?access_token=s3cret", "").await;
    client.text("[]").await;
    client.recv_text().await;
    let page = "Authorization: Bearer s3cret\r\nOrigin: https://evil.example\r\n";
    let refusal = answer(&server, request("GET /v1/messages/json HTTP/1.1", page).as_bytes()).await;
    assert!(refusal.starts_with("HTTP/1.1 403 "), "{refusal}");
}

#[tokio::test]
async fn a_client_may_do_what_its_rule_says_and_nothing_else() {
    let server = Server::with(WsOptions { access: guarded(), ..WsOptions::default() }).await;
    let token = "Authorization: Bearer s3cret\r\n";
    let mut client = server.open_with("/v1/messages/json", token).await;
    client.text("[\"/out/a\", \"/out\"]").await;
    let error = client.recv_json().await;
    assert_eq!(error["code"], "permission_denied");
    assert_eq!(client.recv_close().await.0, 1008);

    let mut subscriber = server.endpoint.subscribe(["/"]);
    let mut client = server.open_with("/v1/messages/json", token).await;
    client.text("[\"/out/a\"]").await;
    client.recv_text().await;
    client.text(&support::count("/other", 1)).await;
    let error = client.recv_json().await;
    assert_eq!(error["code"], "permission_denied");
    assert!(error["context"].as_str().unwrap().starts_with("input #1 "), "{error}");
    client.text(&support::count("/in/x", 2)).await;
    assert_eq!(*subscriber.recv().await.unwrap().topic(), "/in/x");
}

#[tokio::test]
async fn listening_for_everybody_without_rules_is_warned_of() {
    let builder = Endpoint::builder();
    let endpoint =
        WsTransport::new(WsOptions::default()).unwrap().install(builder).build().unwrap();
    let mut events = endpoint.events();
    endpoint.listen("ws://0.0.0.0:0").await.unwrap();
    assert!(log_event(&mut events, "open-listener").await.contains("access rules"));
}

#[tokio::test]
async fn unknown_paths_cannot_be_listened_at() {
    let server = Server::start().await;
    let at: Address = "ws://127.0.0.1:0/own".parse().unwrap();
    let error = server.endpoint.listen(&at).await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidAddress);
}

#[tokio::test]
async fn the_page_is_served_only_when_asked_for() {
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let without = Server::start().await;
    assert!(answer(&without, get).await.starts_with("HTTP/1.1 404 "));
    let server = Server::with(WsOptions { page: true, ..WsOptions::default() }).await;
    let page = answer(&server, get).await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page:.200}");
    assert!(page.contains("Content-Type: text/html") && page.ends_with("</html>\n"));
    // Only the script of the page runs in it, and no other page frames it.
    let nonce = |page: &str, before| page.split(before).nth(1).map(|rest| rest[..32].to_owned());
    let allowed = nonce(&page, "script-src 'nonce-");
    assert!(allowed.is_some() && allowed == nonce(&page, "<script nonce=\""), "{page:.600}");
    assert!(page.contains("frame-ancestors 'none'"));
    assert_ne!(allowed, nonce(&answer(&server, get).await, "script-src 'nonce-"));
    let head = answer(&server, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
    assert!(answer(&server, b"POST / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
}
