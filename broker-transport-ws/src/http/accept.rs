use super::Request;
use data_encoding::BASE64;
use std::fmt::Write as _;
use tungstenite::handshake::derive_accept_key;

/// An answer that is not the acceptance of a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    phrase: &'static str,
    content_type: &'static str,
    fields: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
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
pub(crate) struct Offer {
    accept: String,
}

impl Offer {
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

/// Checks what RFC 6455 demands of a client's opening handshake (section 4.2.1), whatever the path.
///
/// Extensions are never agreed to, so offers of them are not looked at.
pub(crate) fn judge(request: &Request) -> Result<Offer, Answer> {
    if request.method != "GET" {
        let body = format!("A WebSocket is opened with GET, not {}.\n", request.method);
        return Err(Answer::new(405, "Method Not Allowed", body).with("Allow", "GET"));
    }
    if !request.is_1_1 {
        return Err(Answer::bad_request("A WebSocket needs HTTP/1.1.\n"));
    }
    let fields = &request.fields;
    if !fields.lists("Upgrade", "websocket") {
        let body = "This is a WebSocket: the request needs the field Upgrade: websocket.\n";
        return Err(upgrade_required(body));
    }
    if !fields.lists("Connection", "upgrade") {
        return Err(Answer::bad_request(
            "The field Connection does not say upgrade: a proxy in between does not pass it on?\n",
        ));
    }
    match fields.get("Sec-WebSocket-Version") {
        Some("13") => {}
        Some(_) => return Err(upgrade_required("Only version 13 of WebSocket is spoken here.\n")),
        None => {
            return Err(Answer::bad_request("The field Sec-WebSocket-Version is missing.\n"));
        }
    }
    let key = fields.get("Sec-WebSocket-Key").unwrap_or_default();
    let bytes = BASE64.decode(key.as_bytes());
    if !bytes.is_ok_and(|bytes| bytes.len() == 16) {
        return Err(Answer::bad_request(
            "Mandatory field Sec-WebSocket-Key missing or invalid: it has to be 16 bytes in \
             base64.\n",
        ));
    }
    Ok(Offer { accept: derive_accept_key(key.as_bytes()) })
}

fn upgrade_required(body: &str) -> Answer {
    Answer::new(426, "Upgrade Required", body)
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

    fn judged(head: &str) -> Result<Offer, Answer> {
        judge(&parse_request(head.as_bytes()).unwrap())
    }

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        let offer = judged(GOOD).unwrap();
        assert_eq!(offer.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let lower = GOOD.replace("Sec-WebSocket-Key", "sec-websocket-key");
        assert_eq!(judged(&lower).unwrap(), offer);
        let text = String::from_utf8(offer.encode(Some("p"))).unwrap();
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
        ] {
            let answer = judged(&GOOD.replace(change.0, change.1)).unwrap_err();
            assert_eq!(answer.status(), status, "{change:?}");
            let text = String::from_utf8(answer.encode(true)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert_eq!(status == 426, head.contains("Upgrade: websocket"));
        }
    }
}
