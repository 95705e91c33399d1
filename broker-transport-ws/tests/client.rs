//! The client of the JSON API, against this server and against scripted ones that behave like the
//! other servers.

#![allow(clippy::unwrap_used, clippy::panic)]

use broker_testkit::websocket as support;

use broker_core::{Address, OverflowPolicy, Reason};
use broker_transport_ws::client::{ClientEvent, ClientOptions, JsonClient, ReceivedMessage};
use broker_transport_ws::{AccessOptions, AccessRule, WsOptions};
use std::time::Duration;
use support::{PATIENCE, SERVER_ID, Server, read_head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

fn options(subscriptions: &[&str]) -> ClientOptions {
    ClientOptions {
        subscriptions: subscriptions.iter().map(|&topic| topic.to_owned()).collect(),
        retry: Some(Duration::from_millis(20)),
        ..ClientOptions::default()
    }
}

async fn next(client: &mut JsonClient) -> ClientEvent {
    timeout(PATIENCE, client.next()).await.expect("an event in time").expect("an event")
}

async fn connected(client: &mut JsonClient) -> (String, String) {
    loop {
        match next(client).await {
            ClientEvent::Connected { endpoint, version, .. } => return (endpoint, version),
            ClientEvent::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn message(client: &mut JsonClient) -> ReceivedMessage {
    match next(client).await {
        ClientEvent::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

async fn failure(client: &mut JsonClient) -> (Reason, String) {
    match next(client).await {
        ClientEvent::Disconnected { error, .. } => (error.reason(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_publishes_and_receives() {
    let server = Server::start().await;
    let mut subscriber = server.endpoint.subscribe(["/up"]);
    let options = ClientOptions { application: Some("probe".into()), ..options(&["/down"]) };
    let mut client = JsonClient::start(server.url.clone(), options);
    let (endpoint, version) = connected(&mut client).await;
    assert_eq!((endpoint.as_str(), version.as_str()), (SERVER_ID, env!("CARGO_PKG_VERSION")));
    assert_eq!(server.endpoint.clients()[0].info.label.application.as_deref(), Some("probe"));
    client.sender().publish("/up", &broker_core::data::Value::from(7_u64)).await.unwrap();
    assert_eq!(subscriber.recv().await.unwrap().view().as_count(), Some(7));
    server.endpoint.publish("/down/x", "hello").await.unwrap();
    let received = message(&mut client).await;
    assert_eq!(received.topic, "/down/x");
    assert_eq!(received.view().unwrap().as_str(), Some("hello"));
    assert!(timeout(PATIENCE, client.close()).await.unwrap());
    let gone = async {
        while server.endpoint.client_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn closing_sends_what_was_published_before() {
    let server = Server::start().await;
    let mut subscriber = server.endpoint.subscribe(["/up"]);
    let client = JsonClient::start(server.url.clone(), options(&[]));
    let sender = client.sender();
    for number in 0..500_u64 {
        sender.publish("/up", &broker_core::data::Value::from(number)).await.unwrap();
    }
    assert!(timeout(PATIENCE, client.close()).await.unwrap());
    for number in 0..500 {
        assert_eq!(subscriber.recv().await.unwrap().view().as_count(), Some(number));
    }
    assert!(sender.publish("/up", &broker_core::data::Value::from(1_u64)).await.is_err());
}

#[tokio::test]
async fn a_lost_server_is_found_again_and_subscribed_to_again() {
    let server = Server::start().await;
    let url = server.url.clone();
    let mut client = JsonClient::start(url.clone(), options(&["/t"]));
    connected(&mut client).await;
    server.endpoint.shutdown().await;
    let (kind, text) = failure(&mut client).await;
    assert_eq!(kind, Reason::Closed);
    assert!(text.contains("1001 Terminating"), "{text}");
    let again = Server::build(broker_core::Endpoint::builder(), WsOptions::default()).await;
    again.endpoint.listen(&url).await.unwrap();
    connected(&mut client).await;
    again.endpoint.publish("/t", &1_u64).await.unwrap();
    assert_eq!(message(&mut client).await.view().unwrap().as_count(), Some(1));
}

#[tokio::test]
async fn what_keeps_a_client_out_is_said() {
    let rules = vec![AccessRule {
        token: Some("s3cret".into()),
        subscribe: Some(vec!["/t".into()]),
        ..AccessRule::default()
    }];
    let access = AccessOptions { rules, ..AccessOptions::default() };
    let server = Server::with(WsOptions { access, ..WsOptions::default() }).await;
    let once = |token: Option<&str>, topics: &[&str]| ClientOptions {
        token: token.map(str::to_owned),
        retry: None,
        ..options(topics)
    };
    for (url, options, kind, text) in [
        (server.url.clone(), once(None, &[]), Reason::AccessDenied, "401"),
        (
            server.url.clone(),
            once(Some("s3cret"), &["/u"]),
            Reason::AccessDenied,
            "may not subscribe",
        ),
        (
            "ws://127.0.0.1:1".parse::<Address>().unwrap(),
            once(None, &[]),
            Reason::Refused,
            "nothing listens there",
        ),
        (
            format!("ws://127.0.0.1:{}/v1/wrong?access_token=s3cret", server.url.port())
                .parse()
                .unwrap(),
            once(None, &[]),
            Reason::NotBroker,
            "invalid_uri",
        ),
    ] {
        let mut client = JsonClient::start(url, options);
        let (got, detail) = failure(&mut client).await;
        assert_eq!(got, kind, "{detail}");
        assert!(detail.contains(text), "{detail}");
        assert!(client.next().await.is_none());
    }
}

#[tokio::test]
async fn a_user_who_does_not_take_events_can_still_publish() {
    let options = WsOptions { overflow_policy: OverflowPolicy::DropOldest, ..WsOptions::default() };
    let server = Server::with(options).await;
    let mut subscriber = server.endpoint.subscribe(["/up"]);
    let options = ClientOptions { queue_messages: 4, ..self::options(&["/down"]) };
    let mut client = JsonClient::start(server.url.clone(), options);
    connected(&mut client).await;
    for _ in 0..200 {
        server.endpoint.publish("/down", "x".repeat(1000).as_str()).await.unwrap();
    }
    let sender = client.sender();
    for number in 0..200_u64 {
        let value = broker_core::data::Value::from(number);
        timeout(PATIENCE, sender.publish("/up", &value)).await.unwrap().unwrap();
    }
    for number in 0..200 {
        let got = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
        assert_eq!(got.view().as_count(), Some(number));
    }
}

/// A server that does what its script says to the first client.
struct Scripted {
    listener: TcpListener,
    url: Address,
}

impl Scripted {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Address::new("ws", "127.0.0.1", listener.local_addr().unwrap().port());
        Self { listener, url }
    }

    /// The next client after its opening handshake, and what it subscribed to.
    async fn accept(&self) -> (TcpStream, String) {
        let (mut stream, head) = self.accept_request().await;
        let key =
            head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {accept}\r\n\
             upgrade: WebSocket\r\nconnection: upgrade\r\nServer: ixwebsocket\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let subscriptions = read_masked(&mut stream).await;
        (stream, subscriptions)
    }

    async fn accept_request(&self) -> (TcpStream, String) {
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("GET /v1/messages/json HTTP/1.1\r\n"), "{head}");
        (stream, head)
    }
}

/// The text of a short masked frame; control frames in front are passed over.
async fn read_masked(stream: &mut TcpStream) -> String {
    loop {
        let mut header = [0; 6];
        timeout(PATIENCE, stream.read_exact(&mut header)).await.unwrap().unwrap();
        assert!(header[1] >= 0x80, "frames of clients have a mask");
        let mut payload = vec![0; usize::from(header[1] & 0x7f)];
        stream.read_exact(&mut payload).await.unwrap();
        let mask = header[2..].iter().cycle();
        payload.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        if header[0] == 0x81 {
            return String::from_utf8(payload).unwrap();
        }
    }
}

fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8][..], payload].concat()
}

const ACK: &[u8] = br#"{"type":"ack","endpoint":"x-websocket-0","version":"8.0.1"}"#;

#[tokio::test]
async fn zeeks_server_is_understood() {
    let server = Scripted::start().await;
    let mut client = JsonClient::start(server.url.clone(), options(&["/a", "/b"]));
    let (mut stream, subscriptions) = server.accept().await;
    assert_eq!(subscriptions, r#"["/a","/b"]"#);
    // A ping comes before the ack, an event in two pieces, an error in between.
    let ping = server_frame(0x89, b"ixwebsocket::heartbeat::5s::0");
    let data = br#"{"type":"data-message","topic":"/a","@data-type":"count","data":1}"#;
    let error = br#"{"type":"error","code":"broker_error","context":"unknown event"}"#;
    let bytes = [
        ping,
        server_frame(0x81, ACK),
        server_frame(0x01, &data[..30]),
        server_frame(0x89, b""),
        server_frame(0x80, &data[30..]),
        server_frame(0x81, error),
    ];
    stream.write_all(&bytes.concat()).await.unwrap();
    assert_eq!(connected(&mut client).await, ("x-websocket-0".into(), "8.0.1".into()));
    assert_eq!(message(&mut client).await.view().unwrap().as_count(), Some(1));
    let ClientEvent::Error { code, context } = next(&mut client).await else { panic!() };
    assert_eq!((code.as_str(), context.as_str()), ("broker_error", "unknown event"));
    client.sender().publish("/b", &broker_core::data::Value::from(true)).await.unwrap();
    assert!(read_masked(&mut stream).await.contains("\"/b\""));
}

#[tokio::test]
async fn the_librarys_server_that_answers_no_close_holds_up_nobody() {
    let server = Scripted::start().await;
    let options = ClientOptions { close_time: Duration::from_millis(100), ..options(&[]) };
    let mut client = JsonClient::start(server.url.clone(), options);
    let (mut stream, _) = server.accept().await;
    let ack = br#"{"type": "ack", "endpoint": "88888888-8888-4888-8888-888888888888", "version": "2.7.0"}"#;
    stream.write_all(&server_frame(0x81, ack)).await.unwrap();
    connected(&mut client).await;
    assert!(timeout(PATIENCE, client.close()).await.unwrap());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.first(), Some(&0x88));
}

#[tokio::test]
async fn a_refusal_after_the_upgrade_is_the_reason() {
    let server = Scripted::start().await;
    let options = ClientOptions { retry: None, ..options(&[]) };
    let mut client = JsonClient::start(server.url.clone(), options);
    let (mut stream, _) = server.accept().await;
    let error = br#"{"type":"error","code":"invalid_uri","message":"Invalid URI"}"#;
    stream.write_all(&server_frame(0x81, error)).await.unwrap();
    let (kind, text) = failure(&mut client).await;
    assert_eq!(kind, Reason::NotBroker);
    assert!(text.contains("invalid_uri: Invalid URI"), "{text}");
}

#[tokio::test]
async fn what_a_server_must_not_do_ends_the_connection() {
    let masked = [0x81, 0x82, 1, 2, 3, 4, b'[' ^ 1, b']' ^ 2].to_vec();
    for (bytes, code) in [
        (masked, 1002_u16),
        (server_frame(0x80, b"x"), 1002),
        (server_frame(0x83, b"x"), 1002),
        (server_frame(0xc1, b"x"), 1002),
        (server_frame(0x09, b"x"), 1002),
        (server_frame(0x81, b"\xff"), 1007),
        (vec![0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0], 1009),
    ] {
        let server = Scripted::start().await;
        let options = ClientOptions { retry: None, ..options(&[]) };
        let mut client = JsonClient::start(server.url.clone(), options);
        let (mut stream, _) = server.accept().await;
        stream.write_all(&[server_frame(0x81, ACK), bytes.clone()].concat()).await.unwrap();
        let (kind, text) = loop {
            if let ClientEvent::Disconnected { error, .. } = next(&mut client).await {
                break (error.reason(), error.to_string());
            }
        };
        assert_eq!(kind, Reason::NotBroker, "{bytes:x?}");
        assert!(text.contains(&code.to_string()), "{bytes:x?} gave {text}");
        let mut close = [0; 8];
        timeout(PATIENCE, stream.read_exact(&mut close)).await.unwrap().unwrap();
        assert_eq!(close[0], 0x88);
        assert_eq!(u16::from_be_bytes([close[6] ^ close[2], close[7] ^ close[3]]), code);
    }
}

#[tokio::test]
async fn answers_that_are_no_acceptance_are_explained() {
    let zeek = "HTTP/1.1 400 Invalid HTTP version\r\nServer: ixwebsocket/9.9.9\r\n";
    let library = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n\
                   wrong wrong ";
    let accept =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for (answer, text) in [
        (zeek.to_owned(), "Invalid HTTP version"),
        (library.to_owned(), "HTTP 400 Bad Request: wrong"),
        (format!("{accept}Sec-WebSocket-Accept: AAAA\r\n\r\n"), "Sec-WebSocket-Accept"),
        (format!("{accept}\r\n"), "Sec-WebSocket-Accept"),
        ("HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n".to_owned(), "something else"),
        ("\u{15}\u{3}\u{1}\0\u{2}\u{2}(".to_owned(), "wss://"),
        (String::new(), "closed the connection without an answer"),
        ("SSH-2.0-x\r\n\r\n".to_owned(), "not HTTP"),
    ] {
        let server = Scripted::start().await;
        let options = ClientOptions { retry: None, ..options(&[]) };
        let mut client = JsonClient::start(server.url.clone(), options);
        let (mut stream, _) = server.accept_request().await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stream);
        let (_, detail) = failure(&mut client).await;
        assert!(detail.contains(text), "{answer:?} gave {detail}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = Scripted::start().await;
    let options = ClientOptions {
        ping_interval: Duration::from_millis(50),
        connect_time: Duration::from_millis(200),
        ..options(&[])
    };
    let mut client = JsonClient::start(server.url.clone(), options);
    let (mut stream, _) = server.accept().await;
    stream.write_all(&server_frame(0x81, ACK)).await.unwrap();
    connected(&mut client).await;
    assert!(failure(&mut client).await.1.contains("sign of life"));
    let (_stream, _) = server.accept().await;
    assert!(failure(&mut client).await.1.contains("no acknowledgement"));
}
