use serde::Serialize;

/// Where the relation with a peer stands. The numbers are those of the C++ Broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum PeerStatus {
    /// Known, and nothing has happened yet. Nothing produces it.
    Initialized = 0,
    /// A first handshake is under way, or will be tried again.
    Connecting = 1,
    /// The handshake is done and the peering is being installed.
    Connected = 2,
    /// Messages flow.
    Peered = 3,
    /// A peering has ended.
    Disconnected = 4,
    /// A handshake with an endpoint that was peered before is under way, or will be tried again.
    Reconnecting = 5,
}

impl PeerStatus {
    /// The name of the C++ Broker.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Peered => "peered",
            Self::Disconnected => "disconnected",
            Self::Reconnecting => "reconnecting",
        }
    }

    /// Whether a handshake may turn a peer of this status into a connected one.
    #[must_use]
    pub fn is_shaking_hands(self) -> bool {
        matches!(self, Self::Connecting | Self::Reconnecting)
    }
}

/// Which side opened the connection of a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The other side.
    Inbound,
    /// This side.
    Outbound,
}

impl Direction {
    /// The name in machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}
