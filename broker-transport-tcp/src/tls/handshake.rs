//! The handshakes of both sides, with rustls or, in the anonymous mode, with OpenSSL.

#[cfg(feature = "anon-tls")]
use super::anonymous;
use super::prefix_capture::{PREFIX_LEN, PrefixCapture};
use super::stream::Finish;
use super::unusable;
use crate::foreign::{Speaker, kind_where_tls_is_spoken, speaker};
use broker_core::Url;
use broker_core::transport::{TransportError, TransportErrorKind as Kind};
use broker_tls::{HandshakeReport, Tls};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Encrypts a connection that this side has opened. The report of its handshake is left in `seen`,
/// whatever comes of it.
pub(super) async fn dial<F: Finish>(
    tls: &Tls,
    socket: TcpStream,
    to: &Url,
    doing: &str,
    finish: F,
    seen: &mut Option<HandshakeReport>,
) -> Result<F::Output, TransportError> {
    let socket = PrefixCapture::new(socket);
    #[cfg(feature = "anon-tls")]
    if let Some(session) = tls.openssl_client() {
        let (session, report) = session.map_err(|error| unusable(&error, doing))?;
        *seen = Some(report.clone());
        return match anonymous::connect(session, socket).await {
            Ok(stream) => {
                let cipher = stream.ssl().current_cipher().map_or("none", |cipher| cipher.name());
                report.set_session(stream.ssl().version_str().to_owned(), cipher.to_owned());
                Ok(finish.finish(stream, report))
            }
            Err((error, head)) => Err(dial_error(&error, &head, &report, to, doing)),
        };
    }
    let (config, report) = tls.rustls_client(to.host()).map_err(|error| unusable(&error, doing))?;
    *seen = Some(report.clone());
    // The name is neither sent nor looked at; whether the certificate has to be valid for the host
    // is a matter of the options.
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
    match TlsConnector::from(Arc::new(config)).connect(name, socket).into_fallible().await {
        Ok(stream) => {
            let session = stream.get_ref().1;
            let version = session.protocol_version().and_then(|version| version.as_str());
            let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
            let word = |word: Option<&str>| word.unwrap_or("unknown").to_owned();
            report.set_session(word(version), word(cipher));
            Ok(finish.finish(stream, report))
        }
        Err((error, mut socket)) => Err(dial_error(&error, socket.prefix(), &report, to, doing)),
    }
}

fn dial_error(
    error: &io::Error,
    head: &[u8],
    report: &HandshakeReport,
    to: &Url,
    doing: &str,
) -> TransportError {
    match speaker(head) {
        None | Some(Speaker::Tls) => {}
        Some(other) => {
            let cure = cure_for_dialler(other, to);
            let detail = format!("{doing}: the other side speaks {}{cure}", other.name());
            return TransportError::new(kind_where_tls_is_spoken(other), detail);
        }
    }
    let explained = report.explain(error, doing);
    if explained.is_closed() {
        let detail = format!(
            "{doing}: the other side closed the connection during the TLS handshake, as one that \
             expects no encryption or has other certificates does"
        );
        return TransportError::new(Kind::Closed, detail);
    }
    explained
}

/// Encrypts a connection that this side has accepted; `anyone` says that the other side need not
/// have a certificate.
pub(super) async fn accept<F: Finish>(
    tls: &Tls,
    mut socket: TcpStream,
    anyone: bool,
    finish: F,
) -> Result<F::Output, TransportError> {
    if let Err(error) = expect_hello(&socket).await {
        // No alert: to a plain peer it would be the length of a huge frame.
        close(&mut socket).await;
        return Err(error);
    }
    let from = socket.peer_addr().map_err(|error| TransportError::from_io(&error, DOING))?.ip();
    let socket = PrefixCapture::new(socket);
    #[cfg(feature = "anon-tls")]
    if let Some(session) = tls.openssl_server() {
        let (session, report) = session.map_err(|error| unusable(&error, DOING))?;
        return match tls.in_turn(from, anonymous::accept(session, socket)).await {
            Ok(stream) => Ok(finish.finish(stream, report)),
            Err(error) => Err(accept_error(&error, &report)),
        };
    }
    let config = if anyone { tls.rustls_server_for_anyone() } else { tls.rustls_server() };
    let (config, report) = config.map_err(|error| unusable(&error, DOING))?;
    let handshake = TlsAcceptor::from(Arc::new(config)).accept(socket).into_fallible();
    match tls.in_turn(from, handshake).await {
        Ok(stream) => Ok(finish.finish(stream, report)),
        Err((error, mut socket)) => {
            close(&mut socket).await;
            Err(accept_error(&error, &report))
        }
    }
}

const DOING: &str = "the TLS handshake failed";

/// Waits for the first byte and checks that it can begin a TLS handshake.
async fn expect_hello(socket: &TcpStream) -> Result<(), TransportError> {
    let mut head = [0; PREFIX_LEN];
    let count = socket.peek(&mut head).await;
    let count = count.map_err(|error| TransportError::from_io(&error, DOING))?;
    let head = head.get(..count).unwrap_or_default();
    let speaker = speaker(head);
    let detail = match (head.first(), speaker) {
        (Some(0x16), _) => return Ok(()),
        (None, _) => {
            let detail = "the other side closed the connection before it said anything";
            return Err(TransportError::new(Kind::Closed, detail));
        }
        (_, Some(Speaker::Tls)) => "the other side began with a TLS alert".to_owned(),
        (_, Some(other)) => {
            let name = other.name();
            format!("the other side speaks {name}, and this address is encrypted{}", cure(other))
        }
        (_, None) => "the other side does not speak TLS, and this address is encrypted".to_owned(),
    };
    let kind = speaker.map_or(Kind::WrongProtocol, kind_where_tls_is_spoken);
    Err(TransportError::new(kind, detail))
}

/// What to do about an acceptor that speaks something else, as the end of a sentence.
fn cure_for_dialler(speaker: Speaker, to: &Url) -> &'static str {
    match (speaker, to.scheme()) {
        (Speaker::Http, "wss") => {
            " without encryption: use ws:// here, or switch encryption on there"
        }
        (Speaker::Http, _) => " without encryption; a WebSocket server of Broker belongs to ws://",
        _ => cure(speaker),
    }
}

/// What to do about a peer that speaks something else, as the end of a sentence.
fn cure(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Broker => ": use tcp:// here, or switch encryption on there",
        _ => "",
    }
}

fn accept_error(error: &io::Error, report: &HandshakeReport) -> TransportError {
    let explained = report.explain(error, DOING);
    if explained.is_closed() {
        let detail = "the other side closed the connection in the middle of the TLS handshake";
        return TransportError::new(Kind::Closed, detail);
    }
    explained
}

/// How much and how long a refused peer may still send.
const LINGER_BYTES: u64 = 64 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Closes a connection so that the other side sees an orderly end, and the alert before it if there
/// is one: closing with bytes unread would reset the connection and destroy what is in flight.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut S) {
    let drain = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut *socket).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    let _ = timeout(LINGER_TIME, drain).await;
}
