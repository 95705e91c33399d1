//! What the tests share: the laboratory in Python, and nodes with bridges.

use broker_bridge::zeromq::{ZeroMqOptions, install};
use broker_bridge::{BridgeStatus, Bridges};
use broker_core::data::Value;
use broker_core::data::zeek::ZeekEvent;
use broker_core::endpoint::{EndpointBuilder, EventStream, Retry, Subscriber};
use broker_core::{Address, Config, Endpoint, Limits, OverflowPolicy};
use broker_testkit::websocket::PATIENCE;
use serde_json::{Value as Json, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// A cluster out of libzmq.
pub(crate) struct Lab {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) sub: u64,
    pub(crate) publish: u64,
}

impl Lab {
    /// One without a forwarder; `None` and a line on standard error if there is no pyzmq.
    pub(crate) async fn empty() -> Option<Self> {
        let python = broker_testkit::tools::python(env!("CARGO_TARGET_TMPDIR"), &["pyzmq"]).await;
        let python = python.inspect_err(|reason| eprintln!("skipped: {reason}")).ok()?;
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zeromq/lab.py");
        let mut child = Command::new(python)
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { child, input, output, sub: 0, publish: 0 })
    }

    /// One with a forwarder.
    pub(crate) async fn start() -> Option<Self> {
        let mut lab = Self::empty().await?;
        lab.forwarder(json!({})).await;
        Some(lab)
    }

    pub(crate) async fn forwarder(&mut self, mut options: Json) {
        options["do"] = "forwarder".into();
        let ports = self.run(options).await;
        (self.sub, self.publish) = (ports["sub"].as_u64().unwrap(), ports["pub"].as_u64().unwrap());
    }

    /// Stops the process, or lets it go on.
    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// Runs a command and returns its answer.
    pub(crate) async fn run(&mut self, command: Json) -> Json {
        self.tell(&command).await;
        self.answer(&command).await
    }

    pub(crate) async fn tell(&mut self, command: &Json) {
        self.input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self, command: &Json) -> Json {
        let line = timeout(3 * PATIENCE, self.output.next_line()).await.unwrap().unwrap().unwrap();
        let answer: Json = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{command}: {answer}");
        answer
    }

    /// Adds a node without a name, which takes part in no greetings.
    pub(crate) async fn plain_node(&mut self, key: &str, prefixes: &[&str]) {
        self.node(json!({ "key": key, "name": null, "id": key, "prefixes": prefixes })).await;
        // Messages that are faster than a subscription are gone.
        for prefix in prefixes {
            self.shown(key, 1, prefix).await;
        }
    }

    pub(crate) async fn node(&mut self, mut options: Json) {
        options["do"] = "node".into();
        options["sub"] = self.sub.into();
        options["pub"] = self.publish.into();
        self.run(options).await;
    }

    pub(crate) fn url(&self, query: &str) -> Address {
        let (sub, publish) = (self.sub, self.publish);
        format!("zeromq://127.0.0.1:{sub}?publish={publish}{query}").parse().unwrap()
    }

    /// Waits until a node has been shown a subscription (1) or its end (0).
    pub(crate) async fn shown(&mut self, key: &str, kind: u8, topic: &str) {
        let shown =
            self.run(json!({ "do": "shown", "key": key, "kind": kind, "topic": topic })).await;
        assert!(shown["count"].as_u64() >= Some(1), "{kind} {topic} was not shown");
    }

    pub(crate) async fn publish(&mut self, key: &str, topic: &str, event: &Value) {
        let payload = hex(&event.encode());
        let publish = json!({ "do": "publish", "key": key, "topic": topic, "payload": payload });
        self.run(publish).await;
    }

    /// So many messages that a node has received: topic, sender, serializer, payload.
    pub(crate) async fn received(&mut self, key: &str, count: usize) -> Vec<Vec<Vec<u8>>> {
        let received = self.run(json!({ "do": "received", "key": key, "count": count })).await;
        messages(&received)
    }
}

pub(crate) fn messages(answer: &Json) -> Vec<Vec<Vec<u8>>> {
    let parts = |message: &Json| message.as_array().unwrap().iter().map(unhex).collect();
    answer["messages"].as_array().unwrap().iter().map(parts).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &Json) -> Vec<u8> {
    let text = text.as_str().unwrap().as_bytes();
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.chunks(2).map(digits).collect()
}

pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) bridges: Bridges,
    pub(crate) events: EventStream,
}

pub(crate) fn node() -> Node {
    node_with(&ZeroMqOptions::default())
}

pub(crate) fn node_with(options: &ZeroMqOptions) -> Node {
    build(OverflowPolicy::Wait, options, &|builder, _| builder)
}

/// One that drops what its peers do not read.
pub(crate) fn dropping_node() -> Node {
    build(OverflowPolicy::DropOldest, &ZeroMqOptions::default(), &|builder, _| builder)
}

/// What adds transports of other kinds of bridges.
type More<'a> = &'a dyn Fn(EndpointBuilder, &Bridges) -> EndpointBuilder;

#[cfg(any(feature = "nats", feature = "websocket"))]
pub(crate) fn node_with_more(more: More<'_>) -> Node {
    build(OverflowPolicy::Wait, &ZeroMqOptions::default(), more)
}

fn build(policy: OverflowPolicy, options: &ZeroMqOptions, more: More<'_>) -> Node {
    let bridges = Bridges::default();
    let config = Config {
        overflow_policy: policy,
        log_level: broker_core::event::Severity::Info,
        ..Config::default()
    };
    let builder =
        Endpoint::builder().config(config).transport(broker_transport_tcp::TcpTransport::default());
    let builder = install(&bridges, &Limits::default(), options, builder).unwrap();
    let endpoint = more(builder, &bridges).build().unwrap();
    let events = endpoint.events();
    Node { endpoint, bridges, events }
}

impl Node {
    pub(crate) async fn peer(&self, url: &Address, retry: Retry) {
        self.endpoint.peer(url, retry).await.unwrap();
    }

    pub(crate) fn status(&self) -> BridgeStatus {
        self.bridges.status().pop().unwrap()
    }

    /// Waits for a line of the log of bridges that contains this.
    pub(crate) async fn told(&mut self, text: &str) {
        let told = async {
            while !broker_testkit::websocket::log_event(&mut self.events, "bridge")
                .await
                .contains(text)
            {}
        };
        timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("nobody said {text:?}"));
    }
}

pub(crate) async fn next(subscriber: &mut Subscriber) -> (String, Value) {
    let message = timeout(PATIENCE, subscriber.recv()).await.expect("a message in time").unwrap();
    (message.topic().to_string(), message.data().unwrap())
}

pub(crate) fn ping(number: u64) -> Value {
    Value::from(ZeekEvent::new("ping").arg(number))
}
