//! `quic://` for Broker endpoints: peering over QUIC with TLS 1.3.
//!
//! Frames, handshake and events are those of `tcp://`. What is different:
//!
//! * **Order.** Messages on the same topic arrive in the order in which they were sent, from
//!   wherever they come. Messages on different topics may overtake each other ([`Order`]). Pings
//!   and pongs, those that end a peering included, arrive behind everything that was sent before
//!   them, and the handshake comes before everything else. Routing updates keep their order among
//!   themselves and with pings and pongs, and do not wait for messages.
//! * **No waiting for others.** Each of the first 16 topics of a connection has a stream of its
//!   own, further ones share these. A large message, or a packet that was lost, holds up its own
//!   stream and no other, as long as not more than [`QuicOptions::backlog`] bytes wait.
//! * **The path.** A connection goes on when the address of the dialling side changes, or that of a
//!   translator on the way. A dead path is noticed in seconds ([`QuicOptions::idle_timeout`]).
//! * **Protection.** Always. Who the other side is is a matter of [`broker_tls::TlsOptions`]:
//!   certificates of a CA at both sides, keys that pin each other, or nobody knows. A URL may pin
//!   the key of the side that is dialled: `quic://host:9999?pin=sha256:...`, repeatedly if several
//!   are right. [`Tls::own_pin`] is what to pin.
//!
//! A connection is bound to at most 17 times [`QuicOptions::stream_window`] bytes received and not
//! taken, as much sent and not acknowledged, [`QuicOptions::backlog`] and one frame waiting to be
//! sent, and [`QuicOptions::assembly`] or one frame being put together. Until the other side's
//! handshake of Broker is over it is 256 KiB received. More is not accepted, so a slow side slows
//! down the other one.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use broker_core::Endpoint;
//! use broker_transport_quic::{QuicOptions, QuicTransport, Tls, TlsOptions};
//!
//! let tls = Tls::new(TlsOptions::default())?;
//! let transport = QuicTransport::new(tls, QuicOptions::default());
//! let endpoint = Endpoint::builder().transport(transport).build()?;
//! let address = endpoint.listen("quic://127.0.0.1:0").await?;
//! assert_eq!(address.scheme(), "quic");
//! # Ok(())
//! # }
//! ```

mod assembly;
mod config;
mod demultiplexer;
mod dial;
mod dialling;
mod errors;
mod establish;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod link;
mod listen;
mod multiplexer;
mod options;
#[cfg(test)]
mod order_tests;
mod outgoing;
mod pump;
mod reader;
mod socket;
mod topics;
mod wire;
mod writer;

pub use broker_tls::{Passphrase, Pin, Tls, TlsError, TlsOptions};
pub use options::{Congestion, Order, QuicOptions};

use async_trait::async_trait;
use broker_core::transport::{Connection, Listener, Transport, TransportError};
use broker_core::{Address, Reason};
use dial::Dial;
use dialling::Dialling;
use listen::QuicListener;
use quinn::TransportConfig;
use std::io;
use std::sync::Arc;

/// The name of this protocol in the handshake of TLS.
pub const ALPN: &[u8] = b"broker/1";

/// The transport for the scheme `quic`. Clones share the sockets from which they dial.
#[derive(Debug, Clone)]
pub struct QuicTransport {
    tls: Tls,
    options: QuicOptions,
    transport: Arc<TransportConfig>,
    dialling: Arc<Dialling>,
}

impl QuicTransport {
    /// A transport with what `tls` proves and demands. Files of `tls` that have changed are in
    /// force for connections made two seconds later ([`Tls::watch_files`]).
    #[must_use]
    pub fn new(tls: Tls, options: QuicOptions) -> Self {
        let transport = config::transport(&options);
        Self { tls, options, transport, dialling: Arc::default() }
    }

    /// Moves all dialled connections to new sockets, and they go on from there.
    ///
    /// A change of the machine's addresses does not need it, as each packet leaves from the address
    /// that is right at the time. It is for systems that take sockets away, and to get another
    /// port.
    ///
    /// # Errors
    ///
    /// No socket could be opened; the old ones stay in use.
    pub fn rebind(&self) -> io::Result<()> {
        self.dialling.rebind()
    }
}

#[async_trait]
impl Transport for QuicTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["quic"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let invalid = |what| {
            let detail = format!("listening on {at}: a quic:// address to listen on has no {what}");
            Err(TransportError::new(Reason::InvalidAddress, detail))
        };
        if !at.path().is_empty() {
            return invalid("path");
        }
        if !at.query().is_empty() {
            return invalid("query");
        }
        self.tls.watch_files();
        let (tls, options) = (self.tls.clone(), self.options.clone());
        Ok(Box::new(QuicListener::bind(at, tls, options, self.transport.clone()).await?))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        let dial = &Dial {
            to,
            pins: pins(to)?,
            tls: &self.tls,
            options: &self.options,
            transport: &self.transport,
            dialling: &self.dialling,
        };
        self.tls.watch_files();
        broker_transport_tcp::dial_with(
            to,
            self.options.resolve_time,
            |address, doing| async move { dial.address(address, &doing).await },
        )
        .await
    }
}

/// The keys that a URL asks for.
fn pins(to: &Address) -> Result<Vec<Pin>, TransportError> {
    let invalid = |reason: String| {
        TransportError::new(Reason::InvalidAddress, format!("connecting to {to}: {reason}"))
    };
    if !to.path().is_empty() {
        return Err(invalid("a quic:// address has no path".to_owned()));
    }
    let pin = |(name, value): (&str, &str)| match name {
        "pin" => value.parse().map_err(|error: TlsError| invalid(error.to_string())),
        _ => Err(invalid(format!("{name:?} is not a parameter of quic://, only pin is"))),
    };
    to.parameters().map(pin).collect()
}
