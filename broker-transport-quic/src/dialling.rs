use crate::socket;
use parking_lot::Mutex;
use quinn::{ClientConfig, ConnectError, Connecting, Endpoint};
use std::io;
use std::net::SocketAddr;

/// The name in the handshake, which is neither sent nor looked at.
const NAME: &str = "broker.invalid";

/// The sockets from which all connections are dialled, one for each IP version.
#[derive(Debug, Default)]
pub(crate) struct Dialling {
    v4: Mutex<Option<Endpoint>>,
    v6: Mutex<Option<Endpoint>>,
}

impl Dialling {
    /// Begins a connection.
    pub(crate) fn dial(&self, to: SocketAddr, config: ClientConfig) -> io::Result<Connecting> {
        let mut endpoint = if to.is_ipv6() { self.v6.lock() } else { self.v4.lock() };
        if let Some(endpoint) = &*endpoint {
            match endpoint.connect_with(config.clone(), to, NAME) {
                // It belonged to a runtime that has ended.
                Err(ConnectError::EndpointStopping) => {}
                outcome => return outcome.map_err(io::Error::other),
            }
        }
        let fresh = endpoint.insert(Endpoint::new(
            quinn::EndpointConfig::default(),
            None,
            socket::open(socket::any_port(to))?,
            std::sync::Arc::new(quinn::TokioRuntime),
        )?);
        fresh.connect_with(config, to, NAME).map_err(io::Error::other)
    }

    /// Replaces the sockets; connections go on from the new ones.
    pub(crate) fn rebind(&self) -> io::Result<()> {
        for endpoint in [&self.v4, &self.v6] {
            if let Some(endpoint) = &*endpoint.lock() {
                endpoint.rebind(socket::open(socket::any_port(endpoint.local_addr()?))?)?;
            }
        }
        Ok(())
    }
}
