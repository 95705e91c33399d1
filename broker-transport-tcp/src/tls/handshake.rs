//! The handshakes of both sides, with rustls or in the anonymous mode.

use super::TlsTransport;
use super::anonymous::{AnonymousStream, handshake as anonymous_handshake};
use super::prefix_capture::{PREFIX_LEN, PrefixCapture};
use super::stream::Finish;
use super::unusable;
use crate::foreign::{Speaker, kind_where_tls_is_spoken, speaker};
use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
use broker_tls::{HandshakeReport, Tls, anonymous};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CipherSuite, ClientConfig, ProtocolVersion};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Encrypts a connection that this side has opened. The report of its handshake is left in `seen`,
/// whatever comes of it.
///
/// Without certificates there are two modes, and no hello that offers both. TLS 1.3 is tried first,
/// as the better one. A listener without any certificate, as default endpoints of the C++ Broker
/// have none, refuses it, with an alert or without a word, and is dialled again in the anonymous
/// mode; and so at once the next time.
pub(super) async fn dial<F: Finish>(
    transport: &TlsTransport,
    mut socket: TcpStream,
    to: &Address,
    doing: &str,
    finish: F,
    seen: &mut Option<HandshakeReport>,
) -> Result<F::Output, TransportError> {
    let tls = &transport.tls;
    let (config, report) = tls.rustls_client(to.host()).map_err(|error| unusable(&error, doing))?;
    *seen = Some(report.clone());
    let address = socket.peer_addr().map_err(|error| TransportError::from_io(&error, doing))?;
    let known = transport.anonymous_listeners.contains(address);
    let config = Arc::new(config);
    let anonymous = report.is_anonymous() && known;
    let (error, mut refused) = match connect(&config, socket, anonymous).await {
        Ok(stream) => return Ok(stream.finish(finish, report)),
        Err(refused) => refused,
    };
    let head = refused.prefix();
    if !report.is_anonymous() || !wants_another_mode(&error, head) {
        return Err(dial_error(&error, head, &report, to, doing));
    }
    drop(refused);
    socket = transport.tcp.dial_address(address, doing).await?;
    match connect(&config, socket, !anonymous).await {
        Ok(stream) => {
            if anonymous {
                transport.anonymous_listeners.remove(address);
            } else if transport.anonymous_listeners.insert(address) {
                tls.found_anonymous_listener(&format!(
                    "{to} speaks nothing but the anonymous TLS 1.2 of endpoints without \
                     certificates, so it was connected to twice; from now on it is dialled with \
                     that at once"
                ));
            }
            Ok(stream.finish(finish, report))
        }
        Err((error, mut socket)) => Err(dial_error(&error, socket.prefix(), &report, to, doing)),
    }
}

/// A stream whose handshake is done, in either mode.
enum Established {
    Rustls(Box<TlsStream<PrefixCapture>>),
    Anonymous(Box<AnonymousStream<PrefixCapture>>),
}

impl Established {
    fn finish<F: Finish>(self, finish: F, report: HandshakeReport) -> F::Output {
        match self {
            Self::Rustls(stream) => {
                let session = stream.get_ref().1;
                let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
                set_session(&report, session.protocol_version(), suite);
                finish.finish(stream, report)
            }
            Self::Anonymous(stream) => {
                let suite = CipherSuite::TLS_ECDH_anon_WITH_AES_256_CBC_SHA;
                set_session(&report, Some(ProtocolVersion::TLSv1_2), Some(suite));
                finish.finish(stream, report)
            }
        }
    }
}

fn set_session(
    report: &HandshakeReport,
    version: Option<ProtocolVersion>,
    suite: Option<CipherSuite>,
) {
    let word = |word: Option<&str>| word.unwrap_or("unknown").to_owned();
    let version = version.as_ref().and_then(|version| version.as_str());
    let suite = suite.as_ref().and_then(|suite| suite.as_str());
    report.set_session(word(version), word(suite));
}

/// One handshake; the socket comes back with an error.
async fn connect(
    config: &Arc<ClientConfig>,
    socket: TcpStream,
    anonymous: bool,
) -> Result<Established, (io::Error, PrefixCapture)> {
    let socket = PrefixCapture::new(socket);
    if anonymous {
        let client = match anonymous::AnonymousConnection::client() {
            Ok(client) => client,
            Err(error) => return Err((io::Error::other(error), socket)),
        };
        let stream = anonymous_handshake(client, socket).await?;
        return Ok(Established::Anonymous(Box::new(stream)));
    }
    // The name is neither sent nor looked at; whether the certificate has to be valid for the host
    // is a matter of the options.
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0, 0, 0, 0])));
    let connector = TlsConnector::from(config.clone());
    let stream = connector.connect(name, socket).into_fallible().await?;
    Ok(Established::Rustls(Box::new(stream.into())))
}

/// Whether the listener has refused what was offered, rather than who offers it. Some of them close
/// the connection and say nothing, `head` being what has come.
fn wants_another_mode(error: &io::Error, head: &[u8]) -> bool {
    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
        return head.is_empty();
    }
    let inner = error.get_ref();
    let of_rustls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let of_anonymous = inner.and_then(|inner| inner.downcast_ref::<anonymous::AnonymousError>());
    let alert = match (of_rustls, of_anonymous) {
        (Some(rustls::Error::AlertReceived(alert)), _)
        | (_, Some(anonymous::AnonymousError::AlertReceived(alert))) => alert,
        _ => return false,
    };
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity
            | AlertDescription::ProtocolVersion
    )
}

fn dial_error(
    error: &io::Error,
    head: &[u8],
    report: &HandshakeReport,
    to: &Address,
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
        return TransportError::new(Reason::Closed, detail);
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
    let mut socket = PrefixCapture::new(socket);
    let from = socket.peer_addr().map_err(|error| TransportError::from_io(&error, DOING))?.ip();
    let judge = |bytes: &[u8]| match tls.inspect_hello(bytes) {
        anonymous::Hello::Incomplete => None,
        hello => Some(hello == anonymous::Hello::Anonymous),
    };
    let is_anonymous = match socket.look(judge).await {
        Ok(Some(is_anonymous)) => is_anonymous,
        Ok(None) => {
            close(&mut socket).await;
            return Err(TransportError::new(Reason::Closed, CLOSED));
        }
        Err(error) => return Err(TransportError::from_io(&error, DOING)),
    };
    let config = if anyone { tls.rustls_server_for_anyone() } else { tls.rustls_server() };
    let (config, report) = config.map_err(|error| unusable(&error, DOING))?;
    if is_anonymous && !report.is_anonymous() {
        // What the other side can make something of: the alert that no suite is common.
        let _ = socket.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await;
        close(&mut socket).await;
        let detail = format!(
            "{DOING}: the other side speaks nothing but anonymous TLS, and here certificates are \
             configured: both sides have to have certificates, or neither"
        );
        return Err(TransportError::new(Reason::PeerCertificate, detail));
    }
    let handshake = async {
        if !is_anonymous {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let stream = acceptor.accept(socket).into_fallible().await?;
            return Ok(Established::Rustls(Box::new(stream.into())));
        }
        let server = anonymous::AnonymousConnection::server();
        let stream = anonymous_handshake(server, socket).await?;
        Ok(Established::Anonymous(Box::new(stream)))
    };
    match tls.in_turn(from, handshake).await {
        Ok(stream) => Ok(stream.finish(finish, report)),
        Err((error, mut socket)) => {
            close(&mut socket).await;
            Err(accept_error(&error, &report))
        }
    }
}

const DOING: &str = "the TLS handshake failed";
const CLOSED: &str = "the other side closed the connection in the middle of the TLS handshake";

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
            return Err(TransportError::new(Reason::Closed, detail));
        }
        (_, Some(Speaker::Tls)) => "the other side began with a TLS alert".to_owned(),
        (_, Some(other)) => {
            let name = other.name();
            format!("the other side speaks {name}, and this address is encrypted{}", cure(other))
        }
        (_, None) => "the other side does not speak TLS, and this address is encrypted".to_owned(),
    };
    let kind = speaker.map_or(Reason::NotBroker, kind_where_tls_is_spoken);
    Err(TransportError::new(kind, detail))
}

/// What to do about an acceptor that speaks something else, as the end of a sentence.
fn cure_for_dialler(speaker: Speaker, to: &Address) -> &'static str {
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
        return TransportError::new(Reason::Closed, CLOSED);
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
