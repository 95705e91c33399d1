//! The parameters of quinn.

use crate::wire::STREAMS;
use crate::{ALPN, Congestion, QuicOptions};
use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// What all streams together may hold of a side that is not a peer yet: its handshake, and not
/// much more.
const WINDOW_BEFORE_PEERING: u32 = 256 * 1024;

/// Below this a stream would not even hold a packet or two.
const SMALLEST_WINDOW: u32 = 16 * 1024;

/// Connections whose handshake has not begun; the next one is refused.
const INCOMING: usize = 256;

/// Bytes of first packets that are kept for one of these.
const INCOMING_BYTES: u64 = 16 * 1024;

/// What all streams together may hold: a full window for each, so that none can starve another.
pub(crate) fn full_window(options: &QuicOptions) -> VarInt {
    VarInt::from_u32(stream_window(options).saturating_mul(STREAMS as u32))
}

fn stream_window(options: &QuicOptions) -> u32 {
    options.stream_window.get().max(SMALLEST_WINDOW)
}

pub(crate) fn transport(options: &QuicOptions) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let idle = options.idle_timeout.max(Duration::from_millis(100));
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS as u32))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(stream_window(options)))
        .receive_window(VarInt::from_u32(WINDOW_BEFORE_PEERING))
        .send_window(full_window(options).into_inner())
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .keep_alive_interval(Some(idle / 3));
    if options.congestion == Congestion::Bbr {
        config.congestion_controller_factory(Arc::new(BbrConfig::default()));
    }
    Arc::new(config)
}

/// The error says why the configuration does not do for QUIC.
pub(crate) fn client(
    mut tls: rustls::ClientConfig,
    transport: &Arc<TransportConfig>,
) -> Result<quinn::ClientConfig, String> {
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport.clone());
    Ok(config)
}

/// As [`client`], for the accepting side.
pub(crate) fn server(
    mut tls: rustls::ServerConfig,
    transport: &Arc<TransportConfig>,
) -> Result<quinn::ServerConfig, String> {
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(transport.clone())
        .max_incoming(INCOMING)
        .incoming_buffer_size(INCOMING_BYTES)
        .incoming_buffer_size_total(INCOMING_BYTES * INCOMING as u64);
    Ok(config)
}
