//! What an accepted connection wants: to be a peer, a client, or something else that gets an
//! answer.

use crate::framing::{CloseCode, Framing, Received, Side, Violation};
use crate::http::{
    HeadError, Request, Response, UpgradeRequest, parse_request, read_head, validate_upgrade,
};
use crate::security::is_secure;
use crate::server::answers::{code, error_frame};
use crate::server::{Accepted, read_subscriptions};
use crate::service::Service;
use crate::stream::{Stream, receive};
use crate::{JSON_PATH, NATIVE_PATH, NATIVE_PROTOCOL, WsOptions, native, page};
use broker_core::transport::{Established, Link, Protection, TransportError};
use broker_core::{Address, Reason, Rights};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

/// How long the other side may take to read why it is refused, and to close.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// A connection on which nothing has been received yet.
pub(crate) struct OpeningHandshake<'a> {
    pub(crate) stream: Stream,
    pub(crate) remote: Address,
    pub(crate) protection: Protection,
    pub(crate) options: &'a WsOptions,
    /// Serves clients, if there is an endpoint for them.
    pub(crate) service: Option<&'a Service>,
    pub(crate) deadline: Instant,
    pub(crate) peers_need_certificates: bool,
}

impl OpeningHandshake<'_> {
    /// Finds out what the other side wants. Cancel safe in that dropping it drops the connection.
    pub(crate) async fn run(mut self) -> Result<Established, TransportError> {
        let head = timeout_at(self.deadline, read_head(&mut self.stream)).await;
        let (head, rest) = match head {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => return Err(self.no_request(error).await),
            Err(_) => {
                let answer = Response::new(408, "Request Timeout", "The request took too long.\n");
                return Err(self.refuse(&answer).await);
            }
        };
        let request = match parse_request(&head) {
            Ok(request) => request,
            Err(reason) => return Err(self.refuse(&Response::bad_request(reason + "\n")).await),
        };
        match request.path.as_str() {
            JSON_PATH => self.client(&request, rest).await,
            NATIVE_PATH => self.peer(&request, rest).await,
            "/" if self.options.page && !request.fields.lists("Upgrade", "websocket") => {
                self.page(&request).await
            }
            _ => Err(self.wrong_path(&request, rest).await),
        }
    }

    /// Answers a request without encryption at an address that has it.
    pub(crate) async fn refuse_plain_http(mut self) -> TransportError {
        // What was asked for does not matter, but an answer before it would be out of order.
        let _ = timeout_at(self.deadline, read_head(&mut self.stream)).await;
        let body = "This address is encrypted: use wss:// (or https://).\n";
        self.refuse(&Response::bad_request(body)).await
    }

    async fn client(
        mut self,
        request: &Request,
        rest: Vec<u8>,
    ) -> Result<Established, TransportError> {
        let (upgrade, rights) = match self.admitted(request) {
            Ok(admitted) => admitted,
            Err(answer) => return Err(self.refuse(&answer).await),
        };
        let has_room = |service: &Service| service.has_room_for(&self.remote);
        if !self.service.is_some_and(has_room) {
            let body = "There are as many clients as this server is set to serve.\n";
            let answer = Response::new(503, "Service Unavailable", body).with("Retry-After", "10");
            return Err(self.refuse(&answer).await);
        }
        self.send(&upgrade.encode(None)).await?;
        let mut framing = self.framing(&rest);
        let application = match application_name(request) {
            Ok(name) => name,
            Err(reason) => {
                let code = code::INVALID_APPLICATION_NAME;
                return Err(self.reject(&mut framing, code, reason, reason).await);
            }
        };
        let text = self.first_message(&mut framing).await?;
        let limit = self.options.subscriptions;
        let subscriptions = match read_subscriptions(&text, limit) {
            Ok(subscriptions) => subscriptions,
            Err(invalid) => {
                let reason = format!("{}: {}", invalid.context, invalid.detail);
                let code = code::DESERIALIZATION;
                return Err(self.reject(&mut framing, code, &invalid.context, &reason).await);
            }
        };
        if let Some(refused) = subscriptions.iter().find(|prefix| !rights.may_subscribe(prefix)) {
            let refused = String::from_utf8_lossy(refused);
            let context = format!("this client may not subscribe to {refused:?}");
            return Err(self.reject(&mut framing, code::PERMISSION, &context, &context).await);
        }
        // Others may have subscribed since the handshake.
        let permit = self.service.and_then(|service| service.permit(&self.remote));
        let Some((service, permit)) = self.service.zip(permit) else {
            let context = "there are as many clients as this server is set to serve";
            let (code, close) = (code::TOO_MANY, CloseCode::TRY_AGAIN_LATER);
            return Err(self.reject_with(&mut framing, code, context, close, context).await);
        };
        let Self { stream, remote, protection, .. } = self;
        let accepted = Accepted {
            stream,
            framing,
            remote,
            protection,
            application,
            rights,
            subscriptions,
            permit,
        };
        service.serve(accepted)
    }

    fn admitted(&self, request: &Request) -> Result<(UpgradeRequest, Rights), Response> {
        let upgrade = validate_upgrade(request)?;
        let rights = self.options.access.admit(request, &self.protection)?;
        Ok((upgrade, rights))
    }

    async fn peer(
        mut self,
        request: &Request,
        rest: Vec<u8>,
    ) -> Result<Established, TransportError> {
        let upgrade = match self.admitted(request) {
            Ok((upgrade, rights)) if rights.are_unlimited() => upgrade,
            Ok(_) => {
                let body = "This is for clients of the JSON API only: their topics are limited, and \
                            those of a peer would not be.\n";
                return Err(self.refuse(&Response::new(403, "Forbidden", body)).await);
            }
            Err(answer) => return Err(self.refuse(&answer).await),
        };
        if !request.fields.lists("Sec-WebSocket-Protocol", NATIVE_PROTOCOL) {
            let body = format!(
                "Endpoints peer here with the sub-protocol {NATIVE_PROTOCOL}; the JSON API is at \
                 {JSON_PATH}.\n"
            );
            return Err(self.refuse(&Response::bad_request(body)).await);
        }
        let proved = matches!(self.protection, Protection::Authenticated(_));
        if self.peers_need_certificates && !proved {
            let body = "Peers have to present a certificate here.\n";
            return Err(self.refuse(&Response::new(403, "Forbidden", body)).await);
        }
        self.send(&upgrade.encode(Some(NATIVE_PROTOCOL))).await?;
        let link = Link { remote: self.remote, protection: self.protection };
        Ok(Established::Peer(native::connection(self.stream, Side::Server, &rest, link)))
    }

    async fn page(mut self, request: &Request) -> Result<Established, TransportError> {
        let with_body = match request.method.as_str() {
            "GET" => true,
            "HEAD" => false,
            _ => {
                let answer =
                    Response::new(405, "Method Not Allowed", "This page can be read only.\n");
                return Err(self.refuse(&answer.with("Allow", "GET, HEAD")).await);
            }
        };
        self.close_gracefully(&page::answer().encode(with_body), None).await?;
        Ok(Established::Handled)
    }

    /// Like Zeek's server, lets a WebSocket on a wrong path come about and then says what is wrong:
    /// that is the only answer that a page in a browser can see. Anything else gets plain HTTP.
    async fn wrong_path(mut self, request: &Request, rest: Vec<u8>) -> TransportError {
        if !request.fields.lists("Upgrade", "websocket") {
            let body = format!("Nothing is here. The JSON API is a WebSocket at {JSON_PATH}.\n");
            return self.refuse(&Response::new(404, "Not Found", body)).await;
        }
        let upgrade = match self.admitted(request) {
            Ok((upgrade, _)) => upgrade,
            Err(answer) => return self.refuse(&answer).await,
        };
        if let Err(error) = self.send(&upgrade.encode(None)).await {
            return error;
        }
        let mut framing = self.framing(&rest);
        let reason = "Invalid URI - use /v1/messages/json";
        self.reject(&mut framing, code::INVALID_URI, reason, reason).await
    }

    fn framing(&self, rest: &[u8]) -> Framing {
        let mut framing = Framing::new(Side::Server, self.options.message);
        framing.push(rest);
        framing
    }

    /// Waits for the first message, and answers pings meanwhile.
    async fn first_message(&mut self, framing: &mut Framing) -> Result<Bytes, TransportError> {
        loop {
            let received = framing.next();
            let output = std::mem::take(framing.output());
            if !output.is_empty() {
                self.send(&output).await?;
            }
            match received {
                Ok(Some(Received::Text(text))) => return Ok(Bytes::from(text)),
                Ok(Some(Received::Binary(bytes))) => return Ok(bytes),
                Ok(Some(Received::SignOfLife | Received::Pong(_))) => {}
                Ok(Some(Received::Close(..) | Received::Ended)) => {
                    // What cannot be sent is of no interest any more.
                    let _ = self.close_gracefully(&[], None).await;
                    let detail = "the client left before it sent its subscriptions";
                    return Err(TransportError::new(Reason::Closed, detail));
                }
                Ok(None) => {
                    let more = receive(&mut self.stream, |bytes| framing.push(bytes));
                    match timeout_at(self.deadline, more).await {
                        Ok(Ok(0)) => framing.end(),
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return Err(TransportError::from_io(&error, "receiving")),
                        Err(_) => {
                            let reason = "no subscriptions in time: send an array of prefixes";
                            let code = code::DESERIALIZATION;
                            return Err(self.reject(framing, code, reason, reason).await);
                        }
                    }
                }
                Err(violation) => return Err(self.close(framing, &[], &violation).await),
            }
        }
    }

    /// Sends an error object and a Close frame for a client that cannot be served.
    async fn reject(
        &mut self,
        framing: &mut Framing,
        code: &str,
        context: &str,
        reason: &str,
    ) -> TransportError {
        self.reject_with(framing, code, context, CloseCode::POLICY, reason).await
    }

    async fn reject_with(
        &mut self,
        framing: &mut Framing,
        code: &str,
        context: &str,
        close: CloseCode,
        reason: &str,
    ) -> TransportError {
        let error = error_frame(code, context);
        self.close(framing, &error, &Violation::new(close, reason)).await
    }

    async fn close(
        &mut self,
        framing: &mut Framing,
        before: &[u8],
        violation: &Violation,
    ) -> TransportError {
        framing.close(violation.code, &violation.reason);
        let last = [before, &std::mem::take(framing.output())].concat();
        let outcome = self.close_gracefully(&last, Some(framing)).await;
        let said = TransportError::new(Reason::NotBroker, violation.to_string());
        outcome.err().unwrap_or(said)
    }

    async fn refuse(&mut self, answer: &Response) -> TransportError {
        let outcome = self.close_gracefully(&answer.encode(true), None).await;
        let detail = format!("answered with HTTP {}: {}", answer.status(), answer.reason());
        let kind = if answer.status() == 408 { Reason::TimedOut } else { Reason::NotBroker };
        outcome.err().unwrap_or_else(|| TransportError::new(kind, detail))
    }

    async fn no_request(&mut self, error: HeadError) -> TransportError {
        match error {
            HeadError::Ended(_) => {
                let detail = "the connection ended before a request was complete";
                TransportError::new(Reason::Closed, detail)
            }
            HeadError::Io(error) => TransportError::from_io(&error, "receiving the request"),
            HeadError::TooLong => {
                let body = "Header exceeds maximum size.\n";
                self.refuse(&Response::new(431, "Request Header Fields Too Large", body)).await
            }
            HeadError::NotHttp(bytes) => self.not_http(&bytes).await,
        }
    }

    /// Says, to whoever may understand it, that this is not the right place.
    async fn not_http(&mut self, bytes: &[u8]) -> TransportError {
        let (answer, detail) = match bytes {
            [0x16, ..] => {
                // Programs that speak TLS recognise plain HTTP as the answer of a plain server.
                let answer = Response::bad_request("This address is not encrypted: use ws://.\n");
                let detail = "the other side speaks TLS: use ws:// there, or listen at wss:// here";
                (answer.encode(true), detail)
            }
            [0, ..] if is_secure(&self.remote) => (
                Vec::new(),
                "the other side speaks the native protocol without WebSocket: use wss:// there, or \
                 listen at tls:// here",
            ),
            [0, ..] => (
                Vec::new(),
                "the other side speaks the native protocol without WebSocket: use ws:// there, or \
                 listen at tcp:// here",
            ),
            _ => {
                let answer = Response::bad_request("This is not HTTP.\n");
                (answer.encode(true), "the other side does not speak HTTP")
            }
        };
        // What cannot be sent is of no interest any more.
        let _ = self.close_gracefully(&answer, None).await;
        TransportError::new(Reason::NotBroker, detail)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.send_until(self.deadline.max(Instant::now() + CLOSE_TIME), bytes).await
    }

    async fn send_until(&mut self, limit: Instant, bytes: &[u8]) -> Result<(), TransportError> {
        let sent = timeout_at(limit, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(TransportError::from_io(&error, "sending")),
            Err(_) => {
                let detail = "the other side does not read its answer";
                Err(TransportError::new(Reason::TimedOut, detail))
            }
        }
    }

    /// Sends the last bytes, waits until the other side agrees if there is a framing in which it
    /// can, and closes the connection so that the other side gets everything.
    async fn close_gracefully(
        &mut self,
        last: &[u8],
        framing: Option<&mut Framing>,
    ) -> Result<(), TransportError> {
        let limit = Instant::now() + CLOSE_TIME;
        self.send_until(limit, last).await?;
        if let Some(framing) = framing {
            let agreement = async {
                while !matches!(framing.next(), Ok(Some(Received::Close(..))) | Err(_)) {
                    let more = receive(&mut self.stream, |bytes| framing.push(bytes)).await;
                    if !more.is_ok_and(|count| count > 0) {
                        break;
                    }
                }
            };
            let _ = timeout(CLOSE_TIME / 2, agreement).await;
        }
        let _ = timeout_at(limit, async {
            let _ = self.stream.shutdown().await;
            while receive(&mut self.stream, |_| {}).await.is_ok_and(|count| count > 0) {}
        })
        .await;
        Ok(())
    }
}

/// What the client calls itself, if it says; the characters are those that Zeek's server allows.
fn application_name(request: &Request) -> Result<Option<Arc<str>>, &'static str> {
    let Some(name) = request.fields.get("X-Application-Name") else { return Ok(None) };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_.=:*@".contains(&byte);
    if name.bytes().all(allowed) {
        return Ok(Some(name).filter(|name| !name.is_empty()).map(Arc::from));
    }
    Err("Invalid X-Application-Name")
}
