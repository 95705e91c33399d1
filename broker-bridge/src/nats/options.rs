//! What an address of NATS says, and what a client is told of it.

use crate::BridgeAddress;
use crate::nats::parcel::Format;
use crate::nats::subjects::Subjects;
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
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
    identity: Identity,
    ca: Option<PathBuf>,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// Who this side says it is.
#[derive(Debug, Clone, Default)]
enum Identity {
    #[default]
    Nobody,
    /// A file with a JWT and the key for it.
    Credentials(PathBuf),
    /// A file with the seed of a key.
    Nkey(PathBuf),
    Token(String),
    User {
        name: String,
        password: PathBuf,
    },
}

impl Identity {
    fn of(address: &BridgeAddress) -> Result<Self, String> {
        let path = |name| address.get(name).map(PathBuf::from);
        let user = match (address.get("user"), path("password-file")) {
            (Some(name), Some(password)) => Some(Self::User { name: name.to_owned(), password }),
            (None, None) => None,
            _ => return Err("user= and password-file= go together".to_owned()),
        };
        let token = address.get("access_token").map(|token| Self::Token(token.to_owned()));
        let ways =
            [path("creds").map(Self::Credentials), path("nkey").map(Self::Nkey), token, user];
        let mut ways = ways.into_iter().flatten();
        let identity = ways.next().unwrap_or_default();
        match ways.next() {
            None => Ok(identity),
            Some(_) => Err("creds=, nkey=, access_token= and user= exclude each other".to_owned()),
        }
    }

    async fn options(&self) -> Result<ConnectOptions, TransportError> {
        let unusable = |what: &str, file: &Path, error: &dyn Error| {
            let text = format!("{what} {}: {error}", file.display());
            TransportError::new(Reason::InvalidAddress, text)
        };
        let read = |what: &str, file: &Path| match std::fs::read_to_string(file) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(unusable(what, file, &error)),
        };
        Ok(match self {
            Self::Nobody => ConnectOptions::new(),
            Self::Credentials(file) => ConnectOptions::with_credentials_file(file)
                .await
                .map_err(|error| unusable("the credentials in", file, &error))?,
            Self::Nkey(file) => ConnectOptions::with_nkey(read("the key in", file)?),
            Self::Token(token) => ConnectOptions::with_token(token.clone()),
            Self::User { name, password } => ConnectOptions::with_user_and_password(
                name.clone(),
                read("the password in", password)?,
            ),
        })
    }
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
            identity: Identity::of(address)?,
            ca: path("ca"),
            certificate,
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), String> {
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
        let mut options = self.identity.options().await?;
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
        ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            io_error(error).map_or(Reason::Io, |error| match error.kind() {
                io::ErrorKind::ConnectionRefused => Reason::Refused,
                io::ErrorKind::ConnectionReset => Reason::Reset,
                io::ErrorKind::TimedOut => Reason::TimedOut,
                _ => of_tls(error).unwrap_or(Reason::Io),
            })
        }
    };
    TransportError::new(reason, format!("NATS: {error}"))
}

fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

fn of_tls(error: &io::Error) -> Option<Reason> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(_) => Some(Reason::PeerCertificate),
        _ => Some(Reason::Tls),
    }
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
            ("to=/a&access_token=x&user=y&password-file=z", "exclude"),
            ("to=/a&user=y", "go together"),
            ("to=/a&bogus=1", "no such parameter"),
        ] {
            let error = parse(query).expect_err(query);
            assert!(error.contains(reason) || query.contains(' '), "{query}: {error}");
        }
    }
}
