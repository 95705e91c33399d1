//! Recorded conversations: what the files say, step by step.

use serde_json::Value as Json;

/// One conversation with an endpoint.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) endpoint_id: String,
    pub(crate) subscriptions: Vec<String>,
    pub(crate) options: Options,
    /// Whether the recording has what local users saw, or nothing but frames.
    pub(crate) has_events: bool,
    pub(crate) steps: Vec<Step>,
}

/// How the endpoint of a scenario was configured.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) forwarding: Option<bool>,
    pub(crate) peer_buffer_size: Option<usize>,
    pub(crate) overflow_policy: Option<String>,
}

/// Who did something on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Endpoint,
    Stranger,
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What the tables of differences refer to it by, as in `endpoint a pong`.
    pub(crate) label: String,
    pub(crate) what: What,
}

/// What happens in a step.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Opened {
        by: Side,
        conn: String,
    },
    /// Whether the end was orderly or a reset depends on what had not been read, and is not
    /// compared. `after` says that the endpoint waited for its limit before it closed.
    Closed {
        by: Side,
        conn: String,
        after: bool,
    },
    Frame {
        by: Side,
        conn: String,
        frame: Vec<u8>,
    },
    /// Numbered messages, of which some were dropped, and the other messages among them.
    Burst {
        conn: String,
        others: Vec<String>,
    },
    Operator(Action),
    Status(String),
    Error(String),
    Message {
        topic: String,
        text: String,
    },
    ResultOfPeer(bool),
    Peers(String),
    /// Nothing is dialled any more.
    NoAttempt,
    /// The stranger starts or stops listening where the endpoint dials.
    Listens(bool),
    /// A look at the endpoint that only the tables of differences have.
    Check(Check),
}

/// A call on the endpoint.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Peer { retry: u64 },
    Unpeer { address: String },
    Publish { topic: String, text: String },
    PublishTo { receiver: String, topic: String, text: String },
    PublishMany { count: u64, topic: String },
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    AttachMaster,
    Shutdown,
}

/// What an endpoint is asked about.
#[derive(Clone, Debug)]
pub(crate) enum Check {
    /// A counter of the statistics for a peer.
    Counter { peer: String, name: String, value: u64 },
    /// The filter that a peer has.
    Filter { peer: String, topics: Vec<String> },
    /// A peering that has been asked for and is not there yet.
    Wanted,
}

/// A file of `fixtures/vectors`.
pub(crate) fn load(file: &str) -> Vec<Json> {
    let path = format!("{}/../fixtures/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let json: Json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    json["conversations"].as_array().expect("conversations").clone()
}

impl Scenario {
    pub(crate) fn find(file: &str, name: &str) -> Self {
        let all = load(file);
        let found = all.iter().find(|scenario| scenario["scenario"] == name);
        Self::parse(found.unwrap_or_else(|| panic!("{file} has no scenario {name}")))
    }

    fn parse(json: &Json) -> Self {
        let options = match json.get("endpoint_options") {
            None => Options::default(),
            Some(options) => Options {
                forwarding: options["disable-forwarding"].as_bool().map(|disabled| !disabled),
                peer_buffer_size: options["peer-buffer-size"].as_u64().map(|size| size as usize),
                overflow_policy: options["peer-overflow-policy"].as_str().map(str::to_owned),
            },
        };
        let steps = json["steps"].as_array().expect("steps");
        Self {
            has_events: steps.iter().any(|step| step["from"] == "event"),
            name: text(json, "scenario"),
            endpoint_id: text(json, "endpoint_id"),
            subscriptions: texts(json, "endpoint_subscriptions"),
            options,
            steps: steps.iter().map(Step::parse).collect(),
        }
    }
}

impl Step {
    pub(crate) fn parse(json: &Json) -> Self {
        let what = match text(json, "from").as_str() {
            "operator" => What::Operator(parse_action(json)),
            "event" => parse_event(json),
            "check" => What::Check(parse_check(json)),
            "endpoint" => parse_on_connection(json, Side::Endpoint),
            "stranger" => parse_on_connection(json, Side::Stranger),
            other => panic!("a step from {other}: {json}"),
        };
        Self { label: label(json), what }
    }
}

/// Who, where and what, as in `endpoint a pong`.
fn label(json: &Json) -> String {
    let members = ["from", "conn", "message", "action", "kind"];
    let mut words: Vec<&str> =
        members.iter().filter_map(|member| json.get(*member)?.as_str()).collect();
    words.extend(["opened", "closed", "note"].iter().filter(|member| json.get(*member).is_some()));
    words.join(" ")
}

fn parse_on_connection(json: &Json, by: Side) -> What {
    if let Some(listens) = json.get("listens") {
        return What::Listens(listens.as_bool().expect("listens"));
    }
    if json.get("note").is_some() {
        assert_eq!(text(json, "note"), "no connection attempt within 1.5 s");
        return What::NoAttempt;
    }
    let conn = text(json, "conn");
    if json.get("opened").is_some() {
        What::Opened { by, conn }
    } else if json.get("closed").is_some() {
        What::Closed { by, conn, after: json.get("after_seconds").is_some() }
    } else if json.get("summary").is_some() {
        What::Burst { conn, others: texts(&json["summary"], "others") }
    } else {
        What::Frame { by, conn, frame: unhex(&text(json, "frame")) }
    }
}

fn parse_action(json: &Json) -> Action {
    match text(json, "action").as_str() {
        "peer" => Action::Peer { retry: json["retry"].as_u64().expect("retry") },
        "unpeer" => Action::Unpeer { address: text(json, "address") },
        "publish" => Action::Publish { topic: text(json, "topic"), text: text(json, "text") },
        "publish to" => Action::PublishTo {
            receiver: text(json, "receiver"),
            topic: text(json, "topic"),
            text: text(json, "text"),
        },
        "publish 1500" => Action::PublishMany { count: 1500, topic: text(json, "topic") },
        "subscribe" => Action::Subscribe(texts(json, "topics")),
        "unsubscribe" => Action::Unsubscribe(texts(json, "topics")),
        "attach master" => Action::AttachMaster,
        "shutdown" => Action::Shutdown,
        other => panic!("an operator who does {other}"),
    }
}

fn parse_event(json: &Json) -> What {
    match text(json, "kind").as_str() {
        "status" => What::Status(text(json, "text")),
        "error" => What::Error(text(json, "text")),
        "message" => What::Message { topic: text(json, "topic"), text: text(json, "text") },
        "result of peer" => What::ResultOfPeer(json["ok"].as_bool().expect("ok")),
        "peers()" => What::Peers(text(json, "text")),
        other => panic!("an event of kind {other}"),
    }
}

fn parse_check(json: &Json) -> Check {
    match text(json, "kind").as_str() {
        "counter" => Check::Counter {
            peer: text(json, "peer"),
            name: text(json, "name"),
            value: json["value"].as_u64().expect("value"),
        },
        "filter" => Check::Filter { peer: text(json, "peer"), topics: texts(json, "topics") },
        "wanted" => Check::Wanted,
        other => panic!("a check of kind {other}"),
    }
}

fn text(json: &Json, member: &str) -> String {
    json[member].as_str().unwrap_or_else(|| panic!("{json}: {member} is no string")).to_owned()
}

fn texts(json: &Json, member: &str) -> Vec<String> {
    let list = json[member].as_array().unwrap_or_else(|| panic!("{json}: {member} is no list"));
    list.iter().map(|entry| entry.as_str().expect("a string").to_owned()).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of digits");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digit).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
