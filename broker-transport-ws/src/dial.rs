//! The client's side of the opening handshake.

use crate::framing::Side;
use crate::http::{HeadError, parse_response, read_head};
use crate::security::is_secure;
use crate::stream::Stream;
use crate::{JSON_PATH, NATIVE_PATH, NATIVE_PROTOCOL, Shared, native};
use broker_core::transport::{Connection, Link, TransportError};
use broker_core::{Address, Reason};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

/// How much of the body of a refusal is read for its first line.
const BODY_MAX: usize = 1024;

/// How long the body of a refusal is waited for.
const BODY_TIME: Duration = Duration::from_secs(1);

/// Dials a peer.
pub(crate) async fn peer(shared: &Shared, to: &Address) -> Result<Connection, TransportError> {
    let path = match to.path() {
        "" | "/" => NATIVE_PATH,
        path => path,
    };
    if path == JSON_PATH {
        let detail = format!("connecting to {to}: that is a server of the JSON API and no peer");
        return Err(TransportError::new(Reason::InvalidAddress, detail));
    }
    let (mut stream, protection) = shared.security.dial(to).await?;
    let target = target(to, path);
    let opening = Opening { to, path: &target, protocol: Some(NATIVE_PROTOCOL), fields: &[] };
    let rest = opening.run(&mut stream).await?;
    let link = Link { remote: to.clone(), protection };
    Ok(native::connection(stream, Side::Client, &rest, link))
}

/// What to ask for: the path, and the query of the URL, which may hold a token.
pub(crate) fn target(url: &Address, path: &str) -> String {
    match url.query() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// What is asked of a server.
pub(crate) struct Opening<'a> {
    pub(crate) to: &'a Address,
    pub(crate) path: &'a str,
    /// The sub-protocol that the server has to agree to.
    pub(crate) protocol: Option<&'a str>,
    /// Further header fields.
    pub(crate) fields: &'a [(&'static str, String)],
}

impl Opening<'_> {
    /// Asks for the WebSocket, and returns what the server has sent behind its agreement.
    pub(crate) async fn run(&self, stream: &mut Stream) -> Result<Vec<u8>, TransportError> {
        let doing = format!("connecting to {}", self.to);
        let key = generate_key();
        let io = |error: &_| TransportError::from_io(error, &doing);
        stream.write_all(self.request(&key).as_bytes()).await.map_err(|error| io(&error))?;
        stream.flush().await.map_err(|error| io(&error))?;
        let (head, rest) =
            read_head(stream).await.map_err(|error| no_response(error, self.to, &doing))?;
        let wrong =
            |text: String| TransportError::new(Reason::NotBroker, format!("{doing}: {text}"));
        let response = parse_response(&head).map_err(wrong)?;
        if response.status != 101 {
            let length = response.fields.get("Content-Length").and_then(|text| text.parse().ok());
            let body = first_line(stream, rest, length.unwrap_or(BODY_MAX)).await;
            let kind = match response.status {
                401 | 403 => Reason::AccessDenied,
                503 => Reason::OutOfResources,
                _ => Reason::NotBroker,
            };
            let (status, reason) = (response.status, response.reason);
            let mut detail = format!("{doing}: the server answered HTTP {status} {reason}");
            if !body.is_empty() {
                let _ = write!(detail, ": {body}");
            }
            return Err(TransportError::new(kind, detail));
        }
        let fields = &response.fields;
        if !fields.lists("Upgrade", "websocket") || !fields.lists("Connection", "upgrade") {
            return Err(wrong("the server agreed to something else than a WebSocket".to_owned()));
        }
        if fields.get("Sec-WebSocket-Accept") != Some(&derive_accept_key(key.as_bytes())) {
            return Err(wrong("the server's Sec-WebSocket-Accept does not fit".to_owned()));
        }
        if fields.get("Sec-WebSocket-Extensions").is_some() {
            return Err(wrong("the server chose an extension that was not offered".to_owned()));
        }
        match (fields.get("Sec-WebSocket-Protocol"), self.protocol) {
            (agreed, wanted) if agreed == wanted => Ok(rest),
            (None, Some(wanted)) => {
                Err(wrong(format!("the server has WebSockets, but does not know {wanted}")))
            }
            (Some(agreed), _) => {
                Err(wrong(format!("the server chose the sub-protocol {agreed:?}")))
            }
            (None, None) => Ok(rest),
        }
    }

    fn request(&self, key: &str) -> String {
        let host = self.to.host();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {host}:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            self.path,
            self.to.port()
        );
        if let Some(protocol) = self.protocol {
            // Writing to a string does not fail.
            let _ = write!(request, "Sec-WebSocket-Protocol: {protocol}\r\n");
        }
        for (name, value) in self.fields {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request.push_str("\r\n");
        request
    }
}

fn no_response(error: HeadError, to: &Address, doing: &str) -> TransportError {
    let secure = is_secure(to);
    let (kind, detail) = match error {
        HeadError::Io(error) => return TransportError::from_io(&error, doing),
        // Zeek's refusals lack the empty line at the end.
        HeadError::Ended(bytes) if bytes.starts_with(b"HTTP/") => {
            let text = String::from_utf8_lossy(&bytes);
            let status = text.lines().next().unwrap_or_default();
            let detail = format!("{doing}: the server answered {status}");
            return TransportError::new(Reason::NotBroker, detail);
        }
        HeadError::Ended(_) if secure => (
            Reason::Closed,
            "the server closed the encrypted connection without an answer, as one that speaks the \
             native protocol does (tls://)",
        ),
        HeadError::Ended(_) => (
            Reason::Closed,
            "the server closed the connection without an answer, as one that expects TLS does \
             (wss://)",
        ),
        HeadError::TooLong => (Reason::NotBroker, "the server's answer has no end"),
        HeadError::NotHttp(bytes) => match bytes.as_slice() {
            [0x15 | 0x16, 3, ..] => {
                (Reason::NotBroker, "the server speaks TLS: use wss:// instead of ws://")
            }
            [0, ..] if secure => (
                Reason::NotBroker,
                "the other side speaks the native protocol without WebSocket: use tls://",
            ),
            [0, ..] => (
                Reason::NotBroker,
                "the other side speaks the native protocol without WebSocket: use tcp://",
            ),
            _ => (Reason::NotBroker, "the other side does not speak HTTP"),
        },
    };
    TransportError::new(kind, format!("{doing}: {detail}"))
}

/// The first line of a body of `length` bytes, of which `rest` has arrived.
async fn first_line(stream: &mut Stream, mut rest: Vec<u8>, length: usize) -> String {
    let length = length.min(BODY_MAX);
    let complete = async {
        while rest.len() < length && !rest.contains(&b'\n') {
            if !stream.read_buf(&mut rest).await.is_ok_and(|count| count > 0) {
                break;
            }
        }
    };
    // A refusal that breaks off or comes slowly has been said well enough.
    let _ = timeout(BODY_TIME, complete).await;
    rest.truncate(length);
    String::from_utf8_lossy(&rest).lines().next().unwrap_or_default().trim().to_owned()
}
