use super::Request;
use data_encoding::BASE64;
use std::fmt::Write as _;
use tungstenite::handshake::derive_accept_key;

/// A response that is not the acceptance of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    status: u16,
    phrase: &'static str,
    content_type: &'static str,
    fields: Vec<(&'static str, String)>,
    body: String,
}

impl Response {
    pub(crate) fn new(status: u16, phrase: &'static str, body: impl Into<String>) -> Self {
        let content_type = "text/plain; charset=utf-8";
        Self { status, phrase, content_type, fields: Vec::new(), body: body.into() }
    }

    pub(crate) fn bad_request(body: impl Into<String>) -> Self {
        Self::new(400, "Bad Request", body)
    }

    /// A page for a browser.
    pub(crate) fn page(body: impl Into<String>) -> Self {
        let content_type = "text/html; charset=utf-8";
        Self { content_type, ..Self::new(200, "OK", body) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong, in one line.
    pub(crate) fn reason(&self) -> &str {
        self.body.lines().next().unwrap_or(self.phrase)
    }

    /// The bytes of the response. The connection is to be closed after it.
    pub(crate) fn encode(&self, with_body: bool) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.status, self.phrase);
        for (name, value) in &self.fields {
            // Writing to a string does not fail.
            let _ = write!(out, "{name}: {value}\r\n");
        }
        let _ = write!(
            out,
            "Content-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.content_type,
            self.body.len()
        );
        if with_body {
            out.push_str(&self.body);
        }
        out.into_bytes()
    }
}

/// A request that asks properly for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpgradeRequest {
    accept: String,
}

impl UpgradeRequest {
    /// The acceptance, with the sub-protocol that was chosen, if any.
    pub(crate) fn encode(&self, protocol: Option<&str>) -> Vec<u8> {
        let mut out = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n",
            self.accept
        );
        if let Some(protocol) = protocol {
            let _ = write!(out, "Sec-WebSocket-Protocol: {protocol}\r\n");
        }
        out.push_str("\r\n");
        out.into_bytes()
    }
}

/// Fields that decide who is let in and as what. Of several with one name others on the way may
/// have looked at another one than this server.
const ONCE: [&str; 6] = [
    "Host",
    "Origin",
    "Authorization",
    "Content-Length",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
];

/// Checks what RFC 6455 demands of a client's opening handshake (section 4.2.1), whatever the path.
///
/// Extensions are never agreed to, so offers of them are not looked at.
pub(crate) fn validate_upgrade(request: &Request) -> Result<UpgradeRequest, Response> {
    if request.method != "GET" {
        let body = format!("A WebSocket is opened with GET, not {}.\n", request.method);
        return Err(Response::new(405, "Method Not Allowed", body).with("Allow", "GET"));
    }
    if !request.is_1_1 {
        return Err(Response::bad_request("A WebSocket needs HTTP/1.1.\n"));
    }
    let fields = &request.fields;
    if !fields.lists("Upgrade", "websocket") {
        let body = "This is a WebSocket: the request needs the field Upgrade: websocket.\n";
        return Err(upgrade_required(body));
    }
    if let Some(name) = ONCE.iter().find(|name| fields.count(name) > 1) {
        return Err(Response::bad_request(format!("The field {name} is there more than once.\n")));
    }
    if fields.get("Host").is_none() {
        return Err(Response::bad_request("The field Host is missing.\n"));
    }
    if fields.get("Transfer-Encoding").is_some()
        || fields.get("Content-Length").is_some_and(|length| length != "0")
    {
        return Err(Response::bad_request("A WebSocket is opened without a body.\n"));
    }
    if !fields.lists("Connection", "upgrade") {
        return Err(Response::bad_request(
            "The field Connection does not say upgrade: a proxy in between does not pass it on?\n",
        ));
    }
    match fields.get("Sec-WebSocket-Version") {
        Some("13") => {}
        Some(_) => return Err(upgrade_required("Only version 13 of WebSocket is spoken here.\n")),
        None => {
            return Err(Response::bad_request("The field Sec-WebSocket-Version is missing.\n"));
        }
    }
    let key = fields.get("Sec-WebSocket-Key").unwrap_or_default();
    let bytes = BASE64.decode(key.as_bytes());
    if !bytes.is_ok_and(|bytes| bytes.len() == 16) {
        return Err(Response::bad_request(
            "Mandatory field Sec-WebSocket-Key missing or invalid: it has to be 16 bytes in \
             base64.\n",
        ));
    }
    Ok(UpgradeRequest { accept: derive_accept_key(key.as_bytes()) })
}

fn upgrade_required(body: &str) -> Response {
    Response::new(426, "Upgrade Required", body)
        .with("Upgrade", "websocket")
        .with("Sec-WebSocket-Version", "13")
}

#[cfg(test)]
mod tests {
    use super::super::parse_request;
    use super::*;

    const GOOD: &str = "GET /v1/messages/json HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn validated(head: &str) -> Result<UpgradeRequest, Response> {
        validate_upgrade(&parse_request(head.as_bytes()).unwrap())
    }

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        let upgrade = validated(GOOD).unwrap();
        assert_eq!(upgrade.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let lower = GOOD.replace("Sec-WebSocket-Key", "sec-websocket-key");
        assert_eq!(validated(&lower).unwrap(), upgrade);
        let text = String::from_utf8(upgrade.encode(Some("p"))).unwrap();
        assert!(text.contains("\r\nSec-WebSocket-Protocol: p\r\n\r\n"));
    }

    #[test]
    fn what_is_no_opening_handshake_is_told_why() {
        for (change, status) in [
            (("GET", "POST"), 405),
            (("HTTP/1.1", "HTTP/1.0"), 400),
            (("Upgrade: websocket", "Upgrade: h2c"), 426),
            (("Connection: keep-alive, Upgrade", "Connection: keep-alive"), 400),
            (("Version: 13", "Version: 8"), 426),
            (("Sec-WebSocket-Version: 13", "X: y"), 400),
            (("dGhlIHNhbXBsZSBub25jZQ==", "abc"), 400),
            (("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400),
            (("Sec-WebSocket-Key", "X-Key"), 400),
            (("Host: 127.0.0.1", "X-Host: 127.0.0.1"), 400),
            (("Host: 127.0.0.1", "Host: 127.0.0.1\r\nhost: evil.example"), 400),
            (("Host: 127.0.0.1", "Host: a\r\nOrigin: https://a\r\nOrigin: https://b"), 400),
            (
                (
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8",
                ),
                400,
            ),
            (("Host: 127.0.0.1", "Host: a\r\nContent-Length: 5"), 400),
            (("Host: 127.0.0.1", "Host: a\r\nTransfer-Encoding: chunked"), 400),
        ] {
            let answer = validated(&GOOD.replace(change.0, change.1)).unwrap_err();
            assert_eq!(answer.status(), status, "{change:?}");
            let text = String::from_utf8(answer.encode(true)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert_eq!(status == 426, head.contains("Upgrade: websocket"));
        }
    }
}
