//! The transports that the features of this crate pick, as one set.

use broker_core::endpoint::EndpointBuilder;
use broker_core::transport::MemTransport;
use broker_core::{Endpoint, Limits};
use serde::{Deserialize, Serialize};

/// What the compiled-in transports need to know. In a configuration file each field is the table of
/// the same name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TransportOptions {
    /// Certificates and demands for `tls://` and `quic://`. Default: encryption without anybody
    /// proving anything, as between endpoints of the C++ Broker that have no certificates.
    #[cfg(any(feature = "tls", feature = "quic"))]
    pub tls: broker_tls::TlsOptions,

    /// How clients of `ws://` and `wss://` are served.
    #[cfg(feature = "ws")]
    pub ws: broker_transport_ws::WsOptions,

    /// What else there is to say about `quic://`.
    #[cfg(feature = "quic")]
    pub quic: broker_transport_quic::QuicOptions,

    /// The keys of clusters at `zeromq://`.
    #[cfg(feature = "zeromq")]
    pub zeromq: broker_bridge::zeromq::ZeroMqOptions,

    /// Where the bridges of the endpoint are entered, of whichever kind. A clone that is kept tells
    /// of them later.
    #[cfg(feature = "bridge")]
    #[serde(skip)]
    pub bridges: broker_bridge::Bridges,
}

impl TransportOptions {
    /// The names of the tables.
    pub const TABLES: &[&str] = &[
        #[cfg(any(feature = "tls", feature = "quic"))]
        "tls",
        #[cfg(feature = "ws")]
        "ws",
        #[cfg(feature = "quic")]
        "quic",
        #[cfg(feature = "zeromq")]
        "zeromq",
    ];
}

/// Why a transport cannot be set up.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportSetupError {
    /// The certificates, keys or demands of the encryption cannot be used.
    #[cfg(any(feature = "tls", feature = "quic"))]
    #[error("tls: {0}")]
    Tls(#[from] broker_tls::TlsError),
    /// The options for `ws://` cannot work.
    #[cfg(feature = "ws")]
    #[error("ws: {0}")]
    Ws(#[from] broker_transport_ws::InvalidOptions),
    /// The keys for `zeromq://` cannot be used.
    #[cfg(feature = "zeromq")]
    #[error("zeromq: {0}")]
    ZeroMq(#[from] broker_bridge::zeromq::InvalidKeys),
}

/// Describes an endpoint that has every transport this crate was built with, set up by `options`
/// within `limits`. Reads the files that the options name, and blocks while it does.
///
/// Files of certificates and keys that change are read again within two seconds, for connections
/// made from then on; existing peerings are not touched. The log of the endpoint says so under
/// `certificates-read`, or `certificates-unusable` with the reason if those read before stay in
/// use, and under `certificates-odd` what is strange about files that can be used, and about
/// certificates of peers that strict libraries would refuse. Of the files read here `Tls::warnings`
/// tells that, as nobody sees the log yet. Certificates that end within 14 days are named once a
/// day under `certificates-expire`, and by `Tls::expiring` at once. Under `anonymous-tls` the log
/// names listeners that have no certificate and so were connected to twice.
///
/// # Errors
///
/// A transport cannot be set up with these options.
pub fn builder_with(
    limits: &Limits,
    options: TransportOptions,
) -> Result<EndpointBuilder, TransportSetupError> {
    #[cfg(any(feature = "tls", feature = "quic"))]
    let builder = builder_with_tls(limits, options.clone(), &broker_tls::Tls::new(options.tls)?)?;
    #[cfg(not(any(feature = "tls", feature = "quic")))]
    let builder = with_transports(limits, options)?;
    Ok(builder)
}

/// Like [`builder_with`], with an encryption that the caller goes on using, to read its files again
/// at once or to know its pin. What `options` say about `tls` does not count.
///
/// # Errors
///
/// A transport cannot be set up with these options.
#[cfg(any(feature = "tls", feature = "quic"))]
pub fn builder_with_tls(
    limits: &Limits,
    options: TransportOptions,
    tls: &broker_tls::Tls,
) -> Result<EndpointBuilder, TransportSetupError> {
    Ok(reporting(with_transports(limits, options, tls)?, tls.clone()))
}

/// Lets the log of the endpoint say what became of certificates that were replaced.
#[cfg(any(feature = "tls", feature = "quic"))]
fn reporting(builder: EndpointBuilder, tls: broker_tls::Tls) -> EndpointBuilder {
    use broker_core::Reason;
    use broker_core::endpoint::ServiceContext;
    use broker_core::event::LogId;
    use broker_core::event::Severity::{Info, Warning};
    builder.on_start(move |context| {
        let odd = |context: &ServiceContext, warnings: &[String]| {
            for warning in warnings {
                context.log(Warning, LogId::CertificatesOdd, warning.clone(), None);
            }
        };
        let (daily, log) = (tls.clone(), context.clone());
        context.spawn(async move {
            let tell = |text| log.log(Warning, LogId::CertificatesExpire, text, None);
            daily.tell_of_ends(log.stopping(), tell).await;
        });
        let context = context.downgrade();
        let observer = context.clone();
        tls.on_leniency(move |text| {
            if let Some(context) = observer.upgrade() {
                context.log(Warning, LogId::CertificatesOdd, text, None);
            }
        });
        let observer = context.clone();
        tls.on_anonymous_listener(move |text| {
            if let Some(context) = observer.upgrade() {
                context.log(Info, LogId::AnonymousTls, text, None);
            }
        });
        tls.on_reload(move |read| {
            let Some(context) = context.upgrade() else { return };
            match read {
                Ok(warnings) => {
                    odd(&context, warnings);
                    let text = "certificates and keys have been read again, for new connections";
                    context.log(Info, LogId::CertificatesRead, text, None);
                }
                Err(error) => {
                    let text = format!("{error}; what was read before stays in use");
                    let reason = Some(Reason::OwnCertificate);
                    context.log(Warning, LogId::CertificatesUnusable, text, reason);
                }
            }
        });
    })
}

fn with_transports(
    limits: &Limits,
    options: TransportOptions,
    #[cfg(any(feature = "tls", feature = "quic"))] tls: &broker_tls::Tls,
) -> Result<EndpointBuilder, TransportSetupError> {
    let builder = Endpoint::builder().transport(MemTransport::new());
    // Without features there is nothing to set up.
    let _ = (limits, &options);
    #[cfg(feature = "tcp")]
    let tcp = broker_transport_tcp::TcpTransport::new(
        broker_transport_tcp::TcpOptions::from_limits(limits),
    );
    #[cfg(feature = "tcp")]
    let builder = builder.transport(tcp.clone());
    #[cfg(all(feature = "tcp", unix))]
    let builder = builder.transport(broker_transport_tcp::UnixTransport);
    #[cfg(feature = "tls")]
    let tls_links = broker_transport_tcp::tls::TlsTransport::new(tcp.clone(), tls.clone())
        .with_handshake_time(limits.handshake_time / 2);
    #[cfg(feature = "tls")]
    let builder = builder.transport(tls_links.clone());
    #[cfg(all(feature = "ws", feature = "tls"))]
    let ws = broker_transport_ws::WsTransport::with_tls(tcp, tls_links, options.ws)?;
    #[cfg(all(feature = "ws", not(feature = "tls")))]
    let ws = broker_transport_ws::WsTransport::with_tcp(tcp, options.ws)?;
    #[cfg(feature = "ws")]
    let builder =
        broker_bridge::websocket::WebSocketBridges::among(&options.bridges, ws).install(builder);
    #[cfg(feature = "nats")]
    let builder = broker_bridge::nats::install(&options.bridges, builder);
    #[cfg(feature = "zeromq")]
    let builder =
        broker_bridge::zeromq::install(&options.bridges, limits, &options.zeromq, builder)?;
    #[cfg(feature = "quic")]
    let builder = builder.transport(broker_transport_quic::QuicTransport::new(
        tls.clone(),
        options.quic.within(limits),
    ));
    Ok(builder)
}
