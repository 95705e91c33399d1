use serde_json::Value;

/// What happens here instead of what was recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instead {
    /// The client is acknowledged.
    Ack,
    /// The message is published on `/test/x`, with this text form.
    Published(&'static str),
    /// A ping is answered and the message published on `/test/x`.
    PongAndPublished,
    /// An error object with this context, and Close 1008.
    Rejected(&'static str),
    /// An error object whose context begins like this.
    Error(&'static str),
    /// A Close frame with this code, and the end of the connection.
    Close(u16),
    /// The native peer gets this text before the recorded one.
    NativeGetsFirst(&'static str),
    /// Nothing.
    Nothing,
}

/// The better answer to the step at this place, and why it is better. `frame` names what the client
/// sent before, if it was a raw frame.
pub(crate) fn better(
    scenario: &str,
    conn: &str,
    frame: &str,
    step: &Value,
) -> Option<(Instead, &'static str)> {
    use Instead::{
        Ack, Close, Error, NativeGetsFirst, Nothing, PongAndPublished, Published, Rejected,
    };
    const ARRAY: &str = "subscriptions not an array";
    const UNHELPFUL: &str = "the library says nothing about what is wrong; Zeek's texts do";
    const BINARY: &str = "zeek-websocket-rs sends binary messages";
    const RFC: &str = "the RFC wants a Close frame that says why";
    const HANDSHAKE: &str = "the RFC wants a Close frame answered";
    const PIECES: &str = "TCP may cut a frame anywhere";
    const VALID: &str = "what was refused is valid";
    Some(match (scenario, conn, frame) {
        ("bad-first" | "bad-first-garbage", ..) if is_close(step) => (Rejected(ARRAY), UNHELPFUL),
        ("bad-first-numbers", ..) if is_close(step) => {
            (Rejected("individual subscription not a string"), UNHELPFUL)
        }
        ("bad-first-more", "c1", _) if is_close(step) => (Ack, "CR is white space in JSON"),
        ("bad-first-more", "c1", _) => (Nothing, "it stays open"),
        ("bad-first-more", "c4", _) if is_close(step) => {
            (Rejected("individual subscription not a string"), UNHELPFUL)
        }
        ("bad-first-more", ..) if is_close(step) => (Rejected(ARRAY), UNHELPFUL),
        ("wrong-path", ..) => (
            Rejected("Invalid URI - use /v1/messages/json"),
            "a page in a browser sees error objects and Close frames, and no HTTP status",
        ),
        ("binary-first", ..) if is_close(step) => (Ack, BINARY),
        ("binary-later", ..) if is_close(step) => (Published("1"), BINARY),
        ("status-events", "c2", "Close 1000 \"bye\"") => (Close(1000), HANDSHAKE),
        ("status-events", "c3", _) if is_close(step) => (Rejected(ARRAY), UNHELPFUL),
        ("framing-accepted", _, "unmasked") => {
            (Close(1002), "the RFC demands the mask, which protects proxies from forged requests")
        }
        ("framing-accepted", _, "Ping of 200 octets") => {
            (Close(1002), "the RFC limits control frames, and nobody sends longer ones")
        }
        ("framing-accepted", _, "fragmented Ping") => {
            (Close(1002), "the RFC forbids it, and nobody does it")
        }
        ("framing-aborted", ..) if step["tcp"] != "eof" => return None,
        ("framing-aborted", _, "Ping between fragments") => (PongAndPublished, VALID),
        ("framing-aborted", _, "binary") => (Published("1"), BINARY),
        ("framing-aborted", _, "length 2147483647") => (Close(1009), RFC),
        ("framing-aborted", _, "Close 1000") => (Close(1000), HANDSHAKE),
        ("framing-aborted", _, "empty Close") => (Close(1005), HANDSHAKE),
        ("framing-aborted", ..) => (Close(1002), RFC),
        ("short-frame-split", "c2" | "c3", _) if step["tcp"] == "eof" => (Published("7"), PIECES),
        ("data-messages-more", ..) if says(step, "input #5 ") => {
            (Published("6"), "CR is white space in JSON")
        }
        ("data-messages-more", ..) if says(step, "input #12 ") => {
            (Published("5.0"), "Go and JavaScript write 5 for 5.0")
        }
        ("data-messages-more", ..) if says(step, "input #13 ") => (
            Published("5d"),
            "zeek-client and Go clients send days, and the library documents them",
        ),
        ("visibility", ..) if step["text"] == "'nil sender'" => {
            (Nothing, "an envelope in the name of nobody is forged")
        }
        ("visibility", ..) if says(step, "nil sender") => {
            (Nothing, "an envelope in the name of nobody is forged")
        }
        ("visibility", ..) if says(step, "to another node") || says(step, "unicast-to-native") => {
            (Nothing, "it is for another endpoint")
        }
        ("data-messages-more", ..) if step["topic"] == "" => {
            (Error("input #"), "nobody means the empty topic who names none")
        }
        ("empty-topic", ..) if is_close(step) => (
            Error("input #2 contained invalid data"),
            "nobody means the empty topic who names none",
        ),
        ("malformed-json", ..) if is_close(step) => (
            Error("input #7 contained invalid data"),
            "what says that it is something else is no data message",
        ),
        ("disable-forwarding", ..) if step["from"] == "native peer received" => (
            NativeGetsFirst("from c1"),
            "a client speaks for the endpoint, which sends its own messages even as a leaf",
        ),
        ("match-all-sees-local-events", "c1", _) if says(step, "<$>/local/") => {
            (Nothing, "who wants everything wants messages; these can still be asked for by name")
        }
        ("client-injects-status", ..) if says(step, "\"fake\"") => (
            Error("input #1 may not be published by this client"),
            "a client could lie about peers",
        ),
        ("endpoint-shutdown", ..) if is_close(step) => {
            (Close(1001), "1001 is what the RFC has for a server that goes away, and Zeek sends")
        }
        ("endpoint-shutdown", ..) if step["kind"] == "process" => {
            (Nothing, "this server does not crash")
        }
        _ => return None,
    })
}

fn is_close(step: &Value) -> bool {
    step.get("close").is_some()
}

fn says(step: &Value, text: &str) -> bool {
    step["text"].as_str().is_some_and(|all| all.contains(text))
}
