/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are not those of ZMTP.
    #[error("what is there does not speak ZMTP")]
    NotZmtp,
    /// The other side speaks a version of ZMTP before 3.0.
    #[error("the other side speaks a version of ZMTP before 3.0 (revision {0})")]
    OldVersion(u8),
    /// The two sides protect their connections in different ways.
    #[error("the other side wants the mechanism {theirs}, and this side {ours}")]
    Mechanism {
        /// What the other side has announced.
        theirs: String,
        /// What this side uses.
        ours: &'static str,
    },
    /// The sockets of the two sides do not belong together.
    #[error("the other side is a socket of the type {0}, which does not belong to this one")]
    SocketType(String),
    /// The other side has refused the connection with this reason; `400` is a key that it does not
    /// accept.
    #[error("the other side refuses the connection: {0}")]
    Refused(String),
    /// The other side has a key that is not accepted here.
    #[error("the key of the other side is not accepted here")]
    UnknownKey,
    /// The other side does not have the secret key that belongs to the public one, or somebody has
    /// changed bytes on the way.
    #[error("{0} cannot be opened with the keys of this connection")]
    Undecipherable(&'static str),
    /// Something is longer than allowed.
    #[error("{what} of {length} bytes is longer than allowed, {limit}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How long it is, or claims to be.
        length: u64,
        /// How long it may be.
        limit: usize,
    },
    /// A message has more parts than allowed.
    #[error("a message has more than {0} parts")]
    TooManyParts(usize),
    /// The other side breaks the protocol.
    #[error("the other side breaks the protocol: {0}")]
    Protocol(&'static str),
}
