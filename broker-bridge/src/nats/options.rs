//! What an address of NATS says, and what a client is told of it.

use crate::BridgeAddress;
use crate::nats::parcel::Format;
use crate::nats::subjects::Subjects;
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a server may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A server that answers nothing for three of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// What a spool holds if the address does not say.
const SPOOL_BYTES: u64 = 64 << 20;

/// What an address of NATS says besides its topics.
#[derive(Debug, Clone)]
pub(crate) struct NatsOptions {
    /// Each as `host:port`; the first one is that of the address.
    pub(crate) servers: Vec<String>,
    pub(crate) is_encrypted: bool,
    pub(crate) subjects: Subjects,
    pub(crate) format: Format,
    pub(crate) stream: Option<String>,
    pub(crate) durable: Option<String>,
    pub(crate) replicas: usize,
    /// Bytes.
    pub(crate) spool: u64,
    pub(crate) spool_dir: Option<PathBuf>,
    pub(crate) to: Vec<String>,
    pub(crate) from: Option<Vec<String>>,
    credentials: Option<PathBuf>,
    nkey: Option<PathBuf>,
    token: Option<String>,
    ca: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
}

impl NatsOptions {
    pub(crate) fn new(url: &Address, address: &BridgeAddress) -> Result<Self, String> {
        let mut servers = vec![host_and_port(url.host(), url.port())];
        for server in address.all("server") {
            let (host, port) = server.rsplit_once(':').unwrap_or((server, "4222"));
            let port =
                port.parse().map_err(|_| format!("server={server}: this is no HOST:PORT"))?;
            servers.push(host_and_port(host.trim_matches(['[', ']']), port));
        }
        Ok(Self { servers, is_encrypted: url.scheme() == super::ENCRYPTED, ..Self::of(address)? })
    }

    /// What does not depend on where the server is.
    pub(crate) fn of(address: &BridgeAddress) -> Result<Self, String> {
        let path = |name| address.get(name).map(PathBuf::from);
        let number = |name: &str, default: u64, least: u64, most: u64| match address.get(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(format!("{name}={text}: this is no number from {least} to {most}")),
            },
        };
        let name = |name: &str| match address.get(name) {
            Some(text) if text.is_empty() || text.contains(|c: char| !is_of_a_name(c)) => {
                Err(format!("{name}={text}: a name has letters, digits, - and _ alone"))
            }
            text => Ok(text.map(str::to_owned)),
        };
        let certificate = match (path("cert"), path("key")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("cert= and key= go together".to_owned()),
        };
        let options = Self {
            servers: Vec::new(),
            is_encrypted: false,
            subjects: Subjects::below(address.get("subjects").unwrap_or_default())?,
            format: address.get("format").map_or(Ok(Format::default()), Format::of)?,
            stream: name("stream")?,
            durable: name("durable")?,
            replicas: number("replicas", 1, 1, 5)? as usize,
            spool: number("spool", SPOOL_BYTES, 1, u64::MAX >> 1)?,
            spool_dir: path("spool-dir"),
            to: address.directions.to.clone(),
            from: address.directions.from.clone(),
            credentials: path("creds"),
            nkey: path("nkey"),
            token: address.get("access_token").map(str::to_owned),
            ca: path("ca"),
            certificate,
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), String> {
        let ways = [self.credentials.is_some(), self.nkey.is_some(), self.token.is_some()];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err("creds=, nkey= and access_token= exclude each other".to_owned());
        }
        if self.durable.is_some() && (self.stream.is_none() || self.from.is_none()) {
            let what = "durable= needs stream=, where the messages are, and from=, which of them";
            return Err(what.to_owned());
        }
        let everything = || self.to.iter().chain(self.from.iter().flatten()).any(String::is_empty);
        if self.stream.is_some() && self.subjects.is_empty() && everything() {
            let what = "a stream cannot have every subject; say subjects=PREFIX, or which topics";
            return Err(what.to_owned());
        }
        Ok(())
    }

    /// The subjects of a stream that is made for the rule: whichever way its messages go.
    pub(crate) fn stream_subjects(&self) -> Vec<String> {
        let topics = self.to.iter().chain(self.from.iter().flatten());
        self.subjects.exact(&topics.cloned().collect::<Vec<_>>())
    }

    /// Those that a stream must have: what is sent to it, and what is received through a consumer.
    pub(crate) fn needed_subjects(&self) -> Vec<String> {
        match self.durable {
            Some(_) => self.stream_subjects(),
            None => self.subjects.exact(&self.to),
        }
    }

    /// Options for one connection that ends for good when it is lost, which `lost` then tells.
    /// `slow` is called when a message was dropped, because nobody took it in time.
    pub(crate) async fn for_client(
        &self,
        servers: usize,
        lost: CancellationToken,
        slow: impl Fn() + Send + Sync + 'static,
    ) -> Result<ConnectOptions, TransportError> {
        let unusable = |what: &str, file: &PathBuf, error: &dyn Error| {
            let text = format!("{what} {}: {error}", file.display());
            TransportError::new(Reason::InvalidAddress, text)
        };
        let mut options = match (&self.credentials, &self.nkey, &self.token) {
            (Some(file), _, _) => ConnectOptions::with_credentials_file(file)
                .await
                .map_err(|error| unusable("the credentials in", file, &error))?,
            (_, Some(file), _) => {
                let seed = std::fs::read_to_string(file)
                    .map_err(|error| unusable("the key in", file, &error))?;
                ConnectOptions::with_nkey(seed.trim().to_owned())
            }
            (_, _, Some(token)) => ConnectOptions::with_token(token.clone()),
            _ => ConnectOptions::new(),
        };
        options = options
            .name("broker-bridge")
            .no_echo()
            .connection_timeout(CONNECT_TIME)
            .ping_interval(PING_INTERVAL)
            .require_tls(self.is_encrypted)
            .max_reconnects(servers)
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => lost.cancel(),
                    Event::SlowConsumer(_) => slow(),
                    _ => {}
                }
                std::future::ready(())
            });
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }

    /// How a server is dialled.
    pub(crate) fn address_of(&self, server: &str) -> String {
        format!("{}://{server}", if self.is_encrypted { "tls" } else { "nats" })
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn host_and_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// Why there is no connection.
pub(crate) fn failed(error: &async_nats::ConnectError) -> TransportError {
    let reason = match error.kind() {
        ConnectErrorKind::ServerParse => Reason::InvalidAddress,
        ConnectErrorKind::Dns => Reason::NameResolution,
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            Reason::AccessDenied
        }
        ConnectErrorKind::TimedOut => Reason::TimedOut,
        ConnectErrorKind::Tls => Reason::Tls,
        ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => Reason::Refused,
            Some(io::ErrorKind::ConnectionReset) => Reason::Reset,
            Some(io::ErrorKind::TimedOut) => Reason::TimedOut,
            _ => Reason::Io,
        },
    };
    TransportError::new(reason, format!("NATS: {error}"))
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::nats::KIND;

    fn parse(query: &str) -> Result<(), String> {
        let url = format!("nats://host:4222?{query}").parse().unwrap();
        KIND.parse(&url).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for query in [
            "to=/a/&from=/b/&subjects=site.a&format=json&stream=S&durable=D&spool=1000",
            "to=/a&stream=S&replicas=3&server=b:4223&server=[::1]:4224",
            "to=&subjects=all&stream=S",
        ] {
            assert_eq!(parse(query), Ok(()), "{query}");
        }
        for (query, reason) in [
            ("to=/a&format=xml", "binary or json"),
            ("to=/a&subjects=a b", "a percent sign"),
            ("to=/a&subjects=a..b", "subjects="),
            ("from=/a&durable=D", "needs stream="),
            ("to=/a&stream=S&durable=D", "from="),
            ("to=&stream=S", "every subject"),
            ("to=/a&stream=a.b", "a name has"),
            ("to=/a&spool=0", "no number"),
            ("to=/a&replicas=9", "no number"),
            ("to=/a&cert=x", "go together"),
            ("to=/a&creds=x&nkey=y", "exclude"),
            ("to=/a&bogus=1", "no such parameter"),
        ] {
            let error = parse(query).expect_err(query);
            assert!(error.contains(reason) || query.contains(' '), "{query}: {error}");
        }
    }
}
