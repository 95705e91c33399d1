//! What the machines have to report, as facts: who, what and why. An endpoint makes events and
//! texts of them; a simulation compares them.

use crate::data::{Port, Protocol};
use crate::{Address, EndpointId, Failure, Protection};
use std::fmt;
use std::time::Duration;

/// The address under which a peer is known: what was dialled, or where an accepted peer came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// The address as a URL.
    pub url: Address,
    /// The time between attempts to reach it, for addresses that this endpoint dials.
    pub retry: Option<Duration>,
}

impl NetworkInfo {
    /// Host and port without a retry.
    #[must_use]
    pub fn new(url: Address) -> Self {
        Self { url, retry: None }
    }

    /// The host, or the path of an address that is one.
    #[must_use]
    pub fn place(&self) -> &str {
        if self.url.is_local_path() { self.url.path() } else { self.url.host() }
    }

    /// The port with the protocol that carries the transport: UDP for `quic`, else TCP. A path has
    /// none.
    #[must_use]
    pub fn port(&self) -> Port {
        let protocol = match self.url.scheme() {
            "quic" => Protocol::Udp,
            _ if self.url.is_local_path() => Protocol::Unknown,
            _ => Protocol::Tcp,
        };
        Port::new(self.url.port(), protocol)
    }
}

/// An endpoint of the overlay as it appears in events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInfo {
    /// The endpoint's id; nil where it is not known.
    pub id: EndpointId,
    /// Its address, where the event has one.
    pub network: Option<NetworkInfo>,
}

impl fmt::Display for EndpointInfo {
    /// The form inside error texts: `endpoint_info(ID, *ADDR:PORT)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.network {
            Some(network) => {
                write!(f, "endpoint_info({}, *{})", self.id, network.url.host_and_port())
            }
            None => write!(f, "endpoint_info({}, none)", self.id),
        }
    }
}

/// Why this side ended a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// It was asked to.
    Unpeer,
    /// The peer did not read fast enough, and its queue overflowed.
    Overflow,
}

/// A change in the relation with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerChange {
    /// The endpoint has become reachable.
    Discovered,
    /// A peering with it has been established.
    Added,
    /// This side has ended the peering.
    Removed(RemovalCause),
    /// The other side, or the network, has ended the peering.
    Lost,
    /// The last path to the endpoint is gone.
    Unreachable,
}

/// What the machines have to report.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The relation with a peer has changed.
    Peer {
        /// How.
        change: PeerChange,
        /// The peer; its address only where a peering came or went.
        endpoint: EndpointInfo,
        /// What protects the link of a new peering.
        protection: Option<Protection>,
    },
    /// An attempt to be peered with an address has failed.
    DialFailed {
        /// The address, and when the next attempt is due.
        network: NetworkInfo,
        /// Why.
        failure: Failure,
    },
    /// Somebody wanted to end a peering that does not exist.
    UnknownPeer(EndpointInfo),
    /// A connection that was accepted did not get through the handshake.
    HandshakeFailed {
        /// Where it came from.
        remote: Address,
        /// Why.
        failure: Failure,
    },
    /// A peering that had ended exists again.
    Reconnected(EndpointId),
    /// A peer has not acknowledged the end of the peering in time.
    ByeTimedOut(EndpointId),
    /// Why a peering was lost; goes with [`PeerChange::Lost`].
    PeerLost {
        /// The former peer.
        peer: EndpointId,
        /// Why.
        failure: Failure,
    },
    /// Why a peer was cut; goes with [`RemovalCause::Overflow`].
    PeerOverflowed {
        /// The former peer.
        peer: EndpointId,
        /// What overflowed.
        failure: Failure,
    },
    /// An address is no longer tried.
    DialCancelled(Address),
    /// A peer has sent messages that break the rules. They were dropped and counted.
    Misbehaved {
        /// The peer.
        peer: EndpointId,
        /// Its address.
        remote: Address,
        /// Which rule, as an entry of the table of reasons.
        reason: crate::Reason,
        /// What it did.
        what: String,
    },
}
