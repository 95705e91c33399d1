//! Holds one recorded conversation.

use crate::better::{Instead, better};
use crate::support::{Client, Frame, PATIENCE, SERVER_ID, Server, frame, statuses};
use broker_core::data::{Timespan, Value};
use broker_core::endpoint::{EventStream, Hub, Message, Retry, Subscriber};
use broker_core::{Endpoint, EndpointId, OverflowPolicy};
use broker_transport_ws::WsOptions;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) async fn play(scenario: &str, conversation: &Json) {
    let mut player = Player::new(scenario, conversation).await;
    for (at, step) in conversation["steps"].as_array().unwrap().iter().enumerate() {
        player.place = format!("{scenario}, step {at}: {step}");
        player.step(step).await;
    }
}

struct Player {
    scenario: String,
    place: String,
    server: Server,
    events: EventStream,
    conns: HashMap<String, Client>,
    /// What the last raw frame of each connection was.
    frames: HashMap<String, String>,
    /// Values of `<...>`.
    bound: HashMap<String, String>,
    subscriber: Option<Subscriber>,
    hub: Option<Hub>,
    native: Option<Endpoint>,
    native_subscriber: Option<Subscriber>,
}

impl Player {
    async fn new(scenario: &str, conversation: &Json) -> Self {
        let given = &conversation["endpoint_options"];
        let mut options = WsOptions::default();
        if let Some(size) = given["web-socket-buffer-size"].as_u64() {
            options.queue_messages = size as usize;
            options.overflow_policy = OverflowPolicy::DropOldest;
        }
        let builder = Endpoint::builder()
            .id(SERVER_ID.parse().unwrap())
            .forwarding(given["disable-forwarding"] != true)
            .transport(broker_transport_tcp::TcpTransport::default());
        let server = Server::build(builder, options).await;
        // Most servers subscribed to /test; where one is seen to receive, it is there from the
        // start.
        let topics = match scenario {
            "visibility" => vec![],
            "status-events-raw" => vec!["<$>/local/data/statuses"],
            _ => vec![""],
        };
        let subscriber = (!topics.is_empty()).then(|| server.endpoint.subscribe(topics));
        let events = server.endpoint.events();
        Self {
            scenario: scenario.to_owned(),
            place: String::new(),
            server,
            events,
            conns: HashMap::new(),
            frames: HashMap::new(),
            bound: HashMap::new(),
            subscriber,
            hub: None,
            native: None,
            native_subscriber: None,
        }
    }

    async fn step(&mut self, step: &Json) {
        let conn = step["conn"].as_str().unwrap_or("c1").to_owned();
        let frame = self.frames.get(&conn).cloned().unwrap_or_default();
        if let Some((instead, _why)) = better(&self.scenario, &conn, &frame, step)
            && (step["from"] != "client"
                || ["malformed-json", "empty-topic"].contains(&self.scenario.as_str()))
        {
            self.instead(&conn, instead, step).await;
            // What the client does after an answer that the library does not give it still does.
            if step["from"] != "client" {
                return;
            }
        }
        match step["from"].as_str().unwrap() {
            "client" => self.client(&conn, step).await,
            "server" => self.server(&conn, step).await,
            "event" => self.event(step).await,
            "operator" => self.operator(step).await,
            "native peer" => self.native(step).await,
            "local subscriber received" => {
                let subscriber = self.subscriber.as_mut().unwrap();
                let message = timeout(PATIENCE, subscriber.recv()).await.expect(&self.place);
                self.compare_message(&message.unwrap(), step);
            }
            "local hub received" => {
                let hub = self.hub.as_mut().unwrap();
                let message = timeout(PATIENCE, hub.recv()).await.expect(&self.place);
                self.compare_message(&message.unwrap(), step);
            }
            "native peer received" => self.native_received(step).await,
            "other client received" => {
                let got = self.conns.get_mut("other").unwrap().recv_text().await;
                assert_eq!(got, step["text"].as_str().unwrap(), "{}", self.place);
            }
            other => panic!("unknown step from {other}"),
        }
    }

    /// What the client does.
    async fn client(&mut self, conn: &str, step: &Json) {
        if let Some(text) = step["text"].as_str() {
            if text.contains("(70000 times x)") {
                return self.long_message(conn).await;
            }
            let bytes = match text.strip_prefix("BIN ") {
                Some(hex) => frame(2, true, &unhex(hex)),
                None => frame(1, true, text.as_bytes()),
            };
            self.on(conn).await.raw(&bytes).await;
            if self.scenario == "two-clients" && text.contains("/test\"]") {
                self.conns.insert("other".into(), self.server.client("[\"/test\"]").await);
                self.send_later(conn).await;
            }
        } else if let Some(raw) = step["raw"].as_str() {
            self.raw(conn, raw, step["frame"].as_str().unwrap()).await;
        } else if step["http"].is_string() {
            for text in step["then"].as_array().unwrap() {
                let bytes = frame(1, true, text.as_str().unwrap().as_bytes());
                self.on(conn).await.raw(&bytes).await;
            }
        } else if step["tcp"] == "eof" {
            self.conns.remove(conn);
        } else if step.get("close").is_some() {
            // Recorded as 1006, because the library does not answer; this server does.
            let client = self.on(conn).await;
            client.close(1000, "").await;
            assert_eq!(client.recv().await, Frame::Close(1000, String::new()), "{}", self.place);
        }
    }

    /// The acknowledgement comes before the recording says what the client sends next.
    async fn send_later(&mut self, conn: &str) {
        let client = self.conns.get_mut(conn).unwrap();
        assert!(client.recv_text().await.contains("\"ack\""));
        let text =
            "{\"type\":\"data-message\",\"topic\":\"/test/x\",\"@data-type\":\"count\",\"data\":1}";
        client.text(text).await;
        self.frames.insert(conn.into(), "acknowledged".into());
    }

    async fn long_message(&mut self, conn: &str) {
        let data = "x".repeat(70000);
        let text =
            format!("{{\"topic\":\"/test/x\",\"@data-type\":\"string\",\"data\":\"{data}\"}}");
        self.on(conn).await.text(&text).await;
        let message = self.subscriber.as_mut().unwrap().recv().await.unwrap();
        assert_eq!(message.view().as_str(), Some(data.as_str()));
    }

    async fn raw(&mut self, conn: &str, raw: &str, hex: &str) {
        let ended = matches!(self.frames.get(conn).map(String::as_str), Some("ended"));
        if ended && self.scenario == "framing-accepted" {
            // The frame before ended the connection here.
            let client = self.server.client("[]").await;
            self.conns.insert(conn.into(), client);
        }
        self.frames.insert(conn.into(), raw.into());
        let mut bytes = match hex.split_once("...") {
            None => unhex(hex),
            // Shortened in the recording: the rest of 2088 bytes, of which 2063 are the text.
            Some(_) => {
                let data = "x".repeat(2104);
                let text = format!(
                    "{{\"topic\":\"/test/x\",\"@data-type\":\"string\",\"data\":\"{data}\"}}"
                );
                frame(1, true, text.as_bytes()).split_off(100)
            }
        };
        if raw.starts_with("first 100 octets of a frame of 2188") {
            let data = "x".repeat(2104);
            let text =
                format!("{{\"topic\":\"/test/x\",\"@data-type\":\"string\",\"data\":\"{data}\"}}");
            bytes = frame(1, true, text.as_bytes());
            bytes.truncate(100);
        }
        self.on(conn).await.raw(&bytes).await;
    }

    /// What the server answers.
    async fn server(&mut self, conn: &str, step: &Json) {
        if self.frames.get(conn).is_some_and(|f| f == "acknowledged")
            && step["text"].as_str().is_some_and(|text| text.contains("\"ack\""))
        {
            return;
        }
        if self.scenario == "native-peer"
            && step["text"].as_str().is_some_and(|t| t.contains("/test/native"))
        {
            return self.native_publishes(conn, step["text"].as_str().unwrap()).await;
        }
        if let Some(expected) = step["text"].as_str() {
            let got = self.on(conn).await.recv_text().await;
            let place = self.place.clone();
            self.compare_text(&got, expected, &place);
        } else if let Some(opcode) = step["opcode"].as_u64() {
            assert_eq!(opcode, 10);
            let payload = unhex(step["payload"].as_str().unwrap());
            assert_eq!(self.on(conn).await.recv().await, Frame::Pong(payload), "{}", self.place);
        } else if step["tcp"] == "eof" && self.frames.get(conn).is_none_or(|f| f != "ended") {
            assert_eq!(self.on(conn).await.recv().await, Frame::End, "{}", self.place);
        }
    }

    fn compare_text(&mut self, got: &str, expected: &str, place: &str) {
        let (got_json, expected_json): (Json, Json) =
            (serde_json::from_str(got).unwrap(), serde_json::from_str(expected).unwrap());
        match expected_json["type"].as_str() {
            Some("ack") => {
                let keys: Vec<&String> = got_json.as_object().unwrap().keys().collect();
                assert_eq!(keys, ["endpoint", "type", "version"], "{place}");
                assert_eq!(got_json["endpoint"], SERVER_ID);
                assert!(got.starts_with("{\"type\":\"ack\",\"endpoint\":\""), "{place}");
            }
            Some("error") => {
                assert_eq!(got_json["code"], expected_json["code"], "{place}");
                let context = expected_json["context"].as_str().unwrap();
                let context = context.split(" -> ").next().unwrap();
                assert!(
                    got_json["context"].as_str().unwrap().starts_with(context),
                    "{place}: {got}"
                );
            }
            _ if expected.contains('<') => {
                assert!(self.fits(expected, got), "{place}: got {got}");
            }
            _ => assert_eq!(got_json, expected_json, "{place}"),
        }
    }

    async fn instead(&mut self, conn: &str, instead: Instead, step: &Json) {
        let place = self.place.clone();
        match instead {
            Instead::NativeGetsFirst(text) => {
                let subscriber = self.native_subscriber.as_mut().unwrap();
                for text in [text, step["text"].as_str().unwrap().trim_matches('\'')] {
                    let message = timeout(PATIENCE, subscriber.recv()).await.expect(&place);
                    assert_eq!(message.unwrap().view().as_str(), Some(text), "{place}");
                }
            }
            Instead::Nothing => {}
            Instead::Ack => assert!(self.on(conn).await.recv_text().await.contains("\"ack\"")),
            Instead::PongAndPublished => {
                let pong = self.on(conn).await.recv().await;
                assert!(matches!(pong, Frame::Pong(_)), "{place}");
                self.published("1").await;
            }
            Instead::Published(text) => self.published(text).await,
            Instead::Rejected(context) => {
                let client = self.on(conn).await;
                let error = client.recv_json().await;
                assert_eq!(error["context"], context, "{place}");
                assert_eq!(client.recv_close().await.0, 1008, "{place}");
                client.close(1008, "").await;
            }
            Instead::Error(context) => {
                let error = self.on(conn).await.recv_json().await;
                assert!(
                    error["context"].as_str().unwrap().starts_with(context),
                    "{place}: {error}"
                );
            }
            Instead::Close(code) => {
                let client = self.on(conn).await;
                assert_eq!(client.recv_close().await.0, code, "{place}");
                self.frames.insert(conn.into(), "ended".into());
            }
        }
    }

    async fn published(&mut self, text: &str) {
        let subscriber = self.subscriber.as_mut().unwrap();
        let message = timeout(PATIENCE, subscriber.recv()).await.expect(&self.place).unwrap();
        let value = match text {
            "5d" => Value::Timespan(Timespan(5 * 24 * 3600 * 1_000_000_000)),
            "5.0" => Value::Real(5.0),
            count => Value::Count(count.parse().unwrap()),
        };
        assert_eq!(message.data().unwrap(), value, "{}", self.place);
    }

    fn compare_message(&mut self, message: &Message, step: &Json) {
        assert_eq!(*message.topic(), *step["topic"].as_str().unwrap(), "{}", self.place);
        let (got, expected) = (message.data().unwrap().to_string(), step["text"].as_str().unwrap());
        if let Some(start) = expected.strip_suffix("...") {
            assert!(got.starts_with(start), "{}", self.place);
        } else {
            assert!(self.fits(expected, &got), "{}: got {got}", self.place);
        }
    }

    async fn event(&mut self, step: &Json) {
        let expected = step["text"].as_str().unwrap();
        match step["kind"].as_str().unwrap() {
            "status" => {
                let got = statuses(&mut self.events, 1).await.remove(0);
                assert!(self.fits(expected, &got), "{}: got {got}", self.place);
            }
            "peers()" => assert!(self.server.endpoint.peers().is_empty()),
            // The clients' subscriptions count here, so that native peers send what they want.
            "filter of the endpoint" => assert_eq!(self.server.endpoint.filter(), ["/test"]),
            other => panic!("unknown event {other}"),
        }
    }

    async fn operator(&mut self, step: &Json) {
        let endpoint = &self.server.endpoint;
        let topic = step["topic"].as_str().unwrap_or_default();
        let text = step["text"].as_str().unwrap_or_default();
        match step["action"].as_str().unwrap() {
            "subscribe" => self.subscriber = Some(endpoint.subscribe(["/test"])),
            "hub" => self.hub = Some(endpoint.hub(["/test"])),
            "publish" => {
                endpoint.publish(topic, text).await.unwrap();
            }
            "hub publish" => {
                self.hub.as_ref().unwrap().publish(topic, text).await.unwrap();
            }
            "publish to" => {
                let to = step["receiver"].as_str().unwrap().parse().unwrap();
                endpoint.publish_to(to, topic, text).await.unwrap();
            }
            "unpeer" => {
                let url = format!("tcp://{}", step["address"].as_str().unwrap());
                assert!(!endpoint.unpeer(url));
            }
            "shutdown" => {
                let endpoint = endpoint.clone();
                tokio::spawn(async move { endpoint.shutdown().await });
            }
            other => panic!("unknown action {other}"),
        }
    }

    /// What the native peer does.
    async fn native(&mut self, step: &Json) {
        if let Some(id) = step["joined"].as_str() {
            let endpoint = &self.server.endpoint;
            let url = endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
            let peer = Endpoint::builder()
                .id(id.parse().unwrap())
                .transport(broker_transport_tcp::TcpTransport::default())
                .build()
                .unwrap();
            let filter = step["filter"].as_array().unwrap();
            let topics: Vec<&str> = filter.iter().filter_map(Json::as_str).collect();
            self.native_subscriber = Some(peer.subscribe(topics));
            peer.peer(&url, Retry::never()).await.unwrap();
            assert!(timeout(PATIENCE, endpoint.await_peer(peer.id())).await.unwrap());
            self.native = Some(peer);
            return;
        }
        let peer = self.native.as_ref().unwrap();
        let topic = step["topic"].as_str().unwrap();
        let text = step["text"].as_str().unwrap().trim_matches('\'');
        let to = step["receiver"].as_str().map_or(EndpointId::NIL, |to| to.parse().unwrap());
        peer.publish_to(to, topic, text).await.unwrap();
    }

    async fn native_received(&mut self, step: &Json) {
        if step["message"] == "routing_update" {
            return;
        }
        if self.scenario == "native-peer" {
            let message = self.native_subscriber.as_mut().unwrap().recv().await.unwrap();
            assert_eq!(
                (&**message.topic(), message.view().as_str()),
                (&b"/test/ws"[..], Some("from ws"))
            );
            return;
        }
        let subscriber = self.native_subscriber.as_mut().unwrap();
        let message = timeout(PATIENCE, subscriber.recv()).await.expect(&self.place).unwrap();
        assert_eq!(*message.topic(), *step["topic"].as_str().unwrap(), "{}", self.place);
        let text = step["text"].as_str().unwrap().trim_matches('\'');
        assert_eq!(message.view().as_str(), Some(text), "{}", self.place);
    }

    /// A native peer publishes one value of every type; the recorded text reads back as the same
    /// value that the client gets.
    async fn native_publishes(&mut self, conn: &str, recorded: &str) {
        let joined = serde_json::json!({
            "joined": "11111111-1111-4111-8111-111111111111", "filter": ["/test"],
        });
        self.native(&joined).await;
        let peer = self.native.as_ref().unwrap();
        let message = broker_core::data::json::decode_data_message(recorded.as_bytes()).unwrap();
        let wait = async {
            while peer.peer_filter(self.server.endpoint.id()).unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap();
        peer.publish(&message.topic, &message.value).await.unwrap();
        let got = self.on(conn).await.recv_text().await;
        assert_eq!(
            broker_core::data::json::decode_data_message(got.as_bytes()).unwrap(),
            message,
            "{}",
            self.place
        );
    }

    /// The connection of this name; opened if it is not there yet.
    async fn on(&mut self, conn: &str) -> &mut Client {
        if !self.conns.contains_key(conn) {
            let path =
                if self.scenario == "wrong-path" { "/v1/other" } else { "/v1/messages/json" };
            let client = self.server.open_with(path, "").await;
            let port = client.stream.local_addr().unwrap().port().to_string();
            self.bound.insert(format!("<port of {conn}>"), port);
            self.conns.insert(conn.into(), client);
        }
        self.conns.get_mut(conn).unwrap()
    }

    /// Whether a text fits a pattern with `<client id N>` and `<port of X>`.
    fn fits(&mut self, pattern: &str, text: &str) -> bool {
        let Some(at) = pattern.find("<client id").or_else(|| pattern.find("<port of")) else {
            return pattern == text;
        };
        let (at, end) = match pattern.find("<port of").filter(|port| *port < at) {
            Some(port) => (port, port + pattern[port..].find('>').unwrap() + 1),
            None => (at, at + pattern[at..].find('>').unwrap() + 1),
        };
        let Some(rest) = text.strip_prefix(&pattern[..at]) else { return false };
        let name = pattern[at..end].to_owned();
        let length = match self.bound.get(&name) {
            Some(value) if rest.starts_with(value.as_str()) => value.len(),
            Some(_) => return false,
            None => 36,
        };
        let (value, rest) = rest.split_at(length);
        self.bound.insert(name, value.to_owned());
        let (pattern, rest) = (pattern[end..].to_owned(), rest.to_owned());
        self.fits(&pattern, &rest)
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
