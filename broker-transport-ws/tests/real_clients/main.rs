//! Conversations with clients that others have written.
//!
//! What the package registries have is installed below the build directory. Where that is not
//! possible, a test says so in one line and passes.
//!
//! * `BROKER_REFERENCE` names a directory with `ref-endpoint`, the endpoint of the C++ library.
//! * `BROKER_ZEEK_WEBSOCKET_RS` names a checkout of zeek-websocket-rs, which no registry has.
//! * `BROKER_CHROMIUM` names a Chromium if it is not called `chromium`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod program;
use broker_testkit::websocket as support;
mod tools;

use broker_core::Endpoint;
use broker_core::data::zeek::{ZeekEvent, ZeekMessage};
use broker_core::data::{Timespan, Timestamp, Value, vector};
use broker_core::endpoint::{Message, Retry, Subscriber};
use broker_transport_ws::WsOptions;
use program::Program;
use support::{PATIENCE, Server, native, wait_for};
use tokio::time::timeout;

/// Says why a test has nothing to do.
macro_rules! or_skip {
    ($tool:expr) => {
        match $tool {
            Ok(tool) => tool,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return;
            }
        }
    };
}

async fn next(subscriber: &mut Subscriber) -> Message {
    timeout(PATIENCE, subscriber.recv()).await.expect("a message in time").unwrap()
}

/// Waits until the peer knows that the server has a client that wants something.
async fn client_is_there(peer: &Endpoint, server: &Server) {
    wait_for(|| peer.peer_filter(server.endpoint.id()).is_some_and(|filter| !filter.is_empty()))
        .await;
}

/// One value of every type.
fn every_type() -> Value {
    let table = Value::Table([(Value::from("k"), Value::Count(1))].into());
    let set = Value::Set([Value::Count(1), Value::Count(2)].into());
    vector![
        Value::None,
        true,
        u64::MAX,
        i64::MIN,
        1.5,
        "text \u{20ac} \"quoted\"",
        Value::Address("2001:db8::1".parse().unwrap()),
        Value::Subnet("10.0.0.0/8".parse().unwrap()),
        Value::Port("80/tcp".parse().unwrap()),
        Value::Timestamp(Timestamp(1_649_574_000_123_000_000)),
        Value::Timespan(Timespan(1_500_000_000)),
        Value::Enum(broker_core::data::EnumValue("Conn::LOG".into())),
        set,
        table,
    ]
}

#[tokio::test]
async fn the_python_package_websockets_holds_a_conversation() {
    let python = or_skip!(tools::python().await);
    let server = Server::start().await;
    let (peer, mut subscriber) = native(&server.endpoint, "/py/up").await;
    let mut client =
        Program::start(&python, &[tools::script("websockets_client.py"), server.url.to_string()]);
    client.line("ready").await;
    client_is_there(&peer, &server).await;
    assert_eq!(server.endpoint.clients()[0].info.label.application.as_deref(), Some("py-test"));
    let value = every_type();
    peer.publish("/py/down", &value).await.unwrap();
    // It sends back what it got, once as text, once as binary, once in fragments.
    for _ in 0..3 {
        assert_eq!(next(&mut subscriber).await.data().unwrap(), value);
    }
    client.line("error deserialization_failed input #4 contained malformed JSON").await;
    let big = "x".repeat(2_000_000);
    peer.publish("/py/down", big.as_str()).await.unwrap();
    assert_eq!(next(&mut subscriber).await.view().as_str(), Some(big.as_str()));
    peer.publish("/py/stop", &true).await.unwrap();
    client.line("closed 1000").await;
    client.success().await;
    wait_for(|| server.endpoint.client_count() == 0).await;
}

#[tokio::test]
async fn zeek_client_talks_to_a_controller_on_the_other_side_of_the_overlay() {
    let python = or_skip!(tools::python().await);
    let (near, far) = (Server::start().await, far_server().await);
    let url = far.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    near.endpoint.peer(&url, Retry::never()).await.unwrap();
    let mut controller =
        Program::start(&python, &[tools::script("controller.py"), far.url.to_string()]);
    controller.line("ready").await;
    wait_for(|| near.endpoint.peer_filter(far.endpoint.id()).is_some_and(|f| !f.is_empty())).await;
    let port = near.url.port().to_string();
    let mut client = Program::start(&python, &[tools::script("zeek_client.py"), port]);
    client.line("connected").await;
    client.line("instances agent-1 127.0.0.1:2151").await;
    client.line("configuration id-1").await;
    client.success().await;
    controller.line("request Management::Controller::API::get_instances_request").await;
    controller.line("request Management::Controller::API::get_configuration_request").await;
}

/// A second endpoint, with an id of its own.
async fn far_server() -> Server {
    let builder = Endpoint::builder().transport(broker_transport_tcp::TcpTransport::default());
    Server::build(builder, WsOptions::default()).await
}

#[tokio::test]
async fn the_npm_package_ws_holds_a_conversation() {
    let node = or_skip!(tools::node().await);
    let server = Server::start().await;
    let (peer, mut subscriber) = native(&server.endpoint, "/js/up").await;
    let mut client = Program::start_in(
        &node.program,
        &[tools::script("ws_client.mjs"), server.url.to_string()],
        &[("BROKER_NODE_MODULES", node.modules.as_os_str())],
    );
    client.line("ready").await;
    client_is_there(&peer, &server).await;
    let value = every_type();
    peer.publish("/js/down", &value).await.unwrap();
    for _ in 0..3 {
        assert_eq!(next(&mut subscriber).await.data().unwrap(), value);
    }
    // JavaScript writes 5.0 as 5.
    assert_eq!(next(&mut subscriber).await.data().unwrap(), Value::Real(5.0));
    client.line("pong").await;
    client.line("error deserialization_failed").await;
    client.line("closed 1000 done").await;
    client.success().await;
}

#[tokio::test]
async fn a_peer_of_the_cpp_library_and_clients_exchange_messages() {
    let reference = or_skip!(tools::reference("ref-endpoint"));
    let server = Server::start().await;
    let url = server.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut cpp = Program::start(&reference, &["--disable-ssl".to_owned()]);
    cpp.write("subscribe /up\n").await;
    cpp.write(&format!("peer 127.0.0.1 {} 0\n", url.port())).await;
    cpp.line_with("status peer_added").await;
    wait_for(|| server.endpoint.peers().len() == 1).await;
    let mut client = server.client("[\"/down\"]").await;
    // The C++ endpoint sends what only the client wants.
    cpp.write("sleep 300\npublishall /down/x\n").await;
    let mut values = Vec::new();
    for _ in 0..16 {
        let text = client.recv_text().await;
        let message = broker_core::data::json::decode_data_message(text.as_bytes()).unwrap();
        assert_eq!(message.topic, "/down/x");
        values.push(message.value);
    }
    let kinds: std::collections::BTreeSet<_> = values.iter().map(Value::kind).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    // And gets them back, byte for byte.
    for value in &values {
        let mut text = Vec::new();
        broker_core::data::json::encode_data_message("/up/x", value, &mut text);
        client.text(&String::from_utf8(text).unwrap()).await;
        let line = cpp.line_with("data /up/x ").await;
        let hex: String = value.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(line.to_lowercase().ends_with(&hex), "{line} is not {value} ({hex})");
    }
    drop(client);
    wait_for(|| server.endpoint.filter().is_empty()).await;
    cpp.write("quit\n").await;
    cpp.line_with("bye").await;
}

#[tokio::test]
async fn zeek_websocket_rs_holds_a_conversation() {
    let client = or_skip!(tools::zeek_websocket_rs().await);
    let server = Server::start().await;
    let (peer, mut subscriber) = native(&server.endpoint, "/ping").await;
    let mut client = Program::start(&client, &[server.url.to_string()]);
    client.line("connected").await;
    client_is_there(&peer, &server).await;
    assert_eq!(server.endpoint.clients()[0].info.label.application.as_deref(), Some("rs-test"));
    let event = ZeekEvent::new("ping").arg("hi").arg(5_u64).arg(Timespan(1_500_000_000));
    for event in [event.clone(), event.network_timestamp(Timestamp(1_649_574_000_123_000_000))] {
        peer.publish("/ping", &ZeekMessage::Event(event.clone())).await.unwrap();
        let got = next(&mut subscriber).await.data().unwrap();
        let ZeekMessage::Event(pong) = ZeekMessage::try_from(got).unwrap() else { panic!() };
        assert_eq!(pong.name, "pong");
        assert_eq!(pong.args, event.args);
    }
    client.success().await;
}

#[tokio::test]
async fn chromium_shows_live_messages_and_peering_events() {
    let (chromium, python) = (or_skip!(tools::chromium()), or_skip!(tools::python().await));
    let server = Server::with(WsOptions { page: true, ..WsOptions::default() }).await;
    let (peer, mut subscriber) = native(&server.endpoint, "/web/up").await;
    let page = format!("http://127.0.0.1:{}/#prefix=/web/down", server.url.port());
    let mut browser = Program::start(
        &python,
        &[tools::script("browser.py"), chromium.display().to_string(), page],
    );
    browser.line("ready").await;
    client_is_there(&peer, &server).await;
    let markup = "<img src=x onerror='window.run = 1'><script>window.run = 2</script>";
    let topic = format!("/web/down/{markup}");
    for number in 0..3_u64 {
        peer.publish(&topic, &vector![number, u64::MAX, markup]).await.unwrap();
    }
    browser.line("messages 3").await;
    let row = format!("first row: {topic} | (2, 18446744073709551615, {markup})");
    browser.line(&row).await;
    browser.line("markup made nothing").await;
    peer.shutdown().await;
    browser.line("event peer_lost").await;
    // The page can be used by hand as well: here it publishes through the same socket.
    let (_peer, mut again) = native(&server.endpoint, "/web/up").await;
    browser.write("publish\n").await;
    assert_eq!(next(&mut again).await.view().as_str(), Some("from the browser"));
    browser.line("done").await;
    browser.success().await;
    assert!(subscriber.try_recv().is_err());
}
