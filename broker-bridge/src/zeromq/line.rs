//! One TCP connection of a ZeroMQ socket.

use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
use broker_zmtp::{Config, Connection, ENTROPY, Error, Event, Mechanism};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Silence after which the other side is asked for a sign of life.
const ASK_AFTER: Duration = Duration::from_secs(15);

/// Silence after which the other side is given up, if it can be asked. Longer than a process is
/// stopped for by accident.
const GIVE_UP_AFTER: Duration = Duration::from_secs(90);

/// Bytes taken from a socket at once.
const READ: usize = 64 * 1024;

const WITH_KEYS: &str = "; the cluster encrypts: give this side the keys of the cluster (table \
    [zeromq], or the variables ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_...)";
const WITHOUT_KEYS: &str = "; the cluster does not encrypt: take the keys away here, or turn \
    encryption on there";

/// A connection, with its bytes going both ways as they can.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    connection: Connection,
    /// What the connection is, for messages about it.
    doing: String,
    buffer: Vec<u8>,
    heard: Instant,
    has_asked: bool,
    is_encrypted: bool,
}

impl Line {
    pub(super) fn new(stream: TcpStream, config: Config, doing: String) -> Self {
        // Messages are whole when they are written.
        let _ = stream.set_nodelay(true);
        let is_encrypted = !matches!(config.mechanism, Mechanism::Null);
        let connection = Connection::new(config);
        let (heard, buffer) = (Instant::now(), vec![0; READ]);
        Self { stream, connection, doing, buffer, heard, has_asked: false, is_encrypted }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The address of this side.
    pub(super) fn local_ip(&self) -> Option<std::net::IpAddr> {
        self.stream.local_addr().ok().map(|address| address.ip())
    }

    /// Bytes that wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.connection.output().len()
    }

    /// Waits until bytes can be sent or received, and does both. Cancel safe.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub(super) async fn step(&mut self) -> Result<(), TransportError> {
        let interest = match self.connection.output().is_empty() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        let ready = self.stream.ready(interest).await.map_err(|e| self.io(&e))?;
        if ready.is_writable() {
            self.write()?;
        }
        if ready.is_readable() {
            match self.stream.try_read(&mut self.buffer) {
                Ok(0) if !self.connection.is_greeted() => {
                    return Err(self.not_greeted());
                }
                Ok(0) => {
                    return Err(TransportError::new(
                        Reason::Closed,
                        format!("{}: closed", self.doing),
                    ));
                }
                Ok(count) => {
                    self.heard = Instant::now();
                    self.has_asked = false;
                    let received = self.buffer.get(..count).unwrap_or_default();
                    self.connection.received(received).map_err(|e| failed(&self.doing, &e))?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.io(&error)),
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), TransportError> {
        while !self.connection.output().is_empty() {
            match self.stream.try_write(self.connection.output()) {
                Ok(count) => self.connection.sent(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.io(&error)),
            }
        }
        Ok(())
    }

    /// The next thing that was received; `None` until [`Self::step`] has received more.
    ///
    /// # Errors
    ///
    /// The other side refuses this one, or breaks the protocol.
    pub(super) fn next(&mut self) -> Result<Option<Event>, TransportError> {
        self.connection.next_event().map_err(|error| {
            // It tells the other side why, if there is something to tell.
            let _ = self.write();
            failed(&self.doing, &error)
        })
    }

    /// Waits until the other side has agreed to talk.
    pub(super) async fn open(&mut self) -> Result<(), TransportError> {
        loop {
            if let Some(Event::Ready(_)) = self.next()? {
                return Ok(());
            }
            self.step().await?;
        }
    }

    /// Sends what waits, within `limit`, and reads on meanwhile.
    pub(super) async fn flush(&mut self, limit: Duration) {
        let flush = async {
            while self.waiting() > 0 && self.step().await.is_ok() {
                while let Ok(Some(_)) = self.next() {}
            }
        };
        let _ = timeout(limit, flush).await;
    }

    /// Asks for a sign of life if it has been silent for long.
    ///
    /// # Errors
    ///
    /// It has been silent for too long.
    pub(super) fn check(&mut self) -> Result<(), TransportError> {
        let silence = self.heard.elapsed();
        if silence >= GIVE_UP_AFTER && self.has_asked {
            let text = format!("{}: no sign of life for {} s", self.doing, silence.as_secs());
            return Err(TransportError::new(Reason::TimedOut, text));
        }
        if silence >= ASK_AFTER && !self.has_asked {
            self.has_asked = self.connection.ping();
        }
        Ok(())
    }

    /// What a connection that ends before the other side has greeted may mean.
    fn not_greeted(&self) -> TransportError {
        let advice = match self.is_encrypted {
            true => "one that does not encrypt does that to those with keys: take them away here",
            false => "one that encrypts does that to those without the keys of the cluster",
        };
        let text = format!("{}: closed without a greeting; {advice}", self.doing);
        TransportError::new(Reason::Closed, text)
    }

    fn io(&self, error: &std::io::Error) -> TransportError {
        TransportError::from_io(error, &self.doing)
    }
}

/// What a failure of the protocol means for the operator.
fn failed(doing: &str, error: &Error) -> TransportError {
    let (kind, advice) = match error {
        Error::NotZmtp | Error::OldVersion(_) => (Reason::NotBroker, ""),
        Error::Mechanism { theirs, .. } if theirs == "CURVE" => (Reason::Tls, WITH_KEYS),
        Error::Mechanism { .. } => (Reason::Tls, WITHOUT_KEYS),
        Error::Refused(_) | Error::UnknownKey | Error::Undecipherable(_) => {
            (Reason::AccessDenied, "; both sides have to have keys that belong together")
        }
        Error::SocketType(_) => (
            Reason::InvalidAddress,
            "; the address has to name the port where the proxy's XPUB listens, and publish=PORT \
             the one of its XSUB if that is not the next one",
        ),
        _ => (Reason::NotBroker, ""),
    };
    TransportError::new(kind, format!("{doing}: {error}{advice}"))
}

/// Random bytes.
///
/// # Errors
///
/// The system has none.
pub(super) fn random<const COUNT: usize>() -> Result<[u8; COUNT], TransportError> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes).map_err(|error| {
        TransportError::new(Reason::OutOfResources, format!("no random numbers: {error}"))
    })?;
    Ok(bytes)
}

/// How a connection that this side makes is protected.
pub(super) fn as_client(
    keys: Option<&broker_zmtp::ClientKeys>,
) -> Result<Mechanism, TransportError> {
    match keys {
        None => Ok(Mechanism::Null),
        Some(keys) => Ok(Mechanism::CurveClient(keys.clone(), Box::new(random::<ENTROPY>()?))),
    }
}

/// How a connection that this side accepts is protected.
pub(super) fn as_server(
    keys: Option<&broker_zmtp::ServerKeys>,
) -> Result<Mechanism, TransportError> {
    match keys {
        None => Ok(Mechanism::Null),
        Some(keys) => Ok(Mechanism::CurveServer(keys.clone(), Box::new(random::<ENTROPY>()?))),
    }
}

/// The address of a socket of the cluster, for messages.
pub(super) fn naming(what: &str, at: &Address) -> String {
    format!("connecting to {what} at {}", at.host_and_port())
}
