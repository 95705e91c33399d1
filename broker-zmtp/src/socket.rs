/// What a socket is for, which says what it may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// Publishes, and does not tell who subscribes.
    Pub,
    /// Publishes, and tells who subscribes.
    XPub,
    /// Subscribes.
    Sub,
    /// Subscribes, and may send messages of its own to the publisher.
    XSub,
    /// Hands out messages, each to one of those who take them.
    Push,
    /// Takes messages.
    Pull,
}

impl SocketType {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pub => "PUB",
            Self::XPub => "XPUB",
            Self::Sub => "SUB",
            Self::XSub => "XSUB",
            Self::Push => "PUSH",
            Self::Pull => "PULL",
        }
    }

    pub(crate) fn fits(self, other: &[u8]) -> bool {
        match self {
            Self::Pub | Self::XPub => matches!(other, b"SUB" | b"XSUB"),
            Self::Sub | Self::XSub => matches!(other, b"PUB" | b"XPUB"),
            Self::Push => other == b"PULL",
            Self::Pull => other == b"PUSH",
        }
    }

    pub(crate) fn publishes(self) -> bool {
        matches!(self, Self::Pub | Self::XPub)
    }
}
