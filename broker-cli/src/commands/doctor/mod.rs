mod handshake;
mod probe;
mod report;
mod sockets;

use crate::failure::{Exit, Failure};
use crate::options::{OutputOptions, UrlParser, dialable, seconds};
use crate::output::{Need, Output};
use crate::settings::{Layers, Settings};
use crate::signals::unless_interrupted;
use broker::core::transport::{Connection, TransportError};
use broker::{Address, EndpointBuilder, Limits, OverflowPolicy, Reason, TransportOptions};
use clap::Args;
use handshake::{Conversation, Greeting, Introduction};
use report::{Check, Finding, Verdict};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the other side has for its greeting before it is taken for one that waits for ours.
const PATIENCE: Duration = Duration::from_secs(1);

/// The default of `--wait`.
const WAIT: Duration = Duration::from_secs(5);

/// As many topics of a filter are shown.
const TOPICS_SHOWN: usize = 256;

/// Find out why an address cannot be peered with
///
/// Tries one layer after the other (address, name, TCP, TLS, greeting, handshake) and says which
/// one fails, what that means and what to try. At a ws:// address without a path that is the JSON
/// API, which a client without subscriptions asks for. Leaves before the handshake is done, so that
/// the other side never reports a peer. With --http it also asks the node there what it has
/// noticed. Ends with 0 if all is well, 1 if messages go round in a circle, 3 without a connection,
/// 4 if what is there refuses or is not Broker, 5 if it does not answer.
#[derive(Args)]
pub(crate) struct Doctor {
    /// The address to examine
    #[arg(value_parser = UrlParser::default())]
    url: Address,

    /// How long a handshake may take, of TLS or of Broker. Finding out what else speaks there may
    /// take as long again before and after it, at most 2 each, and its greeting 1 [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    wait: Option<Duration>,

    /// Read certificates and demands from this TOML file first [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where the node at this address tells about itself: what it was given with --http [default:
    /// do not ask it]
    #[cfg(feature = "http")]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = crate::http::DEFAULT)]
    http: Option<crate::http::HttpAddress>,

    #[cfg(any(feature = "tls", feature = "quic"))]
    #[command(flatten)]
    tls: crate::tls_options::TlsArgs,

    #[command(flatten)]
    output: OutputOptions,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let config = self.config.as_deref();
        #[cfg_attr(not(any(feature = "tls", feature = "quic")), allow(unused_mut))]
        let mut layers = Layers::read(config, None, OverflowPolicy::default())?;
        #[cfg(any(feature = "tls", feature = "quic"))]
        self.tls.add_to(&mut layers)?;
        let Settings { config, transports, .. } = Settings::of(layers)?;
        let mut examination = Examination {
            url: dialable(self.url.clone()),
            wait: self.wait.unwrap_or(WAIT),
            limits: config.limits,
            transports,
            out: Output::new(self.output.format(), Need::Output)?,
            is_misconfigured: false,
            #[cfg(feature = "http")]
            http: self.http,
        };
        unless_interrupted(examination.run()).await?
    }
}

/// What is found out about a link in the anonymous mode.
#[cfg(feature = "tls")]
const ANONYMOUS: &str = ": the anonymous TLS of a Zeek without certificates; to have it \
     authenticated set certificate, key and ca-file here, and Broker::ssl_certificate, ssl_keyfile \
     and ssl_cafile there";

/// A layer, and what is wrong with it.
type Stop = (&'static str, Finding);

struct Examination {
    url: Address,
    wait: Duration,
    limits: Limits,
    transports: TransportOptions,
    out: Output,
    /// Whether what is wrong are the options: no node would start with them.
    is_misconfigured: bool,
    /// Where the node tells what it has noticed.
    #[cfg(feature = "http")]
    http: Option<crate::http::HttpAddress>,
}

impl Examination {
    async fn run(&mut self) -> Result<(), Failure> {
        let outcome = self.examine().await;
        let exit = match &outcome {
            Ok(()) => {
                #[cfg(feature = "http")]
                let verdict = self.ask().await?;
                #[cfg(not(feature = "http"))]
                let verdict = Verdict::healthy(&self.url);
                self.out.record(&verdict);
                if verdict.ok() { Exit::Ok } else { Exit::Failure }
            }
            Err((layer, finding)) => {
                self.out.record(&Check::failed(layer, finding));
                self.out.record(&Verdict::of(finding));
                if self.is_misconfigured { Exit::Usage } else { finding.exit() }
            }
        };
        self.out.flush().await?;
        match exit {
            Exit::Ok => Ok(()),
            exit => Err(Failure::new(exit, "")),
        }
    }

    /// What the node that can be peered with says about its overlay. Returns how that sounds.
    #[cfg(feature = "http")]
    async fn ask(&mut self) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::healthy(&self.url);
        let Some(http) = &self.http else { return Ok(verdict) };
        let status = crate::http::status(http).await?;
        for circle in super::map::Circle::of(&status) {
            let text = circle.text(|id| status.name_of(id));
            self.out.record(&Check::circle(text.clone(), &circle));
            verdict = Verdict::circle(text);
        }
        if verdict.ok() {
            self.out.record(&Check::passed("overlay", "no messages came back in a circle"));
        }
        Ok(verdict)
    }

    /// Tries one layer after the other, and stops at the first that fails.
    async fn examine(&mut self) -> Result<(), Stop> {
        let builder = self.check_url()?;
        let mut addresses = Vec::new();
        // A path on this machine has neither name nor address.
        if !self.url.is_local_path() {
            let resolved = sockets::resolve(&self.url).await;
            let (found, check) = resolved.map_err(|finding| ("name", finding))?;
            self.report(check).await;
            addresses = found;
        }
        let (connection, address) = match self.url.scheme().to_owned().as_str() {
            "tcp" => {
                let (stream, address) = self.connect(&addresses).await?;
                (plain(stream, &self.url), Some(address))
            }
            #[cfg(feature = "tls")]
            "tls" => {
                let (stream, _) = self.connect(&addresses).await?;
                (self.encrypt(stream).await?, None)
            }
            scheme => (self.open(&builder, scheme, &addresses).await?, None),
        };
        #[cfg(feature = "bridge")]
        if let Some(kind) = broker::bridge::BridgeKind::of(&self.url) {
            return self.leave_bridge(kind, connection).await;
        }
        let mut conversation = Conversation::new(connection, self.limits.clone(), self.wait);
        self.greet(&mut conversation, address).await?;
        let introduction = conversation.introduce().await;
        // Some servers serve one connection at a time.
        drop(conversation);
        match introduction {
            Ok(introduction) => {
                self.report(introduced(&introduction)).await;
                Ok(())
            }
            Err(failure) => Err(("handshake", self.confirm(failure, address).await)),
        }
    }

    async fn report(&mut self, check: Check) {
        self.out.record(&check);
        // The last flush reports an error of the output.
        let _ = self.out.flush().await;
    }

    fn check_url(&mut self) -> Result<EndpointBuilder, Stop> {
        let unusable = |error: String| {
            let error = TransportError::unusable_certificate(error);
            ("tls", Finding::from(error))
        };
        let builder =
            broker::builder_with(&self.limits, self.transports.clone()).map_err(|error| {
                self.is_misconfigured = true;
                unusable(error.to_string())
            })?;
        let scheme = self.url.scheme();
        if scheme == "mem" || builder.transport_for(scheme).is_none() {
            let text = format!("{}: this program does not speak {scheme}://", self.url);
            let error = TransportError::new(Reason::UnsupportedScheme, text);
            return Err(("url", error.into()));
        }
        self.out.record(&Check::passed("url", self.url.to_string()));
        #[cfg(any(feature = "tls", feature = "quic"))]
        if let Ok(tls) = broker::tls::Tls::new(self.transports.tls.clone()) {
            let expiring = tls.expiring(std::time::SystemTime::now());
            expiring.iter().for_each(|text| self.out.record(&Check::warning("tls", text)));
        }
        Ok(builder)
    }

    /// Tries every address, and goes on with the first that answers.
    async fn connect(&mut self, addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Stop> {
        let mut connected = None;
        let mut failed: Option<Finding> = None;
        for address in addresses {
            match sockets::connect(*address, self.limits.connect_time).await {
                Ok((stream, time)) => {
                    let check = Check::passed("tcp", format!("connected to {address}"))
                        .took(time)
                        .with("address", address.to_string());
                    self.report(check).await;
                    connected.get_or_insert((stream, *address));
                }
                Err(error) => {
                    // One that answered says more than one that did not.
                    let better = failed.is_none() || error.reason() == Reason::Refused;
                    let finding = Finding::from(error);
                    if addresses.len() > 1 {
                        let check = Check::failed("tcp", &finding);
                        self.report(check.with("address", address.to_string())).await;
                    }
                    if better {
                        failed = Some(finding);
                    }
                }
            }
        }
        match (connected, failed) {
            (Some(connected), _) => Ok(connected),
            (None, Some(finding)) => Err(("tcp", finding)),
            (None, None) => {
                let text = format!("{} has no address", self.url.host());
                Err(("name", TransportError::new(Reason::NameResolution, text).into()))
            }
        }
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&mut self, stream: TcpStream) -> Result<Connection, Stop> {
        use broker::tcp::tls::{Tls, TlsTransport};
        use broker::tcp::{TcpOptions, TcpTransport};
        let tls = Tls::new(self.transports.tls.clone()).map_err(|error| {
            ("tls", TransportError::unusable_certificate(error.to_string()).into())
        })?;
        let tcp = TcpTransport::new(TcpOptions::from_limits(&self.limits));
        let transport = TlsTransport::new(tcp, tls).with_handshake_time(self.wait);
        let began = Instant::now();
        let (outcome, details) = transport.examine(stream, &self.url).await;
        for (at, certificate) in details.chain.iter().enumerate() {
            let text = format!(
                "certificate {}: {}, issued by {}, valid from {} to {}",
                at + 1,
                certificate.subject,
                certificate.issuer,
                certificate.not_before,
                certificate.not_after
            );
            let check = Check::passed("tls", text).with("pin", &certificate.pin);
            self.report(check.with("subject", &certificate.subject)).await;
            if let Some(warning) = certificate.end.warning(std::time::SystemTime::now()) {
                self.report(Check::warning("tls", warning)).await;
            }
        }
        let connection = outcome.map_err(|error| ("tls", Finding::from(error)))?;
        let unknown = || "unknown".to_owned();
        let version = details.version.unwrap_or_else(unknown);
        let cipher = details.cipher.unwrap_or_else(unknown);
        let mode = if cipher.starts_with("TLS_ECDH_anon") { ANONYMOUS } else { "" };
        let text = format!("{version}, {cipher}, {}{mode}", connection.link.protection);
        let check = Check::passed("tls", text).took(began.elapsed());
        self.report(check.with("version", version).with("cipher", cipher)).await;
        Ok(connection)
    }

    /// Opens a connection of a transport with layers of its own.
    async fn open(
        &mut self,
        builder: &EndpointBuilder,
        scheme: &str,
        addresses: &[SocketAddr],
    ) -> Result<Connection, Stop> {
        let began = Instant::now();
        let limit = self.limits.connect_time.saturating_add(self.wait);
        let connecting = async {
            match builder.transport_for(scheme) {
                Some(transport) => transport.connect(&self.url).await,
                None => Err(TransportError::new(Reason::UnsupportedScheme, self.url.to_string())),
            }
        };
        let outcome = match timeout(limit, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(broker::Failure::HandshakeTimeout { waiting_for: "its answer", limit }),
        };
        let connection = match outcome {
            Ok(connection) => connection,
            Err(failure) => {
                let plain = addresses.first().copied().filter(|_| scheme == "ws");
                return Err(("transport", self.confirm(failure, plain).await));
            }
        };
        let text = format!("connected, {}", connection.link.protection);
        self.report(Check::passed("transport", text).took(began.elapsed())).await;
        Ok(connection)
    }

    /// Ends the connection of a bridge: what is at its other side has taken the subscriptions, and
    /// knows nothing of the greetings of peers.
    #[cfg(feature = "bridge")]
    async fn leave_bridge(
        &mut self,
        kind: &broker::bridge::BridgeKind,
        mut connection: Connection,
    ) -> Result<(), Stop> {
        self.report(Check::passed(kind.name, kind.reached)).await;
        // Only politeness; the end of this program ends the connection as well.
        let _ = tokio::time::timeout(self.wait, connection.writer.shutdown()).await;
        Ok(())
    }

    /// Waits for what the other side says first.
    async fn greet(
        &mut self,
        conversation: &mut Conversation,
        address: Option<SocketAddr>,
    ) -> Result<(), Stop> {
        let check = match conversation.greeting(PATIENCE.min(self.wait)).await {
            Ok(Greeting::Bytes(what)) => Check::passed("greeting", what),
            Ok(Greeting::Silence) => {
                // A server that waits for its client may expect another protocol.
                if let Some(finding) = who_is_silent(address, probe::TIME.min(self.wait)).await {
                    return Err(("greeting", finding));
                }
                Check::passed("greeting", "nothing yet; perhaps it waits for this side to begin")
            }
            Err(failure) => return Err(("greeting", self.confirm(failure, address).await)),
        };
        self.report(check).await;
        Ok(())
    }

    /// Makes sure of what looks like TLS at an address that was given as plain.
    async fn confirm(&self, failure: broker::Failure, address: Option<SocketAddr>) -> Finding {
        let suspicious = matches!(
            failure.reason(),
            Reason::Closed
                | Reason::Reset
                | Reason::ClosedInHandshake
                | Reason::HandshakeTimeout
                | Reason::PeerWantsTls
        );
        let Some(address) = address.filter(|_| suspicious) else {
            return failure.into();
        };
        // One after the other: some servers serve one connection at a time.
        let is_ws = self.url.scheme() == "ws";
        let time = probe::TIME.min(self.wait) / if is_ws { 2 } else { 1 };
        if probe::speaks_tls(address, time).await {
            return tls_there(Some(failure));
        }
        // What it said before it closed the connection is often lost.
        if is_ws && probe::greets_natively(address, time).await {
            return native_there(&self.url);
        }
        failure.into()
    }
}

/// What a server is that sends nothing by itself.
async fn who_is_silent(address: Option<SocketAddr>, time: Duration) -> Option<Finding> {
    let address = address?;
    let asked = (probe::speaks_tls(address, time), probe::asked_for_a_page(address, time));
    match tokio::join!(asked.0, asked.1) {
        (true, _) => Some(tls_there(None)),
        (false, page) => page.map(Finding::from),
    }
}

fn tls_there(seen: Option<broker::Failure>) -> Finding {
    let seen = match seen {
        Some(failure) if failure.reason() == Reason::PeerWantsTls => return failure.into(),
        Some(failure) if failure.reason() == Reason::HandshakeTimeout => {
            "it said nothing to a hello of Broker, and answers"
        }
        Some(_) => "it closed the connection, and answers on one of its own",
        None => "it says nothing by itself, and answers",
    };
    let failure = broker::Failure::PeerWantsTls("use tls://, or wss:// for a WebSocket");
    Finding { failure, confirmed: Some(format!("{seen} when a TLS handshake is begun")) }
}

fn native_there(url: &Address) -> Finding {
    let text = format!(
        "connecting to {url}: the other side speaks the native protocol without WebSocket: use tcp://"
    );
    TransportError::new(Reason::NotBroker, text).into()
}

fn plain(stream: TcpStream, url: &Address) -> Connection {
    use broker::core::transport::{Link, Protection, StreamReader, StreamWriter};
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(StreamReader(reader)),
        writer: Box::new(StreamWriter(writer)),
        link: Link { remote: url.clone(), protection: Protection::Plain },
    }
}

fn introduced(introduction: &Introduction) -> Check {
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let filter: Vec<String> = introduction.filter.iter().take(TOPICS_SHOWN).map(text).collect();
    let count = introduction.filter.len();
    let topics = match count {
        0 => "asks for no topic".to_owned(),
        1..=8 => format!("asks for {}", filter.join(", ")),
        _ => format!("asks for {count} topics"),
    };
    let id = introduction.id.map(|id| id.to_string()).unwrap_or_default();
    let (lowest, highest) = introduction.versions.unwrap_or_default();
    let versions = match lowest == highest {
        true => format!("version {lowest}"),
        false => format!("versions {lowest} to {highest}"),
    };
    Check::passed("handshake", format!("endpoint {id} speaks {versions} and {topics}"))
        .with("endpoint", json!({ "id": id }))
        .with("versions", [lowest, highest])
        .with("filter", filter)
        .with("filter_entries", count)
}
