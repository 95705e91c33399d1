use crate::dialling::Dialling;
use crate::establish::{check_protocol, establish};
use crate::{QuicOptions, config, errors, socket};
use broker_core::transport::{Connection, TransportError};
use broker_core::{Address, Reason};
use broker_tls::{HandshakeReport, Pin, Tls};
use quinn::{Connecting, ConnectionError, TransportConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;

/// What dialling one URL needs, whichever of its addresses answers.
pub(crate) struct Dial<'a> {
    pub(crate) to: &'a Address,
    pub(crate) pins: Vec<Pin>,
    pub(crate) tls: &'a Tls,
    pub(crate) options: &'a QuicOptions,
    pub(crate) transport: &'a Arc<TransportConfig>,
    pub(crate) dialling: &'a Dialling,
}

impl Dial<'_> {
    /// Connects to one address.
    pub(crate) async fn address(
        &self,
        address: SocketAddr,
        doing: &str,
    ) -> Result<Connection, TransportError> {
        let unusable =
            |reason: String| TransportError::unusable_certificate(format!("{doing}: {reason}"));
        let client = self.tls.rustls_client_pinned(self.to.host(), &self.pins);
        let (client, report) = client.map_err(|error| unusable(error.to_string()))?;
        let client = config::client(client, self.transport).map_err(unusable)?;
        let connecting = self.dialling.dial(address, client);
        let mut connecting = connecting.map_err(|error| TransportError::from_io(&error, doing))?;
        tokio::select! {
            answer = self.answer(&mut connecting, &report, doing) => answer?,
            refusal = socket::refusal(address, doing) => return Err(refusal),
        }
        timeout(self.options.handshake_time, self.finish(connecting, report, doing))
            .await
            .unwrap_or_else(|_| {
                let detail = format!(
                    "{doing}: the other side answered, but did not finish the handshake within {:?}",
                    self.options.handshake_time
                );
                Err(TransportError::new(Reason::TimedOut, detail))
            })
    }

    /// Waits until the other side has taken part in the handshake.
    async fn answer(
        &self,
        connecting: &mut Connecting,
        report: &HandshakeReport,
        doing: &str,
    ) -> Result<(), TransportError> {
        let time = self.options.connect_time;
        match timeout(time, connecting.handshake_data()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(ConnectionError::TimedOut)) | Err(_) => {
                let detail = format!(
                    "{doing}: no answer within {time:?}: nothing listens there for QUIC, or UDP \
                     does not get through"
                );
                Err(TransportError::new(Reason::TimedOut, detail))
            }
            Ok(Err(error)) => Err(errors::explain(&error, report, doing)),
        }
    }

    async fn finish(
        &self,
        connecting: Connecting,
        report: HandshakeReport,
        doing: &str,
    ) -> Result<Connection, TransportError> {
        let connection = connecting.await;
        let connection = connection.map_err(|error| errors::explain(&error, &report, doing))?;
        check_protocol(&connection, doing)?;
        establish(connection, report, self.to.clone(), self.options, doing).await
    }
}
