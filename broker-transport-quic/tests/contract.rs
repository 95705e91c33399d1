//! What every transport has to do with frames.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod quic;
#[path = "../../broker-transport-tcp/tests/support/mod.rs"]
mod support;

use broker_core::transport::Connection;
use broker_transport_quic::{Order, QuicOptions};

/// The contract is about all frames, so all are in order.
async fn pair() -> (Connection, Connection) {
    quic::peers(QuicOptions { order: Order::Total, ..quic::patient() }).await
}

support::contract::contract_tests!(pair());
